"""What makes an estimator that trains on labels a scikit-learn classifier."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length
from torch import Tensor

from .losses import cross_entropy
from .utils.checks import check_number
from .utils.docs import X_AS_IN_FIT, completed_by
from .utils.kinds import array
from .utils.labels import UNLABELLED, classes_among, has_label_given, read_labels
from .utils.parameters import Checked, parameter, parameters


class ClassificationMixin(ClassifierMixin):
    """Labels in training, and predictions from the class scores of a network.

    A method lists it before `BaseGAN` among its base classes. It finds the class index of every
    sample in `batch.y`, -1 where there is no label, and defines the hook `_scores(nets, x)`, which
    returns a score per class. If `_needs_labels`, it trains on labelled samples only.
    """

    _needs_labels: ClassVar[bool] = False
    _holds: ClassVar[Mapping[str, Any]] = {"classes_": array("biufUO")}
    _one_per_output: ClassVar[Mapping[str, str]] = {"classes_": "classifier"}

    # Defined by BaseGAN.
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
            Labels: integers or strings, of at least two classes. -1 means unlabelled if at least
            two other classes are present; among strings, None, NaN and the integer -1 always do
            (in a list, or an array of dtype object). Methods that leave unlabelled samples out
            copy the others.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Before training, for parameters, data or labels that cannot work.
        FloatingPointError
            If a loss or a weight becomes NaN or infinite. An earlier fit is kept.
        """
        return super().fit(X, y)

    def partial_fit(self, X, y=None, classes=None):
        """Train for one pass over these samples, in addition to those of earlier calls.

        After a `fit` training continues from the fitted networks, with new optimizers unless
        `warm_start` has kept the earlier ones. The scaling (value range, or means and standard
        deviations of columns) and the classes are those of the first call. `n_epochs`, `lr_decay`,
        `lr_warmup` and checkpoints are not used. Batch-norm statistics are averaged over the
        samples of all calls.

        Parameters
        ----------
        X : array-like, as in `fit`
        y : array-like of shape (n,)
            Labels, as in `fit`; -1 means unlabelled if at least two other classes are known.
        classes : array-like of shape (n_classes,), default=None
            All labels that may occur in this and later calls; -1 has the same meaning as in y.
            None: the labels in the y of the first call.

        Returns
        -------
        self
        """
        with self._keeping_earlier_fit():
            self._announced = classes  # for `_pair`
            super().partial_fit(X, y)
            self.__dict__.pop("_announced", None)  # of a single sample, which is left out
        return self

    def _pair(self, X: Any, y: Any, *, going_on: bool) -> tuple[Any, np.ndarray]:
        """The samples of X to train on and the indices of their classes."""
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
                f"y has labels for {labelled.sum()} of {len(y)} samples, the others are -1: "
                "training needs at least 2 samples with labels."
            )
        if hasattr(self, "_callback_y"):
            self._callback_y = y[labelled]  # callbacks receive the labelled samples only
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

    @completed_by(X_AS_IN_FIT)
    def decision_function(self, X):
        """The scores of the classes: logits, up to a constant per sample.

        Returns
        -------
        ndarray of shape (n, n_classes) or (n,), float32
            In the order of `classes_`. With two classes the shape is (n,): the second class's
            score minus the first one's.
        """

        def scores(nets):
            def of(x):
                s = self._scores(nets, x)
                return s[:, 1] - s[:, 0] if s.shape[1] == 2 else s

            return of

        return self._apply(scores, X)

    @completed_by(X_AS_IN_FIT)
    def predict_proba(self, X):
        """The probability of every class.

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            In the order of `classes_`.
        """
        return self._apply(lambda nets: lambda x: self._scores(nets, x).float().softmax(1), X)

    @completed_by(X_AS_IN_FIT)
    def predict(self, X):
        """The most probable class of every sample.

        Returns
        -------
        ndarray of shape (n,)
            Of the same type as the labels in `fit`.
        """
        scores = np.asarray(self.decision_function(X))
        chosen = scores > 0 if scores.ndim == 1 else scores.argmax(1)
        return self.classes_[chosen.astype(int)]

    def score(self, X, y, sample_weight=None):
        """Accuracy on the samples that have a label.

        Parameters
        ----------
        X : array-like, as in `fit`
        y : array-like of shape (n,)
            True labels. Unlabelled samples, as in `fit`, are left out; so are those with -1,
            unless -1 is one of `classes_`.
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
            raise ValueError("y is -1 throughout: score needs samples with labels.")
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return accuracy_score(y[known], predicted[known], sample_weight=weight)


@parameters
class ClassifierParameters(Checked):
    """A network from samples to the scores of the classes.

    Parameters
    ----------
    classifier : str, spec, callable or Module
        "auto" is "dcgan" for images and "mlp" for tables. "faces64", "imagenet32" and "svhn32"
        are the networks of DCGAN's released code, "mao32" those of Mao et al., "marta256" MARTA
        GAN's, "bigan784" BiGAN's and "salimans784" Improved GAN's for MNIST. Or a spec such as
        `DCGANSpec(width=64)`; a callable that is called as `f(input_shape=, n_outputs=, norm=)` and
        returns a module; or a module, which is copied. It maps samples to scores of shape
        (n, n_classes).

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, in order.
    classifier_ : Module
        The trained network, in eval mode.
    """

    classifier: Any = parameter(default="auto", network=True)


LEAST_WEIGHT = 1e-12  # of a class whose weight is 0: its scores stay finite


@parameters
class ClassWeights(ClassificationMixin, Checked):
    """Factors of the classes in the cross-entropy of labelled samples.

    Parameters
    ----------
    class_weight : None, "balanced" or dict
        Factors of the classes in the cross-entropy of labelled samples: {label: factor}, where
        labels that are left out have 1; or "balanced", n / (n_classes n_k) for n labelled samples,
        n_k of them of the class. None: 1 for all. `partial_fit`, which never sees all labels at
        once, takes no "balanced".

    Attributes
    ----------
    class_weight_ : ndarray of shape (n_classes,), float64
        The factors of the classes.
    """

    class_weight: Any = None

    _holds: ClassVar[Mapping[str, Any]] = {"class_weight_": array("f", 1)}
    _one_per_output: ClassVar[Mapping[str, str]] = {"class_weight_": "classifier"}

    def _check(self) -> None:
        weight = self.class_weight
        balanced = isinstance(weight, str) and weight == "balanced"
        if not (weight is None or balanced or isinstance(weight, Mapping)):
            raise ValueError(
                f"class_weight={weight!r} must be None, 'balanced' or a dict {{label: factor}}."
            )
        for factor in weight.values() if isinstance(weight, Mapping) else ():
            check_number("class_weight", factor, low=0)
        if balanced and "_announced" in self.__dict__:
            raise ValueError(
                "class_weight='balanced' needs all labels at once, but partial_fit sees them in "
                "parts: pass a dict {label: factor}, such as n / (n_classes n_k)."
            )
        super()._check()

    def _pair(self, X: Any, y: Any, *, going_on: bool) -> tuple[Any, np.ndarray]:
        X, labels = super()._pair(X, y, going_on=going_on)
        self.class_weight_ = self._weights(labels[labels != UNLABELLED])
        return X, labels

    def _weights(self, labels: np.ndarray) -> np.ndarray:
        """The factors of the classes, for these indices of classes."""
        weight, classes = self.class_weight, self.classes_.tolist()
        if weight is None:
            return np.ones(len(classes))
        if isinstance(weight, str):
            counts = np.bincount(labels, minlength=len(classes))
            return len(labels) / (len(classes) * np.maximum(counts, 1))
        if unknown := [label for label in weight if label not in classes]:
            raise ValueError(
                f"class_weight has {unknown}, which are not among the classes {classes}: leave "
                "them out."
            )
        return np.array([float(weight.get(label, 1)) for label in classes])

    def _weights_on(self, device: torch.device) -> Tensor:
        """`class_weight_` as a tensor (n_classes,)."""
        # Files of earlier versions hold none where the class had no weights then.
        weights = getattr(self, "class_weight_", np.ones(len(self.classes_)))
        return torch.as_tensor(weights, dtype=torch.float32, device=device)

    def _with_weights(self, scores: Tensor) -> Tensor:
        """Scores (n, n_classes) with the logarithm of `class_weight_` added.

        From there the weighted cross-entropy teaches a network the probabilities of the classes as
        they are, and decisions are weighted from the first step on.
        """
        return scores + self._weights_on(scores.device).clamp_min(LEAST_WEIGHT).log()


@parameters
class SemiSupervisedMixin(ClassWeights):
    """Games that learn from samples with and without a label.

    Parameters
    ----------
    supervised_weight : float
        Weight of the cross-entropy of labelled samples. Each minibatch has as many of these as it
        has samples in all; where few have a label, they come again.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, in order.
    """

    supervised_weight: float = 1.0

    def _check(self) -> None:
        check_number("supervised_weight", self.supervised_weight, low=0)
        super()._check()

    def _pair(self, X: Any, y: Any, *, going_on: bool) -> tuple[Any, np.ndarray]:
        X, labels = super()._pair(X, y, going_on=going_on)
        if np.all(labels == UNLABELLED):
            raise ValueError("y is -1 throughout: training needs samples with labels in each call.")
        return X, labels

    def _supervised_loss(self, net: Callable[[Tensor], Tensor], batch: Any) -> Tensor:
        """The weighted cross-entropy of the scores that `net` gives to labelled samples."""
        x, y = batch.labelled()
        return self.supervised_weight * cross_entropy(net(x), y, self._weights_on(x.device))


def _find_classes(y: Any, name: str = "y") -> np.ndarray:
    """The distinct labels, sorted; there must be at least two."""
    labels = read_labels(name, y)
    if not has_label_given(labels, np.array([0, 1])).any():
        raise ValueError(
            f"{name} has no label: all entries are None, NaN or -1, which mean unlabelled. Give "
            "labels of at least two classes."
        )
    classes = classes_among(labels)
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
            f"y has labels that are not among the classes {classes.tolist()} of the first call: "
            f"{unseen}. Pass all labels to the first call, in its y or as the classes of "
            "partial_fit, or start again with fit and warm_start=False."
        )
    return np.array([index[label] for label in labels], np.int64)


def _check_equal(announced: np.ndarray, classes: np.ndarray) -> None:
    if announced.tolist() != classes.tolist():
        raise ValueError(
            f"classes={announced.tolist()} are not those of the first call, {classes.tolist()}: "
            "leave classes out, or start again with fit."
        )
