"""What parameters come to: what may not change after `fit`, and what "auto" means."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from .utils.callers import warn_caller
from .utils.checks import check_number
from .utils.parameters import names_of

MOST_UNTRAINED = 0.1  # of the weights' average, without a warning


def shaping(estimator: Any) -> dict[str, Any]:
    """The parameters that fitted networks belong to, as they are now."""
    return {name: getattr(estimator, name) for name in names_of(estimator, "shapes")}


def check_shaping(estimator: Any) -> None:
    """Raise a ValueError where they are not those of the fit, whose networks they belong to."""
    now = shaping(estimator)
    for name, then in getattr(estimator, "_shaped_by", {}).items():
        if name in now and _plain(now[name]) != _plain(then):
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
        estimator._check()
        check_shaping(estimator)


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def check_nested(estimator: Any, params: Mapping[str, Any]) -> None:
    """Raise a ValueError for settings of a value that has none, such as a network's name."""
    own = estimator.get_params(deep=False)
    for key, value in params.items():
        name, _, setting = key.partition("__")
        if not setting or name not in own:
            continue
        whole = params.get(name, own[name])
        if not hasattr(whole, "set_params"):
            fix = ""
            if name in names_of(estimator, "network"):
                fix = f"; give it a spec first, such as {name}=DCGANSpec(), or MLPSpec() for tables"
            raise ValueError(f"{key}={value!r}, but {name}={whole!r} has no settings{fix}.")


def has_prior(estimator: Any) -> bool:
    """For `available_if`: whether there is a prior to draw from."""
    if estimator._prior() is None:
        name, instead = type(estimator).__name__, estimator._instead_of_sample
        raise AttributeError(f"{name} has no prior to draw from{instead}.")
    return True


def check_component(estimator: Any, component: Any, n_samples: int) -> None:
    """Raise a ValueError for a component that the prior does not have; one, or one per sample."""
    if component is None:
        return
    prior = estimator._prior()
    if prior is None or not prior.categories:
        raise ValueError(
            f"component={component!r}: {type(estimator).__name__} draws from a prior without a "
            "categorical part here; leave it None."
        )
    several = hasattr(component, "__len__") and not isinstance(component, str)
    if several and len(component) != n_samples:
        raise ValueError(
            f"component has {len(component)} entries for n_samples={n_samples}: give one number "
            "for all samples, or one for each."
        )
    for k in component if several else [component]:
        check_number("component", k, low=0, high=prior.categories[0] - 1, integer=True)


def resolve_epochs(estimator: Any, steps_an_epoch: int, n_samples: int) -> int:
    """ "auto": 2,000 steps, but at least 10 epochs and at most one for every 10 samples."""
    n_epochs, decay = estimator.n_epochs, estimator.ema_decay
    if isinstance(n_epochs, str):
        n_epochs = max(1, min(max(math.ceil(2000 / steps_an_epoch), 10), n_samples // 10))
    n_steps = n_epochs * steps_an_epoch
    if decay is not None and n_steps and decay**n_steps > MOST_UNTRAINED:
        warn_caller(
            f"ema_decay={decay} keeps {decay**n_steps:.0%} of the initial weights in the average "
            f"after the {n_steps} steps of this fit, so predictions and features are largely those "
            f"of an untrained network: train for longer, or use ema_decay={_decay_for(n_steps)} or "
            "None."
        )
    return n_epochs


def _decay_for(n_steps: int) -> float:
    """A decay whose average is over about the last fifth of so many steps."""
    return round(max(0.0, 1 - 5 / n_steps), 4)


def is_left_out(estimator: Any, X: Any) -> bool:
    """Whether a later `partial_fit` is given a single sample, on which nothing can be trained."""
    if not hasattr(X, "__len__") or len(X) != 1:
        return False
    estimator._validate(X, reset=False)
    warn_caller(
        "X has 1 sample, and training needs at least 2: it is left out. Pass it with others, such "
        "as those of the next or the last call."
    )
    return True


def check_epochs_left(n_epochs: int, done: int) -> None:
    """Raise if a warm start has done more epochs already than asked for; warn if none is left."""
    if done > n_epochs:
        raise ValueError(
            f"n_epochs={n_epochs} is the total, but {done} are done already: ask for at least "
            "as many, or start anew with warm_start=False."
        )
    if done == n_epochs:
        warn_caller(f"n_epochs={n_epochs} are done already: warm_start has nothing to do.")
