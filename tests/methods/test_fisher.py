"""Fisher vectors of the discriminator: gradients sample by sample, moments, the sketch, files."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from torch import nn
from torch.nn.utils import parametrize

import skgan
from skgan import DCGANSpec, MLPSpec
from skgan.methods import dcgan
from skgan.nn.fisher import MOST_VALUES, CountSketch, FisherVectors, SampleGradients
from skgan.utils.seeds import stream

FISHER = {"output": "fisher", "norm": "spectral", "n_epochs": 1}
IMAGES = FISHER | {"image_shape": (8, 8)}


def one_by_one(net, x):
    """The gradients of D(x), by autograd, a sample at a time; a layer's weight before its bias.

    By the weights as layers compute with them: after their spectral normalisation.
    """
    rows, layers = [], [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for one in x:
        with parametrize.cached():
            weights = [p for m in layers for p in (m.weight, m.bias) if p is not None]
            found = torch.autograd.grad(net(one[None]).sum(), weights)
        rows.append(torch.cat([g.flatten() for g in found]))
    return torch.stack(rows)


# ------------------------------------------------------------------ gradients


class Twice(nn.Module):
    """A layer that runs twice, an activation in place, one that is never run, and odd windows."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, (3, 2), stride=(1, 2), padding=(1, 0), dilation=(1, 2))
        self.same = nn.Conv2d(2, 2, 3, padding=1)
        self.dense, self.head = nn.Linear(4, 3, bias=False), nn.Linear(24, 1)
        self.unused = nn.Linear(3, 3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.act(self.conv(x))
        x = self.same(torch.sin(self.same(x)))
        return self.head(self.dense(x[..., :4]).tanh().flatten(1))


def twice():
    torch.manual_seed(0)
    return Twice()


NETS = {
    "none": (DCGANSpec(4, n_blocks=2), "none", (1, 12, 12)),
    "spectral": (DCGANSpec(4, n_blocks=2), "spectral", (1, 12, 12)),
    "fused": (DCGANSpec(4, n_blocks=3, head_layers=2), "none", (1, 24, 24)),
    "feature_dim": (DCGANSpec(4, n_blocks=2, feature_dim=5), "none", (1, 12, 12)),
    "table": (MLPSpec(6), "spectral", (7,)),
    "module": (None, None, (2, 4, 10)),
}


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_autograds(name):
    spec, norm, shape = NETS[name]
    net = twice() if spec is None else spec.make_discriminator(input_shape=shape, norm=norm)
    net.eval()
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    gradients = SampleGradients(net, shape)
    with torch.no_grad():
        found = torch.cat(list(gradients(x)), dim=1)
    if name == "module":
        del net.unused
    expected = one_by_one(net, x)
    assert expected.abs().max() > 0 and found.shape[1] == sum(gradients.sizes.values())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert not found.requires_grad and all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.BatchNorm2d(4), "BatchNorm2d"),
        (nn.PReLU(), "PReLU"),
        (nn.Conv2d(4, 4, 3, groups=2), "groups=2"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "padding_mode=reflect"),
    ],
)
def test_other_layers_with_weights_are_refused(layer, words):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), layer, nn.Flatten(), nn.LazyLinear(1))
    net(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match=f"output='fisher' takes gradients by.*{words}"):
        SampleGradients(net, (1, 8, 8))


def test_layers_that_mix_samples_are_refused():
    net = nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (1, 14)), nn.Linear(14, 2), nn.Flatten(0))
    with pytest.raises(ValueError, match="from 2 samples"):
        SampleGradients(net, (7,))


# ------------------------------------------------------------------ moments


@pytest.mark.parametrize("table", [False, True])
def test_vectors_are_standardised_over_generated_samples(small, digits, table):
    """Mean 0 and standard deviation 1 over the very samples; others than these are not so."""
    X, _ = digits
    given = {"generator": MLPSpec(8), "discriminator": MLPSpec(8)} if table else {}
    settings = FISHER | {"n_epochs": 3} if table else IMAGES
    est = small(precision="float32", **(settings | given)).fit(X)
    fisher, D, G = est._extractor(est._nets()), est.discriminator_, est.generator_
    with torch.no_grad():
        x = G(est._draw(dcgan.N_GENERATED, stream(est._seed, "measurements")))
        v = fisher(x)
    assert v.mean(0).abs().max() < 1e-2 and v.mean(0).abs().mean() < 1e-3
    spread = v.std(0, correction=0)
    assert (spread[spread > 1e-3] - 1).abs().max() < 1e-3 and (spread > 1e-3).float().mean() > 0.9
    g = one_by_one(D, x).double()
    mean, std = torch.from_numpy(est._moments).double()
    torch.testing.assert_close(mean, g.mean(0), rtol=1e-3, atol=1e-6)
    kept = spread.double() > 1e-3
    torch.testing.assert_close(std[kept], g.std(0, correction=0)[kept], rtol=1e-3, atol=1e-7)
    real = fisher(est._format.encode(X)).std(0)
    assert not torch.allclose(real, torch.ones_like(real), rtol=0.3)


def test_a_gradient_that_never_changes_is_centred_alone():
    """A linear D has the gradient (x, 1): in parts or at once, and no rounding is blown up."""
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) + 4
    x[:, 0] = 0.1
    net = nn.Linear(3, 1)
    mean, std = moments = FisherVectors(net, (3,), None, 0).moments([x[:7], x[7:20], x[20:]])
    torch.testing.assert_close(mean, torch.cat([x.mean(0), torch.ones(1)]))
    torch.testing.assert_close(std[1:3], x[:, 1:].std(0, correction=0))
    assert std[0] == std[3] == 1
    assert FisherVectors(net, (3,), None, 0, moments)(x)[:, [0, 3]].abs().max() < 1e-6


# ------------------------------------------------------------------ the sketch


def test_the_sketch_is_linear_and_seeded():
    a, b, c = (CountSketch(50, 8, stream(seed, "sketch")) for seed in (0, 0, 1))
    v, w = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(a(2 * v - w), 2 * a(v) - a(w))
    assert torch.equal(a(v), b(v)) and not torch.allclose(a(v), c(v))
    # Every entry goes to one sum, with its sign; none has more than its share.
    M = a(torch.eye(50))
    assert ((M != 0).sum(1) == 1).all() and (M.abs().sum(1) == 1).all()
    assert (M != 0).sum(0).max() <= 7


def test_the_sketch_keeps_inner_products():
    """Unbiased over seeds; the error of one has a variance of at most (|v|^2 |w|^2 + <v,w>^2)/k."""
    k, rng = 64, torch.Generator().manual_seed(0)
    v = torch.randn(1, 1000, generator=rng)
    w = 0.5 * v + torch.randn(1, 1000, generator=rng)
    inner = float(v @ w.T)
    found = torch.tensor([
        float(s(v) @ s(w).T) for s in (CountSketch(1000, k, stream(i, "s")) for i in range(400))
    ])  # fmt: skip
    variance = float(v.square().sum() * w.square().sum() + inner**2) / k
    assert abs(float(found.mean()) - inner) < 4 * (variance / 400) ** 0.5
    assert 0.7 * variance < float(found.var()) < 1.3 * variance


def test_a_sketched_fit_is_the_sketch_of_the_vectors(small, digits):
    X, _ = digits
    est = small(precision="float32", **IMAGES).fit(X)
    whole = est.transform(X)
    est.set_params(n_components=64)
    Z = est.transform(X)
    fisher = est._extractor(est._nets())
    sketches, parts = fisher.sketches, torch.from_numpy(whole).split(fisher.sizes, dim=1)
    expected = sum(s(p) for s, p in zip(sketches, parts, strict=True))
    np.testing.assert_allclose(Z, expected.numpy(), rtol=1e-3, atol=1e-3)
    assert Z.shape == (len(X), 64) and Z.dtype == np.float32 and est.n_features_out_ == 64
    assert list(est.get_feature_names_out()[:2]) == ["fisher0", "fisher1"]
    # Another fit has another sketch.
    other = small(n_components=64, **(IMAGES | {"random_state": 1})).fit(X)
    order = other._extractor(other._nets()).sketches[0].order
    assert not torch.equal(order, sketches[0].order)


# ------------------------------------------------------------------ the estimator


@pytest.mark.parametrize("n_components", [None, 32])
def test_it_survives_files_pickles_and_modules(small, digits, tmp_path, n_components):
    X, _ = digits
    est = small(n_components=n_components, precision="float32", **IMAGES).fit(X)
    Z = est.transform(X)
    n_weights = sum(p.numel() for p in est.discriminator_.parameters())
    assert Z.shape == (len(X), n_components or n_weights) and Z.dtype == np.float32
    assert len(set(est.get_feature_names_out())) == est.n_features_out_ == Z.shape[1]
    np.testing.assert_allclose(est.transform(X[7:8])[0], Z[7], rtol=1e-3, atol=1e-3)
    est.save(tmp_path / "est.skgan")
    for other in (skgan.load(tmp_path / "est.skgan"), pickle.loads(pickle.dumps(est))):
        assert np.array_equal(other.transform(X), Z)
    module, x = est.as_module(), torch.from_numpy(X.reshape(-1, 1, 8, 8)).float()
    for context in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with context():
            out = module(x)
        np.testing.assert_allclose(out.numpy(force=True), Z, rtol=1e-2, atol=1e-2)
    out.square().mean().backward()  # with gradients it can be trained on
    assert all(p.grad is not None for p in module.parameters())


def test_it_is_seeded_and_ends_in_a_pipeline(small, digits):
    X, y = digits
    pipelines = [
        make_pipeline(small(n_components=512, **IMAGES), LinearSVC(C=1e-4)).fit(X, y)
        for _ in range(2)
    ]
    one, other = (p[0].transform(X) for p in pipelines)
    assert np.array_equal(one, other) and np.isfinite(one).all()
    assert pipelines[0].score(X, y) > 0.5


def test_training_is_the_same_whatever_the_output(small, digits, tmp_path):
    """So a finished fit is taken from its checkpoints, and only the moments are measured."""
    X, _ = digits
    settings = IMAGES | {"checkpoint_dir": tmp_path, "resume": "auto"}
    layers = small(**(settings | {"output": "layers"})).fit(X)
    assert not hasattr(layers, "_moments")
    fisher = small(**(settings | {"resume": "must"})).fit(X)
    assert fisher.history_ == layers.history_
    for a, b in zip(
        fisher.discriminator_.parameters(), layers.discriminator_.parameters(), strict=True
    ):
        assert torch.equal(a, b)
    assert np.array_equal(fisher.set_params(output="layers").transform(X), layers.transform(X))


def test_warm_starts_measure_anew(small, digits):
    X, _ = digits
    est = small(warm_start=True, **IMAGES).fit(X)
    first = est._moments
    est.set_params(n_epochs=2).fit(X)
    assert not np.allclose(est._moments, first, rtol=1e-2)
    straight = small(**(IMAGES | {"n_epochs": 2})).fit(X)
    assert np.array_equal(est._moments, straight._moments)
    assert np.array_equal(est.transform(X), straight.transform(X))
    est.set_params(output="layers", n_epochs=3).fit(X)
    assert not hasattr(est, "_moments")
    est.set_params(output="fisher").partial_fit(X)
    assert hasattr(est, "_moments")


def test_large_vectors_come_in_small_batches(small, digits, monkeypatch):
    X, _ = digits
    est = small(**IMAGES).fit(X)
    n_weights = est.n_features_out_
    assert [len(p) for p in est.iter_transform(X)] == [300]
    monkeypatch.setattr("skgan.nn.fisher.MOST_VALUES", 100 * n_weights + 1)
    assert [len(p) for p in est.iter_transform(X)] == [100, 100, 100]
    assert 300 * n_weights < MOST_VALUES
    est.set_params(transform_batch_size=150)
    assert [len(p) for p in est.iter_transform(X)] == [150, 150]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"norm": "batch"}, "norm='batch' does not go with output='fisher'.*norm='spectral'"),
        ({"feature_matching": "mean"}, "feature_matching='mean' does not go with"),
        ({"output": "gradients"}, "output='gradients' is unknown"),
        ({"n_components": 0}, "n_components=0 must be a whole number.*or None"),
        ({"n_components": 10**6}, "n_components=1000000 is more than the .* weights"),
        ({"discriminator": DCGANSpec(4, first_layer="trained_patches")}, "WhitenedPatches"),
    ],
)
def test_errors(small, digits, settings, words):
    with pytest.raises(ValueError, match=words):
        small(**(IMAGES | settings)).fit(digits[0])


def test_without_moments_there_are_no_vectors(small, digits):
    X, _ = digits
    est = small(**(IMAGES | {"output": "layers"})).fit(X).set_params(output="fisher")
    with pytest.raises(ValueError, match="output='fisher' needs .* fit with it"):
        est.transform(X)
    est._moments = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"moments of shape \(2, 3\)"):
        est.transform(X)
    est._moments = np.ones(3, np.float32)
    with pytest.raises(TypeError, match="_moments"):
        est.save("never-written.skgan")
