"""Tasks and callbacks for scikit-learn 1.6 to 1.8, which have none of their own.

The part of scikit-learn 1.9's protocol that one estimator needs, with the same names: `setup` and
`teardown` once, the two hooks around each task, and keyword-only parameters of hooks on demand.
"""

import copy
import functools
import inspect
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

HOOKS = ("setup", "teardown", "on_fit_task_begin", "on_fit_task_end")
ON_DEMAND = ("X", "y", "metadata", "fitted_estimator")


class CallbackContext:
    """A task of a fit: the fit itself, or an epoch below it.

    Attributes
    ----------
    task_name : str
    task_id : int
        Number of the task among those of the same parent, from 0.
    max_subtasks : int
    sequential_subtasks : bool
    estimator_name : str
    parent : CallbackContext or None
        None for the fit itself.
    root_uuid : UUID
        The same in all tasks of a fit.
    init_time : datetime
    source_task_name, source_estimator_name : None
        In scikit-learn 1.9 the task of a search or pipeline that this fit is.
    """

    source_task_name = source_estimator_name = None
    sequential_subtasks = True

    def __init__(
        self, callbacks: list[Any], estimator_name: str, task_name: str, max_subtasks: int,
        parent: "CallbackContext | None" = None,
    ):  # fmt: skip
        self._callbacks, self.estimator_name = callbacks, estimator_name
        self.task_name, self.max_subtasks, self.parent = task_name, max_subtasks, parent
        self.task_id: int = 0 if parent is None else parent._n_begun
        self.root_uuid: uuid.UUID = uuid.uuid4() if parent is None else parent.root_uuid
        self.init_time = datetime.now(UTC)
        self._n_begun: int = 0

    def __repr__(self) -> str:
        return (
            f"CallbackContext(estimator_name={self.estimator_name!r}, "
            f"task_name={self.task_name!r}, task_id={self.task_id})"
        )

    def subcontext(self, task_name: str = "", max_subtasks: int = 0) -> "CallbackContext":
        """The next task below this one."""
        task = CallbackContext(
            self._callbacks, self.estimator_name, task_name, max_subtasks, parent=self
        )
        self._n_begun += 1
        return task

    def call_on_fit_task_begin(self, **facts: Any) -> "CallbackContext":
        """Call the hooks of all callbacks."""
        self._call("on_fit_task_begin", **facts)
        return self

    def call_on_fit_task_end(self, **facts: Any) -> bool:
        """Call the hooks of all callbacks; whether one of them returned True."""
        return self._call("on_fit_task_end", **facts)

    def _call(
        self, hook: str, *, estimator: Any,
        reconstruction_attributes: Callable[[], dict[str, Any]] | None = None, **data: Any,
    ) -> bool:  # fmt: skip
        @functools.cache
        def fact(name: str) -> Any:
            if name != "fitted_estimator":
                return data.get(name)
            if reconstruction_attributes is None:
                return None
            return as_if_fitted(estimator, reconstruction_attributes())

        stop = False
        for callback in self._callbacks:
            method = getattr(callback, hook)
            wanted = _keyword_only(method)
            if unknown := [name for name in wanted if name not in ON_DEMAND]:
                raise TypeError(
                    f"{hook} of {type(callback).__name__} asks for {', '.join(unknown)}: "
                    f"keyword-only parameters are {', '.join(ON_DEMAND)}."
                )
            stop |= bool(method(estimator, self, **{name: fact(name) for name in wanted}))
        return stop


def _keyword_only(method: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(method).parameters.values()
    return [p.name for p in parameters if p.kind == p.KEYWORD_ONLY]


def as_if_fitted(estimator: Any, attributes: dict[str, Any]) -> Any:
    """A copy of the estimator with these fitted attributes."""
    shown = copy.copy(estimator)
    for name, value in attributes.items():
        setattr(shown, name, value)
    return shown


class CallbackSupportMixin:
    """An estimator whose fits callbacks can follow."""

    def set_callbacks(self, *callbacks: Any) -> Any:
        """Set the callbacks of `fit` and `partial_fit`, in place of those set before.

        Parameters
        ----------
        *callbacks : callback instances
            Each with the methods `setup`, `teardown`, `on_fit_task_begin` and `on_fit_task_end`.
            With none, there are no callbacks from then on.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            For what is no such instance.
        """
        for callback in callbacks:
            if isinstance(callback, type) or not all(hasattr(callback, h) for h in HOOKS):
                raise TypeError(
                    f"callbacks must be instances with the methods {', '.join(HOOKS)}, but "
                    f"{callback!r} is none: derive it from skgan.callbacks.Callback."
                )
        for name in ("_skl_callbacks", "_skl_callbacks_of_clone"):
            self.__dict__.pop(name, None)
        if callbacks:
            self._skl_callbacks = list(callbacks)
        return self

    def _init_callback_context(self, max_subtasks: int = 0) -> CallbackContext:
        """The task of a fit that begins, with its callbacks set up."""
        callbacks = list(getattr(self, "_skl_callbacks", ()))
        context = CallbackContext(callbacks, type(self).__name__, "fit", max_subtasks)
        self._callback_fit_ctx = context
        self._skl_callbacks_to_teardown: list[Any] = []
        for callback in callbacks:
            self._skl_callbacks_to_teardown.append(callback)
            callback.setup(self, context)
        return context


def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
    """Tear callbacks down after a fitting method, whatever ends it."""

    @functools.wraps(method)
    def managed(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        finally:
            _tear_down(self)

    return managed


def _tear_down(estimator: Any) -> None:
    context = estimator.__dict__.pop("_callback_fit_ctx", None)
    errors: list[Exception] = []
    for callback in estimator.__dict__.pop("_skl_callbacks_to_teardown", ()):
        try:
            callback.teardown(estimator, context)
        except Exception as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup("several callbacks could not be taken down", errors)
