"""Filters with known weights: their maps, the images they respond to, and what is drawn of them."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skgan import BiGANEncoder, DCGANDiscriminatorFeatures, DCGANSpec, MGANExtractor, MLPSpec
from skgan.inspection import FilterResponseDisplay
from tests.inspection.drawn import (
    check_same_state,
    colours_at,
    state_of,
    texts,
)

pytestmark = pytest.mark.usefixtures("plt")
SMALL = {
    "generator": DCGANSpec(4), "discriminator": DCGANSpec(4), "latent_dim": 8, "n_epochs": 0,
    "random_state": 0, "device": "cpu",
}  # fmt: skip


def known_filters():
    """Filter 0 is the image, filter 1 minus the image, filter 2 its upper left 8x8 neighbour."""
    conv = nn.Conv2d(1, 3, 3, padding=1, bias=False)
    nn.init.zeros_(conv.weight)
    with torch.no_grad():
        conv.weight[0, 0, 1, 1] = conv.weight[2, 0, 0, 0] = 1
        conv.weight[1, 0, 1, 1] = -1
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(3 * 80, 1))


@pytest.fixture(scope="module")
def images():
    """Some are brighter than others, and one pixel of some is at its extremes."""
    rng = np.random.default_rng(0)
    X = 0.9 * rng.random((30, 8, 10)) * rng.uniform(0.3, 1, (30, 1, 1))
    X[3, 2, 2], X[5, 1, 1], X[8] = 1.0, 0.95, 0.6
    return X.astype(np.float32)


@pytest.fixture(scope="module")
def known(images):
    return DCGANDiscriminatorFeatures(**SMALL | {"discriminator": known_filters()}).fit(images)


@pytest.fixture(scope="module")
def gan(images):
    return DCGANDiscriminatorFeatures(**SMALL | {"n_epochs": 2}).fit(images)


def shown(*args, **settings):
    return FilterResponseDisplay.from_estimator(*args, **settings)


# ---------------------------------------------------------------- maps and responses


def maps_by_hand(images):
    x = 2 * images - 1
    shifted = np.pad(x, ((0, 0), (1, 0), (1, 0)))[:, :-1, :-1]
    return np.maximum(np.stack([x, -x, shifted], axis=1), 0)


def test_maps_are_what_the_filters_make_of_the_first_images(known, images):
    display = shown(known, images, layer=0, n_images=4)
    np.testing.assert_allclose(display.maps, maps_by_hand(images)[:4], atol=1e-6)
    np.testing.assert_allclose(display.images[:, 0], images[:4], atol=1e-6)
    assert display.filters == [0, 1, 2]  # there are no six
    assert display.layer == "layer 0 of the discriminator, activation"


def test_chosen_filters_in_the_given_order(known, images):
    display = shown(known, images, filters=[2, 0])
    np.testing.assert_allclose(display.maps, maps_by_hand(images)[:3][:, [2, 0]], atol=1e-6)
    assert display.filters == [2, 0]


def test_the_stage_before_the_activation(known, images):
    conv = shown(known, images, tap="conv").maps
    np.testing.assert_allclose(conv[:, 0], 2 * images[:3] - 1, atol=1e-6)
    np.testing.assert_allclose(conv[:, 1], -conv[:, 0], atol=1e-6)


@pytest.mark.parametrize("response", ["max", "mean"])
def test_the_strongest_images_come_first(known, images, response):
    display = shown(known, images, response=response, n_top=6)
    found = getattr(maps_by_hand(images), response)(axis=(2, 3))
    for f in range(3):
        order = np.argsort(-found[:, f], kind="stable")[:6]
        np.testing.assert_allclose(display.responses[f], found[order, f], atol=1e-6)
        np.testing.assert_allclose(display.strongest[f, :, 0], images[order], atol=1e-6)


def test_maximum_and_mean_differ_where_one_pixel_is_bright(known, images):
    strongest = [shown(known, images, response=r).strongest[0, 0, 0] for r in ("max", "mean")]
    np.testing.assert_allclose(strongest[0], images[3], atol=1e-6)
    assert not np.allclose(strongest[0], strongest[1])


def test_means_of_all_images_and_maps(known, images):
    display = shown(known, images, average=True)
    assert display.maps.shape == (1, 3, 8, 10) and display.images.shape == (1, 1, 8, 10)
    np.testing.assert_allclose(display.maps[0], maps_by_hand(images).mean(0), atol=1e-6)
    np.testing.assert_allclose(display.images[0, 0], images.mean(0), atol=1e-5)
    assert display.layer.endswith("mean of 30 samples")


@pytest.mark.parametrize("average", [False, True])
def test_more_samples_than_are_passed_at_a_time(known, images, average, monkeypatch):
    monkeypatch.setattr("skgan.inspection.filters.N_AT_A_TIME", 7)
    display = shown(known, images, n_images=16, average=average)
    found = maps_by_hand(images)
    expected = found.mean(0, keepdims=True) if average else found[:16]
    np.testing.assert_allclose(display.maps, expected, atol=1e-6)
    best = found.max((2, 3)).max(0)
    np.testing.assert_allclose(display.responses[:, 0], best, atol=1e-6)


@pytest.mark.parametrize("layer", [0, 1, -1, -2])
@pytest.mark.parametrize("tap", ["activation", "norm", "conv"])
def test_layers_of_a_built_network_are_those_of_transform(gan, images, layer, tap):
    gan.set_params(layers=layer, tap=tap, pool_grid=None)
    display = shown(gan, images, layer=layer, tap=tap, filters=100)
    k = display.maps.shape[1]
    expected = gan.transform(images).reshape(len(images), k, -1)
    np.testing.assert_allclose(display.maps.reshape(3, k, -1), expected[:3], atol=1e-5)
    np.testing.assert_allclose(display.responses[:, 0], expected.max(2).max(0), atol=1e-5)


def test_units_of_a_dense_layer_are_maps_of_one_value(images):
    dense = DCGANDiscriminatorFeatures(**SMALL | {"discriminator": MLPSpec(16)}).fit(images)
    display = shown(dense, images, layer=0, filters=[3, 9])
    assert display.maps.shape == (3, 2, 1, 1)
    dense.set_params(layers=0)
    np.testing.assert_allclose(display.maps[:, :, 0, 0], dense.transform(images)[:3, [3, 9]])


def test_an_encoder_sees_images_at_its_size(images):
    bigan = BiGANEncoder(**SMALL, encoder=DCGANSpec(4), encoder_size=16).fit(images)
    display = shown(bigan, images, layer=0)
    assert display.layer.startswith("layer 0 of the encoder")
    bigan.set_params(output="layers", layers=0, pool_grid=None)
    k = display.maps.shape[1]
    expected = bigan.transform(images[:3]).reshape(3, -1, 8, 8)[:, :k]
    np.testing.assert_allclose(display.maps, expected, atol=1e-5)


def test_any_network_that_works_on_samples_can_be_named(images):
    mgan = MGANExtractor(**SMALL, n_generators=2).fit(images)
    both = [shown(mgan, images, network=n, layer=0) for n in ("discriminator", "classifier")]
    assert "classifier" in both[1].layer
    np.testing.assert_allclose(both[0].maps, both[1].maps, atol=1e-6)  # their first layers are one


# ---------------------------------------------------------------- what is drawn


def middles(drawn):
    """Coordinates of the middle of an image of the display."""
    left, right, bottom, top = drawn.get_extent()
    return (left + right) / 2, (bottom + top) / 2


def test_tiles_hold_their_arrays(known, images):
    display = shown(known, images, n_images=2, n_top=4)
    assert display.images_.shape == (2,)
    assert display.maps_.shape == (2, 3)
    assert display.strongest_.shape == (3, 4)
    for i, f in np.ndindex(2, 3):
        np.testing.assert_array_equal(display.maps_[i, f].get_array(), display.maps[i, f])
    for f, rank in np.ndindex(3, 4):
        drawn = display.strongest_[f, rank].get_array()
        np.testing.assert_array_equal(drawn, display.strongest[f, rank, 0])
    for i in range(2):
        np.testing.assert_array_equal(display.images_[i].get_array(), display.images[i, 0])


def test_columns_are_filters_and_rows_images_or_ranks(known, images):
    display = shown(known, images, n_images=2, n_top=4)
    columns = display.ax_[0].get_xticks()
    assert texts(display.ax_[0].get_xticklabels()) == ["image", *(f"filter {f}" for f in range(3))]
    assert texts(display.ax_[1].get_xticklabels())[1:] == [f"filter {f}" for f in range(3)]
    np.testing.assert_array_equal(columns, display.ax_[1].get_xticks())
    for f in range(3):
        for drawn in (*display.maps_[:, f], *display.strongest_[f]):
            assert middles(drawn)[0] == pytest.approx(columns[1 + f])
        ranks = [middles(drawn)[1] for drawn in display.strongest_[f]]
        assert ranks == sorted(ranks)  # downwards, as the axis is turned over
    assert display.ax_[1].yaxis_inverted() and display.ax_[0].yaxis_inverted()
    for i in range(2):
        rows = [middles(drawn)[1] for drawn in (display.images_[i], *display.maps_[i])]
        assert np.ptp(rows) < 1e-9
        assert middles(display.images_[i])[0] == pytest.approx(columns[0])


def test_a_filter_has_one_scale_of_colours_for_all_images(known, images):
    display = shown(known, images, n_images=5, tap="conv")
    assert display.maps.min() < 0 < display.maps.max()
    for f in range(3):
        of_filter = display.maps[:, f]
        limits = {drawn.get_clim() for drawn in display.maps_[:, f]}
        assert limits == {(of_filter.min(), of_filter.max())}
    assert {drawn.get_clim() for drawn in display.images_} == {(0.0, 1.0)}


def test_the_figure_shows_them(known, images, plt):
    display = shown(known, images, n_images=2, n_top=2)
    for f in range(3):
        drawn = display.maps_[1, f]
        check_tile(display.ax_[0], drawn, drawn.to_rgba(display.maps[1, f])[..., :3])
        grey = np.repeat(display.strongest[f, 1, 0][..., None], 3, axis=2)
        check_tile(display.ax_[1], display.strongest_[f, 1], grey)
    grey = np.repeat(images[0][..., None], 3, axis=2)
    check_tile(display.ax_[0], display.images_[0], grey)


def check_tile(ax, drawn, colours):
    """A tile of the display is seen with these colours (h, w, 3) in [0, 1]."""
    left, right, bottom, top = drawn.get_extent()
    h, w = colours.shape[:2]
    rows, columns = np.indices((h, w)).reshape(2, -1)
    x = left + (columns + 0.5) * (right - left) / w
    y = top + (rows + 0.5) * (bottom - top) / h
    expected = np.rint(colours[rows, columns] * 255)
    np.testing.assert_allclose(colours_at(ax, x, y), expected, atol=2)


def test_colour_images_keep_their_colours():
    rng = np.random.default_rng(0)
    images, strongest = rng.random((2, 3, 4, 4)), rng.random((1, 2, 3, 4, 4))
    display = FilterResponseDisplay(
        images, rng.random((2, 1, 3, 3)), strongest, np.ones((1, 2)), filters=[17]
    ).plot()
    check_tile(display.ax_[0], display.images_[1], images[1].transpose(1, 2, 0))
    check_tile(display.ax_[1], display.strongest_[0, 1], strongest[0, 1].transpose(1, 2, 0))
    assert texts(display.ax_[0].get_xticklabels()) == ["image", "filter 17"]


def test_nothing_is_cut_off(gan, images):
    display = shown(gan, images)
    display.figure_.canvas.draw()
    box = display.figure_.bbox
    for ax in display.ax_:
        for text in [*ax.get_xticklabels(), ax.title]:
            extent = text.get_window_extent()
            assert extent.x0 >= box.x0 - 1 and extent.x1 <= box.x1 + 1 and extent.y1 <= box.y1
        names = [t.get_window_extent() for t in ax.get_xticklabels() if t.get_text()]
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(names))


def test_a_second_plot_goes_where_it_is_told(known, images, plt):
    display = shown(known, images)
    first = display.figure_
    _, one = plt.subplots()
    display.plot(ax=one)
    assert list(display.ax_) == [one] and display.figure_ is one.figure is not first
    assert len(one.images) == 3 * (1 + 3) and not display.strongest_.size
    _, two = plt.subplots(1, 2)
    display.plot(ax=two)
    assert list(display.ax_) == list(two)
    assert [len(ax.images) for ax in two] == [len(ax.images) for ax in first.axes] == [12, 15]
    _, three = plt.subplots(3)
    with pytest.raises(ValueError, match="ax holds 3 Axes; pass one"):
        display.plot(ax=three)


def test_the_estimator_is_left_as_it_was(gan, images):
    before = state_of(gan)
    display = shown(FrozenEstimator(gan), images)
    check_same_state(before, state_of(gan))
    again = shown(gan, images)
    assert np.array_equal(display.maps, again.maps)


# ---------------------------------------------------------------- bad input


def test_estimators_without_networks_are_refused(images):
    with pytest.raises(NotFittedError):
        shown(DCGANDiscriminatorFeatures(), images)
    pipeline = make_pipeline(StandardScaler()).fit(images.reshape(30, -1))
    with pytest.raises(TypeError, match="Pipeline is none of skgan's estimators"):
        shown(pipeline, images)


def test_a_table_has_no_images(images):
    table = DCGANDiscriminatorFeatures(n_epochs=0, random_state=0).fit(images.reshape(30, -1))
    with pytest.raises(ValueError, match="was fitted on a table"):
        shown(table, images.reshape(30, -1))


def test_a_critic_of_pairs_has_no_layers_of_samples(images):
    bigan = BiGANEncoder(**SMALL, encoder=DCGANSpec(4)).fit(images)
    message = "network='discriminator' of BiGANEncoder .* pairs .* Use network='encoder'"
    with pytest.raises(ValueError, match=message):
        shown(bigan, images, network="discriminator")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "generator"}, "network='generator' is unknown; use one of 'discriminator'"),
        ({"network": "encoder"}, "network='encoder' is unknown"),
        ({"layer": 1}, r"layer=1 must be a whole number in \[-1, 0\]"),
        ({"layer": "last"}, "layer='last' must be a whole number"),
        ({"tap": "relu"}, "tap='relu' is unknown"),
        ({"tap": "norm"}, "tap='norm': network='discriminator' has no norm layer"),
        ({"filters": 0}, "filters=0 must be a whole number .* or a list of numbers"),
        ({"filters": [0, 3]}, r"filters=3 must be a whole number in \[0, 2\]"),
        ({"filters": [-1]}, "filters=-1 must be a whole number"),
        ({"filters": []}, "filters=.* names none"),
        ({"response": "sum"}, "response='sum' is unknown"),
        ({"n_images": 0}, "n_images=0 must be a whole number"),
        ({"n_top": 0}, "n_top=0 must be a whole number"),
        ({"average": 1}, "average=1 must be True or False"),
    ],
)
def test_what_there_is_not_is_named(known, images, settings, message):
    with pytest.raises(ValueError, match=message):
        shown(known, images, **settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 1, 4, 4))}, r"maps has shape \(2, 3, 2, 2\); pass \(3, 3"),
        ({"maps": np.zeros((2, 3, 4))}, "maps has shape"),
        ({"filters": [1, 2]}, "for 2 images and 2 filters"),
        ({"strongest": np.zeros((3, 4, 1, 5, 4))}, "strongest has shape"),
        ({"responses": np.zeros((3, 5))}, "responses has shape"),
        ({"strongest": np.full((3, 4, 1, 4, 4), 9.0)}, "strongest has values from 9"),
        ({"images": np.zeros((2, 4, 4))}, "images has shape"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused(change, message):
    good = {
        "images": np.zeros((2, 1, 4, 4)), "maps": np.zeros((2, 3, 2, 2)),
        "strongest": np.zeros((3, 4, 1, 4, 4)), "responses": np.zeros((3, 4)),
    }  # fmt: skip
    assert FilterResponseDisplay(**good).filters == [0, 1, 2]
    with pytest.raises(ValueError, match=message):
        FilterResponseDisplay(**good | change)
