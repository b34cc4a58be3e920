"""Buffers, such as batch-norm statistics, change like parameters: only where `update` says so.

A forward pass through a network that the next `update` does not name leaves its buffers unchanged.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class Buffers:
    """The buffers of every role's network, as they were after its last update."""

    def __init__(self, nets: Mapping[str, nn.Module]):
        self._slots = {role: _slots(net) for role, net in nets.items()}
        self.settle()

    def settle(self) -> None:
        """Store every network's buffers; `put_back` restores these."""
        self._settled = {role: [b.clone() for b in self._of(role)] for role in self._slots}
        # By role: the buffers that were put back, their versions then, and those they replaced.
        self._set_aside: dict[str, tuple[list[Tensor], list[int], list[Tensor]]] = {}

    def put_back(self, role: str) -> None:
        """Restore the buffers from after the role's last update, and set the present ones aside."""
        if not self._was_run(role):
            return
        # An autograd graph still in use may hold the present buffers: replace, don't overwrite.
        moved, back = self._of(role), [b.clone() for b in self._settled[role]]
        self._set(role, back)
        self._set_aside[role] = back, [b._version for b in back], moved

    def keep(self, role: str) -> None:
        """Keep the buffers as the pass for the role's loss left them, even if put back since."""
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
        """Whether a forward pass has changed the buffers since they were put back."""
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
