"""Categorical GANs: a discriminator that clusters (CatGAN; Springenberg 2016, arXiv 1511.06390).

    max_D   H[E_x p(y | x)] - E_x H[p(y | x)] + E_z H[p(y | G(z))]
    min_G   E_z H[p(y | G(z))] - H[E_z p(y | G(z))]

D has K outputs, and p(y | x) is their softmax; H is the entropy. D is to be sure of the category of
every real sample, to use all categories alike, and to be unsure of generated samples. G is to make
samples that D is sure of, of all categories alike. With labels (the semi-supervised game), D learns
the labelled samples by cross-entropy as well.

| paper | here |
|---|---|
| G, D | generator, trunk and discriminator |
| x, z | `batch.x`, `batch.latent()` |
| p(y given x) | softmax of `D(x)` |
| K | `n_clusters`, or the number of classes |
| lambda, the weight of labels | `supervised_weight` |
"""

from typing import Any

from torch import Tensor

from ..base import BaseGAN, WholeNetwork
from ..classification import SemiSupervisedMixin
from ..clustering import ClusteringMixin
from ..critics import CriticParameters
from ..losses import catgan_discriminator, catgan_generator
from ..nn import Head, build_heads, build_network
from ..parameters import GeneratorParameters, PriorParameters, TrunkFeatures, TrunkParameters
from ..utils.docs import A_SCORE_EACH, completed_by
from ..utils.parameters import parameters


def certainty(scores: Tensor) -> Tensor:
    """-H[p(y | x)] of every sample (n,), from the scores of its categories (n, K)."""
    log_p = scores.float().log_softmax(1)
    return (log_p.exp() * log_p).sum(1)


@parameters
class CategoricalGame(
    PriorParameters, GeneratorParameters, CriticParameters, TrunkParameters, TrunkFeatures, BaseGAN
):
    """The game of both classes below. Abstract.

    Parameters
    ----------
    discriminator : str, spec, callable or Module
        The same choices as for `generator`; a callable is called as `f(input_shape=, norm=)`. A
        module maps samples to features, on which the scores of the categories are linear.

    Attributes
    ----------
    discriminator_ : Module
        The discriminator, in eval mode: samples -> scores of the categories (n, K).
    """

    norm: str = "weight"
    lr: float = 1e-3
    weight_decay: float = 0.0
    layers: Any = -1
    pool_grid: int | None = None

    _networks = ("generator", "trunk", "discriminator")
    discriminator_ = WholeNetwork("The discriminator: samples -> scores (n, K).")

    def _n_categories(self):
        """K."""
        raise NotImplementedError

    def _supervised_loss(self, net, batch):
        """What labels add to D's loss."""
        return 0.0

    def _build(self, shape, rng):
        generator = build_network(
            "generator", self.generator, rng, latent_dim=self.latent_dim, output_shape=shape
        )
        heads = {"discriminator": Head("scores", self._n_categories())}
        nets = build_heads(self.discriminator, rng, heads, input_shape=shape, norm=self.norm)
        return {"generator": generator} | nets

    def _step(self, nets, batch, update):
        G, D, x = nets.generator, nets.discriminator, batch.x

        x_hat = G(batch.latent())
        real, generated = D(x), D(x_hat)
        l_d = catgan_discriminator(real, generated) + self._supervised_loss(D, batch)
        both = l_d + self._added(D, batch, (x,), (x_hat,))
        update(trunk=both, discriminator=both)
        batch.log(discriminator_real=certainty(real), discriminator_generated=certainty(generated))

        l_g = catgan_generator(D(x_hat))
        update(generator=l_g + self._added_to_generator(D, batch, x_hat))

    def _judged(self, D):
        return lambda x: certainty(D(x))

    def _logits(self, nets, x):
        # D has no logit; in this game it is sure of real samples, and G makes such.
        return certainty(nets.discriminator(x))

    @completed_by(A_SCORE_EACH)
    def score_samples(self, X):
        """-H[p(y | x)] in nats, from -log K to 0: low where D is unsure of the category."""
        return self._apply(lambda nets: lambda x: self._logits(nets, x), X)

    def _refresh(self, nets, x, z):
        nets.discriminator(x)
        nets.generator(z)


@parameters
class CatGANFeatures(ClusteringMixin, CategoricalGame):
    """Features and clusters from the discriminator of a categorical GAN, trained without labels.

    `fit` plays the game of Springenberg 2016, and ignores y. `transform` returns the last hidden
    layer, or the layers that `layers` and the parameters after it choose; `predict` and
    `fit_predict` return clusters.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import CatGANFeatures
    >>> X, _ = load_digits(return_X_y=True)
    >>> catgan = CatGANFeatures(n_clusters=10, image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> catgan.fit_predict(X).shape
    (1797,)
    >>> catgan.transform(X).shape
    (1797, 256)
    """

    def _n_categories(self):
        return self.n_clusters

    def _scores(self, nets, x):
        return nets.discriminator(x)


@parameters
class CatGANClassifier(SemiSupervisedMixin, CategoricalGame):
    """A classifier for few labels from the discriminator of a categorical GAN.

    `fit` takes labels of some samples, and -1 for the others, and plays the semi-supervised game of
    Springenberg 2016, with one category for every class. It has `predict`,
    `predict_proba` and `score`; `transform` returns the last hidden layer, or the layers that
    `layers` and the parameters after it choose.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skgan import CatGANClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> few = np.where(np.arange(len(y)) < 100, y, -1)
    >>> classifier = CatGANClassifier(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> classifier.fit(X, few).predict_proba(X).shape
    (1797, 10)
    """

    _one_per_output = dict.fromkeys(("classes_", "class_weight_"), "discriminator")

    def _n_categories(self):
        return len(self.classes_)

    def _scores(self, nets, x):
        return nets.discriminator(x)
