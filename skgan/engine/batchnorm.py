"""Batch norm over the minibatches of several processes, and statistics measured after training.

These are measured again, as in DCGAN's and BiGAN's released code.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from ..utils import processes


def batch_norms(nets: Iterable[nn.Module]) -> list[_BatchNorm]:
    found = (m for net in nets for m in net.modules() if isinstance(m, _BatchNorm))
    return [m for m in found if m.track_running_stats]


class AcrossProcesses(TorchFunctionMode):
    """A context in which batch norm normalises by the minibatch of all processes together.

    PyTorch's SyncBatchNorm is for GPUs alone, and has no second derivative, which penalties of
    gradients need.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.batch_norm:
            given = dict(zip(BATCH_NORM, args, strict=False)) | kwargs
            if given.get("training"):
                return _normalised(**given)
        return func(*args, **kwargs)


# The parameters of PyTorch's function, in order.
BATCH_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum",
              "eps")  # fmt: skip


def _normalised(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = True,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    x = input.float() if input.dtype == torch.bfloat16 else input
    out, n, mean, var = _Normalised.apply(x, weight, bias, eps)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((var * (n / (n - 1))).to(running_var), momentum)
    return out.to(input.dtype)


class _Normalised(torch.autograd.Function):
    """Batch norm by PyTorch's kernels, on the statistics of all processes."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        n, mean, var = _statistics(x, *_moments(x))
        ctx.save_for_backward(x, weight, bias, n, mean, var)
        ctx.eps = eps
        ctx.mark_non_differentiable(n, mean, var)
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps), n, mean, var

    @staticmethod
    def backward(ctx, g, *_):
        x, weight, bias, n, mean, var = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient of this gradient will be asked for
            inputs = [t for t in (x, weight, bias) if t is not None]
            y = _by_formula(x, weight, bias, ctx.eps)
            found = iter(torch.autograd.grad(y, inputs, g, create_graph=True, allow_unused=True))
            return *(None if t is None else next(found) for t in (x, weight, bias)), None
        scale = (var + ctx.eps).rsqrt()
        _, g_weight, g_bias = torch.ops.aten.native_batch_norm_backward(
            g, x, weight, mean, var, mean, scale, False, ctx.eps, [False, True, True]
        )
        sums = processes.stacked(torch.stack([g_bias, g_weight])).sum(0) / n
        slope = -scale.square() * sums[1]
        level = -scale * sums[0] - slope * mean
        if weight is not None:
            scale, slope, level = scale * weight, slope * weight, level * weight
        # As if mean and variance were constants, and what these contribute.
        per_channel = (-1, *[1] * (x.ndim - 2))
        g_x = torch.addcmul(level.view(per_channel), x, slope.view(per_channel))
        g_x = g_x.addcmul_(g, scale.view(per_channel))
        return g_x, None if weight is None else g_weight, None if bias is None else g_bias, None


def _by_formula(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """The same, of operations that have all derivatives."""
    dims = [0, *range(2, x.ndim)]
    var, mean = torch.var_mean(x, dims, correction=0) if len(x) else (x.sum(dims), x.sum(dims))
    _, mean, var = _statistics(x, mean, var)
    scale = (var + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * scale
    per_channel = (-1, *[1] * (x.ndim - 2))
    return torch.addcmul(shift.view(per_channel), x, scale.view(per_channel))


def _statistics(x: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number of values, mean and variance of each channel over all processes, from one's own."""
    own = torch.cat([x.new_full((1,), x.numel() / x.shape[1]), mean, var])
    n, means, variances = processes.stacked(own).split([1, x.shape[1], x.shape[1]], dim=1)
    share = n / n.sum()
    total = (share * means).sum(0)
    return n.sum(), total, (share * (variances + (means - total).square())).sum(0)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of x (n, c, ...); 0 where there are no samples."""
    if not len(x):
        return x.new_zeros(x.shape[1]), x.new_zeros(x.shape[1])
    # More than ten times as quick as `var_mean` for images that lie channels-last in memory.
    return torch.batch_norm_update_stats(x, None, None, 0.0)


def average_statistics(nets: Iterable[nn.Module]) -> None:
    """Set running statistics to their means over all processes."""
    layers = batch_norms(nets)
    processes.average([b for m in layers for b in (m.running_mean, m.running_var) if b is not None])


@torch.no_grad()
def measure(
    nets: Iterable[nn.Module], passes: Iterable[Any], run: Callable[[Any], None],
    earlier: Iterable[nn.Module] = (), share: float = 1.0,
) -> None:  # fmt: skip
    """Set the statistics to their plain averages over `passes`, each of which `run` is called with.

    Meanwhile batch norm normalises each batch by the batch's own statistics, as in training; every
    other layer is in eval mode. The result is `share` times the new statistics plus (1 - share)
    times those of the networks in `earlier`.
    """
    layers = batch_norms(nets)
    if not layers:
        return
    with _collecting(layers):
        for item in passes:
            run(item)
    for layer, old in zip(layers, batch_norms(earlier), strict=False):
        for name in ("running_mean", "running_var"):
            now: Any = getattr(layer, name)
            now.mul_(share).add_(getattr(old, name).to(now), alpha=1 - share)


def check_finite(role: str, net: nn.Module) -> None:
    """Raise a FloatingPointError for statistics of which outputs become NaN."""
    for layer in batch_norms([net]):
        for statistic in (layer.running_mean, layer.running_var):
            if statistic is not None and not bool(statistic.isfinite().all()):
                raise FloatingPointError(
                    f"batch-norm statistics of network {role!r} are infinite or NaN after "
                    "training: lower the learning rate, set clip_grad_norm, or look for extreme "
                    "values in X."
                )


@contextlib.contextmanager
def _collecting(layers: list[_BatchNorm]) -> Iterator[None]:
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative average
            layer.train()
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
