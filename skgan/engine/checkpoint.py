"""Training states: taken, put back, and kept in files that survive a kill at any moment."""

import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..utils.files import write_atomically
from .players import Players

FORMAT = 1
SUFFIX = ".pt"

State = dict[str, Any]


def take(players: Players, history: list[dict[str, float]], seed: int) -> State:
    """Everything that the next epoch depends on: tensors (cloned, on the CPU) and plain data."""
    return {
        "seed": seed,
        "history": [dict(row) for row in history],
        "rng": players.rng.get_state(),
        "nets": {role: _cpu(net.state_dict()) for role, net in players.nets.items()},
        "ema": {role: _cpu(dict(enumerate(mean))) for role, mean in players.ema.items()},
        "optimizers": {
            role: {
                i: _cpu(slots) for i, slots in optimizer.state_dict()["state"].items()
            }
            for role, optimizer in players.optimizers.items()
        },
        "n_updates": dict(players.n_updates),
        "n_steps": players.n_steps,
    }  # fmt: skip


def from_networks(
    nets: Mapping[str, nn.Module], history: list[dict[str, float]], seed: int, n_steps: int
) -> State:
    """A state to go on from where only the networks are left: optimizers begin anew."""
    return {
        "seed": seed,
        "history": history,
        "rng": torch.Generator().manual_seed(seed + n_steps).get_state(),
        "nets": {role: _cpu(net.state_dict()) for role, net in nets.items()},
        "ema": {role: _cpu(dict(enumerate(net.parameters()))) for role, net in nets.items()},
        "optimizers": {role: {} for role in nets},
        "n_updates": dict.fromkeys(nets, 0),
        "n_steps": n_steps,
    }


def put_back(players: Players, history: list[dict[str, float]], state: State | bytes) -> int:
    """The inverse of `take`, into players just built for the same networks; returns the seed."""
    state = decode(state) if isinstance(state, bytes) else state
    shapes = {r: [tuple(v.shape) for v in n.state_dict().values()] for r, n in players.nets.items()}
    saved = {r: [tuple(v.shape) for v in n.values()] for r, n in state["nets"].items()}
    if shapes != saved:
        raise ValueError(
            "the networks are not those of the training that is to go on: keep generator, "
            "discriminator, norm and latent_dim, or start anew with warm_start=False."
        )
    history[:] = [dict(row) for row in state["history"]]
    players.rng.set_state(state["rng"])
    for role, net in players.nets.items():
        net.load_state_dict(state["nets"][role])
        for mean, saved in zip(players.ema[role], state["ema"][role].values(), strict=False):
            mean.copy_(saved)
    for seat, saved in state["optimizers"].items():
        optimizer = players.optimizer(seat)
        groups = optimizer.state_dict()["param_groups"]  # rates are set by the loop
        slots = {i: dict(s) for i, s in saved.items()}
        optimizer.load_state_dict({"state": slots, "param_groups": groups})
    players.n_updates = dict(state["n_updates"])
    players.n_steps = state["n_steps"]
    players.settle_buffers()
    return state["seed"]


def encode(state: State) -> bytes:
    """A state as bytes, readable with `torch.load(..., weights_only=True)`."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def decode(content: bytes) -> State:
    """The inverse of `encode`."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _cpu(tensors: Mapping[Any, Any]) -> dict[Any, Any]:
    return {
        k: v.detach().cpu().clone() if isinstance(v, torch.Tensor) else v
        for k, v in tensors.items()
    }


class Checkpoints:
    """The checkpoints of one fit, in a folder of their own below `folder`.

    Parameters
    ----------
    folder : path
        May be shared by many fits: each has a subfolder named by its identity.
    identity : dict
        What must be equal for a checkpoint to be used: plain data, flat.
    keep : int
        How many of the newest are kept.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any], keep: int):
        self.root = Path(folder)
        self.identity = {k: str(v) for k, v in identity.items()} | {"format": str(FORMAT)}
        text = json.dumps(self.identity, sort_keys=True)
        name = f"{self.identity['estimator']}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        self.folder = self.root / name
        self.keep = keep

    def find(self, resume: str) -> State | None:
        """The newest state of this fit, if `resume` ("auto", "never", "must") wants one.

        Files that a kill or a full disk has left unreadable are passed over.
        """
        if resume == "never":
            return None
        for path in _newest_first(self.folder):
            found = _read(path)
            if found is not None and found["identity"] == self.identity:
                return found["state"]
        difference = self._difference()
        if resume == "must":
            raise ValueError(
                f"resume='must', but checkpoint_dir={str(self.root)!r} has no checkpoint of this "
                f"fit{difference or ''}: use resume='auto' to start anew."
            )
        if difference:
            warnings.warn(
                f"starting anew: no checkpoint in {str(self.root)!r} is of this fit{difference}.",
                UserWarning,
                stacklevel=2,
            )
        return None

    def _difference(self) -> str | None:
        """How the newest checkpoint of any other fit differs from what is asked for."""
        for path in _newest_first(self.root, "*/*"):
            found = _read(path)
            if found is None:
                continue
            theirs = found["identity"]
            names = [
                k for k in {**theirs, **self.identity} if theirs.get(k) != self.identity.get(k)
            ]
            parts = [f"{k}={theirs.get(k)} there, {self.identity.get(k)} now" for k in names]
            return f" ({path.parent.name} has {'; '.join(parts)})"
        return None

    def write(self, state: State) -> None:
        """Write atomically: a reader sees the whole file or none; then drop the oldest ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        epoch = len(state["history"])
        path = self.folder / f"epoch-{epoch:06d}{SUFFIX}"
        write_atomically(path, encode({"identity": self.identity, "state": state}))
        for old in _newest_first(self.folder)[self.keep :]:
            old.unlink(missing_ok=True)


def _newest_first(folder: Path, pattern: str = "*") -> list[Path]:
    files = [p for p in folder.glob(pattern + SUFFIX) if not p.name.startswith(".")]
    return sorted(files, key=lambda p: (p.name, p.stat().st_mtime), reverse=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return decode(path.read_bytes())
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        warnings.warn(f"checkpoint {path} cannot be read ({error}); passed over.", stacklevel=3)
        return None
