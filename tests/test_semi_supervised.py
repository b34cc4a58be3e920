"""Few labels: extractors see all samples; classifiers and tests the labelled ones."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import LinearSVC
from torch.utils.data import Dataset

from skgan import (
    ContrastiveDiscriminatorFeatures,
    DCGANDiscriminatorFeatures,
    DomainAdversarialFeatures,
    LazyImages,
    MLPSpec,
    SupervisedFeatures,
)
from skgan.evaluation import probe
from skgan.semi_supervised import FewLabelClassifier, LabelledFold

NAMES = np.array(["ant", "bee", "cow", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"])


@pytest.fixture(scope="module")
def data():
    """240 digits, 60 of them with a label: X, the digits, y with -1."""
    X, digits = load_digits(return_X_y=True)
    X, digits = X[:240], digits[:240]
    rows = np.concatenate([np.flatnonzero(digits == digit)[:6] for digit in range(10)])
    y = np.full(240, -1)
    y[rows] = digits[rows]
    return X, digits, y


class Recorder(TransformerMixin, BaseEstimator):
    """Passes X on; writes down what it is given. Its log outlives clones."""

    log: list = []

    def __init__(self, power=1):
        self.power = power

    def fit(self, X, y=None):
        self.log.append(("fit", np.array(X)[:, 0], y))
        self.fitted_ = True
        return self

    def transform(self, X):
        self.log.append(("transform", np.array(X)[:, 0], None))
        return np.asarray(X) ** self.power


@pytest.fixture
def recorder():
    Recorder.log = []
    return Recorder()


class Untrainable(Recorder):
    def fit(self, X, y=None):
        raise AssertionError("trained")


# ---------------------------------------------------------------- fit and predict


def test_it_is_an_extractor_of_all_samples_before_a_classifier_of_the_labelled_ones(data, small):
    X, _, y = data
    labelled = y != -1
    model = FewLabelClassifier(small(image_shape=(8, 8)), LinearSVC(C=0.01, random_state=0)).fit(
        X, y
    )
    gan = small(image_shape=(8, 8)).fit(X)
    svm = LinearSVC(C=0.01, random_state=0).fit(gan.transform(X[labelled]), y[labelled])
    assert np.array_equal(model.predict(X), svm.predict(gan.transform(X)))
    assert np.array_equal(model.classifier_.coef_, svm.coef_)
    assert model.classes_.tolist() == list(range(10)) and model.n_features_in_ == 64
    scores = svm.decision_function(gan.transform(X)).astype(np.float32)
    assert np.array_equal(model.decision_function(X), scores)


@pytest.mark.parametrize("kind", ["table", "images", "list", "lazy"])
def test_without_an_extractor_images_get_the_recommended_one(data, monkeypatch, kind):
    X, _, y = data
    images = X.reshape(-1, 8, 8)
    given = {"table": X, "images": images, "list": list(images), "lazy": Digits(images)}[kind]
    chosen = []

    def fit_extractor(extractor, *others):
        chosen.append(extractor)
        raise KeyboardInterrupt

    monkeypatch.setattr("skgan.semi_supervised.classifier.fit_extractor", fit_extractor)
    with pytest.raises(KeyboardInterrupt):
        FewLabelClassifier().fit(given, y)
    best = ContrastiveDiscriminatorFeatures.from_preset("best", random_state=0)
    expected = DCGANDiscriminatorFeatures(random_state=0) if kind == "table" else best
    assert repr(chosen[0]) == repr(expected)


def test_no_label_reaches_an_unsupervised_extractor(data, recorder):
    X, _, y = data
    FewLabelClassifier(recorder, KNeighborsClassifier(1)).fit(X, y)
    (verb, rows, labels), (then, labelled_rows, _) = recorder.log
    assert (verb, labels, then) == ("fit", None, "transform")
    assert len(rows) == 240 and len(labelled_rows) == 60


def test_minus_one_is_never_predicted_where_a_pipeline_predicts_it(data):
    X, digits, y = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (make_pipeline(PCA(20), LinearSVC()).fit(X, y).predict(X) == -1).mean() > 0.5
        model = FewLabelClassifier(PCA(20)).fit(X, y)
    assert -1 not in model.predict(X) and np.mean(model.predict(X) == digits) > 0.8


@pytest.mark.parametrize("missing", [None, np.nan, -1, pd.NA])
def test_none_and_nan_among_strings_are_unlabelled(data, missing):
    X, digits, y = data
    names = NAMES[digits].astype(object)
    names[y == -1] = missing
    model = FewLabelClassifier(PCA(20, random_state=0)).fit(X, names)
    same = FewLabelClassifier(PCA(20, random_state=0)).fit(X, y)
    assert model.classes_.tolist() == NAMES.tolist()
    assert np.array_equal(model.predict(X), NAMES[same.predict(X)])
    assert model.score(X, names) == model.score(X, names.tolist()) == same.score(X, y)
    scores = cross_val_score(model, X, names, cv=LabelledFold(3))
    assert np.array_equal(scores, cross_val_score(same, X, y, cv=LabelledFold(3)))


def test_beside_one_other_number_minus_one_is_a_class(data):
    X, digits, _ = data
    y = np.where(digits < 5, -1, 1)
    model = FewLabelClassifier(PCA(20)).fit(X, y)
    assert model.classes_.tolist() == [-1, 1]
    assert model.score(X, y) == np.mean(model.predict(X) == y)


def test_score_leaves_out_samples_without_a_label(data):
    X, digits, y = data
    model = FewLabelClassifier(PCA(5, random_state=0), LogisticRegression(C=1e-3)).fit(X, y)
    shown, weight = np.where(np.arange(240) % 3, digits, -1), np.arange(240) + 1.0
    known = shown != -1
    right = model.predict(X)[known] == digits[known]
    assert model.score(X, shown) == right.mean() < 1
    assert np.isclose(model.score(X, shown, weight), np.average(right, weights=weight[known]))
    with pytest.raises(ValueError, match="y has no labels: score"):
        model.score(X, np.full(240, -1))


def test_a_frozen_extractor_is_not_trained(data, small, monkeypatch):
    X, _, y = data
    gan = small(image_shape=(8, 8)).fit(X)
    before = gan.transform(X)
    monkeypatch.setattr(type(gan), "fit", lambda *_, **__: pytest.fail("trained"))
    model = FewLabelClassifier(FrozenEstimator(gan)).fit(X, y)
    assert model.extractor_.estimator is gan and np.array_equal(gan.transform(X), before)
    assert clone(model).fit(X, y).score(X, y) == model.score(X, y)


def test_pipelines_and_features_as_frames(data, small):
    X, _, y = data
    frame = pd.DataFrame(X, columns=[f"p{i}" for i in range(64)])
    extractor = make_pipeline(StandardScaler(), PCA(10, random_state=0)).set_output(
        transform="pandas"
    )
    model = FewLabelClassifier(extractor).fit(frame, y)
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    assert model.classifier_.feature_names_in_.tolist() == [f"pca{i}" for i in range(10)]
    plain = FewLabelClassifier(clone(extractor).set_output(transform="default")).fit(X, y)
    assert np.array_equal(model.predict(frame), plain.predict(X))
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")


def test_supervised_extractors_get_labels_and_never_minus_one_as_a_class(data, small):
    X, _, y = data
    labelled = y != -1
    lda = FewLabelClassifier(LinearDiscriminantAnalysis(n_components=5)).fit(X, y).extractor_
    assert lda.classes_.tolist() == list(range(10))
    in_pipeline = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(n_components=5))
    assert FewLabelClassifier(in_pipeline).fit(X, y).extractor_[-1].classes_.min() == 0
    net = small(SupervisedFeatures, image_shape=(8, 8))
    found = FewLabelClassifier(net).fit(X, y).extractor_
    assert np.array_equal(found.transform(X), clone(net).fit(X[labelled], y[labelled]).transform(X))


def test_clone_and_pickle(data, small):
    X, _, y = data
    model = FewLabelClassifier(small(image_shape=(8, 8)), LogisticRegression()).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.predict_proba(X), model.predict_proba(X))
    fresh = clone(model)
    assert not hasattr(fresh, "classes_")
    assert np.array_equal(fresh.fit(X, y).predict_proba(X), model.predict_proba(X))


def test_methods_are_those_of_the_classifier(data):
    X, _, y = data
    svm, forest = FewLabelClassifier(PCA(5)), FewLabelClassifier(PCA(5), KNeighborsClassifier(1))
    for model in (svm, forest, clone(svm).fit(X, y), clone(forest).fit(X, y)):
        is_svm = model.classifier is None
        assert hasattr(model, "decision_function") == is_svm
        assert hasattr(model, "predict_proba") == (not is_svm)
    model = FewLabelClassifier(PCA(5), LogisticRegression()).fit(X, y)
    assert np.array_equal(model.predict_proba(X).argmax(1), model.predict(X))


def test_an_earlier_fit_survives_one_that_fails(data):
    X, _, y = data
    model = FewLabelClassifier(PCA(5)).fit(X, y)
    before = model.predict(X)
    model.classifier = LinearSVC(C=-1)
    with pytest.raises(ValueError, match="'C'"):
        model.fit(X[:, :32], y)
    assert np.array_equal(model.predict(X), before) and model.n_features_in_ == 64


class Digits(Dataset):
    """Items are decoded one by one, and counted."""

    def __init__(self, images):
        self.images, self.read = images, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        self.read.append(i)
        return self.images[i]


def test_lazy_images_are_decoded_where_they_are_needed(data, small, monkeypatch):
    X, _, y = data
    images = X.reshape(-1, 1, 8, 8).astype(np.float32)
    images, y = np.tile(images, (6, 1, 1, 1)), np.tile(y, 6)
    source = Digits(images)
    sizes, decode = [], LazyImages.__array__

    def counted(self, *args, **kwargs):
        sizes.append(len(self))
        return decode(self, *args, **kwargs)

    monkeypatch.setattr(LazyImages, "__array__", counted)
    gan = small(transform_batch_size=50, value_range=(0, 16))  # no scan for the range
    model = FewLabelClassifier(gan, LinearSVC(C=0.01, random_state=0)).fit(source, y)
    assert max(sizes) <= 256  # of 1440, for a look at their range
    lazy = LazyImages(source)
    assert np.array_equal(model.predict(lazy[:9]), model.predict(images[:9]))
    sizes.clear()
    source.read.clear()
    assert model.score(lazy, y) == model.score(images, y)
    assert max(sizes) <= 256 and set(source.read) == set(np.flatnonzero(y != -1))
    frozen = FewLabelClassifier(FrozenEstimator(model.extractor_))
    assert cross_val_score(frozen, lazy, y, cv=LabelledFold(2)).shape == (2,)


# ---------------------------------------------------------------- errors before any training


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({}, lambda y: y[:-1], "inconsistent numbers of samples"),
        ({}, lambda y: None, "requires y to be passed"),
        ({}, lambda y: np.full(240, -1), r"y has no labels \(240 rows\)"),
        ({}, lambda y: [None] * 240, r"y has no labels \(240 rows\)"),
        ({}, lambda y: np.zeros(240, int), r"y holds 1 class, \[0\], on 240 labelled of 240 rows"),
        ({}, lambda y: ["ant"] * 9 + [None] * 231, r"1 class, \['ant'\], on 9 labelled of 240"),
        ({}, lambda y: np.where(y == 3, np.nan, y), "y contains NaN.*mark rows.*by -1"),
        ({}, lambda y: np.linspace(0, 1, 240), "continuous"),
        ({"fit_on": "some"}, lambda y: y, "fit_on='some' is unknown; use one of 'labelled', 'all'"),
        (
            {"fit_on": "all"},
            lambda y: y,
            "(?s)fit_on='all', but classifier=.* learns -1 as",
        ),
        ({"classifier": PCA()}, lambda y: y, r"classifier=PCA\(\) must be a scikit-learn classif"),
        ({"classifier": LinearSVC}, lambda y: y, "an instance with fit and predict"),
        (
            {"extractor": LinearSVC()},
            lambda y: y,
            r"extractor=LinearSVC\(\) must be a sciki",
        ),
        ({"extractor": FrozenEstimator(PCA())}, lambda y: y, "not fitted"),
    ],
)
def test_errors_come_before_any_training(data, settings, change, message):
    X, _, y = data
    with pytest.raises(ValueError, match=message):
        FewLabelClassifier(**{"extractor": Untrainable()} | settings).fit(X, change(y))


def test_parameters_of_a_part_that_is_none():
    with pytest.raises(ValueError, match="extractor__lr cannot be set while extractor is None"):
        FewLabelClassifier().set_params(extractor__lr=1e-3)
    model = FewLabelClassifier().set_params(classifier=LinearSVC(), classifier__C=3)
    assert model.classifier.C == 3


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("classifier", [None, LogisticRegression()])
def test_weights_are_those_of_the_labelled_samples(data, classifier):
    X, _, y = data
    weight = np.random.RandomState(0).rand(240)
    labelled = y != -1
    model = FewLabelClassifier(PCA(9, random_state=0), classifier)
    found = model.fit(X, y, sample_weight=weight).decision_function(X)
    features = PCA(9, random_state=0).fit(X).transform(X)
    by_hand = (
        clone(classifier)
        if classifier
        else make_pipeline(StandardScaler(), LinearSVC(C=0.01, random_state=0))
    )
    name = "sample_weight" if classifier else "linearsvc__sample_weight"
    by_hand.fit(features[labelled], y[labelled], **{name: weight[labelled]})
    assert np.array_equal(found, by_hand.decision_function(features))
    assert not np.array_equal(found, model.fit(X, y).decision_function(X))


@pytest.mark.parametrize(
    ("classifier", "given", "error", "message"),
    [
        (
            KNeighborsClassifier(),
            {"sample_weight": np.ones(240)},
            ValueError,
            "takes no sample",
        ),
        (None, {"sample_weight": np.ones(9)}, ValueError, "inconsistent numbers"),
        (None, {"sample_weight": np.arange(240) == 0}, ValueError, r"rows of 1 class\(es\), \[0\]"),
        (None, {"groups": np.ones(240)}, TypeError, "'groups', which only metadata routing"),
    ],
)
def test_weights_that_cannot_work(data, classifier, given, error, message):
    X, _, y = data
    with pytest.raises(error, match=message):
        FewLabelClassifier(Untrainable(), classifier).fit(X, y, **given)


def test_metadata_routing(data):
    X, _, y = data
    weight = np.random.RandomState(0).rand(240)
    plain = FewLabelClassifier(PCA(9, random_state=0), LogisticRegression())
    expected = plain.fit(X, y, sample_weight=weight).predict_proba(X)
    with sklearn.config_context(enable_metadata_routing=True):
        svm = LogisticRegression().set_fit_request(sample_weight=True)
        model = FewLabelClassifier(PCA(9, random_state=0), svm).set_score_request(
            sample_weight=True
        )
        assert np.array_equal(model.fit(X, y, sample_weight=weight).predict_proba(X), expected)
        scores = cross_val_score(
            model, X, y, cv=LabelledFold(2), params={"sample_weight": weight}, error_score="raise"
        )
    (train, test), _ = LabelledFold(2).split(X, y)
    by_hand = plain.fit(X[train], y[train], sample_weight=weight[train])
    assert scores[0] == by_hand.score(X[test], y[test], weight[test])


def by_domain():
    """Samples of a source, with labels, and of a target of another scale; and a fitted DANN."""
    rng = np.random.default_rng(0)
    y, domain = np.arange(80) % 2, np.repeat([1, -1], 40)
    X = (rng.normal(size=(80, 3)) + y[:, None]) * np.where(domain > 0, 1, 9)[:, None]
    dann = DomainAdversarialFeatures(
        trunk=MLPSpec(6, n_layers=1), norm="batch", norm_per_domain=True, n_epochs=3,
        batch_size=20, random_state=0, device="cpu",
    )  # fmt: skip
    return X, np.where(domain > 0, y, -1), domain, dann


@pytest.mark.parametrize("kind", ["alone", "frozen", "frozen pipeline"])
@pytest.mark.parametrize("fit_on", ["labelled", "all"])
def test_domains_reach_the_transform_of_the_extractor(kind, fit_on):
    X, y, domain, dann = by_domain()
    fitted = clone(dann).fit(X, y, sample_domain=domain)
    extractor = {
        "alone": dann, "frozen": FrozenEstimator(fitted),
        "frozen pipeline": FrozenEstimator(Pipeline([("dann", fitted), ("same", "passthrough")])),
    }[kind]  # fmt: skip
    Z = fitted.transform(X, domain)
    known = y != -1
    classifier = LogisticRegression() if fit_on == "labelled" else LabelSpreading()
    rows = known if fit_on == "labelled" else slice(None)
    with sklearn.config_context(enable_metadata_routing=True):
        model = FewLabelClassifier(extractor, classifier, fit_on=fit_on)
        model.fit(X, y, sample_domain=domain)
        by_hand = clone(classifier).fit(Z[rows], y[rows])
        expected = by_hand.predict_proba(Z)
        np.testing.assert_allclose(model.predict_proba(X, sample_domain=domain), expected)
        assert np.array_equal(model.predict(X, sample_domain=domain), by_hand.predict(Z))
        assert np.array_equal(model.predict(X)[~known], by_hand.predict(Z)[~known])  # of targets
        assert model.score(X, y, sample_domain=domain) == by_hand.score(Z[known], y[known])
        two = cross_val_score(
            model, X, y, cv=LabelledFold(2), params={"sample_domain": domain}, error_score="raise"
        )
    assert two.shape == (2,)
    with pytest.raises(TypeError, match="predict got 'sample_domain', which only metadata routing"):
        model.predict(X, sample_domain=domain)


def test_batch_norm_by_domain_needs_domains(monkeypatch):
    X, y, _, dann = by_domain()
    frozen = FrozenEstimator(clone(dann).fit(X, y))
    monkeypatch.setattr("skgan.training.train", None)
    inside = make_pipeline(StandardScaler(), frozen)
    for extractor in (dann, make_pipeline(StandardScaler(), dann), frozen, inside):
        for routing in (False, True):
            with (
                sklearn.config_context(enable_metadata_routing=routing),
                pytest.raises(ValueError, match="norm_per_domain=True, but its transform"),
            ):
                FewLabelClassifier(extractor).fit(X, y)


# ---------------------------------------------------------------- classifiers that take -1


@pytest.mark.parametrize("as_strings", [False, True])
def test_label_spreading_sees_all_samples(data, as_strings):
    X, digits, y = data
    if as_strings:
        names = NAMES[digits].astype(object)
        names[y == -1] = None
    spreading = LabelSpreading(kernel="knn", n_neighbors=7)
    model = FewLabelClassifier(PCA(20, random_state=0), spreading, fit_on="all")
    model.fit(X, names if as_strings else y)
    features = PCA(20, random_state=0).fit(X).transform(X)
    by_hand = clone(spreading).fit(features, y)
    known = NAMES if as_strings else np.arange(10)
    assert np.array_equal(model.transduction_, known[by_hand.transduction_])
    assert np.array_equal(model.predict(X), known[by_hand.predict(features)])
    assert np.array_equal(model.predict_proba(X), by_hand.predict_proba(features))
    assert model.classes_.tolist() == known.tolist()
    hidden = y == -1
    assert np.mean(model.transduction_[hidden] == known[digits][hidden]) > 0.8
    model.set_params(fit_on="labelled").fit(X, y)
    assert not hasattr(model, "transduction_") and len(model.classifier_.X_) == 60


def test_self_training_may_leave_samples_without_a_label(data):
    X, digits, y = data
    names = NAMES[digits].astype(object)
    names[y == -1] = None
    inner = SelfTrainingClassifier(LogisticRegression(C=1e-4), threshold=0.5, max_iter=1)
    model = FewLabelClassifier(PCA(20, random_state=0), inner, fit_on="all").fit(X, names)
    assert set(model.transduction_) == {*NAMES, -1}
    assert np.array_equal(model.transduction_ == -1, model.classifier_.transduction_ == -1)
    assert set(model.predict(X)) <= set(NAMES)


# ---------------------------------------------------------------- LabelledFold


def test_folds_test_labelled_samples_only_and_train_on_all_others(data):
    X, _, y = data
    folds = list(LabelledFold(3).split(X, y))
    assert len(folds) == LabelledFold(3).get_n_splits(X, y) == 3
    labelled = np.flatnonzero(y != -1)
    assert np.array_equal(np.sort(np.concatenate([test for _, test in folds])), labelled)
    for train, test in folds:
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(240))
        assert np.array_equal(np.flatnonzero(y == -1), train[y[train] == -1])
        assert set(y[test]) == set(range(10))  # stratified
        assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all()


@pytest.mark.parametrize("settings", [{}, {"shuffle": True, "random_state": 3}])
def test_folds_are_those_of_stratified_k_fold_where_all_have_a_label(data, settings):
    X, digits, _ = data
    expected = StratifiedKFold(4, **settings).split(X, digits)
    for ours, theirs in zip(LabelledFold(4, **settings).split(X, digits), expected, strict=True):
        assert all(map(np.array_equal, ours, theirs))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_splits": 1}, r"n_splits=1 must be a whole number in \[2, inf\]"),
        ({"n_splits": 2.5}, "n_splits=2.5 must be a whole number"),
        ({"shuffle": "yes"}, "shuffle='yes' must be True or False"),
        ({"random_state": 0}, "random_state=0 has no effect without shuffling"),
    ],
)
def test_parameters_of_folds(settings, message):
    with pytest.raises(ValueError, match=message):
        LabelledFold(**settings)
    assert repr(LabelledFold(3)) == "LabelledFold(n_splits=3, shuffle=False, random_state=None)"


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "y=None: the folds need class labels"),
        ([0, 0, 0, 1, 1, -1], "n_splits=3, but class 1 has 2 labelled samples: use n_splits of at"),
        ([0] * 6, r"y holds the classes \[0\]"),
        ([0, 1] * 4, "inconsistent"),
    ],
)
def test_labels_that_cannot_be_folded(y, message):
    with pytest.raises(ValueError, match=message):
        next(LabelledFold(3).split(np.zeros(6), y))


# ---------------------------------------------------------------- cross-validation and searches


def test_cross_validation_equals_a_loop_by_hand(data, small):
    X, _, y = data
    model = FewLabelClassifier(small(image_shape=(8, 8)), LinearSVC(C=0.01, random_state=0))
    scores = cross_val_score(model, X, y, cv=LabelledFold(3))
    by_hand = []
    rows = np.flatnonzero(y != -1)
    for train, test in StratifiedKFold(3).split(X[rows], y[rows]):
        gan = small(image_shape=(8, 8)).fit(np.delete(X, rows[test], axis=0))
        svm = LinearSVC(C=0.01, random_state=0).fit(gan.transform(X[rows[train]]), y[rows[train]])
        by_hand.append(svm.score(gan.transform(X[rows[test]]), y[rows[test]]))
    assert scores.tolist() == by_hand and len(set(by_hand)) > 1


def test_unlabelled_samples_are_never_scored(data, recorder):
    X, _, y = data
    X = np.column_stack([np.arange(240), X])
    cross_val_score(FewLabelClassifier(recorder, KNeighborsClassifier(1)), X, y, cv=LabelledFold(3))
    fits = [rows for verb, rows, _ in recorder.log if verb == "fit"]
    scored = [r for (_, r, _), n in zip(recorder.log, range(9), strict=True) if n % 3 == 2]
    assert all(np.isin(np.flatnonzero(y == -1), rows).all() for rows in fits)
    assert np.array_equal(np.sort(np.concatenate(scored)), np.flatnonzero(y != -1))


def test_a_search_over_both_parts(data, small):
    X, _, y = data
    grid = {"extractor__lr": [1e-6, 1e-3], "classifier__C": [1e-9, 0.01]}
    model = FewLabelClassifier(small(image_shape=(8, 8), n_epochs=1), LinearSVC())
    search = GridSearchCV(model, grid, cv=LabelledFold(2), error_score="raise").fit(X, y)
    assert search.best_params_["classifier__C"] == 0.01
    assert len(set(search.cv_results_["mean_test_score"].tolist())) >= 3
    best = clone(model).set_params(**search.best_params_).fit(X, y)
    assert np.array_equal(search.predict(X), best.predict(X))
    assert search.score(X, y) == best.score(X, y)


# ---------------------------------------------------------------- labels elsewhere, and the warning


def test_supervised_features_and_probe_take_none_among_strings(data, small):
    X, digits, y = data
    names = NAMES[digits].astype(object)
    names[y == -1] = None
    net = small(SupervisedFeatures, image_shape=(8, 8), n_epochs=1)
    by_name, by_number = clone(net).fit(X, names), clone(net).fit(X, y)
    assert np.array_equal(by_name.transform(X), by_number.transform(X))
    assert by_name.score(X, names) == by_number.score(X, y)
    X_test, unseen = (part[240:300] for part in load_digits(return_X_y=True))
    result, same = (
        probe(PCA(5, random_state=0), X, labels, X_test, test, n_labels=3, n_draws=1, baselines=())
        for labels, test in ((names, NAMES[unseen]), (y, unseen))
    )
    assert [r["accuracy"] for r in result.records] == [r["accuracy"] for r in same.records]


def test_a_pipeline_is_told_that_minus_one_becomes_a_class(data, small):
    X, _, y = data
    pipeline = make_pipeline(
        small(image_shape=(8, 8), n_epochs=0), LinearSVC(C=0.01, random_state=0)
    )
    with pytest.warns(UserWarning, match="learn -1 as one more class.*FewLabelClassifier") as seen:
        pipeline.fit(X, y)
    assert len([w for w in seen if "FewLabelClassifier" in str(w.message)]) == 1


def test_labels_that_are_ignored_change_no_bit(data, small):
    X, _, y = data
    gan = small(image_shape=(8, 8), n_epochs=1)
    with pytest.warns(UserWarning, match="DCGANDiscriminatorFeatures ignores y"):
        warned = clone(gan).fit(X, y).transform(X)
    assert np.array_equal(warned, clone(gan).fit(X).transform(X))


@pytest.mark.parametrize(
    "y",
    [
        None, np.arange(40) % 3, np.where(np.arange(40) % 2, 1, -1), np.full(40, -1),
        np.linspace(-1, 1, 40), np.eye(40), object(), [[1], [2, 3]], np.array(["a", "b"] * 20),
    ],
)  # fmt: skip
def test_other_labels_pass_without_a_warning(data, small, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(image_shape=(8, 8), n_epochs=0).fit(data[0][:40], y)


def test_what_knows_unlabelled_samples_does_not_warn(data, small):
    X, _, y = data
    gan = small(image_shape=(8, 8), n_epochs=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = FewLabelClassifier(gan, KNeighborsClassifier(1)).fit(X, y)
        cross_val_predict(model, X[y != -1], y[y != -1], cv=LabelledFold(2))
        small(SupervisedFeatures, image_shape=(8, 8), n_epochs=0).fit(X, y)
        X_test, unseen = (part[240:300] for part in load_digits(return_X_y=True))
        probe(gan, X, y, X_test, unseen, n_labels=2, n_draws=1, baselines=("untrained",))
