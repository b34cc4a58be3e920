import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from skgan.evaluation import LabelBudgetSplit


@pytest.fixture
def names():
    """Classes of 12, 30 and 18 rows, mixed."""
    y = np.repeat(["ant", "bee", "cow"], [12, 30, 18])
    return np.random.RandomState(0).permutation(y)


def draws(y, **settings):
    return list(LabelBudgetSplit(**settings).split(np.zeros(len(y)), y))


def test_every_draw_has_n_labels_rows_of_each_class(names):
    for train, test in draws(names, n_labels=5, n_splits=20, random_state=0):
        assert np.array_equal(np.unique(names[train], return_counts=True)[1], [5, 5, 5])
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(60))


def test_every_row_is_drawn_at_some_time(names):
    drawn = np.concatenate([t for t, _ in draws(names, n_labels=5, n_splits=60, random_state=0)])
    assert np.array_equal(np.unique(drawn), np.arange(60))


@pytest.mark.parametrize(("test_size", "expected"), [(7, 7), (45, 45), (0.2, 9), (1.0, 45)])
def test_the_test_part_may_be_smaller(names, test_size, expected):
    for train, test in draws(names, n_labels=5, test_size=test_size, random_state=0):
        assert len(test) == len(np.unique(test)) == expected
        assert not np.intersect1d(train, test).size


def test_an_int_gives_the_same_draws_and_another_int_others(names):
    first, again, other = (draws(names, n_labels=5, random_state=s) for s in (0, 0, 1))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))
    assert len({t.tobytes() for t, _ in first}) == 10


def test_rows_without_a_label_are_in_no_part():
    y = np.array([0, -1, 1, 2] * 10)
    for train, test in draws(y, n_labels=4, n_splits=5, random_state=0):
        assert np.bincount(y[train]).tolist() == [4, 4, 4]
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.flatnonzero(y >= 0))
    # Beside one other class -1 is a class itself.
    train, _ = draws(np.array([-1, 1] * 10), n_labels=4, n_splits=1)[0]
    assert len(train) == 8


def test_it_serves_scikit_learn():
    X, y = load_digits(return_X_y=True)
    cv = LabelBudgetSplit(n_labels=5, n_splits=3, test_size=100, random_state=0)
    scores = cross_val_score(KNeighborsClassifier(1), X, y, cv=cv)
    assert len(scores) == cv.get_n_splits(X, y) == 3
    assert scores.min() > 0.6
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 50]}, cv=cv).fit(X, y)
    assert search.best_params_ == {"n_neighbors": 1}


def test_repr():
    text = "LabelBudgetSplit(n_labels=5, n_splits=3, test_size=0.5, random_state=1)"
    assert repr(LabelBudgetSplit(5, 3, 0.5, 1)) == text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_labels": 0}, r"n_labels=0 must be a whole number"),
        ({"n_labels": "all"}, r"n_labels='all' must be a whole number"),
        ({"n_splits": 1.5}, r"n_splits=1.5 must be a whole number"),
        ({"test_size": 0}, r"test_size=0 must be a whole number"),
        ({"test_size": 1.5}, r"test_size=1.5 must be a number in \(0, 1\]"),
    ],
)
def test_bad_parameters(settings, message):
    with pytest.raises(ValueError, match=message):
        LabelBudgetSplit(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_labels": 12}, "class 'ant' has 12 samples, too few to draw 12 and leave 1 to test on"),
        ({"n_labels": 5, "test_size": 46}, "test_size=46, but the draw leaves 45 samples"),
    ],
)
def test_too_few_rows(names, settings, message):
    with pytest.raises(ValueError, match=message):
        draws(names, **settings)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "y=None"),
        (np.zeros(20, int), r"y holds the classes \[0\]"),
        (np.linspace(0, 1, 20), "continuous"),
        (np.arange(19) % 2, "inconsistent"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        next(LabelBudgetSplit(n_labels=2).split(np.zeros(20), y))


def test_groups_are_ignored_with_a_warning():
    y = np.arange(30) % 3
    cv = LabelBudgetSplit(n_labels=2, n_splits=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = list(cv.split(y, y))
    with pytest.warns(UserWarning, match="groups is ignored by LabelBudgetSplit.*GroupKFold"):
        grouped = list(cv.split(y, y, groups=np.arange(30) // 3))
    for before, after in zip(plain, grouped, strict=True):
        assert np.array_equal(before[0], after[0]) and np.array_equal(before[1], after[1])
