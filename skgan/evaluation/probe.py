"""The protocol of DCGAN and ALI: a simple classifier on frozen features with few labels.

Radford et al. (2016), "Unsupervised representation learning with deep convolutional generative
adversarial networks", section 5, and Dumoulin et al. (2017), "Adversarially learned inference",
section 4.3. An accuracy alone does not show what training contributed, so raw pixels, principal
components and the same network untrained are evaluated with the same samples and settings.
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
    column_or_1d,
    get_tags,
)

from .. import LazyImages
from ..utils.checks import (
    check_choice,
    check_finite,
    check_flag,
    check_number,
    check_same_columns,
    random_state_of,
)
from ..utils.labels import check_labels, classes_among
from .baselines import BASELINES, check_extractors, choose_baselines, make_baselines
from .classifiers import SCALINGS, count_folds, make_recipe
from .leaks import Watch
from .protocol import Protocol, draw_labels
from .representations import extract, fit_without_labels, in_parts, with_dtype
from .result import ProbeResult
from .splits import check_test_classes


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
    baselines: Any = "auto",
    selection: str = "draw",
    selection_rows: int = 10_000,
    scaling: Any = SCALINGS,
    control: bool = False,
    on_leak: str = "raise",
    random_state: Any = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> ProbeResult:
    """Judge features by the accuracy of a simple classifier on few labelled samples.

    Every extractor is fitted once, on all of X and without labels. Then, for every label budget
    and draw, a classifier is trained on the features of the drawn samples and scored on the test
    part. All representations use the same draws, so that differences are paired. For each of
    them, scaling and hyper-parameters are chosen among the same candidates, by cross-validation
    within the labelled samples of a draw.

    Parameters
    ----------
    extractors : estimator, or dict of str to estimator
        Transformers or pipelines by name; a single one is named "trained". Each is cloned and
        fitted with ``fit(X)``, or used as it is if wrapped in `sklearn.frozen.FrozenEstimator`.
        A `random_state` of None is replaced by an integer.
    X : array-like of length n
        Training images, in any shape that the extractors accept.
    y : array-like of shape (n,)
        Their classes. Only the labels of drawn samples are used. -1 means unlabelled where at
        least two other classes are present, and so do None and NaN among strings: extractors and
        baselines are fitted on such samples too, but no draw contains them.
    X_test, y_test : array-like
        Images and classes of the test part, the same for all draws.
    n_labels : int, "all", or sequence of them, default=(10, 100)
        The budgets: labelled samples per class. "all" uses every labelled training sample, once.
    n_draws : int, default=10
        Draws per budget, at least 1.
    classifier : {"svm", "logistic", "knn"} or classifier, default="svm"
        "svm" is `LinearSVC` (squared hinge, one versus rest: the L2-SVM of both papers) and
        "logistic" is `LogisticRegression`, both with C from 1e-4 to 1; "knn" uses the nearest
        1, 3, 5 or 9 samples. Any other scikit-learn classifier is cloned for every fit.
    param_grid : dict or list of dict, default=None
        The candidates, as in `sklearn.model_selection.ParameterGrid`. By default those named
        above; any other classifier keeps its parameters.
    baselines : str or sequence of str, default="auto"
        "auto", or some of "raw", "pca", "untrained", "patches" and "scattering".
        "raw" is the flattened pixels, divided by their largest absolute value. "pca" is principal
        components of these, as many as the first extractor has features, or 64 where that would
        not reduce them. "untrained" is every extractor with its `n_epochs` set to 0, also within
        a pipeline or a `FrozenEstimator`; extractors without `n_epochs` are left out. One whose
        fit needs labels gets the classes in turn as labels, which say nothing about the samples.
        "patches" is `skgan.tools.RandomPatchFeatures`, and "scattering" the scattering transform
        (Bruna and Mallat 2013) by kymatio, an optional dependency, ``skgan[scattering]``; both
        are for images of at least 8x8 pixels. Where X is 2-D, their shape is the `image_shape` or
        `input_shape_` of the first extractor, or of a part of it. All are fitted on all of X,
        which "raw" and "pca" hold in memory, `LazyImages` too. "auto" is "raw", "pca" and
        "untrained", and "patches" for images of known shape; for tables, and where an extractor
        has the name "patches", that is left out. ``("auto", "scattering")`` adds to these.
    selection : {"draw", "first"}, default="draw"
        Choose scaling and hyper-parameters on every draw, or once per representation and budget
        on the first draw, which is faster.
    selection_rows : int, default=10_000
        Each choice uses at most this many labelled samples, the same number from each class.
    scaling : sequence of {"none", "standard"}, default=("none", "standard")
        The choices: features as they are, or standardised by the labelled samples.
    control : bool, default=False
        Also fit every classifier with the draw's labels permuted. See the notes. The SVM takes
        much longer with such labels.
    on_leak : {"raise", "warn", "ignore"}, default="raise"
        What to do when a check for leaks finds something; "warn" and "ignore" record it in the
        result's `warnings`. The control runs last and never raises. See the notes.
    random_state : int, RandomState or None, default=0
        Determines draws, folds, baselines, and the seed of extractors whose `random_state` is None.
    n_jobs : int, default=None
        Processes for the classifiers' fits, as in joblib. Extractors are fitted one by one.
    verbose : int, default=0
        If above 0, print one line per representation.

    Returns
    -------
    result : ProbeResult
        ``print(result)`` shows a table.

    Raises
    ------
    ValueError
        If a parameter is out of range, a class is too small for a budget, y_test has a class that
        is not in y, samples contain NaN or infinity (unless "raw" and "pca" are left out and every
        extractor allows NaN), or, with ``on_leak="raise"``, a leak is found.

    Notes
    -----
    No label is passed to the `fit` of an extractor or a baseline; `ProbeResult.fit_rows` holds how
    many samples were. These leaks are always checked for:

    - Test samples that are exactly equal to training samples. Near duplicates are not found.
    - Labels among an extractor's constructor parameters. Labels inside another object are not
      found.
    - Features that depend on the other samples or on a sample's position: `transform` is called
      again on some test samples in another order. This finds labels looked up by position, batch
      normalisation left in training mode, and a `transform` that is not deterministic.
    - Frozen extractors that change: a digest of all arrays and tensors that they hold is taken
      before and after. `ProbeResult.digests` holds both, as proof that nothing was trained.

    With ``control=True``, the accuracy with permuted labels must be at chance. It is higher if the
    classifier obtains true labels from anywhere but its training samples. It cannot show that
    *features* contain labels: from permuted labels no classifier learns more than chance.

    No check can find out what a frozen extractor was fitted on, test samples and their labels
    included, nor which labels an extractor reads from elsewhere during `fit`.

    With "all" labels and thousands of features, such as the 8,192 of "patches", the SVM is slow;
    ``classifier="logistic"`` is faster.

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
    seed = int((rng := random_state_of(random_state)).randint(2**31 - 1))
    _check_settings(n_draws, selection, on_leak, control, n_jobs)
    baselines = _several("baselines", baselines, ("auto", *BASELINES))
    named = check_extractors(extractors, baselines)
    X, y, X_test, y_test = _check_data(X, y, X_test, y_test)
    baselines = choose_baselines(baselines, named, X)
    if {*baselines} - {"untrained"} or not all(map(_allows_nan, named.values())):
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
    for name, estimator in make_baselines(baselines, named, width, X, y, seed):
        judged[name] = judge(name, estimator)

    kept = watch.after_use(named)
    records = [record for found, _ in judged.values() for record in found]
    fit_rows = {name: n_rows for name, (_, n_rows) in judged.items()}
    settings = {
        "n_draws": n_draws, "selection": selection, "selection_rows": selection_rows,
        "random_state": random_state,
    } | protocol.settings  # fmt: skip
    result = ProbeResult(records, fit_rows, reference, settings, watch.found, kept)
    if control:
        watch.after_control(result.summary("control_accuracy"), settings)
    return result


def _judge(
    name: str, estimator: Any, *, X: Any, X_test: Any, protocol: Protocol, watch: Watch,
    seed: int, verbose: int,
) -> tuple[list[dict[str, Any]], int | None]:  # fmt: skip
    """The records of one representation, and the number of samples that it was fitted on."""
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
            f"X has samples of shape {row} and X_test of shape {row_test}; they must be equal."
        )
    check_same_columns("X", X, "X_test", X_test)
    check_test_classes(y_test, classes_among(y))
    return X, y, X_test, y_test


def _allows_nan(extractor: Any) -> bool:
    """Whether `fit` accepts NaN; a pipeline accepts what its first step does, whatever its tag."""
    while isinstance(extractor, (Pipeline, FrozenEstimator)):
        frozen = isinstance(extractor, FrozenEstimator)
        extractor = extractor.estimator if frozen else extractor.steps[0][1]
    return not hasattr(extractor, "fit") or get_tags(extractor).input_tags.allow_nan


def _check_finite(**parts: Any) -> None:
    """Raise before training for samples that `transform` would refuse after it."""
    for name, X in parts.items():
        if with_dtype(X).dtype.kind != "f":
            continue
        for start, rows in in_parts(X):
            check_finite(name, rows, range(start, start + len(rows)))


def _check_settings(n_draws: Any, selection: Any, on_leak: Any, control: Any, n_jobs: Any) -> None:
    check_number("n_draws", n_draws, low=1, integer=True)
    check_choice("selection", selection, ("draw", "first"))
    check_choice("on_leak", on_leak, ("raise", "warn", "ignore"))
    check_flag("control", control)
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise ValueError(f"n_jobs={n_jobs!r} must be a whole number other than 0, or None.")


def _check_budgets(n_labels: Any) -> list[int | str]:
    several = [] if n_labels is None or np.isscalar(n_labels) else list(n_labels)
    given: list[Any] = [n_labels] if np.isscalar(n_labels) else several
    if not given or len(set(given)) < len(given):
        raise ValueError(f"n_labels={n_labels!r} must be distinct budgets, such as (10, 'all').")
    for budget in given:
        if budget != "all":
            check_number("n_labels", budget, low=1, integer=True, instead="'all'")
    return [budget if budget == "all" else int(budget) for budget in given]


def _several(name: str, given: Any, choices: tuple[str, ...], at_least: int = 0) -> tuple[str, ...]:
    """The values as a tuple; a single one may be passed by itself, and None means none."""
    values: tuple[Any, ...] = ()
    if given is not None:
        values = (given,) if np.isscalar(given) else tuple(given)
    for value in values:
        check_choice(name, value, choices)
    if len(values) < at_least or len(set(values)) < len(values):
        raise ValueError(f"{name}={given!r} must be one or several of {choices}, without repeats.")
    return values


def _check_choosable(protocol: Protocol) -> None:
    """Raise if a draw has too few samples for a choice among the candidates."""
    n_candidates = len(protocol.recipe.grid) * len(protocol.scalings)
    for draw in protocol.draws if n_candidates > 1 else ():
        names, counts = np.unique(protocol.y[draw.rows], return_counts=True)
        if counts.min() < 2:
            name = names.tolist()[counts.argmin()]
            raise ValueError(
                f"n_labels={draw.budget!r} leaves one sample of class {name!r}, too few to choose "
                f"among {n_candidates} candidates by cross-validation; use at least 2 samples per "
                "class, or a param_grid and a scaling with a single candidate."
            )
    neighbours = [params.get("n_neighbors", 1) for params in protocol.recipe.grid]
    for draw in protocol.draws if protocol.recipe.name == "knn" else ():
        n_folds = count_folds(protocol.y[draw.search_rows])
        learnt_from = len(draw.search_rows) * (n_folds - 1) // n_folds
        n_rows = len(draw.rows) if n_candidates == 1 else learnt_from
        if min(neighbours) > n_rows:
            raise ValueError(
                f"param_grid has no n_neighbors below {min(neighbours)}, but with "
                f"n_labels={draw.budget!r} there are {n_rows} training samples; use fewer."
            )
