"""Features as points of a plane: where they are, what colour they have, and what is seen."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from skgan import DCGANDiscriminatorFeatures
from skgan.inspection import FeatureMapDisplay
from tests.inspection.drawn import check_same_state, colours_at, state_of, texts

pytestmark = pytest.mark.usefixtures("plt")
GREY = (0.8, 0.8, 0.8, 1.0)


class Extractor(TransformerMixin, BaseEstimator):
    """Features are the columns of X turned over, and scaled by their number."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        check_is_fitted(self)
        return np.asarray(X, np.float32)[:, ::-1] * np.arange(1, np.shape(X)[1] + 1)


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(60, 5))


@pytest.fixture(scope="module")
def y():
    return np.arange(60) % 3


@pytest.fixture
def extractor(rows):
    return Extractor().fit(rows)


def offsets(display):
    return np.asarray(display.points_.get_offsets())


def colours(display):
    return [tuple(c) for c in display.points_.get_facecolors()]


# ---------------------------------------------------------------- points


def test_principal_components_of_the_features(extractor, rows, y):
    display = FeatureMapDisplay.from_estimator(extractor, rows, y)
    F = extractor.transform(rows)
    F = F - F.mean(0)
    _, sizes, directions = np.linalg.svd(F, full_matrices=False)
    expected = F @ directions[:2].T
    signs = np.sign((offsets(display) * expected).sum(0))
    np.testing.assert_allclose(offsets(display), expected * signs, rtol=1e-4, atol=1e-3)
    shares = sizes**2 / (sizes**2).sum()
    ax = display.ax_
    for i, label in enumerate([ax.get_xlabel(), ax.get_ylabel()]):
        assert label == f"principal component {i + 1} ({shares[i]:.0%} of variance)"


def test_t_sne_is_seeded(extractor, rows):
    once, again = (
        offsets(FeatureMapDisplay.from_estimator(extractor, rows, embedding="tsne", random_state=0))
        for _ in range(2)
    )
    assert np.array_equal(once, again)
    expected = TSNE(2, perplexity=59 / 3, random_state=0).fit_transform(extractor.transform(rows))
    np.testing.assert_allclose(once, expected, rtol=1e-5)


def test_a_transformer_is_fitted_as_a_clone(extractor, rows):
    reducer = make_pipeline(StandardScaler(), PCA(2))
    display = FeatureMapDisplay.from_estimator(extractor, rows, embedding=reducer)
    expected = reducer.fit_transform(extractor.transform(rows))
    np.testing.assert_allclose(offsets(display), expected, rtol=1e-5, atol=1e-5)
    unfitted = PCA(2)
    FeatureMapDisplay.from_estimator(extractor, rows, embedding=unfitted)
    assert not hasattr(unfitted, "components_")


def test_a_transformer_without_transform(extractor, rows):
    tsne = TSNE(2, init="random", perplexity=5, random_state=1)
    display = FeatureMapDisplay.from_estimator(extractor, rows, embedding=tsne)
    expected = tsne.fit_transform(extractor.transform(rows))
    np.testing.assert_allclose(offsets(display), expected, rtol=1e-5)


def test_a_frozen_transformer_is_used_as_it_is(extractor, rows):
    pca = PCA(2).fit(extractor.transform(rows[:10]))
    frozen = FrozenEstimator(pca)
    display = FeatureMapDisplay.from_estimator(extractor, rows, embedding=frozen)
    expected = pca.transform(extractor.transform(rows))
    np.testing.assert_allclose(offsets(display), expected, rtol=1e-5, atol=1e-5)


def test_given_points_are_taken(extractor, rows, y):
    points = rows[:, :2]
    for display in (
        FeatureMapDisplay.from_estimator(extractor, rows, y, embedding=points.tolist()),
        FeatureMapDisplay(points, y).plot(),
    ):
        np.testing.assert_allclose(offsets(display), points)


def test_features_of_a_gan(rows, y):
    images = np.abs(np.resize(rows, (60, 8, 8))).astype(np.float32)
    gan = DCGANDiscriminatorFeatures(n_epochs=0, random_state=0).fit(images)
    before = state_of(gan)
    display = FeatureMapDisplay.from_estimator(gan, images, y, random_state=0)
    check_same_state(before, state_of(gan))
    # Of so many features the components are approximated, from random directions.
    expected = PCA(2, random_state=0).fit_transform(gan.transform(images))
    np.testing.assert_allclose(offsets(display), expected, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------- colours


def test_each_class_has_a_colour_that_the_legend_names(rows, y):
    display = FeatureMapDisplay(rows[:, :2], y).plot(alpha=1)
    by_class = {label: {c for c, k in zip(colours(display), y, strict=True) if k == label}
                for label in range(3)}  # fmt: skip
    assert [len(found) for found in by_class.values()] == [1, 1, 1]
    assert len(set.union(*by_class.values())) == 3
    assert texts(display.legend_.get_texts()) == ["0", "1", "2"]
    for label, handle in enumerate(display.legend_.legend_handles):
        assert {tuple(handle.get_facecolors()[0])} == by_class[label]


def test_the_figure_shows_the_colours(plt):
    points = [[0, 0], [0, 1], [1, 0], [1, 1], [0.5, 0.5]]
    display = FeatureMapDisplay(points, [0, 1, 2, 0, 1]).plot(size=100, alpha=1)
    seen = colours_at(display.ax_, *np.transpose(points))
    np.testing.assert_allclose(seen, np.rint(np.array(colours(display))[:, :3] * 255), atol=1)
    assert (colours_at(display.ax_, [0.25], [0.25]) == 255).all()


def test_text_labels(rows):
    y = np.array(["b", "a", "c"] * 20)
    display = FeatureMapDisplay(rows[:, :2], y).plot()
    assert texts(display.legend_.get_texts()) == ["a", "b", "c"]
    assert colours(display)[0] != colours(display)[1]


@pytest.mark.parametrize(
    ("y", "names"),
    [
        ([0, 1, -1, 2], ["0", "1", "2", "unlabelled"]),
        (np.array(["x", None, "z", float("nan")], object), ["x", "z", "unlabelled"]),
    ],
)
def test_samples_without_a_label_are_grey(y, names):
    display = FeatureMapDisplay(np.eye(4)[:, :2], y).plot(alpha=1)
    assert texts(display.legend_.get_texts()) == names
    has_none = [label in (-1, None) or label != label for label in y]
    assert [c == pytest.approx(GREY) for c in colours(display)] == has_none


def test_minus_one_is_a_class_beside_a_single_other(rows):
    display = FeatureMapDisplay(np.eye(4)[:, :2], [1, -1, 1, -1]).plot(alpha=1)
    assert texts(display.legend_.get_texts()) == ["-1", "1"]
    assert GREY not in colours(display)


@pytest.mark.parametrize("n", [10, 11, 20, 21, 60])
def test_many_classes_have_as_many_colours(rows, n):
    display = FeatureMapDisplay(np.resize(rows[:, :2], (120, 2)), np.arange(120) % n).plot(alpha=1)
    assert len(set(colours(display))) == n
    assert len(display.legend_.get_texts()) == n
    display.figure_.canvas.draw()
    legend, box = display.legend_.get_window_extent(), display.figure_.bbox
    assert legend.x1 <= box.x1 and legend.y0 >= box.y0 and legend.y1 <= box.y1


def test_without_labels_there_is_one_colour_and_no_legend(rows):
    display = FeatureMapDisplay(rows[:, :2]).plot()
    assert len(set(colours(display))) == 1
    assert display.legend_ is None and display.ax_.get_legend() is None


def test_a_second_plot_goes_where_it_is_told(rows, y, plt):
    display = FeatureMapDisplay(rows[:, :2], y, names=("a", "b")).plot()
    first = display.figure_
    _, (left, right) = plt.subplots(1, 2)
    display.plot(ax=right)
    assert display.ax_ is right and display.figure_ is right.figure is not first
    assert not left.collections
    assert (right.get_xlabel(), right.get_ylabel()) == ("a", "b")
    np.testing.assert_array_equal(offsets(display), rows[:, :2])


# ---------------------------------------------------------------- bad input


def test_estimators_that_give_no_features_are_refused(rows):
    with pytest.raises(NotFittedError):
        FeatureMapDisplay.from_estimator(Extractor(), rows)
    with pytest.raises(TypeError, match="TSNE has no `transform`: pass a fitted extractor"):
        FeatureMapDisplay.from_estimator(TSNE(), rows)


@pytest.mark.parametrize("embedding", [PCA(3), FunctionTransformer(lambda F: F[:, 0])])
def test_a_transformer_of_other_than_two_columns_is_refused(extractor, rows, embedding):
    with pytest.raises(ValueError, match="returns an array of shape .* two columns"):
        FeatureMapDisplay.from_estimator(extractor, rows, embedding=embedding)


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        ("umap", "embedding='umap' is unknown; use one of 'pca', 'tsne'"),
        (np.zeros((60, 3)), r"embedding has shape \(60, 3\); pass \(n, 2\)"),
        (np.zeros((59, 2)), "inconsistent numbers of samples"),
        (None, "Expected 2D array"),
    ],
)
def test_embeddings_that_there_are_not(extractor, rows, embedding, message):
    with pytest.raises(ValueError, match=message):
        FeatureMapDisplay.from_estimator(extractor, rows, embedding=embedding)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding": np.full((4, 2), np.nan)}, "embedding contains NaN"),
        ({"embedding": np.zeros(4)}, "Expected 2D array"),
        ({"y": [0, 1]}, "inconsistent numbers of samples"),
        ({"y": [0.1, 0.7, 0.3, 0.5]}, "(?i)continuous|classes"),
        ({"y": [0, np.nan, 1, 2]}, "y contains NaN"),
        ({"names": ("a",)}, "names=.* must be two texts"),
    ],
)
def test_arrays_that_are_no_labelled_points_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeatureMapDisplay(**{"embedding": np.zeros((4, 2))} | arguments)


def test_labels_are_checked_before_features_are_computed(extractor, rows, monkeypatch):
    monkeypatch.setattr(Extractor, "transform", lambda self, X: pytest.fail("it ran"))
    for y in (np.zeros(7), np.linspace(0, 1, 60)):
        with pytest.raises(ValueError):
            FeatureMapDisplay.from_estimator(extractor, rows, y)
