"""Samples of a class: what games share whose generator is given a class beside z."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .parameters import PriorParameters
from .utils.docs import completed_by
from .utils.parameters import parameters

DRAWS = """
Parameters
----------
n_samples : int
random_state : None, int or RandomState
    Seed of the draws from the prior.
y : None, label or array-like of shape (n_samples,)
    The class of all samples, or of each, as a label of `classes_`. None draws it for each sample.
component : None, int or array-like of int of shape (n_samples,)
    The same as an index into `classes_`, in place of y.
"""


@parameters
class ConditionalPriorParameters(PriorParameters):
    """A prior of z and of a class, each equally likely, as the last columns of z, one-hot.

    For estimators with `ClassificationMixin`. A method lists it before `BaseGAN` among its base
    classes.
    """

    classes_: ClassVar[Any]  # of ClassificationMixin
    _kept_nets: ClassVar[Callable[..., Any]]  # of BaseGAN

    def _categories(self) -> tuple[int, ...]:
        return (len(self.classes_),) if hasattr(self, "classes_") else ()

    def _component(self, n_samples: int, y: Any, component: Any) -> Any:
        """What is asked for in y, as indices into `classes_`."""
        if y is None:
            return component
        self._kept_nets()  # raises if nothing is fitted
        if component is not None:
            raise ValueError(
                f"y={y!r} and component={component!r} say the same in two ways: leave one of them "
                "None."
            )
        index = {label: i for i, label in enumerate(self.classes_.tolist())}
        labels = np.asarray(y)
        if labels.ndim > 1 or (labels.ndim == 1 and len(labels) != n_samples):
            raise ValueError(
                f"y has the shape {labels.shape} for n_samples={n_samples}: give one label for "
                "all samples, or one for each."
            )
        unknown = sorted(set(np.atleast_1d(labels).tolist()) - index.keys(), key=str)
        if unknown:
            raise ValueError(f"y has {unknown}, but the classes are {self.classes_.tolist()}.")
        return (
            np.array([index[k] for k in labels.tolist()]) if labels.ndim else index[labels.item()]
        )

    @completed_by(DRAWS)
    def sample(self, n_samples=1, random_state=None, *, y=None, component=None):
        """Generated samples, in the layout, value range and (for uint8) type of the X of `fit`.

        Returns
        -------
        ndarray of shape (n_samples, ...)

        Raises
        ------
        ValueError
            If y has labels that are not among `classes_`, or not one for each sample.
        """
        component = self._component(n_samples, y, component)
        return super().sample(n_samples, random_state, component=component)  # type: ignore[misc]

    @completed_by(DRAWS)
    def sample_images(self, n_samples=1, random_state=None, *, y=None, component=None):
        """Generated images for display: float32 (n_samples, c, h, w) in [0, 1].

        Returns
        -------
        ndarray of shape (n_samples, c, h, w)

        Raises
        ------
        ValueError
            As `sample`, and if the estimator was fitted on a table.
        """
        component = self._component(n_samples, y, component)
        sample_images = super().sample_images  # type: ignore[misc]
        return sample_images(n_samples, random_state, component=component)
