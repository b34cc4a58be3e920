"""A GAN with an auxiliary classifier (AC-GAN; Odena et al. 2017, arXiv 1610.09585).

    L_S = E log P(S = real | x) + E log P(S = generated | G(c, z))
    L_C = E log P(C = y | x) + E log P(C = c | G(c, z))

    D maximises L_S + L_C, G maximises L_C - L_S (sec. 3)

G makes samples of a class c, which it is given beside z. D has two heads on one trunk: S tells real
from generated samples, and C names the class, of both kinds of samples. So D's features are learnt
from labels, by a classifier's loss and a GAN's at the same time.

| paper | here |
|---|---|
| G | generator |
| D's layers below both heads | trunk |
| P(S given X), P(C given X) | discriminator, classifier |
| z, c | `z`, whose last columns are c as one-hot |
| x, y | `batch.x`, `batch.y` |
"""

from ..base import BaseGAN, WholeNetwork
from ..classification import ClassWeights
from ..conditional import ConditionalPriorParameters
from ..critics import CriticParameters
from ..density import DensityRatioMixin
from ..losses import cross_entropy, labelled_cross_entropy, ns_discriminator, ns_generator
from ..nn import Head, build_heads, build_network
from ..parameters import GeneratorParameters, TrunkFeatures, TrunkParameters
from ..utils.checks import check_number
from ..utils.parameters import parameter, parameters


@parameters
class ACGANFeatures(
    ClassWeights, ConditionalPriorParameters, GeneratorParameters, CriticParameters,
    TrunkParameters, TrunkFeatures, DensityRatioMixin, BaseGAN,
):  # fmt: skip
    """Features from the discriminator of a GAN that classifies as well, trained on labels.

    `fit` trains a generator of samples of a given class, and a discriminator with a second head
    that names the class of real and of generated samples (Odena et al. 2017, sec. 3). `transform`
    returns the discriminator's layers. It is a classifier as well, with `predict`, `predict_proba`
    and `score`, and `sample(n, y=...)` makes samples of a class. Where at least two other classes
    are present, samples with the label -1 are unlabelled: the discriminator learns from them that
    they are real, and the classifier nothing. `class_weight` is for real samples, and its logarithm
    is added to their scores; generated ones are of all classes alike.

    Features are learnt from y: a classifier on them that is fitted to the same labels is no measure
    of what can be learnt without labels.

    Parameters
    ----------
    discriminator : str, spec, callable or Module
        The network of the discriminator and the classifier but for their heads: the same names and
        specs as for `generator`. A module, or what a callable `f(input_shape=, norm=)` returns,
        maps samples to features, on which both heads are linear.
    real_class_weight, generated_class_weight : float
        Weights of the classification loss of real and of generated samples in the discriminator's
        step, which moves the trunk and the classifier.
    generator_class_weight : float
        Weight of the classification loss of generated samples in the generator's loss.
    classifier_lr : float or None
        Learning rate of the classifier's own layers. None: `lr`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, in order.
    generator_ : Module
        The trained generator, in eval mode: (n, latent_dim + n_classes), of which the last columns
        are one-hot, to samples.
    discriminator_, classifier_ : Module
        The trunk with either head, in eval mode: samples to logits (n,), and to class scores
        (n, n_classes).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import ACGANFeatures
    >>> X, y = load_digits(return_X_y=True)
    >>> acgan = ACGANFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> acgan.fit_transform(X, y).shape
    (1797, 768)
    >>> acgan.sample(3, y=[7, 0, 7]).shape
    (3, 64)
    """

    real_class_weight: float = 1.0
    generated_class_weight: float = 1.0
    generator_class_weight: float = 1.0
    classifier_lr: float | None = None
    latent_dim: int = parameter(default=100, shapes=True)
    weight_decay: float = 0.0

    discriminator_ = WholeNetwork("The trunk with the discriminator's head: samples -> (n,).")
    classifier_ = WholeNetwork("The trunk with the classifier's head: samples -> (n, n_classes).")

    _networks = ("generator", "trunk", "discriminator", "classifier")

    def _check(self):
        for name in ("real_class_weight", "generated_class_weight", "generator_class_weight"):
            check_number(name, getattr(self, name), low=0)
        super()._check()

    def _build(self, shape, rng):
        heads = {"discriminator": Head("logit"), "classifier": Head("scores", len(self.classes_))}
        nets = build_heads(self.discriminator, rng, heads, input_shape=shape, norm=self.norm)
        generator = build_network(
            "generator", self.generator, rng, latent_dim=self._prior().dim, output_shape=shape
        )
        return {"generator": generator} | nets

    def _step(self, nets, batch, update):
        G, D, C, x = nets.generator, nets.discriminator, nets.classifier, batch.x

        z = batch.latent()
        c = z[:, self.latent_dim :].argmax(1)
        x_hat = G(z)
        (real, scores), (fake, scores_hat) = D(x, C), D(x_hat, C)
        l_s = ns_discriminator(real, fake) + self._added(D, batch, (x,), (x_hat,))
        # Paper: all samples have labels. Those without take part in L_S alone.
        w = self._weights_on(x.device)
        l_c = self.real_class_weight * labelled_cross_entropy(
            self._with_weights(scores), batch.y, w
        )
        l_c = l_c + self.generated_class_weight * cross_entropy(scores_hat, c)
        update(trunk=l_s + l_c, discriminator=l_s, classifier=l_c)
        batch.log(discriminator_real=real, discriminator_generated=fake)

        # Paper: G is to minimise log(1 - D(G(c, z))); here -log D(G(c, z)), whose gradient does not
        # vanish where D wins.
        fake, scores_hat = D(x_hat, C)
        l_g = ns_generator(fake) + self.generator_class_weight * cross_entropy(scores_hat, c)
        update(generator=l_g + self._added_to_generator(D, batch, x_hat))

    def _logits(self, nets, x):
        return nets.discriminator(x)

    def _scores(self, nets, x):
        return self._with_weights(nets.classifier(x))

    def _refresh(self, nets, x, z):
        nets.discriminator(x, nets.classifier)
        nets.generator(z)
