"""What `generator=`, `discriminator=` and `encoder=` accept: names, specs, callables, modules.

A spec is a `BaseEstimator`, so that its parameters can be searched, such as `generator__width`. It
can build a network of every kind.
"""

import functools
import math
from typing import Any, ClassVar

import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ..utils.checks import check_choice, check_flag, check_number
from ..utils.modules import copied
from ..utils.parameters import parameter, parameters
from ..utils.seeds import global_state_from
from .blocks import trying_out
from .dcgan import DCGANDiscriminator, DCGANEncoder, DCGANGenerator
from .init import build_seeded
from .joint import FAMILIES, UnaryDiscriminator
from .mlp import MLPDiscriminator, MLPEncoder, MLPGenerator

SMALLEST_GRID = 4  # blocks are added as long as the deepest feature maps stay at least 4x4


@parameters
class _Spec(BaseEstimator):
    """What the specs of both families have.

    Parameters
    ----------
    bn_affine : bool
        Whether batch norm has learnt gains and shifts.
    z_injection : bool
        Whether the generator's hidden layers after the first add a linear map of z before their
        batch norm, as in BiGAN's released code.
    feature_dim : int or None
        Outputs of one more layer before the head of discriminators and classifiers: linear, without
        batch norm, on all outputs of the last hidden layer (Mao et al. 2019: 128).
    """

    bn_affine: bool = True
    z_injection: bool = False
    feature_dim: int | None = None

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
                check_number("channels", c, low=1, integer=True)
        else:
            check_number("width", self.width, low=1, integer=True)
            n = _n_blocks(min(image_shape[1:])) if self.n_blocks == "auto" else self.n_blocks
            check_number("n_blocks", n, low=1, integer=True)
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
        if 1 in strides and self.kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size={self.kernel_size} cannot keep the image size at stride 1: use 3 or "
                "5."
            )
        check_number("head_layers", self.head_layers, low=1, high=len(channels), integer=True)
        check_number("z_std", self.z_std, low=0)
        _check_feature_dim(self.feature_dim, self.head_layers)
        for name in ("bn_affine", "z_injection"):
            check_flag(name, getattr(self, name))
        return {
            "channels": tuple(map(int, channels)), "strides": tuple(map(int, strides)),
            "kernel_size": int(self.kernel_size),
            "bn_affine": self.bn_affine,
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
            "feature_dim": self.feature_dim,
        }  # fmt: skip

    def _with_z_std(self, net: nn.Module) -> nn.Module:
        for module in net.modules():
            if hasattr(module, "init_std"):
                module.init_std = self.z_std  # type: ignore[assignment]
        return net

    def make_encoder(self, *, input_shape, n_outputs) -> nn.Module:
        layout = self._layout(input_shape)
        return DCGANEncoder(input_shape, n_outputs, **layout, head_layers=self.head_layers)


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
    bias : bool
        Whether layers without batch norm have biases.
    unit_range : bool
        Whether the layers see pixels in [0, 1], with a sigmoid at the generator's end, instead of
        [-1, 1] and tanh. Outside of the networks images are in [-1, 1] either way. It has no effect
        on tables.
    bn_eps : float
        Added to the variances in batch norm; above 0.
    """

    width: Any = parameter(default="auto", kw_only=False)
    n_layers: int = 2
    bias: bool = True
    unit_range: bool = False
    bn_eps: float = 1e-5

    family: ClassVar[str] = "mlp"

    def _widths(self, shape) -> tuple[int, ...]:
        check_number("n_layers", self.n_layers, low=1, integer=True)
        width = self.width
        if width == "auto":
            width = min(1024, max(32, 2 ** math.ceil(math.log2(4 * math.prod(shape)))))
        check_number("width", width, low=1, integer=True)
        for name in ("bn_affine", "z_injection", "bias", "unit_range"):
            check_flag(name, getattr(self, name))
        check_number("bn_eps", self.bn_eps, low=0, open_low=True)
        _check_feature_dim(self.feature_dim)
        return (width,) * self.n_layers

    def make_generator(self, *, latent_dim, output_shape, n_generators=None) -> nn.Module:
        return MLPGenerator(
            latent_dim, output_shape, self._widths(output_shape), self.bn_affine,
            self.z_injection, self.bias, n_generators, self._in_units(output_shape), self.bn_eps,
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
        }  # fmt: skip

    def make_encoder(self, *, input_shape, n_outputs) -> nn.Module:
        return MLPEncoder(
            input_shape, n_outputs, self._widths(input_shape), self.bn_affine, self.bias,
            self._in_units(input_shape), self.bn_eps,
        )  # fmt: skip


def _as_tuple(name: str, value: Any, example: str) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)) or not value:
        raise ValueError(
            f"{name}={value!r} must be None, or a tuple with one entry per block such as {example}."
        )
    return tuple(value)


def _check_depth(name: str, widths: tuple[int, ...], latent_dim: int | None) -> None:
    if latent_dim is not None and len(widths) < 2:
        raise ValueError(
            f"{name}={len(widths)} is too few for a discriminator of (x, z), in which z enters the "
            "layers after the first: use at least 2."
        )


def _check_feature_dim(feature_dim: int | None, head_layers: int = 1) -> None:
    if feature_dim is None:
        return
    check_number("feature_dim", feature_dim, low=1, integer=True, instead="None")
    if head_layers > 1:
        raise ValueError(
            f"feature_dim={feature_dim} with head_layers={head_layers}: the head reads either one "
            "more layer of features or several blocks; leave one of the two out."
        )


def _n_blocks(side: int) -> int:
    n = 2
    while math.ceil(side / 2 ** (n + 1)) >= SMALLEST_GRID:
        n += 1
    return n


KINDS = ("generator", "discriminator", "encoder", "classifier")
_MARTA: dict[str, Any] = {"channels": (16, 32, 64, 128, 256, 512)}

# The specs of every kind by name. faces64, imagenet32 and svhn32 are the networks of DCGAN's
# released code (latent_dim 100, 256 and 100), and marta256 those of MARTA GAN, whose G has smaller
# kernels than its D. bigan784 are BiGAN's permutation-invariant networks for MNIST (sec. 4.2;
# latent_dim 50), and mao32 those of Mao et al. 2019, table 1 (latent_dim 128).
NAMED_SPECS: dict[str, dict[str, BaseEstimator]] = {
    "dcgan": dict.fromkeys(KINDS, DCGANSpec()),
    "mlp": dict.fromkeys(KINDS, MLPSpec()),
    "faces64": dict.fromkeys(KINDS, DCGANSpec(128, n_blocks=4, kernel_size=5)),
    "imagenet32": dict.fromkeys(
        KINDS,
        DCGANSpec(
            channels=(128, 128, 256, 256, 512, 512), strides=(1, 2, 1, 2, 1, 2), kernel_size=3
        ),
    ),
    "svhn32": dict.fromkeys(KINDS, DCGANSpec(64, n_blocks=3, kernel_size=5)),
    "marta256": dict.fromkeys(KINDS, DCGANSpec(**_MARTA, kernel_size=5, head_layers=3))
    | {"generator": DCGANSpec(**_MARTA, kernel_size=4)},
    "mao32": dict.fromkeys(KINDS, DCGANSpec(128, n_blocks=3, feature_dim=128)),
    "bigan784": dict.fromkeys(
        KINDS,
        MLPSpec(1024, bn_affine=False, z_injection=True, bias=False, unit_range=True, bn_eps=1e-8),
    ),
}


def build_network(
    role: str, choice: Any, rng: torch.Generator, *, kind: str | None = None, **keywords: Any
) -> nn.Module:
    """Build the network of a role.

    Parameters
    ----------
    role : str
        Its name in the game, which is that of the parameter that `choice` is the value of.
    choice : Module, str, spec or callable
        A module is copied, with its weights. A callable is called with the keywords and returns a
        module, whose own initialisation is kept. While it runs, PyTorch's global random state is
        seeded from `rng`; afterwards the state is restored (this is not safe while other threads
        draw from it).
    kind : str, optional
        "generator" (keywords `latent_dim`, `output_shape`, and for a mixture `n_generators`),
        "encoder" (`input_shape`, `n_outputs`), "classifier" (`input_shape`, `n_outputs`, `norm`)
        or "discriminator" (`input_shape`, `norm`, and for a critic of pairs (x, z) `latent_dim`,
        `unary`). By default the role is of the kind of its name.
    """
    kind = role if kind is None else kind
    given = module_of(role, choice, rng, kind, **keywords)
    if given is not None:
        return _check_shapes(role, given, kind, **keywords)
    shape = keywords["output_shape" if kind == "generator" else "input_shape"]
    make = getattr(spec_of(role, choice, shape, kind), f"make_{kind}")
    return build_seeded(lambda: make(**keywords), rng)


def module_of(role: str, choice: Any, rng: torch.Generator, kind: str, **keywords: Any) -> Any:
    """A copy of a given module, or of the one that a callable returns; None for names and specs."""
    if isinstance(choice, nn.Module):
        return copied(choice)
    if isinstance(choice, type) and hasattr(choice, f"make_{kind}"):
        raise TypeError(f"{role}={choice!r} is a class: pass an instance, {choice.__name__}().")
    if isinstance(choice, str) or hasattr(choice, f"make_{kind}"):
        return None
    if not callable(choice):
        raise TypeError(
            f"{role}={choice!r} must be a name ({', '.join(('auto', *NAMED_SPECS))}), a spec such "
            "as DCGANSpec(width=64), a callable that returns a module, or a torch.nn.Module."
        )
    with global_state_from(rng):
        net = choice(**keywords)
    if not isinstance(net, nn.Module):
        raise TypeError(f"{role}={choice!r} returned {type(net).__name__}, not a torch.nn.Module.")
    net = copied(net)
    if any(map(is_parametrized, net.modules())):  # PyTorch refuses to pickle it
        net.made_by = functools.partial(choice, **keywords)
    return net


def spec_of(role: str, choice: Any, shape: tuple[int, ...], kind: str) -> Any:
    """The spec with this name; any other choice is returned as it is."""
    if not isinstance(choice, str):
        return choice
    check_choice(role, choice, ("auto", *NAMED_SPECS))
    if choice == "auto":
        choice = "dcgan" if len(shape) == 3 else "mlp"
    return NAMED_SPECS[choice][kind]


def _check_shapes(role: str, net: nn.Module, kind: str, **keywords: Any) -> nn.Module:
    """Raise an error for a user-supplied network whose output has the wrong shape for its role."""
    shapes, expected = _shapes_of_two(kind, **keywords)
    out = output_of(role, net, shapes)
    got = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
    if got not in expected:
        raise ValueError(
            f"{role}: the network {type(net).__name__} turns a batch of shape "
            f"{' and '.join(map(str, shapes))} into {got}, but {' or '.join(map(str, expected))} "
            "is expected."
        )
    return net


def output_of(role: str, net: nn.Module, shapes: list[tuple[int, ...]]) -> Any:
    """A user-supplied network's output for inputs of zeros; an error if it cannot run or train."""
    if not any(p.requires_grad for p in net.parameters()):
        raise ValueError(f"{role}: the network {type(net).__name__} has no parameters to train.")
    try:
        with trying_out(net, *shapes) as inputs, torch.random.fork_rng(devices=[]):
            return net(*inputs)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{role}: the network {type(net).__name__} cannot take a batch of shape "
            f"{' and '.join(map(str, shapes))}: {error}"
        ) from error


def _shapes_of_two(
    kind: str, *, latent_dim=None, output_shape=None, input_shape=None, n_outputs=None,
    unary=False, n_generators=0, **_,
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:  # fmt: skip
    """Shapes of the inputs of a network for two samples, and the output shapes that are allowed."""
    if kind == "generator":
        return [(2, latent_dim + n_generators)], [(2, *output_shape)]
    inputs: list[tuple[int, ...]] = [(2, *input_shape)]
    if kind in ("encoder", "classifier"):
        return inputs, [(2, n_outputs)]
    if latent_dim is not None:
        inputs.append((2, latent_dim))
    return inputs, [(2, 3)] if unary else [(2,), (2, 1)]
