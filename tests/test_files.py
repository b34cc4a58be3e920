"""Files: what `write` keeps, `read` gives back, and neither trusts anyone."""

import builtins
import copy
import importlib.util
import inspect
import json
import math
import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from torch import nn

import skgan
from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    MLPSpec,
    persistence,
)
from skgan.nn import DCGANDiscriminator
from skgan.persistence import pack, read, seal, unpack, unseal, write

CLASSES = {name: getattr(skgan, name) for name in skgan.methods.__all__}
GOLDEN = Path(__file__).parent / "golden"
HOWTO = Path(__file__).parents[1] / "docs" / "guide" / "files.md"
BUILDERS = {
    "images": {"image_shape": (8, 8)},
    "channels-last": {"data_format": "channels_last"},
    "spectral": {"image_shape": [8, 8], "norm": "spectral", "loss": "hinge"},
    "ema": {"image_shape": (8, 8), "ema_decay": 0.9, "bn_stats": "running"},
    "head": {"image_shape": (8, 8), "layers": -1, "pool_grid": None},
    "table": {
        "generator": MLPSpec(8, bn_eps=0.1),
        "discriminator": MLPSpec(8, bn_eps=0.1),
        "lr": np.float32(1e-3),
    },
    "bigan": {"cls": BiGANEncoder, "image_shape": (8, 8), "unary": True, "categories": (3,)},
    "autoencoder": {"cls": AutoencoderFeatures, "image_shape": (8, 8), "output": "latent"},
}
FITTED = {}  # by kind, once


@pytest.fixture(params=BUILDERS)
def original(request, small, digits):
    """A fitted estimator, straight from `fit` and not to be changed, and rows for it."""
    X, _ = digits
    if request.param == "channels-last":
        X = (X * 15).reshape(-1, 8, 8, 1).astype(np.uint8)
    if request.param not in FITTED:
        FITTED[request.param] = small(n_epochs=1, **BUILDERS[request.param]).fit(X)
    return FITTED[request.param], X[:20]


@pytest.fixture
def fitted(original):
    """The same, to be changed."""
    return copy.deepcopy(original[0]), original[1]


@pytest.fixture
def gan(small, digits):
    """A fitted estimator, for tests to which its kind does not matter."""
    if "gan" not in FITTED:
        FITTED["gan"] = small(image_shape=(8, 8), n_epochs=1).fit(digits[0])
    return copy.deepcopy(FITTED["gan"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gan.safetensors"


def roles(estimator):
    return [f"{role}_" for role in estimator._roles]


def again(estimator, path):
    write(path, estimator)
    return read(path, CLASSES)


def document(path):
    return unseal(path)[0]


def tamper(path, change):
    """Write the file anew, with what `change(document, tensors)` makes of its content.

    Its digest is right.
    """
    described, tensors = unseal(path)
    change(described, tensors)
    path.write_bytes(seal(described, tensors))


def plain(parameters):
    """Parameters to compare: specs compare by identity, and nan never equals itself."""
    return {
        k: (type(v), str(v) if hasattr(v, "get_params") or v != v else v)
        for k, v in parameters.items()
    }


# ------------------------------------------------------------------ round trips


def test_everything_comes_back_to_the_bit(original, path):
    est, X = original
    other = again(est, path)
    assert type(other) is type(est)
    assert plain(other.get_params()) == plain(est.get_params())
    assert np.array_equal(other.transform(X), est.transform(X))
    assert hasattr(other, "sample") == hasattr(est, "sample")
    if hasattr(est, "sample"):
        assert np.array_equal(other.sample(3, 0), est.sample(3, 0))
    assert np.array_equal(other.score_samples(X), est.score_samples(X))
    assert list(other.get_feature_names_out()) == list(est.get_feature_names_out())
    assert hasattr(other, "head_weight_") == hasattr(est, "head_weight_")
    if hasattr(est, "head_weight_"):
        assert np.array_equal(other.head_weight_, est.head_weight_)
    assert vars(other).keys() == vars(est).keys()
    for name in vars(est).keys() - {"_format", *roles(est), *est.get_params()}:
        assert vars(other)[name] == vars(est)[name], name
        assert type(vars(other)[name]) is type(vars(est)[name]), name


def test_networks_come_back_as_fit_leaves_them(original, path):
    est, _ = original
    other = again(est, path)
    for role in roles(est):
        net = getattr(other, role)
        assert not any(m.training for m in net.modules())
        assert all(p.requires_grad and p.device.type == "cpu" for p in net.parameters())
        for copied in (net, unpack(pack(getattr(est, role)))):
            pairs = zip(getattr(est, role).state_dict().values(), copied.state_dict().values(),
                        strict=True)  # fmt: skip
            for a, b in pairs:
                assert torch.equal(a, b) and a.dtype == b.dtype
                assert b.ndim < 4 or b.is_contiguous(memory_format=torch.channels_last)


def test_what_comes_back_lives_on(fitted, path):
    """It is cloned, pickled, written and fitted as the estimator itself would be."""
    est, X = fitted
    other = again(est, path)
    expected = est.transform(X)
    assert np.array_equal(pickle.loads(pickle.dumps(other)).transform(X), expected)
    first = path.read_bytes()
    write(path, other)
    assert path.read_bytes() == first
    assert not hasattr(clone(other), "generator_")
    assert np.array_equal(other.fit(X).transform(X), est.fit(X).transform(X))


def test_training_can_go_on(small, digits, path):
    X, _ = digits
    est = small(image_shape=(8, 8), n_epochs=1, warm_start=True).fit(X)
    other = again(est, path)
    assert other._training == est._training
    whole = small(image_shape=(8, 8), n_epochs=2).fit(X)
    assert np.array_equal(other.set_params(n_epochs=2).fit(X).transform(X), whole.transform(X))


def test_names_and_output_of_a_frame(small, digits, path):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(digits[0][:, 20:26], columns=list("abcdef"))
    est = small(generator=MLPSpec(8), discriminator=MLPSpec(8), n_epochs=0).fit(X)
    est.set_output(transform="pandas")
    other = again(est, path)
    assert other.feature_names_in_.dtype == object
    assert list(other.feature_names_in_) == list("abcdef")
    pandas.testing.assert_frame_equal(other.transform(X), est.transform(X))
    with pytest.raises(ValueError, match="feature names should match"):
        other.transform(X.rename(columns={"a": "z"}))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(10**30), 0.1, 1e-320, math.nan, math.inf, -math.inf, "", "\xe9\n\ud800",
        (), (8, 8), (1, (2, [3, ()])), [0, -1], {"a": (1, 2.0)}, {1: "x", (2, 3): None},
        {"!": "tuple"}, {"!": None}, np.float32(0.1), np.float64(math.nan), np.int64(3),
        np.bool_(True), np.str_("ab"), np.uint8(255), torch.device("cuda:1"),
        Path("a", "b"), b"\x00\xff", b"",
    ],
    ids=repr,
)  # fmt: skip
def test_plain_values_keep_value_and_type(value, small, path):
    back = again(small(verbose=value), path).verbose
    assert type(back) is type(value) and repr(back) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3), np.array(2.5), np.zeros((0, 2), np.int8),
        np.asfortranarray(np.eye(3)), np.arange(9)[::-2], np.array([1, 2], ">i4"),
        np.array([True, False]), np.array(["a", "bc"]), np.array(["a", "bc"], dtype=object),
    ],
    ids=repr,
)  # fmt: skip
def test_arrays_keep_value_and_type(value, small, path):
    back = again(small(verbose=value), path).verbose
    assert back.dtype == value.dtype.newbyteorder("=")
    assert back.shape == value.shape and np.array_equal(back, value)
    assert type(back) is np.ndarray and back.flags.writeable


def test_specs_keep_their_settings(small, path):
    spec = DCGANSpec(channels=(2, 4), strides=[1, 2], kernel_size=np.int64(3))
    est = small(generator=spec, discriminator=[MLPSpec("auto", n_layers=3)])
    other = again(est, path)
    assert type(other.generator) is DCGANSpec and other.generator is not spec
    assert plain(other.generator.get_params()) == plain(spec.get_params())
    assert other.discriminator[0].get_params() == MLPSpec("auto", n_layers=3).get_params()


def test_an_estimator_that_is_not_fitted(small, path):
    other = again(small(), path)
    assert plain(other.get_params()) == plain(small().get_params())
    assert not hasattr(other, "generator_")


def test_callbacks_are_left_out(gan, path):
    live = {"_skl_callbacks": [print], "_callback_fit_ctx": print, "_parent_callback_ctx": print}
    vars(gan).update(live)
    assert not live.keys() & vars(again(gan, path)).keys()


def test_a_file_describes_itself(gan, path):
    write(path, gan)
    described = document(path)
    assert described["format_version"] == 2
    assert described["class"] == "DCGANDiscriminatorFeatures"
    assert described["versions"].keys() == {"skgan", "torch", "scikit-learn", "numpy"}
    assert described["versions"]["skgan"] == skgan.__version__
    with safe_open(path, framework="pt") as file:
        whole = json.loads(file.metadata()["skgan"])
    assert {k: v for k, v in whole.items() if k != "sha256"} == described
    assert len(whole["sha256"]) == 64
    weights = sum(t.numel() * t.element_size() for t in load_file(path).values())
    assert path.stat().st_size < weights + 10_000


# ------------------------------------------------------------------ what a file cannot hold


class Ours(DCGANSpec):
    """A spec of a user's own."""

    def __init__(self):
        super().__init__()


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("generator", nn.Linear(2, 2), "DCGANSpec(width=64)"),
        ("discriminator", DCGANDiscriminator((1, 8, 8), (2,), (2,)), "DCGANSpec(width=64)"),
        ("generator", lambda **k: None, "DCGANSpec(width=64)"),
        ("generator", Ours(), "specs of skgan"),
        ("random_state", np.random.RandomState(0), "pass an int"),
        ("random_state", np.random.default_rng(0), "pass an int"),
        ("layers", range(2), "tuples, lists"),
        ("layers", [0, {1}], "tuples, lists"),
        ("verbose", np.datetime64("2020-01-01"), "numbers"),
        ("verbose", np.longdouble(1), "numbers"),
        ("verbose", np.array([None, "a"]), "arrays"),
        ("verbose", np.ma.masked_array([1]), "arrays"),
    ],
    ids=lambda v: str(v)[:20],
)  # fmt: skip
def test_other_values_are_refused_before_anything_is_written(name, value, fix, gan, tmp_path):
    gan.set_params(**{name: value})
    with pytest.raises(TypeError, match=f"^{name}.*=.*cannot be kept.*joblib") as caught:
        write(tmp_path / "gan", gan)
    assert fix in str(caught.value)
    assert len(str(caught.value)) < 400
    assert os.listdir(tmp_path) == []


def test_nested_values_are_named(small, path):
    with pytest.raises(TypeError, match=r"^generator__channels\[1\]=<object"):
        write(path, small(generator=DCGANSpec(channels=(2, object()))))


def test_a_network_of_the_users_own_is_refused(gan, path):
    gan.generator_ = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"^generator_=Linear.*joblib"):
        write(path, gan)


def test_attributes_that_no_class_declares_are_refused_when_they_are_written(gan, tmp_path):
    for name, value in (("note", "mine"), ("n_epochs_", "two"), ("__array_interface__", {})):
        other = copy.deepcopy(gan)
        setattr(other, name, value)
        with pytest.raises(TypeError, match=f"{name}.*load would refuse.*joblib"):
            write(tmp_path / "gan", other)
    del gan.discriminator_
    with pytest.raises(TypeError, match="'discriminator_': a fit with _roles="):
        write(tmp_path / "gan", gan)
    assert os.listdir(tmp_path) == []


class Mine(DCGANDiscriminatorFeatures):
    """A user's own class, which load could not make."""


def test_a_class_of_the_users_own_is_refused_when_it_is_written(small, path):
    with pytest.raises(TypeError, match="^Mine is a class of your own.*joblib.dump"):
        small(Mine).save(path)
    assert not Path(path).exists()


# ------------------------------------------------------------------ writing


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_fails_midway_leaves_the_old_file(call, error, gan, path, monkeypatch):
    write(path, gan)
    before = path.read_bytes()

    def fail(*_args):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        write(path, gan.set_params(verbose=1))
    monkeypatch.undo()
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
    assert read(path, CLASSES).verbose == 0


def test_a_file_is_replaced_while_its_estimator_is_in_use(gan, digits, path):
    expected = gan.transform(digits[0])
    other = again(gan, path)
    write(path, gan.set_params(verbose=1))
    path.write_bytes(b"")  # cut in place: weights that were mapped to the file would fault
    assert np.array_equal(other.transform(digits[0]), expected)


def test_paths(gan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert again(gan, "gan.safetensors").n_steps_ == gan.n_steps_
    if os.name == "posix":
        os.symlink("gan.safetensors", "link")
        write("link", gan.set_params(verbose=1))
        assert os.path.islink("link") and read("gan.safetensors", CLASSES).verbose == 1
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write("nowhere/gan", gan)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read("nowhere", CLASSES)


class OnGpu(torch.Tensor):
    """Stands in for a tensor in the memory of a GPU, which no machine of these tests has.

    It says that it is on one, and like there, only `cpu` leads to the values.
    """

    moved = []
    device = property(lambda self: torch.device("cuda:0"))

    def cpu(self):
        self.moved.append(tuple(self.shape))
        return self.as_subclass(torch.Tensor).clone()

    def unreachable(self, *_args):
        raise TypeError("can't convert cuda:0 device type tensor to numpy.")

    numpy = data_ptr = untyped_storage = unreachable


@pytest.mark.parametrize("way", ["write", "pickle"])
def test_written_on_a_gpu_and_opened_on_a_cpu(way, fitted, path, monkeypatch):
    """Every tensor is moved before it is written; what is read never asks for the GPU.

    A safetensors file has no devices in it, so only the writing side needs the stub.
    """
    est, X = fitted
    expected = est.transform(X)
    est.set_params(device="cuda:0")
    state_dict = nn.Module.state_dict

    def on_gpu(self, *args, **kwargs):
        out = state_dict(self, *args, **kwargs)
        return {k: v.as_subclass(OnGpu) for k, v in out.items()}

    nets = [getattr(est, role) for role in roles(est)]
    shapes = [tuple(v.shape) for net in nets for v in net.state_dict().values()]
    OnGpu.moved.clear()
    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "state_dict", on_gpu)
        if way == "write":
            write(path, est)
        else:
            path.write_bytes(pickle.dumps(est))
    assert sorted(OnGpu.moved) == sorted(shapes)
    other = read(path, CLASSES) if way == "write" else pickle.loads(path.read_bytes())
    assert other.device == "cuda:0"  # a parameter is as it was set; where the networks are is not
    assert np.array_equal(other.transform(X), expected)


# ------------------------------------------------------------------ reading


def test_nothing_is_unpickled_or_imported(gan, path, monkeypatch):
    write(path, gan)

    def never(*_args, **_kwargs):
        raise AssertionError

    with monkeypatch.context() as patch:
        for module, name in (
            (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load"),
            (importlib, "import_module"), (builtins, "eval"), (builtins, "exec"),
        ):  # fmt: skip
            patch.setattr(module, name, never)
        read(path, CLASSES)
    source = inspect.getsource(persistence)
    assert not any(f"import {name}" in source for name in ("pickle", "importlib", "joblib"))


def say(described, **changes):
    described.update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, t: say(d, format_version=3), "format_version=3.*up to 2: upgrade skgan"),
        (lambda d, t: say(d, format_version="1"), "damaged.*format_version='1'"),
        (lambda d, t: d.pop("format_version"), "damaged"),
        (lambda d, t: say(d, **{"class": "BiGAN"}), "'BiGAN'.*none of the classes.*upgrade"),
        (lambda d, t: d["parameters"].update(novelty=1), "sets novelty.*does not have"),
        (lambda d, t: t.pop("discriminator_.head.weight"), "head.weight'.*should be.*absent"),
        (lambda d, t: t.update({"discriminator_.x": torch.ones(1)}), "'x' of.*should be absent"),
        (
            lambda d, t: t.update({"discriminator_.head.weight": torch.ones(1, 2)}),
            r"head.weight'.*should be.*\(1, 32\).*is.*\(1, 2\)",
        ),
        (
            lambda d, t: t.update({"discriminator_.head.weight": torch.ones(1, 32).double()}),
            "should be.*float32.*float64",
        ),
        (
            lambda d, t: d["networks"]["discriminator_"]["arguments"].update(kernel_size=3),
            "damaged.*should be float32 of shape",
        ),
        (lambda d, t: say(d["networks"]["generator_"], **{"class": "os"}), "damaged.*KeyError"),
        (
            lambda d, t: say(d["networks"]["generator_"]["arguments"], n_generators=10**9),
            "damaged.*n_generators=1000000000 with",
        ),
        (lambda d, t: say(d["state"], x_={"!": "code"}), "damaged.*unknown kind of value 'code'"),
        (
            lambda d, t: say(d["state"], x_={"!": "object", "class": "Popen", "parts": {}}),
            "damaged.*Popen",
        ),
        (lambda d, t: say(d["state"], x_={"!": "scalar", "dtype": "O", "value": 1}), "damaged"),
        (lambda d, t: say(d, state=[]), "damaged"),
        (lambda d, t: say(d, parameters=None), "damaged"),
    ],
)
def test_a_file_that_is_not_right_is_refused(change, message, gan, path):
    write(path, gan)
    tamper(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        read(path, CLASSES)
    assert str(caught.value).startswith(str(path))


def test_files_of_others_are_refused(gan, path):
    def expect(message):
        with pytest.raises(ValueError, match=message) as caught:
            read(path, CLASSES)
        assert str(caught.value).startswith(str(path))

    joblib.dump(gan, path)
    expect("no safetensors file.*joblib.load")
    path.write_bytes(b"")
    expect("no safetensors file")
    write(path, gan)
    path.write_bytes(path.read_bytes()[:-100])
    expect("cut short")
    save_file({"a": torch.ones(2)}, path)
    expect("save has not written.*load_file")
    save_file({"a": torch.ones(2)}, path, {"skgan": "{"})
    expect("damaged")
    save_file({"a": torch.ones(2)}, path, {"skgan": "[" * 100_000})
    expect("damaged.*nested too deeply")
    save_file({"a": torch.ones(2)}, path, {"skgan": '{"a": 1, "a": 2}'})
    expect("damaged.*a key stands twice")
    save_file({"a": torch.ones(2)}, path, {"skgan": '{"a": NaN}'})
    expect("damaged.*NaN")
    save_file({"a": torch.ones(2)}, path, {"skgan": "[]"})
    expect("damaged.*is a list")


def test_another_version_of_skgan_is_read(gan, digits, path):
    """A parameter that did not exist then has its default; versions are not compared."""
    write(path, gan)

    def older(described, _tensors):
        described["versions"] = {"skgan": "0.0.1"}
        del described["parameters"]["clip_grad_norm"]

    tamper(path, older)
    other = read(path, CLASSES)
    assert other.clip_grad_norm is None
    assert np.array_equal(other.transform(digits[0]), gan.transform(digits[0]))


# ------------------------------------------------------------------ golden files


@pytest.mark.filterwarnings("ignore:.*whose state of training:UserWarning")
@pytest.mark.parametrize(
    "golden", sorted(p.with_suffix(".safetensors") for p in GOLDEN.glob("*.npz")),
    ids=lambda p: p.stem,
)  # fmt: skip
def test_golden_files_are_read(golden):
    """Files of every format version up to this one, with the features they gave then."""
    est = read(golden, CLASSES)
    kept = np.load(golden.with_suffix(".npz"))
    X = kept["X"]
    if hasattr(est, "feature_names_in_"):
        X = pytest.importorskip("pandas").DataFrame(X, columns=est.feature_names_in_)
    np.testing.assert_allclose(est.transform(X), kept["features"], atol=1e-5)
    np.testing.assert_allclose(est.score_samples(X), kept["scores"], atol=1e-5)
    assert hasattr(est, "sample") == ("samples" in kept)
    if "samples" in kept:
        samples = est.sample(3, 0)
        assert (samples.dtype == np.uint8) == (kept["samples"].dtype == np.uint8)
        # One step where a byte may have been rounded the other way.
        atol = 1 if samples.dtype == np.uint8 else 1e-5
        np.testing.assert_allclose(samples.astype(float), kept["samples"].astype(float), atol=atol)
    assert len(est.get_feature_names_out()) == kept["features"].shape[1]
    assert len(est.history_) == est.n_epochs_ == 2
    y = np.repeat(kept["y"], 3) if "y" in kept else None
    again_fitted = clone(est).fit(np.repeat(kept["X"], 3, axis=0), y)
    assert again_fitted.transform(kept["X"]).shape == kept["features"].shape


def test_heads_without_a_common_layer_have_an_empty_trunk_again():
    """Earlier files have none; passes of `partial_fit` continue from them all the same."""
    est = read(GOLDEN / "v1_apart.safetensors", CLASSES)
    assert not hasattr(est, "trunk_")
    X = np.load(GOLDEN / "v1_apart.npz")["X"]
    before = est.transform(X)
    est.partial_fit(X)
    assert not list(est.trunk_.parameters()) and est.n_epochs_ == 3
    assert not np.array_equal(est.transform(X), before)


def test_training_does_not_go_on_from_a_file_of_format_1():
    """Its state of training is dropped, not opened: `fit` starts anew."""
    path = GOLDEN / "v1_warm.safetensors"
    assert "_training" in document(path)["state"]
    with pytest.warns(UserWarning, match="v1_warm.*state of training.*start anew"):
        est = read(path, CLASSES)
    assert est.warm_start and not hasattr(est, "_training")
    X = np.load(path.with_suffix(".npz"))["X"]
    fresh = clone(est).fit(X)
    assert np.array_equal(est.fit(X).transform(X), fresh.transform(X))


def test_parameters_that_were_renamed_are_mapped():
    described = document(GOLDEN / "v1_steps.safetensors")
    (old, new), *_ = persistence.RENAMED.items()
    assert described["parameters"][old] == 2
    params = read(GOLDEN / "v1_steps.safetensors", CLASSES).get_params()
    assert params[new if new in params else old] == 2


def test_a_name_of_before_is_known_by_the_one_of_now(gan, path, monkeypatch):
    write(path, gan)
    tamper(path, lambda d, t: d["parameters"].update(rate=d["parameters"].pop("lr")))
    monkeypatch.setitem(persistence.RENAMED, "rate", "lr")
    assert read(path, CLASSES).lr == gan.lr
    tamper(path, lambda d, t: d["parameters"].update(lr=1.0))
    with pytest.raises(ValueError, match="rate"):
        read(path, CLASSES)


def test_every_format_version_has_its_golden_files(tmp_path):
    """And make.py still makes them, but none that is there."""
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make.py")
    make = importlib.util.module_from_spec(spec)
    pytest.importorskip("pandas")
    spec.loader.exec_module(make)
    kinds = [fit.__name__ for fit in make.KINDS]
    names = {f"v{v}_{kind}" for kind in [*kinds, "checkpoint"]
             for v in range(make.SINCE.get(kind, 1), persistence.FORMAT_VERSION + 1)}  # fmt: skip
    assert names == {p.stem for p in GOLDEN.glob("v*")}
    assert {p.stat().st_size < 50_000 for p in GOLDEN.glob("v*")} == {True}
    newest = f"v{persistence.FORMAT_VERSION}"
    assert {document(GOLDEN / f"{newest}_{k}.safetensors")["class"] for k in kinds} == set(CLASSES)
    assert make.make_golden(GOLDEN) == []
    made = make.make_golden(tmp_path)
    assert len(made) == len(kinds) + 1
    for path in made:
        fresh, kept = document(path), document(GOLDEN / path.name)
        assert fresh.keys() == kept.keys()
        assert fresh.get("networks", {}).keys() == kept.get("networks", {}).keys()


# ------------------------------------------------------------------ other ways to keep a fit


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)])
def test_joblib(compress, fitted, path):
    est, X = fitted
    joblib.dump(est, path, compress=compress)
    assert np.array_equal(joblib.load(path).transform(X), est.transform(X))


def test_skops(fitted):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    est, X = fitted
    content = skops.dumps(est)
    trusted = [
        "skgan.data.arrays.DataFormat",
        f"{type(est).__module__}.{type(est).__name__}",
        "skgan.nn.specs.DCGANSpec",
        "skgan.nn.specs.MLPSpec",
    ]
    assert set(skops.get_untrusted_types(data=content)) <= set(trusted)
    assert np.array_equal(skops.loads(content, trusted=trusted).transform(X), est.transform(X))


def test_as_module_is_kept_as_bare_weights(gan, digits, path):
    X = torch.from_numpy(digits[0][:5]).float().reshape(-1, 1, 8, 8)
    module = gan.as_module()
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, path)
    other = clone(gan).set_params(n_epochs=0, random_state=1).fit(digits[0]).as_module()
    assert not torch.equal(other(X), module(X))
    other.load_state_dict(load_file(path))
    assert torch.equal(other(X), module(X))


def test_the_page_runs(tmp_path, monkeypatch):
    """The blocks of docs/guide/files.md, one after the other."""
    if not (hasattr(skgan, "load") and hasattr(DCGANDiscriminatorFeatures, "save")):
        pytest.skip("skgan.load and save are not there yet")
    pytest.importorskip("skops", reason="skops is not installed")
    monkeypatch.chdir(tmp_path)
    text = HOWTO.read_text(encoding="utf-8")
    blocks = text.split("```python\n")[1:]
    assert len(blocks) >= 5
    scope = {"__name__": "__main__"}
    for block in blocks:
        exec(block.split("```")[0], scope)


def test_unseal_reads_without_judging(gan, path):
    """Also contents whose digest is wrong, which `read` refuses; `seal` gives them a valid one."""
    write(path, gan)
    content = path.read_bytes()
    document, tensors = unseal(path)
    damaged = content.replace(rb"\"n_steps_\": ", rb"\"n_steps_\":1", 1)
    assert damaged != content and len(damaged) == len(content)
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="digest"):
        read(path, CLASSES)
    other, same = unseal(path)
    assert other["state"]["n_steps_"] != document["state"]["n_steps_"]
    assert same.keys() == tensors.keys()
    path.write_bytes(seal(other, same))
    assert read(path, CLASSES).n_steps_ == other["state"]["n_steps_"]


def test_a_file_does_not_say_where_the_next_fit_writes(small, digits, path, tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    settings = {"image_shape": (8, 8), "n_epochs": 1}
    small(checkpoint_dir=folder, **settings).fit(digits[0])
    gan = small(checkpoint_dir=folder, resume="must", **settings).fit(digits[0])
    gan.save(path)
    with pytest.warns(UserWarning, match=f"checkpoint_dir={str(folder)!r} of the file is left out"):
        other = skgan.load(path)
    assert (other.checkpoint_dir, other.resume) == (None, "auto")
    np.testing.assert_array_equal(other.transform(digits[0]), gan.transform(digits[0]))
    before = sorted(folder.rglob("*"))
    monkeypatch.chdir(tmp_path)
    other.set_params(n_epochs=2).fit(digits[0])
    assert sorted(folder.rglob("*")) == before
