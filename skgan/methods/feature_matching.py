"""Feature matching with K + 1 classes (Improved GAN; Salimans et al. 2016, arXiv 1606.03498).

    L_D = -E_{x,y} log p(y | x) - 1/2 E_x log D(x) - 1/2 E_z log(1 - D(G(z)))        (sec. 5)
    L_G = || E_x f(x) - E_z f(G(z)) ||^2                                            (sec. 3.1)

D is a classifier: l(x) are its scores of K classes, p(y | x) is their softmax, and generated
samples are class K + 1, whose score is fixed at 0. So D(x) = Z(x) / (Z(x) + 1) with Z(x) = sum_k
exp(l_k(x)): log Z(x) is the logit that x is real. Labelled samples teach D the classes; all
samples, that they are of one of them. f is the last hidden layer of D, and G matches its mean.

| paper | here |
|---|---|
| G, D | generator, trunk and discriminator |
| x, y of the first term | `batch.labelled()` |
| x of the others, z | `batch.x`, `batch.latent()` |
| l, f | `D(x)`, `D.features(x)` |

Settings marked as the released code's are those of its script for MNIST.
"""

from typing import Any

from ..base import BaseGAN, WholeNetwork
from ..classification import SemiSupervisedMixin
from ..critics import CriticParameters
from ..losses import feature_matching_mean, k_plus_one
from ..nn import Head, build_heads, build_network
from ..parameters import GeneratorParameters, PriorParameters, TrunkFeatures, TrunkParameters
from ..utils.checks import check_number
from ..utils.docs import A_SCORE_EACH, completed_by
from ..utils.parameters import parameter, parameters

# Of the released code for MNIST, which has 10 labels a class.
# Paper: its Adam divides by sqrt(v + 1e-8), PyTorch's by sqrt(v) + 1e-8; G's hidden weights begin
# by Glorot's rule there, and as N(0, 0.02) here.
MNIST = {
    "generator": "salimans784", "discriminator": "salimans784", "n_epochs": 300, "batch_size": 100,
    "ema_decay": 0.9999,
}  # fmt: skip


@parameters
class FeatureMatchingClassifier(
    SemiSupervisedMixin, PriorParameters, GeneratorParameters, CriticParameters, TrunkParameters,
    TrunkFeatures, BaseGAN,
):  # fmt: skip
    """A classifier for few labels, whose unlabelled and generated samples play a GAN's game.

    `fit` takes labels of some samples, and -1 for the others (Salimans et al. 2016, sec. 5): the
    discriminator is a classifier that learns the classes from the labelled samples, and to tell all
    samples from generated ones. Where all have labels, all serve as unlabelled ones, too. It has
    `predict`, `predict_proba` and `score`; `transform` returns the last hidden layer, or the layers
    that `layers` and the parameters after it choose.

    Parameters
    ----------
    discriminator : str, spec, callable or Module
        The same choices as for `generator`; a callable is called as `f(input_shape=, norm=)`. A
        module maps samples to features, on which the scores of the classes are linear. Noise in its
        layers, as in the paper, is a setting of specs, such as `MLPSpec(noise=(0.3, 0.5))`.
    unlabelled_weight : float
        Weight of the two terms of D's loss that need no labels. 0 switches the GAN off: D is a
        classifier that learns from labelled samples alone, and the generator stays untrained.

    Attributes
    ----------
    discriminator_ : Module
        The classifier, in eval mode: samples -> scores of the classes (n, n_classes).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skgan import FeatureMatchingClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> few = np.where(np.arange(len(y)) < 100, y, -1)
    >>> classifier = FeatureMatchingClassifier(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> classifier.fit(X, few).predict_proba(X).shape
    (1797, 10)
    """

    unlabelled_weight: float = 1.0
    norm: str = "weight"
    latent_dim: int = parameter(default=100, shapes=True)
    lr: float = 3e-3
    weight_decay: float = 0.0
    layers: Any = -1
    pool_grid: int | None = None

    _networks = ("generator", "trunk", "discriminator")
    _one_per_output = dict.fromkeys(("classes_", "class_weight_"), "discriminator")
    _presets = {"mnist": MNIST}
    discriminator_ = WholeNetwork("The classifier: samples -> scores (n, n_classes).")

    def _check(self):
        check_number("unlabelled_weight", self.unlabelled_weight, low=0)
        super()._check()

    def _build(self, shape, rng):
        # Paper: z is U(0, 1) in the released code, here U(-1, 1); batch norm makes them the same.
        generator = build_network(
            "generator", self.generator, rng, latent_dim=self.latent_dim, output_shape=shape
        )
        heads = {"discriminator": Head("scores", len(self.classes_))}
        nets = build_heads(self.discriminator, rng, heads, input_shape=shape, norm=self.norm)
        return {"generator": generator} | nets

    def _step(self, nets, batch, update):
        G, D, x = nets.generator, nets.discriminator, batch.x

        l_d = self._supervised_loss(D, batch)
        if self.unlabelled_weight == 0:
            update(trunk=l_d, discriminator=l_d)
            return
        x_hat = G(batch.latent())
        real, generated = D(x), D(x_hat)
        l_d = l_d + self.unlabelled_weight * k_plus_one(real, generated)
        both = l_d + self._added(D, batch, (x,), (x_hat,))
        update(trunk=both, discriminator=both)
        logits = real.logsumexp(1), generated.logsumexp(1)
        batch.log(discriminator_real=logits[0], discriminator_generated=logits[1])

        # Paper: G sees the samples of D's step; the released code takes others of both kinds, and
        # leaves out the noise after f, whose mean is 0.
        l_g = feature_matching_mean(D.features(x), D.features(x_hat))
        update(generator=l_g + self._added_to_generator(D, batch, x_hat))

    def _judged(self, D):
        return lambda x: D(x).logsumexp(1)

    def _logits(self, nets, x):
        return self._scores(nets, x).float().logsumexp(1)

    def _scores(self, nets, x):
        return nets.discriminator(x)

    @completed_by(A_SCORE_EACH)
    def score_samples(self, X):
        """The logit that a sample is real, log Z(x): low where D takes it for a generated one."""
        return self._apply(lambda nets: lambda x: self._logits(nets, x), X)

    def _refresh(self, nets, x, z):
        nets.discriminator(x)
        nets.generator(z)
