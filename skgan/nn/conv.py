"""Convolutions and dense layers as bfloat16 matrix products, for CPUs with matrix units (AMX).

Stock bfloat16 convolutions leave those units idle in most of a GAN's layers. With images stored
(n, h, w, c), and a convolution as the map from a large side x to a small side y,

    y     = windows(x) Wᵀ         a row of k·k·c values for every window; Wᵀ is (k·k·c, c')
    x     = Σ over phases         the adjoint: a pixel (s·i + a, s·j + b) of the large side sees
            windows_b(y) V_ab     the same few kernel taps at every (i, j): one product a phase
    dL/dW = yᵀ windows(x)

serve a convolution (forward, input gradient, weight gradient) and, with the sides swapped, a
transposed one. A dense layer is a convolution of single pixels. Operands are bfloat16, sums
float32; weights, their gradients and optimizers stay float32.

`Products` is the context in which PyTorch's own layers compute so. It decides by fixed rules on
the layer's shape, so layers, files and method code know nothing of it.
"""

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

KERNELS, STRIDES = (1, 3, 4, 5), (1, 2)
CHUNK = 2**22  # values that are gathered at a time: about what stays in a cache

# Weights of a layer from which on products are worth their switching on, and thinnest product.
HEAVY_CONV, HEAVY_LINEAR, THIN = 2**15, 2**18, 16


def cpu_has_products() -> bool:
    """Whether this CPU multiplies bfloat16 matrices several times faster than float32 ones.

    AMX has been measured to. oneDNN's limit on instruction sets is heeded.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "ALL")).upper()
    allowed = limit in ("ALL", "DEFAULT", "") or "AMX" in limit
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return allowed and torch.backends.mkldnn.is_available() and bool(has_amx())


def products_pay(nets: Iterable[nn.Module]) -> bool:
    """Whether bfloat16 products speed these networks up on this CPU."""
    return cpu_has_products() and any(_is_heavy(m) for net in nets for m in net.modules())


def _is_heavy(module: nn.Module) -> bool:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        return module.weight.numel() >= HEAVY_CONV
    return isinstance(module, nn.Linear) and module.weight.numel() >= HEAVY_LINEAR


# -------------------------------------------------------------------- the three products


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """a b of bfloat16 matrices, summed in float32, rounded to bfloat16.

    CPUs without matrix units compute the same by way of float32: to compare results with, not
    for speed.
    """
    if cpu_has_products():
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
        """Whether one window is the whole image: then nothing has to be gathered."""
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
        per_image = math.prod(self.small) * matrix.shape[0]
        step = max(1, CHUNK // per_image)
        for part, y in zip(x.split(step), out.split(step), strict=True):
            product(self.gather(part), matrix, out=y.view(-1, weight.n_small))
        return out

    def large_side(self, y: Tensor, weight: "Packed") -> Tensor:
        """(n, *small, c') -> (n, *large, c), the adjoint of `small_side`."""
        n, c = len(y), weight.n_large
        if self.trivial:
            return product(y.reshape(n, -1), weight.matrix).view(n, *self.large, c)
        s, phases = self.stride, weight.phases(self)
        grid = math.ceil(self.large[0] / s), math.ceil(self.large[1] / s)
        out = y.new_empty(n, grid[0], s, grid[1], s, c)
        top, bottom = _span([rows for rows, _, _ in phases.values()])
        per_image = math.prod(grid) * self.kernel**2 * weight.n_small
        step = max(1, CHUNK // per_image)
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

    def weight(self, x: Tensor, y: Tensor) -> Tensor:
        """sum of y^T x over all windows: (c', c, k, k), float32."""
        k = self.kernel
        rows = product(y.reshape(-1, y.shape[-1]).T, self.gather(x))
        return rows.float().view(y.shape[-1], k, k, x.shape[-1]).permute(0, 3, 1, 2)


def _gather(x: Tensor, size, stride: int, start, grid) -> Tensor:
    """(n, h, w, c) -> (n * gh * gw, size_h * size_w * c): windows at start + stride * (i, j).

    What lies outside of the image is zero.
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
    """A weight (c', c, k, k), the small side's channels first, as the products want it."""

    def __init__(self, weight: Tensor):
        self.version = weight._version
        self.n_small, self.n_large = weight.shape[:2]
        rows = weight.detach().permute(0, 2, 3, 1).to(torch.bfloat16)
        self.matrix = rows.reshape(self.n_small, -1)
        self._phases: dict[tuple[int, int], dict[tuple[int, int], Phase]] = {}

    def phases(self, windows: Windows) -> dict[tuple[int, int], Phase]:
        """By phase (a, b): first and last row, and column, of the taps; their weights (K, c).

        A tap i of the kernel carries pixel s·q + a of the large side to row q + (a + p - i) / s
        of the small one.
        """
        k, s, p = windows.kernel, windows.stride, windows.padding
        if (s, p) not in self._phases:
            self._phases[s, p] = {}
            rows = self.matrix.view(self.n_small, k, k, self.n_large)
            taps = {a: range((a + p) % s, k, s)[::-1] for a in range(s)}
            span = {a: ((a + p - t[0]) // s, (a + p - t[-1]) // s) for a, t in taps.items()}
            for a in range(s):
                for b in range(s):
                    v = rows[:, list(taps[a])][:, :, list(taps[b])].permute(1, 2, 0, 3)
                    self._phases[s, p][a, b] = span[a], span[b], v.reshape(-1, self.n_large)
        return self._phases[s, p]


# -------------------------------------------------------------------- their gradients

# Which gradients a call of `autograd.grad` wants is known to its nodes alone. So each of the two
# is a node of its own behind a stand-in for the output, and one that is not wanted is never run:
# neither the weight gradients of a network that does not move, nor the gradient of a network's
# input. Both keep the weight itself, whose version tells a loss that was computed before it moved.


def _first_derivatives_only() -> None:
    if torch.is_grad_enabled():  # autograd was asked for a graph of the gradient
        raise RuntimeError("bfloat16 products have no second derivatives: set precision='float32'.")


class _InputGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, stand_in, compute):
        ctx.save_for_backward(weight)
        ctx.compute = compute
        return stand_in.view_as(stand_in)

    @staticmethod
    def backward(ctx, g):
        _first_derivatives_only()
        ctx.saved_tensors  # noqa: B018 - raises if the weight has moved
        return ctx.compute(g), None, None, None


class _WeightGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, x, stand_in, compute):
        ctx.save_for_backward(weight, x)
        ctx.compute = compute
        return stand_in.view_as(stand_in)

    @staticmethod
    def backward(ctx, g):
        _first_derivatives_only()
        _, x = ctx.saved_tensors
        return ctx.compute(x, g), None, None, None


class _Output(torch.autograd.Function):
    """The value, with the gradients' nodes behind it."""

    @staticmethod
    def forward(ctx, box, *stand_ins):
        ctx.n = len(stand_ins)
        return box.pop()

    @staticmethod
    def backward(ctx, g):
        _first_derivatives_only()
        return None, *([g] * ctx.n)


def _apply(windows: Windows, x: Tensor, weight: Tensor, packed: Packed, *, up: bool) -> Tensor:
    """Small side from large one, or with `up` the other way round, on (n, h, w, c) tensors."""
    source = x.detach()
    value = windows.large_side(source, packed) if up else windows.small_side(source, packed)
    if not torch.is_grad_enabled():
        return value
    stand_in = value.new_empty(()).expand(value.shape)
    stand_ins = []
    if x.requires_grad:

        def input_gradient(g):
            g = g.contiguous()
            return windows.small_side(g, packed) if up else windows.large_side(g, packed)

        # Detached, or a wish for the weight's gradient would run this node as well.
        stand_ins.append(_InputGradient.apply(x, weight.detach(), stand_in, input_gradient))
    if weight.requires_grad:

        def weight_gradient(x, g):
            large, small = (g, x) if up else (x, g)
            return windows.weight(large.contiguous(), small.contiguous()).view_as(weight)

        stand_ins.append(_WeightGradient.apply(weight, source, stand_in, weight_gradient))
    return _Output.apply([value], *stand_ins) if stand_ins else value


# -------------------------------------------------------------------- PyTorch's layers


class Products(TorchFunctionMode):
    """A context in which convolutions and dense layers run as bfloat16 products.

    Every layer that has no fast product (groups, dilation, other kernels, thin heads) runs in
    float32 on PyTorch's own kernels, so a critic's logits, and the losses, are float32. All else
    follows autocast's rules for bfloat16. Second derivatives are an error: take them outside.
    """

    def __init__(self) -> None:
        super().__init__()
        self._packed = WeakIdKeyDictionary()
        self._autocast: list[torch.autocast] = []

    def __enter__(self):
        self._autocast.append(torch.autocast("cpu", torch.bfloat16))
        self._autocast[-1].__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._autocast.pop().__exit__(*error)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        layer = LAYERS.get(func)
        if layer is None:
            return func(*args, **kwargs or {})
        out = layer(self, *args, **kwargs or {})
        if out is not None:
            return out
        with torch.autocast("cpu", enabled=False):
            x, *rest = args
            half = isinstance(x, Tensor) and x.dtype == torch.bfloat16
            return func(x.float() if half else x, *rest, **kwargs or {})

    def packed(self, weight: Tensor) -> Packed:
        """The weight as products want it, cast once after each move."""
        found = self._packed.get(weight)
        if found is None or found.version != weight._version:
            found = Packed(weight if weight.ndim == 4 else weight[:, :, None, None])
            self._packed[weight] = found
        return found


def _conv2d(mode, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    k, s, p = _geometry(weight, stride, padding, dilation, groups)
    if not k or not _is_product(input, weight, rows=weight.shape[0], columns=weight[0].numel()):
        return None
    large = tuple(input.shape[2:])
    small = tuple((side + 2 * p - k) // s + 1 for side in large)
    if min(small) < 1:
        return None
    windows = Windows(k, s, p, large, small)
    x = input.to(torch.bfloat16).permute(0, 2, 3, 1).contiguous()
    y = _apply(windows, x, weight, mode.packed(weight), up=False)
    return _add_bias(y.permute(0, 3, 1, 2), bias)


def _conv_transpose2d(
    mode, input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):  # fmt: skip
    k, s, p = _geometry(weight, stride, padding, dilation, groups)
    if not k or not _is_product(input, weight, rows=weight[0].numel(), columns=weight.shape[0]):
        return None
    extra = _square(output_padding)
    if extra is None:
        return None
    small = tuple(input.shape[2:])
    large = tuple(s * (side - 1) + k - 2 * p + extra for side in small)
    if min(large) < 1:
        return None
    windows = Windows(k, s, p, large, small)
    x = input.to(torch.bfloat16).permute(0, 2, 3, 1).contiguous()
    y = _apply(windows, x, weight, mode.packed(weight), up=True)
    return _add_bias(y.permute(0, 3, 1, 2), bias)


def _linear(mode, input, weight, bias=None):
    big = weight.numel() >= HEAVY_LINEAR
    if not big or not _is_product(input, weight, rows=weight.shape[0], columns=weight.shape[1]):
        return None
    x = input.to(torch.bfloat16).reshape(-1, 1, 1, weight.shape[1])
    y = _apply(Windows(1, 1, 0, (1, 1), (1, 1)), x, weight, mode.packed(weight), up=False)
    return _add_bias(y.reshape(*input.shape[:-1], weight.shape[0]), bias, channel=-1)


def _is_product(x: Tensor, weight: Tensor, *, rows: int, columns: int) -> bool:
    on_cpu = x.device.type == "cpu" and weight.dtype == torch.float32
    batched = x.numel() > 0 and (weight.ndim == 2 or x.ndim == 4)
    return on_cpu and batched and min(rows, columns) >= THIN


def _geometry(weight, stride, padding, dilation, groups) -> tuple[int, int, int]:
    """Kernel, stride and padding where they are square and have products; else zeros."""
    k, s, p = _square(tuple(weight.shape[2:])), _square(stride), _square(padding)
    usual = groups == 1 and _square(dilation) == 1
    if not usual or k not in KERNELS or s not in STRIDES or p is None or p >= k or s > k:
        return 0, 0, 0
    return k, s, p


def _square(value: Any) -> int | None:
    if isinstance(value, int):
        return value
    sides = set(value) if isinstance(value, (tuple, list)) else set()
    return sides.pop() if len(sides) == 1 else None


def _add_bias(y: Tensor, bias: Tensor | None, channel: int = 1) -> Tensor:
    if bias is None:
        return y
    return y + bias.to(y.dtype).view([-1 if i == channel % y.ndim else 1 for i in range(y.ndim)])


LAYERS: dict[Any, Callable[..., Tensor | None]] = {
    torch.conv2d: _conv2d,
    torch.conv_transpose2d: _conv_transpose2d,
    F.linear: _linear,
}
