"""The two parts of features, by definition; extractors of k rows are stand-ins."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skgan import BiGANEncoder, LazyImages
from skgan.tools import NullSpaceProjector

HOWTO = Path(__file__).parents[2] / "docs" / "guide" / "nullspace.md"
LOG: list = []  # estimators are cloned, so what they see is written here
D = 12


@pytest.fixture(autouse=True)
def empty_log():
    LOG.clear()


class Reader(TransformerMixin, BaseEstimator):
    """Features are the rows; the head has k rows, and is low-rank or missing on demand."""

    def __init__(self, k=3, rank=None, width=D, n_epochs=5, has_head=True):
        self.k = k
        self.rank = rank
        self.width = width
        self.n_epochs = n_epochs
        self.has_head = has_head

    def fit(self, X, y=None):
        LOG.append((self.n_epochs, len(X), None if y is None else len(y)))
        rng = np.random.default_rng(0)
        self.n_features_in_ = X.shape[1]
        A = rng.normal(size=(self.k, self.rank or self.k)) @ rng.normal(
            size=(self.rank or self.k, self.width)
        )
        if self.has_head:
            self.head_weight_ = A.astype(np.float32)
        return self

    def transform(self, X):
        return np.asarray(X, np.float32)

    def get_feature_names_out(self, input_features=None):
        return np.array([f"f{i}" for i in range(self.width)], dtype=object)


@pytest.fixture
def features():
    return np.random.default_rng(1).normal(size=(50, D)).astype(np.float32)


def last_layer(small, **settings):
    return small(**{"image_shape": (8, 8), "layers": -1, "pool_grid": None} | settings)


def frozen(k=3, **settings):
    return FrozenEstimator(Reader(k, **settings).fit(np.zeros((2, D))))


def check_parts(A, f, row, null):
    """`row` and `null` are the orthogonal projections of f by A, in float32."""
    assert row.dtype == null.dtype == np.float32
    np.testing.assert_allclose(row + null, f, rtol=0, atol=1e-6 * np.abs(f).max())
    A, f = A.astype(np.float64), f.astype(np.float64)
    size = np.linalg.norm(A, 2) * np.linalg.norm(f, axis=1)
    assert (np.linalg.norm(null @ A.T, axis=1) <= 1e-6 * size).all()
    expected = f @ np.linalg.pinv(A, rcond=1e-6) @ A
    np.testing.assert_allclose(row, expected, rtol=0, atol=1e-6 * np.abs(f).max())


# ------------------------------------------------------------------ the projection


@pytest.mark.parametrize("k", [1, 3, 10])
def test_features_are_the_sum_of_both_parts(features, k):
    projector = NullSpaceProjector(frozen(k)).fit(features)
    assert projector.rank_ == k
    assert projector.head_weight_.shape == (k, D)
    row, null = projector.split(features)
    check_parts(projector.head_weight_, features, row, null)
    assert np.linalg.matrix_rank(row, tol=1e-3) == k
    assert np.linalg.matrix_rank(null, tol=1e-3) == D - k
    for subspace, part in (("null", null), ("row", row)):
        chosen = clone(projector).set_params(subspace=subspace).fit(features)
        assert np.array_equal(chosen.transform(features), part)
        np.testing.assert_allclose(chosen.transform(part), part, atol=1e-6)


@pytest.mark.parametrize(("k", "rank"), [(3, 2), (10, 4), (20, 5)])
def test_a_head_without_full_rank(features, k, rank):
    """Its weights are rounded to float32, which alone would make the rank full."""
    projector = NullSpaceProjector(frozen(k, rank=rank)).fit(features)
    assert projector.rank_ == rank
    check_parts(projector.head_weight_, features, *projector.split(features))


@pytest.mark.parametrize(("fill", "rank"), [(0, 0), (None, D)])
def test_a_head_that_reads_nothing_or_everything(features, fill, rank):
    extractor = frozen(15)
    if fill is not None:
        extractor.estimator.head_weight_[:] = fill
    projector = NullSpaceProjector(extractor).fit(features)
    assert projector.rank_ == rank
    nothing, everything = projector.split(features)[:: 1 if rank == 0 else -1]
    np.testing.assert_allclose(nothing, 0, atol=1e-6)
    np.testing.assert_allclose(everything, features, atol=1e-6)


def test_parts_do_not_depend_on_how_many_rows_come_at_once(features, monkeypatch):
    projector = NullSpaceProjector(frozen()).fit(features)
    row, null = projector.split(features)
    ratio = projector.row_variance_ratio(features)
    monkeypatch.setattr("skgan.tools.nullspace.CHUNK_ROWS", 7)
    for part, parts in zip((row, null), projector.split(features), strict=True):
        np.testing.assert_allclose(part, parts, atol=1e-6)
    assert projector.row_variance_ratio(features) == pytest.approx(ratio)


def test_the_projection_is_made_in_float64(features):
    """Next to a large part in the row space, float32 products would lose the null space."""
    projector = NullSpaceProjector(frozen(1)).fit(features)
    a = projector.head_weight_[0].astype(np.float64)
    large = (features + 1e4 * a / np.linalg.norm(a)).astype(np.float32)
    exact = large - np.outer(large @ a, a) / (a @ a)
    np.testing.assert_allclose(projector.transform(large), exact, atol=1e-6)


# ------------------------------------------------------------------ the diagnostic


def test_row_variance_ratio(features):
    projector = NullSpaceProjector(frozen()).fit(features)
    row, _ = projector.split(features)
    expected = row.var(axis=0).sum() / features.var(axis=0).sum()
    ratio = projector.row_variance_ratio(features)
    assert isinstance(ratio, float)
    assert ratio == pytest.approx(expected, rel=1e-5)
    assert projector.row_variance_ratio(features + 1000) == pytest.approx(expected, rel=1e-2)


def test_row_variance_ratio_of_features_in_one_of_the_two_spaces(features):
    projector = NullSpaceProjector(frozen()).fit(features)
    row, null = projector.split(features)
    assert projector.row_variance_ratio(row) == pytest.approx(1)
    assert projector.row_variance_ratio(null) == pytest.approx(0, abs=1e-10)
    constant = row[:1] + null  # corollary 4: the head sees the same in all rows
    assert projector.row_variance_ratio(constant) == pytest.approx(0, abs=1e-10)


def test_row_variance_ratio_without_variance(features):
    projector = NullSpaceProjector(frozen()).fit(features)
    assert np.isnan(projector.row_variance_ratio(features[:1]))
    assert np.isnan(projector.row_variance_ratio(np.full((7, D), 0.1)))


# ------------------------------------------------------------------ behind a discriminator


@pytest.fixture
def gan(small, digits):
    return last_layer(small).fit(digits[0])


def test_a_discriminator_reads_one_direction(gan, digits):
    f = gan.transform(digits[0])
    projector = NullSpaceProjector(FrozenEstimator(gan)).fit(f)
    assert projector.rank_ == 1
    row, null = projector.split(f)
    check_parts(gan.head_weight_, f, row, null)
    # The row part alone makes the logit, and the null part none of it.
    logit = gan.score_samples(digits[0])
    np.testing.assert_allclose(row @ gan.head_weight_[0], logit, rtol=1e-3, atol=1e-5)
    assert 0 < projector.row_variance_ratio(f) < 1


def test_frozen_and_trained_extractors_agree(small, gan, digits):
    X = digits[0]
    trained = NullSpaceProjector(last_layer(small)).fit(X)
    behind = NullSpaceProjector(FrozenEstimator(gan)).fit(gan.transform(X))
    assert np.array_equal(trained.head_weight_, behind.head_weight_)
    assert np.array_equal(trained.transform(X), behind.transform(gan.transform(X)))
    assert trained.row_variance_ratio(X) == behind.row_variance_ratio(gan.transform(X))
    assert trained.n_features_in_ == 64
    assert behind.n_features_in_ == gan.n_features_out_


def test_the_head_is_a_copy(features):
    extractor = frozen()
    projector = NullSpaceProjector(extractor).fit(features)
    kept = projector.head_weight_.copy()
    extractor.estimator.head_weight_ *= 2
    assert np.array_equal(projector.head_weight_, kept)


def test_the_given_extractor_is_not_trained(small, digits):
    extractor = last_layer(small)
    projector = NullSpaceProjector(extractor).fit(digits[0])
    assert not hasattr(extractor, "generator_")
    assert projector.extractor is extractor
    assert projector.extractor_ is not extractor


@pytest.mark.parametrize("kind", ["array", "tensor", "lazy", "frame"])
def test_rows_of_any_kind_reach_the_extractor(small, digits, kind):
    rows = digits[0][:40]
    settings = {"layers": -1, "pool_grid": None, "n_epochs": 1}
    if kind == "array":
        X = rows.reshape(-1, 8, 8)
    elif kind == "tensor":
        X = torch.from_numpy(rows.reshape(-1, 8, 8))
    elif kind == "lazy":
        dataset = torch.utils.data.TensorDataset(torch.from_numpy(rows.reshape(-1, 1, 8, 8)))
        X = LazyImages(dataset)
    else:
        X = pytest.importorskip("pandas").DataFrame(rows).add_prefix("pixel")
        settings["image_shape"] = (8, 8)
    projector = NullSpaceProjector(small(**settings)).fit(X)
    plain = small(**settings).fit(X)
    assert projector.n_features_in_ == plain.n_features_in_
    assert hasattr(projector, "feature_names_in_") == (kind == "frame")
    row, null = projector.split(X)
    check_parts(plain.head_weight_, plain.transform(X), row, null)


def test_images_go_through_the_default(digits):
    X = digits[0][:40].reshape(-1, 8, 8)
    projector = NullSpaceProjector().fit(X)
    again = NullSpaceProjector().fit(X)
    assert projector.rank_ == 1
    assert np.array_equal(projector.transform(X), again.transform(X))
    assert projector.__sklearn_tags__().input_tags.three_d_array
    assert not NullSpaceProjector(frozen()).__sklearn_tags__().input_tags.three_d_array


def test_labels_are_passed_along(features):
    y = np.arange(50) % 2
    NullSpaceProjector(Reader()).fit(features, y)
    assert LOG[-1] == (5, 50, 50)
    NullSpaceProjector(Reader()).fit(features)
    assert LOG[-1] == (5, 50, None)


# ------------------------------------------------------------------ scikit-learn


@pytest.mark.parametrize("make", [frozen, lambda: Reader(4)])
def test_clone_and_pickle(features, make):
    projector = NullSpaceProjector(make(), subspace="row").fit(features)
    copy = clone(projector)
    assert copy.subspace == "row"
    assert not hasattr(copy, "rank_")
    expected = projector.transform(features)
    assert np.array_equal(copy.fit(features).transform(features), expected)
    other = pickle.loads(pickle.dumps(projector))
    assert np.array_equal(other.transform(features), expected)


def test_a_pickle_with_a_discriminator(gan, small, digits):
    f = gan.transform(digits[0])
    behind = NullSpaceProjector(FrozenEstimator(gan)).fit(f)
    assert np.array_equal(pickle.loads(pickle.dumps(behind)).transform(f), behind.transform(f))
    X = digits[0][:60]
    trained = NullSpaceProjector(last_layer(small)).fit(X)
    assert np.array_equal(pickle.loads(pickle.dumps(trained)).transform(X), trained.transform(X))


def test_in_a_pipeline_behind_the_frozen_extractor(gan, digits):
    X, y = digits
    pipeline = Pipeline(
        [
            ("gan", FrozenEstimator(gan)),
            ("null", NullSpaceProjector(FrozenEstimator(gan))),
            ("knn", KNeighborsClassifier(1)),
        ]
    ).fit(X, y)
    assert pipeline.score(X, y) == 1
    names = pipeline[:-1].get_feature_names_out()
    assert list(names) == list(gan.get_feature_names_out())


def test_a_search_over_the_extractor(small, digits):
    X, y = digits[0][:90], digits[1][:90]
    steps = [("null", NullSpaceProjector(last_layer(small))), ("knn", KNeighborsClassifier(1))]
    grid = {"null__extractor__lr": [1e-4, 1e-2], "null__subspace": ["null", "row"]}
    search = GridSearchCV(Pipeline(steps), grid, cv=2, error_score="raise").fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    best = search.best_estimator_["null"]
    assert best.extractor_.lr == search.best_params_["null__extractor__lr"]


def test_names(gan, small, digits, features):
    names = list(gan.get_feature_names_out())
    trained = NullSpaceProjector(last_layer(small)).fit(digits[0])
    assert list(trained.get_feature_names_out()) == names
    behind = NullSpaceProjector(FrozenEstimator(gan)).fit(gan.transform(digits[0]))
    assert list(behind.get_feature_names_out()) == names
    given = [f"g{i}" for i in range(len(names))]
    assert list(behind.get_feature_names_out(given)) == given
    with pytest.raises(ValueError, match="input_features"):
        behind.get_feature_names_out(given[1:])
    with pytest.raises(NotFittedError):
        NullSpaceProjector().get_feature_names_out()


def test_frames_behind_a_frozen_extractor(features):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(features).add_prefix("c")
    projector = NullSpaceProjector(frozen()).fit(frame).set_output(transform="pandas")
    assert list(projector.feature_names_in_) == list(frame.columns)
    out = projector.transform(frame)
    assert list(out.columns) == list(frame.columns)
    np.testing.assert_array_equal(out, projector.split(features)[1])
    with pytest.warns(UserWarning, match="valid feature names"):
        projector.transform(features)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    "settings", [{"layers": "all"}, {"tap": "norm"}, {"layers": 0}, {"layers": (0, 1)}]
)
def test_a_missing_head_is_known_before_training(small, digits, settings):
    endless = last_layer(small, n_epochs=10**6, **settings)
    with pytest.raises(ValueError, match=r"extractor=DCGAN(.|\n)*n_epochs=1000000(.|\n)*pool_grid"):
        NullSpaceProjector(endless).fit(digits[0])


def test_an_extractor_that_never_has_a_head(small, digits):
    endless = small(BiGANEncoder, image_shape=(8, 8), n_epochs=10**6)
    with pytest.raises(ValueError, match=r"extractor=BiGANEncoder(.|\n)* has no head_weight_"):
        NullSpaceProjector(endless).fit(digits[0])


def test_what_goes_wrong_in_a_fit_is_said_by_the_fit(small, digits):
    with pytest.raises(ValueError, match="norm='layer' is unknown"):
        NullSpaceProjector(last_layer(small, norm="layer")).fit(digits[0])


def test_the_trial_sees_few_rows_and_writes_nothing(small, digits, features, tmp_path):
    NullSpaceProjector(Reader()).fit(features, np.zeros(50))
    assert LOG == [(0, 32, 32), (5, 50, 50)]
    settings = {"checkpoint_dir": tmp_path, "resume": "must"}  # there is none to go on from
    checkpoints = last_layer(small, layers="all", **settings)
    with pytest.raises(ValueError, match="head_weight_"):
        NullSpaceProjector(checkpoints).fit(digits[0])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_head_without_epochs_is_known_after_fit(features):
    with pytest.raises(ValueError, match=r"extractor=PCA\(\) has no head_weight_"):
        NullSpaceProjector(PCA()).fit(features)


def test_frozen_extractors_that_will_not_do(small, digits, features):
    pooled = small(image_shape=(8, 8)).fit(digits[0])
    with pytest.raises(ValueError, match=r"extractor=FrozenEstimator\((.|\n)*has no head_weight_"):
        NullSpaceProjector(FrozenEstimator(pooled)).fit(pooled.transform(digits[0]))
    with pytest.raises(ValueError, match="head_weight_"):
        NullSpaceProjector(FrozenEstimator(StandardScaler().fit(features))).fit(features)
    with pytest.raises(NotFittedError, match="Reader"):
        NullSpaceProjector(FrozenEstimator(Reader())).fit(features)


def test_another_number_of_features(features):
    with pytest.raises(ValueError, match=r"X has 5 columns, but (.|\n)* reads 12 features"):
        NullSpaceProjector(frozen()).fit(features[:, :5])
    with pytest.raises(ValueError, match="returns 12 features, but its head_weight_ reads 9"):
        NullSpaceProjector(Reader(width=9)).fit(features)
    assert [epochs for epochs, *_ in LOG[1:]] == [0]  # known before training
    projector = NullSpaceProjector(frozen()).fit(features)
    with pytest.raises(ValueError, match="X has 5 features"):
        projector.transform(features[:, :5])
    before = projector.transform(features)
    with pytest.raises(ValueError, match="X has 5 columns"):
        projector.fit(features[:, :5])
    assert np.array_equal(projector.transform(features), before)  # the earlier fit is kept


def test_bad_parameters(features):
    with pytest.raises(ValueError, match="subspace='column' is unknown; use one of 'null', 'row'"):
        NullSpaceProjector(frozen(), subspace="column").fit(features)
    for bad in (3, KNeighborsClassifier(), Reader):
        with pytest.raises(ValueError, match="must be a scikit-learn transformer"):
            NullSpaceProjector(bad).fit(features)
    with pytest.raises(NotFittedError):
        NullSpaceProjector().transform(features)


def test_the_page_runs():
    """The blocks of docs/guide/nullspace.md, one after the other."""
    blocks = HOWTO.read_text(encoding="utf-8").split("```python\n")[1:]
    assert blocks
    scope = {"__name__": "__main__"}
    for block in blocks:
        exec(block.split("```")[0], scope)
