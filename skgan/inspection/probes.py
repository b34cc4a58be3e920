"""Results of `skgan.evaluation.probe` as a table in colours and as curves."""

from typing import Any

import numpy as np

from ..utils.checks import check_choice
from .drawing import frameless, pyplot

VALUES = ("accuracy", "control_accuracy")


class ProbeTableDisplay:
    """A table of accuracies: a row for each representation, a column for each label budget.

    Parameters
    ----------
    mean : array-like of shape (n_representations, n_budgets)
        Mean accuracies over the draws of labelled samples, in [0, 1].
    std : array-like of shape (n_representations, n_budgets), default=None
        Their standard deviations over the draws; NaN where there is a single draw.
    representations : sequence of str
        Names of the rows.
    budgets : sequence of int or "all"
        Labelled samples per class.
    title : str, default="accuracy"
        What the numbers are.

    Attributes
    ----------
    ax_ : Axes
        All attributes are set by `plot`.
    axes_ : ndarray of Axes, shape (1,)
        It, as all displays have theirs.
    figure_ : Figure
    image_ : AxesImage
        The cells' colours.
    text_ : ndarray of Text, shape (n_representations, n_budgets)
        The cells' texts.

    Raises
    ------
    ValueError
        If the shapes do not go together, or accuracies lie outside of [0, 1].

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.random_projection import GaussianRandomProjection
    >>> from skgan.evaluation import probe
    >>> from skgan.inspection import ProbeTableDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> extractor = GaussianRandomProjection(n_components=20)
    >>> result = probe(extractor, X[:1000], y[:1000], X[1000:], y[1000:], n_labels=10, n_draws=3)
    >>> display = ProbeTableDisplay.from_result(result)
    """

    def __init__(self, mean, std=None, *, representations, budgets, title="accuracy"):
        self.representations, self.budgets = list(representations), list(budgets)
        shape = len(self.representations), len(self.budgets)
        self.mean = _accuracies("mean", mean, shape)
        blank = np.full(shape, np.nan) if std is None else std
        self.std = _accuracies("std", blank, shape, may_be_nan=True)
        self.title = title

    @classmethod
    def from_result(cls, result, *, value="accuracy", ax=None):
        """Plot the table of a probe.

        Parameters
        ----------
        result : ProbeResult
            What `skgan.evaluation.probe` returns.
        value : {"accuracy", "control_accuracy"}, default="accuracy"
            "control_accuracy", with permuted labels, is there with ``probe(control=True)``.
        ax : Axes, default=None
            See `plot`.

        Returns
        -------
        display : ProbeTableDisplay

        Raises
        ------
        TypeError
            If it is no result of a probe.
        ValueError
            If the probe has no such value.
        """
        _check_result(result)
        check_choice("value", value, VALUES)
        if value not in result.records[0]:
            raise ValueError(f"value={value!r} is not in this result: use probe(control=True).")
        names, budgets = result.representations, result.budgets
        mean, std = _tables(result.summary(value), names, budgets)
        title = "accuracy" if value == "accuracy" else "accuracy with permuted labels"
        return cls(mean, std, representations=names, budgets=budgets, title=title).plot(ax=ax)

    def plot(self, *, cmap="viridis", ax=None):
        """Plot the table.

        Parameters
        ----------
        cmap : str or Colormap, default="viridis"
            Colours from the smallest to the largest mean.
        ax : Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : ProbeTableDisplay
            The display itself.
        """
        plt = pyplot("ProbeTableDisplay")
        n_rows, n_columns = self.mean.shape
        if ax is None:
            # In inches, with room for the names beside the cells.
            names = 0.4 + 0.09 * max(map(len, self.representations))
            size = names + 1.4 * n_columns, 0.8 + 0.6 * n_rows
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.image_ = ax.imshow(self.mean, cmap=cmap, aspect="auto")
        self.text_ = np.empty(self.mean.shape, object)
        for i, j in np.ndindex(*self.mean.shape):
            red, green, blue, _ = self.image_.to_rgba(self.mean[i, j])
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5  # luma of ITU-R BT.601
            self.text_[i, j] = ax.text(
                j, i, self._cell(i, j), ha="center", va="center", color="white" if dark else "black"
            )
        labels = ["all labels" if b == "all" else f"{b} per class" for b in self.budgets]
        frameless(ax, x=(np.arange(n_columns), labels), y=(np.arange(n_rows), self.representations))
        ax.set_title(self.title, fontsize="medium")
        self.ax_, self.axes_ = ax, np.array([ax])
        self.figure_ = ax.figure
        return self

    def _cell(self, i: int, j: int) -> str:
        spread = "" if np.isnan(self.std[i, j]) else f" ± {self.std[i, j]:.3f}"
        return f"{self.mean[i, j]:.3f}{spread}"


class LabelBudgetDisplay:
    """Accuracy over the number of labelled samples: a curve for each representation.

    Bands are one standard deviation over the draws to either side. Draws overlap and share the
    test part, so a band is no confidence interval.

    Parameters
    ----------
    n_rows : array-like of shape (n_budgets,)
        Numbers of labelled samples, at least 1.
    mean : array-like of shape (n_representations, n_budgets)
        Mean accuracies over the draws of labelled samples, in [0, 1].
    std : array-like of shape (n_representations, n_budgets), default=None
        Their standard deviations over the draws; NaN where there is a single draw, and no band.
    representations : sequence of str
        Names of the curves.
    chance : float or None, default=None
        The accuracy of always predicting the most frequent class, a dashed line.

    Attributes
    ----------
    ax_ : Axes
        All attributes are set by `plot`.
    axes_ : ndarray of Axes, shape (1,)
        It, as all displays have theirs.
    figure_ : Figure
    lines_ : dict of str to Line2D
        The curves by representation.
    bands_ : dict of str to PolyCollection
        The bands by representation.
    chance_ : Line2D or None
        The dashed line.

    Raises
    ------
    ValueError
        If the shapes do not go together, or accuracies lie outside of [0, 1].

    Examples
    --------
    >>> from skgan.inspection import LabelBudgetDisplay
    >>> mean, std = [[0.6, 0.8], [0.5, 0.7]], [[0.03, 0.01], [0.02, 0.01]]
    >>> names = ["trained", "raw"]
    >>> display = LabelBudgetDisplay([100, 1000], mean, std, representations=names).plot()
    """

    def __init__(self, n_rows, mean, std=None, *, representations, chance=None):
        self.representations = list(representations)
        self.n_rows = np.asarray(n_rows, float)
        if self.n_rows.ndim != 1 or not (self.n_rows >= 1).all():
            raise ValueError(f"n_rows={n_rows!r} must be a list of numbers of at least 1.")
        shape = len(self.representations), len(self.n_rows)
        self.mean = _accuracies("mean", mean, shape)
        blank = np.full(shape, np.nan) if std is None else std
        self.std = _accuracies("std", blank, shape, may_be_nan=True)
        self.chance = chance

    @classmethod
    def from_result(cls, result, *, representations=None, ax=None):
        """Plot the curves of a probe with several label budgets.

        Parameters
        ----------
        result : ProbeResult
            What `skgan.evaluation.probe` returns.
        representations : sequence of str or None, default=None
            Which ones to plot, in this order; None is all.
        ax : Axes, default=None
            See `plot`.

        Returns
        -------
        display : LabelBudgetDisplay

        Raises
        ------
        TypeError
            If it is no result of a probe.
        ValueError
            For a representation that was not probed.
        """
        _check_result(result)
        names = result.representations if representations is None else list(representations)
        for name in names:
            check_choice("representations", name, result.representations)
        sizes = {record["n_labels"]: record["n_rows"] for record in result.records}
        budgets = sorted(result.budgets, key=sizes.__getitem__)
        mean, std = _tables(result.summary(), names, budgets)
        n_rows = [sizes[budget] for budget in budgets]
        chance = result.settings.get("chance")
        return cls(n_rows, mean, std, representations=names, chance=chance).plot(ax=ax)

    def plot(self, *, ax=None):
        """Plot the curves.

        Parameters
        ----------
        ax : Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : LabelBudgetDisplay
            The display itself.
        """
        plt = pyplot("LabelBudgetDisplay")
        if ax is None:
            _, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        self.lines_: dict[str, Any] = {}
        self.bands_: dict[str, Any] = {}
        for name, mean, std in zip(self.representations, self.mean, self.std, strict=True):
            # Without markers a single budget would be invisible.
            (line,) = ax.plot(self.n_rows, mean, marker=".", label=name)
            self.lines_[name] = line
            self.bands_[name] = ax.fill_between(
                self.n_rows, mean - std, mean + std, color=line.get_color(), alpha=0.2, linewidth=0
            )
        self.chance_ = None
        if self.chance is not None:
            style = {"color": "grey", "linestyle": "--", "linewidth": 1}
            self.chance_ = ax.axhline(self.chance, label="chance", **style)
        ax.set(xlabel="number of labelled samples", ylabel="accuracy", xscale="log")
        ax.set_xticks(self.n_rows, [f"{n:g}" for n in self.n_rows])
        ax.set_xticks([], minor=True)
        ax.legend()
        self.ax_, self.axes_ = ax, np.array([ax])
        self.figure_ = ax.figure
        return self


def _accuracies(
    name: str, values: Any, shape: tuple[int, int], may_be_nan: bool = False
) -> np.ndarray:  # fmt: skip
    table = np.asarray(values, float)
    if table.shape != shape or not table.size:
        raise ValueError(
            f"{name} has shape {table.shape}; pass {shape}: a row for each representation, a "
            "column for each label budget, and at least one of both."
        )
    good = (table >= 0) & (table <= 1)
    if not (good | np.isnan(table) if may_be_nan else good).all():
        raise ValueError(f"{name}={values!r} has values outside of [0, 1]: pass accuracies.")
    return table


def _check_result(result: Any) -> None:
    if not all(hasattr(result, name) for name in ("records", "summary", "budgets")):
        raise TypeError(
            f"result is a {type(result).__name__}: pass what skgan.evaluation.probe returns."
        )


def _tables(
    rows: list[dict[str, Any]], names: list[str], budgets: list[Any]
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Means and standard deviations (n_names, n_budgets); NaN for those of a single draw."""
    cells = {(row["representation"], row["n_labels"]): row for row in rows}
    found = [[cells[name, budget] for budget in budgets] for name in names]
    mean = np.array([[cell["mean"] for cell in row] for row in found])
    std = np.array([[cell["std"] for cell in row] for row in found], float)  # None becomes NaN
    return mean, std
