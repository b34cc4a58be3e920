"""Methods that an estimator has only with some of its parameters, and errors that say which."""

import functools
from collections.abc import Callable
from types import MethodType
from typing import Any


class _Available:
    """A method that `check` allows or refuses, by an error, each time it is asked for."""

    def __init__(self, method: Callable[..., Any], check: Callable[[Any], Any]):
        self._method, self._check = method, check
        functools.update_wrapper(self, method)  # type: ignore[arg-type]

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is not None:
            self._refuse(obj)
            return MethodType(self._method, obj)

        @functools.wraps(self._method)
        def unbound(obj: Any, *args: Any, **kwargs: Any) -> Any:
            self._refuse(obj)
            return self._method(obj, *args, **kwargs)

        return unbound

    def _refuse(self, obj: Any) -> None:
        try:
            allowed = self._check(obj)
        except Exception as error:
            raise AttributeError(str(error)) from error
        if not allowed:
            raise AttributeError(f"{type(obj).__name__} has no {self._method.__name__} as it is.")


def available_if(check: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], Any]:
    """As scikit-learn's decorator, but its AttributeError says why, and not only that it is so.

    `check(estimator)` returns True, or raises an error whose text is the reason.
    """
    return lambda method: _Available(method, check)
