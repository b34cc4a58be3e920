"""What a fit does around its steps: order of rows, learning rates, what a checkpoint is of."""

import itertools

import numpy as np
import pytest
import torch

import skgan
from skgan import MLPSpec
from skgan.engine.identity import identity
from skgan.training import Training

DCGAN, BIGAN = skgan.DCGANDiscriminatorFeatures, skgan.BiGANEncoder
REGRESSOR, AUTOENCODER = skgan.LatentRegressorEncoder, skgan.AutoencoderFeatures
MGAN = skgan.MGANExtractor


def test_each_epoch_sees_every_row_once_in_an_order_of_its_own(small, monkeypatch):
    X = np.arange(103.0)[:, None] * [1.0, -2.0]
    seen, step = [], DCGAN._step

    def watched(self, nets, batch, update):
        seen.append((batch.epoch, batch.x[:, 0].clone()))
        step(self, nets, batch, update)

    monkeypatch.setattr(DCGAN, "_step", watched)
    spec = MLPSpec(4)
    est = small(generator=spec, discriminator=spec, batch_size=20, n_epochs=3).fit(X)
    assert sorted(len(x) for _, x in seen[:6]) == [17] * 5 + [18]
    rows = est._format.encode(X)[:, 0].contiguous()  # ascending, as X
    orders = [torch.cat([x for e, x in seen if e == epoch]) for epoch in (1, 2, 3)]
    for order in orders:
        assert torch.equal(order.sort().values, rows)
        neighbours = torch.searchsorted(rows, order).diff().abs() == 1
        assert neighbours.float().mean() < 0.2
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(orders, 2))


@pytest.mark.parametrize("cls", [DCGAN, BIGAN, REGRESSOR, AUTOENCODER, MGAN])
def test_every_network_has_its_own_learning_rate(small, digits, cls, monkeypatch):
    names = [k for k in cls().get_params(deep=False) if k.endswith("_lr")]
    rates = {k: 1e-5 * (i + 1) for i, k in enumerate(names)}
    groups, run = {}, Training.run

    def looking(self, *args, **kwargs):
        groups.update({r: dict(o.param_groups[0]) for r, o in self.players.optimizers.items()})
        run(self, *args, **kwargs)

    monkeypatch.setattr(Training, "run", looking)
    own = {"n_shared_layers": 1} if cls is MGAN else {}
    settings = {"image_shape": (8, 8), "n_epochs": 0, "lr": 0.5, "betas": (0.3, 0.7)}
    settings |= own | {"weight_decay": 0.25}
    small(cls, **settings, **rates).fit(digits[0])
    assert {f"{role}_lr": group["lr"] for role, group in groups.items()} == rates
    assert all(g["betas"] == (0.3, 0.7) and g["weight_decay"] == 0.25 for g in groups.values())
    small(cls, **settings, optimizer="sgd").fit(digits[0])
    assert all((g["lr"], g["momentum"]) == (0.5, 0.3) for g in groups.values())


@pytest.mark.parametrize("cls", [DCGAN, BIGAN, REGRESSOR, AUTOENCODER, MGAN])
def test_all_parameters_that_change_a_fit_belong_to_its_checkpoints(cls):
    free = {
        "n_epochs", "verbose", "device", "transform_batch_size", "checkpoint_dir",
        "checkpoint_every", "checkpoint_keep", "resume", "on_interrupt", "on_divergence",
        "warm_start",
    }  # fmt: skip
    if cls is DCGAN:
        free |= {"output", "n_components"}  # what is read of the networks once they are trained
    found = identity(cls(), "of rows", 3, "1").keys()
    assert found == {"estimator", "skgan", "data"} | (cls().get_params(deep=False).keys() - free)
