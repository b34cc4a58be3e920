"""A classifier's layers as features: the supervised counterpart of a GAN's discriminator.

    min_C  -E_{x,y} log C(y | x)

The same trunk as the discriminator's, trained on labels by cross-entropy: what features of a GAN
are worth is seen next to it. Radford et al. 2016 (arXiv 1511.06434, sec. 5.2) compare DCGAN's
features on SVHN with such a network; Mao et al. read the layer in front of a bias-free head
("mao32").

| formula | here |
|---|---|
| C | classifier |
| x, y | `batch.x`, `batch.y` |
"""

from typing import ClassVar

from ..base import BaseGAN
from ..classification import ClassificationMixin
from ..losses import cross_entropy
from ..nn import PooledTaps, build_network


class SupervisedFeatures(ClassificationMixin, BaseGAN):
    """Features from a classifier, trained on labels alone.

    `fit` trains a network of the discriminators' families on X and y. `transform` returns the
    layer in front of its head, unpooled, or the layers that `layers` and the next parameters
    choose. It is a classifier as well: `predict`, `predict_proba`, `score`. Rows whose label is
    -1 are unlabelled where at least two other classes are present; they are left out of all that
    is learnt. There is no prior, so nothing to sample from. Rows of a table (2-D X without
    `image_shape`) are standardised per column and train dense networks.

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
    classifier : str, spec, callable or Module, default="auto"
        "auto" is "dcgan" for images and "mlp" for tables; "faces64", "imagenet32" and "svhn32"
        are the networks of DCGAN's released code, "mao32" those of Mao et al., "marta256" MARTA
        GAN's and "bigan784" BiGAN's for MNIST. Or a spec such as `DCGANSpec(width=64)`; a
        callable `f(input_shape=, n_outputs=, norm=)` that returns a module; or a module, which is
        copied. It maps rows to (n, n_classes) scores.
    norm : {"batch", "none", "spectral"}, default="batch"
        Of the classifier.
    layers : "all", int or sequence of int, default=-1
        Layers that `transform` returns, from 0 (shallow); negative ones count from the end.
    tap : {"activation", "norm", "conv"}, default="activation"
        Which stage of a layer: behind its nonlinearity, behind its batch norm, or the bare
        convolution.
    pool_grid : int or None, default=None
        Maps are pooled to this many cells a side; 1 is global pooling, None none. Smaller maps
        stay as they are.
    pool : {"max", "avg"}, default="max"
    bn_stats : {"real", "running"}, default="real"
        The classifier's batch-norm statistics in `transform` and `predict`: measured on the
        training rows after training, or PyTorch's running average over the batches of training.
    n_epochs : int or "auto", default="auto"
        Passes over X. 0 is the untrained network, from the same initial weights. "auto": about
        2,000 steps, but at least 10 epochs and at most one for every 10 rows.
    batch_size : int, default=128
        At most (3 for 2 where one row would be left); batches are of even size.
    optimizer : {"adam", "rmsprop", "sgd"}, default="adam"
    lr : float, default=2e-4
        Learning rate of all networks.
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
    classes_ : ndarray of shape (n_classes,)
        The labels, in order.
    classifier_ : Module
        The trained network, in eval mode.
    head_weight_ : ndarray of shape (n_classes, n_features_out_)
        The weights from features to the classes' scores; only where `transform` returns exactly
        the layer that feeds the head, as it does by default.
    history_ : list of dict
        One an epoch: "epoch" (from 1), "classifier_loss", "seconds", "images_per_second".
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
    >>> from skgan import SupervisedFeatures
    >>> X, y = load_digits(return_X_y=True)
    >>> features = SupervisedFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> features.fit_transform(X, y).shape
    (1797, 256)
    """

    _networks = ("classifier",)
    _critics: ClassVar[tuple[str, ...]] = ()
    _needs_labels: ClassVar[bool] = True

    def __init__(
        self, *,
        image_shape=None, data_format="auto", value_range="auto", classifier="auto", norm="batch",
        layers=-1, tap="activation", pool_grid=None, pool="max", bn_stats="real",
        n_epochs="auto", batch_size=128, optimizer="adam", lr=2e-4, betas=(0.5, 0.999),
        weight_decay=2.5e-5, lr_decay=None, clip_grad_norm=None, ema_decay=None,
        warm_start=False, checkpoint_dir=None, checkpoint_every=1, checkpoint_keep=2,
        resume="auto", on_interrupt="raise",
        device="auto", precision="auto", transform_batch_size="auto", random_state=None,
        verbose=0,
    ):  # fmt: skip
        self.image_shape = image_shape
        self.data_format = data_format
        self.value_range = value_range
        self.classifier = classifier
        self.norm = norm
        self.layers = layers
        self.tap = tap
        self.pool_grid = pool_grid
        self.pool = pool
        self.bn_stats = bn_stats
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
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

    def _build(self, shape, rng):
        return {
            "classifier": build_network(
                "classifier", self.classifier, rng,
                input_shape=shape, n_outputs=len(self.classes_), norm=self.norm,
            )
        }  # fmt: skip

    def _step(self, nets, batch, update):
        update(classifier=cross_entropy(nets.classifier(batch.x), batch.y))

    def _refresh(self, nets, x, z):
        nets.classifier(x)

    def _extractor(self, nets):
        return PooledTaps(
            nets.classifier, self.layers, self.tap, self.pool_grid, self.pool, self.input_shape_
        )

    def _scores(self, nets, x):
        return nets.classifier(x)

    def score_samples(self, X):
        """The log of the largest class probability: low where the classifier is unsure.

        Parameters
        ----------
        X : array-like, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float32
        """
        return self._apply(
            lambda nets: lambda x: self._scores(nets, x).float().log_softmax(1).amax(1), X
        )

    @property
    def head_weight_(self):
        return self._head_weight(
            "transform returns the layer that feeds the classifier's head, such as with "
            "layers=-1, pool_grid=None"
        )
