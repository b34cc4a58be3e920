"""DCGAN's discriminator as a feature extractor (Radford et al. 2016, arXiv 1511.06434).

    min_G max_D  E_x log D(x) + E_z log(1 - D(G(z)))

G is trained on the non-saturating form, -E_z log D(G(z)); other games by `loss`. Features are
D's hidden layers, pooled to a 4x4 grid and joined (sec. 5.1). With `feature_matching` and
`head_layers` this is MARTA GAN (arXiv 1612.08879); with loss="wgan-gp" and norm="none" the
critic of Zhang et al. (TGRS 57(5), 2019) for hyperspectral windows, up to details that their
abstract leaves open.

| paper | here |
|---|---|
| G, D | generator, discriminator |
| x, z | `batch.x`, `batch.latent()` |
| D's pooled convolutional features | `PooledTaps` |
"""

from functools import partial

from ..base import BaseGAN
from ..density import DensityRatioMixin
from ..losses import FEATURE_MATCHING, GAN_LOSSES
from ..nn import PooledTaps, build_network
from ..penalties import gradient_penalty
from ..utils.checks import check_choice, check_number


class DCGANDiscriminatorFeatures(DensityRatioMixin, BaseGAN):
    """Features from the discriminator of a DCGAN, trained without labels.

    `fit` trains the GAN (Radford et al. 2016, sec. 3 and 4: Adam at 2e-4 with beta1 0.5,
    weights from N(0, 0.02), batch norm everywhere but at G's output and D's input). `transform`
    returns the discriminator's layers, max-pooled to a 4x4 grid, flattened and joined from
    shallow to deep, unscaled (sec. 5.1). Rows of a table (2-D X without `image_shape`) are
    standardised per column and train dense networks.

    Parameters
    ----------
    image_shape : None, (h, w) or (c, h, w), default=None
        Of the images, in pixels, at least 8x8. Needed for 2-D X of images; None makes 2-D X a
        table. Sizes that the strides do not divide are padded with the lowest value.
    data_format : {"auto", "channels_first", "channels_last"}, default="auto"
        Where 4-D X (or a flat row) has its channels. "auto" reads it off the shape of 4-D X
        where that is unambiguous, and takes flat rows as channels first.
    value_range : "auto" or (low, high), default="auto"
        Values of X that become -1 and 1. "auto": (0, 255) for uint8; for other types (0, 1),
        (-1, 1) or (0, 255) where X fits one of them and reaches its upper half, else X's
        extremes in `fit`.
    latent_dim : int, default=100
        Dimension of z.
    latent : {"uniform", "normal"}, default="uniform"
        Prior of z: U(-1, 1) or N(0, 1).
    generator : str, spec, callable or Module, default="auto"
        "auto" is "dcgan" for images and "mlp" for tables; "faces64", "imagenet32" and "svhn32"
        are the networks of DCGAN's released code, "marta256" MARTA GAN's, "mao32" those of Mao et
        al. and "bigan784" BiGAN's for MNIST. Or a spec such as `DCGANSpec(width=64)`; a callable
        `f(latent_dim=, output_shape=)` that returns a module; or a module, which is copied. It
        maps (n, latent_dim) to (n, c, h, w) in [-1, 1], or to (n, columns).
    discriminator : str, spec, callable or Module, default="auto"
        The same choices; a callable is called as `f(input_shape=, norm=)`. It maps rows to
        (n,) or (n, 1) logits.
    loss : {"ns", "hinge", "ls", "wgan-gp"}, default="ns"
        Non-saturating, hinge, least squares, or Wasserstein with gradient penalty.
    norm : {"batch", "none", "spectral"}, default="batch"
        Of the discriminator.
    gp_weight : float, default=10.0
        Weight of the gradient penalty, which batch norm excludes.
    n_critic : int, default=1
        Steps of D for each turn of G.
    n_generator : int, default=1
        Steps of G in its turn (MARTA GAN: 2). How many generators there are is another matter, see
        `MGANExtractor`.
    feature_matching : {None, "mean", "paired"}, default=None
        Adds to G's loss the distance between D's features (those that `transform` returns) of
        real and generated rows: of their means (MARTA GAN's paper), or row by row (its code).
    fm_weight : float, default=1.0
        Weight of the feature matching.
    layers : "all", int or sequence of int, default="all"
        Layers that `transform` returns, from 0 (shallow); negative ones count from the end.
    tap : {"activation", "norm", "conv"}, default="activation"
        Which stage of a layer: behind its nonlinearity, behind its batch norm, or the bare
        convolution.
    pool_grid : int or None, default=4
        Maps are pooled to this many cells a side; 1 is global pooling, None none. Smaller maps
        stay as they are.
    pool : {"max", "avg"}, default="max"
    bn_stats : {"real", "running"}, default="real"
        D's batch-norm statistics in `transform`: measured on the training rows after training
        (the released code's way), or PyTorch's running average over real and generated batches.
    validation_fraction : float, default=0.0
        Share of the rows in `fit`, in [0, 1), that is kept out of training; `history_` then follows
        the density ratio on them ("alpha_mean", "alpha_cv"). Games without one refuse it.
    n_epochs : int or "auto", default="auto"
        Passes over X. 0 is the untrained network, from the same initial weights. "auto": about
        2,000 steps, but at least 10 epochs and at most one for every 10 rows.
    batch_size : int, default=128
        At most (3 for 2 where one row would be left); batches are of even size.
    optimizer : {"adam", "rmsprop", "sgd"}, default="adam"
    lr : float, default=2e-4
        Learning rate of all networks.
    generator_lr, discriminator_lr : float or None, default=None
        Learning rate of one network, instead of `lr`.
    betas : (float, float), default=(0.5, 0.999)
        Adam's; "sgd" takes the first as its momentum.
    weight_decay : float, default=2.5e-5
        L2 decay, added to the gradient.
    lr_decay : {None, "linear", "exponential"}, default=None
        After half of the epochs: none, towards zero, or towards 1 %.
    clip_grad_norm : float or None, default=None
        Bound on the norm of each network's gradient.
    ema_decay : float or None, default=None
        Decay per step of a moving average of the weights, which is then used after `fit`.
    warm_start : bool, default=False
        Whether the next `fit` goes on where this one ends, with optimizers and random state;
        `n_epochs` is the total then. With `lr_decay` 5 + 5 epochs do not equal 10.
    checkpoint_dir : path or None, default=None
        Folder for checkpoints. Fits of different parameters or data may share it.
    checkpoint_every : int, default=1
        Epochs between checkpoints; the last epoch has one too.
    checkpoint_keep : int, default=2
        How many of the newest are kept.
    resume : {"auto", "never", "must"}, default="auto"
        Go on from the newest checkpoint of the same fit (class, version, parameters, data):
        if there is one, never, or with an error if there is none.
    on_interrupt : {"raise", "stop"}, default="raise"
        What Ctrl-C does: end `fit` without a result, or end training behind the minibatch under
        way and keep what was learnt (`n_epochs_` counts whole epochs).
    device : str, default="auto"
        "auto" is CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the networks' arithmetic; weights, optimizers and losses are float32. "auto" is
        bfloat16 where it pays, else float32: on CUDA devices that have it, and on CPUs with
        units for it (AMX, AVX512-BF16) for networks that fill them.
    transform_batch_size : int or "auto", default="auto"
        Rows a batch in `transform`.
    random_state : None, int or RandomState, default=None
        An int makes `fit` repeatable bit for bit at the same number of threads.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    generator_, discriminator_ : Module
        The trained networks, in eval mode.
    head_weight_ : ndarray of shape (1, n_features_out_)
        The weights from features to D's logit; only where `transform` returns exactly the
        layer that feeds the head, such as with `layers=-1, pool_grid=None`.
    history_ : list of dict
        One an epoch: "epoch" (from 1), "discriminator_loss" (without the penalty), with
        loss="wgan-gp" "discriminator_penalty", "generator_loss", D's mean logits
        "discriminator_real" and "discriminator_generated", "seconds", "images_per_second"; with
        `validation_fraction` "alpha_mean" and "alpha_cv".
    n_epochs_, n_steps_ : int
        Passes and minibatches done.
    input_shape_ : tuple of int
        Of a row as the networks see it: (c, h, w) or (columns,).
    n_features_in_ : int
        `X.shape[1]` in `fit`.
    n_features_out_ : int
        Number of features.
    n_threads_ : int
        Of PyTorch in `fit`.
    precision_ : str
        That was used.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> X, _ = load_digits(return_X_y=True)
    >>> features = DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> features.fit_transform(X).shape
    (1797, 768)
    """

    _networks = ("generator", "discriminator")

    def __init__(
        self, *,
        image_shape=None, data_format="auto", value_range="auto",
        latent_dim=100, latent="uniform", generator="auto", discriminator="auto",
        loss="ns", norm="batch", gp_weight=10.0, n_critic=1, n_generator=1,
        feature_matching=None, fm_weight=1.0,
        layers="all", tap="activation", pool_grid=4, pool="max", bn_stats="real",
        validation_fraction=0.0,
        n_epochs="auto", batch_size=128, optimizer="adam", lr=2e-4, generator_lr=None,
        discriminator_lr=None, betas=(0.5, 0.999), weight_decay=2.5e-5, lr_decay=None,
        clip_grad_norm=None, ema_decay=None,
        warm_start=False, checkpoint_dir=None, checkpoint_every=1, checkpoint_keep=2,
        resume="auto", on_interrupt="raise",
        device="auto", precision="auto", transform_batch_size="auto", random_state=None,
        verbose=0,
    ):  # fmt: skip
        self.image_shape = image_shape
        self.data_format = data_format
        self.value_range = value_range
        self.latent_dim = latent_dim
        self.latent = latent
        self.generator = generator
        self.discriminator = discriminator
        self.loss = loss
        self.norm = norm
        self.gp_weight = gp_weight
        self.n_critic = n_critic
        self.n_generator = n_generator
        self.feature_matching = feature_matching
        self.fm_weight = fm_weight
        self.layers = layers
        self.tap = tap
        self.pool_grid = pool_grid
        self.pool = pool
        self.bn_stats = bn_stats
        self.validation_fraction = validation_fraction
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.generator_lr = generator_lr
        self.discriminator_lr = discriminator_lr
        self.betas = betas
        self.weight_decay = weight_decay
        self.lr_decay = lr_decay
        self.clip_grad_norm = clip_grad_norm
        self.ema_decay = ema_decay
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.checkpoint_keep = checkpoint_keep
        self.resume = resume
        self.on_interrupt = on_interrupt
        self.device = device
        self.precision = precision
        self.transform_batch_size = transform_batch_size
        self.random_state = random_state
        self.verbose = verbose

    def _check(self):
        check_choice("loss", self.loss, GAN_LOSSES)
        check_choice("feature_matching", self.feature_matching, (None, *FEATURE_MATCHING))
        for name in ("n_critic", "n_generator"):
            check_number(name, getattr(self, name), low=1, integer=True)
        for name in ("gp_weight", "fm_weight"):
            check_number(name, getattr(self, name), low=0)
        if self.loss == "wgan-gp" and self.norm == "batch":
            raise ValueError(
                "norm='batch' does not go with loss='wgan-gp': the penalty bounds the gradient "
                "of each row's logit, and batch norm makes it depend on the other rows. Use "
                "norm='none' or norm='spectral'."
            )

    def _build(self, shape, rng):
        return {
            "generator": build_network(
                "generator", self.generator, rng, latent_dim=self.latent_dim, output_shape=shape
            ),
            "discriminator": build_network(
                "discriminator", self.discriminator, rng, input_shape=shape, norm=self.norm
            ),
        }

    def _step(self, nets, batch, update):
        G, D, x = nets.generator, nets.discriminator, batch.x
        discriminator_loss, generator_loss = GAN_LOSSES[self.loss]

        # Paper: the released code updates D and G on different minibatches in turn. Here both
        # move on every one, and G's first step judges the images that D has just seen.
        fake = G(batch.latent())
        update(discriminator=discriminator_loss(D(x), D(fake)))
        if batch.step % self.n_critic == 0:
            for turn in range(self.n_generator):
                fake = fake if turn == 0 else G(batch.latent())
                g_loss = generator_loss(D(fake))
                if self.feature_matching is not None:
                    distance = FEATURE_MATCHING[self.feature_matching]
                    mismatch = distance(nets.features(x), nets.features(fake))
                    g_loss = g_loss + self.fm_weight * mismatch
                update(generator=g_loss)

    def _logits(self, nets, x):
        return nets.discriminator(x)

    def _penalties(self):
        if self.loss != "wgan-gp":
            return {}
        return {"discriminator": partial(gradient_penalty, weight=self.gp_weight)}

    def _refresh(self, nets, x, z):
        nets.discriminator(x)
        nets.generator(z)

    def _extractor(self, nets):
        return PooledTaps(
            nets.discriminator,
            self.layers,
            self.tap,
            self.pool_grid,
            self.pool,
            self.input_shape_,
        )

    def score_samples(self, X):
        """D's logit of every row: large where D takes it for real.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float32
        """
        return self._apply(lambda nets: lambda x: self._logits(nets, x).flatten(), X)

    @property
    def head_weight_(self):
        return self._head_weight(
            "transform returns the layer that feeds D's head, such as with layers=-1, "
            "pool_grid=None"
        )
