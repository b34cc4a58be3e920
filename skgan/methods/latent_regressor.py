"""The latent regressor: an encoder that inverts a GAN's generator (Donahue et al. 2017, sec. 4.1).

    min_G max_D  E_x log D(x) + E_z log(1 - D(G(z)))        min_E  E_z L(E(G(z)), z)

G and D play a plain GAN's game; E learns from generated samples alone which z they came from. With
`joint` G helps it: it minimises -E_z log D(G(z)) + 0.25 L as well. For a uniform prior L is the
cross-entropy of sigma(a) against (z + 1) / 2, a mean over z's dimensions, where a is the
encoder's output and E(x) = 2 sigma(a) - 1.

| paper | here |
|---|---|
| G, D, E | generator, discriminator, encoder |
| x, z | `batch.x`, `batch.latent()` |
| L | `regression` |
| LR, JLR | `joint=False`, `joint=True` |
"""

from ..base import BaseGAN
from ..critics import CriticParameters
from ..density import DensityRatioMixin
from ..losses import LATENT_LOSSES, joint_discriminator, ns_generator
from ..nn import build_network
from ..nn.init import zero_head
from ..parameters import GeneratorParameters, PriorParameters
from ..reconstruction import ReconstructionMixin
from ..utils.checks import check_choice, check_flag, check_number
from ..utils.parameters import parameters

# By analogy with BiGAN's and DCGAN's; figures are in docs/measurements/stabilisers.md.
BEST = {"encoder": "patches", "augment": "auto"}


@parameters
class LatentRegressorEncoder(
    PriorParameters, GeneratorParameters, ReconstructionMixin, CriticParameters, DensityRatioMixin,
    BaseGAN,
):  # fmt: skip
    """Features from an encoder that learns to invert a GAN's generator, without labels.

    `fit` trains a GAN, and beside it an encoder on generated samples: the baselines LR and JLR of
    BiGAN's paper (sec. 4.1). `transform` returns the encoder's penultimate layer, the code, or the
    encoder's layers; `inverse_transform` and `reconstruct` go back through G.

    Parameters
    ----------
    joint : bool
        Whether G, too, minimises the encoder's regression loss (JLR).
    regressor_weight : float
        Weight of the regression in G's loss with `joint`. The paper says that with 1 the game
        degenerates.
    play : {"simultaneous", "alternating"}
        Whether all networks move at once, from the same point, or D first and then the others.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import LatentRegressorEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> regressor = LatentRegressorEncoder(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> regressor.fit_transform(X).shape
    (1797, 256)
    """

    joint: bool = False
    regressor_weight: float = 0.25
    play: str = "simultaneous"

    _networks = ("generator", "encoder", "discriminator")
    _presets = {"best": BEST}

    def _check(self):
        check_flag("joint", self.joint)
        check_number("regressor_weight", self.regressor_weight, low=0)
        check_choice("play", self.play, ("simultaneous", "alternating"))
        super()._check()

    def _build(self, shape, rng):
        dim = self.latent_dim
        encoder = build_network("encoder", self.encoder, rng, input_shape=shape, n_outputs=dim)
        generator = build_network(
            "generator", self.generator, rng, latent_dim=dim, output_shape=shape
        )
        discriminator = build_network(
            "discriminator", self.discriminator, rng, input_shape=shape, norm=self.norm
        )
        # Paper: as in the released code, E and D begin at 0, and their losses at log 2. A D that
        # began with opinions let G collapse within a few epochs (docs/methods/latent_regressor.md).
        return {
            "generator": generator,
            "encoder": zero_head(encoder),
            "discriminator": zero_head(discriminator),
        }

    def _code_of(self):
        return self._prior().decoder("squashed" if self.latent == "uniform" else "linear")

    def _encode(self, nets, x):
        """E(x)."""
        return self._code_of()(nets.encoder(x))

    def _step(self, nets, batch, update):
        G, E, D = nets.generator, nets.encoder, nets.discriminator

        # Paper: E is trained once the GAN is; here beside it, as in the released code.
        z = batch.latent()
        x_hat = G(z)
        # Paper: only uniform priors; for a normal one the squared error.
        regression = LATENT_LOSSES[self.latent](E(x_hat), z)
        easier = self.regressor_weight * regression if self.joint else 0.0
        real, fake = D(batch.x), D(x_hat)
        l_d = joint_discriminator(real, fake) + self._added(D, batch, (batch.x,), (x_hat,))
        if self.play == "simultaneous":
            g_loss = ns_generator(fake) + easier + self._added_to_generator(D, batch, x_hat)
            update(discriminator=l_d, generator=g_loss, encoder=regression)
        else:
            update(discriminator=l_d)
            g_loss = ns_generator(D(x_hat)) + easier + self._added_to_generator(D, batch, x_hat)
            update(generator=g_loss, encoder=regression)
        batch.log(discriminator_real=real, discriminator_generated=fake)

    def _logits(self, nets, x):
        return nets.discriminator(x)

    def _refresh(self, nets, x, z):
        nets.discriminator(x)
        nets.encoder(x)
        nets.generator(z)

    def _extractor(self, nets):
        names = self._prior().names()
        return self._encoder_features(nets.encoder, names, self._code_of(), self.input_shape_)
