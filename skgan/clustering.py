"""What makes an estimator whose networks sort samples into categories a scikit-learn clusterer."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClusterMixin
from torch import Tensor

from .utils.checks import check_size
from .utils.docs import X_AS_IN_FIT, completed_by
from .utils.kinds import array
from .utils.parameters import Checked, parameter, parameters


@parameters
class ClusteringMixin(ClusterMixin, Checked):
    """Clusters without labels, from the scores of a network: the hook `_scores(nets, x)`.

    A method lists it before `BaseGAN` among its base classes.

    Parameters
    ----------
    n_clusters : int
        Number of categories, and the largest number of clusters. Minibatches should have many more
        samples.

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int64
        The cluster of every sample in `fit` or the last `partial_fit`, from 0.
    outputs_ : ndarray of shape (at most n_clusters,), int64
        For every cluster, the index of its category. Categories that got none of these samples are
        no clusters.
    """

    n_clusters: int = parameter(default=10, shapes=True)

    _holds: ClassVar[Mapping[str, Any]] = {"labels_": array("i"), "outputs_": array("i")}
    _index_of_output: ClassVar[Mapping[str, str]] = {"outputs_": "discriminator"}

    # Of BaseGAN, with which this is combined.
    _apply: ClassVar[Any]
    _keeping_earlier_fit: ClassVar[Callable[..., Any]]

    def _check(self) -> None:
        check_size("n_clusters", self.n_clusters)
        super()._check()

    def _scores(self, nets: Any, x: Tensor) -> Tensor:
        """One score per category (n, n_clusters)."""
        raise NotImplementedError

    def fit(self, X, y=None):
        """Train the networks on X, and number the clusters.

        Parameters
        ----------
        X : array-like of shape (n, columns), (n, h, w), (n, c, h, w) or (n, h, w, c)
            Images, or rows of a table. Numbers of any type; a memmap is read batch by batch.
        y : ignored
            With -1 beside at least two other classes, a warning says how to use partly labelled
            data.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Before any training, for parameters or data that cannot work.
        FloatingPointError
            If a loss or weight stops being finite. An earlier fit is kept.
        """
        with self._keeping_earlier_fit():
            super().fit(X, y)
            return self._numbered(X)

    def partial_fit(self, X, y=None):
        """Train for one pass over these samples, and number the clusters that they are in.

        As in other estimators, training continues from earlier calls, with their scaling.

        Parameters
        ----------
        X : array-like, as in `fit`
        y : ignored

        Returns
        -------
        self
        """
        with self._keeping_earlier_fit():
            super().partial_fit(X, y)
            return self._numbered(X)

    def _score_all(self, X: Any) -> np.ndarray:
        return self._apply(lambda nets: lambda x: self._scores(nets, x), X)

    def _numbered(self, X: Any) -> Any:
        """Set the clusters to the categories whose score is largest for some sample of X."""
        found = np.unique(self._score_all(X).argmax(1), return_inverse=True)
        self.outputs_, self.labels_ = (indices.astype(np.int64) for indices in found)
        return self

    @completed_by(X_AS_IN_FIT)
    def predict(self, X):
        """The cluster of every sample, as `labels_` numbers them.

        Returns
        -------
        ndarray of shape (n,), int64
        """
        scores = self._score_all(X)  # raises if nothing is fitted
        return scores[:, self.outputs_].argmax(1)
