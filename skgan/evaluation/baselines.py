"""What extractors are compared with: baselines that are fitted on the same samples."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from ..tools import RandomPatchFeatures, ScatteringFeatures
from ..utils.checks import check_transformer
from ..utils.labels import classes_among
from .representations import Pixels, needs_labels, seeded

BASELINES = ("raw", "pca", "untrained", "patches", "scattering")
USUAL = ("raw", "pca", "untrained")
OF_IMAGES: dict[str, type] = {"patches": RandomPatchFeatures, "scattering": ScatteringFeatures}
N_TRIED = 2  # samples on which a baseline of images is tried before any training


class WithoutLabels(TransformerMixin, BaseEstimator):
    """An estimator whose fit needs labels, fitted on the classes in turn as labels.

    So it knows the classes, and nothing about which sample is of which class.
    """

    def __init__(self, estimator: Any = None, classes: Any = None):
        self.estimator = estimator
        self.classes = classes

    def fit(self, X: Any, y: Any = None) -> "WithoutLabels":
        labels = np.asarray(self.classes)[np.arange(len(X)) % len(self.classes)]
        self.estimator_ = clone(self.estimator).fit(X, labels)
        return self

    def transform(self, X: Any) -> Any:
        return self.estimator_.transform(X)


def untrained(estimator: Any, classes: np.ndarray, seed: int) -> Any:
    """The same estimator with 0 epochs of training, or None if there is no parameter `n_epochs`.

    An unset `random_state` becomes `seed`, as in the extractor itself, so both start from the same
    weights. If `fit` needs labels, it is given the classes alone: those that the extractor was
    fitted on, or else `classes`.
    """
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    params = estimator.get_params()
    owners = [key.removesuffix("n_epochs") for key in params if f"__{key}".endswith("__n_epochs")]
    if not owners:
        return None
    # It must not resume from checkpoints of the trained network.
    other = {"n_epochs": 0, "checkpoint_dir": None, "resume": "never"}
    changed = {o + name: value for o in owners for name, value in other.items()}
    changed = {key: value for key, value in changed.items() if key in params}
    twin = seeded(clone(estimator).set_params(**changed), seed)
    if needs_labels(estimator):
        return WithoutLabels(twin, getattr(estimator, "classes_", classes))
    return twin


def _twin_name(owner: str, extractors: Mapping[str, Any]) -> str:
    return "untrained" if len(extractors) == 1 else f"{owner} untrained"


def check_extractors(extractors: Any, baselines: tuple[str, ...]) -> dict[str, Any]:
    """The extractors by name, after checking that each works without labels."""
    named = dict(extractors) if isinstance(extractors, Mapping) else {"trained": extractors}
    if not named:
        raise ValueError(
            "extractors={} is empty; pass an estimator, or a dict of estimators by name."
        )
    if "auto" in baselines:
        baselines = (*USUAL, *(name for name in baselines if name != "auto"))
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


def choose_baselines(
    given: tuple[str, ...], extractors: Mapping[str, Any], X: Any
) -> tuple[str, ...]:
    """The names of the baselines; "auto" stands for the usual ones, "patches" where X are images.

    Those of images are tried on a few samples, so that what cannot work raises before training.
    """
    for name in given:
        if name in OF_IMAGES:
            _try(name, extractors, X)
    if "auto" not in given:
        return given
    usual: tuple[str, ...] = USUAL
    if "patches" not in extractors:
        with contextlib.suppress(ValueError):
            _try("patches", extractors, X)
            usual = (*USUAL, "patches")
    others = (name for name in given if name != "auto")
    return tuple(dict.fromkeys([*usual, *others]))


def _try(name: str, extractors: Mapping[str, Any], X: Any) -> None:
    """Raise a ValueError unless X are images of known shape, at least 8x8."""
    try:
        _of_images(name, extractors, X).fit(_safe_indexing(X, slice(0, N_TRIED)))
    except ValueError as error:
        fix = "leave this baseline out"
        if name == "patches":
            fix += ", or pass RandomPatchFeatures(image_shape=(c, h, w)) among the extractors"
        raise ValueError(f"baselines={name!r} does not suit X: {error} Or {fix}.") from error


def _of_images(name: str, extractors: Mapping[str, Any], X: Any) -> Any:
    """The baseline for images of the shape that the first extractor or X tells."""
    return OF_IMAGES[name](**_image_settings(next(iter(extractors.values())), np.shape(X)[1:]))


def _image_settings(extractor: Any, row_shape: tuple[int, ...]) -> dict[str, Any]:
    """`image_shape` and `data_format` of X: the extractor's if they fit, or those of X itself."""
    settings: dict[str, Any] = {}
    for part in _parts(extractor):
        params = part.get_params(deep=False) if hasattr(part, "get_params") else {}
        shape = params.get("image_shape")
        shape = getattr(part, "input_shape_", None) if shape is None else shape
        if "data_format" in params:
            settings.setdefault("data_format", params["data_format"])
        if shape is not None and len(shape) in (2, 3) and int(np.prod(shape)) == np.prod(row_shape):
            settings.setdefault("image_shape", tuple(int(side) for side in shape))
    if len(row_shape) > 1:  # X has the shape itself
        return {k: v for k, v in settings.items() if k == "data_format"}
    if "image_shape" not in settings:
        raise ValueError(
            f"its samples have {row_shape[0]} columns, and the first extractor has no image_shape "
            "or input_shape_ of as many values; pass X as images (n, c, h, w)."
        )
    return settings


def _parts(extractor: Any) -> Iterator[Any]:
    """An extractor, and the steps of a pipeline or what is within another estimator."""
    yield extractor
    if isinstance(extractor, Pipeline):
        inner = [step for _, step in extractor.steps]
    else:
        inner = [getattr(extractor, name, None) for name in ("estimator", "extractor")]
    for part in inner:
        if part is not None and not isinstance(part, str):
            yield from _parts(part)


def make_baselines(
    names: tuple[str, ...], extractors: Mapping[str, Any], width: int, X: Any, y: np.ndarray,
    seed: int,
) -> Iterator[tuple[str, Any]]:  # fmt: skip
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
        elif name in OF_IMAGES:
            yield name, seeded(_of_images(name, extractors, X), seed)
        else:
            for owner, extractor in extractors.items():
                twin = untrained(extractor, classes_among(y), seed)
                if twin is not None:
                    yield _twin_name(owner, extractors), twin
