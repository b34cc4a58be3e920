"""BiGAN: an encoder learnt with the GAN (Donahue et al. 2017, arXiv 1605.09782).

    min_{G,E} max_D  E_x log D(x, E(x)) + E_z log(1 - D(G(z), z))

Against the best D, E and G are at their best where the pairs (x, E(x)) and (G(z), z) have one
distribution: D is then at 1/2 everywhere (theorem 1), and E and G invert each other (theorem 2).
G and E are trained on the inverse objective of sec. 3.4,
1/2 [-log(1 - D(x, E(x))) - log D(G(z), z)]: E wants D(x, E(x)) -> 0, G wants D(G(z), z) -> 1.
With encoder_output="gaussian", latent="normal" this is ALI (Dumoulin et al. 2017, arXiv
1606.00704); `unary` adds BigBiGAN's terms (arXiv 1907.02544).

| paper | here |
|---|---|
| G, E, D | generator, encoder, discriminator |
| x, z | `batch.x`, `batch.latent()` |
| G(z), E(x) | `x_hat`, `z_hat` |
| g_X (sec. 3.5) | `resize` |
"""

from numbers import Integral

from ..base import BaseGAN
from ..density import DensityRatioMixin
from ..losses import JOINT_LOSSES
from ..nn import build_network
from ..nn.codes import ENCODER_OUTPUTS, resize
from ..nn.init import zero_head
from ..reconstruction import ReconstructionMixin
from ..utils.checks import check_choice, check_flag, check_number


class BiGANEncoder(ReconstructionMixin, DensityRatioMixin, BaseGAN):
    """Features from the encoder of a BiGAN, trained without labels.

    `fit` plays the game of Donahue et al. 2017: D tells pairs (x, E(x)) from (G(z), z), and E
    and G together make it fail. All three move at once (sec. 3.4). `transform` returns the
    encoder's layer in front of its code, or the code E(x), or its layers; `inverse_transform`
    and `reconstruct` go back through G. Rows of a table (2-D X without `image_shape`) are
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
    latent_dim : int, default=50
        Dimension of z.
    latent : {"uniform", "normal"}, default="uniform"
        Prior of z: U(-1, 1) or N(0, 1).
    categories : tuple of int, default=()
        Sizes of one-hot parts that are appended to z; the encoder gives their probabilities.
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
        The same choices; a callable is called as `f(input_shape=, norm=, latent_dim=, unary=)`.
        It maps rows and codes, D(x, z), to (n,) or (n, 1) logits, or with `unary` to (n, 3)
        scores of x, z and both. Those of ours add a linear map of z to their layers behind the
        first.
    encoder_output : {"squashed", "linear", "gaussian"}, default="squashed"
        From the encoder's output a to E(x): 2 sigma(a) - 1, which lies in the uniform prior's
        support; a itself; or mu + sigma eps with noise eps in training, and mu afterwards. With
        latent="normal" "squashed" is an error.
    unary : bool, default=False
        BigBiGAN's game: hinges on three scores, of x alone, z alone, and the pair.
    play : {"simultaneous", "alternating"}, default="simultaneous"
        Whether all networks move at once, from the same point, or D first and then the others.
    norm : {"batch", "none", "spectral"}, default="batch"
        Of the discriminator.
    encoder_size, generator_size : int, (h, w) or None, default=None
        The encoder sees images, and G makes them, at this size in pixels (sec. 3.5). What
        differs from X is resized; None is the size of X.
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
        One an epoch: "epoch" (from 1), "discriminator_loss", "generator_loss", "encoder_loss"
        (these two are one number), D's mean outputs "discriminator_real" and
        "discriminator_generated", "seconds", "images_per_second"; with `validation_fraction`
        "alpha_mean" and "alpha_cv".
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
    >>> from skgan import BiGANEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> bigan = BiGANEncoder(image_shape=(8, 8), n_epochs=1, random_state=0).fit(X)
    >>> bigan.transform(X).shape, bigan.reconstruct(X).shape
    ((1797, 256), (1797, 64))
    """

    _networks = ("generator", "encoder", "discriminator")

    def __init__(
        self, *,
        image_shape=None, data_format="auto", value_range="auto",
        latent_dim=50, latent="uniform", categories=(),
        generator="auto", encoder="auto", discriminator="auto",
        encoder_output="squashed", unary=False, play="simultaneous", norm="batch",
        encoder_size=None, generator_size=None,
        output="penultimate", layers="all", tap="activation", pool_grid=4, pool="max",
        validation_fraction=0.0, n_epochs="auto", batch_size=128, optimizer="adam", lr=2e-4,
        generator_lr=None, discriminator_lr=None, encoder_lr=None, betas=(0.5, 0.999),
        weight_decay=2.5e-5, lr_decay=None, clip_grad_norm=None, ema_decay=None, warm_start=False,
        checkpoint_dir=None, checkpoint_every=1, checkpoint_keep=2, resume="auto",
        on_interrupt="raise", device="auto", precision="auto", transform_batch_size="auto",
        random_state=None, verbose=0,
    ):  # fmt: skip
        self.image_shape = image_shape
        self.data_format = data_format
        self.value_range = value_range
        self.latent_dim = latent_dim
        self.latent = latent
        self.categories = categories
        self.generator = generator
        self.encoder = encoder
        self.discriminator = discriminator
        self.encoder_output = encoder_output
        self.unary = unary
        self.play = play
        self.norm = norm
        self.encoder_size = encoder_size
        self.generator_size = generator_size
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
        check_choice("encoder_output", self.encoder_output, ENCODER_OUTPUTS)
        check_choice("play", self.play, ("simultaneous", "alternating"))
        check_flag("unary", self.unary)
        self._check_features()
        for name in ("encoder_size", "generator_size"):
            size = getattr(self, name)
            pair = isinstance(size, (tuple, list)) and len(size) == 2
            for side in () if size is None else size if pair else [size]:
                check_number(name, side, low=8, integer=True, instead="(h, w) or None")
        if self.encoder_output == "squashed" and self.latent != "uniform":
            raise ValueError(
                f"encoder_output='squashed' keeps codes in (-1, 1), but latent={self.latent!r} "
                "draws beyond: use encoder_output='linear' or 'gaussian'."
            )

    def _shape(self, role, shape):
        """Of the rows that a network works on: (c, h, w) with its own h and w, or (columns,)."""
        size = getattr(self, f"{role}_size")
        if size is None:
            return shape
        if len(shape) != 3:
            raise ValueError(f"{role}_size={size!r} is for images: use None for a table.")
        return (shape[0], size, size) if isinstance(size, Integral) else (shape[0], *size)

    def _build(self, shape, rng):
        prior = self._prior()
        x_shape, e_shape = self._shape("generator", shape), self._shape("encoder", shape)
        return {
            "generator": build_network(
                "generator", self.generator, rng, latent_dim=prior.dim, output_shape=x_shape
            ),
            "encoder": build_network(
                "encoder", self.encoder, rng, input_shape=e_shape,
                n_outputs=prior.n_outputs(self.encoder_output),
            ),
            # Paper: as in the released code, D begins undecided: both losses are log 2.
            "discriminator": zero_head(build_network(
                "discriminator", self.discriminator, rng, input_shape=x_shape, norm=self.norm,
                latent_dim=prior.dim, unary=bool(self.unary),
            )),
        }  # fmt: skip

    def _encode(self, nets, x, noise=None):
        """E(x)."""
        a = nets.encoder(resize(x, self._shape("encoder", self.input_shape_)[1:]))
        return self._prior().code(a, self.encoder_output, noise)

    def _as_generated(self, x):
        """g_X(x): rows at the size that G works at."""
        return resize(x, self._shape("generator", self.input_shape_)[1:])

    def _step(self, nets, batch, update):
        G, D = nets.generator, nets.discriminator
        tell_apart, confuse = JOINT_LOSSES[bool(self.unary)]

        x, z = self._as_generated(batch.x), batch.latent()
        x_hat, z_hat = G(z), self._encode(nets, batch.x, batch.normal)
        encoded, generated = D(x, z_hat), D(x_hat, z)
        if self.play == "simultaneous":
            both = confuse(encoded, generated)
            update(discriminator=tell_apart(encoded, generated), generator=both, encoder=both)
        else:
            update(discriminator=tell_apart(encoded, generated))
            both = confuse(D(x, z_hat), D(x_hat, z))
            update(generator=both, encoder=both)

    def _decode(self, nets, z):
        return resize(nets.generator(z), self.input_shape_[1:])

    def _logits(self, nets, x):
        return nets.discriminator(self._as_generated(x), self._encode(nets, x))

    def _refresh(self, nets, x, z):
        nets.discriminator(self._as_generated(x), self._encode(nets, x))
        nets.generator(z)

    def _extractor(self, nets):
        prior = self._prior()
        # Paper: its 1-NN on codes takes the encoder's output a; here the code is E(x), which G
        # understands.
        return self._encoder_features(
            nets.encoder, prior.names(), prior.decoder(self.encoder_output),
            self._shape("encoder", self.input_shape_),
        )  # fmt: skip
