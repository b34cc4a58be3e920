"""Means of scalars over the steps of an epoch, which become a row of `history_`."""

from collections.abc import Mapping

from torch import Tensor


class Meters:
    """Sums of scalars by name, on their device; read once per epoch."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def log(self, **values: Tensor) -> None:
        """Log the mean of each tensor."""
        self.add({name: value.detach().float().mean() for name, value in values.items()})

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Log scalars."""
        for name, value in values.items():
            # Some devices have no float64; an epoch's sum is small enough for float32.
            value = value.float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """The means so far, in the order in which their names were first logged."""
        return {name: float(s) / self._counts[name] for name, s in self._sums.items()}

    def read(self) -> dict[str, float]:
        """The means, in the order in which their names were first logged; then all are cleared."""
        means = self.means()
        self._sums, self._counts = {}, {}
        return means
