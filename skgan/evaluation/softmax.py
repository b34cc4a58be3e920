"""The probe of Mao et al. 2019, table 1: one linear layer on frozen features, trained by SGD.

    min_W  -E log softmax(W f(x))_y,   W (n_classes, d), no bias

"Is Discriminator a Good Feature Extractor?" (arXiv 1912.00789) compares features by the accuracy
of this layer after 20 epochs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_consistent_length, column_or_1d
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..utils.checks import check_flag, check_number, check_same_columns, random_state_of
from ..utils.devices import on_cpu_by_default
from ..utils.labels import check_labels, has_label
from .splits import check_test_classes

INIT_STD = 0.02


@dataclass(frozen=True)
class SoftmaxProbeResult:
    """The result of `softmax_probe`. ``print`` it for a summary.

    Parameters
    ----------
    accuracy, train_accuracy : float
        On the test samples and on the training samples, in [0, 1].
    loss : float
        Mean cross-entropy of the training samples after the last step, in nats.
    feature_rms : float
        Root mean square of all values of the training features as passed in.
    unit_rms : bool
        Whether the features were divided by it.
    n_steps : int
        Number of SGD steps, one per minibatch.
    """

    accuracy: float
    train_accuracy: float
    loss: float
    feature_rms: float
    unit_rms: bool
    n_steps: int

    def __str__(self) -> str:
        use = "divided by it" if self.unit_rms else "used as they are"
        return (
            f"Accuracy {self.accuracy:.4f}, on the training rows {self.train_accuracy:.4f} "
            f"(loss {self.loss:.4f})\n"
            f"{self.n_steps:,} steps of SGD on features of RMS {self.feature_rms:.4g}, {use}"
        )


@on_cpu_by_default
def softmax_probe(
    F: Any, y: Any, F_test: Any, y_test: Any, *, lr: float = 2e-4, momentum: float = 0.9,
    batch_size: int = 120, n_epochs: int = 20, unit_rms: bool = False, random_state: Any = None,
) -> SoftmaxProbeResult:  # fmt: skip
    """Judge features as Mao et al. do: softmax regression with a fixed number of SGD steps.

    The defaults are those of their table 1. So few and small steps need not converge, and their
    effect depends on the features' scale: with features 10 times as large, a step changes the
    scores by 100 times as much. Accuracies then also reflect the scale of the features, unless
    `unit_rms` removes it. `probe` uses classifiers that converge.

    Parameters
    ----------
    F : array-like of shape (n, d)
        Features of the training samples.
    y : array-like of shape (n,)
        Their classes; -1 means unlabelled where at least two other classes are present, and such
        samples are left out.
    F_test, y_test : array-like
        Features and classes of the test samples.
    lr : float, default=2e-4
        Constant learning rate, above 0.
    momentum : float, default=0.9
        Momentum of SGD, in [0, 1).
    batch_size : int, default=120
        Samples are reshuffled in each epoch; its last batch may be smaller.
    n_epochs : int, default=20
        Passes over the training samples.
    unit_rms : bool, default=False
        Divide all features by one number, the root mean square of all values of F.
    random_state : None, int or RandomState, default=None
        Determines the initial weights, normal with standard deviation 0.02, and the batches.

    Returns
    -------
    result : SoftmaxProbeResult
        ``print(result)`` shows a summary.

    Raises
    ------
    ValueError
        If a parameter is out of range, features are not finite, F and F_test have different
        numbers of columns (or, as frames, other names or another order), or y_test has a class
        that is not in y.
    FloatingPointError
        If the final loss is not finite.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan.evaluation import softmax_probe
    >>> X, y = load_digits(return_X_y=True)
    >>> train, test = slice(0, 1000), slice(1000, None)
    >>> result = softmax_probe(X[train], y[train], X[test], y[test], random_state=0)
    >>> result.n_steps
    180
    """
    check_number("lr", lr, low=0, open_low=True)
    check_number("momentum", momentum, low=0, high=1, open_high=True)
    for name, value in (("batch_size", batch_size), ("n_epochs", n_epochs)):
        check_number(name, value, low=1, integer=True)
    check_flag("unit_rms", unit_rms)
    check_same_columns("F", F, "F_test", F_test)
    train, test = _check_features("F", F), _check_features("F_test", F_test)
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"F has {train.shape[1]} columns and F_test {test.shape[1]}; compute both with the "
            "same extractor."
        )
    train, classes, targets, test_targets = _check_classes(train, y, test, y_test)
    rms = float(torch.linalg.vector_norm(train, dtype=torch.float64)) / train.numel() ** 0.5
    if unit_rms:
        if rms == 0:
            raise ValueError("All values of F are 0, so unit_rms=True cannot divide by their RMS.")
        train, test = train / rms, test / rms

    rng = torch.Generator().manual_seed(int(random_state_of(random_state).randint(2**31 - 1)))
    W = torch.empty(len(classes), train.shape[1], dtype=train.dtype)
    W.normal_(0, INIT_STD, generator=rng)
    sgd = torch.optim.SGD([W.requires_grad_()], lr=lr, momentum=momentum)
    n_steps = 0
    for _ in range(n_epochs):
        for rows in torch.randperm(len(train), generator=rng).split(batch_size):
            sgd.zero_grad()
            cross_entropy(train[rows] @ W.T, targets[rows]).backward()
            sgd.step()
            n_steps += 1

    accuracy, _ = _score(W, test, test_targets)
    train_accuracy, loss = _score(W, train, targets)
    if not np.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss} after {n_steps} steps with lr={lr!r}, on features of RMS "
            f"{rms:.4g}; use unit_rms=True or a smaller lr."
        )
    return SoftmaxProbeResult(accuracy, train_accuracy, loss, rms, bool(unit_rms), n_steps)


@torch.no_grad()
def _score(W: Tensor, features: Tensor, targets: Tensor) -> tuple[float, float]:
    """Accuracy and mean cross-entropy."""
    scores = features @ W.T
    right = (scores.argmax(dim=1) == targets).double().mean()
    return float(right), float(cross_entropy(scores, targets))


def _check_features(name: str, F: Any) -> Tensor:
    # PyTorch needs a contiguous, writable array; only others are copied.
    F = np.require(F, np.float32, ["C", "W"])
    if F.ndim != 2 or F.size == 0:
        raise ValueError(f"{name} has shape {F.shape}; pass features (n, d), at least one of each.")
    finite = np.isfinite(F).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        value = F[row][~np.isfinite(F[row])][0]
        raise ValueError(
            f"{name} has the value {value} in row {row}: features must be finite in float32; look "
            "for the cause in the extractor, or leave the row out."
        )
    return torch.from_numpy(F)


def _check_classes(
    F: Tensor, y: Any, F_test: Tensor, y_test: Any
) -> tuple[Tensor, np.ndarray, Tensor, Tensor]:
    """The labelled features, the classes, and the class indices of both parts."""
    y, y_test = check_labels("y", y), column_or_1d(y_test)
    check_consistent_length(F, y)
    check_consistent_length(F_test, y_test)
    known = has_label(y)
    if not known.all():
        F, y = F[torch.from_numpy(known)], y[known]
    classes, targets = np.unique(y, return_inverse=True)
    check_test_classes(y_test, classes)
    places = np.searchsorted(classes, y_test)
    return F, classes, torch.from_numpy(targets), torch.from_numpy(places)
