"""Feature maps of a generator that draw an object, and images without it (DCGAN, sec. 6.3.1).

    p(inside a box | h) = sigma(w . h + b),      drop the maps k with w_k > 0 everywhere

h are the activations of one layer of G at one position. "Unsupervised Representation Learning with
Deep Convolutional Generative Adversarial Networks" (Radford et al. 2016, arXiv 1511.06434) removes
the windows from generated bedrooms in this way.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_array
from torch import Tensor

from ..utils.checks import check_choice, check_number, random_state_of
from ..utils.fitted import N_AT_A_TIME, FittedNetworks


class ObjectFilters:
    """Which feature maps of a generator draw an object, and what it draws without them.

    Boxes around the object in some generated images say where it is drawn. A logistic regression
    distinguishes the activations of one layer at positions inside of the boxes from those at random
    positions outside of them, as many, in the same images. Maps with a positive weight are active
    where the object is; `images` sets them to 0 at all positions (Radford et al. 2016, sec. 6.3.1).

    Parameters
    ----------
    estimator : fitted estimator with a generator, or FrozenEstimator of one
        Fitted on images.
    codes : array-like of shape (n, d)
        Codes z of generated images, such as those of `skgan.tools.draw_codes`.
    boxes : sequence of length n
        For each image, None where nothing is marked, one box (x0, y0, x1, y1), or a sequence of
        boxes. A box holds the pixels from column x0 to x1 - 1 and from row y0 to y1 - 1, counted
        from the image's upper left. Images without a box are not looked at, so an object without
        one does no harm in them.
    layer : int, default=None
        Hidden layer of the generator, counted from 0, the first, whose output is after its
        activation; negative numbers count from the last. None: the second-highest layer with
        feature maps, or the only one.
    C : float, default=0.01
        Inverse of the regularisation of the logistic regression, whose inputs are the activations
        in units of each map's standard deviation.
    random_state : None, int or RandomState, default=None
        Seed of the positions outside of boxes.

    Attributes
    ----------
    weights : ndarray of shape (n_maps,)
        Weight of each map in the logistic regression.
    drawing : ndarray of int
        The maps with positive weights, the largest weight first.
    layer : int
        The layer, counted from 0.
    accuracy : float
        Of the logistic regression, on the positions that it was fitted on.
    n_positions : int
        Number of positions inside of boxes.

    Raises
    ------
    NotFittedError
    ValueError
        For an estimator without a generator of feature maps, for codes or boxes of another shape,
        or if no position is inside of a box, or none outside.

    Notes
    -----
    Paper: the regularisation is not given. On synthetic images with a bright square, C = 0.01 took
    away more of the square than larger values, and less of the background: with little
    regularisation, weights of maps that are active together offset each other. Nor is the layer
    given by more than "second highest convolution layer"; of its maps about 200 had positive
    weights, so it must be one with more maps than the 128 below the image.

    A position is inside of a box if its centre is. In a box that holds no centre it is the position
    nearest to the middle of the box. The activations of user-supplied generators are found where
    they are modules, such as `nn.ReLU`.

    References
    ----------
    Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", arXiv 1511.06434.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import AutoencoderFeatures
    >>> from skgan.inspection import ObjectFilters
    >>> X = load_digits().images[:100]
    >>> gan = AutoencoderFeatures(output="latent", n_epochs=1, random_state=0)
    >>> codes = gan.fit_transform(X)
    >>> boxes = [(2, 1, 5, 7)] * 50 + [None] * 50  # in the images gan.inverse_transform(codes)
    >>> filters = ObjectFilters(gan, codes, boxes, random_state=0)
    >>> filters.images(codes[:20]).shape
    (20, 1, 8, 8)
    """

    def __init__(
        self, estimator: Any, codes: Any, boxes: Sequence[Any], *, layer: int | None = None,
        C: float = 0.01, random_state: Any = None,
    ):  # fmt: skip
        check_number("C", C, low=0, open_low=True)
        self._networks = networks = FittedNetworks(estimator)
        _check_generator(networks)
        z = self._checked(codes)
        found = _checked_boxes(boxes, len(z), networks.shape[1:])
        self.layer = self._checked_layer(layer, z)
        marked = [i for i, own in enumerate(found) if len(own)]
        maps = self._activations(z[marked])
        rng = random_state_of(random_state)
        inside, outside = [], []
        for h, own in zip(maps, (found[i] for i in marked), strict=True):
            within = self._within(own, h.shape[1:])
            inside.append(h[:, within].T)
            n = min(within.sum(), (~within).sum())
            outside.append(rng.permutation(h[:, ~within].T)[:n])
        activations = np.concatenate(inside + outside)
        self.n_positions = sum(map(len, inside))
        if self.n_positions == len(activations):
            raise ValueError(
                "boxes cover every position of the layer: mark the object alone, or choose a layer "
                "with larger feature maps."
            )
        target = np.arange(len(activations)) < self.n_positions
        std = activations.std(axis=0)
        activations /= np.where(std > 0, std, 1)
        model = LogisticRegression(C=C, max_iter=1000).fit(activations, target)
        self.weights = model.coef_[0]
        order = np.argsort(-self.weights, kind="stable")
        self.drawing = order[self.weights[order] > 0]
        self.accuracy = float(model.score(activations, target))

    def images(self, codes: Any, *, drop: Any = "positive") -> np.ndarray:
        """Generated images without some feature maps.

        Parameters
        ----------
        codes : array-like of shape (n, d)
            Any codes, not only those of marked images.
        drop : "positive", int or sequence of int, default="positive"
            The maps that are set to 0 at all positions: all with a positive weight, this number of
            maps with the largest weights (0 changes nothing), or those of these indices.

        Returns
        -------
        images : ndarray of shape (n, c, h, w), float32
            Values in [0, 1], as of `sample_images`.
        """
        dropped = torch.as_tensor(self._checked_maps(drop), device=self._networks.device)

        def without(i: int, h: Tensor) -> Tensor | None:
            return h.index_fill(1, dropped, 0) if i == self.layer else None

        with torch.no_grad():
            parts = [
                self._networks.generator_layers(part, without)[1]
                for part in self._checked(codes).split(N_AT_A_TIME)
            ]
        return self._networks.images(torch.cat(parts))

    def _checked(self, codes: Any) -> Tensor:
        z = check_array(codes, dtype=np.float32, input_name="codes", copy=True)
        width = self._networks.code_dim
        if z.shape[1] != width:
            raise ValueError(
                f"codes has {z.shape[1]} columns, but the generator takes {width} numbers: pass "
                "codes such as those of skgan.tools.draw_codes."
            )
        return torch.from_numpy(z).to(self._networks.device)

    def _checked_layer(self, layer: int | None, z: Tensor) -> int:
        with torch.no_grad():
            layers, _ = self._networks.generator_layers(z[:1])
        with_maps = [i for i, h in enumerate(layers) if h.ndim == 4]
        if not with_maps:
            raise ValueError(
                f"the generator {type(self._networks.nets.generator).__name__} has no activation "
                "module whose output is feature maps: use a convolutional one, such as "
                "generator='dcgan'."
            )
        if layer is None:
            return with_maps[max(0, len(with_maps) - 2)]
        n = len(layers)
        check_number("layer", layer, low=-n, high=n - 1, integer=True, instead="None")
        if layer % n not in with_maps:
            raise ValueError(f"layer={layer} has no feature maps: use one of {with_maps}.")
        return layer % n

    def _activations(self, z: Tensor) -> np.ndarray:
        """The layer's feature maps (n, n_maps, h, w)."""
        with torch.no_grad():
            parts = [self._networks.generator_layers(p)[0] for p in z.split(N_AT_A_TIME)]
        return torch.cat([layers[self.layer] for layers in parts]).float().cpu().numpy()

    def _within(self, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Which positions (h, w) of a feature map are inside of boxes."""
        generator = self._networks.nets.generator
        # skgan's generators draw images whose margins are cut off.
        left, right, top, bottom = getattr(generator, "margins", (0, 0, 0, 0))
        (h, w), shape = size, self._networks.shape
        _, height, width = getattr(generator, "image_shape", shape)
        y = ((np.arange(h) + 0.5) * (height + top + bottom) / h - top) * shape[1] / height
        x = ((np.arange(w) + 0.5) * (width + left + right) / w - left) * shape[2] / width
        within = np.zeros(size, bool)
        for x0, y0, x1, y1 in boxes:
            rows, columns = (y >= y0) & (y < y1), (x >= x0) & (x < x1)
            if not rows.any():
                rows[np.abs(y - (y0 + y1) / 2).argmin()] = True
            if not columns.any():
                columns[np.abs(x - (x0 + x1) / 2).argmin()] = True
            within |= rows[:, None] & columns
        return within

    def _checked_maps(self, drop: Any) -> np.ndarray:
        n = len(self.weights)
        if isinstance(drop, str):
            check_choice("drop", drop, ("positive",))
            return self.drawing.copy()
        maps = np.asarray(drop)
        if maps.ndim == 0:
            check_number("drop", drop, low=0, high=n, integer=True, instead="'positive'")
            return np.argsort(-self.weights, kind="stable")[:drop]
        if maps.size == 0:
            return np.zeros(0, np.int64)
        if maps.ndim != 1 or maps.dtype.kind not in "iu" or maps.min() < 0 or maps.max() >= n:
            raise ValueError(f"drop={drop!r} must be indices of maps from 0 to {n - 1}.")
        return maps.astype(np.int64)


def _check_generator(networks: FittedNetworks) -> None:
    if not hasattr(networks.nets, "generator"):
        raise ValueError(
            f"{type(networks.estimator).__name__} has no generator: pass an estimator that has."
        )
    networks.images(torch.zeros(1, *networks.shape))  # raises for tables


def _checked_boxes(boxes: Sequence[Any], n: int, size: tuple[int, ...]) -> list[np.ndarray]:
    """The boxes of each image, (k, 4)."""
    if isinstance(boxes, str) or not hasattr(boxes, "__len__") or len(boxes) != n:
        raise ValueError(f"boxes must have an entry (or None) for each of the {n} codes.")
    h, w = size
    found = []
    for i, own in enumerate(boxes):
        try:
            each = np.zeros((0, 4)) if own is None else np.asarray(own, np.float64).reshape(-1, 4)
        except (TypeError, ValueError):
            each = np.full((1, 4), np.nan)
        x0, y0, x1, y1 = each.T
        in_order = (x0 >= 0) & (x0 < x1) & (x1 <= w) & (y0 >= 0) & (y0 < y1) & (y1 <= h)
        if not in_order.all():
            raise ValueError(
                f"boxes[{i}]={own!r} must be (x0, y0, x1, y1) with 0 <= x0 < x1 <= {w} and "
                f"0 <= y0 < y1 <= {h}, in pixels, or a sequence of such boxes, or None."
            )
        found.append(each)
    if not any(map(len, found)):
        raise ValueError("boxes are all None: mark the object in at least one image.")
    return found
