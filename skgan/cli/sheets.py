"""Samples of a generator: on one sheet, as single images, or as an array."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.files import replacing
from .running import Failure


def label_among(classes: Any, text: str) -> Any:
    """The label that a text names.

    Raises
    ------
    click.ClickException
        If there is no such label.
    """
    known = {str(label): label for label in classes.tolist()}
    if text not in known:
        raise Failure(f"--y {text}: the classes of the model are {', '.join(known)}.")
    return known[text]


def draw(
    model: Any, n: int, seed: int | None, y: str | None, component: int | None, *, as_array: bool
) -> np.ndarray:
    """Samples: images (n, c, h, w) in [0, 1], or with `as_array` in the layout of the X of `fit`.

    Raises
    ------
    click.ClickException
        For a model without a generator to draw from, and for y where it has no classes.
    """
    name = type(model).__name__
    verb = "sample" if as_array else "sample_images"
    try:
        sample = getattr(model, verb)
    except AttributeError as error:
        raise Failure(f"nothing can be sampled from this model: {error}") from error
    arguments: dict[str, Any] = {}
    if component is not None:
        arguments["component"] = component
    if y is not None:
        if not _takes(sample, "y"):
            raise Failure(
                f"--y {y}: {name} draws samples of no class by name; leave it out, or fit one "
                "whose generator knows classes, such as acgan or triplegan."
            )
        arguments["y"] = label_among(model.classes_, y)
    return sample(n, random_state=seed, **arguments)


def _takes(method: Any, name: str) -> bool:
    import inspect

    return name in inspect.signature(method).parameters


def write_sheet(images: np.ndarray, out: Path, n_columns: int | None) -> None:
    """One image of all samples, row by row, with a white line between them."""
    n, c, h, w = images.shape
    n_columns = n_columns or math.ceil(math.sqrt(n))
    n_rows = math.ceil(n / n_columns)
    tiles = np.ones((n_rows * n_columns, h + 1, w + 1, c), np.float32)
    tiles[:n, :h, :w] = images.transpose(0, 2, 3, 1)
    tiles = tiles.reshape(n_rows, n_columns, h + 1, w + 1, c).transpose(0, 2, 1, 3, 4)
    _save(tiles.reshape(n_rows * (h + 1), n_columns * (w + 1), c)[:-1, :-1], out)


def write_singly(images: np.ndarray, folder: Path) -> None:
    """A file for each sample: 0000.png, 0001.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = max(4, len(str(len(images) - 1)))
    for i, image in enumerate(images.transpose(0, 2, 3, 1)):
        _save(image, folder / f"{i:0{digits}}.png")


def write_array(samples: np.ndarray, out: Path) -> None:
    """A NumPy file of the samples."""
    with replacing(out.resolve()) as unfinished, unfinished.open("wb") as file:
        np.save(file, samples)


def check_channels(images: np.ndarray) -> None:
    """Raise for samples that are neither grey nor in colour."""
    if images.shape[1] not in (1, 3):
        raise Failure(
            f"the samples have {images.shape[1]} channels, which an image file cannot show: name "
            "an .npy file with --out."
        )


def _save(pixels: np.ndarray, out: Path) -> None:
    from PIL import Image

    whole = np.rint(pixels * 255).astype(np.uint8)
    image = Image.fromarray(whole[..., 0] if whole.shape[-1] == 1 else whole)
    kind = Image.registered_extensions()[out.suffix.lower()]
    with replacing(out.resolve()) as unfinished:
        image.save(unfinished, kind)


def check_folder(folder: Path, force: bool) -> None:
    """Raise where single images cannot be written to a folder, before there are any."""
    if folder.exists() and not folder.is_dir():
        raise Failure(f"--out {folder} is a file: name a folder, or an image file such as x.png.")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise Failure(f"--out {folder} is not empty: pass --force to write into it.")
