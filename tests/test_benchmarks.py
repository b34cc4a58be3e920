"""The benchmarks run, and compare like with like. Nothing is timed here."""

import sys
from pathlib import Path

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

FOLDER = Path(__file__).parents[1] / "examples" / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import bench

    monkeypatch.setitem(bench.NETWORKS, "tiny", ((8, 16), 16, 1, 8, 2))
    yield bench
    for name in ("bench", "plain", "contrast", "timing"):
        sys.modules.pop(name)


def sizes(net):
    return sum(p.numel() for p in net.parameters() if p.ndim > 1)


@pytest.mark.parametrize("name", ["table1", "dcgan32", "dcgan64", "tiny"])
def test_peers_train_networks_of_the_same_size(bench, name):
    channels, side, colours, batch_size, _ = bench.NETWORKS[name]
    G, D = bench.plain.networks(channels, colours, side // 2 ** len(channels))
    gan = bench.estimator(channels, batch_size, n_epochs=0).fit(bench.images(4, side, colours))
    assert sizes(G) == sizes(gan.generator_)
    assert sizes(D) == sizes(gan.discriminator_)


def test_the_contrastive_peers_are_of_the_same_size(bench):
    from skgan import ContrastiveDiscriminatorFeatures, DCGANSpec

    channels, side, colours, _, _ = bench.NETWORKS["tiny"]
    spec = DCGANSpec(channels=channels)
    gan = ContrastiveDiscriminatorFeatures(
        discriminator=spec, generator=spec, norm="batch", latent_dim=bench.plain.LATENT, n_epochs=0
    ).fit(bench.images(4, side, colours))
    G, D = bench.contrast.networks(channels, colours, side // 2 ** len(channels))
    assert sizes(G) == sizes(gan.generator_)
    assert sizes(D) == sum(map(sizes, gan._kept_nets().values())) - sizes(gan.generator_)


def test_the_contrastive_peer_computes_the_same_losses(bench):
    """The losses of the script are those of skgan, on the same projections."""
    import torch

    from skgan.losses import contrast_generated, nt_xent

    a, b, c = torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(0))
    ours = nt_xent(a, b, temperature=0.1), contrast_generated(a, b, c, temperature=0.1)
    theirs = bench.contrast.simclr(a, b, 0.1), bench.contrast.supervised(a, b, c, 0.1)
    torch.testing.assert_close(ours, theirs)


def test_the_dense_peers_are_of_the_same_size(bench):
    from skgan import BiGANEncoder

    gan = BiGANEncoder(
        generator="bigan784", encoder="bigan784", discriminator="bigan784", n_epochs=0
    ).fit(bench.images(4, 28, 1))
    nets = gan.generator_, gan.encoder_, gan.discriminator_
    for ours, peer in zip(nets, bench.plain.bigan_networks(), strict=True):
        assert sorted(p.shape for p in ours.parameters()) == sorted(
            p.shape for p in peer.parameters()
        )


def test_the_arithmetic_of_a_step_is_counted_right(bench):
    """`products_of` against what PyTorch counts in the plain loop, less what skgan leaves out."""
    channels, side, colours, batch_size, _ = bench.NETWORKS["tiny"]
    G, D = bench.plain.networks(channels, colours, side // 2 ** len(channels))
    X = bench.images(batch_size, side, colours)
    with FlopCounterMode(display=False) as counter:
        bench.plain.train(G, D, bench.plain.in_memory(X, batch_size), batch_size)
    ours = sum(2 * times * m * k * n for times, m, k, n in bench.products_of("tiny"))
    flat = side**2 // 16 * channels[-1]
    heads = 2 * batch_size * flat * 8  # D's last layer: 8 passes of it are not in the list
    # The plain loop also computes D's weight gradients in G's step.
    inner = [(colours, 8, 64), (8, 16, 16)]
    idle = sum(2 * batch_size * 16 * a * b * pixels for a, b, pixels in inner)
    idle += 2 * batch_size * flat
    assert counter.get_total_flops() == pytest.approx(ours + heads + idle, rel=1e-9)


def test_every_job_gives_its_figures(bench, capsys):
    for job in (bench.train, bench.extract, bench.rates, bench.contrastive, bench.augmented):
        figures = job("tiny", 1)
        bench.report("train-tiny", figures)
        assert all(np.isfinite(v).all() for v in figures.values() if isinstance(v, list))
    assert np.isfinite(bench.mlp(1, width=16, n_steps=2)["skgan"]).all()
    assert "times plain" in capsys.readouterr().out
    assert bench.share_of_rate(bench.train("tiny", 1), bench.rates("tiny", 1)) > 0
    memory = bench.resident(high=True)
    assert memory >= bench.resident() * 0.9 > 10


def test_candidates_run_in_turn_and_ratios_are_taken_round_by_round(bench):
    import timing

    ran = []
    figures = timing.interleave(
        {n: lambda n=n: ran.append(n) or float(len(ran)) for n in "ab"}, rounds=2
    )
    assert "".join(ran) == "ababab"
    assert figures == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
    median, low, high = timing.ratios(figures, "a")["b"]
    assert (low, high) == (6 / 5, 4 / 3) and median == pytest.approx((6 / 5 + 4 / 3) / 2)
