"""Displays as in scikit-learn: computed once, and plotted as often as needed."""

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .drawing import checked_images, draw_image, new_axes, pyplot, sheet


class HistoryDisplay:
    """Training curves: the loss of every network, and the critics' mean outputs.

    Look at the second panel first. If a critic's means on real and on generated images are far
    apart, it has won, and the generator learns little from it; if they are equal, the critic
    cannot distinguish the two. A loss alone shows neither.

    Parameters
    ----------
    history : list of dict
        One dict per epoch, as in `history_` of a fitted estimator: ``"epoch"``, a
        ``"<role>_loss"`` for every network that was updated, and ``"<role>_real"`` and
        ``"<role>_generated"``, every critic's mean outputs in that epoch.

    Attributes
    ----------
    ax_ : ndarray of Axes, shape (n_panels,)
        The losses, then the critics' outputs. All attributes are set by `plot`.
    axes_ : ndarray of Axes, shape (n_panels,)
        The same, as all displays have theirs.
    figure_ : Figure
    lines_ : dict of str to Line2D
        The curves, by their key in the history.

    Raises
    ------
    ValueError
        If the history is empty.

    Examples
    --------
    >>> from skgan.inspection import HistoryDisplay
    >>> history = [{"epoch": 1, "generator_loss": 0.7}, {"epoch": 2, "generator_loss": 0.6}]
    >>> display = HistoryDisplay(history).plot()
    """

    def __init__(self, history: list[dict[str, Any]]):
        if not history:
            raise ValueError("history is empty: fit the estimator with n_epochs of at least 1.")
        self.history = history

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Plot the training curves of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator with a `history_`
        ax : Axes or array of two Axes, default=None
            See `plot`.

        Returns
        -------
        display : HistoryDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no `history_`, as a pipeline has none.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "history_"):
            raise TypeError(
                f"{type(estimator).__name__} has no `history_`: pass the estimator with networks "
                "itself, such as the step pipeline[-1] or the fitted projector.gan_."
            )
        return cls(estimator.history_).plot(ax=ax)

    def plot(self, ax=None):
        """Plot the curves.

        Parameters
        ----------
        ax : Axes or array of two Axes, default=None
            One Axes shows the losses only; two show the losses and the critics' outputs. None
            makes a new figure, with the second panel if there is a critic.

        Returns
        -------
        display : HistoryDisplay
            The display itself.
        """
        plt = pyplot("HistoryDisplay")
        losses = self._keys("_loss")
        outputs = self._keys("_real", "_generated")
        if ax is None:
            n_panels = 2 if outputs else 1
            _, ax = plt.subplots(1, n_panels, figsize=(5 * n_panels, 3.5), layout="constrained")
        axes = np.atleast_1d(ax).ravel()
        if len(axes) not in (1, 2):
            raise ValueError(f"ax holds {len(axes)} Axes; pass one (losses only) or two.")

        self.lines_: dict[str, Any] = {}
        panels = [("loss", losses), ("critic's mean output", outputs)]
        epochs = [row["epoch"] for row in self.history]
        for panel, (label, keys) in zip(axes, panels, strict=False):
            for key in keys:
                role, _, what = key.rpartition("_")
                # An epoch without the value leaves a gap in the curve.
                values = [row.get(key, math.nan) for row in self.history]
                name = role if what == "loss" else f"{role} on {what}"
                # Without markers a single epoch would be invisible.
                (self.lines_[key],) = panel.plot(epochs, values, marker=".", label=name)
            panel.set(xlabel="epoch", ylabel=label)
            panel.xaxis.get_major_locator().set_params(integer=True)
            if keys:
                panel.legend()
        self.ax_ = self.axes_ = axes
        self.figure_ = axes[0].figure
        return self

    def _keys(self, *endings: str) -> list[str]:
        """The distinct keys with one of these endings, in order of appearance."""
        keys = dict.fromkeys(key for row in self.history for key in row)
        return [key for key in keys if key.endswith(endings)]


class SampleDisplay:
    """A grid of images, filled row by row.

    Parameters
    ----------
    images : array-like of shape (n, c, h, w)
        Values in [0, 1], or uint8 from 0 to 255. Values slightly outside of [0, 1] are clipped.
        One channel is shown in grey, three as red, green and blue.

    Attributes
    ----------
    ax_ : Axes
        All attributes are set by `plot`.
    axes_ : ndarray of Axes, shape (1,)
        It, as all displays have theirs.
    figure_ : Figure
    image_ : AxesImage
        The whole grid.

    Raises
    ------
    ValueError
        If the images have another shape, or values far outside of [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from skgan.inspection import SampleDisplay
    >>> display = SampleDisplay(np.random.default_rng(0).random((16, 1, 8, 8))).plot()
    """

    def __init__(self, images):
        self.images = checked_images("images", images)

    @classmethod
    def from_estimator(
        cls, estimator, *, n_samples=64, random_state=None, component=None, n_columns=None, ax=None
    ):
        """Plot images that a fitted estimator generates.

        Parameters
        ----------
        estimator : fitted estimator with `sample_images`
        n_samples : int, default=64
            Number of images.
        random_state : int, RandomState instance or None, default=None
            With an int, every call shows the same images.
        component : int or None, default=None
            One of several generators, or one category of z, as in the estimator's `sample`.
        n_columns : int or None, default=None
            See `plot`.
        ax : Axes, default=None
            See `plot`.

        Returns
        -------
        display : SampleDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `sample_images`.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "sample_images"):
            raise TypeError(
                f"{type(estimator).__name__} has no `sample_images`: pass an estimator that was "
                "fitted on images and has a generator."
            )
        one = {} if component is None else {"component": component}
        images = estimator.sample_images(n_samples, random_state=random_state, **one)
        return cls(images).plot(n_columns=n_columns, ax=ax)

    def plot(self, *, n_columns=None, ax=None):
        """Plot the grid.

        Parameters
        ----------
        n_columns : int or None, default=None
            Images per row; None makes the grid as square as possible.
        ax : Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : SampleDisplay
            The display itself.
        """
        plt = pyplot("SampleDisplay")
        if n_columns is None:
            n_columns = math.ceil(math.sqrt(len(self.images)))
        if n_columns < 1:
            raise ValueError(f"n_columns={n_columns!r} must be at least 1, or None for a square.")
        tiled = sheet(self.images, n_columns)
        if ax is None:
            ax = new_axes(plt, tiled.shape[0] / tiled.shape[1])
        self.image_ = draw_image(ax, tiled)
        ax.set_axis_off()
        self.ax_, self.axes_ = ax, np.array([ax])
        self.figure_ = ax.figure
        return self
