"""Training in several processes gives what one process gives with all of the minibatch."""

import copy
import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import distributed, nn
from torch.nn import functional as F

import skgan
from skgan import DCGANSpec, MLPSpec, critics
from skgan.base import BaseGAN
from skgan.callbacks import CSVLogger, EarlyStopping, JSONLLogger
from skgan.data.arrays import ArraySource
from skgan.engine import checkpoint, loop
from skgan.engine.batchnorm import AcrossProcesses
from skgan.engine.players import Players
from skgan.sampling import Sampling
from skgan.training import Training
from skgan.utils import processes
from skgan.utils.discovery import all_estimators

# One worker of pytest-xdist runs this file, so that processes are started once for all of it.
pytestmark = pytest.mark.xdist_group("processes")


def in_processes(n, folder, *calls):
    """In n processes that train together, call each function with its arguments.

    It gets the number of the process and a folder of its own before them.
    """
    import torch.multiprocessing as mp

    mp.spawn(_joined, args=(n, folder, calls), nprocs=n)


def _joined(rank, n, folder, calls):
    torch.set_num_threads(1)
    if n > 1:
        meeting = f"file://{folder}/meeting"
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=n)
    for function, *arguments in calls:
        own = folder / function.__name__
        own.mkdir(exist_ok=True)
        function(rank, own, *arguments)
    if n > 1:
        distributed.barrier()  # or one would close what another still reads from
        distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes have left the results of the functions below, one folder for each."""
    folder = tmp_path_factory.mktemp("two")
    in_processes(
        2, folder, *((f,) for f in (_collect, _normalise, _average, _go_on, _diverge, _stop))
    )
    return folder


# ------------------------------------------------------------------ equal to one process

SPEC = DCGANSpec(4)
NOISY = DCGANSpec(4, noise=0.1)
SEMI = {"discriminator": NOISY, "class_weight": {0: 2.0}}
CASES = {
    "dcgan": (skgan.DCGANDiscriminatorFeatures, {"augment": "shift", "validation_fraction": 0.2}),
    "dcgan, penalty": (skgan.DCGANDiscriminatorFeatures, {"loss": "wgan-gp", "norm": "none"}),
    "dcgan, R1": (skgan.DCGANDiscriminatorFeatures, {"norm": "none", "r1_weight": 1.0}),
    "dcgan, means": (skgan.DCGANDiscriminatorFeatures, {
        "feature_matching": "mean", "bn_stats": "running"}),
    "dcgan, heads": (skgan.DCGANDiscriminatorFeatures, {
        "rotation_weight": 1.0, "infomax_weight": 0.2, "infomax_dim": 8, "ema_decay": 0.9,
        "clip_grad_norm": 0.5}),
    "dcgan, table": (skgan.DCGANDiscriminatorFeatures, {
        "image_shape": None, "generator": MLPSpec(8), "discriminator": MLPSpec(8)}),
    "dcgan, spectral": (skgan.DCGANDiscriminatorFeatures, {"norm": "spectral", "loss": "hinge"}),
    "bigan": (skgan.BiGANEncoder, {"encoder_output": "gaussian", "latent": "normal",
                                   "categories": (3,)}),
    "regressor": (skgan.LatentRegressorEncoder, {}),
    "autoencoder": (skgan.AutoencoderFeatures, {"noise": 0.1, "dropout": 0.2}),
    "supervised": (skgan.SupervisedFeatures, {"class_weight": {1: 3.0}}),
    "mgan": (skgan.MGANExtractor, {"n_generators": 2, "same_z": False}),
    "contrad": (skgan.ContrastiveDiscriminatorFeatures, {
        "norm": "batch", "n_hidden": 8, "n_projection": 6}),
    "infogan": (skgan.InfoGANExtractor, {"categories": (4,), "learn_std": True}),
    "vaegan": (skgan.VAEGANEncoder, {"balance": (0.68, 0.68)}),
    "acgan": (skgan.ACGANFeatures, {}),
    "matching": (skgan.FeatureMatchingClassifier, SEMI),
    "matching, weight norm": (skgan.FeatureMatchingClassifier, {"norm": "weight"}),
    "catgan": (skgan.CatGANFeatures, {"n_clusters": 5}),
    "catgan, labels": (skgan.CatGANClassifier, SEMI),
    "triple": (skgan.TripleGANClassifier, {"generated_start": 0, "pretrain_epochs": 0}),
    "disentangled": (skgan.DisentangledEncoder, {}),
    "disentangled, encoder": (skgan.DisentangledEncoder, {
        "domain_code": "encoder", "domain_encoder": SPEC, "adversary_dropout": 0.3,
        "pretrain_autoencoder": 0.0}),
    "dann": (skgan.DomainAdversarialFeatures, {
        "norm": "batch", "dropout": 0.1, "entropy_weight": 0.1, "vat_weight": 0.1}),
    "dann, norm per domain": (skgan.DomainAdversarialFeatures, {
        "norm": "batch", "norm_per_domain": True, "play": "alternating"}),
}  # fmt: skip
N, BATCH = 160, 16  # samples, and samples of a minibatch for each of two processes


def data():
    X, y = load_digits(return_X_y=True)
    return X[:N], y[:N]


def estimator(case, batch_size, **more):
    cls, own = CASES[case]
    roles = ("generator", "discriminator", "encoder", "classifier", "trunk")
    settings = dict.fromkeys(roles, SPEC) | {
        "latent_dim": 6, "n_epochs": 1, "batch_size": batch_size, "random_state": 0,
        "image_shape": (8, 8), "precision": "float32", "device": "cpu",
    }  # fmt: skip
    known = cls().get_params(deep=False)
    return cls(**({k: v for k, v in settings.items() if k in known} | own | more))


def fitted(case, batch_size, **more):
    X, y = data()
    est = estimator(case, batch_size, **more)
    domain = np.where(np.arange(N) % 2, 1, -1)
    if "sample_domain" in est.fit.__code__.co_varnames:
        return est.fit(X, y, sample_domain=domain)
    few = np.where(np.random.default_rng(0).random(N) < 0.5, y, -1)
    return est.fit(X, few if "Classifier" in type(est).__name__ or "acgan" in case else y)


def result(est):
    timeless = [{k: v for k, v in row.items() if "second" not in k} for row in est.history_]
    return {"nets": est._in_double, "history": timeless, "n_steps": est.n_steps_}


class Double:
    """Training in float64: of networks, samples and noise."""

    def __enter__(self):
        self.patch = pytest.MonkeyPatch()
        to_device, begin, run = loop.to_device, Players.__init__, Training.run

        def double(x):
            return x.double() if x.dtype == torch.float32 else x

        def in_double(function):
            return lambda *args, **settings: double(function(*args, **settings))

        def begin_double(players, nets, *args, **kwargs):
            begin(players, {role: net.double() for role, net in nets.items()}, *args, **kwargs)

        def run_double(training, *args, **kwargs):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch.Tensor, "float", torch.Tensor.double)
                for holder, name in (
                    (Sampling, "_draw"), (ArraySource, "batch"), (critics, "drawn"),
                    (F, "affine_grid"), (torch, "zeros"),
                ):  # fmt: skip
                    patch.setattr(holder, name, in_double(getattr(holder, name)))
                run(training, *args, **kwargs)
            e = training.estimator
            nets = {role: getattr(e, e._place(role)) for role in e._roles}
            e._in_double = {role: copy.deepcopy(net.state_dict()) for role, net in nets.items()}
            for net in nets.values():  # for what follows in `fit`
                net.to(torch.float32)

        self.patch.setattr(Training, "run", run_double)
        self.patch.setattr(loop, "to_device", in_double(to_device))
        self.patch.setattr("skgan.engine.labelled.to_device", loop.to_device)
        self.patch.setattr(Players, "__init__", begin_double)

    def __exit__(self, *_):
        self.patch.undo()


OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "betas": (0.0, 0.9), "lr": 0.01},
    "adam": {"optimizer": "adam", "betas": (0.5, 0.999), "lr": 2e-4},
}


def _fit_all(rank, folder, n, name):
    found = {}
    with Double():
        for case in CASES:
            found[case] = result(fitted(case, BATCH * 2 // n, **OPTIMIZERS[name]))
        local = fitted("dcgan", BATCH * 2 // n, sync_batchnorm=False, **OPTIMIZERS[name])
        found["local"] = result(local)
    torch.save(found, folder / f"{n}-{rank}.pt")


def test_every_class_is_among_the_cases():
    gans = {cls for _, cls in all_estimators() if issubclass(cls, BaseGAN)}
    assert gans == {cls for cls, _ in CASES.values()}


def numbers(found, case=""):
    # MGAN measures the statistics of its generators by the first draws of each process.
    measured = ("running",) if case == "mgan" else ()
    return {
        f"{role}.{k}": v for role, state in found["nets"].items() for k, v in state.items()
        if v.is_floating_point() and not (role == "generator" and any(w in k for w in measured))
    }  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "atol"),
    [("sgd", 1e-8), pytest.param("adam", 1e-3, marks=pytest.mark.slow)],
)
def test_two_processes_equal_one_with_twice_the_minibatch(tmp_path, optimizer, atol):
    for n in (1, 2):
        in_processes(n, tmp_path, (_fit_all, n, optimizer))
    fits = [torch.load(tmp_path / "_fit_all" / f"{name}.pt") for name in ("1-0", "2-0", "2-1")]
    for case in CASES:
        one, first, second = (found[case] for found in fits)
        assert one["n_steps"] == first["n_steps"] == (4 if case == "dcgan" else 5)
        a, b, c = (numbers(found, case) for found in (one, first, second))
        for k in a:
            assert a[k].dtype == torch.float64 and torch.equal(b[k], c[k]), (case, k)
            off = float((b[k] - a[k]).abs().max())
            assert off < atol, f"{case}: {k} differs by {off:.3g}"
        for row, both, other in zip(*(r["history"] for r in (one, first, second)), strict=True):
            assert row.keys() == both.keys() and both == other, case
            for k in row if optimizer == "sgd" else ():
                assert both[k] == pytest.approx(row[k], rel=1e-6, abs=1e-9), (case, k)

    # Batch norm by each process for itself is another training, but the same in both.
    a, b, c = (
        numbers(found[k]) for found, k in zip(fits, ("dcgan", "local", "local"), strict=True)
    )
    assert all(torch.equal(b[k], c[k]) for k in b)
    assert any((a[k] - b[k]).abs().max() > 1e-6 for k in a)


# ------------------------------------------------------------------ its parts


def _collect(rank, folder):
    x = torch.arange(6.0, dtype=torch.float64).view(3, 2)[: 3 - rank].requires_grad_()
    whole = processes.gathered(x)
    (g,) = torch.autograd.grad((whole * whole.detach().flip(0)).sum(), x, create_graph=True)
    counts = processes.gathered(torch.tensor([rank + 5]))
    torch.save([whole.detach(), g.detach(), counts], folder / f"gathered {rank}.pt")

    rng = torch.Generator().manual_seed(0)
    with processes.with_part(processes.equal_part(8)):
        drawn = [processes.drawn(lambda n: torch.randn(n, 2, generator=rng), n) for n in (4, 8, 3)]
    torch.save([*drawn, rng.get_state()], folder / f"drawn {rank}.pt")


def test_what_is_gathered_keeps_its_gradient_and_noise_is_of_the_whole_minibatch(folder):
    folder = folder / "_collect"
    (whole, g, counts), (w2, g2, c2) = (torch.load(folder / f"gathered {r}.pt") for r in (0, 1))
    x = torch.arange(6.0, dtype=torch.float64).view(3, 2)
    expected = torch.cat([x, x[:2]])
    assert torch.equal(whole, expected) and torch.equal(w2, expected)
    # Both processes' losses reach each part.
    assert torch.equal(torch.cat([g, g2]), 2 * expected.flip(0))
    assert counts.tolist() == c2.tolist() == [5, 6]

    (a, b, c, state), (a2, b2, c2, state2) = (torch.load(folder / f"drawn {r}.pt") for r in (0, 1))
    rng = torch.Generator().manual_seed(0)
    one, two, three = (torch.randn(n, 2, generator=rng) for n in (8, 16, 6))
    assert torch.equal(torch.cat([a, a2]), one)
    assert torch.equal(torch.cat([b[:4], b2[:4], b[4:], b2[4:]]), two)  # two copies, side by side
    assert torch.equal(torch.cat([c, c2]), three)
    assert torch.equal(state, state2) and torch.equal(state, rng.get_state())


def _normalise(rank, folder):
    x = torch.randn(7, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    own = (x[:5] if rank == 0 else x[5:]).requires_grad_()
    norm = nn.BatchNorm2d(3).double()
    with AcrossProcesses():
        y = norm(own)
        norm.eval()(own)  # by running statistics, which are not touched
    (g,) = torch.autograd.grad(y.sin().sum(), own, create_graph=True)
    (h,) = torch.autograd.grad(g.square().sum(), own)
    torch.save([y.detach(), g.detach(), h, norm.running_mean, norm.running_var],
               folder / f"{rank}.pt")  # fmt: skip


def test_batch_norm_across_processes_of_unequal_parts_has_both_derivatives(folder):
    folder = folder / "_normalise"
    parts = [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]
    x = torch.randn(7, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    norm = nn.BatchNorm2d(3).double()
    y = norm(x)
    (g,) = torch.autograd.grad(y.sin().sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.square().sum(), x)
    for i, expected in enumerate((y, g, h)):
        torch.testing.assert_close(torch.cat([p[i] for p in parts]), expected)
    for p in parts:
        torch.testing.assert_close(p[3:], [norm.running_mean, norm.running_var])


def test_alone_nothing_is_sent_and_nothing_changes():
    x = torch.randn(4, 2)
    assert processes.gathered(x) is x and processes.own(x) is x
    assert processes.averaged({"a": 2.0}) == {"a": 2.0} and processes.anywhere(None) is None
    assert processes.differing(x) == [] and processes.any_of(True) and not processes.any_of(False)
    assert processes.near_equal_part(5) == processes.Part(0, 5, 5)


def _average(rank, folder):
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    for p in net.parameters():
        nn.init.normal_(p, generator=torch.Generator().manual_seed(0))
    players = Players({"a": net}, lambda _r, p: torch.optim.SGD(p, lr=0.1), rng=torch.Generator())
    x = torch.arange(16.0).reshape(8, 2)[rank * 4 : rank * 4 + 4]
    players.update(a=net(x).square().mean())
    losses = processes.agreed(torch.tensor(1.0 + rank, requires_grad=True), torch.tensor(-4.0))
    found = {"averaged": processes.averaged({"a": 1.0 + rank} | ({"b": 7.0} if rank else {})),
             "any": processes.any_of(rank == 1), "losses": losses}  # fmt: skip
    torch.save(net.state_dict() | found, folder / f"{rank}.pt")


def test_processes_average_their_gradients(folder):
    folder = folder / "_average"
    two = [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]
    assert [one["losses"] for one in two] == [[1.5, -4.0]] * 2  # they decide alike
    assert [one["averaged"] for one in two] == [{"a": 1.5, "b": 7.0}] * 2
    assert all(one["any"] for one in two)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    for p in net.parameters():
        nn.init.normal_(p, generator=torch.Generator().manual_seed(0))
    before = copy.deepcopy(net.state_dict())
    players = Players({"a": net}, lambda _r, p: torch.optim.SGD(p, lr=0.1), rng=torch.Generator())
    players.update(a=net(torch.arange(16.0).reshape(8, 2)).square().mean())
    for k, whole in net.state_dict().items():
        assert torch.equal(two[0][k], two[1][k])
        torch.testing.assert_close(two[0][k], whole)
        assert not torch.equal(before[k], whole)


# ------------------------------------------------------------------ a fit as a whole


def _go_on(rank, folder):
    X = torch.randn(80, 3, generator=torch.Generator().manual_seed(0)).numpy()

    def fitted(n_epochs, seed=0, **settings):
        return skgan.DCGANDiscriminatorFeatures(
            latent_dim=4, n_epochs=n_epochs, batch_size=20, random_state=seed, **settings
        ).fit(X)

    fitted(2, checkpoint_dir=folder)
    fits = {"whole": fitted(4), "resumed": fitted(4, checkpoint_dir=folder, resume="must"),
            "unseeded": fitted(1, None)}  # fmt: skip
    states = {k: e.discriminator_.state_dict() | e.generator_.state_dict() for k, e in fits.items()}
    torch.save(states, folder / f"{rank}.result")

    gan = skgan.DCGANDiscriminatorFeatures(latent_dim=4, n_epochs=6, batch_size=20, random_state=0)
    stopping = EarlyStopping("discriminator_loss", mode="max", patience=2, restore_best=True)
    gan.set_callbacks(stopping, CSVLogger(folder / "log.csv"), JSONLLogger(folder / "log.jsonl"))
    gan.fit(X)
    (folder / f"{rank}.stopped").write_text(f"{stopping.best_epoch} {stopping.looks}")
    assert gan.n_epochs_ == stopping.best_epoch

    raised = []
    for own in (X[rank * 40 :][:40], X[:3]):
        try:
            skgan.DCGANDiscriminatorFeatures(n_epochs=1).fit(own)
        except ValueError as error:
            raised.append(str(error))
    (folder / f"{rank}.errors").write_text("\n".join(raised))


def test_processes_go_on_from_a_checkpoint_and_refuse_samples_that_differ(folder):
    folder = folder / "_go_on"
    a, b = (torch.load(folder / f"{rank}.result") for rank in (0, 1))
    for name in ("whole", "unseeded"):
        assert all(torch.equal(a[name][k], b[name][k]) for k in a[name])
    for k, weight in a["whole"].items():
        assert torch.equal(weight, a["resumed"][k]), k
    newest = max(folder.rglob("epoch*"))
    assert checkpoint.decode(newest.read_bytes())["state"]["rng"].ndim == 1
    # They stop after the same epoch, and the first one writes the logs.
    assert (folder / "0.stopped").read_text() == (folder / "1.stopped").read_text()
    epochs = [json.loads(line)["epoch"] for line in (folder / "log.jsonl").open()]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len((folder / "log.csv").read_text().splitlines()) == len(epochs) + 1
    for rank in (0, 1):
        other, few = (folder / f"{rank}.errors").read_text().splitlines()
        assert other.startswith("X, or its labels, differs between the training processes (in [1]")
        assert few == "X has 3 samples: training in 2 processes needs at least 2 for each."


def _diverge(rank, folder):
    update, calls = Players.update, []

    def diverging(self, **losses):
        calls.append(rank)
        factor = float("inf") if rank == 0 and len(calls) > 10 else 1.0
        self.meters.add({f"{role}_strange": factor * torch.ones(()) for role in losses})
        update(self, **losses)

    X = torch.randn(240, 3, generator=torch.Generator().manual_seed(0)).numpy()
    spec = MLPSpec(4, n_layers=1)
    est = skgan.DCGANDiscriminatorFeatures(
        latent_dim=4, n_epochs=1, batch_size=2, generator=spec, discriminator=spec
    )
    with pytest.MonkeyPatch.context() as patch, pytest.raises(FloatingPointError) as error:
        patch.setattr(Players, "update", diverging)
        est.fit(X)
    (folder / f"{rank}.txt").write_text(f"{len(calls)} {error.value}")


def test_processes_learn_of_what_diverged_in_one_of_them_in_the_same_step(folder):
    folder = folder / "_diverge"
    a, b = ((folder / f"{rank}.txt").read_text() for rank in (0, 1))
    assert a == b and a.startswith("100 the strange of network 'discriminator' became inf")


def _stop(rank, folder):
    X = torch.randn(80, 3, generator=torch.Generator().manual_seed(0)).numpy()
    est = skgan.DCGANDiscriminatorFeatures(n_epochs=50, batch_size=10, on_interrupt="stop")
    step, seen = skgan.DCGANDiscriminatorFeatures._step, []

    def stepped(self, nets, batch, update):
        step(self, nets, batch, update)
        seen.append(batch.step)
        if rank == 1 and batch.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skgan.DCGANDiscriminatorFeatures, "_step", stepped)
        est.fit(X)
    (folder / f"{rank}.txt").write_text(f"{len(seen)} {est.n_epochs_}")


def test_ctrl_c_in_one_process_ends_training_in_all(folder):
    folder = folder / "_stop"
    assert [(folder / f"{rank}.txt").read_text() for rank in (0, 1)] == ["6 1", "6 1"]


SCRIPT = """
import os, signal, sys
import torch
from pathlib import Path
from sklearn.datasets import load_digits
from torch import distributed
import skgan

folder, lost = Path(sys.argv[1]), len(sys.argv) > 2
distributed.init_process_group("gloo")
rank = distributed.get_rank()
step = skgan.DCGANDiscriminatorFeatures._step

def stepped(self, nets, batch, update):
    if lost and rank == 1 and batch.epoch == 3 and not (folder / "lost").exists():
        (folder / "lost").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, nets, batch, update)

skgan.DCGANDiscriminatorFeatures._step = stepped
X, _ = load_digits(return_X_y=True)
spec = skgan.DCGANSpec(4)
gan = skgan.DCGANDiscriminatorFeatures(
    image_shape=(8, 8), generator=spec, discriminator=spec, n_epochs=4, batch_size=50,
    random_state=0, checkpoint_dir=folder / "runs",
).fit(X[:400])
if rank == 0:
    gan.save(folder / "gan.skgan")
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_torchrun_starts_again_after_the_loss_of_a_process_and_ends_with_the_same_bits(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT))
    features = []
    for name in ("whole", "lost"):
        folder = tmp_path / name
        folder.mkdir()
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
            "--max-restarts=1", str(script), str(folder), *(["lost"] if name == "lost" else []),
        ]  # fmt: skip
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        features.append(skgan.load(folder / "gan.skgan").transform(data()[0]))
    assert (tmp_path / "lost" / "lost").exists()
    assert np.array_equal(*features)
