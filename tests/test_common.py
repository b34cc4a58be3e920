"""scikit-learn's own checks, for every public class, with no expected failure."""

import inspect

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skgan.utils.discovery import all_estimators

ESTIMATORS = all_estimators()
# As scikit-learn's own suite does for slow classes: how long they work, not what they do.
SHORTER = {"GANProjector": {"n_steps": 5}}


def made(cls):
    return cls(**SHORTER.get(cls.__name__, {}))


# The runner leaves these to the caller.
UNCALLED = [
    check
    for name, check in inspect.getmembers(estimator_checks, inspect.isfunction)
    if name.startswith("check_")
    and any(words in name for words in ("set_output", "feature_names", "column_names"))
]


def test_classes_and_checks_were_found():
    expected = {"DCGANDiscriminatorFeatures", "FewLabelClassifier", "NullSpaceProjector"}
    assert expected <= dict(ESTIMATORS).keys()
    assert len(UNCALLED) >= 7, [c.__name__ for c in UNCALLED]


@parametrize_with_checks([made(cls) for _, cls in ESTIMATORS])
def test_sklearn_checks(estimator, check):
    check(estimator)


def asked_of(cls, check):
    """Whether a check is meant for this class: features are named by transformers only."""
    about_features = any(words in check.__name__ for words in ("set_output", "feature_names_out"))
    return hasattr(cls, "transform") or not about_features


@pytest.mark.parametrize(
    ("cls", "check"),
    [(cls, check) for _, cls in ESTIMATORS for check in UNCALLED if asked_of(cls, check)],
    ids=lambda value: value.__name__,
)
def test_checks_that_the_runner_leaves_out(cls, check):
    check(cls.__name__, made(cls))
