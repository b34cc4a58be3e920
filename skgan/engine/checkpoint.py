"""Training states: taken, put back, and kept in files that survive a kill at any moment."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..utils import plain, processes, sealed
from ..utils.callers import warn_caller
from ..utils.files import write_atomically
from ..utils.seeds import stream
from .players import Players, laid_out_as, role_of
from .states import check_state, kind_of_optimizer

FORMAT = 2
SUFFIX = ".safetensors"
KEPT = f"kept{SUFFIX}"  # what a callback wants the fit to go back to at its end
SUFFIX_BEFORE = ".pt"  # of format 1, which is not opened: PyTorch's own

State = dict[str, Any]


def take(players: Players, history: list[dict[str, float]], seed: int) -> State:
    """Everything that the next epoch depends on: tensors (cloned, on the CPU) and plain data."""
    return {
        "seed": seed,
        "history": [dict(row) for row in history],
        "rng": players.rng.get_state(),
        "nets": {role: _cpu(net.state_dict()) for role, net in players.nets.items()},
        "ema": {role: _cpu(dict(enumerate(mean))) for role, mean in players.ema.items()},
        "optimizer": kind_of_optimizer(players),
        "optimizers": {
            role: {i: _cpu(slots) for i, slots in optimizer.state_dict()["state"].items()}
            for role, optimizer in players.optimizers.items()
        },
        "n_updates": dict(players.n_updates),
        "n_steps": players.n_steps,
    }


def from_networks(
    nets: Mapping[str, nn.Module], history: list[dict[str, float]], seed: int, n_steps: int
) -> State:
    """A state to continue from where only the networks are left: optimizers begin anew."""
    return {
        "seed": seed,
        "history": history,
        "rng": stream(seed, f"step {n_steps}").get_state(),
        "nets": {role: _cpu(net.state_dict()) for role, net in nets.items()},
        "ema": {role: {} for role in nets},
        "optimizers": {role: {} for role in nets},
        "n_updates": dict.fromkeys(nets, 0),
        "n_steps": n_steps,
    }


def put_back(players: Players, history: list[dict[str, float]], state: State | bytes) -> int:
    """The inverse of `take`, into players just built for the same networks; returns the seed.

    Raises
    ------
    ValueError
        For a state of other networks or optimizers, or one that is damaged or made up. Nothing
        has been touched then.
    """
    if isinstance(state, bytes):
        try:
            state = decode(state)
        except ValueError as error:
            raise ValueError(
                f"the state of training that this estimator keeps cannot be read ({error}): start "
                "anew with warm_start=False."
            ) from error
    check_state(players, state)
    history[:] = [dict(row) for row in state["history"]]
    # Earlier versions kept one for each process. `set_state` crashes on a view.
    rng = state["rng"].reshape(-1, state["rng"].shape[-1])[0]
    players.rng.set_state(rng.clone())
    for role, net in players.nets.items():
        net.load_state_dict(state["nets"][role])
        # Averages that were not asked for before begin at the weights.
        means = list(state["ema"][role].values()) or players.parameters[role]
        for mean, weights in zip(players.ema[role], means, strict=bool(players.ema[role])):
            mean.copy_(weights.detach())
    for seat, saved in state["optimizers"].items():
        if not saved:  # it begins anew, or has nothing to move
            continue
        optimizer, weights = players.optimizer(seat), players.parameters[role_of(seat)]
        groups = optimizer.state_dict()["param_groups"]  # rates are set by the loop
        slots = {i: _laid_out(weights[i], slots) for i, slots in saved.items()}
        optimizer.load_state_dict({"state": slots, "param_groups": groups})
    players.n_updates = dict(state["n_updates"])
    players.n_steps = state["n_steps"]
    players.buffers.settle()
    return state["seed"]


def _laid_out(weights: Tensor, slots: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
    """In memory as the weights are: fused optimizers take no notice of strides."""
    return {k: v if v is None or k == "step" else laid_out_as(weights, v) for k, v in slots.items()}


def encode(state: State) -> bytes:
    """A state as bytes: JSON and tensors, with a digest (`skgan.utils.sealed`)."""
    encoder = plain.Encoder({})
    return sealed.seal({"format": FORMAT, "content": encoder.encode("", state)}, encoder.tensors)


def decode(content: bytes) -> State:
    """The inverse of `encode`.

    Raises
    ------
    ValueError
        For bytes that `encode` has not written, or that have been damaged since.
    """
    document, tensors = sealed.verified(content)
    if document.keys() != {"format", "content"}:
        raise ValueError("it holds no training state")
    if document["format"] != FORMAT:
        raise ValueError(f"it has format {document['format']!r}, and this skgan reads {FORMAT}")
    try:
        return plain.decode(document["content"], tensors, {})
    except sealed.ERRORS as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _cpu(tensors: Mapping[Any, Any]) -> dict[Any, Any]:
    return {k: v.detach().cpu().clone() if isinstance(v, Tensor) else v for k, v in tensors.items()}


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
        self.begun_anew = False

    def find(self, resume: str, n_epochs: int, instead: Any = None) -> Any:
        """The newest state of this fit, if `resume` ("auto", "never", "must") wants one.

        States of more than `n_epochs`, and files that a kill or a full disk has left unreadable,
        are passed over. `instead`, if given, is a state that the fit can continue from as well.
        """
        self.begun_anew = resume == "never"
        if resume == "never":
            return instead
        for path in _newest_first(self.folder):
            found = _read(path)
            ours = found is not None and found["identity"] == self.identity
            if found is not None and ours and len(found["state"]["history"]) <= n_epochs:
                return found["state"]
        none = f"checkpoint_dir={str(self.root)!r} has no checkpoint of this fit"
        if resume == "must":
            raise ValueError(
                f"resume='must', but {none}{self._difference()}: use resume='auto' to start anew."
            )
        if instead is not None:
            return instead
        # Fits of other rows, such as those of a search's folds, are meant to be others.
        if difference := self._difference(of_same="data"):
            warn_caller(f"starting anew: {none}{difference}.")
        return None

    def _difference(self, of_same: str = "") -> str:
        """What is there instead: one of this class in format 1, or how any other fit differs.

        The newest checkpoint is named. If `of_same` is given, only those in today's format with
        the same value of that are looked at.
        """
        pattern = f"{self.identity['estimator']}-*/epoch-*"
        if earlier := _newest_first(self.root, pattern, SUFFIX_BEFORE):
            return (
                f" ({earlier[0]} is of an earlier skgan, in PyTorch's format, which this one does "
                "not open: remove it, or continue with the skgan that wrote it)"
            )
        for path in _newest_first(self.root, "*/epoch-*"):
            found = _read(path)
            theirs = found["identity"] if found else self.identity
            if theirs == self.identity:
                continue
            if of_same and theirs.get(of_same) != self.identity.get(of_same):
                continue
            names = [
                k for k in {**theirs, **self.identity} if theirs.get(k) != self.identity.get(k)
            ]
            parts = [f"{k}={theirs.get(k)} there, {self.identity.get(k)} now" for k in names]
            return f" ({path.parent.name} has {'; '.join(parts)})"
        return ""

    def open(self) -> None:
        """Make the folder; a ValueError if it cannot be written to."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise ValueError(
                f"checkpoint_dir={str(self.root)!r} cannot be written to ({error}): choose another "
                "folder, or None."
            ) from error

    def write(self, state: State) -> None:
        """Write atomically: a reader sees the whole file or none; then drop the oldest ones.

        States of more epochs are another fit's, unless this one was to begin anew: they are kept.
        A write that fails warns: training is worth more than its checkpoint.
        """
        if processes.rank() == 0:
            self._write(state)
        processes.wait_for_all()

    def write_kept(self, state: State) -> None:
        """Write the state that training is to go back to at its end, in place of an earlier one."""
        if processes.rank() == 0:
            self._write_file(self.folder / KEPT, state)
        processes.wait_for_all()

    def find_kept(self, history: list[dict[str, float]]) -> State | None:
        """What `write_kept` has written in the training with this history, if anything."""
        found = _read(self.folder / KEPT)
        if found is None or found["identity"] != self.identity:
            return None
        n = len(found["state"]["history"])
        # Another training of the same fit took other times; `repr` because of NaN.
        same = repr(found["state"]["history"]) == repr(history[:n])
        return found["state"] if same and n <= len(history) else None

    def _write(self, state: State) -> None:
        path = self.folder / f"epoch-{len(state['history']):06d}{SUFFIX}"
        if not self._write_file(path, state):
            return
        files = _newest_first(self.folder)
        later = [p for p in files if p.name > path.name]
        old = [p for p in files if p.name <= path.name][self.keep :]
        for p in old + later * self.begun_anew:
            p.unlink(missing_ok=True)
        self.begun_anew = False

    def _write_file(self, path: Path, state: State) -> bool:
        """Whether it could be written; a warning says so where it could not."""
        try:
            write_atomically(path, encode({"identity": self.identity, "state": state}))
        except OSError as error:
            warn_caller(f"checkpoint {path} could not be written ({error}).")
            return False
        return True


def _newest_first(folder: Path, pattern: str = "epoch-*", suffix: str = SUFFIX) -> list[Path]:
    files = [p for p in folder.glob(pattern + suffix) if not p.name.startswith(".")]
    return sorted(files, key=lambda p: (p.name, _time_of_change(p)), reverse=True)


def _time_of_change(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process has just dropped it
        return 0.0


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint; None for what is none, is gone, or is broken, which warns."""
    try:
        found = decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        warn_caller(f"checkpoint {path} is damaged ({error}), and passed over.")
        return None
    ours = isinstance(found, dict) and found.keys() == {"identity", "state"}
    ours = ours and all(type(v) is dict for v in found.values())
    return found if ours and type(found["state"].get("history")) is list else None
