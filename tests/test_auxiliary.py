"""Auxiliary heads of critics: rotation (SSGAN) and local infomax (InfoMax-GAN)."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

import skgan
from skgan import (
    BiGANEncoder,
    ContrastiveDiscriminatorFeatures,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    LatentRegressorEncoder,
    MGANExtractor,
    MLPSpec,
    critics,
)
from skgan.critics import infomax_loss, rotation_loss
from skgan.losses import local_infomax
from skgan.nn import joined, turned

BOTH = {"rotation_weight": 1.0, "infomax_weight": 0.2, "infomax_dim": 6}
TERMS = {f"{role}_{task}" for role in ("discriminator", "generator") for task in critics.TASKS}


def images(n, side=8, seed=0):
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def untrained(small, cls=DCGANDiscriminatorFeatures, **settings):
    """An estimator, and its untrained networks as a step sees them."""
    est = small(cls, image_shape=(8, 8), n_epochs=0, **(BOTH | settings)).fit(np.zeros((4, 64)))
    nets = est._kept_nets()
    for net in nets.values():
        net.train()
    return est, nets, SimpleNamespace(**joined(nets))


# ------------------------------------------------------------------------ the losses, by hand


def rotated_by_hand(image, k):
    """k quarter turns, counterclockwise, pixel by pixel."""
    s = len(image)
    for _ in range(k):
        image = [[image[j][s - 1 - i] for j in range(s)] for i in range(s)]
    return np.array(image)


def test_every_fourth_image_is_rotated_in_all_four_ways():
    x = images(13)
    out, k = turned(x)
    assert len(out) == 16 and k.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    for i, image in enumerate(out):
        source = x[4 * (i % 4), 0].tolist()
        assert np.array_equal(image[0].numpy(), rotated_by_hand(source, i // 4).astype("f4"))
    assert len(turned(x[:2])[0]) == 4


@pytest.mark.parametrize("n", [4, 16])
def test_the_rotation_loss_is_the_formula(small, n):
    """One image of 4, and 4 images of 16, in four rotations each."""
    _, _, nets = untrained(small, norm="none")
    D, x = nets.discriminator, images(n)
    head = D.auxiliary["rotation"].scores
    nn.init.normal_(head.weight)
    terms = []
    for i in range(0, n, 4):
        for k in range(4):
            image = torch.tensor(rotated_by_hand(x[i, 0].tolist(), k), dtype=torch.float32)
            f = D.features(image[None, None])[0].numpy(force=True)
            scores = head.weight.numpy(force=True) @ f + head.bias.numpy(force=True)
            terms.append(-np.log(np.exp(scores[k]) / np.exp(scores).sum()))
    assert rotation_loss(D, x).item() == pytest.approx(np.mean(terms), rel=1e-5)


def projected(projection, a):
    """V relu(U a) + W a for a vector a."""
    weights = [
        (m.weight.numpy(force=True).reshape(len(m.weight), -1), m.bias.numpy(force=True))
        for m in (projection.hidden, projection.out, projection.skip)
    ]
    (U, u), (V, v), (W, w) = weights
    return V @ np.maximum(U @ a + u, 0) + v + W @ a + w


def test_the_infomax_loss_is_the_formula_on_four_images(small):
    _, _, nets = untrained(small, norm="none")
    D, x = nets.discriminator, images(4)
    head = D.auxiliary["infomax"]
    for p in head.parameters():
        nn.init.normal_(p, std=0.5)
    maps, last = (m.numpy(force=True) for m in D.taps(x)[-2:])
    assert maps.shape == (4, 4, 4, 4) and last.shape == (4, 8, 2, 2)
    whole = [projected(head.of_global, last[i].sum((1, 2))) for i in range(4)]
    places = [(h, w) for h in range(4) for w in range(4)]
    local = [[projected(head.of_local, maps[i][:, h, w]) for h, w in places] for i in range(4)]
    terms = []
    for i in range(4):
        others = sum(np.exp(a @ whole[i]) for k in range(4) if k != i for a in local[k])
        for j in range(16):
            own = np.exp(local[i][j] @ whole[i])
            terms.append(-np.log(own / (own + others)))
    assert infomax_loss(D, x).item() == pytest.approx(np.mean(terms), rel=1e-4)


def test_infomax_is_zero_where_images_are_told_apart_and_chance_where_all_are_alike():
    whole = 10 * torch.eye(4)
    local = whole[:, :, None, None].expand(4, 4, 3, 3)
    assert local_infomax(local, whole).item() == pytest.approx(0, abs=1e-6)
    same = torch.ones(4, 4)
    chance = local_infomax(same[:, :, None], same).item()
    assert chance == pytest.approx(np.log(1 + 3), rel=1e-6)
    assert local_infomax(local.bfloat16(), whole.bfloat16()).dtype == torch.float32


# ------------------------------------------------------------------------ who moves


def reached(loss, net):
    """The names of the parameters that get a gradient."""
    found = set()
    for name, p in net.named_parameters():
        (g,) = torch.autograd.grad(loss, p, retain_graph=True, allow_unused=True)
        found |= {name} if g is not None and bool(g.abs().max() > 0) else set()
    return found


@pytest.mark.parametrize("cls", [DCGANDiscriminatorFeatures, LatentRegressorEncoder, BiGANEncoder])
@pytest.mark.parametrize("task", critics.TASKS)
def test_each_task_moves_its_head_and_the_layers_below_and_g_by_its_own_images(small, cls, task):
    own = {f"{t}_weight": float(t == task) for t in critics.TASKS}
    own |= {"unary": True} if cls is BiGANEncoder else {}
    est, kept, nets = untrained(small, cls, norm="none", **own)
    logged = {}
    batch = SimpleNamespace(x=images(8), step=1, log=lambda **terms: logged.update(terms))
    fake = nets.generator(torch.rand(8, 8) * 2 - 1)
    on_real = est._added(nets.discriminator, batch, (batch.x,), (fake,)).terms[task]
    on_fake = est._added_to_generator(nets.discriminator, batch, fake).terms[task]
    assert set(logged) == {f"discriminator_{task}", f"generator_{task}"}
    names = reached(on_real, kept["discriminator"])
    head = {n for n, _ in kept["discriminator"].named_parameters() if f"auxiliary.{task}" in n}
    blocks = {n for n in names if "blocks" in n}
    assert head and head <= names and len(blocks) == 4 and names == head | blocks
    assert not reached(on_real, kept["generator"])
    assert len(reached(on_fake, kept["generator"])) == len(list(kept["generator"].parameters()))


@pytest.mark.parametrize("n_shared", ["all", 1, 0])
@pytest.mark.parametrize("task", critics.TASKS)
def test_on_a_trunk_the_loss_reaches_the_trunk_and_not_the_other_branch(small, n_shared, task):
    own = {"n_generators": 2, "n_shared_layers": n_shared, "norm": "none"}
    est, kept, nets = untrained(small, MGANExtractor, **own)
    batch = SimpleNamespace(x=images(8), step=1, log=lambda **_: None)
    term = est._added(nets.discriminator, batch, (batch.x,), (batch.x,)).terms[task]
    trunk = list(kept["trunk"].parameters())
    assert len(reached(term, kept["trunk"])) == len(trunk) == 2 * {"all": 2, 1: 1, 0: 0}[n_shared]
    assert any(f"auxiliary.{task}" in n for n in reached(term, kept["discriminator"]))
    assert not reached(term, kept["classifier"])


def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch):
    X, spec = digits[0][:160], DCGANSpec(4)
    chosen = BOTH | {
        "generator": spec, "discriminator": spec, "latent_dim": 4, "norm": "none",
        "optimizer": "sgd", "lr": 0.05,  # Adam turns the noise of gradients of 0 into steps
        "batch_size": 32, "random_state": 3, "device": "cpu", "image_shape": (8, 8),
        "generator_rotation_weight": 0.3, "generator_infomax_weight": 0.4,
    }  # fmt: skip
    start = DCGANDiscriminatorFeatures(**chosen, n_epochs=0).fit(X)
    G, D = (copy.deepcopy(net).train() for net in (start.generator_, start.discriminator_))
    seen, step = [], DCGANDiscriminatorFeatures._step

    def recording(self, nets, batch, update):
        z = batch.latent()
        seen.append((batch.x.clone(), z.clone()))
        object.__setattr__(batch, "latent", lambda: z)
        step(self, nets, batch, update)

    monkeypatch.setattr(DCGANDiscriminatorFeatures, "_step", recording)
    est = DCGANDiscriminatorFeatures(**chosen, n_epochs=1).fit(X)
    assert len(seen) == 5
    optimizers = {
        net: torch.optim.SGD(net.parameters(), 0.05, momentum=0.5, weight_decay=2.5e-5)
        for net in (D, G)
    }
    logged = []

    def move(net, loss):
        parameters = list(net.parameters())
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p.grad = g
        optimizers[net].step()

    def auxiliary(x, rotation, infomax):
        terms = rotation * rotation_loss(D, x), infomax * infomax_loss(D, x)
        logged.append([t.item() for t in terms])
        return sum(terms)

    softplus = nn.functional.softplus
    for x, z in seen:
        loss = softplus(-D(x)).mean() + softplus(D(G(z).detach())).mean()
        move(D, loss + auxiliary(x, 1.0, 0.2))
        x_hat = G(z)
        move(G, softplus(-D(x_hat)).mean() + auxiliary(x_hat, 0.3, 0.4))
    for mine, theirs in ((G, est.generator_), (D, est.discriminator_)):
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-6)
    (row,) = est.history_
    expected = np.reshape(logged, (5, 2, 2)).mean(0).ravel()
    names = [f"{r}_{t}" for r in ("discriminator", "generator") for t in ("rotation", "infomax")]
    np.testing.assert_allclose([row[n] for n in names], expected, rtol=1e-4)


def test_both_tasks_are_learnt(small, digits):
    spec, own = DCGANSpec(16), BOTH | {"infomax_weight": 1.0, "infomax_dim": 32}
    settings = {"image_shape": (8, 8), "norm": "spectral", "lr": 1e-3, "n_epochs": 20}
    est = small(discriminator=spec, **settings, **own).fit(digits[0])
    chance = {"rotation": np.log(4), "infomax": np.log(1 + 29 * 16)}  # 30 images, 4x4 positions
    for task, loss in chance.items():
        first, last = (est.history_[i][f"discriminator_{task}"] for i in (0, -1))
        assert last < loss - 0.4 and last < first < loss + 0.1


def test_heads_see_augmented_images_as_the_critic_does(small, digits):
    passes = []

    class Dimmed(DCGANDiscriminatorFeatures):
        def _augmentation(self, rng):
            return lambda x: passes.append(len(x)) or x / 2

    est = small(Dimmed, image_shape=(8, 8), n_epochs=1, batch_size=32, **BOTH).fit(digits[0][:32])
    # D's own passes: real, generated. Rotation and infomax of real ones. Then the same for G.
    assert est.n_steps_ == 1 and passes == [32] * 7


# ------------------------------------------------------------------------ off, and kept


@pytest.mark.parametrize("cls", [DCGANDiscriminatorFeatures, BiGANEncoder, MGANExtractor])
def test_without_weights_nothing_changes(small, digits, cls):
    settings = {"image_shape": (8, 8), "n_epochs": 1} | (
        {"n_generators": 2} if cls is MGANExtractor else {}
    )
    plain = small(cls, **settings).fit(digits[0])
    off = {"generator_rotation_weight": 1.0, "generator_infomax_weight": 1.0, "infomax_dim": 3}
    other = small(cls, **off, **settings).fit(digits[0])
    assert np.array_equal(plain.transform(digits[0]), other.transform(digits[0]))
    assert not TERMS & plain.history_[0].keys()
    nets = plain._kept_nets()
    assert "auxiliary" not in str(nets["discriminator"].recipe)
    assert not any("auxiliary" in k for k in nets["discriminator"].state_dict())


def test_the_other_weights_begin_as_without_heads(small, digits):
    plain = small(image_shape=(8, 8), n_epochs=0).fit(digits[0])
    heads = small(image_shape=(8, 8), n_epochs=0, **BOTH).fit(digits[0])
    theirs = heads.discriminator_.state_dict()
    for name, weight in plain.discriminator_.state_dict().items():
        assert torch.equal(weight, theirs[name])


def test_a_generator_weight_of_zero_leaves_g_alone(small, digits):
    own = {"generator_rotation_weight": 0.0, "infomax_weight": 0.0}
    (row,) = small(image_shape=(8, 8), n_epochs=1, **(BOTH | own)).fit(digits[0]).history_
    assert TERMS & row.keys() == {"discriminator_rotation"}


CASES = {
    "dcgan": (DCGANDiscriminatorFeatures, {"norm": "spectral", "ema_decay": 0.9}),
    "rotation": (DCGANDiscriminatorFeatures, {"infomax_weight": 0.0}),
    "dense": (DCGANDiscriminatorFeatures, {"infomax_weight": 0, "discriminator": MLPSpec(16)}),
    "feature_dim": (DCGANDiscriminatorFeatures, {"discriminator": DCGANSpec(4, feature_dim=5)}),
    "patches": (DCGANDiscriminatorFeatures, {"discriminator": DCGANSpec(4, first_layer="patches",
                                                                        activation="crelu")}),
    "unary": (BiGANEncoder, {"unary": True, "generator_size": 12}),
    "unary, in turns": (BiGANEncoder, {"unary": True, "play": "alternating"}),
    "regressor": (LatentRegressorEncoder, {"play": "alternating"}),
    "mgan": (MGANExtractor, {"n_generators": 2}),
    "own norms": (MGANExtractor, {"n_generators": 2, "n_shared_layers": 1, "share_bn": False,
                                  "shared_optimizer": "both"}),
}  # fmt: skip


@pytest.fixture(params=CASES.values(), ids=CASES)
def build(small, request):
    cls, settings = request.param
    return lambda **more: small(cls, image_shape=(8, 8), **(BOTH | settings | more))


def assert_same(a, b, X):
    for left, right in zip(a._kept_nets().values(), b._kept_nets().values(), strict=True):
        left, right = left.state_dict(), right.state_dict()
        assert left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)
    assert np.array_equal(a.transform(X), b.transform(X))


def test_fits_are_kept_and_go_on(build, digits, tmp_path):
    X = digits[0][:100]
    est = build().fit(X)
    wanted = {n for n in TERMS if getattr(est, f"{n.rpartition('_')[2]}_weight")}
    assert all(np.isfinite(row[n]) for row in est.history_ for n in wanted)
    assert any("auxiliary" in k for k in est._kept_nets()["discriminator"].state_dict())
    est.save(tmp_path / "gan")
    for other in (skgan.load(tmp_path / "gan"), pickle.loads(pickle.dumps(est)), clone(est).fit(X)):
        assert_same(est, other, X)
    build(n_epochs=1, checkpoint_dir=tmp_path).fit(X)
    assert_same(est, build(checkpoint_dir=tmp_path, resume="must").fit(X), X)
    warm = build(n_epochs=1, warm_start=True).fit(X).set_params(n_epochs=2).fit(X)
    assert_same(est, warm, X)
    loaded = skgan.load(tmp_path / "gan")
    assert loaded.partial_fit(X).n_epochs_ == 3
    assert TERMS & loaded.history_[-1].keys() == wanted


def test_a_head_that_comes_or_goes_is_another_training(small, digits):
    est = small(image_shape=(8, 8), warm_start=True, n_epochs=1).fit(digits[0])
    with pytest.raises(ValueError, match="'discriminator' differ.*warm_start=False"):
        est.set_params(n_epochs=2, rotation_weight=1.0).fit(digits[0])


def test_in_bfloat16(small, digits):
    est = small(image_shape=(8, 8), discriminator=DCGANSpec(16), precision="bfloat16", **BOTH)
    assert all(np.isfinite(est.fit(digits[0]).history_[-1][n]) for n in TERMS)


# ------------------------------------------------------------------------ what is refused


ONE_BLOCK = DCGANSpec(4, n_blocks=1)
TABLE = {"image_shape": None, "generator": "auto", "discriminator": "auto"}


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 1))


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (DCGANDiscriminatorFeatures, {"rotation_weight": -1}, r"rotation_weight=-1 must be a num"),
        (DCGANDiscriminatorFeatures, {"infomax_weight": "1"}, r"infomax_weight='1' must be a num"),
        (DCGANDiscriminatorFeatures, {"generator_rotation_weight": None},
         "generator_rotation_weight=None must be a number"),
        (DCGANDiscriminatorFeatures, {"infomax_dim": 0}, "infomax_dim=0 must be a whole number"),
        (DCGANDiscriminatorFeatures, {"rotation_weight": 1.0, "image_shape": (8, 16)},
         r"rotation_weight=1.0 rotates .* these are 8x16: .* square, or rotation_weight=0\."),
        (DCGANDiscriminatorFeatures, {"rotation_weight": 1.0, **TABLE},
         "rotation_weight=1.0 is for images, but X is a table of 64 .* or rotation_weight=0"),
        (DCGANDiscriminatorFeatures, {"infomax_weight": 0.5, **TABLE},
         "infomax_weight=0.5 is for images, but"),
        (DCGANDiscriminatorFeatures, {"infomax_weight": 0.5, "discriminator": MLPSpec(16)},
         "infomax_weight=0.5 needs .*feature maps.*DCGANSpec.*or infomax_weight=0"),
        (DCGANDiscriminatorFeatures, {"infomax_weight": 0.5, "discriminator": ONE_BLOCK},
         "infomax_weight=0.5 needs .*feature maps"),
        (DCGANDiscriminatorFeatures, {"rotation_weight": 1.0, "discriminator": Net()},
         "rotation_weight=1.0 needs a discriminator .* not a Net: use a name or a spec"),
        (MGANExtractor, {"infomax_weight": 1.0, "discriminator": Net()},
         "infomax_weight=1.0 needs a discriminator .* use a name or a spec"),
        (BiGANEncoder, {"rotation_weight": 1.0},
         "rotation_weight=1.0 does not go with unary=False.*unary=True, or rotation_weight=0"),
        (BiGANEncoder, {"infomax_weight": 1.0}, "infomax_weight=1.0 does not go with unary=False"),
        (ContrastiveDiscriminatorFeatures, {"rotation_weight": 1.0},
         "rotation_weight=1.0 does not reach the trunk.* or rotation_weight=0"),
        (ContrastiveDiscriminatorFeatures, {"infomax_weight": 1.0},
         "infomax_weight=1.0 does not reach the trunk"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_training(small, digits, cls, settings, message):
    est = small(cls, **({"image_shape": (8, 8)} | settings))
    X = np.tile(digits[0], 2) if est.image_shape == (8, 16) else digits[0]
    with pytest.raises(ValueError, match=f"^{message}"):
        est.fit(X)
    assert not hasattr(est, "discriminator_")
