"""A contrastive discriminator (ContraD; Jeong and Shin, ICLR 2021, arXiv 2103.09742).

    L_trunk = L_con+(v1, v2) + lambda L_con-(v1, v2, G(z))        (eq. 8)
    L_D     = -E log sigma(d(v1)) - E log(1 - sigma(d(G(z))))     d: the head on features that L_D
    L_G     = -E log sigma(d(G(z)))                                  does not move

v1 and v2 are two views of each real sample: random changes T(x) of it. Generated samples are seen
through T as well. The trunk learns by contrast alone: L_con+ is SimCLR's loss on the views of real
samples, by a projection head of its own; L_con- is the supervised contrastive loss by another, in
which all generated samples are one class, and no two real ones are. d is a small head on the trunk:
it judges by what the trunk has learnt, and G is trained against it.

| paper | here |
|---|---|
| f | trunk |
| h+, h- | projection, fake_projection |
| d | discriminator |
| T | `augment` |
| lambda | `generator_weight` |
"""

from typing import Any

import torch

from ..base import BaseGAN, WholeNetwork
from ..critics import CriticParameters
from ..density import DensityRatioMixin
from ..losses import contrast_generated, ns_discriminator, ns_generator, nt_xent
from ..nn import Head, HeadInput, SideBySide, build_heads, build_network
from ..parameters import (
    GeneratorParameters,
    PriorParameters,
    TrunkFeatures,
    TrunkParameters,
)
from ..utils.checks import check_choice, check_number, check_size
from ..utils.parameters import parameter, parameters

# Of short trials on held-out digits and clothes of 28x28 pixels (docs/measurements/stabilisers.md).
WITH_GENERATOR = {
    "discriminator": "patches", "temperature": 0.5, "lr": 1e-3, "generator_lr": 2e-4,
    "batch_size": 128, "n_hidden": 512, "n_projection": 64, "output": "both",
}  # fmt: skip
BEST = WITH_GENERATOR | {"generator_weight": 0.0}


@parameters
class ContrastiveDiscriminatorFeatures(
    PriorParameters, GeneratorParameters, CriticParameters, TrunkParameters, TrunkFeatures,
    DensityRatioMixin, BaseGAN,
):  # fmt: skip
    """Features from a discriminator that learns by contrast, trained without labels.

    `fit` trains the trunk of the discriminator to tell whether two random changes of samples are of
    the same sample, and to tell generated samples from real ones; a small head on it and the
    generator play a GAN's game (Jeong and Shin 2021, sec. 3). `transform` returns the last layer
    of the trunk, or the layers that `layers` and the parameters after it choose, or the hidden
    layer of the projection head.

    Parameters
    ----------
    temperature : float
        Cosine similarities are divided by it, in both contrastive losses.
    generator_weight : float
        Weight lambda of the contrastive loss of generated samples. 0 switches the GAN off: the
        trunk learns from real samples alone (SimCLR), and the generator stays untrained.
    n_hidden, n_projection : int
        Units of the hidden layer of all three heads, and of the projections that are compared.
    output : {"trunk", "projection", "both"}
        What `transform` returns: the layers of the trunk that `layers`, `tap`, `pool_grid` and
        `pool` choose; the hidden layer of the projection head, which varies less under the changes
        of `augment` (Chen et al. 2020, arXiv 2006.10029); or both, each scaled to length 1.
    projection_lr, fake_projection_lr : float or None
        Learning rate of a projection head. None: `lr`.

    Attributes
    ----------
    discriminator_ : Module
        The trunk with the discriminator's head, in eval mode: samples -> logits (n,).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import ContrastiveDiscriminatorFeatures
    >>> X, _ = load_digits(return_X_y=True)
    >>> contrad = ContrastiveDiscriminatorFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> contrad.fit_transform(X).shape
    (1797, 256)
    """

    temperature: float = 0.1
    generator_weight: float = 1.0
    n_hidden: int = 128
    n_projection: int = 128
    output: str = parameter(default="trunk", free=True)
    projection_lr: float | None = None
    fake_projection_lr: float | None = None
    augment: Any = "auto"
    norm: str = "spectral"
    batch_size: int = 512
    weight_decay: float = 0.0
    latent_dim: int = parameter(default=128, shapes=True)
    layers: Any = -1
    pool_grid: int | None = None

    _networks = ("generator", "trunk", "discriminator", "projection", "fake_projection")
    _presets = {"best": BEST, "generator": WITH_GENERATOR}
    discriminator_ = WholeNetwork("The trunk with the discriminator's head: samples -> (n,).")

    def _check(self):
        check_number("temperature", self.temperature, low=0, open_low=True)
        check_number("generator_weight", self.generator_weight, low=0)
        for name in ("n_hidden", "n_projection"):
            check_size(name, getattr(self, name))
        check_choice("output", self.output, ("trunk", "projection", "both"))
        if self.augment is None:
            raise ValueError(
                "augment=None leaves nothing to learn: the trunk learns from random changes of "
                "samples. Use augment='auto', or a policy of your own."
            )
        super()._check()

    def _build(self, shape, rng):
        generator = build_network(
            "generator", self.generator, rng, latent_dim=self.latent_dim, output_shape=shape
        )
        projection = Head("embedding", self.n_projection, self.n_hidden)
        heads = {
            "discriminator": Head("logit", n_hidden=self.n_hidden),
            "projection": projection,
            "fake_projection": projection,
        }
        nets = build_heads(self.discriminator, rng, heads, input_shape=shape, norm=self.norm)
        return {"generator": generator} | nets

    def _step(self, nets, batch, update):
        G, D, x, lam = nets.generator, nets.discriminator, batch.x, self.generator_weight
        n, t = len(x), self.temperature

        if lam == 0:
            _, h = D(torch.cat([x, x]), nets.projection)
            contrast = nt_xent(h[:n], h[n:], temperature=t)
            update(trunk=contrast, projection=contrast)
            return
        # D sees every sample changed by T, each copy of x in its own way.
        x_hat = G(batch.latent())
        logit, h, h_ = D(torch.cat([x, x, x_hat]), nets.projection, nets.fake_projection)
        contrast = nt_xent(h[:n], h[n : 2 * n], temperature=t)
        contrast = contrast + lam * contrast_generated(*h_.split(n), temperature=t)
        real, generated = logit[:n], logit[2 * n :]
        l_d = ns_discriminator(real, generated) + self._added(D, batch, (x,), (x_hat,))
        # The features that d judges are stopped: l_d moves d alone.
        update(trunk=contrast, projection=contrast, fake_projection=contrast, discriminator=l_d)
        batch.log(discriminator_real=real, discriminator_generated=generated)

        update(generator=ns_generator(D(x_hat)))

    def _extractor(self, nets):
        trunk = super()._extractor(nets)
        if self.output == "trunk":
            return trunk
        projection = HeadInput(nets.projection, self.input_shape_, "projection_unit")
        return projection if self.output == "projection" else SideBySide([trunk, projection])

    def _logits(self, nets, x):
        return nets.discriminator(x)

    def _no_ratio(self):
        return "generator_weight=0" if self.generator_weight == 0 else ""

    def _no_heads(self):
        return (
            "does not reach the trunk, which learns by contrast alone: use another class, such as "
            "DCGANDiscriminatorFeatures"
        )

    def _refresh(self, nets, x, z):
        nets.discriminator(x)
        nets.generator(z)
