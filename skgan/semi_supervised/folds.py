"""Cross-validation where few samples have a label: only these are tested on."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import check_consistent_length

from ..utils.checks import check_flag, check_number
from ..utils.labels import check_labels, has_label


class LabelledFold:
    """Stratified folds of the labelled samples; unlabelled samples are always trained on.

    A cross-validator for scikit-learn, to be used with `FewLabelClassifier`. The labelled samples
    are split as `sklearn.model_selection.StratifiedKFold` splits them; every unlabelled sample is
    in the training part of every fold and in no test part. Where all samples have a label, the
    folds are those of `StratifiedKFold`.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2. Every class must have at least as many labelled samples.
    shuffle : bool, default=False
        Whether to shuffle the samples of each class before they are split.
    random_state : int, RandomState or None, default=None
        Determines the shuffling; None unless `shuffle` is True.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from skgan.semi_supervised import LabelledFold
    >>> y = np.array([0, 1, -1, 0, 1, -1])
    >>> for train, test in LabelledFold(2).split(y, y):
    ...     print(train, test)
    [2 3 4 5] [0 1]
    [0 1 2 5] [3 4]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        check_number("n_splits", n_splits, low=2, integer=True)
        check_flag("shuffle", shuffle)
        if random_state is not None and not shuffle:
            raise ValueError(
                f"random_state={random_state!r} has no effect without shuffling: pass "
                "shuffle=True, or leave random_state out."
            )
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def __repr__(self) -> str:
        return (
            f"LabelledFold(n_splits={self.n_splits}, shuffle={self.shuffle}, "
            f"random_state={self.random_state})"
        )

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds.

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
        """Yield the folds.

        Parameters
        ----------
        X : array-like of length n
            Only its length is used.
        y : array-like of shape (n,)
            Class labels; -1 means unlabelled where at least two other classes are present, and so
            do None and NaN among strings.
        groups : object
            Ignored.

        Yields
        ------
        train : ndarray of int
            Indices in ascending order: the other folds and every unlabelled sample.
        test : ndarray of int
            Indices in ascending order, of labelled samples.

        Raises
        ------
        ValueError
            If `y` is missing or holds fewer than two classes, or if a class has fewer labelled
            samples than there are folds.
        """
        if y is None:
            raise ValueError("y=None: the folds need class labels; pass y.")
        y = check_labels("y", y)
        check_consistent_length(X, y)
        labelled = np.flatnonzero(has_label(y))
        classes, codes, counts = np.unique(y[labelled], return_inverse=True, return_counts=True)
        if counts.min() < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits}, but class {classes.tolist()[counts.argmin()]!r} has "
                f"{counts.min()} labelled samples: use n_splits of at most {counts.min()} (and at "
                "least 2), or label more samples of it."
            )
        folds = StratifiedKFold(
            self.n_splits, shuffle=bool(self.shuffle), random_state=self.random_state
        )
        for _, places in folds.split(codes, codes):
            test = labelled[places]
            is_train = np.ones(len(y), bool)
            is_train[test] = False
            yield np.flatnonzero(is_train), test
