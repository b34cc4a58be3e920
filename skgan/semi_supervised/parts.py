"""What `FewLabelClassifier` asks of its extractor and its classifier, and does with them."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import _check_method_params, has_fit_parameter
from torch import Tensor

from ..utils.labels import UNLABELLED, has_label, takes_unlabelled


def labelled_rows(y: np.ndarray) -> np.ndarray:
    """Indices of the samples with a label, which are of at least two classes."""
    rows = np.flatnonzero(has_label(y))
    classes = np.unique(y[rows]).tolist()
    if classes in ([], [UNLABELLED]):
        raise ValueError(
            f"y has no labels ({len(y)} rows): a classifier needs rows of at least 2 classes."
        )
    if len(classes) < 2:
        raise ValueError(
            f"y holds 1 class, {classes}, on {len(rows)} labelled of {len(y)} rows: a classifier "
            "needs at least 2."
        )
    return rows


def fit_extractor(extractor, X, y, X_rows, rows, fit_params) -> Any:
    """The extractor fitted on all samples; if it needs labels, see the class."""
    if isinstance(extractor, FrozenEstimator):
        return extractor
    if not _needs_labels(extractor):
        return clone(extractor).fit(X, None, **_check_method_params(X, fit_params))
    if takes_unlabelled(extractor):
        return clone(extractor).fit(X, y, **_check_method_params(X, fit_params))
    own = _check_method_params(X, fit_params, indices=rows)
    return clone(extractor).fit(X_rows, y[rows], **own)


def _needs_labels(extractor) -> bool:
    """Whether `fit` requires y; a pipeline's does if that of a step does, whatever its tag."""
    if isinstance(extractor, Pipeline):
        steps = [step for _, step in extractor.steps if hasattr(step, "fit")]
        return any(_needs_labels(s) for s in steps if not isinstance(s, FrozenEstimator))
    return get_tags(extractor).target_tags.required


def check_domains_known(extractor, given) -> None:
    """Raise if labelled samples, of sources, would pass through the batch norm of a target."""
    if _has_norm_per_domain(extractor) and not given:
        raise ValueError(
            f"extractor={extractor!r} has norm_per_domain=True, but its transform is not told "
            "which domain each sample is from, and would take labelled samples for those of a "
            "target: call sklearn.set_config(enable_metadata_routing=True), and "
            "fit(X, y, sample_domain=...); or use norm_per_domain=False."
        )


def _has_norm_per_domain(estimator) -> bool:
    """Whether an extractor, or a step of it, has batch norm for each domain."""
    if isinstance(estimator, FrozenEstimator):
        return _has_norm_per_domain(estimator.estimator)
    return any(
        (name.split("__")[-1] == "norm_per_domain" and value is True)
        or (isinstance(value, FrozenEstimator) and _has_norm_per_domain(value))
        for name, value in estimator.get_params().items()
    )


def in_memory(features: Any) -> Any:
    """A tensor, which `transform` returns under scikit-learn's array API dispatch, as an array."""
    return features.numpy(force=True) if isinstance(features, Tensor) else features


def check_weights(labels, sample_weight, rows) -> None:
    """Raise if rows of one class only have a weight, as classifiers would after all training."""
    if sample_weight is None:
        return
    weights = np.asarray(sample_weight)[rows]
    classes = np.unique(labels[weights > 0]).tolist()
    if len(classes) < 2:
        raise ValueError(
            f"sample_weight is positive on labelled rows of {len(classes)} class(es), {classes}: a "
            "classifier needs at least 2."
        )


def weight_name(classifier) -> str:
    """The name by which `fit` of the classifier takes weights."""
    prefix, last = "", classifier
    while isinstance(last, Pipeline):
        name, last = last.steps[-1]
        prefix += f"{name}__"
    if not has_fit_parameter(last, "sample_weight"):
        raise ValueError(
            f"classifier={classifier!r} takes no sample_weight in its fit: leave sample_weight "
            "out, or use a classifier that takes it, such as LinearSVC."
        )
    return f"{prefix}sample_weight"


def decode(codes: Any, classes: np.ndarray) -> np.ndarray:
    """The classes at these indices, and -1 where an index is -1."""
    codes = np.asarray(codes).astype(int)
    labels = classes[codes]
    none = codes == UNLABELLED
    if none.any():
        labels = labels if labels.dtype.kind in "if" else labels.astype(object)
        labels[none] = UNLABELLED
    return labels


def try_codes(classifier) -> None:
    """Raise, before any training, if the classifier learns -1 as a class."""
    rng = np.random.RandomState(0)
    features, codes = rng.normal(size=(30, 2)), np.tile([0, 1, UNLABELLED], 10)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twin = clone(classifier).fit(features, codes)
    except Exception:  # on the features, `fit` may work or raise a better message
        return
    check_codes(twin)


def check_codes(classifier) -> None:
    """Raise if a fitted classifier has learnt -1 as a class."""
    if UNLABELLED in np.asarray(getattr(classifier, "classes_", [])).tolist():
        raise ValueError(
            f"fit_on='all', but classifier={classifier!r} learns -1 as a class: use "
            "fit_on='labelled', or a classifier that takes -1 as unlabelled, such as "
            "LabelSpreading or SelfTrainingClassifier."
        )
