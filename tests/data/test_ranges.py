"""The range of images: per channel, learnt with a word of warning, and compared after fit."""

import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from skgan import LazyImages, load
from skgan.data.arrays import FORMAT, DataFormat, learn_format

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (60, 10, 10)).astype(np.uint8)
BYTES[:, :2] = 0
NDVI = RNG.random((50, 8, 8))
ELEVATION = RNG.uniform(0, 4000, (50, 8, 8))
BANDS = np.stack([NDVI, ELEVATION], 1)
PAIRS = ((0, 1), (0, 4000))


def learn(X, data_format="auto", value_range="auto"):
    return learn_format(X, None, data_format, value_range)


@pytest.fixture
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# ------------------------------------------------------------------ a range per channel


@pytest.mark.parametrize("last", [False, True])
def test_a_range_per_channel(no_warning, last):
    X = BANDS.transpose(0, 2, 3, 1) if last else BANDS
    f = learn(X, "channels_last" if last else "channels_first", PAIRS)
    x = f.encode(X)
    expected = np.stack([2 * NDVI - 1, ELEVATION / 2000 - 1], 1)
    np.testing.assert_allclose(x.numpy(), expected, atol=1e-6)
    assert x.dtype == torch.float32
    np.testing.assert_allclose(f.decode(x), X, rtol=1e-5, atol=1e-3)
    f.check(X)
    assert f.value_range == PAIRS and FORMAT.holds(f)


def test_equal_ranges_per_channel_are_one_range():
    X = RNG.random((4, 3, 8, 8))
    one, three = (learn(X, "channels_first", r).encode(X) for r in ((0, 1), [(0, 1)] * 3))
    assert torch.equal(one, three)


@pytest.mark.parametrize(
    "bad",
    [((0, 1),) * 3, ((0, 1), (1, 0)), ((0, 1), (0,)), ((0, 1), ("a", "b")), (), ((0, 1), 2),
     (0, 1e39), (0, 1e-310)],
)  # fmt: skip
def test_bad_ranges_per_channel(bad):
    with pytest.raises(ValueError, match="value_range"):
        learn(BANDS, "channels_first", bad)


@pytest.mark.parametrize(
    ("low", "high"),
    [((0.0,), (1.0,)), ((0.0, 0.0), 1.0), ((0.0, 2.0), (1.0, 1.0)), ((0.0, "a"), (1.0, 1.0)),
     ((0.0, 0.0), (1.0, np.inf))],
)  # fmt: skip
def test_formats_in_files_whose_ranges_do_not_fit(low, high):
    assert not FORMAT.holds(DataFormat((2, 8, 8), (2, 8, 8), False, low, high))


def test_an_estimator_with_a_range_per_channel(small, no_warning, tmp_path):
    est = small(value_range=PAIRS, data_format="channels_first", n_epochs=1).fit(BANDS)
    scaled = np.stack([NDVI, ELEVATION / 4000], 1).astype(np.float32)
    same = small(value_range=(0, 1), data_format="channels_first", n_epochs=1).fit(scaled)
    features = est.transform(BANDS)
    np.testing.assert_allclose(features, same.transform(scaled), rtol=1e-3, atol=1e-4)
    samples = est.sample(200, random_state=0)
    assert samples[:, 0].max() <= 1 and samples[:, 1].max() > 100
    est.save(tmp_path / "bands")
    assert np.array_equal(load(tmp_path / "bands").transform(BANDS), features)
    module = est.as_module()
    np.testing.assert_allclose(module(torch.tensor(BANDS)).numpy(force=True), features, atol=1e-5)
    as_lists = est.set_params(value_range=[list(pair) for pair in PAIRS])
    assert np.array_equal(as_lists.transform(BANDS), features)


# ------------------------------------------------------------------ what is learnt


@pytest.mark.parametrize("lazy", [False, True])
def test_a_channel_that_fills_little_of_the_range(lazy):
    X = LazyImages(TensorDataset(torch.tensor(BANDS))) if lazy else BANDS
    with pytest.warns(UserWarning, match=r"channel 0 of X .*less than 1 %.*value_range.*\[\(0\."):
        learn(X, "channels_first")


def test_channels_that_fill_enough_or_are_constant(no_warning):
    learn(np.stack([NDVI, NDVI / 50], 1), "channels_first")
    learn(np.stack([ELEVATION, np.full_like(NDVI, 7)], 1), "channels_first")
    opaque = np.stack([BYTES, BYTES, BYTES, np.full_like(BYTES, 255)], 1)
    learn(opaque, "channels_first")
    learn(BANDS, "channels_first", (0, 4000))  # chosen


@pytest.mark.parametrize(("mark", "n"), [(-9999, 4), (-9999, 900), (1e20, 2), (255, 2)])
def test_a_marker_that_sets_the_range(mark, n):
    X = RNG.uniform(0.2, 0.8, (50, 16, 16)).astype(np.float32)
    X.reshape(-1)[RNG.choice(X.size, n, replace=False)] = mark
    with pytest.warns(UserWarning) as seen:
        learn(X)
    (message,) = [str(w.message) for w in seen]
    shown = f"{np.float32(mark):g}"
    assert f"set by {n:,} of 12,800 values ({n:,} of them {shown})" in message
    assert "value_range=(0.2" in message and "Replace" in message


def test_a_marker_in_binary_images():
    X = (RNG.random((50, 8, 8)) < 0.3).astype(float)
    X[3, 2:4, 2] = -9999
    with pytest.warns(UserWarning, match=r"set by 2 of 3,200 values \(2 of them -9999\)"):
        learn(X)


def test_ranges_that_all_values_fill(no_warning):
    for X in (
        RNG.normal(size=(50, 16, 16)),
        RNG.exponential(size=(50, 16, 16)),
        RNG.integers(0, 17, (50, 8, 8)),
        RNG.choice([0, 0.95, 1.0], (50, 8, 8)),
        np.where(RNG.random((50, 16, 16)) < 1e-4, 5.0, 0.0),  # dots
        RNG.integers(0, 4096, (50, 8, 8)).astype(np.uint16),
        np.full((5, 8, 8), 3.0),
        np.full((5, 8, 8), 1e30),
        BYTES,
    ):
        f = learn(X)
        assert torch.isfinite(f.encode(X)).all()


def test_bytes_of_0_and_1():
    masks = (BYTES > 127).astype(np.uint8)
    for X in (masks, LazyImages(TensorDataset(torch.tensor(masks)))):
        with pytest.warns(UserWarning, match=r"0 and 1 only.*value_range=\(0, 1\)"):
            assert learn(X).value_range == (0, 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert learn(masks, value_range=(0, 1)).encode(masks).max() == 1
        learn(np.zeros_like(masks))
        learn(masks + masks)


@pytest.mark.parametrize("value_range", ["auto", (0, 1)])
def test_numbers_that_float32_does_not_hold(small, value_range):
    X = NDVI.copy()
    X[7, 3, 3] = 1e39
    with pytest.raises(ValueError, match=r"1e\+39.*float32"):
        small(value_range=value_range).fit(X)
    fitted = small(value_range=(0, 1), n_epochs=0).fit(NDVI)
    with pytest.raises(ValueError, match=r"1e\+39.*float32"):
        fitted.transform(X)
    with pytest.raises(ValueError, match=r"width is below.*1\.2e-38"):
        small().fit(NDVI * 1e-310)


# ------------------------------------------------------------------ far from 0


@pytest.mark.parametrize("offset", [1e6, 1e8, -1e12])
def test_large_offsets_keep_their_digits(small, offset):
    X = offset + RNG.integers(0, 1024, (40, 8, 8)) / 1024
    f = learn(X, value_range=(offset, offset + 1))
    np.testing.assert_allclose(f.encode(X)[:, 0].numpy(), 2 * (X - offset) - 1, atol=1e-3)
    if abs(offset) <= 1e8:
        assert np.array_equal(f.encode(X)[:, 0].numpy(), (2 * (X - offset) - 1).astype(np.float32))
        assert f.decode(f.encode(X)).dtype == np.float64
        np.testing.assert_allclose(f.decode(f.encode(X)), X, rtol=0, atol=1e-6)
        fits = [small(value_range=(a, a + 1), n_epochs=1).fit(X - offset + a) for a in (0, offset)]
        features = fits[0].transform(X - offset)
        assert np.array_equal(features, fits[1].transform(X))
        found = fits[1].as_module()(torch.tensor(X)[:, None]).numpy(force=True)
        np.testing.assert_allclose(found, features, atol=1e-5)


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (0, 255), (0, 4095), (-3, 5)])
def test_usual_ranges_stay_in_float32(value_range):
    f = learn(NDVI, value_range=value_range)
    assert f.tensor(NDVI).dtype == f.scaling()[0].dtype == torch.float32


# ------------------------------------------------------------------ another scale after fit


def lazily(X):
    return LazyImages(TensorDataset(torch.tensor(X)))


UNIT = BYTES / 255
SCALES = {
    "0..1": UNIT,
    "-1..1": 2 * UNIT - 1,
    "standardised": (UNIT - 0.45) / 0.225,
    "a hot pixel": np.where(np.arange(UNIT.size).reshape(UNIT.shape) == 5, 200.0, UNIT),
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("scale", SCALES)
def test_other_scales_after_bytes(scale, lazy):
    X = SCALES[scale].astype(np.float32)
    with pytest.warns(UserWarning, match="far from value_range"):
        learn(BYTES).check(lazily(X) if lazy else X)
    with pytest.warns(UserWarning, match="far from value_range"):
        learn(BYTES.astype(float)).check(lazily(X) if lazy else X)


@pytest.mark.parametrize(
    ("fitted", "given"),
    [
        (UNIT, BYTES), (UNIT, 2 * UNIT - 1), (2 * UNIT - 1, UNIT), (2 * UNIT - 1, BYTES),
        ((UNIT - 0.45) / 0.225, UNIT), (BYTES, (BYTES > 99).astype(np.uint8)), (BYTES, BYTES > 99),
        (16 * BYTES.astype(np.uint16), BYTES), (257 * BYTES.astype(np.uint16), UNIT),
        (257 * BYTES.astype(np.uint16), 2 * UNIT - 1),
    ],
)  # fmt: skip
def test_other_scales_after_others(fitted, given):
    with pytest.warns(UserWarning, match="far from value_range"):
        learn(fitted).check(given)


def test_another_scale_in_one_channel():
    f = learn(BANDS, "channels_first", PAIRS)
    with pytest.warns(UserWarning, match=r"value_range=\(0, 4000\)"):
        f.check(np.stack([NDVI, ELEVATION / 4000], 1))


@pytest.mark.parametrize("n", [1, 3, 60])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_dark_and_bright_images_are_no_other_scale(no_warning, n, dtype):
    for fitted in (BYTES, BYTES.astype(np.float64)):
        f = learn(fitted)
        for X in (BYTES // 50, 250 + BYTES // 50, np.zeros_like(BYTES), np.full_like(BYTES, 255),
                  BYTES // 128 * 2, BYTES):  # fmt: skip
            f.check(X[:n].astype(dtype))


@pytest.mark.parametrize("n", [1, 3, 60])
@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (2, -1), (4.4, -2)])
def test_dark_and_bright_images_in_other_ranges(no_warning, n, scale, shift):
    f = learn(UNIT * scale + shift)
    for X in (UNIT / 50, UNIT / 2, 0.98 + UNIT / 50, np.zeros_like(UNIT), np.ones_like(UNIT), UNIT):
        f.check(X[:n] * scale + shift)


def test_one_black_image_of_bytes_may_hold_a_one(no_warning):
    X = np.zeros((1, 10, 10), np.uint8)
    X[0, 3, 3] = 1
    learn(BYTES).check(X)
