"""Building and initialising networks without touching PyTorch's global random state."""

import math
import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..utils.seeds import layers_draw_from
from .blocks import Trunk
from .noise import set_noise
from .norms import V_STD, FromData, is_normalised


def build_seeded(
    make: Callable[[], nn.Module], rng: torch.Generator, he_weights: bool = False,
    called: str = "heads",
) -> nn.Module:  # fmt: skip
    """Build on the meta device, where no random number is drawn, then initialise from `rng`.

    `called` is what the user calls the network, for messages.
    """
    with torch.device("meta"):
        net = with_he_weights(make()) if he_weights else make()
    check_memory(net.float(), called)
    return lay_out(initialise(net.to_empty(device="cpu"), rng))


def check_memory(net: nn.Module, called: str) -> None:
    """Raise for a network that this machine cannot train: its weights alone are too many."""
    n = sum(p.numel() for p in net.parameters())
    needed = 4 * 4 * n  # float32, with gradients and Adam's two averages
    available = physical_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"{called}: a network of {n:,} weights takes {needed / 2**30:,.0f} GiB to train, and "
            f"this machine has {available / 2**30:,.0f} GiB: choose fewer channels or units."
        )


def physical_memory() -> int | None:
    """Bytes of this machine's memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def lay_out(net: nn.Module) -> nn.Module:
    """Store convolutions channels-last, the layout in which CPUs and GPUs compute fastest."""
    return net.to(memory_format=torch.channels_last)


@torch.no_grad()
def initialise(net: nn.Module, rng: torch.Generator) -> nn.Module:
    """DCGAN's initialisation: weights N(0, 0.02), batch-norm gains N(1, 0.02), shifts 0.

    Learnt codes begin at N(0, 1), as in PyTorch.

    Paper: the weights are as in sec. 3; gains and shifts are as in the released code.
    """
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            _initialise_weight(module, rng)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, _BatchNorm):
            if module.affine:
                nn.init.normal_(module.weight, 1.0, 0.02, generator=rng)
                module.bias.zero_()
            module.reset_running_stats()
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, generator=rng)
        elif isinstance(module, FromData):
            module.start()
    return net


def with_he_weights(net: nn.Module) -> nn.Module:
    """The network, whose first weights are to have the variance 2 / (number of a unit's inputs).

    With these the outputs of ReLU layers are as large as their inputs (He et al. 2015, arXiv
    1502.01852, sec. 2.2): plain SGD does not make up for small weights as Adam does.
    """
    for module in net.modules():
        plain = isinstance(module, (nn.Conv2d, nn.Linear))
        if plain and not nn.utils.parametrize.is_parametrized(module):
            weight: Any = module.weight
            module.init_std = math.sqrt(2 / weight[0].numel())  # type: ignore[assignment]
    return net


def layers_from_data(nets: Iterable[nn.Module]) -> list[FromData]:
    """The layers that take their first weights from samples."""
    return [m for net in nets for m in net.modules() if isinstance(m, FromData)]


@torch.no_grad()
def start_from_data(
    nets: Iterable[nn.Module], run: Callable[[], object], rng: torch.Generator
) -> None:
    """Initialise those layers by their first input while `run` passes samples through them."""
    nets = list(nets)
    layers = layers_from_data(nets)
    started = {layer for layer in layers if layer.from_noisy}  # those wait for the second pass

    def start(layer: Any, inputs: tuple[Any, ...]) -> None:
        if layer not in started:
            started.add(layer)
            layer.start_from(inputs[0], rng)

    hooks = [layer.register_forward_pre_hook(start) for layer in layers]
    modes = [net.training for net in nets]
    try:
        for net in nets:
            net.eval()
        if len(started) < len(layers):
            run()
        noisy, started = started, set(layers) - started
        if noisy:
            for net in nets:
                set_noise(net)
            with layers_draw_from(rng):
                run()
    finally:
        for net, mode in zip(nets, modes, strict=True):
            net.train(mode)
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def zero_head(net: nn.Module) -> nn.Module:
    """Set the last layer of a critic or an encoder to zero.

    A user-supplied module stays as it is, and so does a layer with spectral or weight norm, which
    cannot normalise a zero weight.
    """
    if isinstance(net, Trunk) and not is_normalised(net.head):
        for p in net.head.parameters():
            p.zero_()
    return net


def _initialise_weight(module: Any, rng: torch.Generator) -> None:
    if not nn.utils.parametrize.is_parametrized(module, "weight"):
        nn.init.normal_(module.weight, 0.0, getattr(module, "init_std", 0.02), generator=rng)
        return
    spectral = module.parametrizations.weight
    if hasattr(spectral, "original1"):  # weight norm's direction
        std = getattr(module, "init_std", V_STD)
        nn.init.normal_(spectral.original1, 0.0, std, generator=rng)
        spectral.original0.fill_(1)
        return
    nn.init.normal_(spectral.original, 0.0, 0.02, generator=rng)
    # u and v become the first singular vectors of the weight.
    u, v, weight = spectral[0]._u, spectral[0]._v, spectral.original.flatten(1)
    nn.init.normal_(u, generator=rng)
    for _ in range(15):  # power iterations
        v.copy_(nn.functional.normalize(weight.T @ u, dim=0))
        u.copy_(nn.functional.normalize(weight @ v, dim=0))
