"""Linear algebra."""

import numpy as np


def row_basis(A: np.ndarray) -> np.ndarray:
    """An orthonormal basis (rank, d) of the row space of A (k, d), in float64."""
    _, s, basis = np.linalg.svd(A.astype(np.float64), full_matrices=False)
    # The tolerance of `np.linalg.matrix_rank`, with the precision of A's own dtype.
    return basis[s > s[0] * max(A.shape) * np.finfo(A.dtype).eps]


def ridge_error(Z: np.ndarray, positive: np.ndarray, *, ridge: float = 0.1) -> float:
    """The error of a linear classifier on one half of Z (n, d) that is fitted to the other half.

    Each of both classes is halved at random (but always alike). The classifier is a ridge
    regression of the classes, -1 and 1, on columns that are standardised by the first half; its
    penalty is `ridge` times the mean eigenvalue of their covariance. The error is the mean of both
    classes' errors, 1/2 for a classifier that knows nothing.
    """
    rng = np.random.default_rng(0)
    parts = [rng.permutation(np.flatnonzero(positive == k)) for k in (False, True)]
    first = np.concatenate([rows[: (len(rows) + 1) // 2] for rows in parts])
    second = [rows[(len(rows) + 1) // 2 :] for rows in parts]
    mean, std = Z[first].mean(0), Z[first].std(0)
    A = ((Z - mean) / np.where(std > 1e-6 * np.abs(mean) + 1e-12, std, np.inf)).astype(np.float64)
    t = np.where(positive[first], 1.0, -1.0)
    t -= (centre := t.mean())
    fitted = A[first]
    n, d = fitted.shape
    wide = d > n  # then by the Gram matrix of the samples, which is the smaller one
    G = fitted @ fitted.T if wide else fitted.T @ fitted
    G[np.diag_indices_from(G)] += ridge * (np.trace(G) / d + 1e-12)
    w = fitted.T @ np.linalg.solve(G, t) if wide else np.linalg.solve(G, fitted.T @ t)
    said = A @ w + centre > 0
    return float(np.mean([np.mean(said[rows] != positive[rows]) for rows in second]))
