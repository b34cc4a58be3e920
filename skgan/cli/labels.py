"""Labels and domains: from a CSV file, a NumPy file, or the names of folders."""

import csv
import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from .images import Images
from .running import Failure, Status

DELIMITERS = (",", ";", "\t")
WHOLE_NUMBER = re.compile(r"[+-]?\d+")


def read_labels(
    images: Images, path: Path | None, from_folders: bool, status: Status
) -> np.ndarray | None:
    """The labels of the images, or None where there are none to be read.

    Parameters
    ----------
    images : Images
    path : Path or None
        A CSV file, whose first column has paths within the folder or names of files (of an array:
        row numbers), and whose second one, or that with the heading "label", has labels. Images
        without a row, or with an empty label or -1, are unlabelled. Or an .npy file with a label
        for each sample, in order.
    from_folders : bool
        Whether the names of the folders in the folder are the labels, as in torchvision's
        ImageFolder.
    status : Status

    Returns
    -------
    ndarray of shape (n,) or None
        Whole numbers, or text. -1 where there is no label.
    """
    if path is not None and from_folders:
        raise Failure("--labels and --labels-from-folders name labels twice: leave one out.")
    if from_folders:
        y = np.array(_folders(images))
    elif path is None:
        return None
    elif path.suffix == ".npy":
        y = _stored(images, path)
    else:
        y = _as_labels(_column(images, path, "label"))
    known = [label for label in y.tolist() if label != -1]
    if not known:
        raise Failure(f"{path} has no label for any of the {len(images)} images.")
    status(f"labels: {len(known)} of {len(images)} images, {len(set(known))} classes")
    return y


def read_domains(images: Images, path: Path) -> np.ndarray:
    """The domain of every image, a whole number; from a file as that of labels.

    Raises
    ------
    click.ClickException
        For images without a domain, and domains that are no whole numbers.
    """
    if path.suffix == ".npy":
        return _stored(images, path)
    found = _column(images, path, "domain")
    for name, text in zip(images.names, found, strict=True):
        if text is None:
            raise Failure(f"{path} has no row for {name}: every image needs a domain.")
        if not WHOLE_NUMBER.fullmatch(text):
            raise Failure(
                f"{path} has the domain {text!r} for {name}: domains are whole numbers, above 0 "
                "for sources and below 0 for targets."
            )
    return np.array(found, np.int64)


def _folders(images: Images) -> list[str]:
    if not images.in_files:
        raise Failure("--labels-from-folders is for a folder of images: pass --labels.")
    for name in images.names:
        if "/" not in name:
            raise Failure(
                f"--labels-from-folders: {name} lies in the folder itself, where labels are the "
                "names of the folders in it. Move it into one of them, or pass --labels."
            )
    return [name.partition("/")[0] for name in images.names]


def _stored(images: Images, path: Path) -> np.ndarray:
    try:
        y = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise Failure(f"{path} cannot be read: {error}") from error
    if y.shape != (len(images),):
        raise Failure(f"{path} has the shape {y.shape} for {len(images)} samples: one for each.")
    return y


def _as_labels(texts: list[str | None]) -> np.ndarray:
    known = [text for text in texts if text is not None and text not in ("", "-1")]
    if all(map(WHOLE_NUMBER.fullmatch, known)):
        return np.array([int(text or -1) for text in texts])
    if len(known) == len(texts):
        return np.array(known)
    return np.array([-1 if text in (None, "", "-1") else text for text in texts], object)


def _column(images: Images, path: Path, heading: str) -> list[str | None]:
    """The entry of every image in a CSV file, or None for images that it does not name."""
    rows = _rows(path)
    index = _Names(images.names)
    column = 1
    if rows and not index.found(rows[0][0]):
        head = [cell.lower() for cell in rows.pop(0)]
        column = head.index(heading) if heading in head else 1
    entries: dict[str, str] = {}
    unknown: list[str] = []
    for row in rows:
        if len(row) <= column:
            raise Failure(
                f"{path}: the row {','.join(row)!r} has {len(row)} column(s), and none for a "
                f"{heading}: rows are a file and its {heading}, with a comma between them."
            )
        names = index.found(row[0])
        if len(names) > 1:
            raise Failure(
                f"{path}: {row[0]!r} may be {names[0]} or {names[1]}: give the path within the "
                "folder."
            )
        if not names:
            unknown.append(row[0])
        elif entries.setdefault(names[0], row[column]) != row[column]:
            raise Failure(f"{path} has two different {heading}s for {names[0]}.")
    if not entries:
        raise Failure(
            f"{path} names none of the {len(images)} images, which are called such as "
            f"{images.names[0]!r}: its first column must have their paths within the folder."
        )
    if unknown:
        import warnings

        text = f"{path}: {len(unknown)} row(s) name no image, such as {unknown[0]!r}."
        warnings.warn(text, UserWarning, stacklevel=2)
    return [entries.get(name) for name in images.names]


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=first.count)
            rows = [[cell.strip() for cell in row] for row in csv.reader(file, delimiter=delimiter)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Failure(f"{path} cannot be read as a CSV file in UTF-8: {error}") from error
    return [row for row in rows if any(row)]


class _Names:
    """Finds images by their path within the folder, a part of it, or a longer path."""

    def __init__(self, names: list[str]):
        self.by_file: dict[str, list[str]] = {}
        for name in names:
            self.by_file.setdefault(PurePosixPath(name).name, []).append(name)

    def found(self, cell: str) -> list[Any]:
        path = cell.replace("\\", "/").removeprefix("./")
        same_file = self.by_file.get(PurePosixPath(path).name, [])
        if path in same_file:
            return [path]
        return [n for n in same_file if n.endswith(f"/{path}") or path.endswith(f"/{n}")]
