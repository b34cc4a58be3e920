"""The representations that are compared: extractors, fitted without labels, and baselines."""

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
from ..utils.checks import check_transformer

CHUNK_ROWS = 256
BASELINES = ("raw", "pca", "untrained")


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
    """Whether `fit` requires y."""
    return get_tags(estimator).target_tags.required


def untrained(estimator: Any, seed: int) -> Any:
    """The same estimator with 0 epochs of training, or None if there is none.

    There is none without a parameter `n_epochs`, or if `fit` needs labels. An unset `random_state`
    becomes `seed`, as in the extractor itself, so both start from the same weights.
    """
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    params = estimator.get_params()
    owners = [key.removesuffix("n_epochs") for key in params if f"__{key}".endswith("__n_epochs")]
    if not owners or needs_labels(estimator):
        return None
    # It must not resume from checkpoints of the trained network.
    other = {"n_epochs": 0, "checkpoint_dir": None, "resume": "never"}
    changed = {o + name: value for o in owners for name, value in other.items()}
    changed = {key: value for key, value in changed.items() if key in params}
    return seeded(clone(estimator).set_params(**changed), seed)


def _twin_name(owner: str, extractors: Mapping[str, Any]) -> str:
    return "untrained" if len(extractors) == 1 else f"{owner} untrained"


def check_extractors(extractors: Any, baselines: tuple[str, ...]) -> dict[str, Any]:
    """The extractors by name, after checking that each works without labels."""
    named = dict(extractors) if isinstance(extractors, Mapping) else {"trained": extractors}
    if not named:
        raise ValueError(
            "extractors={} is empty; pass an estimator, or a dict of estimators by name."
        )
    twins = named if "untrained" in baselines else {}
    taken = {*baselines, *(_twin_name(name, named) for name in twins)}
    for name, estimator in named.items():
        if not isinstance(name, str) or name in taken:
            raise ValueError(
                f"extractors has the name {name!r}; use a string that is not the name of a "
                "baseline, or leave that baseline out."
            )
        check_transformer(f"extractors[{name!r}]", estimator)
        if isinstance(estimator, FrozenEstimator):
            check_is_fitted(estimator)
        elif needs_labels(estimator):
            raise ValueError(
                f"extractors[{name!r}]={estimator!r} needs labels in fit, and probe passes none, "
                "as they would exceed the label budget. Fit it yourself on permitted labels, and "
                "pass FrozenEstimator(fitted)."
            )
    return named


def make_baselines(
    names: tuple[str, ...], extractors: Mapping[str, Any], width: int, X: Any, seed: int
) -> Iterator[tuple[str, Any]]:
    """Name and estimator of every baseline, in the order of `names`.

    PCA has `width` components, the number of features of the first extractor; it has at most 64
    if that many would only rotate the pixels or do not exist.
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
