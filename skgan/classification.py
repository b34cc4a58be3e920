"""What an estimator that trains on labels can do besides: it is a scikit-learn classifier."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length
from torch import Tensor

from .utils.labels import UNLABELLED, classes_among, has_label_given, read_labels


class ClassificationMixin(ClassifierMixin):
    """Labels in training, and predictions from the class scores of a network.

    Methods that mix it in, left of `BaseGAN`, find indices of `classes_` in `batch.y`, -1 where a
    row has no label, and have the hook `_scores(nets, x)` that gives a score per class. If
    `_needs_labels`, rows without a label are left out before any of them is looked at.
    """

    _needs_labels: ClassVar[bool] = False

    # Of BaseGAN, beside which this stands.
    _apply: Callable[..., Any]
    _keeping_earlier_fit: Callable[..., Any]
    classes_: np.ndarray

    def _scores(self, nets: Any, x: Tensor) -> Tensor:
        """One score per class (n, n_classes), whose softmax is p(y | x)."""
        raise NotImplementedError

    # ---------------------------------------------------------------- fit

    def fit(self, X, y=None):
        """Train the networks on X and its labels.

        Parameters
        ----------
        X : array-like of shape (n, columns), (n, h, w), (n, c, h, w) or (n, h, w, c)
            Images, or rows of a table. Numbers of any type; a memmap is read batch by batch.
        y : array-like of shape (n,)
            Labels: whole numbers or strings, of at least two classes. -1 means unlabelled where
            at least two other classes are present; among strings, so do None, NaN and the number
            -1 (in a list, or an array of dtype object). Where such rows are left out, the others
            are copied.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Before any training, for parameters, data or labels that cannot work.
        FloatingPointError
            If a loss or weight stops being finite. An earlier fit is kept.
        """
        return super().fit(X, y)

    def partial_fit(self, X, y=None, classes=None):
        """Train for one pass over these rows, after those of earlier calls.

        After a `fit` it goes on from the fitted networks; their optimizers begin anew unless
        `warm_start` has kept them. Scaling (value range, or columns' means) and classes are those
        of the first call. `n_epochs`, `lr_decay` and checkpoints play no part. Batch-norm
        statistics are averaged over the rows of all calls.

        Parameters
        ----------
        X : array-like, as in `fit`
        y : array-like of shape (n,)
            Labels, as in `fit`; -1 means unlabelled where at least two other classes are known.
        classes : array-like of shape (n_classes,), default=None
            All labels that later calls may bring; -1 means unlabelled here as in y. None: those in
            the y of the first call.

        Returns
        -------
        self
        """
        with self._keeping_earlier_fit():
            self._announced = classes  # for `_pair`
            return super().partial_fit(X, y)

    def _pair(self, X: Any, y: Any, *, going_on: bool) -> tuple[Any, np.ndarray]:
        """The rows of X to train on and the indices of their classes."""
        y = self._check_y(X, y)
        announced = self.__dict__.pop("_announced", None)
        if not going_on:
            self.classes_ = (
                _find_classes(y) if announced is None else _find_classes(announced, "classes")
            )
        elif announced is not None:
            _check_equal(_find_classes(announced, "classes"), self.classes_)
        labels = _indices(y, self.classes_)
        labelled = labels != UNLABELLED
        if not self._needs_labels or labelled.all():
            return X, labels
        if labelled.sum() < 2:
            raise ValueError(
                f"y labels {labelled.sum()} of {len(y)} rows, the others are -1: training needs at "
                "least 2 rows with labels."
            )
        if hasattr(self, "_callback_y"):
            self._callback_y = y[labelled]  # of the rows that scikit-learn's callbacks are shown
        return X[labelled], labels[labelled]

    def _check_y(self, X: Any, y: Any) -> np.ndarray:
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        y = read_labels("y", y, warn=True)
        check_consistent_length(X, y)
        return y

    # ---------------------------------------------------------------- use

    def decision_function(self, X):
        """The classes' scores: logits, up to a constant of each row.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            In the order of `classes_`. Of two classes: shape (n,), the second one's score minus
            the first one's.
        """

        def scores(nets):
            def of(x):
                s = self._scores(nets, x)
                return s[:, 1] - s[:, 0] if s.shape[1] == 2 else s

            return of

        return self._apply(scores, X)

    def predict_proba(self, X):
        """The probability of every class.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            In the order of `classes_`.
        """
        return self._apply(lambda nets: lambda x: self._scores(nets, x).float().softmax(1), X)

    def predict(self, X):
        """The most probable class of every row.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n,)
            Of the type that the labels had in `fit`.
        """
        scores = torch.as_tensor(self.decision_function(X)).numpy(force=True)
        chosen = scores > 0 if scores.ndim == 1 else scores.argmax(1)
        return self.classes_[chosen.astype(int)]

    def score(self, X, y, sample_weight=None):
        """Accuracy on the rows that have a label.

        Parameters
        ----------
        X : array-like, as in `fit`
        y : array-like of shape (n,)
            True labels. Rows without a label, as in `fit`, are left out; so are those with -1,
            unless that is one of `classes_`.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
            In [0, 1].
        """
        from sklearn.metrics import accuracy_score  # slow to import

        predicted = self.predict(X)  # raises if nothing is fitted
        y = self._check_y(X, y)
        known = has_label_given(y, self.classes_)
        if not known.any():
            raise ValueError("y is -1 throughout: score needs rows with labels.")
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return accuracy_score(y[known], predicted[known], sample_weight=weight)


def _find_classes(y: Any, name: str = "y") -> np.ndarray:
    """The different labels, in order; at least two."""
    classes = classes_among(read_labels(name, y))
    if len(classes) < 2:
        raise ValueError(
            f"{name} holds {len(classes)} class(es), {classes.tolist()}: a classifier needs at "
            "least 2."
        )
    return classes


def _indices(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    index = {label: i for i, label in enumerate(classes.tolist())}
    index.setdefault(UNLABELLED, UNLABELLED)
    labels = y.tolist()
    unseen = sorted(set(labels) - index.keys(), key=str)
    if unseen:
        raise ValueError(
            f"y has labels that are none of the classes {classes.tolist()} of the first call: "
            f"{unseen}. Name all of them there, by its y or by the classes of partial_fit, or "
            "start anew with fit and warm_start=False."
        )
    return np.array([index[label] for label in labels], np.int64)


def _check_equal(announced: np.ndarray, classes: np.ndarray) -> None:
    if announced.tolist() != classes.tolist():
        raise ValueError(
            f"classes={announced.tolist()} are not those of the first call, {classes.tolist()}: "
            "leave classes out, or start anew with fit."
        )
