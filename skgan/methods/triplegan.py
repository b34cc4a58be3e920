"""Triple-GAN: a classifier, a generator and a discriminator (Li et al. 2017, arXiv 1703.02291).

    min_(C,G) max_D  E_p log D(x, y) + alpha E_(p_c) log(1 - D(x, y))
                     + (1 - alpha) E_(p_g) log(1 - D(x, y)) + R_L + alpha_P R_P
    R_L = E_p[-log p_c(y | x)]      R_P = E_(p_g)[-log p_c(y | x)]

D judges pairs of a sample and a class: p are labelled pairs, p_c samples with the class that C
gives them, and p_g samples that G makes of a class. C and G both want D to take their pairs for
labelled ones. R_L is C's cross-entropy on labelled samples, and R_P that on G's, with the class
they were made for. At the equilibrium p = p_g = p_c.

| paper | here |
|---|---|
| C, G, D | classifier, generator, discriminator |
| (x, y) of p | `batch.labelled()` |
| x of p_c, its y | `batch.x`, the most probable class |
| (x, y) of p_g | `x_g`, `y_g`, the last columns of z as one-hot |
| alpha, alpha_P | `alpha`, `generated_weight` |

"The released code" is its script for MNIST.
"""

from typing import Any

from torch.nn.functional import one_hot

from ..base import BaseGAN
from ..classification import ClassifierParameters, SemiSupervisedMixin
from ..conditional import ConditionalPriorParameters
from ..critics import CriticParameters
from ..losses import (
    conditional_entropy,
    confident_ns,
    cross_entropy,
    mean_cross_entropy,
    ns_generator,
    saturating_generator,
)
from ..nn import DCGANSpec, build_network
from ..nn.norms import NORMS
from ..parameters import GeneratorParameters, TrunkFeatures
from ..utils.checks import check_choice, check_number
from ..utils.docs import A_SCORE_EACH, completed_by
from ..utils.parameters import parameter, parameters

# Of the released code for MNIST with 100 labels.
# Paper: C has dropout, max pooling and global pooling there, which the families do not have;
# strides and noise take their place. Pre-training has a smaller learning rate and a larger
# `mean_weight`. Rates fall by 0.5 % an epoch from epoch 300 on, and C's last layer alone has weight
# decay. Batches are of 100 for C, 200 for G and 400 for D's guesses.
MNIST = {
    "generator": "salimans784", "discriminator": "salimans784",
    "classifier": DCGANSpec(
        channels=(32, 64, 64, 128, 128), strides=(2, 1, 2, 1, 1), kernel_size=3,
        activation="relu", noise=(0.0, 0.5),
    ),
    "classifier_norm": "batch", "batch_size": 100, "pretrain_epochs": 30, "generated_start": 329,
    "n_epochs": 1030, "pseudo_share": 400 / 401, "lr_decay": "exponential",
    # Paper: the released code averages C's weights alone; here all networks have averaged weights.
    "ema_decay": 0.99,
}  # fmt: skip


@parameters
class TripleGANClassifier(
    SemiSupervisedMixin, ClassifierParameters, ConditionalPriorParameters, GeneratorParameters,
    CriticParameters, TrunkFeatures, BaseGAN,
):  # fmt: skip
    """A classifier for few labels that plays a game with a generator of classes.

    `fit` takes labels of some samples, and -1 for the others (Li et al. 2017): a discriminator
    tells labelled pairs of sample and class from those whose class the classifier gave, and from
    those whose sample the generator made. Where all samples have labels, all serve as unlabelled
    ones, too. `predict`, `predict_proba` and `score` are by the classifier, and
    `sample(n, y=...)` makes samples of a class; `transform` returns the classifier's last hidden
    layer, or the layers that `layers` and the parameters after it choose.

    Parameters
    ----------
    discriminator : str, spec, callable or Module
        The same choices as for `generator`; a callable is called as
        `f(input_shape=, norm=, latent_dim=)`. It maps samples and classes, one-hot of size
        `latent_dim`, to logits of shape (n,) or (n, 1). Networks by name or spec add a linear map
        of the class to each of their layers after the first.
    classifier_norm : {"batch", "none", "spectral", "weight"}
        Normalisation of the classifier, as `norm` is that of the discriminator.
    alpha : float
        Share, in [0, 1], of the classifier's pairs among those that D is to take for false; the
        generator's are the others. The classifier's and the generator's losses by D have the same
        weights.
    adversarial_weight : float
        Weight of the classifier's loss by D, besides `alpha`.
    generated_weight : float
        Weight alpha_P of R_P, the classifier's cross-entropy on generated samples.
    generated_start : int
        Number of epochs before R_P is added, since at first the generator knows no classes. The
        default is three of the ten epochs that n_epochs="auto" has at least; the paper's code has
        the same share.
    entropy_weight : float
        Weight of the entropy of the classifier's probabilities for each sample.
    mean_weight : float
        Weight of the cross-entropy of the classifier's mean probabilities in a minibatch with equal
        ones, which is least where all classes are predicted alike.
    pseudo_share : float
        Share, in [0, 1], of samples with the class that the classifier gives them among the pairs
        that D is to take for true. With 0 these are labelled pairs alone, of which a few are soon
        learnt by heart.
    pretrain_epochs : int
        Number of first epochs in which the classifier alone is trained, without D and G.
    classifier_lr : float or None
        Learning rate of the classifier's own layers. None: `lr`.

    Attributes
    ----------
    generator_ : Module
        The trained generator, in eval mode: (n, latent_dim + n_classes), of which the last columns
        are one-hot, to samples.
    discriminator_ : Module
        In eval mode: samples and one-hot classes (n, n_classes), to logits (n,).
    history_ : list of dict
        As for other games, where "discriminator_real" is of labelled pairs; and
        "discriminator_guessed", D's mean output for samples with the class that C gives them.
        Epochs without the game have "classifier_loss" alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skgan import TripleGANClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> few = np.where(np.arange(len(y)) < 100, y, -1)
    >>> classifier = TripleGANClassifier(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> classifier.fit(X, few).predict_proba(X).shape
    (1797, 10)
    >>> classifier.sample(3, y=[7, 0, 7]).shape
    (3, 64)
    """

    classifier_norm: str = "weight"
    alpha: float = 0.5
    adversarial_weight: float = 1.0
    generated_weight: float = 0.1
    generated_start: int = 3
    entropy_weight: float = 0.3
    mean_weight: float = 1e-3
    pseudo_share: float = 0.5
    pretrain_epochs: int = 0
    classifier_lr: float | None = None
    norm: str = "weight"
    latent_dim: int = parameter(default=100, shapes=True)
    lr: float = 1e-3
    weight_decay: float = 0.0
    layers: Any = -1
    pool_grid: int | None = None

    _networks = ("generator", "discriminator", "classifier")
    _features_of = "classifier"
    _presets = {"mnist": MNIST}

    def _check(self):
        check_choice("classifier_norm", self.classifier_norm, NORMS)
        for name in ("alpha", "pseudo_share"):
            check_number(name, getattr(self, name), low=0, high=1)
        for name in ("adversarial_weight", "generated_weight", "entropy_weight", "mean_weight"):
            check_number(name, getattr(self, name), low=0)
        for name in ("generated_start", "pretrain_epochs"):
            check_number(name, getattr(self, name), low=0, integer=True)
        super()._check()

    def _build(self, shape, rng):
        k = len(self.classes_)
        # Paper: y is concatenated to the input of each layer of G and D. Here it is part of G's
        # input, and D's layers after the first add a map of it.
        return {
            "generator": build_network(
                "generator", self.generator, rng, latent_dim=self._prior().dim, output_shape=shape
            ),
            "discriminator": build_network(
                "discriminator", self.discriminator, rng,
                input_shape=shape, norm=self.norm, latent_dim=k,
            ),
            "classifier": build_network(
                "classifier", self.classifier, rng,
                input_shape=shape, n_outputs=k, norm=self.classifier_norm,
            ),
        }  # fmt: skip

    def _step(self, nets, batch, update):
        G, D, C, x = nets.generator, nets.discriminator, nets.classifier, batch.x

        if batch.epoch <= self.pretrain_epochs or not self._plays():
            update(classifier=self._own_loss(C, batch, C(x)))
            return
        alpha, share = self.alpha, self.pseudo_share
        (x_l, k), z = batch.labelled(), batch.latent()
        y_l, y_g, x_g = self._one_hot(k), z[:, self.latent_dim :], G(z)
        # Paper: p_c draws y from p_c(y | x); here, as in the released code, it is C's best guess.
        # That code takes other samples for the true pairs with a guess than for the false ones.
        y_c = self._best(C(x))
        labelled, guessed, generated = D(x_l, y_l), D(x, y_c), D(x_g, y_g)
        true = (1 - share) * ns_generator(labelled) + share * ns_generator(guessed)
        false = alpha * saturating_generator(guessed)  # E log(1 - D)
        false = false + (1 - alpha) * saturating_generator(generated)
        update(discriminator=true - false + self._added(D, batch, (x_l, y_l), (x_g, y_g)))
        batch.log(discriminator_real=labelled, discriminator_generated=generated)
        batch.log(discriminator_guessed=guessed)

        # Paper: C and G minimise log(1 - D); here -log D, as in the released code, whose gradient
        # does not vanish where D wins.
        l_g = (1 - alpha) * ns_generator(D(x_g, y_g))
        update(generator=l_g + self._added_to_generator(D, batch, x_g))

        scores = C(x)
        # Paper: an expectation over p_c, whose gradient by its probabilities could be had by
        # sampling. The released code keeps the most probable class, weighed by its probability.
        l_c = alpha * self.adversarial_weight * confident_ns(scores, D(x, self._best(scores)))
        if self.generated_weight and batch.epoch > self.generated_start:
            l_c = l_c + self.generated_weight * cross_entropy(C(x_g), y_g.argmax(1))
        update(classifier=self._own_loss(C, batch, scores) + l_c)

    def _plays(self):
        """Whether anything of D and G reaches C; else they stay untrained."""
        return self.alpha * self.adversarial_weight > 0 or self.generated_weight > 0

    def _own_loss(self, C, batch, scores):
        """R_L, and what the released code adds for samples without a label."""
        loss = self._supervised_loss(C, batch)
        loss = loss + self.entropy_weight * conditional_entropy(scores)
        return loss + self.mean_weight * mean_cross_entropy(scores)

    def _one_hot(self, k):
        return one_hot(k, len(self.classes_)).float()

    def _best(self, scores):
        """The most probable class, one-hot: a number to D, through which no gradient passes."""
        return self._one_hot(scores.argmax(1))

    def _no_heads(self):
        return "does not go with a discriminator of pairs (x, y): use another class"

    def _scores(self, nets, x):
        return nets.classifier(x)

    def _logits(self, nets, x):
        return nets.discriminator(x, self._best(nets.classifier(x)))

    @completed_by(A_SCORE_EACH)
    def score_samples(self, X):
        """D's logit of each sample with the class that C gives it: low where they do not match."""
        return self._apply(lambda nets: lambda x: self._logits(nets, x).flatten(), X)

    def _refresh(self, nets, x, z):
        self._logits(nets, x)
        nets.generator(z)
