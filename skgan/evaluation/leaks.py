"""Checks that labels and test samples did not influence the features.

The notes of `probe` say what each check can find, and what none of them can.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils import shuffle

from ..utils.callers import warn_caller
from .digests import changed, digest, digests
from .representations import in_parts, with_dtype

N_REORDERED = 64
MAX_REORDERED_DIFFERENCE = 0.05


@dataclass(frozen=True)
class Watch:
    """Runs the checks, and raises, warns or only records what they find."""

    mode: str
    found: list[str] = field(default_factory=list)
    held: dict[str, dict[str, str]] = field(default_factory=dict)  # by frozen extractors

    def before_fit(
        self, extractors: Mapping[str, Any], X: Any, y: np.ndarray, X_test: Any, y_test: np.ndarray
    ) -> None:
        """Check the samples and the extractors' parameters."""
        n_shared = shared_rows(X, X_test)
        if n_shared:
            self._report(
                f"{n_shared} of the {len(y_test)} samples of X_test are also in X; remove them "
                "from one of the two."
            )
        for name, estimator in extractors.items():
            for parameter in label_parameters(estimator, [y, y_test]):
                self._report(
                    f"extractors[{name!r}] holds the labels in its parameter {parameter!r}; "
                    "features must be computed without them."
                )
            if isinstance(estimator, FrozenEstimator) and hasattr(estimator.estimator, "classes_"):
                self.found.append(f"{name!r} was already fitted with labels: it has classes_.")
            if isinstance(estimator, FrozenEstimator):
                self.held[name] = digests(estimator)

    def after_fit(
        self, name: str, estimator: Any, X_test: Any, features: np.ndarray, seed: int
    ) -> None:
        """Check the features of the test part."""
        difference = reordered_difference(estimator, X_test, features, seed)
        if difference > MAX_REORDERED_DIFFERENCE:
            self._report(
                f"the features of {name!r} change, by {difference:.2g} of a column's norm, when "
                "X_test is transformed in another order; transform must be deterministic, and the "
                "features of a sample must depend on nothing but the sample itself."
            )

    def after_use(self, extractors: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """Check that frozen extractors hold what they did; the digests before and after."""
        kept = {}
        for name, old in self.held.items():
            new = digests(extractors[name])
            kept[name] = {"before": digest(old), "after": digest(new)}
            places = changed(old, new)
            if places:
                shown = ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")
                self._report(
                    f"extractors[{name!r}] is frozen, but {shown} changed during the probe; its "
                    "transform must leave the estimator as it is."
                )
        return kept

    def after_control(self, summary: Sequence[dict[str, Any]], settings: Mapping[str, Any]) -> None:
        """Check accuracies with permuted labels. Never raises: that would lose the result."""
        for row in controls_above_chance(summary, settings["chance"], settings["n_classes"]):
            message = (
                f"{row['representation']!r} reaches {row['mean']:.3f} with permuted labels "
                f"(n_labels={row['n_labels']!r}), more than chance; the classifier uses labels "
                "that were not passed to it."
            )
            self.found.append(message)
            if self.mode != "ignore":
                warn_caller(message)

    def _report(self, message: str) -> None:
        if self.mode == "raise":
            raise ValueError(f"Leak: {message} (With on_leak='warn' this is only a warning.)")
        self.found.append(message)
        if self.mode == "warn":
            warn_caller(f"Leak: {message}")


def shared_rows(X: Any, X_test: Any) -> int:
    """Number of test samples that are exactly equal to a training sample."""
    X, X_test = with_dtype(X), with_dtype(X_test)
    dtype: Any = X.dtype if X.dtype == X_test.dtype else np.float32
    if X.dtype.kind in "OUS":  # paths to files, or mixed columns
        dtype = str
    known = set(_digests(X, dtype))
    return sum(digest in known for digest in _digests(X_test, dtype))


def _digests(X: Any, dtype: Any) -> Iterator[bytes]:
    for _, rows in in_parts(X):
        for row in rows:
            yield blake2b(np.asarray(row, dtype).tobytes(), digest_size=16).digest()


def label_parameters(estimator: Any, labels: Sequence[np.ndarray]) -> list[str]:
    """Names of the constructor parameters that hold one of the label arrays.

    A parameter does if it has as many entries as there are labels and separates the same classes,
    whatever their names, as a list of labels or as indicator columns.
    """
    if isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return [
        key
        for key, value in estimator.get_params().items()
        if any(_same_classes(value, y) for y in labels)
    ]


def _same_classes(value: Any, y: np.ndarray) -> bool:
    try:
        if isinstance(value, str) or len(value) != len(y):
            return False
        value = np.asarray(value)
    except (TypeError, AttributeError, ValueError):  # no length, none before fit, or ragged
        return False
    n_classes = len(np.unique(y))
    if value.ndim == 2 and value.shape[1] == n_classes:
        value = value.argmax(axis=1)
    if value.ndim != 1:
        return False
    if value.dtype.kind == "O":
        value = value.astype(str)
    codes = np.unique(value, return_inverse=True)[1]
    y_codes = np.unique(y, return_inverse=True)[1]
    pairs = np.unique(np.column_stack([codes, y_codes]), axis=0)
    return len(pairs) == codes.max() + 1 == n_classes


def reordered_difference(estimator: Any, X: Any, features: np.ndarray, seed: int) -> float:
    """How much features change when some samples of X are transformed alone and reordered.

    The largest value over the columns of the norm of the change divided by the column's norm.
    0 is no change; labels looked up by position give about 1. Rounding in batches of another size
    and in reduced precision stays below 0.05.
    """
    some, places = shuffle(
        X, np.arange(len(features)), n_samples=min(N_REORDERED, len(features)), random_state=seed
    )
    expected = features[places].astype(np.float64)
    change = np.linalg.norm(np.asarray(estimator.transform(some)) - expected, axis=0)
    norms = np.linalg.norm(expected, axis=0)
    # Columns with tiny values are mere rounding errors.
    floor = max(1e-3 * float(np.sqrt(np.mean(norms**2))), float(np.finfo(np.float32).tiny))
    return float(np.max(change / np.maximum(norms, floor)))


def controls_above_chance(
    summary: Sequence[dict[str, Any]], chance: float, n_classes: int
) -> list[dict[str, Any]]:
    """The entries of a summary of control accuracies that chance does not explain.

    With good features and permuted labels, a classifier may assign whole classes to one class
    each. The number of classes that are right by accident then has a standard deviation of about
    1; three standard deviations are allowed.
    """
    return [
        row for row in summary
        if row["mean"] > chance + 3 / (n_classes * np.sqrt(row["n_draws"]))
    ]  # fmt: skip
