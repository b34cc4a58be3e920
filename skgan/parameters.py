"""The parameters that methods share, in groups: what each is, its default, and what it may be.

A method lists the groups that it has among its base classes. `_check` of every group raises a
ValueError for values that cannot work and goes on to the next one's.
"""

from typing import Any

from .engine.runtime import LR_DECAYS, OPTIMIZERS, PRECISIONS, checked_factor
from .nn import PooledTaps
from .nn.blocks import TAPS
from .nn.codes import Prior
from .utils.checks import (
    check_choice,
    check_flag,
    check_number,
    check_size,
    check_verbose,
    random_state_of,
)
from .utils.parameters import Checked, parameter, parameters


@parameters
class ImageParameters(Checked):
    """How X is read.

    Parameters
    ----------
    image_shape : None, (h, w) or (c, h, w)
        Size of the images in pixels, at least 8x8. It is needed where X is 2-D and its rows are
        images. None makes a 2-D X a table: its columns are standardised, and dense networks are
        trained. Image sizes that the strides do not divide are padded with the lowest value.
    data_format : {"auto", "channels_first", "channels_last"}
        Where a 4-D X, or a flattened image, has its channels. "auto" tells from the shape of a 4-D
        X where that is unambiguous, and takes flattened images as channels first.
    value_range : "auto", (low, high), or a sequence of (low, high)
        The values of X that become -1 and 1, for all channels or one pair for each. "auto" takes
        (0, 255) for uint8, else the first of (0, 1), (-1, 1) and (0, 255) that holds X and whose
        upper half X reaches, or X's extremes; `fit` warns if few values set or fill it.

    Attributes
    ----------
    input_shape_ : tuple of int
        Shape of one sample as the networks see it: (c, h, w) or (columns,).
    n_features_in_ : int
        `X.shape[1]` in `fit`.
    """

    image_shape: Any = parameter(default=None, shapes=True)
    data_format: str = parameter(default="auto", shapes=True)
    value_range: Any = parameter(default="auto", shapes=True)


@parameters
class TrainingParameters(Checked):
    """How networks are trained.

    Parameters
    ----------
    n_epochs : int or "auto"
        Passes over X. With 0 the networks stay untrained, with the initial weights that training
        would start from. "auto" is about 2,000 steps, but at least 10 epochs and at most one epoch
        for every 10 samples.
    batch_size : int
        Largest number of samples in a minibatch. All minibatches of an epoch have near-equal sizes
        of at least 2; with batch_size=2 and an odd number of samples, one has 3.
    optimizer : {"adam", "rmsprop", "sgd"}
        Optimizer of all networks.
    lr : float
        Learning rate of all networks.
    betas : (float, float)
        Decay rates of Adam's moving averages. "sgd" takes the first as its momentum, and "rmsprop"
        neither.
    weight_decay : float
        L2 penalty: this times the weights is added to their gradient.
    lr_decay : {None, "linear", "exponential", "inverse", "cosine"} or callable
        How learning rates fall: not at all; in the second half of the epochs, linearly towards 0,
        or exponentially to 1 %; at the part p of all steps as (1 + 10 p)^-0.75 (DANN, 5.2.2), or
        as (1 + cos(pi p)) / 2, to 0; or by a function f(p), which returns the factor, at least 0.
    lr_warmup : float
        Number of epochs, or part of one, at the beginning of training, over which learning rates
        rise linearly, step by step, to those of `lr` and `lr_decay`. 0: from the first step on.
    clip_grad_norm : float or None
        Largest norm of each network's gradient; longer gradients are scaled down to it.
    ema_decay : float or None
        Decay per step of an exponential moving average of the weights. After `fit` the networks
        have the averaged weights. The average begins at the initial weights, which lose their part
        in it only after several times 1 / (1 - ema_decay) steps: `fit` warns if it has fewer.
    warm_start : bool
        Whether the next `fit` continues from this one, with its optimizers and random state.
        `n_epochs` then counts the epochs of all calls together. With `lr_decay`, 5 and 5 epochs do
        not equal 10, since the schedule depends on the total.

    Attributes
    ----------
    history_ : list of dict
        One entry per epoch: "epoch" (from 1), "<network>_loss" for each network (the mean over
        the epoch's steps, without penalties), what else the game logs, "seconds" and
        "images_per_second".
    n_epochs_, n_steps_ : int
        Number of epochs, and of minibatches, that the networks were trained for.
    """

    n_epochs: int | str = parameter(default="auto", free=True)
    batch_size: int = 128
    optimizer: str = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 2.5e-5
    lr_decay: Any = None
    lr_warmup: float = 0.0
    clip_grad_norm: float | None = None
    ema_decay: float | None = None
    warm_start: bool = parameter(default=False, free=True)

    def _check(self) -> None:
        check_number("n_epochs", self.n_epochs, low=0, integer=True, auto=True)
        check_number("batch_size", self.batch_size, low=2, integer=True)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_number("lr", self.lr, low=0, open_low=True)
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas={self.betas!r} must be two numbers, such as (0.5, 0.999).")
        for beta in self.betas:
            check_number("betas", beta, low=0, high=1, open_high=True)
        check_number("weight_decay", self.weight_decay, low=0)
        self._check_schedule()
        rates = [name for name in vars(self) if name.endswith("_lr")]  # of single networks
        for name in ("clip_grad_norm", *rates):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), low=0, open_low=True, instead="None")
        if self.ema_decay is not None:
            check_number("ema_decay", self.ema_decay, low=0, high=1, open_high=True, instead="None")
        check_flag("warm_start", self.warm_start)
        super()._check()

    def _check_schedule(self) -> None:
        if callable(self.lr_decay):  # wherever it fails, it should be before any training
            for tenth in range(11):
                checked_factor(self.lr_decay, tenth / 10)
        else:
            check_choice("lr_decay", self.lr_decay, LR_DECAYS)
        check_number("lr_warmup", self.lr_warmup, low=0)


@parameters
class RuntimeParameters(Checked):
    """Where and how networks run.

    Parameters
    ----------
    device : str
        "cpu", "cuda", "cuda:1" or "mps"; "auto" takes CUDA where there is one, else MPS or the CPU.
        In use after `fit`, networks move there; where there is no such device, a warning says so.
    precision : {"auto", "float32", "bfloat16"}
        Number format in which networks compute. Weights, optimizers and losses are always float32.
        "auto" takes bfloat16 where that is faster: on CUDA devices that have it, and on CPUs with
        instructions for it (AMX, AVX512-BF16) for networks large enough to use them well.
    transform_batch_size : int or "auto"
        Number of samples that `transform` computes at a time.
    random_state : None, int or RandomState
        Seed of all that `fit` draws. An int repeats it bit for bit at the same number of threads.
    verbose : int
        1 shows a progress bar.
    sync_batchnorm : bool
        Of training in several processes (torch.distributed): whether batch norm normalises by the
        minibatch of all processes together, or each process by its own part, which is faster.

    Attributes
    ----------
    n_threads_ : int
        Number of threads that PyTorch used in `fit`.
    precision_ : str
        The precision that `fit` used.
    """

    device: Any = parameter(default="auto", free=True)
    precision: str = "auto"
    transform_batch_size: int | str = parameter(default="auto", free=True)
    random_state: Any = None
    verbose: int = parameter(default=0, free=True)
    sync_batchnorm: bool = True

    def _check(self) -> None:
        size = self.transform_batch_size
        check_choice("precision", self.precision, PRECISIONS)
        check_number("transform_batch_size", size, low=1, integer=True, auto=True)
        random_state_of(self.random_state)
        check_verbose(self.verbose)
        check_flag("sync_batchnorm", self.sync_batchnorm)
        super()._check()


@parameters
class CodeParameters(Checked):
    """The size of z.

    Parameters
    ----------
    latent_dim : int
        Dimension of z.
    """

    latent_dim: int = parameter(default=50, shapes=True)

    def _check(self) -> None:
        check_size("latent_dim", self.latent_dim)
        super()._check()


@parameters
class PriorParameters(CodeParameters):
    """A prior of z, from which samples are drawn.

    Parameters
    ----------
    latent : {"uniform", "normal"}
        Prior of each dimension of z: U(-1, 1) or N(0, 1).
    """

    latent: str = parameter(default="uniform", shapes=True)

    def _check(self) -> None:
        check_choice("latent", self.latent, ("uniform", "normal"))
        super()._check()

    def _categories(self) -> tuple[int, ...]:
        """Sizes of the one-hot parts that follow the numbers of z."""
        return ()

    def _prior(self) -> Prior:
        return Prior(self.latent, self.latent_dim, self._categories())


@parameters
class CategoricalPriorParameters(PriorParameters):
    """A prior of z with categorical parts.

    Parameters
    ----------
    categories : tuple of int
        Sizes of one-hot parts that are appended to z; codes of samples hold their probabilities.
    """

    categories: tuple[int, ...] = parameter(default=(), shapes=True)

    def _check(self) -> None:
        sizes = self.categories
        if not isinstance(sizes, (tuple, list)):
            raise ValueError(f"categories={sizes!r} must be a tuple of sizes, such as (10,).")
        for size in sizes:
            check_size("categories", size, low=2)
        super()._check()

    def _categories(self) -> tuple[int, ...]:
        return tuple(self.categories)


@parameters
class GeneratorParameters(Checked):
    """The network from z to samples.

    Parameters
    ----------
    generator : str, spec, callable or Module
        "auto" is "dcgan" for images and "mlp" for tables. "faces64", "imagenet32" and "svhn32"
        are the networks of DCGAN's released code, "marta256" MARTA GAN's, "mao32" those of Mao et
        al., "bigan784" BiGAN's and "salimans784" Improved GAN's for MNIST; in "patches", networks
        that see images have a first layer of whitened patches. Or a spec such as
        `DCGANSpec(width=64)`; a callable that is called as `f(latent_dim=, output_shape=)` and
        returns a module; or a module, which is copied. It maps (n, latent_dim) to (n, c, h, w) in
        [-1, 1], or to (n, columns).
    generator_lr : float or None
        Learning rate of the generator. None: `lr`.

    Attributes
    ----------
    generator_ : Module
        The trained generator, in eval mode.
    """

    generator: Any = parameter(default="auto", network=True)
    generator_lr: float | None = None


@parameters
class EncoderParameters(Checked):
    """The network from samples to codes.

    Parameters
    ----------
    encoder : str, spec, callable or Module
        The same choices as for `generator`; a callable is called as
        `f(input_shape=, n_outputs=)`. It maps samples to (n, n_outputs), the numbers that codes
        are made of.
    encoder_lr : float or None
        Learning rate of the encoder. None: `lr`.

    Attributes
    ----------
    encoder_ : Module
        The trained encoder, in eval mode.
    """

    encoder: Any = parameter(default="auto", network=True)
    encoder_lr: float | None = None


@parameters
class TrunkParameters(Checked):
    """Layers that several heads share.

    Parameters
    ----------
    trunk_lr : float or None
        Learning rate of the shared layers. None: that of the discriminator, or else `lr`.
    """

    trunk_lr: float | None = None


@parameters
class LayerParameters(Checked):
    """Which layers of a network are features.

    Parameters
    ----------
    layers : "all", "learnt", int or sequence of int
        Layers that `transform` returns, counted from 0, the first; negative numbers count from the
        last. "learnt" are all but a fixed first layer, such as whitened patches.
    tap : {"activation", "norm", "conv"}
        Which output of a layer: after its nonlinearity, after its batch norm, or right after its
        convolution (or linear map).
    pool_grid : int or None
        Feature maps are pooled to pool_grid x pool_grid values per channel; 1 pools each map to a
        single value. Smaller maps keep their size. None leaves all maps as they are.
    pool : {"max", "avg"}
        Whether pooling takes the maximum or the mean.
    """

    layers: Any = "all"
    tap: str = "activation"
    pool_grid: int | None = 4
    pool: str = "max"

    def _check(self) -> None:
        check_choice("tap", self.tap, TAPS)
        if self.pool_grid is not None:
            check_number("pool_grid", self.pool_grid, low=1, integer=True, instead="None")
        check_choice("pool", self.pool, ("max", "avg"))
        super()._check()


@parameters
class TrunkFeatures(LayerParameters):
    """Features from the layers of the network `_features_of`.

    Parameters
    ----------
    bn_stats : {"real", "running"}
        Batch-norm statistics of the network that `transform` reads. "real" measures them on the
        training samples after training, as DCGAN's released code does. "running" keeps PyTorch's
        running averages over the batches of training; a discriminator's include generated samples.
    """

    bn_stats: str = "real"
    _features_of = "discriminator"

    def _check(self) -> None:
        check_choice("bn_stats", self.bn_stats, ("real", "running"))
        super()._check()

    def _keeps_statistics(self) -> tuple[str, ...]:
        # "trunk": layers that the network shares with others.
        return (self._features_of, "trunk") if self.bn_stats == "running" else ()

    def _extractor(self, nets: Any) -> PooledTaps:
        net, shape = getattr(nets, self._features_of), self.input_shape_  # type: ignore[attr-defined]
        return PooledTaps(net, self.layers, self.tap, self.pool_grid, self.pool, shape)
