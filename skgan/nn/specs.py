"""The specs of networks: their settings, and how each kind of network is built from them.

A spec is a `BaseEstimator`, so that its parameters can be searched, such as `generator__width`. It
can build a network of every kind.
"""

import math
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from torch import nn

from ..utils.checks import check_choice, check_flag, check_number, check_size, is_word
from ..utils.parameters import parameter, parameters
from .blocks import ACTIVATIONS
from .dcgan import DCGANDiscriminator, DCGANEncoder, DCGANGenerator
from .joint import FAMILIES, UnaryDiscriminator
from .mlp import MLPDiscriminator, MLPEncoder, MLPGenerator
from .norms import V_STD

MOST_BLOCKS = 16  # each halves the image, and no image has sides of 2**16 pixels
MOST_LAYERS = 1000  # dense ones
SMALLEST_GRID = 4  # blocks are added as long as the deepest feature maps stay at least 4x4


@parameters
class _Spec(BaseEstimator):
    """What the specs of both families have.

    Parameters
    ----------
    bn_affine : bool
        Whether batch norm has learnt gains and shifts, and hidden layers with weight norm learnt
        gains.
    z_injection : bool
        Whether the generator's hidden layers after the first add a linear map of z before their
        batch norm, as in BiGAN's released code.
    feature_dim : int or None
        Outputs of one more layer before the head of discriminators and classifiers: linear, without
        batch norm, on all outputs of the last hidden layer (Mao et al. 2019: 128).
    activation : {"leaky_relu", "crelu", "relu", "sigmoid"}
        Nonlinearity of discriminators, classifiers and encoders: LeakyReLU(0.2), ReLU, the logistic
        function, or CReLU, h -> [max(0, h), max(0, -h)], with half as many filters as channels or
        units (Shang et al. 2016, ICML, arXiv 1603.05201).
    noise : float or (float, float)
        Standard deviations of Gaussian noise that discriminators and classifiers have in training,
        on their input, in the units that their layers see, and after every hidden layer; one number
        for both (Salimans et al. 2016 have (0.3, 0.5)).
    """

    bn_affine: bool = True
    z_injection: bool = False
    feature_dim: int | None = None
    activation: str = "leaky_relu"
    noise: Any = 0.0

    family: ClassVar[str]

    def _critic(self, input_shape, norm) -> dict[str, Any]:
        """Arguments of the family's discriminator."""
        raise NotImplementedError

    def make_classifier(self, *, input_shape, n_outputs, norm="batch") -> nn.Module:
        return FAMILIES[self.family](**self._critic(input_shape, norm), n_outputs=n_outputs)


@parameters
class DCGANSpec(_Spec):
    """The convolutional family of DCGAN.

    Parameters
    ----------
    width : int
        Channels of the first block; each further block doubles them, up to 16 times `width`.
    n_blocks : "auto" or int
        Number of blocks of stride 2. "auto": as many as leave the deepest feature maps at least
        4x4, but at least two (28x28 and 32x32: three; 64x64: four; 256x256: six).
    kernel_size : {3, 4, 5}
        Side of the kernels in pixels.
    channels : tuple of int or None
        Channels of every block, shallow to deep, instead of `width` and `n_blocks`.
    strides : tuple of {1, 2} or None
        Stride of every block; None: all 2. Stride 1 needs an odd `kernel_size`.
    head_layers : int
        How many of the last blocks the head of a discriminator, classifier or encoder reads; more
        than one are max-pooled to 4x4 and joined (MARTA GAN).
    first_layer : {"learnt", "patches", "trained_patches"}
        The first block of discriminators, classifiers and encoders. "patches" are whitened patches
        of up to 512 training images, 6x6 pixels (less in small images), which see windows that are
        normalised to equal contrast, at the block's stride; two channels for each, of the responses
        above 0.25 and below -0.25 (Coates and Ng 2011). They stay as they are in training;
        "trained_patches" are trained on. Neither has batch or spectral norm.
    downsample : {"stride", "max"}
        How discriminators and classifiers halve their feature maps: by convolutions of stride 2, or
        by convolutions of stride 1 and 2x2 max-pooling after the activation, which needs an odd
        `kernel_size`. Neither changes whitened patches.
    z_std : float
        Standard deviation of the initial weights of linear maps of z that are added to a layer; all
        other weights have 0.02. BiGAN's released code has 0.02 k^2 for kernels of k x k, with which
        a shallow D ignores x for a long time.
    """

    width: Any = parameter(default=32, kw_only=False)
    n_blocks: Any = "auto"
    kernel_size: int = 4
    channels: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None
    head_layers: int = 1
    first_layer: str = "learnt"
    downsample: str = "stride"
    z_std: float = 0.02

    family: ClassVar[str] = "dcgan"

    def _layout(self, image_shape) -> dict[str, Any]:
        if len(image_shape) != 3:
            raise ValueError(
                f"DCGANSpec builds networks for images, but X is a table of {image_shape[0]} "
                "columns: set image_shape=(c, h, w), or use 'mlp'."
            )
        check_choice("kernel_size", self.kernel_size, (3, 4, 5))
        if self.channels is not None:
            channels = _as_tuple("channels", self.channels, "(64, 128)")
            for c in channels:
                check_size("channels", c)
        else:
            check_size("width", self.width)
            n = self.n_blocks
            if is_word(n, "auto"):
                n = 2
                while math.ceil(min(image_shape[1:]) / 2 ** (n + 1)) >= SMALLEST_GRID:
                    n += 1
            check_number("n_blocks", n, low=1, high=MOST_BLOCKS, integer=True)
            channels = tuple(self.width * min(2**i, 16) for i in range(n))
        strides = (2,) * len(channels)
        if self.strides is not None:
            strides = _as_tuple("strides", self.strides, "(1, 2)")
        if len(strides) != len(channels):
            raise ValueError(
                f"strides={strides!r} has {len(strides)} entries for {len(channels)} blocks: "
                "give one per block."
            )
        for s in strides:
            check_choice("strides", s, (1, 2))
        check_choice("downsample", self.downsample, ("stride", "max"))
        if (1 in strides or self.downsample == "max") and self.kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size={self.kernel_size} cannot keep the image size at stride 1: use 3 or "
                "5."
            )
        check_number("head_layers", self.head_layers, low=1, high=len(channels), integer=True)
        check_choice("first_layer", self.first_layer, ("learnt", "patches", "trained_patches"))
        if self.first_layer != "learnt" and channels[0] % 2:
            raise ValueError(
                f"first_layer={self.first_layer!r} has two channels a patch, but the first block "
                f"has {channels[0]} channels: use an even number for width, or for channels."
            )
        _check_activation(self.activation, *channels)
        check_number("z_std", self.z_std, low=0)
        _check_feature_dim(self.feature_dim, self.head_layers)
        for name in ("bn_affine", "z_injection"):
            check_flag(name, getattr(self, name))
        return {
            "channels": tuple(map(int, channels)), "strides": tuple(map(int, strides)),
            "kernel_size": int(self.kernel_size), "bn_affine": self.bn_affine,
        }  # fmt: skip

    def make_generator(self, *, latent_dim, output_shape, n_generators=None) -> nn.Module:
        layout = self._layout(output_shape) | {"z_injection": self.z_injection}
        net = DCGANGenerator(latent_dim, output_shape, **layout, n_generators=n_generators)
        return self._with_z_std(net)

    def make_discriminator(self, *, input_shape, norm, latent_dim=None, unary=False) -> nn.Module:
        arguments = self._critic(input_shape, norm)
        channels = arguments["channels"]
        if unary:
            return UnaryDiscriminator("dcgan", arguments, latent_dim, 2 * channels[-1])
        _check_depth("n_blocks", channels, latent_dim)
        return self._with_z_std(DCGANDiscriminator(**arguments, latent_dim=latent_dim))

    def _critic(self, input_shape, norm) -> dict[str, Any]:
        return self._layout(input_shape) | {
            "image_shape": tuple(input_shape), "norm": norm, "head_layers": self.head_layers,
            "feature_dim": self.feature_dim, "first_layer": self.first_layer,
            "activation": self.activation, "noise": _noise(self.noise),
            "downsample": self.downsample,
        }  # fmt: skip

    def _with_z_std(self, net: nn.Module) -> nn.Module:
        for module in net.modules():
            if hasattr(module, "init_std"):
                module.init_std = self.z_std  # type: ignore[assignment]
        return net

    def make_encoder(self, *, input_shape, n_outputs) -> nn.Module:
        layout = self._layout(input_shape)
        layout |= {"head_layers": self.head_layers, "first_layer": self.first_layer}
        layout["activation"] = self.activation
        return DCGANEncoder(n_outputs, input_shape, **layout)


@parameters
class MLPSpec(_Spec):
    """The dense family, for tables and for images flattened to vectors.

    Parameters
    ----------
    width : "auto" or int
        Units of every hidden layer. "auto": four times the number of columns, rounded up to a
        power of two, from 32 to 1024.
    n_layers : int
        Number of hidden layers.
    widths : tuple of int or None
        Units of every hidden layer, in the order of computation, instead of `width` and `n_layers`.
    bias : bool
        Whether layers without batch norm have biases.
    unit_range : bool
        Whether the layers see pixels in [0, 1], with a sigmoid at the generator's end, instead of
        [-1, 1] and tanh. Outside of the networks images are in [-1, 1] either way. It has no effect
        on tables.
    bn_eps : float
        Added to the variances in batch norm; above 0.
    generator_activation : {"relu", "softplus"}
        Nonlinearity of generators.
    output_norm : {"none", "weight"}
        Whether the generator's last layer has weight norm, whose gains begin at 1 (Improved GAN's
        released code).
    v_std : float
        Standard deviation of the first weights v of hidden layers with weight norm, above 0. Their
        length plays no part in what a layer computes, but by v / |v| in how fast it learns: the
        larger, the slower (0.05 in the paper on weight norm, 0.1 in Improved GAN's released code).
    """

    width: Any = parameter(default="auto", kw_only=False)
    n_layers: int = 2
    bias: bool = True
    unit_range: bool = False
    bn_eps: float = 1e-5
    widths: tuple[int, ...] | None = None
    generator_activation: str = "relu"
    output_norm: str = "none"
    v_std: float = V_STD

    family: ClassVar[str] = "mlp"

    def _widths(self, shape) -> tuple[int, ...]:
        check_number("n_layers", self.n_layers, low=1, high=MOST_LAYERS, integer=True)
        width = self.width
        if is_word(width, "auto"):
            width = min(1024, max(32, 2 ** math.ceil(math.log2(4 * math.prod(shape)))))
        check_size("width", width)
        widths = (width,) * self.n_layers
        if self.widths is not None:
            widths = _as_tuple("widths", self.widths, "(64, 32)")
            for width in widths:
                check_size("widths", width)
        for name in ("bn_affine", "z_injection", "bias", "unit_range"):
            check_flag(name, getattr(self, name))
        for name in ("bn_eps", "v_std"):
            check_number(name, getattr(self, name), low=0, open_low=True)
        check_choice("generator_activation", self.generator_activation, ("relu", "softplus"))
        check_choice("output_norm", self.output_norm, ("none", "weight"))
        _check_activation(self.activation, *widths)
        _check_feature_dim(self.feature_dim)
        return tuple(map(int, widths))

    def make_generator(self, *, latent_dim, output_shape, n_generators=None) -> nn.Module:
        return MLPGenerator(
            latent_dim, output_shape, self._widths(output_shape), self.bn_affine,
            self.z_injection, self.bias, n_generators, self._in_units(output_shape), self.bn_eps,
            self.generator_activation, self.output_norm,
        )  # fmt: skip

    def _in_units(self, shape) -> bool:
        return bool(self.unit_range) and len(shape) == 3

    def make_discriminator(self, *, input_shape, norm, latent_dim=None, unary=False) -> nn.Module:
        arguments = self._critic(input_shape, norm)
        if unary:
            return UnaryDiscriminator("mlp", arguments, latent_dim, arguments["widths"][-1])
        _check_depth("n_layers", arguments["widths"], latent_dim)
        return MLPDiscriminator(**arguments, latent_dim=latent_dim)

    def _critic(self, input_shape, norm) -> dict[str, Any]:
        return {
            "input_shape": tuple(input_shape), "widths": self._widths(input_shape), "norm": norm,
            "bn_affine": self.bn_affine, "bias": self.bias, "feature_dim": self.feature_dim,
            "unit_range": self._in_units(input_shape), "bn_eps": self.bn_eps,
            "activation": self.activation, "noise": _noise(self.noise),
        } | ({} if self.v_std == V_STD else {"v_std": float(self.v_std)})  # fmt: skip

    def make_encoder(self, *, input_shape, n_outputs) -> nn.Module:
        return MLPEncoder(
            input_shape, n_outputs, self._widths(input_shape), self.bn_affine, self.bias,
            self._in_units(input_shape), self.bn_eps, self.activation,
        )  # fmt: skip


def _noise(noise: Any) -> tuple[float, float]:
    pair = noise if isinstance(noise, (tuple, list)) and len(noise) == 2 else (noise, noise)
    for sigma in pair:
        check_number("noise", sigma, low=0, instead="a pair of them")
    return float(pair[0]), float(pair[1])


def _as_tuple(name: str, value: Any, example: str) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)) or not value:
        raise ValueError(
            f"{name}={value!r} must be None, or a tuple with one entry per block or layer, such "
            f"as {example}."
        )
    return tuple(value)


def _check_activation(activation: str, *channels: int) -> None:
    check_choice("activation", activation, ACTIVATIONS)
    odd = [c for c in channels if c % 2]
    if activation == "crelu" and odd:
        raise ValueError(
            f"activation='crelu' has two channels a filter, but a layer has {odd[0]}: use an even "
            "number for width, or for channels."
        )


def _check_depth(name: str, widths: tuple[int, ...], latent_dim: int | None) -> None:
    if latent_dim is not None and len(widths) < 2:
        raise ValueError(
            f"{name}={len(widths)} is too few for a discriminator of (x, z), in which z enters the "
            "layers after the first: use at least 2."
        )


def _check_feature_dim(feature_dim: int | None, head_layers: int = 1) -> None:
    if feature_dim is None:
        return
    check_size("feature_dim", feature_dim, instead="None")
    if head_layers > 1:
        raise ValueError(
            f"feature_dim={feature_dim} with head_layers={head_layers}: the head reads either one "
            "more layer of features or several blocks; leave one of the two out."
        )
