"""Originals above what an estimator makes of them."""

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from ..utils.checks import check_number
from .drawing import (
    GAP,
    as_images,
    centres,
    checked_images,
    draw_image,
    frameless,
    new_axes,
    pyplot,
    sheet,
)


class ReconstructionDisplay:
    """Rows of images, and below each row their reconstructions.

    Look for what is lost. An autoencoder keeps positions and blurs details; a GAN with an encoder
    (BiGAN) returns sharp images that may be of another object.

    Parameters
    ----------
    originals, reconstructions : array-like of shape (n, c, h, w)
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
        If the images have another shape, if the two shapes differ, or for values far outside of
        [0, 1].

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import AutoencoderFeatures
    >>> from skgan.inspection import ReconstructionDisplay
    >>> X = load_digits().images
    >>> autoencoder = AutoencoderFeatures(n_epochs=1, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(autoencoder, X, n_samples=10)
    """

    def __init__(self, originals, reconstructions):
        self.originals = checked_images("originals", originals)
        self.reconstructions = checked_images("reconstructions", reconstructions)
        if self.originals.shape != self.reconstructions.shape:
            raise ValueError(
                f"originals has shape {self.originals.shape} and reconstructions has shape "
                f"{self.reconstructions.shape}: pass one reconstruction of the same size for each."
            )

    @classmethod
    def from_estimator(cls, estimator, X, *, n_samples=20, n_columns=None, ax=None):
        """Plot samples and their reconstructions by a fitted estimator or tool.

        Parameters
        ----------
        estimator : fitted estimator with `reconstruct`
            Such as `BiGANEncoder`, `AutoencoderFeatures`, or a fitted `GANProjector`.
        X : array-like, as in the estimator's `fit`
            Images.
        n_samples : int, default=20
            At most this many samples are shown, the first ones of X.
        n_columns : int or None, default=None
            See `plot`.
        ax : Axes, default=None
            See `plot`.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `reconstruct`.
        ValueError
            If X is a table.
        """
        check_number("n_samples", n_samples, low=1, integer=True)
        if not hasattr(estimator, "reconstruct"):
            raise TypeError(
                f"{type(estimator).__name__} has no `reconstruct`: pass an estimator with an "
                "encoder and a generator, such as a fitted BiGANEncoder, or a fitted GANProjector."
            )
        check_is_fitted(estimator)
        X = _safe_indexing(X, slice(0, n_samples))
        images = as_images(estimator, X, estimator.reconstruct(X))
        return cls(*images).plot(n_columns=n_columns, ax=ax)

    def plot(self, *, n_columns=None, ax=None):
        """Plot the grid.

        Parameters
        ----------
        n_columns : int or None, default=None
            Images per row; None is 10, or as many as there are.
        ax : Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself.
        """
        plt = pyplot("ReconstructionDisplay")
        n = len(self.originals)
        if n_columns is None:
            n_columns = 10
        check_number("n_columns", n_columns, low=1, integer=True, instead="None")
        tiled, heights = self._tiled(min(n_columns, n))
        if ax is None:
            ax = new_axes(plt, tiled.shape[0] / tiled.shape[1], width=7.0)
        self.image_ = draw_image(ax, tiled)
        names = ["original", "reconstruction"] * (len(heights) // 2)
        frameless(ax, y=(heights, names))
        self.ax_, self.axes_ = ax, np.array([ax])
        self.figure_ = ax.figure
        return self

    def _tiled(self, n_columns: int) -> tuple[np.ndarray, list[float]]:
        """All pairs of rows as one image, and the heights of the middles of its rows."""
        n, c, h, w = self.originals.shape
        parts: list[Any] = []
        heights: list[float] = []
        top = 0
        for start in range(0, n, n_columns):
            pair = np.ones((2, n_columns, c, h, w))
            for row, images in zip(pair, (self.originals, self.reconstructions), strict=True):
                shown = images[start : start + n_columns]
                row[: len(shown)] = shown
            parts.append(sheet(pair.reshape(-1, c, h, w), n_columns))
            heights += (top + centres(2, h)).tolist()
            # A wider gap below a pair says which rows belong together.
            parts.append(np.ones((GAP + h // 4, *parts[-1].shape[1:])))
            top += sum(len(part) for part in parts[-2:])
        return np.concatenate(parts[:-1]), heights
