"""`skgan probe`: a held-out split, and `skgan.evaluation.probe` with its baselines."""

import contextlib
import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.files import replacing
from .images import Images
from .running import Failure

BUDGETS = (10, 100)  # samples a class, those of `probe`


def split(y: np.ndarray, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training and test samples; classes have the same shares in both.

    Samples without a label are for training, which needs none.

    Raises
    ------
    click.ClickException
        If a class is too small to be split.
    """
    from sklearn.model_selection import train_test_split

    labelled = np.array([label != -1 for label in y.tolist()])
    known = np.flatnonzero(labelled)
    try:
        train, test = train_test_split(
            known, test_size=test_size, random_state=seed, stratify=y[known].astype(str)
        )
    except ValueError as error:
        raise Failure(f"--test-size {test_size:g} of {len(known)} labelled images: {error}") from (
            error
        )
    return np.sort(np.concatenate([train, np.flatnonzero(~labelled)])), np.sort(test)


def budgets_for(y: np.ndarray, rows: np.ndarray) -> tuple[Any, ...]:
    """Those of the usual budgets that every class has samples for, or all labels."""
    labels = [label for label in y[rows].tolist() if label != -1]
    smallest = min(labels.count(label) for label in set(labels))
    return tuple(n for n in BUDGETS if n <= smallest) or ("all",)


def judge(
    extractor: Any, images: Images, y: np.ndarray, test_size: float, seed: int, verbose: int,
    settings: dict[str, Any],
) -> Any:  # fmt: skip
    """The result of `probe` on a held-out part of the images.

    Parameters
    ----------
    extractor : estimator, or a frozen one
    images : Images
    y : ndarray of shape (n,)
    test_size : float
        Share of the labelled images that is held out.
    seed : int
    verbose : int
    settings : dict
        Further arguments of `probe`. Without "n_labels" these are `budgets_for` the images.
    """
    from ..evaluation import probe

    train, test = split(y, test_size, seed)
    if "n_labels" not in settings:
        settings = settings | {"n_labels": budgets_for(y, train)}
    X = images.X
    # Its lines on progress are none of the result.
    with contextlib.redirect_stdout(sys.stderr):
        return probe(
            extractor, X[train], y[train], X[test], y[test], random_state=seed, verbose=verbose,
            **settings,
        )  # fmt: skip


def write(result: Any, out: Path) -> None:
    """A CSV file with a row for every representation and budget."""
    rows = result.summary()
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(out.resolve()) as unfinished:
        unfinished.write_text(text.getvalue(), encoding="utf-8")
