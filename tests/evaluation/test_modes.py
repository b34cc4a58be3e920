"""Generators that say which class they draw, and a classifier that reads it."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgan import AutoencoderFeatures
from skgan.evaluation import ModeCoverage, mode_coverage


class Dealer:
    """Rows whose first column is a class, dealt in turn: class i as often as cards[i] says."""

    def __init__(self, *cards):
        self.deck = np.repeat(np.arange(len(cards)), cards)
        self.calls = []
        self.dealt = 0

    def sample(self, n_samples=1, random_state=None):
        self.calls.append((n_samples, random_state))
        rows = (self.dealt + np.arange(n_samples)) % len(self.deck)
        self.dealt += n_samples
        return np.column_stack([self.deck[rows], np.zeros(n_samples)])


class Dealers(Dealer):
    """Component k deals class k only."""

    def sample(self, n_samples=1, random_state=None, component=None):
        X = super().sample(n_samples, random_state)
        if component is not None:
            X[:, 0] = component
        return X


class Reader(ClassifierMixin, BaseEstimator):
    """Reads the class off the first column; its names may be strings."""

    def __init__(self, names=("a", "b", "c", "d")):
        self.names = names

    def fit(self, X=None, y=None):
        self.classes_ = np.array(self.names)
        return self

    def predict(self, X):
        return self.classes_[X[:, 0].astype(int)]


def test_counts_and_what_follows_from_them():
    result = mode_coverage(Dealer(6, 3, 1, 0), Reader().fit(), 1000, random_state=0)
    assert isinstance(result, ModeCoverage)
    assert list(result.classes) == ["a", "b", "c", "d"]
    assert list(result.counts) == [600, 300, 100, 0]
    np.testing.assert_allclose(result.shares, [0.6, 0.3, 0.1, 0])
    np.testing.assert_allclose(result.reference, 0.25)
    assert result.missing == ["d"]
    assert result.n_covered == 3
    expected = 0.6 * np.log(2.4) + 0.3 * np.log(1.2) + 0.1 * np.log(0.4)
    assert result.kl == pytest.approx(expected)


@pytest.mark.parametrize(("cards", "kl"), [((1, 1, 1, 1), 0), ((1, 0, 0, 0), np.log(4))])
def test_the_ends_of_the_scale(cards, kl):
    result = mode_coverage(Dealer(*cards), Reader().fit(), 400)
    assert result.kl == pytest.approx(kl, abs=1e-12)
    assert result.kl >= 0
    assert result.n_covered == np.count_nonzero(cards)


@pytest.mark.parametrize(("n_rows", "covered"), [(10, True), (9, False)])
def test_a_class_at_the_limit_is_covered(n_rows, covered):
    """0.1 of a tenth of 1,000 rows; in floats that is a bit more than 10."""
    dealer = Dealer(*[100] * 8, 200 - n_rows, n_rows)
    result = mode_coverage(dealer, Reader(range(10)).fit(), 1000)
    assert result.counts[9] == n_rows
    assert result.missing == ([] if covered else [9])


def test_min_share():
    dealer = Dealer(6, 3, 1, 0)
    assert mode_coverage(dealer, Reader().fit(), 100, min_share=0.5).missing == ["c", "d"]
    assert mode_coverage(dealer, Reader().fit(), 100, min_share=1.0).missing == ["c", "d"]
    assert mode_coverage(dealer, Reader().fit(), 100, min_share=1e-9).missing == ["d"]


def test_reference_shares():
    """Frequencies as counts; a rare class is judged by its own share."""
    result = mode_coverage(
        Dealer(60, 30, 9, 1), Reader().fit(), 100, reference=[600, 300, 90, 10], min_share=1
    )
    assert result.missing == []
    assert result.kl == pytest.approx(0, abs=1e-12)
    assert mode_coverage(Dealer(60, 30, 9, 1), Reader().fit(), 100).missing == ["d"]


def test_rows_are_made_in_parts_of_bounded_size():
    dealer = Dealer(1, 1, 1, 1)
    result = mode_coverage(dealer, Reader().fit(), 2500, random_state=0)
    assert [n for n, _ in dealer.calls] == [1000, 1000, 500]
    assert len({seed for _, seed in dealer.calls}) == 3  # or all parts would be the same rows
    assert result.counts.sum() == 2500
    again = Dealer(1, 1, 1, 1)
    mode_coverage(again, Reader().fit(), 2500, random_state=0)
    assert again.calls == dealer.calls


def test_component_is_passed_on_if_there_is_one():
    dealers = Dealers(1, 1, 1, 1)
    assert list(mode_coverage(dealers, Reader().fit(), 40, component=2).counts) == [0, 0, 40, 0]
    assert list(mode_coverage(dealers, Reader().fit(), 40, component=0).counts) == [40, 0, 0, 0]
    assert list(mode_coverage(dealers, Reader().fit(), 40).counts) == [10, 10, 10, 10]


def test_table():
    result = mode_coverage(Dealer(899, 600, 1, 0), Reader().fit(), 1500, random_state=0)
    assert str(result) == (
        "2 of 4 classes in 1,500 generated rows; KL divergence from the reference "
        f"{result.kl:.4f} nats\n"
        "class   rows    share   reference\n"
        "a        899   0.5993      0.2500\n"
        "b        600   0.4000      0.2500\n"
        "c          1   0.0007      0.2500   missing\n"
        "d          0   0.0000      0.2500   missing"
    )


def test_a_trained_gan_and_a_pipeline_behind_it(small, digits):
    """The classes are made up: a GAN this small knows no digits."""
    gan = small(image_shape=(8, 8)).fit(digits[0])
    nearest = make_pipeline(FrozenEstimator(gan), KNeighborsClassifier(1))
    nearest.fit(gan.sample(200, random_state=5), np.arange(200) % 4)
    result = mode_coverage(gan, nearest, 1100, random_state=0)
    assert result.counts.sum() == 1100
    assert result.n_covered == 4
    assert 0 < result.kl < 0.1
    first = gan.sample(1000, random_state=int(np.random.RandomState(0).randint(2**31 - 1)))
    alone = mode_coverage(gan, nearest, 1000, random_state=0)
    assert np.array_equal(alone.counts, np.bincount(nearest.predict(first)))
    again = mode_coverage(gan, nearest, 1100, random_state=0)
    assert np.array_equal(again.counts, result.counts)
    other = mode_coverage(gan, nearest, 1100, random_state=1)
    assert not np.array_equal(other.counts, result.counts)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_samples": 0}, "n_samples=0 must be a whole number"),
        ({"min_share": 0}, r"min_share=0 must be a number in \(0, 1\]"),
        ({"min_share": 2.0}, r"min_share=2.0 must be a number in \(0, 1\]"),
        ({"reference": [1, 2]}, r"reference=\[1, 2\] must be 4 finite numbers above 0"),
        ({"reference": [1, 1, 1, 0]}, "must be 4 finite numbers above 0"),
        ({"component": 3}, "component=3, but sample of gan=.* has no parameter component; use"),
    ],
)
def test_bad_parameters(settings, message):
    dealer = Dealer(1, 1, 1, 1)
    with pytest.raises(ValueError, match=message):
        mode_coverage(dealer, Reader().fit(), **settings)
    assert dealer.calls == []


def test_bad_gans(small, digits):
    for gan in (Reader(), Dealer, small(AutoencoderFeatures, image_shape=(8, 8)).fit(digits[0])):
        with pytest.raises(ValueError, match="gan=(.|\n)* has no sample; use a fitted estimator"):
            mode_coverage(gan, Reader().fit())
    with pytest.raises(NotFittedError):
        mode_coverage(small(), Reader().fit())


def test_bad_classifiers():
    dealer = Dealer(1, 1, 1, 1)
    unfitted = [Reader(), make_pipeline(KNeighborsClassifier()), Reader]
    for classifier in (*unfitted, KMeans(), StandardScaler(), "svm"):
        with pytest.raises(ValueError, match="classifier=(.|\n)* must be a fitted classifier"):
            mode_coverage(dealer, classifier)
    assert dealer.calls == []


def test_a_class_that_the_classifier_should_not_know():
    class Odd(Reader):
        def predict(self, X):
            return np.array(["z"] * len(X))

    with pytest.raises(ValueError, match=r"predicted \['z'\] for 100 samples"):
        mode_coverage(Dealer(1, 1, 1, 1), Odd().fit(), 100)
