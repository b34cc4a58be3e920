"""SupervisedFeatures, and labels on their way from `fit` to a step."""

import copy
import dataclasses
import itertools
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import is_classifier
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from torch import nn

import skgan
from skgan import DCGANSpec, LazyImages, MLPSpec, SupervisedFeatures
from skgan.losses import cross_entropy

TINY = {
    "classifier": MLPSpec(16), "batch_size": 50, "n_epochs": 1, "random_state": 3, "device": "cpu",
}  # fmt: skip
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def fitted(X, y, **settings):
    return SupervisedFeatures(**(TINY | settings)).fit(X, y)


def same(a, b, X):
    return np.array_equal(a.decision_function(X), b.decision_function(X))


@pytest.fixture
def no_training(monkeypatch):
    def trained(*_args):
        raise AssertionError("training began")

    monkeypatch.setattr("skgan.training.train", trained)


# ------------------------------------------------------------------ claims


def test_it_learns_digits():
    X, y = load_digits(return_X_y=True)
    settings = {"image_shape": (8, 8), "classifier": DCGANSpec(8), "random_state": 0}
    train, test = (X[:1200], y[:1200]), (X[1200:], y[1200:])
    untrained, trained = (
        SupervisedFeatures(**settings, lr=1e-3, n_epochs=n).fit(*train) for n in (0, 10)
    )
    assert untrained.score(*test) < 0.3
    assert trained.score(*test) > 0.9
    assert trained.score_samples(test[0]).mean() > untrained.score_samples(test[0]).mean() + 1


# ------------------------------------------------------------------ the step


@pytest.mark.parametrize("class_weight", [None, {0: 3.0, 4: 0.5}])
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, class_weight):
    """With every row next to its own label, which is found by the row's pixels."""
    X, y = digits[0][:250], digits[1][:250]
    w = torch.ones(10)
    for k, factor in (class_weight or {}).items():
        w[k] = factor
    start = fitted(X, y, n_epochs=0)
    C = copy.deepcopy(start.classifier_).train()
    label = {row.numpy().tobytes(): i for row, i in zip(start._format.encode(X), y, strict=True)}
    seen, step = [], SupervisedFeatures._step

    def watched(self, nets, batch, update):
        seen.append(batch.x.clone())
        step(self, nets, batch, update)

    monkeypatch.setattr(SupervisedFeatures, "_step", watched)
    est = fitted(X, y, class_weight=class_weight)
    assert len(seen) == est.n_steps_ == 5

    optimizer = torch.optim.Adam(
        C.parameters(), 2e-4, (0.5, 0.999), weight_decay=2.5e-5, fused=True
    )
    for x in seen:
        target = torch.tensor([label[row.numpy().tobytes()] for row in x])
        optimizer.zero_grad()
        p = (w * C(x).exp()) / (w * C(x).exp()).sum(1, keepdim=True)
        (-w[target] * p[range(len(x)), target].log()).mean().backward()
        optimizer.step()
    for p, q in zip(C.parameters(), est.classifier_.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)
    with torch.no_grad():
        scores = est.classifier_(start._format.encode(X))
    p = (w * scores.exp()) / (w * scores.exp()).sum(1, keepdim=True)
    torch.testing.assert_close(torch.tensor(est.predict_proba(X)).float(), p, rtol=0, atol=1e-4)


def test_a_heavier_class_is_predicted_more_often_and_a_weightless_one_never():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    X = rng.normal(size=(400, 2)) + y[:, None]
    shares = [
        np.mean(fitted(X, y, class_weight={0: w}, n_epochs=20, lr=1e-3).predict(X) == 0)
        for w in (0.0, 0.3, 1.0, 3.0)
    ]
    assert shares[0] == 0 and all(a + 0.05 < b for a, b in itertools.pairwise(shares)), shares


def test_balanced_weights_need_all_labels_at_once(digits):
    X, y = digits[0][:200], digits[1][:200]
    est = fitted(X, y, class_weight="balanced")
    np.testing.assert_allclose(est.class_weight_, 200 / (10 * np.bincount(y)))
    before = est.decision_function(X)
    with pytest.raises(ValueError, match=r"class_weight='balanced'.*pass a dict"):
        est.partial_fit(X, y)
    assert np.array_equal(est.decision_function(X), before)
    est.set_params(class_weight={3: 2}).partial_fit(X[:20], y[:20])
    assert est.class_weight_.tolist() == [1, 1, 1, 2, 1, 1, 1, 1, 1, 1]


def test_cross_entropy_against_numbers():
    scores = torch.tensor([[1.0, 3.0, 0.5], [0.0, 0.0, 0.0]])
    p = np.exp(3) / (np.exp(1) + np.exp(3) + np.exp(0.5))
    expected = -(np.log(p) + np.log(1 / 3)) / 2
    assert cross_entropy(scores, torch.tensor([1, 2])).item() == pytest.approx(expected)


def test_unsupervised_classes_see_no_labels(small, digits, monkeypatch):
    seen, cls = [], skgan.DCGANDiscriminatorFeatures
    step = cls._step
    monkeypatch.setattr(
        cls, "_step", lambda self, nets, b, update: (seen.append(b.y), step(self, nets, b, update))
    )
    small(n_epochs=1, image_shape=(8, 8)).fit(*digits)
    assert seen and all(y is None for y in seen)


# ------------------------------------------------------------------ labels


@pytest.mark.parametrize("table", [True, False])
def test_rows_labelled_minus_one_are_left_out(digits, table):
    """Bit for bit as if they were not there: columns' means and value range too."""
    X, y = digits
    hidden = np.random.default_rng(0).random(len(y)) < 0.4
    # Rows that would move means and extremes.
    X, y = np.where(hidden[:, None], X + 7, X), np.where(hidden, -1, y)
    settings = {} if table else {"image_shape": (8, 8), "classifier": DCGANSpec(4)}
    est, without = fitted(X, y, **settings), fitted(X[~hidden], y[~hidden], **settings)
    assert same(est, without, X) and same(est, fitted(X, y.astype(float), **settings), X)
    assert np.array_equal(est.transform(X), without.transform(X))  # batch norm too
    assert est.classes_.tolist() == list(range(10))
    assert est.n_steps_ == -(-(~hidden).sum() // 50)


def test_minus_one_and_one_other_label_are_two_classes(digits):
    X, y = digits
    est = fitted(X, np.where(y < 5, -1, 1))
    assert est.classes_.tolist() == [-1, 1] and set(est.predict(X)) <= {-1, 1}


def test_the_engine_hands_unlabelled_rows_on(digits, monkeypatch):
    """For methods that learn from both."""
    X, y = digits
    y = np.where(y == 3, -1, y)
    seen, step = [], SupervisedFeatures._step

    def watched(self, nets, batch, update):
        seen.append(batch.y)
        known = batch.y >= 0
        step(self, nets, dataclasses.replace(batch, x=batch.x[known], y=batch.y[known]), update)

    monkeypatch.setattr(SupervisedFeatures, "_step", watched)
    monkeypatch.setattr(SupervisedFeatures, "_needs_labels", False)
    fitted(X, y)
    seen = torch.cat(seen)
    assert seen.dtype == torch.int64 and len(seen) == len(y)
    assert (seen == -1).sum() == (y == -1).sum() and seen.max() == 8


@pytest.mark.parametrize(
    "kind", [np.array, list, pd.Series, lambda v: v.astype(object), pd.Categorical]
)
def test_strings(digits, kind):
    X, y = digits
    est = fitted(X, kind(NAMES[y]), n_epochs=20)
    assert est.classes_.tolist() == sorted(NAMES)
    assert est.score(X, kind(NAMES[y])) > 0.9
    assert est.predict(X).dtype == est.classes_.dtype
    # What they are called plays no part but by their order.
    assert same(est, fitted(X, np.searchsorted(np.sort(NAMES), NAMES[y]), n_epochs=20), X)


def test_tensors_booleans_and_lazy_images(digits):
    X, y = digits
    est = fitted(X, y)
    assert same(est, fitted(torch.from_numpy(X), torch.from_numpy(y)), X)
    assert fitted(X, y > 4).predict(X).dtype == bool
    images, y = X.reshape(-1, 8, 8), np.where(y == 0, -1, y)
    lazy = fitted(LazyImages(images), y)
    assert same(lazy, fitted(images, y), images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: None, "requires y to be passed, but the target y is None"),
        (lambda y: y[:-1], "inconsistent numbers of samples"),
        (lambda y: np.zeros_like(y), r"y holds 1 class\(es\), \[0\]"),
        (lambda y: np.full(len(y), "a"), r"y holds 1 class\(es\), \['a'\]"),
        (lambda y: y + 0.5, "Unknown label type: continuous"),
        (lambda y: np.where(y > 4, np.nan, y), "y contains NaN"),
        (lambda y: np.eye(10)[y], "1d array"),
        (lambda y: np.r_[0, 1, np.full(len(y) - 2, None)], "y"),
    ],
)
def test_labels_that_cannot_work(digits, no_training, change, message):
    X, y = digits
    with pytest.raises(ValueError, match=message):
        SupervisedFeatures().fit(X, change(y))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classifier", "resnet"), ("classifier", 5), ("norm", "layer"), ("layers", 9),
        ("tap", "relu"), ("pool", "min"), ("pool_grid", 0), ("bn_stats", "batch"),
        ("classifier", nn.Linear(64, 9)), ("n_epochs", -1), ("batch_size", 1),
    ],
)  # fmt: skip
def test_bad_parameters(digits, no_training, name, value):
    with pytest.raises((ValueError, TypeError), match=name) as caught:
        SupervisedFeatures(**{name: value}).fit(*digits)
    assert str(value).partition("(")[0] in str(caught.value)


# ------------------------------------------------------------------ a classifier


@pytest.mark.parametrize("n_classes", [2, 3])
def test_predictions_agree_with_each_other(digits, n_classes):
    X, y = digits
    y = NAMES[y % n_classes]
    est = fitted(X, y, n_epochs=5)
    scores, p = est.decision_function(X), est.predict_proba(X)
    assert scores.shape == ((len(X),) if n_classes == 2 else (len(X), 3))
    assert p.shape == (len(X), n_classes)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert np.array_equal(est.predict(X), est.classes_[p.argmax(1)])
    if n_classes == 2:
        np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-scores)), atol=1e-6)
    np.testing.assert_allclose(est.score_samples(X), np.log(p.max(1)), atol=1e-5)
    assert est.score(X, y) == accuracy_score(y, est.predict(X))
    assert is_classifier(est)


def test_there_is_nothing_to_sample_from(digits):
    est = fitted(*digits)
    for name in ("sample", "sample_images"):
        with pytest.raises(AttributeError) as caught:
            getattr(est, name)(2)
        assert "no prior to draw from." in str(caught.value.__cause__)
    assert not {"latent", "latent_dim", "generator"} & est.get_params().keys()


# ------------------------------------------------------------------ features


@pytest.mark.parametrize("classifier", ["auto", "mlp", DCGANSpec(4, feature_dim=5)])
@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_head_weight_times_features_are_the_scores(digits, classifier, norm):
    X, y = digits
    est = fitted(X, y, classifier=classifier, norm=norm, image_shape=(8, 8))
    assert est.head_weight_.shape == (10, est.n_features_out_)
    np.testing.assert_allclose(
        est.transform(X) @ est.head_weight_.T, est.decision_function(X), atol=1e-4
    )
    for other in ({"layers": 0}, {"tap": "conv"}, {"layers": "all"}):
        with pytest.raises(AttributeError, match="layers=-1"):
            _ = copy.deepcopy(est).set_params(**other).head_weight_


def test_the_network_of_mao_et_al():
    """Table 1: four convolutions, 128 linear features, a head without bias."""
    X = np.random.default_rng(0).random((12, 32, 32))
    est = SupervisedFeatures(classifier="mao32", n_epochs=0).fit(X, np.arange(12) % 3)
    assert est.transform(X).shape == (12, 128) and est.head_weight_.shape == (3, 128)
    shapes = [tuple(p.shape) for p in est.classifier_.parameters() if p.ndim == 4]
    assert shapes == [(128, 1, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (128, 512, 4, 4)]


def test_batch_norm_statistics_are_measured_or_running(digits):
    X, y = digits
    real, running = (fitted(X, y, bn_stats=b) for b in ("real", "running"))
    norms = [
        next(m for m in e.classifier_.modules() if isinstance(m, nn.BatchNorm1d))
        for e in (real, running)
    ]
    assert torch.equal(norms[0].weight, norms[1].weight)
    assert not torch.equal(norms[0].running_mean, norms[1].running_mean)
    assert int(norms[1].num_batches_tracked) == running.n_steps_
    with torch.no_grad():
        first, second = real.classifier_.blocks
        h = second.conv(first(real._format.encode(X)))
    torch.testing.assert_close(norms[0].running_mean, h.mean(0), rtol=0, atol=1e-5)


def test_brought_networks(digits):
    X, y = digits
    net = nn.Sequential(nn.Linear(64, 7), nn.ReLU(), nn.Linear(7, 10))
    for classifier in (net, lambda input_shape, n_outputs, norm: copy.deepcopy(net)):
        est = fitted(X, y, classifier=classifier)
        assert est.transform(X).shape == (300, 7) and est.predict_proba(X).shape == (300, 10)
        with pytest.raises(AttributeError, match="head_weight_"):
            _ = est.head_weight_


# ------------------------------------------------------------------ kept, and going on


@pytest.mark.parametrize("names", [np.arange(10), NAMES, NAMES.astype(object), np.arange(10.0)])
def test_files_and_pickles(digits, tmp_path, names):
    X, y = digits
    est = fitted(X, names[y])
    est.save(tmp_path / "classifier")
    for other in (skgan.load(tmp_path / "classifier"), pickle.loads(pickle.dumps(est))):
        assert np.array_equal(other.classes_, est.classes_)
        assert other.classes_.dtype == est.classes_.dtype
        assert np.array_equal(other.predict(X), est.predict(X)) and same(other, est, X)


def test_checkpoints_belong_to_their_labels(digits, tmp_path):
    X, y = digits
    settings = {"checkpoint_dir": tmp_path, "n_epochs": 2}
    fitted(X, y, **settings)
    other = np.random.default_rng(0).permutation(y)
    est = fitted(X, other, **settings)
    assert same(est, fitted(X, other, n_epochs=2), X)
    assert len(list(Path(tmp_path).iterdir())) == 2
    with pytest.raises(ValueError, match="resume='must'.*labels"):
        fitted(X, y[::-1], resume="must", **settings)
    more = fitted(X, y, resume="must", **(settings | {"n_epochs": 3}))
    assert same(more, fitted(X, y, n_epochs=3), X)


def test_warm_start_keeps_the_classes(digits):
    X, y = digits
    est = fitted(X, y, warm_start=True)
    assert same(est.set_params(n_epochs=3).fit(X, y), fitted(X, y, n_epochs=3), X)
    few = y < 3
    est.set_params(n_epochs=4).fit(X[few], y[few])
    assert est.classes_.tolist() == list(range(10))
    before = est.decision_function(X)
    with pytest.raises(ValueError, match=r"\[0, 1, .*, 9\] of the first call: \[12, 13\]"):
        est.set_params(n_epochs=5).fit(X[:4], [1, 12, 13, 2])
    assert np.array_equal(est.decision_function(X), before)
    est.set_params(warm_start=False).fit(X[:4], ["a", "b", "a", "b"])
    assert est.classes_.tolist() == ["a", "b"]


def test_partial_fit(digits):
    X, y = digits
    est = SupervisedFeatures(**TINY)
    est.partial_fit(X, y).partial_fit(X[y < 2], y[y < 2])
    assert est.classes_.tolist() == list(range(10)) and est.n_epochs_ == 2
    before = est.decision_function(X)
    with pytest.raises(ValueError, match=r"\['two'\]"):
        est.partial_fit(X[:2], ["two", "two"])
    with pytest.raises(ValueError, match="y has labels for 1 of 3 samples"):
        est.partial_fit(X[:3], [-1, 4, -1])
    assert np.array_equal(est.decision_function(X), before)
    est.partial_fit(X[:3], [-1, 4, 5])
    assert est.n_epochs_ == 3


def test_partial_fit_is_told_of_classes_to_come(digits):
    X, y = digits
    est = SupervisedFeatures(**TINY)
    est.partial_fit(X[y == 2], y[y == 2], classes=[5, 2, 0, -1])
    assert est.classes_.tolist() == [0, 2, 5]
    est.partial_fit(X[y == 5], y[y == 5], classes=[0, 2, 5])
    with pytest.raises(ValueError, match=r"classes=\[0, 2\] are not those"):
        est.partial_fit(X[y == 5], y[y == 5], classes=[0, 2])
    with pytest.raises(ValueError, match="classes holds 1 class"):
        SupervisedFeatures(**TINY).partial_fit(X, y, classes=[1])
    # An announcement that came to nothing is forgotten.
    broken = SupervisedFeatures(**(TINY | {"lr": -1}))
    with pytest.raises(ValueError, match="lr=-1"):
        broken.partial_fit(X, y, classes=[0, 1])
    assert not hasattr(broken, "_announced")
    assert broken.set_params(lr=1e-3).fit(X, y).classes_.tolist() == list(range(10))


def test_callbacks_are_shown_the_rows_with_labels(digits):
    """After each epoch a monitor scores on the rows that were trained on."""
    callback = pytest.importorskip("sklearn.callback")
    X, y = digits
    monitor = callback.ScoringMonitor(scoring="accuracy")
    hidden = np.where(y == 0, -1, y)
    est = SupervisedFeatures(**TINY).set_params(n_epochs=2).set_callbacks(monitor).fit(X, hidden)
    logged = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(logged) == 2 and logged[-1] == est.score(X[y != 0], y[y != 0])


def test_score_leaves_out_rows_without_a_label(digits):
    X, y = digits
    est = fitted(X, y)
    hidden = np.arange(len(y)) % 3 == 0
    weight = np.linspace(1, 2, len(y))
    assert est.score(X, np.where(hidden, -1, y)) == est.score(X[~hidden], y[~hidden])
    weighted = est.score(X, np.where(hidden, -1, y), weight)
    assert weighted == pytest.approx(est.score(X[~hidden], y[~hidden], weight[~hidden]))
    with pytest.raises(ValueError, match="-1 throughout"):
        est.score(X, np.full(len(y), -1))
    two = fitted(X, np.where(y < 5, -1, 1))  # here -1 is a class
    assert two.score(X, np.where(y < 5, -1, 1)) == np.mean(two.predict(X) == np.where(y < 5, -1, 1))
