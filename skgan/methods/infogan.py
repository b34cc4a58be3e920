"""InfoGAN: codes that G's samples must tell (Chen et al. 2016, arXiv 1606.03657).

    min_(G,Q) max_D  E_x log D(x) + E_(z,c) log(1 - D(G(z, c))) - lambda L_I(G, Q)
    L_I(G, Q) = E_(c, x ~ G(z,c)) log Q(c | x) + H(c)  <=  I(c; G(z, c))

Part of what G is given is a code c: categories, each equally likely, and numbers from U(-1, 1). Q
estimates it from the sample, as a head on D's trunk: a softmax for each categorical code, and a
Gaussian for each continuous one. L_I is a lower bound of the mutual information of code and sample
in nats, tight where Q is the posterior P(c | x). Its gradient moves G, Q and the trunk, so a
code comes to stand for what varies most clearly in the samples, such as their cluster.

| paper | here |
|---|---|
| G, D, Q | generator, discriminator, recognition |
| layers that D and Q share | trunk |
| x, (z, c) | `batch.x`, `batch.latent()`: noise, continuous codes, one-hot categories |
| lambda | `categorical_weight`, `continuous_weight` |
| -E log Q(c given x) = H(c) - L_I | `_nll` |
"""

import math
from typing import Any

import numpy as np
import torch

from ..base import BaseGAN, WholeNetwork
from ..critics import CriticParameters
from ..density import DensityRatioMixin
from ..losses import cross_entropy, gaussian_nll, ns_discriminator, ns_generator
from ..nn import EncoderFeatures, Head, build_heads, build_network
from ..nn.codes import Prior
from ..parameters import (
    CategoricalPriorParameters,
    GeneratorParameters,
    TrunkFeatures,
    TrunkParameters,
)
from ..utils.checks import check_choice, check_flag, check_number, check_size
from ..utils.docs import X_AS_IN_FIT, completed_by
from ..utils.parameters import parameter, parameters


@parameters
class InfoGANExtractor(
    CategoricalPriorParameters, GeneratorParameters, CriticParameters, TrunkParameters,
    TrunkFeatures, DensityRatioMixin, BaseGAN,
):  # fmt: skip
    """Codes of samples, or features of the trunk that estimates them, trained without labels.

    `fit` plays the game of Chen et al. 2016 with the codes and learning rates of its experiment on
    MNIST. `transform` returns what Q makes of samples: means of the continuous codes, then the
    probabilities of the categories; or the trunk's layers. `predict` returns the most probable
    category, `traverse` samples in which one code varies. Which category stands for which cluster,
    and which direction of a code is which, is arbitrary and differs between seeds.

    Parameters
    ----------
    n_continuous : int
        Number of continuous codes, each from U(-1, 1).
    categorical_weight, continuous_weight : float
        Weights lambda of the information of the categorical and of the continuous codes in the
        losses of the trunk and of the generator. Q's own head maximises the information whatever
        they are: with both at 0 this is a plain GAN, and Q a passive observer of it.
    learn_std : bool
        Whether Q estimates the standard deviation of each continuous code from the sample. False:
        it is 1, so that Q minimises half the squared error of its means.
    recognition_hidden : int or None
        Units of the hidden layer of Q's head, which has batch norm. None: Q's head is linear.
    output : {"codes", "trunk"}
        What `transform` returns: for every continuous code its mean, then for every categorical
        code the probabilities of its categories; or the layers of the trunk that `layers`, `tap`,
        `pool_grid` and `pool` choose, by default the last one.
    recognition_lr : float or None
        Learning rate of Q's head. None: `lr`.

    Attributes
    ----------
    generator_ : Module
        (n, latent_dim + n_continuous + sum(categories)): noise, continuous codes and one-hot
        categories, to samples.
    discriminator_, recognition_ : Module
        D and Q, trunk included, in eval mode. Q maps samples to means of the continuous codes, the
        scores of all categories, and with `learn_std` logarithms of standard deviations.
    history_ : list of dict
        As for other games; and L_I in nats, by the batches of training: "information_categorical",
        at most sum(log(categories)), of which "information_share" is the share that is reached,
        and "information_continuous". With `learn_std=False` the latter is below -0.226 for each
        code: a Gaussian with the standard deviation 1 is no tight bound.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import InfoGANExtractor
    >>> X, _ = load_digits(return_X_y=True)
    >>> infogan = InfoGANExtractor(image_shape=(8, 8), n_epochs=1, random_state=0).fit(X)
    >>> infogan.transform(X).shape, infogan.predict(X).shape
    ((1797, 12), (1797,))
    >>> infogan.traverse("category0", n_rows=3).shape
    (3, 10, 64)
    """

    n_continuous: int = parameter(default=2, shapes=True)
    categorical_weight: float = 1.0
    continuous_weight: float = 1.0
    learn_std: bool = parameter(default=False, shapes=True)
    recognition_hidden: int | None = parameter(default=128, shapes=True)
    output: str = parameter(default="codes", free=True)
    recognition_lr: float | None = None
    categories: tuple[int, ...] = parameter(default=(10,), shapes=True)
    latent_dim: int = parameter(default=62, shapes=True)
    generator_lr: float | None = 1e-3
    weight_decay: float = 0.0
    layers: Any = -1
    pool_grid: int | None = None

    _networks = ("generator", "trunk", "discriminator", "recognition")
    discriminator_ = WholeNetwork("The discriminator: samples -> logits (n,).")
    recognition_ = WholeNetwork("Q: samples -> means, scores of categories, log deviations.")

    def _check(self):
        check_size("n_continuous", self.n_continuous, low=0)
        for name in ("categorical_weight", "continuous_weight"):
            check_number(name, getattr(self, name), low=0)
        check_flag("learn_std", self.learn_std)
        units = self.recognition_hidden
        if units is not None:
            check_size("recognition_hidden", units, instead="None")
        check_choice("output", self.output, ("codes", "trunk"))
        super()._check()
        if not self.n_continuous and not len(self.categories):
            raise ValueError(
                "categories=() with n_continuous=0 leaves no code to learn: give at least one, "
                "such as categories=(10,)."
            )

    def _prior(self):
        return Prior(self.latent, self.latent_dim, self._categories(), self.n_continuous)

    def _codes(self):
        """The prior of c alone, the last columns of what G is given."""
        return Prior("uniform", self.n_continuous, self._categories())

    def _q_output(self):
        return "gaussian" if self.learn_std else "linear"

    def _build(self, shape, rng):
        # Paper: its networks for MNIST have dense layers of 1,024 units in G and before the heads.
        # Here networks are those of the families; Q's hidden layer has batch norm, as there.
        n_outputs = self._codes().n_outputs(self._q_output())
        units = self.recognition_hidden
        heads = {
            "discriminator": Head("logit"),
            "recognition": Head("code", n_outputs, units, batch_norm=True, bias=False),
        }
        generator = build_network(
            "generator", self.generator, rng, latent_dim=self._prior().dim, output_shape=shape
        )
        nets = build_heads(self.discriminator, rng, heads, input_shape=shape, norm=self.norm)
        return {"generator": generator} | nets

    def _parts(self, a):
        """Columns of c, or of Q's output: the continuous codes, each categorical one, the rest."""
        sizes = [self.n_continuous, *self._categories()]
        return a.split([*sizes, a.shape[1] - sum(sizes)], dim=1)

    def _nll(self, q, z):
        """-E log Q(c | x) in nats by kind of code, for Q's outputs q of samples from (z, c)."""
        continuous, *one_hot, _ = self._parts(z[:, self.latent_dim :])
        mean, *scores, log_std = self._parts(q)
        nll = {}
        if one_hot:
            each = zip(scores, one_hot, strict=True)
            nll["categorical"] = sum(cross_entropy(s, c.argmax(1)) for s, c in each)
        if self.n_continuous:
            log_std = log_std if self.learn_std else torch.zeros_like(mean)
            nll["continuous"] = gaussian_nll(mean, log_std, continuous)
        return nll

    def _weighted(self, nll):
        """Lambda (H(c) - L_I), summed over both kinds of code; H(c) is constant."""
        return sum(getattr(self, f"{kind}_weight") * loss for kind, loss in nll.items())

    def _step(self, nets, batch, update):
        G, D, Q = nets.generator, nets.discriminator, nets.recognition
        x, z = batch.x, batch.latent()

        x_hat = G(z)
        real, (generated, q) = D(x), D(x_hat, Q)
        l_d = ns_discriminator(real, generated) + self._added(D, batch, (x,), (x_hat,))
        nll = self._nll(q, z)
        l_q, l_i = sum(nll.values()), self._weighted(nll)
        # Paper: Q maximises lambda L_I. Here its own head maximises L_I, so that it is trained
        # where lambda is 0, too.
        update(trunk=l_d + l_i, discriminator=l_d, recognition=l_q)
        batch.log(discriminator_real=real, discriminator_generated=generated)

        generated, q = D(x_hat, Q)
        nll = self._nll(q, z)
        l_i = self._weighted(nll)
        # Paper: its game has log(1 - D(G(z, c))); here G's loss is the non-saturating one.
        l_g = ns_generator(generated) + self._added_to_generator(D, batch, x_hat)
        update(generator=l_g + l_i)
        batch.log(**self._information(nll))

    def _information(self, nll):
        """L_I by kind of code, and its share of the entropy of the categorical codes."""
        entropy = {
            "categorical": math.fsum(map(math.log, self.categories)),
            "continuous": self.n_continuous * math.log(2),
        }
        found = {f"information_{kind}": entropy[kind] - loss for kind, loss in nll.items()}
        if "categorical" in nll:
            share = found["information_categorical"] / entropy["categorical"]
            found["information_share"] = share
        return found

    def _logits(self, nets, x):
        return nets.discriminator(x)

    def _refresh(self, nets, x, z):
        nets.discriminator(x, nets.recognition)
        nets.generator(z)

    def _extractor(self, nets):
        if self.output == "trunk":
            return super()._extractor(nets)
        names = self._prior().names()[self.latent_dim :]
        code = self._codes().decoder(self._q_output())
        taps = {"input_shape": self.input_shape_}
        return EncoderFeatures(nets.recognition, "latent", names, code, taps)

    # ---------------------------------------------------------------- use of the codes

    @completed_by(X_AS_IN_FIT)
    def predict(self, X, code=0):
        """The most probable category of every sample.

        Parameters
        ----------
        code : int
            Which categorical code, counted from 0.

        Returns
        -------
        ndarray of shape (n,), int64
            From 0 to categories[code] - 1. They are no labels: their order is arbitrary.

        Raises
        ------
        ValueError
            For a categorical code that there is not.
        """
        self._nets()  # raises if nothing is fitted
        if not len(self.categories):
            raise ValueError(
                "categories=() leaves no category to predict: fit with a categorical code, such as "
                "categories=(10,)."
            )
        check_number("code", code, low=0, high=len(self.categories) - 1, integer=True)
        scores = self._apply(lambda nets: lambda x: self._parts(nets.recognition(x))[1 + code], X)
        return scores.argmax(1)

    def fit_predict(self, X, y=None):
        """Train the networks on X, and return the first categorical code of every sample.

        Parameters
        ----------
        X : array-like, as in `fit`
        y : ignored

        Returns
        -------
        ndarray of shape (n,), int64
            As `predict(X)` returns it.
        """
        return self.fit(X, y).predict(X)

    def traverse(self, code="category0", values=None, n_rows=1, random_state=None):
        """Generated samples in which one code varies, and all else is fixed within a row.

        Parameters
        ----------
        code : str
            "category0", "category1", ... or "continuous0", "continuous1", ...
        values : array-like of shape (n_values,), default=None
            Values of the code: categories from 0, or numbers. None: all categories, or nine numbers
            from -1 to 1, the range of the prior. Numbers beyond it extrapolate.
        n_rows : int
            Number of draws of the noise and of the other codes.
        random_state : None, int or RandomState
            Seed of these draws.

        Returns
        -------
        ndarray of shape (n_rows, n_values, ...)
            In the layout, value range and (for uint8) type of the X of `fit`.

        Raises
        ------
        ValueError
            For a code or values that there are not.
        """
        self._nets()  # raises if nothing is fitted
        check_number("n_rows", n_rows, low=1, integer=True)
        columns, values = self._varied(code, values)
        z = self._seeded_draw(n_rows, random_state).repeat_interleave(len(values), 0)
        z[:, columns] = values.repeat(n_rows, 1)
        x = self._format.decode(self._decoded(z))
        return x.reshape(n_rows, len(values), *x.shape[1:])

    def _varied(self, code, values):
        """The columns of a code in z, and its values there (n_values, number of columns)."""
        owners = [name.partition("_")[0] for name in self._prior().names()]
        check_choice("code", code, dict.fromkeys(owners[self.latent_dim :]))
        columns = [i for i, owner in enumerate(owners) if owner == code]
        k, categorical = len(columns), code.startswith("category")
        if values is None:
            values = np.arange(k) if categorical else np.linspace(-1, 1, 9)
        values = np.asarray(values)
        if values.ndim != 1 or not len(values):
            raise ValueError(f"values={values!r} must be a list of at least one value.")
        for value in values.tolist():
            if categorical:
                check_number("values", value, low=0, high=k - 1, integer=True)
            else:
                check_number("values", value)
        rows = np.eye(k)[values.tolist()] if categorical else values[:, None]
        return columns, torch.from_numpy(rows.astype(np.float32))
