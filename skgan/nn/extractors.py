"""Feature extractors as plain modules, which `transform` runs and `as_module()` returns."""

from collections.abc import Callable, Iterable, Iterator
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..utils.modules import ACTIVATIONS, LINEAR_MAPS, run_watched
from .blocks import Trunk, trying_out
from .codes import resize
from .dcgan import FUSION_GRID, pool_to_grid

# The stages of a user-supplied module, told apart by the types of its layers.
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_STAGE_TYPES = {"activation": ACTIVATIONS, "norm": _NORMS, "conv": LINEAR_MAPS}


class ModuleTaps(nn.Module):
    """Taps for any module: the outputs of its activations, of its norms, or of its linear layers.

    Linear layers here include convolutions. The one that runs last returns the logit (or code): it
    is not a feature, nor is anything after it. Of a network with a `body` that is all layers below
    its head, whatever they are.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = getattr(net, "body", net)
        self.ends_in_head = self.net is net

    def taps(self, x: Tensor, tap: str = "activation", n_layers: int | None = None) -> list[Tensor]:
        """The outputs of the layers of this kind, in the order in which they are computed."""
        kinds = _STAGE_TYPES[tap]

        def look(module, _inputs, output):
            # A copy: an in-place activation may follow.
            copy = output.clone() if isinstance(module, kinds) else None
            return isinstance(module, LINEAR_MAPS), copy

        ran = run_watched(self.net, x, (*kinds, *LINEAR_MAPS), look)
        linear = [i for i, (is_linear, _) in enumerate(ran) if is_linear]
        before_head = ran[: linear[-1]] if linear and self.ends_in_head else ran
        return [output for _, output in before_head if output is not None][:n_layers]

    def each_tap(self, *args, **kwargs) -> Iterator[Tensor]:
        return iter(self.taps(*args, **kwargs))


def with_taps(net: nn.Module) -> Any:
    """The network as one that gives the outputs of its layers: `taps(x, tap)`."""
    return net if isinstance(net, Trunk) else ModuleTaps(net)


class Extractor(nn.Module):
    """Samples as the networks see them -> features (n, n_features). Abstract."""

    n_features: int
    most_samples: int = 2**18  # that it is given at a time, where that is for us to choose
    not_exported: str = ""  # why there can be no file of it for other programs, if there cannot

    def feature_names(self) -> list[str]:
        raise NotImplementedError

    def head_weight(self) -> Tensor | None:
        """The head's weight (n_outputs, n_features) if these features are exactly its input."""
        return None

    def freeze(self) -> None:
        """Compute once what depends on weights alone, where these will not change any more."""


class ScaledExtractor(nn.Module):
    """Samples in the units of X -> scaled as in `fit` -> features."""

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Tensor, scale: Tensor, extractor: Extractor):
        super().__init__()
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)
        self.extractor = extractor

    def forward(self, x: Tensor) -> Tensor:
        return self.extractor(((x - self.shift) / self.scale).float())


class PooledTaps(Extractor):
    """Some layers of a network, pooled to a grid, flattened and joined: DCGAN's features.

    x (n, c, h, w) -> (n, k). Feature maps are flattened channel by channel and layers are joined
    shallow to deep, all without scaling (DCGAN sec. 5.1).

    Parameters
    ----------
    net : Module
        A `Trunk`, or any module (see `ModuleTaps`).
    layers : "all", "learnt" or sequence of int
        Indices of layers, negative ones from the end; "learnt" leaves out fixed ones.
    tap : {"activation", "norm", "conv"}
    pool_grid : int or None
    pool : {"max", "avg"}
    input_shape : tuple of int
        Of one sample as the network sees it, to find out the shapes of the layers.
    """

    def __init__(self, net, layers, tap, pool_grid, pool, input_shape):
        super().__init__()
        self.net = with_taps(net)
        self.tap, self.pool_grid, self.pool = tap, pool_grid, pool
        with trying_out(net, (1, *input_shape)) as (x,):
            maps = self.net.taps(x, self.tap)
        shapes = [tuple(self._pool(m).shape[1:]) for m in maps]
        if not shapes:
            raise ValueError(
                f"tap={tap!r}: the network {type(net).__name__} has no {tap} layer before its "
                "head; use another tap or another network."
            )
        self.layers = _indices(layers, len(shapes), self._learnt(len(shapes)))
        self.layer_shapes = [shapes[i] for i in self.layers]
        self.n_features = sum(torch.Size(s).numel() for s in self.layer_shapes)

    def _learnt(self, n: int) -> list[int]:
        """The layers that have something to learn; all n of a user-supplied network."""
        if not isinstance(self.net, Trunk):
            return list(range(n))
        return [
            i for i, block in enumerate(self.net.blocks) if any(True for _ in block.parameters())
        ]

    def _pool(self, x: Tensor) -> Tensor:
        return pool_to_grid(x, self.pool_grid, self.pool)

    def forward(self, x: Tensor) -> Tensor:
        # Each layer is pooled before the next runs, while its feature maps are in the cache. The
        # features are float32 whatever the networks compute in, because losses use them too.
        maps = enumerate(self.net.each_tap(x, self.tap, max(self.layers) + 1))
        parts = [self._pool(m).flatten(1).float() for i, m in maps if i in self.layers]
        return torch.cat(parts, dim=1)

    def feature_names(self) -> list[str]:
        """For every feature, in order: layer, and channel and position ("cell"), or unit."""
        names: list[str] = []
        for layer, shape in zip(self.layers, self.layer_shapes, strict=True):
            if len(shape) == 3:
                c, h, w = shape
                names += [
                    f"layer{layer}_channel{k}_cell{i}x{j}"
                    for k in range(c) for i in range(h) for j in range(w)
                ]  # fmt: skip
            else:
                names += [f"layer{layer}_unit{u}" for u in range(torch.Size(shape).numel())]
        return names

    def head_weight(self) -> Tensor | None:
        if not isinstance(self.net, Trunk) or self.tap != "activation":
            return None
        n, fused = len(self.net.blocks), self.net.head_layers
        if list(self.layers) != list(range(n - fused, n)):
            return None
        if fused > 1 and (self.pool_grid != FUSION_GRID or self.pool != "max"):
            return None
        weight = getattr(self.net.head, "weight", None)  # a head with a hidden layer has several
        return weight if weight is not None and weight.shape[1] == self.n_features else None


class HeadInput(Extractor):
    """The input of the last layer of any network, flattened: x -> (n, k).

    The last layer is the linear layer or convolution that runs last. Features are called `name`
    and their index.
    """

    def __init__(self, net: nn.Module, input_shape: tuple[int, ...], name: str = "penultimate"):
        super().__init__()
        self.net, self.name = net, name
        with trying_out(net, (1, *input_shape)) as (x,):
            self.n_features = self(x).shape[1]

    def forward(self, x: Tensor) -> Tensor:
        read = run_watched(self.net, x, LINEAR_MAPS, lambda _, inputs, _output: inputs[0].clone())
        if not read:
            raise ValueError(
                f"output='penultimate' is the input of the last linear layer or convolution, but "
                f"the encoder {type(self.net).__name__} has none. Use output='latent'."
            )
        return read[-1].flatten(1).float()

    def feature_names(self) -> list[str]:
        return [f"{self.name}{i}" for i in range(self.n_features)]


class SideBySide(Extractor):
    """The features of several extractors, each scaled to length 1 for every sample: x -> (n, k)."""

    def __init__(self, parts: Iterable[Extractor]):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.n_features = sum(part.n_features for part in parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([normalize(part(x)) for part in self.parts], dim=1)

    def feature_names(self) -> list[str]:
        parts: Any = self.parts
        return [name for part in parts for name in part.feature_names()]


class EncoderFeatures(Extractor):
    """The features of an encoder: its code, the layer before the head, or several layers.

    Parameters
    ----------
    encoder : Module
    output : {"penultimate", "latent", "layers"}
    latent_names : list of str
        Names of the code's entries.
    code : callable (n, n_outputs) -> (n, k)
        Turns the encoder's output into the code.
    taps : dict
        Arguments of `PooledTaps`, for output="layers"; "input_shape" is the shape of one sample as
        the encoder sees it, to which images are resized.
    """

    def __init__(
        self, encoder: nn.Module, output: str, latent_names: list[str],
        code: Callable[[Tensor], Tensor], taps: dict,
    ):  # fmt: skip
        super().__init__()
        self.encoder, self.output, self.size = encoder, output, taps["input_shape"][1:]
        self.latent_names, self.code = latent_names, code
        self.tapped: Any = None
        if output == "latent":
            self.n_features = len(latent_names)
            return
        if output == "layers":
            self.tapped = PooledTaps(encoder, **taps)
        elif isinstance(encoder, Trunk):
            n = encoder.head_layers  # a head may read several layers
            grid, shape = FUSION_GRID if n > 1 else None, taps["input_shape"]
            self.tapped = PooledTaps(encoder, range(-n, 0), "activation", grid, "max", shape)
        else:
            self.tapped = HeadInput(encoder, taps["input_shape"])
        self.n_features = self.tapped.n_features

    def forward(self, x: Tensor) -> Tensor:
        x = resize(x, self.size)
        return self.code(self.encoder(x)) if self.output == "latent" else self.tapped(x)

    def feature_names(self) -> list[str]:
        """The names of the code's entries, or those of the layers' features."""
        return self.latent_names if self.output == "latent" else self.tapped.feature_names()


def _indices(layers, n: int, learnt: list[int]) -> list[int]:
    if isinstance(layers, str) and layers in ("all", "learnt"):
        return list(range(n)) if layers == "all" else learnt
    # An array without an axis cannot be iterated over, though it says that it can.
    several = isinstance(layers, Iterable) and getattr(layers, "ndim", None) != 0
    chosen = list(layers) if several else [layers]
    for i in chosen:
        whole = isinstance(i, Integral) and not isinstance(i, bool)
        if not whole or not -n <= int(i) < n:
            raise ValueError(
                f"layers={layers!r} must be 'all', 'learnt' or indices from {-n} to {n - 1}: "
                f"this network has {n} layers."
            )
    out = sorted({int(i) % n for i in chosen})
    if not out:
        raise ValueError(f"layers={layers!r} names no layer: use 'all' or at least one index.")
    return out
