"""Batch-norm statistics measured anew after training (DCGAN's and BiGAN's released codes)."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(nets: Iterable[nn.Module]) -> list[_BatchNorm]:
    return [
        m
        for net in nets
        for m in net.modules()
        if isinstance(m, _BatchNorm) and m.track_running_stats
    ]


@torch.no_grad()
def measure(
    nets: Iterable[nn.Module],
    passes: Iterable[Any],
    run: Callable[[Any], None],
    earlier: Iterable[nn.Module] = (),
) -> None:
    """Set the statistics to their plain averages over `passes`, each given to `run`.

    While they are collected every layer normalises by its own batch, as in training; all else
    is in eval mode. The averages go on from those of the networks in `earlier`, if given.
    """
    layers = batch_norms(nets)
    if not layers:
        return
    with _collecting(layers):
        for layer, old in zip(layers, batch_norms(earlier), strict=False):
            layer.load_state_dict(
                {k: v for k, v in old.state_dict().items() if k not in ("weight", "bias")},
                strict=False,
            )
        for item in passes:
            run(item)


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
