"""Convolutions and dense layers as matrix products, on CPUs where these are faster.

`Products` is for CPUs with matrix units (AMX), which PyTorch's own bfloat16 convolutions leave idle
in most of a GAN's layers. `windows.py` has the three products of a convolution (forward, input
gradient, weight gradient); with input and output swapped they are those of a transposed one. A
dense layer is a convolution on images of one pixel. Weights, their gradients and optimizers stay
float32.

`HalfKernels` is for CPUs with bfloat16 vectors but no matrix units (AVX512-BF16), where PyTorch's
convolutions are as fast as products. Products are used only where they are faster: for weight
gradients, images of few channels, and kernels as large as their image.

`TiledConvolutions` is for CPUs that have AVX2 and nothing newer. All is float32, but wide layers of
4x4 kernels and stride 2 use the products of `tiles.py`, which need fewer multiplications.

These are contexts, in which PyTorch's own layers compute in this way. They choose by fixed rules on
the layer's shape, so that no other code depends on them.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from .tiles import TiledWeight, Tiles
from .windows import THIN, KernelWindows, Packed, Windows, cpu_has_half_kernels, cpu_has_products

__all__ = [
    "HalfKernels", "Products", "TiledConvolutions", "cpu_has_half_kernels", "cpu_has_products",
    "products_pay", "tiles_pay",
]  # fmt: skip

KERNELS, STRIDES = (1, 3, 4, 5), (1, 2)

# The number of weights in a layer from which products gain more than the context costs.
HEAVY_CONV, HEAVY_LINEAR, HEAVY_TILED = 2**15, 2**18, 2**19


def products_pay(nets: Iterable[nn.Module]) -> bool:
    """Whether these networks are large enough to gain from bfloat16 products on a CPU."""
    return any(_is_heavy(m) for net in nets for m in net.modules())


def _is_heavy(module: nn.Module) -> bool:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        return module.weight.numel() >= HEAVY_CONV
    return isinstance(module, nn.Linear) and module.weight.numel() >= HEAVY_LINEAR


def tiles_pay(nets: Iterable[nn.Module]) -> bool:
    """Whether `TiledConvolutions` is for this CPU and for at least one layer of these networks."""
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        return False
    return any(_is_tiled(m) for net in nets for m in net.modules())


def _is_tiled(module: nn.Module) -> bool:
    if not isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        return False
    geometry = module.kernel_size, module.stride, module.padding
    return geometry == ((4, 4), (2, 2), (1, 1)) and module.weight.numel() >= HEAVY_TILED


# -------------------------------------------------------------------- gradients

# Only autograd's nodes know which gradients `autograd.grad` was asked for. So input and weight
# gradients have separate nodes, each with a placeholder of the output's shape, and a node whose
# gradient is not needed never runs: neither the weight gradients of a network that is not trained,
# nor the gradient of a network's input. Both nodes save the weight, detached, whose version counter
# reveals a loss that was computed before the weight's last update.


def _first_derivatives_only() -> None:
    if torch.is_grad_enabled():  # autograd was asked for a graph of the gradient
        raise RuntimeError(
            "these kernels have no second derivatives: compute those within "
            "engine.runtime.full_precision, or set precision='float32'."
        )


class _Gradient(torch.autograd.Function):
    """The gradient of `of`, which `compute` makes of the output's and of the saved tensors."""

    @staticmethod
    def forward(ctx, of, stand_in, compute, *saved):
        ctx.save_for_backward(*saved)
        ctx.compute = compute
        return stand_in.view_as(stand_in)

    @staticmethod
    def backward(ctx, g):
        _first_derivatives_only()
        saved = ctx.saved_tensors  # raises if one of them has changed
        return ctx.compute(g, *saved), None, None, *[None] * len(saved)


class _Output(torch.autograd.Function):
    """The computed value, with the two gradient nodes as its inputs in autograd's graph."""

    @staticmethod
    def forward(ctx, box, *stand_ins):
        ctx.n = len(stand_ins)
        value = box.pop()
        return value.new_empty(0).set_(value)  # never a view: activations may work in place

    @staticmethod
    def backward(ctx, g):
        _first_derivatives_only()
        return None, *([g] * ctx.n)


def _apply(windows: Any, x: Tensor, weight: Tensor, packed: Any, *, up: bool) -> Tensor:
    """The small side from the large side, or with `up` the reverse, for (n, h, w, c) tensors."""
    source = x.detach()
    value = windows.large_side(source, packed) if up else windows.small_side(source, packed)
    if not torch.is_grad_enabled():
        return value
    stand_in = value.new_empty(()).expand(value.shape)
    stand_ins = []
    same = weight.detach()  # so that asking for one gradient does not run the other's node too
    if x.requires_grad:

        def input_gradient(g, _):
            g = g.contiguous()
            return windows.small_side(g, packed) if up else windows.large_side(g, packed)

        stand_ins.append(_Gradient.apply(x, stand_in, input_gradient, same))
    if weight.requires_grad:

        def weight_gradient(g, _, x):
            large, small = (g, x) if up else (x, g)
            return windows.weight(large.contiguous(), small.contiguous()).view_as(weight)

        stand_ins.append(_Gradient.apply(weight, stand_in, weight_gradient, same, source))
    return _Output.apply([value], *stand_ins) if stand_ins else value


# -------------------------------------------------------------------- PyTorch's layers


class Layers(TorchFunctionMode):
    """A context in which layers run as products if these have been implemented. Abstract."""

    dtype: torch.dtype

    def __init__(self) -> None:
        super().__init__()
        self._packed = WeakIdKeyDictionary()

    def plan(self, windows: Windows, x: Tensor, weight: Tensor) -> Any:
        """The object that computes a layer's three products; None to use PyTorch's own kernels."""
        raise NotImplementedError

    def pack(self, weight: Tensor) -> Any:
        """A weight (c', c, k, k) in the layout that the products need."""
        raise NotImplementedError

    def stock(self, func, args, kwargs) -> Tensor:
        """A layer on PyTorch's own kernels."""
        return func(*args, **kwargs)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        layer = LAYERS.get(func)
        if layer is None:
            return func(*args, **kwargs or {})
        out = layer(self, *args, **kwargs or {})
        return self.stock(func, args, kwargs or {}) if out is None else out

    def packed(self, weight: Tensor) -> Any:
        """The weight in the layout that the products need, made once after each update."""
        found = self._packed.get(weight)
        if found is None or found.version != weight._version:
            found = self.pack(weight if weight.ndim == 4 else weight[:, :, None, None])
            self._packed[weight] = found
        return found


class Bfloat16(Layers):
    """A context in which wide layers run in bfloat16. Abstract.

    Other convolutions and dense layers (narrow heads, and those for which a subclass has no
    product) run in float32 on PyTorch's own kernels, so a critic's logits and the losses are
    float32. All other operations follow autocast's rules for bfloat16.
    """

    dtype = torch.bfloat16

    def __init__(self) -> None:
        super().__init__()
        self._autocast: list[torch.autocast] = []

    def __enter__(self):
        self._autocast.append(torch.autocast("cpu", torch.bfloat16, cache_enabled=False))
        self._autocast[-1].__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._autocast.pop().__exit__(*error)

    def stock(self, func, args, kwargs):
        with torch.autocast("cpu", enabled=False):
            x, *rest = args
            half = isinstance(x, Tensor) and x.dtype == torch.bfloat16
            return func(x.float() if half else x, *rest, **kwargs)

    def pack(self, weight):
        return Packed(weight)


class Products(Bfloat16):
    """A context in which convolutions and dense layers run as bfloat16 products (AMX).

    Layers without a fast product (groups, dilation, other kernel sizes) run in float32. Second
    derivatives raise an error: compute them outside of this context.
    """

    def plan(self, windows, x, weight):
        return windows if _is_wide(x, weight) else None


class HalfKernels(Bfloat16):
    """A context in which wide layers run on bfloat16 vectors (AVX512-BF16).

    A convolution and its input gradient are PyTorch's own kernels, all else is products. Layers
    without a product, and second derivatives, are treated as in `Products`.
    """

    def plan(self, windows, x, weight):
        if not _is_wide(x, weight):
            return None
        thin = min(weight.shape[:2]) < THIN
        return windows if thin or windows.trivial else KernelWindows(**vars(windows))


class TiledConvolutions(Layers):
    """A context in which wide convolutions of 4x4 kernels and stride 2 run in tiles, in float32.

    All other layers are unchanged. Second derivatives of these convolutions raise an error.
    """

    dtype = torch.float32

    def plan(self, windows, x, weight):
        usual = (windows.kernel, windows.stride, windows.padding) == (4, 2, 1)
        even = all(side % 2 == 0 for side in windows.small)
        twice = windows.large == tuple(2 * side for side in windows.small)
        heavy = weight.numel() >= HEAVY_TILED and x.dtype == torch.float32
        fits = usual and even and twice and heavy and _is_product(x, weight)
        return Tiles(windows.large, windows.small) if fits else None

    def pack(self, weight):
        return TiledWeight(weight)


def _conv2d(mode, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    k, s, p = _geometry(weight, stride, padding, dilation, groups)
    if not k or input.ndim != 4:
        return None
    large = tuple(input.shape[2:])
    small = tuple((side + 2 * p - k) // s + 1 for side in large)
    return _convolution(mode, Windows(k, s, p, large, small), input, weight, bias, up=False)


def _conv_transpose2d(
    mode, input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):  # fmt: skip
    k, s, p = _geometry(weight, stride, padding, dilation, groups)
    extra = _square(output_padding)
    if not k or input.ndim != 4 or extra is None:
        return None
    small = tuple(input.shape[2:])
    large = tuple(s * (side - 1) + k - 2 * p + extra for side in small)
    return _convolution(mode, Windows(k, s, p, large, small), input, weight, bias, up=True)


def _convolution(mode, windows, input, weight, bias, *, up):
    exists = min(windows.large + windows.small) > 0
    plan = mode.plan(windows, input, weight) if exists else None
    if plan is None:
        return None
    x = input.to(mode.dtype).permute(0, 2, 3, 1).contiguous()
    y = _apply(plan, x, weight, mode.packed(weight), up=up)
    return _add_bias(y.permute(0, 3, 1, 2), bias)


def _linear(mode, input, weight, bias=None):
    windows = mode.plan(Windows(1, 1, 0, (1, 1), (1, 1)), input, weight)
    if windows is None:
        return None
    x = input.to(mode.dtype).reshape(-1, 1, 1, weight.shape[1])
    y = _apply(windows, x, weight, mode.packed(weight), up=False)
    return _add_bias(y.reshape(*input.shape[:-1], weight.shape[0]), bias, channel=-1)


def _is_wide(x: Tensor, weight: Tensor) -> bool:
    """Whether bfloat16 is faster for this layer."""
    small = weight.ndim == 2 and weight.numel() < HEAVY_LINEAR
    return not small and _is_product(x, weight)


def _is_product(x: Tensor, weight: Tensor) -> bool:
    on_cpu = x.device.type == "cpu" and weight.dtype == torch.float32
    return on_cpu and x.numel() > 0 and min(len(weight), weight[0].numel()) >= THIN


def _geometry(weight, stride, padding, dilation, groups) -> tuple[int, int, int]:
    """Kernel, stride and padding if they are square and there are products for them, else zeros."""
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
