"""Linear algebra."""

import numpy as np


def row_basis(A: np.ndarray) -> np.ndarray:
    """An orthonormal basis (rank, d) of the row space of A (k, d), in float64."""
    _, s, basis = np.linalg.svd(A.astype(np.float64), full_matrices=False)
    # The tolerance of `np.linalg.matrix_rank`, with the precision of A's own dtype.
    return basis[s > s[0] * max(A.shape) * np.finfo(A.dtype).eps]
