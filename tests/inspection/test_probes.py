"""Tables and curves of probes: every number that is drawn, compared with the records."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.random_projection import GaussianRandomProjection

from skgan.evaluation import ProbeResult, probe
from skgan.inspection import LabelBudgetDisplay, ProbeTableDisplay
from tests.inspection.drawn import colours_at, texts

pytestmark = pytest.mark.usefixtures("plt")


@pytest.fixture(scope="module")
def probed():
    X, y = load_digits(return_X_y=True)
    return probe(
        GaussianRandomProjection(20, random_state=0), X[:400], y[:400], X[400:600], y[400:600],
        n_labels=(2, 10, "all"), n_draws=3, classifier="knn", scaling="none",
        param_grid={"n_neighbors": [1]}, baselines=("raw",), control=True,
    )  # fmt: skip


@pytest.fixture
def written():
    """Two representations, two budgets of two draws and one of a single draw, out of order."""
    accuracies = {
        ("trained", "all"): [0.9], ("trained", 10): [0.5, 0.7], ("trained", 2): [0.2, 0.3],
        ("raw", "all"): [0.8], ("raw", 10): [0.4, 0.4], ("raw", 2): [0.1, 0.4],
    }  # fmt: skip
    sizes = {"all": 1000, 10: 100, 2: 20}
    records = [
        {"representation": name, "n_labels": budget, "draw": i, "n_rows": sizes[budget],
         "n_features": 5, "accuracy": value, "converged": True, "search_unconverged": 0}
        for (name, budget), values in accuracies.items() for i, value in enumerate(values)
    ]  # fmt: skip
    return ProbeResult(records, {}, "trained", {"chance": 0.12})


def by_hand(result, value="accuracy"):
    """{(representation, budget): accuracies} of the records."""
    found = {}
    for record in result.records:
        found.setdefault((record["representation"], record["n_labels"]), []).append(record[value])
    return found


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize("value", ["accuracy", "control_accuracy"])
def test_each_cell_is_the_mean_of_its_records(probed, value):
    display = ProbeTableDisplay.from_result(probed, value=value)
    drawn = display.image_.get_array()
    assert drawn.shape == (2, 3)
    found = by_hand(probed, value)
    for i, name in enumerate(["trained", "raw"]):
        for j, budget in enumerate([2, 10, "all"]):
            values = found[name, budget]
            assert drawn[i, j] == pytest.approx(np.mean(values))
            spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            assert display.text_[i, j].get_text() == f"{np.mean(values):.3f}{spread}"
            assert display.text_[i, j].get_position() == (j, i)
    assert display.ax_.get_title() == (
        "accuracy" if value == "accuracy" else "accuracy with permuted labels"
    )


def test_rows_and_columns_are_named(probed):
    ax = ProbeTableDisplay.from_result(probed).ax_
    assert texts(ax.get_yticklabels()) == ["trained", "raw"]
    assert texts(ax.get_xticklabels()) == ["2 per class", "10 per class", "all labels"]
    assert ax.get_yticks().tolist() == [0, 1] and ax.get_xticks().tolist() == [0, 1, 2]


def test_a_single_draw_has_no_spread(written):
    display = ProbeTableDisplay.from_result(written)
    assert [text.get_text() for text in display.text_[:, 0]] == ["0.900", "0.800"]
    assert display.text_[0, 1].get_text() == "0.600 ± 0.141"


def test_the_figure_shows_the_colours_and_readable_texts(written):
    display = ProbeTableDisplay.from_result(written)
    corners = [(j - 0.4, i - 0.4) for i in range(2) for j in range(3)]  # away from the texts
    seen = colours_at(display.ax_, *np.transpose(corners))
    expected = display.image_.to_rgba(display.mean).reshape(-1, 4)[:, :3] * 255
    np.testing.assert_allclose(seen, expected, atol=2)
    # viridis is dark where numbers are small.
    assert display.text_.ravel()[np.argmin(display.mean)].get_color() == "white"
    assert display.text_.ravel()[np.argmax(display.mean)].get_color() == "black"


@pytest.mark.parametrize("name", ["a", "discriminator of a generative network, 28x28"])
def test_texts_lie_within_their_cells_and_the_figure(name):
    display = ProbeTableDisplay(
        [[0.123, 0.9], [0.5, 1.0]], [[0.01, 0.2]] * 2, representations=["raw", name],
        budgets=[10, 1000],
    ).plot()  # fmt: skip
    display.figure_.canvas.draw()
    box = display.figure_.bbox
    for (i, j), text in np.ndenumerate(display.text_):
        extent = text.get_window_extent()
        (left, _), (right, _) = display.ax_.transData.transform([(j - 0.5, i), (j + 0.5, i)])
        assert left < extent.x0 and extent.x1 < right
    for text in [*display.ax_.get_yticklabels(), *display.ax_.get_xticklabels()]:
        extent = text.get_window_extent()
        assert extent.x0 >= box.x0 and extent.y0 >= box.y0


def test_a_table_of_ones_own():
    display = ProbeTableDisplay([[0.5, 1.0]], representations=["a"], budgets=[1, "all"]).plot()
    assert [t.get_text() for t in display.text_.ravel()] == ["0.500", "1.000"]


# ---------------------------------------------------------------- the curves


def test_each_point_is_the_mean_of_its_records(probed):
    display = LabelBudgetDisplay.from_result(probed)
    assert list(display.lines_) == ["trained", "raw"]
    found = by_hand(probed)
    for name, line in display.lines_.items():
        # The "all" are the labelled training samples.
        np.testing.assert_array_equal(line.get_xdata(), [20, 100, 400])
        expected = [np.mean(found[name, budget]) for budget in (2, 10, "all")]
        np.testing.assert_allclose(line.get_ydata(), expected)
    assert display.ax_.get_xscale() == "log"
    assert texts(display.ax_.get_xticklabels()) == ["20", "100", "400"]


def band(display, name):
    """{x: (low, high)} of a band."""
    (path,) = display.bands_[name].get_paths()
    found = {}
    for x, y in path.vertices:
        found.setdefault(float(x), []).append(float(y))
    return {x: (min(ys), max(ys)) for x, ys in found.items()}


def test_budgets_are_in_order_and_bands_one_standard_deviation_wide(written):
    display = LabelBudgetDisplay.from_result(written)
    np.testing.assert_array_equal(display.lines_["raw"].get_xdata(), [20, 100, 1000])
    np.testing.assert_allclose(display.lines_["raw"].get_ydata(), [0.25, 0.4, 0.8])
    drawn = band(display, "trained")
    assert list(drawn) == [20, 100]  # the single draw of 1000 has no spread
    for x, values in ((20, [0.2, 0.3]), (100, [0.5, 0.7])):
        low, high = drawn[x]
        assert (low + high) / 2 == pytest.approx(np.mean(values))
        assert (high - low) / 2 == pytest.approx(np.std(values, ddof=1))
    assert tuple(display.bands_["raw"].get_facecolor()[0, :3]) == pytest.approx(
        tuple(plt_rgb(display.lines_["raw"]))
    )


def plt_rgb(line):
    from matplotlib.colors import to_rgb

    return to_rgb(line.get_color())


def test_the_figure_shows_bands_and_chance(written):
    display = LabelBudgetDisplay.from_result(written)
    x = np.sqrt(20 * 100)  # halfway between both, on the log scale
    lines = display.lines_["trained"]
    shade = colours_at(display.ax_, [x], [np.interp(0.5, [0, 1], [0.25, 0.6]) + 0.05])[0]
    own = np.rint(np.array(plt_rgb(lines)) * 255)
    assert (shade < 255).any() and np.argmax(shade) == np.argmax(own)
    assert list(display.chance_.get_ydata()) == [0.12, 0.12]
    assert texts(display.ax_.get_legend().get_texts()) == ["trained", "raw", "chance"]


def test_chosen_representations_in_the_given_order(written):
    display = LabelBudgetDisplay.from_result(written, representations=["raw"])
    assert list(display.lines_) == ["raw"] and display.mean.shape == (1, 3)
    both = LabelBudgetDisplay.from_result(written, representations=["raw", "trained"])
    np.testing.assert_allclose(both.lines_["trained"].get_ydata(), [0.25, 0.6, 0.9])


def test_without_chance_or_spreads():
    display = LabelBudgetDisplay([10, 30], [[0.5, 0.7]], representations=["a"]).plot()
    assert display.chance_ is None and not display.bands_["a"].get_paths()


@pytest.mark.parametrize("display", [ProbeTableDisplay, LabelBudgetDisplay])
def test_a_second_plot_goes_where_it_is_told(written, plt, display):
    display = display.from_result(written)
    first = display.figure_
    _, (left, right) = plt.subplots(1, 2)
    display.plot(ax=right)
    assert display.ax_ is right and display.figure_ is right.figure is not first
    assert not left.has_data() and right.has_data()
    assert texts(right.get_xticklabels()) == texts(first.axes[0].get_xticklabels())


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("display", [ProbeTableDisplay, LabelBudgetDisplay])
def test_what_is_no_probe_is_refused(display):
    with pytest.raises(TypeError, match="result is a dict: pass what skgan.evaluation.probe"):
        display.from_result({})


def test_values_that_there_are_not(written):
    with pytest.raises(ValueError, match="value='f1' is unknown"):
        ProbeTableDisplay.from_result(written, value="f1")
    with pytest.raises(ValueError, match="value='control_accuracy' is not .* probe\\(control=True"):
        ProbeTableDisplay.from_result(written, value="control_accuracy")
    with pytest.raises(ValueError, match="representations='pca' is unknown; use one of 'trained'"):
        LabelBudgetDisplay.from_result(written, representations=["pca"])
    with pytest.raises(ValueError, match="mean has shape .* at least one of both"):
        LabelBudgetDisplay.from_result(written, representations=[])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": [0.5, 0.6]}, r"mean has shape \(2,\); pass \(1, 2\)"),
        ({"mean": [[0.5, 1.1]]}, "mean=.* outside of"),
        ({"mean": [[0.5, np.nan]]}, "mean=.* outside of"),
        ({"std": [[0.1]]}, r"std has shape \(1, 1\)"),
        ({"std": [[0.1, -0.1]]}, "std=.* outside of"),
    ],
)
def test_numbers_that_are_no_accuracies_are_refused(change, message):
    good = {"mean": [[0.5, 0.6]], "representations": ["a"]}
    with pytest.raises(ValueError, match=message):
        ProbeTableDisplay(**good | {"budgets": [1, 2]} | change)
    with pytest.raises(ValueError, match=message):
        LabelBudgetDisplay(**good | {"n_rows": [10, 20]} | change)


@pytest.mark.parametrize("n_rows", [[0, 10], [10, -1], 5])
def test_numbers_of_samples_are_at_least_one(n_rows):
    with pytest.raises(ValueError, match="n_rows=.* must be a list of numbers of at least 1"):
        LabelBudgetDisplay(n_rows, [[0.5, 0.6]], representations=["a"])
