"""The one base class: scikit-learn's contract around a game that a method describes."""

import contextlib
import copy
import functools
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data
from torch import Tensor, nn

from .data.arrays import ArraySource, learn_format
from .engine import batchnorm, processes, runtime
from .engine.loop import Plan, n_batches, split_rows, train
from .engine.players import Penalty, Players
from .nn.heads import Extractor, ScaledExtractor
from .persistence import pack_state, unpack_state
from .settings import check_settings, resolve_epochs, resolve_transform_batch_size
from .utils.checks import check_number


class BaseGAN(TransformerMixin, BaseEstimator, metaclass=ABCMeta):
    """Training in `fit`, features in `transform`. Methods supply the hooks and nothing else.

    A class lists its parameters in `__init__` and stores them; `_critics` names the roles that
    tell real rows from generated ones.
    """

    _critics: ClassVar[tuple[str, ...]] = ("discriminator",)

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

    def _penalties(self) -> dict[str, Penalty]:
        """Penalties that are added to a critic's loss, by role."""
        return {}

    # ---------------------------------------------------------------- fit

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
            self._fit(self._validate(X, reset=True))
        return self

    def _fit(self, X: np.ndarray) -> None:
        self._format = learn_format(X, self.image_shape, self.data_format, self.value_range)
        self.input_shape_ = self._format.shape
        source = ArraySource(X, self._format)
        device = runtime.resolve_device(self.device)
        self.precision_ = runtime.resolve_precision(self.precision, device)
        self.n_threads_ = torch.get_num_threads()
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        rng = torch.Generator().manual_seed(self._seed)
        nets = self._build(self._format.shape, rng)
        features = self._extractor(SimpleNamespace(**nets))  # raises for layers not there
        if processes.rank():
            rng.manual_seed(self._seed + processes.rank())  # equal weights, noise of its own
        players = Players(
            {role: net.to(device) for role, net in nets.items()},
            self._make_optimizer,
            critics=self._critics,
            penalties=self._penalties(),
            clip_grad_norm=self.clip_grad_norm,
            ema_decay=self.ema_decay,
            rng=rng,
        )
        plan = Plan(
            resolve_epochs(self.n_epochs, n_batches(len(source), self.batch_size), len(source)),
            self.batch_size, self.lr_decay, device,
            self.precision_, self.verbose, type(self).__name__,
        )  # fmt: skip
        history: list[dict[str, float]] = []
        draw = functools.partial(self._draw, rng=rng)
        playing = SimpleNamespace(**players.nets, features=features)
        train(self._step, playing, players, source, draw, plan, history)
        self.history_ = history
        self.n_epochs_ = len(history)
        self.n_steps_ = self.n_epochs_ * n_batches(len(source), self.batch_size)
        self._roles = tuple(nets)
        for role, net in players.finished().items():
            setattr(self, f"{role}_", net)
        self._measure_batchnorm(source, device)
        self.n_features_out_ = features.n_features

    def _measure_batchnorm(self, source: ArraySource, device: torch.device) -> None:
        """Batch-norm statistics from one pass over the rows, in their order, and prior draws."""
        nets = self._nets()
        keep = self._critics if self.bn_stats == "running" else ()
        layers_of = [net for role, net in vars(nets).items() if role not in keep]
        rng = torch.Generator().manual_seed(self._seed)

        def run(rows):
            x = source.batch(rows).to(device)
            with runtime.autocast(self.precision_, device):
                self._refresh(nets, x, self._draw(len(x), rng).to(device))

        rows = split_rows(np.arange(len(source)), self.batch_size)
        batchnorm.measure(layers_of, (slice(r[0], r[-1] + 1) for r in rows), run)

    def _make_optimizer(self, role: str, parameters: list[Tensor]) -> torch.optim.Optimizer:
        own = getattr(self, f"{role}_lr", None)
        lr = self.lr if own is None else own
        return runtime.make_optimizer(
            self.optimizer, parameters, lr=lr, betas=self.betas, weight_decay=self.weight_decay
        )

    def _draw(self, n: int, rng: torch.Generator) -> Tensor:
        """n draws (n, latent_dim) from the prior: U(-1, 1) or N(0, 1)."""
        if self.latent == "uniform":
            return torch.rand(n, self.latent_dim, generator=rng) * 2 - 1
        return torch.randn(n, self.latent_dim, generator=rng)

    @contextlib.contextmanager
    def _keeping_earlier_fit(self) -> Iterator[None]:
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _validate(self, X, *, reset: bool) -> np.ndarray:
        X = validate_data(
            self, X, reset=reset, dtype="numeric", allow_nd=True,
            ensure_min_samples=2 if reset else 1,
        )  # fmt: skip
        if not reset:
            self._format.check(X)
        return X

    # ---------------------------------------------------------------- use

    def _nets(self) -> SimpleNamespace:
        check_is_fitted(self)
        return SimpleNamespace(**{role: getattr(self, f"{role}_") for role in self._roles})

    def transform(self, X):
        """Features of X.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n, n_features_out_), float32
            Row i depends on row i of X alone.
        """
        return self._apply(self._extractor, X)

    @torch.no_grad()
    def _apply(self, pick: Callable[[Any], Callable[[Tensor], Tensor]], X) -> np.ndarray:
        """What `pick` takes from the networks, on all rows of X, as one float32 array."""
        module = pick(self._nets())
        X = self._validate(X, reset=False)
        source = ArraySource(X, self._format)
        device = self._device()
        size = resolve_transform_batch_size(self.transform_batch_size, self.input_shape_)
        out: np.ndarray | None = None
        for i in range(0, len(X), size):
            with runtime.autocast(self.precision_, device):
                part = module(source.batch(slice(i, i + size)).to(device)).float().cpu().numpy()
            if out is None:
                out = np.empty((len(X), *part.shape[1:]), np.float32)
            out[i : i + size] = part
        assert out is not None  # validation lets no empty X through
        return out

    def _device(self) -> torch.device:
        return next(getattr(self, f"{self._roles[0]}_").parameters()).device

    def get_feature_names_out(self, input_features=None):
        """Names of the features: layer, channel (or unit) and cell.

        Parameters
        ----------
        input_features : array-like of str or None
            Checked against the names seen in `fit`, and otherwise not used.

        Returns
        -------
        ndarray of str objects, shape (n_features_out_,)
        """
        nets = self._nets()
        _check_feature_names_in(self, input_features)
        return np.asarray(self._extractor(nets).feature_names(), dtype=object)

    @torch.no_grad()
    def _generate(self, n_samples: int, random_state) -> Tensor:
        generator = self._nets().generator
        check_number("n_samples", n_samples, low=1, integer=True)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        z = self._draw(n_samples, torch.Generator().manual_seed(seed)).to(self._device())
        return torch.cat([generator(part).float().cpu() for part in z.split(512)])

    def sample(self, n_samples=1, random_state=None):
        """Generated rows, in the layout, value range and (for uint8) type of the X of `fit`.

        Parameters
        ----------
        n_samples : int
        random_state : None, int or RandomState
            Of the draws from the prior.

        Returns
        -------
        ndarray of shape (n_samples, ...)
        """
        return self._format.decode(self._generate(n_samples, random_state))

    def sample_images(self, n_samples=1, random_state=None):
        """Generated images for display: float32 (n_samples, c, h, w) in [0, 1].

        Parameters
        ----------
        n_samples : int
        random_state : None, int or RandomState
        """
        x = self._generate(n_samples, random_state)
        if x.ndim != 4:
            raise ValueError("this estimator was fitted on a table: it has no images to show.")
        return ((x + 1) / 2).clamp(0, 1).numpy()

    def as_module(self) -> nn.Module:
        """The feature extractor as a module of its own, to fine-tune or to embed elsewhere.

        It maps a tensor of rows in the units of X, images as (n, c, h, w), to the features
        (n, n_features_out_) that `transform` gives. It is a copy in eval mode: training it
        leaves the estimator as it is.
        """
        module = copy.deepcopy(self._extractor(self._nets()))
        return ScaledExtractor(*self._format.scaling(), module).eval()

    # ---------------------------------------------------------------- scikit-learn's side

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return pack_state(super().__getstate__())

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(unpack_state(dict(state)))
