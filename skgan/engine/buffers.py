"""Buffers, such as batch-norm statistics, follow the same rule as parameters: `update` moves them.

A pass through a network that the next `update` does not name leaves no trace in its buffers.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class Buffers:
    """The buffers of networks by role, as they are when a role last moved."""

    def __init__(self, nets: Mapping[str, nn.Module]):
        self._slots = {role: _slots(net) for role, net in nets.items()}
        self.settle()

    def settle(self) -> None:
        """Take every network's buffers as they are now for those that are put back."""
        self._settled = {role: [b.clone() for b in self._of(role)] for role in self._slots}
        # By role: what was put back, its versions then, and what it took the place of.
        self._set_aside: dict[str, tuple[list[Tensor], list[int], list[Tensor]]] = {}

    def put_back(self, role: str) -> None:
        """As they were when the role last moved; what they are now is set aside."""
        if not self._was_run(role):
            return
        # A graph that is still wanted may hold the buffers of now: replace, don't overwrite.
        moved, back = self._of(role), [b.clone() for b in self._settled[role]]
        self._set(role, back)
        self._set_aside[role] = back, [b._version for b in back], moved

    def keep(self, role: str) -> None:
        """As the pass of the role's loss left them, also if they were put back since."""
        if not self._was_run(role):
            self._set(role, self._set_aside[role][2])
        self._set_aside.pop(role, None)
        self._settled[role] = [b.clone() for b in self._of(role)]

    def _of(self, role: str) -> list[Any]:
        return [module._buffers[name] for module, name in self._slots[role]]

    def _set(self, role: str, values: list[Tensor]) -> None:
        for (module, name), value in zip(self._slots[role], values, strict=True):
            module._buffers[name] = value

    def _was_run(self, role: str) -> bool:
        """Whether buffers have moved since they were put back."""
        if role not in self._set_aside:
            return True
        back, versions, _ = self._set_aside[role]
        now = self._of(role)
        return any(
            a is not b or b._version != v for a, b, v in zip(now, back, versions, strict=True)
        )


def _slots(net: nn.Module) -> list[tuple[nn.Module, str]]:
    return [
        (module, name)
        for module in net.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
