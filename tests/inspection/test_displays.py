import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skgan.inspection import HistoryDisplay, SampleDisplay

HISTORY = [
    {
        "epoch": epoch,
        "discriminator_loss": 1.0 / epoch,
        "generator_loss": 0.5 * epoch,
        "discriminator_real": 0.1 * epoch,
        "discriminator_generated": -0.2 * epoch,
        "seconds": 1.5,
        "images_per_second": 100.0,
    }
    for epoch in (1, 2, 3)
]


pytestmark = pytest.mark.usefixtures("plt")


class StubGAN(BaseEstimator):
    """Has what the displays ask of a fitted estimator, and nothing else."""

    def __init__(self, shape=(1, 4, 5)):
        self.shape = shape

    def fit(self, X=None, y=None):
        self.history_ = HISTORY
        return self

    def sample_images(self, n_samples, random_state=None):
        return np.random.default_rng(random_state).random((n_samples, *self.shape), np.float32)


def test_history_draws_each_value_at_its_epoch():
    display = HistoryDisplay.from_estimator(StubGAN().fit())
    assert set(display.lines_) == {
        "discriminator_loss",
        "generator_loss",
        "discriminator_real",
        "discriminator_generated",
    }
    for key, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), [row[key] for row in HISTORY])
    losses, outputs = display.ax_
    assert losses.figure is display.figure_
    assert [line.get_label() for line in losses.lines] == ["discriminator", "generator"]
    assert [line.get_label() for line in outputs.lines] == [
        "discriminator on real",
        "discriminator on generated",
    ]


def test_history_without_a_critic_has_one_panel():
    display = HistoryDisplay([{"epoch": 1, "encoder_loss": 2.0}]).plot()
    assert len(display.ax_) == len(display.figure_.axes) == 1


def test_history_leaves_a_gap_where_an_epoch_lacks_a_value():
    rows = [{"epoch": 1, "a_loss": 1.0}, {"epoch": 2}, {"epoch": 3, "a_loss": 3.0}]
    line = HistoryDisplay(rows).plot().lines_["a_loss"]
    np.testing.assert_array_equal(line.get_ydata(), [1.0, np.nan, 3.0])


def test_history_draws_into_the_axes_it_is_given(plt):
    _, one = plt.subplots()
    display = HistoryDisplay.from_estimator(StubGAN().fit(), ax=one)
    assert list(display.ax_) == [one]
    assert len(one.lines) == 2  # the losses only

    _, two = plt.subplots(2, 1)
    display = HistoryDisplay(HISTORY).plot(ax=two)
    assert list(display.ax_) == list(two)
    assert [len(panel.lines) for panel in two] == [2, 2]

    _, three = plt.subplots(3)
    with pytest.raises(ValueError, match="ax holds 3 Axes; pass one"):
        HistoryDisplay(HISTORY).plot(ax=three)


def test_history_needs_an_epoch():
    with pytest.raises(ValueError, match="history is empty: .* n_epochs of at least 1"):
        HistoryDisplay([])


@pytest.mark.parametrize("display", [HistoryDisplay, SampleDisplay])
def test_an_unfitted_estimator_is_refused(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(StubGAN())


@pytest.mark.parametrize("display", [HistoryDisplay, SampleDisplay])
def test_a_frozen_estimator_is_drawn(display):
    display.from_estimator(FrozenEstimator(StubGAN().fit()))


def test_samples_lie_on_the_sheet_row_by_row():
    gan = StubGAN().fit()
    display = SampleDisplay.from_estimator(gan, n_samples=5, random_state=0, n_columns=3)
    images = gan.sample_images(5, random_state=0)
    sheet = display.image_.get_array()
    # Two rows of three 4x5 tiles, a pixel between them.
    assert sheet.shape == (2 * 4 + 1, 3 * 5 + 2)
    for i, (top, left) in enumerate([(0, 0), (0, 6), (0, 12), (5, 0), (5, 6)]):
        np.testing.assert_array_equal(sheet[top : top + 4, left : left + 5], images[i, 0])
    assert (sheet[4] == 1).all()  # the gap
    assert (sheet[5:, 12:] == 1).all()  # the empty place
    assert display.ax_.figure is display.figure_


def test_samples_keep_their_colours_and_are_clipped(caplog):
    images = np.stack([np.full((2, 2), v) for v in (0.25, -1.0, 2.0)])[None]
    sheet = SampleDisplay(images).plot().image_.get_array()
    assert sheet.shape == (2, 2, 3)
    np.testing.assert_array_equal(sheet[0, 0], [0.25, 0.0, 1.0])
    assert not caplog.records  # matplotlib would clip as well, with a warning


def test_grey_is_not_stretched_to_the_darkest_and_the_brightest_pixel():
    display = SampleDisplay(np.full((1, 1, 2, 2), 0.5)).plot()
    assert display.image_.get_clim() == (0.0, 1.0)


def test_samples_fill_a_square_sheet_by_default(plt):
    _, ax = plt.subplots()
    display = SampleDisplay(np.zeros((9, 1, 4, 4))).plot(ax=ax)
    assert display.ax_ is ax
    assert display.image_.get_array().shape == (14, 14)


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4), (2, 2, 4, 4), (0, 1, 4, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="images has shape"):
        SampleDisplay(np.zeros(shape))


def test_bytes_are_shown_as_the_images_that_they_are():
    images = np.arange(0, 256, 17, dtype=np.uint8).reshape(1, 1, 4, 4)
    sheet = SampleDisplay(images).plot().image_.get_array()
    np.testing.assert_allclose(sheet, images[0, 0] / 255, rtol=1e-6)


@pytest.mark.parametrize("value", [255.0, -3.0, np.nan, 7])
def test_values_of_another_range_are_refused(value):
    images = np.full((1, 1, 2, 2), value)
    with pytest.raises(ValueError, match=r"values from .*; scale them to \[0, 1\], or pass uint8"):
        SampleDisplay(images)


def test_one_generator_of_several_can_be_chosen():
    class Several(StubGAN):
        def sample_images(self, n_samples, random_state=None, component=None):
            return np.full((n_samples, 1, 2, 2), component / 10)

    display = SampleDisplay.from_estimator(Several().fit(), n_samples=1, component=7)
    assert (display.images == 0.7).all()


def test_n_columns_below_one_is_refused():
    with pytest.raises(ValueError, match="n_columns=0 must be at least 1"):
        SampleDisplay(np.zeros((1, 1, 2, 2))).plot(n_columns=0)


def test_an_estimator_that_generates_nothing_is_refused():
    class Encoder(BaseEstimator):
        def fit(self, X=None, y=None):
            self.fitted_ = True
            return self

    with pytest.raises(TypeError, match="Encoder has no `sample_images`"):
        SampleDisplay.from_estimator(Encoder().fit())


@pytest.mark.parametrize("display", [HistoryDisplay(HISTORY), SampleDisplay(np.ones((1, 1, 2, 2)))])
def test_a_missing_matplotlib_is_named_with_its_extra(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # makes the import fail
    with pytest.raises(ImportError, match=r'pip install "skgan\[plot\]"'):
        display.plot()


def test_importing_the_displays_leaves_matplotlib_alone():
    code = "import sys, skgan.inspection; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
