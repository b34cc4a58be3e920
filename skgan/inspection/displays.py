"""Displays in the manner of scikit-learn: computed once, drawn as often as wanted."""

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted


class HistoryDisplay:
    """Curves of a training run: every network's loss, and what the critics say of the two sides.

    The second panel is the one to look at first. A critic whose means on real and on generated
    images drift far apart has won, and the generator learns little from it any more; where they
    meet, the critic can't tell them apart. A loss by itself says neither.

    Parameters
    ----------
    history : list of dict
        One dict per epoch, as in `history_` of a fitted estimator: ``"epoch"``, a
        ``"<role>_loss"`` for every network that was moved, and ``"<role>_real"`` and
        ``"<role>_generated"`` for every critic, its mean output in that epoch.

    Attributes
    ----------
    ax_ : ndarray of Axes, shape (n_panels,)
        The losses, then the critics' outputs. Set by `plot`, like the other attributes.
    figure_ : Figure
    lines_ : dict of str to Line2D
        The curves by their key in the history.

    Raises
    ------
    ValueError
        If the history has no epoch.

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
        """Draw the training curves of a fitted estimator.

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
            If the estimator has no `history_` yet.
        """
        check_is_fitted(estimator, "history_")
        return cls(estimator.history_).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the curves.

        Parameters
        ----------
        ax : Axes or array of two Axes, default=None
            Where to draw. One Axes shows the losses only; two show the losses and the critics'
            outputs. By default a new figure, with the second panel if there is a critic.

        Returns
        -------
        display : HistoryDisplay
            The display itself.
        """
        plt = _pyplot("HistoryDisplay")
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
        for panel, (label, keys) in zip(axes, panels, strict=False):
            self._draw(panel, keys, label)
        self.ax_ = axes
        self.figure_ = axes[0].figure
        return self

    def _keys(self, *endings: str) -> list[str]:
        """Keys of any epoch with one of these endings, each once, in order of appearance."""
        keys = dict.fromkeys(key for row in self.history for key in row)
        return [key for key in keys if key.endswith(endings)]

    def _draw(self, panel, keys: list[str], label: str) -> None:
        epochs = [row["epoch"] for row in self.history]
        for key in keys:
            role, _, what = key.rpartition("_")
            # An epoch without the value leaves a gap in the curve.
            values = [row.get(key, math.nan) for row in self.history]
            name = role if what == "loss" else f"{role} on {what}"
            # The markers let a single epoch be seen.
            (self.lines_[key],) = panel.plot(epochs, values, marker=".", label=name)
        panel.set(xlabel="epoch", ylabel=label)
        panel.xaxis.get_major_locator().set_params(integer=True)
        if keys:
            panel.legend()


class SampleDisplay:
    """A sheet of images, row by row.

    Parameters
    ----------
    images : array-like of shape (n, c, h, w)
        Values in [0, 1], clipped where they lie a little outside, or bytes (uint8), 0 to 255. One
        channel is shown in grey, three as red, green and blue.

    Attributes
    ----------
    ax_ : Axes
        Set by `plot`, like the other attributes.
    figure_ : Figure
    image_ : AxesImage
        The whole sheet.

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
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[0] == 0 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"images has shape {images.shape}; pass (n, c, h, w) with at least one image and "
                "c = 1 (grey) or 3 (colour)."
            )
        if images.dtype == np.uint8:
            images = images / np.float32(255)
        low, high = images.min(), images.max()
        if not (low >= -1 and high <= 2):  # NaN is not, either
            raise ValueError(
                f"images has values from {low} to {high}; bring them into [0, 1], or pass bytes "
                "(uint8). `sample_images` gives such images."
            )
        self.images = images

    @classmethod
    def from_estimator(
        cls, estimator, *, n_samples=64, random_state=None, component=None, n_columns=None, ax=None
    ):
        """Draw images that a fitted estimator generates.

        Parameters
        ----------
        estimator : fitted estimator with `sample_images`
        n_samples : int, default=64
            How many images.
        random_state : int, RandomState instance or None, default=None
            An int shows the same images at every call.
        component : int or None, default=None
            One generator of several, or one category of z, as in the estimator's `sample`.
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
            If the estimator generates no images.
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
        """Draw the sheet.

        Parameters
        ----------
        n_columns : int or None, default=None
            Images in a row; by default as many as make the sheet square.
        ax : Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        display : SampleDisplay
            The display itself.
        """
        plt = _pyplot("SampleDisplay")
        if n_columns is None:
            n_columns = math.ceil(math.sqrt(len(self.images)))
        if n_columns < 1:
            raise ValueError(f"n_columns={n_columns!r} must be at least 1, or None for a square.")
        sheet = _sheet(self.images, n_columns)
        if ax is None:
            width = 6.0  # inches
            height = width * sheet.shape[0] / sheet.shape[1]
            _, ax = plt.subplots(figsize=(width, height), layout="constrained")
        # Fixed limits: the darkest image of a sheet need not be black.
        self.image_ = ax.imshow(sheet, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
        ax.set_axis_off()
        self.ax_ = ax
        self.figure_ = ax.figure
        return self


def _sheet(images: np.ndarray, n_columns: int) -> np.ndarray:
    """Tile (n, c, h, w) into one image, white between the tiles and in empty places.

    Returns (height, width) for one channel and (height, width, 3) for three.
    """
    n, c, h, w = images.shape
    gap = 1  # pixels
    n_columns = min(n_columns, n)
    n_rows = math.ceil(n / n_columns)
    sheet = np.ones((n_rows * (h + gap) - gap, n_columns * (w + gap) - gap, c))
    for i, image in enumerate(images):
        row, column = divmod(i, n_columns)
        top, left = row * (h + gap), column * (w + gap)
        sheet[top : top + h, left : left + w] = image.transpose(1, 2, 0)
    sheet = sheet.clip(0.0, 1.0)
    return sheet[..., 0] if c == 1 else sheet


def _pyplot(caller: str):
    """Matplotlib's pyplot: optional and slow to import, so only once something is drawn."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f'{caller} draws with matplotlib, which is missing: pip install "skgan[plot]"'
        ) from error
    return plt
