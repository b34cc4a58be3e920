"""BiGAN: an encoder learnt with the GAN (Donahue et al. 2017, arXiv 1605.09782).

    min_{G,E} max_D  E_x log D(x, E(x)) + E_z log(1 - D(G(z), z))

Against the best D, E and G are at their best where the pairs (x, E(x)) and (G(z), z) have one
distribution: D is then at 1/2 everywhere (theorem 1), and E and G invert each other (theorem 2).
G and E are trained on the inverse objective of sec. 3.4,
1/2 [-log(1 - D(x, E(x))) - log D(G(z), z)]: E wants D(x, E(x)) -> 0, G wants D(G(z), z) -> 1.
With encoder_output="gaussian", latent="normal" this is ALI (Dumoulin et al. 2017, arXiv
1606.00704); `unary` adds BigBiGAN's terms (arXiv 1907.02544). With `info_weight` the GAN inside is
an InfoGAN (Chen et al. 2016, arXiv 1606.03657, sec. 4 and 5), whose Q is part of E: G and E also
minimise

    -lambda L_I(G, E)       L_I = E_(c, x ~ G(z)) log Q(c | x) + H(c)  <=  I(c; G(z))

for the categories c in z, with Q(c | x) the probabilities that E(x) has in their place.

| paper | here |
|---|---|
| G, E, D | generator, encoder, discriminator |
| x, z | `batch.x`, `batch.latent()` |
| G(z), E(x) | `x_hat`, `z_hat` |
| g_X (sec. 3.5) | `resize` |
| lambda, -E log Q(c given G(z)) = H(c) - L_I | `info_weight`, `_nll` |
"""

import math
from numbers import Integral
from typing import Any

from ..base import BaseGAN
from ..critics import CriticParameters
from ..density import DensityRatioMixin
from ..losses import JOINT_LOSSES, cross_entropy
from ..nn import build_network
from ..nn.codes import ENCODER_OUTPUTS, resize
from ..nn.init import zero_head
from ..parameters import CategoricalPriorParameters, GeneratorParameters
from ..reconstruction import ReconstructionMixin
from ..utils.checks import check_choice, check_flag, check_number, check_size
from ..utils.parameters import parameter, parameters

LARGEST_SIDE = 2**14  # of images, in pixels
# Of single short trials on held-out digits of 28x28 pixels (docs/measurements/stabilisers.md).
BEST = {"encoder": "patches", "augment": "auto"}


@parameters
class BiGANEncoder(
    CategoricalPriorParameters, GeneratorParameters, ReconstructionMixin, CriticParameters,
    DensityRatioMixin, BaseGAN,
):  # fmt: skip
    """Features from the encoder of a BiGAN, trained without labels.

    `fit` plays the game of Donahue et al. 2017: D tells pairs (x, E(x)) from (G(z), z), and E
    and G together make it fail. All three move at once (sec. 3.4). `transform` returns the
    encoder's penultimate layer, the code E(x), or the encoder's layers; `inverse_transform` and
    `reconstruct` go back through G.

    Parameters
    ----------
    discriminator : str, spec, callable or Module
        The same choices as for `generator`; a callable is called as
        `f(input_shape=, norm=, latent_dim=, unary=)`. It maps samples and codes, D(x, z), to logits
        of shape (n,) or (n, 1), or with `unary` to scores (n, 3) of x, z and both. Networks by name
        or spec add a linear map of z to each of their layers after the first.
    encoder_output : {"squashed", "linear", "gaussian"}
        How the encoder's output a becomes E(x): 2 sigma(a) - 1, which lies in the uniform prior's
        support; a itself; or mu + sigma eps with noise eps in training, and mu afterwards.
        "squashed" is an error with latent="normal".
    unary : bool
        BigBiGAN's game: hinge losses on three scores, of x alone, z alone, and the pair.
    play : {"simultaneous", "alternating"}
        Whether all networks move at once, from the same point, or D first and then the others.
    encoder_size, generator_size : int, (h, w) or None
        Size in pixels of the images that the encoder sees, and of those that G makes (sec. 3.5).
        Images of other sizes are resized. None is the size of X.
    info_weight : float
        Weight lambda of the information of `categories` in the losses of G and E: what E makes of
        generated samples is to tell the categories that they were made from (InfoGAN; Chen et al.
        2016, sec. 4). It needs `categories`. 0: the categories play no part but in the game.

    Attributes
    ----------
    history_ : list of dict
        As for other games; and with `info_weight` the bound L_I in nats, by the batches of
        training: "information_categorical", at most sum(log(categories)), of which
        "information_share" is the share that is reached.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import BiGANEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> bigan = BiGANEncoder(image_shape=(8, 8), n_epochs=1, random_state=0).fit(X)
    >>> bigan.transform(X).shape, bigan.reconstruct(X).shape
    ((1797, 256), (1797, 64))
    """

    encoder_output: str = parameter(default="squashed", shapes=True)
    unary: bool = parameter(default=False, shapes=True)
    play: str = "simultaneous"
    encoder_size: Any = parameter(default=None, shapes=True)
    generator_size: Any = parameter(default=None, shapes=True)
    info_weight: float = 0.0

    _networks = ("generator", "encoder", "discriminator")
    _presets = {"best": BEST}

    def _check(self):
        check_choice("encoder_output", self.encoder_output, ENCODER_OUTPUTS)
        check_choice("play", self.play, ("simultaneous", "alternating"))
        check_flag("unary", self.unary)
        for name in ("encoder_size", "generator_size"):
            size = getattr(self, name)
            pair = isinstance(size, (tuple, list)) and len(size) == 2
            for side in () if size is None else size if pair else [size]:
                check_size(name, side, low=8, high=LARGEST_SIDE, instead="(h, w) or None")
        check_number("info_weight", self.info_weight, low=0)
        super()._check()
        if self.info_weight and not len(self.categories):
            raise ValueError(
                f"info_weight={self.info_weight!r} with categories=() has no code to tell: give "
                "categories, such as categories=(10,), or use info_weight=0."
            )
        if self.encoder_output == "squashed" and self.latent != "uniform":
            raise ValueError(
                f"encoder_output='squashed' keeps codes in (-1, 1), but latent={self.latent!r} "
                "draws numbers beyond: use encoder_output='linear' or 'gaussian'."
            )

    def _shape(self, role, shape):
        """Shape of the samples that a network works on, with its own h and w where it has any."""
        size = getattr(self, f"{role}_size")
        if size is None:
            return shape
        if len(shape) != 3:
            raise ValueError(f"{role}_size={size!r} is for images: use None for a table.")
        return (shape[0], size, size) if isinstance(size, Integral) else (shape[0], *size)

    def _build(self, shape, rng):
        prior = self._prior()
        x_shape, e_shape = self._shape("generator", shape), self._shape("encoder", shape)
        return {
            "generator": build_network(
                "generator", self.generator, rng, latent_dim=prior.dim, output_shape=x_shape
            ),
            "encoder": build_network(
                "encoder", self.encoder, rng, input_shape=e_shape,
                n_outputs=prior.n_outputs(self.encoder_output),
            ),
            # Paper: as in the released code, D begins undecided: both losses are log 2.
            "discriminator": zero_head(build_network(
                "discriminator", self.discriminator, rng, input_shape=x_shape, norm=self.norm,
                latent_dim=prior.dim, unary=bool(self.unary),
            )),
        }  # fmt: skip

    def _as_encoded(self, x):
        """Samples at the size that E works at."""
        return resize(x, self._shape("encoder", self.input_shape_)[1:])

    def _encoder_output(self, nets, x):
        """What the encoder makes of samples at the size of X: the numbers a of codes."""
        return nets.encoder(self._as_encoded(x))

    def _encode(self, nets, x, noise=None):
        """E(x)."""
        return self._prior().code(self._encoder_output(nets, x), self.encoder_output, noise)

    def _as_generated(self, x):
        """g_X(x): samples at the size that G works at."""
        return resize(x, self._shape("generator", self.input_shape_)[1:])

    def _step(self, nets, batch, update):
        G, D = nets.generator, nets.discriminator
        tell_apart, confuse = JOINT_LOSSES[bool(self.unary)]

        x, z = self._as_generated(batch.x), batch.latent()
        x_hat, z_hat = G(z), self._encode(nets, batch.x, batch.normal)
        encoded, generated = D(x, z_hat), D(x_hat, z)
        l_d = tell_apart(encoded, generated) + self._added(D, batch, (x, z_hat), (x_hat, z))
        l_i = self._information_lost(nets, batch, x_hat, z) if self.info_weight else 0.0
        if self.play == "simultaneous":
            both = confuse(encoded, generated) + l_i
            l_g = both + self._added_to_generator(D, batch, x_hat)
            update(discriminator=l_d, generator=l_g, encoder=both)
        else:
            update(discriminator=l_d)
            both = confuse(D(x, z_hat), D(x_hat, z)) + l_i
            update(generator=both + self._added_to_generator(D, batch, x_hat), encoder=both)
        batch.log(discriminator_real=encoded, discriminator_generated=generated)

    def _nll(self, a, z):
        """-E log Q(c | G(z)) in nats, for the encoder's outputs a of samples from z."""
        sizes = [self.latent_dim, *self._categories()]
        _, *scores, _ = a.split([*sizes, a.shape[1] - sum(sizes)], dim=1)
        _, *one_hot = z.split(sizes, dim=1)
        each = zip(scores, one_hot, strict=True)
        return sum(cross_entropy(s, c.argmax(1)) for s, c in each)

    def _information_lost(self, nets, batch, x_hat, z):
        """Lambda (H(c) - L_I); H(c) is constant."""
        # Paper: InfoGAN's Q shares the layers of D. Here D sees codes, which give c away, and E
        # has Q's task already; so Q learns from the game as well, and from real samples.
        a = self._encoder_output(nets, resize(x_hat, self.input_shape_[1:]))
        nll = self._nll(a, z)
        entropy = math.fsum(map(math.log, self.categories))
        batch.log(information_categorical=entropy - nll, information_share=1 - nll / entropy)
        return self.info_weight * nll

    def _decode(self, nets, z):
        return resize(nets.generator(z), self.input_shape_[1:])

    def _layers(self, nets, role, x, tap):
        if role == "discriminator":
            raise ValueError("it judges pairs of samples and codes")
        return super()._layers(nets, role, self._as_encoded(x), tap)

    def _logits(self, nets, x):
        return nets.discriminator(self._as_generated(x), self._encode(nets, x))

    def _no_ratio(self):
        return "unary=True" if self.unary else ""

    def _no_heads(self):
        pairs = (
            "does not go with unary=False, whose critic judges pairs (x, z) only: use unary=True"
        )
        return "" if self.unary else pairs

    def _refresh(self, nets, x, z):
        nets.discriminator(self._as_generated(x), self._encode(nets, x))
        nets.generator(z)

    def _extractor(self, nets):
        prior = self._prior()
        # Paper: its 1-NN on codes takes the encoder's output a; here the code is E(x), which G
        # understands.
        return self._encoder_features(
            nets.encoder, prior.names(), prior.decoder(self.encoder_output),
            self._shape("encoder", self.input_shape_),
        )  # fmt: skip
