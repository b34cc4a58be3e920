"""Nearest real samples against loops, and planted copies among generated samples."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from torch.utils.data import TensorDataset

from skgan import LazyImages
from skgan.tools import memorisation_check, nearest_real


@pytest.fixture(scope="module")
def images():
    """(training, held-out, new) digits as images of bytes."""
    X = (load_digits().images * 15.9).astype(np.uint8)
    X = X[np.random.default_rng(0).permutation(len(X))]
    return X[:1000], X[1000:1400], X[1400:]


def by_loops(samples, X):
    flat = X.reshape(len(X), -1).astype(float)
    distances = [np.linalg.norm(flat - s.ravel(), axis=1) for s in samples.astype(float)]
    return np.array(distances)


# ------------------------------------------------------------------ nearest real samples


def test_neighbours_in_pixels(images):
    train, new, _ = images
    distances, indices = nearest_real(new[:50], train, n_neighbors=3)
    all_of_them = by_loops(new[:50], train)
    np.testing.assert_allclose(distances, np.sort(all_of_them, axis=1)[:, :3], rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(all_of_them, indices, 1), distances, rtol=1e-5)
    city, _ = nearest_real(new[:5], train, metric="manhattan")
    flat = train.reshape(1000, -1).astype(float)
    expected = [np.abs(flat - s.ravel()).sum(1).min() for s in new[:5].astype(float)]
    np.testing.assert_allclose(city[:, 0], expected, rtol=1e-6)


def test_copies_have_distance_zero(images):
    train = images[0]
    distances, indices = nearest_real(train[::-1], train)
    assert np.abs(distances).max() == 0
    np.testing.assert_array_equal(train[indices[:, 0]], train[::-1])


@pytest.mark.parametrize("frozen", [False, True])
def test_neighbours_in_features(images, frozen):
    train, new, _ = (X.reshape(len(X), -1) for X in images)
    pca = PCA(5).fit(train)
    estimator = FrozenEstimator(pca) if frozen else pca
    distances, _ = nearest_real(new[:20], train, estimator=estimator)
    expected = by_loops(pca.transform(new[:20]), pca.transform(train)).min(axis=1)
    np.testing.assert_allclose(distances[:, 0], expected, rtol=1e-5)


def test_images_go_through_an_estimator(images, small):
    train, new, _ = images
    gan = small().fit(train)
    distances, _ = nearest_real(new[:20], train, estimator=gan)
    expected = by_loops(gan.transform(new[:20]), gan.transform(train)).min(axis=1)
    np.testing.assert_allclose(distances[:, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["tensor", "lazy", "float", "flat"])
def test_the_kind_of_array_does_not_matter(images, kind):
    train, new, _ = images
    expected = nearest_real(new, train)
    if kind == "tensor":
        new, train = torch.from_numpy(new), torch.from_numpy(train)
    elif kind == "lazy":
        train = LazyImages(TensorDataset(torch.from_numpy(train)))
    elif kind == "float":
        new, train = new.astype(float), train.astype(np.float32)
    else:
        new, train = new.reshape(len(new), -1), train.reshape(len(train), -1)
    for a, b in zip(nearest_real(new, train), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


# ------------------------------------------------------------------ memorised or not


def test_new_samples_are_as_far_as_held_out_ones(images):
    train, held_out, new = images
    found = memorisation_check(new, train, held_out)
    assert 0.9 < found.ratio < 1.1
    assert 0.45 < found.closer < 0.55
    assert found.close_share < 0.03
    nearest = by_loops(new, train)
    np.testing.assert_allclose(found.distances, nearest.min(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(found.indices, nearest.argmin(axis=1))
    np.testing.assert_allclose(
        found.held_out_distances, by_loops(held_out, train).min(axis=1), rtol=1e-5
    )


def test_copies_are_noticed(images):
    train, held_out, _ = images
    noise = np.random.default_rng(0).normal(0, 2, train[:300].shape)
    found = memorisation_check(train[:300] + noise, train.astype(float), held_out.astype(float))
    assert found.ratio < 0.3
    assert found.closer > 0.99
    assert found.close_share > 0.99
    assert memorisation_check(train[:300], train, held_out).ratio == 0


def test_a_few_copies_are_noticed(images):
    """A tenth of copies hardly moves the median."""
    train, held_out, new = images
    mixed = np.concatenate([new[:270], train[:30]])
    found = memorisation_check(mixed, train, held_out)
    assert found.ratio > 0.85
    assert 0.09 < found.close_share < 0.13


def test_noisy_copies_are_noticed_where_samples_are_close_anyway():
    """Half of all samples lie so close together that copies of the others are not nearer."""
    rng = np.random.default_rng(0)
    scale = np.where(np.arange(1000) < 500, 0.01, 10)[:, None]
    train, held_out, new = (scale * rng.normal(size=(1000, 6)) for _ in range(3))
    copies = train[500:600] + 0.1 * rng.normal(size=(100, 6))
    found = memorisation_check(np.concatenate([new, copies]), train, held_out)
    assert found.close_share == pytest.approx(100 / 1100, abs=0.02)
    assert memorisation_check(new, train, held_out).close_share < 0.03


def test_copies_among_training_samples_do_no_harm(images):
    train, held_out, new = images
    twice = np.concatenate([train, train[:100]])
    found = memorisation_check(np.concatenate([new, train[:40]]), twice, held_out)
    assert np.isfinite(found.close_share)
    assert 0.09 < found.close_share < 0.13


def test_samples_unlike_real_ones_are_farther(images):
    train, held_out, _ = images
    noise = np.random.default_rng(0).integers(0, 255, (100, 8, 8)).astype(np.uint8)
    found = memorisation_check(noise, train, held_out)
    assert found.ratio > 2
    assert found.closer < 0.01


def test_closer_is_the_statistic_of_mann_whitney(images):
    train, held_out, new = images
    mixed = np.concatenate([new[:100], train[:50], train[:50]])
    found = memorisation_check(mixed, train, np.concatenate([held_out, train[:10]]))
    u = mannwhitneyu(found.held_out_distances, found.distances).statistic
    assert found.closer == pytest.approx(u / (200 * 410))


def test_features_find_copies_that_pixels_do_not(images):
    """Brighter copies, by features that do not read brightness."""
    train, held_out, new = (X.astype(float) for X in images)

    class Centred(PCA):
        def transform(self, X):
            X = X.reshape(len(X), -1)
            return super().transform(X - X.mean(axis=1, keepdims=True))

    estimator = Centred(20).fit(train.reshape(1000, -1))
    brighter = train[:300] + 40
    assert memorisation_check(brighter, train, held_out).ratio > 1
    assert memorisation_check(brighter, train, held_out, estimator=estimator).ratio < 0.01
    assert 0.9 < memorisation_check(new, train, held_out, estimator=estimator).ratio < 1.1


# ------------------------------------------------------------------ errors


def test_bad_samples(images):
    train, held_out, new = images
    with pytest.raises(
        ValueError, match=r"samples has samples of shape \(8,\), but X of shape \(8"
    ):
        nearest_real(new[:, 0], train)
    with pytest.raises(ValueError, match=r"X_held_out has samples of shape \(7, 8\), but X_train"):
        memorisation_check(new, train, held_out[:, :7])
    with pytest.raises(ValueError, match="Input samples contains NaN"):
        nearest_real(np.full((2, 8, 8), np.nan), train)
    with pytest.raises(ValueError, match="0 sample"):
        nearest_real(new[:0], train)
    with pytest.raises(ValueError, match="n_neighbors=1001 must be at most 1000, the rows of X"):
        nearest_real(new, train, n_neighbors=1001)
    with pytest.raises(ValueError, match="n_neighbors=0 must be a whole number"):
        nearest_real(new, train, n_neighbors=0)
    with pytest.raises(
        ValueError, match="75% of X_held_out are exact copies of samples in X_train"
    ):
        memorisation_check(new, train, np.concatenate([train[:300], held_out[:100]]))


def test_bad_estimators(images):
    train, _, new = (X.reshape(len(X), -1) for X in images)
    with pytest.raises(NotFittedError):
        nearest_real(new, train, estimator=PCA())
    for bad in (PCA, 3):
        with pytest.raises(TypeError, match="has no transform: pass a fitted feature extractor"):
            nearest_real(new, train, estimator=bad)


@pytest.mark.parametrize("factor", [1 / 255, 255])
def test_other_units_are_noticed(images, factor):
    train, held_out, new = (X.astype(float) for X in images)
    with pytest.warns(UserWarning, match="numbers of samples reach .* their units seem to differ"):
        nearest_real(new * factor, train)
    with pytest.warns(UserWarning, match="numbers of X_held_out reach"):
        memorisation_check(new, train, held_out * factor)
