import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

import skgan.inspection
from skgan.inspection import ActivityRecord, HistoryDisplay, SampleDisplay
from tests.inspection.drawn import check_image_is_seen, colours_at

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


def test_the_figure_shows_the_curves():
    from matplotlib.colors import to_rgb

    display = HistoryDisplay(HISTORY).plot()
    for panel in display.ax_:
        panel.get_legend().set_visible(False)  # it may lie upon a curve
        for line in panel.lines:
            colour = np.multiply(to_rgb(line.get_color()), 255)
            x = np.array([1, 1.2, 2, 2.2])  # at epochs and between them, away from crossings
            seen = colours_at(panel, x, np.interp(x, *line.get_data()))
            np.testing.assert_allclose(seen, np.tile(colour, (4, 1)), atol=60)
        assert (colours_at(panel, [1.25], [np.mean(panel.get_ylim())]) == 255).all()


def test_the_figure_shows_the_samples(plt):
    for c in (1, 3):
        images = np.random.default_rng(c).random((5, c, 4, 5))
        display = SampleDisplay(images).plot(n_columns=3)
        for i, (top, left) in enumerate([(0, 0), (0, 6), (0, 12), (5, 0), (5, 6)]):
            image = images[i, 0] if c == 1 else images[i].transpose(1, 2, 0)
            check_image_is_seen(display.ax_, image, left, top)
        assert (colours_at(display.ax_, [5, 14], [0, 6]) == 255).all()  # gap, empty place


ONES = np.ones((2, 1, 4, 4))
DISPLAYS = {
    "HistoryDisplay": ((HISTORY,), 2),
    "SampleDisplay": ((ONES,), 1),
    "ReconstructionDisplay": ((ONES, ONES), 1),
    "TraversalDisplay": ((ONES[None],), 1),
    "FilterResponseDisplay": ((ONES, np.zeros((2, 3, 2, 2)), np.ones((3, 2, 1, 4, 4)),
                               np.zeros((3, 2))), 2),
    "FeatureMapDisplay": ((np.eye(2),), 1),
    "GuidedBackpropDisplay": ((gradients := skgan.inspection.GuidedGradients(
        np.arange(2), *np.zeros((2, 2, 1), int), np.ones((2, 1)), ONES[:, None], ONES[:, None]
    ), gradients), 2),
    "FilterActivityDisplay": ((ActivityRecord([1], *[{"a": np.ones((1, 2))}] * 3),), 2),
    "ProbeTableDisplay": (([[0.5]],), 1),
    "LabelBudgetDisplay": (([10], [[0.5]]), 1),
}  # fmt: skip
NAMED = {
    "ProbeTableDisplay": {"representations": ["a"], "budgets": [2]},
    "LabelBudgetDisplay": {"representations": ["a"]},
}


@pytest.mark.parametrize("name", [n for n in skgan.inspection.__all__ if n.endswith("Display")])
def test_every_display_has_its_figure_and_an_array_of_axes(name, plt):
    given, n_axes = DISPLAYS[name]
    display = getattr(skgan.inspection, name)(*given, **NAMED.get(name, {}))
    assert not hasattr(display, "axes_") and display.plot() is display
    assert isinstance(display.axes_, np.ndarray) and display.axes_.size == n_axes
    assert all(isinstance(ax, plt.Axes) for ax in display.axes_.flat)
    assert all(ax.figure is display.figure_ for ax in display.axes_.flat)
    if hasattr(display, "ax_"):
        assert list(np.atleast_1d(display.ax_).flat) == list(display.axes_.flat)


def test_history_of_a_pipeline_says_what_it_needs():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    pipeline = make_pipeline(MinMaxScaler(), StubGAN()).fit(np.eye(2))
    with pytest.raises(TypeError, match=r"Pipeline has no `history_`: .* pipeline\[-1\]"):
        HistoryDisplay.from_estimator(pipeline)
    HistoryDisplay.from_estimator(pipeline[-1])


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
