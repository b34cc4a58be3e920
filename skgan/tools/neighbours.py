"""The real samples that are nearest to generated ones: has the generator memorised?

    d(x) = min over training samples t of |f(x) - f(t)|,   f pixels, or features

Samples near to training samples prove nothing by themselves, as real samples are near to each
other, too. So distances of generated samples are compared with those of real samples that were not
trained on (the test of data copying of Meehan, Chaudhuri and Dasgupta 2020, arXiv 2004.05675, on
all of the space at once).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..data.sources import LazyImages
from ..utils.callers import warn_caller
from ..utils.checks import check_number

SHARE = 0.01  # of held-out samples, that `close_share` is to be compared with
OTHER_UNITS = 10  # times, by which ranges of samples and X differ if their units do


@dataclass(frozen=True)
class MemorisationCheck:
    """What `memorisation_check` has found, for n generated and m held-out samples.

    Attributes
    ----------
    ratio : float
        The median distance of generated samples to their nearest training sample, divided by that
        of held-out samples. Near 1 where samples are as far from the training samples as new real
        ones are, and near 0 where they are copies. Above 1, samples are unlike real ones, which
        says nothing against copies.
    closer : float
        The chance that a generated sample is nearer to its nearest training sample than a held-out
        one is (ties count half): 0.5 for new samples from the distribution of the real ones, 1 if
        every sample is nearer. It is the statistic of the Mann-Whitney test, as a share.
    close_share : float
        The share of generated samples that are nearer than 99 % of the held-out ones, where
        distances are divided by that of the training sample to the nearest other training sample
        (as in the authenticity of Alaa et al. 2022), since some samples, such as digits 1, have
        near neighbours anyway. About 0.01 for new samples; 0.1 where a tenth of the samples are
        copies, which the median does not show.
    distances : ndarray of shape (n,)
        Of each generated sample to its nearest training sample.
    indices : int ndarray of shape (n,)
        Which row of `X_train` that is.
    held_out_distances : ndarray of shape (m,)
        Of each held-out sample to its nearest training sample.
    """

    ratio: float
    closer: float
    close_share: float
    distances: np.ndarray
    indices: np.ndarray
    held_out_distances: np.ndarray


def nearest_real(samples, X, *, estimator=None, n_neighbors=1, metric="euclidean"):
    """Find the real samples that are nearest to generated ones.

    Parameters
    ----------
    samples : array-like of shape (n, ...)
        Generated samples, in the layout and units of X, as `sample` of an estimator gives them.
    X : array-like of shape (m, ...)
        Real samples.
    estimator : fitted estimator with `transform`, or None, default=None
        With one, distances are those of the features that its `transform` returns; with None,
        those of the samples' numbers, such as pixels. Distances of pixels find copies, but not
        copies that are shifted or brighter.
    n_neighbors : int, default=1
        Number of neighbours, at most m.
    metric : str or callable, default="euclidean"
        Of scikit-learn's `NearestNeighbors`.

    Returns
    -------
    distances : ndarray of shape (n, n_neighbors)
        From each sample to its neighbours, the nearest one first.
    indices : int ndarray of shape (n, n_neighbors)
        The rows of X that these are.

    Raises
    ------
    ValueError
        If samples and X are of different shape or not finite, or for more neighbours than there
        are.

    Warns
    -----
    UserWarning
        If numbers of the samples are ten times larger or smaller than those of X, so that their
        units seem to differ.

    Examples
    --------
    >>> from skgan.tools import nearest_real
    >>> distances, indices = nearest_real([[0.0, 1.0], [2.0, 5.0]], [[2.0, 2.0], [0.0, 0.0]])
    >>> distances.ravel(), indices.ravel()
    (array([1., 3.]), array([1, 0]))
    """
    check_number("n_neighbors", n_neighbors, low=1, integer=True)
    real, generated = _vectors({"X": X, "samples": samples}, estimator).values()
    if n_neighbors > len(real):
        raise ValueError(f"n_neighbors={n_neighbors!r} must be at most {len(real)}, the rows of X.")
    return NearestNeighbors(n_neighbors=n_neighbors, metric=metric).fit(real).kneighbors(generated)


def memorisation_check(samples, X_train, X_held_out, *, estimator=None, metric="euclidean"):
    """Compare how near generated and held-out samples are to their nearest training samples.

    Parameters
    ----------
    samples : array-like of shape (n, ...)
        Generated samples, in the layout and units of X, as `sample` of an estimator gives them.
    X_train : array-like of shape (k, ...)
        The real samples that the generator was trained on; all of them, since copies of those left
        out would not be seen.
    X_held_out : array-like of shape (m, ...)
        Real samples from the same distribution that were not trained on, such as a test set. Remove
        near duplicates of training samples first (`find_near_duplicates`).
    estimator : fitted estimator with `transform`, or None, default=None
        As for `nearest_real`. Features of a discriminator that was trained on `X_train` may set it
        apart from `X_held_out` if it has memorised it; features trained on other samples do not.
    metric : str or callable, default="euclidean"
        Of scikit-learn's `NearestNeighbors`.

    Returns
    -------
    MemorisationCheck
        With `ratio`, `closer`, `close_share`, and the distances.

    Raises
    ------
    ValueError
        If samples are of different shape or not finite, or half of the held-out samples are exact
        copies of training samples, so that there is nothing to compare with.

    Warns
    -----
    UserWarning
        As `nearest_real`.

    References
    ----------
    Meehan, Chaudhuri and Dasgupta 2020, "A non-parametric test to detect data-copying in generative
    models", arXiv 2004.05675.

    Alaa, van Breugel, Saveliev and van der Schaar 2022, "How faithful is your synthetic data?",
    arXiv 2102.08921.

    Examples
    --------
    >>> import numpy as np
    >>> from skgan.tools import memorisation_check
    >>> train, held_out, new = np.random.default_rng(0).normal(size=(3, 500, 5))
    >>> round(memorisation_check(new, train, held_out).ratio, 1)
    1.0
    >>> memorisation_check(train[:100], train, held_out).ratio
    0.0
    """
    given = {"X_train": X_train, "X_held_out": X_held_out, "samples": samples}
    train, held_out, generated = _vectors(given, estimator).values()
    if len(train) < 2:
        raise ValueError("X_train has 1 sample: pass all samples that were trained on, at least 2.")
    search = NearestNeighbors(n_neighbors=1, metric=metric).fit(train)
    usual, near_held_out = (found[:, 0] for found in search.kneighbors(held_out))
    distances, indices = (found[:, 0] for found in search.kneighbors(generated))
    typical = float(np.median(usual))
    if typical == 0:
        raise ValueError(
            f"{np.mean(usual == 0):.0%} of X_held_out are exact copies of samples in X_train: pass "
            "real samples that were not trained on."
        )
    ranks = rankdata(np.concatenate([distances, usual]))
    n, m = len(distances), len(usual)
    relative = _relative(distances, indices, train, search)
    relative_held_out = _relative(usual, near_held_out, train, search)
    closer = 1 - (float(ranks[:n].sum()) - n * (n + 1) / 2) / (n * m)
    return MemorisationCheck(
        ratio=float(np.median(distances)) / typical,
        closer=closer,
        close_share=float(np.mean(relative < np.quantile(relative_held_out, SHARE))),
        distances=distances,
        indices=indices,
        held_out_distances=usual,
    )


def _relative(
    distances: np.ndarray, indices: np.ndarray, train: np.ndarray, search: NearestNeighbors
) -> np.ndarray:
    """Distances to training samples, divided by theirs to the nearest other training sample."""
    rows, which = np.unique(indices, return_inverse=True)
    # The nearest one is the sample itself, or its copy.
    own = search.kneighbors(train[rows], n_neighbors=2)[0][:, 1][which.ravel()]
    return np.divide(distances, own, out=np.where(distances > 0, np.inf, 0.0), where=own > 0)


def _vectors(given: dict[str, Any], estimator: Any) -> dict[str, np.ndarray]:
    """What distances are measured between, (n, d): the numbers of samples, or their features.

    The first of `given` are the real samples that the others have to be like.
    """
    if estimator is not None:
        return _features(given, estimator)
    arrays = {name: _array(name, X) for name, X in given.items()}
    first, *others = arrays
    for name in others:
        if arrays[name].shape[1:] != arrays[first].shape[1:]:
            raise ValueError(
                f"{name} has samples of shape {arrays[name].shape[1:]}, but {first} of shape "
                f"{arrays[first].shape[1:]}: pass both in the same layout and size."
            )
        largest, usual = (float(np.abs(arrays[k]).max()) for k in (name, first))
        if largest > 0 and usual > 0 and not 1 / OTHER_UNITS < largest / usual < OTHER_UNITS:
            warn_caller(
                f"numbers of {name} reach {largest:g}, those of {first} {usual:g}: their units "
                "seem to differ, which makes distances meaningless. Scale one as the other."
            )
    return {name: X.reshape(len(X), -1) for name, X in arrays.items()}


def _features(given: dict[str, Any], estimator: Any) -> dict[str, np.ndarray]:
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    if not hasattr(estimator, "transform") or isinstance(estimator, type):
        raise TypeError(
            f"estimator={estimator!r} has no transform: pass a fitted feature extractor, or None "
            "for the distances of pixels."
        )
    check_is_fitted(estimator)
    return {
        name: check_array(_in_memory(estimator.transform(X)), input_name=f"features of {name}")
        for name, X in given.items()
    }


def _array(name: str, X: Any) -> np.ndarray:
    """Finite numbers (n, ...), bytes as float32, which holds them exactly."""
    X = _in_memory(LazyImages.of(X))
    X = np.asarray(X[:]) if isinstance(X, LazyImages) else X
    small = getattr(X, "dtype", None) in (np.uint8, np.float16, np.bool_)
    return check_array(
        X, dtype=np.float32 if small else [np.float64, np.float32], input_name=name, allow_nd=True
    )


def _in_memory(X: Any) -> Any:
    return X.numpy(force=True) if isinstance(X, Tensor) else X
