"""Every parameter of every class with values that cannot work: an error that names it, or a fit."""

import inspect
import signal
import threading
import warnings
from dataclasses import fields

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from skgan import DCGANDiscriminatorFeatures, DCGANSpec, MLPSpec
from skgan.utils.discovery import all_estimators

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGALRM"), reason="a value that hangs is stopped by a signal"
)
CLASSES = dict(all_estimators())
SHORT = [
    None, True, -1, 1.5, float("nan"), float("inf"), 10**30, "x", [], object(), np.uint8(200),
    np.array([1, 2]), lambda: 0, (2**31, 2**31),
]  # fmt: skip
LONG = [
    *SHORT, False, 0, 1, 2, 0.5, -0.5, 1e308, 1e-308, 2**31, 2**63, -(2**31), "", "auto", b"x", {},
    (), np.int8(-1), np.float32(1.5), np.float16(2), 1j, np.array(1), np.array(["a"]),
    torch.tensor(1.0), int, set(), range(3), (None,), ("a", "b"), [1, "a"], (0, 0), np.bool_(True),
    (np.nan, np.nan), "1", {"a": 1}, [[1]],
]  # fmt: skip
# Numbers that only say how long to work, or where to write.
HOW_LONG = {
    "n_epochs", "n_steps", "checkpoint_dir", "generator_steps", "n_critic", "n_adversary_steps",
    "encoder_steps",
}  # fmt: skip
# The largest networks that are allowed take minutes to build.
AT_MOST = 30  # seconds


class TrainedError(Exception):
    pass


@pytest.fixture(scope="module")
def samples():
    X, y = load_digits(return_X_y=True)
    return X[:40], y[:40] % 3


@pytest.fixture(autouse=True)
def in_time(tmp_path, monkeypatch):
    """A value that hangs is a failure, not the end of all; folders that are named are made here."""
    monkeypatch.chdir(tmp_path)
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise TimeoutError(f"it works for more than {AT_MOST} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def no_training(monkeypatch):
    def trained(*_args):
        raise TrainedError

    monkeypatch.setattr("skgan.training.train", trained)


def made(cls):
    """A small estimator of this class, on images of 8x8."""
    spec = DCGANSpec(4)
    chosen = {
        **dict.fromkeys(("generator", "discriminator", "encoder", "classifier", "trunk"), spec),
        "latent_dim": 4, "n_epochs": 1, "batch_size": 20, "random_state": 0, "n_steps": 2,
        "image_shape": (8, 8), "device": "cpu",
    }  # fmt: skip
    if "domain_code" in cls().get_params():
        chosen["domain_code"] = "encoder"
    if cls.__name__ == "FewLabelClassifier":
        chosen["classifier"] = None
    known = cls().get_params(deep=False)
    if "gan" in known:
        chosen |= {"gan": made(DCGANDiscriminatorFeatures), "encoder": "auto"}
    return cls(**{k: v for k, v in chosen.items() if k in known})


def own(cls):
    """The parameters that this class declares, or one above it that is no class of the list."""
    above = {
        name for base in cls.__mro__[1:] if base in set(CLASSES.values())
        for name in base().get_params(deep=False)
    }  # fmt: skip
    return [name for name in cls().get_params(deep=False) if name not in above]


def outcome(est, name, value, samples):
    """ "fitted", "trained", "named", or what else came of it."""
    signal.setitimer(signal.ITIMER_REAL, AT_MOST)
    try:
        X, y = samples
        domains = {"sample_domain": np.where(np.arange(len(y)) % 2, 1, -1)}
        given = domains if "sample_domain" in inspect.signature(est.fit).parameters else {}
        est.set_params(**{name: value}).fit(X, y, **given)
    except TrainedError:
        return "trained"
    except (ValueError, TypeError) as error:
        words = str(error)
        return "named" if name.split("__")[-1] in words else words
    except FloatingPointError:
        return "diverged"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "fitted"


SEEN: set[tuple[str, type]] = set()
OWN = []
for _name, _cls in CLASSES.items():
    for _parameter in own(_cls):
        # What several classes have from the same group is checked by the same code.
        _owner = next(
            (c for c in reversed(_cls.__mro__) if _parameter in vars(c).get("__annotations__", {})),
            _cls,
        )
        if (_parameter, _owner) not in SEEN:
            SEEN.add((_parameter, _owner))
            OWN.append((_cls, _parameter))


@pytest.mark.parametrize(("cls", "name"), OWN, ids=lambda v: getattr(v, "__name__", v))
def test_values_that_cannot_work_are_named(cls, name, samples, no_training):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {repr(v): outcome(made(cls), name, v, samples) for v in SHORT}
    wrong = {k: v for k, v in found.items() if v not in ("named", "trained", "fitted")}
    assert not wrong
    assert "named" in found.values() or name in ANYTHING


# Of these, each of the values means something, or is left to what they are passed on to.
ANYTHING = {"score_func", "callbacks"}
SPECS = [
    (spec, f.name)
    for spec in (DCGANSpec, MLPSpec)
    for f in fields(spec)
]  # fmt: skip


@pytest.mark.parametrize("role", ["generator", "discriminator"])
@pytest.mark.parametrize(("spec", "name"), SPECS, ids=lambda v: getattr(v, "__name__", v))
def test_settings_of_networks_that_cannot_work_are_named(role, spec, name, samples, no_training):
    found = {}
    for value in SHORT:
        est = made(DCGANDiscriminatorFeatures).set_params(**{role: spec()})
        found[repr(value)] = outcome(est, f"{role}__{name}", value, samples)
    wrong = {k: v for k, v in found.items() if v not in ("named", "trained")}
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize(("cls", "name"), OWN, ids=lambda v: getattr(v, "__name__", v))
def test_a_fit_with_finite_features_or_an_error_that_names_it(cls, name, samples, monkeypatch):
    """All values; what reaches training is trained, and only numbers beyond reason diverge."""

    def trained(*_args):
        raise TrainedError

    wrong = {}
    for value in LONG:
        est = made(cls)
        with warnings.catch_warnings(), monkeypatch.context() as patch:
            warnings.simplefilter("ignore")
            patch.setattr("skgan.training.train", trained)
            found = outcome(est, name, value, samples)
        if found not in ("named", "trained", "fitted"):
            wrong[repr(value)] = found
        if found not in ("trained", "fitted") or name in HOW_LONG:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = outcome(est, name, value, samples)
        if found == "diverged" and (name.endswith("lr") or name == "temperature"):
            continue
        if found == "named" and callable(value):  # tried when it is first needed
            continue
        if found != "fitted":
            wrong[repr(value)] = f"in training: {found}"
            continue
        use = getattr(est, "transform", getattr(est, "predict", None))
        out = np.asarray(use(samples[0]))
        if out.dtype.kind == "f" and not np.isfinite(out).all():
            wrong[repr(value)] = "features that are not finite"
    assert not wrong
