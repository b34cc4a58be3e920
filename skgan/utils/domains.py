"""Domains of samples: as users give them, and which those are from that pass through a network."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_consistent_length
from torch import Tensor

from .processes import gathered, own

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


def of_another(values: Tensor, k: Tensor) -> Tensor:
    """For samples of domains k (n,): the value (n, ...) of another one of its domain."""
    return own(gathered(values)[another_of_domain(gathered(k))])


def one_for_each(X: Any, sample_domain: Any) -> np.ndarray:
    """Domains (n,) of whatever type, one for each sample of X."""
    found = np.asarray(sample_domain)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise ValueError(
            f"sample_domain has the shape {found.shape}: give one domain for each sample, (n,)."
        )
    check_consistent_length(X, found)
    return found


def read_domains(X: Any, sample_domain: Any) -> np.ndarray:
    """Domains (n,) as int64; they must be whole numbers other than 0, one for each sample."""
    found = one_for_each(X, sample_domain)
    meaning = "give whole numbers, above 0 for source domains and below 0 for target domains."
    if found.dtype.kind != "i" and (odd := [k for k in found.tolist() if not _is_whole(k)]):
        raise ValueError(f"sample_domain holds {odd[0]!r}: {meaning}")
    if n_zeros := np.sum(found == 0):
        raise ValueError(f"sample_domain has 0 for {n_zeros} samples: {meaning}")
    return found.astype(np.int64)


def _is_whole(value: Any) -> bool:
    """Whether it is a whole number that int64 holds; NaN and infinity are none."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and abs(value) < 2**63 and value == int(value)


def check_domains(X: Any, sample_domain: Any) -> np.ndarray:
    """Domains (n,) as int64; there must be two or more, none of them 0, with two samples each."""
    found = read_domains(X, sample_domain)
    values, counts = np.unique(found, return_counts=True)
    if len(values) < 2:
        raise ValueError(
            f"sample_domain is {values[0]} throughout: at least two domains are needed. Leave it "
            "out for a single one."
        )
    if counts.min() < 2:
        raise ValueError(
            f"sample_domain is {values[counts.argmin()]} for 1 sample only: each domain needs at "
            "least 2."
        )
    return found
