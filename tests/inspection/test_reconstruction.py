"""Originals above their reconstructions, as arrays and as the figure shows them."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from torch.utils.data import TensorDataset

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    LazyImages,
)
from skgan.inspection import ReconstructionDisplay
from skgan.tools import GANProjector
from tests.inspection.drawn import check_image_is_seen, check_same_state, state_of, texts

pytestmark = pytest.mark.usefixtures("plt")
SMALL = {
    "generator": DCGANSpec(4), "encoder": DCGANSpec(4), "n_epochs": 1, "random_state": 0,
    "device": "cpu",
}  # fmt: skip


class Halving(BaseEstimator):
    """A tool that has `reconstruct` and nothing else, in the layout of X."""

    def fit(self, X=None, y=None):
        self.seen_ = 0
        return self

    def reconstruct(self, X):
        self.seen_ += len(X)
        return np.asarray(X) // 2 if np.asarray(X).dtype == np.uint8 else np.asarray(X) / 2


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((12, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def bigan(images):
    return BiGANEncoder(**SMALL, discriminator=DCGANSpec(4)).fit(images)


@pytest.fixture
def pairs():
    rng = np.random.default_rng(1)
    return rng.random((5, 1, 4, 6)), rng.random((5, 1, 4, 6))


# ---------------------------------------------------------------- what is drawn


def test_each_reconstruction_lies_below_its_original(pairs):
    originals, reconstructions = pairs
    display = ReconstructionDisplay(originals, reconstructions).plot(n_columns=3)
    drawn = np.asarray(display.image_.get_array())
    # Two pairs of rows of 4x6 tiles with a pixel between; a pixel more between the pairs.
    assert drawn.shape == (9 + 2 + 9, 3 * 6 + 2)
    for i in range(5):
        top, left = 11 * (i // 3), 7 * (i % 3)
        at = slice(left, left + 6)
        np.testing.assert_array_equal(drawn[top : top + 4, at], originals[i, 0])
        np.testing.assert_array_equal(drawn[top + 5 : top + 9, at], reconstructions[i, 0])
    for gap in (drawn[4], drawn[9:11], drawn[15], drawn[:, 6], drawn[11:, 14:]):
        assert (gap == 1).all()


def test_the_figure_shows_them(pairs):
    originals, reconstructions = pairs
    display = ReconstructionDisplay(originals, reconstructions).plot(n_columns=3)
    for i in range(5):
        top, left = 11 * (i // 3), 7 * (i % 3)
        check_image_is_seen(display.ax_, originals[i, 0], left, top)
        check_image_is_seen(display.ax_, reconstructions[i, 0], left, top + 5)


def test_colours_are_seen():
    rng = np.random.default_rng(2)
    originals, reconstructions = rng.random((2, 2, 3, 5, 5))
    display = ReconstructionDisplay(originals, reconstructions).plot()
    check_image_is_seen(display.ax_, originals[1].transpose(1, 2, 0), 6, 0)
    check_image_is_seen(display.ax_, reconstructions[1].transpose(1, 2, 0), 6, 6)


def test_rows_are_named_at_their_middle(pairs):
    ax = ReconstructionDisplay(*pairs).plot(n_columns=3).ax_
    assert texts(ax.get_yticklabels()) == ["original", "reconstruction"] * 2
    np.testing.assert_array_equal(ax.get_yticks(), [1.5, 6.5, 12.5, 17.5])
    assert not ax.get_xticks().size


def test_names_are_not_cut_off(pairs):
    display = ReconstructionDisplay(*pairs).plot()
    display.figure_.canvas.draw()
    box = display.figure_.bbox
    for label in display.ax_.get_yticklabels():
        extent = label.get_window_extent()
        assert extent.x0 >= box.x0 and extent.y1 <= box.y1


def test_ten_columns_unless_there_are_fewer():
    images = np.zeros((12, 1, 2, 2))
    assert ReconstructionDisplay(images, images).plot().image_.get_array().shape == (5 + 1 + 5, 29)
    few = images[:3]
    assert ReconstructionDisplay(few, few).plot().image_.get_array().shape == (5, 8)


def test_a_second_plot_goes_where_it_is_told(pairs, plt):
    display = ReconstructionDisplay(*pairs).plot(n_columns=5)
    first, drawn = display.ax_, display.image_.get_array().copy()
    figure, (left, right) = plt.subplots(1, 2)
    display.plot(n_columns=5, ax=right)
    assert display.ax_ is right and display.figure_ is figure
    assert not left.images and len(first.images) == len(right.images) == 1
    np.testing.assert_array_equal(right.images[0].get_array(), drawn)


# ---------------------------------------------------------------- from estimators


def test_an_estimators_images_in_its_value_range(bigan, images):
    display = ReconstructionDisplay.from_estimator(bigan, images, n_samples=5)
    assert display.originals.shape == (5, 1, 8, 8)
    np.testing.assert_allclose(display.originals[:, 0], images[:5], atol=1e-6)
    expected = bigan.reconstruct(images)[:5]
    np.testing.assert_allclose(display.reconstructions[:, 0], expected, atol=1e-6)
    assert not np.allclose(display.originals, display.reconstructions, atol=0.05)


@pytest.mark.parametrize("layout", ["flat", "channels_last", "uint8", "lazy", "wide range"])
def test_images_in_any_layout_of_x(images, layout):
    X, shown, more = images, images[:, None], {}
    if layout == "flat":
        X, more = images.reshape(-1, 64), {"image_shape": (8, 8)}
    elif layout == "channels_last":
        X = np.stack([images, images**2, images**3], axis=3)
        shown = X.transpose(0, 3, 1, 2)
    elif layout == "uint8":
        X = np.rint(images * 255).astype(np.uint8)
        shown = X[:, None] / 255
    elif layout == "lazy":
        X = LazyImages(TensorDataset(torch.from_numpy(images[:, None])))
    else:
        X, more = images * 4000 - 1000, {"value_range": (-1000, 3000)}
    autoencoder = AutoencoderFeatures(**SMALL, **more).fit(X)
    display = ReconstructionDisplay.from_estimator(autoencoder, X, n_samples=12)
    np.testing.assert_allclose(display.originals, shown, atol=4e-3)
    back = np.asarray(autoencoder.reconstruct(X), float)
    if layout == "wide range":
        back = (back + 1000) / 4000
    elif layout == "uint8":
        back = back / 255
    elif layout == "channels_last":
        back = back.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(display.reconstructions, back.reshape(shown.shape), atol=1e-5)


def test_only_what_is_shown_is_reconstructed(images):
    tool = Halving().fit()
    display = ReconstructionDisplay.from_estimator(tool, images, n_samples=7)
    assert tool.seen_ == 7 and len(display.originals) == 7
    np.testing.assert_allclose(display.reconstructions[:, 0], images[:7] / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("X", "low", "high"),
    [
        (np.array([0, 51, 255], np.uint8), 0, 255),
        (np.array([0.0, 0.2, 0.4]), 0, 1),
        (np.array([-0.4, 0.0, 0.2]), -1, 1),
        (np.array([0.0, 51.0, 100.0]), 0, 255),
        (np.array([-30.0, 0.0, 70.0]), -30, 70),
    ],
)
def test_a_tool_without_networks_is_shown_in_the_range_of_x(X, low, high):
    X = np.tile(X[:, None, None], (1, 2, 2))
    display = ReconstructionDisplay.from_estimator(Halving().fit(), X)
    np.testing.assert_allclose(display.originals[:, 0], (X - float(low)) / (high - low), rtol=1e-6)
    half = X // 2 if X.dtype == np.uint8 else X / 2
    np.testing.assert_allclose(display.reconstructions[:, 0], (half - float(low)) / (high - low))


def test_a_tools_channels_may_come_last_or_first(images):
    last = np.stack([images, images / 2, images / 4], axis=3)
    for X in (last, last.transpose(0, 3, 1, 2)):
        display = ReconstructionDisplay.from_estimator(Halving().fit(), X, n_samples=2)
        np.testing.assert_allclose(display.originals[:, 1], images[:2] / 2, rtol=1e-6)


def test_a_tool_on_an_estimator_has_its_format(bigan, images):
    class Projector(BaseEstimator):
        def fit(self, X=None, y=None):
            self.gan_ = FrozenEstimator(bigan)
            return self

        def reconstruct(self, X):
            return np.asarray(X)

    X = images * 0.3  # by itself it could as well be of another range
    display = ReconstructionDisplay.from_estimator(Projector().fit(), X)
    np.testing.assert_allclose(display.originals[:, 0], X, atol=1e-6)
    np.testing.assert_allclose(display.reconstructions, display.originals)


def test_a_fitted_projector(images):
    gan = DCGANDiscriminatorFeatures(
        generator=DCGANSpec(4), discriminator=DCGANSpec(4), n_epochs=0, random_state=0
    ).fit(images)
    projector = GANProjector(
        FrozenEstimator(gan), method="optimization", n_steps=3, random_state=0
    ).fit(images)  # fmt: skip
    display = ReconstructionDisplay.from_estimator(projector, images, n_samples=4)
    np.testing.assert_allclose(display.originals[:, 0], images[:4], atol=1e-6)
    expected = projector.reconstruct(images[:4])
    np.testing.assert_allclose(display.reconstructions[:, 0], expected, atol=1e-6)


def test_a_frozen_estimator_is_left_as_it_was(bigan, images):
    before = state_of(bigan)
    ReconstructionDisplay.from_estimator(FrozenEstimator(bigan), images)
    check_same_state(before, state_of(bigan))


# ---------------------------------------------------------------- bad input


def test_an_unfitted_estimator_is_refused(images):
    with pytest.raises(NotFittedError):
        ReconstructionDisplay.from_estimator(AutoencoderFeatures(), images)


def test_an_estimator_that_reconstructs_nothing_is_refused(images):
    with pytest.raises(TypeError, match="DCGANSpec has no `reconstruct`: pass .* BiGANEncoder"):
        ReconstructionDisplay.from_estimator(DCGANSpec(), images)


def test_a_table_has_no_images(images):
    table = AutoencoderFeatures(n_epochs=0, random_state=0).fit(images.reshape(-1, 64))
    with pytest.raises(ValueError, match="AutoencoderFeatures was fitted on a table"):
        ReconstructionDisplay.from_estimator(table, images.reshape(-1, 64))
    with pytest.raises(ValueError, match="X has shape .* Halving does not tell what images"):
        ReconstructionDisplay.from_estimator(Halving().fit(), images.reshape(-1, 64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"originals": np.zeros((2, 4, 4))}, "originals has shape \\(2, 4, 4\\); pass"),
        ({"originals": np.full((2, 1, 4, 4), 9.0)}, "originals has values from 9"),
        ({"reconstructions": np.full((2, 1, 4, 4), np.nan)}, "reconstructions has values from nan"),
        ({"reconstructions": np.zeros((3, 1, 4, 4))}, "one reconstruction of the same size"),
    ],
)
def test_arrays_that_are_no_pairs_of_images_are_refused(change, message):
    good = {"originals": np.zeros((2, 1, 4, 4)), "reconstructions": np.zeros((2, 1, 4, 4))}
    with pytest.raises(ValueError, match=message):
        ReconstructionDisplay(**good | change)


@pytest.mark.parametrize("name", ["n_samples", "n_columns"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "many"])
def test_numbers_out_of_range_are_refused(images, name, value):
    with pytest.raises(ValueError, match=f"{name}={value!r} must be a whole number"):
        ReconstructionDisplay.from_estimator(Halving().fit(), images, **{name: value})


def test_a_missing_matplotlib_is_named_with_its_extra(pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # makes the import fail
    with pytest.raises(ImportError, match=r'Display needs matplotlib.*pip install "skgan\[plot\]"'):
        ReconstructionDisplay(*pairs).plot()


def test_computing_needs_no_matplotlib():
    code = (
        "import sys, numpy as np\n"
        "from skgan.inspection import *\n"
        "ReconstructionDisplay(np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2)))\n"
        "TraversalDisplay(np.zeros((1, 1, 1, 2, 2)))\n"
        "FeatureMapDisplay(np.zeros((2, 2)), [0, 1])\n"
        "FilterResponseDisplay(np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2)),\n"
        "                      np.zeros((1, 1, 1, 2, 2)), np.zeros((1, 1)))\n"
        "ProbeTableDisplay([[0.5]], representations=['a'], budgets=[1])\n"
        "LabelBudgetDisplay([10], [[0.5]], representations=['a'])\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
