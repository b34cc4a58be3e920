"""The probe of Mao et al. against a loop written out, and what scale does to it."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.datasets import load_digits

from skgan.evaluation import SoftmaxProbeResult, softmax_probe
from skgan.evaluation import softmax as module


@pytest.fixture(scope="module")
def data():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    return X[:500], y[:500], X[500:800], y[500:800]


def written_out(F, y, lr, momentum, batch_size, n_epochs, seed):
    """A layer, SGD and cross-entropy, in the usual way."""
    F, y = torch.tensor(F), torch.tensor(y)
    rng = torch.Generator().manual_seed(int(np.random.RandomState(seed).randint(2**31 - 1)))
    layer = torch.nn.Linear(F.shape[1], 10, bias=False)
    torch.nn.init.normal_(layer.weight, 0, 0.02, generator=rng)
    sgd = torch.optim.SGD(layer.parameters(), lr=lr, momentum=momentum)
    for _ in range(n_epochs):
        order = torch.randperm(len(F), generator=rng)
        for i in range(0, len(F), batch_size):
            rows = order[i : i + batch_size]
            loss = torch.nn.CrossEntropyLoss()(layer(F[rows]), y[rows])
            sgd.zero_grad()
            loss.backward()
            sgd.step()
    return layer


@pytest.mark.parametrize(("batch_size", "n_epochs", "n_steps"), [(500, 1, 1), (120, 3, 15)])
def test_its_steps_are_those_of_a_loop_written_out(data, batch_size, n_epochs, n_steps):
    """The loss and both accuracies see all weights."""
    settings = {"lr": 0.05, "momentum": 0.9, "batch_size": batch_size, "n_epochs": n_epochs}
    result = softmax_probe(*data, **settings, random_state=3)
    F, y, F_test, y_test = data
    layer = written_out(F, y, **settings, seed=3)
    with torch.no_grad():
        scores, test_scores = layer(torch.tensor(F)), layer(torch.tensor(F_test))
        loss = torch.nn.CrossEntropyLoss()(scores, torch.tensor(y))
    assert result.n_steps == n_steps
    assert result.loss == pytest.approx(float(loss), rel=1e-6)
    assert result.train_accuracy == np.mean(scores.argmax(1).numpy() == y)
    assert result.accuracy == np.mean(test_scores.argmax(1).numpy() == y_test)


def test_rows_without_a_label_are_left_out(data):
    F, y, F_test, y_test = data
    some = np.where(np.arange(500) % 3 == 0, -1, y)
    with_them = softmax_probe(F, some, F_test, y_test, random_state=0)
    without = softmax_probe(F[some >= 0], some[some >= 0], F_test, y_test, random_state=0)
    assert with_them == without


def test_the_first_step_by_formula(data):
    """W - lr * (softmax(W f) - onehot) f^T, from the same draws."""
    F, y, *_ = data
    result = softmax_probe(*data, lr=0.5, batch_size=500, n_epochs=1, random_state=0)
    rng = torch.Generator().manual_seed(int(np.random.RandomState(0).randint(2**31 - 1)))
    W = torch.empty(10, 64).normal_(0, 0.02, generator=rng).numpy().astype(np.float64)

    def log_softmax(W):
        scores = F @ W.T
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    W -= 0.5 * (np.exp(log_softmax(W)) - np.eye(10)[y]).T @ F / len(F)
    assert result.loss == pytest.approx(-np.mean(log_softmax(W)[np.arange(len(F)), y]), rel=1e-5)


def test_it_learns_with_enough_steps(data):
    result = softmax_probe(*data, lr=0.5, random_state=0)
    assert result.accuracy > 0.8
    assert result.train_accuracy > 0.95
    assert isinstance(result.accuracy, float)
    assert isinstance(result, SoftmaxProbeResult)


def test_scale_matters_unless_it_is_divided_out(data):
    F, y, F_test, y_test = data
    large = (64 * F, y, 64 * F_test, y_test)
    plain, scaled = (softmax_probe(*d, random_state=0, n_epochs=5) for d in (data, large))
    assert scaled.accuracy > plain.accuracy + 0.2
    # A power of two leaves every bit of the quotient as it is.
    plain, scaled = (
        softmax_probe(*d, random_state=0, n_epochs=5, unit_rms=True) for d in (data, large)
    )
    assert scaled.accuracy == plain.accuracy
    assert scaled.loss == plain.loss
    assert scaled.feature_rms == 64 * plain.feature_rms


def test_the_rms_is_that_of_the_training_features(data):
    F, y, F_test, y_test = data
    rms = np.sqrt(np.mean(F.astype(np.float64) ** 2))
    result = softmax_probe(F, y, 3 * F_test, y_test, n_epochs=1, unit_rms=True, random_state=0)
    assert result.feature_rms == pytest.approx(rms, rel=1e-6)
    by_hand = softmax_probe(F / rms, y, 3 * F_test / rms, y_test, n_epochs=1, random_state=0)
    assert result.accuracy == by_hand.accuracy
    assert result.loss == pytest.approx(by_hand.loss, rel=1e-5)
    assert by_hand.feature_rms == pytest.approx(1, rel=1e-6)


def test_same_seed_same_result_and_no_global_state(data):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again = (softmax_probe(*data, random_state=0, n_epochs=2) for _ in range(2))
    assert first == again
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
    assert softmax_probe(*data, random_state=1, n_epochs=2) != first


def test_batches_are_shuffled_anew_in_each_epoch(data, monkeypatch):
    orders = []
    draw = torch.randperm

    def randperm(*args, **kwargs):
        orders.append(draw(*args, **kwargs))
        return orders[-1]

    monkeypatch.setattr(torch, "randperm", randperm)
    softmax_probe(*data, n_epochs=3, random_state=0)
    assert len({tuple(order.tolist()) for order in orders}) == 3


def test_features_of_any_kind_are_left_as_they_are(data):
    F, y, F_test, y_test = data
    expected = softmax_probe(*data, n_epochs=1, random_state=0)
    locked = F.copy()
    locked.flags.writeable = False
    names = np.array(list("abcdefghij"))
    variants = [
        (locked, y, F_test, y_test),
        (np.asfortranarray(F), y, F_test.tolist(), y_test),
        (F.astype(np.float64), names[y], F_test, names[y_test]),
    ]
    for variant in variants:
        assert softmax_probe(*variant, n_epochs=1, random_state=0) == expected
    kept = F.copy()
    softmax_probe(kept, y, F_test, y_test, n_epochs=1, unit_rms=True)
    assert np.array_equal(kept, F)


def test_summary():
    result = SoftmaxProbeResult(0.9592, 0.961, 0.1312, 0.53217, False, 10_000)
    assert str(result) == (
        "Accuracy 0.9592, on the training rows 0.9610 (loss 0.1312)\n"
        "10,000 steps of SGD on features of RMS 0.5322, used as they are"
    )
    divided = SoftmaxProbeResult(0.9592, 0.961, 0.1312, 0.53217, True, 10_000)
    assert str(divided).endswith("divided by it")


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0}, r"lr=0 must be a number in \(0"),
        ({"lr": float("nan")}, "lr=nan must be a number"),
        ({"momentum": 1.0}, r"momentum=1.0 must be a number in \[0, 1\)"),
        ({"batch_size": 0}, "batch_size=0 must be a whole number"),
        ({"n_epochs": 1.5}, "n_epochs=1.5 must be a whole number"),
        ({"unit_rms": "yes"}, "unit_rms='yes' must be True or False"),
    ],
)
def test_bad_parameters(data, settings, message):
    with pytest.raises(ValueError, match=message):
        softmax_probe(*data, **settings)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite(data, value):
    for place, name in ((0, "F"), (2, "F_test")):
        parts = list(data)
        parts[place] = parts[place].copy()
        parts[place][7, 3] = value
        with pytest.raises(ValueError, match=f"{name} has the value {value} in row 7"):
            softmax_probe(*parts)


def test_bad_shapes_and_labels(data):
    F, y, F_test, y_test = data
    with pytest.raises(ValueError, match="F has 64 columns and F_test 63; compute both with"):
        softmax_probe(F, y, F_test[:, 1:], y_test)
    with pytest.raises(ValueError, match=r"F has shape \(500, 8, 8\); pass features \(n, d\)"):
        softmax_probe(F.reshape(-1, 8, 8), y, F_test, y_test)
    with pytest.raises(ValueError, match=r"F_test has shape \(0, 64\)"):
        softmax_probe(F, y, F_test[:0], y_test[:0])
    with pytest.raises(ValueError, match="inconsistent"):
        softmax_probe(F, y[1:], F_test, y_test)
    with pytest.raises(ValueError, match="y_test has the class 11, which is not in y"):
        softmax_probe(F, y, F_test, np.where(y_test == 3, 11, y_test))
    with pytest.raises(ValueError, match=r"y holds the classes \[0\]; at least two"):
        softmax_probe(F, 0 * y, F_test, y_test)
    with pytest.raises(ValueError, match="All values of F are 0, so unit_rms=True"):
        softmax_probe(0 * F, y, F_test, y_test, unit_rms=True)


def test_a_loss_that_does_not_stay_finite(data):
    F, y, F_test, y_test = data
    with pytest.raises(FloatingPointError, match=r"loss is .* lr=1e\+18, .* use unit_rms=True or"):
        softmax_probe(1e15 * F, y, F_test, y_test, lr=1e18)


def test_weights_begin_as_in_the_paper():
    assert module.INIT_STD == 0.02


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["b", "a"], "F_test has the same columns in another order.*F_test.F.columns."),
        (["a", "c"], "F_test has 'c' in place of 'b'"),
        (["a"], "F_test has 1 columns in place of 2"),
    ],
)
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_columns_by_another_name_or_in_another_order(columns, message, frame):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    F = {"a": rng.normal(size=40) + 3 * y, "b": rng.normal(size=40)}
    train = frame(F)
    same = softmax_probe(train, y, train, y, random_state=0)
    assert same == softmax_probe(train, y, train.to_numpy(), y, random_state=0)
    other = frame({name: F.get(name, F["b"]) for name in columns})
    with pytest.raises(ValueError, match=message):
        softmax_probe(train, y, other, y, random_state=0)
