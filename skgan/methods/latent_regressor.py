"""The latent regressor: an encoder that inverts a GAN's generator (Donahue et al. 2017, sec. 4.1).

    min_G max_D  E_x log D(x) + E_z log(1 - D(G(z)))        min_E  E_z L(E(G(z)), z)

G and D play a plain GAN's game; E learns from generated rows alone which z they came from. With
`joint` G helps it: it minimises -E_z log D(G(z)) + 0.25 L as well. For a uniform prior L is the
cross-entropy of sigma(a) against (z + 1) / 2, a mean over z's dimensions, where a is the
encoder's output and E(x) = 2 sigma(a) - 1.

| paper | here |
|---|---|
| G, D, E | generator, discriminator, encoder |
| x, z | `batch.x`, `batch.latent()` |
| L | `regression` |
| LR, JLR | `joint=False`, `joint=True` |
"""

from ..base import BaseGAN
from ..density import DensityRatioMixin
from ..losses import LATENT_LOSSES, joint_discriminator, ns_generator
from ..nn import build_network
from ..nn.init import zero_head
from ..reconstruction import ReconstructionMixin
from ..utils.checks import check_choice, check_flag, check_number


class LatentRegressorEncoder(ReconstructionMixin, DensityRatioMixin, BaseGAN):
    """Features from an encoder that learns to invert a GAN's generator, without labels.

    `fit` trains a GAN, and beside it an encoder on generated rows: the baselines LR and JLR of
    BiGAN's paper (sec. 4.1). `transform` returns the encoder's layer in front of its code, or
    the code, or its layers; `inverse_transform` and `reconstruct` go back through G. Rows of a
    table (2-D X without `image_shape`) are standardised per column and train dense networks.

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
    latent_dim : int, default=50
        Dimension of z.
    latent : {"uniform", "normal"}, default="uniform"
        Prior of z: U(-1, 1) or N(0, 1).
    generator : str, spec, callable or Module, default="auto"
        "auto" is "dcgan" for images and "mlp" for tables; "faces64", "imagenet32" and "svhn32"
        are the networks of DCGAN's released code, "marta256" MARTA GAN's, "mao32" those of Mao et
        al. and "bigan784" BiGAN's for MNIST. Or a spec such as `DCGANSpec(width=64)`; a callable
        `f(latent_dim=, output_shape=)` that returns a module; or a module, which is copied. It
        maps (n, latent_dim) to (n, c, h, w) in [-1, 1], or to (n, columns).
    encoder : str, spec, callable or Module, default="auto"
        The same choices; a callable is called as `f(input_shape=, n_outputs=)`. It maps rows to
        (n, n_outputs), from which the codes are made.
    discriminator : str, spec, callable or Module, default="auto"
        The same choices; a callable is called as `f(input_shape=, norm=)`. It maps rows to
        (n,) or (n, 1) logits.
    joint : bool, default=False
        Whether G, too, makes the encoder's regression easier (JLR).
    regressor_weight : float, default=0.25
        Weight of the regression in G's loss where `joint`. With 1 the game degenerates, says
        the paper.
    play : {"simultaneous", "alternating"}, default="simultaneous"
        Whether all networks move at once, from the same point, or D first and then the others.
    norm : {"batch", "none", "spectral"}, default="batch"
        Of the discriminator.
    output : {"penultimate", "latent", "layers"}, default="penultimate"
        What `transform` returns of the encoder: the layer in front of its last (of an encoder
        that you bring: what the linear map or convolution that runs last reads), the code, or the
        layers that the next four parameters choose.
    layers : "all", int or sequence of int, default="all"
        Layers that `transform` returns, from 0 (shallow); negative ones count from the end.
    tap : {"activation", "norm", "conv"}, default="activation"
        Which stage of a layer: behind its nonlinearity, behind its batch norm, or the bare
        convolution.
    pool_grid : int or None, default=4
        Maps are pooled to this many cells a side; 1 is global pooling, None none. Smaller maps
        stay as they are.
    pool : {"max", "avg"}, default="max"
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
    generator_lr, discriminator_lr, encoder_lr : float or None, default=None
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
    generator_, encoder_, discriminator_ : Module
        The trained networks, in eval mode.
    history_ : list of dict
        One an epoch: "epoch" (from 1), "discriminator_loss", "generator_loss", "encoder_loss", D's
        mean logits "discriminator_real" and "discriminator_generated", "seconds",
        "images_per_second"; with `validation_fraction` "alpha_mean" and "alpha_cv".
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
    >>> from skgan import LatentRegressorEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> regressor = LatentRegressorEncoder(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> regressor.fit_transform(X).shape
    (1797, 256)
    """

    _networks = ("generator", "encoder", "discriminator")

    def __init__(
        self, *,
        image_shape=None, data_format="auto", value_range="auto",
        latent_dim=50, latent="uniform", generator="auto", encoder="auto", discriminator="auto",
        joint=False, regressor_weight=0.25, play="simultaneous", norm="batch",
        output="penultimate", layers="all", tap="activation", pool_grid=4, pool="max",
        validation_fraction=0.0,
        n_epochs="auto", batch_size=128, optimizer="adam", lr=2e-4, generator_lr=None,
        discriminator_lr=None, encoder_lr=None,
        betas=(0.5, 0.999), weight_decay=2.5e-5, lr_decay=None, clip_grad_norm=None,
        ema_decay=None, warm_start=False, checkpoint_dir=None, checkpoint_every=1,
        checkpoint_keep=2, resume="auto", on_interrupt="raise",
        device="auto", precision="auto", transform_batch_size="auto", random_state=None,
        verbose=0,
    ):  # fmt: skip
        self.image_shape = image_shape
        self.data_format = data_format
        self.value_range = value_range
        self.latent_dim = latent_dim
        self.latent = latent
        self.generator = generator
        self.encoder = encoder
        self.discriminator = discriminator
        self.joint = joint
        self.regressor_weight = regressor_weight
        self.play = play
        self.norm = norm
        self.output = output
        self.layers = layers
        self.tap = tap
        self.pool_grid = pool_grid
        self.pool = pool
        self.validation_fraction = validation_fraction
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.generator_lr = generator_lr
        self.discriminator_lr = discriminator_lr
        self.encoder_lr = encoder_lr
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
        check_flag("joint", self.joint)
        check_number("regressor_weight", self.regressor_weight, low=0)
        check_choice("play", self.play, ("simultaneous", "alternating"))
        self._check_features()

    def _build(self, shape, rng):
        dim = self.latent_dim
        encoder = build_network("encoder", self.encoder, rng, input_shape=shape, n_outputs=dim)
        generator = build_network(
            "generator", self.generator, rng, latent_dim=dim, output_shape=shape
        )
        discriminator = build_network(
            "discriminator", self.discriminator, rng, input_shape=shape, norm=self.norm
        )
        # Paper: as in the released code, E and D begin at 0, and their losses at log 2. A D that
        # began with opinions let G collapse within a few epochs (docs/methods/latent_regressor.md).
        return {
            "generator": generator,
            "encoder": zero_head(encoder),
            "discriminator": zero_head(discriminator),
        }

    def _code_of(self):
        return self._prior().decoder("squashed" if self.latent == "uniform" else "linear")

    def _encode(self, nets, x):
        """E(x)."""
        return self._code_of()(nets.encoder(x))

    def _step(self, nets, batch, update):
        G, E, D = nets.generator, nets.encoder, nets.discriminator

        # Paper: E is trained once the GAN is; here beside it, as in the released code.
        z = batch.latent()
        x_hat = G(z)
        # Paper: only uniform priors; for a normal one the squared error.
        regression = LATENT_LOSSES[self.latent](E(x_hat), z)
        easier = self.regressor_weight * regression if self.joint else 0.0
        real, fake = D(batch.x), D(x_hat)
        if self.play == "simultaneous":
            update(
                discriminator=joint_discriminator(real, fake),
                generator=ns_generator(fake) + easier,
                encoder=regression,
            )
        else:
            update(discriminator=joint_discriminator(real, fake))
            update(generator=ns_generator(D(x_hat)) + easier, encoder=regression)

    def _logits(self, nets, x):
        return nets.discriminator(x)

    def _refresh(self, nets, x, z):
        nets.discriminator(x)
        nets.encoder(x)
        nets.generator(z)

    def _extractor(self, nets):
        names = self._prior().names()
        return self._encoder_features(nets.encoder, names, self._code_of(), self.input_shape_)
