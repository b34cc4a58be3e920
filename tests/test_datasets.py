"""Readers of data sets, on small files in each one's own layout; nothing is downloaded."""

import bz2
import inspect
import pickle
import re

import numpy as np
import pytest
import scipy.io
import torchvision.datasets.utils
from PIL import Image
from sklearn.utils import Bunch

from skgan import datasets
from skgan.data.sources import LazyImages
from skgan.datasets.reading import READERS
from skgan.utils.docs import completed_by

RNG = np.random.default_rng(0)
SIZES = {"train": 5, "test": 3, "extra": 4, "unlabeled": 2, "valid": 2}
LOADERS = {name.removeprefix("load_"): getattr(datasets, name) for name in datasets.__all__}


def images(n, *shape):
    return RNG.integers(0, 256, (n, *shape)).astype(np.uint8)


def labels(n, low=0):
    return (np.arange(n) + low).astype(np.uint8)


def write_idx(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(head + values.tobytes())


# Each writes files and returns {subset: (images, labels)}, images as they should come out.


def write_mnist(root, name):
    made = {}
    for subset, prefix in (("train", "train"), ("test", "t10k")):
        X, y = made[subset] = images(SIZES[subset], 28, 28), labels(SIZES[subset])
        write_idx(root / READERS[name].folder / f"{prefix}-images-idx3-ubyte", X)
        write_idx(root / READERS[name].folder / f"{prefix}-labels-idx1-ubyte", y)
    return made


def write_emnist(root, name):
    made = {}
    for subset in ("train", "test"):
        X, y = made[subset] = images(SIZES[subset], 28, 28), labels(SIZES[subset], 1)
        prefix = root / "EMNIST" / "raw" / f"emnist-letters-{subset}"
        write_idx(prefix.with_name(prefix.name + "-images-idx3-ubyte"), X.transpose(0, 2, 1))
        write_idx(prefix.with_name(prefix.name + "-labels-idx1-ubyte"), y)
    return made


def write_cifar(root, name):
    folder = root / READERS[name].folder
    folder.mkdir()
    key, meta = ("labels", "batches.meta") if name == "cifar10" else ("fine_labels", "meta")
    files = {"test": ["test_batch"], "train": [f"data_batch_{i}" for i in range(1, 6)]}
    if name == "cifar100":
        files = {"test": ["test"], "train": ["train"]}
    made = {}
    for subset, names in files.items():
        n = SIZES[subset]
        X, y = made[subset] = images(n, 32, 32, 3), labels(n)
        for part, rows in zip(names, np.array_split(np.arange(n), len(names)), strict=True):
            flat = X[rows].transpose(0, 3, 1, 2).reshape(len(rows), -1)
            (folder / part).write_bytes(pickle.dumps({"data": flat, key: y[rows].tolist()}))
    words = [f"thing{i}" for i in range(10)]
    key = "label_names" if name == "cifar10" else "fine_label_names"
    (folder / meta).write_bytes(pickle.dumps({key: words}))
    return made


def write_svhn(root, name):
    made = {}
    for subset in ("train", "test", "extra"):
        X, y = made[subset] = images(SIZES[subset], 32, 32, 3), labels(SIZES[subset])
        stored = np.where(y == 0, 10, y)[:, None]  # the file calls a zero 10
        file = root / f"{subset}_32x32.mat"
        scipy.io.savemat(file, {"X": X.transpose(1, 2, 3, 0), "y": stored})
    return made


def write_stl10(root, name):
    folder = root / "stl10_binary"
    folder.mkdir()
    made = {}
    for subset in ("train", "test", "unlabeled"):
        X, y = images(SIZES[subset], 96, 96, 3), labels(SIZES[subset])
        made[subset] = X, y if subset != "unlabeled" else np.full(len(X), -1)
        # Channel by channel, column by column; classes count from 1.
        (folder / f"{subset}_X.bin").write_bytes(X.transpose(0, 3, 2, 1).tobytes())
        (folder / f"{subset}_y.bin").write_bytes((y + 1).tobytes())
    return made


def write_usps(root, name):
    made = {}
    for subset, file in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        y = labels(SIZES[subset])
        X = RNG.choice(np.array([0, 255], np.uint8), (len(y), 16, 16))
        made[subset] = X, y
        lines = [
            f"{label + 1} " + " ".join(f"{i + 1}:{v}" for i, v in enumerate(row)) + " \n"
            for label, row in zip(y, X.reshape(len(y), -1) / 127.5 - 1, strict=True)
        ]
        (root / file).write_bytes(bz2.compress("".join(lines).encode()))
    return made


WRITERS = {
    "mnist": write_mnist, "fashion_mnist": write_mnist, "kmnist": write_mnist,
    "emnist": write_emnist, "cifar10": write_cifar, "cifar100": write_cifar,
    "svhn": write_svhn, "stl10": write_stl10, "usps": write_usps,
}  # fmt: skip
OPTIONS = {"emnist": {"split": "letters"}}


@pytest.fixture(autouse=True)
def no_checksums(monkeypatch):
    """Small files have other checksums than the real ones; nothing else of torchvision changes."""
    monkeypatch.setattr(torchvision.datasets.utils, "check_md5", lambda *args, **kwargs: True)


@pytest.mark.parametrize("name", WRITERS)
def test_every_subset_is_read_upright_with_its_labels(name, tmp_path):
    made = WRITERS[name](tmp_path, name)
    if "all" in READERS[name].subsets:
        made["all"] = tuple(map(np.concatenate, zip(made["train"], made["test"], strict=True)))
    assert set(made) == set(READERS[name].subsets)
    for subset, (X, y) in made.items():
        settings = {"subset": subset, "data_home": tmp_path, **OPTIONS.get(name, {})}
        bunch = LOADERS[name](**settings)
        assert isinstance(bunch, Bunch)
        assert (bunch.data.dtype, bunch.target.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(bunch.data, X)
        np.testing.assert_array_equal(bunch.target, y)
        assert bunch.target_names.dtype.kind == "U"
        assert len(bunch.target_names) > bunch.target.max()
        assert f"subset '{subset}': {len(X)} images" in bunch.DESCR
        data, target = LOADERS[name](**settings, return_X_y=True)
        np.testing.assert_array_equal(data, X)
        np.testing.assert_array_equal(target, y)


def test_names_of_classes(tmp_path):
    write_emnist(tmp_path, "emnist")
    letters = datasets.load_emnist(split="letters", data_home=tmp_path)
    assert letters.target_names[letters.target].tolist() == list("abcde")
    write_cifar(tmp_path, "cifar10")
    things = datasets.load_cifar10(data_home=tmp_path)
    assert things.target_names[things.target[1]] == "thing1"
    write_mnist(tmp_path, "fashion_mnist")
    assert datasets.load_fashion_mnist(data_home=tmp_path).target_names[9] == "Ankle boot"


@pytest.fixture
def celeba(tmp_path):
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    faces, attributes = images(6, 218, 178, 3), RNG.choice([-1, 1], (6, 40))
    names = [f"{i + 1:06}.png" for i in range(6)]
    for name, face in zip(names, faces, strict=True):
        Image.fromarray(face).save(folder / "img_align_celeba" / name)

    def write(file, header, rows):
        lines = [
            f"{name} " + " ".join(map(str, row)) for name, row in zip(names, rows, strict=True)
        ]
        (folder / file).write_text("\n".join([*header, *lines]) + "\n")

    words = " ".join(f"Attribute_{i}" for i in range(40)) + " "
    write("list_attr_celeba.txt", ["6", words], attributes)
    write("list_bbox_celeba.txt", ["6", "image_id x_1 y_1 width height"], [[1, 2, 3, 4]] * 6)
    write("list_landmarks_align_celeba.txt", ["6", "lefteye_x"], [[1] * 10] * 6)
    write("identity_CelebA.txt", [], [[i] for i in range(6)])
    write("list_eval_partition.txt", [], [[0], [0], [1], [1], [2], [2]])
    return tmp_path, faces, (attributes + 1) // 2


def test_celeba_is_lazy(celeba):
    home, faces, attributes = celeba
    rows = {"train": slice(2), "valid": slice(2, 4), "test": slice(4, 6), "all": slice(6)}
    assert rows.keys() == READERS["celeba"].subsets.keys()
    for subset, part in rows.items():
        bunch = datasets.load_celeba(subset=subset, data_home=home)
        assert isinstance(bunch.data, LazyImages)
        np.testing.assert_array_equal(np.asarray(bunch.data), faces[part])
        np.testing.assert_array_equal(bunch.target, attributes[part])
        assert len(bunch.target_names) == 40
    small, _ = datasets.load_celeba(size=(64, 64), data_home=home, return_X_y=True)
    assert small.shape == (2, 64, 64, 3)


@pytest.mark.parametrize("name", LOADERS)
def test_absent_files_are_an_error_that_says_what_to_do(name, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("tried to download")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    home = tmp_path / "nowhere"
    message = rf"{READERS[name].cls}, subset='test', is not in '{home}.*download=True"
    with pytest.raises(FileNotFoundError, match=message) as caught:
        LOADERS[name](subset="test", data_home=home)
    assert str(home / READERS[name].folder) in str(caught.value)
    assert not home.exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_damaged_files_are_an_error_that_says_what_to_do(content, tmp_path):
    write_mnist(tmp_path, "mnist")
    damaged = sorted((tmp_path / READERS["mnist"].folder).glob("t10k-images*"))
    assert damaged
    for path in damaged:
        path.write_bytes(content)
    with pytest.raises(FileNotFoundError, match="MNIST, subset='test', is not in .* or not"):
        datasets.load_mnist(subset="test", data_home=tmp_path)
    assert datasets.load_mnist(subset="train", data_home=tmp_path).data.ndim == 3


def test_images_without_labels_are_damaged_data(monkeypatch):
    import torchvision.datasets

    class Half:
        classes, data, targets = ("a", "b"), np.zeros((10, 28, 28), np.uint8), [0, 1]

    monkeypatch.setattr(torchvision.datasets, "MNIST", lambda *_args, **_settings: Half())
    with pytest.raises(FileNotFoundError, match="has 10 images, but 2 labels"):
        datasets.load_mnist()


def test_download_is_passed_on(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "torchvision.datasets.usps.download_url", lambda *args, **kwargs: asked.append(args)
    )
    with pytest.raises(FileNotFoundError, match="usps.bz2"):  # as torchvision puts it
        datasets.load_usps(data_home=tmp_path, download=True)
    assert [args[2] for args in asked] == ["usps.bz2"]


def test_the_home_of_the_data(tmp_path, monkeypatch):
    write_usps(tmp_path, "usps")
    monkeypatch.setenv("SKGAN_DATA", str(tmp_path))
    assert len(datasets.load_usps().data) == SIZES["train"]
    monkeypatch.delenv("SKGAN_DATA")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    with pytest.raises(FileNotFoundError, match=r"me.skgan_data"):
        datasets.load_usps()
    (tmp_path / "me").mkdir()
    write_usps(tmp_path / "me", "usps")
    assert len(datasets.load_usps(data_home="~", subset="test").data) == SIZES["test"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subset": "extra"}, "subset='extra' is unknown; use one of 'train', 'test', 'all'"),
        ({"subset": None}, "subset=None is unknown"),
        ({"split": "cyrillic"}, "split='cyrillic' is unknown; use one of 'byclass'"),
        ({"download": "yes"}, "download='yes' must be True or False"),
    ],
)
def test_wrong_settings(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        datasets.load_emnist(data_home=tmp_path, **settings)


def test_all_loaders_are_alike():
    assert LOADERS.keys() == READERS.keys()
    for name, load in LOADERS.items():
        parameters = inspect.signature(load).parameters
        shared = {n: p.default for n, p in parameters.items() if n not in ("split", "size")}
        assert shared == {
            "subset": "train", "data_home": None, "download": False, "return_X_y": False,
        }  # fmt: skip
        assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())
        listed = ", ".join(f'"{subset}"' for subset in READERS[name].subsets)
        assert f"subset : {{{listed}}}" in load.__doc__


@pytest.mark.parametrize("name", LOADERS)
def test_completed_docstrings_describe_every_parameter_once_and_in_order(name):
    doc = inspect.getdoc(LOADERS[name])
    sections = re.split(r"\n(?=\w+\n---)", doc)
    described = re.findall(r"^(\w+) : ", sections[1], re.MULTILINE)
    assert described == list(inspect.signature(LOADERS[name]).parameters)
    headings = [section.partition("\n")[0] for section in sections[1:]]
    assert headings[:3] == ["Parameters", "Returns", "Raises"]
    assert sections[2].count(" : ") == 4
    assert ("gdown" in sections[1]) == (name == "celeba")  # what a loader says itself stays


def test_a_docstring_is_completed_by_what_it_lacks():
    @completed_by("Parameters\n---\nX : shared\nz : absent\n\nRaises\n---\nValueError\n    If.")
    def function(X, a, b):
        """One line.

        Parameters
        ----------
        a, b : float
            Both.

        Returns
        -------
        X : float

        Examples
        --------
        >>> 1
        """

    expected = (
        "One line.|Parameters\n----------\nX : shared\na, b : float\n    Both.|"
        "Returns\n-------\nX : float|Raises\n------\nValueError\n    If.|Examples\n--------\n>>> 1"
    )
    assert function.__doc__ == expected.replace("|", "\n\n")
