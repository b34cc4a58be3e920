"""Stand-ins for GANs and classifiers write down what they were given."""

import json
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from torch.utils.data import Dataset

from skgan import LazyImages, MLPSpec, SupervisedFeatures
from skgan.evaluation import ProbeResult, probe
from skgan.evaluation.baselines import _image_settings
from skgan.evaluation.classifiers import prepare, to_row_space
from skgan.evaluation.digests import digests
from skgan.evaluation.leaks import shared_rows
from skgan.evaluation.probe import _check_finite
from skgan.evaluation.representations import Pixels, in_parts
from skgan.tools import RandomPatchFeatures

LOG: list = []  # estimators are cloned, so what they see is written here


@pytest.fixture(autouse=True)
def empty_log():
    LOG.clear()


@pytest.fixture
def data():
    """X, y, X_test, y_test of 4 digits, as bytes (n, 1, 8, 8)."""
    X, y = load_digits(n_class=4, return_X_y=True)
    X = (X * 15).astype(np.uint8).reshape(-1, 1, 8, 8)
    return X[:300], y[:300], X[300:400], y[300:400]


@pytest.fixture
def numbered():
    """120 training and 40 test rows whose first column is their number; 3 classes."""
    rng = np.random.RandomState(0)
    X = np.column_stack([np.arange(160), rng.normal(size=(160, 2))])
    y = rng.permutation(np.arange(160) % 3)
    return X[:120], y[:120], X[120:], y[120:]


class Trainee(TransformerMixin, BaseEstimator):
    """Random directions, turned a bit more by every epoch."""

    def __init__(self, n_epochs=3, random_state=None):
        self.n_epochs = n_epochs
        self.random_state = random_state

    def fit(self, X, *labels):
        LOG.append(("fit", self.n_epochs, self.random_state, len(X), labels))
        rng = np.random.RandomState(self.random_state)
        self.weights_ = rng.normal(size=(np.prod(X.shape[1:]), 6 + self.n_epochs))
        return self

    def transform(self, X):
        return X.reshape(len(X), -1) @ self.weights_


class Recorder(ClassifierMixin, BaseEstimator):
    """Says the most frequent class; wants one column, the row's number."""

    def __init__(self, setting=0):
        self.setting = setting

    def fit(self, X, y):
        LOG.append([X[:, 0].astype(int), y, None])
        self.classes_, counts = np.unique(y, return_counts=True)
        self.most_ = self.classes_[counts.argmax()]
        return self

    def predict(self, X):
        LOG[-1][2] = X[:, 0].astype(int)
        return np.full(len(X), self.most_)


def identity():
    return FunctionTransformer()


def quick(extractors, data, **settings):
    """A probe of what is named, with nothing to choose and no baselines unless asked for."""
    nearest = KNeighborsClassifier(1)
    chosen = {"n_labels": 5, "n_draws": 3, "baselines": (), "classifier": nearest} | settings
    if "classifier" not in settings:
        chosen = {"scaling": "none"} | chosen
    return probe(extractors, *data, **chosen)


def without_seconds(result):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in result.records]


# ------------------------------------------------------------------ the protocol


def test_records_of_a_whole_probe(data):
    result = probe(Trainee(), *data, n_labels=(5, "all"), n_draws=2, classifier="svm")
    assert result.representations == ["trained", "raw", "pca", "untrained", "patches"]
    assert result.budgets == [5, "all"]
    assert len(result.records) == 5 * (2 + 1)
    rows = {(r["representation"], r["n_labels"]): r for r in result.records}
    assert rows["raw", 5]["n_rows"] == 20
    assert rows["raw", "all"]["n_rows"] == 300
    widths = [rows[name, 5]["n_features"] for name in result.representations]
    assert widths == [9, 64, 9, 6, 2 * 256 * 16]
    assert rows["raw", "all"]["accuracy"] > 0.9
    for record in result.records:
        assert record["scaling"] in ("none", "standard")
        assert record["params"]["C"] in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def test_every_representation_sees_the_same_rows(numbered):
    result = quick(
        {"a": identity(), "b": identity()}, numbered,
        classifier=Recorder(), scaling="none", n_draws=4,
    )  # fmt: skip
    fitted = [rows for rows, _, _ in LOG]
    assert len(fitted) == 8
    for a, b in zip(fitted[:4], fitted[4:], strict=True):
        assert np.array_equal(a, b)
    assert len({rows.tobytes() for rows in fitted}) == 4
    assert [row["std"] for row in result.differences()] == [0.0]


def test_rows_without_a_label_are_fitted_on_and_never_drawn(data):
    X, y, X_test, y_test = data
    some = y.copy()
    some[::2] = -1
    settings = {"n_labels": (5, "all"), "baselines": ("raw", "pca", "untrained")}
    result = quick(Trainee(), (X, some, X_test, y_test), **settings)
    assert result.fit_rows == dict.fromkeys(result.representations, 300)
    n_rows = {r["n_labels"]: r["n_rows"] for r in result.records}
    assert n_rows == {5: 4 * 5, "all": 150}
    counts = [result.settings[k] for k in ("n_train", "n_labelled", "n_classes")]
    assert counts == [300, 150, 4]
    # Their labels being unknown changes nothing for rows that are not drawn from.
    raw = {"n_labels": "all", "baselines": ("raw",)}
    known = quick(Trainee(), (X[1::2], y[1::2], X_test, y_test), **raw)
    of_all, of_known = (
        [r["accuracy"] for r in probed.records
         if r["representation"] == "raw" and r["n_labels"] == "all"]
        for probed in (result, known)
    )  # fmt: skip
    assert of_all == of_known


def test_unlabelled_test_rows_are_refused(data):
    X, y, X_test, y_test = data
    with pytest.raises(ValueError, match="y_test has the class -1, which is not in y"):
        unknown = np.where(y_test == 3, -1, y_test)
        quick(Trainee(), (X, np.where(np.arange(300) < 9, -1, y), X_test, unknown))
    assert LOG == []


def test_lazy_images_are_decoded_in_parts(monkeypatch):
    class Drawn(Dataset):
        def __len__(self):
            return 700

        def __getitem__(self, i):
            decoded.append(i)
            return np.full((8, 8, 1), i % 251, np.uint8)

    decoded: list = []
    images = LazyImages(Drawn())
    decoded.clear()
    seen = [(start, rows.shape) for start, rows in in_parts(images)]
    assert seen == [(0, (256, 8, 8, 1)), (256, (256, 8, 8, 1)), (512, (188, 8, 8, 1))]
    decoded.clear()
    _check_finite(X=images)  # bytes are never NaN
    assert not decoded
    assert shared_rows(images[:300], images[290:310]) == 20  # values repeat after 251


@pytest.mark.parametrize("selection", ["draw", "first"])
def test_choices_are_made_on_the_labelled_rows_of_a_draw(numbered, selection):
    _, y, X_test, _ = numbered
    quick(
        identity(), numbered, classifier=Recorder(), param_grid={"setting": [1, 2]},
        scaling="none", n_draws=4, selection=selection,
    )  # fmt: skip
    final = [entry for entry in LOG if np.array_equal(entry[2], X_test[:, 0])]
    search = [entry for entry in LOG if not np.array_equal(entry[2], X_test[:, 0])]
    assert len(final) == 4
    assert len(search) == 2 * 3 * (4 if selection == "draw" else 1)
    draws = [set(rows) for rows, _, _ in final]
    for rows, labels, _ in final:
        assert np.array_equal(np.unique(labels, return_counts=True)[1], [5, 5, 5])
        assert np.array_equal(labels, y[rows])
    for i, (rows, labels, held) in enumerate(search):
        assert set(rows) | set(held) == draws[i // 6]
        assert not set(rows) & set(held)
        assert np.array_equal(labels, y[rows])


def test_first_keeps_the_choice_of_the_first_draw(data):
    settings = {"classifier": "knn", "n_labels": (4, 8), "n_draws": 4}
    once = quick(Trainee(random_state=0), data, selection="first", **settings)
    anew = quick(Trainee(random_state=0), data, **settings)
    for budget in (4, 8):
        records = [r for r in once.records if r["n_labels"] == budget]
        assert all(r["params"] == records[0]["params"] for r in records)
        assert all(r["scaling"] == records[0]["scaling"] for r in records)
    assert once.records[0] == anew.records[0] | {"seconds": once.records[0]["seconds"]}


def test_selection_rows_limit_the_search_and_balance_it(numbered):
    quick(
        identity(), numbered, classifier=Recorder(), param_grid={"setting": [1, 2]},
        scaling="none", n_labels="all", selection_rows=20,
    )  # fmt: skip
    *search, (rows, _, _) = LOG
    assert np.array_equal(rows, np.arange(120))
    used = {row for entry in search for row in entry[0]}
    assert np.array_equal(np.bincount(numbered[1][list(used)]), [6, 6, 6])


def test_the_better_scaling_is_chosen():
    rng = np.random.RandomState(0)
    y = np.arange(400) % 2
    useful = y + 0.1 * rng.normal(size=400)
    X = np.column_stack([useful, 1000 * rng.normal(size=(400, 3))])
    parts = X[:200], y[:200], X[200:], y[200:]
    result = quick(identity(), parts, n_labels=20, scaling=("none", "standard"))
    assert {r["scaling"] for r in result.records} == {"standard"}
    assert min(r["accuracy"] for r in result.records) > 0.9


def test_scaling_is_learned_from_the_training_rows():
    rng = np.random.RandomState(0)
    train, test = rng.normal(2, 3, (50, 4)), rng.normal(8, 1, (60, 4))
    scaled, scaled_test = prepare(train, test, "standard", False)
    assert np.allclose(scaled.mean(axis=0), 0)
    assert np.allclose(scaled.std(axis=0), 1)
    assert np.allclose(scaled_test, (test - train.mean(axis=0)) / train.std(axis=0))
    assert prepare(train, test, "none", False)[0] is train


def test_all_rows_are_one_draw_without_a_spread(data):
    result = quick(identity_of_flat(), data, n_labels="all", n_draws=7)
    (row,) = result.summary()
    assert row["n_draws"] == 1
    assert row["std"] is None
    assert "±" not in result.table().split("\n", 1)[1]


def identity_of_flat():
    return FunctionTransformer(lambda X: X.reshape(len(X), -1))


def test_a_seed_fixes_everything_and_the_global_state_is_left_alone(data):
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    settings = {"classifier": "svm", "baselines": ("pca", "untrained")}
    first, again, other = (quick(Trainee(), data, random_state=s, **settings) for s in (0, 0, 1))
    assert without_seconds(first) == without_seconds(again)
    assert without_seconds(first) != without_seconds(other)
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.slow
def test_processes_change_nothing(data):
    settings = {"classifier": "svm", "baselines": ("raw",), "random_state": 0}
    alone, two = (quick(Trainee(), data, n_jobs=n, **settings) for n in (None, 2))
    assert without_seconds(alone) == without_seconds(two)


@pytest.mark.parametrize("classifier", ["svm", "logistic", "knn", KNeighborsClassifier(1)])
def test_classifiers(data, classifier):
    result = quick(identity_of_flat(), data, classifier=classifier, n_labels=10)
    assert result.summary()[0]["mean"] > 0.8


def test_more_neighbours_than_rows_are_not_tried(numbered):
    result = quick(identity(), numbered, n_labels=2, classifier="knn")
    assert all(r["params"]["n_neighbors"] <= 3 for r in result.records)


def test_unconverged_fits_are_counted_and_not_printed(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        result = quick(identity_of_flat(), data, classifier=LogisticRegression(max_iter=1))
    assert result.n_unconverged == 3
    assert [r["search_unconverged"] for r in result.records] == [6, 6, 6]
    assert "3 of 3 final fits, and 18 of the fits compared for the choices" in str(result)


@pytest.mark.parametrize(
    "model", [LinearSVC(C=0.01, tol=1e-8), LogisticRegression(C=0.1, tol=1e-8)]
)
def test_the_row_space_leaves_linear_models_alone(model):
    rng = np.random.RandomState(0)
    train, test, y = rng.normal(size=(30, 200)), rng.normal(size=(50, 200)), np.arange(30) % 3
    small, small_test = to_row_space(train, test)
    assert small.shape == (30, 30)
    expected = model.fit(train, y).decision_function(test)
    assert np.allclose(model.fit(small, y).decision_function(small_test), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("named", "model", "grid"),
    [
        ("logistic", LogisticRegression(max_iter=1000),
         {"l1_ratio": [1.0], "solver": ["saga"], "C": [0.3]}),
        ("logistic", LogisticRegression(max_iter=1000), {"C": [0.3]}),
        ("svm", LinearSVC(max_iter=2000), {"penalty": ["l1"], "dual": [False], "C": [0.1]}),
        ("svm", LinearSVC(max_iter=2000), {"loss": ["hinge"], "C": [0.1]}),
    ],
    ids=["l1", "l2", "svm of l1", "hinge"],
)  # fmt: skip
@pytest.mark.parametrize("n_labels", [5, 60])
def test_a_param_grid_asks_a_named_classifier_for_what_it_asks_an_own_one(
    data, named, model, grid, n_labels
):
    both = [
        quick(identity_of_flat(), data, classifier=c, param_grid=grid, n_labels=n_labels,
              scaling="standard")
        for c in (named, model)
    ]  # fmt: skip
    a, b = ([r["accuracy"] for r in result.records] for result in both)
    assert a == pytest.approx(b, abs=0.02)


class Column(LinearSVC):
    """As some boosting packages do, it predicts (n, 1)."""

    def predict(self, X):
        return super().predict(X)[:, None]


def test_predictions_in_a_column_count_as_others_do(data):
    a, b = (
        quick(identity_of_flat(), data, classifier=c(C=0.1), n_labels=10).to_dict()["records"]
        for c in (LinearSVC, Column)
    )
    assert [r["accuracy"] for r in a] == [r["accuracy"] for r in b]


def test_lists_of_paths_are_taken_with_all_baselines(data, tmp_path, small):
    from PIL import Image

    X, y, *_ = data
    paths = [tmp_path / f"{i}.png" for i in range(60)]
    for path, image in zip(paths, X, strict=False):
        Image.fromarray(image[0]).save(path)
    result = quick(
        small(), (paths[:40], y[:40], paths[40:], y[40:60]), n_labels=3, n_draws=1,
        baselines=("raw", "pca", "untrained"),
    )  # fmt: skip
    assert len(result.representations) == 4


# ------------------------------------------------------------------ representations


def test_an_extractor_is_fitted_once_on_all_rows_and_never_sees_labels(data):
    result = quick(Trainee(), data, n_labels=(3, 5), baselines=("raw", "pca", "untrained"))
    assert [(epochs, n, labels) for _, epochs, _, n, labels in LOG] == [(3, 300, ()), (0, 300, ())]
    assert result.fit_rows == dict.fromkeys(["trained", "raw", "pca", "untrained"], 300)


def test_labels_are_not_passed_through_a_pipeline_either(data):
    quick(make_pipeline(identity_of_flat(), Trainee()), data)
    assert LOG[0][-1] in ((), (None,))


@pytest.mark.parametrize("random_state", [None, 7])
def test_the_untrained_network_starts_from_the_same_seed(data, random_state):
    quick(Trainee(random_state=random_state), data, baselines="untrained")
    (_, epochs, seed, *_), (_, epochs_0, seed_0, *_) = LOG
    assert (epochs, epochs_0) == (3, 0)
    assert isinstance(seed, int)
    assert seed == seed_0
    assert random_state in (None, seed)


def test_untrained_within_pipelines_and_for_several_extractors(data):
    extractors = {
        "long": make_pipeline(identity_of_flat(), Trainee(5)),
        "short": FrozenEstimator(Trainee(1, random_state=0).fit(data[0])),
        "none": identity_of_flat(),
    }
    LOG.clear()
    result = quick(extractors, data, baselines="untrained")
    assert result.representations == [*extractors, "long untrained", "short untrained"]
    assert [epochs for _, epochs, *_ in LOG] == [5, 0, 0]


def test_the_untrained_network_takes_no_checkpoint(data, small, tmp_path):
    X, y, X_test, y_test = data
    spec = MLPSpec(8)
    gan = small(generator=spec, discriminator=spec, checkpoint_dir=tmp_path, latent_dim=4)
    rows = [a.reshape(len(a), -1) for a in (X, X_test)]
    result = quick(gan, (rows[0], y, rows[1], y_test), baselines=("untrained",))
    assert result.representations == ["trained", "untrained"]
    trained, untrained = (result.summary()[i]["mean"] for i in (0, 1))
    assert trained != untrained


def test_no_baselines(data):
    assert quick(Trainee(), data, baselines=None).representations == ["trained"]


def test_a_frozen_extractor_is_used_as_it_is(data):
    fitted = Trainee(random_state=0).fit(data[0][:50])
    weights = fitted.weights_.copy()
    LOG.clear()
    result = quick(FrozenEstimator(fitted), data)
    assert LOG == []
    assert np.array_equal(fitted.weights_, weights)
    assert result.fit_rows == {"trained": None}


def test_the_users_extractor_is_not_fitted(data):
    extractor = Trainee()
    quick(extractor, data)
    assert not hasattr(extractor, "weights_")
    assert extractor.random_state is None


@pytest.mark.parametrize(("extractor", "width"), [(Trainee(0), 6), (identity_of_flat(), 64)])
def test_pca_has_the_extractors_width_or_64(data, extractor, width):
    framed = [np.pad(a, ((0, 0), (0, 0), (1, 1), (1, 1))) if a.ndim > 1 else a for a in data]
    trained, pca = quick(extractor, framed, baselines="pca").summary()
    assert trained["n_features"] in (6, 100)
    assert pca["n_features"] == width


def test_raw_pixels_do_not_depend_on_their_unit(data):
    as_floats = Pixels().fit(data[0] / 255.0).transform(data[2] / 255.0)
    as_bytes = Pixels().fit(data[0]).transform(data[2])
    assert as_bytes.dtype == np.float32
    assert as_bytes.shape == (100, 64)
    assert np.allclose(as_bytes, as_floats)
    assert as_bytes.max() == 1
    assert np.array_equal(
        Pixels().fit(np.zeros((2, 3))).transform(np.zeros((2, 3))), np.zeros((2, 3))
    )


# ------------------------------------------------------------------ baselines of images


def flat(data):
    return [part.reshape(len(part), -1) if part.ndim > 1 else part for part in data]


class Shaped(Trainee):
    """Knows that the rows of X are images."""

    def __init__(self, image_shape=None, data_format="auto"):
        super().__init__()
        self.image_shape = image_shape
        self.data_format = data_format

    def get_params(self, deep=True):
        return {"image_shape": self.image_shape, "data_format": self.data_format}


def fitted_on_images(shape):
    extractor = identity_of_flat()
    extractor.input_shape_ = shape
    return FrozenEstimator(extractor)


@pytest.mark.parametrize(
    "extractor",
    [
        Shaped((8, 8)),
        make_pipeline(identity_of_flat(), Shaped((1, 8, 8))),
        FrozenEstimator(make_pipeline(identity_of_flat(), Shaped((8, 8))).fit(np.ones((2, 64)))),
        fitted_on_images((1, 8, 8)),
    ],
    ids=["parameter", "in a pipeline", "frozen pipeline", "fitted attribute"],
)
def test_patches_find_the_shape_of_flat_images_with_the_extractor(data, extractor):
    result = quick(extractor, flat(data), baselines=("patches",), n_draws=1)
    expected = quick(identity_of_flat(), data, baselines=("patches",), n_draws=1)
    a, b = (r.records[-1] for r in (result, expected))
    assert a["representation"] == "patches"
    assert a["n_features"] == 2 * 256 * 16
    assert a["accuracy"] == b["accuracy"] > 0.8


def test_settings_of_flat_images_with_channels_last():
    extractor = Shaped((3, 8, 8), "channels_last")
    assert _image_settings(extractor, (192,)) == {
        "image_shape": (3, 8, 8), "data_format": "channels_last",
    }  # fmt: skip
    assert _image_settings(extractor, (8, 8, 3)) == {"data_format": "channels_last"}
    # A shape of another number of values is that of something else.
    with pytest.raises(ValueError, match="64 columns"):
        _image_settings(extractor, (64,))


def test_auto_leaves_patches_out_where_there_is_no_image(data, numbered):
    usual = ["trained", "raw", "pca", "untrained"]
    assert quick(Trainee(), numbered, baselines="auto").representations == usual
    assert quick(Trainee(), flat(data), baselines="auto").representations == usual
    own = quick({"patches": RandomPatchFeatures(n_patches=8)}, data, baselines="auto")
    assert own.representations == ["patches", "raw", "pca"]


@pytest.mark.parametrize("part", [flat, lambda d: [a[..., :4] if a.ndim > 1 else a for a in d]])
def test_patches_that_cannot_be_say_what_to_do(data, part):
    with pytest.raises(ValueError, match="baselines='patches' does not suit X.*RandomPatchFeature"):
        quick(Trainee(), part(data), baselines=("patches",))
    assert LOG == []


def test_scattering_without_kymatio_says_what_to_install(data, monkeypatch):
    for name in ("kymatio", "kymatio.scattering2d", "kymatio.scattering2d.frontend"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"baselines='scattering'.*pip install 'skgan\[scatter"):
        quick(Trainee(), data, baselines=("auto", "scattering"))
    assert LOG == []


def test_scattering(data):
    pytest.importorskip("kymatio.scattering2d.frontend.torch_frontend")
    framed = [np.pad(a, [(0, 0)] * 2 + [(4, 4)] * 2) if a.ndim > 1 else a for a in data]
    result = quick(identity_of_flat(), framed, baselines=("scattering",), n_labels=10)
    assert result.records[-1]["n_features"] == 9 * 8 * 8  # J=1: orders 0 and 1
    assert result.summary()[-1]["mean"] > 0.8


# ------------------------------------------------------------------ leaks


class LabelTrainee(Trainee):
    """Like `Trainee`, but its fit needs labels."""

    def fit(self, X, y):
        super().fit(X, np.asarray(y))
        self.classes_ = np.unique(y)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: make_pipeline(identity_of_flat(), e)])
def test_untrained_networks_that_need_labels_get_the_classes_alone(data, wrap):
    X, y, *_ = data
    frozen = FrozenEstimator(wrap(LabelTrainee(random_state=3)).fit(X, y))
    LOG.clear()
    result = quick(frozen, data, baselines=("untrained",))
    ((_, epochs, seed, n, (labels,)),) = LOG
    assert (epochs, seed, n) == (0, 3, 300)
    assert np.array_equal(labels, np.arange(300) % 4)  # and not y
    assert result.representations == ["trained", "untrained"]
    assert result.fit_rows == {"trained": None, "untrained": 300}


def test_the_untrained_twin_of_a_supervised_network(data, small):
    X, y, *_ = data
    network = small(SupervisedFeatures)
    result = quick(FrozenEstimator(network.fit(X, y)), data, baselines=("untrained",))
    assert result.representations == ["trained", "untrained"]
    trained, twin = (row["mean"] for row in result.summary())
    assert trained != twin


class Shifting(TransformerMixin, BaseEstimator):
    """Learns a little from what it transforms."""

    def __init__(self, where="weights_"):
        self.where = where

    def fit(self, X, y=None):
        self.weights_ = np.zeros(64)
        self.module_ = torch.nn.Sequential(torch.nn.BatchNorm1d(64))
        self.deep_ = {"of": [SimpleNamespace(array=np.zeros(2))]}
        self.n_calls_ = 0
        return self

    def transform(self, X):
        self.n_calls_ += 1  # a counter is no weight
        if self.where == "weights_":
            self.weights_[5] += 1e-6
        elif self.where == "module_":
            self.module_[0].running_mean[2] += 1
        elif self.where == "deep_":
            self.deep_["of"][0].array[1] = self.n_calls_
        elif self.where == "new":
            self.new_ = np.ones(1)
        return X.reshape(len(X), -1)


@pytest.mark.parametrize("within", [lambda e: e, make_pipeline])
@pytest.mark.parametrize(
    ("where", "place"),
    [("weights_", "weights_"), ("module_", "running_mean"), ("deep_", "deep_.of.0.array"),
     ("new", "new_")],
)  # fmt: skip
def test_a_frozen_extractor_that_changes_is_caught(data, where, place, within):
    frozen = FrozenEstimator(within(Shifting(where).fit(data[0])))
    with pytest.raises(ValueError, match=rf"'trained'\] is frozen, but .*{place} changed"):
        quick(frozen, data)
    with pytest.warns(UserWarning, match="changed during the probe"):
        result = quick(FrozenEstimator(Shifting(where).fit(data[0])), data, on_leak="warn")
    kept = result.to_dict()["digests"]["trained"]
    assert kept["before"] != kept["after"]


def test_digests_prove_that_a_frozen_extractor_did_not_change(data, small):
    extractors = {
        "still": FrozenEstimator(Shifting("none").fit(data[0])),
        "gan": FrozenEstimator(small(n_epochs=1).fit(data[0])),
        "fitted here": Trainee(),
    }
    result = quick(extractors, data, baselines=("raw", "untrained"))
    assert list(result.digests) == ["still", "gan"]
    for kept in result.to_dict()["digests"].values():
        assert kept["before"] == kept["after"]
        assert len(kept["before"]) == 32
    again = quick(extractors, data)
    assert again.digests == result.digests
    with torch.no_grad():
        next(extractors["gan"].estimator.discriminator_.parameters()).view(-1)[0] += 1e-3
    assert quick(extractors, data).digests["gan"] != result.digests["gan"]


def test_digests_reach_what_has_no_attributes(data):
    forest = RandomForestClassifier(2, random_state=0).fit(*flat(data)[:2])
    assert sum("tree_" in place for place in digests(forest)) >= 2
    other = RandomForestClassifier(2, random_state=1).fit(*flat(data)[:2])
    assert digests(forest) != digests(other)
    loop = SimpleNamespace(a=np.zeros(2))
    loop.itself = loop
    assert list(digests(loop)) == ["a"]


class Drawer:
    """Hides labels from whoever looks at parameters only."""

    def __init__(self, *labels):
        self.labels = {len(y): y for y in labels}


class ByNumber(TransformerMixin, BaseEstimator):
    """Appends the label of row i to row i."""

    def __init__(self, hidden=None):
        self.hidden = hidden

    def fit(self, X, y=None):
        LOG.append("fit")
        return self

    def transform(self, X):
        labels = self.hidden.labels.get(len(X), np.zeros(len(X)))
        return np.column_stack([np.zeros((len(X), 3)), labels])


class Insider(KNeighborsClassifier):
    """Knows the answers to the test."""

    def __init__(self, hidden=None):
        super().__init__(1)
        self.hidden = hidden

    def predict(self, X):
        return self.hidden.labels.get(len(X), super().predict(X))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_test_rows_among_the_training_rows_are_caught(data, dtype):
    X, y, X_test, y_test = data
    X_test = X_test.astype(dtype)
    X_test[10:13] = X[[5, 0, 100]]
    with pytest.raises(ValueError, match="3 of the 100 samples of X_test are also in X"):
        quick(Trainee(), (X, y, X_test, y_test))
    assert LOG == []


@pytest.mark.parametrize("part", [1, 3])
@pytest.mark.parametrize(
    "disguise",
    [np.asarray, list, lambda y: np.array(["dcab"[i] for i in y]), lambda y: np.eye(4)[y]],
)
def test_labels_in_the_constructor_are_caught(data, part, disguise):
    extractor = make_pipeline(identity_of_flat(), ByNumber(disguise(data[part])))
    with pytest.raises(ValueError, match="labels in its parameter 'bynumber__hidden'"):
        quick(extractor, data)
    assert LOG == []


@pytest.mark.parametrize(
    "value",
    [[1, 2], "word", np.arange(300), [[1], [2]] * 149 + [[], 1], None, np.eye(4), 3.0,
     np.array(1), RandomForestClassifier(), {"a": 1}],
)  # fmt: skip
def test_other_parameters_are_not_taken_for_labels(data, value):
    ignore = FunctionTransformer(lambda X, v: X.reshape(len(X), -1), kw_args={"v": value})
    assert quick(ignore, data).warnings == []
    assert quick(Trainee(), data).warnings == []


def test_labels_by_row_number_are_caught(data):
    extractor = ByNumber(Drawer(data[1], data[3]))
    with pytest.raises(ValueError, match="'trained' change, by .* in another order"):
        quick(extractor, data)


def test_features_that_depend_on_the_other_rows_are_caught(data):
    centred = FunctionTransformer(lambda X: X.reshape(len(X), -1) - X.mean() * len(X) / 100)
    with pytest.raises(ValueError, match="nothing but the sample itself"):
        quick(centred, data)


def test_warn_goes_on_and_the_table_says_so(data):
    X, y, *_ = data
    with pytest.warns(UserWarning, match="Leak: 20 of the 20 samples"):
        result = quick(identity_of_flat(), (X, y, X[:20], y[:20]), on_leak="warn")
    assert "20 of the 20 samples of X_test" in str(result)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = quick(identity_of_flat(), (X, y, X[:20], y[:20]), on_leak="ignore")
    assert quiet.warnings == result.warnings


def test_a_frozen_extractor_that_was_fitted_with_labels_is_named(data):
    X, y, X_test, y_test = (a.reshape(len(a), -1) if a.ndim > 1 else a for a in data)
    frozen = FrozenEstimator(LinearDiscriminantAnalysis().fit(X, y))
    result = quick(frozen, (X, y, X_test, y_test))
    assert result.warnings == ["'trained' was already fitted with labels: it has classes_."]
    assert quick(FrozenEstimator(KMeans(4).fit(X)), (X, y, X_test, y_test)).warnings == []


def test_the_control_is_at_chance(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = quick(identity_of_flat(), data, control=True, n_draws=20)
    (row,) = result.summary("control_accuracy")
    assert row["mean"] == pytest.approx(result.settings["chance"], abs=0.1)
    assert result.summary()[0]["mean"] > 0.8
    assert "Accuracy with permuted labels; chance is 0.2" in str(result)


def test_the_control_catches_a_classifier_that_knows_the_test_labels(data):
    insider = Insider(Drawer(data[3]))
    with pytest.warns(UserWarning, match="reaches 1.000 with permuted labels"):
        result = quick(identity_of_flat(), data, control=True, classifier=insider, n_draws=20)
    assert "the classifier uses labels" in result.warnings[0]


def test_the_control_cannot_see_labels_in_features(data):
    """Documented, so that nobody relies on it."""
    _, y, _, y_test = data
    told = np.eye(4)[y] + np.zeros((300, 4)), y, np.eye(4)[y_test], y_test
    result = quick(identity(), told, control=True, n_draws=40, on_leak="ignore")
    assert result.summary()[0]["mean"] == 1
    assert result.summary("control_accuracy")[0]["mean"] < 0.45


# ------------------------------------------------------------------ the result


@pytest.fixture
def result():
    accuracies = {"gan": [0.8, 0.9, 0.7], "raw": [0.6, 0.9, 0.8]}
    common = {
        "n_labels": 10, "n_rows": 20, "scaling": "none", "converged": True, "seconds": 0.1,
        "search_unconverged": 0,
    }  # fmt: skip
    records = [
        {"representation": name, "draw": i, "accuracy": a, "n_features": 5, "params": {"C": c}}
        | common
        for name, values in accuracies.items()
        for i, (a, c) in enumerate(zip(values, (0.1, np.float64(1), PCA()), strict=True))
    ]
    return ProbeResult(records, {"gan": 20, "raw": 20}, "gan", {"chance": 0.5})


def test_summary(result):
    gan, raw = result.summary()
    assert gan == {
        "representation": "gan", "n_labels": 10, "mean": pytest.approx(0.8),
        "std": pytest.approx(0.1), "n_draws": 3, "n_features": 5,
    }  # fmt: skip
    assert raw["std"] == pytest.approx(np.std([0.6, 0.9, 0.8], ddof=1))


def test_differences_are_paired(result):
    (raw,) = result.differences()
    assert raw == {
        "representation": "raw", "reference": "gan", "n_labels": 10,
        "mean": pytest.approx(-0.1 / 3), "std": pytest.approx(np.std([-0.2, 0, 0.1], ddof=1)),
        "n_draws": 3, "n_won": 1,
    }  # fmt: skip
    (gan,) = result.differences("raw")
    assert gan["mean"] == pytest.approx(0.1 / 3)
    with pytest.raises(ValueError, match="reference='pca' was not probed; use one of 'gan', 'raw'"):
        result.differences("pca")


def test_table(result):
    assert str(result) == (
        "Accuracy: mean ± standard deviation over draws of labelled rows\n"
        "      features    10 per class\n"
        "gan          5   0.800 ± 0.100\n"
        "raw          5   0.767 ± 0.153\n"
        "\n"
        "Difference to 'gan' on the same labelled rows, draws won\n"
        "             10 per class\n"
        "raw   -0.033 ± 0.153, 1/3"
    )


def test_to_dict_is_json(result, data):
    assert json.loads(json.dumps(result.to_dict()))["records"][2]["params"] == {"C": "PCA()"}
    content = quick(Trainee(), data, control=True, n_labels=(5, "all")).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert {"settings", "records", "summary", "differences", "fit_rows"} <= set(content)


def test_to_frame(result):
    frame = result.to_frame()
    assert frame.shape[0] == 6
    assert frame.groupby("representation")["accuracy"].mean()["gan"] == pytest.approx(0.8)
    assert "params.C" in frame.columns


# ------------------------------------------------------------------ errors, before any training


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_labels": 0}, "n_labels=0 must be a whole number"),
        ({"n_labels": (5, 5)}, r"n_labels=\(5, 5\) must be distinct budgets"),
        ({"n_labels": "some"}, "n_labels='some' must be a whole number"),
        ({"n_labels": 100}, "n_labels=100, but class 0 has 7. samples"),
        (
            {"n_labels": 1, "classifier": "knn"},
            "n_labels=1 leaves one sample of class 0, too few to choose among 8",
        ),
        ({"n_draws": 0}, "n_draws=0 must be a whole number"),
        ({"classifier": "tree"}, "classifier='tree' is unknown; use one of 'svm'"),
        ({"classifier": PCA()}, r"classifier=PCA\(\) must be one of 'svm'"),
        ({"classifier": LinearSVC}, "is a class; pass an instance"),
        ({"param_grid": {"n_neighbours": [1]}}, "n_neighbours"),
        ({"baselines": ("raw", "random")}, "baselines='random' is unknown"),
        ({"baselines": ("raw", "raw")}, r"baselines=\('raw', 'raw'\) must be"),
        ({"selection": "last"}, "selection='last' is unknown; use one of 'draw', 'first'"),
        ({"selection_rows": 7}, "selection_rows=7 must be a whole number in .8"),
        ({"scaling": ()}, r"scaling=\(\) must be one or several of"),
        ({"on_leak": "cry"}, "on_leak='cry' is unknown"),
        ({"control": "no"}, "control='no' must be True or False"),
        ({"n_jobs": 0}, "n_jobs=0 must be a whole number other than 0"),
        ({"n_jobs": "all"}, "n_jobs='all' must be"),
        ({"n_labels": None}, "n_labels=None must be distinct budgets"),
        ({"scaling": None}, "scaling=None must be one or several of"),
        ({"baselines": 5}, "baselines=5 is unknown"),
        ({"param_grid": {"C": [1.0, -1.0]}, "classifier": "svm"}, "'C' parameter of LinearSVC"),
        ({"classifier": LinearSVC(C=-1)}, "'C' parameter of LinearSVC"),
        (
            {"param_grid": {"solver": ["fastest"]}, "classifier": "logistic"},
            "'solver' parameter of LogisticRegression",
        ),
        (
            {"param_grid": {"n_neighbors": [50]}, "classifier": "knn", "n_labels": 5},
            "no n_neighbors below 50, but with n_labels=5 there are 13 training samples",
        ),
    ],
)
def test_bad_parameters(data, settings, message):
    with pytest.raises(ValueError, match=message):
        quick(Trainee(), data, **settings)
    assert LOG == []


@pytest.mark.parametrize(
    ("extractors", "message"),
    [
        ({}, "extractors={} is empty"),
        ({"raw": Trainee()}, "extractors has the name 'raw'"),
        ({"a": Trainee(), "a untrained": Trainee()}, "has the name 'a untrained'"),
        (LinearSVC(), r"extractors\['trained'\]=LinearSVC\(\) must be a scikit-learn transformer"),
        (Trainee, "must be a scikit-learn transformer"),
        (LinearDiscriminantAnalysis(), "needs labels in fit, and probe passes none"),
    ],
)
def test_bad_extractors(data, extractors, message):
    with pytest.raises(ValueError, match=message):
        quick(extractors, data, baselines=("raw", "untrained"))
    assert LOG == []


def test_an_unfitted_frozen_extractor(data):
    with pytest.raises(NotFittedError):
        quick(FrozenEstimator(StandardScaler()), data)


def test_bad_data(data):
    X, y, X_test, y_test = data
    with pytest.raises(ValueError, match="y_test has the class 9, which is not in y"):
        quick(Trainee(), (X, y, X_test, np.where(y_test == 3, 9, y_test)))
    with pytest.raises(
        ValueError, match=r"samples of shape \(1, 8, 8\) and X_test of shape \(64,\)"
    ):
        quick(Trainee(), (X, y, X_test.reshape(100, -1), y_test))
    with pytest.raises(ValueError, match="inconsistent"):
        quick(Trainee(), (X, y[:-1], X_test, y_test))
    assert LOG == []


@pytest.mark.parametrize("part", ["X", "X_test"])
def test_rows_that_are_not_finite_are_found_before_training(data, part):
    X, y, X_test, y_test = data
    X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    {"X": X, "X_test": X_test}[part][7, 0, 3, 3] = np.nan
    with pytest.raises(ValueError, match=f"row 7 of {part} contains NaN or infinity: leave out"):
        quick(Trainee(), (X, y, X_test, y_test))
    assert LOG == []


def test_nan_is_welcome_where_every_extractor_can_use_it(numbered):
    X, y, X_test, y_test = (part.copy() for part in numbered)
    X[3, 1] = X_test[4, 2] = np.nan
    extractor = make_pipeline(SimpleImputer(), StandardScaler())
    quick(extractor, (X, y, X_test, y_test), baselines=())
    with pytest.raises(ValueError, match="row 3 of X contains NaN"):
        quick(extractor, (X, y, X_test, y_test), baselines=("raw",))


def test_bad_features(data):
    broken = FunctionTransformer(lambda X: np.full((len(X), 2), np.nan))
    with pytest.raises(ValueError, match="features of 'trained' contains NaN"):
        quick(broken, data)
    pooled = FunctionTransformer(lambda X: X.reshape(-1, 8))
    with pytest.raises(ValueError, match=r"returned \d+ rows of features for 57 samples"):
        quick(pooled, data)


def test_columns_in_another_order_are_refused_before_training():
    y = np.arange(60) % 2
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc"))
    given = {"n_labels": 5, "n_draws": 1, "baselines": ()}
    probe(PCA(2), X[:40], y[:40], X[40:], y[40:], **given)

    class Untouched(PCA):
        def fit(self, X, y=None):
            raise AssertionError("training began")

    with pytest.raises(
        ValueError, match=r"^X_test has the same columns in another order.*X_test\[X"
    ):
        probe(Untouched(), X[:40], y[:40], X[40:][list("bac")], y[40:], **given)
    with pytest.raises(ValueError, match="^X_test has 'z' in place of 'c'"):
        renamed = X[40:].rename(columns={"c": "z"})
        probe(Untouched(), X[:40], y[:40], renamed, y[40:], **given)
