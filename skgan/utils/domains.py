"""Which domain the samples are from that pass through a network."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch
from torch import Tensor

_of_samples: ContextVar[Tensor | int | None] = ContextVar("_of_samples", default=None)


@contextlib.contextmanager
def samples_from(domain: Tensor | int | None) -> Iterator[None]:
    """Within it, and in this thread alone, samples are from these domains.

    `domain` is the index of one domain for all, or of the domain of each (n,), or None: not said.
    """
    token = _of_samples.set(domain)
    try:
        yield
    finally:
        _of_samples.reset(token)


def domain_of_samples() -> Tensor | int | None:
    """The index of their domain, or one for each (n,); None if it was not said."""
    return _of_samples.get()


def another_of_domain(k: Tensor) -> Tensor:
    """For samples of domains k (n,): the index of another one of its domain, if there is one."""
    other = torch.empty_like(k)
    for domain in k.unique():
        rows = (k == domain).nonzero()[:, 0]
        other[rows] = rows.roll(1)  # a random one, where samples are in a random order
    return other
