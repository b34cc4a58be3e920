"""The value by which epochs are compared: a column of the history, or a score."""

import math
from collections.abc import Callable
from typing import Any

from sklearn.metrics import get_scorer

from ..utils.checks import check_choice, check_number


class Values:
    """Where the value of an epoch comes from.

    Parameters
    ----------
    callback : str
        Whose it is, for messages.
    monitor, scorer, mode, validation_data, every, name : as in `EarlyStopping`

    Attributes
    ----------
    column : str
        The column of `history_` with the values.
    """

    def __init__(
        self, callback: str, monitor: str | None, scorer: Callable[..., float] | str | None,
        mode: str | None, validation_data: Any, every: int, name: str | None,
    ):  # fmt: skip
        if (monitor is None) == (scorer is None):
            raise ValueError(
                f"{callback} needs either monitor, a column of history_, or scorer, a function of "
                f"(estimator, X, y), but has monitor={monitor!r} and scorer={scorer!r}."
            )
        if monitor is not None and not isinstance(monitor, str):
            raise ValueError(f"monitor={monitor!r} must be the name of a column of history_.")
        if scorer is not None and not (isinstance(scorer, str) or callable(scorer)):
            raise ValueError(
                f"scorer={scorer!r} must be a function of (estimator, X, y), or a name."
            )
        if mode is not None:
            check_choice("mode", mode, ("min", "max"))
        check_number("every", every, low=1, integer=True)
        self._check_data(callback, scorer, validation_data)
        if name is not None and (scorer is None or not isinstance(name, str) or not name):
            raise ValueError(f"name={name!r} must be the name of the scores of a scorer, or None.")
        self.callback, self.scorer, self.every = callback, scorer, every
        self.mode = mode or ("min" if scorer is None else "max")
        self.validation_data = validation_data
        self.column = monitor or name or _name_of(scorer)
        self._score: Any = get_scorer(scorer) if isinstance(scorer, str) else scorer

    @staticmethod
    def _check_data(callback: str, scorer: Any, data: Any) -> None:
        if data is None:
            return
        if scorer is None:
            raise ValueError(f"validation_data of {callback} is for scorer: there is none.")
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ValueError(
                f"validation_data must be a pair (X, y), where y may be None, but is a "
                f"{type(data).__name__}."
            )

    def check_for(self, estimator: Any) -> None:
        """Raise where a scorer by name cannot score the estimator."""
        if isinstance(self.scorer, str) and not hasattr(type(estimator), "predict"):
            raise ValueError(
                f"scorer={self.scorer!r} needs an estimator with predict, which "
                f"{type(estimator).__name__} does not have: pass a function of (estimator, X, y)."
            )

    def is_due(self, row: dict[str, float]) -> bool:
        """Whether the epoch of this row is looked at."""
        return row["epoch"] % self.every == 0

    def of(self, context: Any, X: Any, y: Any) -> float:
        """The value of the epoch that has just ended; a score is logged."""
        row, training = context.history_row, context.training
        if self.scorer is None:
            if self.column not in row:
                raise ValueError(
                    f"monitor={self.column!r} of {self.callback} is no column of history_: use one "
                    f"of {', '.join(row)}."
                )
            return training.agreed(row[self.column])
        scored = training.notes.setdefault("scored", set())
        if (row["epoch"], self.column) not in scored:
            if self.validation_data is not None:
                X, y = self.validation_data
            score = training.agreed(self._checked(self._score(training.fitted(), X, y)))
            training.log(self.column, score)
            scored.add((row["epoch"], self.column))
        return row[self.column]

    def _checked(self, score: Any) -> float:
        try:
            return float(score)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"scorer={self.column!r} of {self.callback} must return a number, but returned "
                f"{score!r}."
            ) from error


def _name_of(scorer: Any) -> str:
    name = scorer if isinstance(scorer, str) else getattr(scorer, "__name__", "score")
    return name if name != "<lambda>" else "score"


def check_alone(callback: Any, estimator: Any) -> None:
    """Raise where another callback has other scores of the same name, or also restores the best."""
    for other in getattr(estimator, "_skl_callbacks", ()):
        theirs = getattr(other, "_values", None)
        if other is callback or not isinstance(theirs, Values):
            continue
        ours = callback._values
        both = ours.scorer is not None and theirs.scorer is not None
        if both and ours.column == theirs.column and not _same(ours, theirs):
            raise ValueError(
                f"two callbacks have scores called {ours.column!r}, which are different: give one "
                "of them another name=."
            )
        if getattr(callback, "restore_best", False) and getattr(other, "restore_best", False):
            raise ValueError(
                "restore_best=True of two callbacks: a fit can go back to one best epoch only."
            )


def _same(a: Values, b: Values) -> bool:
    return a.scorer == b.scorer and a.validation_data is b.validation_data


class Record:
    """The values of one fit so far, and the best of them.

    Parameters
    ----------
    values : Values
    min_delta : float
        By how much a value has to be better.
    """

    def __init__(self, values: Values, min_delta: float):
        self.values, self.min_delta = values, min_delta
        self.looks: list[dict[str, Any]] = []
        self.best_epoch: int | None = None
        self.best_value: float | None = None
        self.n_without = 0  # looks since the best

    def replay(self, history: list[dict[str, float]]) -> None:
        """Look at the epochs before this fit, as far as they have the value."""
        for row in history:
            if self.values.column in row and self.values.is_due(row):
                self.add(int(row["epoch"]), row[self.values.column])

    def add(self, epoch: int, value: float) -> bool:
        """Whether the value is better than all before it."""
        sign = 1 if self.values.mode == "max" else -1
        best = -math.inf if self.best_value is None else sign * self.best_value
        improved = math.isfinite(value) and (
            self.best_value is None or sign * value > best + self.min_delta
        )
        self.looks.append({"epoch": epoch, "value": value, "improved": improved})
        if improved:
            self.best_epoch, self.best_value = epoch, value
        self.n_without = 0 if improved else self.n_without + 1
        return improved
