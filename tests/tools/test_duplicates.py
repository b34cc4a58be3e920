"""Near duplicates: planted copies are found, other images are left alone."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from skgan import LazyImages
from skgan.tools import duplicates, find_near_duplicates

N_COPIES = 50


def as_bytes(X):
    return np.clip(np.rint(X), 0, 255).astype(np.uint8)


def noisy(X, rng):
    return as_bytes(X + rng.normal(0, 0.02 * 255, X.shape))


def brighter(X, rng):
    return as_bytes(X * rng.uniform(0.9, 1.1, (len(X), 1, 1)))


def lifted(X, rng):
    return as_bytes(X + rng.uniform(-0.05, 0.05, (len(X), 1, 1)) * 255)


def compressed(X, rng):
    saved = []
    for x in X:
        file = io.BytesIO()
        Image.fromarray(x).save(file, "jpeg", quality=75)
        saved.append(np.asarray(Image.open(file)))
    return np.stack(saved)


ALTERATIONS = (noisy, brighter, lifted, compressed)


def enlarged_digits():
    """1,797 digits of 32x32."""
    X = torch.from_numpy(load_digits().images)[:, None] * (255 / 16)
    return as_bytes(F.interpolate(X, (32, 32), mode="bilinear")[:, 0].numpy())


def textures():
    """1,500 images of 40x48 with the spectrum of photographs, 1 / frequency."""
    rng = np.random.default_rng(1)
    frequency = np.hypot(np.fft.fftfreq(40)[:, None], np.fft.rfftfreq(48))
    frequency[0, 0] = np.inf
    phases = rng.normal(size=(1500, 40, 25)) + 1j * rng.normal(size=(1500, 40, 25))
    X = np.fft.irfft2(phases / frequency, s=(40, 48))
    return as_bytes(128 + 45 * X / X.std(axis=(1, 2), keepdims=True))


@pytest.fixture(scope="module", params=[enlarged_digits, textures], ids=lambda f: f.__name__)
def planted(request):
    """(images, rows of originals by alteration, what was found among images and copies)."""
    X, rng = request.param(), np.random.default_rng(0)
    rows = rng.permutation(len(X))[: N_COPIES * len(ALTERATIONS)].reshape(len(ALTERATIONS), -1)
    copies = [alter(X[r], rng) for alter, r in zip(ALTERATIONS, rows, strict=True)]
    together = np.concatenate([X, *copies])
    return X, rows, find_near_duplicates(together, random_state=0)


def test_planted_copies_are_found(planted):
    X, rows, found = planted
    assert found.labels.shape == found.keep.shape == (len(X) + rows.size,)
    for k, (alter, r) in enumerate(zip(ALTERATIONS, rows, strict=True)):
        copies = slice(len(X) + k * N_COPIES, len(X) + (k + 1) * N_COPIES)
        together = (found.labels[r] >= 0) & (found.labels[r] == found.labels[copies])
        assert together.mean() >= 0.95, alter.__name__
        assert found.keep[copies].mean() <= 0.05, alter.__name__


def test_other_images_are_left_alone(planted):
    """Fewer than 1 in 100 have a near duplicate among the images that are no copies."""
    X, _, found = planted
    labels = found.labels[: len(X)]
    sizes = np.bincount(labels[labels >= 0])
    assert (sizes[sizes > 1]).sum() < 0.01 * len(X)
    assert (~found.keep[: len(X)]).mean() < 0.01


def test_the_hash_alone_would_miss_copies(planted):
    """What the paper asks for, equal hashes: it is `radius` and `tolerance` that find them."""
    X, rows, found = planted
    copies = found.hashes[len(X) : len(X) + N_COPIES]
    assert (copies == found.hashes[rows[0]]).all(axis=1).mean() < 0.7


def test_what_is_dropped_is_close_to_what_is_kept(planted):
    _, _, found = planted
    kept = np.flatnonzero(found.keep)
    assert np.array_equal(kept, [
        i for i, label in enumerate(found.labels)
        if label < 0 or i == np.flatnonzero(found.labels == label)[0]
    ])  # fmt: skip
    first = dict(zip(found.labels[kept], kept, strict=True))
    for i in np.flatnonzero(~found.keep):
        differ = np.unpackbits(found.hashes[i] ^ found.hashes[first[found.labels[i]]]).sum()
        assert differ <= 10
    groups = found.labels[found.labels >= 0]
    assert found.n_groups == len(set(groups)) > 100
    assert np.bincount(groups).min() >= 2
    assert np.array_equal(np.unique(groups, return_index=True)[1].argsort(), range(found.n_groups))


# ------------------------------------------------------------------ groups, in a slow way


def by_comparing_all(hashes, codes, radius, tolerance):
    opener = []
    for k in range(len(codes)):
        near = []
        for i in (i for i in range(k) if opener[i] == i):
            distance = np.linalg.norm(codes[i] - codes[k])
            size = (np.linalg.norm(codes[i]) + np.linalg.norm(codes[k])) / 2
            close = np.unpackbits(hashes[i] ^ hashes[k]).sum() <= radius
            if close and distance <= tolerance * size:
                near.append((distance, i))
        opener.append(min(near)[1] if near else k)
    return opener


@pytest.mark.parametrize("tolerance", [0.1, 0.3, np.inf])
@pytest.mark.parametrize("radius", [0, 3, 10])
def test_groups(radius, tolerance):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 128))
    spread = rng.uniform(0, 0.15, (300, 1))
    codes = (centres[rng.integers(40, size=300)] + spread * rng.normal(size=(300, 128))) * 2
    codes = codes.astype(np.float32)
    hashes = np.packbits(codes > 0, axis=1)
    expected = by_comparing_all(hashes, codes, radius, tolerance)
    if radius:
        assert 40 <= len(set(expected)) < 290
    assert duplicates._openers(hashes, codes, radius, tolerance).tolist() == expected


# ------------------------------------------------------------------ what it must not depend on


@pytest.fixture(scope="module")
def colours():
    """80 smooth colour images (n, c, h, w) with values 0..1, of which the last 20 are copies."""
    rng = np.random.default_rng(0)
    X = F.interpolate(torch.from_numpy(rng.random((60, 3, 5, 5))), (12, 14), mode="bicubic").numpy()
    copies = X[:20] + rng.normal(0, 0.01, X[:20].shape)
    return np.concatenate([X, copies]).clip(0, 1)


def quick(X, **settings):
    return find_near_duplicates(X, **{"n_steps": 60, "random_state": 0} | settings)


def assert_same(a, b):
    for name in ("labels", "keep", "hashes"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_copies_in_colour(colours):
    found = quick(colours)
    assert found.labels.tolist() == [*range(20), *[-1] * 40, *range(20)]
    assert found.keep.tolist() == [True] * 60 + [False] * 20
    assert found.hashes.shape == (80, 16)


def test_the_random_state_decides(colours):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    one, other = quick(colours), quick(colours, random_state=1)
    assert_same(one, quick(colours))
    assert_same(one, quick(colours, random_state=0))
    assert not np.array_equal(one.hashes, other.hashes)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("kind", ["last", "flat", "tensor", "lazy", "memmap"])
def test_the_kind_of_array_does_not_matter(colours, kind, tmp_path):
    X, settings = colours.astype(np.float32), {}
    expected = quick(X)
    if kind == "last":
        X = X.transpose(0, 2, 3, 1)
    elif kind == "flat":
        X, settings = X.reshape(len(X), -1), {"image_shape": (3, 12, 14)}
    elif kind == "tensor":
        X = torch.from_numpy(X)
    elif kind == "lazy":
        X = LazyImages(TensorDataset(torch.from_numpy(X)))
    else:
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_same(quick(X, **settings), expected)


def test_units_and_gradients_do_not_matter(colours):
    expected = quick(colours)
    with torch.no_grad():
        found = quick(100 * colours - 7)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_equal_images_have_equal_hashes_wherever_they_are(colours, monkeypatch):
    monkeypatch.setattr(duplicates, "N_AT_A_TIME", 7)
    X = np.concatenate([colours, colours, colours[:5]])
    found = quick(X, radius=0, tolerance=0)
    np.testing.assert_array_equal(found.hashes, found.hashes[np.arange(len(X)) % 80])
    np.testing.assert_array_equal(found.labels, found.labels[np.arange(len(X)) % 80])
    assert found.keep.tolist() == [True] * 80 + [False] * 85


def test_some_of_many_images_are_trained_on(colours, monkeypatch):
    monkeypatch.setattr(duplicates, "N_IMAGES", 50)
    seen = []
    train = duplicates._Hasher.train
    monkeypatch.setattr(
        duplicates._Hasher, "train", lambda self, *args: seen.append(self._x) or train(self, *args)
    )
    found = quick(colours)
    assert [x.shape for x in seen] == [(50, 3 * 12 * 12)]
    assert (found.labels[:20] == found.labels[-20:]).mean() > 0.9


# ------------------------------------------------------------------ what images become


def test_images_are_cropped_and_averaged():
    x = torch.rand(3, 2, 64, 100, generator=torch.Generator().manual_seed(0))
    middle = x[:, :, :, 18:82].reshape(3, 2, 32, 2, 32, 2).mean(dim=(3, 5))
    torch.testing.assert_close(duplicates._shrunk(x), middle.flatten(1))
    assert torch.equal(duplicates._shrunk(x[:, :, :20]), x[:, :, :20, 40:60].flatten(1))
    assert duplicates._shrunk(x[:, :, :45]).shape == (3, 2 * 32 * 32)


def test_constant_images_are_alike(colours):
    shades = np.broadcast_to(np.array([0.0, 0.5, 1.0])[:, None, None, None], (3, 3, 12, 14))
    found = quick(np.concatenate([shades, colours[:60]]))
    assert found.labels.tolist() == [0, 0, 0, *[-1] * 60]
    assert quick(shades).keep.tolist() == [True, False, False]


@pytest.mark.parametrize("n", [1, 2])
def test_few_images(colours, n):
    found = quick(colours[:n])
    assert found.labels.tolist() == [-1] * n
    assert found.n_groups == 0


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": -1}, r"radius=-1 must be a whole number in \[0, 32\]"),
        ({"radius": 33}, "radius=33"),
        ({"radius": 2.5}, "radius=2.5"),
        ({"tolerance": -0.1}, r"tolerance=-0.1 must be a number in \[0, inf\], or None"),
        ({"n_steps": 0}, "n_steps=0"),
        ({"noise": -1}, "noise=-1"),
        ({"dropout": 1}, r"dropout=1 must be a number in \[0, 1\)"),
        ({"data_format": "middle"}, "data_format='middle'"),
        ({"image_shape": (3, 5, 5)}, r"image_shape=\(3, 5, 5\)"),
    ],
)
def test_bad_parameters(colours, settings, message, monkeypatch):
    monkeypatch.setattr(duplicates, "_Hasher", None)  # before any work
    with pytest.raises(ValueError, match=message):
        quick(colours, **settings)


def test_bad_images(colours, monkeypatch):
    monkeypatch.setattr(duplicates, "_Hasher", None)
    with pytest.raises(ValueError, match=r"X has shape \(80, 504\), a table: .* image_shape"):
        quick(colours.reshape(80, -1))
    with pytest.raises(ValueError, match="NaN"):
        quick(np.where(colours == colours[3, 1, 5, 5], np.nan, colours))
    with pytest.raises(ValueError, match="at least 8"):
        quick(colours[:, 0, :7, :7])
    with pytest.raises(ValueError, match="0 sample"):
        quick(colours[:0])
