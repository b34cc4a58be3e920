"""Minibatches with as many samples of each domain, however many there are of it in X."""

import numpy as np
import torch


def samples_per_epoch(domains: np.ndarray) -> int:
    """What an epoch takes: the largest domain once, and the others as often as that has samples."""
    counts = np.unique(domains, return_counts=True)[1]
    return int(len(counts) * counts.max())


def balanced_order(domains: np.ndarray, rng: torch.Generator) -> np.ndarray:
    """Indices of samples (n, n_domains) for an epoch: column k holds samples of domain k.

    The largest domain is passed through once. Of the others there are several passes, each in an
    order of its own, and the last may be cut short.
    """
    rows = [np.flatnonzero(domains == k) for k in np.unique(domains)]
    most = max(map(len, rows))
    return np.stack([_passes(r, most, rng) for r in rows], axis=1)


def _passes(rows: np.ndarray, n: int, rng: torch.Generator) -> np.ndarray:
    n_passes = -(-n // len(rows))
    orders = [rows[torch.randperm(len(rows), generator=rng).numpy()] for _ in range(n_passes)]
    return np.concatenate(orders)[:n]
