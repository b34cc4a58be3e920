"""Lists all public estimators, for tests and documentation."""

import importlib
import importlib.util
import inspect

from sklearn.base import BaseEstimator

PUBLIC_MODULES = (
    "skgan",
    "skgan.methods",
    "skgan.callbacks",
    "skgan.datasets",
    "skgan.evaluation",
    "skgan.inspection",
    "skgan.semi_supervised",
    "skgan.tools",
)


def all_estimators() -> list[tuple[str, type[BaseEstimator]]]:
    """List the public estimators of skgan.

    Returns
    -------
    estimators : list of (name, class)
        Every concrete `BaseEstimator` with a `fit` method in the ``__all__`` of a public module
        of skgan, once each, sorted by name. Network specs have no `fit` and are left out.

    Raises
    ------
    AttributeError
        If a public module has no ``__all__``, or lacks a name that is in it.
    """
    found = {}
    for module_name in PUBLIC_MODULES:
        # Checked first, so that an ImportError inside an existing module is not hidden.
        if importlib.util.find_spec(module_name) is None:
            continue
        module = importlib.import_module(module_name)
        for name in module.__all__:
            item = getattr(module, name)
            if _is_estimator(item):
                found[item.__name__] = item
    return sorted(found.items())


def _is_estimator(item: object) -> bool:
    return (
        inspect.isclass(item)
        and issubclass(item, BaseEstimator)
        and not inspect.isabstract(item)
        and hasattr(item, "fit")
    )
