"""The parameters that all estimators share: their checks, and what their "auto" means."""

import contextlib
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from .engine.runtime import LR_DECAYS, OPTIMIZERS, PRECISIONS
from .nn.blocks import TAPS
from .nn.codes import Prior
from .utils.checks import check_choice, check_flag, check_number

CHOICES = {
    "optimizer": OPTIMIZERS,
    "lr_decay": LR_DECAYS,
    "latent": ("uniform", "normal"),
    "precision": PRECISIONS,
    "bn_stats": ("real", "running"),
    "norm": ("batch", "none", "spectral"),
    "tap": TAPS,
    "pool": ("max", "avg"),
    "resume": ("auto", "never", "must"),
    "on_interrupt": ("raise", "stop"),
}
# What the networks' inputs and outputs mean: it cannot change after `fit`.
SHAPING = (
    "image_shape", "data_format", "value_range", "latent", "latent_dim", "categories",
    "n_generators", "unary", "encoder_output", "encoder_size", "generator_size",
)  # fmt: skip


def check_settings(estimator: Any) -> None:
    """Raise a ValueError for the first shared parameter that cannot work.

    A class may leave out those that mean nothing in its game.
    """
    p = estimator.get_params(deep=False)
    if p["n_epochs"] != "auto":
        check_number("n_epochs", p["n_epochs"], low=0, integer=True, instead="'auto'")
    if p["transform_batch_size"] != "auto":
        size = p["transform_batch_size"]
        check_number("transform_batch_size", size, low=1, integer=True, instead="'auto'")
    for name in ("checkpoint_every", "checkpoint_keep"):
        check_number(name, p[name], low=1, integer=True)
    check_flag("warm_start", p["warm_start"])
    if not isinstance(p["checkpoint_dir"], (str, os.PathLike, type(None))):
        raise ValueError(f"checkpoint_dir={p['checkpoint_dir']!r} must be a path, or None.")
    if p["resume"] == "must" and p["checkpoint_dir"] is None:
        raise ValueError("resume='must' needs checkpoint_dir, the folder to resume from.")
    check_number("batch_size", p["batch_size"], low=2, integer=True)
    if "latent_dim" in p:
        check_number("latent_dim", p["latent_dim"], low=1, integer=True)
    if p.get("pool_grid") is not None:
        check_number("pool_grid", p["pool_grid"], low=1, integer=True, instead="None")
    if "validation_fraction" in p:
        fraction = p["validation_fraction"]
        check_number("validation_fraction", fraction, low=0, high=1, open_high=True)
        try:
            if fraction:
                estimates_a_ratio(estimator)
        except AttributeError as error:
            raise ValueError(f"validation_fraction={fraction!r} must be 0 here: {error}") from None
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
    for name in (k for k in CHOICES if k in p):
        check_choice(name, p[name], CHOICES[name])
    sizes = p.get("categories", ())
    if not isinstance(sizes, (tuple, list)):
        raise ValueError(f"categories={sizes!r} must be a tuple of sizes, such as (10,).")
    for size in sizes:
        check_number("categories", size, low=2, integer=True)


def shaping(estimator: Any) -> dict[str, Any]:
    """The parameters that data and codes are read by, as they are now."""
    params = estimator.get_params(deep=False)
    return {name: params[name] for name in SHAPING if name in params}


def check_shaping(estimator: Any) -> None:
    """Raise a ValueError where they are not those of the fit, whose networks they belong to."""
    now = shaping(estimator)
    for name, then in getattr(estimator, "_shaped_by", {}).items():
        if _plain(now[name]) != _plain(then):
            raise ValueError(
                f"{name}={now[name]!r}, but this estimator was fitted with {name}={then!r}: set it "
                "back, or fit anew (with warm_start=False)."
            )


class UnusableError(ValueError, AttributeError):
    """Parameters, set after `fit`, that its networks cannot be used with.

    As scikit-learn's NotFittedError it is an AttributeError too, so that `hasattr` is False.
    """


@contextlib.contextmanager
def use_after_fit() -> Iterator[None]:
    """Makes a ValueError an UnusableError."""
    try:
        yield
    except ValueError as error:
        raise UnusableError(str(error)) from error


def check_use(estimator: Any) -> None:
    """Raise for parameters, maybe set after `fit`, that fitted networks cannot be used with."""
    with use_after_fit():
        check_settings(estimator)
        estimator._check()
        check_shaping(estimator)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def check_nested(estimator: Any, params: Mapping[str, Any]) -> None:
    """Raise a ValueError for settings of a parameter that has none, as a network's name."""
    own = estimator.get_params(deep=False)
    for key, value in params.items():
        name, _, setting = key.partition("__")
        if not setting or name not in own:
            continue
        whole = params.get(name, own[name])
        if not hasattr(whole, "set_params"):
            fix = ""
            if name in ("generator", "discriminator", "encoder", "classifier"):
                fix = f"; give it a spec first, such as {name}=DCGANSpec(), or MLPSpec() for tables"
            raise ValueError(f"{key}={value!r}, but {name}={whole!r} has no settings{fix}.")


def prior_of(estimator: Any) -> Prior | None:
    """What z is in the estimator's game; None in one that draws no z."""
    e = estimator
    if not hasattr(e, "latent"):
        return None
    return Prior(e.latent, e.latent_dim, tuple(getattr(e, "categories", ())))


def estimates_a_ratio(estimator: Any) -> bool:
    """For `available_if`: whether D's logit is log p_r / p_g in this game."""
    if hasattr(estimator, "_diagnose"):
        loss, unary = getattr(estimator, "loss", "ns"), getattr(estimator, "unary", False)
        if loss == "ns" and not unary:
            return True
        why = "unary=True" if unary else f"loss={loss!r}"
        raise AttributeError(f"with {why} the discriminator gives no density ratio.")
    raise AttributeError(f"{type(estimator).__name__} has no discriminator.")


def has_prior(estimator: Any) -> bool:
    """For `available_if`: whether there is a prior to draw from."""
    if prior_of(estimator) is None:
        raise AttributeError(
            f"{type(estimator).__name__} has no prior to draw from{_instead(estimator)}."
        )
    return True


def check_component(estimator: Any, component: Any) -> None:
    """Raise a ValueError for a component that the prior has not."""
    if component is None:
        return
    prior = prior_of(estimator)
    if prior is None or not prior.categories:
        raise ValueError(
            f"component={component!r}: {type(estimator).__name__} draws from a prior without a "
            "categorical part here; leave it None."
        )
    check_number("component", component, low=0, high=prior.categories[0] - 1, integer=True)


def _instead(estimator: Any) -> str:
    if not hasattr(estimator, "reconstruct"):
        return ""
    return ": use reconstruct, or inverse_transform of codes with output='latent'"


def resolve_epochs(n_epochs: int | str, steps_an_epoch: int, n_rows: int) -> int:
    """ "auto": 2,000 steps, but at least 10 epochs and at most one for every 10 rows."""
    if isinstance(n_epochs, str):
        return max(1, min(max(math.ceil(2000 / steps_an_epoch), 10), n_rows // 10))
    return n_epochs


def resolve_transform_batch_size(size: int | str, input_shape: tuple[int, ...]) -> int:
    """ "auto": as many rows as hold the pixels of 256 images of 32x32."""
    if isinstance(size, str):
        return max(1, 2**18 // math.prod(input_shape[-2:]))
    return size


def check_epochs_left(n_epochs: int, done: int) -> None:
    """Raise if a warm start has done more epochs already than asked for; warn if none is left."""
    if done > n_epochs:
        raise ValueError(
            f"n_epochs={n_epochs} is the total, but {done} are done already: ask for at least "
            "as many, or start anew with warm_start=False."
        )
    if done == n_epochs:
        warnings.warn(
            f"n_epochs={n_epochs} are done already: warm_start has nothing to do.",
            UserWarning,
            stacklevel=4,
        )
