"""Activity of filters over training: what is recorded, what is flagged, and what is drawn."""

import copy
import functools
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from skgan import AutoencoderFeatures, BiGANEncoder, DCGANDiscriminatorFeatures, MLPSpec
from skgan.inspection import (
    ActivityRecord,
    FilterActivity,
    FilterActivityDisplay,
    oscillating_filters,
)
from skgan.utils.fitted import FittedNetworks


@pytest.fixture
def small(small):
    return functools.partial(small, image_shape=(8, 8))


# ---------------------------------------------------------------- what is recorded


def test_the_record_holds_what_its_formulas_say():
    rng = np.random.default_rng(0)
    h, rows = rng.normal(size=(7, 3, 2, 5)), rng.normal(size=(7, 4))
    h[:, 1] = h[0, 1]  # one map for all samples
    h[:, 2] = 0
    record = ActivityRecord()
    for epoch in (1, 2):
        record.add(epoch, {"maps": torch.tensor(epoch * h), "units": torch.tensor(rows)})
    assert record.epochs == [1, 2]
    for layer, values in {"maps": h, "units": rows[:, :, None, None]}.items():
        for k in range(values.shape[1]):
            one = values[:, k]
            assert record.mean[layer][0, k] == pytest.approx(one.mean())
            size = np.sqrt((one**2).mean())
            assert record.size[layer][0, k] == pytest.approx(size)
            if size:
                spread = np.sqrt(one.var(axis=0).mean()) / size
                assert record.spread[layer][0, k] == pytest.approx(spread, abs=1e-12)
    assert record.spread["maps"][0, 1] == pytest.approx(0, abs=1e-12)
    assert np.isnan(record.spread["maps"][0, 2])
    np.testing.assert_allclose(record.mean["maps"][1], 2 * record.mean["maps"][0])
    np.testing.assert_allclose(record.spread["maps"][1, :2], record.spread["maps"][0, :2])


def recorded_by_hand(gan, X, n=40):
    """What `FilterActivity` should find after the last epoch."""
    rows = np.sort(np.random.RandomState(0).permutation(len(X))[:n])
    x = torch.tensor(X[rows].reshape(-1, 1, 8, 8) / 8 - 1, dtype=torch.float32)
    with torch.no_grad():
        layers = {f"discriminator_layer{i}": h for i, h in enumerate(gan.discriminator_.taps(x))}
        z = FittedNetworks(gan).draw(n, 0)
        h = gan.generator_.project(z).view(-1, *gan.generator_.grid)
        found = []
        for layer in gan.generator_.layers:
            h = layer(h.clone())
            found += [h] if isinstance(layer, torch.nn.ReLU) else []
    return layers | {f"generator_layer{i}": h for i, h in enumerate(found)}


def test_each_epoch_is_recorded_as_if_training_ended_there(small, digits):
    X, _ = digits
    activity = FilterActivity(n_samples=40)
    watched = small(n_epochs=3).set_callbacks(activity).fit(X)
    assert len(activity.records) == 1 and activity.record.epochs == [1, 2, 3]
    expected = ActivityRecord()
    for n in (1, 2, 3):
        gan = small(n_epochs=n).fit(X)
        expected.add(n, recorded_by_hand(gan, X))
    assert activity.record.mean.keys() == expected.mean.keys()
    for what in ("mean", "size", "spread"):
        for layer, values in getattr(expected, what).items():
            np.testing.assert_allclose(getattr(activity.record, what)[layer], values, rtol=1e-5)
    # Watching changes no bit.
    np.testing.assert_array_equal(watched.transform(X), gan.transform(X))


def test_samples_and_networks_can_be_chosen(small, digits):
    X, _ = digits
    activity = FilterActivity(X[5:9], networks=["discriminator"])
    gan = small().set_callbacks(activity).fit(X)
    assert list(activity.record.mean) == ["discriminator_layer0", "discriminator_layer1"]
    expected = ActivityRecord()
    x = torch.tensor(X[5:9].reshape(-1, 1, 8, 8) / 8 - 1, dtype=torch.float32)
    with torch.no_grad():
        expected.add(2, {f"layer{i}": h for i, h in enumerate(gan.discriminator_.taps(x))})
    for i in range(2):
        recorded = activity.record.mean[f"discriminator_layer{i}"][-1]
        np.testing.assert_allclose(recorded, expected.mean[f"layer{i}"][0], rtol=1e-5)
    activity = FilterActivity(n_samples=10)
    small(BiGANEncoder, n_epochs=1).set_callbacks(activity).fit(X)
    assert {name.partition("_")[0] for name in activity.record.mean} == {"encoder", "generator"}
    activity = FilterActivity(n_samples=10)
    small(AutoencoderFeatures, n_epochs=1).set_callbacks(activity).fit(X)
    assert {name.partition("_")[0] for name in activity.record.mean} == {"encoder"}


def test_a_fit_that_goes_on_goes_on_with_its_record(small, digits):
    X, _ = digits
    activity = FilterActivity(n_samples=10)
    gan = small(n_epochs=2, warm_start=True).set_callbacks(activity).fit(X)
    gan.set_params(n_epochs=3).fit(X)
    gan.partial_fit(X)
    assert [r.epochs for r in activity.records] == [[1, 2, 3, 4]]
    assert len(activity.record.mean["generator_layer0"]) == 4
    small(n_epochs=1).set_callbacks(activity).fit(X)
    small(n_epochs=1, random_state=1).set_callbacks(activity).fit(X)
    assert [r.epochs for r in activity.records] == [[1, 2, 3, 4], [1], [1]]
    assert activity.record is activity.records[-1]
    other = small(n_epochs=1, random_state=2, warm_start=True).fit(X)
    other.set_params(n_epochs=2).set_callbacks(activity).fit(X)  # of another fit
    assert [r.epochs for r in activity.records[1:]] == [[1], [1], [2]]


def test_the_fits_of_a_search_have_records_of_their_own(small, digits):
    X, y = digits
    activity = FilterActivity(n_samples=10)
    pipe = Pipeline([("gan", small().set_callbacks(activity)), ("svm", LinearSVC())])
    GridSearchCV(pipe, {"gan__lr": [1e-4, 1e-3]}, cv=2).fit(X, y)
    assert [r.epochs for r in activity.records] == [[1, 2]] * 5


def test_a_data_frame_gives_no_warning(small, digits):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(digits[0], columns=[f"p{i}" for i in range(64)])
    spec, activity = MLPSpec(8), FilterActivity(n_samples=10)
    gan = small(generator=spec, discriminator=spec, image_shape=None).set_callbacks(activity)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gan.fit(X)
    assert activity.record.mean["discriminator_layer0"].shape == (2, 8)


def test_records_survive_pickling_and_copying(small, digits):
    activity = FilterActivity(n_samples=10)
    gan = small(n_epochs=1).set_callbacks(activity).fit(digits[0])
    for twin in (pickle.loads(pickle.dumps(activity)), copy.deepcopy(activity)):
        assert twin.record.epochs == [1]
        np.testing.assert_array_equal(
            twin.record.mean["generator_layer0"], activity.record.mean["generator_layer0"]
        )
    pickle.loads(pickle.dumps(gan)).fit(digits[0])
    assert len(activity.records) == 1


@pytest.mark.parametrize(
    ("cls", "networks", "known"),
    [
        (DCGANDiscriminatorFeatures, ["encoder"], "'generator', 'discriminator'"),
        (AutoencoderFeatures, ["generator"], "'encoder'"),
    ],
)
def test_unknown_networks_are_named_before_training(small, digits, cls, networks, known):
    gan = small(cls).set_callbacks(FilterActivity(networks=networks))
    gan._step = None  # which would fail
    with pytest.raises(
        ValueError, match=f"networks='{networks[0]}' is unknown; use one of {known}"
    ):
        gan.fit(digits[0])


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="n_samples=1 must be"):
        FilterActivity(n_samples=1)
    with pytest.raises(ValueError, match="random_state=None must be a whole number"):
        FilterActivity(random_state=None)
    with pytest.raises(ValueError, match=r"networks='encoder' must be a sequence of roles"):
        FilterActivity(networks="encoder")
    with pytest.raises(AttributeError, match="no record yet: set it on an estimator"):
        FilterActivity().record  # noqa: B018


# ---------------------------------------------------------------- what is flagged


def made_up(rng, n_epochs=12, n_filters=32):
    """A record of healthy filters: drifting means, and spreads of all sizes."""
    drift = rng.normal(0, 0.02, (n_epochs, n_filters)).cumsum(axis=0)
    size = rng.lognormal(0, 0.5, n_filters)
    mean = (rng.uniform(0.1, 0.9, n_filters) + drift) * size
    spread = np.clip(rng.uniform(0.2, 0.9, n_filters) + 0.1 * drift, 0, 1)
    layers = {"mean": mean, "size": np.tile(size, (n_epochs, 1)), "spread": spread}
    return ActivityRecord(list(range(1, n_epochs + 1)), **{k: {"l": v} for k, v in layers.items()})


WAVES = {
    "alternating": lambda t: t % 2,
    "slow": lambda t: (1 + np.sin(2 * np.pi * t / 5)) / 2,
    "ragged": lambda t: np.random.default_rng(0).random(len(t)),
}


@pytest.mark.parametrize("wave", WAVES.values(), ids=WAVES)
@pytest.mark.parametrize("seed", range(5))
def test_a_collapsed_filter_that_oscillates_is_flagged_and_no_other(wave, seed):
    record = made_up(np.random.default_rng(seed))
    assert oscillating_filters(record)["l"].tolist() == []
    t = np.arange(12)
    for k in (4, 20):
        record.mean["l"][:, k] = record.size["l"][:, k] * (0.2 + 1.6 * wave(t))
        record.spread["l"][:, k] = 0.01
    assert oscillating_filters(record)["l"].tolist() == [4, 20]


def test_one_sign_alone_is_not_enough():
    record = made_up(np.random.default_rng(0))
    size, t = record.size["l"][0], np.arange(12)
    record.mean["l"][:, 1] = size[1] * (t % 2)  # swings, but samples differ
    record.spread["l"][:, 2] = 0.001  # the same for all samples, and steady
    record.mean["l"][:, 3] = size[3] * 0.3 * t  # collapsed, but grows in one direction
    record.spread["l"][:, 3] = 0.001
    for what in (record.mean, record.size):
        what["l"][:, 5] = 0  # silent
    record.spread["l"][:, 5] = np.nan
    assert oscillating_filters(record)["l"].tolist() == []
    record.spread["l"][:, 1] = 0.05
    assert oscillating_filters(record)["l"].tolist() == [1]
    assert oscillating_filters(record, max_spread=0.02)["l"].tolist() == []
    assert oscillating_filters(record, n_mads=1e3)["l"].tolist() == []


def test_only_the_last_epochs_are_looked_at():
    record = made_up(np.random.default_rng(0), n_epochs=30)
    record.spread["l"][:, 7] = 0.01
    record.mean["l"][:18, 7] = record.size["l"][:18, 7] * (np.arange(18) % 2)
    assert oscillating_filters(record)["l"].tolist() == []
    assert oscillating_filters(record, n_epochs=30)["l"].tolist() == [7]
    record.mean["l"][:, 7] = record.size["l"][:, 7] * (np.arange(30) % 2)
    assert oscillating_filters(record, n_epochs=4)["l"].tolist() == [7]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_epochs": 3}, "n_epochs=3 must be"),
        ({"max_spread": 2}, "max_spread=2 must be"),
        ({"n_mads": -1}, "n_mads=-1 must be"),
    ],
)
def test_bad_limits_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        oscillating_filters(made_up(np.random.default_rng(0)), **given)
    with pytest.raises(ValueError, match="record has 3 epochs, .* at least 4: train for longer"):
        oscillating_filters(made_up(np.random.default_rng(0), n_epochs=3))


def planting(step):
    """A step after which two filters return a value that swings from epoch to epoch."""

    def planted(nets, batch, update):
        step(nets, batch, update)
        value = 1.0 + 0.8 * (-1) ** batch.epoch
        with torch.no_grad():
            for norm, k in [(nets.discriminator.blocks[1].norm, 5), (nets.generator.layers[3], 2)]:
                norm.weight[k], norm.bias[k] = 0.02, value

    return planted


def test_filters_planted_in_training_are_flagged(small, digits):
    activity = FilterActivity()
    gan = small(n_epochs=6).set_callbacks(activity)
    gan._step = planting(gan._step)
    gan.fit(digits[0])
    flagged = {
        layer: found.tolist() for layer, found in oscillating_filters(activity.record).items()
    }
    assert flagged == {
        "discriminator_layer0": [],
        "discriminator_layer1": [5],
        "generator_layer0": [],
        "generator_layer1": [2],
    }


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_flagged_in_a_healthy_run(digits, seed):
    activity = FilterActivity()
    gan = DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=10, random_state=seed)
    gan.set_callbacks(activity).fit(digits[0])
    flagged = oscillating_filters(activity.record)
    assert len(flagged) == 4 and not any(map(len, flagged.values()))


# ---------------------------------------------------------------- the display


def two_layers():
    record = made_up(np.random.default_rng(0))
    for what in (record.mean, record.size, record.spread):
        what["m"] = what["l"][:, :6].copy()
    record.mean["m"][:, 2] = record.size["m"][:, 2] * (np.arange(12) % 2)
    record.spread["m"][:, 2] = 0.01
    return record


def test_every_filter_is_drawn_and_the_flagged_ones_in_colour(plt):
    record = two_layers()
    display = FilterActivityDisplay(record).plot()
    assert display.axes_.shape == (2, 2)
    assert [ax.get_title() for ax in display.axes_[0]] == ["l", "m"]
    assert display.lines_["l"] == {} and list(display.lines_["m"]) == [2]
    for name in ("l", "m"):
        shown = record.mean[name] / record.size[name][0], record.spread[name]
        rest = [k for k in range(shown[0].shape[1]) if k not in display.lines_[name]]
        for others, values in zip(display.others_[name], shown, strict=True):
            assert len(others.get_segments()) == len(rest)
            for segment, k in zip(others.get_segments(), rest, strict=True):
                np.testing.assert_allclose(segment, np.column_stack([record.epochs, values[:, k]]))
    for line, values in zip(display.lines_["m"][2], (np.arange(12) % 2, [0.01] * 12), strict=True):
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([record.epochs, values]))
    legend = display.axes_[0, 1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["filter 2"]
    assert display.axes_[0, 0].get_legend() is None
    assert display.figure_ is display.axes_[0, 0].figure


def test_flagged_lines_are_seen_in_the_rendered_picture(plt):
    record = two_layers()
    display = FilterActivityDisplay(record, layers=["m"]).plot()
    display.figure_.canvas.draw()
    pixels = np.asarray(display.figure_.canvas.buffer_rgba())[:, :, :3].astype(int)

    def at(ax, x, y):
        left, up = ax.transData.transform((x, y))
        return pixels[len(pixels) - 1 - int(up), int(left)]

    line = display.lines_["m"][2][1]
    colour = np.array(plt.matplotlib.colors.to_rgb(line.get_color())) * 255
    upper, lower = display.axes_[:, 0]
    np.testing.assert_allclose(at(lower, 6, 0.01), colour, atol=40)
    for epoch in (4, 5):
        np.testing.assert_allclose(at(upper, epoch, (epoch - 1) % 2), colour, atol=40)
    grey = at(lower, 6, record.spread["m"][5, 0])
    assert np.ptp(grey) < 20 and grey.max() < 230
    np.testing.assert_array_equal(at(lower, 6, 0.1), 255)  # nothing is there


def test_layers_flags_and_axes_can_be_given(plt):
    record = two_layers()
    _, axes = plt.subplots(2, 1)
    display = FilterActivityDisplay(record, layers=["m"], flagged={"m": [0, 1]}).plot(ax=axes)
    assert list(display.axes_[:, 0]) == list(axes)
    assert list(display.lines_["m"]) == [0, 1]
    activity = FilterActivity()
    activity.records.append(record)
    assert FilterActivityDisplay.from_callback(activity).axes_.shape == (2, 2)
    short = made_up(np.random.default_rng(0), n_epochs=2)
    assert FilterActivityDisplay(short).plot().lines_ == {"l": {}}
    with pytest.raises(ValueError, match="ax holds 2 Axes; pass 2 rows of 2"):
        FilterActivityDisplay(record).plot(ax=axes)
    with pytest.raises(ValueError, match="layers='x' is unknown; use one of 'l', 'm'"):
        FilterActivityDisplay(record, layers=["x"])
    with pytest.raises(ValueError, match="flagged='x' is unknown"):
        FilterActivityDisplay(record, flagged={"x": [0]})
    with pytest.raises(ValueError, match="record has no epochs"):
        FilterActivityDisplay(ActivityRecord())


def test_a_silent_filter_is_drawn_without_a_warning(plt):
    record = two_layers()
    for what in (record.mean, record.size):
        what["l"][:, 3] = 0
    record.spread["l"][:, 3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = FilterActivityDisplay(record).plot()
        display.figure_.canvas.draw()
    assert (display.others_["l"][0].get_segments()[3][:, 1] == 0).all()
