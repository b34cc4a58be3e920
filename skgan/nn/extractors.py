"""Feature extractors as plain modules: what `transform` runs and `as_module()` hands out."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..utils.modules import run_watched
from .blocks import Trunk
from .codes import resize
from .dcgan import FUSION_GRID, pool_to_grid

# The stages of a module that a user brought, told by type.
_LINEAR_MAPS = (nn.modules.conv._ConvNd, nn.Linear)
_NORMS = (
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm,
)  # fmt: skip
_ACTIVATIONS = (
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.PReLU, nn.Softplus, nn.Mish,
    nn.Tanh, nn.Hardswish, nn.ReLU6, nn.CELU,
)  # fmt: skip
_STAGE_TYPES = {"activation": _ACTIVATIONS, "norm": _NORMS, "conv": _LINEAR_MAPS}


class ModuleTaps(nn.Module):
    """Taps for any module: the outputs of its activation, norm or conv and linear layers.

    The linear map that runs last gives the logit (or code) and is not a feature, nor is anything
    behind it.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def taps(self, x: Tensor, tap: str = "activation", n_layers: int | None = None) -> list[Tensor]:
        """The outputs that `tap` reads, in the order in which they are computed."""
        kinds = _STAGE_TYPES[tap]

        def look(module, _inputs, output):
            # A copy: an in-place activation may follow.
            return isinstance(module, _LINEAR_MAPS), (
                output.clone() if isinstance(module, kinds) else None
            )

        ran = run_watched(self.net, x, (*kinds, *_LINEAR_MAPS), look)
        linear = [i for i, (is_linear, _) in enumerate(ran) if is_linear]
        before_head = ran[: linear[-1]] if linear else ran
        return [output for _, output in before_head if output is not None][:n_layers]

    def each_tap(self, *args, **kwargs) -> Iterator[Tensor]:
        return iter(self.taps(*args, **kwargs))


class Extractor(nn.Module):
    """Rows as the networks see them -> features (n, n_features). Abstract."""

    n_features: int

    def feature_names(self) -> list[str]:
        raise NotImplementedError

    def head_weight(self) -> Tensor | None:
        """The head's weight (n_outputs, n_features) if these features are just what it reads."""
        return None


class ScaledExtractor(nn.Module):
    """Rows in X's units -> scaled as in `fit` -> features."""

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

    x (n, c, h, w) -> (n, k). Flattening is channel-major; layers are joined shallow to deep and
    nothing is scaled (DCGAN sec. 5.1).

    Parameters
    ----------
    net : Module
        A `Trunk`, or any module (see `ModuleTaps`).
    layers : "all" or sequence of int
        Indices of layers, negative ones from the end.
    tap : {"activation", "norm", "conv"}
    pool_grid : int or None
    pool : {"max", "avg"}
    input_shape : tuple of int
        Of one row as the network sees it; used once, to measure the layers' shapes.
    """

    def __init__(self, net, layers, tap, pool_grid, pool, input_shape):
        super().__init__()
        self.net = net if isinstance(net, Trunk) else ModuleTaps(net)
        self.tap, self.pool_grid, self.pool = tap, pool_grid, pool
        shapes = self._measure(net, input_shape)
        if not shapes:
            raise ValueError(
                f"tap={tap!r}: the network {type(net).__name__} has no {tap} layer before its "
                "head; use another tap or another network."
            )
        self.layers = _indices(layers, len(shapes))
        self.layer_shapes = [shapes[i] for i in self.layers]
        self.n_features = sum(torch.Size(s).numel() for s in self.layer_shapes)

    @torch.no_grad()
    def _measure(self, net: nn.Module, input_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        parameter = next(net.parameters())
        x = torch.zeros(1, *input_shape, device=parameter.device, dtype=parameter.dtype)
        was_training = net.training
        net.eval()
        maps = self.net.taps(x, self.tap)
        net.train(was_training)
        return [tuple(self._pool(m).shape[1:]) for m in maps]

    def _pool(self, x: Tensor) -> Tensor:
        return pool_to_grid(x, self.pool_grid, self.pool)

    def forward(self, x: Tensor) -> Tensor:
        # Pooled one by one, while a map is in the cache and before the next takes its place; in
        # float32, whatever the networks compute in: losses are made of features, too.
        maps = enumerate(self.net.each_tap(x, self.tap, max(self.layers) + 1))
        parts = [self._pool(m).flatten(1).float() for i, m in maps if i in self.layers]
        return torch.cat(parts, dim=1)

    def feature_names(self) -> list[str]:
        """Layer, channel (or unit) and cell of every feature, in the features' order."""
        names: list[str] = []
        for layer, shape in zip(self.layers, self.layer_shapes, strict=True):
            if len(shape) == 3:
                c, h, w = shape
                names += [
                    f"layer{layer}_channel{k}_cell{i}x{j}"
                    for k in range(c) for i in range(h) for j in range(w)
                ]  # fmt: skip
            else:
                n_units = torch.Size(shape).numel()
                names += [f"layer{layer}_unit{u}" for u in range(n_units)]
        return names

    def head_weight(self) -> Tensor | None:
        """The head's weight (n_outputs, k) if these features are exactly what the head reads."""
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
    """What the last layer of any network reads, flattened: x -> (n, k).

    The last layer is the linear map or convolution that runs last.
    """

    def __init__(self, net: nn.Module, input_shape: tuple[int, ...]):
        super().__init__()
        self.net = net
        was_training = net.training
        device = next(net.parameters()).device
        net.eval()
        with torch.no_grad():
            x = torch.zeros(1, *input_shape, dtype=torch.float32, device=device)
            self.n_features = self(x).shape[1]
        net.train(was_training)

    def forward(self, x: Tensor) -> Tensor:
        read = run_watched(
            self.net, x, _LINEAR_MAPS, lambda _module, inputs, _output: inputs[0].clone()
        )
        if not read:
            raise ValueError(
                f"output='penultimate': the encoder {type(self.net).__name__} runs no linear map "
                "or convolution, whose input it could be. Use output='latent'."
            )
        return read[-1].flatten(1).float()

    def feature_names(self) -> list[str]:
        return [f"penultimate{i}" for i in range(self.n_features)]


class EncoderFeatures(Extractor):
    """What an encoder says of a row: its code, the layer in front of it, or several layers.

    Parameters
    ----------
    encoder : Module
    output : {"penultimate", "latent", "layers"}
    latent_names : list of str
        Of the code's parts.
    code : callable (n, n_outputs) -> (n, k)
        From the encoder's output to the code.
    taps : dict
        Arguments of `PooledTaps`, for output="layers"; "input_shape" is that of the rows as the
        encoder sees them, to which images are resized.
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
            n = encoder.head_layers  # a head that reads several layers has all of them in front
            grid = FUSION_GRID if n > 1 else None
            self.tapped = PooledTaps(
                encoder, range(-n, 0), "activation", grid, "max", taps["input_shape"]
            )
        else:
            self.tapped = HeadInput(encoder, taps["input_shape"])
        self.n_features = self.tapped.n_features

    def forward(self, x: Tensor) -> Tensor:
        x = resize(x, self.size)
        return self.code(self.encoder(x)) if self.output == "latent" else self.tapped(x)

    def feature_names(self) -> list[str]:
        """The code's parts, or those of the layers."""
        return self.latent_names if self.output == "latent" else self.tapped.feature_names()


def _indices(layers, n: int) -> list[int]:
    if isinstance(layers, str) and layers == "all":
        return list(range(n))
    chosen = list(layers) if isinstance(layers, Iterable) else [layers]
    for i in chosen:
        if isinstance(i, bool) or not hasattr(i, "__index__") or not -n <= i < n:
            raise ValueError(
                f"layers={layers!r} must be 'all' or indices from {-n} to {n - 1}: "
                f"this network has {n} layers."
            )
    out = sorted({int(i) % n for i in chosen})
    if not out:
        raise ValueError(f"layers={layers!r} names no layer: use 'all' or at least one index.")
    return out
