"""A loss and terms added to it: networks minimise the sum, `history_` records the loss alone."""

from collections.abc import Mapping
from typing import Union

from torch import Tensor


class Terms:
    """Named terms to add to a loss: `loss + terms` is passed to `update`.

    If there are none, `loss + terms` is the loss itself.
    """

    def __init__(self, terms: Mapping[str, Tensor]):
        self.terms = dict(terms)

    def __radd__(self, loss: Tensor) -> Union[Tensor, "Regularised"]:
        return Regularised(loss, loss + sum(self.terms.values())) if self.terms else loss


class Regularised:
    """A loss, and the `total` of the loss and its terms; adding another loss adds it to both."""

    def __init__(self, loss: Tensor, total: Tensor):
        self.loss, self.total = loss, total

    def __add__(self, other: Tensor) -> "Regularised":
        return Regularised(self.loss + other, self.total + other)

    __radd__ = __add__
