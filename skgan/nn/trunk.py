"""A trunk with named heads: networks that share their first layers and differ in their last.

The layers of one network are divided. The first ones are the trunk; the others, followed by a head,
are a branch, and there may be any number of branches. `Joined` is a trunk and a branch as one
network, from samples to the head's output. `build_heads` builds all parts, from a spec of either
family or from a module that maps samples to features.
"""

import copy
from collections.abc import Mapping
from functools import partial
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from ..utils.checks import is_word
from ..utils.devices import without_autocast
from ..utils.linear import row_basis
from .blocks import Block, Critic, recorded
from .build import module_of, output_of, spec_of
from .extractors import Extractor
from .heads import Head
from .init import build_seeded
from .joint import FAMILIES


class SharedLayers(nn.Module):
    """The trunk: x -> the feature maps after its layers, or x itself if it has no layers.

    Parameters
    ----------
    family : {"dcgan", "mlp"}
    arguments : dict
        Arguments of the family's discriminator.
    n_shared : int
        Number of layers.
    share_bn : bool
        Whether the layers include batch norm. If not, every branch has its own batch norm for them.
    """

    @recorded
    def __init__(self, family, arguments, n_shared, share_bn=True):
        super().__init__()
        self.net = FAMILIES[family](**arguments)
        self.net.blocks = self.net.blocks[:n_shared]
        self.net.head = nn.Identity()
        if not share_bn:
            for block in self.net.blocks:
                block.norm = nn.Identity()

    def forward(self, x: Tensor, branch: "Branch | None" = None) -> Tensor:
        blocks = blocks_of(self, branch)
        x = self.net.prepare(x) if blocks else x
        for block in blocks:
            x = block(x)
        return x


class Branch(nn.Module):
    """The layers after the trunk, and a head: the trunk's feature maps -> the head's output.

    Parameters
    ----------
    family, arguments, n_shared, share_bn
        As for `SharedLayers`. With `n_shared=0` the branch is a whole network on x.
    n_outputs, kind, n_hidden
        As for `Head`. If `kind` is None, it is "scores" with `n_outputs` and "logit" without.
    hidden : dict or None
        What else the head's hidden layers have, as for `Head`.
    """

    recipe: dict[str, Any]

    @recorded
    def __init__(
        self, family, arguments, n_shared, share_bn=True, n_outputs=None, kind=None, n_hidden=None,
        hidden=None,
    ):  # fmt: skip
        super().__init__()
        kind = kind or ("logit" if n_outputs is None else "scores")
        head = Head(kind, n_outputs, n_hidden, **(hidden or {}))
        if not hidden:
            del self.recipe["hidden"]
        if n_hidden is None and head.kind in ("logit", "scores"):
            # The recipe as it was before there were other heads.
            del self.recipe["kind"], self.recipe["n_hidden"]
        self.n_shared = n_shared
        norm = arguments.get("norm", "none")
        # Spectral norm is slow to make: not for a network of which nothing but the head is kept.
        plain = arguments | ({"norm": "none"} if norm == "spectral" else {})
        self.net = FAMILIES[family](**plain, n_outputs=n_outputs)
        if norm == "spectral" and len(self.net.blocks) > n_shared:
            self.net = FAMILIES[family](**arguments, n_outputs=n_outputs)
        width: Any = self.net.head.in_features
        self.net.head = head.on(width, norm)
        shared: Any = self.net.blocks[:n_shared]
        self.norms = nn.ModuleList([] if share_bn else [block.norm for block in shared])
        self.net.blocks = self.net.blocks[n_shared:]

    def forward(self, x: Tensor) -> Tensor:
        x = self.net.run(x if self.n_shared else self.net.prepare(x))
        return self.net.judge(self.net.fuse([x]))


def blocks_of(shared: SharedLayers, branch: Branch | None) -> list[Block]:
    """The shared layers, with the branch's batch norm if it has its own."""
    blocks: Any = shared.net.blocks
    if branch is None or not len(branch.norms):
        return list(blocks)
    norms = zip(blocks, branch.norms, strict=True)
    return [Block(block.conv, norm, block.activation) for block, norm in norms]


class UserTrunk(nn.Module):
    """The first layers of a user-supplied network, which all branches share."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.net = layers

    def forward(self, x: Tensor, branch: nn.Module | None = None) -> Tensor:
        return self.net(x)


class UserBranch(nn.Module):
    """The last layers of a user-supplied network, and a head on their output."""

    def __init__(self, layers: nn.Module, head: nn.Module, n_outputs: int | None):
        super().__init__()
        self.net, self.head, self.n_outputs = layers, head, n_outputs

    def features(self, x: Tensor) -> Tensor:
        return self.net(x).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.head(self.features(x))
        return out.squeeze(1) if self.n_outputs is None else out


class _OnTrunk:
    """One network from samples to a head's output. It contains the modules of both parts."""

    parts: tuple[Any, Any]  # trunk and branch; in a tuple, so that they are not registered twice

    def forward(self, x: Tensor, *others: Any) -> Any:
        """The head's output; given other networks on the same trunk, the tuple of all outputs.

        The shared layers run once if their batch norm is shared too.
        """
        trunk, branch = self.parts
        f = trunk(x, branch)
        if not others:
            return branch(f)
        together = not len(getattr(branch, "norms", ()))
        return branch(f), *(o.parts[1](f) if together else o(x) for o in others)


class Joined(_OnTrunk, Critic):
    """A branch on the shared layers of one of the families."""

    def __init__(self, trunk: SharedLayers, branch: Branch):
        super().__init__()
        self.parts = (trunk, branch)
        self.blocks = nn.ModuleList([*blocks_of(trunk, branch), *branch.net.blocks])
        self.head, self.n_outputs = branch.net.head, branch.net.n_outputs
        self.auxiliary = branch.net.auxiliary

    def prepare(self, x: Tensor) -> Tensor:
        return self.parts[1].net.prepare(x)


class UserJoined(_OnTrunk, nn.Module):
    """A branch on a user-supplied trunk."""

    def __init__(self, trunk: UserTrunk, branch: UserBranch):
        super().__init__()
        self.parts = (trunk, branch)
        self.layers = nn.ModuleList([trunk.net, branch.net, branch.head])
        self.head = branch.head

    @property
    def body(self) -> nn.Module:
        """The layers below the head."""
        return nn.Sequential(self.parts[0], self.parts[1].net)

    def features(self, x: Tensor) -> Tensor:
        return self.parts[1].features(self.parts[0](x))


def with_trunk(nets: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """The networks by role; those of an earlier skgan, without an empty trunk, get one again."""
    branches = [net for net in nets.values() if isinstance(net, Branch)]
    if "trunk" in nets or not branches:
        return nets
    shared = {k: v for k, v in branches[0].recipe.items() if k not in ("n_outputs", "kind")}
    with torch.device("meta"):
        trunk = SharedLayers(**shared).eval()
    before = {role: net for role, net in nets.items() if net not in branches}
    return before | {"trunk": trunk} | nets


def joined(nets: Mapping[str, nn.Module]) -> dict[str, Any]:
    """The networks by role, with every branch replaced by one network of trunk and branch."""
    whole: dict[str, Any] = dict(nets)
    for role, net in nets.items():
        if isinstance(net, Branch):
            whole[role] = Joined(nets["trunk"], net)  # type: ignore[arg-type]
        elif isinstance(net, UserBranch):
            whole[role] = UserJoined(nets["trunk"], net)  # type: ignore[arg-type]
        whole[role].train(net.training)  # a module that is new would be in training mode
    return whole


class JoinedFeatures(Extractor):
    """The features that the heads of one or several networks read, joined: x -> (n, k).

    Parameters
    ----------
    nets : dict of str -> Joined or UserJoined
    subspace : {None, "null", "row"}
        The part of each network's features f that is returned; None: f itself. With P the projector
        onto the row space of the head's weights, "row" is P f, which the head sees, and "null" is
        f - P f, which it does not see (Mao et al. 2019, corollary 4).
    """

    def __init__(self, nets: Mapping[str, Any], subspace: str | None):
        super().__init__()
        self.nets, self.subspace = nn.ModuleDict(nets), subspace
        self.sizes = {name: net.head.in_features for name, net in nets.items()}
        self.n_features = sum(self.sizes.values())

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._part(name, net, x) for name, net in self.nets.items()], dim=1)

    def _part(self, name: str, net: Any, x: Tensor) -> Tensor:
        f = net.features(x).float()
        if self.subspace is None:
            return f
        kept = getattr(self, f"{name}_basis", None)
        B = _row_basis(net, f) if kept is None else kept
        with without_autocast(f):
            row = (f @ B.T) @ B
        return row if self.subspace == "row" else f - row

    def freeze(self) -> None:
        for name, net in self.nets.items() if self.subspace is not None else ():
            self.register_buffer(f"{name}_basis", _row_basis(net, next(net.parameters())))

    def feature_names(self) -> list[str]:
        """For every feature, its network and its index."""
        return [f"{name}_feature{i}" for name, n in self.sizes.items() for i in range(n)]

    def head_weight(self) -> Tensor | None:
        if len(self.nets) > 1 or self.subspace is not None:
            return None
        net: Any = next(iter(self.nets.values()))
        return net.head.weight


def _row_basis(net: Any, like: Tensor) -> Tensor:
    """An orthonormal basis (rank, d) of what the head of a network sees of its input."""
    return torch.from_numpy(row_basis(net.head.weight.numpy(force=True))).to(like)


def build_heads(
    choice: Any, rng: torch.Generator, heads: Mapping[str, Head], *, input_shape: tuple[int, ...],
    norm: str, n_shared: int | str = "all", share_bn: bool = True, called: str = "discriminator",
    more: Mapping[str, Any] | None = None, he_weights: bool = False,
) -> dict[str, nn.Module]:  # fmt: skip
    """Build the networks by role: "trunk", and a branch for every head.

    Parameters
    ----------
    choice : str, spec, callable or Module
        The network: a discriminator but for its head. A module, or what a callable
        `f(input_shape=, norm=)` returns, maps samples to features. An `nn.Sequential` is divided
        into shared and other layers; of any other module all layers are shared.
    heads : dict of str -> Head
        The heads by role.
    n_shared : int or "all"
        Number of layers that the heads share, counted from the input.
    share_bn : bool
        Whether they also share the batch norm of these layers.
    called : str
        The parameter that `choice` is the value of, for messages.
    more : dict
        Further arguments of the family's discriminator; a module can have none.
    he_weights : bool
        Whether first weights have the sizes of `with_he_weights`.
    """
    keywords = {"input_shape": input_shape, "norm": norm}
    given = module_of(called, choice, rng, "discriminator", **keywords)
    if given is not None:
        return _on_module(given, rng, heads, input_shape, n_shared, share_bn, called, he_weights)
    spec = spec_of(called, choice, input_shape, "discriminator")
    arguments = spec._critic(input_shape, norm) | dict(more or {})
    if arguments.get("head_layers", 1) > 1:
        raise ValueError(
            f"{called}={choice!r} has head_layers={arguments['head_layers']}: a head cannot "
            "read several layers if some of them are shared. Use head_layers=1."
        )
    with torch.device("meta"):
        n_layers = len(FAMILIES[spec.family](**arguments).blocks)
    n = _n_shared(n_shared, n_layers)
    shared, own = (spec.family, arguments, n, bool(share_bn)), f"{called}={choice!r}"
    nets: dict[str, nn.Module] = {
        "trunk": build_seeded(lambda: SharedLayers(*shared), rng, he_weights, own)
    }
    for role, h in heads.items():
        make = partial(
            Branch, *shared, h.n_outputs, kind=h.kind, n_hidden=h.n_hidden, hidden=h.of_hidden()
        )
        nets[role] = build_seeded(make, rng, he_weights, own)
    return nets


def _n_shared(n_shared: int | str, n_layers: int) -> int:
    n: Any = n_layers if is_word(n_shared, "all") else n_shared
    if isinstance(n, bool) or not isinstance(n, Integral) or not 0 <= int(n) <= n_layers:
        raise ValueError(
            f"n_shared_layers={n_shared!r} must be 'all' or an integer from 0 to {n_layers}, the "
            "number of layers before the heads."
        )
    return int(n)


def _on_module(
    net, rng, heads, input_shape, n_shared, share_bn, called, he_weights
) -> dict[str, nn.Module]:
    """`build_heads` for a user-supplied network; all branches begin with copies of its layers."""
    if not share_bn:
        raise ValueError(f"share_bn=False needs a {called} that is a name or a spec, not a module.")
    layers = list(net) if isinstance(net, nn.Sequential) else [net]
    n = _n_shared(n_shared, len(layers))
    features = output_of(called, net, [(2, *input_shape)])
    if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != 2:
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(
            f"{called}: the network {type(net).__name__} turns two samples into {got}, but "
            "features of shape (2, k) are expected, which the heads read."
        )
    width = features.flatten(1).shape[1]
    nets: dict[str, nn.Module] = {"trunk": UserTrunk(nn.Sequential(*layers[:n]))}
    for role, h in heads.items():
        own = nn.Sequential(*copy.deepcopy(layers[n:]))
        head = build_seeded(partial(h.on, width), rng, he_weights)
        nets[role] = UserBranch(own, head, h.n_outputs)
    return nets
