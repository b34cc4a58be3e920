"""Checks that labels and test rows did not reach the features.

What each of them can see, and what none can, is in the notes of `probe`.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils import shuffle

N_REORDERED = 64


def shared_rows(X: Any, X_test: Any) -> int:
    """Number of test rows that are, value for value, also training rows."""
    X, X_test = np.asarray(X), np.asarray(X_test)
    dtype: Any = X.dtype if X.dtype == X_test.dtype else np.float32
    if X.dtype.kind in "OUS":  # paths to files, or mixed columns
        dtype = str
    known = set(_digests(X, dtype))
    return sum(digest in known for digest in _digests(X_test, dtype))


def _digests(X: np.ndarray, dtype: Any) -> Iterator[bytes]:
    for row in X:
        yield blake2b(np.asarray(row, dtype).tobytes(), digest_size=16).digest()


def label_parameters(estimator: Any, labels: Sequence[np.ndarray]) -> list[str]:
    """Names of the constructor parameters that hold one of the label arrays.

    A parameter counts if it has as many entries as there are labels and tells the same classes
    apart, whatever it calls them, as a list of labels or as indicator columns.
    """
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return [
        key
        for key, value in estimator.get_params().items()
        if any(_same_classes(value, y) for y in labels)
    ]


def _same_classes(value: Any, y: np.ndarray) -> bool:
    if not hasattr(value, "__len__") or isinstance(value, str) or len(value) != len(y):
        return False
    try:
        value = np.asarray(value)
    except ValueError:  # a ragged list is no list of labels
        return False
    n_classes = len(np.unique(y))
    if value.ndim == 2 and value.shape[1] == n_classes:
        value = value.argmax(axis=1)
    if value.ndim != 1:
        return False
    if value.dtype.kind == "O":
        value = value.astype(str)
    codes, y_codes = (np.unique(a, return_inverse=True)[1] for a in (value, y))
    pairs = np.unique(np.column_stack([codes, y_codes]), axis=0)
    return len(pairs) == codes.max() + 1 == n_classes


def reordered_difference(estimator: Any, X: Any, features: np.ndarray, seed: int) -> float:
    """How much features change when some rows of X come alone and in another order.

    The largest difference over the columns: the norm of the change in a column divided by the
    column's norm. 0 is no change; labels that come from a row's place give about 1. Different
    sums in batches of another size and reduced precision stay below 0.05.
    """
    some, places = shuffle(
        X, np.arange(len(features)), n_samples=min(N_REORDERED, len(features)), random_state=seed
    )
    expected = features[places].astype(np.float64)
    change = np.linalg.norm(np.asarray(estimator.transform(some)) - expected, axis=0)
    norms = np.linalg.norm(expected, axis=0)
    # Columns of next to nothing are rounding errors in themselves.
    floor = max(1e-3 * float(np.sqrt(np.mean(norms**2))), np.finfo(np.float32).tiny)
    return float(np.max(change / np.maximum(norms, floor)))


def controls_above_chance(
    summary: Sequence[dict[str, Any]], chance: float, n_classes: int
) -> list[str]:
    """Sentences on representations that are better than chance with permuted labels."""
    found = []
    for row in summary:
        # Good features with permuted labels send whole classes to one class. The number of
        # classes that come out right by accident then has a variance of about 1.
        bound = chance + 3 / (n_classes * np.sqrt(row["n_draws"]))
        if row["mean"] > bound:
            found.append(
                f"{row['representation']!r} has an accuracy of {row['mean']:.3f} when the labels "
                f"of its {row['n_labels']}-label draws are permuted, above {bound:.3f}, what "
                "chance allows: the classifier knows labels that it was not given."
            )
    return found
