"""Auxiliary heads of critics: tasks that need no labels, on the layers that a critic has anyway.

A head is a part of the critic: it moves with the critic's loss, and the critic's recipe rebuilds
it. There are two tasks.

"rotation": by how many quarter turns an image was rotated, told from what the critic's own head
reads (SSGAN: Chen et al. 2019, arXiv 1811.11212, sec. 3.1).
"infomax": the last block's maps, summed over positions, and each position of the block before it
are projected into one space, for a contrastive loss (InfoMax-GAN: Lee et al. 2021, arXiv
2007.04589, sec. 3; its networks of projections are those of the released code).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .blocks import Critic
from .init import build_seeded
from .joint import UnaryDiscriminator
from .norms import normalised
from .trunk import Branch

N_TURNS = 4  # by 0, 90, 180 and 270 degrees


def turned(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every fourth of the images x (n, c, s, s), turned by 0 to 3 quarters; and these numbers."""
    some = x[::4]
    k = torch.arange(N_TURNS, device=x.device).repeat_interleave(len(some))
    return torch.cat([some.rot90(i, (2, 3)) for i in range(N_TURNS)]), k


class RotationHead(nn.Module):
    """What the critic's head reads (n, width) -> a score for each number of turns (n, 4)."""

    def __init__(self, width: int, norm: str):
        super().__init__()
        self.scores = normalised(nn.Linear(width, N_TURNS), norm)

    def forward(self, maps: list[Tensor], features: Tensor) -> Tensor:
        return self.scores(features)


class Projection(nn.Module):
    """a -> V relu(U a) + W a, at every position where a is a feature map."""

    def __init__(self, layer: type[nn.Module], n_inputs: int, n_outputs: int, norm: str):
        super().__init__()

        def linear(n: int) -> nn.Module:
            made = layer(n_inputs, n, 1) if layer is nn.Conv2d else layer(n_inputs, n)
            # The scale of Xavier's initialisation, as in the released code: with N(0, 0.02) the
            # products of projections begin near 0, and their gradients with them.
            made.init_std = (2 / (n_inputs + n)) ** 0.5
            return normalised(made, norm)

        self.hidden, self.out, self.skip = linear(n_inputs), linear(n_outputs), linear(n_outputs)

    def forward(self, a: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(a))) + self.skip(a)


class InfomaxHead(nn.Module):
    """The maps of all blocks -> local features (n, n_outputs, h, w), global ones (n, n_outputs)."""

    def __init__(self, n_local: int, n_global: int, n_outputs: int, norm: str):
        super().__init__()
        self.of_local = Projection(nn.Conv2d, n_local, n_outputs, norm)
        self.of_global = Projection(nn.Linear, n_global, n_outputs, norm)

    def forward(self, maps: list[Tensor], features: Tensor) -> tuple[Tensor, Tensor]:
        return self.of_local(maps[-2]), self.of_global(maps[-1].flatten(2).sum(2))


def add_heads(net: Any, heads: Mapping[str, Any], rng: torch.Generator | None = None) -> None:
    """Give a critic auxiliary heads: {"rotation": True, "infomax": n_outputs}, or one of them.

    They are initialised from `rng`; without it, they are for a network that is being rebuilt.
    """
    make = partial(_made, net, **heads)
    critic_of(net).auxiliary = make() if rng is None else build_seeded(make, rng)
    net.recipe["auxiliary"] = dict(heads)


def _made(net: Any, rotation: bool = False, infomax: int | None = None) -> nn.ModuleDict:
    arguments, heads = _arguments(net), nn.ModuleDict()
    norm = arguments["norm"]
    if rotation:
        heads["rotation"] = RotationHead(critic_of(net).head.in_features, norm)
    if infomax is not None:
        n_local, n_global = _channels(arguments)[-2:]
        heads["infomax"] = InfomaxHead(n_local, n_global, infomax, norm)
    return heads


def obstacle(net: nn.Module, task: str) -> str:
    """Why a discriminator cannot have the auxiliary head of a task, and a fix; "" if it can."""
    if not isinstance(critic_of(net), Critic):
        return (
            f"needs a discriminator whose layers skgan knows, not a {type(net).__name__}: use a "
            "name or a spec"
        )
    arguments = _arguments(net)
    shape: Any = arguments.get("image_shape") or arguments["input_shape"]
    if len(shape) != 3:
        return f"is for images, but X is a table of {shape[0]} columns: set image_shape"
    if task == "rotation" and shape[1] != shape[2]:
        return (
            f"rotates images by 90 degrees, but these are {shape[1]}x{shape[2]}: make them square"
        )
    if task == "infomax" and len(_channels(arguments)) < 2:
        return (
            "needs a discriminator with feature maps in the layer before its last: use a "
            "DCGANSpec of two or more blocks"
        )
    return ""


def critic_of(net: Any) -> Any:
    """The part of a role's network that judges samples alone, and holds the auxiliary heads."""
    if isinstance(net, UnaryDiscriminator):
        return net.x_critic
    return net.net if isinstance(net, Branch) else net


def _arguments(net: Any) -> dict[str, Any]:
    """The arguments of the family's discriminator."""
    return net.recipe.get("arguments", net.recipe)


def _channels(arguments: Mapping[str, Any]) -> tuple[int, ...]:
    """Channels of every block of a convolutional critic, shallow to deep."""
    last = arguments.get("feature_dim")
    return (*arguments.get("channels", ()), *([] if last is None else [last]))
