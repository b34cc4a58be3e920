"""How far domains are apart, and a score without labels of the target."""

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgan.evaluation import ReverseValidation, proxy_a_distance
from skgan.utils.linear import ridge_error


def features(shift, n=400, d=3, seed=0):
    rng, domain = np.random.default_rng(seed), np.where(np.arange(n) < n // 2, 1, -1)
    return rng.normal(size=(n, d)) + shift * (domain > 0)[:, None] / np.sqrt(d), domain


def test_the_distance_is_two_times_one_less_two_errors():
    assert proxy_a_distance(*features(20)) == 2
    assert abs(proxy_a_distance(*features(0, n=4000))) < 0.2
    # Two Gaussians of variance 1 whose means are 2 apart: the best error is Phi(-1) = 0.159.
    for of in (proxy_a_distance, lambda Z, k: 2 * (1 - 2 * ridge_error(Z, k > 0))):
        assert of(*features(2, n=8000)) == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.1)


def test_the_distance_does_not_depend_on_numbers_of_samples_or_scales():
    Z, domain = features(20)
    few = np.r_[:200, 200:210]
    assert proxy_a_distance(Z[few] * [1, 1e4, 1e-4], domain[few]) == 2
    Z, domain = features(0, n=4000)
    rows = np.r_[:2000, 2000:2200]  # ten to one: guessing the larger side is no knowledge
    assert abs(proxy_a_distance(Z[rows], domain[rows])) < 0.4
    assert abs(2 * (1 - 2 * ridge_error(Z[rows], domain[rows] > 0))) < 0.4
    several = np.where(domain > 0, np.arange(4000) % 2 + 1, -3)
    assert proxy_a_distance(Z, several) == proxy_a_distance(Z, domain)
    assert proxy_a_distance(Z, domain, max_samples=100, random_state=1) != proxy_a_distance(
        Z, domain, max_samples=100
    )


def test_the_ridge_takes_wide_and_constant_features():
    rng = np.random.default_rng(0)
    positive = np.arange(60) % 2 == 0
    wide = rng.normal(size=(60, 500))
    wide[:, 7] = 3.0
    assert abs(2 * (1 - 2 * ridge_error(wide, positive))) < 1
    wide[:, 3:30] += 4 * positive[:, None]
    assert ridge_error(wide, positive) < 0.1
    # By the samples or by the columns, the classifier is the same.
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(40, 21)), np.arange(40) % 3 == 0
    assert ridge_error(A, b) == ridge_error(
        np.hstack([A, np.zeros((40, 9))]), b, ridge=0.1 * 30 / 21
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sample_domain": np.ones(400)}, "200|at least 4 of each"),
        ({"sample_domain": np.zeros(400)}, "sample_domain has 0 for 400"),
        ({"C": ()}, "C=None"),
        ({"C": (1, -1)}, "C=-1"),
        ({"max_samples": 2}, "max_samples=2"),
    ],
)
def test_bad_arguments_of_the_distance(changed, message):
    Z, domain = features(1)
    with pytest.raises(ValueError, match=message):
        proxy_a_distance(**{"Z": Z, "sample_domain": domain} | changed)


class Nearest(ClassifierMixin, BaseEstimator):
    """The class of the nearest mean; notes what it was fitted to."""

    fits: list = []

    def fit(self, X, y):
        type(self).fits.append((X, np.asarray(y)))
        self.classes_ = np.unique([k for k in y if k not in (-1, None)])
        self.means_ = np.array([X[np.asarray(y) == k].mean(0) for k in self.classes_])
        return self

    def predict(self, X):
        return self.classes_[np.square(X[:, None] - self.means_).sum(2).argmin(1)]


def there_and_back():
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    X = rng.normal(size=(80, 2)) * 0.3 + 2 * y[:, None]
    domain = np.repeat([1, 2, -1, -2], 20)
    return X + 0.3 * (domain < 0)[:, None], y, domain


def test_reverse_validation_by_hand():
    X, y, domain = there_and_back()
    model, words = (
        Nearest().fit(X[:40], np.array(["no", "yes"])[y[:40]]),
        np.array(["no", "yes"])[y],
    )
    Nearest.fits.clear()
    score = ReverseValidation()(model, X, words, sample_domain=domain)
    ((seen, given),) = Nearest.fits
    assert np.array_equal(seen, X)
    assert np.array_equal(given[domain > 0], np.full(40, -1))
    back = model.classes_[given[domain < 0]]
    assert np.array_equal(back, model.predict(X[domain < 0]))
    twin = Nearest().fit(seen, given)
    assert score == np.mean(model.classes_[twin.predict(X[:40])] == words[:40]) > 0.9


class ByDomain(Nearest):
    """A classifier whose means move with the domain, as batch norm by domain does."""

    def predict(self, X, sample_domain=None):
        domains = np.full(len(X), -2) if sample_domain is None else np.asarray(sample_domain)
        return super().predict(X - 9.0 * (domains == -1)[:, None])


def test_targets_are_named_each_by_its_own_domain():
    X, y, domain = there_and_back()
    model = ByDomain().fit(X[:40], y[:40])
    moved = X + 9.0 * (domain == -1)[:, None]
    Nearest.fits.clear()
    ReverseValidation()(model, moved, y, sample_domain=domain)
    ((_, given),) = Nearest.fits
    assert np.mean(given[domain == -1] == y[domain == -1]) > 0.9
    assert np.mean(given[domain == -2] == y[domain == -2]) > 0.9
    # A pipeline passes them on where metadata routing is on and its last step asks for them.
    for asks in (True, False):
        with sklearn.config_context(enable_metadata_routing=True):
            last = ByDomain().set_predict_request(sample_domain=asks)
            pipe = make_pipeline(StandardScaler(with_mean=False, with_std=False), last)
            pipe.fit(X[:40], y[:40])
            Nearest.fits.clear()
            ReverseValidation()(pipe, moved, y, sample_domain=domain)
        ((_, through),) = Nearest.fits
        assert np.array_equal(through, given) == asks


def test_a_classifier_that_is_wrong_on_the_target_scores_less():
    X, y, domain = there_and_back()
    good = Nearest().fit(X[:40], y[:40])
    bad = Nearest().fit(X[:40], y[:40])
    bad.means_ = np.array([[0.0, 9.0], [9.0, 0.0]])  # another boundary, across both classes
    scores = [ReverseValidation()(model, X, y, domain) for model in (good, bad)]
    assert scores[1] < 0.7 < scores[0]


def test_labels_of_targets_are_not_read():
    X, y, domain = there_and_back()
    model = Nearest().fit(X[:40], y[:40])
    scores = {
        ReverseValidation()(model, X, np.where(domain > 0, y, garbage), domain)
        for garbage in (y, -1, 5, 1 - y)
    }
    assert len(scores) == 1
    hidden = np.where(domain > 0, y, -1)
    assert {ReverseValidation()(model, X, hidden)} == scores
    partly = np.where(np.arange(80) % 5 == 0, -1, y)  # sources without a label are not scored
    assert ReverseValidation()(model, X, partly, domain) > 0.9


def test_one_class_is_scored_as_what_it_is():
    X, y, domain = there_and_back()
    model = Nearest().fit(X[:40], y[:40])
    model.means_ = np.array([[0.0, 0.0], [99.0, 99.0]])  # all targets are of class 0
    Nearest.fits.clear()
    assert ReverseValidation()(model, X, y, domain) == 0.5 and Nearest.fits == []


def test_without_a_target_or_a_source_it_says_what_to_do():
    X, y, domain = there_and_back()
    model = Nearest().fit(X[:40], y[:40])
    for labels, given in (
        (y, None),
        (np.full(80, -1), domain),
        (y, np.ones(80)),
        (y, -np.ones(80)),
    ):
        with pytest.raises(ValueError, match="reverse validation needs both.*y=-1.*sample_domain"):
            ReverseValidation()(model, X, labels, given)
