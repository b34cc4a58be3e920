"""Rows that look like flattened images: told of once, with few false alarms."""

import warnings

import numpy as np
import pytest

from skgan import AutoencoderFeatures, DCGANDiscriminatorFeatures, SupervisedFeatures
from skgan.data.flat import side_of_flat_images

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", [float, int, np.uint8, np.float32, np.int16])
@pytest.mark.parametrize("n", [20, 300])
def test_digits_are_found_in_any_type(digits, kind, n):
    assert side_of_flat_images(digits[0][:n].astype(kind)) == 8


def test_bytes_need_not_fill_their_range(bytes_28):
    assert side_of_flat_images(bytes_28.reshape(len(bytes_28), -1)) == 28
    gradient = np.arange(64, dtype=np.uint8) * np.ones((20, 1), np.uint8)
    assert side_of_flat_images(gradient) == 8
    assert side_of_flat_images(gradient.astype(int)) is None  # one column alone has the largest


@pytest.mark.parametrize(
    "X",
    [
        RNG.normal(size=(100, 64)),
        RNG.random((100, 784)),
        RNG.integers(0, 256, (100, 4)),
        RNG.integers(0, 256, (100, 9), np.uint8),
        RNG.integers(0, 256, (100, 49), np.uint8),
        RNG.integers(0, 256, (100, 65), np.uint8),
        RNG.integers(0, 2, (100, 1024), np.uint8),
        RNG.integers(0, 11, (100, 100)),
        RNG.integers(1, 100, (100, 64)),
        RNG.poisson(9, (300, 100)),
        RNG.integers(0, 256, (100, 64)) / 255,
        np.zeros((100, 64)),
        np.zeros((100, 64), bool),
    ],
    ids=["normal", "unit", "4", "9", "49", "65", "flags", "choices", "from 1", "counts", "scaled",
         "zeros", "bool"],
)  # fmt: skip
def test_other_tables_are_left_alone(X):
    assert side_of_flat_images(X) is None


@pytest.mark.parametrize("cls", [DCGANDiscriminatorFeatures, AutoencoderFeatures])
def test_fit_warns_once_and_names_image_shape(digits, cls):
    X = digits[0][:40]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        gan = cls(n_epochs=1, random_state=0, warm_start=True).fit(X)
        gan.transform(X)
        gan.partial_fit(X)
        gan.set_params(n_epochs=3).fit(X)
    (told,) = [w for w in seen if "image_shape" in str(w.message)]
    assert "image_shape=(8, 8)" in str(told.message)
    assert told.category is UserWarning


def test_who_says_what_rows_are_is_not_warned(digits, small):
    X, y = digits[0][:40], digits[1][:40]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(image_shape=(8, 8), n_epochs=0).fit(X)
        small(generator="mlp", discriminator="mlp", n_epochs=0).fit(X)
        SupervisedFeatures(classifier="mlp", n_epochs=0).fit(X, y)
        small(n_epochs=0).fit(X.reshape(-1, 8, 8))
        DCGANDiscriminatorFeatures(n_epochs=0).fit(X / 16)
