"""Errors come before training, and name the parameter, the value received and the fix."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANSpec,
    LatentRegressorEncoder,
    LazyImages,
)
from skgan.tools import RandomPatchFeatures
from skgan.training import Training


@pytest.fixture
def no_training(monkeypatch):
    def trained(*_args):
        raise AssertionError("training began")

    monkeypatch.setattr("skgan.training.train", trained)


BAD = {
    "n_epochs": [-1, 1.5, "many", True],
    "batch_size": [0, 1, "all"],
    "latent_dim": [0, 2.0],
    "lr": [0, -1e-3, "fast", np.nan, np.inf],
    "generator_lr": [0],
    "discriminator_lr": ["fast"],
    "betas": [0.5, (0.5,), (1.0, 0.9), (-0.1, 0.9), "0.5"],
    "weight_decay": [-1],
    "clip_grad_norm": [0, "yes"],
    "ema_decay": [1.0, -0.1],
    "optimizer": ["adamw", None],
    "lr_decay": ["cosines"],
    "lr_warmup": [-1, "x", None],
    "latent": ["gauss"],
    "precision": ["float16", torch.bfloat16],
    "bn_stats": ["batch"],
    "loss": ["bce", 1],
    "norm": ["layer"],
    "feature_matching": ["sum", True],
    "tap": ["relu"],
    "pool": ["min"],
    "pool_grid": [0, 2.5],
    "n_critic": [0],
    "generator_steps": [0, 1.5],
    "gp_weight": [-1],
    "fm_weight": ["x"],
    "layers": [[9], "first", [], 1.5, None],
    "device": ["gpu", 7.5],
    "generator": ["resnet", 5, DCGANSpec],
    "discriminator": ["resnet", 5],
    "data_format": ["NHWC"],
    "value_range": [(1, 0), "unit"],
    "image_shape": [(3, 3), "8x8", (1, 7, 7)],
    "transform_batch_size": [0, "big"],
    "checkpoint_every": [0],
    "checkpoint_keep": [0, None],
    "resume": ["yes", "must"],
    "on_interrupt": ["ignore"],
    "warm_start": ["yes", "False", 0],
}

# One bad value each is enough for parameters whose check is the same code in every class.
SHARED = {"n_epochs", "latent_dim", "latent", "generator", "image_shape"}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in BAD.items() for v in vs])
def test_bad_parameters(small, digits, no_training, name, value):
    est = small(image_shape=(8, 8)).set_params(**{name: value})
    with pytest.raises((ValueError, TypeError)) as caught:
        est.fit(digits[0])
    shown = value[0] if isinstance(value, (list, tuple)) and value else value
    assert name in str(caught.value)
    assert str(shown) in str(caught.value)


ENCODERS = {
    "output": ["codes", 1],
    "tap": ["relu"],
    "pool": ["min"],
    "pool_grid": [0],
    "layers": [[9]],
    "encoder": ["resnet", 5],
    "encoder_lr": [0],
}
OWN = {
    BiGANEncoder: {
        "encoder_output": ["tanh"], "play": ["both"], "norm": ["layer"],
        "unary": ["no", 1.5, "False"],
        "categories": [5, (1,), ("a",)], "encoder_size": [4, (16, 4), (16, None), "big"],
        "generator_size": [0],
    },
    LatentRegressorEncoder: {
        "joint": ["no", "False"], "regressor_weight": [-1], "play": [None], "norm": ["layer"],
    },
    AutoencoderFeatures: {"loss": ["l3"], "noise": [-1], "dropout": [1.0, -0.5]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (cls, k, v)
        for cls, own in OWN.items()
        for k, vs in (BAD | ENCODERS | own).items()
        if k in cls().get_params(deep=False) and (k in own or k in ENCODERS or k in SHARED)
        for v in vs
    ],
)
def test_bad_parameters_of_encoders(small, digits, no_training, cls, name, value):
    est = small(cls, image_shape=(8, 8)).set_params(**{name: value})
    if name in ("layers", "tap", "pool_grid", "pool"):
        est.set_params(output="layers")
    with pytest.raises((ValueError, TypeError)) as caught:
        est.fit(digits[0])
    shown = value[-1] if isinstance(value, (list, tuple)) else value
    assert name in str(caught.value)
    assert str(shown) in str(caught.value)


@pytest.mark.parametrize("name", ["optimizer", "loss", "norm", "latent", "tap", "generator"])
def test_unknown_names_list_the_known_ones(small, digits, name):
    est = small(image_shape=(8, 8)).set_params(**{name: "nonsense"})
    with pytest.raises(ValueError, match="'nonsense'.*use one of '"):
        est.fit(digits[0])


def test_settings_of_a_network_that_is_a_name(small):
    gan = small(generator="auto")
    words = "generator__width=8, but generator='auto' has no settings; .* generator=DCGANSpec()"
    with pytest.raises(ValueError, match=words):
        gan.set_params(generator__width=8)
    with pytest.raises(ValueError, match=r"lr__x=1, but lr=0.0002 has no settings\.$"):
        gan.set_params(lr__x=1, lr=2e-4)
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        gan.set_params(nonsense__x=1)
    gan.set_params(generator__width=8, generator=DCGANSpec())
    assert gan.generator.width == 8


def test_batch_norm_under_a_gradient_penalty_is_refused_with_the_reason(small, digits):
    with pytest.raises(ValueError, match="norm='batch'.*other samples"):
        small(image_shape=(8, 8), loss="wgan-gp").fit(digits[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(20, 64), (20, 8, 8), (20, 3, 8, 8)])
def test_nan_and_infinity(small, no_training, value, shape):
    X = np.zeros(shape)
    X.flat[5] = value
    with pytest.raises(ValueError, match="NaN|infinity"):
        small().fit(X)


def test_image_shape_says_both_numbers(small, no_training):
    with pytest.raises(ValueError, match=r"784.*\b100\b"):
        small(image_shape=(28, 28)).fit(np.zeros((10, 100)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_among_images_that_are_decoded_later(small, value):
    x = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    good = small(value_range=(0, 1), n_epochs=0).fit(x.numpy())
    x[7, 0, 3, 3] = value
    images = LazyImages(TensorDataset(x))
    for use in (good.transform, good.score_samples, small(value_range=(0, 1)).fit):
        with pytest.raises(ValueError, match="row 7 of X contains NaN or infinity"):
            use(images)
    with pytest.raises(ValueError, match="row 2 of X contains"):
        good.transform(images[5:9])


def test_one_image_is_too_few(small, no_training):
    with pytest.raises(ValueError, match="1 sample"):
        small().fit(np.zeros((1, 8, 8)))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_two_images_are_enough(small, n):
    X = np.random.default_rng(0).random((n, 8, 8))
    est = small(batch_size=2).fit(X)
    assert np.isfinite(est.transform(X)).all()


def test_strings_and_objects(small, no_training):
    for X in (np.full((4, 8), "a"), np.full((4, 8), {}, dtype=object), [["a", "b"], ["c", "d"]]):
        with pytest.raises((ValueError, TypeError)):
            small().fit(X)


@pytest.mark.parametrize("kind", ["datetime64[D]", "timedelta64[s]"])
def test_dates(small, kind):
    X = np.arange(80).reshape(20, 4).astype(kind)
    with pytest.raises(ValueError, match=r"X is of type .*64.*int64"):
        small().fit(X)
    fitted = small(n_epochs=0, generator="auto", discriminator="auto")
    with pytest.raises(ValueError, match=r"X is of type .*64.*int64"):
        fitted.fit(X.astype("int64")).transform(X)


@pytest.mark.parametrize("constant", [0.0, 0.3, 255.0])
def test_constant_images_do_not_crash(small, constant):
    X = np.full((20, 8, 8), constant)
    est = small().fit(X)
    assert np.isfinite(est.transform(X)).all()
    assert np.isfinite(small(generator="auto", discriminator="auto").fit(X[:, 0]).transform(X[:, 0])
                       ).all()  # fmt: skip


def test_other_shapes_at_transform(small):
    rng = np.random.default_rng(0)
    est = small().fit(rng.random((20, 3, 8, 8)))
    for shape in ((4, 1, 8, 8), (4, 3, 9, 8), (4, 8, 8, 3), (4, 192)):
        with pytest.raises(ValueError, match=r"\(3, 8, 8\)|features"):
            est.transform(rng.random(shape))


def test_another_range_at_transform_warns(small):
    rng = np.random.default_rng(0)
    est = small().fit(rng.random((20, 8, 8)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.transform(rng.random((4, 8, 8)))
    with pytest.warns(UserWarning, match="value_range"):
        est.transform(255 * rng.random((4, 8, 8)))


def test_a_loss_that_explodes_is_named_and_the_earlier_fit_is_kept(small, digits):
    X, _ = digits
    est = small(image_shape=(8, 8)).fit(X)
    before, features = est.discriminator_, est.transform(X)
    est.set_params(lr=1e18, optimizer="sgd")
    with pytest.raises(FloatingPointError, match=r"network '(discriminator|generator)'.*epoch 1"):
        est.fit(X)
    assert est.discriminator_ is before
    assert np.array_equal(est.transform(X), features)


def test_a_loss_that_explodes_is_noticed_long_before_an_epoch_ends(small, monkeypatch):
    X = np.random.default_rng(0).random((400, 8, 8))
    steps, est = [], small(batch_size=2, n_epochs=1)
    play = type(est)._step

    def step(self, nets, batch, update):
        steps.append(batch.step)
        if batch.step == 5:
            batch.log(discriminator_loss=torch.tensor(np.nan))
        play(self, nets, batch, update)

    monkeypatch.setattr(type(est), "_step", step)
    with pytest.raises(FloatingPointError, match=r"'discriminator' became nan in epoch 1"):
        est.fit(X)
    assert steps[-1] == 50


def test_infinite_batchnorm_statistics_are_no_fit(small, digits):
    X, _ = digits
    est = small(image_shape=(8, 8)).fit(X)
    features = est.transform(X)
    # One step, after which weights are finite, and squares of activations are not.
    est.set_params(generator_lr=1e18, n_epochs=1, batch_size=300)
    with pytest.raises(FloatingPointError, match="batch-norm statistics of network"):
        est.fit(X)
    est.set_params(generator_lr=None)
    assert np.array_equal(est.transform(X), features)


def test_masked_arrays(small, no_training):
    X = np.ma.masked_less(np.random.default_rng(0).random((20, 8, 8)), 0.1)
    with pytest.raises(ValueError, match=r"X is a masked array with \d+ masked.*X\.filled"):
        small().fit(X)
    with pytest.raises(ValueError, match=r"masked"):
        RandomPatchFeatures().fit(X)


def test_numbers_of_a_table_that_float32_does_not_hold(small):
    X = np.random.default_rng(0).normal(size=(40, 5))
    auto = {"generator": "auto", "discriminator": "auto", "n_epochs": 0}
    est = small(**auto).fit(X)
    assert np.isfinite(est.transform(1e30 * X)).all()
    X[7, 3] = -1e39
    lazy = LazyImages(TensorDataset(torch.tensor(X)))
    for use in (est.transform, est.score_samples):
        with pytest.raises(ValueError, match=r"row 7, column 3 of X is -1e\+39"):
            use(X)
        with pytest.raises(ValueError, match=r"row 7 of X, in float32,"):
            use(lazy)
    X[7, 3] = 1e200
    with pytest.raises(ValueError, match="column 3 of X has no standard deviation"):
        small(**auto).fit(X)
    X[:, 2:4] = 5.0, 1e-310
    X[8, 3] = 2e-310
    with pytest.raises(ValueError, match="column 3 of X has no standard deviation"):
        small(**auto).fit(X)
    assert np.isfinite(small(**auto).fit(1e39 * X[:, :3]).transform(1e39 * X[:, :3])).all()


def test_an_interrupt_keeps_the_earlier_fit(small, digits, monkeypatch):
    X, _ = digits
    est = small(image_shape=(8, 8)).fit(X)
    features = est.transform(X)

    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_measure_batchnorm", interrupted)
    with pytest.raises(KeyboardInterrupt):
        est.fit(X[:50])
    assert np.array_equal(est.transform(X), features)


# ------------------------------------------------------------------ networks that users bring


def tiny_critic():
    return nn.Sequential(
        nn.Conv2d(1, 4, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(4, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.LeakyReLU(0.2, inplace=True),
        nn.Flatten(), nn.Linear(24, 1),
    )  # fmt: skip


def test_a_brought_module_is_trained_as_a_copy(small, digits):
    X, _ = digits
    net = tiny_critic()
    start = {k: v.clone() for k, v in net.state_dict().items()}
    est = small(image_shape=(8, 8), discriminator=net).fit(X)
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in start.items())
    assert est.discriminator_ is not net
    assert not torch.equal(est.discriminator_[0].weight, net[0].weight)
    assert est.transform(X).shape == (300, 4 * 16 + 6 * 4)
    assert est.set_params(tap="norm", layers=0).transform(X).shape == (300, 6 * 4)


def test_callables_are_called_with_shapes_and_are_repeatable(small, digits):
    X, _ = digits
    asked = {}

    def generator(latent_dim, output_shape):
        asked["generator"] = latent_dim, output_shape
        return nn.Sequential(nn.Linear(latent_dim, 64), nn.Tanh(), nn.Unflatten(1, output_shape))

    def discriminator(input_shape, norm):
        asked["discriminator"] = input_shape, norm
        return tiny_critic()

    fits = [
        small(image_shape=(8, 8), generator=generator, discriminator=discriminator).fit(X)
        for _ in range(2)
    ]
    assert asked == {"generator": (8, (1, 8, 8)), "discriminator": ((1, 8, 8), "batch")}
    assert np.array_equal(fits[0].transform(X), fits[1].transform(X))


def test_one_and_the_same_module_from_a_callable_is_copied(small, digits):
    net = tiny_critic()
    start = net[0].weight.clone()
    est = small(image_shape=(8, 8), discriminator=lambda **_: net).fit(digits[0])
    assert torch.equal(net[0].weight, start) and est.discriminator_ is not net
    assert not net._forward_hooks


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_frozen_parameters_stay_as_they_are(small, digits, ema_decay):
    net = tiny_critic()
    net[0].requires_grad_(False)
    settings = {"image_shape": (8, 8), "discriminator": net, "ema_decay": ema_decay}
    est = small(warm_start=True, **settings).fit(digits[0])
    est.set_params(n_epochs=3).fit(digits[0])
    assert torch.equal(est.discriminator_[0].weight, net[0].weight)
    assert not torch.equal(est.discriminator_[2].weight, net[2].weight)
    whole = small(n_epochs=3, **settings).fit(digits[0])
    assert torch.equal(est.discriminator_[2].weight, whole.discriminator_[2].weight)


def test_dropout_in_a_brought_module_follows_the_seed(small, digits, tmp_path):
    """The global state is left alone, and a fit that goes on equals one that was not cut off."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 1))
    fits = []
    for n_epochs in (3, 3, 1):
        torch.manual_seed(len(fits))
        before = torch.random.get_rng_state()
        folder = tmp_path / str(len(fits))
        settings = {"image_shape": (8, 8), "discriminator": net, "checkpoint_dir": folder}
        fits.append(small(n_epochs=n_epochs, **settings).fit(digits[0]))
        assert torch.equal(torch.random.get_rng_state(), before)
    fits[2] = small(n_epochs=3, **settings).fit(digits[0])
    assert all(torch.equal(e.discriminator_[1].weight, fits[0].discriminator_[1].weight)
               for e in fits)  # fmt: skip


@pytest.mark.parametrize("generator_steps", [1, 2])
def test_spectral_norm_in_a_brought_generator(small, generator_steps):
    rng, spectral = torch.Generator().manual_seed(0), nn.utils.parametrizations.spectral_norm
    layers = [nn.Linear(4, 16), nn.Linear(16, 4)]
    for layer in layers:
        nn.init.normal_(layer.weight, 0, 3, generator=rng)
    est = small(
        generator=nn.Sequential(spectral(layers[0]), nn.ReLU(), spectral(layers[1])),
        discriminator="mlp", latent_dim=4, n_epochs=30, lr=5e-3, generator_steps=generator_steps,
    ).fit(np.random.default_rng(0).normal(size=(64, 4)))  # fmt: skip
    for i in (0, 2):
        assert torch.linalg.matrix_norm(est.generator_[i].weight.detach(), 2) < 1.3


@pytest.mark.parametrize(
    ("role", "net", "words"),
    [
        ("discriminator", nn.Linear(64, 1), ["cannot take", "(2, 1, 8, 8)"]),
        ("discriminator", nn.Conv2d(1, 2, 3), ["(2, 2, 6, 6)", "(2,) or (2, 1)"]),
        ("generator", nn.Linear(8, 64), ["(2, 64)", "(2, 1, 8, 8)"]),
        ("generator", nn.Linear(9, 64), ["cannot take", "(2, 8)"]),
        ("generator", nn.Identity(), ["no parameters"]),
        ("discriminator", tiny_critic().requires_grad_(False), ["no parameters to train"]),
        ("discriminator", tiny_critic().double(), ["cannot take", "(2, 1, 8, 8)"]),
        ("generator", lambda latent_dim, output_shape: 3, ["returned int"]),
    ],
)
def test_brought_networks_of_the_wrong_shape(small, digits, no_training, role, net, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        small(image_shape=(8, 8), **{role: net}).fit(digits[0])
    assert role in str(caught.value)
    assert all(re.search(re.escape(w), str(caught.value)) for w in words), caught.value


@pytest.mark.parametrize("folder", ["digits", Path("digits")])
def test_a_folder_is_no_image(small, digits, folder):
    fitted = small(n_epochs=0, image_shape=(8, 8)).fit(digits[0])
    for use in (small().fit, fitted.transform):
        with pytest.raises(
            TypeError, match="^X=.*digits.* is one path: pass a list of image files"
        ):
            use(folder)


def test_networks_too_large_for_memory_are_refused_by_name(small, digits, no_training):
    est = small(image_shape=(8, 8), discriminator=DCGANSpec(2**18))
    with pytest.raises(
        ValueError, match=r"discriminator=DCGANSpec\(width=262144\): .* GiB to train"
    ):
        est.fit(digits[0])


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.int32])
def test_short_integers_whose_products_wrap_are_refused(small, digits, no_training, kind):
    for name in ("batch_size", "latent_dim", "transform_batch_size"):
        with pytest.raises(ValueError, match=f"{name}=.*NumPy integer of .* bits.*int"):
            small(image_shape=(8, 8)).set_params(**{name: kind(64)}).fit(digits[0])
    with pytest.raises(ValueError, match="width=.*NumPy integer of"):
        small(image_shape=(8, 8), generator=DCGANSpec(kind(64))).fit(digits[0])


def test_a_function_that_augments_is_tried_before_training(small, digits, no_training):
    for function, words in [
        (lambda: 0, "failed on samples of shape"),
        (lambda x: x.flatten(1), r"turns samples of shape \(2, 1, 8, 8\) into \(2, 64\)"),
        (lambda x: x.numpy(), "into ndarray"),
    ]:
        with pytest.raises(ValueError, match=f"augment=.*{words}"):
            small(image_shape=(8, 8), augment=function).fit(digits[0])


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (pd.DataFrame({"a": [1.0, 2.0], "kind": ["x", "y"]}), "column 'kind' of X has words.* 'x'"),
        (pd.DataFrame({"a": ["1", "2"], "kind": ["3", "y"]}), "column 'kind' of X has words.* 'y'"),
        (
            np.array([[1, 2], [3, "z"]], object),
            "column 1 of X has words.*OneHotEncoder",
        ),
        ([["a", "b"], ["c", "d"]], "column 0 of X has words"),
    ],
)
def test_words_in_a_table_are_named_by_column(small, no_training, X, words):
    with pytest.raises(ValueError, match=words):
        small(generator="auto", discriminator="auto").fit(X)


def test_images_of_another_size_are_told_how_to_be_resized(small):
    images = np.random.default_rng(0).integers(0, 255, (12, 20, 30, 3), dtype=np.uint8)
    pictures = [Image.fromarray(image) for image in images]
    est = small(n_epochs=0).fit(LazyImages(pictures, size=(8, 10)))
    with pytest.raises(ValueError, match=r"\(20, 30, 3\).*\(8, 10, 3\).*LazyImages\(X, size="):
        est.transform(pictures[:2])
    assert len(est.transform(LazyImages(pictures[:2], size=(8, 10)))) == 2


def test_half_precision_numbers_are_compared_without_a_warning(small, digits, no_training):
    with warnings.catch_warnings(), pytest.raises(AssertionError, match="training began"):
        warnings.simplefilter("error", RuntimeWarning)
        small(image_shape=(8, 8), lr=np.float16(0.01)).fit(digits[0])
