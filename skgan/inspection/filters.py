"""What the filters of a fitted network respond to: their feature maps, and the strongest images."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from ..utils.checks import check_choice, check_flag, check_number
from ..utils.fitted import N_AT_A_TIME, FittedNetworks
from .drawing import checked_images, draw_image, frameless, pyplot, with_networks

STEP = 1.08  # from one tile to the next, in widths of an image


class FilterResponseDisplay:
    """Feature maps of some filters beside the images they are of, and what they respond to most.

    Each column after the first is a filter. The first panel has images and each filter's feature
    maps of them; the second one the images to which the filter responds most, the strongest first.
    A filter whose strongest images have something in common detects it; one whose map is the same
    for all images detects nothing.

    Parameters
    ----------
    images : array-like of shape (n, c, h, w)
        Values in [0, 1], or uint8 from 0 to 255. One channel is shown in grey, three as red, green
        and blue.
    maps : array-like of shape (n, n_filters, map_height, map_width)
        The feature maps of these images. All maps of a filter have one colour scale, from the
        smallest to the largest of their values.
    strongest : array-like of shape (n_filters, n_top, c, h, w)
        For each filter, images from the strongest response on.
    responses : array-like of shape (n_filters, n_top)
        The responses to these images.
    filters : sequence of int of length n_filters, default=None
        Numbers of the filters; None counts them from 0.
    layer : str, default=""
        What the layer is called.

    Attributes
    ----------
    ax_ : ndarray of Axes, shape (n_panels,)
        The feature maps, then the strongest images. All attributes are set by `plot`.
    axes_ : ndarray of Axes, shape (n_panels,)
        The same, as all displays have theirs.
    figure_ : Figure
    images_ : ndarray of AxesImage, shape (n,)
        The images beside their feature maps.
    maps_ : ndarray of AxesImage, shape (n, n_filters)
        The feature maps.
    strongest_ : ndarray of AxesImage, shape (n_filters, n_top)
        The images of the second panel; with one Axes there are none.

    Raises
    ------
    ValueError
        For arrays whose shapes do not go together, or images with values far outside of [0, 1].

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.inspection import FilterResponseDisplay
    >>> X = load_digits().images
    >>> gan = DCGANDiscriminatorFeatures(n_epochs=1, random_state=0).fit(X)
    >>> display = FilterResponseDisplay.from_estimator(gan, X, layer=0, filters=[2, 7])
    >>> display.maps.shape
    (3, 2, 4, 4)
    """

    def __init__(self, images, maps, strongest, responses, *, filters=None, layer=""):
        self.images = checked_images("images", images)
        self.maps = np.asarray(maps)
        self.strongest, self.responses = np.asarray(strongest), np.asarray(responses)
        self.filters = list(range(self.maps.shape[1])) if filters is None else list(filters)
        self.layer = layer
        n, k = len(self.images), len(self.filters)
        if self.maps.ndim != 4 or self.maps.shape[:2] != (n, k) or not self.maps.size:
            raise ValueError(
                f"maps has shape {self.maps.shape}; pass ({n}, {k}, map_height, map_width) for "
                f"{n} images and {k} filters."
            )
        expected = (k, *self.responses.shape[1:2], *self.images.shape[1:])
        if self.strongest.shape != expected or self.responses.shape != expected[:2]:
            raise ValueError(
                f"strongest has shape {self.strongest.shape} and responses has shape "
                f"{self.responses.shape}; pass {k} filters' images of shape "
                f"{self.images.shape[1:]}, and one response for each of them."
            )
        if self.strongest.size:
            flat = checked_images("strongest", self.strongest.reshape(-1, *expected[2:]))
            self.strongest = flat.reshape(expected)

    @classmethod
    def from_estimator(
        cls, estimator, X, *, network=None, layer=-1, tap="activation", filters=6, n_images=3,
        average=False, response="max", n_top=5, ax=None,
    ):  # fmt: skip
        """Plot what filters of a fitted network make of samples.

        Parameters
        ----------
        estimator : fitted estimator, or a tool that has one as its `gan_`
        X : array-like, as in the estimator's `fit`
            Images. The first ones are shown beside their feature maps; the strongest responses are
            looked for among all of them.
        network : str or None, default=None
            "discriminator", "encoder", "classifier" or another network that works on samples. None
            is the one whose layers are features.
        layer : int, default=-1
            A layer below the network's head, counted from 0, the first; negative numbers count
            from the last. A unit of a dense layer is a filter whose map has a single value.
        tap : {"activation", "norm", "conv"}, default="activation"
            Which output of the layer, as the parameter `tap` of estimators.
        filters : int or sequence of int, default=6
            Numbers of filters (channels of the layer), or how many of the first ones.
        n_images : int, default=3
            At most this many images are shown beside their feature maps.
        average : bool, default=False
            Whether to show the mean of all images in X and the mean feature maps instead.
        response : {"max", "mean"}, default="max"
            Whether a filter's response to an image is the maximum or the mean of its feature map.
        n_top : int, default=5
            At most this many of the images to which a filter responds most.
        ax : Axes or array of two Axes, default=None
            See `plot`.

        Returns
        -------
        display : FilterResponseDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is none of skgan's.
        ValueError
            For a network, layer or filters that there are not, and if X is a table.
        """
        check_is_fitted(estimator)
        networks = FittedNetworks(with_networks(estimator) or estimator)
        network = networks.read_by_default if network is None else network
        check_choice("tap", tap, ("activation", "norm", "conv"))
        check_choice("response", response, ("max", "mean"))
        check_flag("average", average)
        check_number("n_images", n_images, low=1, integer=True)
        check_number("n_top", n_top, low=1, integer=True)
        shapes = networks.layer_shapes(network, tap)
        n = len(shapes)
        if not n:
            raise ValueError(f"tap={tap!r}: network={network!r} has no {tap} layer below its head.")
        check_number("layer", layer, low=-n, high=n - 1, integer=True)
        layer = layer % n
        filters = _chosen(filters, shapes[layer][0])

        x = networks.samples(X)
        networks.images(x[:1])  # raises for a table
        shown, maps, found = _responses(
            networks, x, (network, layer, tap), filters, None if average else n_images, response
        )
        order = np.argsort(-found, axis=0, kind="stable")[:n_top]
        strongest = np.stack([networks.images(x[column]) for column in order.T])
        responses = np.take_along_axis(found, order, 0).T
        name = f"layer {layer} of the {network}, {tap}" + average * f", mean of {len(x)} samples"
        return cls(
            networks.images(shown), maps, strongest, responses, filters=filters, layer=name
        ).plot(ax=ax)

    def plot(self, *, ax=None):
        """Plot the feature maps and the strongest images.

        Parameters
        ----------
        ax : Axes or array of two Axes, default=None
            One Axes shows the feature maps only. None makes a new figure with two.

        Returns
        -------
        display : FilterResponseDisplay
            The display itself.
        """
        plt = pyplot("FilterResponseDisplay")
        n, k, n_top = len(self.images), len(self.filters), self.strongest.shape[1]
        _, _, h, w = self.images.shape
        if ax is None:
            rows = [n, n_top][: 2 if n_top else 1]
            size = 0.95 * (k + 1), 0.95 * h / w * sum(rows) + 1.2
            _, ax = plt.subplots(
                len(rows), 1, figsize=size, height_ratios=rows, layout="constrained"
            )
        axes = np.atleast_1d(ax).ravel()
        if len(axes) not in (1, 2):
            raise ValueError(f"ax holds {len(axes)} Axes; pass one (feature maps only) or two.")
        self.images_ = np.array(
            [_tile(axes[0], i, 0, _hwc(x), h / w) for i, x in enumerate(self.images)]
        )
        self.maps_ = self._draw_maps(axes[0], h / w)
        self.strongest_ = np.empty((k, 0), object)
        names = [f"filter {f}" for f in self.filters]
        _frame(axes[0], n, k, h / w, ["image", *names])
        axes[0].set_title(self.layer, fontsize="medium")
        if len(axes) == 2:
            self.strongest_ = np.array([
                [_tile(axes[1], i, 1 + j, _hwc(x), h / w) for i, x in enumerate(images)]
                for j, images in enumerate(self.strongest)
            ]).reshape(k, n_top)  # fmt: skip
            _frame(axes[1], n_top, k, h / w, ["", *names])
            axes[1].set_title("images of the strongest responses", fontsize="medium")
        self.ax_ = self.axes_ = axes
        self.figure_ = axes[0].figure
        return self

    def _draw_maps(self, ax: Any, ratio: float) -> np.ndarray:
        drawn = np.empty(self.maps.shape[:2], object)
        for i, j in np.ndindex(*drawn.shape):
            of_filter = self.maps[:, j]
            limits = {"cmap": "viridis", "vmin": of_filter.min(), "vmax": of_filter.max()}
            drawn[i, j] = _tile(ax, i, 1 + j, self.maps[i, j], ratio, **limits)
        return drawn


def _hwc(image: np.ndarray) -> np.ndarray:
    """(h, w) for one channel and (h, w, 3) for three, within [0, 1]."""
    image = image.clip(0.0, 1.0)
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def _tile(ax: Any, row: int, column: int, image: np.ndarray, ratio: float, **more: Any) -> Any:
    """Draw an image, whatever its size, as a tile that is 1 wide and `ratio` high."""
    left, top = column * STEP, row * ratio * STEP
    return draw_image(ax, image, extent=(left, left + 1, top + ratio, top), **more)


def _frame(ax: Any, n_rows: int, n_filters: int, ratio: float, names: list[str]) -> None:
    # Each tile has set the limits to its own extent.
    ax.set(xlim=(0, n_filters * STEP + 1), ylim=((n_rows - 1) * ratio * STEP + ratio, 0))
    frameless(ax, x=(np.arange(n_filters + 1) * STEP + 0.5, names))
    ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, labelsize="small")


def _chosen(filters: Any, n: int) -> list[int]:
    """Numbers of filters among n."""
    if np.ndim(filters) == 0:
        check_number("filters", filters, low=1, integer=True, instead="a list of numbers")
        return list(range(min(int(filters), n)))
    for f in filters:
        check_number("filters", f, low=0, high=n - 1, integer=True)
    if not len(filters):
        raise ValueError(f"filters={filters!r} names none: pass at least one number.")
    return [int(f) for f in filters]


@torch.no_grad()
def _responses(
    networks: FittedNetworks, x: torch.Tensor, place: tuple[str, int, str], filters: list[int],
    n_shown: int | None, response: str,
) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:  # fmt: skip
    """Samples to show, or their mean; filters' maps of them; and responses (n, n_filters)."""
    network, layer, tap = place
    kept: list[np.ndarray] = []
    found: list[np.ndarray] = []
    total = 0.0
    for part in x.split(N_AT_A_TIME):
        output = networks.layers(part, network, tap)[layer][:, filters].float().cpu()
        maps = output.reshape(*output.shape[:2], *(output.shape[2:] or (1, 1))).numpy()
        found.append(maps.max((2, 3)) if response == "max" else maps.mean((2, 3)))
        if n_shown is None:
            total = total + maps.sum(0, dtype=np.float64)
        elif len(kept) * N_AT_A_TIME < n_shown:
            kept.append(maps)
    if n_shown is None:
        return x.mean(0, keepdim=True), np.asarray(total)[None] / len(x), np.concatenate(found)
    return x[:n_shown], np.concatenate(kept)[:n_shown], np.concatenate(found)
