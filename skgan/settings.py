"""The parameters that all estimators share: their checks, and what their "auto" means."""

import math
from typing import Any

from .engine.runtime import LR_DECAYS, OPTIMIZERS, PRECISIONS
from .utils.checks import check_choice, check_number

CHOICES = {
    "optimizer": OPTIMIZERS,
    "lr_decay": LR_DECAYS,
    "latent": ("uniform", "normal"),
    "precision": PRECISIONS,
    "bn_stats": ("real", "running"),
}


def check_settings(estimator: Any) -> None:
    """Raise a ValueError for the first shared parameter that cannot work."""
    p = estimator.get_params(deep=False)
    if p["n_epochs"] != "auto":
        check_number("n_epochs", p["n_epochs"], low=0, integer=True, instead="'auto'")
    if p["transform_batch_size"] != "auto":
        size = p["transform_batch_size"]
        check_number("transform_batch_size", size, low=1, integer=True, instead="'auto'")
    check_number("batch_size", p["batch_size"], low=2, integer=True)
    check_number("latent_dim", p["latent_dim"], low=1, integer=True)
    check_number("weight_decay", p["weight_decay"], low=0)
    check_number("lr", p["lr"], low=0, open_low=True)
    for name in (k for k in p if k.endswith("_lr") or k == "clip_grad_norm"):
        if p[name] is not None:
            check_number(name, p[name], low=0, open_low=True, instead="None")
    if p["ema_decay"] is not None:
        check_number("ema_decay", p["ema_decay"], low=0, high=1, open_high=True, instead="None")
    if not isinstance(p["betas"], (tuple, list)) or len(p["betas"]) != 2:
        raise ValueError(f"betas={p['betas']!r} must be two numbers, such as (0.5, 0.999).")
    for beta in p["betas"]:
        check_number("betas", beta, low=0, high=1, open_high=True)
    for name, choices in CHOICES.items():
        check_choice(name, p[name], choices)


def resolve_epochs(n_epochs: int | str, steps_an_epoch: int, n_rows: int) -> int:
    """ "auto": 2,000 steps, but at least 10 epochs and at most one for every 10 rows."""
    if isinstance(n_epochs, str):
        return max(1, min(max(math.ceil(2000 / steps_an_epoch), 10), n_rows // 10))
    return n_epochs


def resolve_transform_batch_size(size: int | str, input_shape: tuple[int, ...]) -> int:
    """ "auto": as many rows as hold the values of 512 images of 32x32 pixels."""
    if isinstance(size, str):
        return max(1, 2**19 // math.prod(input_shape[-2:]))
    return size
