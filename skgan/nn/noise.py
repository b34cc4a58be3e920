"""Noise in the layers of a network, which regularises its training and is absent from its use."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..utils.processes import drawn
from ..utils.seeds import layers_rng


def set_noise(net: nn.Module) -> None:
    """Let the layers of noise work as in training, whatever the mode of all others."""
    for module in net.modules():
        if isinstance(module, (GaussianNoise, Dropout)):
            module.train()


class GaussianNoise(nn.Module):
    """h + sigma e in training, with e from N(0, 1) for every number of h; h itself in eval mode.

    In a fit e is drawn from the generator of the fit; outside of one, from PyTorch's global one.
    """

    def __init__(self, sigma: float):
        super().__init__()
        self.sigma = sigma

    def extra_repr(self) -> str:
        return f"sigma={self.sigma}"

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return h
        return h + self.sigma * _noise(torch.randn, h).to(h)


class Dropout(nn.Module):
    """In training each number of h becomes 0 with probability p, and else h / (1 - p).

    Drawn as `GaussianNoise` is: PyTorch's own layer can draw from the global generator alone.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return h
        kept = _noise(torch.rand, h) >= self.p
        return h * (kept / (1 - self.p)).to(h)


def _noise(kind: Callable[..., Tensor], h: Tensor) -> Tensor:
    """Drawn on the CPU in float32, so that all devices have the same noise."""
    rng = layers_rng()
    return drawn(lambda n: kind(n, *h.shape[1:], generator=rng, dtype=torch.float32), len(h))
