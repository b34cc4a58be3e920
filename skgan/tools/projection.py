"""Codes of given images, found by a generator's gradient, a learnt encoder, or both (iGAN).

    z* = argmin_z  |x - G(z)|^2 / s_x  +  w |f(x) - f(G(z))|^2 / s_f,     z within the prior's range
    E  = argmin_E  the mean of the same over samples x, at z = E(x)       (with G as it is)

Zhu, Krahenbuhl, Shechtman and Efros 2016, "Generative visual manipulation on the natural image
manifold" (arXiv 1609.03552), sec. 3.2: by optimisation, by a network, and by a network whose answer
is where the optimisation begins. f are features of an estimator, in place of AlexNet's.

| paper | here |
|---|---|
| projection via optimization, via a feedforward network, hybrid | `method` |
| P, the network | `encoder_` |
| C(x), the features | `FittedNetworks.features`, what the GAN's `transform` returns |
"""

import hashlib
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.validation import (
    _check_feature_names,
    _check_feature_names_in,
    check_is_fitted,
)
from torch import Tensor

from ..methods import DCGANDiscriminatorFeatures
from ..nn.build import check_kind_of_choice
from ..utils.checks import (
    check_choice,
    check_number,
    check_size,
    check_transformer,
    check_verbose,
    random_state_of,
)
from ..utils.descent import minimised
from ..utils.devices import on_cpu_by_default
from ..utils.docs import A_SCORE_EACH, X_AS_IN_FIT, completed_by
from ..utils.fitted import FittedNetworks
from ..utils.parameters import parameter, parameters
from ..utils.products import SameForAllRows
from .editing import Editing
from .generation import generate
from .inversion import Codes, Difference, reporting, trained_encoder

METHODS = ("hybrid", "optimization", "encoder")
SHARE_WITHIN = 4  # a quarter of the last start's steps stays within the prior's range


@parameters
class GANProjector(Editing, TransformerMixin, BaseEstimator):
    """The code z of every sample, from which a GAN's generator makes what is closest to it.

    `transform` projects samples to the codes of a generator, `inverse_transform` makes samples of
    codes, `reconstruct` does both, and `edit` changes an image by way of its code (Zhu et al.
    2016). GANs without an encoder become invertible so; the features of a sample are then what the
    generator needs to draw it.

    A row of `transform` depends on its sample and on the fitted projector alone, not on the other
    rows: what is drawn is seeded by the sample's bytes, and samples are computed in batches of
    one size, which are filled up.

    Parameters
    ----------
    gan : FrozenEstimator, estimator or None
        The GAN whose generator is used. `FrozenEstimator(gan)` is used as it is fitted; of any
        other estimator a clone is fitted on X. None means
        `DCGANDiscriminatorFeatures(random_state=0)`.
    method : {"hybrid", "optimization", "encoder"}
        "optimization" begins at a draw from the prior and follows the gradient; "encoder" is one
        pass through a network that `fit` trains, fast and coarse; "hybrid" begins where the network
        says.
    n_steps : int
        Steps of each optimisation: evaluations of the loss and its gradient.
    n_starts : int
        How many optimisations there are, of which the code with the smallest loss is kept. Each
        but the first goes on where the one before ended, and draws the numbers anew that left the
        prior's range (stochastic clipping, Lipton and Tripathi 2017). Where the prior has
        categories, each begins at a draw instead, with the next category.
    feature_weight : float
        Weight of the features that `gan.transform` returns in the loss, beside pixels (or columns).
        Both errors are relative to those of the mean sample.
    tol : float
        The optimisation of a sample stops where its loss falls by less than this share of it in
        25 steps.
    encoder : str, spec, callable or Module
        The network E, as for `BiGANEncoder`.
    encoder_steps : "auto" or int
        Minibatches of 64 that E is trained on. "auto" is 20 passes over X, or 1,000 minibatches if
        that is less. Not used with method="optimization".
    encoder_lr : float
        Learning rate of E, for Adam with beta1 0.5.
    batch_size : int
        Samples that are projected at a time, and the size of every batch of this computation.
    random_state : None, int or RandomState
        Seed of E's training and of the draws. It is drawn in `fit`, so that `transform` returns
        the same for the same samples.
    verbose : int
        With 1, progress bars over E's training and over the steps of each batch.

    Attributes
    ----------
    gan_ : estimator
        The fitted GAN.
    encoder_ : Module or None
        E, in eval mode: samples as networks see them to outputs that `transform` turns into codes.
    pixel_scale_, feature_scale_ : float
        Mean squared error of the mean of the samples in `fit` as an estimate of each; the same for
        features, or 1 without.
    n_features_in_ : int
        `X.shape[1]` in `fit`.
    feature_names_in_ : ndarray of str
        Names of the columns of X in `fit`, where it has names.

    References
    ----------
    Zhu, Krahenbuhl, Shechtman and Efros 2016, "Generative visual manipulation on the natural image
    manifold", ECCV.

    Lipton and Tripathi 2017, "Precise recovery of latent vectors from generative adversarial
    networks", arXiv 1702.04782.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.tools import GANProjector
    >>> X, _ = load_digits(return_X_y=True)
    >>> gan = DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=1, random_state=0).fit(X)
    >>> projector = GANProjector(FrozenEstimator(gan), encoder_steps=20, n_steps=5, random_state=0)
    >>> Z = projector.fit(X).transform(X[:10])
    >>> Z.shape, projector.inverse_transform(Z).shape
    ((10, 100), (10, 64))
    """

    gan: Any = parameter(default=None, kw_only=False)
    method: str = "hybrid"
    n_steps: int = 200
    n_starts: int = 1
    feature_weight: float = 0.1
    tol: float = 1e-3
    encoder: Any = "auto"
    encoder_steps: int | str = "auto"
    encoder_lr: float = 2e-4
    batch_size: int = 16
    random_state: Any = None
    verbose: int = 0

    @on_cpu_by_default
    def fit(self, X, y=None):
        """Fit the GAN unless it is frozen, and train the encoder of its codes.

        Parameters
        ----------
        X : array-like, as in the `fit` of `gan`
        y : array-like of shape (n,), default=None
            Passed to the `fit` of `gan`; unused if it is frozen.

        Returns
        -------
        self : GANProjector

        Raises
        ------
        ValueError
            Before any training, for parameters that cannot work, and for a GAN without a generator
            or a prior.
        FloatingPointError
            If the encoder's loss stops being finite.
        """
        self._check()
        gan = self._fitted_gan(X, y)
        networks = FittedNetworks(gan)
        codes = Codes(networks.prior)
        seed = int(random_state_of(self.random_state).randint(2**31 - 1))
        _check_feature_names(self, X, reset=True)
        X = networks.checked(X)
        difference = Difference.learnt(networks, X, self.feature_weight)
        encoder = None
        if self.method != "optimization":
            encoder = trained_encoder(
                networks, codes, difference, X, self.encoder, n_steps=self.encoder_steps,
                lr=self.encoder_lr, seed=seed, verbose=self.verbose,
            )  # fmt: skip
        self.gan_, self.encoder_, self._seed = gan, encoder, seed
        self.pixel_scale_, self.feature_scale_ = difference.pixel_scale, difference.feature_scale
        self.n_features_in_ = X.shape[1]
        return self

    @on_cpu_by_default
    @completed_by(X_AS_IN_FIT)
    def transform(self, X):
        """The code of every sample.

        Returns
        -------
        ndarray of shape (n, d), float32
            Within the prior's range: numbers in [-1, 1], or normal ones in [-3, 3], and one-hot
            categories. A DataFrame after `set_output`.
        """
        z, _ = self._project(X)
        return z.numpy(force=True)

    def inverse_transform(self, X):
        """G(z): the samples that the generator makes of codes.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Codes, as `transform` returns them.

        Returns
        -------
        ndarray of shape (n, ...)
            In the layout, value range and (for uint8) type of the X of `fit`.
        """
        check_is_fitted(self, "gan_")
        return generate(self.gan_, X)

    @completed_by(X_AS_IN_FIT)
    def reconstruct(self, X):
        """G(z) for the code z of every sample.

        Returns
        -------
        ndarray of shape (n, ...)
            In the layout, value range and (for uint8) type of the X of `fit`.
        """
        z, _ = self._project(X)
        return generate(self.gan_, z)

    @completed_by(A_SCORE_EACH)
    def score_samples(self, X):
        """Minus the loss of every sample at its code: low for samples that G cannot make.

        A loss of 1 is that of the mean sample where feature_weight=0.
        """
        _, loss = self._project(X)
        return -loss.numpy(force=True)

    def get_feature_names_out(self, input_features=None):
        """Names of the numbers and categories of codes.

        Parameters
        ----------
        input_features : array-like of str or None
            Compared with the names seen in `fit`, and not used otherwise.

        Returns
        -------
        ndarray of str objects, shape (d,)
        """
        networks = self._networks()
        if len(networks.row_shape) == 1:  # otherwise the columns of X have no names
            _check_feature_names_in(self, input_features)
        return np.asarray(networks.prior.names(), dtype=object)

    # ---------------------------------------------------------------- fit

    def _check(self) -> None:
        check_choice("method", self.method, METHODS)
        check_kind_of_choice("encoder", self.encoder, "encoder")
        random_state_of(self.random_state)
        check_number("n_steps", self.n_steps, low=1, integer=True)
        for name in ("n_starts", "batch_size"):
            check_size(name, getattr(self, name), high=2**16)
        check_number("encoder_steps", self.encoder_steps, low=1, integer=True, auto=True)
        for name in ("feature_weight", "tol"):
            check_number(name, getattr(self, name), low=0)
        check_number("encoder_lr", self.encoder_lr, low=0, open_low=True)
        check_verbose(self.verbose)

    def _fitted_gan(self, X, y) -> Any:
        gan = self._unfitted()
        if isinstance(gan, FrozenEstimator):
            gan = gan.estimator
            check_is_fitted(gan)
        else:
            check_transformer("gan", gan, instead=", or None")
            gan = clone(gan)
        if not hasattr(gan, "_prior") or "generator" not in type(gan)._networks:
            raise ValueError(f"gan={self.gan!r} has no generator: {USE}")
        if gan._prior() is None:
            raise ValueError(f"gan={self.gan!r} has no prior that codes are drawn from: {USE}")
        return gan if isinstance(self.gan, FrozenEstimator) else gan.fit(X, y)

    def _unfitted(self) -> Any:
        return DCGANDiscriminatorFeatures(random_state=0) if self.gan is None else self.gan

    # ---------------------------------------------------------------- codes

    def _networks(self) -> FittedNetworks:
        check_is_fitted(self, "gan_")
        return FittedNetworks(self.gan_)

    def _difference(self, networks: FittedNetworks) -> Difference:
        return Difference(networks, self.feature_weight, self.pixel_scale_, self.feature_scale_)

    def _project(self, X) -> tuple[Tensor, Tensor]:
        """The codes (n, d) of the samples of X, and their losses (n,)."""
        networks = self._networks()
        self._check()
        if self.method != "optimization" and self.encoder_ is None:
            raise ValueError(
                f"method={self.method!r} needs an encoder, but fit had method='optimization' and "
                "trained none: fit again with this method."
            )
        _check_feature_names(self, X, reset=False)
        X = networks.checked(X)
        size = self.batch_size
        firsts = range(0, len(X), size)
        found = []
        with reporting(self.verbose, len(firsts) * self._n_steps(), "GANProjector") as progress:
            for first in firsts:
                x = networks.encoded(X[first : first + size])
                n = len(x)
                x = torch.cat([x, x[:1].expand(size - n, *x.shape[1:])])
                with SameForAllRows():
                    z, loss = self._projected(networks, x, progress)
                found.append((z[:n], loss[:n]))
        z, loss = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
        return z, loss

    def _n_steps(self) -> int:
        return 1 if self.method == "encoder" else self.n_starts * self.n_steps

    def _projected(self, networks: FittedNetworks, x: Tensor, progress) -> tuple[Tensor, Tensor]:
        """The codes of samples as networks see them, and their losses."""
        codes = Codes(networks.prior)
        to_x = self._difference(networks).to(x)
        if self.encoder_ is not None and self.method != "optimization":
            with torch.no_grad():
                first = codes.hard(self.encoder_.eval()(x))
        if self.method == "encoder":
            progress(1)
            with torch.no_grad():
                return first, to_x(first)
        draws = self._draws(networks, x)
        best = draws[:, 0] if self.method == "optimization" else first
        numbers, categories = codes.parts(best)
        z, least = best, torch.full((len(x),), torch.inf, device=x.device)
        for k in range(self.n_starts):
            if k:
                new, _ = codes.parts(draws[:, k])
                beyond = numbers.abs() > codes.bound
                numbers = new if codes.has_categories else torch.where(beyond, new, numbers)
                categories = codes.next(categories)

            def loss(w, c=categories):
                return to_x(torch.cat([w, c], 1))

            # Free to leave the prior's range, the descent passes by the local minima at its edge.
            last = k == self.n_starts - 1 or codes.has_categories
            within = self.n_steps // SHARE_WITHIN if last else 0
            numbers, _ = minimised(
                loss, numbers, self.n_steps - within, None, self.tol, after_step=progress
            )
            inside = codes.clipped(numbers)
            if within:
                inside, _ = minimised(
                    loss, inside, within, codes.bound, self.tol, after_step=progress
                )
            with torch.no_grad():
                f = loss(inside)
            better = f < least
            least = torch.where(better, f, least)
            z = torch.where(better[:, None], torch.cat([inside, categories], 1), z)
        return z, least

    def _draws(self, networks: FittedNetworks, x: Tensor) -> Tensor:
        """Draws from the prior for each sample, seeded by its bytes: (n, n_starts, d)."""
        draws = []
        for sample in x.cpu():
            digest = hashlib.sha256(sample.numpy().tobytes() + str(self._seed).encode()).digest()
            rng = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
            draws.append(networks.prior.draw(self.n_starts, rng))
        return torch.stack(draws).to(x.device)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        gan = self._unfitted()
        if hasattr(gan, "__sklearn_tags__"):
            inner = get_tags(gan)
            tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
            tags.non_deterministic = inner.non_deterministic
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


USE = (
    "use a GAN that draws codes and makes samples of them, such as DCGANDiscriminatorFeatures() or "
    "BiGANEncoder(), or FrozenEstimator of a fitted one."
)
