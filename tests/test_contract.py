"""What every method promises, whatever its paper."""

import contextlib
import copy
import inspect
import io
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.fixes import parse_version

import skgan
from skgan import DCGANDiscriminatorFeatures, DCGANSpec, MLPSpec
from skgan.base import BaseGAN
from skgan.engine.batchnorm import batch_norms
from skgan.engine.players import Players
from skgan.training import Training
from skgan.utils.discovery import all_estimators

DCGAN, BIGAN = skgan.DCGANDiscriminatorFeatures, skgan.BiGANEncoder
REGRESSOR, AUTOENCODER = skgan.LatentRegressorEncoder, skgan.AutoencoderFeatures
SUPERVISED, MGAN = skgan.SupervisedFeatures, skgan.MGANExtractor
CONTRAD, INFOGAN = skgan.ContrastiveDiscriminatorFeatures, skgan.InfoGANExtractor
VAEGAN, ACGAN = skgan.VAEGANEncoder, skgan.ACGANFeatures
MATCHING = skgan.FeatureMatchingClassifier
CATGAN, CATCLASSIFIER = skgan.CatGANFeatures, skgan.CatGANClassifier
TRIPLE, DISENTANGLED = skgan.TripleGANClassifier, skgan.DisentangledEncoder
DANN = skgan.DomainAdversarialFeatures
TABLE = {"generator": "auto", "image_shape": None}
BUILDERS = {
    "images": (DCGAN, {}),
    "spectral": (DCGAN, {"norm": "spectral", "loss": "hinge"}),
    "penalty": (DCGAN, {"norm": "none", "loss": "wgan-gp"}),
    "ema": (DCGAN, {"ema_decay": 0.9, "feature_matching": "mean", "bn_stats": "running"}),
    "auxiliary": (DCGAN, {"rotation_weight": 1.0, "infomax_weight": 0.2, "infomax_dim": 8}),
    "table": (DCGAN, {"discriminator": "auto", **TABLE}),
    "bigan": (BIGAN, {}),
    "bigan-table": (BIGAN, {"encoder": "auto", "discriminator": "auto", **TABLE}),
    "bigan-unary": (BIGAN, {"unary": True, "norm": "spectral", "play": "alternating"}),
    "ali": (BIGAN, {"encoder_output": "gaussian", "latent": "normal", "categories": (3,),
                    "output": "latent", "encoder_size": 12}),
    "regressor": (REGRESSOR, {"output": "layers"}),
    "joint-regressor": (REGRESSOR, {"joint": True, "latent": "normal", "play": "alternating"}),
    "autoencoder": (AUTOENCODER, {"noise": 0.1, "dropout": 0.2}),
    "autoencoder-table": (AUTOENCODER, {"encoder": "auto", "loss": "l1", **TABLE}),
    "supervised": (SUPERVISED, {"layers": "all", "pool_grid": 2}),
    "supervised-table": (SUPERVISED, {"classifier": "auto", "image_shape": None,
                                      "class_weight": {0: 2.0}}),
    "mgan": (MGAN, {"n_generators": 3, "validation_fraction": 0.01}),
    "mgan-unshared": (MGAN, {"n_generators": 2, "n_shared_layers": 0, "extractor": "both"}),
    "mgan-partly": (MGAN, {"n_generators": 2, "n_shared_layers": 1, "share_bn": False,
                           "shared_optimizer": "both", "extractor": "classifier",
                           "subspace": "null", "same_z": False}),
    "mgan-table": (MGAN, {"discriminator": "auto", **TABLE}),
    "contrad": (CONTRAD, {"norm": "batch", "n_hidden": 8, "n_projection": 6}),
    "contrad-table": (CONTRAD, {"discriminator": "auto", **TABLE}),
    "infogan": (INFOGAN, {"categories": (4, 3), "learn_std": True, "latent": "normal",
                          "lr": 2e-3}),
    "infogan-trunk": (INFOGAN, {"output": "trunk", "recognition_hidden": None,
                                "n_continuous": 0, "bn_stats": "running"}),
    "infogan-table": (INFOGAN, {"discriminator": "auto", "categories": (), **TABLE}),
    "acgan": (ACGAN, {"layers": -1, "pool_grid": None}),
    "acgan-spectral": (ACGAN, {"norm": "spectral", "augment": "shift", "rotation_weight": 1.0}),
    "acgan-table": (ACGAN, {"discriminator": "auto", **TABLE}),
    "vaegan": (VAEGAN, {"likelihood_layers": 0, "likelihood_tap": "activation"}),
    "vaegan-prior": (VAEGAN, {"recon_as_fake": False, "norm": "spectral", "output": "layers",
                              "augment": "shift", "balance": (0.68, 0.68)}),
    "vaegan-table": (VAEGAN, {"encoder": "auto", "discriminator": "auto", **TABLE}),
    "matching": (MATCHING, {"discriminator": DCGANSpec(4, noise=0.1), "augment": "shift"}),
    "catgan": (CATGAN, {"n_clusters": 5}),
    "catgan-table": (CATGAN, {"discriminator": "auto", "norm": "batch", **TABLE}),
    "catgan-classifier": (CATCLASSIFIER, {"discriminator": DCGANSpec(4, noise=0.1)}),
    "catgan-classifier-table": (CATCLASSIFIER, {"discriminator": "auto", **TABLE}),
    "triple": (TRIPLE, {"classifier": DCGANSpec(4, noise=0.1), "augment": "shift",
                        "generated_start": 1, "bn_stats": "running"}),
    "triple-table": (TRIPLE, {"classifier": "auto", "discriminator": "auto", **TABLE}),
    "disentangled": (DISENTANGLED, {"domain_classifier": "mlp"}),
    "disentangled-encoder": (DISENTANGLED, {"domain_code": "encoder", "domain_encoder": "mlp",
                                            "output": "layers", "reconstruction_loss": "l1"}),
    "disentangled-table": (DISENTANGLED, {"encoder": "auto", **TABLE}),
    "dann": (DANN, {"lr_decay": None, "schedule": "constant", "norm": "batch",
                    "norm_per_domain": True, "dropout": 0.1, "lr": 0.1}),
    "dann-alternating": (DANN, {"lr_decay": None, "schedule": "constant", "play": "alternating",
                                "input_norm": "instance", "vat_weight": 0.1, "entropy_weight": 0.1,
                                "classifier_hidden": (5,), "lr": 0.05, "bn_stats": "running"}),
    "dann-table": (DANN, {"trunk": "auto", "lr_decay": None, "schedule": "constant",
                          "domain_weight": 0.1, "image_shape": None}),
    "matching-table": (MATCHING, {"discriminator": "auto", "class_weight": {0: 2.0}, **TABLE}),
}  # fmt: skip


def test_every_public_estimator_is_held_to_the_contract():
    gans = [cls for _, cls in all_estimators() if issubclass(cls, BaseGAN)]
    assert set(gans) == {cls for cls, _ in BUILDERS.values()}


REAL_PASS = {
    DCGAN: lambda e, nets, x: nets.discriminator(x),
    BIGAN: lambda e, nets, x: nets.discriminator(x, e._encode(nets, x)),
    REGRESSOR: lambda e, nets, x: (nets.discriminator(x), nets.encoder(x)),
    AUTOENCODER: lambda e, nets, x: nets.generator(nets.encoder(x)),
    DISENTANGLED: lambda e, nets, x: nets.encoder(x),
    SUPERVISED: lambda e, nets, x: nets.classifier(x),
    MGAN: lambda e, nets, x: nets.discriminator(x, nets.classifier),
    CONTRAD: lambda e, nets, x: nets.discriminator(x),
    INFOGAN: lambda e, nets, x: nets.discriminator(x),
    ACGAN: lambda e, nets, x: nets.discriminator(x, nets.classifier),
    VAEGAN: lambda e, nets, x: (nets.discriminator(x), nets.encoder(x)),
    MATCHING: lambda e, nets, x: nets.discriminator(x),
    CATGAN: lambda e, nets, x: nets.discriminator(x),
    CATCLASSIFIER: lambda e, nets, x: nets.discriminator(x),
    TRIPLE: lambda e, nets, x: nets.discriminator(x, e._best(nets.classifier(x))),
    DANN: lambda e, nets, x: nets.classifier(x),
}


@pytest.mark.parametrize("cls", REAL_PASS)
def test_batch_norm_has_the_statistics_of_the_real_rows(small, digits, cls):
    """One batch of all rows: a pass over it that normalises by itself finds the same again."""
    X, y = digits
    settings = {"n_shared_layers": 1, "share_bn": False} if cls is MGAN else {}
    settings |= {"norm": "batch"} if "norm" in cls().get_params() else {}
    est = small(cls, image_shape=(8, 8), batch_size=len(X), **settings).fit(X, y)
    nets = copy.deepcopy(est._nets())
    layers = batch_norms(n for role, n in vars(nets).items() if role != "generator")
    assert layers
    before = [(m.running_mean.clone(), m.running_var.clone()) for m in layers]
    for m in batch_norms(vars(nets).values()):
        m.train().momentum = 1.0
    with torch.no_grad():
        REAL_PASS[cls](est, nets, est._format.encode(X))
    for m, (mean, var) in zip(layers, before, strict=True):
        torch.testing.assert_close(m.running_mean, mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(m.running_var, var, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "cls", [DCGAN, BIGAN, REGRESSOR, MGAN, INFOGAN, ACGAN, VAEGAN, MATCHING, CATGAN, TRIPLE]
)
def test_the_generators_batch_norm_has_the_statistics_of_draws_from_the_prior(
    small, digits, cls, monkeypatch
):
    X, y = digits
    draws, draw = [], cls._draw

    def noted(self, *args, **kwargs):
        draws.append(draw(self, *args, **kwargs))
        return draws[-1].clone()

    monkeypatch.setattr(cls, "_draw", noted)
    est = small(cls, image_shape=(8, 8), batch_size=len(X)).fit(X, y)
    z, net = draws[-1], copy.deepcopy(est.generator_)  # one batch: the last draw of all
    if cls is MGAN:
        z = est._for_each_generator(z[:30, : est.latent_dim].repeat(10, 1))[0]
    layers = batch_norms([net])
    before = [(m.running_mean.clone(), m.running_var.clone()) for m in layers]
    assert layers
    for m in layers:
        m.train().momentum = 1.0
    with torch.no_grad():
        net(z)
    for m, (mean, var) in zip(layers, before, strict=True):
        torch.testing.assert_close(m.running_mean, mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(m.running_var, var, rtol=1e-4, atol=1e-5)


@pytest.fixture(params=BUILDERS)
def build(request, small, digits, monkeypatch):
    cls, chosen = BUILDERS[request.param]
    if is_classifier(cls()):
        labels = digits[1]
        if cls is DANN:  # every other row is of the target
            labels = np.where(np.arange(len(labels)) % 2, -1, labels)
        give_labels(cls, labels, monkeypatch)

    def make(**settings):
        return small(cls, **({"image_shape": (8, 8)} | chosen | settings))

    return make


def give_labels(cls, labels, monkeypatch):
    """Fits without y get the labels of the rows: the tests below begin at the first row."""

    def with_labels(method):
        return lambda self, X, y=None: method(self, X, labels[: len(X)] if y is None else y)

    for name in ("fit", "partial_fit"):
        monkeypatch.setattr(cls, name, with_labels(getattr(cls, name)))


def networks(estimator):
    return {role: getattr(estimator, f"{role}_") for role in estimator._roles}


def weights(estimator):
    return [t.clone() for net in networks(estimator).values() for t in net.state_dict().values()]


def uses(estimator, X):
    """What an estimator gives, by name; not every game has a prior to sample from."""
    out = {"transform": estimator.transform(X), "score_samples": estimator.score_samples(X)}
    if is_classifier(estimator):
        out |= {"predict": estimator.predict(X), "predict_proba": estimator.predict_proba(X)}
        out["decision_function"] = estimator.decision_function(X)
    elif hasattr(estimator, "traverse") and estimator.categories:
        out |= {"predict": estimator.predict(X), "traverse": estimator.traverse(random_state=0)}
    if hasattr(estimator, "sample"):
        out["sample"] = estimator.sample(3, 0)
    if hasattr(estimator, "reconstruct"):
        out["reconstruct"] = estimator.reconstruct(X)
    if hasattr(estimator, "inverse_transform"):
        out["inverse_transform"] = estimator.inverse_transform(out["transform"])
    return out


def assert_same_uses(a, b, X):
    ours, theirs = uses(a, X), uses(b, X)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name


def same(a, b):
    return all(torch.equal(s, t) for s, t in zip(weights(a), weights(b), strict=True))


def test_same_seed_same_bits_and_the_global_state_is_left_alone(build, digits):
    X, _ = digits
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    a, b = build().fit(X), build().fit(X)
    assert same(a, b)
    assert_same_uses(a, b, X)
    assert not same(a, build(random_state=1).fit(X))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert before[2] == torch.get_num_threads() == a.n_threads_


def test_labels_are_ignored(build, digits):
    """But by classifiers, to which they matter."""
    X, y = digits
    est, other = build().fit(X, y), build().fit(X, np.random.default_rng(0).permutation(y))
    assert same(est, other) is not is_classifier(est)


def test_training_moves_every_network_and_untrained_is_its_start(build, digits):
    X, _ = digits
    untrained = [build(n_epochs=0).fit(X) for _ in range(2)]
    trained = build(n_epochs=1).fit(X)
    assert same(*untrained)
    assert untrained[0].history_ == [] and untrained[0].n_steps_ == 0
    for role, start in networks(untrained[0]).items():
        moved = [
            not torch.equal(p, q)
            for p, q in zip(start.parameters(), networks(trained)[role].parameters(), strict=True)
        ]
        assert all(moved), role


def test_every_parameter_gets_a_gradient_in_each_round(build, digits, monkeypatch):
    """Over two steps, and only the named networks move in each update.

    An encoder whose last layer begins at zero hands no gradient on in the first step.
    """
    X, _ = digits
    start, update, last, waiting = Players.__init__, Players.update, {}, {}

    def tensors(net):
        return [t.clone() for t in net.state_dict().values()]

    def watching(self, **losses):
        # Buffers are compared with what they were after the update before this one: forward
        # passes may touch those of any network, and `update` puts them back.
        before = dict(last)
        update(self, **losses)
        last.update({r: tensors(net) for r, net in self.nets.items()})
        for role, net in self.nets.items():
            same_now = [
                torch.equal(a, b)
                for a, b in zip(before[role], net.state_dict().values(), strict=True)
            ]
            if role not in losses:
                assert all(same_now), f"{role} moved without being named"
            else:
                names = dict(net.named_parameters())
                for k, unmoved in zip(net.state_dict(), same_now, strict=True):
                    if k in names and not unmoved:
                        waiting[role].discard(k)

    def begin(self, *args, **settings):
        start(self, *args, **settings)
        last.update({r: tensors(net) for r, net in self.nets.items()})
        waiting.update({r: set(dict(net.named_parameters())) for r, net in self.nets.items()})

    monkeypatch.setattr(Players, "__init__", begin)
    monkeypatch.setattr(Players, "update", watching)
    est = build(n_epochs=1, weight_decay=0, batch_size=50).fit(X[:100])
    assert est.n_steps_ == 2 and waiting.keys() == set(est._roles)
    assert not any(waiting.values()), f"these got no gradient: {waiting}"


def test_history(build, digits):
    X, _ = digits
    est = build(n_epochs=3).fit(X)
    assert [row["epoch"] for row in est.history_] == [1, 2, 3]
    names = {"seconds", "images_per_second"}
    names |= {f"{role}_loss" for role, net in networks(est).items() if list(net.parameters())}
    names |= {f"{c}_{side}" for c in est._critics for side in ("real", "generated")}
    for row in est.history_:
        assert names <= set(row) and all(np.isfinite(v) for v in row.values())
    assert est.n_epochs_ == 3 and est.n_steps_ == 3 * 10


def test_transform_does_not_depend_on_the_other_rows(build, digits):
    X, _ = digits
    est = build().fit(X)
    whole = est.transform(X)
    assert whole.dtype == np.float32 and whole.shape == (len(X), est.n_features_out_)
    np.testing.assert_allclose(whole[7:8], est.transform(X[7:8]), atol=1e-5)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(whole[order], est.transform(X[order]), atol=1e-5)
    est.set_params(transform_batch_size=7)
    np.testing.assert_allclose(whole, est.transform(X), atol=1e-5)
    assert np.ptp(whole, axis=0).max() > 0.1  # it does depend on the row


def test_use_changes_no_state(build, digits):
    X, _ = digits
    est = build().fit(X)
    before = joblib.hash(est)
    uses(est, X), est.as_module(), pickle.dumps(est)
    assert joblib.hash(est) == before
    nets = networks(est).values()
    for module in (m for net in nets for m in net.modules()):
        assert not module.training
        assert getattr(module, "momentum", 0.1) is not None
    assert all(p.grad is None for net in nets for p in net.parameters())


def test_optimizers_are_gone_after_fit(build, digits):
    est = build().fit(digits[0])
    kept = repr([type(v).__name__ for v in vars(est).values()])
    assert "Players" not in kept and "Adam" not in kept


def test_copies_are_equal(build, digits, tmp_path):
    X, _ = digits
    est = build().fit(X)
    est.save(tmp_path / "gan")
    buffer = io.BytesIO()
    joblib.dump(est, buffer, compress=3)
    buffer.seek(0)
    pickled, loaded = pickle.loads(pickle.dumps(est)), skgan.load(tmp_path / "gan")
    for other in (pickled, copy.deepcopy(est), joblib.load(buffer), loaded):
        assert_same_uses(other, est, X)
        assert other.history_ == est.history_


def test_state_is_plain_data(build, digits):
    state = build().fit(digits[0]).__getstate__()

    def visit(value):
        assert not isinstance(value, (torch.Tensor, torch.nn.Module)), type(value)
        if isinstance(value, dict):
            for v in value.values():
                visit(v)

    visit(state)
    packed = [v["packed"] for k, v in state.items() if isinstance(v, dict) and "packed" in v]
    assert packed and all(isinstance(p["weights"], bytes) for p in packed)


def test_unfitted_says_so(build, digits):
    est = build()
    for name in ("transform", "score_samples", "sample", "sample_images", "reconstruct",
                 "density_ratio", "get_feature_names_out", "as_module"):  # fmt: skip
        if hasattr(est, name):
            given = [digits[0]] if name in uses_of_rows else []
            with pytest.raises(NotFittedError):
                getattr(est, name)(*given)


uses_of_rows = {"transform", "score_samples", "reconstruct", "density_ratio"}


def test_clone_is_unfitted_and_equal_after_fit(build, digits):
    X, _ = digits
    est = build().fit(X)
    fresh = clone(est)
    assert not any(k.endswith("_") for k in vars(fresh))
    assert same(fresh.fit(X), est)


def test_as_module_gives_the_features_and_can_be_tuned(build, digits):
    X, _ = digits
    est = build().fit(X)
    module = est.as_module()
    shape = (-1, *est.input_shape_)
    x = torch.from_numpy(X).float().reshape(shape)
    with torch.no_grad():
        np.testing.assert_allclose(module(x).numpy(), est.transform(X), atol=1e-5)
    before = est.transform(X)
    module(x).square().mean().backward()
    torch.optim.SGD(module.parameters(), lr=1.0).step()
    assert not np.allclose(module(x).detach().numpy(), before, atol=1e-3)
    torch.nn.utils.parameters_to_vector(module.parameters())  # refuses channels-last weights
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.zero_()
    assert np.array_equal(est.transform(X), before)


def test_tensors_of_every_float_type_are_taken(digits, small):
    X = torch.from_numpy(digits[0])
    est = small(image_shape=(8, 8), value_range=(0, 16)).fit(X)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):  # 0 to 16 are exact in all
        assert np.array_equal(est.transform(X.to(dtype)), est.transform(X))


@pytest.fixture
def float64_by_default():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_pytorchs_default_type_plays_no_part(build, digits, request):
    X, _ = digits
    expected = build().fit(X)
    request.getfixturevalue("float64_by_default")
    est = build().fit(X)
    assert same(est, expected)
    assert_same_uses(est, expected, X)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_training_switches_gradients_on(small, digits, off):
    X, _ = digits
    expected = small(image_shape=(8, 8)).fit(X).partial_fit(X)
    with off():
        est = small(image_shape=(8, 8)).fit(X).partial_fit(X)
    assert same(est, expected)
    assert same(est.partial_fit(X), expected.partial_fit(X))


@pytest.mark.parametrize("latent", ["uniform", "normal"])
def test_noise_does_not_repeat_the_numbers_that_made_the_weights(small, latent, monkeypatch):
    """Of one seed: the draws that batch norm is measured by, of `sample`, and of going on."""
    X = np.random.default_rng(0).normal(size=(80, 10))
    draws, draw = [], DCGANDiscriminatorFeatures._draw

    def watched(self, *args, **kwargs):
        draws.append(draw(self, *args, **kwargs))
        return draws[-1]

    monkeypatch.setattr(DCGANDiscriminatorFeatures, "_draw", watched)
    spec = MLPSpec(64)
    est = small(generator=spec, discriminator=spec, latent=latent, latent_dim=100, n_epochs=0)
    weights = next(est.fit(X).generator_.parameters()).detach().clone()
    assert weights.shape == (64, 100)
    est.sample(80, random_state=0)
    est.partial_fit(X)
    z = torch.cat(draws)
    assert len(z) > 240
    assert cosine_similarity(z, weights).max() < 0.6


def test_feature_names_are_unique_and_as_many_as_features(build, digits):
    est = build().fit(digits[0])
    names = est.get_feature_names_out()
    assert len(set(names)) == len(names) == est.n_features_out_


def test_samples_look_like_the_data(build, digits):
    X, _ = digits
    out = uses(build().fit(X), X)
    for name in out.keys() & {"sample", "reconstruct", "inverse_transform"}:
        assert out[name].shape[1:] == (64,) and np.isfinite(out[name]).all()


def test_going_on_equals_going_through(build, digits):
    X, _ = digits
    through = build(n_epochs=4).fit(X)
    est = build(n_epochs=2, warm_start=True).fit(X)
    assert same(est.set_params(n_epochs=4).fit(X), through)


def test_partial_fit_is_one_pass_a_call(build, digits):
    X, _ = digits
    est = build().partial_fit(X).partial_fit(X)
    assert est.n_epochs_ == 2 and np.isfinite(est.transform(X)).all()


# ------------------------------------------------------------------ in scikit-learn's company


def test_pipeline_union_columns_frozen(small, digits):
    X, y = digits
    est = small(image_shape=(8, 8))
    pipe = Pipeline([("features", est), ("scale", StandardScaler()), ("svm", LinearSVC())])
    assert pipe.fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.6
    union = FeatureUnion([("a", est), ("b", clone(est).set_params(layers=-1))])
    assert union.fit_transform(X).shape[1] == sum(t.n_features_out_ for _, t in
                                                  union.transformer_list)  # fmt: skip
    beside = np.hstack([X, y[:, None]])
    columns = ColumnTransformer(
        [("pixels", clone(est), slice(0, 64)), ("rest", "passthrough", [64])]
    )
    out = columns.fit_transform(beside)
    assert np.array_equal(out[:, -1], y)
    fitted = clone(est).fit(X)
    frozen = FrozenEstimator(fitted)
    assert np.array_equal(frozen.fit(X[:5], y[:5]).transform(X), fitted.transform(X))


def test_pipeline_memory_is_a_cache_hit(small, digits, tmp_path, monkeypatch):
    X, y = digits
    fits, run = [], Training.run

    def counting(self, *args, **settings):
        fits.append(1)
        run(self, *args, **settings)

    monkeypatch.setattr(Training, "run", counting)
    for _ in range(2):
        pipe = Pipeline(
            [("features", small(image_shape=(8, 8))), ("svm", LinearSVC())], memory=str(tmp_path)
        )
        score = pipe.fit(X, y).score(X, y)
    assert len(fits) == 1 and score > 0.8


def test_grid_search_in_two_processes(small, digits):
    X, y = digits
    pipe = Pipeline([("features", small(image_shape=(8, 8), n_epochs=1)), ("svm", LinearSVC())])
    grid = {
        "features__lr": [2e-4, 1e-3],
        "features__layers": ["all", -1],
        "features__generator__width": [2, 4],
    }
    search = GridSearchCV(pipe, grid, n_jobs=2, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 8
    assert search.best_score_ > 0.5
    widths = search.best_estimator_["features"].generator_.recipe["channels"]
    assert widths[0] == search.best_params_["features__generator__width"]


def test_cross_validation_scores_are_repeatable(small, digits):
    X, y = digits
    pipe = Pipeline([("features", small(image_shape=(8, 8), n_epochs=1)), ("svm", LinearSVC())])
    scores = [cross_val_score(pipe, X, y, cv=2) for _ in range(2)]
    assert np.array_equal(*scores)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(small, digits, library):
    frames = pytest.importorskip(library)
    X, _ = digits
    est = small(image_shape=(8, 8)).set_output(transform=library).fit(X)
    frame = est.transform(X)
    assert isinstance(frame, frames.DataFrame)
    assert list(frame.columns) == list(est.get_feature_names_out())


def test_tensors_pass_through_under_array_api_dispatch(small, digits):
    """scipy reads its switch when it is imported, so this needs a process of its own."""
    if parse_version(sklearn.__version__) < parse_version("1.8"):
        pytest.importorskip("array_api_compat", reason="this scikit-learn needs array_api_compat")
    X, _ = digits
    est = small(image_shape=(8, 8)).fit(torch.from_numpy(X))
    assert isinstance(est.transform(torch.from_numpy(X)), np.ndarray)
    code = (
        "import numpy as np, sklearn, torch, skgan\n"
        "from sklearn.datasets import load_digits\n"
        "from sklearn.frozen import FrozenEstimator\n"
        "from skgan.tools import NullSpaceProjector\n"
        "X = load_digits(return_X_y=True)[0][:100]\n"
        "est = skgan.DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=1, random_state=0)\n"
        "expected = est.fit(X).transform(X)\n"
        "with sklearn.config_context(array_api_dispatch=True):\n"
        "    Z = est.fit(torch.from_numpy(X)).transform(torch.from_numpy(X))\n"
        "    assert isinstance(Z, torch.Tensor) and Z.dtype == torch.float32, type(Z)\n"
        "    assert np.array_equal(Z.numpy(), expected)\n"
        "    assert isinstance(est.transform(X), np.ndarray)\n"
        "    assert isinstance(est.score_samples(torch.from_numpy(X)), np.ndarray)\n"
        # What transform gives is taken back.
        "    est.set_params(layers=-1, pool_grid=None)\n"
        "    null = NullSpaceProjector(FrozenEstimator(est))\n"
        "    Z = est.transform(torch.from_numpy(X))\n"
        "    assert isinstance(null.fit(Z).transform(Z), np.ndarray)\n"
        "    est = skgan.BiGANEncoder(image_shape=(8, 8), output='latent', n_epochs=0).fit(X)\n"
        "    Z = est.transform(torch.from_numpy(X))\n"
        "    assert isinstance(Z, torch.Tensor)\n"
        "    assert isinstance(est.inverse_transform(Z), np.ndarray)\n"
    )
    env = os.environ | {"SCIPY_ARRAY_API": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def test_a_pickled_pipeline_gives_the_same_bits_in_another_process(small, digits, tmp_path):
    X, y = digits
    wide = {"generator": DCGANSpec(32), "discriminator": DCGANSpec(32), "n_epochs": 1}
    pipe = Pipeline([("features", small(image_shape=(8, 8), **wide)), ("svm", LinearSVC())])
    pipe.fit(X, y)
    path = tmp_path / "pipe.pkl"
    path.write_bytes(pickle.dumps(pipe))
    np.save(tmp_path / "X.npy", X)
    code = (
        "import pickle, sys, numpy as np, torch; torch.set_num_threads(int(sys.argv[2]));"
        "p = pickle.load(open(sys.argv[1] + '/pipe.pkl', 'rb'));"
        "X = np.load(sys.argv[1] + '/X.npy');"
        "np.save(sys.argv[1] + '/Z.npy', p['features'].transform(X));"
        "np.save(sys.argv[1] + '/y.npy', p.predict(X))"
    )
    threads = str(torch.get_num_threads())
    subprocess.run([sys.executable, "-c", code, str(tmp_path), threads], check=True)
    assert np.array_equal(np.load(tmp_path / "Z.npy"), pipe["features"].transform(X))
    assert np.array_equal(np.load(tmp_path / "y.npy"), pipe.predict(X))
    tensors = sum(t.numel() * t.element_size() for t in weights(pipe["features"]))
    tensors += pipe["svm"].coef_.nbytes + pipe["svm"].intercept_.nbytes
    assert path.stat().st_size <= 1.05 * tensors


def test_importing_skgan_is_cheap():
    """Heavy packages wait until they are used; import time itself is measured by hand."""
    code = (
        "import sys, torch, sklearn.base, sklearn.utils.validation; before = set(sys.modules);"
        "import skgan; skgan.load, skgan.DCGANDiscriminatorFeatures;"
        "new = set(sys.modules) - before; assert 'skgan.base' in new;"
        "heavy = {'torchvision', 'matplotlib', 'tqdm', 'pandas', 'sklearn.svm', 'PIL'};"
        "assert not heavy & new, heavy & new;"
        "foreign = [m for m in new if not m.startswith('skgan')];"
        "assert len(foreign) < 80, len(foreign)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_default_device_of_pytorch_changes_nothing(build, digits):
    """`device=` says where networks are, and everything else lies on the CPU."""
    X, y = digits[0][:80], digits[1][:80]

    def results():
        est = build(n_epochs=1).fit(X, y)
        out = {"transform": est.transform(X)}
        for verb in ("score_samples", "predict", "predict_proba", "reconstruct", "density_ratio"):
            with contextlib.suppress(ValueError):
                if hasattr(est, verb):
                    out[verb] = getattr(est, verb)(X)
        if hasattr(est, "sample"):
            out["sample"] = est.sample(3, random_state=0)
        return out

    expected = results()
    torch.set_default_device("meta")
    try:
        found = results()
    finally:
        torch.set_default_device(None)
    assert found.keys() == expected.keys() >= {"transform"}
    for verb, values in expected.items():
        np.testing.assert_array_equal(found[verb], values, err_msg=verb)


def test_a_stream_may_end_with_a_single_sample(build, digits, tmp_path):
    X, y = digits[0][:61], digits[1][:61]
    est = build(n_epochs=1)
    labels = {} if "classes" not in inspect.signature(est.partial_fit).parameters else {
        "classes": np.unique(y)
    }  # fmt: skip
    est.partial_fit(X[:60], y[:60], **labels)
    before, epochs = est.transform(X), est.n_epochs_
    with pytest.warns(UserWarning, match="X has 1 sample.*left out"):
        assert est.partial_fit(X[60:], y[60:], **labels) is est
    np.testing.assert_array_equal(est.transform(X), before)
    assert est.n_epochs_ == epochs
    est.save(tmp_path / "a.skgan")  # nothing undeclared is left
    with pytest.raises(ValueError, match=r"features|shape|columns"):
        est.partial_fit(X[60:, :50], y[60:])
