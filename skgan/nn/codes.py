"""What z is: draws from the prior, and how an encoder's output becomes a z."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

ENCODER_OUTPUTS = ("squashed", "linear", "gaussian")
OUTPUTS = ("penultimate", "latent", "layers")  # what `transform` may return of an encoder


@dataclass(frozen=True)
class Prior:
    """Independent U(-1, 1) or N(0, 1) numbers, then one-hot parts with equal chances (InfoGAN).

    Attributes
    ----------
    latent : {"uniform", "normal"}
    latent_dim : int
        How many numbers.
    categories : tuple of int
        Sizes of the one-hot parts.
    """

    latent: str
    latent_dim: int
    categories: tuple[int, ...] = ()

    @property
    def dim(self) -> int:
        return self.latent_dim + sum(self.categories)

    def draw(self, n: int, rng: torch.Generator, component: int | None = None) -> Tensor:
        """n draws (n, dim); with `component` the first one-hot part is that one in all of them."""
        if self.latent == "uniform":
            parts = [torch.rand(n, self.latent_dim, generator=rng, dtype=torch.float32) * 2 - 1]
        else:
            parts = [torch.randn(n, self.latent_dim, generator=rng, dtype=torch.float32)]
        for i, k in enumerate(self.categories):
            chosen = torch.randint(k, (n,), generator=rng)
            if i == 0 and component is not None:
                chosen.fill_(component)
            parts.append(F.one_hot(chosen, k).float())
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def names(self) -> list[str]:
        """Of z's parts."""
        names = [f"latent{i}" for i in range(self.latent_dim)]
        return names + [f"category{j}_{i}" for j, k in enumerate(self.categories) for i in range(k)]

    def n_outputs(self, encoder_output: str) -> int:
        """How many numbers an encoder says about one row: "gaussian" has a mean and a spread."""
        return self.dim + self.latent_dim * (encoder_output == "gaussian")

    def code(self, a: Tensor, encoder_output: str, noise: Callable[..., Tensor] | None = None):
        """An encoder's output a (n, n_outputs) as z (n, dim).

        "squashed" is 2 sigma(a) - 1, "linear" is a, and "gaussian" mu + exp(s) eps with eps from
        `noise(*shape)`, or mu without it. One-hot parts become softmax probabilities.
        """
        sizes = [self.latent_dim, *self.categories]
        if encoder_output == "gaussian":
            sizes.append(self.latent_dim)
        value, *rest = a.split(sizes, dim=1)
        if encoder_output == "squashed":
            value = 2 * value.sigmoid() - 1
        elif encoder_output == "gaussian":
            log_spread = rest.pop()
            if noise is not None:
                value = value + log_spread.exp() * noise(*value.shape)
        if not rest:
            return value
        return torch.cat([value, *(logits.softmax(1) for logits in rest)], dim=1)

    def decoder(self, encoder_output: str) -> Callable[[Tensor], Tensor]:
        """`code` without noise, as a function of a alone that can be pickled."""
        return partial(self.code, encoder_output=encoder_output)


def resize(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Images (n, c, h, w) at h x w pixels: bilinear, without aliasing. Tables stay as they are."""
    if x.ndim != 4 or x.shape[2:] == size:
        return x
    # CPUs have no such filter for bfloat16.
    return F.interpolate(x.float(), size, mode="bilinear", antialias=True, align_corners=False)
