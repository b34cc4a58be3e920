"""Generated images along lines in the space of z."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..tools import interpolate_codes, move_codes
from ..utils.checks import check_choice, check_number, random_state_of
from ..utils.fitted import FittedNetworks
from .drawing import (
    centres,
    checked_images,
    draw_image,
    frameless,
    new_axes,
    pyplot,
    sheet,
    with_networks,
)

N_VALUES = 9
# Numbers of a normal prior lie within two standard deviations in 95 % of the draws.
SPANS = {"uniform": (-1.0, 1.0), "normal": (-2.0, 2.0)}


class TraversalDisplay:
    """A grid of generated images: each row a draw of z, each column a value of one of its codes.

    What differs along a row is what the code stands for; what stays the same down a column shows
    that it stands for this whatever the rest of z is. If images change abruptly where z
    changes smoothly, the generator has memorised images (Radford et al. 2016, sec. 6.1).

    Parameters
    ----------
    images : array-like of shape (n_rows, n_columns, c, h, w)
        Values in [0, 1], or uint8 from 0 to 255. One channel is shown in grey, three as red, green
        and blue.
    values : sequence of length n_columns, default=None
        The values of the code, written below the columns; text is written as it is.
    code : str, default=""
        What the code is called, written below its values.

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
        If the images have another shape, or values far outside of [0, 1], or `values` another
        length.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import InfoGANExtractor
    >>> from skgan.inspection import TraversalDisplay
    >>> infogan = InfoGANExtractor(n_epochs=1, random_state=0).fit(load_digits().images)
    >>> display = TraversalDisplay.from_estimator(infogan, "continuous0", random_state=0)
    >>> display.images.shape
    (8, 9, 1, 8, 8)
    """

    def __init__(self, images, values=None, *, code=""):
        images = np.asarray(images)
        if images.ndim != 5 or not images.size:
            raise ValueError(
                f"images has shape {images.shape}; pass (n_rows, n_columns, c, h, w) with at least "
                "one image."
            )
        flat = checked_images("images", images.reshape(-1, *images.shape[2:]))
        self.images = flat.reshape(images.shape)
        if values is not None and len(values) != images.shape[1]:
            raise ValueError(
                f"values has {len(values)} entries, but images has {images.shape[1]} columns: "
                "pass one value for each column."
            )
        self.values = values
        self.code = code

    @classmethod
    def from_estimator(
        cls, estimator, code=None, *, values=None, between=None, path="linear", n_rows=8,
        random_state=None, ax=None,
    ):  # fmt: skip
        """Plot images that a fitted generator makes of z along a code, a direction or a walk.

        Parameters
        ----------
        estimator : fitted estimator with a prior of z, or a tool that has one as its `gan_`
        code : str, int, array-like of shape (dim,) or None, default=None
            A code by its name, such as "category0" or "continuous1"; an entry of z by its number
            from 0; or a direction, of which multiples are added to every z. For an estimator with
            `traverse` the images are those of `estimator.traverse`. None is the first category, or
            continuous code, and where there are none the first entry of z.
        values : array-like of shape (n_columns,), default=None
            Values that the code takes: categories from 0, or numbers; or multiples of a direction.
            None: all categories; or nine numbers across the range of the prior, U(-1, 1), or from
            -2 to 2 if it is normal; or from -1 to 1 for a direction.
        between : pair of array-like of shape (dim,) or (n_rows, dim), "draws" or None, default=None
            Two ends, between which z walks in every row, in eight equal steps; "draws" takes draws
            from the prior. With it, `code` and `values` are None.
        path : {"linear", "spherical"}, default="linear"
            How z walks, as for `skgan.tools.interpolate_codes`: in a straight line, or along a
            great circle with the length changing linearly.
        n_rows : int, default=8
            Number of draws of z. With two ends there are as many rows as ends.
        random_state : int, RandomState instance or None, default=None
            With an int, every call shows the same images.
        ax : Axes, default=None
            See `plot`.

        Returns
        -------
        display : TraversalDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no prior or no generator.
        ValueError
            For a code, values or ends that there are not, and if it was fitted on a table.
        """
        check_is_fitted(estimator)
        networks = FittedNetworks(with_networks(estimator) or estimator)
        if not networks.has_generator:
            raise TypeError(
                f"{type(estimator).__name__} draws no z from a prior: pass an estimator with "
                "`sample`, such as a fitted DCGANDiscriminatorFeatures."
            )
        check_number("n_rows", n_rows, low=1, integer=True)
        check_choice("path", path, ("linear", "spherical"))
        if between is None:
            start = networks.draw(n_rows, random_state).cpu()
            z, values, name = _along(networks.prior, start, code, values)
        elif code is None and values is None:
            ends = _ends(networks, between, n_rows, random_state)
            walks = [interpolate_codes(pair, N_VALUES - 1, path=path) for pair in ends]
            z, values = torch.from_numpy(np.stack(walks)), np.linspace(0, 1, N_VALUES)
            name = "share of the way"
        else:
            raise ValueError(
                f"code={code!r} and values={values!r} do not go with between: leave them None."
            )
        images = networks.images(networks.generate_in_parts(z.flatten(0, 1)))
        return cls(images.reshape(*z.shape[:2], *networks.shape), values, code=name).plot(ax=ax)

    def plot(self, *, ax=None):
        """Plot the grid.

        Parameters
        ----------
        ax : Axes, default=None
            None makes a new figure.

        Returns
        -------
        display : TraversalDisplay
            The display itself.
        """
        plt = pyplot("TraversalDisplay")
        _, n_columns, _, _, w = self.images.shape
        tiled = sheet(self.images.reshape(-1, *self.images.shape[2:]), n_columns)
        if ax is None:
            ax = new_axes(plt, tiled.shape[0] / tiled.shape[1])
        self.image_ = draw_image(ax, tiled)
        names = [] if self.values is None else [_short(v) for v in self.values]
        frameless(ax, x=(centres(len(names), w), names))
        ax.set_xlabel(self.code)
        self.ax_, self.axes_ = ax, np.array([ax])
        self.figure_ = ax.figure
        return self


def _along(prior: Any, start: Tensor, code: Any, values: Any) -> tuple[Tensor, np.ndarray, str]:
    """z (n_rows, n_columns, dim) along a code or a direction, the values, and what they are of."""
    if code is not None and np.ndim(code) == 1:
        (direction,) = _point("code", code, prior.dim)
        values = _numbers(values, np.linspace(-1, 1, N_VALUES))
        z = move_codes(start, direction, values).reshape(len(start), len(values), prior.dim)
        return torch.from_numpy(z), values, "multiple of the direction"

    owners = [name.partition("_")[0] for name in prior.names()]
    name = _code_name(owners, prior.latent_dim, code)
    columns = [i for i, owner in enumerate(owners) if owner == name]
    if name.startswith("category"):
        k = len(columns)
        values = _numbers(values, np.arange(k), low=0, high=k - 1, integer=True)
        taken = np.eye(k)[values.tolist()]
    else:
        span = SPANS[prior.latent if name.startswith("latent") else "uniform"]
        values = _numbers(values, np.linspace(*span, N_VALUES))
        taken = values[:, None]
    z = start[:, None].repeat(1, len(values), 1)
    z[:, :, columns] = torch.from_numpy(taken.astype(np.float32))
    return z, values, name


def _code_name(owners: list[str], latent_dim: int, code: Any) -> str:
    """The name of a code given by name, by number or not at all."""
    if code is None:
        # Categories stand after continuous codes, and say more.
        named = owners[latent_dim:]
        return next((n for n in named if n.startswith("category")), [*named, owners[0]][0])
    if isinstance(code, str):
        check_choice("code", code, dict.fromkeys(owners))
        return code
    check_number(
        "code", code, low=0, high=len(owners) - 1, integer=True,
        instead="the name of a code, or a direction",
    )  # fmt: skip
    name = owners[int(code)]
    if name.startswith("category"):
        raise ValueError(
            f"code={code!r} is one of the one-hot entries of {name!r}: use code={name!r}."
        )
    return name


def _ends(networks: FittedNetworks, between: Any, n_rows: int, random_state: Any) -> Tensor:
    """Both ends of every walk, (n_rows, 2, dim)."""
    if isinstance(between, str):
        check_choice("between", between, ("draws",))
        rng = random_state_of(random_state)
        return torch.stack([networks.draw(n_rows, rng).cpu() for _ in range(2)], dim=1)
    if not hasattr(between, "__len__") or len(between) != 2:
        raise ValueError(f"between={between!r} must be a pair of z, 'draws' or None.")
    first, last = (_point("between", end, networks.code_dim) for end in between)
    if len(first) != len(last):
        raise ValueError(
            f"between has {len(first)} first and {len(last)} last ends: give as many of both."
        )
    return torch.stack([first, last], dim=1)


def _point(name: str, z: Any, dim: int) -> Tensor:
    """One or several z, as float32 (n, dim)."""
    given = np.asarray(z, np.float32)
    points = np.atleast_2d(given)
    if points.ndim != 2 or not points.size or points.shape[1] != dim:
        raise ValueError(f"{name} has shape {given.shape}, but z has {dim} entries: pass as many.")
    if not np.isfinite(points).all():
        raise ValueError(f"{name} contains NaN or infinity: pass finite numbers.")
    return torch.from_numpy(points)


def _numbers(values: Any, default: np.ndarray, **allowed: Any) -> np.ndarray:
    """The values, each of which is a number as `check_number` allows it; or the default."""
    values = default if values is None else np.asarray(values)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values={values!r} must be a list of at least one value.")
    for value in values.tolist():
        check_number("values", value, **allowed)
    return values


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)
