"""Sums over windows of images as bfloat16 matrix products.

Images are stored as (n, h, w, c). A convolution maps the large side x to the small side y; windows
of k x k pixels are the rows of a matrix:

    y     = windows(x) Wᵀ         a row has the k·k·c values of one window; Wᵀ is (k·k·c, c')
    x     = Σ over phases         the adjoint: pixels (s·i + a, s·j + b) of the large side depend on
            windows_b(y) V_ab     the same few kernel entries at every (i, j): one product per phase
                                  (a, b). Images of few channels: y W, whose windows are added up
    dL/dW = yᵀ windows(x)

Operands are bfloat16, sums float32.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 2**22  # how many values are gathered at a time: about what fits in a cache
THIN = 16  # an image with fewer channels is thin


def cpu_has_products() -> bool:
    """Whether this CPU has matrix units for bfloat16 (AMX)."""
    return _cpu_has("amx_tile", ("AMX",))


def cpu_has_half_kernels() -> bool:
    """Whether this CPU has bfloat16 vectors (AVX512-BF16) but no matrix units."""
    return not cpu_has_products() and _cpu_has("avx512_bf16", ("BF16", "FP16", "AVX10", "AMX"))


def _cpu_has(unit: str, limits: tuple[str, ...]) -> bool:
    """Whether the CPU has a unit that oneDNN's limit on instruction sets allows.

    `limits` has (parts of) the names of all limits that allow it.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    allowed = limit in ("ALL", "DEFAULT", "") or any(name in limit for name in limits)
    has = getattr(torch.cpu, f"_is_{unit}_supported", lambda: False)
    return allowed and torch.backends.mkldnn.is_available() and bool(has())


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """a b for bfloat16 matrices, summed in float32 and rounded to bfloat16.

    CPUs without bfloat16 compute it in float32, for comparison of results and not for speed.
    """
    if cpu_has_products() or cpu_has_half_kernels():
        return torch.mm(a, b) if out is None else torch.mm(a, b, out=out)
    with torch.autocast("cpu", enabled=False):
        exact = a.float() @ b.float()
    return exact.to(a.dtype) if out is None else out.copy_(exact)


@dataclass(frozen=True)
class Windows:
    """Windows of kernel x kernel pixels, one for each pixel of the small side.

    Attributes
    ----------
    large, small : (height, width)
    """

    kernel: int
    stride: int
    padding: int
    large: tuple[int, int]
    small: tuple[int, int]

    @property
    def trivial(self) -> bool:
        """Whether one window is the whole image, so that nothing has to be gathered."""
        whole = self.large == (self.kernel, self.kernel)
        return whole and self.small == (1, 1) and self.padding == 0

    def gather(self, x: Tensor) -> Tensor:
        """(n, *large, c) -> (n * windows, k*k*c)."""
        if self.trivial:
            return x.reshape(len(x), -1)
        k, s, p = self.kernel, self.stride, self.padding
        return _gather(x, (k, k), s, (-p, -p), self.small)

    def small_side(self, x: Tensor, weight: "Packed") -> Tensor:
        """(n, *large, c) -> (n, *small, c')."""
        out = x.new_empty(len(x), *self.small, weight.n_small)
        matrix = weight.matrix.T
        step = max(1, CHUNK // (math.prod(self.small) * matrix.shape[0]))
        for part, y in zip(x.split(step), out.split(step), strict=True):
            product(self.gather(part), matrix, out=y.view(-1, weight.n_small))
        return out

    def large_side(self, y: Tensor, weight: "Packed") -> Tensor:
        """(n, *small, c') -> (n, *large, c), the adjoint of `small_side`."""
        n, c = len(y), weight.n_large
        if self.trivial:
            return product(y.reshape(n, -1), weight.matrix).view(n, *self.large, c)
        if c < THIN:
            return self._fold(y, weight)
        s, phases = self.stride, weight.phases(self)
        grid = math.ceil(self.large[0] / s), math.ceil(self.large[1] / s)
        out = y.new_empty(n, grid[0], s, grid[1], s, c)
        top, bottom = _span([rows for rows, _, _ in phases.values()])
        step = max(1, CHUNK // (math.prod(grid) * self.kernel**2 * weight.n_small))
        for part, x in zip(y.split(step), out.split(step), strict=True):
            for b in range(s):
                left, right = next(cols for (_, j), (_, cols, _) in phases.items() if j == b)
                size = bottom - top + 1, right - left + 1
                gathered = _gather(part, size, 1, (top, left), grid).unflatten(1, (size[0], -1))
                for a in range(s):
                    (first, last), _, v = phases[a, b]
                    taps = gathered[:, first - top : last - top + 1].flatten(1)
                    x[:, :, a, :, b] = product(taps, v).view(-1, *grid, c)
        x = out.view(n, grid[0] * s, grid[1] * s, c)
        return x[:, : self.large[0], : self.large[1]].contiguous()

    def _fold(self, y: Tensor, weight: "Packed") -> Tensor:
        """`large_side` for few channels: one product, whose overlapping windows are added up."""
        n, c, k, s, p = len(y), weight.n_large, self.kernel, self.stride, self.padding
        down, across = (s * (m - 1) + 1 for m in self.small)
        height, width = max(down + k, p + self.large[0]), max(across + k, p + self.large[1])
        out = torch.zeros(n, height, width, c, dtype=torch.float32)
        windows = product(y.reshape(-1, weight.n_small), weight.matrix)
        windows = windows.view(n, *self.small, k, k, c)
        for i in range(k):
            for j in range(k):
                out[:, i : i + down : s, j : j + across : s] += windows[:, :, :, i, j]
        return out[:, p : p + self.large[0], p : p + self.large[1]].to(y.dtype).contiguous()

    def weight(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of y^T x over all windows: (c', c, k, k), float32."""
        k, n_small, n_large = self.kernel, y.shape[-1], x.shape[-1]
        step = max(1, CHUNK // (math.prod(self.small) * k * k * n_large))
        total = None
        for part, g in zip(x.split(step), y.split(step), strict=True):
            rows = product(g.reshape(-1, n_small).T, self.gather(part))
            total = rows.float() if total is None else total.add_(rows)
        assert total is not None
        return total.view(n_small, k, k, n_large).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class KernelWindows(Windows):
    """Windows for which PyTorch's own kernels do all but the weight gradient, a product."""

    def small_side(self, x: Tensor, weight: "Packed") -> Tensor:
        return self._convolve(x, weight, (0, 0), up=False)

    def large_side(self, y: Tensor, weight: "Packed") -> Tensor:
        k, s, p = self.kernel, self.stride, self.padding
        sides = zip(self.large, self.small, strict=True)
        return self._convolve(y, weight, [a - s * (b - 1) - k + 2 * p for a, b in sides], up=True)

    def _convolve(self, x: Tensor, weight: "Packed", extra, *, up: bool) -> Tensor:
        k, s, p = ([v, v] for v in (self.kernel, self.stride, self.padding))
        kernel = weight.matrix.view(-1, *k, weight.n_large).permute(0, 3, 1, 2)
        # Not through one of the functions that `Layers` intercepts.
        out = torch.ops.aten.convolution(
            x.permute(0, 3, 1, 2), kernel, None, s, p, [1, 1], up, extra, 1
        )
        return out.permute(0, 2, 3, 1).contiguous()


def _gather(x: Tensor, size, stride: int, start, grid) -> Tensor:
    """(n, h, w, c) -> (n * gh * gw, size_h * size_w * c): windows at start + stride * (i, j).

    Outside of the image all values are zero.
    """
    n, h, w, c = x.shape
    (kh, kw), (top, left), (gh, gw) = size, start, grid
    bottom = top + stride * (gh - 1) + kh
    right = left + stride * (gw - 1) + kw
    x = F.pad(x, (0, 0, -left, right - w, -top, bottom - h)).contiguous()
    a, b, d, _ = x.stride()
    windows = x.as_strided((n, gh, gw, kh, kw, c), (a, stride * b, stride * d, b, d, 1))
    return windows.reshape(n * gh * gw, kh * kw * c)


def _span(ranges: Iterable[tuple[int, int]]) -> tuple[int, int]:
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


Phase = tuple[tuple[int, int], tuple[int, int], Tensor]


class Packed:
    """A weight (c', c, k, k), the small side's channels first, in the layout of the products."""

    def __init__(self, weight: Tensor):
        self.version = weight._version
        self.n_small, self.n_large = weight.shape[:2]
        half = weight.detach().to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        self.matrix = half.permute(0, 2, 3, 1).reshape(self.n_small, -1)
        self._phases: dict[tuple[int, int], dict[tuple[int, int], Phase]] = {}

    def phases(self, windows: Windows) -> dict[tuple[int, int], Phase]:
        """For each phase (a, b): first and last row, and column, on the small side; weights (K, c).

        Row i of the kernel connects row s·q + a of the large side to row q + (a + p - i) / s of the
        small side. The kernel rows ("taps") of a phase are those for which this is an integer, and
        the ranges are relative to q.
        """
        k, s, p = windows.kernel, windows.stride, windows.padding
        if (s, p) not in self._phases:
            self._phases[s, p] = {}
            # Higher taps connect to lower rows of the small side: reverse the taps.
            reverse = self.matrix.view(self.n_small, k, k, self.n_large).flip(1, 2)
            taps = {a: range((a + p) % s, k, s) for a in range(s)}
            span = {a: ((a + p - t[-1]) // s, (a + p - t[0]) // s) for a, t in taps.items()}
            for a in range(s):
                for b in range(s):
                    v = reverse[:, k - 1 - taps[a][-1] :: s, k - 1 - taps[b][-1] :: s]
                    v = v.permute(1, 2, 0, 3).reshape(-1, self.n_large)
                    self._phases[s, p][a, b] = span[a], span[b], v
        return self._phases[s, p]
