"""What modules of other people's making need besides `copy.deepcopy` and a call."""

import copy
import threading
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

_watched = threading.RLock()


def settle(net: nn.Module) -> nn.Module:
    """Make a network one that can be copied; in place, and nothing that it computes changes.

    What layers compute from parameters and keep, such as the weight that the older spectral norm
    leaves on its layer, PyTorch refuses to copy with its history. It is computed anew in each pass.
    """
    for module in net.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor) and not value.is_leaf:
                setattr(module, name, value.detach())
    return net


def copied(net: nn.Module) -> Any:
    """A deep copy of any network."""
    return copy.deepcopy(settle(net))


def run_watched(
    net: nn.Module,
    x: Tensor,
    kinds: tuple[type[nn.Module], ...],
    look: Callable[[nn.Module, tuple[Any, ...], Any], Any],
) -> list[Any]:
    """Run x through a network: `look(module, inputs, output)` of all submodules of some kinds.

    In the order in which they run, once for every time. The hooks stand in a network that several
    threads may share, so one thread at a time looks, and at its own calls only.
    """
    seen: list[Any] = []
    me = threading.get_ident()

    def hook(module, inputs, output):
        if threading.get_ident() == me:
            seen.append(look(module, inputs, output))

    with _watched:
        handles = [m.register_forward_hook(hook) for m in net.modules() if isinstance(m, kinds)]
        try:
            net(x)
        finally:
            for handle in handles:
                handle.remove()
    return seen
