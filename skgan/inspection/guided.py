"""Guided backpropagation: what a filter responds to (Springenberg et al. 2014, arXiv 1412.6806).

    R^l = a'(h^l) max(0, R^(l+1))           backwards through each activation f^(l+1) = a(h^l)

For ReLU, a' is 1 where a unit is active and 0 elsewhere. This is the paper's rule: only units that
are active, and that raise the response, pass a gradient on. All other layers have their usual
gradients. Radford et al. 2016 (sec. 6.2, fig. 5) show filters of a discriminator in this way,
beside those of a network with random weights.

| paper | here |
|---|---|
| f^(l+1), R^(l+1) | output of an activation, and the gradient by it |
| maximal response of a filter | `GuidedGradients.responses` |
| R^0 | `GuidedGradients.gradients` |
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..utils.checks import check_choice, check_number
from ..utils.fitted import N_AT_A_TIME, FittedNetworks
from ..utils.modules import ACTIVATIONS, watching
from .drawing import axes_of_panels, centres, draw_image, frameless, pyplot, sheet

N_FILTERS = 6  # Radford et al. 2016, fig. 5
FOLLOWED = (
    "Layers end in skgan's own activations, or in one of these modules: "
    f"{', '.join(kind.__name__ for kind in ACTIVATIONS)}."
)
SHARE_SHOWN = 0.98  # of a gradient's values other than 0, within the range of grey


@dataclass(frozen=True)
class GuidedGradients:
    """The strongest responses of some filters, and what they respond to.

    Attributes
    ----------
    filters : ndarray of int, shape (k,)
        The filters, by their index among the channels (or units) of the layer.
    samples : ndarray of int, shape (k, n_top)
        For each filter, the samples of X with the largest responses, the largest first.
    positions : ndarray of int, shape (k, n_top, 2)
        Row and column of the response in the layer's feature map; 0 in dense layers.
    responses : ndarray of shape (k, n_top), float32
        The filter's output there, after the activation.
    inputs : ndarray of shape (k, n_top, c, h, w) or (k, n_top, columns), float32
        The samples as the network sees them: images in [-1, 1], or standardised columns.
    gradients : ndarray of the shape of `inputs`, float32
        Guided gradients of the responses by the inputs.
    """

    filters: np.ndarray
    samples: np.ndarray
    positions: np.ndarray
    responses: np.ndarray
    inputs: np.ndarray
    gradients: np.ndarray


def guided_backprop(
    estimator: Any, X: Any, *, layer: int = -1, filters: Sequence[int] | None = None,
    n_top: int = 1, network: str | None = None,
) -> GuidedGradients:  # fmt: skip
    """Find what the filters of a network respond to most, by guided backpropagation.

    For each filter, the samples of X with the largest response are found, where the response to a
    sample is the largest output of the filter at any position. The response at that position is
    then traced back to the sample, with negative gradients set to 0 at the output of every
    activation on the way (Springenberg et al. 2014; Radford et al. 2016, sec. 6.2). LeakyReLU and
    CReLU keep their own slopes; with ReLU this is exactly the rule of the paper.

    Parameters
    ----------
    estimator : fitted estimator, or FrozenEstimator of one
    X : array-like, as in `fit`
        The samples to choose from.
    layer : int, default=-1
        Hidden layer of the network, counted from 0, the first; negative numbers count from the
        last, as in the estimator's `layers`.
    filters : sequence of int, default=None
        Channels (or units) of the layer. None: the first six, or all if there are fewer.
    n_top : int, default=1
        Number of samples for each filter.
    network : str, default=None
        Role of the network, such as "discriminator" or "encoder". None: the one that the
        estimator's features are of.

    Returns
    -------
    found : GuidedGradients

    Raises
    ------
    NotFittedError
    ValueError
        For a network, a layer or filters that are not there, for more samples than X has, or for
        a network that takes more than samples, such as the critic of pairs of a BiGAN.

    Notes
    -----
    The network runs in eval mode and is left as it was: the rule is applied by hooks, which are
    removed again. They find skgan's own activations and PyTorch's ReLU, LeakyReLU, ELU, SELU, GELU,
    SiLU, PReLU, Softplus, Mish, Tanh, Hardswish, ReLU6 and CELU; only these end a layer that
    `layer` counts. All others of a user-supplied network, such as Sigmoid, RReLU, Hardtanh,
    Softsign, Hardsigmoid, LogSigmoid and Threshold, and what it applies as a function
    (`torch.relu`), keep their plain gradient.

    References
    ----------
    Springenberg et al. 2014, "Striving for Simplicity: The All Convolutional Net", arXiv 1412.6806.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.inspection import guided_backprop
    >>> X = load_digits().images
    >>> gan = DCGANDiscriminatorFeatures(n_epochs=1, random_state=0).fit(X)
    >>> found = guided_backprop(gan, X, layer=0, n_top=2)
    >>> found.gradients.shape
    (6, 2, 1, 8, 8)
    """
    check_number("n_top", n_top, low=1, integer=True)
    networks = FittedNetworks(estimator)
    x = networks.samples(X)
    if n_top > len(x):
        raise ValueError(f"n_top={n_top} is more than the {len(x)} samples of X: pass more of X.")
    maps = _Maps(networks, networks.read_by_default if network is None else network, layer)
    chosen = torch.as_tensor(_checked_filters(filters, maps.shape[0]))
    with torch.no_grad():
        peaks = [maps(part)[:, chosen].max(2) for part in x.split(N_AT_A_TIME)]
    values = torch.cat([p.values for p in peaks]).T.cpu()
    top = (-values).argsort(dim=1, stable=True)[:, :n_top]
    places = torch.cat([p.indices for p in peaks]).T.cpu().gather(1, top)

    shape = (len(chosen), n_top)
    inputs = x[top.flatten().to(x.device)]
    what = inputs, chosen.repeat_interleave(n_top), places.flatten()
    parts = zip(*(w.split(N_AT_A_TIME) for w in what), strict=True)
    gradients = torch.cat([maps.guided(*part) for part in parts])
    width = maps.shape[2] if len(maps.shape) == 3 else 1
    return GuidedGradients(
        filters=chosen.numpy(), samples=top.numpy(),
        positions=torch.stack([places // width, places % width], dim=2).numpy(),
        responses=values.gather(1, top).numpy(),
        inputs=inputs.unflatten(0, shape).cpu().numpy(),
        gradients=gradients.unflatten(0, shape).cpu().numpy(),
    )  # fmt: skip


def untrained_copy(estimator: Any, X: Any, y: Any = None) -> Any:
    """An estimator of the same class and parameters whose networks are not trained.

    It is fitted with `n_epochs=0`, so that only its batch-norm statistics (and a first layer of
    patches) are taken from X. With an int as `random_state` its weights are the first ones of the
    trained estimator.

    Parameters
    ----------
    estimator : fitted estimator, or FrozenEstimator of one
        It is left as it is.
    X : array-like, as in `fit`
        The training samples, or some of them.
    y : array-like of shape (n,), default=None
        Labels, for classes whose `fit` needs them.

    Returns
    -------
    untrained : fitted estimator

    Raises
    ------
    NotFittedError

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.inspection import untrained_copy
    >>> X = load_digits().images
    >>> gan = DCGANDiscriminatorFeatures(n_epochs=1, random_state=0).fit(X)
    >>> untrained_copy(gan, X).n_steps_
    0
    """
    return FittedNetworks(estimator).untrained(X, y)


class _Maps:
    """The feature maps of one layer of one network: samples x -> (n, channels, positions)."""

    def __init__(self, networks: FittedNetworks, role: str, layer: int):
        try:
            shapes = networks.layer_shapes(role)
            check_number("layer", layer, low=-len(shapes), high=len(shapes) - 1, integer=True)
        except ValueError as error:
            if hasattr(networks.nets, role):
                raise ValueError(f"{error} {FOLLOWED}") from error
            raise
        self.networks, self.role = networks, role
        self.layer, self.shape = layer, shapes[layer]

    def __call__(self, x: Tensor) -> Tensor:
        h = self.networks.layers(x, self.role)[self.layer]
        return h.flatten(2) if h.ndim > 2 else h[:, :, None]

    def guided(self, x: Tensor, filters: Tensor, places: Tensor) -> Tensor:
        """The guided gradient, by sample i, of filter i's output at place i."""
        net = getattr(self.networks.nets, self.role)
        activations = _activations(net)
        guided, kinds = {id(m) for m in activations}, tuple({type(m) for m in activations})

        def hook(module, inputs, output):
            return _OnlyPositive.apply(output) if id(module) in guided else None

        with torch.enable_grad(), watching(net, kinds, hook):
            x = x.detach().clone().requires_grad_()
            responses = self(x)[torch.arange(len(x)), filters, places]
            (gradient,) = torch.autograd.grad(responses.sum(), x)
        return gradient


class _OnlyPositive(torch.autograd.Function):
    """The identity, backwards through which only positive gradients pass."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        # A copy: the input may be the output of a layer that works in place.
        return h.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].clamp(min=0)


def _activations(net: nn.Module) -> list[nn.Module]:
    """The activation modules of a network: PyTorch's, and those of skgan's own blocks."""
    own = [m.activation for m in net.modules() if hasattr(m, "activation") and hasattr(m, "conv")]
    return [m for m in net.modules() if isinstance(m, ACTIVATIONS)] + [
        m for m in own if isinstance(m, nn.Module) and not isinstance(m, nn.Identity)
    ]


def _checked_filters(filters: Sequence[int] | None, n: int) -> np.ndarray:
    if filters is None:
        return np.arange(min(N_FILTERS, n))
    chosen = np.asarray(filters)
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu":
        raise ValueError(f"filters={filters!r} must be indices of filters, such as range(6).")
    if chosen.min() < 0 or chosen.max() >= n:
        raise ValueError(f"filters={filters!r} must be from 0 to {n - 1}: the layer has {n}.")
    return chosen.astype(np.int64)


class GuidedBackpropDisplay:
    """What filters respond to, beside the same filters of a network with random weights.

    Every row is a filter. Each sample with one of its largest responses is followed by the guided
    gradient of that response: grey where pixels have no influence, bright where a brighter pixel
    would raise the response, dark where it would lower it. Each gradient has a scale of its own,
    whose ends are the 98th percentile of the sizes of its values other than 0.

    Guided gradients copy edges of the sample whatever the weights are (Nie et al. 2018, arXiv
    1805.07039). What a filter has learnt therefore shows in how it differs from random weights: in
    whether its samples have something in common, and whether the gradient keeps to that.

    Parameters
    ----------
    trained : GuidedGradients
        Of `guided_backprop`, on images.
    untrained : GuidedGradients, default=None
        Of the same number of filters of an untrained network; None leaves its panel out.

    Attributes
    ----------
    axes_ : ndarray of Axes, shape (n_panels,)
        The network with random weights, if there is one, and the trained one. All attributes are
        set by `plot`.
    figure_ : Figure
    images_ : list of AxesImage
        The whole grid of each panel.

    Raises
    ------
    ValueError
        If the gradients are not of images, or of different numbers of filters.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.inspection import GuidedBackpropDisplay
    >>> X = load_digits().images
    >>> gan = DCGANDiscriminatorFeatures(n_epochs=1, random_state=0).fit(X)
    >>> display = GuidedBackpropDisplay.from_estimator(gan, X, layer=0)
    """

    def __init__(self, trained: GuidedGradients, untrained: GuidedGradients | None = None):
        if trained.inputs.ndim != 5 or trained.inputs.shape[2] not in (1, 3):
            raise ValueError(
                f"trained has inputs of shape {trained.inputs.shape}; only images of one channel "
                "(grey) or three (colour) can be shown."
            )
        if untrained is not None and untrained.inputs.shape != trained.inputs.shape:
            raise ValueError(
                f"untrained has inputs of shape {untrained.inputs.shape}, but trained of "
                f"{trained.inputs.shape}: compute both with the same filters, n_top and images."
            )
        self.trained, self.untrained = trained, untrained

    @classmethod
    def from_estimator(
        cls, estimator, X, *, layer=-1, filters=None, n_top=4, network=None, untrained="copy",
        y=None, ax=None,
    ):  # fmt: skip
        """Plot what filters of a fitted estimator respond to.

        Parameters
        ----------
        estimator : fitted estimator, or FrozenEstimator of one
        X : array-like, as in `fit`
            The images to choose from.
        layer, filters, n_top, network
            See `guided_backprop`.
        untrained : "copy", fitted estimator or None, default="copy"
            Whose filters are shown for comparison. "copy" is `untrained_copy(estimator, X, y)`;
            None shows the trained network alone.
        y : array-like of shape (n,), default=None
            Labels, for the copy of a class whose `fit` needs them.
        ax : Axes or array of Axes, default=None
            See `plot`.

        Returns
        -------
        display : GuidedBackpropDisplay
        """
        axes_of_panels(ax, 1 if untrained is None else 2)
        how = {"layer": layer, "filters": filters, "n_top": n_top, "network": network}
        trained = guided_backprop(estimator, X, **how)
        if isinstance(untrained, str):
            check_choice("untrained", untrained, ("copy",))
            untrained = untrained_copy(estimator, X, y)
        if untrained is not None:
            untrained = guided_backprop(untrained, X, **how)
        return cls(trained, untrained).plot(ax=ax)

    def plot(self, *, ax=None):
        """Plot the filters.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            One for each panel. None makes a new figure.

        Returns
        -------
        display : GuidedBackpropDisplay
            The display itself.
        """
        plt = pyplot("GuidedBackpropDisplay")
        panels = {} if self.untrained is None else {"random weights": self.untrained}
        panels["trained"] = self.trained
        tiles = {title: _tiles(found) for title, found in panels.items()}
        if ax is None:
            h, w = tiles["trained"].shape[:2]
            width = 5.0 * len(panels)  # inches
            size = (width, 5.0 * h / w + 0.4)
            _, ax = plt.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
        axes = axes_of_panels(ax, len(panels))
        self.images_ = []
        for panel, (title, found) in zip(axes, panels.items(), strict=True):
            self.images_.append(draw_image(panel, tiles[title]))
            k, _, _, height, _ = found.inputs.shape
            rows = [f"filter {i}" for i in found.filters] if panel is axes[0] else [""] * k
            frameless(panel, y=(centres(k, height), rows))
            panel.set_title(title)
        self.axes_ = axes
        self.figure_ = axes[0].figure
        return self


def _tiles(found: GuidedGradients) -> np.ndarray:
    """A row for each filter: each sample, followed by its guided gradient."""
    size = np.abs(found.gradients)
    # The few largest values are cut off, or they alone would be seen.
    some = np.where(size > 0, size, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a gradient of zeros has none
        white = np.nanquantile(some, SHARE_SHOWN, axis=(2, 3, 4), keepdims=True)
    grey = found.gradients / np.where(white > 0, white, 1)
    tiles = np.stack([found.inputs, grey], axis=2)
    return sheet((tiles.reshape(-1, *tiles.shape[3:]) + 1) / 2, n_columns=2 * tiles.shape[1])
