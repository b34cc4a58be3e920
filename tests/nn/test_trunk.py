"""A trunk with named heads: of both families and of user-supplied networks, any number and kind."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skgan import DCGANSpec, MGANExtractor, MLPSpec
from skgan.nn import Head, build_heads, joined
from skgan.nn.extractors import PooledTaps

HEADS = {
    "discriminator": Head("logit"),
    "classifier": Head("scores", 3),
    "code": Head("code", 5),
    "projection": Head("embedding", 4, 7),
}
IMAGES, TABLE = (1, 8, 8), (6,)


class Net(nn.Module):
    """Layers in no order that can be told from outside."""

    def __init__(self, input_shape=IMAGES, norm=None):
        super().__init__()
        self.late, self.early = nn.Linear(6, 5), nn.Linear(int(np.prod(input_shape)), 6)

    def forward(self, x):
        return self.late(torch.relu(self.early(x.flatten(1))))


def sequential(input_shape=IMAGES, norm=None):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(int(np.prod(input_shape)), 6), nn.ReLU(), nn.Linear(6, 5)
    )


CHOICES = {
    "dcgan": (DCGANSpec(4), IMAGES), "dcgan with features": (DCGANSpec(4, feature_dim=6), IMAGES),
    "mlp": (MLPSpec(8), TABLE), "sequential": (sequential(), IMAGES),
    "callable": (sequential, TABLE), "module": (Net(), IMAGES),
}  # fmt: skip


def build(choice, shape, seed=0, **settings):
    rng = torch.Generator().manual_seed(seed)
    return build_heads(choice, rng, HEADS, input_shape=shape, norm="batch", **settings)


@pytest.mark.parametrize("n_shared", [0, 1, "all"])
@pytest.mark.parametrize("choice", CHOICES)
def test_any_number_of_heads_by_name_and_kind(choice, n_shared):
    given, shape = CHOICES[choice]
    if n_shared == 1 and choice in ("sequential", "callable"):
        n_shared = 2  # its first layer has no parameters
    nets = build(given, shape, n_shared=n_shared)
    assert list(nets) == ["trunk", *HEADS]
    assert not any(net is given for net in nets.values())
    x = torch.randn(4, *shape)
    whole = joined(nets)
    shapes = {name: tuple(whole[name].eval()(x).shape) for name in HEADS}
    assert shapes == {"discriminator": (4,), "classifier": (4, 3), "code": (4, 5),
                      "projection": (4, 4)}  # fmt: skip
    # Roles hold disjoint parameters, and all of them are somewhere.
    own = [id(p) for net in nets.values() for p in net.parameters()]
    assert len(own) == len(set(own))
    assert (n_shared == 0) == (not list(nets["trunk"].parameters()))


@pytest.mark.parametrize("share_bn", [True, False])
@pytest.mark.parametrize("choice", ["dcgan", "mlp"])
def test_several_heads_at_once_run_shared_layers_once(choice, share_bn):
    given, shape = CHOICES[choice]
    nets = build(given, shape, n_shared=2, share_bn=share_bn)
    D, C, P = (joined(nets)[name].eval() for name in ("discriminator", "classifier", "projection"))
    passes = []
    nets["trunk"].register_forward_hook(lambda *_: passes.append(1))
    x = torch.randn(4, *shape)
    together = D(x, C, P)
    assert len(passes) == (1 if share_bn else 3)
    for out, net in zip(together, (D, C, P), strict=True):
        assert torch.equal(out, net(x))


def test_a_loss_of_one_head_reaches_the_trunk_and_no_other_head():
    nets = build(*CHOICES["dcgan"])
    loss = joined(nets)["projection"](torch.randn(4, *IMAGES)).square().sum()
    loss.backward()
    reached = {
        role: any(p.grad is not None for p in net.parameters()) for role, net in nets.items()
    }
    assert reached == {
        "trunk": True, "discriminator": False, "classifier": False, "code": False,
        "projection": True,
    }  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
def test_whole_networks_have_layers_and_survive_copies(choice):
    given, shape = CHOICES[choice]
    nets = build(given, shape)
    x = torch.randn(3, *shape)
    whole = joined(nets)["classifier"].eval()
    for other in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        assert torch.equal(other(x), whole(x))
    assert whole.features(x).shape == (3, whole.head.in_features)
    if choice != "module":  # its ReLU is a function, which no hook sees
        taps = PooledTaps(whole, "all", "activation", None, "max", shape)
        assert taps(x).shape == (3, taps.n_features)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("choice", ["dcgan", "sequential"])
def test_networks_are_joined_and_measured_in_the_mode_that_they_are_in(choice, training):
    given, shape = CHOICES[choice]
    nets = build(given, shape)
    for net in nets.values():
        net.train(training)
    whole = joined(nets)["classifier"]
    PooledTaps(whole, "all", "activation", None, "max", shape)
    modules = [m for net in (*nets.values(), whole) for m in net.modules()]
    assert {m.training for m in modules} == {training}


def test_weights_depend_on_the_seed_alone():
    a, b, c = (build(*CHOICES["dcgan"], seed=s) for s in (0, 0, 1))
    for role in a:
        pairs = list(zip(a[role].parameters(), b[role].parameters(), strict=True))
        assert pairs and all(torch.equal(p, q) for p, q in pairs)
        assert not all(map(torch.equal, a[role].parameters(), c[role].parameters()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_shared": 3}, "n_shared_layers=3 must be 'all' or an integer from 0 to 2"),
        ({"n_shared": True}, "n_shared_layers=True"),
    ],
)
def test_bad_numbers_of_layers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(DCGANSpec(4, n_blocks=2), IMAGES, **arguments)


def test_bad_heads_and_choices_are_refused():
    with pytest.raises(ValueError, match="kind='logits' is unknown"):
        Head("logits")
    with pytest.raises(ValueError, match="n_outputs=None must be a whole number"):
        Head("scores")
    with pytest.raises(ValueError, match="head_layers=2"):
        build(DCGANSpec(4, head_layers=2), IMAGES)
    with pytest.raises(ValueError, match="share_bn=False needs a discriminator that is a name"):
        build(Net(), IMAGES, share_bn=False)
    with pytest.raises(TypeError, match="discriminator=3 must be a name"):
        build(3, IMAGES)
    with pytest.raises(ValueError, match="cannot take a batch of shape"):
        build(Net(TABLE), IMAGES)
    with pytest.raises(ValueError, match=r"turns two samples into \(60,\)"):
        build(nn.Sequential(nn.Linear(6, 30), nn.Flatten(0)), TABLE)


@pytest.mark.parametrize("n_shared", [0, 2, "all"])
@pytest.mark.parametrize("network", [sequential, sequential(), Net])
def test_mgan_on_a_trunk_of_the_users_own(digits, small, network, n_shared):
    if network is Net and n_shared == 2:
        n_shared = 1
    X = digits[0]
    settings = {"image_shape": (8, 8), "discriminator": network, "n_shared_layers": n_shared,
                "n_generators": 3, "generator": DCGANSpec(4), "extractor": "both"}  # fmt: skip
    est = small(MGANExtractor, **settings).fit(X)
    assert est.transform(X).shape == (len(X), 2 * 5)
    untrained = small(MGANExtractor, **settings | {"n_epochs": 0}).fit(X)
    parts = [est.trunk_, est._discriminator_branch_, est._classifier_branch_]
    before = [untrained.trunk_, untrained._discriminator_branch_, untrained._classifier_branch_]
    for now, then in zip(parts, before, strict=True):
        for p, q in zip(now.parameters(), then.parameters(), strict=True):
            assert not torch.equal(p, q)
    assert est.discriminator_(torch.zeros(2, *IMAGES)).shape == (2,)
    assert est.classifier_(torch.zeros(2, *IMAGES)).shape == (2, 3)
    if network is not Net:
        other = pickle.loads(pickle.dumps(est))
        assert np.array_equal(other.transform(X), est.transform(X))
        again = small(MGANExtractor, **settings).fit(X)
        assert np.array_equal(again.transform(X), est.transform(X))
