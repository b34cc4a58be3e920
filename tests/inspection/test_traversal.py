"""Traversals: the z of every image, read back from a generator whose pixels are z."""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    InfoGANExtractor,
    MGANExtractor,
)
from skgan.inspection import TraversalDisplay
from tests.inspection.drawn import (
    PixelsOfZ,
    check_image_is_seen,
    check_same_state,
    state_of,
    texts,
    z_of,
)

pytestmark = pytest.mark.usefixtures("plt")
DIM = 6
FIT = {"n_epochs": 0, "random_state": 0, "device": "cpu", "discriminator": DCGANSpec(4)}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((40, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def gan(images):
    return DCGANDiscriminatorFeatures(generator=PixelsOfZ(DIM), latent_dim=DIM, **FIT).fit(images)


@pytest.fixture(scope="module")
def bigan(images):
    """z has 4 numbers, then one-hot categories of 3 and of 2."""
    return BiGANEncoder(
        generator=PixelsOfZ(9), encoder=DCGANSpec(4), latent_dim=4, categories=(3, 2), **FIT
    ).fit(images)


@pytest.fixture(scope="module")
def infogan(images):
    return InfoGANExtractor(generator=DCGANSpec(4), **FIT | {"n_epochs": 1}).fit(images)


def draws(estimator, n, dim, seed=0):
    """z of the samples that it generates."""
    return z_of(estimator.sample_images(n, random_state=seed), dim)


def traversal(estimator, *args, **settings):
    return TraversalDisplay.from_estimator(estimator, *args, **{"random_state": 0} | settings)


# ---------------------------------------------------------------- z


@pytest.mark.parametrize("code", [0, 4, np.int64(5), "latent4"])
def test_one_entry_of_z_varies_and_all_else_is_the_draw(gan, code):
    values = [-1.0, 0.25, 1.0, 0.5]
    display = traversal(gan, code, values=values, n_rows=3)
    z = z_of(display.images, DIM)
    assert z.shape == (3, 4, DIM)
    expected = np.repeat(draws(gan, 3, DIM)[:, None], 4, axis=1)
    expected[:, :, 4 if code == "latent4" else code] = values
    np.testing.assert_allclose(z, expected, atol=1e-6)
    assert display.code == ("latent4" if code == "latent4" else f"latent{code}")


def test_the_default_is_the_first_entry_across_the_prior(gan):
    z = z_of(traversal(gan).images, DIM)
    assert z.shape == (8, 9, DIM)
    np.testing.assert_allclose(z[:, :, 0], np.tile(np.linspace(-1, 1, 9), (8, 1)), atol=1e-6)


def test_a_normal_prior_is_crossed_from_minus_two_to_two(images):
    normal = DCGANDiscriminatorFeatures(
        generator=PixelsOfZ(DIM), latent_dim=DIM, latent="normal", **FIT
    ).fit(images)
    assert traversal(normal, 1).values.tolist() == np.linspace(-2, 2, 9).tolist()


def test_multiples_of_a_direction_are_added(gan):
    direction = np.linspace(-0.2, 0.3, DIM)
    display = traversal(gan, direction, values=[-1, 0, 2], n_rows=4)
    steps = np.array([-1, 0, 2])[:, None] * direction
    expected = (draws(gan, 4, DIM)[:, None] + steps).clip(-1, 1)  # images are clipped
    np.testing.assert_allclose(z_of(display.images, DIM), expected, atol=1e-6)
    assert display.code == "multiple of the direction"
    assert traversal(gan, direction).values.tolist() == np.linspace(-1, 1, 9).tolist()


def test_a_line_between_two_z(gan):
    first, last = np.linspace(-0.9, 0.9, DIM), np.linspace(0.5, -0.5, DIM)
    display = traversal(gan, between=(first, last))
    z = z_of(display.images, DIM)
    assert z.shape == (1, 9, DIM)
    np.testing.assert_allclose(z[0], np.linspace(first, last, 9), atol=1e-6)
    assert display.code == "share of the way"


def test_several_lines(gan):
    first, last = np.random.default_rng(3).uniform(-0.9, 0.9, (2, 4, DIM))
    z = z_of(traversal(gan, between=(first, last)).images, DIM)
    np.testing.assert_allclose(z, np.linspace(first, last, 9, axis=1), atol=1e-6)


def test_lines_between_draws_begin_at_those_of_sample(gan):
    z = z_of(traversal(gan, between="draws", n_rows=3).images, DIM)
    np.testing.assert_allclose(z[:, 0], draws(gan, 3, DIM), atol=1e-6)
    assert np.abs(z[:, -1] - z[:, 0]).max() > 0.5
    np.testing.assert_allclose(z[:, 4], (z[:, 0] + z[:, -1]) / 2, atol=1e-6)


def test_a_great_circle_has_equal_angles_and_changes_length_linearly(gan):
    first, last = np.zeros((2, DIM))
    first[0], last[1] = 0.8, 0.4
    z = z_of(traversal(gan, between=(first, last), path="spherical").images, DIM)[0]
    t = np.linspace(0, 1, 9)
    length = 0.8 + t * (0.4 - 0.8)
    np.testing.assert_allclose(z[:, 0], length * np.cos(t * np.pi / 2), atol=1e-5)
    np.testing.assert_allclose(z[:, 1], length * np.sin(t * np.pi / 2), atol=1e-5)
    np.testing.assert_allclose(z[:, 2:], 0, atol=1e-5)


# ---------------------------------------------------------------- codes by name


@pytest.mark.parametrize(("code", "columns"), [("category0", [4, 5, 6]), ("category1", [7, 8])])
def test_a_category_is_one_hot(bigan, code, columns):
    display = traversal(bigan, code, n_rows=5)
    z = z_of(display.images, 9)
    k = len(columns)
    assert z.shape[:2] == (5, k) and list(display.values) == list(range(k))
    np.testing.assert_allclose(z[:, :, columns], np.tile(np.eye(k), (5, 1, 1)), atol=1e-6)
    # Categories are drawn after the numbers, so pixels that are no part of the code are the draw.
    others = [i for i in range(9) if i not in columns]
    same = np.repeat(draws(bigan, 5, 9)[:, None], k, axis=1)
    np.testing.assert_allclose(z[:, :, others], same[:, :, others], atol=1e-6)


def test_chosen_categories_in_the_given_order(bigan):
    z = z_of(traversal(bigan, "category0", values=[2, 0], n_rows=2).images, 9)
    np.testing.assert_allclose(z[0, :, 4:7], [[0, 0, 1], [1, 0, 0]], atol=1e-6)


def test_categories_are_the_default_where_there_are_any(bigan, images):
    assert traversal(bigan).code == "category0"
    without = BiGANEncoder(
        generator=PixelsOfZ(4), encoder=DCGANSpec(4), latent_dim=4, **FIT
    ).fit(images)  # fmt: skip
    assert traversal(without).code == "latent0"


@pytest.mark.parametrize("code", ["category0", "continuous0", "continuous1"])
@pytest.mark.parametrize("values", [None, [1, 0]])
def test_the_images_are_those_of_traverse(infogan, code, values):
    display = traversal(infogan, code, values=values, n_rows=3, random_state=5)
    expected = infogan.traverse(code, values, n_rows=3, random_state=5)
    np.testing.assert_allclose(display.images[:, :, 0], expected, atol=1e-6)
    assert len(display.values) == expected.shape[1]


def test_continuous_codes_are_the_default_without_categories(images):
    infogan = InfoGANExtractor(generator=DCGANSpec(4), categories=(), **FIT).fit(images)
    assert traversal(infogan).code == "continuous0"


def test_each_generator_of_a_mixture_is_a_column(images):
    mgan = MGANExtractor(generator=DCGANSpec(4), n_generators=3, **FIT).fit(images)
    shown = traversal(mgan, n_rows=4).images
    assert shown.shape == (4, 3, 1, 8, 8)
    for k in range(3):
        expected = mgan.sample_images(4, random_state=0, component=k)
        np.testing.assert_allclose(shown[:, k], expected, atol=1e-6)


# ---------------------------------------------------------------- what is drawn


def test_rows_and_columns_lie_in_order(gan):
    display = traversal(gan, 2, values=[-1, 0, 1], n_rows=2)
    sheet = np.asarray(display.image_.get_array())
    assert sheet.shape == (2 * 9 - 1, 3 * 9 - 1)
    for row, column in np.ndindex(2, 3):
        tile = sheet[9 * row : 9 * row + 8, 9 * column : 9 * column + 8]
        np.testing.assert_array_equal(tile, display.images[row, column, 0])
        check_image_is_seen(display.ax_, display.images[row, column, 0], 9 * column, 9 * row)


def test_values_are_written_below_their_columns(gan):
    ax = traversal(gan, 1, values=[-0.125, 0.5, 1 / 3]).ax_
    assert texts(ax.get_xticklabels()) == ["-0.125", "0.5", "0.333"]
    assert ax.get_xticks().tolist() == [3.5, 12.5, 21.5]
    assert ax.get_xlabel() == "latent1"
    ax.figure.canvas.draw()
    for text in [*ax.get_xticklabels(), ax.xaxis.label]:
        assert text.get_window_extent().y0 >= 0  # nothing is cut off


def test_categories_and_texts_are_written_as_they_are(bigan):
    assert texts(traversal(bigan, "category1").ax_.get_xticklabels()) == ["0", "1"]
    display = TraversalDisplay(np.zeros((1, 2, 1, 4, 4)), ["thin", "bold"], code="stroke").plot()
    assert texts(display.ax_.get_xticklabels()) == ["thin", "bold"]
    assert display.ax_.get_xlabel() == "stroke"
    assert not texts(TraversalDisplay(np.zeros((1, 2, 1, 4, 4))).plot().ax_.get_xticklabels())


def test_a_second_plot_goes_where_it_is_told(gan, plt):
    display = traversal(gan, n_rows=2)
    first = display.figure_
    _, (left, right) = plt.subplots(1, 2)
    display.plot(ax=right)
    assert display.ax_ is right and display.figure_ is right.figure is not first
    assert not left.images and len(right.images) == len(first.axes[0].images) == 1
    assert texts(right.get_xticklabels()) == texts(first.axes[0].get_xticklabels())


def test_draws_are_seeded_and_nothing_is_disturbed(gan):
    before = state_of(gan)
    shown = [traversal(FrozenEstimator(gan), random_state=s).images for s in (1, 1, 2)]
    assert np.array_equal(shown[0], shown[1]) and not np.allclose(shown[0], shown[2])
    check_same_state(before, state_of(gan))


def test_a_tool_on_a_generator(gan):
    class Projector(BaseEstimator):
        def fit(self, X=None, y=None):
            self.gan_ = FrozenEstimator(gan)
            return self

    np.testing.assert_array_equal(traversal(Projector().fit()).images, traversal(gan).images)


def test_many_images_are_generated_in_parts(gan, monkeypatch):
    seen = []
    forward = PixelsOfZ.forward
    monkeypatch.setattr(PixelsOfZ, "forward", lambda s, z: seen.append(len(z)) or forward(s, z))
    display = traversal(gan, n_rows=100)
    assert sum(seen) == 900 and max(seen) <= 512
    z = z_of(display.images, DIM)
    np.testing.assert_allclose(z[:, 0, 1:], draws(gan, 100, DIM)[:, 1:], atol=1e-6)


# ---------------------------------------------------------------- bad input


def test_an_unfitted_estimator_is_refused():
    with pytest.raises(NotFittedError):
        TraversalDisplay.from_estimator(DCGANDiscriminatorFeatures())


def test_an_estimator_without_a_prior_is_refused(images):
    autoencoder = AutoencoderFeatures(n_epochs=0, random_state=0).fit(images)
    with pytest.raises(TypeError, match="AutoencoderFeatures draws no z from a prior: pass"):
        TraversalDisplay.from_estimator(autoencoder)


def test_a_table_has_no_images():
    table = DCGANDiscriminatorFeatures(n_epochs=0, random_state=0).fit(np.eye(10))
    with pytest.raises(ValueError, match="DCGANDiscriminatorFeatures was fitted on a table"):
        TraversalDisplay.from_estimator(table)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"code": "category2"}, "code='category2' is unknown; use one of 'latent0'"),
        ({"code": 9}, r"code=9 must be a whole number in \[0, 8\], or the name of a code"),
        ({"code": 1.5}, "code=1.5 must be a whole number"),
        ({"code": 5}, "code=5 is one of the one-hot entries of 'category0': use code='category0'"),
        ({"code": np.ones(8)}, r"code has shape \(8,\), but z has 9 entries"),
        ({"code": np.full(9, np.nan)}, "code contains NaN"),
        ({"code": "category0", "values": [3]}, r"values=3 must be a whole number in \[0, 2\]"),
        ({"code": "category0", "values": [0.5]}, "values=0.5 must be a whole number"),
        ({"code": "category0", "values": 1}, "values=.* must be a list of at least one value"),
        ({"code": 0, "values": []}, "values=.* must be a list of at least one value"),
        ({"code": 0, "values": 0.5}, "values=.* must be a list of at least one value"),
        ({"code": 0, "values": [np.inf]}, "values=inf must be a number"),
        ({"code": 0, "between": "draws"}, "code=0 and values=None do not go with between"),
        ({"values": [0, 1], "between": "draws"}, "do not go with between: leave them None"),
        ({"between": "ends"}, "between='ends' is unknown; use one of 'draws'"),
        ({"between": 3}, "between=3 must be a pair of z"),
        ({"between": np.zeros((3, 9))}, "(?s)between=.* must be a pair of z"),
        ({"between": (np.zeros(9), np.zeros(8))}, r"between has shape \(8,\), but z has 9"),
        ({"between": (np.zeros((2, 9)), np.zeros(9))}, "between has 2 first and 1 last ends"),
        ({"path": "curved"}, "path='curved' is unknown"),
        ({"n_rows": 0}, "n_rows=0 must be a whole number"),
    ],
)
def test_what_there_is_not_is_named(bigan, settings, message):
    with pytest.raises(ValueError, match=message):
        TraversalDisplay.from_estimator(bigan, **settings)


@pytest.mark.parametrize(
    ("images", "values", "message"),
    [
        (np.zeros((2, 1, 4, 4)), None, r"images has shape \(2, 1, 4, 4\); pass \(n_rows, n_col"),
        (np.zeros((0, 2, 1, 4, 4)), None, "with at least one image"),
        (np.zeros((1, 2, 2, 4, 4)), None, "c = 1"),
        (np.full((1, 2, 1, 4, 4), 7.0), None, "images has values from 7"),
        (np.zeros((1, 2, 1, 4, 4)), [1, 2, 3], "values has 3 entries, but images has 2 columns"),
    ],
)
def test_arrays_that_are_no_grid_of_images_are_refused(images, values, message):
    with pytest.raises(ValueError, match=message):
        TraversalDisplay(images, values)


def test_gradients_may_be_off(gan):
    with torch.no_grad():
        assert len(traversal(gan, n_rows=2).images) == 2
