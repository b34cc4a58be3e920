"""What a training state holds, compared with the players that are to continue from it.

A state may come from a file of anyone's making, and fused optimizers walk through memory by the
shape of the parameter: so all is compared by name, shape and type before anything is touched.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..utils.kinds import ROWS, Kind, check_declared, count, each, instance, look, looks, one_of
from .players import Players, role_of

# What each optimizer keeps of a parameter: "step", and tensors of the parameter's shape and type.
SLOTS = {
    "Adam": ("step", "exp_avg", "exp_avg_sq"),
    "RMSprop": ("step", "square_avg"),
    "SGD": ("momentum_buffer",),
}
_BY_ROLE = each(dict, "dicts", lambda v: type(v) is dict)
HOLDS: dict[str, Kind] = {
    "seed": count(),
    "history": ROWS,
    "rng": instance(Tensor),
    "nets": _BY_ROLE,
    "ema": _BY_ROLE,
    "optimizer": one_of(*SLOTS),
    "optimizers": _BY_ROLE,
    "n_updates": each(dict, "whole numbers from 0", count().holds),
    "n_steps": count(),
}


def kind_of_optimizer(players: Players) -> str:
    """The class of the players' optimizers, by name."""
    return type(next(iter(players.optimizers.values()))).__name__


def check_state(players: Players, state: Any) -> None:
    """Raise a ValueError that names what differs, unless players can continue from it."""
    instance(dict).check("the training state", state)
    check_declared(HOLDS, state)
    if missing := HOLDS.keys() - state.keys() - {"optimizer"}:
        raise ValueError(f"the training state lacks {', '.join(sorted(missing))}.")
    now = {role: looks(net.state_dict()) for role, net in players.nets.items()}
    then = {role: looks(net) for role, net in state["nets"].items()}
    if other := [role for role in {**then, **now} if now.get(role) != then.get(role)]:
        raise ValueError(
            "the networks are not those of the training that is to continue: "
            f"{', '.join(map(repr, other))} differ. Keep the parameters that they are built by, "
            "or start anew with warm_start=False."
        )
    name = kind_of_optimizer(players)
    before = state.get("optimizer", name)
    if before != name:
        raise ValueError(
            f"optimizer: {name} cannot go on from what {before} remembers. Keep optimizer as it "
            "was, or start anew with warm_start=False."
        )
    for part in ("ema", "n_updates"):
        if state[part].keys() != now.keys():
            raise _other(part, f"of {list(state[part])}", f"of {list(now)}")
    for role, means in state["ema"].items():
        expected = looks(dict(enumerate(players.parameters[role])))
        if means and looks(means) != expected:
            raise _other(f"ema[{role!r}]", looks(means), expected)
    _check_optimizers(players.parameters, state["optimizers"], name)
    rng, size = state["rng"], players.rng.get_state().shape
    if rng.dtype != torch.uint8 or rng.shape[-1:] != size or rng.ndim > 2 or not len(rng):
        raise _other("rng", look(rng), f"uint8 of shape {tuple(size)}")
    for row in rng.reshape(-1, *size):
        try:
            torch.Generator().set_state(row.clone())  # a view would crash it
        except RuntimeError as error:
            raise _other("rng", f"refused ({error})", "a generator's") from error


def _check_optimizers(
    parameters: Mapping[str, list[Tensor]], seats: Mapping[str, Any], optimizer: str
) -> None:
    known = {f"{role}+{i}" if i else role for role in parameters for i in range(len(seats))}
    moved = {role for role, weights in parameters.items() if weights}  # a trunk may be empty
    if not moved <= seats.keys() <= known:
        raise _other("optimizers", f"of {list(seats)}", f"of {list(parameters)}")
    for seat, saved in seats.items():
        weights = parameters[role_of(seat)]
        for i, slots in saved.items():
            name = f"optimizers[{seat!r}][{i!r}]"
            if type(i) is not int or not 0 <= i < len(weights) or type(slots) is not dict:
                raise _other(name, look(slots), f"a dict, of one of {len(weights)} parameters")
            _check_slots(name, slots, dict.fromkeys(SLOTS[optimizer], look(weights[i])))


def _check_slots(name: str, slots: dict[str, Any], expected: dict[str, str]) -> None:
    if slots.keys() == expected.keys() and slots.get("momentum_buffer", 0) is None:
        return  # of SGD, as long as there is none
    found = looks(slots)
    if "step" in expected:
        # PyTorch makes some of its default type, which may be float64.
        kinds = look(torch.zeros((), dtype=torch.float32)), look(torch.zeros(()))
        expected["step"] = found["step"] if found.get("step") in kinds else kinds[0]
    if found != expected:
        raise _other(name, found, expected)
    step = float(slots.get("step", 0))
    if not step >= 0 or not step.is_integer():
        raise _other(f"{name}['step']", step, "a whole number from 0")


def _other(name: str, found: Any, expected: Any) -> ValueError:
    return ValueError(
        f"the training state is not one of these networks: {name} is {found}, but must be "
        f"{expected}. Start anew, with warm_start=False or resume='never'."
    )
