"""Outliers by what a GAN or an encoder says of samples: scikit-learn's contract on a score."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import _check_feature_names, _num_samples, check_is_fitted

from ..methods import AutoencoderFeatures
from ..utils.checks import check_choice, check_number, is_word
from ..utils.docs import X_AS_IN_FIT, completed_by
from ..utils.parameters import parameter, parameters

SCORES = ("auto", "score_samples", "density_ratio")
FAR = 3.0  # robust standard deviations below the median
FEWEST = 64  # samples that are scored at a time; fewer are filled up
MAD_TO_STD = 1.4826  # of a normal distribution


@parameters
class GANOutlierDetector(OutlierMixin, BaseEstimator):
    """Tells unusual samples by a score that an estimator gives them, with a threshold from `fit`.

    `fit` trains a clone of the estimator on X, which should hold few outliers, or none, and sets
    the threshold by the scores of X. `predict` returns 1 for usual samples and -1 for outliers, as
    scikit-learn's detectors do, and `decision_function` is what `scoring="roc_auc"` needs.

    Parameters
    ----------
    gan : estimator, FrozenEstimator or None
        One of skgan's with `score_samples` or `density_ratio`, or any other estimator with
        `score_samples`, such as `GANProjector`. A clone of it is fitted on X; in `FrozenEstimator`
        it is used as it is fitted. None means `AutoencoderFeatures(random_state=0)`.
    score_func : {"auto", "score_samples", "density_ratio"} or callable
        What is large for usual samples. "score_samples" is the method of this name, whose meaning
        depends on the class: minus the error of the reconstruction where there is an encoder, a
        discriminator's logit elsewhere. "density_ratio" is minus the logarithm of p_g / p_r, the
        discriminator's logit. "auto" takes the density ratio where there is one, and
        `score_samples` elsewhere. A callable gets the fitted estimator and X, and returns (n,)
        numbers.
    contamination : "auto" or float
        The share of outliers in X, in (0, 0.5], which sets the threshold. With "auto", outliers are
        samples whose score is below the median by more than three standard deviations, estimated by
        the median absolute deviation; there may be none.

    Attributes
    ----------
    gan_ : estimator
        The fitted estimator.
    offset_ : float
        The threshold: `decision_function` is `score_samples` minus it.
    score_func_ : str or callable
        The score that "auto" took, or the one that was asked for.
    n_features_in_ : int
        `X.shape[1]` in `fit`.
    feature_names_in_ : ndarray of str
        Names of the columns of X in `fit`, where it has names.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import AutoencoderFeatures
    >>> from skgan.tools import GANOutlierDetector
    >>> X, y = load_digits(return_X_y=True)
    >>> usual = AutoencoderFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> detector = GANOutlierDetector(usual, contamination=0.01).fit(X[y > 0])
    >>> detector.predict(X[:5]).shape
    (5,)
    """

    gan: Any = parameter(default=None, kw_only=False)
    score_func: str | Callable[[Any, Any], Any] = "auto"
    contamination: str | float = "auto"

    def fit(self, X, y=None):
        """Fit the estimator unless it is frozen, and set the threshold.

        Parameters
        ----------
        X : array-like, as in the `fit` of `gan`
        y : ignored

        Returns
        -------
        self : GANOutlierDetector

        Raises
        ------
        ValueError
            Before any training, for parameters that cannot work, and for an estimator without such
            a score.
        """
        if not callable(self.score_func):
            check_choice("score_func", self.score_func, SCORES)
        share = self.contamination
        check_number("contamination", share, low=0, high=0.5, open_low=True, auto=True)
        gan = self._unfitted()
        if isinstance(gan, FrozenEstimator):
            check_is_fitted(gan.estimator)
            score = self._chosen(gan.estimator)
            gan = gan.estimator
        else:
            if not hasattr(gan, "fit") or isinstance(gan, type):
                raise ValueError(
                    f"gan={gan!r} must be an estimator that scores samples, such as "
                    "AutoencoderFeatures(), or None."
                )
            gan = clone(gan)
            score = self._chosen(gan)
            gan.fit(X)
        scores = _scores(gan, score, X)
        _check_feature_names(self, X, reset=True)
        if hasattr(gan, "n_features_in_"):
            self.n_features_in_ = gan.n_features_in_
        self.gan_, self.score_func_ = gan, score
        self.offset_ = self._threshold(scores)
        return self

    @completed_by(X_AS_IN_FIT)
    def score_samples(self, X):
        """The score of every sample: large for usual ones.

        Returns
        -------
        ndarray of shape (n,), float64
        """
        check_is_fitted(self, "gan_")
        _check_feature_names(self, X, reset=False)
        return _scores(self.gan_, self.score_func_, X)

    @completed_by(X_AS_IN_FIT)
    def decision_function(self, X):
        """`score_samples` minus the threshold: negative for outliers.

        Returns
        -------
        ndarray of shape (n,), float64
        """
        return self.score_samples(X) - self.offset_

    @completed_by(X_AS_IN_FIT)
    def predict(self, X):
        """1 for usual samples, -1 for outliers.

        Returns
        -------
        ndarray of shape (n,), int64
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _unfitted(self) -> Any:
        return AutoencoderFeatures(random_state=0) if self.gan is None else self.gan

    def _chosen(self, gan: Any) -> Any:
        """The score, which the estimator must have."""
        if callable(self.score_func):
            return self.score_func
        auto = is_word(self.score_func, "auto")
        wanted = ("density_ratio", "score_samples") if auto else (self.score_func,)
        for name in wanted:
            if hasattr(gan, name):
                return name
        raise ValueError(
            f"score_func={self.score_func!r} with gan={self.gan!r}, which has no "
            f"{' and no '.join(wanted)}: use an estimator that scores samples, such as "
            "AutoencoderFeatures() or BiGANEncoder(), or a callable score_func."
        )

    def _threshold(self, scores: np.ndarray) -> float:
        if not is_word(self.contamination, "auto"):
            return float(np.percentile(scores, 100 * float(self.contamination)))
        median = np.median(scores)
        return float(median - FAR * MAD_TO_STD * np.median(np.abs(scores - median)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        gan = self._unfitted()
        if hasattr(gan, "__sklearn_tags__"):
            inner = get_tags(gan)
            tags.input_tags, tags.non_deterministic = inner.input_tags, inner.non_deterministic
        return tags


def _scores(gan: Any, score: Any, X: Any) -> np.ndarray:
    """The scores (n,) of samples, which have to be numbers."""
    if callable(score):
        try:
            found = np.asarray(score(gan, X))
        except Exception as error:
            raise ValueError(
                f"score_func={score!r}, called with the fitted estimator and X, failed: {error}"
            ) from error
    else:
        # The last bits of a network's output depend on the size of the batch: one sample alone is
        # to have the score that it has among others.
        X = X if hasattr(X, "__getitem__") else np.asarray(X)
        n = _num_samples(X)
        filled = X if n >= FEWEST or n == 0 else _safe_indexing(X, np.arange(FEWEST) % n)
        with np.errstate(divide="ignore"):
            found = getattr(gan, score)(filled)[:n]
            found = -np.log(found) if score == "density_ratio" else found
    if found.ndim != 1 or np.isnan(found).any():
        raise ValueError(
            f"score_func={score!r} gave an array of shape {found.shape} with "
            f"{np.isnan(found).sum()} NaN: it must give one number for each sample."
        )
    return found.astype(float)
