"""scikit-learn's own checks, for every public class, with no expected failure."""

import inspect

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skgan.utils.discovery import all_estimators

ESTIMATORS = all_estimators()

# The runner leaves these to the caller.
UNCALLED = [
    check
    for name, check in inspect.getmembers(estimator_checks, inspect.isfunction)
    if name.startswith("check_")
    and any(words in name for words in ("set_output", "feature_names", "column_names"))
]


def test_classes_and_checks_were_found():
    assert {"DCGANDiscriminatorFeatures", "NullSpaceProjector"} <= dict(ESTIMATORS).keys()
    assert len(UNCALLED) >= 7, [c.__name__ for c in UNCALLED]


@parametrize_with_checks([cls() for _, cls in ESTIMATORS])
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", UNCALLED, ids=lambda c: c.__name__)
@pytest.mark.parametrize(("name", "cls"), ESTIMATORS, ids=lambda v: v if isinstance(v, str) else "")
def test_checks_that_the_runner_leaves_out(name, cls, check):
    check(name, cls())
