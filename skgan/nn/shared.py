"""Two networks on common first layers: a discriminator and a classifier that share their bottom.

The layers of one trunk are dealt out. The first ones are `SharedLayers`; what is left of the trunk,
and a head, is a `Branch`; there may be several branches. `Joined` puts the two together again.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..utils.linear import row_basis
from .blocks import Block, Critic
from .heads import Extractor
from .init import build_seeded
from .joint import FAMILIES
from .specs import spec_of


class SharedLayers(nn.Module):
    """The first layers of a trunk: x -> the map behind them.

    Parameters
    ----------
    family : {"dcgan", "mlp"}
    arguments : dict
        Of the family's discriminator.
    n_shared : int
        How many layers, at least 1.
    share_bn : bool
        Whether batch norm belongs to them. Otherwise every branch brings its own.
    """

    def __init__(self, family, arguments, n_shared, share_bn=True):
        super().__init__()
        self.recipe = {
            "family": family, "arguments": dict(arguments), "n_shared": n_shared,
            "share_bn": share_bn,
        }  # fmt: skip
        self.net = FAMILIES[family](**arguments)
        self.net.blocks = self.net.blocks[:n_shared]
        self.net.head = nn.Identity()
        if not share_bn:
            for block in self.net.blocks:
                block.norm = nn.Identity()

    def forward(self, x: Tensor, branch: "Branch | None" = None) -> Tensor:
        x = self.net.prepare(x)
        for block in blocks_of(self, branch):
            x = block(x)
        return x


class Branch(nn.Module):
    """The last layers of a trunk, and a head without bias: the map of `SharedLayers` -> (n,).

    Parameters
    ----------
    family, arguments, n_shared, share_bn
        As for `SharedLayers`; `n_shared` may be 0: the branch is then a whole network on x.
    n_outputs : int or None
        Of the head: scores (n, n_outputs); None is one logit (n,).
    """

    def __init__(self, family, arguments, n_shared, share_bn=True, n_outputs=None):
        super().__init__()
        self.recipe = {
            "family": family, "arguments": dict(arguments), "n_shared": n_shared,
            "share_bn": share_bn, "n_outputs": n_outputs,
        }  # fmt: skip
        self.n_shared = n_shared
        self.net = FAMILIES[family](**arguments, n_outputs=n_outputs)
        shared: Any = self.net.blocks[:n_shared]
        self.norms = nn.ModuleList([] if share_bn else [block.norm for block in shared])
        self.net.blocks = self.net.blocks[n_shared:]

    def forward(self, x: Tensor) -> Tensor:
        x = self.net.run(x if self.n_shared else self.net.prepare(x))
        return self.net.judge(self.net.fuse([x]))


def blocks_of(shared: SharedLayers, branch: Branch | None) -> list[Block]:
    """The shared layers, with the batch norm of a branch that brings its own."""
    blocks: Any = shared.net.blocks
    if branch is None or not len(branch.norms):
        return list(blocks)
    norms = zip(blocks, branch.norms, strict=True)
    return [Block(block.conv, norm, block.activation) for block, norm in norms]


class Joined(Critic):
    """A branch on its shared layers as one network, x -> (n,) or (n, n_outputs).

    It holds the very modules of both.
    """

    def __init__(self, shared: SharedLayers | None, branch: Branch):
        super().__init__()
        below: list[Block] = [] if shared is None else blocks_of(shared, branch)
        self.blocks = nn.ModuleList([*below, *branch.net.blocks])
        self.head, self.n_outputs = branch.net.head, branch.net.n_outputs
        self.net = [branch.net]  # in a list, so that its parts are not registered twice

    def prepare(self, x: Tensor) -> Tensor:
        return self.net[0].prepare(x)


def _width(net: Any) -> int:
    return net.head.in_features


class JoinedFeatures(Extractor):
    """What the heads of one or of several networks read, joined: x -> (n, k).

    Parameters
    ----------
    nets : dict of str -> Joined
    subspace : {None, "null", "row"}
        The part of each network's features f that is projected out: with P the projector onto the
        row space of its head's weights, "row" is P f, which the head sees, and "null" f - P f,
        which it does not (Mao et al. 2019, corollary 4).
    """

    def __init__(self, nets: dict[str, Joined], subspace: str | None):
        super().__init__()
        self.nets, self.subspace = nn.ModuleDict(nets), subspace
        self.sizes = {name: _width(net) for name, net in nets.items()}
        self.n_features = sum(self.sizes.values())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._part(net, x) for net in self.nets.values()], dim=1)

    def _part(self, net: Any, x: Tensor) -> Tensor:
        f = net.features(x).float()
        if self.subspace is None:
            return f
        B = torch.from_numpy(row_basis(net.head.weight.numpy(force=True))).to(f)
        with torch.autocast(f.device.type, enabled=False):
            row = (f @ B.T) @ B
        return row if self.subspace == "row" else f - row

    def feature_names(self) -> list[str]:
        """The network and the number of every feature."""
        return [f"{name}_feature{i}" for name, n in self.sizes.items() for i in range(n)]

    def head_weight(self) -> Tensor | None:
        """The head's weight (n_outputs, k), if these features are exactly what one head reads."""
        if len(self.nets) > 1 or self.subspace is not None:
            return None
        net: Any = next(iter(self.nets.values()))
        return net.head.weight


def build_branches(
    choice: Any, rng: torch.Generator, *, input_shape: tuple[int, ...], norm: str,
    n_shared: int | str, share_bn: bool, n_outputs: int,
) -> dict[str, nn.Module]:  # fmt: skip
    """ "trunk" (not where nothing is shared), "discriminator" and "classifier", by role.

    Parameters
    ----------
    choice : str or spec
        Of the discriminator; the classifier is the same but for its head.
    n_shared : int or "all"
        Layers that the two share, from the bottom.
    n_outputs : int
        Of the classifier.
    """
    spec = spec_of("discriminator", choice, input_shape)
    if not hasattr(spec, "family"):
        raise TypeError(
            f"discriminator={choice!r} must be a name or a spec, such as DCGANSpec(width=64): its "
            "layers are dealt out between two networks."
        )
    arguments = spec._critic(input_shape, norm)
    if arguments.get("head_layers", 1) > 1:
        raise ValueError(
            f"discriminator={choice!r} has head_layers={arguments['head_layers']}: a head that "
            "reads several layers cannot stand on shared ones. Use head_layers=1."
        )
    with torch.device("meta"):
        n_layers = len(FAMILIES[spec.family](**arguments).blocks)
    n: Any = n_layers if n_shared == "all" else n_shared
    if isinstance(n, bool) or not hasattr(n, "__index__") or not 0 <= n <= n_layers:
        raise ValueError(
            f"n_shared_layers={n_shared!r} must be 'all' or an integer from 0 to {n_layers}, the "
            "number of layers in front of the heads."
        )
    shared = spec.family, arguments, int(n), bool(share_bn)
    nets = {} if n == 0 else {"trunk": build_seeded(lambda: SharedLayers(*shared), rng)}
    return nets | {
        "discriminator": build_seeded(lambda: Branch(*shared), rng),
        "classifier": build_seeded(lambda: Branch(*shared, n_outputs), rng),
    }
