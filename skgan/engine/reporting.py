"""scikit-learn's callbacks (experimental, since 1.9), in one thin module.

On older versions estimators have no `set_callbacks`, and nothing here has an effect.
"""

import functools
from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # scikit-learn 1.6 to 1.8

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """A substitute for scikit-learn's."""

    _with_callbacks = None

# Prefixes of the attributes that an estimator has only during a fit.
LIVE = ("_callback_", "_parent_callback_", "_skl_callbacks_to_teardown")


def with_callbacks(method):
    """Tear callbacks down after a fitting method, whatever ends it, and pass its y to hooks."""
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
    """Lets scikit-learn's callbacks follow `fit`: one task per epoch."""

    def __getstate__(self) -> dict[str, Any]:
        """Copies keep the callbacks, as in scikit-learn, but not the state of a fit under way."""
        state: Any = super().__getstate__()
        return {k: v for k, v in state.items() if not k.startswith(LIVE)}


class Report:
    """Reports the progress of a fit to its callbacks.

    The fit is a task, and each epoch a subtask, which begins before its first minibatch and ends
    after its last. Hooks find the epoch's row of the history as `context.history_row`. The row
    cannot be their `metadata`, because `ScoringMonitor` passes that on to scorers.

    Parameters
    ----------
    estimator : BaseGAN
        The estimator that is being fitted.
    X : array-like
        Its training data.
    n_epochs : int
        Number of epochs that this fit trains.
    finish : callable
        Sets the estimator's fitted attributes to the present state of training.
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
        """Call the hooks with the epoch's row of the history; True if one asks to stop."""
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
        """Call the hooks of a fit whose attributes are set; first those of an unfinished epoch."""
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
        # `_training`, from which a warm start continues, is still that of an earlier fit.
        return {k: None if k == "_training" else getattr(e, k) for k in names}

    def _so_far(self) -> dict[str, Any]:
        """The fitted attributes as they would be if training ended now."""
        before = self.estimator.__dict__.copy()
        try:
            self.finish()
            return self._attributes()
        finally:
            self.estimator.__dict__ = before
