"""Writes features part by part, so that neither images nor features need fit in memory."""

import contextlib
import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.files import replacing
from .images import Images
from .running import Failure

Write = Callable[[Sequence[str], np.ndarray], None]


def paths_beside(out: Path) -> Path:
    """The file with the paths of the images, beside an .npy file with their features."""
    return out.with_name(f"{out.stem}.paths.txt")


def check_kind(out: Path) -> None:
    """Raise for an ending that no format has, and for a library that is missing."""
    if out.suffix not in WRITERS:
        raise Failure(f"--out {out} must end in {', '.join(WRITERS)}.")
    if out.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise Failure(
                f'--out {out} needs pyarrow, which is missing: pip install "skgan[parquet]", or '
                "name a .csv file."
            ) from error


def write(model: Any, images: Images, out: Path, done: Callable[[int], object]) -> int:
    """Write the features of all images, and return how many features there are.

    Parameters
    ----------
    model : fitted estimator
    images : Images
    out : Path
        ".npy": the features alone, float32 (n, n_features); `paths_beside` has the paths. ".csv"
        and ".parquet": a row for each image, whose first column is "path" (of an array: "row").
    done : callable
        Called with the number of images of each part that is written.
    """
    parts = model.iter_transform(images.X)  # raises for images that do not suit the model
    columns = model.get_feature_names_out().tolist()
    first = "path" if images.in_files else "row"
    with replacing(out.resolve()) as unfinished:
        start = 0
        with WRITERS[out.suffix](unfinished, first, columns, len(images)) as append:
            for part in parts:
                append(images.names[start : start + len(part)], part)
                start += len(part)
                done(len(part))
    if out.suffix == ".npy" and images.in_files:
        with replacing(paths_beside(out).resolve()) as unfinished:
            unfinished.write_text("".join(f"{name}\n" for name in images.names), encoding="utf-8")
    return len(columns)


@contextlib.contextmanager
def _npy(path: Path, first: str, columns: list[str], n: int) -> Iterator[Write]:
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n, len(columns))}
        np.lib.format.write_array_header_1_0(file, header)

        def append(names: Sequence[str], part: np.ndarray) -> None:
            file.write(np.ascontiguousarray(part, "<f4").data)

        yield append


@contextlib.contextmanager
def _csv(path: Path, first: str, columns: list[str], n: int) -> Iterator[Write]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([first, *columns])

        def append(names: Sequence[str], part: np.ndarray) -> None:
            for name, row in zip(names, part.tolist(), strict=True):
                # With nine digits, a reader gets the same float32 back.
                writer.writerow([name, *(f"{value:.9g}" for value in row)])

        yield append


@contextlib.contextmanager
def _parquet(path: Path, first: str, columns: list[str], n: int) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    is_row = first == "row"
    kind = pa.int64() if is_row else pa.string()
    schema = pa.schema([(first, kind), *((name, pa.float32()) for name in columns)])
    with pq.ParquetWriter(path, schema) as writer:

        def append(names: Sequence[str], part: np.ndarray) -> None:
            known: list[Any] = list(map(int, names)) if is_row else list(names)
            arrays = [pa.array(known, kind), *(pa.array(c, pa.float32()) for c in part.T.copy())]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

        yield append


WRITERS: dict[str, Any] = {".npy": _npy, ".csv": _csv, ".parquet": _parquet}
