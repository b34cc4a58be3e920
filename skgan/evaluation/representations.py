"""Extractors fitted without labels, and their features."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, get_tags

from .. import LazyImages

CHUNK_ROWS = 256


class Pixels(TransformerMixin, BaseEstimator):
    """Images as rows of float32 pixels, divided by the largest absolute value in `fit`.

    This one number for all columns makes bytes and values in [-1, 1] comparable, so that no
    baseline does badly because the classifier's grid of C does not suit its units.
    """

    def fit(self, X: Any, y: Any = None) -> "Pixels":
        largest = float(np.abs(_flat(X)).max())
        self.scale_ = largest if largest > 0 else 1.0
        return self

    def transform(self, X: Any) -> np.ndarray:
        return _flat(X) / np.float32(self.scale_)


def _flat(X: Any) -> np.ndarray:
    X = np.asarray(X)
    return X.reshape(len(X), -1).astype(np.float32, copy=False)


def with_dtype(X: Any) -> Any:
    """X as an array, unless it is `LazyImages`."""
    return X if isinstance(X, LazyImages) else np.asarray(X)


def in_parts(X: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Chunks of X and where each begins, so that lazy images are never decoded all at once."""
    X = with_dtype(X)
    for start in range(0, len(X), CHUNK_ROWS):
        yield start, np.asarray(X[start : start + CHUNK_ROWS])


def seeded(estimator: Any, seed: int) -> Any:
    """Set every `random_state` that is None to the seed, in place."""
    unset = [
        key
        for key, value in estimator.get_params().items()
        if value is None and (key == "random_state" or key.endswith("__random_state"))
    ]
    return estimator.set_params(**dict.fromkeys(unset, seed)) if unset else estimator


def needs_labels(estimator: Any) -> bool:
    """Whether `fit` requires y, of an estimator or of a step that a pipeline fits."""
    if isinstance(estimator, FrozenEstimator):
        return False
    if isinstance(estimator, Pipeline):  # whose tag tells only of some last steps
        steps = [step for _, step in estimator.steps]
        return any(needs_labels(step) for step in steps if hasattr(step, "fit"))
    return get_tags(estimator).target_tags.required


def fit_without_labels(estimator: Any, X: Any, seed: int) -> tuple[Any, int | None]:
    """The fitted estimator, and how many samples it was fitted on (None if it is frozen)."""
    if isinstance(estimator, FrozenEstimator):
        return estimator, None
    return seeded(clone(estimator), seed).fit(X), len(X)


def extract(name: str, estimator: Any, X: Any) -> np.ndarray:
    """The features of X, shape (n, k), as finite float32."""
    features = check_array(
        estimator.transform(X), dtype=np.float32, input_name=f"the features of {name!r}"
    )
    if len(features) != len(X):
        raise ValueError(
            f"extractors[{name!r}] returned {len(features)} rows of features for {len(X)} samples; "
            "its transform must return one row per sample."
        )
    return features
