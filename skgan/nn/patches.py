"""A first layer of whitened patches of the training images, which has nothing to learn.

    r_k = d_k . W p / (|p|^2 + floor^2)^(1/2)           for every window of x, p: less its mean
    h   = max(0, r - 1/4) and max(0, -r - 1/4)

W is the whitening of windows, d_k are k random patches, whitened, of norm 1: the features of Coates
and Ng 2011 ("The importance of encoding versus training with sparse coding and vector
quantization", ICML) as feature maps, on which further layers are trained.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..utils.devices import without_autocast
from ..utils.whitening import (
    N_PATCHES,
    N_VALUES,
    normalised_patches,
    random_windows,
    usual_patch,
    whitened_filters,
)
from .blocks import Block
from .norms import FromData

LARGEST = 6  # pixels
THRESHOLD = 0.25  # in units of a response's standard deviation
WHITENING = 1.0  # of `RandomPatchFeatures`, chosen on training images


class WhitenedPatches(FromData):
    """x (n, c, h, w) -> r and -r, responses (n, 2 n_filters, h / stride, w / stride).

    Parameters
    ----------
    n_channels, n_filters : int
    size : int
        Side of the patches, in pixels.
    stride : int
    trained : bool
        Whether the filters are parameters, which training changes.
    """

    weight: Tensor
    floor: Tensor

    def __init__(self, n_channels: int, n_filters: int, size: int, stride: int, trained: bool):
        super().__init__()
        weight = torch.zeros(n_filters, n_channels, size, size)
        if trained:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)
        self.register_buffer("floor", torch.zeros(()))
        self.trained, self.stride, before = trained, stride, (size - stride) // 2
        self.margins = (before, size - stride - before) * 2

    def start(self) -> None:
        self.weight.zero_()
        self.floor.zero_()

    def start_from(self, x: Tensor, rng: torch.Generator) -> None:
        x = (x - x.mean((1, 2, 3), keepdim=True)).cpu()
        size, d = self.weight.shape[2], self.weight[0].numel()
        wanted = min(N_PATCHES, max(2, N_VALUES // d))
        windows = random_windows(x, size, -(-2 * wanted // len(x)), rng)
        patches, floor = normalised_patches(windows, wanted, rng)
        filters = whitened_filters(patches, len(self.weight), WHITENING, rng)
        self.weight.copy_(filters.view_as(self.weight))
        self.floor.fill_(floor)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, self.margins, mode="replicate")
        weight = self.weight
        if self.trained:  # training would let filters see brightness
            weight = weight - weight.mean((1, 2, 3), keepdim=True)
        r = F.conv2d(x, weight, stride=self.stride)
        with without_autocast(x):
            x = x.float()
            x = x - x.mean((1, 2, 3), keepdim=True)
            both = torch.cat([x.mean(1, keepdim=True), x.square().mean(1, keepdim=True)], dim=1)
            mean, square = F.avg_pool2d(both, self.weight.shape[2], self.stride).split(1, dim=1)
            d = self.weight[0].numel()
            norms = (d * (square - mean.square()).clamp(min=0) + self.floor.square()).sqrt()
            gain = norms.clamp(min=torch.finfo(norms.dtype).tiny).reciprocal()
        r = r * gain.to(r.dtype)
        return torch.cat([r, -r], dim=1)


class SoftThreshold(nn.Module):
    """max(0, r - threshold)."""

    def forward(self, r: Tensor) -> Tensor:
        return F.relu_(r - THRESHOLD)


def patch_block(
    image_shape: tuple[int, int, int], n_outputs: int, stride: int, trained: bool
) -> Block:
    """The first block of a network on images: n_outputs / 2 patches, two-sided."""
    size = min(LARGEST, usual_patch(min(image_shape[1:])))
    layer = WhitenedPatches(image_shape[0], n_outputs // 2, size, stride, trained)
    return Block(layer, nn.Identity(), SoftThreshold())
