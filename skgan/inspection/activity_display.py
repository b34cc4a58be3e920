"""How active the filters of a network were after each epoch of its training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..utils.checks import check_choice
from .activity import (
    FEWEST_EPOCHS,
    ActivityRecord,
    FilterActivity,
    oscillating_filters,
    usual_size,
)
from .drawing import pyplot


class FilterActivityDisplay:
    """The activity of filters over training: one column for each layer, one line for each filter.

    The upper panel shows the mean output of each filter as a share of its usual size, the lower one
    how much of the output differs between samples (`spread`, from 0 to 1). Filters that
    `oscillating_filters` finds are drawn in colour above the others: lines that go up and down in
    the upper panel, and lie near 0 in the lower one.

    Parameters
    ----------
    record : ActivityRecord
        Such as `record` of a `FilterActivity`.
    flagged : dict of str to sequence of int, default=None
        Filters to draw in colour, by layer. None: those of `oscillating_filters(record)`, or none
        if the record is too short for it.
    layers : sequence of str, default=None
        Names of the layers to show. None: all.

    Attributes
    ----------
    axes_ : ndarray of Axes, shape (2, n_layers)
        All attributes are set by `plot`.
    figure_ : Figure
    lines_ : dict of str to dict of int to pair of Line2D
        For each layer, the lines of flagged filters in the upper and in the lower panel.
    others_ : dict of str to pair of LineCollection
        For each layer, all other filters in the upper and in the lower panel.

    Raises
    ------
    ValueError
        For a record of no epochs, or layers that it does not have.

    Examples
    --------
    >>> import numpy as np
    >>> from skgan.inspection import ActivityRecord, FilterActivityDisplay
    >>> of_layer = {"layer0": np.ones((5, 8))}
    >>> record = ActivityRecord([1, 2, 3, 4, 5], of_layer, of_layer, of_layer)
    >>> display = FilterActivityDisplay(record).plot()
    """

    def __init__(
        self, record: ActivityRecord, *, flagged: dict[str, Sequence[int]] | None = None,
        layers: Sequence[str] | None = None,
    ):  # fmt: skip
        if not record.epochs:
            raise ValueError("record has no epochs: fit with n_epochs of at least 1.")
        for name in [*(layers or ()), *(flagged or ())]:
            check_choice("layers" if name in (layers or ()) else "flagged", name, record.mean)
        if flagged is None:
            long_enough = len(record.epochs) >= FEWEST_EPOCHS
            found = oscillating_filters(record) if long_enough else {}
            flagged = {name: filters.tolist() for name, filters in found.items()}
        self.record = record
        self.flagged: dict[str, Any] = flagged
        self.layers = list(record.mean if layers is None else layers)

    @classmethod
    def from_callback(cls, activity: FilterActivity, *, layers=None, ax=None):
        """Plot the last fit that a callback has recorded.

        Parameters
        ----------
        activity : FilterActivity
        layers : sequence of str, default=None
            Names of the layers to show. None: all.
        ax : array of Axes, default=None
            See `plot`.

        Returns
        -------
        display : FilterActivityDisplay
        """
        return cls(activity.record, layers=layers).plot(ax=ax)

    def plot(self, *, ax=None):
        """Plot the filters.

        Parameters
        ----------
        ax : array of Axes, default=None
            Two rows, with one column for each layer. None makes a new figure.

        Returns
        -------
        display : FilterActivityDisplay
            The display itself.
        """
        plt = pyplot("FilterActivityDisplay")
        n = len(self.layers)
        if ax is None:
            size = (max(3.0 * n, 4.0), 4.6)
            _, ax = plt.subplots(
                2, n, figsize=size, sharex=True, sharey="row", layout="constrained", squeeze=False
            )
        axes = np.asarray(ax)
        if axes.size != 2 * n:
            raise ValueError(f"ax holds {axes.size} Axes; pass 2 rows of {n}, one per layer.")
        self.axes_ = axes.reshape(2, n)
        self.lines_: dict[str, Any] = {}
        self.others_: dict[str, Any] = {}
        for name, (upper, lower) in zip(self.layers, self.axes_.T, strict=True):
            record = self.record
            shown = record.mean[name] / usual_size(record.size[name]), record.spread[name]
            chosen = [int(k) for k in self.flagged.get(name, ())]
            drawn = [self._draw(a, v, chosen) for a, v in zip((upper, lower), shown, strict=True)]
            self.others_[name] = tuple(others for others, _ in drawn)
            self.lines_[name] = {k: tuple(lines[k] for _, lines in drawn) for k in chosen}
            upper.set_title(name.replace("_", " "))
            lower.set(xlabel="epoch", ylim=(-0.03, 1.03))
            lower.xaxis.get_major_locator().set_params(integer=True)
            if chosen:
                upper.legend(loc="best", fontsize="small")
        self.axes_[0, 0].set_ylabel("mean output / size")
        self.axes_[1, 0].set_ylabel("spread between samples")
        self.figure_ = self.axes_[0, 0].figure
        return self

    def _draw(self, ax: Any, values: np.ndarray, chosen: list[int]) -> tuple[Any, dict[int, Any]]:
        """The lines of values (n_epochs, n_filters): all others at once, and the chosen ones."""
        from matplotlib.collections import LineCollection

        epochs = self.record.epochs
        rest = [k for k in range(values.shape[1]) if k not in chosen]
        segments = [np.column_stack([epochs, values[:, k]]) for k in rest]
        others = ax.add_collection(LineCollection(segments, colors="0.6", linewidths=0.8))
        lines = {}
        for k in chosen:
            (lines[k],) = ax.plot(epochs, values[:, k], marker=".", label=f"filter {k}")
        ax.autoscale_view()
        return others, lines
