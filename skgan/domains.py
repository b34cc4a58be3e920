"""Samples from several domains: what estimators share whose `fit` takes `sample_domain`.

`DomainsMixin` is for all of them, `DomainClassificationMixin` for those that learn the labels of
sources and predict those of targets.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from .classification import ClassificationMixin
from .utils.callers import warn_caller
from .utils.checks import check_choice
from .utils.docs import X_AS_IN_FIT, completed_by
from .utils.domains import check_domains, domain_of_samples, read_domains, samples_from
from .utils.kinds import array
from .utils.labels import (
    UNLABELLED,
    classes_among,
    has_label,
    has_label_given,
    labels_at,
    read_labels,
)
from .utils.linear import ridge_error

OF_USE = f"""{X_AS_IN_FIT}
sample_domain : array-like of shape (n,), default=None
    The domains of the samples, as in `fit`. None: all are of the (last) target. It matters with
    `norm_per_domain` only.
"""


class DomainsMixin:
    """`fit(X, y, sample_domain=...)`, whose domains a method finds in `batch.domain`.

    A method lists it before `BaseGAN`, and before `ClassificationMixin`, among its base classes.
    Domains are whole numbers, as in skada: those above 0 are sources, those below 0 targets. Each
    minibatch has as many samples of each. Where they are not given, `_domains_without` says what
    they are.
    """

    # With metadata routing, `sample_domain` is passed on without a request.
    __metadata_request__fit: ClassVar[Mapping[str, Any]] = {"sample_domain": True}
    __metadata_request__partial_fit: ClassVar[Mapping[str, Any]] = {"sample_domain": True}

    _holds: ClassVar[Mapping[str, Any]] = {"domains_": array("i", 1)}

    # Of BaseGAN, with which this is combined.
    _keeping_earlier_fit: ClassVar[Callable[..., Any]]
    domains_: np.ndarray

    def _domains_without(self, X: Any, y: Any) -> np.ndarray:
        """The domain of every sample (n,), in `fit` without `sample_domain`."""
        raise NotImplementedError

    def fit(self, X, y=None, sample_domain=None):
        """Train the networks on X, the samples of all domains.

        Parameters
        ----------
        X : array-like of shape (n, columns), (n, h, w), (n, c, h, w) or (n, h, w, c)
            Images, or rows of a table. Numbers of any type; a memmap is read batch by batch.
        y : ignored
        sample_domain : array-like of shape (n,), default=None
            The domain of each sample: whole numbers, above 0 for sources and below 0 for targets,
            of at least two domains with at least two samples each. None: what the class says.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Before any training, for parameters, data or domains that cannot work.
        FloatingPointError
            If a loss or weight stops being finite. An earlier fit is kept.
        """
        with self._keeping_earlier_fit():
            self._given_domains = sample_domain  # for `_pair`
            return super().fit(X, y)  # type: ignore[misc]

    def partial_fit(self, X, y=None, sample_domain=None, **more):
        """Train for one pass over these samples, after those of earlier calls.

        Scaling and domains are those of the first call, which has samples of all domains; later
        ones have at least two of them.

        Parameters
        ----------
        X, y, sample_domain : as in `fit`

        Returns
        -------
        self
        """
        with self._keeping_earlier_fit():
            self._given_domains = sample_domain
            super().partial_fit(X, y, **more)  # type: ignore[misc]
            self.__dict__.pop("_given_domains", None)  # of a single sample, which is left out
        return self

    def _read_domains(self, X: Any, y: Any, *, going_on: bool) -> np.ndarray:
        """The domain of every sample of X (n,); sets `domains_` unless training continues."""
        given = self.__dict__.pop("_given_domains", None)
        if given is None:
            found = self._domains_without(X, y)
        else:
            found = check_domains(X, given)
        if not going_on:
            # Sources first, then targets, in the order of the sizes of their numbers.
            self.domains_ = np.array(sorted(np.unique(found), key=lambda k: (k < 0, abs(k))))
        elif unseen := sorted(set(found.tolist()) - set(self.domains_.tolist())):
            raise ValueError(
                f"sample_domain has {unseen}, but the domains of the first call are "
                f"{self.domains_.tolist()}: pass samples of all domains to the first call, or "
                "start again with fit and warm_start=False."
            )
        index = {int(k): i for i, k in enumerate(self.domains_)}
        self._domain_indices = np.array([index[k] for k in found.tolist()], np.int64)
        return found

    def _domains(self) -> np.ndarray:
        return self.__dict__.pop("_domain_indices")

    @contextlib.contextmanager
    def _used_on(self, X: Any, sample_domain: Any) -> Iterator[None]:
        """Within it, networks know the domains of the samples of X; None: they are not said."""
        if sample_domain is None:
            yield
            return
        check_is_fitted(self)
        found, known = read_domains(X, sample_domain).tolist(), self.domains_.tolist()
        if unseen := sorted({*found} - {*known}):
            raise ValueError(
                f"sample_domain has {unseen}, but the domains of fit are {known}: give those, or "
                "leave sample_domain out for samples of a target."
            )
        with samples_from(torch.tensor([known.index(k) for k in found], device="cpu")):
            yield

    def _look_at(self, nets: Any, batches: Iterator[Any]) -> dict[str, float]:
        """How far sources and targets are apart in the features, by a linear classifier of its own.

        The proxy A-distance 2 (1 - 2 e), e being its error on samples that it has not seen.
        """
        features, domains = [], []
        for batch in batches:
            with samples_from(batch.domain):
                features.append(nets.features(batch.x).float().cpu().numpy())
            domains.append(batch.domain.cpu().numpy())
        is_target = self.domains_[np.concatenate(domains)] < 0
        if min(is_target.sum(), (~is_target).sum()) < 2:
            return {}
        return {"proxy_a_distance": 2 * (1 - 2 * ridge_error(np.concatenate(features), is_target))}


class DomainClassificationMixin(DomainsMixin, ClassificationMixin):
    """Classes that are learnt from sources: the labels of targets are never read.

    Without `sample_domain`, samples with a label are the source, and those without the target. What
    applies networks takes `sample_domain`, too.
    """

    # With metadata routing, these get `sample_domain` without a request.
    __metadata_request__transform: ClassVar[Any] = {"sample_domain": True}
    __metadata_request__predict: ClassVar[Any] = {"sample_domain": True}
    __metadata_request__predict_proba: ClassVar[Any] = {"sample_domain": True}
    __metadata_request__decision_function: ClassVar[Any] = {"sample_domain": True}
    __metadata_request__score: ClassVar[Any] = {"sample_domain": True}

    def _domains_without(self, X, y):
        y = self._check_y(X, y)
        classes = self._known_classes
        known = has_label(y) if classes is None else has_label_given(y, classes)
        if known.all():
            warn_caller(
                "y has labels for all samples, and there is no sample_domain: without a target, "
                "training goes without the adversary. Pass sample_domain, or mark the samples of "
                "the target by y=-1."
            )
        if min(known.sum(), (~known).sum()) == 1:
            raise ValueError(
                f"y has {known.sum()} sample(s) with a label, which are the source, and "
                f"{(~known).sum()} without, which are the target: each domain needs at least 2."
            )
        return np.where(known, 1, -1)

    def _of_sources(self, domains: np.ndarray, y: Any) -> tuple[np.ndarray, Any]:
        """Indices of the samples of sources, and their labels: all of y that is looked at."""
        check_consistent_length(domains, y)
        rows = np.flatnonzero(domains > 0)
        if not len(rows):
            raise ValueError(
                f"sample_domain has {sorted({*domains.tolist()})}, which are all targets: give the "
                "samples whose labels are to be learnt a source domain, a number above 0."
            )
        return rows, labels_at(y, rows)

    def _pair(self, X, y, *, going_on):
        if y is None:
            self._check_y(X, y)  # raises
        announced = self.__dict__.get("_announced")
        self._known_classes = (
            self.classes_ if going_on
            else announced if announced is None
            else classes_among(read_labels("classes", announced))
        )  # fmt: skip
        domains = self._read_domains(X, y, going_on=going_on)
        del self._known_classes
        rows, y = self._of_sources(domains, y)
        labels = np.full(len(domains), UNLABELLED)
        _, labels[rows] = super()._pair(rows, y, going_on=going_on)
        return X, labels

    def fit(self, X, y=None, sample_domain=None):
        """Train the networks on samples of sources, with labels, and of targets.

        Parameters
        ----------
        X : array-like of shape (n, columns), (n, h, w), (n, c, h, w) or (n, h, w, c)
            Images, or rows of a table, of all domains. Numbers of any type; a memmap is read batch
            by batch.
        y : array-like of shape (n,)
            Labels: integers or strings, of at least two classes among the sources. Those of targets
            are never read, and may be anything that an array of labels can hold. Samples of
            sources may be unlabelled: -1 among at least two other classes; among strings None, NaN
            and the number -1.
        sample_domain : array-like of int of shape (n,), default=None
            The domain of every sample: above 0 for sources, below 0 for targets. Each minibatch has
            as many samples of each. None: samples with a label are the source, those without the
            target; where there are none without, training goes without the adversary, and a
            warning says so.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Before training, for parameters, data, labels or domains that cannot work: 0 among the
            domains, one domain throughout, or no source.
        FloatingPointError
            If a loss or a weight becomes NaN or infinite. An earlier fit is kept.
        """
        return super().fit(X, y, sample_domain)

    def partial_fit(  # type: ignore[override]
        self, X, y=None, sample_domain=None, classes=None
    ):
        """Train for one pass over these samples, in addition to those of earlier calls.

        Scaling, classes and domains are those of the first call. There are no schedules, as
        training has no end: weights and learning rates are the largest ones throughout.

        Parameters
        ----------
        X, y, sample_domain : as in `fit`
        classes : array-like of shape (n_classes,), default=None
            All labels that may occur in this and later calls. None: the labels of sources in the
            first call.

        Returns
        -------
        self
        """
        return super().partial_fit(X, y, sample_domain, classes=classes)

    # ---------------------------------------------------------------- use

    @completed_by(OF_USE)
    def transform(self, X, sample_domain=None):
        """Features of X.

        Returns
        -------
        ndarray of shape (n, n_features_out_), float32
            Row i depends on sample i of X, and its domain, alone.
        """
        with self._used_on(X, sample_domain):
            return super().transform(X)

    @completed_by(OF_USE)
    def fit_transform(self, X, y=None, sample_domain=None):
        """Train the networks, and return the features of the samples, each by its own domain.

        Parameters
        ----------
        X, y, sample_domain : as in `fit`

        Returns
        -------
        ndarray of shape (n, n_features_out_), float32
        """
        return self.fit(X, y, sample_domain).transform(X, sample_domain)

    def export(self, path, kind="torch", domain=None) -> None:
        """Write the extractor, with the scaling of its input, to a file for programs without skgan.

        What is in the file takes samples of one domain: (n, ...) in the shape and the units of the
        X of `fit`, as float32, with any n from 1 up. It returns the features of `transform`. For
        what else holds of it see `DCGANDiscriminatorFeatures.export`.

        Parameters
        ----------
        path : str or path
            Of the file, which ends in ".pt2" (torch) or ".onnx". An existing one is replaced once
            the new one is complete.
        kind : {"torch", "onnx"}
            A program of `torch.export`, or an ONNX model.
        domain : int, default=None
            The domain of all samples, one of `domains_`. None: the (last) target. It matters with
            `norm_per_domain` only.

        Raises
        ------
        ValueError
            For an unknown kind, another ending, or a domain that was none in `fit`.
        OSError, ImportError, RuntimeError
            As for other classes. Nothing is written then.
        """
        if domain is None:
            super().export(path, kind)
            return
        check_is_fitted(self)
        known = self.domains_.tolist()
        check_choice("domain", domain, known)
        with samples_from(known.index(domain)):
            super().export(path, kind)

    def _description(self):
        index = domain_of_samples()
        domain = self.domains_[-1 if index is None else index]
        return super()._description() | {"domain": int(domain)}

    @completed_by(OF_USE)
    def decision_function(self, X, sample_domain=None):
        """The scores of the classes: logits, up to a constant per sample.

        Returns
        -------
        ndarray of shape (n, n_classes) or (n,), float32
            In the order of `classes_`. With two classes the shape is (n,): the second class's
            score minus the first one's.
        """
        with self._used_on(X, sample_domain):
            return super().decision_function(X)

    @completed_by(OF_USE)
    def predict_proba(self, X, sample_domain=None):
        """The probability of every class.

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            In the order of `classes_`.
        """
        with self._used_on(X, sample_domain):
            return super().predict_proba(X)

    @completed_by(OF_USE)
    def predict(self, X, sample_domain=None):
        """The most probable class of every sample.

        Returns
        -------
        ndarray of shape (n,)
            Of the same type as the labels in `fit`.
        """
        with self._used_on(X, sample_domain):
            return super().predict(X)

    def score(self, X, y, sample_weight=None, sample_domain=None):
        """Accuracy on the samples that have a label, of whichever domain.

        Parameters
        ----------
        X : array-like, as in `fit`
        y : array-like of shape (n,)
            True labels. Unlabelled samples, as in `fit`, are left out; so are those with -1,
            unless -1 is one of `classes_`.
        sample_weight : array-like of shape (n,), default=None
        sample_domain : array-like of shape (n,), default=None
            As for `predict`.

        Returns
        -------
        float
            In [0, 1].
        """
        with self._used_on(X, sample_domain):
            return super().score(X, y, sample_weight)
