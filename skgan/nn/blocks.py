"""What critics and encoders of all families share: blocks whose stages can be read, and a head."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..utils.domains import samples_from
from .noise import Dropout, GaussianNoise
from .norms import BatchNormPerDomain, normalised

TAPS = ("activation", "norm", "conv")
ACTIVATIONS = ("leaky_relu", "crelu", "relu", "sigmoid")


def recorded(init: Callable[..., None]) -> Callable[..., None]:
    """Decorator of a constructor: keep its arguments as `recipe`, which rebuilds the network.

    Sequences are recorded, and passed on, as tuples, and dicts as copies.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def constructor(self, *args, **kwargs):
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        _, *arguments = given.arguments.items()
        self.recipe = {name: _plain(value) for name, value in arguments}
        init(self, **self.recipe)

    return constructor


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(value)
    return tuple(value) if isinstance(value, (list, tuple)) else value


class Block(nn.Module):
    """A convolution or linear layer, its normalisation and its activation; each can be read.

    With `inject` a linear map of z is added before the normalisation, the same at every position.
    """

    def __init__(
        self, conv: nn.Module, norm: nn.Module, activation: nn.Module,
        inject: nn.Module | None = None,
    ):  # fmt: skip
        super().__init__()
        self.conv, self.norm = conv, norm
        self.activation, self.inject = activation, inject

    def _linear(self, x: Tensor, z: Tensor | None) -> Tensor:
        x = self.conv(x)
        return x if self.inject is None else add_map(x, self.inject(z))

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        return self.activation(self.norm(self._linear(x, z)))

    def stages(self, x: Tensor, z: Tensor | None = None) -> dict[str, Tensor]:
        conv = self._linear(x, z)
        norm = self.norm(conv)
        # The activation may work in place.
        return {"conv": conv, "norm": norm, "activation": self.activation(norm.clone())}


class CReLU(nn.Module):
    """h (n, k, ...) -> [max(0, h), max(0, -h)], (n, 2k, ...) (Shang et al. 2016)."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.cat([torch.relu(h), torch.relu(-h)], dim=1)


class Trunk(nn.Module):
    """A sequence of blocks, then a linear head on the last of them: x -> (n, k).

    Abstract: the constructor of a family sets `blocks`, `head` and `head_layers` (how many of the
    last blocks the head reads), and `prepare` turns x into the input of the first block. The trunk
    of a joint critic takes x and z; its blocks after the first add a linear map of z.
    """

    blocks: nn.ModuleList
    head: nn.Module
    head_layers: int = 1
    instance_norm: bool = False

    def prepare(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def fuse(self, maps: list[Tensor]) -> Tensor:
        """What the head reads: the last block flattened, or the last few pooled and joined."""
        return torch.cat([m.flatten(1) for m in maps[-self.head_layers :]], dim=1)

    def each_tap(
        self, x: Tensor, tap: str = "activation", n_layers: int | None = None,
        z: Tensor | None = None,
    ) -> Iterator[Tensor]:  # fmt: skip
        """The given stage of the first `n_layers` blocks (None: of all blocks), shallow to deep."""
        x = self.prepare(x)
        for block in list(self.blocks)[:n_layers]:
            assert isinstance(block, Block)
            if tap == "activation":
                x = block(x, z)
                yield x
            else:
                stages = block.stages(x, z)
                x = stages["activation"]
                yield stages[tap]

    def taps(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """All outputs of `each_tap`."""
        return list(self.each_tap(*args, **kwargs))

    def run(self, x: Tensor) -> Tensor:
        """The blocks alone, on the output of `prepare`."""
        for block in self.blocks:
            x = block(x)
        return x

    def features(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """What the head reads (n, d): the output of the layers before it."""
        return self.fuse(self.taps(x, z=z))


class Critic(Trunk):
    """A trunk whose head has no bias: x -> logit (n,), or (x, z) -> logit (n,). Abstract.

    With weight norm, whose initialisation sets biases, the head has one, too. With `n_outputs` it
    is a classifier: x -> class scores (n, n_outputs). It may have auxiliary heads (`nn.auxiliary`)
    by the names of their tasks.
    """

    n_outputs: int | None
    auxiliary: nn.ModuleDict

    def set_head(self, width: int, n_outputs: int | None, norm: str) -> None:
        """Make the head: a linear layer on the `width` values that `fuse` returns."""
        self.n_outputs, self.auxiliary = n_outputs, nn.ModuleDict()
        self.head = normalised(nn.Linear(width, n_outputs or 1, bias=norm == "weight"), norm)

    def judge(self, features: Tensor) -> Tensor:
        """The logit, or the class scores, for what the head reads (n, d)."""
        out = self.head(features)
        return out.squeeze(1) if self.n_outputs is None else out

    def forward(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        return self.judge(self.features(x, z))

    def auxiliary_output(self, task: str, x: Tensor) -> Any:
        """What an auxiliary head gives for samples x."""
        maps = self.taps(x)
        return self.auxiliary[task](maps, self.fuse(maps))


class Encoder(Trunk):
    """A trunk whose head outputs the numbers of a code: x -> (n, k). Abstract."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class OneOfSeveral(nn.Module):
    """Modules, one of which is chosen for each sample: z (n, d + k) -> (n, ...).

    The last k = len(parts) columns of z are one-hot and choose; the chosen part is applied to the
    first d columns.
    """

    def __init__(self, parts: Sequence[nn.Module]):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, z: Tensor) -> Tensor:
        k = len(self.parts)
        chosen = z[:, -k:].argmax(1)
        order = chosen.argsort(stable=True)
        rows = z[order, :-k].split(chosen.bincount(minlength=k).tolist())
        out = torch.cat([p(r) for p, r in zip(self.parts, rows, strict=True) if len(r)])
        return out[order.argsort()]


def add_map(x: Tensor, m: Tensor) -> Tensor:
    """x (n, c, ...) plus m (n, c), which is the same at every position."""
    return x + m.view(*m.shape, *[1] * (x.ndim - 2))


def before(n_channels: int, activation: str) -> int:
    """Channels that an activation needs to return `n_channels`."""
    return n_channels // 2 if activation == "crelu" else n_channels


def make_block(
    layer: nn.Module, n_channels: int, norm: str, *, first: bool = False, affine: bool = True,
    latent_dim: int | None = None, eps: float = 1e-5, activation: str = "leaky_relu",
    plain: bool = False,
) -> Block:  # fmt: skip
    """A hidden layer of D or E, with batch norm except in the first (DCGAN sec. 3).

    `n_channels` is what the layer returns before the activation, of which CReLU doubles it. With
    `latent_dim` those after the first add a linear map of z. A `plain` one is linear. `affine` says
    whether gains of batch norm or of weight norm are learnt.
    """
    if plain:
        return Block(normalised(layer, norm), nn.Identity(), nn.Identity())
    norm_layer: nn.Module = nn.Identity()
    if norm == "batch" and not first:
        kind = nn.BatchNorm2d if isinstance(layer, nn.Conv2d) else nn.BatchNorm1d
        norm_layer = kind(n_channels, eps=eps, affine=affine)
    inject = None
    if latent_dim is not None and not first:
        inject = normalised(map_of_z(latent_dim, n_channels), norm)
    acts: dict[str, nn.Module] = {
        "leaky_relu": nn.LeakyReLU(0.2, inplace=True), "crelu": CReLU(),
        "relu": nn.ReLU(inplace=True), "sigmoid": nn.Sigmoid(),
    }  # fmt: skip
    linear = normalised(layer, norm, learnt_gain=affine)
    return Block(linear, norm_layer, acts[activation], inject)


def add_noise(blocks: Any, noise: tuple[float, float]) -> None:
    """Noise of these standard deviations on the input of the first block, and after every block."""
    of_input, of_layers = noise
    if of_input:
        blocks[0].conv = nn.Sequential(GaussianNoise(of_input), blocks[0].conv)
    for block in blocks if of_layers else ():
        block.activation = nn.Sequential(block.activation, GaussianNoise(of_layers))


def regularise(net: Any, dropout: float, instance_norm: bool, n_domains: int | None) -> None:
    """Dropout after every block; images normalised one by one; batch norm for each domain."""
    net.instance_norm = instance_norm
    for block in net.blocks:
        if dropout:
            block.activation = nn.Sequential(block.activation, Dropout(dropout))
        if n_domains is not None and isinstance(block.norm, nn.modules.batchnorm._BatchNorm):
            block.norm = BatchNormPerDomain(block.norm, n_domains)


def map_of_z(latent_dim: int, n_channels: int) -> nn.Linear:
    """A linear map of z, to be added before a layer's normalisation."""
    inject = nn.Linear(latent_dim, n_channels, bias=False)
    inject.init_std = 0.02  # type: ignore[assignment]
    return inject


@contextlib.contextmanager
def trying_out(net: nn.Module, *shapes: tuple[int, ...]) -> Iterator[list[Tensor]]:
    """Inputs of zeros, to find out what a network returns: in eval mode, without gradients."""
    was_training, device = net.training, next(net.parameters()).device
    net.eval()
    try:
        with torch.no_grad(), samples_from(None):
            yield [torch.zeros(s, dtype=torch.float32, device=device) for s in shapes]
    finally:
        net.train(was_training)
