"""scikit-learn's callbacks (experimental, from 1.9 on), in one thin module.

On older versions there are none: `set_callbacks` is missing and nothing here does anything.
"""

import functools
from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # scikit-learn 1.6 to 1.8

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""

    _with_callbacks = None

# What an estimator holds for the length of a fit only.
LIVE = ("_callback_", "_parent_callback_", "_skl_callbacks_to_teardown")


def with_callbacks(method):
    """Take callbacks down behind a fitting method, whatever ends it, and show its y to hooks."""
    if _with_callbacks is None:
        return method
    managed = _with_callbacks(method)

    @functools.wraps(method)
    def fitting(self, X, y=None):
        self._callback_y = y
        try:
            return managed(self, X, y)
        finally:
            self.__dict__.pop("_callback_y", None)

    return fitting


class CallbackSupport(CallbackSupportMixin):
    """Lets scikit-learn's callbacks follow `fit`: one task an epoch."""

    def __getstate__(self) -> dict[str, Any]:
        """Callbacks stay, as scikit-learn has it; where a fit stands is no part of a copy."""
        state: Any = super().__getstate__()
        return {k: v for k, v in state.items() if not k.startswith(LIVE)}


class Report:
    """Tells the callbacks of a fit how far it is.

    The fit is a task, and each of its epochs a task below it: begun before the epoch's first
    minibatch and ended behind its last. Hooks find the epoch's row of the history as
    `context.history_row`. It cannot be their `metadata`: `ScoringMonitor` hands those on to
    scorers.

    Parameters
    ----------
    estimator : the estimator that is being fitted
    X : its training rows
    n_epochs : int
        That are to be trained now.
    finish : callable
        Sets the estimator's fitted attributes to what has been learnt so far.
    """

    def __init__(self, estimator: Any, X: Any, n_epochs: int, finish: Callable[[], None]):
        self.estimator, self.n_epochs, self.finish = estimator, n_epochs, finish
        self.data = {"X": X, "y": getattr(estimator, "_callback_y", None)}
        self.n_begun = 0
        self.root: Any = None
        self.epoch: Any = None  # the task of the epoch under way
        if hasattr(estimator, "_init_callback_context"):
            self.root = estimator._init_callback_context(max_subtasks=n_epochs)
            self.root.call_on_fit_task_begin(estimator=estimator, **self.data)
            self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.epoch = None
        if self.n_begun < self.n_epochs:
            self.n_begun += 1
            self.epoch = self.root.subcontext(task_name="epoch")
            self.epoch.call_on_fit_task_begin(
                estimator=self.estimator, **self.data, reconstruction_attributes=self._so_far
            )

    def epoch_done(self, row: dict[str, float]) -> bool:
        """Call the hooks with the epoch's row of the history; True if one wants to stop."""
        if self.root is None:
            return False
        self.epoch.history_row = dict(row)
        stop = self.epoch.call_on_fit_task_end(
            estimator=self.estimator, **self.data, reconstruction_attributes=self._so_far
        )
        if stop:
            self.epoch = None
        else:
            self._begin_epoch()
        return bool(stop)

    def fit_done(self) -> None:
        """Call the hooks of the fit, whose attributes are set; an epoch cut short ends too."""
        if self.root is None:
            return
        if self.epoch is not None:
            self.epoch.call_on_fit_task_end(estimator=self.estimator, **self.data)
        self.root.call_on_fit_task_end(
            estimator=self.estimator, **self.data, reconstruction_attributes=self._attributes
        )

    def _attributes(self) -> dict[str, Any]:
        e = self.estimator
        parameters = e.get_params(deep=False)
        names = [k for k in vars(e) if k not in parameters and not k.startswith((*LIVE, "_skl"))]
        # The state that a training goes on from is that of an earlier fit.
        return {k: None if k == "_training" else getattr(e, k) for k in names}

    def _so_far(self) -> dict[str, Any]:
        """The fitted attributes as they would be if training had ended here."""
        before = self.estimator.__dict__.copy()
        try:
            self.finish()
            return self._attributes()
        finally:
            self.estimator.__dict__ = before
