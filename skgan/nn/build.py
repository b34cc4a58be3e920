"""What `generator=`, `discriminator=` and `encoder=` accept: names, specs, callables, modules."""

import functools
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from ..utils.callers import warn_caller
from ..utils.checks import check_choice
from ..utils.modules import copied
from ..utils.seeds import global_state_from, global_state_kept
from .blocks import trying_out
from .init import build_seeded
from .specs import DCGANSpec, MLPSpec

KINDS = ("generator", "discriminator", "encoder", "classifier")
_MARTA: dict[str, Any] = {"channels": (16, 32, 64, 128, 256, 512)}

# The specs of every kind by name. faces64, imagenet32 and svhn32 are the networks of DCGAN's
# released code (latent_dim 100, 256 and 100), and marta256 those of MARTA GAN, whose G has smaller
# kernels than its D. bigan784 are BiGAN's permutation-invariant networks for MNIST (sec. 4.2;
# latent_dim 50), and mao32 those of Mao et al. 2019, table 1 (latent_dim 128). salimans784
# are Improved GAN's for MNIST, of its released code (latent_dim 100; D with norm="weight"). ganin28
# are the convolutions of DANN's network for MNIST (Ganin et al. 2016), as tf-dann has them. patches
# is what presets stand on: whitened patches of the images.
NAMED_SPECS: dict[str, dict[str, Any]] = {
    "dcgan": dict.fromkeys(KINDS, DCGANSpec()),
    "mlp": dict.fromkeys(KINDS, MLPSpec()),
    "faces64": dict.fromkeys(KINDS, DCGANSpec(128, n_blocks=4, kernel_size=5)),
    "imagenet32": dict.fromkeys(KINDS, DCGANSpec(
        channels=(128, 128, 256, 256, 512, 512), strides=(1, 2, 1, 2, 1, 2), kernel_size=3,
    )),
    "svhn32": dict.fromkeys(KINDS, DCGANSpec(64, n_blocks=3, kernel_size=5)),
    "marta256": dict.fromkeys(KINDS, DCGANSpec(**_MARTA, kernel_size=5, head_layers=3))
    | {"generator": DCGANSpec(**_MARTA, kernel_size=4)},
    "mao32": dict.fromkeys(KINDS, DCGANSpec(128, n_blocks=3, feature_dim=128)),
    "ganin28": dict.fromkeys(KINDS, DCGANSpec(
        channels=(32, 48), kernel_size=5, downsample="max", activation="relu",
    )),
    "patches": dict.fromkeys(KINDS, DCGANSpec(64, first_layer="patches"))
    | {"generator": DCGANSpec()},
    "bigan784": dict.fromkeys(KINDS, MLPSpec(
        1024, bn_affine=False, z_injection=True, bias=False, unit_range=True, bn_eps=1e-8,
    )),
    # Paper: G's batch norm has shifts alone in the released code, and here gains as well.
    "salimans784": dict.fromkeys(KINDS, MLPSpec(
        widths=(1000, 500, 250, 250, 250), bn_affine=False, unit_range=True, activation="relu",
        noise=(0.3, 0.5), v_std=0.1,
    )) | {"generator": MLPSpec(
        500, unit_range=True, bn_eps=1e-6, generator_activation="softplus", output_norm="weight",
    )},
}  # fmt: skip


def build_network(
    role: str, choice: Any, rng: torch.Generator, *, kind: str | None = None, **keywords: Any
) -> nn.Module:
    """Build the network of a role.

    Parameters
    ----------
    role : str
        Its name in the game, which is that of the parameter that `choice` is the value of.
    choice : Module, str, spec or callable
        A module is copied, with its weights. A callable is called with the keywords and returns a
        module, whose own initialisation is kept. While it runs, PyTorch's global random state is
        seeded from `rng`; afterwards the state is restored (this is not safe while other threads
        draw from it).
    kind : str, optional
        "generator" (keywords `latent_dim`, `output_shape`, and for a mixture `n_generators`),
        "encoder" (`input_shape`, `n_outputs`), "classifier" (`input_shape`, `n_outputs`, `norm`)
        or "discriminator" (`input_shape`, `norm`, and for a critic of pairs (x, z) `latent_dim`,
        `unary`). By default the role is of the kind of its name.
    """
    kind = role if kind is None else kind
    given = module_of(role, choice, rng, kind, **keywords)
    if given is not None:
        return _check_shapes(role, given, kind, **keywords)
    shape = keywords["output_shape" if kind == "generator" else "input_shape"]
    make = getattr(spec_of(role, choice, shape, kind), f"make_{kind}")
    return build_seeded(lambda: make(**keywords), rng, called=f"{role}={choice!r}")


def module_of(role: str, choice: Any, rng: torch.Generator, kind: str, **keywords: Any) -> Any:
    """A copy of a given module, or of the one that a callable returns; None for names and specs."""
    check_kind_of_choice(role, choice, kind)
    if isinstance(choice, nn.Module):
        return copied(choice)
    if isinstance(choice, str) or hasattr(choice, f"make_{kind}"):
        return None
    with global_state_from(rng):
        try:
            net = choice(**keywords)
        except TypeError as error:
            given = ", ".join(f"{name}=" for name in keywords)
            raise TypeError(
                f"{role}={choice!r} was called with {given} and failed: {error}"
            ) from error
    if not isinstance(net, nn.Module):
        raise TypeError(f"{role}={choice!r} returned {type(net).__name__}, not a torch.nn.Module.")
    net = copied(net)
    if any(map(is_parametrized, net.modules())):  # PyTorch refuses to pickle it
        net.made_by = functools.partial(choice, **keywords)
    return net


def check_kind_of_choice(role: str, choice: Any, kind: str) -> None:
    """Raise for what is no network, known before there are samples."""
    if isinstance(choice, type) and hasattr(choice, f"make_{kind}"):
        raise TypeError(f"{role}={choice!r} is a class: pass an instance, {choice.__name__}().")
    if isinstance(choice, str):
        check_choice(role, choice, ("auto", *NAMED_SPECS))
    elif not callable(choice) and not hasattr(choice, f"make_{kind}"):
        raise TypeError(
            f"{role}={choice!r} must be a name ({', '.join(('auto', *NAMED_SPECS))}), a spec such "
            "as DCGANSpec(width=64), a callable that returns a module, or a torch.nn.Module."
        )


def spec_of(role: str, choice: Any, shape: tuple[int, ...], kind: str) -> Any:
    """The spec with this name; any other choice is returned as it is."""
    if not isinstance(choice, str):
        return choice
    check_choice(role, choice, ("auto", *NAMED_SPECS))
    if choice == "auto":
        choice = "dcgan" if len(shape) == 3 else "mlp"
    return NAMED_SPECS[choice][kind]


def _check_shapes(role: str, net: nn.Module, kind: str, **keywords: Any) -> nn.Module:
    """Raise an error for a user-supplied network whose output has the wrong shape for its role."""
    shapes, expected = _shapes_of_two(kind, **keywords)
    out = output_of(role, net, shapes)
    got = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
    if got not in expected:
        raise ValueError(
            f"{role}: the network {type(net).__name__} turns a batch of shape "
            f"{' and '.join(map(str, shapes))} into {got}, but {' or '.join(map(str, expected))} "
            "is expected."
        )
    if kind == "discriminator":
        _warn_of_probabilities(role, net, shapes)
    return net


def _warn_of_probabilities(role: str, net: nn.Module, shapes: list[tuple[int, ...]]) -> None:
    """Warn of a critic whose outputs are between 0 and 1 whatever it sees: losses take logits."""
    rng = torch.Generator().manual_seed(0)
    far = [1e3 * torch.randn(32, *shape[1:], generator=rng) for shape in shapes]
    try:
        with trying_out(net, *shapes) as inputs, global_state_kept():
            out = net(*(f.to(x) for f, x in zip(far, inputs, strict=True)))
    except (RuntimeError, ValueError, AssertionError, IndexError):
        return  # it may look at the range of what it is given, which training keeps to
    if bool(((out >= 0) & (out <= 1)).all()) and float(out.max() - out.min()) > 0:
        warn_caller(
            f"{role}: the network {type(net).__name__} seems to end in a sigmoid. Its output is "
            "taken as a logit, to which losses apply one of their own: leave out the last layer."
        )


def output_of(role: str, net: nn.Module, shapes: list[tuple[int, ...]]) -> Any:
    """A user-supplied network's output for inputs of zeros; an error if it cannot run or train."""
    if not any(p.requires_grad for p in net.parameters()):
        raise ValueError(f"{role}: the network {type(net).__name__} has no parameters to train.")
    try:
        with trying_out(net, *shapes) as inputs, global_state_kept():
            return net(*inputs)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"{role}: the network {type(net).__name__} cannot take a batch of shape "
            f"{' and '.join(map(str, shapes))}: {error}"
        ) from error


def _shapes_of_two(
    kind: str, *, latent_dim=None, output_shape=None, input_shape=None, n_outputs=None,
    unary=False, n_generators=0, **_,
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:  # fmt: skip
    """Shapes of the inputs of a network for two samples, and the output shapes that are allowed."""
    if kind == "generator":
        return [(2, latent_dim + n_generators)], [(2, *output_shape)]
    inputs: list[tuple[int, ...]] = [(2, *input_shape)]
    if kind in ("encoder", "classifier"):
        return inputs, [(2, n_outputs)]
    if latent_dim is not None:
        inputs.append((2, latent_dim))
    return inputs, [(2, 3)] if unary else [(2,), (2, 1)]
