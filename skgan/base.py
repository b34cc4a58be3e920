"""The one base class: scikit-learn's contract around a game that a method describes."""

import contextlib
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, _clone_parametrized
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from . import settings
from .data.arrays import ArraySource, check_numeric, learn_format, opened
from .data.containers import words_named
from .data.sources import LazyImages
from .engine import checkpoint, reporting, runtime
from .engine.identity import identity
from .engine.loop import steps_per_epoch
from .extraction import FeatureExtraction
from .model_card import ModelCard
from .nn import joined, with_trunk
from .nn.extractors import Extractor
from .notebook import NotebookDisplay
from .parameters import ImageParameters, RuntimeParameters, TrainingParameters
from .persistence import FITTED, pack_state, unpack_state, write
from .sampling import Sampling
from .settings import check_epochs_left, resolve_epochs
from .training import CheckpointParameters, Training
from .utils.labels import warn_of_unlabelled
from .utils.modules import settle
from .utils.parameters import parameters
from .version import __version__


class WholeNetwork:
    """A fitted attribute: a branch of a trunk and the layers below it, as one network.

    What is kept with the estimator is the branch alone, so that shared layers are kept once.
    """

    def __init__(self, text: str):
        self.__doc__ = text

    def __set_name__(self, owner: type, name: str) -> None:
        self.role, self.kept = name.removesuffix("_"), f"_{name.removesuffix('_')}_branch_"

    def __get__(self, estimator: Any, owner: type | None = None) -> Any:
        if estimator is None:
            return self
        return getattr(estimator._nets(), self.role).eval()


@parameters
class BaseGAN(
    ImageParameters, TrainingParameters, CheckpointParameters, RuntimeParameters, NotebookDisplay,
    ModelCard, reporting.CallbackSupport, FeatureExtraction, Sampling, BaseEstimator,
    metaclass=ABCMeta,
):  # fmt: skip
    """Training in `fit`, features in `transform`. Methods supply the hooks and nothing else.

    Attributes
    ----------
    n_features_out_ : int
        Number of features.
    head_weight_ : ndarray of shape (n_outputs, n_features_out_)
        Weights of the head that reads the features. Only where `transform` returns exactly what one
        head reads, such as with layers=-1 and pool_grid=None.
    """

    # The roles of critics, for a class that has any.
    _critics: ClassVar[tuple[str, ...]] = ()
    # What a fit may leave, and so what a saved file may hold: networks by role, and attributes.
    # Mixins may also say which attributes belong to the outputs of a network: `_one_per_output` and
    # `_index_of_output`, {name of the attribute: role}.
    _networks: ClassVar[tuple[str, ...]] = ()
    _holds: ClassVar[Mapping[str, Any]] = FITTED

    # ---------------------------------------------------------------- hooks of a method

    @abstractmethod
    def _build(self, shape: tuple[int, ...], rng: torch.Generator) -> dict[str, nn.Module]:
        """The networks by role, for samples of the given shape; initialised from `rng`."""

    def _completed(self, nets: dict[str, nn.Module], rng: torch.Generator) -> dict[str, nn.Module]:
        """The networks of `_build`, with what parameters of all methods add to them."""
        return nets

    @abstractmethod
    def _step(self, nets: Any, batch: Any, update: Callable[..., None]) -> None:
        """Play one minibatch; networks move through `update` only.

        `nets` has the networks by role, and `nets.features`, the extractor on top of them.
        """

    @abstractmethod
    def _refresh(self, nets: Any, x: Tensor, z: Tensor) -> None:
        """Pass real samples and prior draws through every network, as its use after `fit` will."""

    @abstractmethod
    def _extractor(self, nets: Any) -> Extractor:
        """The module that `transform` runs: samples as networks see them -> features (n, k)."""

    def _share_held_out(self) -> float:
        """The share of the samples in `fit` that is kept out of training, and diagnosed."""
        return 0.0

    def _diagnose(self, nets: Any, batches: Iterator[Any]) -> dict[str, float]:
        """What is logged of the samples that are kept out: batches with `x`, `y` and `domain`."""
        return {}

    def _keeps_statistics(self) -> tuple[str, ...]:
        """Roles whose batch-norm statistics stay as training leaves them."""
        return ()

    def _measure(self, nets: Any, draw: Any, batches: Iterator[Any], *, going_on: bool) -> None:
        """Set what else is needed of the finished networks: by draws, and all training samples."""

    def _as_trained(self, nets: dict[str, Any], rng: torch.Generator) -> SimpleNamespace:
        """The networks as `_step` sees them."""
        return SimpleNamespace(**nets)

    def _pair(self, X: Any, y: Any, *, going_on: bool) -> tuple[Any, np.ndarray | None]:
        """The samples of X to train on, and indices of their classes if labels play a part."""
        if y is not None:
            warn_of_unlabelled(type(self).__name__, y)
        return X, None

    def _domains(self) -> np.ndarray | None:
        """Indices of the domains of the samples of `_pair`, if domains play a part."""
        return None

    def _has_schedule(self) -> bool:
        """Whether a step depends on how many epochs there will be."""
        return self.lr_decay is not None

    # ---------------------------------------------------------------- fit

    @reporting.with_callbacks
    @runtime.with_gradients
    def fit(self, X, y=None):
        """Train the networks on X.

        Parameters
        ----------
        X : array-like of shape (n, columns), (n, h, w), (n, c, h, w) or (n, h, w, c)
            Images, or rows of a table. Numbers of any type; a memmap is read batch by batch.
        y : ignored
            With -1 beside at least two other classes, a warning says how to use partly labelled
            data.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Before any training, for parameters or data that cannot work.
        FloatingPointError
            If a loss or weight stops being finite. An earlier fit is kept.
        """
        with self._keeping_earlier_fit():
            self._check()
            state, checkpoints = getattr(self, "_training", None) if self.warm_start else None, None
            source = self._source(X, y, going_on=state is not None)
            steps = steps_per_epoch(source, self.batch_size)
            n_epochs = resolve_epochs(self, steps, len(source))
            if state is not None:
                check_epochs_left(n_epochs, self.n_epochs_)
            if self.checkpoint_dir is not None:
                key = identity(self, source.fingerprint(), n_epochs, __version__, state)
                checkpoints = checkpoint.Checkpoints(self.checkpoint_dir, key, self.checkpoint_keep)
                state = checkpoints.find(self.resume, n_epochs, instead=state)
            training = Training(self, source, state, self._share_held_out())
            training.run(n_epochs, checkpoints)
            self._keep(training if self.warm_start else None)
        return self

    @reporting.with_callbacks
    @runtime.with_gradients
    def partial_fit(self, X, y=None):
        """Train for one pass over these samples, after those of earlier calls.

        After a `fit` it goes on from the fitted networks; their optimizers begin anew unless
        `warm_start` has kept them. Scaling is that of the first call. `n_epochs`, `lr_decay`,
        `lr_warmup` and checkpoints play no part. Batch-norm statistics are averaged over the
        samples of all calls. Later, a single sample is left out with a warning.

        Parameters
        ----------
        X, y : as in `fit`

        Returns
        -------
        self
        """
        with self._keeping_earlier_fit():
            self._check()
            state = getattr(self, "_training", None)
            if state is None and hasattr(self, "_roles"):
                # What a plain fit leaves: networks, without the optimizers' memory.
                state = checkpoint.from_networks(
                    self._kept_nets(), self.history_, self._seed, self.n_steps_
                )
            if state is not None and settings.is_left_out(self, X):
                return self
            source = self._source(X, y, going_on=state is not None)
            earlier = self._kept_nets().values() if state is not None else ()
            training = Training(self, source, state)
            training.run(len(training.history) + 1, earlier=earlier)
            self._keep(training)
        return self

    def _source(self, X, y, *, going_on: bool) -> ArraySource:
        if going_on:
            settings.check_shaping(self)
        X = self._validate(X, reset=not going_on)
        X, labels = self._pair(X, y, going_on=going_on)
        if not going_on:
            self._format = learn_format(X, self.image_shape, self.data_format, self.value_range)
            self.input_shape_ = self._format.shape
            self._shaped_by = settings.shaping(self)
        elif len(X) < 2:
            raise ValueError("X has 1 sample: training needs at least 2.")
        return ArraySource(X, self._format, labels, self._domains())

    def _keep(self, training: Training | None) -> None:
        """Keep what it takes to go on from here; or nothing, so that optimizers are gone."""
        self.__dict__.pop("_training", None)
        if training is not None:
            self._training = checkpoint.encode(training.state())

    @contextlib.contextmanager
    def _keeping_earlier_fit(self) -> Iterator[None]:
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            # scikit-learn still has to take its callbacks down.
            now = self.__dict__.items()
            self.__dict__ = before | {k: v for k, v in now if k.startswith(("_skl", "_callback"))}
            raise

    def _validate(self, X, *, reset: bool) -> np.ndarray | LazyImages:
        X = opened(X)
        if isinstance(X, LazyImages):
            return self._validate_lazy(X, reset=reset)
        if not reset and getattr(X, "ndim", 0) > 2:  # scikit-learn would speak of features
            self._format.check_shape(X)
        with words_named(X):
            X = validate_data(
                self, X, reset=reset, dtype="numeric", allow_nd=True, ensure_min_samples=1 + reset
            )
        check_numeric(X)
        if not reset:
            self._format.check(X)
        return X

    def _validate_lazy(self, X: LazyImages, *, reset: bool) -> LazyImages:
        """What `validate_data` would do, without decoding a single image."""
        if len(X) < (2 if reset else 1):
            raise ValueError(f"X has {len(X)} sample(s): fit needs at least 2, transform 1.")
        if reset:
            self.n_features_in_ = X.shape[1]
            self.__dict__.pop("feature_names_in_", None)
        else:
            self._format.check(X)
        return X

    # ---------------------------------------------------------------- use

    def _kept_nets(self) -> dict[str, nn.Module]:
        """The fitted networks by role, as they are kept and trained."""
        check_is_fitted(self)
        settings.check_use(self)
        nets = {role: getattr(self, self._place(role)) for role in self._roles}
        runtime.place(nets.values(), self.device)
        return with_trunk(nets)

    def _nets(self) -> SimpleNamespace:
        """The fitted networks by role, from samples to their output."""
        return SimpleNamespace(**joined(self._kept_nets()))

    @classmethod
    def _place(cls, role: str) -> str:
        """The attribute that keeps the network of a role."""
        whole = getattr(cls, f"{role}_", None)
        return whole.kept if isinstance(whole, WholeNetwork) else f"{role}_"

    def _device(self) -> torch.device:
        return next(p for net in self._kept_nets().values() for p in net.parameters()).device

    def save(self, path) -> None:
        """Keep this estimator in one file of JSON and tensors, without pickle.

        `skgan.load` reads it. A file that is there is replaced once the new one is complete.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        TypeError
            For parameters that plain data cannot say, such as modules, callables or a
            RandomState, and for classes that are none of skgan's. Nothing is written then.
        """
        write(path, self)

    # ---------------------------------------------------------------- scikit-learn's side

    def set_params(self, **params):
        """Set parameters, also those of specs: `generator__width`.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a name that no parameter has, and for settings of a network that is a name.
        """
        settings.check_nested(self, params)
        return super().set_params(**params)

    def __sklearn_clone__(self):
        for value in self.get_params(deep=False).values():
            if isinstance(value, nn.Module):
                settle(value)
        return self._handed_on(_clone_parametrized(self))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return pack_state(super().__getstate__())

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(unpack_state(dict(state)))
