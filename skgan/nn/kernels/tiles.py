"""Convolutions of 4x4 kernels and stride 2 in float32, with 9/16 of the multiplications.

If images and kernels are cut into blocks of 2x2 values, the convolution becomes one with kernels of
2x2 blocks and stride 1. Along one axis, two neighbouring outputs of a kernel of two values need
three products instead of four,

    y0 = s0 g0 + s1 g1 = m0 + m1        m0 = (s0 - s1) g0
    y1 = s1 g0 + s2 g1 = m1 - m2        m1 = s1 (g0 + g1)        m2 = (s1 - s2) g1

so a tile of 2x2 outputs takes nine instead of sixteen (Winograd's F(2, 2), in rows and columns).
All tiles together make nine matrix products. The gradients are the same steps in reverse order.
The transforms only add and subtract, so the rounding is like that of any float32 convolution.

Tensors are (n, h, w, c); x is the large side and y the small side, as in `windows.py`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 2**21  # how many values of tiles are computed at a time: about what fits in a cache


@dataclass(frozen=True)
class Tiles:
    """The three products of a convolution or, with the sides swapped, of a transposed one.

    Attributes
    ----------
    large, small : (height, width)
        `large` is twice `small`, whose sides are even.
    """

    large: tuple[int, int]
    small: tuple[int, int]

    def small_side(self, x: Tensor, weight: "TiledWeight") -> Tensor:
        """(n, *large, c) -> (n, *small, c')."""
        out = x.new_empty(len(x), *self.small, weight.n_small)
        step = self._step(weight.n_large)
        for part, y in zip(x.split(step), out.split(step), strict=True):
            _outputs(torch.bmm(_inputs(part), weight.matrices.mT), y)
        return out

    def large_side(self, y: Tensor, weight: "TiledWeight") -> Tensor:
        """(n, *small, c') -> (n, *large, c), the adjoint of `small_side`."""
        out = y.new_empty(len(y), *self.large, weight.n_large)
        step = self._step(weight.n_large)
        for part, x in zip(y.split(step), out.split(step), strict=True):
            _inputs_adjoint(torch.bmm(_outputs_adjoint(part), weight.matrices), x)
        return out

    def weight(self, x: Tensor, y: Tensor) -> Tensor:
        """The gradient of the weight: (c', c, 4, 4)."""
        n_large, n_small = x.shape[3], y.shape[3]
        step = self._step(n_large)
        total = x.new_zeros(9, n_small, 4 * n_large)
        for part, g in zip(x.split(step), y.split(step), strict=True):
            total.baddbmm_(_outputs_adjoint(g).mT, _inputs(part))
        return _taps_adjoint(total).permute(0, 3, 1, 2)

    def _step(self, n_large: int) -> int:
        """The number of images at a time."""
        return max(1, CHUNK // (9 * math.prod(self.small) * n_large))


class TiledWeight:
    """A weight (c', c, 4, 4), the small side's channels first, in the layout that tiles need."""

    def __init__(self, weight: Tensor):
        self.version = weight._version
        self.n_small, self.n_large = weight.shape[:2]
        # (u, a) is row 2 u + a of the kernel: row a of block u.
        g = weight.detach().permute(0, 2, 3, 1).reshape(self.n_small, 2, 2, 2, 2, self.n_large)
        g = _sums(_sums(g.permute(1, 3, 0, 2, 4, 5), 0), 1)
        self.matrices = g.reshape(9, self.n_small, 4 * self.n_large)


def _sums(g: Tensor, dim: int) -> Tensor:
    """g0, g0 + g1, g1."""
    g0, g1 = g.unbind(dim)
    return torch.stack([g0, g0 + g1, g1], dim)


def _taps_adjoint(total: Tensor) -> Tensor:
    """The adjoint of `TiledWeight`'s linear map on weights: (9, c', 4 c) -> (c', 4, 4, c)."""
    m = total.view(3, 3, total.shape[1], 2, 2, -1)
    u = torch.stack([m[0] + m[1], m[1] + m[2]])
    uv = torch.stack([u[:, 0] + u[:, 1], u[:, 1] + u[:, 2]], 1)
    return uv.permute(2, 0, 3, 1, 4, 5).reshape(total.shape[1], 4, 4, -1)


def _inputs(x: Tensor) -> Tensor:
    """(n, h, w, c) -> (9, tiles, 4 c): s0 - s1, s1, s1 - s2 of rows, and of columns."""
    n, h, w, c = x.shape
    cells = F.pad(x, (0, 0, 1, 1, 1, 1)).view(n, h // 2 + 1, 2, w // 2 + 1, 2, c)
    out = x.new_empty(3, 3, n, h // 4, w // 4, 2, 2, c)
    even, odd = cells[:, 0::2], cells[:, 1::2]
    rows = even[:, :-1] - odd, odd, odd - even[:, 1:]
    for row, m in zip(rows, out.transpose(4, 5), strict=True):
        even, odd = row[:, :, :, 0::2], row[:, :, :, 1::2]
        torch.sub(even[:, :, :, :-1], odd, out=m[0])
        m[1].copy_(odd)
        torch.sub(odd, even[:, :, :, 1:], out=m[2])
    return out.view(9, -1, 4 * c)


def _inputs_adjoint(m: Tensor, x: Tensor) -> None:
    """The adjoint of `_inputs`, into x."""
    n, h, w, c = x.shape
    v = m.view(3, 3, n, h // 4, w // 4, 2, 2, c)
    rows = m.new_empty(3, n, h // 4, w // 2 + 1, 2, 2, c)
    rows[:, :, :, 0:-1:2] = v[:, 0]
    rows[:, :, :, -1] = 0
    rows[:, :, :, 2::2] -= v[:, 2]
    torch.add(v[:, 1], v[:, 2], out=rows[:, :, :, 1::2])
    rows[:, :, :, 1::2] -= v[:, 0]
    image = m.new_empty(n, h // 2 + 1, 2, w // 2 + 1, 2, c)
    cells = image.transpose(2, 3)
    cells[:, 0:-1:2] = rows[0]
    cells[:, -1] = 0
    cells[:, 2::2] -= rows[2]
    torch.add(rows[1], rows[2], out=cells[:, 1::2])
    cells[:, 1::2] -= rows[0]
    x.copy_(image.view(n, h + 2, w + 2, c)[:, 1:-1, 1:-1])


def _outputs(m: Tensor, y: Tensor) -> None:
    """(9, tiles, c') -> m0 + m1 and m1 - m2 of columns, and of rows, into y (n, h, w, c')."""
    n, h, w, c = y.shape
    m, y = m.view(3, 3, n, h // 2, w // 2, c), y.view(n, h // 2, 2, w // 2, 2, c)
    for j, column in enumerate((m[:, 0] + m[:, 1], m[:, 1] - m[:, 2])):
        torch.add(column[0], column[1], out=y[:, :, 0, :, j])
        torch.sub(column[1], column[2], out=y[:, :, 1, :, j])


def _outputs_adjoint(y: Tensor) -> Tensor:
    """The adjoint of `_outputs`: (n, h, w, c') -> (9, tiles, c')."""
    n, h, w, c = y.shape
    y = y.view(n, h // 2, 2, w // 2, 2, c)
    out = y.new_empty(3, 3, n, h // 2, w // 2, c)
    y0, y1 = y[:, :, 0], y[:, :, 1]
    for row, m in zip((y0, y0 + y1, -y1), out, strict=True):
        left, right = row[:, :, :, 0], row[:, :, :, 1]
        m[0].copy_(left)
        torch.add(left, right, out=m[1])
        torch.neg(right, out=m[2])
    return out.view(9, -1, c)
