"""The rule for labels that are partly unknown, in the one place that holds it."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from skgan.utils.labels import classes_among, has_label, read_labels, warn_of_unlabelled


@pytest.mark.parametrize(
    ("y", "expected", "known"),
    [
        ([0, 1, -1], [0, 1, -1], "110"),
        ([0, 0, -1], [0, 0, -1], "111"),  # beside one other number, -1 is a class
        (torch.tensor([0, 1, -1]), [0, 1, -1], "110"),
        ([True, False], [True, False], "11"),
        (["a", None, "b"], ["a", -1, "b"], "101"),
        (["a", float("nan"), "b"], ["a", -1, "b"], "101"),
        (["a", -1, None, "a"], ["a", -1, -1, "a"], "1001"),  # among strings it is none
        (np.array(["a", np.nan, "b"], object), ["a", -1, "b"], "101"),
        (pd.Series(["a", None, "b"]), ["a", -1, "b"], "101"),
        (pd.Series(["a", None, "b"], dtype="string"), ["a", -1, "b"], "101"),
        (pd.Series(["a", None, "b"]).astype("category"), ["a", -1, "b"], "101"),
        (np.array(["a", "b"]), ["a", "b"], "11"),
        (np.array(["-1", "1"]), ["-1", "1"], "11"),
    ],
)
def test_labels_are_read(y, expected, known):
    labels = read_labels("y", y)
    assert labels.tolist() == expected
    assert has_label(labels).tolist() == [k == "1" for k in known]
    classes = {label for label, k in zip(expected, known, strict=True) if k == "1"}
    assert classes_among(labels).tolist() == sorted(classes)


def test_what_is_read_is_not_changed():
    y = np.array(["a", None, "b"], object)
    read_labels("y", y)
    assert y.tolist() == ["a", None, "b"]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array(["a", np.nan, "b"]), "y has the string 'nan'.*what NaN becomes"),
        (["a", "nan"], "y has the string 'nan'.*rename the class"),
        (np.array(["a", -1, "b"]), "y has the string '-1'.*what the number -1 becomes"),
        ([0.0, 1.0, np.nan], "y contains NaN.*mark rows without a label by -1"),
        ([0, 1, None], "y has None among labels that are not strings.*by -1"),
        (["a", 3, "b"], "y has strings and 3 among its labels: use strings for all"),
        ([0.0, 1.0, np.inf], "y contains infinity"),
        ([0.5, 1.2, -1.0], "continuous"),
    ],
)
def test_what_is_ambiguous_raises(y, message):
    with pytest.raises(ValueError, match=message):
        read_labels("y", y)


class Undecoded:
    """Decoding it would take a long time."""

    shape, dtype = (10,), np.dtype(int)

    def __array__(self, *args, **kwargs):
        raise AssertionError("decoded")


@pytest.mark.parametrize(
    ("y", "warns"),
    [
        ([-1, 0, 1], True),
        ([[-1], [0], [1]], True),
        (torch.tensor([-1, 3, 4]), True),
        (pd.Series([-1, 0, 1]), True),
        (np.array([-1.0, 0, 2]), True),
        (np.array(["-1", "a", "b"]), True),
        (np.array([-1, "a", "b"], object), True),
        ([-1, 1, 1], False),
        ([-1, -1], False),
        ([0, 1, 2], False),
        (np.array([-1.0, 0.5, 2]), False),
        (np.array([[-1, 0, 1]]), False),
        ([True, False], False),
        (Undecoded(), False),
    ],
)
def test_who_is_warned(y, warns):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warn_of_unlabelled("Gan", y)
    assert len(seen) == warns and all("Gan ignores y" in str(w.message) for w in seen)


def test_the_warning_points_at_the_line_that_called_skgan():
    with pytest.warns(UserWarning, match="Gan ignores y") as caught:
        warn_of_unlabelled("Gan", [0, 1, -1])
    assert caught[0].filename == __file__
