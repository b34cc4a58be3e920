"""Activity of filters over training: do some collapse to a mode that oscillates?

    m_k(t) = E h_k,    s_k(t)^2 = E_p Var_i h_k(i, p),    r_k(t)^2 = E h_k^2
    collapsed    s_k / r_k is nearly 0: the same feature map for all samples
    oscillating  |m_k(t + 1) - m_k(t)| / r_k is far above that of the layer's other filters

h_k(i, p) is the output of filter k at position p for sample i, and t counts epochs. In the words of
DCGAN's authors, "as models are trained longer they sometimes collapse a subset of filters to a
single oscillating mode" (Radford et al. 2016, arXiv 1511.06434, sec. 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..callbacks import Callback, place_of
from ..utils.checks import check_choice, check_number, random_state_of
from ..utils.fitted import FittedNetworks, roles_of

FEWEST_EPOCHS = 4  # with fewer, nothing can swing up and down
FEWEST_TURNS = 2
SMALLEST_SCALE = 0.01  # of a swing: where other filters hardly move, less than that is no outlier


@dataclass
class ActivityRecord:
    """The activity of filters after each epoch of a fit, on the same samples.

    Dicts have an array of shape (n_epochs, n_filters) for each layer, by names such as
    "discriminator_layer0".

    Attributes
    ----------
    epochs : list of int
        The epochs, counted from 1 as in `history_`.
    mean : dict of str to ndarray
        Mean output of each filter, over samples and positions.
    size : dict of str to ndarray
        Root of the mean squared output.
    spread : dict of str to ndarray
        From 0 to 1: the standard deviation between samples at the same position (root of its mean
        square over positions), divided by `size`. It is 0 where all samples have the same feature
        map, and nan where the filter's output is 0 throughout.
    """

    epochs: list[int] = field(default_factory=list)
    mean: dict[str, np.ndarray] = field(default_factory=dict)
    size: dict[str, np.ndarray] = field(default_factory=dict)
    spread: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, epoch: int, layers: dict[str, Tensor]) -> None:
        """Add what the layers, (n, k, ...) each, make of the samples after an epoch.

        Parameters
        ----------
        epoch : int
        layers : dict of str to Tensor
            The same layers after every epoch.
        """
        self.epochs.append(epoch)
        for name, output in layers.items():
            h = output.detach().double().flatten(2 if output.ndim > 2 else 1)
            h = h if output.ndim > 2 else h[:, :, None]
            size = h.square().mean((0, 2)).sqrt()
            std = h.var(0, correction=0).mean(1).sqrt()
            found = {"mean": h.mean((0, 2)), "size": size, "spread": std / size}
            for what, values in found.items():
                of = getattr(self, what)
                row = values.cpu().numpy()[None]
                of[name] = np.concatenate([of[name], row]) if name in of else row


class FilterActivity(Callback):
    """Callback that records the activity of filters after every epoch.

    Set it on the GAN itself: `gan.set_callbacks(FilterActivity())`. It costs a pass over the
    training samples per epoch, for the batch-norm statistics.

    After every epoch, the same samples are passed through the networks as they would be if training
    ended there. Filters of discriminators, classifiers and encoders are recorded on samples, those
    of a generator on draws from the prior.

    Parameters
    ----------
    X : array-like, as in `fit`, default=None
        Samples on which filters are recorded. None: `n_samples` of the training samples.
    networks : sequence of str, default=None
        Roles of networks. None: the network that features are of, and the generator.
    n_samples : int, default=256
        Number of training samples, where X is None, and of draws from the prior.
    random_state : int, default=0
        Seed by which these are chosen, the same ones after every epoch.

    Attributes
    ----------
    records : list of ActivityRecord
        One for each fit, in the order in which they began. A `partial_fit`, or a fit with
        `warm_start`, that goes on where a record ends, goes on with that record. Fits in other
        processes (`n_jobs`) leave none here.

    Raises
    ------
    ValueError
        For bad values; in `fit`, before any training, for networks that the estimator does not
        have.

    Examples
    --------
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.inspection import FilterActivity
    >>> activity = FilterActivity()
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(activity)
    """

    def __init__(
        self, X: Any = None, *, networks: Sequence[str] | None = None, n_samples: int = 256,
        random_state: int = 0,
    ):  # fmt: skip
        check_number("n_samples", n_samples, low=2, integer=True)
        check_number("random_state", random_state, low=0, integer=True)
        if isinstance(networks, str):
            raise ValueError(f"networks={networks!r} must be a sequence of roles: [{networks!r}].")
        self.X, self.networks = X, networks
        self.n_samples, self.random_state = n_samples, random_state
        self.records: list[ActivityRecord] = []
        self._places: list[tuple[Any, ...]] = []  # of each record, what it is of

    @property
    def record(self) -> ActivityRecord:
        """The last of `records`."""
        if not self.records:
            raise AttributeError(
                "FilterActivity has no record yet: set it on an estimator with set_callbacks, and "
                "fit that for at least one epoch, in this process."
            )
        return self.records[-1]

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that the estimator has the networks."""
        for role in self.networks or ():
            check_choice("networks", role, roles_of(estimator))

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any = None, fitted_estimator: Any = None
    ) -> None:
        """Record a complete epoch; other tasks have no history row."""
        row = getattr(context, "history_row", None)
        if row is None:
            return
        networks = FittedNetworks(fitted_estimator)
        epoch = int(row["epoch"])
        place = (place_of(context.parent), type(estimator).__name__, networks.seed)
        if place in self._places:
            i = len(self._places) - 1 - self._places[::-1].index(place)
            goes_on = self.records[i].epochs[-1] == epoch - 1
        if place not in self._places or not goes_on:
            i = len(self.records)
            self.records.append(ActivityRecord())
            self._places.append(place)
        self.records[i].add(epoch, self._layers(networks, X))

    def _layers(self, networks: FittedNetworks, X: Any) -> dict[str, Tensor]:
        roles = self.networks
        if roles is None:
            generator = ["generator"] if networks.has_generator else []
            roles = [networks.read_by_default, *generator]
        layers: dict[str, Tensor] = {}
        with torch.no_grad():
            for role in roles:
                if role == "generator":
                    z = networks.draw(self.n_samples, self.random_state)
                    found, _ = networks.generator_layers(z)
                else:
                    found = networks.layers(self._samples(networks, X), role)
                layers |= {f"{role}_layer{i}": h for i, h in enumerate(found)}
        return layers

    def _samples(self, networks: FittedNetworks, X: Any) -> Tensor:
        if self.X is not None:
            return networks.samples(self.X)
        rng = random_state_of(self.random_state)
        rows = np.sort(rng.permutation(len(X))[: self.n_samples])
        return networks.encoded(X[rows])


def oscillating_filters(
    record: ActivityRecord, *, n_epochs: int = 10, max_spread: float = 0.1, n_mads: float = 6.0
) -> dict[str, np.ndarray]:
    """Find filters that have collapsed to a mode that oscillates.

    These are filters for which, over the last epochs of the record,

    - the feature map is nearly the same for all samples: the median of `spread` is below
      `max_spread`;
    - the mean output swings far more than that of the other filters of the layer: its swing, the
      median step from one epoch to the next as a share of the filter's `size`, is more than
      `n_mads` median absolute deviations (scaled to standard deviations) above the median filter;
    - the mean output goes up and down: its steps change their sign at least twice.

    Parameters
    ----------
    record : ActivityRecord
        Such as `record` of a `FilterActivity`, of at least four epochs.
    n_epochs : int, default=10
        Number of epochs, at the end of the record, that are looked at; at least 4.
    max_spread : float, default=0.1
    n_mads : float, default=6.0

    Returns
    -------
    flagged : dict of str to ndarray of int
        The filters of each layer that were found; none for a healthy one.

    Raises
    ------
    ValueError
        For bad values, or a record of fewer than four epochs.

    Notes
    -----
    Filters of a layer are compared to each other, so that a fit whose filters all move, as in the
    first epochs, is not flagged. In turn, nothing is found in a layer in which half of all filters
    oscillate: look at `FilterActivityDisplay`. DCGAN's authors saw the failure in long trainings
    (sec. 7) and give no rule for it; the limits are skgan's.

    Examples
    --------
    >>> import numpy as np
    >>> from skgan.inspection import ActivityRecord, oscillating_filters
    >>> steady = np.ones((6, 8)) + 0.01 * np.random.default_rng(0).random((6, 8))
    >>> steady[:, 3] += [0, 1, 0, 1, 0, 1]
    >>> spread = np.full((6, 8), 0.5)
    >>> spread[:, 3] = 0.001
    >>> mean, size = {"layer0": steady}, {"layer0": steady}
    >>> record = ActivityRecord([1, 2, 3, 4, 5, 6], mean, size, {"layer0": spread})
    >>> oscillating_filters(record)["layer0"]
    array([3])
    """
    check_number("n_epochs", n_epochs, low=FEWEST_EPOCHS, integer=True)
    check_number("max_spread", max_spread, low=0, high=1)
    check_number("n_mads", n_mads, low=0)
    if len(record.epochs) < FEWEST_EPOCHS:
        raise ValueError(
            f"record has {len(record.epochs)} epochs, but oscillation is only seen over at least "
            f"{FEWEST_EPOCHS}: train for longer."
        )
    flagged = {}
    for name, mean in record.mean.items():
        last = slice(-n_epochs, None)
        swing = relative_swing(mean[last], record.size[name][last])
        median = np.median(swing)
        scale = 1.4826 * np.median(np.abs(swing - median))
        far = swing - median > n_mads * max(scale, SMALLEST_SCALE)
        # nan, of filters whose output is 0, compares as False.
        collapsed = np.median(record.spread[name][last], axis=0) < max_spread
        steps = np.sign(np.diff(mean[last], axis=0))
        turns = (steps[1:] * steps[:-1] < 0).sum(axis=0)
        flagged[name] = np.flatnonzero(far & collapsed & (turns >= FEWEST_TURNS))
    return flagged


def relative_swing(mean: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The median step of each filter's mean between epochs, as a share of its usual size."""
    return np.median(np.abs(np.diff(mean, axis=0)), axis=0) / usual_size(size)


def usual_size(size: np.ndarray) -> np.ndarray:
    """The median size of each filter over epochs; 1 for filters whose output is mostly 0."""
    usual = np.median(size, axis=0)
    return np.where(usual > 0, usual, 1)
