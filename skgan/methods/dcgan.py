"""DCGAN's discriminator as a feature extractor (Radford et al. 2016, arXiv 1511.06434).

    min_G max_D  E_x log D(x) + E_z log(1 - D(G(z)))

G is trained on the non-saturating form, -E_z log D(G(z)); other games by `loss`. Features are
D's hidden layers, pooled to a 4x4 grid and joined (sec. 5.1). With `feature_matching` and
`head_layers` this is MARTA GAN (arXiv 1612.08879); with loss="wgan-gp" and norm="none" the
critic of Zhang et al. (TGRS 57(5), 2019) for hyperspectral windows, up to details that their
abstract leaves open. With output="fisher", features are Adversarial Fisher Vectors (Zhai et al.
2019, arXiv 1910.13101).

| paper | here |
|---|---|
| G, D | generator, discriminator |
| x, z | `batch.x`, `batch.latent()` |
| D's pooled convolutional features | `TrunkFeatures` |
| grad D(x), its mean and standard deviation over G(z) (1910.13101) | `FisherVectors`, `_moments` |
"""

import torch

from ..base import BaseGAN
from ..critics import CriticParameters
from ..density import DensityRatioMixin
from ..losses import FEATURE_MATCHING, GAN_LOSSES
from ..nn import FisherVectors, build_network
from ..parameters import GeneratorParameters, PriorParameters, TrunkFeatures
from ..penalties import gradient_penalty
from ..utils import kinds
from ..utils.checks import check_choice, check_number
from ..utils.parameters import parameter, parameters

# Of single short trials on held-out digits of 28x28 pixels (docs/measurements/stabilisers.md).
BEST = {
    "discriminator": "patches", "norm": "spectral", "loss": "hinge", "augment": "auto",
    "layers": "learnt",
}  # fmt: skip
N_GENERATED = 1024  # samples over which gradients are standardised, as in the released code


@parameters
class DCGANDiscriminatorFeatures(
    PriorParameters,
    GeneratorParameters,
    CriticParameters,
    TrunkFeatures,
    DensityRatioMixin,
    BaseGAN,
):
    """Features from the discriminator of a DCGAN, trained without labels.

    `fit` trains the GAN (Radford et al. 2016, sec. 3 and 4: Adam at 2e-4 with beta1 0.5, weights
    from N(0, 0.02), batch norm everywhere but at G's output and D's input). `transform` returns
    the discriminator's layers, max-pooled to a 4x4 grid, flattened and joined from shallow to
    deep, unscaled (sec. 5.1).

    Parameters
    ----------
    loss : {"ns", "hinge", "ls", "wgan-gp"}
        Non-saturating, hinge, least squares, or Wasserstein with a gradient penalty.
    gp_weight : float
        Weight of the gradient penalty of "wgan-gp", which batch norm excludes.
    n_critic : int
        Steps of D for each turn of G.
    generator_steps : int
        Steps of G in its turn (MARTA GAN: 2).
    feature_matching : {None, "mean", "paired"}
        Adds to G's loss the distance between D's features (those that `transform` returns) of
        real and generated samples: between their means (MARTA GAN's paper), or sample by sample
        (its code).
    fm_weight : float
        Weight of the feature matching.
    output : {"layers", "fisher"}
        What `transform` returns: D's layers that `layers`, `tap`, `pool_grid` and `pool` choose; or
        the gradient of D(x) by all weights of D, each entry standardised over 1,024 generated
        samples (Adversarial Fisher Vectors; Zhai et al. 2019, arXiv 1910.13101). "fisher" excludes
        batch norm and feature matching, and has to be set before `fit`.
    n_components : int or None
        Entries to which Fisher vectors are projected by a random linear map, which keeps inner
        products in expectation (a count sketch). It is drawn from the seed of the fit. None returns
        the vectors themselves, with one entry for every weight of D.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> X, _ = load_digits(return_X_y=True)
    >>> features = DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> features.fit_transform(X).shape
    (1797, 768)
    """

    loss: str = "ns"
    gp_weight: float = 10.0
    n_critic: int = 1
    generator_steps: int = 1
    feature_matching: str | None = None
    fm_weight: float = 1.0
    output: str = parameter(default="layers", free=True)
    n_components: int | None = parameter(default=None, free=True)
    latent_dim: int = parameter(default=100, shapes=True)

    _networks = ("generator", "discriminator")
    _holds = {"_moments": kinds.array("f", 2)}
    _presets = {"best": BEST}

    def _check(self):
        check_choice("loss", self.loss, GAN_LOSSES)
        check_choice("feature_matching", self.feature_matching, (None, *FEATURE_MATCHING))
        for name in ("n_critic", "generator_steps"):
            check_number(name, getattr(self, name), low=1, integer=True)
        for name in ("gp_weight", "fm_weight"):
            check_number(name, getattr(self, name), low=0)
        check_choice("output", self.output, ("layers", "fisher"))
        if self.n_components is not None:
            check_number("n_components", self.n_components, low=1, integer=True, instead="None")
        if self.output == "fisher" and self.norm == "batch":
            raise ValueError(
                "norm='batch' does not go with output='fisher': the gradient of one sample's logit "
                "has to be its own, and batch norm makes it depend on the other samples. Use "
                "norm='spectral' or norm='none', or output='layers'."
            )
        if self.output == "fisher" and self.feature_matching is not None:
            raise ValueError(
                f"feature_matching={self.feature_matching!r} does not go with output='fisher': it "
                "compares layers. Use feature_matching=None, or output='layers'."
            )
        if self.loss == "wgan-gp" and self.norm == "batch":
            raise ValueError(
                "norm='batch' does not go with loss='wgan-gp': the penalty bounds the gradient "
                "of each sample's logit, and batch norm makes it depend on the other samples. Use "
                "norm='none' or norm='spectral'."
            )
        super()._check()

    def _build(self, shape, rng):
        return {
            "generator": build_network(
                "generator", self.generator, rng, latent_dim=self.latent_dim, output_shape=shape
            ),
            "discriminator": build_network(
                "discriminator", self.discriminator, rng, input_shape=shape, norm=self.norm
            ),
        }

    def _step(self, nets, batch, update):
        G, D, x = nets.generator, nets.discriminator, batch.x
        discriminator_loss, generator_loss = GAN_LOSSES[self.loss]

        # Paper: the released code updates D and G on different minibatches in turn. Here both
        # move on every one, and G's first step judges the images that D has just seen.
        fake = G(batch.latent())
        real, generated = D(x), D(fake)
        added = self._added(D, batch, (x,), (fake,))
        update(discriminator=discriminator_loss(real, generated) + added)
        batch.log(discriminator_real=real, discriminator_generated=generated)
        if batch.step % self.n_critic == 0:
            for turn in range(self.generator_steps):
                fake = fake if turn == 0 else G(batch.latent())
                g_loss = generator_loss(D(fake))
                if self.feature_matching is not None:
                    distance = FEATURE_MATCHING[self.feature_matching]
                    mismatch = distance(nets.features(x), nets.features(fake))
                    g_loss = g_loss + self.fm_weight * mismatch
                update(generator=g_loss + self._added_to_generator(D, batch, fake))

    def _own_terms(self, D, batch, real, generated):
        if self.loss != "wgan-gp":
            return {}
        e = batch.uniform(len(batch.x))
        return {"penalty": gradient_penalty(D, real, generated, e, weight=self.gp_weight)}

    def _logits(self, nets, x):
        return nets.discriminator(x)

    def _no_ratio(self):
        return "" if self.loss == "ns" else f"loss={self.loss!r}"

    def _refresh(self, nets, x, z):
        nets.discriminator(x)
        nets.generator(z)

    def _measure(self, nets, draw, batches, *, going_on):
        self.__dict__.pop("_moments", None)  # of an earlier fit
        if self.output == "fisher":
            # Paper: spectral norm is a part of D in the released code, which takes gradients by
            # the weights that are divided by their norm. Here they are by the quotients.
            fisher = self._extractor(nets)
            z = draw(N_GENERATED).split(fisher.most_samples)
            self._moments = fisher.moments(map(nets.generator, z)).numpy(force=True)

    def _extractor(self, nets):
        if self.output == "layers":
            return super()._extractor(nets)
        seed, moments = getattr(self, "_seed", 0), getattr(self, "_moments", None)
        return FisherVectors(
            nets.discriminator, self.input_shape_, self.n_components, seed,
            None if moments is None else torch.from_numpy(moments),
        )  # fmt: skip
