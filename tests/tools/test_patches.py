"""Random patches: held against loops in NumPy, and what they must not depend on."""

import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch.utils.data import Dataset

from skgan import LazyImages
from skgan.tools import RandomPatchFeatures
from skgan.tools.patches import N_IMAGES
from skgan.utils.whitening import FLOOR, whitened_filters, whitener


@pytest.fixture(scope="module")
def images():
    """60 colour images of 12x10 with values 0..1: smooth, with a blank corner."""
    rng = np.random.RandomState(0)
    X = rng.uniform(size=(60, 3, 12, 10))
    X = (X + np.roll(X, 1, 2) + np.roll(X, 1, 3)) / 3
    X[:, :, :4, :4] = 0.25
    return X.astype(np.float32)


def patches_of(**settings):
    return RandomPatchFeatures(**{"n_patches": 6, "patch_size": 4, "random_state": 0} | settings)


def in_numpy(fitted, X):
    """The features of images (n, c, h, w), window by window."""
    p, filters = fitted.patch_size_, fitted.filters_.astype(np.float64)
    pad, features = p // 3, []
    for image in X.astype(np.float64):
        image = np.pad(image, [(0, 0), (pad, pad), (pad, pad)], mode="edge")
        rows, columns = (side - p + 1 for side in image.shape[1:])
        r = np.zeros((len(filters), rows, columns))
        for i in range(rows):
            for j in range(columns):
                w = image[:, i : i + p, j : j + p]
                w = w - w.mean()
                w = w / np.sqrt((w**2).sum() + fitted._floor**2)
                r[:, i, j] = [(f * w).sum() for f in filters]
        grid, pooled = fitted.pool_grid, []
        for response in (r, -r):
            f = np.maximum(0, response - fitted.threshold)
            pooled += [
                f[k, i * rows // grid : -(-(i + 1) * rows // grid),
                  j * columns // grid : -(-(j + 1) * columns // grid)].mean()
                for k in range(len(filters)) for i in range(grid) for j in range(grid)
            ]  # fmt: skip
        features.append(pooled)
    return np.array(features)


# ------------------------------------------------------------------ what is computed


@pytest.mark.parametrize("settings", [{}, {"pool_grid": 3, "threshold": 0.0}, {"patch_size": 3}])
def test_features_equal_a_loop_over_windows(images, settings):
    fitted = patches_of(**settings).fit(images)
    found = fitted.transform(images[:3])
    assert found.dtype == np.float32
    assert np.abs(found).max() > 0.1
    assert found == pytest.approx(in_numpy(fitted, images[:3]), abs=1e-5)


@pytest.mark.parametrize("m", [500, 8], ids=["more patches than values", "fewer"])
def test_whitened_patches_are_white_up_to_the_regulariser(m):
    rng = np.random.RandomState(0)
    P = torch.from_numpy(rng.normal(size=(m, 12)) * np.arange(1, 13)).float()
    basis, gains = whitener(P, 1e-6)
    white = P.double() @ basis.double().T * gains
    rank = min(m, 12)
    assert white.shape == (m, rank)
    assert (white.T @ white / m).numpy() == pytest.approx(np.eye(rank), abs=2e-3)
    # With a regulariser: eigenvalue / (eigenvalue + share * mean eigenvalue).
    basis, gains = whitener(P, 0.5)
    white = P.double() @ basis.double().T * gains
    values = np.linalg.eigvalsh((P.double().T @ P.double() / m).numpy())
    expected = values[-rank:] / (values[-rank:] + 0.5 * values.sum() / 12)
    moments = (white.T @ white / m).numpy()
    assert sorted(np.diag(moments)) == pytest.approx(sorted(expected), abs=1e-4)
    assert moments == pytest.approx(np.diag(np.diag(moments)), abs=1e-4)


def test_both_decompositions_give_the_same_filters():
    P = torch.from_numpy(np.random.RandomState(0).normal(size=(20, 20)))
    wide = torch.cat([P, torch.zeros(20, 1)], dim=1)  # m < d: by way of the m x m products
    rngs = [torch.Generator().manual_seed(0) for _ in range(2)]
    # The share is of the mean over d, which a column of zeros lowers.
    a = whitened_filters(P, 5, 0.1, rngs[0])
    b = whitened_filters(wide, 5, 0.1 * 21 / 20, rngs[1])
    assert b[:, :20].numpy() == pytest.approx(a.numpy(), rel=1e-4, abs=1e-5)


def test_filters_are_whitened_patches_of_the_images():
    # Every window of these images is one of two patterns, up to its sign.
    stripes = np.zeros((8, 8))
    stripes[:, ::2] = 1
    X = np.stack([stripes, stripes.T, 1 - stripes, 1 - stripes.T])
    fitted = patches_of(n_patches=20).fit(X)
    windows = np.stack([stripes[:4, :4], stripes.T[:4, :4]]).reshape(2, -1) - 0.5
    windows /= np.linalg.norm(windows, axis=1, keepdims=True)
    inside = np.abs(fitted.filters_.reshape(20, -1) @ windows.T)
    inside /= np.linalg.norm(fitted.filters_.reshape(20, -1), axis=1, keepdims=True)
    assert set(np.round(inside.max(axis=1), 3)) == {1.0}
    assert set(inside.argmax(axis=1)) == {0, 1}


def test_rows_of_a_table_are_compared_with_whitened_rows():
    X = np.random.RandomState(0).normal(3, [1, 10, 0.1], size=(50, 3))
    fitted = RandomPatchFeatures(n_patches=7, threshold=0.4, random_state=0).fit(X)
    r = ((X - X.mean(0)) / X.std(0)) @ fitted.filters_.T
    expected = np.hstack([np.maximum(0, r - 0.4), np.maximum(0, -r - 0.4)])
    assert fitted.transform(X) == pytest.approx(expected, abs=1e-5)
    assert RandomPatchFeatures().fit(X).n_features_out_ == 2 * 50  # no more filters than rows


def test_digits_are_told_apart_better_than_by_pixels(digits):
    X, y = load_digits(return_X_y=True)
    fitted = RandomPatchFeatures(image_shape=(8, 8), n_patches=64, random_state=0).fit(X)
    model = LogisticRegression(max_iter=500)
    by_pixels, by_patches = (
        np.mean([model.fit(f[i::90], y[i::90]).score(f, y) for i in range(4)])
        for f in (X / 16, fitted.transform(X))
    )
    assert by_patches > by_pixels + 0.03


# ------------------------------------------------------------------ what must play no part


def test_batches_and_order_play_no_part(images):
    fitted = patches_of().fit(images)
    whole = fitted.transform(images)
    for size in (1, 7, 60):
        fitted.set_params(transform_batch_size=size)
        assert fitted.transform(images) == pytest.approx(whole, abs=1e-5)
    order = np.random.RandomState(1).permutation(60)
    assert fitted.transform(images[order]) == pytest.approx(whole[order], abs=1e-5)


def test_pieces_of_long_images_play_no_part(images, monkeypatch):
    fitted = patches_of().fit(images)
    whole = fitted.transform(images)
    monkeypatch.setattr("skgan.tools.patches.MAP_VALUES", 100)
    assert fitted.transform(images) == pytest.approx(whole, abs=1e-5)


def test_units_play_no_part(images):
    expected = patches_of().fit_transform(images)
    for a, b in ((255, 0), (2, -1), (1e-3, 5)):
        scaled = a * images.astype(np.float64) + b
        tolerance = 1e-4 if b < 5 else 0.02  # float32 of values near 5
        assert patches_of().fit_transform(scaled) == pytest.approx(expected, abs=tolerance)


def test_contrast_of_an_image_plays_no_part_above_the_floor(images):
    fitted = patches_of(threshold=0.0).fit(images)
    usual, brighter = fitted.transform(images[:5]), fitted.transform(3 * images[:5] + 1)
    assert brighter == pytest.approx(usual, abs=0.05 * float(usual.max()))
    faint = fitted.transform(0.5 + FLOOR**2 * images[:5])  # below it, contrast is noise
    assert faint.max() < 0.2 * usual.max()


@pytest.mark.parametrize("value", [0, 0.1, 1e6])
def test_constant_images_have_features_of_zero(images, value):
    constant = np.full((2, 3, 12, 10), value)
    assert not patches_of().fit(images).transform(constant).any()
    assert not patches_of().fit(constant).transform(constant).any()
    features = patches_of().fit(constant).transform(images)
    assert np.isfinite(features).all()


def test_seeds(images):
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    a, again, b = (patches_of(random_state=s).fit(images).filters_ for s in (0, 0, 1))
    assert np.array_equal(a, again)
    assert not np.allclose(a, b)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])


# ------------------------------------------------------------------ images of all kinds


def test_layouts_and_types_of_the_same_images(images):
    as_bytes = np.round(images * 255).astype(np.uint8)
    expected = patches_of().fit_transform(as_bytes)
    variants = {
        "floats": (as_bytes / 255.0, {}),
        "channels last": (as_bytes.transpose(0, 2, 3, 1), {"data_format": "channels_last"}),
        "flat": (as_bytes.reshape(60, -1), {"image_shape": (3, 12, 10)}),
        "tensor": (torch.from_numpy(as_bytes), {}),
    }
    for name, (X, settings) in variants.items():
        found = patches_of(data_format="channels_first").set_params(**settings).fit_transform(X)
        assert found == pytest.approx(expected, abs=1e-4), name


@pytest.mark.parametrize(
    ("shape", "patch", "block"),
    [((28, 28), 6, 1), ((32, 32), 6, 1), ((8, 8), 3, 1), ((3, 48, 48), 9, 1), ((64, 64), 6, 2),
     ((3, 96, 130), 6, 3), ((20, 8, 30), 3, 1), ((225, 231), 6, 7)],
)  # fmt: skip
def test_patches_scale_with_the_images(shape, patch, block):
    X = np.random.RandomState(0).normal(size=(3, *shape))
    settings = {"data_format": "channels_first", "n_patches": 4, "random_state": 0}
    fitted = RandomPatchFeatures(**settings).fit(X)
    assert (fitted.patch_size_, fitted.block_size_) == (patch, block)
    assert fitted.transform(X).shape == (3, 2 * 4 * 16) == (3, fitted.n_features_out_)
    assert fitted.transform(X).any()


def test_lazy_images_are_read_by_index_and_not_all_of_them(monkeypatch):
    class Drawn(Dataset):
        def __len__(self):
            return 500

        def __getitem__(self, i):
            decoded.append(i)
            return np.random.RandomState(i).randint(0, 255, (10, 10), dtype=np.uint8)

    decoded: list = []
    monkeypatch.setattr("skgan.tools.patches.N_IMAGES", 40)
    lazy = LazyImages(Drawn())
    decoded.clear()
    fitted = patches_of().fit(lazy)
    assert len(decoded) == len(set(decoded)) == 40
    in_memory = patches_of().fit(np.asarray(lazy))
    assert np.array_equal(fitted.filters_, in_memory.filters_)
    assert fitted.transform(lazy[:5]) == pytest.approx(in_memory.transform(np.asarray(lazy[:5])))


def test_memory_does_not_grow_with_the_images(tmp_path):
    n = 3 * N_IMAGES
    X = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (n, 16, 16))
    X[:, :8, ::3] = 200
    fitted = patches_of().set_params(n_patches=2, pool_grid=1)
    peaks = []
    for rows in (n // 3, n):
        tracemalloc.start()
        fitted.fit(X[:rows])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**20  # 2 MB more are read if all of X is


def test_names_pickles_and_clones(images):
    fitted = patches_of().fit(images)
    names = fitted.get_feature_names_out()
    assert len(set(names)) == fitted.n_features_out_ == 2 * 6 * 16
    assert names[[0, 5, -1]].tolist() == [
        "patch0_positive_cell0x0", "patch0_positive_cell1x1", "patch5_negative_cell3x3",
    ]  # fmt: skip
    expected = fitted.transform(images)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).transform(images), expected)
    assert np.array_equal(clone(fitted).fit_transform(images), expected)
    pandas = pytest.importorskip("pandas")
    frame = fitted.set_output(transform="pandas").transform(images)
    assert isinstance(frame, pandas.DataFrame)
    assert frame.columns.tolist() == names.tolist()


def test_small_grids_and_large_patches(images):
    fitted = patches_of(patch_size=10, pool_grid=9).fit(images)  # 9x7 windows with the padding
    assert fitted.transform(images).shape == (60, 2 * 6 * 9 * 7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_patches": 0}, "n_patches=0 must be a whole number"),
        ({"patch_size": 11}, "patch_size=11 does not suit images of 12x10 pixels.*in .2, 10."),
        ({"patch_size": "big"}, "patch_size='big' must be a whole number.*or 'auto'"),
        ({"threshold": -1}, "threshold=-1 must be a number"),
        ({"pool_grid": None}, "pool_grid=None must be a whole number"),
        ({"whitening": 0}, "whitening=0 must be a number"),
        ({"transform_batch_size": 0}, "transform_batch_size=0 must be a whole number"),
        ({"data_format": "first"}, "data_format='first' is unknown"),
        ({"image_shape": (3, 9, 9)}, r"image_shape=\(3, 9, 9\), but X of shape"),
    ],
)
def test_bad_parameters(images, settings, message):
    with pytest.raises(ValueError, match=message):
        patches_of(**settings).fit(images[:, :1] if "patch_size" in settings else images)


def test_bad_images(images):
    with pytest.raises(ValueError, match="4x4 pixels, but both sides must be at least 8"):
        patches_of().fit(np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="fitted on samples of shape"):
        patches_of().fit(images).transform(images[:, :, :-1])
    with pytest.raises(ValueError, match="NaN"):
        patches_of().fit(np.where(images > 0.9, np.nan, images))
