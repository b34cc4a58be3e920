"""MGAN's discriminator and classifier as feature extractors (Mao et al. 2019, arXiv 1912.00789).

    min_(G,C) max_D  E_x log D(x) + 1/K sum_k [ E_z log(1 - D(G_k(z))) - beta E_z log C_k(G_k(z)) ]

K generators, a discriminator that tells real samples from theirs, and a classifier that tells which
generator made a sample (MGAN: Hoang et al. 2018, arXiv 1708.02556). Mao et al. take D and C for
extractors, let them share fewer and fewer of their layers, and ask which has the better features:
"Is Discriminator a Good Feature Extractor?" Numbers of equations and tables are theirs.

| paper | here |
|---|---|
| G_1 .. G_K, D, C | generator, discriminator, classifier |
| layers that D and C share | trunk |
| x, z, k | `batch.x`, `batch.latent()`, `k` |
| f(x), A | features, the head's weights |
"""

import torch

from ..base import BaseGAN, WholeNetwork
from ..critics import CriticParameters
from ..density import DensityRatioMixin
from ..losses import cross_entropy, ns_discriminator, ns_generator, saturating_generator
from ..nn import Head, JoinedFeatures, build_heads, build_network
from ..parameters import GeneratorParameters, PriorParameters, TrunkParameters
from ..utils.checks import check_choice, check_flag, check_number, is_word
from ..utils.parameters import parameter, parameters

MOST_GENERATORS = 1000  # each has a first layer of its own
# By analogy with BiGAN's and DCGAN's; figures are in docs/measurements/stabilisers.md.
BEST = {"discriminator": "patches", "augment": "auto"}


@parameters
class MGANExtractor(
    PriorParameters, GeneratorParameters, CriticParameters, TrunkParameters, DensityRatioMixin,
    BaseGAN,
):  # fmt: skip
    """Features from the discriminator or the classifier of an MGAN, trained without labels.

    `fit` plays the game of Hoang et al. 2018 with the networks and settings of Mao et al. 2019,
    table 1. `transform` returns the features that feed the discriminator's head, the
    classifier's, or both, joined.

    Parameters
    ----------
    n_generators : int
        K. Generators share all layers but the first, which has a batch norm of its own in each.
    generator : str, spec, callable or Module
        "auto" is "mao32" for images, the networks of table 1 (128 to 512 channels), and "mlp" for
        tables. Or another name, or a spec such as `DCGANSpec(width=32)`. A callable is called as
        `f(latent_dim=, output_shape=, n_generators=)`. It, or a module, maps
        (n, latent_dim + n_generators), of which the last columns are one-hot, to samples.
    discriminator : str, spec, callable or Module
        The network of the discriminator and the classifier, which differ in their heads only: the
        same names and specs. `DCGANSpec(width=32, feature_dim=128)` has a layer of features
        before the heads, as table 1. A module, or what a callable `f(input_shape=, norm=)`
        returns, maps samples to features, on which both heads are linear; its layers can be dealt
        out where it is an `nn.Sequential`.
    n_shared_layers : "all" or int
        Number of layers that discriminator and classifier share, counted from the input; table 1
        has four.
    share_bn : bool
        Whether shared layers share their batch norm, too.
    shared_optimizer : {"joint", "discriminator", "both"}
        What moves the shared layers: the sum of both losses (MGAN's released code), the
        discriminator's loss alone, or each loss by an optimizer of its own.
    same_z : bool
        Whether all generators get the same noise in a step (MGAN's released code).
    beta : float
        Weight of the classifier's loss in that of the generators.
    classifier_weight : float
        Weight of the classifier's loss in its own step.
    saturating : bool
        Whether generators minimise log(1 - D(G(z))), as equation 16 is written, instead of
        -log D(G(z)), as MGAN's released code does.
    extractor : {"discriminator", "classifier", "both"}
        Whose features `transform` returns. The two are equal where all layers are shared.
    subspace : {None, "null", "row"}
        Part of the features: all, what the head's weights do not see (null space), or what they
        see (row space; corollary 4).
    classifier_lr : float or None
        Learning rate of the classifier's own layers. None: `lr`.

    Attributes
    ----------
    generator_ : Module
        All generators: (n, latent_dim + n_generators), the last columns one-hot, to samples.
    discriminator_, classifier_ : Module
        The whole networks, shared layers included, in eval mode.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANSpec, MGANExtractor
    >>> X, _ = load_digits(return_X_y=True)
    >>> mgan = MGANExtractor(
    ...     image_shape=(8, 8), generator=DCGANSpec(8), discriminator=DCGANSpec(8, feature_dim=32),
    ...     extractor="classifier", n_shared_layers=1, n_epochs=1, random_state=0,
    ... )
    >>> mgan.fit_transform(X).shape
    (1797, 32)
    >>> mgan.sample(5, component=3).shape
    (5, 64)
    """

    n_generators: int = parameter(default=10, shapes=True)
    n_shared_layers: int | str = "all"
    share_bn: bool = True
    shared_optimizer: str = "joint"
    same_z: bool = True
    beta: float = 0.02
    classifier_weight: float = 1.0
    saturating: bool = False
    extractor: str = "discriminator"
    subspace: str | None = None
    classifier_lr: float | None = None
    latent_dim: int = parameter(default=128, shapes=True)
    latent: str = parameter(default="normal", shapes=True)
    batch_size: int = 120
    weight_decay: float = 0.0

    discriminator_ = WholeNetwork("The discriminator: samples -> logits (n,).")
    classifier_ = WholeNetwork("The classifier: samples -> scores (n, n_generators).")

    _networks = ("generator", "trunk", "discriminator", "classifier")
    _presets = {"best": BEST}

    def _check(self):
        check_number("n_generators", self.n_generators, low=1, high=MOST_GENERATORS, integer=True)
        for name in ("beta", "classifier_weight"):
            check_number(name, getattr(self, name), low=0)
        for name in ("share_bn", "same_z", "saturating"):
            check_flag(name, getattr(self, name))
        check_choice("shared_optimizer", self.shared_optimizer, ("joint", "discriminator", "both"))
        check_choice("extractor", self.extractor, ("discriminator", "classifier", "both"))
        check_choice("subspace", self.subspace, (None, "null", "row"))
        super()._check()

    def _categories(self):
        return (self.n_generators,)  # z's one-hot part: which generator makes the sample

    def _build(self, shape, rng):
        # Paper: table 1 gives G and the heads no biases, and leaves the trunk's open; here G's last
        # layer and the features have one. The features' nonlinearity is left blank, none here.
        choices = (self.generator, self.discriminator)
        g, d = ("mao32" if is_word(c, "auto") and len(shape) == 3 else c for c in choices)
        K = self.n_generators
        generator = build_network(
            "generator", g, rng,
            latent_dim=self.latent_dim, output_shape=shape, n_generators=K,
        )  # fmt: skip
        heads = {"discriminator": Head("logit"), "classifier": Head("scores", K)}
        return {"generator": generator} | build_heads(
            d, rng, heads, input_shape=shape, norm=self.norm, n_shared=self.n_shared_layers,
            share_bn=self.share_bn,
        )  # fmt: skip

    def _for_each_generator(self, noise):
        """z and k from noise (K m, latent_dim): m samples for each generator in turn."""
        K = self.n_generators
        each = torch.eye(K, dtype=noise.dtype, device=noise.device)
        one_hot = each.repeat_interleave(len(noise) // K, 0)
        return torch.cat([noise, one_hot], dim=1), one_hot.argmax(1)

    def _step(self, nets, batch, update):
        G, D, C = nets.generator, nets.discriminator, nets.classifier
        x, beta = batch.x, self.beta
        generator_loss = saturating_generator if self.saturating else ns_generator

        # Paper: the numbers of steps are not given; as in MGAN's code, one of each in turn.
        # As many generated samples as real ones, the same number from each (table 1), to the
        # nearest; batch norm needs two of each.
        K, m = self.n_generators, max(2, round(len(x) / self.n_generators))
        drawn = batch.latent(m).repeat(K, 1) if self.same_z else batch.latent(m, K)
        z, k = self._for_each_generator(drawn[:, : self.latent_dim])
        x_hat = G(z)

        real, (fake, scores) = D(x), D(x_hat, C)
        # Paper: equation 16 has beta in front of C's own loss as well; MGAN's released code, as
        # here, has not.
        l_d = ns_discriminator(real, fake) + self._added(D, batch, (x,), (x_hat,))
        l_c = self.classifier_weight * cross_entropy(scores, k)
        shared = {"joint": l_d + l_c, "discriminator": l_d, "both": (l_d, l_c)}
        update(trunk=shared[self.shared_optimizer], discriminator=l_d, classifier=l_c)
        batch.log(discriminator_real=real, discriminator_generated=fake)

        fake, scores = D(x_hat, C)
        l_g = generator_loss(fake) + beta * cross_entropy(scores, k)
        update(generator=l_g + self._added_to_generator(D, batch, x_hat))

    def _logits(self, nets, x):
        return nets.discriminator(x)

    def _refresh(self, nets, x, z):
        # Paper: a classifier that shares nothing has seen generated samples only, and is used on
        # real ones. Its batch-norm statistics are measured on real ones, as the discriminator's.
        nets.discriminator(x, nets.classifier)
        m = max(2, len(z) // self.n_generators)
        noise = z[:m, : self.latent_dim].repeat(self.n_generators, 1)
        nets.generator(self._for_each_generator(noise)[0])

    def _extractor(self, nets):
        both = ("discriminator", "classifier")
        roles = both if self.extractor == "both" else (self.extractor,)
        return JoinedFeatures({role: getattr(nets, role) for role in roles}, self.subspace)
