"""A feature extractor trained on all samples, and a classifier trained on the labelled ones."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import _safe_indexing, check_consistent_length, get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import (
    _check_feature_names,
    _check_method_params,
    check_is_fitted,
)

from .. import LazyImages
from ..methods import ContrastiveDiscriminatorFeatures, DCGANDiscriminatorFeatures
from ..utils.available import available_if
from ..utils.checks import check_choice, check_transformer
from ..utils.docs import X_AS_IN_FIT, completed_by
from ..utils.labels import UNLABELLED, has_label_given, read_labels
from .parts import (
    check_codes,
    check_domains_known,
    check_weights,
    decode,
    fit_extractor,
    in_memory,
    labelled_rows,
    try_codes,
    weight_name,
)

X_AND_MORE = f"""{X_AS_IN_FIT}
**params : dict
    With scikit-learn's metadata routing, whatever the `transform` of the extractor requests."""


def _classifier_has(method: str):
    """For `available_if`: whether the classifier has this method."""

    def check(self) -> bool:
        getattr(self.classifier_ if hasattr(self, "classifier_") else self._parts()[1], method)
        return True

    return check


def _holds_images(X: Any) -> bool:
    return isinstance(X, LazyImages) or (X if hasattr(X, "ndim") else np.asarray(X)).ndim > 2


class FewLabelClassifier(ClassifierMixin, BaseEstimator):
    """Trains an extractor on all samples and a classifier on the labelled ones.

    A `Pipeline` trains its steps on the same samples, so with few labels its extractor would see
    few images, and a y with -1 would be learnt as a class. Here `fit` trains the extractor on all
    of X, without labels, and the classifier on the features of the samples that have a label.

    Labels are whole numbers or strings. -1 means unlabelled where at least two other classes are
    present; among strings, so do None, NaN and the number -1 (in a list, or an array of dtype
    object). With one other number, -1 is a class.

    Parameters
    ----------
    extractor : transformer or None, default=None
        A clone of it is fitted on all samples. It is given y only if it needs labels: skgan's
        classes then get all samples, with -1 for the unlabelled ones, others the labelled samples
        alone. A fitted extractor in `sklearn.frozen.FrozenEstimator` is used as it is. None means,
        for images, `ContrastiveDiscriminatorFeatures.from_preset("best", random_state=0)`, and for
        rows of a table `DCGANDiscriminatorFeatures(random_state=0)`.
    classifier : classifier or None, default=None
        A clone of it is fitted on features. None means
        `make_pipeline(StandardScaler(), LinearSVC(C=0.01, random_state=0))`.
    fit_on : {"labelled", "all"}, default="labelled"
        The samples whose features the classifier is fitted on. With "labelled" it gets their
        labels. "all" is for classifiers that take -1 as unlabelled themselves, such as
        `LabelSpreading`, `LabelPropagation` and `SelfTrainingClassifier`: it gets all samples,
        with the indices of `classes_` as labels and -1 for the unlabelled ones.

    Attributes
    ----------
    extractor_ : estimator
        The fitted extractor: the clone, or the frozen one itself.
    classifier_ : estimator
        The fitted classifier. With ``fit_on="all"`` its classes are the indices of `classes_`.
    classes_ : ndarray of shape (n_classes,)
        The labels, in order.
    transduction_ : ndarray of shape (n,)
        The labels that the classifier gives to the samples of `fit`, -1 where it gives none; only
        with ``fit_on="all"`` and a classifier that has such an attribute.
    n_features_in_ : int
        That of the extractor.
    feature_names_in_ : ndarray of str
        Names of the columns of X in `fit`, where it has names.

    Notes
    -----
    With ``fit_on="all"`` the classifier has seen the samples that it labels in `transduction_`.
    Their accuracy is transductive: report it apart from the accuracy on new samples.

    With scikit-learn's metadata routing, `fit`, `predict` and the other methods pass on what the
    `transform` of the extractor requests, such as the `sample_domain` of
    `DomainAdversarialFeatures`. If the extractor has ``norm_per_domain=True``, `fit` needs it.

    Use `LabelledFold` for cross-validation and searches: other splitters also test on unlabelled
    samples, which `score` leaves out.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.semi_supervised import FewLabelClassifier
    >>> X, digits = load_digits(return_X_y=True)
    >>> y = np.where(np.arange(len(X)) < 200, digits, -1)
    >>> gan = DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)
    >>> model = FewLabelClassifier(gan).fit(X, y)
    >>> model.predict(X[200:]).shape
    (1597,)
    """

    def __init__(self, extractor=None, classifier=None, *, fit_on="labelled"):
        self.extractor = extractor
        self.classifier = classifier
        self.fit_on = fit_on

    def fit(self, X, y=None, **fit_params):
        """Train the extractor on all samples and the classifier on those with a label.

        Parameters
        ----------
        X : array-like or LazyImages, of length n
            What the extractor's `fit` accepts. Paths, Datasets and other lazy sources are read as
            `LazyImages`, which are never decoded all at once.
        y : array-like of shape (n,)
            Labels of at least two classes, and what means unlabelled: see above.
        **fit_params : dict
            `sample_weight` of shape (n,), for the classifier. With scikit-learn's metadata
            routing, whatever the extractor and the classifier request.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Before any training, for parameters or labels that cannot work, for `sample_weight`
            with a classifier that takes none, and for an extractor with ``norm_per_domain=True``
            where `sample_domain` does not reach its `transform`.
        TypeError
            For other `fit_params` than `sample_weight`, without metadata routing.
        """
        check_choice("fit_on", self.fit_on, ("labelled", "all"))
        extractor, classifier = self._checked_parts()
        X, y = LazyImages.of(X), self._read_y(y)
        check_consistent_length(X, y)
        if self.extractor is None and _holds_images(X):
            extractor = ContrastiveDiscriminatorFeatures.from_preset("best", random_state=0)
        rows = labelled_rows(y)
        for_extractor, for_transform, for_classifier = self._share_out(classifier, X, fit_params)
        check_domains_known(extractor, for_transform)
        check_weights(y[rows], fit_params.get("sample_weight"), rows)
        if self.fit_on == "all":
            try_codes(classifier)

        X_rows = X if len(rows) == len(y) else _safe_indexing(X, rows)
        extractor = fit_extractor(extractor, X, y, X_rows, rows, for_extractor)
        classes, codes = np.unique(y[rows], return_inverse=True)
        if self.fit_on == "all":
            labels = np.full(len(y), UNLABELLED)
            labels[rows] = codes
            X_rows, rows = X, np.arange(len(y))
        else:
            labels = y[rows]
        own = _check_method_params(X, for_transform, indices=rows)
        features = in_memory(extractor.transform(X_rows, **own))
        weights = _check_method_params(X, for_classifier, indices=rows)
        classifier = clone(classifier).fit(features, labels, **weights)
        if self.fit_on == "all":
            check_codes(classifier)
        self._keep(X, extractor, classifier, classes)
        return self

    def _keep(self, X, extractor, classifier, classes) -> None:
        """Set the fitted attributes, once nothing can fail any more."""
        _check_feature_names(self, X, reset=True)
        for name in ("n_features_in_", "transduction_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        if hasattr(extractor, "n_features_in_"):
            self.n_features_in_ = extractor.n_features_in_
        self.extractor_, self.classifier_, self.classes_ = extractor, classifier, classes
        self._has_codes = self.fit_on == "all"
        if self._has_codes and hasattr(classifier, "transduction_"):
            self.transduction_ = decode(classifier.transduction_, classes)

    # ---------------------------------------------------------------- use

    @completed_by(X_AND_MORE)
    def predict(self, X, **params):
        """The class of every sample.

        Returns
        -------
        ndarray of shape (n,)
            Of the type that the labels had in `fit`.
        """
        features = self._features(X, "predict", params)
        predicted = self.classifier_.predict(features)
        return decode(predicted, self.classes_) if self._has_codes else predicted

    @available_if(_classifier_has("predict_proba"))
    @completed_by(X_AND_MORE)
    def predict_proba(self, X, **params):
        """The probability of every class; only where the classifier has it.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of `classes_`.
        """
        features = self._features(X, "predict_proba", params)
        return self.classifier_.predict_proba(features)

    @available_if(_classifier_has("decision_function"))
    @completed_by(X_AND_MORE)
    def decision_function(self, X, **params):
        """The classifier's scores; only where it has them.

        Returns
        -------
        ndarray of shape (n,) for two classes, otherwise (n, n_classes)
            In the order of `classes_`; float32 where the features are.
        """
        features = self._features(X, "decision_function", params)
        scores = self.classifier_.decision_function(features)
        # More digits would depend on how many samples are passed at once, as those of features do.
        is_single = getattr(features, "dtype", None) == np.float32
        return np.asarray(scores, np.float32) if is_single else scores

    @completed_by(X_AND_MORE)
    def score(self, X, y, sample_weight=None, **params):
        """Accuracy on the samples that have a label.

        Parameters
        ----------
        X : array-like, as in `fit`
        y : array-like of shape (n,)
            True labels. Unlabelled samples, as in `fit`, are left out; so are those with -1,
            unless that is one of `classes_`.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
            In [0, 1].
        """
        from sklearn.metrics import accuracy_score  # slow to import

        check_is_fitted(self)
        X, y = LazyImages.of(X), self._read_y(y)
        check_consistent_length(X, y, sample_weight)
        rows = np.flatnonzero(has_label_given(y, self.classes_))
        if not len(rows):
            raise ValueError("y has no labels: score needs samples that have one.")
        if len(rows) < len(y):
            params = _check_method_params(X, params, indices=rows)
            X, y = _safe_indexing(X, rows), y[rows]
            sample_weight = None if sample_weight is None else _safe_indexing(sample_weight, rows)
        return accuracy_score(y, self.predict(X, **params), sample_weight=sample_weight)

    def _features(self, X, method, params) -> Any:
        check_is_fitted(self)
        _check_feature_names(self, X, reset=False)
        given = {name: value for name, value in params.items() if value is not None}
        own = self._routed(method, given).extractor.transform if given else {}
        return in_memory(self.extractor_.transform(X, **own))

    # ---------------------------------------------------------------- the two parts

    def _parts(self) -> tuple[Any, Any]:
        """The extractor and the classifier, or what stands for None, with a table as X."""
        extractor, classifier = self.extractor, self.classifier
        if extractor is None:
            extractor = DCGANDiscriminatorFeatures(random_state=0)
        if classifier is None:
            classifier = make_pipeline(StandardScaler(), LinearSVC(C=0.01, random_state=0))
        return extractor, classifier

    def _checked_parts(self) -> tuple[Any, Any]:
        extractor, classifier = self._parts()
        check_transformer("extractor", extractor, instead=", or None")
        if isinstance(extractor, FrozenEstimator):
            check_is_fitted(extractor.estimator)
        able = all(hasattr(classifier, verb) for verb in ("fit", "predict", "get_params"))
        if not able or isinstance(classifier, type):
            raise ValueError(
                f"classifier={classifier!r} must be a scikit-learn classifier, that is, an "
                "instance with fit and predict, or None."
            )
        return extractor, classifier

    def _read_y(self, y) -> np.ndarray:
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        return read_labels("y", y, warn=True)

    def _share_out(self, classifier, X, given) -> tuple[dict[str, Any], ...]:
        """What of `fit_params` goes to extractor.fit, extractor.transform and classifier.fit."""
        given = {name: value for name, value in given.items() if value is not None}
        if given.keys() == {"sample_weight"} and not _routing_enabled():
            check_consistent_length(X, given["sample_weight"])
            return {}, {}, {weight_name(classifier): given["sample_weight"]}
        if not given:
            return {}, {}, {}
        routed = self._routed("fit", given)
        return routed.extractor.fit, routed.extractor.transform, routed.classifier.fit

    def _routed(self, method, given) -> Any:
        """What of the metadata `given` to a method goes to which method of which part."""
        if _routing_enabled():
            return process_routing(self, method, **given)
        unknown = min(given, key=lambda name: (name == "sample_weight", name))
        raise TypeError(
            f"{method} got {unknown!r}, which only metadata routing can pass on: call "
            "sklearn.set_config(enable_metadata_routing=True), and set_fit_request or "
            "set_transform_request of the part that it is for."
        )

    def get_metadata_routing(self):
        """Which metadata go where.

        Those of `fit` to the `fit` of both parts and the `transform` of the extractor; those of
        other methods to the `transform` of the extractor.

        Returns
        -------
        MetadataRouter
        """
        extractor, classifier = self._parts()
        if isinstance(extractor, FrozenEstimator):  # which itself requests nothing
            extractor = extractor.estimator
        of_classifier = MethodMapping().add(caller="fit", callee="fit")
        of_extractor = MethodMapping().add(caller="fit", callee="fit")
        for caller in ("fit", "predict", "predict_proba", "decision_function", "score"):
            of_extractor.add(caller=caller, callee="transform")
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(extractor=extractor, method_mapping=of_extractor)
        return router.add(classifier=classifier, method_mapping=of_classifier)

    def set_params(self, **params):
        """Set parameters, also those of both parts: `extractor__lr`, `classifier__C`.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a name that no parameter has, and for parameters of a part that is None.
        """
        for name in params:
            part, _, inner = name.partition("__")
            value = params.get(part, getattr(self, part, None))
            if inner and part in ("extractor", "classifier") and value is None:
                raise ValueError(
                    f"{name} cannot be set while {part} is None: pass an estimator as {part}."
                )
        return super().set_params(**params)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        outer, inner = map(get_tags, self._parts())
        tags.input_tags = outer.input_tags
        tags.non_deterministic = outer.non_deterministic or inner.non_deterministic
        if inner.classifier_tags is not None:
            tags.classifier_tags = inner.classifier_tags
        return tags
