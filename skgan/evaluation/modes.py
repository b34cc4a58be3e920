"""Mode coverage: which classes a generator produces, according to a classifier."""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..utils.checks import check_number, random_state_of
from .result import aligned

CHUNK_ROWS = 1000  # generated samples that are in memory at a time


@dataclass(frozen=True, eq=False)
class ModeCoverage:
    """The result of `mode_coverage`. ``print`` it for a table.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The classifier's classes.
    counts : ndarray of int, shape (n_classes,)
        Generated samples of each class.
    shares : ndarray of shape (n_classes,)
        `counts` divided by their sum.
    reference : ndarray of shape (n_classes,)
        The shares that `shares` are compared with.
    min_share : float
        A class is covered if its share is at least `min_share` times its reference share.
    missing : list
        The classes that are not covered.
    n_covered : int
        The number of covered classes.
    kl : float
        KL divergence of the shares from the reference, sum of shares * log(shares / reference), in
        nats: 0 if both are equal, log(n_classes) if only one of equally frequent classes occurs.
    """

    classes: np.ndarray
    counts: np.ndarray
    shares: np.ndarray
    reference: np.ndarray
    min_share: float
    missing: list[Any]
    n_covered: int
    kl: float

    def __str__(self) -> str:
        rows = [["class", "rows", "share", "reference", ""]]
        columns = (self.classes.tolist(), self.counts, self.shares, self.reference)
        for name, count, share, expected in zip(*columns, strict=True):
            note = "missing" if name in self.missing else ""
            rows.append([str(name), f"{count:,}", f"{share:.4f}", f"{expected:.4f}", note])
        return (
            f"{self.n_covered} of {len(self.classes)} classes in {self.counts.sum():,} generated "
            f"rows; KL divergence from the reference {self.kl:.4f} nats\n{aligned(rows)}"
        )


def mode_coverage(
    gan: Any, classifier: Any, n_samples: int = 10_000, *, random_state: Any = None,
    min_share: float = 0.1, reference: Any = None, component: int | None = None,
) -> ModeCoverage:  # fmt: skip
    """Count the classes of generated samples, as a classifier predicts them.

    A generator with dropped modes produces some classes rarely or never. The result is only as
    good as the classifier: it must be accurate on real samples, and it predicts a class even for
    generated samples that resemble nothing in the data.

    Parameters
    ----------
    gan : fitted estimator with `sample`
    classifier : fitted classifier
        Any estimator with `predict` and `classes_` that accepts samples in the form of the X in
        the gan's `fit`, such as a pipeline of an extractor and a linear SVM.
    n_samples : int, default=10_000
        Number of samples to generate, in parts of 1,000.
    random_state : None, int or RandomState, default=None
        Determines the generated samples.
    min_share : float, default=0.1
        In (0, 1]. A class is covered if its share is at least `min_share` times its reference
        share. With ten equally frequent classes, 0.1 means 1 % of the samples.
    reference : array-like of shape (n_classes,), default=None
        How frequent the classes are in the data, in the order of `classifier.classes_`: counts or
        shares, all above 0. None means that all classes are equally frequent.
    component : int, default=None
        Passed to `sample` unless None: which of several generators to use.

    Returns
    -------
    result : ModeCoverage
        ``print(result)`` shows a table.

    Raises
    ------
    ValueError
        If a parameter is out of range, `gan` has no `sample`, or `classifier` is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.evaluation import mode_coverage
    >>> X, y = load_digits(return_X_y=True)
    >>> gan = DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=1, random_state=0).fit(X)
    >>> result = mode_coverage(gan, KNeighborsClassifier(1).fit(X, y), 100, random_state=0)
    >>> int(result.counts.sum())
    100
    """
    check_number("n_samples", n_samples, low=1, integer=True)
    check_number("min_share", min_share, low=0, high=1, open_low=True)
    classes = _check_classifier(classifier)
    settings = _check_gan(gan, component)
    expected = _check_reference(reference, len(classes))

    rng = random_state_of(random_state)
    counts = np.zeros(len(classes), dtype=np.int64)
    for start in range(0, n_samples, CHUNK_ROWS):
        n = min(CHUNK_ROWS, n_samples - start)
        X = gan.sample(n, random_state=int(rng.randint(2**31 - 1)), **settings)
        counts += _count(classifier, classes, X)

    shares = counts / n_samples
    # The tolerance is for rounding: 0.1 * 0.1 * 1,000 is slightly above 10 in floats.
    covered = counts >= min_share * expected * n_samples * (1 - 1e-9)
    drawn = counts > 0
    kl = float(np.sum(shares[drawn] * np.log(shares[drawn] / expected[drawn])))
    return ModeCoverage(
        classes=classes, counts=counts, shares=shares, reference=expected,
        min_share=float(min_share), missing=classes[~covered].tolist(),
        n_covered=int(covered.sum()), kl=max(kl, 0.0),
    )  # fmt: skip


def _count(classifier: Any, classes: np.ndarray, X: Any) -> np.ndarray:
    """How many samples the classifier predicts for each of its classes."""
    predicted = np.asarray(classifier.predict(X))
    found, counts = np.unique(predicted, return_counts=True)
    known = dict(zip(found.tolist(), counts.tolist(), strict=True))
    strange = [name for name in known if name not in classes.tolist()]
    if strange or predicted.shape != (len(X),):
        raise ValueError(
            f"classifier={classifier!r} predicted {strange or predicted.shape} for {len(X)} "
            "samples; it must predict one of its classes_ for every sample."
        )
    return np.array([known.get(name, 0) for name in classes.tolist()])


def _check_classifier(classifier: Any) -> np.ndarray:
    ready = hasattr(classifier, "predict") and hasattr(classifier, "classes_")
    if isinstance(classifier, type) or not ready or np.ndim(classifier.classes_) != 1:
        raise ValueError(
            f"classifier={classifier!r} must be a fitted classifier with predict and classes_; "
            "call its fit first, on real samples and their classes."
        )
    return np.asarray(classifier.classes_)


def _check_gan(gan: Any, component: int | None) -> dict[str, Any]:
    """The arguments of `sample` besides the number of samples and the seed."""
    if isinstance(gan, type) or not hasattr(gan, "sample"):
        raise ValueError(
            f"gan={gan!r} has no sample; use a fitted estimator with a generator and a prior, "
            "such as DCGANDiscriminatorFeatures."
        )
    if hasattr(gan, "fit"):
        check_is_fitted(gan)
    if component is None:
        return {}
    parameters = inspect.signature(gan.sample).parameters.values()
    if not any(p.name == "component" or p.kind == p.VAR_KEYWORD for p in parameters):
        raise ValueError(
            f"component={component!r}, but sample of gan={gan!r} has no parameter component; use "
            "component=None."
        )
    return {"component": component}


def _check_reference(reference: Any, n_classes: int) -> np.ndarray:
    if reference is None:
        return np.full(n_classes, 1 / n_classes)
    shares = np.asarray(reference, dtype=np.float64)
    if shares.shape != (n_classes,) or not np.isfinite(shares).all() or shares.min() <= 0:
        raise ValueError(
            f"reference={reference!r} must be {n_classes} finite numbers above 0, one for each of "
            "classifier.classes_; fit the classifier without classes that the data do not have."
        )
    return shares / shares.sum()
