"""What a command reads: a folder of images, or a NumPy file with an array."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from .running import Failure, Status

N_THREADS = min(4, os.cpu_count() or 1)
# Formats that Pillow only recognises: it needs other programs, or Windows, to decode them.
UNDECODED = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF"}
GREY = ("1", "L", "LA", "La")  # Pillow's modes

Value = TypeVar("Value")


@dataclass(frozen=True)
class Images:
    """Samples, and what each is called: the file's path within the folder, or the row's number."""

    X: Any
    names: list[str]
    in_files: bool

    def __len__(self) -> int:
        return len(self.names)


def read(
    source: Path, status: Status, *, size: tuple[int, int] | None, colour: bool | None,
    skip_bad: bool,
) -> Images:  # fmt: skip
    """The images of a folder, to be decoded batch by batch, or the array of a file.

    Parameters
    ----------
    source : Path
        A folder, or a file that ends in ".npy" or ".npz".
    status : Status
    size : (h, w) or None
        In pixels; None: all images have the same size, which is looked up.
    colour : bool or None
        None: grey where all images are.
    skip_bad : bool
        Whether files that cannot be decoded are left out, and listed; all are decoded once for it.

    Raises
    ------
    click.ClickException
        Where there is nothing to read, or images have several sizes and none is asked for.
    """
    if not source.is_dir():
        if size is not None or colour is not None or skip_bad:
            raise Failure(
                "--size, --grey, --colour and --skip-bad are for folders of images, but "
                f"{source} is none: leave them out."
            )
        return _array(source, status)
    names = _files(source)
    if skip_bad:
        names = _decodable(source, names, status)
    if size is None or colour is None:
        found_size, is_grey = _traits(source, names, size)
        size = found_size if size is None else size
        colour = not is_grey if colour is None else colour
    return _lazy(source, names, size, colour, status)


def read_for(model: Any, source: Path, status: Status, *, skip_bad: bool) -> Images:
    """Images in the size and the colours that a fitted estimator was fitted on.

    Raises
    ------
    click.ClickException
        Where `source` is a folder, and the estimator was not fitted on images in grey or colour.
    """
    if not source.is_dir():
        return read(source, status, size=None, colour=None, skip_bad=skip_bad)
    shape = model.input_shape_
    if len(shape) != 3 or shape[0] not in (1, 3):
        what = f"images of {shape[0]} channels" if len(shape) == 3 else "a table"
        raise Failure(
            f"the model was fitted on {what}, which files of images are not: pass an .npy file "
            f"instead of {source}."
        )
    names = _files(source)
    if skip_bad:
        names = _decodable(source, names, status)
    return _lazy(source, names, shape[1:], shape[0] == 3, status)


def _array(source: Path, status: Status) -> Images:
    if not source.exists():
        raise Failure(f"{source} does not exist: pass a folder of images, or an .npy file.")
    if source.suffix not in (".npy", ".npz"):
        raise Failure(
            f"{source} is neither a folder of images nor an .npy or .npz file: pass the folder "
            "that the images are in."
        )
    try:
        X: Any = np.load(source, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise Failure(f"{source} holds no array of numbers that can be read: {error}") from error
    if isinstance(X, np.lib.npyio.NpzFile):
        if len(X.files) != 1:
            raise Failure(
                f"{source} holds {len(X.files)} arrays ({', '.join(X.files)}): save the one with "
                "the samples as an .npy file."
            )
        try:
            X = X[X.files[0]]
        except ValueError as error:
            raise Failure(f"{source} holds no array of numbers: {error}") from error
    status(f"{source}: an array of shape {X.shape}, {X.dtype}")
    return Images(X, [str(i) for i in range(len(X) if X.ndim else 0)], in_files=False)


def _files(folder: Path) -> list[str]:
    """The paths of the images within a folder and those in it, in order; no hidden ones."""
    endings = _endings()
    names, n_others, seen = [], 0, set()
    for here, folders, files in os.walk(folder, followlinks=True):
        # A link to a folder above would lead around in a circle.
        folders[:] = [d for d in folders if not d.startswith(".")]
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in files:
            if name.startswith("."):
                continue
            if os.path.splitext(name)[1].lower() in endings:
                names.append(Path(here, name).relative_to(folder).as_posix())
            else:
                n_others += 1
    if not names:
        raise Failure(
            f"{folder} has no images, in it or in the folders in it: {n_others} other file(s). "
            "Files are told by endings that Pillow reads, such as .png and .jpg."
        )
    return sorted(names)


def _endings() -> set[str]:
    """The endings of files that Pillow decodes, such as ".png"."""
    from PIL import Image

    Image.init()
    decoded = Image.OPEN.keys() - UNDECODED
    return {ending for ending, name in Image.EXTENSION.items() if name in decoded}


def _lazy(
    folder: Path, names: list[str], size: tuple[int, int], colour: bool, status: Status
) -> Images:
    from .. import LazyImages

    X = LazyImages(
        [os.fspath(folder / name) for name in names], size=size, mode="RGB" if colour else "L"
    )
    status(
        f"{folder}: {len(names)} images, read as {size[0]}x{size[1]} pixels (h x w) in "
        f"{'colour' if colour else 'grey'}"
    )
    return Images(X, names, in_files=True)


def _traits(
    folder: Path, names: list[str], size: tuple[int, int] | None
) -> tuple[tuple[int, int], bool]:
    """The size (h, w) of all images, and whether all are grey; from their files' first bytes."""
    from .. import LazyImages

    def look(name: str) -> tuple[tuple[int, int], str]:
        from PIL import Image

        path = os.fspath(folder / name)
        try:
            with Image.open(path) as image:
                return (image.height, image.width), image.mode
        except OSError:
            LazyImages([path])  # raises, and names the file
            raise

    sizes: dict[tuple[int, int], str] = {}
    is_grey = True
    for name, (found, mode) in zip(names, _in_threads(look, names), strict=True):
        sizes.setdefault(found, name)
        is_grey = is_grey and mode in GREY
    if size is None and len(sizes) > 1:
        texts = [f"{h}x{w} ({name})" for (h, w), name in sizes.items()]
        raise Failure(
            f"the images of {folder} have {len(sizes)} sizes, such as {texts[0]} and {texts[1]}, "
            "h x w in pixels: pass --size HxW to resize and crop all of them."
        )
    return next(iter(sizes)), is_grey


def _decodable(folder: Path, names: list[str], status: Status) -> list[str]:
    """The files that can be decoded; the others are listed on stderr."""
    from .. import LazyImages

    def problem(name: str) -> str | None:
        try:
            LazyImages([os.fspath(folder / name)])
        except (OSError, ValueError) as error:
            return str(error)
        return None

    with status.progress(len(names), "looking at files") as done:
        bad = []
        for name, text in zip(names, _in_threads(problem, names), strict=True):
            done(1)
            if text is not None:
                bad.append(name)
                click.echo(f"Left out: {text}", err=True)
    if len(bad) == len(names):
        raise Failure(f"none of the {len(names)} images of {folder} can be decoded.")
    left = set(bad)
    return [name for name in names if name not in left]


def _in_threads(function: Callable[[str], Value], names: Iterable[str]) -> Iterator[Value]:
    with ThreadPoolExecutor(N_THREADS) as pool:
        yield from pool.map(function, names)
