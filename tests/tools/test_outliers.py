"""GANOutlierDetector: thresholds, scores, and digits that were never seen."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    ContrastiveDiscriminatorFeatures,
    DCGANDiscriminatorFeatures,
    MGANExtractor,
    MLPSpec,
    SupervisedFeatures,
)
from skgan.tools import GANOutlierDetector, NullSpaceProjector, RandomPatchFeatures

DIGITS, LABELS = load_digits(return_X_y=True)
SMALL = {"image_shape": (8, 8), "random_state": 0, "device": "cpu"}
DENSE = {"encoder": MLPSpec(64), "generator": MLPSpec(64)}


@pytest.fixture(scope="module")
def autoencoder():
    return AutoencoderFeatures(**SMALL, **DENSE, latent_dim=10, n_epochs=15).fit(DIGITS[LABELS < 5])


def test_digits_that_were_never_seen_are_told_and_more_training_helps(autoencoder):
    usual, other = DIGITS[LABELS < 5], DIGITS[LABELS >= 5]
    X, y = np.concatenate([usual, other]), np.repeat([1, 0], [len(usual), len(other)])
    aucs = {}
    for n in (0, 15):
        gan = clone(autoencoder).set_params(n_epochs=n)
        detector = GANOutlierDetector(gan, contamination=0.05).fit(usual)
        aucs[n] = roc_auc_score(y, detector.decision_function(X))
        assert np.mean(detector.predict(usual) == -1) == pytest.approx(0.05, abs=0.003)
    assert aucs[15] > 0.9 and aucs[15] > aucs[0] + 0.1, aucs


def test_the_threshold_is_a_quantile_or_three_deviations_below_the_median(autoencoder):
    X = DIGITS[LABELS < 5]
    scores = autoencoder.score_samples(X).astype(float)
    frozen = FrozenEstimator(autoencoder)
    for share in (0.01, 0.5):
        detector = GANOutlierDetector(frozen, contamination=share).fit(X)
        assert detector.offset_ == pytest.approx(np.percentile(scores, 100 * share))
        assert np.mean(detector.predict(X) == -1) == pytest.approx(share, abs=0.003)
    detector = GANOutlierDetector(frozen).fit(X)
    spread = 1.4826 * np.median(np.abs(scores - np.median(scores)))
    assert detector.offset_ == pytest.approx(np.median(scores) - 3 * spread)
    assert detector.gan_ is autoencoder
    np.testing.assert_allclose(detector.score_samples(X), scores)
    np.testing.assert_allclose(detector.decision_function(X), scores - detector.offset_)
    noise = np.random.default_rng(0).uniform(0, 16, (50, 64))
    assert np.mean(detector.predict(noise) == -1) > 5 * np.mean(detector.predict(X) == -1)


def test_auto_takes_the_density_ratio_where_there_is_one():
    X = DIGITS[:200]
    dense = {"generator": MLPSpec(8), "discriminator": MLPSpec(8), "n_epochs": 1, **SMALL}
    cases = {
        "density_ratio": [
            DCGANDiscriminatorFeatures(**dense), MGANExtractor(**dense),
            BiGANEncoder(encoder=MLPSpec(8), **dense),
        ],
        "score_samples": [
            DCGANDiscriminatorFeatures(loss="hinge", **dense),
            AutoencoderFeatures(**SMALL, **DENSE, n_epochs=1),
        ],
    }  # fmt: skip
    for name, estimators in cases.items():
        for gan in estimators:
            detector = GANOutlierDetector(gan).fit(X)
            assert detector.score_func_ == name, gan
            found = detector.score_samples(X)
            if name == "density_ratio":
                np.testing.assert_allclose(found, -np.log(detector.gan_.density_ratio(X)))
            else:
                np.testing.assert_allclose(found, detector.gan_.score_samples(X))
    by_error = GANOutlierDetector(cases["density_ratio"][2], score_func="score_samples").fit(X)
    np.testing.assert_allclose(by_error.score_samples(X), by_error.gan_.score_samples(X))


def brightness(estimator, X):
    return -np.asarray(X).mean(1)


def test_a_callable_scores_and_pickles(autoencoder):
    detector = GANOutlierDetector(FrozenEstimator(autoencoder), score_func=brightness).fit(DIGITS)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_allclose(again.score_samples(DIGITS[:9]), -DIGITS[:9].mean(1))


def test_scoring_by_roc_auc_works_in_a_search():
    usual = (LABELS < 5).astype(int)
    X, y = DIGITS[:600], usual[:600]
    gan = AutoencoderFeatures(**SMALL, encoder=MLPSpec(16), generator=MLPSpec(16), n_epochs=1)
    search = GridSearchCV(
        GANOutlierDetector(gan), {"gan__lr": [1e-4, 1e-3]}, scoring="roc_auc", cv=2
    )
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score_func": "auc"}, "score_func='auc'"),
        ({"contamination": 0}, "contamination=0"),
        ({"contamination": 0.6}, "contamination=0.6"),
        ({"contamination": "a"}, "contamination='a'"),
        ({"gan": NullSpaceProjector()}, "has no density_ratio and no score_samples"),
        ({"gan": RandomPatchFeatures(), "score_func": "score_samples"}, "has no score_samples"),
        ({"gan": DCGANDiscriminatorFeatures(loss="hinge"), "score_func": "density_ratio"},
         "has no density_ratio"),
        ({"score_func": lambda e, X: np.full(len(X), np.nan)}, "NaN"),
        ({"score_func": lambda e, X: np.zeros((len(X), 2))}, "one number for each sample"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(change, message, autoencoder):
    detector = GANOutlierDetector(FrozenEstimator(autoencoder)).set_params(**change)
    with pytest.raises(ValueError, match=message):
        detector.fit(DIGITS)
    assert not hasattr(detector, "gan_")


def test_use_before_fit():
    with pytest.raises(NotFittedError):
        GANOutlierDetector().predict(DIGITS)
    with pytest.raises(NotFittedError):
        GANOutlierDetector(FrozenEstimator(SupervisedFeatures())).fit(DIGITS)
    assert not hasattr(ContrastiveDiscriminatorFeatures(), "decision_function")
