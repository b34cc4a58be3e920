"""How a command runs: errors and warnings in one line each, Ctrl-C, files that are not replaced."""

import contextlib
import signal
import socket
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click


def one_line(text: Any) -> str:
    return " ".join(str(text).split())


class Failure(click.ClickException):
    """An error of the library, which is shown in one line."""

    exit_code = 1


class Command(click.Command):
    """A command whose errors and warnings are one line each."""

    def __init__(self, *args: Any, **kwargs: Any):
        # `--n_epochs` is `--n-epochs`.
        settings = {"token_normalize_func": lambda name: name.replace("_", "-")}
        kwargs["context_settings"] = settings | (kwargs.get("context_settings") or {})
        super().__init__(*args, **kwargs)
        text = "Show where in the code an error was raised."
        self.params.append(click.Option(["--debug"], is_flag=True, help=text, expose_value=True))

    def invoke(self, ctx: click.Context) -> Any:
        debug = ctx.params.pop("debug")
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
                raise
            except Exception as error:
                if debug:
                    traceback.print_exc()
                text = one_line(error)
                if not text or isinstance(error, (KeyError, IndexError, AssertionError)):
                    text = f"{type(error).__name__}: {text}"  # such a text alone says nothing
                raise Failure(text) from error


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    click.echo(f"Warning: {one_line(message)}", err=True)


class Status:
    """What a command says on stderr of what it does, unless it is to be quiet."""

    def __init__(self, quiet: bool):
        self.quiet = quiet

    def __call__(self, text: str) -> None:
        if not self.quiet:
            click.echo(text, err=True)

    @property
    def shows_progress(self) -> bool:
        """Whether there is someone to look at a progress bar."""
        return not self.quiet and sys.stderr.isatty()

    @contextlib.contextmanager
    def progress(self, total: int, what: str) -> Iterator[Callable[[int], Any]]:
        """A function to call with each number of images that are done."""
        from tqdm.auto import tqdm

        bar: Any = tqdm(total=total, desc=what, unit="image", disable=not self.shows_progress)
        with bar:
            yield bar.update


@contextlib.contextmanager
def noticing_ctrl_c() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C was pressed, whoever handles it.

    Python writes the number of every signal to a socket, beside calling the handler of the moment,
    which with on_interrupt="stop" is that of `fit`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread receives signals
        return
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield lambda: _was_sent(reader)
        finally:
            signal.set_wakeup_fd(before)


def _was_sent(reader: socket.socket) -> bool:
    try:
        return signal.SIGINT in reader.recv(4096)
    except BlockingIOError:
        return False


def check_out(path: Path, force: bool) -> None:
    """Raise where a file cannot be written, before there is work that would be lost.

    Raises
    ------
    click.ClickException
        If there is something of that name and it is not to be replaced, or if its folder is not
        there or takes no files.
    """
    if path.is_dir():
        raise Failure(f"--out {path} is a folder: name a file in it.")
    if path.exists() and not force:
        raise Failure(f"--out {path} is there already: pass --force to replace it.")
    folder = path.parent
    if not folder.is_dir():
        raise Failure(f"--out {path}: there is no folder {folder}; make it first.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Failure(f"--out {path}: the folder takes no files ({error}).") from error
