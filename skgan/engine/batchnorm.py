"""Batch-norm statistics measured again after training, as in DCGAN's and BiGAN's released code."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(nets: Iterable[nn.Module]) -> list[_BatchNorm]:
    found = (m for net in nets for m in net.modules() if isinstance(m, _BatchNorm))
    return [m for m in found if m.track_running_stats]


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
