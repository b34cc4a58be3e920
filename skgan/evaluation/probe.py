"""The protocol of DCGAN and ALI: a simple classifier on frozen features and few labels.

Radford et al. (2016), "Unsupervised representation learning with deep convolutional generative
adversarial networks", section 5, and Dumoulin et al. (2017), "Adversarially learned inference",
section 4.2. An accuracy by itself says little of training: raw pixels, principal components and
the same network untrained are therefore judged next to it, with the same rows and the same care.
"""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing, check_consistent_length, check_random_state
from sklearn.utils.parallel import Parallel, delayed

from ..utils.checks import check_choice, check_number
from . import leaks
from .classifiers import (
    SCALINGS,
    Choice,
    Recipe,
    folds,
    make_recipe,
    score_candidates,
    score_choice,
)
from .representations import (
    BASELINES,
    check_extractors,
    extract,
    fit_without_labels,
    make_baselines,
)
from .result import ProbeResult
from .splits import check_class_sizes, check_labels, draw_balanced


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
        Their classes. Only the labels of drawn rows are used.
    X_test, y_test : array-like
        The test part, rows and classes, fixed over all draws.
    n_labels : int, "all", or sequence of them, default=(10, 100)
        The budgets: labelled rows per class. "all" is every training row, once.
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
        a pipeline; extractors without `n_epochs` have none. All are fitted on all rows of X.
    selection : {"draw", "first"}, default="draw"
        Choose scaling and hyper-parameters anew on every draw, or once per representation and
        budget on the first draw, which is quicker.
    selection_rows : int, default=10_000
        A choice is made on at most this many labelled rows, drawn in equal numbers per class.
    scaling : sequence of {"none", "standard"}, default=("none", "standard")
        What to choose from: features as they are, or standardised by the labelled rows.
    control : bool, default=False
        Also fit every classifier with the draw's labels permuted. See the notes.
    on_leak : {"raise", "warn", "ignore"}, default="raise"
        What to do when a check for leaks finds something. See the notes.
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
        For a bad parameter, classes too small for a budget, test classes that are not in y, and,
        with ``on_leak="raise"``, a leak.

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
    classifier gets at the true labels by another way than its training rows. It can't tell whether
    *features* contain labels: what a classifier learns from permuted labels is at chance with any
    features.

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
    rng = check_random_state(random_state)
    seed = int(rng.randint(2**31 - 1))
    named = check_extractors(extractors)
    check_consistent_length(X, y)
    check_consistent_length(X_test, y_test)
    plan = _Plan(
        y=check_labels("y", y),
        y_test=check_labels("y_test", y_test),
        recipe=make_recipe(classifier, param_grid, seed),
        scalings=_several("scaling", scaling, SCALINGS),
        selection=selection,
        n_jobs=n_jobs,
        control=bool(control),
        on_leak=on_leak,
    )
    check_choice("selection", selection, ("draw", "first"))
    check_choice("on_leak", on_leak, ("raise", "warn", "ignore"))
    baselines = _several("baselines", baselines, BASELINES, may_be_empty=True)
    plan.draw_labels(_budgets(n_labels), n_draws, selection_rows, rng)
    plan.check_data(named, X, X_test)

    records: list[dict[str, Any]] = []
    fit_rows: dict[str, int | None] = {}

    def judge(name: str, estimator: Any) -> None:
        started = time.perf_counter()
        fitted, fit_rows[name] = fit_without_labels(estimator, X, seed)
        train = extract(name, fitted, _safe_indexing(X, plan.used))
        test = extract(name, fitted, X_test)
        plan.check_order(name, fitted, X_test, test, seed)
        ready = time.perf_counter()
        records.extend(plan.judge(name, train, test))
        if verbose:
            spent = f"{ready - started:.1f} s, probed in {time.perf_counter() - ready:.1f} s"
            print(f"probe: {name!r} has {train.shape[1]} features, made in {spent}", flush=True)

    for name, estimator in named.items():
        judge(name, estimator)
    width = records[0]["n_features"]
    for name, estimator in make_baselines(baselines, named, width, X, seed):
        judge(name, estimator)

    settings = {
        "classifier": plan.recipe.name, "n_labels": plan.budgets, "n_draws": n_draws,
        "selection": selection, "selection_rows": selection_rows, "scaling": plan.scalings,
        "param_grid": list(plan.recipe.grid), "baselines": baselines, "random_state": random_state,
        "n_train": len(plan.y), "n_test": len(plan.y_test), "n_classes": len(np.unique(plan.y)),
        "chance": plan.chance,
    }  # fmt: skip
    result = ProbeResult(records, fit_rows, next(iter(named)), settings, plan.found)
