"""The convolutional family of DCGAN (Radford et al. 2016, arXiv 1511.06434, sec. 3).

Strided convolutions down, fractionally strided ones up, no pooling and no hidden dense layer;
ReLU in G with tanh at its end, LeakyReLU(0.2) in D. `channels` and `strides` are always listed
as D sees them, shallow to deep; G runs them backwards.

Sizes: images whose sides are not multiples of the product of the strides are padded around
their centre with -1 (the lowest value of the images' range) on their way into D, and G's output
is cropped around its centre: 28x28 runs as 32x32.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import Block, Critic, make_norm, maybe_spectral

FUSION_GRID = 4  # the maps that a head fuses are pooled to 4x4, as in MARTA GAN


def working_size(side: int, strides: tuple[int, ...]) -> int:
    """The side in pixels at which an image of `side` pixels runs through the strides."""
    total = math.prod(strides)
    return math.ceil(side / total) * total


def _margins(h: int, w: int, strides: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Padding (left, right, top, bottom) in pixels, the odd pixel at the end."""
    dh, dw = working_size(h, strides) - h, working_size(w, strides) - w
    return dw // 2, dw - dw // 2, dh // 2, dh - dh // 2


class DCGANDiscriminator(Critic):
    """x (n, c, h, w) in [-1, 1] -> logit (n,).

    Parameters
    ----------
    image_shape : (c, h, w)
    channels, strides : tuple of int
        One entry a block, shallow to deep.
    kernel_size : int
    norm : {"batch", "none", "spectral"}
    head_layers : int
        How many of the last blocks the head reads. With more than one they are max-pooled to
        4x4 and joined, shallow to deep (MARTA GAN, arXiv 1612.08879).
    """

    def __init__(self, image_shape, channels, strides, kernel_size=4, norm="batch", head_layers=1):
        super().__init__()
        self.recipe = {
            "image_shape": tuple(image_shape), "channels": tuple(channels),
            "strides": tuple(strides), "kernel_size": kernel_size, "norm": norm,
            "head_layers": head_layers,
        }  # fmt: skip
        self.head_layers = head_layers
        c, h, w = image_shape
        self.margins = _margins(h, w, strides)
        sides = working_size(h, strides), working_size(w, strides)
        widths, self.blocks = [], nn.ModuleList()
        for i, (c_out, stride) in enumerate(zip(channels, strides, strict=True)):
            # DCGAN's code has no biases at all; without batch norm nothing else can shift.
            conv = nn.Conv2d(
                c, c_out, kernel_size, stride, (kernel_size - 1) // 2, bias=norm != "batch"
            )
            norm_layer = make_norm(norm, c_out, spatial=True, first=i == 0)
            self.blocks.append(
                Block(maybe_spectral(conv, norm), norm_layer, nn.LeakyReLU(0.2, inplace=True))
            )
            sides = sides[0] // stride, sides[1] // stride
            cells = sides if head_layers == 1 else [min(FUSION_GRID, s) for s in sides]
            widths.append(c_out * math.prod(cells))
            c = c_out
        self.head = maybe_spectral(nn.Linear(sum(widths[-head_layers:]), 1, bias=False), norm)

    def prepare(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        return F.pad(x, self.margins, value=-1.0) if any(self.margins) else x

    def fuse(self, maps: list[Tensor]) -> Tensor:
        if self.head_layers > 1:
            maps = [pool_to_grid(m, FUSION_GRID, "max") for m in maps[-self.head_layers :]]
        return super().fuse(maps)


class DCGANGenerator(nn.Module):
    """z (n, latent_dim) -> x (n, c, h, w) in [-1, 1].

    Parameters
    ----------
    latent_dim : int
    image_shape : (c, h, w)
    channels, strides : tuple of int
        As the discriminator lists them, shallow to deep.
    kernel_size : int
    """

    def __init__(self, latent_dim, image_shape, channels, strides, kernel_size=4):
        super().__init__()
        self.recipe = {
            "latent_dim": latent_dim, "image_shape": tuple(image_shape),
            "channels": tuple(channels), "strides": tuple(strides), "kernel_size": kernel_size,
        }  # fmt: skip
        c, h, w = self.image_shape = tuple(image_shape)
        self.margins = _margins(h, w, strides)
        total = math.prod(strides)
        self.grid = channels[-1], math.ceil(h / total), math.ceil(w / total)
        self.project = nn.Linear(latent_dim, math.prod(self.grid), bias=False)
        # Paper: the released code normalises this layer per unit; per channel here, as every
        # later layer.
        layers: list[nn.Module] = [nn.BatchNorm2d(channels[-1]), nn.ReLU(inplace=True)]
        pad = (kernel_size - 1) // 2
        ups = zip(channels[::-1], [*channels[-2::-1], c], strides[::-1], strict=True)
        for c_in, c_out, stride in ups:
            last = len(layers) == 2 + 3 * (len(channels) - 1)
            extra = stride + 2 * pad - kernel_size
            layers.append(
                nn.ConvTranspose2d(c_in, c_out, kernel_size, stride, pad, extra, bias=last)
            )
            layers += [nn.Tanh()] if last else [nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        x = self.layers(self.project(z).unflatten(1, self.grid))
        left, _, top, _ = self.margins
        _, h, w = self.image_shape
        return x[:, :, top : top + h, left : left + w]


def pool_to_grid(x: Tensor, grid: int | None, pool: str) -> Tensor:
    """Pool maps (n, c, h, w) to grid x grid; maps smaller than the grid keep their size.

    Where the grid divides the side this is non-overlapping pooling with kernel side / grid
    (DCGAN sec. 5.1). Vectors (n, k) and `grid=None` pass as they are.
    """
    if grid is None or x.ndim == 2:
        return x
    size = min(grid, x.shape[2]), min(grid, x.shape[3])
    if size == tuple(x.shape[2:]):
        return x
    pooling = F.adaptive_max_pool2d if pool == "max" else F.adaptive_avg_pool2d
    return torch.as_tensor(pooling(x, size))
