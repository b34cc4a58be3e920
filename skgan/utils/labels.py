"""Partly unknown labels: -1 means unlabelled if there are at least two other classes."""

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

UNLABELLED = -1


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


def check_label_types(name: str, y: np.ndarray) -> None:
    """Raise unless the labels are classes; strings may be mixed with the number -1."""
    classes = y[_is_other(y)]
    if len(classes):
        check_classification_targets(classes)
    texts = set(classes.tolist()) if classes.dtype.kind in "OUS" else set()
    if str(UNLABELLED) in texts and len(texts) > 2:
        raise ValueError(
            f"{name} has the string '-1' among its labels, which is what the number -1 becomes in "
            "an array of strings. If it means unlabelled, use an array of dtype object that has "
            "the number -1; if it is a class, rename the class."
        )


def _is_other(y: np.ndarray) -> np.ndarray:
    """Whether each label is something other than the number -1: bool (n,)."""
    return np.array([label != UNLABELLED for label in y.tolist()], bool)
