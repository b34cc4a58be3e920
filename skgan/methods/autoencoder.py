"""Autoencoders, the baselines AE(l2) and AE(l1) of BiGAN's paper (Donahue et al. 2017, sec. 4.1).

    min_{E,G}  E_x || x - G(E(x')) ||      x' = x, or x + noise (Vincent et al. 2008)

The plain alternative to an adversarial game, with the same networks. Noise on x and dropout on
the code make it the denoising, dropout-regularised autoencoder with which DCGAN's authors found
near duplicates (arXiv 1511.06434, sec. 4.1).

| paper | here |
|---|---|
| E, G | encoder, generator |
| x, x' | `batch.x`, `seen` |
| E(x') | `z` |
"""

from torch import nn

from ..base import BaseGAN
from ..losses import RECONSTRUCTION_LOSSES
from ..nn import build_network
from ..parameters import CodeParameters, GeneratorParameters
from ..reconstruction import ReconstructionMixin
from ..utils.checks import check_choice, check_number
from ..utils.parameters import parameters


@parameters
class AutoencoderFeatures(CodeParameters, GeneratorParameters, ReconstructionMixin, BaseGAN):
    """Features from an autoencoder, trained without labels and without a discriminator.

    `fit` trains an encoder and a generator to reproduce X by way of a code of `latent_dim`
    numbers. `transform` returns the encoder's penultimate layer, the code, or the encoder's
    layers; `inverse_transform` and `reconstruct` go back through G. There is no prior, so nothing
    to sample from.

    Parameters
    ----------
    loss : {"l2", "l1"}
        Mean squared, or mean absolute error.
    noise : float
        Standard deviation of the noise that is added to the encoder's input in training, in the
        units of the networks: images in [-1, 1], standardised columns.
    dropout : float
        Share of the code's numbers that are set to zero in training; the others are multiplied by
        1 / (1 - dropout).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import AutoencoderFeatures
    >>> X, _ = load_digits(return_X_y=True)
    >>> autoencoder = AutoencoderFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> autoencoder.fit_transform(X).shape
    (1797, 256)
    """

    loss: str = "l2"
    noise: float = 0.0
    dropout: float = 0.0

    _networks = ("generator", "encoder")

    def _check(self):
        check_choice("loss", self.loss, RECONSTRUCTION_LOSSES)
        check_number("noise", self.noise, low=0)
        check_number("dropout", self.dropout, low=0, high=1, open_high=True)
        super()._check()

    def _build(self, shape, rng):
        dim = self.latent_dim
        return {
            "generator": build_network(
                "generator", self.generator, rng, latent_dim=dim, output_shape=shape
            ),
            "encoder": build_network(
                "encoder", self.encoder, rng, input_shape=shape, n_outputs=dim
            ),
        }

    def _encode(self, nets, x):
        """E(x)."""
        return nets.encoder(x)

    def _step(self, nets, batch, update):
        x = seen = batch.x
        if self.noise:
            seen = x + self.noise * batch.normal(*x.shape)
        z = self._encode(nets, seen)
        if self.dropout:
            z = z * (batch.uniform(*z.shape) >= self.dropout) / (1 - self.dropout)
        # Paper: neither the layer taken as the code nor its size is given; a linear layer of
        # `latent_dim` numbers here, so that the networks are BiGAN's.
        error = RECONSTRUCTION_LOSSES[self.loss](nets.generator(z), x)
        update(encoder=error, generator=error)

    def _refresh(self, nets, x, z):
        nets.generator(self._encode(nets, x))

    def _extractor(self, nets):
        names = [f"latent{i}" for i in range(self.latent_dim)]
        return self._encoder_features(nets.encoder, names, nn.Identity(), self.input_shape_)
