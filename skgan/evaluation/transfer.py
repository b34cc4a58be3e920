"""From sources to targets: how far domains are apart, and a score that needs no target labels."""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import (
    _safe_indexing,
    check_array,
    check_consistent_length,
)
from sklearn.utils.metadata_routing import (
    MetadataRequest,
    _routing_enabled,
    get_routing_for_object,
)

from ..utils.checks import check_number, random_state_of
from ..utils.domains import read_domains
from ..utils.labels import UNLABELLED, has_label, has_label_given, read_labels


def proxy_a_distance(
    Z, sample_domain, *, C=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0), max_samples=4000, random_state=0
):
    """How well a linear classifier tells the domains of features: the proxy A-distance.

    As many samples of sources as of targets are pooled and halved. Linear SVMs with each `C` are
    fitted to one half, on columns that are standardised by it, and tested on the other. With e the
    lowest of their errors the distance is 2 (1 - 2 e), as in Ganin et al. 2016 (arXiv 1505.07818).

    Parameters
    ----------
    Z : array-like of shape (n, n_features)
        Features, such as those of an extractor's `transform`.
    sample_domain : array-like of int of shape (n,)
        Above 0 for samples of sources, below 0 for those of targets.
    C : sequence of float, default=(1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)
        Inverse strengths of the SVMs' regularisation.
    max_samples : int, default=4000
        Most samples that are used, half of them of each side.
    random_state : int, RandomState or None, default=0
        Determines which samples are used, and the halves.

    Returns
    -------
    float
        About 0 where domains cannot be told, or a little below; 2 where they always can. It grows
        with the number of features: compare features of the same width only.

    Raises
    ------
    ValueError
        For bad arguments, and where sources or targets have fewer than 4 samples.

    Examples
    --------
    >>> import numpy as np
    >>> from skgan.evaluation import proxy_a_distance
    >>> Z = np.random.default_rng(0).normal(size=(400, 3))
    >>> domain = np.where(np.arange(400) < 200, 1, -1)
    >>> proxy_a_distance(Z + 5 * domain[:, None], domain)
    2.0
    """
    Z = check_array(Z, dtype=(np.float64, np.float32))
    found = read_domains(Z, sample_domain)
    check_number("max_samples", max_samples, low=8, integer=True)
    strengths = list(C) if np.ndim(C) == 1 else [C]
    for value in strengths or [None]:
        check_number("C", value, low=0, open_low=True)
    sides = [np.flatnonzero(found > 0), np.flatnonzero(found < 0)]
    n = min(max_samples // 2, *map(len, sides))
    if n < 4:
        raise ValueError(
            f"sample_domain has {len(sides[0])} samples of sources and {len(sides[1])} of targets: "
            "at least 4 of each are needed, with numbers above 0 and below 0."
        )
    rng = random_state_of(random_state)
    halves = [np.array_split(rng.permutation(rows)[:n], 2) for rows in sides]
    train, test = (np.concatenate(half) for half in zip(*halves, strict=True))
    errors = []
    for value in strengths:
        svm = make_pipeline(StandardScaler(), LinearSVC(C=value, random_state=0))
        with warnings.catch_warnings():  # a separating plane is good enough for the question
            warnings.simplefilter("ignore", ConvergenceWarning)
            svm.fit(Z[train], found[train] > 0)
        errors.append(np.mean(svm.predict(Z[test]) != (found[test] > 0)))
    return float(2 * (1 - 2 * min(errors)))


class ReverseValidation:
    """A scorer for choosing parameters of classifiers that are to work on a target without labels.

    The classifier names the classes of targets that it has not seen. A clone of it then learns the
    way back: from these targets, with those classes, to the sources, without their labels. The
    score is the clone's accuracy on sources whose labels are known (Zhong et al. 2010; Ganin et al.
    2016). No label of a target is read.

    It is passed as `scoring=` to `GridSearchCV`, `cross_val_score` and their like, for estimators
    that take samples with y=-1 as those of the target where they get no `sample_domain`:
    `DomainAdversarialFeatures`, and pipelines that end in it. All domains above 0 count as one
    source, and all below 0 as one target.

    Notes
    -----
    What the domains are reaches the scorer in one of two ways:

    - With ``sklearn.set_config(enable_metadata_routing=True)`` the `sample_domain` that the `fit`
      of a search is given goes to the estimator and to this scorer. Where the `predict` of the
      estimator takes it, too, each target is named by its own batch norm (`norm_per_domain`).
    - Without it a scorer gets X and y alone. Mark the samples of targets by y=-1, and leave
      `sample_domain` out.

    Splitters that stratify, the default for classifiers, read y: write -1 there for targets even
    where `sample_domain` is given, or use a splitter that does not, such as
    ``KFold(2, shuffle=True)``. With labels that are strings use the latter: splitters that
    stratify fail for an array of strings with the number -1 or None among them.

    The paper's reverse classifier learns from the targets of the training part, and starts from the
    weights of the first one. A scorer is given the part that is held out, so here it learns from
    that part's targets, from new weights. So that part should be large: take 2 or 3 folds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skgan import DomainAdversarialFeatures
    >>> from skgan.evaluation import ReverseValidation
    >>> X, y = make_moons(200, noise=0.05, random_state=0)
    >>> both = np.concatenate([X, X @ [[0.8, 0.6], [-0.6, 0.8]]])
    >>> labels = np.concatenate([y, np.full(200, -1)])
    >>> dann = DomainAdversarialFeatures(n_epochs=2, random_state=0)
    >>> grid = {"domain_weight": [0.1, 1.0]}
    >>> search = GridSearchCV(dann, grid, scoring=ReverseValidation(), cv=2).fit(both, labels)
    >>> len(search.cv_results_["mean_test_score"])
    2
    """

    def __call__(self, estimator, X, y, sample_domain=None):
        """The accuracy of the way back.

        Parameters
        ----------
        estimator : classifier
            Fitted; it is not changed.
        X : array-like of length n
            Samples of sources and targets that it was not fitted on.
        y : array-like of shape (n,)
            Labels of the samples of sources, -1 for those without; of targets, anything.
        sample_domain : array-like of int of shape (n,), default=None
            Above 0 for sources, below 0 for targets. None: samples with y=-1 are the target.

        Returns
        -------
        float
            In [0, 1].

        Raises
        ------
        ValueError
            Where there is no target, or no source with a label.
        """
        check_consistent_length(X, y)
        target = self._is_target(estimator, X, y, sample_domain)
        source = np.flatnonzero(~target)
        labels = read_labels("y", _safe_indexing(y, source) if len(source) else [])
        known = _has_label(estimator, labels)
        if not known.any() or not target.any():
            raise ValueError(
                f"y has {known.sum()} labels of sources, and there are {target.sum()} samples of "
                "targets: reverse validation needs both. Mark targets by y=-1; or pass "
                "sample_domain, and switch metadata routing on "
                "(sklearn.set_config(enable_metadata_routing=True)) so that it gets here."
            )
        known_domains = {}
        if sample_domain is not None and _takes_domains(estimator):
            known_domains["sample_domain"] = read_domains(X, sample_domain)[target]
        to_guess = _safe_indexing(X, np.flatnonzero(target))
        guessed = np.asarray(estimator.predict(to_guess, **known_domains))
        classes, codes = np.unique(guessed, return_inverse=True)
        if len(classes) == 1:  # there is nothing to learn from
            return float(np.mean(labels[known] == classes[0]))
        backwards = np.full(len(target), UNLABELLED)
        backwards[target] = codes
        twin = clone(estimator).set_params(**_weights_of_codes(estimator, classes.tolist()))
        twin.fit(X, backwards)
        returned = classes[twin.predict(_safe_indexing(X, source[known]))]
        return float(np.mean(labels[known] == returned))

    def _is_target(self, estimator: Any, X: Any, y: Any, sample_domain: Any) -> np.ndarray:
        if sample_domain is not None:
            return read_domains(X, sample_domain) < 0
        return ~_has_label(estimator, read_labels("y", y))

    def get_metadata_routing(self):
        """What the scorer asks for where metadata routing is on: `sample_domain`.

        Returns
        -------
        MetadataRequest
        """
        request = MetadataRequest(owner=self)
        request.score.add_request(param="sample_domain", alias=True)
        return request

    def __repr__(self):
        return "ReverseValidation()"


def _weights_of_codes(estimator: Any, classes: list[Any]) -> dict[str, Any]:
    """The dicts among its `class_weight`s, with the place in `classes` for the label."""
    return {
        name: {k: value[label] for k, label in enumerate(classes) if label in value}
        for name, value in estimator.get_params().items()
        if name.split("__")[-1] == "class_weight" and isinstance(value, Mapping)
    }


def _takes_domains(estimator: Any) -> bool:
    """Whether `predict` takes `sample_domain`, or passes it on to a step that does."""
    if "sample_domain" in inspect.signature(estimator.predict).parameters:
        return True
    if not _routing_enabled():
        return False
    routing = get_routing_for_object(estimator)
    return bool(routing.consumes(method="predict", params=["sample_domain"]))


def _has_label(estimator: Any, labels: np.ndarray) -> np.ndarray:
    """Whether each label is a class, as the estimator has learnt them where it says so."""
    classes = getattr(estimator, "classes_", None)
    return has_label(labels) if classes is None else has_label_given(labels, np.asarray(classes))
