"""A loss with what is added to it: networks move down the sum, and `history_` has the loss."""

from collections.abc import Mapping
from typing import Union

from torch import Tensor


class Terms:
    """Terms, by name, that are added to a loss: `loss + terms` is what `update` is given.

    Without any it is the loss itself.
    """

    def __init__(self, terms: Mapping[str, Tensor]):
        self.terms = dict(terms)

    def __radd__(self, loss: Tensor) -> Union[Tensor, "Regularised"]:
        return Regularised(loss, loss + sum(self.terms.values())) if self.terms else loss


class Regularised:
    """A loss, and the `total` of it and its terms; other losses may be added to both."""

    def __init__(self, loss: Tensor, total: Tensor):
        self.loss, self.total = loss, total

    def __add__(self, other: Tensor) -> "Regularised":
        return Regularised(self.loss + other, self.total + other)

    __radd__ = __add__
