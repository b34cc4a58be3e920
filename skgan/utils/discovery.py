"""Finds every public estimator, for tests and documentation."""

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
    "skgan.tools",
)


def all_estimators() -> list[tuple[str, type[BaseEstimator]]]:
    """List the public estimators of skgan.

    Returns
    -------
    estimators : list of (name, class)
        Every concrete `BaseEstimator` with a `fit` method that a public module of skgan names in
        its ``__all__``, once each, sorted by name. Specs of networks have no `fit` and are left
        out.

    Raises
    ------
    AttributeError
        If a public module has no ``__all__``, or names there what it does not hold.
    """
    found = {}
    for module_name in PUBLIC_MODULES:
        # Asked first, so that an import error inside a module that exists is not swallowed.
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
