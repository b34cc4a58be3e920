"""What is compared: extractors, fitted without labels, and the baselines next to them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_array, get_tags
from sklearn.utils.validation import check_is_fitted

from .. import LazyImages

CHUNK_ROWS = 256
BASELINES = ("raw", "pca", "untrained")


class Pixels(TransformerMixin, BaseEstimator):
    """Rows flattened to 2-D float32, divided by the largest absolute value of the fitted rows.

    The division puts bytes and values in [-1, 1] on one footing, so that a baseline doesn't lose
    because the grid of the classifier's C doesn't fit its unit. It is one number for all columns.
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
    """X as an array, or as the `LazyImages` that it is."""
    return X if isinstance(X, LazyImages) else np.asarray(X)


def in_parts(X: Any) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of X some at a time, and where they begin: lazy images are never decoded whole."""
    X = with_dtype(X)
    for start in range(0, len(X), CHUNK_ROWS):
        yield start, np.asarray(X[start : start + CHUNK_ROWS])


def seeded(estimator: Any, seed: int) -> Any:
    """Give every `random_state` that is None the seed; in place."""
    unset = [
        key
        for key, value in estimator.get_params().items()
        if value is None and (key == "random_state" or key.endswith("__random_state"))
    ]
    return estimator.set_params(**dict.fromkeys(unset, seed)) if unset else estimator


def needs_labels(estimator: Any) -> bool:
    """Does `fit` refuse to work without y?"""
    return get_tags(estimator).target_tags.required


def untrained(estimator: Any, seed: int) -> Any:
    """The same estimator with 0 epochs of training, or None where that can't be made.

    It can't without a parameter `n_epochs`, or where `fit` needs labels. With an unset
    `random_state` it gets `seed`, as the extractor itself does: both start from the same weights.
    """
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    params = estimator.get_params()
    owners = [key.removesuffix("n_epochs") for key in params if f"__{key}".endswith("__n_epochs")]
    if not owners or needs_labels(estimator):
        return None
    # Checkpoints of the trained network are none of its.
    other = {"n_epochs": 0, "checkpoint_dir": None, "resume": "never"}
    changed = {o + name: value for o in owners for name, value in other.items()}
    changed = {key: value for key, value in changed.items() if key in params}
    return seeded(clone(estimator).set_params(**changed), seed)


def _twin_name(owner: str, extractors: Mapping[str, Any]) -> str:
    return "untrained" if len(extractors) == 1 else f"{owner} untrained"


def check_extractors(extractors: Any, baselines: tuple[str, ...]) -> dict[str, Any]:
    """The extractors by name, each of them able to `fit` and `transform` without labels."""
    named = dict(extractors) if isinstance(extractors, Mapping) else {"trained": extractors}
    if not named:
        raise ValueError(
            "extractors={} is empty; pass an estimator or a dict of name -> estimator."
        )
    twins = named if "untrained" in baselines else {}
    taken = {*baselines, *(_twin_name(name, named) for name in twins)}
    for name, estimator in named.items():
        if not isinstance(name, str) or name in taken:
            raise ValueError(
                f"extractors has the name {name!r}; use a string that is not a baseline's, or "
                "leave that one out of baselines."
            )
        able = all(hasattr(estimator, verb) for verb in ("fit", "transform", "get_params"))
        if not able or isinstance(estimator, type):
            raise ValueError(
                f"extractors[{name!r}]={estimator!r} must be a scikit-learn transformer, that is, "
                "an instance with fit and transform."
            )
        if isinstance(estimator, FrozenEstimator):
            check_is_fitted(estimator)
        elif needs_labels(estimator):
            raise ValueError(
                f"extractors[{name!r}]={estimator!r} needs labels in fit, and probe passes none: "
                "they would come on top of the label budget. Fit it yourself on labels it may "
                "have, and pass FrozenEstimator(fitted)."
            )
    return named


def make_baselines(
    names: tuple[str, ...], extractors: Mapping[str, Any], width: int, X: Any, seed: int
) -> Iterator[tuple[str, Any]]:
    """Name and estimator of every baseline, in the order of `names`.

    `width` is the number of features of the first extractor. PCA gets as many components. Where
    these would only rotate the pixels or don't exist, it gets 64.
    """
    for name in names:
        if name == "raw":
            yield name, Pixels()
        elif name == "pca":
            rank = min(len(X), int(np.prod(np.shape(X)[1:])))
            n_components = width if width < rank else min(64, rank)
            yield name, make_pipeline(Pixels(), PCA(n_components, random_state=seed))
        else:
            for owner, extractor in extractors.items():
                twin = untrained(extractor, seed)
                if twin is not None:
                    yield _twin_name(owner, extractors), twin


def fit_without_labels(estimator: Any, X: Any, seed: int) -> tuple[Any, int | None]:
    """The fitted estimator, and the number of rows that its fit saw (None if it is frozen)."""
    if isinstance(estimator, FrozenEstimator):
        return estimator, None
    return seeded(clone(estimator), seed).fit(X), len(X)


def extract(name: str, estimator: Any, X: Any) -> np.ndarray:
    """The features of X as finite float32, shape (n, k)."""
    features = check_array(
        estimator.transform(X), dtype=np.float32, input_name=f"the features of {name!r}"
    )
    if len(features) != len(X):
        raise ValueError(
            f"extractors[{name!r}] gave {len(features)} rows of features for {len(X)} rows; "
            "its transform must return one row per image."
        )
    return features
