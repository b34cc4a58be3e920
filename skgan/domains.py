"""Samples from several domains: what estimators share whose `fit` takes `sample_domain`."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

from .utils.kinds import array


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
            return super().partial_fit(X, y, **more)  # type: ignore[misc]

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


def check_domains(X: Any, sample_domain: Any) -> np.ndarray:
    """Domains (n,) as int64; there must be two or more, none of them 0, with two samples each."""
    found = column_or_1d(np.asarray(sample_domain))
    check_consistent_length(X, found)
    meaning = "give whole numbers, above 0 for source domains and below 0 for target domains."
    if found.dtype.kind not in "iuf" or not np.array_equal(found, found.astype(np.int64)):
        raise ValueError(f"sample_domain holds {found[:3].tolist()} ...: {meaning}")
    found = found.astype(np.int64)
    values, counts = np.unique(found, return_counts=True)
    if 0 in values:
        raise ValueError(f"sample_domain has 0 for {np.sum(found == 0)} samples: {meaning}")
    if len(values) < 2:
        raise ValueError(
            f"sample_domain is {values[0]} throughout: at least two domains are needed. Leave it "
            "out for a single one."
        )
    if counts.min() < 2:
        raise ValueError(
            f"sample_domain is {values[counts.argmin()]} for 1 sample only: each domain needs at "
            "least 2."
        )
    return found
