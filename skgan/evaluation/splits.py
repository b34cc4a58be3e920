"""Random draws of a few labelled samples per class, as semi-supervised papers count labels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length

from ..utils.callers import warn_caller
from ..utils.checks import check_number, random_state_of
from ..utils.labels import check_labels, has_label


class LabelBudgetSplit:
    """Repeated draws of a fixed number of training samples per class.

    A cross-validator for scikit-learn: every split trains on `n_labels` samples of each class,
    drawn without replacement, and tests on the others. The draws of one splitter overlap, so the
    standard deviation over splits describes the draws and is not a standard error.

    Use it on features that are already computed. With a `Pipeline`, the extractor itself would be
    fitted on the few labelled samples only; `probe` fits it on all images instead.

    Parameters
    ----------
    n_labels : int, default=10
        Training samples per class, at least 1.
    n_splits : int, default=10
        Number of draws, at least 1.
    test_size : int, float or None, default=None
        How many of the samples outside the draw to test on, chosen at random: a number, a share
        in (0, 1], or None for all of them.
    random_state : int, RandomState or None, default=None
        With an int, every call of `split` yields the same draws.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.svm import LinearSVC
    >>> from skgan.evaluation import LabelBudgetSplit
    >>> X, y = load_digits(return_X_y=True)
    >>> cv = LabelBudgetSplit(n_labels=20, n_splits=3, random_state=0)
    >>> cross_val_score(LinearSVC(C=0.01), X, y, cv=cv).shape
    (3,)
    """

    def __init__(
        self, n_labels: int = 10, n_splits: int = 10, test_size: int | float | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:  # fmt: skip
        check_number("n_labels", n_labels, low=1, integer=True)
        check_number("n_splits", n_splits, low=1, integer=True)
        if isinstance(test_size, (float, np.floating)):
            check_number("test_size", test_size, low=0, high=1, open_low=True, instead="a count")
        elif test_size is not None:
            check_number("test_size", test_size, low=1, integer=True, instead="a share, or None")
        self.n_labels, self.n_splits = n_labels, n_splits
        self.test_size, self.random_state = test_size, random_state

    def __repr__(self) -> str:
        return (
            f"LabelBudgetSplit(n_labels={self.n_labels}, n_splits={self.n_splits}, "
            f"test_size={self.test_size}, random_state={self.random_state})"
        )

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of draws.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return int(self.n_splits)

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the draws.

        Parameters
        ----------
        X : array-like of length n
            Only its length is used.
        y : array-like of shape (n,)
            Class labels; -1 means unlabelled where at least two other classes are present, and
            so do None and NaN among strings. Unlabelled samples are in no draw and in no test
            part.
        groups : object
            Ignored, with a warning where it is not None.

        Yields
        ------
        train : ndarray of int, shape (n_labels * n_classes,)
            Indices in ascending order.
        test : ndarray of int
            Indices in ascending order; none of them is in `train`.

        Raises
        ------
        ValueError
            If `y` is missing or holds no classes, if a class has no more than `n_labels` samples,
            or if `test_size` asks for more samples than are left.
        """
        if y is None:
            raise ValueError("y=None: the draws need class labels; pass y.")
        if groups is not None:
            warn_caller(
                "groups is ignored by LabelBudgetSplit: samples of one group may be in train and "
                "test. Keep groups apart with scikit-learn's StratifiedGroupKFold."
            )
        y = check_labels("y", y)
        check_consistent_length(X, y)
        # One sample more per class than is drawn, so that every class is also tested.
        labelled = np.flatnonzero(has_label(y))
        y = y[labelled]
        check_class_sizes(y, self.n_labels, spare=1)
        rng = random_state_of(self.random_state)
        n_left = len(y) - self.n_labels * len(np.unique(y))
        n_test = self._n_test(n_left)
        for _ in range(self.n_splits):
            train = labelled[draw_balanced(y, self.n_labels, rng)]
            left = np.setdiff1d(labelled, train)
            test = left if n_test == n_left else np.sort(rng.choice(left, n_test, replace=False))
            yield train, test

    def _n_test(self, n_left: int) -> int:
        if self.test_size is None:
            return n_left
        if isinstance(self.test_size, (float, np.floating)):
            return max(1, round(self.test_size * n_left))
        if self.test_size > n_left:
            raise ValueError(
                f"test_size={self.test_size}, but the draw leaves {n_left} samples to test on; use "
                f"at most {n_left}, or None for all of them."
            )
        return int(self.test_size)


def check_test_classes(y_test: np.ndarray, classes: np.ndarray) -> None:
    """Raise for a test label that is none of the training part's `classes`."""
    known = set(classes.tolist())
    unknown = [label for label in y_test.tolist() if label not in known]
    if unknown:
        raise ValueError(
            f"y_test has the class {unknown[0]!r}, which is not in y; remove its samples from the "
            "test part, or add some to the training part."
        )


def check_class_sizes(y: np.ndarray, n_labels: int, spare: int = 0) -> None:
    """Raise unless every class has at least `n_labels` + `spare` samples."""
    names, counts = np.unique(y, return_counts=True)
    for name, count in zip(names.tolist(), counts, strict=True):
        if count < n_labels + spare:
            also = f" and leave {spare} to test on" if spare else ""
            raise ValueError(
                f"n_labels={n_labels}, but class {name!r} has {count} samples, too few to draw "
                f"{n_labels}{also}; use n_labels of at most {count - spare}, or more samples."
            )


def draw_balanced(y: np.ndarray, n_labels: int, rng: np.random.RandomState) -> np.ndarray:
    """Ascending indices of `n_labels` random samples per class, or of all where there are fewer."""
    members = (np.flatnonzero(y == label) for label in np.unique(y))
    picks = [rng.choice(rows, min(n_labels, len(rows)), replace=False) for rows in members]
    return np.sort(np.concatenate(picks))
