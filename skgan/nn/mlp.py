"""The dense family: G and D for plain vectors, and for images taken without their grid.

Two hidden layers by default, batch norm everywhere but G's output and D's input, as BiGAN's
permutation-invariant networks have it (Donahue et al. 2017, arXiv 1605.09782, sec. 4.2).
"""

import math

from torch import Tensor, nn

from .blocks import Block, Critic, make_norm, maybe_spectral


class MLPDiscriminator(Critic):
    """x (n, *input_shape) -> logit (n,).

    Parameters
    ----------
    input_shape : (d,) for tables, (c, h, w) for images
    widths : tuple of int
        Hidden units, a layer each, shallow to deep.
    norm : {"batch", "none", "spectral"}
    """

    def __init__(self, input_shape, widths, norm="batch"):
        super().__init__()
        self.recipe = {"input_shape": tuple(input_shape), "widths": tuple(widths), "norm": norm}
        self.blocks = nn.ModuleList()
        d = math.prod(input_shape)
        for i, width in enumerate(widths):
            linear = nn.Linear(d, width, bias=norm != "batch" or i == 0)
            norm_layer = make_norm(norm, width, spatial=False, first=i == 0)
            self.blocks.append(
                Block(maybe_spectral(linear, norm), norm_layer, nn.LeakyReLU(0.2, inplace=True))
            )
            d = width
        self.head = maybe_spectral(nn.Linear(d, 1, bias=False), norm)

    def prepare(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class MLPGenerator(nn.Module):
    """z (n, latent_dim) -> x (n, *output_shape): linear output for tables, tanh for images."""

    def __init__(self, latent_dim, output_shape, widths):
        super().__init__()
        self.recipe = {
            "latent_dim": latent_dim, "output_shape": tuple(output_shape), "widths": tuple(widths),
        }  # fmt: skip
        self.output_shape = tuple(output_shape)
        layers: list[nn.Module] = []
        d = latent_dim
        for width in widths:
            layers += [
                nn.Linear(d, width, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(inplace=True),
            ]
            d = width
        layers.append(nn.Linear(d, math.prod(output_shape)))
        if len(output_shape) == 3:
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.output_shape)
