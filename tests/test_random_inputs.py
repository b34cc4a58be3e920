"""Random estimators, parameters and data: finite features, or an error that says what is wrong."""

import random
import re
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from skgan import DCGANSpec, MLPSpec
from skgan.base import BaseGAN
from skgan.utils.discovery import all_estimators

GANS = [cls for _, cls in all_estimators() if issubclass(cls, BaseGAN)]
WORDS = re.compile(r"\w+")


def drawn_data(rng):
    """X and y of random kinds: mostly what works, sometimes what cannot."""
    draw, n = np.random.default_rng(rng.randrange(2**32)), rng.choice([2, 3, 16, 40, 70, 70])
    shape = rng.choice([
        (n, 64), (n, 64), (n, 5), (n, 1), (n, 8, 8), (n, 1, 8, 8), (n, 3, 8, 8), (n, 8, 8, 3),
        (n, 8, 9), (n, 13, 11), (n, 2, 9, 9), (n, 7, 7),
    ])  # fmt: skip
    X = draw.random(shape)
    usual = [
        lambda: X, lambda: (255 * X).astype(np.uint8), lambda: X.astype(np.float32) * 2 - 1,
        lambda: 1e6 * X, lambda: 1e-6 * X, lambda: (X > 0.5).astype(np.uint8),
        lambda: X.astype(np.float16), lambda: 1e4 + X, lambda: (1e5 * X).astype(np.int64),
        lambda: X.tolist(), lambda: X > 0.5,
    ]  # fmt: skip
    odd = [
        lambda: np.zeros(shape), lambda: np.full(shape, 7.0), lambda: 1e30 * X, lambda: 1e39 * X,
        lambda: 1e-310 * X, lambda: np.where(X > 0.99, np.nan, X), lambda: X.astype(object),
        lambda: np.where(X > 0.99, -9999.0, X),
    ]  # fmt: skip
    X = rng.choice(usual if rng.random() < 0.8 else odd)()
    y = draw.integers(0, rng.choice([1, 2, 3, 10]), n)
    y = rng.choice([
        lambda: y, lambda: np.where(np.arange(n) % 3 == 0, -1, y), lambda: y.astype(str),
        lambda: y.astype(float), lambda: y.tolist(), lambda: None,
    ])()  # fmt: skip
    return X, y


def drawn_value(rng, name, default):
    """A value of a parameter: of its kind, and often at the end of what is allowed."""
    if name in ("generator", "discriminator", "encoder", "classifier", "trunk"):
        return rng.choice([DCGANSpec(4), MLPSpec(8), "auto", "mlp", "dcgan", DCGANSpec(6)])
    if isinstance(default, bool):
        return rng.random() < 0.5
    if name in ("n_epochs", "checkpoint_dir", "device", "verbose", "warm_start", "resume"):
        return default
    if isinstance(default, int):
        return rng.choice([1, 2, 3, 5, default, 0])
    if isinstance(default, float):
        return rng.choice([default, 0.0, 1.0, 0.5, 10 * default, default / 10, 100.0])
    if isinstance(default, str) or default is None:
        return rng.choice([
            default, None, "batch", "none", "spectral", "weight", "all", "learnt", "linear", "l1",
            "auto", "simultaneous", "alternating", "layers", 1, 2, "normal", "uniform", "mean",
        ])  # fmt: skip
    return default


def drawn_estimator(rng):
    """An estimator with a few parameters that are not its defaults; and their names."""
    cls = rng.choice(GANS)
    default = cls().get_params(deep=False)
    small = {
        role: rng.choice(["auto", DCGANSpec(4), MLPSpec(8)])
        for role in ("generator", "discriminator", "encoder", "classifier", "trunk")
    }
    small |= {"latent_dim": 4, "n_epochs": rng.choice([0, 1, 1, 2]), "random_state": 0}
    small |= {"image_shape": rng.choice([None, None, None, (8, 8)]), "device": "cpu"}
    chosen = {k: v for k, v in small.items() if k in default}
    changed = rng.sample(sorted(default), rng.choice([0, 0, 1, 1, 2]))
    chosen |= {name: drawn_value(rng, name, default[name]) for name in changed}
    if "n_epochs" in changed:
        chosen["n_epochs"] = 1
    return cls(**chosen)


def outcome(seed):
    """ "fit", "error", or what went wrong."""
    rng = random.Random(seed)
    est, (X, y) = drawn_estimator(rng), drawn_data(rng)
    shown = f"seed {seed}: {est!r} on {type(X).__name__}{np.shape(X)}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            features = clone(est).fit(X, y).transform(X)
    except (ValueError, TypeError) as error:
        known = {*est.get_params(), "X", "y", "row", "column", "sample", "class", "classes"}
        known |= {"width", "channels", "strides", "n_blocks", "n_layers", "DCGANSpec", "NaN"}
        named = known & set(WORDS.findall(str(error)))
        return "error" if named else f"{shown}: an error that names nothing: {error}"
    except FloatingPointError as error:
        return "diverged" if "lower the learning rate" in str(error) else f"{shown}: {error}"
    except Exception as error:
        return f"{shown}: {type(error).__name__}: {error}"
    good = features.shape[0] == len(X) and np.isfinite(features).all()
    return "fit" if good else f"{shown}: features that are not finite"


def outcomes(seeds):
    found = [outcome(seed) for seed in seeds]
    wrong = [text for text in found if text not in ("fit", "error", "diverged")]
    assert not wrong, "\n".join(wrong)
    return found


def test_random_inputs():
    found = outcomes(range(80))
    assert min(found.count("fit"), found.count("error")) > 10  # both are tried


@pytest.mark.slow
def test_many_random_inputs():
    found = outcomes(range(1000, 4000))
    assert found.count("diverged") < 30
