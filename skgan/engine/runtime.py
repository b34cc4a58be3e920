"""Where and how networks run: device, precision, optimizers, learning-rate schedules."""

import contextlib
import math
import numbers
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.kernels.conv import (
    HalfKernels,
    Products,
    TiledConvolutions,
    cpu_has_half_kernels,
    cpu_has_products,
    products_pay,
    tiles_pay,
)
from ..utils.callers import warn_caller
from ..utils.checks import is_word
from ..utils.devices import on_cpu_by_default

PRECISIONS = ("auto", "float32", "bfloat16")
LR_DECAYS = (None, "linear", "exponential", "inverse", "cosine")
Decay = str | Callable[[float], float] | None


# How many devices of each kind there are.
COUNTED: dict[str, Callable[[], int]] = {
    "cpu": lambda: 1,
    "cuda": lambda: torch.cuda.device_count() if torch.cuda.is_available() else 0,
    "mps": lambda: int(torch.backends.mps.is_available()),
}
DEVICES = "use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'"


PLACING = threading.Lock()


class AbsentDeviceError(ValueError):
    """A device that this machine does not have."""


def resolve_device(device: str | torch.device) -> torch.device:
    """ "auto" is CUDA, then MPS, then the CPU."""
    if is_word(device, "auto"):
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"device={device!r} is unknown; {DEVICES}.") from error
    if resolved.type not in COUNTED:  # PyTorch knows more, such as "meta", which holds no numbers
        raise ValueError(f"device={device!r} is none that skgan trains on; {DEVICES}.")
    n = COUNTED[resolved.type]()
    if not n:
        name = resolved.type.upper()
        raise AbsentDeviceError(
            f"device={device!r}: PyTorch sees no {name} device here; use 'cpu'."
        )
    if (resolved.index or 0) >= n:
        raise AbsentDeviceError(
            f"device={device!r}: PyTorch sees {n} {resolved.type} device(s) here, counted from 0; "
            f"{DEVICES}."
        )
    return resolved


def place(nets: Iterable[nn.Module], device: str | torch.device) -> None:
    """Move fitted networks to a device, where they are not there already.

    Files and pickles put networks on the CPU. An estimator that was fitted on a device which this
    machine lacks is used where its networks are, with a warning.
    """
    nets = list(nets)
    try:
        wanted = resolve_device(device)
    except AbsentDeviceError as error:
        warn_caller(f"{error} The networks stay where they are.")
        return
    with PLACING:  # or another thread would use networks of which a half has moved
        for net in nets:
            here = {p.device for p in net.parameters()}
            if any(d.type != wanted.type or wanted.index not in (None, d.index) for d in here):
                net.to(wanted)


def resolve_precision(precision: str, device: torch.device, nets: Iterable[nn.Module]) -> str:
    """ "auto" is bfloat16 where that is faster, else float32.

    It is faster on CUDA devices that support it, and on CPUs with instructions for it (AMX,
    AVX512-BF16) if the networks' layers are large enough. The rule is fixed: nothing is timed.
    """
    if precision == "auto":
        fast = has_fast_bfloat16(device) and (device.type == "cuda" or products_pay(nets))
        return "bfloat16" if fast else "float32"
    return precision


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16 products."""
    if device.type == "cuda":  # `is_bf16_supported` is also True where it is emulated
        return torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and (cpu_has_products() or cpu_has_half_kernels())


def arithmetic(
    precision: str, device: torch.device, nets: Iterable[nn.Module] = ()
) -> contextlib.AbstractContextManager:
    """The context in which these networks run; weights and optimizers stay float32.

    It may be entered any number of times, but not while it is already entered.
    """
    if precision == "float32":
        tiled = device.type == "cpu" and tiles_pay(nets)
        return TiledConvolutions() if tiled else contextlib.nullcontext()
    if device.type == "cpu":
        return HalfKernels() if cpu_has_half_kernels() else Products()
    # Without autocast's cache, which would keep the cast of a weight from before its last update.
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


def with_gradients(fit: Callable) -> Callable:
    """Make a method train where its caller has switched gradients off, or set a default device."""
    return on_cpu_by_default(torch.inference_mode(False)(torch.enable_grad()(fit)))


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Inside `arithmetic`, use PyTorch's own float32 kernels, which have second derivatives."""
    with torch.autocast(device.type, enabled=False), torch._C.DisableTorchFunction():
        yield


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """Copies to a GPU run while it computes; for this they go through page-locked memory."""
    if device.type == "cuda":
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


def make_optimizer(
    name: str, parameters: list[Tensor], *, lr: float, betas: tuple[float, float],
    weight_decay: float,
) -> torch.optim.Optimizer:  # fmt: skip
    """Weight decay is coupled: an L2 term added to the gradient, as in the papers' code."""
    fused = {p.device.type for p in parameters} <= {"cpu", "cuda"}
    common: Any = {"params": parameters, "lr": lr, "weight_decay": weight_decay}
    b1, b2 = map(float, betas)
    builders: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adam": lambda: torch.optim.Adam(**common, betas=(b1, b2), fused=fused),
        "rmsprop": lambda: torch.optim.RMSprop(**common),
        "sgd": lambda: torch.optim.SGD(**common, momentum=betas[0]),
    }
    return builders[name]()


OPTIMIZERS = ("adam", "rmsprop", "sgd")


def lr_factor(decay: Decay, epoch: int, n_epochs: int, within: float = 0.0) -> float:
    """The factor of the learning rate in the given epoch (counted from 0).

    "linear" and "exponential" are 1 in the first half of the epochs and then fall once per epoch,
    as in BiGAN's released code: "linear" begins at 1 and would reach zero after the last epoch;
    "exponential" falls from the first epoch of the second half on, and reaches 0.01 in the last.
    The others fall with each step, by the part p of the training that is done, `within` being the
    part of this epoch. "inverse" is that of DANN (Ganin et al. 2016, sec. 5.2.2),
    (1 + 10 p)^-0.75; "cosine" is (1 + cos(pi p)) / 2, which reaches 0 after the last step
    (Loshchilov and Hutter 2017, without restarts); and a function is called with p.
    """
    done = (epoch + within) / n_epochs
    if callable(decay):
        return checked_factor(decay, done)
    if decay == "inverse":
        return (1 + 10 * (epoch + within) / n_epochs) ** -0.75
    if decay == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    half = n_epochs / 2
    if decay is None or epoch < half:
        return 1.0
    if decay == "linear":
        return 1.0 - (epoch - half) / half
    return 0.01 ** ((epoch + 1 - half) / half)


def checked_factor(decay: Callable[[float], float], done: float) -> float:
    """What a user's schedule gives for the part of the training that is done.

    Raises
    ------
    ValueError
        If it cannot be called with a number, or gives none of at least 0.
    """
    name = getattr(decay, "__name__", type(decay).__name__)
    try:
        factor = decay(done)
    except Exception as error:
        raise ValueError(
            f"lr_decay={name} cannot be called as f(progress), with the part of the training that "
            f"is done, {done:.4g} ({type(error).__name__}: {error})."
        ) from error
    good = isinstance(factor, numbers.Real) and not isinstance(factor, bool)
    if not good or not math.isfinite(factor) or factor < 0:
        raise ValueError(
            f"lr_decay={name} gives {factor!r} for progress={done:.4g}: it must give a factor of "
            "the learning rate, a finite number of at least 0."
        )
    return float(factor)


def warmup_factor(n_epochs: float, epochs_done: float) -> float:
    """The factor of the learning rate in a linear warm-up over the first `n_epochs` epochs.

    `epochs_done` includes the step at hand, so the first of n steps has 1 / n and the last 1.
    """
    return min(1.0, epochs_done / n_epochs) if n_epochs else 1.0
