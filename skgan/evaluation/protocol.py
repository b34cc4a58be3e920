"""The draws of labelled samples, and the evaluation of a representation on all of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from ..utils.checks import check_number
from ..utils.labels import classes_among, has_label
from .classifiers import Choice, Recipe, folds, score_candidates, score_choice
from .splits import check_class_sizes, draw_balanced


@dataclass(frozen=True)
class Draw:
    """Labelled samples, as indices into X."""

    budget: int | str
    number: int
    rows: np.ndarray
    search_rows: np.ndarray  # the subset used to choose scaling and parameters
    seed: int


@dataclass(frozen=True)
class Protocol:
    """Everything that all representations share."""

    y: np.ndarray
    y_test: np.ndarray
    draws: Sequence[Draw]
    recipe: Recipe
    scalings: Sequence[str]
    choose_once: bool
    control: bool
    n_jobs: int | None

    @cached_property
    def rows(self) -> np.ndarray:
        """Ascending indices of the samples in any draw: only their features are needed."""
        return np.unique(np.concatenate([draw.rows for draw in self.draws]))

    @property
    def chance(self) -> float:
        """Accuracy of always predicting the most frequent class of the test part."""
        return float(np.unique(self.y_test, return_counts=True)[1].max() / len(self.y_test))

    @property
    def settings(self) -> dict[str, Any]:
        """The entries that a result records."""
        return {
            "classifier": self.recipe.name,
            "candidates": list(self.recipe.grid),
            "scaling": list(self.scalings),
            "n_train": len(self.y),
            "n_labelled": int(has_label(self.y).sum()),
            "n_test": len(self.y_test),
            "n_classes": len(classes_among(self.y)),
            "chance": self.chance,
        }

    def judge(self, train: np.ndarray, test: np.ndarray) -> list[dict[str, Any]]:
        """One record per draw, for the features of `rows` and of the test part."""
        choices = self._choose(train)
        outcomes = Parallel(n_jobs=self.n_jobs)(
            delayed(_judge_draw)(
                self.recipe, choice, train, self.y[self.rows], self._places(draw.rows),
                test, self.y_test, draw.seed if self.control else None,
            )
            for draw, choice in zip(self.draws, choices, strict=True)
        )  # fmt: skip
        return [
            {
                "n_labels": draw.budget, "draw": draw.number, "n_rows": len(draw.rows),
                "n_features": train.shape[1], "scaling": choice.scaling,
                "params": dict(choice.params), "search_unconverged": choice.n_unconverged,
            } | outcome
            for draw, choice, outcome in zip(self.draws, choices, outcomes, strict=True)
        ]  # fmt: skip

    def _choose(self, train: np.ndarray) -> list[Choice]:
        """For every draw, the candidate with the best accuracy over folds of its samples."""
        if len(self.scalings) == len(self.recipe.grid) == 1:
            return [Choice(self.scalings[0], self.recipe.grid[0])] * len(self.draws)
        y = self.y[self.rows]
        tasks = [
            (i, j, scaling, places[fit], places[held])
            for i, draw in enumerate(self.draws)
            if draw.number == 0 or not self.choose_once
            for places in [self._places(draw.search_rows)]
            for fit, held in folds(y[places], draw.seed)
            for j, scaling in enumerate(self.scalings)
        ]
        outcomes = Parallel(n_jobs=self.n_jobs)(
            delayed(score_candidates)(
                self.recipe, scaling, train[fit], y[fit], train[held], y[held]
            )
            for _, _, scaling, fit, held in tasks
        )
        scores = np.zeros((len(self.draws), len(self.scalings), len(self.recipe.grid)))
        n_unconverged = [0] * len(self.draws)
        for (i, j, *_), (accuracies, n) in zip(tasks, outcomes, strict=True):
            scores[i, j] += accuracies
            n_unconverged[i] += n
        choices: list[Choice] = []
        for i, draw in enumerate(self.draws):
            if draw.number > 0 and self.choose_once:
                choices.append(replace(choices[-1], n_unconverged=0))
            else:
                j, k = np.unravel_index(scores[i].argmax(), scores[i].shape)
                choices.append(Choice(self.scalings[j], self.recipe.grid[k], n_unconverged[i]))
        return choices

    def _places(self, rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.rows, rows)


def _judge_draw(
    recipe: Recipe, choice: Choice, train: np.ndarray, y: np.ndarray, places: np.ndarray,
    test: np.ndarray, y_test: np.ndarray, control_seed: int | None,
) -> dict[str, Any]:  # fmt: skip
    started = time.perf_counter()
    accuracy, converged = score_choice(recipe, choice, train[places], y[places], test, y_test)
    outcome = {
        "accuracy": accuracy, "converged": converged, "seconds": time.perf_counter() - started,
    }  # fmt: skip
    if control_seed is not None:
        permuted = np.random.RandomState(control_seed).permutation(y[places])
        score, _ = score_choice(recipe, choice, train[places], permuted, test, y_test)
        outcome["control_accuracy"] = score
    return outcome


def draw_labels(
    y: np.ndarray,
    budgets: Sequence[int | str],
    n_draws: int,
    selection_rows: int,
    rng: np.random.RandomState,
) -> list[Draw]:
    """Choose the samples of every budget and draw at random among those with a label."""
    labelled = np.flatnonzero(has_label(y))
    y = y[labelled]
    n_classes = len(np.unique(y))
    # Folds need at least two samples of each class.
    check_number("selection_rows", selection_rows, low=2 * n_classes, integer=True)
    for budget in budgets:
        if not isinstance(budget, str):
            check_class_sizes(y, budget)
    draws = []
    for budget in budgets:
        for number in range(1 if isinstance(budget, str) else n_draws):
            rows = np.arange(len(y))
            if not isinstance(budget, str):
                rows = draw_balanced(y, budget, rng)
            search_rows = rows
            if len(rows) > selection_rows:
                search_rows = rows[draw_balanced(y[rows], selection_rows // n_classes, rng)]
            seed = int(rng.randint(2**31 - 1))
            draws.append(Draw(budget, number, labelled[rows], labelled[search_rows], seed))
    return draws
