"""Labels of which some are unknown: -1 means unlabelled, where there are two other classes."""

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

UNLABELLED = -1


def has_label(y: np.ndarray) -> np.ndarray:
    """Of every row, whether its label is a class: bool (n,)."""
    other = _is_other(y)
    classes = np.unique(y[other]).tolist()
    # Beside one other number -1 is a class; beside a string it can be none.
    means_none = len(classes) >= 2 or (len(classes) == 1 and isinstance(classes[0], str))
    return other if means_none else np.ones(len(y), bool)


def classes_among(y: np.ndarray) -> np.ndarray:
    """The different labels that are classes, in order."""
    return np.unique(y[has_label(y)])


def check_label_types(name: str, y: np.ndarray) -> None:
    """Raise unless the labels are classes; strings may have the number -1 among them."""
    classes = y[_is_other(y)]
    if len(classes):
        check_classification_targets(classes)
    texts = set(classes.tolist()) if classes.dtype.kind in "OUS" else set()
    if str(UNLABELLED) in texts and len(texts) > 2:
        raise ValueError(
            f"{name} has the string '-1' among its labels, which an array of strings makes of the "
            "number. If it means unlabelled, use an array of dtype object with the number -1 in "
            "it; if it is a class, give that another name."
        )


def _is_other(y: np.ndarray) -> np.ndarray:
    """Not the number -1."""
    return np.array([label != UNLABELLED for label in y.tolist()], bool)
