"""Settings changed after `fit`, what a fit leaves behind, and other corners of scikit-learn."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    MGANExtractor,
    SupervisedFeatures,
)
from skgan.engine.players import Players
from skgan.evaluation import LabelBudgetSplit, probe
from skgan.tools import NullSpaceProjector

IMAGES = {"image_shape": (8, 8)}


@pytest.mark.parametrize(
    ("cls", "change"),
    [
        (DCGANDiscriminatorFeatures, {"pool": "average"}),
        (DCGANDiscriminatorFeatures, {"pool_grid": 0}),
        (DCGANDiscriminatorFeatures, {"tap": "relu"}),
        (DCGANDiscriminatorFeatures, {"transform_batch_size": -5}),
        (DCGANDiscriminatorFeatures, {"latent_dim": 7}),
        (DCGANDiscriminatorFeatures, {"layers": 9}),
        (DCGANDiscriminatorFeatures, {"image_shape": (4, 16)}),
        (DCGANDiscriminatorFeatures, {"value_range": (0, 255)}),
        (BiGANEncoder, {"output": "latents"}),
        (BiGANEncoder, {"latent": "normal"}),
        (MGANExtractor, {"subspace": "Null"}),
        (MGANExtractor, {"n_generators": 3}),
        (AutoencoderFeatures, {"output": "code"}),
    ],
)
def test_settings_made_after_fit_are_checked_in_use(small, digits, cls, change):
    X = digits[0]
    own = {"discriminator": DCGANSpec(4, feature_dim=6)} if cls is MGANExtractor else {}
    est = small(cls, n_epochs=0, **IMAGES, **own).fit(X)
    before = est.transform(X)
    ((name, value),) = change.items()
    was = est.get_params()[name]
    est.set_params(**change)
    shown = value if isinstance(value, str) else str(value)
    for use in (est.transform, lambda X: est.get_feature_names_out()):
        with pytest.raises(ValueError, match=name) as caught:
            use(X)
        assert shown in str(caught.value)
    assert not hasattr(est, "head_weight_") and not hasattr(est, "n_features_out_")
    assert est._repr_html_()  # which looks at every attribute
    assert np.array_equal(est.set_params(**{name: was}).transform(X), before)


def test_what_a_fit_that_goes_on_cannot_change(small, digits):
    X = digits[0]
    est = small(warm_start=True, **IMAGES).fit(X)
    est.set_params(n_epochs=3, image_shape=[8, 8]).fit(X)  # the same, as a list
    for change in ({"value_range": (0, 255)}, {"image_shape": (4, 16)}, {"latent_dim": 9}):
        other = clone(est).fit(X).set_params(n_epochs=4, **change)
        for again in (other.fit, other.partial_fit):
            with pytest.raises(ValueError, match=r"was fitted with .*: set it back, or fit anew"):
                again(X)
    other = clone(est).fit(X).set_params(value_range=(0, 255), warm_start=False)
    assert other.fit(X).transform(X).shape == (300, other.n_features_out_)


def test_the_projector_checks_its_subspace_in_use(small, digits):
    est = small(layers=-1, pool_grid=None, **IMAGES).fit(digits[0])
    F = est.transform(digits[0])
    null = NullSpaceProjector(FrozenEstimator(est)).fit(F).set_params(subspace="nul")
    with pytest.raises(ValueError, match="subspace='nul' is unknown"):
        null.transform(F)


@pytest.mark.parametrize("cls", [DCGANDiscriminatorFeatures, BiGANEncoder, SupervisedFeatures])
def test_rows_and_optimizers_are_gone_without_the_garbage_collector(
    small, digits, cls, monkeypatch
):
    X, y = digits
    small(cls, n_epochs=1, **IMAGES).fit(X, y)  # PyTorch's first optimizer leaves a cycle behind
    seen, init = [], Players.__init__

    def noting(self, *args, **kwargs):
        seen.append(weakref.ref(self))
        init(self, *args, **kwargs)

    monkeypatch.setattr(Players, "__init__", noting)
    gc.collect()
    gc.disable()
    try:
        est = small(cls, n_epochs=1, **IMAGES)
        est.fit(X.copy(), y)
        est.partial_fit(X.copy(), y)
        assert len(seen) == 2 and all(ref() is None for ref in seen)
    finally:
        gc.enable()


# ------------------------------------------------------------------ labels that are strings


@pytest.fixture
def named(digits):
    """Two classes by name, every other row without a label."""
    X, y = digits
    names = np.array(["cat", "dog"])[y % 2].astype(object)
    names[::2] = -1
    return X, names


def test_the_number_between_strings_means_unlabelled(small, named):
    X, names = named
    est = small(SupervisedFeatures, **IMAGES).fit(X, names)
    assert est.classes_.tolist() == ["cat", "dog"] and set(est.predict(X)) <= {"cat", "dog"}
    train, test = next(LabelBudgetSplit(3, n_splits=1, random_state=0).split(X, names))
    assert len(train) == 6 and -1 not in names[np.concatenate([train, test])].tolist()


def test_minus_one_as_a_string_is_refused(small, named):
    X, names = named
    for y in (names.astype(str), np.array([str(v) for v in names], dtype=object)):
        for use in (small(SupervisedFeatures, **IMAGES).fit, LabelBudgetSplit(3).split):
            with pytest.raises(ValueError, match="^y has the string '-1' among.*dtype object"):
                list(use(X, y))
    signs = np.array(["-1", "1"])[digits_of(names)]  # two classes, whatever they are called
    assert small(SupervisedFeatures, **IMAGES).fit(X, signs).classes_.tolist() == ["-1", "1"]


def digits_of(names):
    return np.arange(len(names)) % 2


def test_one_class_beside_unlabelled_rows_is_too_few(small, named):
    X, names = named
    with pytest.raises(ValueError, match=r"y holds 1 class\(es\), \['cat'\]"):
        small(SupervisedFeatures, **IMAGES).fit(X, np.where(names == "dog", -1, names))


# ------------------------------------------------------------------ names, clones, containers


def test_names_of_features_behind_what_is_not_flat(small, digits):
    X = digits[0]
    as_images = FunctionTransformer(
        lambda Z: Z.reshape(-1, 1, 8, 8), feature_names_out="one-to-one"
    )
    pipeline = make_pipeline(as_images, small()).fit(X)
    assert len(pipeline.get_feature_names_out()) == pipeline[-1].n_features_out_


def test_paths_are_a_column_of_a_table(small, digits, tmp_path):
    from PIL import Image

    paths = []
    for i, row in enumerate(digits[0][:20]):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray((row * 15).astype(np.uint8).reshape(8, 8)).save(paths[-1])
    table = pd.DataFrame({"path": paths, "age": 1.0})
    both = ColumnTransformer([("gan", small(), "path"), ("rest", "passthrough", ["age"])])
    frame = both.set_output(transform="pandas").fit_transform(table)
    assert frame.columns[-1] == "rest__age" and len(frame) == 20
    assert frame.columns.tolist() == both.get_feature_names_out().tolist()


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, nn.utils.weight_norm])
def test_networks_whose_weights_hooks_compute_are_cloned(small, digits, norm):
    net = nn.Sequential(
        norm(nn.Conv2d(1, 4, 4, 2, 1)), nn.LeakyReLU(), nn.Flatten(), nn.Linear(64, 1)
    )
    net(torch.zeros(2, 1, 8, 8))
    est = small(discriminator=net, **IMAGES).set_output(transform="pandas")
    twin = clone(clone(est))
    assert isinstance(twin.fit(digits[0]).transform(digits[0]), pd.DataFrame)
    net(torch.zeros(2, 1, 8, 8)).sum().backward()  # the user's own still learns
    assert all(p.grad is not None for p in net.parameters())


def test_probe_in_spite_of_an_output_that_is_set_for_all(digits):
    pytest.importorskip("polars")
    X, y = digits
    plain, framed = (
        probe_quickly(X, y, output) for output in ("default", "polars")
    )  # fmt: skip
    assert plain == framed


def probe_quickly(X, y, output):
    with config_context(transform_output=output):
        result = probe(
            FunctionTransformer(), X[:200], y[:200], X[200:], y[200:], n_labels=5, n_draws=2,
            scaling="standard",
        )  # fmt: skip
    return [r["accuracy"] for r in result.records]


@pytest.fixture
def two_devices(monkeypatch):
    """PyTorch's device "meta" stands for a second device; there is no CUDA."""
    from skgan.engine import runtime

    monkeypatch.setitem(runtime.COUNTED, "meta", lambda: 1)
    monkeypatch.setitem(runtime.COUNTED, "cuda", lambda: 0)


def test_a_fitted_estimator_moves_to_the_device_that_is_set(small, digits, two_devices):
    est = small(n_epochs=0, **IMAGES).fit(digits[0])
    before = est.transform(digits[0])
    est.set_params(device="meta")
    moved = est._kept_nets()
    assert {p.device.type for net in moved.values() for p in net.parameters()} == {"meta"}
    again = small(n_epochs=0, **IMAGES).fit(digits[0]).set_params(device="cpu:0")
    np.testing.assert_array_equal(again.transform(digits[0]), before)


def test_a_device_that_is_not_there_is_said_in_use(small, digits, two_devices):
    est = small(n_epochs=0, **IMAGES).fit(digits[0])
    before = est.transform(digits[0])
    est.set_params(device="cuda")
    with pytest.warns(UserWarning, match="device='cuda': PyTorch sees no CUDA.*stay where"):
        np.testing.assert_array_equal(est.transform(digits[0]), before)
    with pytest.raises(ValueError, match="device='cuda': PyTorch sees no CUDA"):
        est.fit(digits[0])
    with pytest.raises(ValueError, match="device='gpu' is unknown"):
        est.set_params(device="gpu").transform(digits[0])


@pytest.mark.parametrize("device", ["meta", "xla", "cpu:3", 2**70, torch.device("meta")])
def test_devices_that_are_none_to_train_on(small, digits, device):
    with pytest.raises(ValueError, match="device=.*(none that skgan|device\\(s\\) here|unknown)"):
        small(device=device, **IMAGES).fit(digits[0])
