"""`update` against hand-written loops, and everything that docs/develop/design.md says of it."""

import contextlib
import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.engine import checkpoint, runtime
from skgan.engine.losses import Terms
from skgan.engine.players import Players
from skgan.nn.kernels import conv
from skgan.nn.kernels.conv import Products, TiledConvolutions


def make_nets(seed=0):
    torch_rng = torch.Generator().manual_seed(seed)
    nets = {
        "generator": nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)),
        "discriminator": nn.Sequential(
            nn.Linear(2, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2), nn.Linear(8, 1)
        ),
    }
    for net in nets.values():
        for p in net.parameters():
            nn.init.normal_(p, 0.5, 0.5, generator=torch_rng)
    return nets


def adam(_role, parameters):
    return torch.optim.Adam(parameters, lr=0.01, betas=(0.5, 0.999), weight_decay=1e-3, fused=True)


def play(nets, **settings):
    return Players(nets, adam, rng=torch.Generator().manual_seed(0), **settings)


def batches(n):
    rng = torch.Generator().manual_seed(1)
    return [
        (torch.randn(16, 2, generator=rng), torch.randn(16, 3, generator=rng)) for _ in range(n)
    ]


def d_loss(d, x, fake):
    return softplus(-d(x)).mean() + softplus(d(fake)).mean()


def g_loss(d, fake):
    return softplus(-d(fake)).mean()


def state(nets):
    return {f"{r}.{k}": v.clone() for r, n in nets.items() for k, v in n.state_dict().items()}


def parameters_equal(a, b):
    return all(
        torch.equal(p, q)
        for role in a
        for p, q in zip(a[role].parameters(), b[role].parameters(), strict=True)
    )


def by_hand(nets, n, simultaneous):
    """The loop that everybody writes: zero_grad, backward, step."""
    G, D = nets["generator"], nets["discriminator"]
    opt = {role: adam(role, net.parameters()) for role, net in nets.items()}
    for x, z in batches(n):
        if simultaneous:
            opt["discriminator"].zero_grad()
            d_loss(D, x, G(z).detach()).backward()
            d_grads = [p.grad.clone() for p in D.parameters()]
            opt["generator"].zero_grad()
            g_loss(D, G(z)).backward()
            for p, g in zip(D.parameters(), d_grads, strict=True):
                p.grad = g
            opt["discriminator"].step()
            opt["generator"].step()
            continue
        opt["discriminator"].zero_grad()
        d_loss(D, x, G(z).detach()).backward()
        opt["discriminator"].step()
        opt["generator"].zero_grad()
        g_loss(D, G(z)).backward()
        opt["generator"].step()


@pytest.mark.parametrize("simultaneous", [False, True])
def test_equals_a_hand_written_loop_bitwise(simultaneous):
    ours, theirs = make_nets(), make_nets()
    players = play(ours)
    G, D = ours["generator"], ours["discriminator"]
    for x, z in batches(6):
        fake = G(z)
        if simultaneous:
            players.update(discriminator=d_loss(D, x, fake), generator=g_loss(D, fake))
        else:
            players.update(discriminator=d_loss(D, x, fake))
            players.update(generator=g_loss(D, fake))
    by_hand(theirs, 6, simultaneous)
    assert parameters_equal(ours, theirs)
    assert not parameters_equal(ours, make_nets())


def test_the_two_plays_differ():
    a, b = make_nets(), make_nets()
    by_hand(a, 3, True)
    by_hand(b, 3, False)
    assert not parameters_equal(a, b)


def test_only_named_networks_move_buffers_included():
    nets = make_nets()
    players = play(nets)
    ((x, z),) = batches(1)
    before = state(nets)
    players.update(discriminator=d_loss(nets["discriminator"], x, nets["generator"](z)))
    after = state(nets)
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert moved and all(k.startswith("discriminator") for k in moved)
    assert any("running_mean" in k for k in moved)
    before = after
    players.update(generator=g_loss(nets["discriminator"], nets["generator"](z)))
    after = state(nets)
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert moved and all(k.startswith("generator") for k in moved)


def test_one_tensor_under_two_names_costs_one_backward_pass():
    nets = make_nets()
    players = play(nets)
    ((_, z),) = batches(1)
    passes = []
    loss = g_loss(nets["discriminator"], nets["generator"](z))
    loss.register_hook(lambda g: passes.append(1))
    players.update(discriminator=loss, generator=loss)
    assert len(passes) == 1
    assert players.n_updates == {"generator": 1, "discriminator": 1}


def test_a_tuple_of_losses_moves_a_network_down_each_by_an_optimizer_of_its_own():
    ours, theirs = make_nets(), make_nets()
    players = play(ours)
    first, second = (adam("", list(theirs["discriminator"].parameters())) for _ in range(2))
    for x, z in batches(4):
        fake = ours["generator"](z)
        d = ours["discriminator"]
        players.update(discriminator=(d_loss(d, x, fake), d(x).square().mean()))
        d, fake = theirs["discriminator"], theirs["generator"](z)
        losses = d_loss(d, x, fake), d(x).square().mean()
        both = [torch.autograd.grad(loss, list(d.parameters()), retain_graph=True)
                for loss in losses]  # fmt: skip
        for optimizer, gradients in zip((first, second), both, strict=True):
            for p, g in zip(d.parameters(), gradients, strict=True):
                p.grad = g
            optimizer.step()
    assert parameters_equal(ours, theirs)
    assert players.n_updates["discriminator"] == 4
    assert players.meters.read()["discriminator_loss"] > 0
    players.scale_lr(0.5)
    assert {o.param_groups[0]["lr"] for o in players.optimizers.values()} == {0.005}


def test_the_memory_of_several_optimizers_goes_on():
    def turn(players, rows):
        nets = players.nets
        for x, z in rows:
            d, fake = nets["discriminator"], nets["generator"](z)
            players.update(discriminator=(d_loss(d, x, fake), d(x).square().mean()))

    through = play(make_nets())
    turn(through, batches(4))
    first = play(make_nets())
    turn(first, batches(4)[:2])
    second = play(make_nets(seed=9))
    checkpoint.put_back(second, [], checkpoint.encode(checkpoint.take(first, [], 0)))
    turn(second, batches(4)[2:])
    assert parameters_equal(through.nets, second.nets)


def test_looking_on_leaves_no_trace():
    nets = make_nets()
    players = play(nets)
    before = state(nets)
    ((x, z),) = batches(1)
    with players.looking_on(), torch.no_grad():
        nets["discriminator"](nets["generator"](z))
    after = state(nets)
    assert all(torch.equal(before[k], after[k]) for k in before)
    players.update(discriminator=d_loss(nets["discriminator"], x, nets["generator"](z)))
    assert all(torch.equal(v, before[k]) for k, v in state(nets).items() if k[0] == "g")


def test_gradients_are_all_taken_at_the_current_point():
    """Two networks that play w1 * w2: the second must see the old value of the first."""
    a, b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        a.weight.fill_(2.0), b.weight.fill_(3.0)
    players = Players(
        {"a": a, "b": b}, lambda _r, p: torch.optim.SGD(p, lr=0.1), rng=torch.Generator()
    )
    product = (a.weight * b.weight).sum()
    players.update(a=product, b=-product)
    assert a.weight.item() == pytest.approx(2.0 - 0.1 * 3.0)
    assert b.weight.item() == pytest.approx(3.0 + 0.1 * 2.0)


def test_a_loss_from_before_a_step_is_refused():
    nets = make_nets()
    players = play(nets)
    ((x, z),) = batches(1)
    fake = nets["generator"](z)
    old = g_loss(nets["discriminator"], fake)
    players.update(discriminator=d_loss(nets["discriminator"], x, fake))
    with pytest.raises(RuntimeError, match=r"update\(generator=.*compute it again"):
        players.update(generator=old)


def test_a_loss_used_twice_is_refused():
    nets = make_nets()
    players = play(nets)
    ((x, z),) = batches(1)
    loss = d_loss(nets["discriminator"], x, nets["generator"](z))
    players.update(discriminator=loss)
    with pytest.raises(RuntimeError, match="compute it again"):
        players.update(discriminator=loss)


def test_a_name_that_the_loss_does_not_reach_is_refused():
    nets = make_nets()
    players = play(nets)
    ((x, z),) = batches(1)
    with pytest.raises(ValueError, match="reaches no parameter of 'generator'"):
        loss = nets["discriminator"](x).mean()
        players.update(discriminator=loss, generator=loss)
    with pytest.raises(ValueError, match="reaches no parameter"):
        players.update(generator=x.mean())
    second = nets["generator"](z).mean()
    with pytest.raises(ValueError, match=r"^update\(discriminator=.*parameter of 'discriminator'"):
        players.update(discriminator=(nets["discriminator"](x).mean(), second))
    with pytest.raises(ValueError, match="the networks are generator, discriminator"):
        players.update(critic=x.mean())
    with pytest.raises(ValueError, match="scalar"):
        players.update(discriminator=nets["discriminator"](x))


def test_single_unused_parameters_are_fine():
    nets = make_nets()
    nets["discriminator"].register_parameter("idle", nn.Parameter(torch.ones(3)))
    players = play(nets)
    ((x, z),) = batches(1)
    players.update(discriminator=d_loss(nets["discriminator"], x, nets["generator"](z)))
    assert torch.equal(nets["discriminator"].idle, torch.ones(3))


def test_shared_parameters_are_refused():
    nets = make_nets()
    nets["discriminator"].trunk = nets["generator"][0]
    with pytest.raises(ValueError, match="'generator' and 'discriminator' share a parameter"):
        play(nets)


def test_no_gradient_stays_behind():
    nets = make_nets()
    players = play(nets)
    ((x, z),) = batches(1)
    players.update(discriminator=d_loss(nets["discriminator"], x, nets["generator"](z)))
    assert all(p.grad is None for net in nets.values() for p in net.parameters())


def test_clipping_bounds_the_step():
    a = nn.Linear(1, 1, bias=False)
    start = a.weight.item()
    players = Players(
        {"a": a}, lambda _r, p: torch.optim.SGD(p, lr=1.0), clip_grad_norm=0.25,
        rng=torch.Generator(),
    )  # fmt: skip
    players.update(a=100 * a.weight.sum())
    assert start - a.weight.item() == pytest.approx(0.25, rel=1e-4)


def test_ema_is_the_average_of_the_weights():
    a = nn.Linear(1, 1, bias=False)
    players = Players(
        {"a": a}, lambda _r, p: torch.optim.SGD(p, lr=1.0), ema_decay=0.9, rng=torch.Generator()
    )
    expected = a.weight.item()
    for _ in range(4):
        players.update(a=a.weight.sum())
        expected = 0.9 * expected + 0.1 * a.weight.item()
    assert players.finished()["a"].weight.item() == pytest.approx(expected, rel=1e-5)
    assert players.finished()["a"].weight.item() != pytest.approx(a.weight.item())


def test_learning_rates_scale_from_their_own_starts():
    nets = make_nets()
    players = Players(
        nets,
        lambda role, p: torch.optim.SGD(p, lr={"generator": 1.0, "discriminator": 4.0}[role]),
        rng=torch.Generator(),
    )
    for factor in (0.5, 0.25):
        players.scale_lr(factor)
    lr = {role: opt.param_groups[0]["lr"] for role, opt in players.optimizers.items()}
    assert lr == {"generator": 0.25, "discriminator": 1.0}


def test_the_buffers_of_a_pass_that_several_updates_use_are_kept():
    nets = make_nets()
    players = play(nets)
    ((x, z),) = batches(1)
    D, G = nets["discriminator"], nets["generator"]
    alone = copy.deepcopy(G)
    fake, _ = G(z), alone(z)
    players.update(discriminator=d_loss(D, x, fake))
    players.update(discriminator=d_loss(D, x, fake.detach()))
    players.update(generator=g_loss(D, fake))
    assert all(map(torch.equal, G.buffers(), alone.buffers()))
    assert G[1].num_batches_tracked == 1
    # Of two passes the one counts that G's own loss is of.
    players.update(discriminator=d_loss(D, x, G(z)))
    players.update(generator=g_loss(D, G(z)))
    assert G[1].num_batches_tracked == 2


def test_terms_move_the_network_and_are_not_part_of_the_logged_loss():
    ours, theirs = make_nets(), make_nets()
    players = play(ours)
    optimizer = adam("", list(theirs["discriminator"].parameters()))
    for x, z in batches(3):
        D, fake = ours["discriminator"], ours["generator"](z)
        loss = d_loss(D, x, fake)
        terms = Terms({"penalty": 0.1 * D(x).square().mean(), "other": D(fake).mean()})
        with_terms = 2.0 + (loss + terms) + 3.0  # as losses of other heads are added
        players.update(discriminator=with_terms)
        assert players.meters.read() == {"discriminator_loss": pytest.approx(loss.item() + 5)}
        D, fake = theirs["discriminator"], theirs["generator"](z)
        optimizer.zero_grad()
        (d_loss(D, x, fake) + (0.1 * D(x).square().mean() + D(fake).mean())).backward()
        optimizer.step()
    assert parameters_equal(ours, theirs)


def test_no_terms_leave_the_loss_itself():
    loss = torch.tensor(1.0)
    assert loss + Terms({}) is loss


def test_a_network_without_parameters_has_nothing_to_move():
    nets = {"trunk": nn.Identity(), **make_nets()}
    players = play(nets, ema_decay=0.9)
    ((x, z),) = batches(1)
    loss = d_loss(nets["discriminator"], x, nets["generator"](z))
    players.update(trunk=loss, discriminator=loss)
    assert set(players.meters.read()) == {"discriminator_loss"}
    assert "trunk" not in players.optimizers


def test_finished_networks_are_copies():
    nets = make_nets()
    players = play(nets)
    done = players.finished()
    assert done["discriminator"] is not nets["discriminator"]
    assert not done["discriminator"].training
    assert all(torch.equal(v, state(nets)[k]) for k, v in state(done).items())
    assert copy.deepcopy(done["discriminator"]) is not None


def test_weights_move_by_their_own_gradients_however_these_are_laid_out():
    # Fused optimizers walk through memory, and take no notice of strides.
    net = nn.Conv2d(3, 4, 2, bias=False).to(memory_format=torch.channels_last)
    slope = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = net.weight.detach().clone().requires_grad_()
    plain = torch.optim.Adam([expected], lr=0.01, betas=(0.5, 0.999), weight_decay=1e-3)
    players = play({"a": net})
    for _ in range(3):
        loss = (net.weight.contiguous() * slope).square().sum()
        (gradient,) = torch.autograd.grad(loss, [net.weight], retain_graph=True)
        assert gradient.stride() != net.weight.stride()
        players.update(a=loss)
        plain.zero_grad()
        (expected * slope).square().sum().backward()
        plain.step()
    torch.testing.assert_close(net.weight.detach(), expected.detach())


class OwnCritic(nn.Sequential):
    """A convolutional critic as users write them: its weights are not channels-last."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1),
            nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128, 1), nn.Flatten(0),
        )  # fmt: skip


@pytest.mark.parametrize("arithmetic", [contextlib.nullcontext, Products, TiledConvolutions])
@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "wgan-gp", "norm": "none"},
        {"discriminator": OwnCritic()},
        {"norm": "spectral"},
    ],
    ids=["wgan-gp", "a network of one's own", "spectral"],
)
def test_games_of_convolutions_move_as_under_plain_adam(settings, arithmetic, monkeypatch):
    monkeypatch.setattr(conv, "HEAVY_TILED", 0)
    monkeypatch.setattr(runtime, "arithmetic", lambda *_: arithmetic())
    X = np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8)
    spec = DCGANSpec(16, n_blocks=2)

    def weights():
        settings_ = {"discriminator": spec} | settings
        est = DCGANDiscriminatorFeatures(
            generator=spec, n_epochs=2, batch_size=32, lr=1e-3, random_state=0, **settings_
        ).fit(X)
        return torch.cat([p.detach().flatten() for p in est.discriminator_.parameters()])

    ours = weights()
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *a, fused, **s: adam(*a, fused=False, **s))
    # Adam's step is lr wherever the gradient has a sign: rounding may turn it near zero only.
    assert ((ours - weights()).abs() > 2e-4).float().mean() < 0.02
