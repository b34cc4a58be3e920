"""Copies networks, user-supplied ones included, and observes their submodules."""

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

_watched = threading.RLock()


def settle(net: nn.Module) -> nn.Module:
    """Make a network copyable, in place; what it computes does not change.

    PyTorch refuses to copy tensors with a gradient history that layers keep as attributes, such as
    the weight that the older spectral norm computes. They are recomputed in each forward pass.
    """
    for module in net.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor) and not value.is_leaf:
                setattr(module, name, value.detach())
    return net


def copied(net: nn.Module) -> Any:
    """A deep copy of any network."""
    return copy.deepcopy(settle(net))


@contextlib.contextmanager
def watching(
    net: nn.Module, kinds: tuple[type[nn.Module], ...], hook: Callable[..., Any]
) -> Iterator[None]:
    """Calls `hook(module, inputs, output)` after submodules of these kinds, as a forward hook.

    Several threads may share the network and its hooks, so one thread at a time observes, and only
    its own calls.
    """
    me = threading.get_ident()

    def own(module, inputs, output):
        return hook(module, inputs, output) if threading.get_ident() == me else None

    with _watched:
        handles = [m.register_forward_hook(own) for m in net.modules() if isinstance(m, kinds)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def run_watched(
    net: nn.Module,
    x: Tensor,
    kinds: tuple[type[nn.Module], ...],
    look: Callable[[nn.Module, tuple[Any, ...], Any], Any],
) -> list[Any]:
    """Run x through a network; return `look(module, inputs, output)` of submodules of these kinds.

    There is one result for each call of such a submodule, in order.
    """
    seen: list[Any] = []

    def hook(module, inputs, output):
        seen.append(look(module, inputs, output))

    with watching(net, kinds, hook):
        net(x)
    return seen
