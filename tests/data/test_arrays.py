"""How X is read: layouts, ranges, tables, and the way back."""

import warnings

import numpy as np
import pytest

from skgan.data.arrays import ArraySource, learn_format

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 3, 10, 12)).astype(np.uint8)  # n, c, h, w


def learn(X, image_shape=None, data_format="auto", value_range="auto"):
    return learn_format(X, image_shape, data_format, value_range)


def test_all_layouts_give_the_same_images():
    encoded = [
        learn(IMAGES).encode(IMAGES),
        learn(IMAGES.transpose(0, 2, 3, 1)).encode(IMAGES.transpose(0, 2, 3, 1)),
        learn(IMAGES.reshape(5, -1), (3, 10, 12)).encode(IMAGES.reshape(5, -1)),
        learn(flat := IMAGES.transpose(0, 2, 3, 1).reshape(5, -1), (3, 10, 12),
              "channels_last").encode(flat),
    ]  # fmt: skip
    for x in encoded:
        assert x.shape == (5, 3, 10, 12)
        np.testing.assert_allclose(x.numpy(), IMAGES / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 28, 28), (1, 28, 28)),
        ((2, 3, 32, 32), (3, 32, 32)),
        ((2, 32, 32, 3), (3, 32, 32)),
        ((2, 1, 20, 30), (1, 20, 30)),
        ((2, 20, 30, 4), (4, 20, 30)),
        ((2, 103, 9, 9), (103, 9, 9)),
        ((2, 9, 9, 103), (103, 9, 9)),
    ],
)
def test_layouts_read_off_the_shape(shape, expected):
    assert learn(np.zeros(shape, np.uint8)).shape == expected


@pytest.mark.parametrize("shape", [(2, 32, 32, 32), (2, 20, 30, 40)])
def test_ambiguous_layouts_are_refused(shape):
    X = np.zeros(shape, np.uint8)
    with pytest.raises(ValueError, match="data_format='channels_first' or 'channels_last'"):
        learn(X)
    assert learn(X, data_format="channels_first").shape == shape[1:]
    assert learn(X, data_format="channels_last").shape == (shape[3], *shape[1:3])


@pytest.mark.parametrize(
    ("dtype", "low", "high", "expected"),
    [
        (np.uint8, 0, 16, (0, 255)),
        (np.float32, 0, 0.99, (0, 1)),
        (np.float64, -0.98, 0.97, (-1, 1)),
        (np.float32, 0, 254.5, (0, 255)),
        (np.float64, 0, 16, (0, 16)),
        (np.int64, 0, 4095, (0, 4095)),
        (np.float32, -3, 5, (-3, 5)),
        (np.float32, 7, 7, (7, 8)),
        (bool, 0, 1, (0, 1)),
    ],
)
def test_value_range_is_learnt(dtype, low, high, expected):
    X = np.full((2, 8, 8), low, dtype)
    X[1, 2, 3] = high
    f = learn(X)
    assert (f.low, f.high) == pytest.approx(expected)
    x = f.encode(X)
    assert x.min() >= -1 and x.max() <= 1


def test_value_range_given():
    f = learn(np.zeros((2, 8, 8)), value_range=(-5, 5))
    assert f.encode(np.full((1, 8, 8), 5.0)).max() == 1
    for bad in ((1, 0), (0,), "0..1", (0, np.inf), ("a", "b")):
        with pytest.raises(ValueError, match="value_range="):
            learn(np.zeros((2, 8, 8)), value_range=bad)


@pytest.mark.parametrize(
    "X",
    [
        IMAGES,
        IMAGES.transpose(0, 2, 3, 1),
        IMAGES[:, 0],
        IMAGES.astype(np.float64) / 255,
        RNG.normal(3, 7, (6, 4)),
    ],
)
def test_decode_inverts_encode(X):
    f = learn(X)
    back = f.decode(f.encode(X))
    assert back.shape == X.shape
    kept = X.dtype == np.uint8 or X.ndim == 2
    assert back.dtype == (X.dtype if kept else np.float32)
    np.testing.assert_allclose(back, X, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "back"),
    [(np.float32, np.float32), (np.float16, np.float32), (np.int64, np.float64)],
)
def test_rows_of_tables_come_back_in_a_type_that_holds_their_numbers(dtype, back):
    X = np.array([[1000, 2], [1001, 4], [1003, 6]], dtype)
    f = learn(X)
    assert f.decode(f.encode(X)).dtype == back


def test_large_means_keep_their_digits():
    X = 1.7e9 + RNG.normal(0, 10, (50, 1))
    f = learn(X)
    np.testing.assert_allclose(f.decode(f.encode(X)), X, rtol=0, atol=1e-4)


@pytest.mark.parametrize("unit", [1e-13, 1e-30])
def test_a_small_unit_is_no_constant_column(unit):
    X = RNG.normal(0, 1, (100, 2)) * [unit, 1]
    np.testing.assert_allclose(learn(X).encode(X).std(0, correction=0), 1, rtol=1e-5)


def test_dark_images_begin_at_black():
    dark = 0.4 * np.linspace(0, 1, 128).reshape(2, 8, 8)
    f = learn(dark)
    assert (f.low, f.high) == (0, pytest.approx(0.4))
    assert [(f.low, f.high) for f in (learn(dark - 0.2), learn(dark + 0.6))] == [(-1, 1), (0, 1)]


def test_tables_are_standardised():
    X = RNG.normal(1e6, 1e-2, (500, 3))
    X[:, 2] = 4.0
    x = learn(X).encode(X).numpy()
    np.testing.assert_allclose(x[:, :2].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(x[:, :2].std(0), 1, rtol=1e-4)
    assert (x[:, 2] == 0).all()


def test_memmaps_are_read_by_batch(tmp_path):
    X = np.memmap(tmp_path / "x", np.uint8, "w+", shape=(50, 8, 8))
    X[:] = RNG.integers(0, 256, X.shape)
    X = np.memmap(tmp_path / "x", np.uint8, "r", shape=(50, 8, 8))
    source = ArraySource(X, learn(X))
    assert source.X is X
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = np.array([3, 1, 40])
        np.testing.assert_allclose(source.batch(rows)[:, 0].numpy(), X[rows] / 127.5 - 1, atol=1e-6)
        assert source.batch(slice(0, 7)).shape == (7, 1, 8, 8)


@pytest.mark.parametrize(
    ("shape", "image_shape", "words"),
    [
        ((3, 100), (1, 8, 8), ["64", "100"]),
        ((3, 8, 8), (1, 9, 9), ["(1, 9, 9)", "(3, 8, 8)"]),
        ((3, 2, 2, 8, 8), None, ["(3, 2, 2, 8, 8)"]),
        ((3, 7, 9), None, ["7x9", "at least 8"]),
        ((3, 64), (8,), ["image_shape=(8,)"]),
        ((3, 64), "8x8", ["image_shape='8x8'"]),
        ((3, 64), (1, 8, 0), ["image_shape=0"]),
        ((3, 64), (1, 8.0, 8), ["image_shape=8.0"]),
    ],
)
def test_shapes_that_do_not_fit(shape, image_shape, words):
    with pytest.raises(ValueError) as caught:
        learn(np.zeros(shape, np.uint8), image_shape)
    assert all(word in str(caught.value) for word in words)


def test_range_at_transform():
    f = learn(np.linspace(0, 1, 128).reshape(2, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f.check(np.linspace(0, 1.3, 64).reshape(1, 8, 8))
        f.check(np.zeros((1, 8, 8)))
    with pytest.warns(UserWarning, match="value_range"):
        f.check(np.linspace(0, 255, 64).reshape(1, 8, 8))
    dim = np.full((2, 8, 8), 16, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(dim, value_range=(0, 16)).check(dim)
    g = learn(np.zeros((2, 8, 8), np.uint8))
    with pytest.warns(UserWarning, match="value_range"):
        g.check(np.linspace(0, 1, 64).reshape(1, 8, 8))


def test_images_of_another_shape_are_told_so(small):
    est = small().fit(np.zeros((20, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"samples of shape \(9, 9\).*fitted on samples of shape"):
        est.transform(np.zeros((4, 9, 9), np.uint8))
