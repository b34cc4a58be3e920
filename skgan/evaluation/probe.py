"""The protocol of DCGAN and ALI: a simple classifier on frozen features and few labels.

Radford et al. (2016), "Unsupervised representation learning with deep convolutional generative
adversarial networks", section 5, and Dumoulin et al. (2017), "Adversarially learned inference",
section 4.3. An accuracy by itself says little of training: raw pixels, principal components and
the same network untrained are therefore judged next to it, with the same rows and the same care.
"""

import time
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import (
    _safe_indexing,
    check_consistent_length,
    check_random_state,
    column_or_1d,
    get_tags,
)

from .. import LazyImages
from ..utils.checks import check_choice, check_flag, check_number
from ..utils.labels import classes_among
from .classifiers import SCALINGS, count_folds, make_recipe
from .leaks import Watch
from .protocol import Protocol, draw_labels
from .representations import (
    BASELINES,
    check_extractors,
    extract,
    fit_without_labels,
    in_parts,
    make_baselines,
    with_dtype,
)
from .result import ProbeResult
from .splits import check_labels


def probe(
    extractors: Any,
    X: Any,
    y: Any,
    X_test: Any,
    y_test: Any,
    *,
    n_labels: Any = (10, 100),
    n_draws: int = 10,
    classifier: Any = "svm",
    param_grid: Any = None,
    baselines: Any = BASELINES,
    selection: str = "draw",
    selection_rows: int = 10_000,
    scaling: Any = SCALINGS,
    control: bool = False,
    on_leak: str = "raise",
    random_state: Any = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> ProbeResult:
    """Judge features by the accuracy of a simple classifier on few labelled rows.

    Every extractor is fitted once, on all rows of X and without labels. Then, for every budget and
    draw, a classifier is trained on the features of the drawn rows and scored on the test part.
    All representations see the same draws, so that they can be compared pair by pair, and get the
    same treatment: scaling and hyper-parameters are chosen for each by cross-validation within the
    labelled rows of a draw, over the same candidates.

    Parameters
    ----------
    extractors : estimator, or dict of str to estimator
        Transformers, pipelines included; one by itself is named "trained". Each is cloned and
        fitted as ``fit(X)``, or used as it is if wrapped in `sklearn.frozen.FrozenEstimator`.
        A `random_state` of None is replaced by an integer.
    X : array-like of n rows
        Training images, in any shape that the extractors take.
    y : array-like of shape (n,)
        Their classes. Only the labels of drawn rows are used. -1 means unlabelled where at least
        two other classes are present: extractors and baselines are fitted on such rows as well,
        and no draw has them.
    X_test, y_test : array-like
        The test part, rows and classes, fixed over all draws.
    n_labels : int, "all", or sequence of them, default=(10, 100)
        The budgets: labelled rows per class. "all" is every labelled training row, once.
    n_draws : int, default=10
        Draws per budget, at least 1.
    classifier : {"svm", "logistic", "knn"} or classifier, default="svm"
        "svm" is `LinearSVC` (squared hinge, one against the rest: the L2-SVM of both papers) and
        "logistic" is `LogisticRegression`, both with C from 1e-4 to 1; "knn" takes the nearest
        1, 3, 5 or 9 rows. A scikit-learn classifier of your own is cloned for every fit.
    param_grid : dict or list of dict, default=None
        The candidates, as in `sklearn.model_selection.ParameterGrid`. By default those named
        above, or the parameters of your own classifier as they are.
    baselines : sequence of {"raw", "pca", "untrained"}, default=("raw", "pca", "untrained")
        "raw" is the flattened pixels, divided by their largest absolute value. "pca" is principal
        components of these, as many as the first extractor has features, or 64 where that would
        not reduce them. "untrained" is every extractor with its `n_epochs` set to 0, also within
        a pipeline or a `FrozenEstimator`; one without `n_epochs`, or whose fit needs labels, has
        none. All are fitted on all rows of X, which "raw" and "pca" hold in memory, `LazyImages`
        too.
    selection : {"draw", "first"}, default="draw"
        Choose scaling and hyper-parameters anew on every draw, or once per representation and
        budget on the first draw, which is quicker.
    selection_rows : int, default=10_000
        A choice is made on at most this many labelled rows, drawn in equal numbers per class.
    scaling : sequence of {"none", "standard"}, default=("none", "standard")
        What to choose from: features as they are, or standardised by the labelled rows.
    control : bool, default=False
        Also fit every classifier with the draw's labels permuted. See the notes. Such labels take
        the SVM much longer than true ones.
    on_leak : {"raise", "warn", "ignore"}, default="raise"
        What to do when a check for leaks finds something; the last two write it to the result's
        `warnings`. The control comes last and never raises. See the notes.
    random_state : int, RandomState or None, default=0
        Fixes draws, folds, baselines and what it replaces in the extractors.
    n_jobs : int, default=None
        Processes for the classifiers' fits, as in joblib. Extractors are fitted one by one.
    verbose : int, default=0
        Above 0, print a line per representation.

    Returns
    -------
    result : ProbeResult
        ``print(result)`` shows a table.

    Raises
    ------
    ValueError
        For a bad parameter, classes too small for a budget, test classes that are not in y, rows
        with NaN or infinity (but where no baseline reads pixels and every extractor allows NaN),
        and, with ``on_leak="raise"``, a leak.

    Notes
    -----
    Checked for leaks, always:

    - No label is passed to the `fit` of an extractor or a baseline; `ProbeResult.fit_rows` has the
      number of rows that were.
    - Test rows that are, value for value, also training rows. Near duplicates are not seen.
    - An extractor with the labels among its constructor parameters. Labels inside another object
      are not seen.
    - Features that depend on the other rows or on a row's place: `transform` is called again on
      some test rows in another order. This finds labels that are looked up by row number, batch
      normalisation left in training mode, and a `transform` that is not deterministic.

    With ``control=True``, accuracy with permuted labels must be at chance. It is higher if the
    classifier gets at the true labels in another way than through its training rows. It can't tell
    whether *features* contain labels: whatever the features are, what a classifier learns from
    permuted labels is at chance.

    No check can see what a frozen extractor was fitted on, the test rows or their labels included,
    nor labels that an extractor reads from elsewhere while it is fitted.

    Training with "all" on thousands of features takes the SVM long: ``classifier="logistic"``
    is quicker there.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.random_projection import GaussianRandomProjection
    >>> from skgan.evaluation import probe
    >>> X, y = load_digits(return_X_y=True)
    >>> extractor = GaussianRandomProjection(n_components=20)
    >>> result = probe(extractor, X[:1000], y[:1000], X[1000:], y[1000:], n_labels=10, n_draws=3)
    >>> result.representations
    ['trained', 'raw', 'pca']
    """
    seed = int((rng := check_random_state(random_state)).randint(2**31 - 1))
    check_number("n_draws", n_draws, low=1, integer=True)
    check_choice("selection", selection, ("draw", "first"))
    check_choice("on_leak", on_leak, ("raise", "warn", "ignore"))
    check_flag("control", control)
    _check_n_jobs(n_jobs)
    baselines = _several("baselines", baselines, BASELINES)
    named = check_extractors(extractors, baselines)
    X, y, X_test, y_test = _check_data(X, y, X_test, y_test)
    if {"raw", "pca"} & {*baselines} or not all(map(_allows_nan, named.values())):
        _check_finite(X=X, X_test=X_test)
    protocol = Protocol(
        y=y, y_test=y_test, recipe=make_recipe(classifier, param_grid, seed, len(classes_among(y))),
        draws=draw_labels(y, _check_budgets(n_labels), n_draws, selection_rows, rng),
        scalings=_several("scaling", scaling, SCALINGS, at_least=1),
        choose_once=selection == "first", control=bool(control), n_jobs=n_jobs,
    )  # fmt: skip
    _check_choosable(protocol)
    watch = Watch(on_leak)
    watch.before_fit(named, X, y, X_test, y_test)
    judge = partial(
        _judge, X=X, X_test=X_test, protocol=protocol, watch=watch, seed=seed, verbose=verbose
    )
    judged = {name: judge(name, estimator) for name, estimator in named.items()}
    reference = next(iter(named))
    width = judged[reference][0][0]["n_features"]
    for name, estimator in make_baselines(baselines, named, width, X, seed):
        judged[name] = judge(name, estimator)

    records = [record for found, _ in judged.values() for record in found]
    fit_rows = {name: n_rows for name, (_, n_rows) in judged.items()}
    settings = {
        "n_draws": n_draws, "selection": selection, "selection_rows": selection_rows,
        "random_state": random_state,
    } | protocol.settings  # fmt: skip
    result = ProbeResult(records, fit_rows, reference, settings, watch.found)
    if control:
        watch.after_control(result.summary("control_accuracy"), settings)
    return result


def _judge(
    name: str, estimator: Any, *, X: Any, X_test: Any, protocol: Protocol, watch: Watch,
    seed: int, verbose: int,
) -> tuple[list[dict[str, Any]], int | None]:  # fmt: skip
    """The records of one representation, and the number of rows that its fit saw."""
    started = time.perf_counter()
    fitted, n_rows = fit_without_labels(estimator, X, seed)
    train = extract(name, fitted, _safe_indexing(X, protocol.rows))
    test = extract(name, fitted, X_test)
    watch.after_fit(name, fitted, X_test, test, seed)
    ready = time.perf_counter()
    records = [{"representation": name} | record for record in protocol.judge(train, test)]
    if verbose:
        spent = f"{ready - started:.1f} s, judged in {time.perf_counter() - ready:.1f} s"
        print(f"probe: {train.shape[1]} features of {name!r} made in {spent}", flush=True)
    return records, n_rows


def _check_data(
    X: Any, y: Any, X_test: Any, y_test: Any
) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    X, X_test = LazyImages.of(X), LazyImages.of(X_test)
    check_consistent_length(X, y)
    check_consistent_length(X_test, y_test)
    y, y_test = check_labels("y", y), column_or_1d(y_test)
    row, row_test = np.shape(X)[1:], np.shape(X_test)[1:]
    if row != row_test:
        raise ValueError(
            f"X has rows of shape {row} and X_test of shape {row_test}; bring them into one shape."
        )
    unknown = np.setdiff1d(y_test, classes_among(y)).tolist()
    if unknown:
        raise ValueError(
            f"y_test has the class {unknown[0]!r}, which y has not; take its rows out of "
            "the test part, or add some to the training part."
        )
    return X, y, X_test, y_test


def _allows_nan(extractor: Any) -> bool:
    """A pipeline's own tag does not tell: what its first step takes, it takes."""
    while isinstance(extractor, (Pipeline, FrozenEstimator)):
        frozen = isinstance(extractor, FrozenEstimator)
        extractor = extractor.estimator if frozen else extractor.steps[0][1]
    return not hasattr(extractor, "fit") or get_tags(extractor).input_tags.allow_nan


def _check_finite(**parts: Any) -> None:
    """Raise for rows that `transform` would refuse, after all of the training."""
    for name, X in parts.items():
        if with_dtype(X).dtype.kind != "f":
            continue
        for start, rows in in_parts(X):
            good = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
            if not good.all():
                raise ValueError(
                    f"row {start + good.argmin()} of {name} contains NaN or infinity: leave out "
                    "or repair it."
                )


def _check_n_jobs(n_jobs: Any) -> None:
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ValueError(f"n_jobs={n_jobs!r} must be a whole number but 0, or None.")


def _check_budgets(n_labels: Any) -> list[int | str]:
    several = [] if n_labels is None or np.isscalar(n_labels) else list(n_labels)
    given: list[Any] = [n_labels] if np.isscalar(n_labels) else several
    if not given or len(set(given)) < len(given):
        raise ValueError(f"n_labels={n_labels!r} must be budgets that differ, such as (10, 'all').")
    for budget in given:
        if budget != "all":
            check_number("n_labels", budget, low=1, integer=True, instead="'all'")
    return [budget if budget == "all" else int(budget) for budget in given]


def _several(name: str, given: Any, choices: tuple[str, ...], at_least: int = 0) -> tuple[str, ...]:
    """The values given, one by one or together; None is none of them."""
    values: tuple[Any, ...] = ()
    if given is not None:
        values = (given,) if np.isscalar(given) else tuple(given)
    for value in values:
        check_choice(name, value, choices)
    if len(values) < at_least or len(set(values)) < len(values):
        raise ValueError(f"{name}={given!r} must be one or several of {choices}, each once.")
    return values


def _check_choosable(protocol: Protocol) -> None:
    """Raise if some draw has too few rows to choose between candidates on them."""
    n_candidates = len(protocol.recipe.grid) * len(protocol.scalings)
    for draw in protocol.draws if n_candidates > 1 else ():
        names, counts = np.unique(protocol.y[draw.rows], return_counts=True)
        if counts.min() < 2:
            name = names.tolist()[counts.argmin()]
            raise ValueError(
                f"n_labels={draw.budget!r} leaves one row of class {name!r}, too few to choose "
                f"among {n_candidates} candidates by cross-validation; use at least 2 rows per "
                "class, or a param_grid and a scaling of one candidate."
            )
    neighbours = [params.get("n_neighbors", 1) for params in protocol.recipe.grid]
    for draw in protocol.draws if protocol.recipe.name == "knn" else ():
        n_folds = count_folds(protocol.y[draw.search_rows])
        learnt_from = len(draw.search_rows) * (n_folds - 1) // n_folds
        n_rows = len(draw.rows) if n_candidates == 1 else learnt_from
        if min(neighbours) > n_rows:
            raise ValueError(
                f"param_grid has no n_neighbors below {min(neighbours)}, but with "
                f"n_labels={draw.budget!r} there are {n_rows} rows to learn from: try fewer."
            )
