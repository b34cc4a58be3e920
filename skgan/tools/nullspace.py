"""Splits features into what a linear head reads and its null space (Mao et al. 2019, corollary 4).

    D(x) = sigmoid(A f(x)),   f = P f + (f - P f),   P = A^T (A A^T)^-1 A

"Is Discriminator a Good Feature Extractor?" (arXiv 1912.00789) argues that an optimal D is constant
on real samples. Its head A, which has no bias, then receives the same P f(x) from all of them, so
whatever distinguishes real samples is in the null space of A.

| paper | here |
|---|---|
| f(x) | features, (n, d) |
| A | `head_weight_`, (k, d) |
| P f, f - P f | `split` |
"""

import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _safe_indexing, check_array, get_tags
from sklearn.utils.validation import (
    _check_feature_names,
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)
from torch import Tensor

from ..methods import DCGANDiscriminatorFeatures
from ..utils.checks import check_choice, check_transformer
from ..utils.docs import X_AS_IN_FIT, completed_by
from ..utils.linear import row_basis

TRIAL_ROWS = 32
CHUNK_ROWS = 4096  # rows of features that are in memory as float64 at a time


class NullSpaceProjector(TransformerMixin, BaseEstimator):
    """Projects features onto the null space of the extractor's head, or onto its row space.

    With D = sigmoid(A f(x)), the features f are the sum of a part in the row space of A, which
    alone determines D's output, and a part in its null space, which does not affect the output
    (Mao et al., corollary 4). `transform` returns one of the two, in the coordinates of the
    features. The projection uses an SVD in float64; A may have any number of rows and any rank.

    What X is depends on `extractor`:

    - **Frozen: X holds features.** Only the head of the fitted estimator in
      `FrozenEstimator(gan)` is used. X holds the features that `gan.transform` returns, so in a
      pipeline the projector comes after the extractor: `Pipeline([("gan", FrozenEstimator(gan)),
      ("null", NullSpaceProjector(FrozenEstimator(gan)))])`.
    - **Not frozen: X holds samples.** `fit` fits a clone of the extractor on X, even if the
      extractor is fitted already, and `transform` passes samples through the clone first. Its
      parameters can be searched, as in `GridSearchCV(..., {"extractor__lr": ...})`.

    Parameters
    ----------
    extractor : FrozenEstimator, estimator or None, default=None
        Once fitted, it must have an attribute `head_weight_` of shape (k, d), which applies to
        the d features that its `transform` returns. skgan's estimators have it only where these
        are exactly the layer that feeds the head, such as with `layers=-1, pool_grid=None`. None
        means `DCGANDiscriminatorFeatures(layers=-1, pool_grid=None, random_state=0)`.
    subspace : {"null", "row"}, default="null"
        What `transform` returns: the part that the head does not read, or the part it reads.

    Attributes
    ----------
    extractor_ : estimator
        The fitted extractor: the frozen one itself, or the clone.
    head_weight_ : ndarray of shape (k, d)
        A copy of the head's weights A.
    rank_ : int
        Rank of A, the dimension of its row space. Its null space has dimension d - rank_.
    n_features_in_ : int
        `X.shape[1]` in `fit`.
    feature_names_in_ : ndarray of str
        Names of the columns of X in `fit`, where it has names.

    Notes
    -----
    The corollary assumes an optimal D whose head has no bias. It is about the layer that feeds
    the head, not about pooled features of several layers. `row_variance_ratio` measures how far a
    trained D is from that optimum. For a single logit the null space has dimension d - 1.

    References
    ----------
    Mao et al. 2019, "Is Discriminator a Good Feature Extractor?", arXiv 1912.00789.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.tools import NullSpaceProjector
    >>> gan = DCGANDiscriminatorFeatures(layers=-1, pool_grid=None, n_epochs=1, random_state=0)
    >>> features = gan.fit_transform(load_digits().images)
    >>> null = NullSpaceProjector(FrozenEstimator(gan)).fit(features)
    >>> null.rank_, null.transform(features).shape == features.shape
    (1, True)
    """

    def __init__(self, extractor=None, *, subspace="null"):
        self.extractor = extractor
        self.subspace = subspace

    def fit(self, X, y=None):
        """Take the weights of the extractor's head, after fitting the extractor unless frozen.

        Parameters
        ----------
        X : array-like of shape (n, d), or samples
            Features if the extractor is frozen, otherwise what its `fit` accepts.
        y : array-like of shape (n,), default=None
            Passed to the extractor's `fit`; unused if it is frozen.

        Returns
        -------
        self : NullSpaceProjector
            The fitted projector.

        Raises
        ------
        ValueError
            If the extractor has no `head_weight_`, or one for another number of features. If the
            extractor has a parameter `n_epochs`, an untrained copy is checked before training.
        """
        check_choice("subspace", self.subspace, ("null", "row"))
        if isinstance(self.extractor, FrozenEstimator):
            check_is_fitted(self.extractor.estimator)
            X = _in_memory(X)
            A = _read_head(self.extractor, self.extractor)
            features = check_array(X, dtype=[np.float32, np.float64], estimator=self)
            _check_width(features, A, self.extractor)
            validate_data(self, X, skip_check_array=True)
            self.extractor_ = self.extractor
        else:
            extractor, A = self._train(X, y)
            _check_feature_names(self, X, reset=True)
            if hasattr(extractor, "n_features_in_"):
                self.n_features_in_ = extractor.n_features_in_
            self.extractor_ = extractor
        self.head_weight_ = A
        self._basis = row_basis(A)
        self.rank_ = len(self._basis)
        return self

    @completed_by(X_AS_IN_FIT)
    def transform(self, X):
        """Project the features onto the null space of the head, or onto its row space.

        Returns
        -------
        ndarray of shape (n, d), float32
            A DataFrame after `set_output`.
        """
        check_choice("subspace", self.subspace, ("null", "row"))
        row, null = self.split(X)
        return null if self.subspace == "null" else row

    @completed_by(X_AS_IN_FIT)
    def split(self, X):
        """Return both parts of the features, whatever `subspace` is.

        Returns
        -------
        row, null : ndarray of shape (n, d), float32
            The projections onto the head's row space and null space; their sum is the features.
        """
        features = self._features(X)
        row, null = (np.empty(features.shape, np.float32) for _ in range(2))
        for rows, f in _chunks(features):
            read = f @ self._basis.T @ self._basis
            row[rows], null[rows] = read, f - read
        return row, null

    def row_variance_ratio(self, X):
        """Var(P f) / Var(f): the share of the features' variance in the head's row space.

        Variances are summed over the features. By corollary 4 it is 0 on real samples for an
        optimal D; for features with equal variance in all directions it is rank_ / d.

        Parameters
        ----------
        X : array-like, as in `fit`
            Real samples (or their features), preferably not those used for training.

        Returns
        -------
        float
            In [0, 1]; nan where the features do not vary, such as on a single sample.
        """
        features = self._features(X)
        # Minus the first row, features that do not vary are exactly 0.
        first = features[0].astype(np.float64)
        mean = sum((f - first).sum(axis=0) for _, f in _chunks(features)) / len(features)
        total = read = 0.0
        for _, f in _chunks(features):
            deviation = f - first - mean
            total += float(np.square(deviation).sum())
            read += float(np.square(deviation @ self._basis.T).sum())
        return min(read / total, 1.0) if total > 0 else float("nan")

    def get_feature_names_out(self, input_features=None):
        """Names of the features: the projection keeps their number and coordinates.

        Parameters
        ----------
        input_features : array-like of str or None
            With a frozen extractor, the names of the features; None takes those seen in `fit`, or
            the extractor's. Otherwise passed to the extractor's `get_feature_names_out`.

        Returns
        -------
        ndarray of str objects, shape (d,)
        """
        check_is_fitted(self)
        if not isinstance(self.extractor_, FrozenEstimator):
            return self.extractor_.get_feature_names_out(input_features)
        unnamed = input_features is None and not hasattr(self, "feature_names_in_")
        if unnamed and hasattr(self.extractor_, "get_feature_names_out"):
            return self.extractor_.get_feature_names_out()
        return _check_feature_names_in(self, input_features)

    def _train(self, X, y):
        """A clone of the extractor fitted on X, and its head."""
        extractor = self._unfitted()
        check_transformer("extractor", extractor, instead=", or None")
        if self.extractor is not None:
            _try_untrained(extractor, X, y)
        extractor = clone(extractor).fit(X, y)
        return extractor, _read_head(extractor, extractor)

    def _unfitted(self):
        if self.extractor is not None:
            return self.extractor
        return DCGANDiscriminatorFeatures(layers=-1, pool_grid=None, random_state=0)

    def _features(self, X) -> np.ndarray:
        check_is_fitted(self)
        if isinstance(self.extractor_, FrozenEstimator):
            X = _in_memory(X)
            return validate_data(self, X, reset=False, dtype=[np.float32, np.float64])
        _check_feature_names(self, X, reset=False)
        features = np.asarray(_in_memory(self.extractor_.transform(X)))
        _check_width(features, self.head_weight_, self.extractor_)
        return features

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        if not isinstance(self.extractor, FrozenEstimator):
            inner = get_tags(self._unfitted())
            tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
            tags.non_deterministic = inner.non_deterministic
        return tags


def _in_memory(X):
    """A tensor, which `transform` returns under scikit-learn's array API dispatch, as an array."""
    return X.numpy(force=True) if isinstance(X, Tensor) else X


def _read_head(fitted, extractor) -> np.ndarray:
    """A copy of A (k, d); `extractor` is the one that an error message shows."""
    try:
        A = fitted.head_weight_
    except AttributeError as error:
        raise ValueError(
            f"extractor={extractor!r} has no head_weight_: its transform must return exactly the "
            "layer that feeds a linear head. Use an extractor and settings for which it does, such "
            "as DCGANDiscriminatorFeatures(layers=-1, pool_grid=None)."
        ) from error
    return check_array(A, dtype=[np.float32, np.float64], copy=True, input_name="head_weight_")


def _check_width(features, A: np.ndarray, extractor) -> None:
    d = features.shape[1]
    if d == A.shape[1]:
        return
    if isinstance(extractor, FrozenEstimator):
        raise ValueError(
            f"X has {d} columns, but head_weight_ of extractor={extractor!r} reads {A.shape[1]} "
            "features. With a FrozenEstimator, X must be the features that its transform returns: "
            "put the extractor before the projector. To pass samples, pass it without "
            "FrozenEstimator."
        )
    raise ValueError(
        f"extractor={extractor!r} returns {d} features, but its head_weight_ reads "
        f"{A.shape[1]}; transform must return exactly the layer that feeds the head."
    )


def _try_untrained(extractor, X, y) -> None:
    """Raise for a missing head, or one of another width, before training begins."""
    params = extractor.get_params(deep=False)
    if "n_epochs" not in params:
        return
    trial = {"n_epochs": 0, "checkpoint_dir": None, "resume": "never", "verbose": 0}
    params |= {name: value for name, value in trial.items() if name in params}
    # Not a clone, which would also copy callbacks.
    twin = type(extractor)(**clone(params, safe=False))
    try:
        X, y = (None if a is None else _safe_indexing(a, slice(0, TRIAL_ROWS)) for a in (X, y))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            features = twin.fit(X, y).transform(X)
    except Exception:  # on all of X, `fit` may work or raise a better message
        return
    _check_width(features, _read_head(twin, extractor), extractor)


def _chunks(features: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The features in float64, some rows at a time, and which rows these are."""
    for start in range(0, len(features), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        yield rows, features[rows].astype(np.float64)
