"""How a CSV file says the labels and domains of images."""

import click
import numpy as np
import pytest

from skgan.cli.images import Images
from skgan.cli.labels import read_domains, read_labels
from skgan.cli.running import Status

NAMES = ["cats/1.png", "cats/2.png", "dogs/1.png", "dogs/9.png"]
IMAGES = Images(None, NAMES, in_files=True)


def labels(tmp_path, text, images=IMAGES):
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return read_labels(images, path, False, Status(quiet=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cats/1.png,3\ncats/2.png,3\ndogs/1.png,4\ndogs/9.png,4\n", [3, 3, 4, 4]),
        ("file,label\ncats/1.png,3\ncats/2.png,3\ndogs/1.png,4\n9.png,4", [3, 3, 4, 4]),
        ("\ufefffile;label\ncats/1.png;a\ncats/2.png;b\n", ["a", "b", -1, -1]),
        ("file\tlabel\n./cats/1.png\ta\n2.png\tb\n", ["a", "b", -1, -1]),
        ("path,width,Label\ncats/1.png,10,a\n2.png,20,b\n9.png,30,c", ["a", "b", -1, "c"]),
        ("pets/cats/1.png,1\npets\\dogs\\9.png,2\n", [1, -1, -1, 2]),
        ("cats/1.png,1\ncats/2.png,\ndogs/1.png,2\n9.png,-1\n", [1, -1, 2, -1]),
        ("cats/1.png,a\ncats/2.png,\ndogs/1.png,b\n9.png,-1\n", ["a", -1, "b", -1]),
        ('cats/1.png,"a, b"\ncats/2.png,c\n', ["a, b", "c", -1, -1]),
        ("cats/1.png,1.5\ncats/2.png,2\n2.png,2\n", ["1.5", "2", -1, -1]),
    ],
)
def test_what_a_file_says(tmp_path, text, expected):
    found = labels(tmp_path, text)
    assert found.tolist() == expected
    if -1 not in expected:
        assert found.dtype.kind in "iU"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.png,a\n2.png,b\n", "'1.png' may be cats/1.png or dogs/1.png"),
        ("cats/1.png,a\ncats/1.png,b\n", "two different labels for cats/1.png"),
        ("x.png,a\ny.png,b\n", "names none of the 4 images"),
        ("cats/1.png\n", "has 1 column"),
        ("cats/1.png,\n", "no label for any"),
        ("", "names none of the 4 images"),
    ],
)
def test_what_cannot_be_meant(tmp_path, text, message):
    with pytest.raises(click.ClickException, match=message):
        labels(tmp_path, text)


def test_rows_of_no_image_are_warned_of(tmp_path):
    with pytest.warns(UserWarning, match=r"2 row\(s\) name no image, such as '7.png'"):
        assert labels(tmp_path, "cats/1.png,1\n7.png,2\n8.png,2").tolist() == [1, -1, -1, -1]


def test_rows_of_an_array_go_by_their_numbers(tmp_path):
    array = Images(np.zeros((3, 8, 8)), ["0", "1", "2"], in_files=False)
    assert labels(tmp_path, "row,label\n2,a\n0,b\n", array).tolist() == ["b", -1, "a"]


def test_folders_are_labels():
    found = read_labels(IMAGES, None, True, Status(quiet=True))
    assert found.tolist() == ["cats", "cats", "dogs", "dogs"]
    deep = Images(None, ["a/x/1.png", "b/1.png"], in_files=True)
    assert read_labels(deep, None, True, Status(quiet=True)).tolist() == ["a", "b"]
    with pytest.raises(click.ClickException, match=r"1\.png lies in the folder itself"):
        read_labels(Images(None, ["1.png"], in_files=True), None, True, Status(quiet=True))
    with pytest.raises(click.ClickException, match="for a folder of images"):
        read_labels(Images(None, ["0"], in_files=False), None, True, Status(quiet=True))


def test_labels_of_another_number_are_refused(tmp_path):
    np.save(tmp_path / "y.npy", np.arange(5))
    with pytest.raises(click.ClickException, match=r"shape \(5,\) for 4 samples"):
        read_labels(IMAGES, tmp_path / "y.npy", False, Status(quiet=True))


def test_domains_are_whole_numbers_of_every_image(tmp_path):
    path = tmp_path / "domains.csv"
    rows = [f"{name},{k}" for name, k in zip(NAMES, (1, -1, 2, -1), strict=True)]
    path.write_text("\n".join(["file,domain", *rows]))
    assert read_domains(IMAGES, path).tolist() == [1, -1, 2, -1]
    path.write_text("\n".join(rows[:-1]))
    with pytest.raises(click.ClickException, match=r"no row for dogs/9\.png"):
        read_domains(IMAGES, path)
    path.write_text("\n".join([*rows[:-1], f"{NAMES[-1]},here"]))
    with pytest.raises(click.ClickException, match="the domain 'here'"):
        read_domains(IMAGES, path)
