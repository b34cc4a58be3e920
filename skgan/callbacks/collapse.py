"""Notices that a GAN's training has collapsed."""

import math
from typing import Any

import numpy as np
import torch

from ..utils.callers import warn_caller
from ..utils.checks import check_choice, check_number, random_state_of
from ..utils.fitted import FittedNetworks
from .base import Callback, check_is_gan, row_of


class CollapseGuard(Callback):
    """Warns, or ends training, when generated samples or the discriminator have collapsed.

    Set it on the GAN itself: `gan.set_callbacks(CollapseGuard())`. Each epoch that it looks at
    costs a pass over the training samples, for the batch-norm statistics of the networks as they
    would be if training ended there.

    It knows three signs, and acts once one of them was there `patience` times in a row:

    - generated samples are alike: the mean distance between two of them is less than
      `min_diversity` of that between two training samples. Before training it is, so the first
      epochs need some patience;
    - the discriminator is sure of everything, and teaches the generator nothing: its loss is below
      `min_loss`. Only for losses whose logit is a log ratio, which reach 0;
    - p_g / p_r differs wildly between real samples: its coefficient of variation, "alpha_cv" in
      `history_` of fits with `validation_fraction`, is above `max_alpha_cv` (Mao et al. 2019: 0
      where the generator is right).

    Parameters
    ----------
    action : {"warn", "stop"}, default="warn"
        "stop" also ends training after that epoch; `fit` returns with what was learnt.
    every : int, default=1
        Number of epochs from one look to the next.
    patience : int, default=3
        How many looks in a row have to show the same sign.
    min_diversity : float, default=0.1
        From 0 to 1.
    min_loss : float, default=0.01
    max_alpha_cv : float, default=100.0
    n_samples : int, default=256
        Number of training samples, and of generated ones, that are compared.

    Attributes
    ----------
    looks : list of dict
        One entry a look: "epoch", "diversity" as a share of that of training samples where samples
        can be drawn, "discriminator_loss" and "alpha_cv" where the fit has them, and "signs", the
        tuple of those that were seen.

    Raises
    ------
    ValueError
        For bad values, and in `fit`, before any training, for estimators without a generator.

    Examples
    --------
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.callbacks import CollapseGuard
    >>> guard = CollapseGuard("stop", every=5)
    >>> gan = DCGANDiscriminatorFeatures().set_callbacks(guard)
    """

    def __init__(
        self, action: str = "warn", *, every: int = 1, patience: int = 3,
        min_diversity: float = 0.1, min_loss: float = 0.01, max_alpha_cv: float = 100.0,
        n_samples: int = 256,
    ):  # fmt: skip
        check_choice("action", action, ("warn", "stop"))
        for name, number in (("every", every), ("patience", patience)):
            check_number(name, number, low=1, integer=True)
        check_number("min_diversity", min_diversity, low=0, high=1)
        check_number("min_loss", min_loss, low=0)
        check_number("max_alpha_cv", max_alpha_cv, low=0)
        check_number("n_samples", n_samples, low=2, integer=True)
        self.action, self.every, self.patience = action, every, patience
        self.min_diversity, self.min_loss, self.max_alpha_cv = min_diversity, min_loss, max_alpha_cv
        self.n_samples = n_samples
        self.looks: list[dict[str, Any]] = []

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin a new list of looks."""
        check_is_gan(self, estimator)
        if "generator" not in getattr(estimator, "_networks", ()):
            name = type(estimator).__name__
            raise ValueError(f"CollapseGuard needs a generator to look at, and {name} has none.")
        self.looks = []

    def on_fit_task_end(self, estimator: Any, context: Any, *, X: Any = None) -> bool:
        """Look at the networks after an epoch; True ends training."""
        row = row_of(context)
        if row is None or row["epoch"] % self.every:
            return False
        look: dict[str, Any] = {"epoch": int(row["epoch"])} | {
            name: row[name] for name in ("discriminator_loss", "alpha_cv") if name in row
        }
        networks = FittedNetworks(context.training.fitted())
        if networks.has_generator:
            look["diversity"] = self._diversity(networks, X)
        look["signs"] = tuple(self._signs(estimator, look))
        self.looks = looks = context.training.notes.setdefault(self, [])
        looks.append(look)
        lasting = [sign for sign in look["signs"] if self._lasts(sign, looks)]
        for sign in lasting:
            warn_caller(self._message(sign, look))
        return bool(lasting) and self.action == "stop"

    def _diversity(self, networks: FittedNetworks, X: Any) -> float:
        """The mean distance between two generated samples, as a share of that between real ones."""
        rows = np.sort(random_state_of(0).permutation(len(X))[: self.n_samples])
        real = networks.encoded(X[rows]).cpu()
        drawn = networks.generate_in_parts(networks.draw(self.n_samples, 0))
        of_real = _spread(real)
        return _spread(drawn) / of_real if of_real else 1.0  # training samples may all be the same

    def _signs(self, estimator: Any, look: dict[str, Any]) -> list[str]:
        found = {
            "diversity": look.get("diversity", 1.0) < self.min_diversity,
            "discriminator_loss": hasattr(estimator, "density_ratio")
            and look.get("discriminator_loss", math.inf) < self.min_loss,
            "alpha_cv": look.get("alpha_cv", 0.0) > self.max_alpha_cv,
        }
        return [sign for sign, seen in found.items() if seen]

    def _lasts(self, sign: str, looks: list[dict[str, Any]]) -> bool:
        """Whether the sign was there just now for as long as it takes, and not for longer."""
        n = self.patience
        seen = [sign in look["signs"] for look in looks]
        return len(seen) >= n and all(seen[-n:]) and (len(seen) == n or not seen[-n - 1])

    def _message(self, sign: str, look: dict[str, Any]) -> str:
        what = {
            "diversity": "generated samples are alike: the mean distance between two of them is "
            f"{look.get('diversity', 0):.3g} of that between training samples",
            "discriminator_loss": "the discriminator is sure of everything: its loss is "
            f"{look.get('discriminator_loss', 0):.3g}",
            "alpha_cv": "p_g / p_r differs wildly between real samples: its coefficient of "
            f"variation is {look.get('alpha_cv', 0):.3g}",
        }[sign]
        end = " Training ends." if self.action == "stop" else ""
        return (
            f"after epoch {look['epoch']}, {what}. Lower the discriminator's learning rate, or use "
            f"a stabiliser, such as norm='spectral' or augment='auto'.{end}"
        )


def _spread(x: torch.Tensor) -> float:
    """The mean Euclidean distance between two different samples."""
    return float(torch.pdist(x.flatten(1).double()).mean())
