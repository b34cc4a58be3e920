"""Lazy images: what they hold, how they are sliced, and that nothing is decoded before its time."""

import copy
import gc
import os
import pickle
import re
import struct
import threading
import tracemalloc
from pathlib import Path
from zlib import compress, crc32

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
)
from torchvision.datasets import MNIST, ImageFolder

import skgan
from skgan.data import stores
from skgan.data.sources import LazyImages, read_ahead

N, SIDE = 24, 10
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (N, SIDE, SIDE + 2, 3)).astype(np.uint8)
BATCH = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """PNG files in two folders, one for each class."""
    root = tmp_path_factory.mktemp("images")
    for name in ("cats", "dogs"):
        (root / name).mkdir()
    for i, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(root / ("cats", "dogs")[i // 12] / f"{i:03}.png")
    return root


@pytest.fixture(scope="module")
def paths(folder):
    return sorted(folder.rglob("*.png"))


class Pairs(Dataset):
    """Images of a given kind with labels; remembers which items were read."""

    def __init__(self, kind=lambda pixels: pixels, pixels=PIXELS):
        self.kind, self.pixels, self.seen = kind, pixels, []
        self.targets = list(range(len(pixels)))

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, i):
        self.seen.append(i)
        return self.kind(self.pixels[i]), self.targets[i]


def stored_array(values, chunks, module="zarr.core.array"):
    """A stand-in for a Zarr array, which takes slices alone and remembers them."""

    class Array:
        shape, dtype, seen = values.shape, values.dtype, []

        def __len__(self):
            return len(values)

        def __getitem__(self, key):
            assert isinstance(key, slice)
            self.seen.append((key.start, key.stop))
            return values[key]

    Array.__module__, Array.chunks = module, chunks
    return Array()


# ---------------------------------------------------------------- what they hold


def test_files_are_decoded_in_order(paths):
    images = LazyImages(paths)
    assert (images.shape, images.ndim, len(images)) == (PIXELS.shape, 4, N)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(images), PIXELS)
    np.testing.assert_array_equal(images[-1], PIXELS[-1])
    assert np.asarray(images, dtype=np.float32).dtype == np.float32
    assert repr(images) == "LazyImages(24 files, shape=(24, 10, 12, 3), dtype=uint8)"
    with pytest.raises(ValueError, match="copy=False"):
        images.__array__(copy=False)


def test_grey_transparent_and_palette_files(tmp_path):
    grey = RNG.integers(0, 256, (9, 9)).astype(np.uint8)
    rgba = np.dstack([grey, grey, grey, 255 - grey])
    for name, image in (("l", Image.fromarray(grey)), ("rgba", Image.fromarray(rgba)),
                        ("p", Image.fromarray(grey).convert("P"))):  # fmt: skip
        image.save(file := tmp_path / f"{name}.png")
        np.testing.assert_array_equal(LazyImages([file], mode="L")[0], grey)
        np.testing.assert_array_equal(LazyImages([file])[0], rgba[..., :3])
    assert LazyImages([file], mode="L").shape == (1, 9, 9)


def test_size_keeps_the_aspect_and_the_middle(tmp_path):
    bands = np.repeat(np.array([10, 120, 230], np.uint8), 20)
    wide, tall = np.tile(bands, (20, 1)), np.tile(bands[:, None], (1, 20))
    for name, pixels in (("wide", wide), ("tall", tall)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    images = LazyImages(sorted(tmp_path.iterdir()), size=(20, 20), mode="L")
    assert (np.asarray(images) == 120).all()
    oblong = np.asarray(LazyImages([tmp_path / "wide.png"], size=(10, 20), mode="L"))[0]
    assert oblong.shape == (10, 20)
    assert oblong[:, [0, 10, -1]].tolist() == [[10, 120, 230]] * 10


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Image.fromarray, PIXELS),
        (lambda pixels: Image.fromarray(pixels[..., 0]), PIXELS[..., 0]),
        (lambda pixels: pixels, PIXELS),
        (lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1) / 255,
         np.float32(PIXELS.transpose(0, 3, 1, 2)) / np.float32(255)),
    ],
    ids=["colour", "grey", "ndarray", "tensor"],
)  # fmt: skip
def test_datasets_give_what_their_items_are(kind, expected):
    images = LazyImages(data := Pairs(kind))
    assert (images.shape, images.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(np.asarray(images), expected)
    data.seen.clear()
    np.testing.assert_array_equal(np.asarray(images[[7, 3]]), expected[[7, 3]])
    assert data.seen == [7, 3]


def test_labels_come_without_an_image(folder):
    data = Pairs()
    images = LazyImages(data)
    data.seen.clear()
    assert images[[5, 2]].targets.tolist() == [5, 2]
    assert LazyImages(Subset(data, [4, 9, 1]))[1:].targets.tolist() == [9, 1]
    assert LazyImages(ConcatDataset([data, data])).targets.tolist() == 2 * data.targets
    assert LazyImages(TensorDataset(torch.ones(3, 8, 8), torch.arange(3))).targets.tolist() == [
        0, 1, 2,
    ]  # fmt: skip
    assert set(data.seen) <= {0, 4}  # the first item of each, for the shape
    assert LazyImages(ImageFolder(folder)).targets.tolist() == [0] * 12 + [1] * 12
    plain = LazyImages(TensorDataset(torch.ones(3, 8, 8)))
    assert not hasattr(plain, "targets")
    with pytest.raises(AttributeError, match="TensorDataset has no labels.*pass y"):
        plain.targets  # noqa: B018


def test_labels_are_those_of_the_items(folder, tmp_path):
    def renamed(label):
        return int(label != 1)

    files = ImageFolder(folder, target_transform=renamed)
    other = ImageFolder(folder, np.asarray, target_transform=renamed)
    (raw := tmp_path / "MNIST" / "raw").mkdir(parents=True)
    for name, values in (("images-idx3", np.zeros((3, 28, 28), np.uint8)),
                         ("labels-idx1", np.array([1, 0, 5], np.uint8))):  # fmt: skip
        head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
        for part in ("train", "t10k"):
            (raw / f"{part}-{name}-ubyte").write_bytes(head + values.tobytes())
    digits = MNIST(tmp_path, target_transform=lambda label: torch.tensor(renamed(label)))
    assert LazyImages(digits).targets.tolist() == [0, 1, 1]
    for data in (files, other, digits, Subset(files, [3, 13, 2]), ConcatDataset([files, other])):
        items = [int(data[i][1]) for i in range(len(data))]
        assert LazyImages(data)[::-1].targets.tolist() == items[::-1]
    one_hot = MNIST(tmp_path, target_transform=lambda label: torch.eye(6)[label])
    assert LazyImages(one_hot).targets.argmax(1).tolist() == [1, 0, 5]


def test_a_plain_image_folder_is_read_through_its_files(folder):
    plain = LazyImages(ImageFolder(folder), size=(8, 8))
    assert plain._store.name == "24 files"
    np.testing.assert_array_equal(np.asarray(LazyImages(ImageFolder(folder))), PIXELS)
    flipped = LazyImages(ImageFolder(folder, transform=lambda image: np.asarray(image)[::-1]))
    np.testing.assert_array_equal(np.asarray(flipped), PIXELS[:, ::-1])


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize(
    "key",
    [
        slice(3, 20, 4), [3, 1, 1, -2], np.array([5, 0]), np.arange(N) % 5 == 0,
        (np.array([2, 8]), ...), ([True] + [False] * (N - 1), ...), (slice(4), slice(None)), ...,
        [], slice(0, 0), torch.tensor([4, 2]), pd.Series([6, 2], index=[1, 0]),
    ],
    ids=str,
)  # fmt: skip
def test_rows_are_taken_as_from_an_array_and_not_decoded(paths, key, monkeypatch):
    images = LazyImages(paths)
    with monkeypatch.context() as patch:
        patch.setattr(stores, "_decode", lambda *args: pytest.fail("decoded"))
        view = images[key]
        assert isinstance(view, LazyImages)
        repr((view, view.shape, view.dtype, len(view)))
    rows = np.asarray(key) if isinstance(key, (pd.Series, torch.Tensor)) else key
    np.testing.assert_array_equal(np.asarray(view), PIXELS[rows])
    assert view._store.paths is images._store.paths


def test_views_of_views(paths):
    images = LazyImages(paths)[::-1][2:][[3, 0, 5]]
    np.testing.assert_array_equal(np.asarray(images), PIXELS[::-1][2:][[3, 0, 5]])
    np.testing.assert_array_equal(images[np.int64(-1)], PIXELS[::-1][7])


def test_wrong_keys(paths):
    images = LazyImages(paths)
    for key in (N, -N - 1, [0, N], "3", 1.5, [[1, 2], [3, 4]], (0, 1), (slice(2), 0), True):
        with pytest.raises(IndexError):
            images[key]
    assert [image.tolist() for image in images] == PIXELS.tolist()  # iteration ends


def test_pickles_and_copies_are_small_and_equal(paths):
    images = LazyImages(paths)[4:9]
    np.asarray(LazyImages(paths))  # threads have run
    for twin in (pickle.loads(pickle.dumps(images)), copy.deepcopy(images)):
        np.testing.assert_array_equal(np.asarray(twin), PIXELS[4:9])
    # The paths and the row numbers, no pixels.
    assert len(pickle.dumps(LazyImages(paths))) < sum(len(str(p)) + 16 for p in paths) + 8 * N + 999


def test_train_test_split(paths):
    train, test = train_test_split(LazyImages(paths), random_state=0)
    assert (len(train), len(test)) == (18, 6)
    assert isinstance(train, LazyImages)


# ---------------------------------------------------------------- errors


def broken(paths, tmp_path, kind):
    file = tmp_path / "bad.png"
    if kind == "truncated":
        file.write_bytes(paths[0].read_bytes()[:120])
    elif kind == "text":
        file.write_text("not an image")
    elif kind == "16 bits":
        Image.fromarray(np.zeros((SIDE, SIDE + 2), np.uint16)).save(file)
    elif kind == "other size":
        Image.fromarray(PIXELS[0][:9]).save(file)
    return file


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("missing", FileNotFoundError, "bad.png' does not exist: correct"),
        ("truncated", ValueError, "bad.png' could not be decoded .*truncated"),
        ("text", ValueError, "bad.png' could not be decoded"),
        ("16 bits", ValueError, "bad.png' could not be decoded .*more than 8 bits"),
        ("other size", ValueError, r"bad.png' is 9x12 .*000.png', is 10x12: pass size=\(h, w\)"),
    ],
)
@pytest.mark.parametrize("place", [0, 3, 20])
def test_a_bad_file_is_named(paths, tmp_path, kind, error, message, place):
    mixed = list(paths)
    mixed[place] = broken(paths, tmp_path, kind)
    if place == 0 and kind != "other size":
        with pytest.raises(error, match=message):
            LazyImages(mixed)
        return
    if place == 0:
        mixed[0], mixed[1] = paths[0], mixed[0]
    images = LazyImages(mixed)
    with pytest.raises(error, match=message):
        np.asarray(images)
    np.asarray(images[[5, 6]])  # others are as good as before


def png_of_16_bits(values):
    """A PNG file (bytes) of 16-bit values (h, w, c), which Pillow itself cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    h, w, c = values.shape
    head = struct.pack(">IIBBBBB", w, h, 16, {2: 4, 3: 2, 4: 6}[c], 0, 0, 0)
    body = compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in values))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tiff_of_16_bits(values):
    """An uncompressed TIFF file (bytes) of 16-bit RGB values (h, w, 3)."""
    h, w, c = values.shape
    data = values.astype("<u2").tobytes()
    tags = [
        (256, 4, 1, w), (257, 4, 1, h), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 14), (277, 3, 1, c), (278, 4, 1, h), (279, 4, 1, len(data)),
    ]  # fmt: skip
    packed = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHI3H", b"II", 42, 14 + len(data), 16, 16, 16)
    return head + data + struct.pack("<H", len(tags)) + packed + bytes(4)


@pytest.mark.parametrize("kind", ["la.png", "rgb.png", "rgba.png", "rgb.tif", "rgb.ppm", "rgb.sgi"])
def test_colours_of_16_bits_are_refused_by_name(paths, tmp_path, kind):
    name, suffix = kind.split(".")
    values = RNG.integers(0, 4096, (SIDE, SIDE + 2, {"la": 2, "rgb": 3, "rgba": 4}[name]))
    if suffix == "png":
        data = png_of_16_bits(values)
    elif suffix == "tif":
        data = tiff_of_16_bits(values)
    elif suffix == "ppm":
        data = b"P6 12 10 65535\n" + values.astype(">u2").tobytes()
    else:
        data = struct.pack(">hBBHHHH", 474, 0, 2, 3, SIDE + 2, SIDE, 3).ljust(512, b"\0")
        data += values.transpose(2, 0, 1).astype(">u2").tobytes()
    (file := tmp_path / kind).write_bytes(data)
    assert np.asarray(Image.open(file)).dtype == np.uint8  # so Pillow says nothing of it
    for mode in ("RGB", "L"):
        images = LazyImages([*paths[:2], file, file], mode=mode)
        with pytest.raises(ValueError, match=f"{kind}' could not be .*8 bits: convert it to 8"):
            np.asarray(images)
    opened = Pairs(lambda i: Image.open(file), range(2))
    with pytest.raises(ValueError, match="item 0 of Pairs .*more than 8 bits"):
        LazyImages(opened)


@pytest.mark.parametrize("suffix", ["png", "gif", "tif", "webp"])
def test_files_of_several_pages_are_refused_by_name(tmp_path, suffix):
    page, *others = (Image.fromarray(pixels) for pixels in PIXELS[:3])
    page.save(one := tmp_path / f"one.{suffix}")
    page.save(several := tmp_path / f"several.{suffix}", save_all=True, append_images=others)
    assert LazyImages([one]).shape == (1, SIDE, SIDE + 2, 3)
    for images in ([several], Pairs(lambda i: Image.open(several), range(2))):
        with pytest.raises(ValueError, match="it has 3 pages or frames.*file of its own"):
            LazyImages(images)
    with pytest.raises(ValueError, match=rf"several\.{suffix}'"):
        np.asarray(LazyImages([one, several]))


def test_phones_photographs_are_one_picture(tmp_path):
    photograph, preview = (Image.fromarray(np.full((9, 9, 3), v, np.uint8)) for v in (9, 200))
    photograph.save(file := tmp_path / "a.mpo", save_all=True, append_images=[preview])
    assert Image.open(file).n_frames == 2
    assert np.asarray(LazyImages([file])).mean() < 20


def test_a_bad_item_is_named(tmp_path):
    def item_3_is(change):
        return LazyImages(Pairs(lambda i: change(PIXELS[i]) if i == 3 else PIXELS[i], range(N)))

    with pytest.raises(ValueError, match=r"item 3 of Pairs has shape \(9, 12, 3\).*\(10, 12, 3\)"):
        np.asarray(item_3_is(lambda pixels: pixels[:9]))
    with pytest.raises(ValueError, match="item 3 of Pairs .*float64.*uint8"):
        np.asarray(item_3_is(np.float64))
    with pytest.raises(ValueError, match="item 3 of Pairs could not be read: .*by zero"):
        np.asarray(item_3_is(lambda pixels: 1 // 0))
    (tmp_path / "a").mkdir()
    for name in "xy":
        Image.fromarray(PIXELS[0]).save(tmp_path / "a" / f"{name}.png")
    images = LazyImages(ImageFolder(tmp_path, transform=np.asarray))
    (tmp_path / "a" / "y.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"item 1 of ImageFolder \('.*y.png'\)"):
        np.asarray(images)
    with pytest.raises(TypeError, match="item 0 of Pairs is a str: items must be"):
        LazyImages(Pairs(lambda pixels: "cat"))
    with pytest.raises(ValueError, match=r"item 0 of Pairs has shape \(\)"):
        LazyImages(Pairs(lambda pixels: pixels[0, 0, 0:1].reshape(())))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(PIXELS)


@pytest.mark.parametrize(
    ("source", "settings", "error", "message"),
    [
        ("folder", {}, TypeError, "source='folder' is one path: pass a list"),
        (Path("folder"), {}, TypeError, "is one path"),
        ([], {}, ValueError, "source is empty"),
        (Pairs(pixels=PIXELS[:0]), {}, ValueError, "source is empty"),
        (["a.png", 3], {}, TypeError, "source is a list: pass a sequence of paths"),
        (["a.png", None], {}, ValueError, "row 1 of source has no path, but None"),
        (DataLoader(PIXELS), {}, TypeError, "is a DataLoader.*source=loader.dataset"),
        (Stream(), {}, TypeError, "IterableDataset"),
        (PIXELS, {"size": (8, 8)}, ValueError, "source is an array: leave them out"),
        (Pairs(), {"mode": "L"}, ValueError, "source is a Dataset of arrays"),
        (["a.png"], {"size": 64}, ValueError, r"size=64 must be \(h, w\)"),
        (["a.png"], {"size": (0, 8)}, ValueError, "size=0 must be a whole number"),
        (["a.png"], {"mode": "CMYK"}, ValueError, "mode='CMYK' is unknown"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_wrong_sources_and_settings(source, settings, error, message):
    with pytest.raises(error, match=message):
        LazyImages(source, **settings)


# ---------------------------------------------------------------- arrays elsewhere


@pytest.mark.parametrize("chunks", [None, (1, 10, 12, 3), (5, 10, 4, 3), ((5, 9, 10), (10,))])
def test_stored_arrays_are_read_in_slices_along_their_chunks(chunks):
    array = stored_array(PIXELS, chunks)
    images = LazyImages(array)
    assert (images.shape, array.seen) == (PIXELS.shape, [])
    rows = np.array([9, 4, 4, 23, 0, 10])
    np.testing.assert_array_equal(np.asarray(images[rows]), PIXELS[rows])
    if chunks is None or chunks[0] == 1:
        assert array.seen == [(0, 1), (4, 5), (9, 11), (23, 24)]
    else:
        assert array.seen == [(0, 5), (9, 10), (10, 11), (23, 24)]
    array.seen.clear()
    np.testing.assert_array_equal(np.asarray(images[3:20]), PIXELS[3:20])
    assert array.seen == [(3, 20)]
    assert np.asarray(images[:0]).shape == (0, *PIXELS.shape[1:])


def test_large_pieces_are_split(monkeypatch):
    monkeypatch.setattr(stores, "READ_BYTES", 4 * PIXELS[0].nbytes)
    array = stored_array(PIXELS, (24, 10, 12, 3))
    images = LazyImages(array)
    np.testing.assert_array_equal(np.asarray(images[::-1]), PIXELS[::-1])
    np.testing.assert_array_equal(np.asarray(images[::3]), PIXELS[::3])
    assert max(stop - start for start, stop in array.seen) <= 4


@pytest.mark.parametrize("kind", ["zarr", "h5py", "h5py-chunked", "dask"])
def test_real_stored_arrays(kind, tmp_path):
    package = pytest.importorskip(kind.split("-")[0])
    if kind == "zarr":
        array = package.open_array(
            store=tmp_path / "a.zarr", mode="w", shape=PIXELS.shape, chunks=(5, 10, 12, 3),
            dtype="u1",
        )  # fmt: skip
        array[:] = PIXELS
    elif kind == "dask":
        array = pytest.importorskip("dask.array").from_array(PIXELS, chunks=(5, 10, 12, 3))
    else:
        chunks = (5, 10, 12, 3) if kind.endswith("chunked") else None
        with package.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("g/x", data=PIXELS, chunks=chunks)
        array = package.File(tmp_path / "a.h5", "r")["g/x"]
    images = LazyImages.of(array)
    assert isinstance(images, LazyImages)
    rows = RNG.integers(0, N, 30)
    for twin in (images, pickle.loads(pickle.dumps(images))):
        np.testing.assert_array_equal(np.asarray(twin[rows]), PIXELS[rows])
        assert twin.fingerprint() == images.fingerprint()


def test_an_hdf5_file_that_is_closed_or_open_for_writing(small, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = PIXELS
    with h5py.File(tmp_path / "a.h5", "a") as file:
        images = LazyImages(file["x"])
        with pytest.raises(TypeError, match=r"a.h5' is open for writing.*mode 'r'"):
            pickle.dumps(images)
    with pytest.raises(ValueError, match="HDF5 file of X has been closed: keep it open"):
        small().fit(images)


class Transformed(torch.utils.data.Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 20

    def __getitem__(self, i):
        return self.transform(torch.full((1, 8, 8), float(i)))


def test_random_transforms_are_warned_of_and_others_are_not(recwarn):
    random = Transformed(lambda x: x + torch.rand(()))
    for data in (random, Subset(random, [3, 5]), ConcatDataset([random, random])):
        with pytest.warns(UserWarning, match="differ from one reading to the next.*augment="):
            LazyImages(data)
    recwarn.clear()
    LazyImages(Transformed(lambda x: x + 1))
    LazyImages(Transformed(lambda x: x * np.nan))
    assert not [w for w in recwarn if "differ from one reading" in str(w.message)]


# ---------------------------------------------------------------- Datasets in memory


def in_memory(n):
    images = torch.arange(n * 3 * 32 * 32, dtype=torch.float32).view(n, 3, 32, 32)
    return TensorDataset(images, torch.arange(n))


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Subset(d, range(50, 150))])
def test_a_dataset_in_memory_goes_to_processes_as_arrays_that_they_share(wrap):
    images = LazyImages(wrap(in_memory(200)))
    rows = np.array([3, 99, 7])
    parts = images._store.__getstate__()["parts"]
    assert len(parts[0]) < 10_000 and len(parts[1]) == 1  # labels are small, and go along
    assert np.shares_memory(parts[1][0], images._store.__getstate__()["parts"][1][0])
    assert parts[1][0] is images._store.__getstate__()["parts"][1][0]
    twin = pickle.loads(pickle.dumps(images))
    np.testing.assert_array_equal(np.asarray(twin[rows]), np.asarray(images[rows]))
    np.testing.assert_array_equal(twin.targets, images.targets)
    assert twin.fingerprint() == images.fingerprint()
    here = np.asarray(images[rows]).sum()
    assert joblib.Parallel(2)(joblib.delayed(summed)(images[rows]) for _ in range(3)) == [here] * 3


def summed(images):
    return np.asarray(images).sum()


class OfNotebook(torch.utils.data.Dataset):
    """What plain pickle cannot do, and joblib can."""

    def __init__(self):
        self.x, self.change = torch.zeros(200, 3, 32, 32), lambda x: x + 1

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.change(self.x[i])


def test_a_dataset_that_pickle_cannot_take_apart_goes_as_before():
    images = LazyImages(OfNotebook())
    assert "parts" not in images._store.__getstate__()
    found = joblib.Parallel(2)(joblib.delayed(summed)(images[:2]) for _ in range(2))
    assert found == [2 * 3 * 32 * 32] * 2


# ---------------------------------------------------------------- LazyImages.of


def test_what_is_lazy(paths):
    names = [str(path) for path in paths]
    for X in (
        paths, names, tuple(names), np.array(names), np.array(paths), pd.Series(names),
        np.array(names)[:, None], pd.DataFrame({"path": names}), pl.DataFrame({"path": names}),
    ):  # fmt: skip
        lazy = LazyImages.of(X)
        assert isinstance(lazy, LazyImages)
        assert lazy.shape == PIXELS.shape
    assert isinstance(LazyImages.of(Pairs()), LazyImages)
    assert isinstance(LazyImages.of(stored_array(PIXELS, None)), LazyImages)
    assert isinstance(LazyImages.of(stored_array(PIXELS, None, "h5py._hl.dataset")), LazyImages)


def test_a_dataset_with_a_shape_is_still_one():
    class Sized(Pairs):
        shape = (SIDE, SIDE + 2)  # of its images

    assert LazyImages.of(Sized()).shape == PIXELS.shape
    as_array = Pairs()
    as_array.shape, as_array.dtype = PIXELS.shape, PIXELS.dtype
    assert LazyImages.of(as_array) is as_array


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (b"a.png", TypeError, "^X is one bytes: pass a list of image files"),
        ([b"a.png", b"b.png"], TypeError, r"^X holds bytes.*os.fsdecode.*PIL.Image.open"),
        (np.array(["a.png"], "S"), TypeError, "^X holds bytes"),
        (np.array([["a.png"]], "S"), TypeError, "^X holds bytes"),
        (pd.DataFrame({"a": ["x", None, "y"]}), ValueError, "^row 1 of X has no path"),
        (["x", "y", np.nan], ValueError, "^row 2 of X has no path, but nan: leave the row out"),
        (Image.fromarray(PIXELS[0]), TypeError, r"^X is one image of Pillow.*X=\[image\]"),
        (DataLoader(PIXELS), TypeError, "^X is a DataLoader.*X=loader.dataset"),
        (iter(["a.png"]), TypeError, "^X is a list_iterator, which can be read once"),
        (Path().glob("*.png"), TypeError, "^X is a (generator|map), which can be read once"),
        (map(str, []), TypeError, "^X is a map, which can be read once"),
        (stored_array(np.array([b"a.png"], object), None, "h5py._hl.dataset"), TypeError, "bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_samples_is_named(small, X, error, message):
    with pytest.raises(error, match=message):
        small().fit(X)


def test_a_column_of_paths_in_a_column_transformer(small, paths):
    frame = pd.DataFrame({"age": 1.0, "path": [str(path) for path in paths]})
    as_list = small(n_epochs=1).fit(paths).transform(paths)
    for column in ("path", ["path"]):
        both = ColumnTransformer([("gan", small(n_epochs=1), column)]).fit(frame)
        np.testing.assert_array_equal(both.transform(frame), as_list)


# ---------------------------------------------------------------- images of Pillow


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK", "YCbCr"])
def test_lists_of_images_are_converted_as_items_of_datasets(mode):
    images = [Image.fromarray(pixels).convert("RGB").convert(mode) for pixels in PIXELS]
    expected = np.asarray(LazyImages(Pairs(lambda i: images[i], range(N))))
    grey = mode in ("L", "1")
    assert expected.shape == (PIXELS.shape[:3] if grey else PIXELS.shape)
    for X in (images, tuple(images), pd.Series(images)):
        lazy = LazyImages.of(X)
        np.testing.assert_array_equal(np.asarray(lazy), expected)
        assert not hasattr(lazy, "targets")
    assert pickle.loads(pickle.dumps(lazy))[3:5].fingerprint() == lazy[3:5].fingerprint()
    np.testing.assert_array_equal(
        np.asarray(LazyImages(images, size=(8, 8), mode="L")),
        np.asarray(LazyImages(Pairs(lambda i: images[i], range(N)), size=(8, 8), mode="L")),
    )


def test_fingerprints_of_lists_cover_every_image():
    images = [Image.fromarray(pixels) for pixels in PIXELS]
    other = [*images[:5], Image.fromarray(255 - PIXELS[5]), *images[6:]]
    again = [Image.fromarray(pixels) for pixels in PIXELS]
    assert LazyImages(images).fingerprint() == LazyImages(again).fingerprint()
    assert LazyImages(images).fingerprint() != LazyImages(other).fingerprint()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda image: image, ValueError, "item 4 of list has Pillow's mode 'RGB'.*mode='RGB'"),
        (lambda image: image.convert("P"), ValueError, "item 4 of list has Pillow's mode 'P'"),
        (lambda image: image.convert("L").resize((9, 10)), ValueError,
         r"item 4 of list is 10x9 pixels \(h x w\), but the first one is 10x12.*size=\(h, w\)"),
        (np.asarray, TypeError, "item 4 of list is a ndarray, but others are PIL images"),
        (lambda image: None, TypeError, "item 4 of list is a NoneType"),
    ],
)  # fmt: skip
def test_a_list_of_unlike_images_is_refused_before_training(small, change, error, message):
    images = [Image.fromarray(pixels).convert("L") for pixels in PIXELS]
    images[4] = change(Image.fromarray(PIXELS[4]))
    with pytest.raises(error, match=message):
        LazyImages(images)
    with pytest.raises(error, match=message):
        small().fit(images)


def test_modes_given_for_unlike_images():
    images = [Image.fromarray(PIXELS[0]).convert("L"), Image.fromarray(PIXELS[1])]
    assert LazyImages(images, mode="RGB").shape == (2, SIDE, SIDE + 2, 3)
    np.testing.assert_array_equal(LazyImages(images, mode="RGB")[1], PIXELS[1])
    assert np.asarray(LazyImages(images, mode="L")).shape == (2, SIDE, SIDE + 2)
    assert np.asarray(LazyImages(images[::-1])).shape == (2, SIDE, SIDE + 2, 3)
    with pytest.raises(ValueError, match="item 1 of Pairs has Pillow's mode 'RGB'.*grey"):
        np.asarray(LazyImages(Pairs(lambda i: images[i], range(2))))
    deep = [images[1], Image.fromarray(np.zeros((SIDE, SIDE + 2), np.uint16))]
    with pytest.raises(ValueError, match="item 1 of list could not be decoded .*more than 8 bits"):
        np.asarray(LazyImages(deep))


def test_what_is_left_alone(paths, tmp_path):
    memmap = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, PIXELS.shape)
    unknown = stored_array(PIXELS, None, "dask.array.core")
    type(unknown).shape = (float("nan"), 10, 12, 3)
    for X in (
        PIXELS, memmap, PIXELS.tolist(), [], [1.0, 2.0], ["a.png", 3], [None, None], None, 3,
        np.array([["a.png", "b.png"]]), torch.zeros(3, 8, 8), pd.Series([1.0]), [PIXELS[0]],
        pd.DataFrame({"a": ["x"], "b": ["y"]}), pd.DataFrame({"a": [1.0]}),
        scipy.sparse.eye_array(3).tocsr(), LazyImages(paths), stored_array(PIXELS, None, "other"),
        stored_array(PIXELS[:, 0, 0, 0], None), unknown,
    ):  # fmt: skip
        assert LazyImages.of(X) is X


# ---------------------------------------------------------------- fingerprint


def test_fingerprints_of_files(paths, tmp_path):
    images = LazyImages(paths)
    prints = {
        "all": images.fingerprint(),
        "rows": images[[1, 0]].fingerprint(),
        "order": images[[0, 1]].fingerprint(),
        "mode": LazyImages(paths, mode="L").fingerprint(),
        "size": LazyImages(paths, size=(8, 8)).fingerprint(),
        "larger": LazyImages(paths, size=(9, 9)).fingerprint(),
    }
    assert len(set(prints.values())) == len(prints)
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in prints.values())
    assert LazyImages(paths[:2]).fingerprint() == prints["order"]
    Image.fromarray(PIXELS[0]).save(file := tmp_path / "a.png")
    before = (single := LazyImages([file])).fingerprint()
    os.utime(file, ns=(1, 1))
    assert single.fingerprint() != before
    file.unlink()
    with pytest.raises(FileNotFoundError, match="a.png"):
        single.fingerprint()


def test_a_cache_that_hashes_pickles_sees_that_a_file_has_changed(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        Image.fromarray(PIXELS[0]).save(path)
    images = LazyImages(paths)
    before, of_two = joblib.hash(images), joblib.hash(images[:2])
    assert joblib.hash(LazyImages(paths)) == joblib.hash(pickle.loads(pickle.dumps(images)))
    assert joblib.hash(images) == before
    Image.fromarray(PIXELS[1]).save(paths[2])
    os.utime(paths[2], ns=(1, 1))
    assert joblib.hash(images) != before
    assert joblib.hash(images[:2]) == of_two
    paths[2].unlink()
    pickle.dumps(images)  # reading will tell


def test_fingerprints_of_arrays_and_datasets():
    def changed(row):
        values = PIXELS.copy()
        values[row, 0, 0, 0] ^= 1
        return values

    array = LazyImages(stored_array(PIXELS, None))
    assert array.fingerprint() == LazyImages(stored_array(PIXELS.copy(), (5,))).fingerprint()
    assert array.fingerprint() != LazyImages(stored_array(changed(5), None)).fingerprint()
    one = LazyImages(Pairs())
    assert one.fingerprint() == LazyImages(Pairs()).fingerprint()  # no address in it
    assert one.fingerprint() != LazyImages(Pairs(pixels=changed(12))).fingerprint()
    assert one[:5].fingerprint() != one[[0, 2, 1, 3, 4]].fingerprint()
    assert one[:0].fingerprint() != one[:1].fingerprint()


# ---------------------------------------------------------------- reading ahead


def background_threads():
    return [t for t in threading.enumerate() if t.name.startswith("skgan-read-ahead")]


def test_the_next_item_is_read_while_the_caller_works():
    started = [threading.Event() for _ in range(4)]

    def read(i):
        started[i].set()
        return 10 * i

    items = read_ahead(range(4), read)
    assert not started[0].is_set()
    for i, item in enumerate(items):
        assert item == 10 * i
        if i < 3:
            assert started[i + 1].wait(5)
        if i < 2:
            assert not started[i + 2].is_set()
    assert not background_threads()
    assert list(read_ahead([], read)) == []


def test_reading_ahead_raises_at_the_item_and_ends_its_thread():
    items = read_ahead([4, 2, 0, 1], lambda i: 8 // i)
    assert [next(items), next(items)] == [2, 4]
    with pytest.raises(ZeroDivisionError):
        next(items)
    assert not background_threads()
    items = read_ahead(range(1, 9), lambda i: 8 // i)
    assert next(items) == 8
    assert background_threads()
    items.close()
    assert not background_threads()


# ---------------------------------------------------------------- scikit-learn


def make_features(log):
    """A local class, so that joblib's workers get it by value; see `make_logged`."""

    class Features(TransformerMixin, BaseEstimator):
        def __init__(self, bins=4):
            self.bins = bins

        def fit(self, X, y=None):
            self.mean_ = sum(part.sum() for part in self._batches(X)) / np.prod(X.shape)
            return self

        def transform(self, X):
            return np.concatenate(
                [part.reshape(len(part), self.bins, -1).mean(2) for part in self._batches(X)]
            )

        def _batches(self, X):
            assert isinstance(X, LazyImages), type(X)
            with open(log, "a") as file:
                file.write(f"call {len(X)}\n")
            batches = [slice(i, i + BATCH) for i in range(0, len(X), BATCH)]
            return read_ahead(batches, lambda rows: np.asarray(X[rows]))

    return Features()


def make_logged(log, paths):
    class Logged(LazyImages):
        """Writes down how many images every reading decodes, whoever asks for it."""

        def __array__(self, dtype=None, copy=None):
            with open(log, "a") as file:
                file.write(f"decoded {len(self)}\n")
            return LazyImages.__array__(self, dtype, copy)

    return Logged(paths)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_decodes_batch_by_batch(paths, tmp_path, n_jobs):
    log = tmp_path / "log.txt"
    images, y = make_logged(log, paths), np.arange(N) % 2
    pipe = Pipeline([("features", make_features(log)), ("svm", LinearSVC())])
    grid = {"features__bins": [2, 4]}
    GridSearchCV(pipe, grid, cv=2, n_jobs=n_jobs, error_score="raise").fit(images, y)
    lines = [line.split() for line in log.read_text().splitlines()]
    decoded = [int(n) for what, n in lines if what == "decoded"]
    calls = [int(n) for what, n in lines if what == "call"]
    # Two settings, two folds: fit and transform on one half, transform on the other; then refit.
    assert sorted(calls) == [N // 2] * 12 + [N] * 2
    assert max(decoded) <= BATCH
    assert sum(decoded) == sum(calls)


def test_memory_does_not_grow_with_the_files(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(10)]
    for file in files:
        Image.fromarray(RNG.integers(0, 256, (32, 32)).astype(np.uint8)).save(file)

    def peak(n):
        images = LazyImages(files * (n // 10), mode="L")
        search = GridSearchCV(
            Pipeline([("features", make_features(tmp_path / "log")), ("svm", LinearSVC())]),
            {"svm__C": [0.1]}, cv=2, refit=False, error_score="raise",
        )  # fmt: skip
        gc.collect()  # or the peak depends on when garbage of earlier tests is collected
        tracemalloc.start()
        try:
            search.fit(images, np.arange(n) % 2)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(20)  # what is imported and set up once
    # Half of the 1200 further images, a fold, would be 0.6 MB; row numbers and features are less.
    assert peak(1500) - peak(300) < 0.25 * 600 * 32 * 32


# ---------------------------------------------------------------- the page about it

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "images.md"


def test_the_page_runs(tmp_path, monkeypatch):
    """Its blocks run one after the other, as a reader would paste them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(skgan, "LazyImages", LazyImages, raising=False)
    text, namespace = PAGE.read_text(encoding="utf-8"), {"__name__": "__main__"}
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) == text.count("```python") > 4
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        try:
            exec(compile("\n" * line + block.group(1), str(PAGE), "exec"), namespace)
        except ModuleNotFoundError as error:
            if error.name != "zarr":
                raise
