"""scikit-learn's callbacks (experimental, from 1.9 on), in one thin module.

On older versions there are none: `set_callbacks` is missing and the hooks do nothing.
"""

import copy
from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn 1.6 to 1.8

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""

    def with_callbacks(method):
        """Leave the method as it is."""
        return method


class CallbackSupport(CallbackSupportMixin):
    """Lets scikit-learn's callbacks follow `fit`: one task an epoch."""


class Report:
    """Tells the callbacks of a fit how far it is.

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
        self.estimator, self.X, self.finish = estimator, X, finish
        self.context = None
        if hasattr(estimator, "_init_callback_context"):
            self.context = estimator._init_callback_context(max_subtasks=n_epochs)
            self.context.call_on_fit_task_begin(estimator=estimator, X=X)

    def epoch_done(self, row: dict[str, float]) -> bool:
        """Call the hooks with the epoch's row of the history; True if one wants to stop."""
        if self.context is None:
            return False
        task = self.context.subcontext(task_name="epoch")
        task.call_on_fit_task_begin(estimator=self.estimator, X=self.X)
        return bool(
            task.call_on_fit_task_end(
                estimator=self.estimator,
                X=self.X,
                metadata={"history_row": row},
                reconstruction_attributes=self._attributes,
            )
        )

    def fit_done(self) -> None:
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, X=self.X, reconstruction_attributes=self._attributes
            )

    def _attributes(self) -> dict[str, Any]:
        """The fitted attributes as they would be if training had ended here."""
        before = self.estimator.__dict__.copy()
        try:
            self.finish()
            parameters = self.estimator.get_params(deep=False)
            return {
                k: copy.copy(v)
                for k, v in self.estimator.__dict__.items()
                if k not in parameters and not k.startswith(("_skl", "_callback", "_parent"))
            }
        finally:
            self.estimator.__dict__ = before
