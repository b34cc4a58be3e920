"""A fitted estimator as functions of tensors, through which gradients pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .checks import check_choice
from .modules import run_layers

N_AT_A_TIME = 512  # samples
EDGE = 1e-5  # of a prior's range, by which rounding may miss it
NO_READERS = ("generator", "trunk")  # networks that read z, or that others contain


def roles_of(estimator: Any) -> list[str]:
    """The roles of the networks of an estimator that work on samples, or on draws from a prior."""
    not_these = ("trunk",) if estimator._prior() is not None else NO_READERS
    return [role for role in type(estimator)._networks if role not in not_these]


class FittedNetworks:
    """What tools need of a fitted estimator: its networks, its prior and the format of X.

    Samples are tensors as networks see them, float32 (n, c, h, w) in [-1, 1] or (n, columns)
    standardised; networks are in eval mode, so each sample's output depends on it alone.

    Parameters
    ----------
    estimator : fitted estimator, or FrozenEstimator of one

    Attributes
    ----------
    nets : namespace
        The networks by role.
    prior : Prior or None
        What z is, where there is one.
    shape : tuple of int
        Shape of a sample.
    device : torch.device

    Raises
    ------
    NotFittedError
    TypeError
        If the estimator is none of skgan's.
    """

    def __init__(self, estimator: Any):
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        if not hasattr(estimator, "_nets"):
            raise TypeError(
                f"{type(estimator).__name__} is none of skgan's estimators with networks: pass "
                "one, such as a fitted DCGANDiscriminatorFeatures."
            )
        check_is_fitted(estimator)
        self.estimator = estimator
        self.nets = estimator._nets()
        for net in vars(self.nets).values():
            net.eval()
        self.prior = estimator._prior()
        self.shape = estimator.input_shape_
        self.device = estimator._device()
        self._features: Any = None

    # ---------------------------------------------------------------- X and tensors

    def samples(self, X: Any) -> Tensor:
        """The samples of X, checked as `transform` checks them."""
        return self.encoded(self.checked(X))

    def checked(self, X: Any) -> Any:
        """X as an array or LazyImages, checked as `transform` checks it."""
        return self.estimator._validate(X, reset=False)

    def encoded(self, X: Any) -> Tensor:
        """The samples of an X that was checked already, such as the X that callbacks are given."""
        rows = [slice(i, i + N_AT_A_TIME) for i in range(0, len(X), N_AT_A_TIME)]
        parts = [self.estimator._format.encode(np.asarray(X[r])) for r in rows]
        return torch.cat(parts).to(self.device)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one sample of X."""
        return self.estimator._format.row_shape

    @property
    def value_range(self) -> Any:
        """The values of X that networks see as -1 and 1, as the parameter says it; of images."""
        return self.estimator._format.value_range

    def like_X(self, x: Tensor) -> np.ndarray:  # noqa: N802
        """Samples in the layout, value range and (for uint8) type of the X of `fit`."""
        return self.estimator._format.decode(x.float().cpu())

    def images(self, x: Tensor) -> np.ndarray:
        """Samples as images for display: float32 (n, c, h, w) in [0, 1].

        Raises
        ------
        ValueError
            If the estimator was fitted on a table.
        """
        if len(self.shape) != 3:
            raise ValueError(
                f"{type(self.estimator).__name__} was fitted on a table, which has no images to "
                "show: fit it on images, or give it image_shape."
            )
        return ((x.detach().float().cpu() + 1) / 2).clamp(0, 1).numpy()

    # ---------------------------------------------------------------- networks

    @property
    def seed(self) -> int:
        """The seed of the fit, drawn from `random_state`."""
        return self.estimator._seed

    @property
    def has_generator(self) -> bool:
        """Whether samples come from draws of a prior."""
        return self.prior is not None and hasattr(self.nets, "generator")

    @property
    def code_dim(self) -> int:
        """How many numbers a code has of which the generator makes a sample."""
        return self.estimator.latent_dim if self.prior is None else self.prior.dim

    def checked_code(self, code: Any) -> Tensor:
        """A code of shape (d,) that the prior can draw, as a tensor (1, d).

        Raises
        ------
        ValueError
            For another shape, for numbers that are not finite or beyond the prior's range, and
            for parts that are no probabilities of categories.
        """
        code = code.numpy(force=True) if isinstance(code, Tensor) else code
        z = np.asarray(code, np.float32)
        such = "such as projector.transform(X[:1])[0]"
        if z.shape != (self.code_dim,):
            raise ValueError(
                f"code has shape {z.shape}; pass one of shape ({self.code_dim},), {such}."
            )
        low, high = np.full((2, len(z)), np.inf) * [[-1], [1]]
        if self.prior is not None:
            n_categories = sum(self.prior.categories)
            first = self.prior.latent_dim if self.prior.latent == "normal" else 0
            low[first:], high[first:] = -1, 1
            low[len(z) - n_categories :] = 0
        wrong = np.flatnonzero(~(np.isfinite(z) & (z >= low - EDGE) & (z <= high + EDGE)))
        if len(wrong):
            i = int(wrong[0])
            raise ValueError(
                f"code[{i}]={z[i]} must be finite, and from {low[i]:g} to {high[i]:g}, as the "
                f"prior is: pass a code in its range, {such}."
            )
        return torch.from_numpy(z)[None].to(self.device)

    def draw(self, n: int, random_state: Any = None, component: Any = None) -> Tensor:
        """n draws of z from the prior, those of `sample` for the same random state."""
        return self.estimator._seeded_draw(n, random_state, component).to(self.device)

    def generate(self, z: Tensor) -> Tensor:
        """G(z)."""
        return self.estimator._decode(self.nets, z)

    @torch.no_grad()
    def generate_in_parts(self, z: Tensor) -> Tensor:
        """G(z) for any number of codes, on the CPU and without gradients."""
        parts = [self.generate(part.to(self.device)).float().cpu() for part in z.split(N_AT_A_TIME)]
        return torch.cat(parts)

    def features(self, x: Tensor) -> Tensor:
        """What `transform` returns, (n, k)."""
        if self._features is None:
            self._features = self.estimator._features()
        return self._features(x)

    @property
    def has_logits(self) -> bool:
        """Whether a discriminator judges samples: whether the estimator has the hook `_logits`."""
        return hasattr(self.estimator, "_logits")

    def logits(self, x: Tensor) -> Tensor:
        """D's logit, (n,), or what the game has in its place: large where it takes x for real."""
        return self.estimator._logits(self.nets, x).flatten()

    @property
    def read_by_default(self) -> str:
        """The role of the network whose layers are features."""
        usual = getattr(self.estimator, "_features_of", ""), "encoder", "discriminator"
        return next((role for role in usual if hasattr(self.nets, role)), "classifier")

    def layers(self, x: Tensor, role: str, tap: str = "activation") -> list[Tensor]:
        """What the layers of a network below its head make of samples, shallow to deep.

        Feature maps (n, channels, h, w), or (n, units) of dense layers.
        """
        return self.estimator._layers(self.nets, role, x, tap)

    def layer_shapes(self, role: str, tap: str = "activation") -> list[tuple[int, ...]]:
        """The shapes of what `layers` gives of one sample.

        Raises
        ------
        ValueError
            For a role whose network does not work on samples alone.
        """
        check_choice("network", role, [r for r in vars(self.nets) if r not in NO_READERS])
        x = torch.zeros(1, *self.shape, device=self.device)
        try:
            with torch.no_grad():
                return [tuple(output.shape[1:]) for output in self.layers(x, role, tap)]
        except Exception as error:
            raise ValueError(
                f"network={role!r} of {type(self.estimator).__name__} has no layers that can be "
                f"read from samples alone: {error}. Use network={self.read_by_default!r}."
            ) from error

    def generator_layers(
        self, z: Tensor, change: Callable[[int, Tensor], Tensor | None] = lambda i, h: None
    ) -> tuple[list[Tensor], Tensor]:
        """What G's hidden layers make of z, shallow to deep, and G(z).

        `change(i, output)` is called with the output of each layer, and may return another one,
        with which G goes on.
        """
        x: list[Tensor] = []
        layers = run_layers(self.nets.generator, lambda: x.append(self.generate(z)), change)
        return layers, x[0]

    def untrained(self, X: Any, y: Any = None) -> Any:
        """The estimator fitted on X for no epochs: its networks as they were before training.

        With an int as `random_state` these are their very weights.
        """
        e = self.estimator
        given = e.get_params(deep=False)
        changed: dict[str, Any] = {
            "n_epochs": 0, "checkpoint_dir": None, "resume": "never", "warm_start": False,
            "validation_fraction": 0.0, "verbose": 0,
        }  # fmt: skip
        if not isinstance(e.random_state, int | np.integer):
            changed["random_state"] = e._seed
        if len(self.shape) == 3:  # X may be some of the training samples, of a smaller range
            changed["value_range"] = e._format.value_range
        given |= {name: value for name, value in changed.items() if name in given}
        # Not a clone of the estimator, which would have its callbacks.
        return type(e)(**clone(given, safe=False)).fit(X, y)
