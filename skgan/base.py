"""The one base class: scikit-learn's contract around a game that a method describes."""

import contextlib
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, _clone_parametrized
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from . import settings
from .data.arrays import ArraySource, check_numeric, learn_format
from .data.sources import LazyImages
from .engine import callbacks, checkpoint
from .engine.checkpoint import Checkpoints
from .engine.identity import identity
from .engine.loop import n_batches
from .engine.players import Penalty
from .engine.runtime import with_gradients
from .extraction import FeatureExtraction
from .nn.heads import Extractor
from .persistence import FITTED, pack_state, unpack_state, write
from .settings import check_epochs_left, check_settings, resolve_epochs
from .training import Training
from .utils.checks import check_number
from .utils.modules import settle
from .utils.seeds import stream
from .version import __version__


class BaseGAN(callbacks.CallbackSupport, FeatureExtraction, BaseEstimator, metaclass=ABCMeta):
    """Training in `fit`, features in `transform`. Methods supply the hooks and nothing else.

    A class lists its parameters in `__init__` and stores them; `_critics` names the roles that
    tell real rows from generated ones.
    """

    _critics: ClassVar[tuple[str, ...]] = ("discriminator",)
    # Where a role's network is kept, if not in the attribute "<role>_".
    _kept_in: ClassVar[Mapping[str, str]] = {}
    _networks: ClassVar[tuple[str, ...]] = ()  # the roles that a fit may leave networks of
    _holds: ClassVar[Mapping[str, Any]] = FITTED  # what else it may leave, and of what kind

    # ---------------------------------------------------------------- hooks of a method

    def _check(self) -> None:
        """Raise for bad values among the method's own parameters."""

    @abstractmethod
    def _build(self, shape: tuple[int, ...], rng: torch.Generator) -> dict[str, nn.Module]:
        """The networks by role, for rows of the given shape; initialised from `rng`."""

    @abstractmethod
    def _step(self, nets: Any, batch: Any, update: Callable[..., None]) -> None:
        """Play one minibatch; networks move through `update` only.

        `nets` has the networks by role, and `nets.features`, the extractor on top of them.
        """

    @abstractmethod
    def _refresh(self, nets: Any, x: Tensor, z: Tensor) -> None:
        """Pass real rows and prior draws through every network as its use after `fit` will."""

    @abstractmethod
    def _extractor(self, nets: Any) -> Extractor:
        """The module behind `transform`: rows as the networks see them -> features (n, k)."""

    def _decode(self, nets: Any, z: Tensor) -> Tensor:
        """Rows from z, of the shape that the networks see."""
        return nets.generator(z)

    def _penalties(self) -> dict[str, Penalty]:
        """Penalties that are added to a critic's loss, by role."""
        return {}

    def _pair(self, X: Any, y: Any, *, going_on: bool) -> tuple[Any, np.ndarray | None]:
        """The rows of X to train on, and indices of their classes if labels play a part."""
        return X, None

    # ---------------------------------------------------------------- fit

    @callbacks.with_callbacks
    @with_gradients
    def fit(self, X, y=None):
        """Train the networks on X.

        Parameters
        ----------
        X : array-like of shape (n, columns), (n, h, w), (n, c, h, w) or (n, h, w, c)
            Images, or rows of a table. Numbers of any type; a memmap is read batch by batch.
        y : ignored

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
            check_settings(self)
            self._check()
            state = getattr(self, "_training", None) if self.warm_start else None
            source = self._source(X, y, going_on=state is not None)
            steps = n_batches(len(source), self.batch_size)
            n_epochs = resolve_epochs(self.n_epochs, steps, len(source))
            checkpoints = None
            if state is not None:
                check_epochs_left(n_epochs, self.n_epochs_)
            if self.checkpoint_dir is not None:
                same = identity(self, source.fingerprint(), n_epochs, __version__, state)
                checkpoints = Checkpoints(self.checkpoint_dir, same, self.checkpoint_keep)
                state = checkpoints.find(self.resume, n_epochs, instead=state)
            training = Training(self, source, state, getattr(self, "validation_fraction", 0.0))
            training.run(n_epochs, self.lr_decay, checkpoints)
            self._keep(training if self.warm_start else None)
        return self

    @callbacks.with_callbacks
    @with_gradients
    def partial_fit(self, X, y=None):
        """Train for one pass over these rows, after those of earlier calls.

        After a `fit` it goes on from the fitted networks; their optimizers begin anew unless
        `warm_start` has kept them. Scaling (value range, or columns' means) is that of the first
        call. `n_epochs`, `lr_decay` and checkpoints play no part. Batch-norm statistics are
        averaged over the rows of all calls.

        Parameters
        ----------
        X : array-like, as in `fit`
        y : ignored

        Returns
        -------
        self
        """
        with self._keeping_earlier_fit():
            check_settings(self)
            self._check()
            state = getattr(self, "_training", None)
            if state is None and hasattr(self, "_roles"):
                # What a plain fit leaves: networks, without the optimizers' memory.
                state = checkpoint.from_networks(
                    vars(self._nets()), self.history_, self._seed, self.n_steps_
                )
            source = self._source(X, y, going_on=state is not None)
            earlier = vars(self._nets()).values() if state is not None else ()
            training = Training(self, source, state)
            training.run(len(training.history) + 1, None, earlier=earlier)
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
        return ArraySource(X, self._format, labels)

    def _keep(self, training: Training | None) -> None:
        """Keep what it takes to go on from here; or nothing, so that optimizers are gone."""
        self.__dict__.pop("_training", None)
        if training is not None:
            self._training = checkpoint.encode(training.state())

    def _draw(self, n: int, rng: torch.Generator, component: int | None = None) -> Tensor:
        """n draws from the prior; (n, 0) in a game that has none."""
        prior = settings.prior_of(self)
        return torch.empty(n, 0) if prior is None else prior.draw(n, rng, component)

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
        X = LazyImages.of(X)
        if isinstance(X, Tensor):
            X = (X.float() if X.dtype == torch.bfloat16 else X).numpy(force=True)
        if isinstance(X, LazyImages):
            return self._validate_lazy(X, reset=reset)
        if not reset and getattr(X, "ndim", 0) > 2:  # scikit-learn would speak of features
            self._format.check_shape(X)
        X = validate_data(
            self, X, reset=reset, dtype="numeric", allow_nd=True,
            ensure_min_samples=2 if reset else 1,
        )  # fmt: skip
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

    def _nets(self) -> SimpleNamespace:
        check_is_fitted(self)
        settings.check_use(self)
        return SimpleNamespace(**{role: getattr(self, self._place(role)) for role in self._roles})

    def _place(self, role: str) -> str:
        return self._kept_in.get(role, f"{role}_")

    def _device(self) -> torch.device:
        return next(getattr(self, self._place(self._roles[0])).parameters()).device

    @torch.no_grad()
    def _generate(self, n_samples: int, random_state, component: int | None) -> Tensor:
        nets = self._nets()
        check_number("n_samples", n_samples, low=1, integer=True)
        settings.check_component(self, component)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        rng = stream(seed, "sample")
        z = self._draw(n_samples, rng, component).to(self._device())
        return torch.cat([self._decode(nets, part).float().cpu() for part in z.split(512)])

    @available_if(settings.has_prior)
    def sample(self, n_samples=1, random_state=None, *, component=None):
        """Generated rows, in the layout, value range and (for uint8) type of the X of `fit`.

        Parameters
        ----------
        n_samples : int
        random_state : None, int or RandomState
            Of the draws from the prior.
        component : None or int
            One value of the prior's (first) categorical part for all rows: one generator of a
            mixture, or one category. None draws it.

        Returns
        -------
        ndarray of shape (n_samples, ...)
        """
        x = self._generate(n_samples, random_state, component)  # raises if nothing is fitted
        return self._format.decode(x)

    @available_if(settings.has_prior)
    def sample_images(self, n_samples=1, random_state=None, *, component=None):
        """Generated images for display: float32 (n_samples, c, h, w) in [0, 1].

        Parameters
        ----------
        n_samples : int
        random_state : None, int or RandomState
        component : None or int
            As in `sample`.

        Returns
        -------
        ndarray of shape (n_samples, c, h, w)

        Raises
        ------
        ValueError
            If the estimator was fitted on a table.
        """
        x = self._generate(n_samples, random_state, component)
        if x.ndim != 4:
            raise ValueError("this estimator was fitted on a table: it has no images to show.")
        return ((x + 1) / 2).clamp(0, 1).numpy()

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
            For a name that no parameter has, and for settings of a value that has none, such as a
            network's name.
        """
        settings.check_nested(self, params)
        return super().set_params(**params)

    def __sklearn_clone__(self):
        for value in self.get_params(deep=False).values():
            if isinstance(value, nn.Module):
                settle(value)
        return _clone_parametrized(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return pack_state(super().__getstate__())

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(unpack_state(dict(state)))
