"""Writes files atomically: a file is complete, or it does not exist."""

import contextlib
import glob
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, and rename it to `path` at the end.

    A reader sees the old file or the complete new one, even if the process is killed in between.
    If there are several writers, the last one wins. What a killed writer has left is removed by the
    next writer of the same file, on the same machine.
    """
    begin = f".{path.name}.{socket.gethostname()}-"
    for left in path.parent.glob(f"{glob.escape(begin)}*.part"):
        if not _is_alive(left.name.removeprefix(begin).split("-")[0]):
            left.unlink(missing_ok=True)
    part = path.with_name(f"{begin}{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield part
        _sync(part, os.O_RDWR)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    if os.name == "posix":
        _sync(path.parent, os.O_RDONLY)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file by means of `replacing`."""
    with replacing(path) as part:
        part.write_bytes(content)


def _is_alive(process: str) -> bool:
    """Whether there is a process of this number; True where that cannot be told."""
    if os.name != "posix" or not process.isdecimal():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _sync(path: Path, mode: int) -> None:
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
