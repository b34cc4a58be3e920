"""The latent variable z: draws from the prior, and how an encoder's output becomes a code."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ENCODER_OUTPUTS = ("squashed", "linear", "gaussian")
OUTPUTS = ("penultimate", "latent", "layers")  # the features that `transform` may return


@dataclass(frozen=True)
class Prior:
    """U(-1, 1) or N(0, 1) numbers, then U(-1, 1) codes and one-hot categories (InfoGAN).

    All are independent, and the categories of a part equally likely.

    Attributes
    ----------
    latent : {"uniform", "normal"}
    latent_dim : int
        How many uniform or normal numbers.
    categories : tuple of int
        Number of categories in each one-hot part.
    n_continuous : int
        How many U(-1, 1) codes stand between the numbers and the one-hot parts.
    """

    latent: str
    latent_dim: int
    categories: tuple[int, ...] = ()
    n_continuous: int = 0

    @property
    def dim(self) -> int:
        return self.latent_dim + self.n_continuous + sum(self.categories)

    def draw(self, n: int, rng: torch.Generator, component: Any = None) -> Tensor:
        """n draws (n, dim); `component`, one or one for each, is the category in the first part."""

        def uniform(d: int) -> Tensor:
            return torch.rand(n, d, generator=rng, dtype=torch.float32) * 2 - 1

        if self.latent == "uniform":
            parts = [uniform(self.latent_dim)]
        else:
            parts = [torch.randn(n, self.latent_dim, generator=rng, dtype=torch.float32)]
        if self.n_continuous:
            parts.append(uniform(self.n_continuous))
        for i, k in enumerate(self.categories):
            chosen = torch.randint(k, (n,), generator=rng)
            if i == 0 and component is not None:
                chosen.copy_(torch.as_tensor(component))
            parts.append(F.one_hot(chosen, k).float())
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def names(self) -> list[str]:
        """The names of z's entries."""
        names = [f"latent{i}" for i in range(self.latent_dim)]
        names += [f"continuous{i}" for i in range(self.n_continuous)]
        return names + [f"category{j}_{i}" for j, k in enumerate(self.categories) for i in range(k)]

    def n_outputs(self, encoder_output: str) -> int:
        """How many outputs an encoder needs: for "gaussian" a mean and a log standard deviation."""
        return self.dim + self.latent_dim * (encoder_output == "gaussian")

    def code(self, a: Tensor, encoder_output: str, noise: Callable[..., Tensor] | None = None):
        """The code z (n, dim) for an encoder's output a (n, n_outputs).

        "squashed" is 2 sigma(a) - 1, "linear" is a, and "gaussian" is mu + exp(s) eps with eps from
        `noise(*shape)`, or mu if there is no `noise`. One-hot parts become softmax probabilities.
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
    """Resize images (n, c, h, w) to `size`, bilinear with antialiasing; tables stay as they are."""
    if x.ndim != 4 or x.shape[2:] == size:
        return x
    # On CPUs PyTorch has no such filter for bfloat16.
    return F.interpolate(x.float(), size, mode="bilinear", antialias=True, align_corners=False)
