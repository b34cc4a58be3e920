"""MGAN's discriminator and classifier as feature extractors (Mao et al. 2019, arXiv 1912.00789).

    min_(G,C) max_D  E_x log D(x) + 1/K sum_k [ E_z log(1 - D(G_k(z))) - beta E_z log C_k(G_k(z)) ]

K generators, a discriminator that tells real rows from theirs, and a classifier that tells which
generator made a row (MGAN: Hoang et al. 2018, arXiv 1708.02556). Mao et al. take D and C for
extractors, let them share fewer and fewer of their layers, and ask which has the better features:
"Is Discriminator a Good Feature Extractor?" Numbers of equations and tables are theirs.

| paper | here |
|---|---|
| G_1 .. G_K, D, C | generator, discriminator, classifier |
| layers that D and C share | trunk |
| x, z, k | `batch.x`, `batch.latent()`, `k` |
| f(x), A | features, the head's weights |
"""

import torch

from ..base import BaseGAN
from ..density import DensityRatioMixin
from ..losses import cross_entropy, ns_discriminator, ns_generator, saturating_generator
from ..nn import Joined, JoinedFeatures, build_branches, build_network
from ..utils.checks import check_choice, check_flag, check_number


class MGANExtractor(DensityRatioMixin, BaseGAN):
    """Features from the discriminator or the classifier of an MGAN, trained without labels.

    `fit` plays the game of Hoang et al. 2018 with the networks and settings of Mao et al. 2019,
    table 1. `transform` returns the features that feed the discriminator's head, the
    classifier's, or both, joined. Rows of a table (2-D X without `image_shape`) are standardised
    per column and train dense networks.

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
    latent_dim : int, default=128
        Dimension of z.
    latent : {"uniform", "normal"}, default="normal"
        Prior of z: U(-1, 1) or N(0, 1).
    n_generators : int, default=10
        K. Generators share all layers but the first, which has a batch norm of its own in each.
    generator : str, spec, callable or Module, default="auto"
        "auto" is "mao32" for images, the networks of table 1 (128 to 512 channels), and "mlp" for
        tables. Or another name, or a spec such as `DCGANSpec(width=32)`. A callable is called as
        `f(latent_dim=, output_shape=, n_generators=)`; its module, or one that is given, maps
        (n, latent_dim + n_generators), the last columns one-hot, to rows.
    discriminator : str or spec, default="auto"
        Of discriminator and classifier, which differ in their heads only: the same choices, but
        for callables and modules. `DCGANSpec(width=32, feature_dim=128)` has a layer of features
        in front of the head, as table 1.
    n_shared_layers : "all" or int, default="all"
        How many layers discriminator and classifier share, from the bottom; table 1 has four.
    share_bn : bool, default=True
        Whether shared layers share their batch norm, too.
    shared_optimizer : {"joint", "discriminator", "both"}, default="joint"
        What moves the shared layers: the sum of both losses (MGAN's released code), the
        discriminator's loss alone, or each loss by an optimizer of its own.
    same_z : bool, default=True
        Whether all generators get the same noise in a step (MGAN's released code).
    beta : float, default=0.02
        Weight of the classifier's loss in that of the generators.
    classifier_weight : float, default=1.0
        Weight of the classifier's loss in its own step.
    saturating : bool, default=False
        Whether generators minimise log(1 - D(G(z))), as equation 16 is written, instead of
        -log D(G(z)), as MGAN's released code does.
    norm : {"batch", "none", "spectral"}, default="batch"
        Of discriminator, classifier and the layers that they share.
    extractor : {"discriminator", "classifier", "both"}, default="discriminator"
        Whose features `transform` returns. The two are equal where all layers are shared.
    subspace : {None, "null", "row"}, default=None
        Part of the features: all, what the head's weights do not see (null space), or what they
        see (row space; corollary 4).
    validation_fraction : float, default=0.0
        Share of the rows in `fit`, in [0, 1), that is kept out of training; `history_` then follows
        the density ratio on them ("alpha_mean", "alpha_cv"). Games without one refuse it.
    n_epochs : int or "auto", default="auto"
        Passes over X. 0 is the untrained network, from the same initial weights. "auto": about
        2,000 steps, but at least 10 epochs and at most one for every 10 rows.
    batch_size : int, default=120
        At most (3 for 2 where one row would be left); batches are of even size.
    optimizer : {"adam", "rmsprop", "sgd"}, default="adam"
    lr : float, default=2e-4
        Learning rate of all networks.
    generator_lr, discriminator_lr, classifier_lr, trunk_lr : float or None, default=None
        Learning rate of one network, instead of `lr`.
    betas : (float, float), default=(0.5, 0.999)
        Adam's; "sgd" takes the first as its momentum.
    weight_decay : float, default=0.0
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
    generator_ : Module
        All generators: (n, latent_dim + n_generators), the last columns one-hot, to rows.
    discriminator_, classifier_ : Module
        The whole networks, shared layers included, in eval mode.
    head_weight_ : ndarray of shape (1 or n_generators, n_features_out_)
        The weights A of the head that the features feed; not with `extractor="both"` or a
        `subspace`.
    history_ : list of dict
        One an epoch: "epoch" (from 1), "trunk_loss" (where layers are shared),
        "discriminator_loss", "classifier_loss", "generator_loss", D's mean logits
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
    >>> from skgan import DCGANSpec, MGANExtractor
    >>> X, _ = load_digits(return_X_y=True)
    >>> mgan = MGANExtractor(
    ...     image_shape=(8, 8), generator=DCGANSpec(8), discriminator=DCGANSpec(8, feature_dim=32),
    ...     extractor="classifier", n_shared_layers=1, n_epochs=1, random_state=0,
    ... )
    >>> mgan.fit_transform(X).shape
    (1797, 32)
    >>> mgan.sample(5, component=3).shape
    (5, 64)
    """

    _networks = ("generator", "trunk", "discriminator", "classifier")
    _kept_in = {"discriminator": "_discriminator_branch_", "classifier": "_classifier_branch_"}

    def __init__(
        self, *,
        image_shape=None, data_format="auto", value_range="auto", latent_dim=128,
        latent="normal", n_generators=10, generator="auto", discriminator="auto",
        n_shared_layers="all", share_bn=True, shared_optimizer="joint", same_z=True,
        beta=0.02, classifier_weight=1.0, saturating=False, norm="batch",
        extractor="discriminator", subspace=None, validation_fraction=0.0, n_epochs="auto",
        batch_size=120, optimizer="adam", lr=2e-4, generator_lr=None, discriminator_lr=None,
        classifier_lr=None, trunk_lr=None, betas=(0.5, 0.999), weight_decay=0.0,
        lr_decay=None, clip_grad_norm=None, ema_decay=None, warm_start=False,
        checkpoint_dir=None, checkpoint_every=1, checkpoint_keep=2, resume="auto",
        on_interrupt="raise", device="auto", precision="auto", transform_batch_size="auto",
        random_state=None, verbose=0,
    ):  # fmt: skip
        self.image_shape = image_shape
        self.data_format = data_format
        self.value_range = value_range
        self.latent_dim = latent_dim
        self.latent = latent
        self.n_generators = n_generators
        self.generator = generator
        self.discriminator = discriminator
        self.n_shared_layers = n_shared_layers
        self.share_bn = share_bn
        self.shared_optimizer = shared_optimizer
        self.same_z = same_z
        self.beta = beta
        self.classifier_weight = classifier_weight
        self.saturating = saturating
        self.norm = norm
        self.extractor = extractor
        self.subspace = subspace
        self.validation_fraction = validation_fraction
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.generator_lr = generator_lr
        self.discriminator_lr = discriminator_lr
        self.classifier_lr = classifier_lr
        self.trunk_lr = trunk_lr
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
        check_number("n_generators", self.n_generators, low=1, integer=True)
        for name in ("beta", "classifier_weight"):
            check_number(name, getattr(self, name), low=0)
        for name in ("share_bn", "same_z", "saturating"):
            check_flag(name, getattr(self, name))
        check_choice("shared_optimizer", self.shared_optimizer, ("joint", "discriminator", "both"))
        check_choice("extractor", self.extractor, ("discriminator", "classifier", "both"))
        check_choice("subspace", self.subspace, (None, "null", "row"))

    @property
    def categories(self):
        """z's one-hot part: which generator makes the row."""
        return (self.n_generators,)

    def _build(self, shape, rng):
        # Paper: table 1 gives G and the heads no biases, and leaves the trunk's open; here G's last
        # layer and the features have one. The features' nonlinearity is left blank, none here.
        choices = (self.generator, self.discriminator)
        g, d = ("mao32" if c == "auto" and len(shape) == 3 else c for c in choices)
        generator = build_network(
            "generator", g, rng, latent_dim=self.latent_dim, output_shape=shape,
            n_generators=self.n_generators,
        )  # fmt: skip
        return {"generator": generator} | build_branches(
            d, rng, input_shape=shape, norm=self.norm, n_shared=self.n_shared_layers,
            share_bn=self.share_bn, n_outputs=self.n_generators,
        )  # fmt: skip

    def _for_each_generator(self, noise):
        """z and k from noise (K m, latent_dim): m rows for each generator in turn."""
        K = self.n_generators
        each = torch.eye(K, dtype=noise.dtype, device=noise.device)
        one_hot = each.repeat_interleave(len(noise) // K, 0)
        return torch.cat([noise, one_hot], dim=1), one_hot.argmax(1)

    def _verdicts(self, nets, x):
        """D's logits (n,) and C's scores (n, K); layers that both share in full run once."""
        D, C = nets.discriminator, nets.classifier
        if not hasattr(nets, "trunk"):
            return D(x), C(x)
        f = nets.trunk(x, D)
        return D(f), C(f if self.share_bn else nets.trunk(x, C))

    def _logits(self, nets, x):
        D = nets.discriminator
        return D(nets.trunk(x, D) if hasattr(nets, "trunk") else x)

    def _step(self, nets, batch, update):
        G, x, beta = nets.generator, batch.x, self.beta
        generator_loss = saturating_generator if self.saturating else ns_generator

        # Paper: the numbers of steps are not given; as in MGAN's code, one of each in turn.
        # As many generated rows as real ones, the same number from each (table 1), to the nearest;
        # batch norm needs two of each.
        K, m = self.n_generators, max(2, round(len(x) / self.n_generators))
        drawn = batch.latent(m).repeat(K, 1) if self.same_z else batch.latent(K * m)
        z, k = self._for_each_generator(drawn[:, : self.latent_dim])
        x_hat = G(z)

        real, (fake, scores) = self._logits(nets, x), self._verdicts(nets, x_hat)
        # Paper: equation 16 has beta in front of C's own loss as well; MGAN's released code, as
        # here, has not.
        l_d, l_c = ns_discriminator(real, fake), self.classifier_weight * cross_entropy(scores, k)
        update(**self._trunk_loss(nets, l_d, l_c), discriminator=l_d, classifier=l_c)

        fake, scores = self._verdicts(nets, x_hat)
        update(generator=generator_loss(fake) + beta * cross_entropy(scores, k))

    def _trunk_loss(self, nets, l_d, l_c):
        """What the shared layers go down, if there are any."""
        if not hasattr(nets, "trunk"):
            return {}
        losses = {"joint": l_d + l_c, "discriminator": l_d, "both": (l_d, l_c)}
        return {"trunk": losses[self.shared_optimizer]}

    def _refresh(self, nets, x, z):
        # Paper: a classifier that shares nothing has seen generated rows only, and is used on
        # real ones. Its batch-norm statistics are measured on real rows, as the discriminator's.
        self._verdicts(nets, x)
        m = max(2, len(z) // self.n_generators)
        noise = z[:m, : self.latent_dim].repeat(self.n_generators, 1)
        nets.generator(self._for_each_generator(noise)[0])

    def _joined(self, nets, role):
        return Joined(getattr(nets, "trunk", None), getattr(nets, role))

    def _extractor(self, nets):
        both = ("discriminator", "classifier")
        roles = both if self.extractor == "both" else (self.extractor,)
        return JoinedFeatures({role: self._joined(nets, role) for role in roles}, self.subspace)

    @property
    def discriminator_(self):
        """The discriminator, shared layers included: rows -> logit (n,)."""
        return self._joined(self._nets(), "discriminator").eval()

    @property
    def classifier_(self):
        """The classifier, shared layers included: rows -> scores (n, n_generators)."""
        return self._joined(self._nets(), "classifier").eval()

    def score_samples(self, X):
        """D's logit of every row: large where D takes it for real.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float32
        """
        return self._apply(lambda nets: lambda x: self._logits(nets, x), X)

    @property
    def head_weight_(self):
        return self._head_weight(
            "transform returns what one head reads: with extractor='discriminator' or "
            "'classifier', and subspace=None"
        )
