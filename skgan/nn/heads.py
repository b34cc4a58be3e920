"""Heads: the last layers of a branch on a trunk, each of a kind."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from ..utils.checks import check_choice, check_size
from .noise import Dropout
from .norms import BatchNormPerDomain, normalised

KINDS = ("logit", "scores", "code", "embedding")


@dataclass(frozen=True)
class Head:
    """The head of a branch, from the features f (n, d) in which the layers before it end.

    Attributes
    ----------
    kind : {"logit", "scores", "code", "embedding"}
        "logit" is a linear layer without bias to one number, (n,), and "scores" one to
        (n, n_outputs); with weight norm they have a bias. "code" is a linear layer with bias to
        (n, n_outputs), and "embedding" the same after a hidden layer (the projection head of
        contrastive methods).
    n_outputs : int or None
        None for a logit.
    n_hidden : int, tuple of int or None
        Units of a hidden layer, or of several, before that layer. None: d for an embedding, no
        hidden layer for the other kinds, as with ().
    relu : bool
        Whether the nonlinearity of hidden layers is ReLU, or LeakyReLU(0.1).
    batch_norm : bool
        Whether hidden layers have batch norm before their nonlinearity.
    bias : bool
        Whether hidden layers have a bias. With batch norm, which has a shift, they need none.
    n_domains : int or None
        Number of domains that have batch norm of their own there; None: one for all samples.
    dropout : float
        Probability with which an output of a hidden layer is set to 0 in training.
    """

    kind: str = "logit"
    n_outputs: int | None = None
    n_hidden: int | tuple[int, ...] | None = None
    relu: bool = False
    batch_norm: bool = False
    bias: bool = True
    n_domains: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        if self.kind != "logit":
            check_size("n_outputs", self.n_outputs)

    def of_hidden(self) -> dict[str, Any]:
        """What hidden layers have besides their units, where that is not as by default."""
        names = ("relu", "batch_norm", "bias", "n_domains", "dropout")
        return {k: getattr(self, k) for k in names if getattr(self, k) != getattr(Head, k)}

    def on(self, width: int, norm: str = "none") -> nn.Module:
        """The layers of the head, for features f (n, width)."""
        hidden = self.n_hidden
        if hidden is None:
            hidden = (width,) if self.kind == "embedding" else ()
        layers: list[nn.Module] = []
        for n in hidden if isinstance(hidden, (tuple, list)) else (hidden,):
            linear = nn.Linear(width, n, bias=self.bias)
            layers += [normalised(linear, norm), *self._after(n)]
            width = n
        bias = self.kind in ("code", "embedding") or norm == "weight"
        last = normalised(nn.Linear(width, self.n_outputs or 1, bias=bias), norm)
        return nn.Sequential(*layers, last) if layers else last

    def _after(self, width: int) -> list[nn.Module]:
        """What follows the linear map of a hidden layer."""
        after: list[nn.Module] = []
        if self.batch_norm:
            bn = nn.BatchNorm1d(width)
            after.append(bn if self.n_domains is None else BatchNormPerDomain(bn, self.n_domains))
        after.append(nn.ReLU() if self.relu else nn.LeakyReLU(0.1))
        return after + ([Dropout(self.dropout)] if self.dropout else [])
