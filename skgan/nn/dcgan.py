"""The convolutional family of DCGAN (Radford et al. 2016, arXiv 1511.06434, sec. 3).

D has strided convolutions and LeakyReLU(0.2), or CReLU; G has transposed ones, ReLU, and tanh at
its end. There is no pooling and no hidden dense layer. `channels` and `strides` are always listed
in D's order, shallow to deep; G uses them in reverse.

Sizes: images whose sides are not multiples of the product of the strides are padded on all sides
with -1 (the lowest value of the images' range) before D, and G's output is cropped around its
centre: images of 28x28 pixels are processed at 32x32.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import (
    Critic,
    Encoder,
    OneOfSeveral,
    Trunk,
    add_map,
    add_noise,
    before,
    make_block,
    map_of_z,
    recorded,
    regularise,
)
from .norms import instance_normalised
from .patches import patch_block

FUSION_GRID = 4  # several layers that one head reads are pooled to 4x4, as in MARTA GAN


def working_size(side: int, strides: tuple[int, ...]) -> int:
    """`side` in pixels, rounded up to a multiple of the product of the strides."""
    total = math.prod(strides)
    return math.ceil(side / total) * total


def _margins(h: int, w: int, strides: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Padding (left, right, top, bottom) in pixels; an odd pixel goes to the right or bottom."""
    dh, dw = working_size(h, strides) - h, working_size(w, strides) - w
    return dw // 2, dw - dw // 2, dh // 2, dh - dh // 2


def _grow(
    net, image_shape, channels, strides, kernel_size, norm, head_layers, bn_affine,
    latent_dim=None, feature_dim=None, first_layer="learnt", activation="leaky_relu",
    downsample="stride", norm_first=False,
) -> int:  # fmt: skip
    """Build the blocks of a trunk on images, and return how many values its head reads."""
    net.head_layers = head_layers
    c, h, w = image_shape
    net.margins = _margins(h, w, strides)
    sides = working_size(h, strides), working_size(w, strides)
    widths, net.blocks = [], nn.ModuleList()
    for i, (c_out, stride) in enumerate(zip(channels, strides, strict=True)):
        # DCGAN's code has no biases; without batch norm, which has shifts, layers need them.
        padding = (kernel_size - 1) // 2
        k = before(c_out, activation)
        pooled = downsample == "max" and stride == 2
        conv = nn.Conv2d(c, k, kernel_size, 1 if pooled else stride, padding, bias=norm != "batch")
        if i == 0 and first_layer != "learnt":
            block = patch_block(image_shape, c_out, stride, trained=first_layer != "patches")
        else:
            first = i == 0 and not norm_first
            block = make_block(
                conv, k, norm, first=first, affine=bn_affine, latent_dim=latent_dim,
                activation=activation,
            )  # fmt: skip
            if pooled:
                block.activation = nn.Sequential(block.activation, nn.MaxPool2d(2))
        net.blocks.append(block)
        sides = sides[0] // stride, sides[1] // stride
        cells = sides if head_layers == 1 else [min(FUSION_GRID, s) for s in sides]
        widths.append(c_out * math.prod(cells))
        c = c_out
    if feature_dim is not None:
        # A convolution over the whole feature maps: its output is one position, and has no norm.
        conv = nn.Conv2d(c, feature_dim, sides)
        net.blocks.append(make_block(conv, feature_dim, norm, plain=True))
        widths.append(feature_dim)
    return sum(widths[-head_layers:])


class _OnImages(Trunk):
    """The input and the end of a trunk built by `_grow`."""

    margins: tuple[int, int, int, int]

    def prepare(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        if self.instance_norm:  # 0 is then the mean of each channel
            x = instance_normalised(x)
        lowest = 0.0 if self.instance_norm else -1.0
        return F.pad(x, self.margins, value=lowest) if any(self.margins) else x

    def fuse(self, maps: list[Tensor]) -> Tensor:
        if self.head_layers > 1:
            maps = [pool_to_grid(m, FUSION_GRID, "max") for m in maps[-self.head_layers :]]
        return super().fuse(maps)


class DCGANDiscriminator(_OnImages, Critic):
    """x (n, c, h, w) in [-1, 1] -> logit (n,), or (x, z) -> logit (n,), or x -> (n, n_outputs).

    Parameters
    ----------
    image_shape : (c, h, w)
    channels, strides : tuple of int
        One entry per block, shallow to deep.
    kernel_size : int
    norm : {"batch", "none", "spectral", "weight"}
    head_layers : int
        How many of the last blocks the head reads. More than one are max-pooled to 4x4 and joined,
        shallow to deep (MARTA GAN, arXiv 1612.08879).
    bn_affine : bool
        Whether batch norm has learnt gains and shifts, and weight norm learnt gains.
    latent_dim : int or None
        Size of z, for a joint critic.
    feature_dim : int or None
        Outputs of a last linear layer on the whole deepest feature maps, which the head reads.
    n_outputs : int or None
        Outputs of a classifier's head; None for a critic, which has a single logit.
    first_layer : {"learnt", "patches", "trained_patches"}
        Whether the first block is a convolution, or whitened patches (see `nn.patches`), fixed or
        trained on.
    activation : {"leaky_relu", "crelu", "relu", "sigmoid"}
        With CReLU a block's convolution has half of its channels.
    noise : (float, float)
        Standard deviations of noise in training, on the input and after every block.
    downsample : {"stride", "max"}
        Whether convolutions of stride 2 have that stride, or stride 1 and max-pooling after the
        activation.
    norm_first : bool
        Whether the first block has batch norm, too.
    dropout : float
        Probability with which an output of a block is set to 0 in training.
    instance_norm : bool
        Whether each image is normalised by its own means and standard deviations.
    n_domains : int or None
        Number of domains that have batch norm of their own; None: one for all samples.
    """

    @recorded
    def __init__(
        self, image_shape, channels, strides, kernel_size=4, norm="batch", head_layers=1,
        bn_affine=True, latent_dim=None, feature_dim=None, n_outputs=None, first_layer="learnt",
        activation="leaky_relu", noise=(0.0, 0.0), downsample="stride",
        norm_first=False, dropout=0.0, instance_norm=False, n_domains=None,
    ):  # fmt: skip
        super().__init__()
        width = _grow(
            self, image_shape, channels, strides, kernel_size, norm, head_layers, bn_affine,
            latent_dim, feature_dim, first_layer, activation, downsample,
            norm_first,
        )  # fmt: skip
        add_noise(self.blocks, noise)
        regularise(self, dropout, instance_norm, n_domains)
        self.set_head(width, n_outputs, norm)


class DCGANEncoder(_OnImages, Encoder):
    """x (n, c, h, w) in [-1, 1] -> (n, n_outputs).

    Parameters
    ----------
    n_outputs : int
    image_shape, channels, strides, kernel_size, head_layers, bn_affine, first_layer, activation
        As for the discriminator.
    """

    @recorded
    def __init__(
        self, n_outputs, image_shape, channels, strides, kernel_size=4, head_layers=1,
        bn_affine=True, first_layer="learnt", activation="leaky_relu",
    ):  # fmt: skip
        super().__init__()
        width = _grow(
            self, image_shape, channels, strides, kernel_size, "batch", head_layers, bn_affine,
            first_layer=first_layer, activation=activation,
        )  # fmt: skip
        self.head = nn.Linear(width, n_outputs)


class DCGANGenerator(nn.Module):
    """z (n, latent_dim) -> x (n, c, h, w) in [-1, 1].

    Parameters
    ----------
    latent_dim : int
    image_shape : (c, h, w)
    channels, strides : tuple of int
        In the discriminator's order, shallow to deep.
    kernel_size : int
    bn_affine : bool
        Whether batch norm has learnt gains and shifts.
    z_injection : bool
        Whether hidden layers after the first add a linear map of z (BiGAN's released code).
    n_generators : int or None
        Number of generators in a mixture (MGAN): each has its own first layer and batch norm, and
        they share all other layers. z is then (n, latent_dim + n_generators), and its one-hot part
        chooses the generator.
    """

    @recorded
    def __init__(
        self, latent_dim, image_shape, channels, strides, kernel_size=4, bn_affine=True,
        z_injection=False, n_generators=None,
    ):  # fmt: skip
        super().__init__()
        c, h, w = self.image_shape = image_shape
        self.margins = _margins(h, w, strides)
        total = math.prod(strides)
        self.grid = channels[-1], math.ceil(h / total), math.ceil(w / total)

        def first() -> list[nn.Module]:
            # Paper: the released code normalises each unit of this layer; here each channel, as in
            # all later layers.
            norm = nn.BatchNorm2d(channels[-1], affine=bn_affine)
            return [nn.Linear(latent_dim, math.prod(self.grid), bias=False), norm]

        self.latent_dim = latent_dim
        layers: list[nn.Module] = [nn.Identity(), nn.ReLU(inplace=True)]
        if n_generators is None:
            self.project, layers[0] = first()
        else:
            firsts = [first() for _ in range(n_generators)]
            parts = [nn.Sequential(p, nn.Unflatten(1, self.grid), norm) for p, norm in firsts]
            self.project = OneOfSeveral(parts)
        self.inject = nn.ModuleDict()  # by the index of the layer to whose output it is added
        pad = (kernel_size - 1) // 2
        ups = zip(channels[::-1], [*channels[-2::-1], c], strides[::-1], strict=True)
        for i, (c_in, c_out, stride) in enumerate(ups, 1):
            # Paper: the released code has no biases; here the last layer has one, because no batch
            # norm follows it.
            last = i == len(channels)
            extra = stride + 2 * pad - kernel_size
            if z_injection and not last:
                self.inject[str(len(layers))] = map_of_z(latent_dim, c_out)
            layers += [nn.ConvTranspose2d(c_in, c_out, kernel_size, stride, pad, extra, bias=last)]
            if last:
                layers.append(nn.Tanh())
            else:
                layers += [nn.BatchNorm2d(c_out, affine=bn_affine), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        x = self.project(z).view(-1, *self.grid)
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if str(i) in self.inject:
                x = add_map(x, self.inject[str(i)](z[:, : self.latent_dim]))
        left, _, top, _ = self.margins
        _, h, w = self.image_shape
        return x[:, :, top : top + h, left : left + w]


def pool_to_grid(x: Tensor, grid: int | None, pool: str) -> Tensor:
    """Pool feature maps (n, c, h, w) to grid x grid; sides smaller than the grid keep their size.

    Where the grid divides a side, this is non-overlapping pooling with kernels of side / grid
    (DCGAN sec. 5.1). Anything else, such as vectors (n, k), is returned as it is, and so is
    everything with `grid=None`.
    """
    if grid is None or x.ndim != 4:
        return x
    size = min(grid, x.shape[2]), min(grid, x.shape[3])
    if size == tuple(x.shape[2:]):
        return x
    pooling: Any = F.adaptive_max_pool2d if pool == "max" else F.adaptive_avg_pool2d
    return pooling(x, size)
