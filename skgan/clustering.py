"""What makes an estimator whose networks sort samples into categories a scikit-learn clusterer."""

from collections.abc import Iterator, Mapping
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
        For every cluster, the index of its category. Categories that got no sample are no clusters.
        `partial_fit` adds those that are new after the others, which keep their numbers.
    """

    n_clusters: int = parameter(default=10, shapes=True)

    _holds: ClassVar[Mapping[str, Any]] = {"labels_": array("i"), "outputs_": array("i")}
    _index_of_output: ClassVar[Mapping[str, str]] = {"outputs_": "discriminator"}

    # Of BaseGAN, with which this is combined.
    _apply: ClassVar[Any]

    def _check(self) -> None:
        check_size("n_clusters", self.n_clusters)
        super()._check()

    def _scores(self, nets: Any, x: Tensor) -> Tensor:
        """One score per category (n, n_clusters)."""
        raise NotImplementedError

    def _measure(self, nets: Any, draw: Any, batches: Iterator[Any], *, going_on: bool) -> None:
        """Number the categories whose score is largest for some sample, after those before."""
        scores = [self._scores(nets, batch.x).float().numpy(force=True) for batch in batches]
        best = np.concatenate([s.argmax(1) for s in scores])
        earlier = getattr(self, "outputs_", ()) if going_on else ()
        earlier = np.array(earlier, np.int64)
        self.outputs_ = np.concatenate([earlier, np.setdiff1d(best, earlier)])
        place = np.empty(self.n_clusters, np.int64)
        place[self.outputs_] = np.arange(len(self.outputs_))
        self.labels_ = place[best]

    @completed_by(X_AS_IN_FIT)
    def predict(self, X):
        """The cluster of every sample, as `labels_` numbers them.

        Returns
        -------
        ndarray of shape (n,), int64
        """
        scores = self._apply(lambda nets: lambda x: self._scores(nets, x), X)
        return scores[:, self.outputs_].argmax(1)
