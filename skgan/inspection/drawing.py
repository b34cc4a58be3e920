"""What displays share: matplotlib where it is used, sheets of images, and samples as images."""

import math
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from ..utils.fitted import FittedNetworks

GAP = 1  # pixels between the images of a sheet
VALUE_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


def pyplot(caller: str) -> Any:
    """Matplotlib's pyplot, imported only for plotting because it is optional and slow to import."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f'{caller} needs matplotlib, which is not installed: pip install "skgan[plot]"'
        ) from error
    return plt


def checked_images(name: str, images: Any) -> np.ndarray:
    """Images (n, c, h, w) with values in about [0, 1], from such or from uint8."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[0] == 0 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"{name} has shape {images.shape}; pass (n, c, h, w) with at least one image and "
            "c = 1 (grey) or 3 (colour)."
        )
    if images.dtype == np.uint8:
        images = images / np.float32(255)
    low, high = images.min(), images.max()
    if not (low >= -1 and high <= 2):  # also for NaN
        raise ValueError(
            f"{name} has values from {low} to {high}; scale them to [0, 1], or pass uint8. "
            "`sample_images` returns such images."
        )
    return images


def sheet(images: np.ndarray, n_columns: int) -> np.ndarray:
    """Tile images (n, c, h, w) into one, with white between them and where there are none.

    Its shape is (height, width) for one channel and (height, width, 3) for three.
    """
    n, c, h, w = images.shape
    n_columns = min(n_columns, n)
    n_rows = math.ceil(n / n_columns)
    tiled = np.ones((n_rows * (h + GAP) - GAP, n_columns * (w + GAP) - GAP, c))
    for i, image in enumerate(images):
        row, column = divmod(i, n_columns)
        top, left = row * (h + GAP), column * (w + GAP)
        tiled[top : top + h, left : left + w] = image.transpose(1, 2, 0)
    tiled = tiled.clip(0.0, 1.0)
    return tiled[..., 0] if c == 1 else tiled


def centres(n: int, size: int) -> np.ndarray:
    """Where the middle of each of n images of a sheet is along one axis, in pixels."""
    return np.arange(n) * (size + GAP) + (size - 1) / 2


def draw_image(ax: Any, image: np.ndarray, **more: Any) -> Any:
    """Draw (h, w) in grey or (h, w, 3) in colour, 0 as black and 1 as white."""
    # Fixed limits, as the darkest pixel need not be black.
    fixed = {"cmap": "gray", "vmin": 0.0, "vmax": 1.0, "interpolation": "nearest"}
    return ax.imshow(image, **(fixed | more))


def frameless(ax: Any, *, x: Any = ((), ()), y: Any = ((), ())) -> None:
    """Take away frame and tick marks; x and y are the positions and labels that remain."""
    ax.set_frame_on(False)
    ax.set_xticks(*x)
    ax.set_yticks(*y)
    ax.tick_params(length=0)


def new_axes(plt: Any, height_to_width: float, width: float = 6.0) -> Any:
    """The Axes of a new figure whose width is given in inches."""
    _, ax = plt.subplots(figsize=(width, width * height_to_width), layout="constrained")
    return ax


def axes_of_panels(ax: Any, n: int) -> Any:
    """The Axes, one for each panel; None stays so."""
    axes = None if ax is None else np.atleast_1d(ax).ravel()
    if axes is not None and len(axes) != n:
        raise ValueError(f"ax holds {len(axes)} Axes; pass {n}, one for each panel.")
    return axes


def as_images(estimator: Any, X: Any, *others: Any) -> list[np.ndarray]:
    """Samples as an estimator's methods take and return them, as images (n, c, h, w) in [0, 1].

    `others` are in the value range of X.

    Raises
    ------
    ValueError
        If they are rows of a table.
    """
    inner = with_networks(estimator)
    if inner is not None:
        networks = FittedNetworks(inner)
        return [networks.images(networks.samples(a)) for a in (X, *others)]
    X = np.asarray(X)
    if X.ndim not in (3, 4):
        raise ValueError(
            f"X has shape {X.shape}, and {type(estimator).__name__} does not tell what images "
            "these are: pass (n, h, w), (n, c, h, w) or (n, h, w, c)."
        )
    ranges = [r for r in VALUE_RANGES if r[0] <= X.min() and X.max() <= r[1]]
    low, high = (0, 255) if X.dtype == np.uint8 else ranges[0] if ranges else (X.min(), X.max())
    return [(_channels_first(np.asarray(a)) - low) / np.float32(high - low) for a in (X, *others)]


def _channels_first(X: np.ndarray) -> np.ndarray:
    if X.ndim == 3:
        return X[:, None]
    return X if X.shape[1] in (1, 3) else X.transpose(0, 3, 1, 2)


def with_networks(estimator: Any) -> Any:
    """The fitted estimator of skgan's that has the networks: itself, or that of a tool."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    if hasattr(estimator, "_nets"):
        return estimator
    return with_networks(estimator.gan_) if hasattr(estimator, "gan_") else None
