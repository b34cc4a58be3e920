"""Callbacks that follow a fit, in one thin module.

The protocol is that of scikit-learn 1.9, where it is experimental. For older versions
`engine/contexts.py` has as much of it as one estimator needs, so that the same callbacks work.
What skgan adds for every version is `context.training`.
"""

import functools
import weakref
from collections.abc import Callable
from typing import Any

from ..utils import processes
from .checkpoint import Checkpoints, State
from .contexts import as_if_fitted

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks

    OWN_PROTOCOL = False
except ImportError:  # scikit-learn 1.6 to 1.8
    from .contexts import CallbackSupportMixin
    from .contexts import with_callbacks as _with_callbacks

    OWN_PROTOCOL = True

# Prefixes of the attributes that an estimator has only during a fit.
LIVE = ("_callback_", "_parent_callback_", "_skl_callbacks_to_teardown")


def with_callbacks(method):
    """Tear callbacks down after a fitting method, whatever ends it, and pass its y to hooks."""
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
    """Lets callbacks follow `fit`: one task per epoch."""

    def __getstate__(self) -> dict[str, Any]:
        """Copies keep the callbacks, as in scikit-learn, but not the state of a fit under way."""
        state: Any = super().__getstate__()
        return {k: v for k, v in state.items() if not k.startswith(LIVE)}

    def _handed_on(self, twin: Any) -> Any:
        """The clone with the callbacks of this estimator, as scikit-learn 1.9 hands them on."""
        if "_skl_callbacks" in vars(self):
            twin._skl_callbacks = self._skl_callbacks
            if OWN_PROTOCOL:  # no task says that the clone is one of several in a search
                twin._skl_callbacks_of_clone = True
        return twin


class TrainingSoFar:
    """What callbacks may read and ask of the training that they follow: `context.training`.

    Attributes
    ----------
    notes : dict
        For callbacks, by themselves or names of their own: what belongs to this fit alone. A
        callback may follow several fits at a time, as in threads.
    is_first_process : bool
        False in all processes but one, where several train together: one writes files.
    is_one_of_several : bool
        Whether the estimator is a clone whose tasks do not say which one, as in a search before
        scikit-learn 1.9.
    is_partial : bool
        Whether this is a `partial_fit`, of one epoch.
    """

    def __init__(self, report: "Report"):
        self._of = weakref.ref(report)  # networks must go when training is over
        self.notes: dict[Any, Any] = {}
        self.is_first_process = processes.rank() == 0
        self.is_one_of_several = hasattr(report.estimator, "_skl_callbacks_of_clone")
        self.is_partial = report.is_partial

    @property
    def _report(self) -> "Report":
        report = self._of()
        if report is None:
            raise RuntimeError("context.training can be asked during training only: it is over.")
        return report

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of `history_` so far, with those of earlier fits that this one goes on from."""
        return [dict(row) for row in self._report.history]

    def fitted(self) -> Any:
        """The estimator as it would be if training ended now.

        Made when it is first asked for after an epoch. It costs a pass over the training samples,
        for batch-norm statistics.
        """
        return self._report.fitted()

    def agreed(self, value: float) -> float:
        """The mean of the numbers of all processes that train together, so that all decide alike.

        All of them have to call it.
        """
        return processes.averaged({"value": float(value)})["value"]

    def log(self, name: str, value: float) -> None:
        """Add a number to the row of `history_` of the epoch that has just ended.

        Raises
        ------
        ValueError
            Where the row has something else of that name.
        """
        row = self._report.history[-1]
        if name in row:
            raise ValueError(
                f"history_ has {name!r} already in epoch {row['epoch']}: log it by another name."
            )
        row[name] = float(value)
        if self._report.epoch is not None:
            self._report.epoch.history_row[name] = float(value)

    def keep(self, epoch: int | None = None) -> bool:
        """Ask that the fit ends as it is now, however long training goes on.

        When training ends, it goes back to here: networks, optimizers, random state, `n_epochs_`,
        `n_steps_` and `history_`. What was asked for last counts.

        Parameters
        ----------
        epoch : int, optional
            An epoch from before this fit; it can be gone back to if it is the last one, or was
            kept in `checkpoint_dir`.

        Returns
        -------
        possible : bool
            False if what that epoch left is gone.
        """
        return self._report.keep(epoch)

    def end(self) -> None:
        """Ask, before the first epoch, that this fit trains no epoch."""
        self._report.ended = True


class Report:
    """Reports the progress of a fit to its callbacks.

    The fit is a task, and each epoch a subtask, which begins before its first minibatch and ends
    after its last. Hooks find the epoch's row of the history as `context.history_row`, and all
    else as `context.training`. The row cannot be their `metadata`, because `ScoringMonitor` passes
    that on to scorers.

    Parameters
    ----------
    estimator : BaseGAN
        The estimator that is being fitted.
    X : array-like
        Its training data.
    n_epochs : int
        Number of epochs that this fit trains.
    history : list of dict
        The rows of the training, which adds one per epoch.
    finish : callable
        Sets the estimator's fitted attributes to the present state of training.
    take : callable
        The state of training.
    checkpoints : Checkpoints or None
        Where a state that a callback keeps is written, too.
    is_partial : bool
        Whether it is a `partial_fit`.

    Attributes
    ----------
    ended : bool
        Whether a callback has asked for no epoch at all.
    kept : State or None
        What training has to go back to at its end.
    """

    def __init__(
        self, estimator: Any, X: Any, n_epochs: int, history: list[dict[str, float]],
        finish: Callable[[], None], take: Callable[[], State],
        checkpoints: Checkpoints | None = None, is_partial: bool = False,
    ):  # fmt: skip
        self.estimator, self.n_epochs, self.history = estimator, n_epochs, history
        self.is_partial = is_partial
        self.finish, self.take, self.checkpoints = finish, take, checkpoints
        y = getattr(estimator, "_callback_y", None)
        self.facts = {"estimator": estimator, "X": X, "y": y}
        self.n_begun = 0
        self.ended = self.to_keep = False
        self.kept: State | None = None
        self.epoch: Any = None  # the task of the epoch under way
        self._now: dict[str, Any] | None = None  # fitted attributes after the last epoch
        self._shown: Any = None  # an estimator with them
        self.training = TrainingSoFar(self)
        self.root = estimator._init_callback_context(max_subtasks=n_epochs)
        self.root.training = self.training
        self.root.call_on_fit_task_begin(**self.facts)
        self._keep_if_asked()
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.epoch = None
        if self.n_begun < self.n_epochs and not self.ended:
            self.n_begun += 1
            self.epoch = self.root.subcontext(task_name="epoch")
            self.epoch.training = self.training
            self.epoch.call_on_fit_task_begin(**self.facts, reconstruction_attributes=self._so_far)
        self._now = self._shown = None

    def epoch_done(self) -> bool:
        """Call the hooks after an epoch; True if one asks to stop, in any process."""
        self._now = self._shown = None
        self.epoch.history_row = dict(self.history[-1])
        stop = self.epoch.call_on_fit_task_end(**self.facts, reconstruction_attributes=self._so_far)
        stop = bool(processes.anywhere(stop or None))
        self._keep_if_asked()
        self._now = self._shown = None
        if stop:
            self.epoch = None
        else:
            self._begin_epoch()
        return stop

    def fit_done(self) -> None:
        """Call the hooks of a fit whose attributes are set; first those of an unfinished epoch."""
        if self.epoch is not None:
            self.epoch.call_on_fit_task_end(**self.facts)
        self.root.call_on_fit_task_end(**self.facts, reconstruction_attributes=self._attributes)

    def keep(self, epoch: int | None) -> bool:
        """Keep the present state once all hooks were called, or one of an earlier fit."""
        if epoch in (None, len(self.history)):
            self.to_keep = True
            return True
        found = self.checkpoints.find_kept(self.history) if self.checkpoints else None
        if found is None or len(found["history"]) != epoch:
            return False
        self.kept = found
        return True

    def _keep_if_asked(self) -> None:
        if self.to_keep:
            self.to_keep, self.kept = False, self.take()
            if self.checkpoints and self.n_epochs:
                self.checkpoints.write_kept(self.kept)

    def fitted(self) -> Any:
        """A copy of the estimator as it would be if training ended now."""
        if self._shown is None:
            self._shown = as_if_fitted(self.estimator, self._so_far())
        return self._shown

    def _attributes(self) -> dict[str, Any]:
        e = self.estimator
        parameters = e.get_params(deep=False)
        names = [k for k in vars(e) if k not in parameters and not k.startswith((*LIVE, "_skl"))]
        # `_training`, from which a warm start continues, is still that of an earlier fit.
        return {k: None if k == "_training" else getattr(e, k) for k in names}

    def _so_far(self) -> dict[str, Any]:
        """The fitted attributes as they would be if training ended now."""
        if self._now is None:
            before = self.estimator.__dict__.copy()
            try:
                self.finish()
                self._now = self._attributes()
            finally:
                self.estimator.__dict__ = before
        return self._now
