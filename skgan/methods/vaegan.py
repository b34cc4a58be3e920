"""VAE/GAN: an autoencoder that measures errors by a discriminator (Larsen et al. 2016, 1512.09300).

    L_prior = KL(q(z|x) || N(0, I))             q(z|x) = N(mu(x), diag sigma(x)^2), by Enc
    L_llike = 1/2 || Dis_l(x) - Dis_l(x_rec) ||^2 + const,    x_rec = Dec(z),  z ~ q(z|x)
    L_GAN   = log Dis(x) + log(1 - Dis(Dec(z_p))) + log(1 - Dis(x_rec)),       z_p ~ N(0, I)

    Enc minimises L_prior + L_llike, Dec gamma L_llike - L_GAN, and Dis -L_GAN (algorithm 1)

Dis_l is layer l of the discriminator: likelihood is a distance of its feature maps, not of pixels.
Each loss moves what is named beside it and nothing else: no gradient of the likelihood moves Dis,
and none of the GAN moves Enc. All three networks move at once.

| paper | here |
|---|---|
| Enc, Dec, Dis | encoder, generator, discriminator |
| x, z_p | `batch.x`, `batch.latent()` |
| Dec(z_p), x_rec | `x_hat`, `x_rec` |
| Dis_l | `nets.likelihood` |
"""

from typing import Any

import numpy as np

from ..base import BaseGAN
from ..critics import CriticParameters
from ..losses import feature_matching_paired, normal_kl, ns_generator, saturating_generator
from ..nn import PooledTaps, build_network
from ..nn.blocks import TAPS
from ..nn.codes import Prior
from ..parameters import CodeParameters, GeneratorParameters
from ..reconstruction import ReconstructionMixin
from ..utils.checks import check_choice, check_flag, check_number
from ..utils.labels import check_labels, has_label
from ..utils.parameters import parameter, parameters

# Units of the layer l of the released code's networks for faces, 256 maps of 8x8.
PAPER_UNITS = 16384


@parameters
class VAEGANEncoder(
    CodeParameters, GeneratorParameters, ReconstructionMixin, CriticParameters, BaseGAN
):
    """Features from the encoder of a VAE/GAN, trained without labels.

    `fit` trains a variational autoencoder whose errors are distances in a layer of a discriminator,
    which learns at the same time to tell real samples from generated and reconstructed ones (Larsen
    et al. 2016, sec. 2.3). `transform` returns the mean mu(x) of the encoder's posterior, the
    encoder's penultimate layer, or its layers; `inverse_transform` and `reconstruct` go back
    through the decoder, `generator_`. The prior of z is N(0, I).

    Parameters
    ----------
    gamma : float
        Weight of the likelihood in the decoder's loss, against 1 for the adversarial term. It is
        stated as in the paper, for every unit of a layer l of 16,384 units (the released code's,
        256 maps of 8x8), and the likelihood of another layer is rescaled to that number: it is
        16,384 times the mean over the layer's units of half the squared difference. So a layer of
        any size counts gamma * 16,384 times this mean (1e-6: 0.016).
    kl_weight : float
        Weight of the divergence from the prior in the encoder's loss, against 1 for the likelihood,
        which is rescaled as for `gamma`.
    likelihood_layers : int, "all", "learnt" or sequence of int
        The layer l of the discriminator in which samples and reconstructions are compared, counted
        from 0, the first; negative numbers count from the last. Several layers are joined.
    likelihood_tap : {"activation", "norm", "conv"}
        Which output of this layer: after its nonlinearity, after its batch norm, or right after its
        convolution (or linear map). On small images the outputs of a convolution, whose first
        weights are small, may move the encoder so little that codes stay near 0: use "norm" there.
    recon_as_fake : bool
        Whether the discriminator learns to tell reconstructions from real samples, and the decoder
        to prevent it (algorithm 1); if not, both take part with samples from the prior only, as in
        the released scripts.
    balance : None or (equilibrium, margin)
        Keeps discriminator and decoder in step, by the discriminator's mean losses on real samples
        and on the others: it stays as it is in a step if either is below equilibrium - margin, and
        the decoder if either is above equilibrium + margin; if both would, both move. (0.68, 0.35)
        are the released code's. `history_` then has the shares of steps in which they moved,
        "discriminator_moved" and "generator_moved". None: both always move.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import VAEGANEncoder
    >>> X, y = load_digits(return_X_y=True)
    >>> vaegan = VAEGANEncoder(
    ...     image_shape=(8, 8), likelihood_tap="norm", n_epochs=1, random_state=0
    ... ).fit(X)
    >>> vaegan.transform(X).shape, vaegan.reconstruct(X).shape
    ((1797, 128), (1797, 64))
    >>> vaegan.attribute_vector(X, y == 0).shape
    (128,)
    """

    gamma: float = 1e-6
    kl_weight: float = 1.0
    likelihood_layers: Any = -1
    likelihood_tap: str = "conv"
    recon_as_fake: bool = True
    balance: Any = None
    output: str = "latent"
    latent_dim: int = parameter(default=128, shapes=True)
    batch_size: int = 64
    optimizer: str = "rmsprop"
    lr: float = 3.9e-4  # .025 / 64
    weight_decay: float = 1e-5

    _networks = ("generator", "encoder", "discriminator")

    def _check(self):
        for name in ("gamma", "kl_weight"):
            check_number(name, getattr(self, name), low=0)
        check_choice("likelihood_tap", self.likelihood_tap, TAPS)
        check_flag("recon_as_fake", self.recon_as_fake)
        if self.balance is not None:
            if not isinstance(self.balance, (tuple, list)) or len(self.balance) != 2:
                raise ValueError(
                    f"balance={self.balance!r} must be None or two numbers, equilibrium and "
                    "margin, such as (0.68, 0.35)."
                )
            for number in self.balance:
                check_number("balance", number, low=0, instead="None in place of both")
        super()._check()

    def _prior(self):
        return Prior("normal", self.latent_dim)

    def _build(self, shape, rng):
        generator = build_network(
            "generator", self.generator, rng, latent_dim=self.latent_dim, output_shape=shape
        )
        encoder = build_network(
            "encoder", self.encoder, rng,
            input_shape=shape, n_outputs=self._prior().n_outputs("gaussian"),
        )  # fmt: skip
        discriminator = build_network(
            "discriminator", self.discriminator, rng, input_shape=shape, norm=self.norm
        )
        self._likelihood_layers(discriminator)  # raises for layers that it does not have
        return {"generator": generator, "encoder": encoder, "discriminator": discriminator}

    def _likelihood_layers(self, D):
        """Dis_l: x -> the units of layer l (n, n_features)."""
        layers, tap = self.likelihood_layers, self.likelihood_tap
        try:
            return PooledTaps(D, layers, tap, None, "max", self.input_shape_)
        except ValueError as error:
            raise ValueError(f"likelihood_{error}") from error

    def _as_trained(self, nets, rng):
        # Apart from D, which may see augmented samples: likelihood compares samples as they are.
        likelihood = self._likelihood_layers(nets["discriminator"])
        return super()._as_trained({**nets, "likelihood": likelihood}, rng)

    def _step(self, nets, batch, update):
        G, E, D, x = nets.generator, nets.encoder, nets.discriminator, batch.x

        mean, log_spread = E(x).chunk(2, dim=1)
        x_rec = G(mean + log_spread.exp() * batch.normal(*mean.shape))
        x_hat = G(batch.latent())
        # Paper: both likelihoods are sums over the units of l, whose number decides what the
        # weights mean; here all layers count as one of the released code's size.
        scale = PAPER_UNITS / nets.likelihood.n_features
        llike = scale * feature_matching_paired(nets.likelihood(x), nets.likelihood(x_rec))

        generated = D(x_hat)
        real, fakes = D(x), [generated, D(x_rec)] if self.recon_as_fake else [generated]
        real_loss = ns_generator(real)  # -log Dis(x)
        fake_loss = -sum(map(saturating_generator, fakes))  # -log(1 - Dis(...)), of both kinds
        # Paper: Dec is to minimise log(1 - Dis(...)); here -log Dis(...), whose gradient does not
        # vanish where Dis wins. The released code weighs it by 1 - gamma.
        adversarial = sum(map(ns_generator, fakes))
        losses = {
            "encoder": self.kl_weight * normal_kl(mean, log_spread) + llike,
            "generator": self.gamma * llike + adversarial
            + self._added_to_generator(D, batch, x_hat),
            "discriminator": real_loss + fake_loss + self._added(D, batch, (x,), (x_hat,)),
        }  # fmt: skip
        if self.balance is not None:
            moved = self._balanced(*batch.agreed(real_loss, fake_loss / len(fakes)))
            batch.log(**{f"{k}_moved": llike.new_tensor(float(v)) for k, v in moved.items()})
            losses = {role: loss for role, loss in losses.items() if moved.get(role, True)}
        update(**losses)
        batch.log(discriminator_real=real, discriminator_generated=generated)

    def _balanced(self, real, fake):
        """Whether Dis and Dec move, for Dis's mean losses on real samples and on the others."""
        equilibrium, margin = self.balance
        dis = min(real, fake) >= equilibrium - margin
        dec = max(real, fake) <= equilibrium + margin
        neither = not (dis or dec)
        return {"discriminator": dis or neither, "generator": dec or neither}

    def _encode(self, nets, x):
        """mu(x)."""
        return self._prior().code(nets.encoder(x), "gaussian")

    def _logits(self, nets, x):
        return nets.discriminator(x)

    def _refresh(self, nets, x, z):
        nets.discriminator(x)
        nets.encoder(x)
        nets.generator(z)

    def _extractor(self, nets):
        prior = self._prior()
        return self._encoder_features(
            nets.encoder, prior.names(), prior.decoder("gaussian"), self.input_shape_
        )

    def attribute_vector(self, X, y):
        """The mean code of the samples with an attribute, minus that of those without (sec. 4.1).

        Added to codes, it makes the decoder show the attribute:
        `inverse_transform(transform(X) + vector)`, with output="latent".

        Parameters
        ----------
        X : array-like, as in `fit`
        y : array-like of shape (n,)
            Two labels, such as False and True or -1 and 1: the larger one, in sorted order, is that
            of samples with the attribute. Strings may be missing: None, NaN or the number -1.

        Returns
        -------
        ndarray of shape (latent_dim,), float32

        Raises
        ------
        ValueError
            If y does not have one label for every sample, or not two labels.
        """
        codes = self._apply(lambda nets: lambda x: self._encode(nets, x), X)
        y = check_labels("y", y)
        known = has_label(y)
        classes = np.unique(y[known])
        if len(y) != len(codes) or len(classes) != 2:
            raise ValueError(
                f"y has {len(y)} labels of the classes {classes.tolist()} for {len(codes)} "
                "samples: give one label for each, of two classes, such as False and True."
            )
        without, with_it = (codes[known & (y == label)].mean(0) for label in classes)
        return with_it - without
