"""Partly unknown labels: -1 means unlabelled if there are at least two other classes.

Between strings the number -1 cannot be a class, so it always means unlabelled there, and so do None
and NaN. `read_labels` writes all three as -1, so that the functions after it know of -1 alone.
"""

import contextlib
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing, assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from .callers import warn_caller

UNLABELLED = -1


def read_labels(name: str, y: Any, *, warn: bool = False) -> np.ndarray:
    """Labels (n,), with -1 where an object array of strings has -1, None or NaN.

    Raises unless the others are classes. `warn` is that of scikit-learn's `column_or_1d`.
    """
    if isinstance(y, Tensor):
        y = y.numpy(force=True)
    if isinstance(y, (list, tuple)) and 0 < sum(isinstance(label, str) for label in y) < len(y):
        y = np.array(y, object)  # otherwise NumPy makes strings of NaN and -1
    y = column_or_1d(y, warn=warn)
    if y.dtype.kind == "O":
        y = _with_missing_marked(name, y)
    elif y.dtype.kind == "f":
        if np.isnan(y).any():
            raise ValueError(
                f"Input {name} contains NaN. Where the labels are numbers, mark rows without a "
                "label by -1."
            )
        assert_all_finite(y, input_name=name)
    _check_types(name, y)
    return y


def labels_at(y: Any, rows: np.ndarray) -> Any:
    """The labels at these rows, of a type in which the other labels have no part."""
    if isinstance(y, Tensor):
        y = y.numpy(force=True)
    elif not isinstance(y, (list, tuple)) and not hasattr(y, "iloc"):
        y = np.asarray(y)
    labels = _safe_indexing(y, rows)
    kind = labels.dtype.kind if hasattr(labels, "dtype") else "list"
    # The longest string of all y would show in the type; or numbers would stay objects beside None.
    numbers = kind == "O" and not any(isinstance(label, str) for label in labels)
    return np.array(labels.tolist()) if kind == "U" or numbers else labels


def has_label(y: np.ndarray) -> np.ndarray:
    """Whether the label of each sample is a class: bool (n,)."""
    other = _is_other(y)
    classes = np.unique(y[other]).tolist()
    # With one other number, -1 is a class; with strings, the number -1 cannot be one.
    means_none = len(classes) >= 2 or (len(classes) == 1 and isinstance(classes[0], str))
    return other if means_none else np.ones(len(y), bool)


def classes_among(y: np.ndarray) -> np.ndarray:
    """The distinct labels that are classes, sorted."""
    return np.unique(y[has_label(y)])


def has_label_given(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Whether each label can be scored, for a model of these classes: bool (n,)."""
    return np.ones(len(y), bool) if UNLABELLED in classes.tolist() else _is_other(y)


def check_labels(name: str, y: Any) -> np.ndarray:
    """Labels (n,) as `read_labels` gives them, of at least two classes."""
    y = read_labels(name, y)
    classes = classes_among(y).tolist()
    if len(classes) < 2:
        raise ValueError(f"{name} holds the classes {classes}; at least two classes are needed.")
    return y


def takes_unlabelled(estimator: Any) -> bool:
    """Whether `fit` itself reads -1 as unlabelled, as skgan's classes that learn from labels do."""
    return hasattr(type(estimator), "_needs_labels")


def warn_of_unlabelled(owner: str, y: Any) -> None:
    """Warn if y, which `owner` ignores, has -1 beside at least two other classes.

    Nothing is raised, whatever y is: what is ignored may be anything.
    """
    found = False
    with contextlib.suppress(Exception):
        found = _seems_partly_labelled(y)
    if found:
        warn_caller(
            f"y has -1 beside at least two other classes. {owner} ignores y, but if -1 means "
            "unlabelled, a later step of a pipeline would learn -1 as one more class. Use "
            "skgan.semi_supervised.FewLabelClassifier(extractor, classifier) in place of the "
            "pipeline: it trains the extractor on all rows, the classifier on the labelled ones."
        )


def _seems_partly_labelled(y: Any) -> bool:
    """Whether y, as a classifier would read it, has -1 (or "-1") and two other classes."""
    if isinstance(y, Tensor):
        y = y.numpy(force=True)
    elif not isinstance(y, (list, tuple, np.ndarray)) and not hasattr(y, "to_numpy"):
        return False  # images that are decoded on access, and the like
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "iufUO":
        return False
    if y.dtype.kind == "O":
        labels = {label for label in y.tolist() if isinstance(label, (str, int, float))}
        return not labels.isdisjoint({-1, "-1"}) and len(labels - {-1, "-1"}) >= 2
    none = y == ("-1" if y.dtype.kind == "U" else UNLABELLED)
    if not none.any():
        return False
    others = y[~none]
    if y.dtype.kind == "f" and not np.all(others == np.floor(others)):
        return False  # measurements, not classes
    return bool((others != others[:1]).any())


def _with_missing_marked(name: str, y: np.ndarray) -> np.ndarray:
    """A copy of an object array with -1 for None and NaN, which may stand among strings only."""
    missing = np.array([is_missing(label) for label in y.tolist()], bool)
    present = y[~missing]
    texts = np.array([isinstance(label, str) for label in present.tolist()], bool)
    numbers = present[~texts]
    odd = numbers[_is_other(numbers)].tolist()
    if odd and texts.any():
        raise ValueError(
            f"{name} has strings and {odd[0]!r} among its labels: use strings for all classes, and "
            "None, NaN or the number -1 for rows without a label."
        )
    if odd and missing.any():
        raise ValueError(
            f"{name} has {y[missing][0]!r} among labels that are not strings: mark rows without a "
            "label by -1 there."
        )
    if missing.any():
        y = y.copy()
        y[missing] = UNLABELLED
    return y


def is_missing(label: Any) -> bool:
    """Whether it is None, NaN or pandas' NA."""
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(label, (float, np.floating)) and bool(np.isnan(label))


def _check_types(name: str, y: np.ndarray) -> None:
    """Raise unless the labels are classes, and none of the strings stands for no label."""
    classes = y[_is_other(y)]
    if len(classes):
        check_classification_targets(classes)
    texts = set(classes.tolist()) if classes.dtype.kind in "OUS" else set()
    for text, what in (("-1", "the number -1"), ("nan", "NaN")):
        if text in texts and (len(texts) > 2 or text == "nan"):
            raise ValueError(
                f"{name} has the string {text!r} among its labels, which is what {what} becomes "
                f"in an array of strings. If it means unlabelled, use an array of dtype object "
                f"that has {what}; if it is a class, rename the class."
            )


def _is_other(y: np.ndarray) -> np.ndarray:
    """Whether each label is something other than the number -1: bool (n,)."""
    if y.dtype.kind in "iuf":
        return y != UNLABELLED
    return np.array([label != UNLABELLED for label in y.tolist()], bool)
