"""Copies networks, user-supplied ones included, and observes their submodules."""

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

OLD_NORMS = (SpectralNorm, WeightNorm)  # forward hooks that compute weights
_watched = threading.RLock()

# PyTorch's layers, by what they are: the maps, and what is applied to their output.
LINEAR_MAPS = (nn.modules.conv._ConvNd, nn.Linear)
ACTIVATIONS = (
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.PReLU, nn.Softplus, nn.Mish,
    nn.Tanh, nn.Hardswish, nn.ReLU6, nn.CELU,
)  # fmt: skip


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


def with_plain_weights(net: Any) -> Any:
    """The network, changed in place, with weights that are computed from others as plain ones.

    Such are those under spectral and weight norm, in PyTorch's parametrisations and in its older
    hooks. The network must be in eval mode. PyTorch's `remove_parametrizations` would damage the
    network that this one was copied from: both are of one class, from which it takes the weights.
    """
    for module in list(net.modules()):
        if parametrize.is_parametrized(module):
            names = list(module.parametrizations)
            weights = {name: getattr(module, name).detach() for name in names}
            module.__class__ = parametrize.type_before_parametrizations(module)
            del module.parametrizations
            for name, weight in weights.items():
                module.register_parameter(name, nn.Parameter(weight, requires_grad=False))
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, OLD_NORMS):
                hook.remove(module)
                del module._forward_pre_hooks[key]
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


def run_layers(
    net: nn.Module, run: Callable[[], Any], change: Callable[[int, Tensor], Tensor | None]
) -> list[Tensor]:
    """The outputs of a network's hidden layers while `run` runs it once.

    These are the outputs of its activation modules before its last linear layer or convolution, in
    the order in which they are computed. `change(i, output)` is called with each, and may return
    what takes its place from there on.
    """
    layers: list[Tensor] = []
    n_hidden = 0

    def hook(module, inputs, output):
        nonlocal n_hidden
        if isinstance(module, LINEAR_MAPS):
            n_hidden = len(layers)
            return None
        changed = change(len(layers), output)
        # A copy: a layer that works in place may follow.
        layers.append((output if changed is None else changed).clone())
        return changed

    with watching(net, (*ACTIVATIONS, *LINEAR_MAPS), hook):
        run()
    return layers[:n_hidden]
