"""Interrupted and continued training: checkpoints, warm start, partial_fit, Ctrl-C."""

import copy
import functools
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.engine import checkpoint, states
from skgan.engine.batchnorm import batch_norms
from skgan.engine.players import Players
from skgan.engine.runtime import make_optimizer
from skgan.training import Training
from skgan.utils import sealed
from skgan.utils.files import write_atomically

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = {
    "plain": {},
    "ema, rmsprop": {"ema_decay": 0.9, "optimizer": "rmsprop"},
    "spectral, hinge, sgd": {"norm": "spectral", "loss": "hinge", "optimizer": "sgd"},
    "penalty": {"norm": "none", "loss": "wgan-gp", "n_critic": 2},
    "running statistics": {"bn_stats": "running", "clip_grad_norm": 1.0},
}


def tensors(est):
    return [t for r in ("generator_", "discriminator_")
            for t in getattr(est, r).state_dict().values()]  # fmt: skip


def same(a, b):
    return all(torch.equal(s, t) for s, t in zip(tensors(a), tensors(b), strict=True))


def losses(est):
    timing = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in timing} for row in est.history_]


def golden_maker():
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make.py")
    make = importlib.util.module_from_spec(spec)
    pytest.importorskip("pandas")
    spec.loader.exec_module(make)
    return make


@pytest.fixture
def steps(monkeypatch):
    """The number of updates done in this process."""
    count, update = [], Players.update

    def counting(self, **named):
        count.append(named.keys())
        update(self, **named)

    monkeypatch.setattr(Players, "update", counting)
    return count


# ------------------------------------------------------------------ warm start


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_five_and_five_epochs_equal_ten(small, digits, steps, settings):
    X, _ = digits
    whole = small(image_shape=(8, 8), n_epochs=4, **settings).fit(X)
    n_whole = len(steps)
    parts = small(image_shape=(8, 8), n_epochs=2, warm_start=True, **settings).fit(X)
    n_first = len(steps) - n_whole
    parts.set_params(n_epochs=4).fit(X)
    n_second = len(steps) - n_whole - n_first
    assert n_first == n_second == n_whole // 2
    assert same(whole, parts)
    assert losses(whole) == losses(parts)
    assert parts.n_epochs_ == 4 and parts.n_steps_ == whole.n_steps_
    assert np.array_equal(whole.transform(X), parts.transform(X))
    assert np.array_equal(whole.sample(3, 0), parts.sample(3, 0))


def test_warm_start_goes_on_after_pickling_and_without_a_seed(small, digits):
    import pickle

    X, _ = digits
    est = small(image_shape=(8, 8), n_epochs=1, warm_start=True, random_state=None).fit(X)
    other = pickle.loads(pickle.dumps(est))
    assert same(est.set_params(n_epochs=3).fit(X), other.set_params(n_epochs=3).fit(X))


def test_fewer_epochs_than_done_raise_and_the_same_number_warns(small, digits, steps):
    X, _ = digits
    est = small(image_shape=(8, 8), n_epochs=2, warm_start=True).fit(X)
    before, n = est.transform(X), len(steps)
    with pytest.raises(ValueError, match="n_epochs=1 .* 2 are done already"):
        est.set_params(n_epochs=1).fit(X)
    with pytest.warns(UserWarning, match="nothing to do"):
        est.set_params(n_epochs=2).fit(X)
    assert len(steps) == n
    assert np.array_equal(est.transform(X), before)


def test_without_warm_start_fit_begins_anew(small, digits):
    X, _ = digits
    est = small(image_shape=(8, 8), n_epochs=2).fit(X)
    assert not hasattr(est, "_training")
    before = est.transform(X)
    assert np.array_equal(est.fit(X).transform(X), before)


def test_other_networks_cannot_go_on(small, digits):
    X, _ = digits
    est = small(image_shape=(8, 8), warm_start=True).fit(X)
    with pytest.raises(ValueError, match="networks are not those.*'discriminator' differ"):
        est.set_params(n_epochs=3, discriminator=DCGANSpec(8)).fit(X)
    assert est.n_epochs_ == 2


def test_another_optimizer_cannot_go_on(small, digits, steps):
    X, _ = digits
    est = small(image_shape=(8, 8), warm_start=True).fit(X)
    n = len(steps)
    with pytest.raises(ValueError, match="optimizer: RMSprop cannot go on from what Adam"):
        est.set_params(n_epochs=3, optimizer="rmsprop").fit(X)
    assert est.n_epochs_ == 2 and len(steps) == n


@pytest.mark.parametrize("verb", ["fit", "partial_fit"])
def test_averages_asked_for_later_begin_at_the_trained_weights(small, digits, verb):
    X, _ = digits
    est = small(image_shape=(8, 8), n_epochs=5, lr=1e-2, warm_start=True).fit(X)
    trained = [p.clone() for p in est.generator_.parameters()]
    getattr(est.set_params(ema_decay=0.9999, n_epochs=6), verb)(X)
    for p, q in zip(est.generator_.parameters(), trained, strict=True):
        torch.testing.assert_close(p, q, atol=5e-3, rtol=0)  # 10 steps of 1e-2, at 1e-4 each


def test_a_warm_start_writes_checkpoints_of_its_own(small, digits, tmp_path, steps, monkeypatch):
    X, _ = digits
    settings = {"image_shape": (8, 8), "checkpoint_dir": tmp_path, "checkpoint_keep": 9}
    est = small(n_epochs=1, warm_start=True, **settings).fit(X[:150])
    whole = small(n_epochs=1, warm_start=True, image_shape=(8, 8)).fit(X[:150])
    whole.set_params(n_epochs=4).fit(X)
    with monkeypatch.context() as patch:
        interrupted_at(patch, 2 * 10 * 2 + 7)
        with pytest.raises(KeyboardInterrupt):
            est.set_params(n_epochs=4).fit(X)
    assert est.n_epochs_ == 1
    assert len(list(tmp_path.rglob("epoch*"))) == 1 + 2
    n = len(steps)
    assert same(est.fit(X), whole) and len(steps) - n == 10 * 2
    # A fit of these rows alone is another one, and starts anew.
    with pytest.warns(UserWarning, match="starting anew.*goes_on_from="):
        fresh = small(n_epochs=4, **settings).fit(X)
    assert same(fresh, small(n_epochs=4, image_shape=(8, 8)).fit(X))


# ------------------------------------------------------------------ partial_fit


def test_partial_fit_is_one_pass_a_call(small, digits, steps):
    X, _ = digits
    est = small(image_shape=(8, 8), n_epochs=50, batch_size=50)
    for k in (1, 2, 3):
        assert est.partial_fit(X) is est
        assert est.n_epochs_ == len(est.history_) == k
        assert len(steps) == k * 6 * 2
    assert np.isfinite(est.transform(X)).all()


def test_partial_fit_on_the_same_rows_plays_as_fit_does(small, digits):
    X, _ = digits
    whole = small(image_shape=(8, 8), n_epochs=3).fit(X)
    parts = small(image_shape=(8, 8))
    for _ in range(3):
        parts.partial_fit(X)
    for p, q in zip(whole.discriminator_.parameters(), parts.discriminator_.parameters(),
                    strict=True):  # fmt: skip
        assert torch.equal(p, q)


def test_partial_fit_averages_statistics_over_all_rows_seen(small, digits, monkeypatch):
    """With networks that stand still, the halves' statistics are those of the whole."""
    X, _ = digits
    monkeypatch.setattr(Players, "_step", lambda self, role, gradients: None)
    settings = {"image_shape": (8, 8), "batch_size": 50, "value_range": (0, 16)}
    whole = small(**settings).partial_fit(X)
    halves = small(**settings).partial_fit(X[:150]).partial_fit(X[150:])
    for a, b in zip(batch_norms([whole.discriminator_]), batch_norms([halves.discriminator_]),
                    strict=True):  # fmt: skip
        torch.testing.assert_close(a.running_mean, b.running_mean)
        torch.testing.assert_close(a.running_var, b.running_var)
        assert b.momentum == 0.1


def test_statistics_are_averaged_by_rows_and_not_by_calls(small, digits, monkeypatch):
    """Two rows at the end count as two, also where a callback looks at the fit in between."""
    X, _ = digits
    monkeypatch.setattr(Players, "_step", lambda self, role, gradients: None)
    settings = {"image_shape": (8, 8), "batch_size": 150, "value_range": (0, 16), "n_epochs": 1}
    whole, parts = small(**settings).fit(X[:298]), small(**settings).fit(X[:298])
    finish = Training.finish

    def twice(self, earlier):
        finish(self, earlier)
        finish(self, earlier)

    monkeypatch.setattr(Training, "finish", twice)
    parts.partial_fit(X[298:])
    two = small(**settings).fit(X[298:])
    norms = (batch_norms([e.discriminator_]) for e in (whole, two, parts))
    for a, b, c in zip(*norms, strict=True):
        for name in ("running_mean", "running_var"):
            expected = (298 * getattr(a, name) + 2 * getattr(b, name)) / 300
            torch.testing.assert_close(getattr(c, name), expected)


def test_partial_fit_goes_on_after_fit(small, digits, steps):
    """With the optimizers that warm_start keeps it equals one epoch more; without, it is near."""
    X, _ = digits
    longer = small(image_shape=(8, 8), n_epochs=3).fit(X)
    kept = small(image_shape=(8, 8), warm_start=True).fit(X).partial_fit(X)
    n = len(steps)
    anew = small(image_shape=(8, 8)).fit(X)
    before = [p.clone() for p in anew.discriminator_.parameters()]
    anew.partial_fit(X)
    assert len(steps) - n == 3 * 10 * 2
    assert kept.n_epochs_ == anew.n_epochs_ == 3 and anew.n_steps_ == longer.n_steps_
    params = [list(e.discriminator_.parameters()) for e in (longer, kept, anew)]
    assert all(torch.equal(p, q) for p, q in zip(params[0], params[1], strict=True))
    moved = [(p - q).abs().mean() for p, q in zip(params[2], before, strict=True)]
    assert all(m > 0 for m in moved)
    assert max(moved) < 20 * 2e-4  # on from the fitted weights, not anew


# ------------------------------------------------------------------ checkpoints


def interrupted_at(monkeypatch, n_updates):
    """Raise KeyboardInterrupt in place of the given update."""
    update, count = Players.update, []

    def stopping(self, **named):
        count.append(1)
        if len(count) == n_updates:
            raise KeyboardInterrupt
        update(self, **named)

    monkeypatch.setattr(Players, "update", stopping)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_resumed_fit_equals_an_undisturbed_one(small, digits, tmp_path, monkeypatch, settings):
    X, _ = digits
    whole = small(image_shape=(8, 8), n_epochs=4, **settings).fit(X)
    est = small(image_shape=(8, 8), n_epochs=4, checkpoint_dir=tmp_path, **settings)
    with monkeypatch.context() as patch:
        interrupted_at(patch, 2 * 10 * 2 + 7 if "n_critic" not in settings else 2 * 15 + 7)
        with pytest.raises(KeyboardInterrupt):
            est.fit(X)
    assert not hasattr(est, "discriminator_")
    done, update = [], Players.update
    monkeypatch.setattr(
        Players, "update", lambda self, **named: (done.append(1), update(self, **named))[1]
    )
    est.fit(X)
    assert len(done) == whole.n_steps_ // 2 * (2 if "n_critic" not in settings else 1.5)
    assert same(whole, est) and losses(whole) == losses(est)


def test_a_finished_fit_resumes_without_a_step(small, digits, tmp_path, steps):
    X, _ = digits
    first = small(image_shape=(8, 8), checkpoint_dir=tmp_path).fit(X)
    n = len(steps)
    again = small(image_shape=(8, 8), checkpoint_dir=str(tmp_path), resume="must").fit(X)
    assert len(steps) == n and same(first, again)
    small(image_shape=(8, 8), checkpoint_dir=tmp_path, resume="never").fit(X)
    assert len(steps) == 2 * n
    longer = small(image_shape=(8, 8), checkpoint_dir=tmp_path, n_epochs=3).fit(X)
    assert len(steps) == 2 * n + n // 2
    assert same(longer, small(image_shape=(8, 8), n_epochs=3).fit(X))


def test_the_last_k_are_kept_and_only_every_few_epochs_written(small, digits, tmp_path):
    X, _ = digits
    small(image_shape=(8, 8), n_epochs=7, checkpoint_dir=tmp_path, checkpoint_every=2,
          checkpoint_keep=3).fit(X)  # fmt: skip
    names = sorted(p.name for p in tmp_path.rglob("epoch*"))
    assert names == [f"epoch-00000{i}.safetensors" for i in (4, 6, 7)]
    assert not list(tmp_path.rglob("*.part"))


def test_a_warm_start_that_must_resume_goes_on_from_a_checkpoint_only(small, digits, tmp_path):
    X, _ = digits
    est = small(image_shape=(8, 8), n_epochs=1, warm_start=True).fit(X)
    est.set_params(n_epochs=2, checkpoint_dir=tmp_path, resume="must")
    with pytest.raises(ValueError, match="resume='must'"):
        est.fit(X)
    assert est.set_params(resume="auto").fit(X).n_epochs_ == 2


def test_checkpoints_of_several_processes_from_before_give_the_first_ones_noise(small, digits):
    est = small(image_shape=(8, 8), warm_start=True).fit(digits[0])
    state = checkpoint.decode(est._training)
    rng = state["rng"]
    results = []
    for saved in (rng, torch.stack([rng, torch.Generator().manual_seed(7).get_state()])):
        est._training = checkpoint.encode(state | {"rng": saved})
        results.append(copy.deepcopy(est).set_params(n_epochs=3).fit(digits[0]))
    a, b = (e.transform(digits[0]) for e in results)
    assert np.array_equal(a, b)


def test_checkpoints_are_json_and_tensors(small, digits, tmp_path):
    small(image_shape=(8, 8), checkpoint_dir=tmp_path).fit(digits[0])
    (path, *_) = tmp_path.rglob("epoch*")
    assert load_file(path)  # by safetensors itself
    content = checkpoint.decode(path.read_bytes())
    assert content["identity"]["estimator"] == "DCGANDiscriminatorFeatures"
    assert len(content["state"]["history"]) in (1, 2)
    source = Path(checkpoint.__file__).read_text() + Path(sealed.__file__).read_text()
    assert "pickle" not in source and "torch.load" not in source and "torch.save" not in source


def test_a_state_comes_back_as_it_was(small, digits):
    for settings in SETTINGS.values():
        est = small(image_shape=(8, 8), warm_start=True, **settings).fit(digits[0])
        state = checkpoint.decode(est._training)
        assert {type(k) for means in state["ema"].values() for k in means} <= {int}
        assert {type(k) for seat in state["optimizers"].values() for k in seat} == {int}
        assert checkpoint.encode(state) == est._training


def test_slots_are_those_that_optimizers_keep():
    """The table of what is compared, against PyTorch's optimizers themselves."""
    for name, betas in (("adam", (0.5, 0.9)), ("rmsprop", (0.5, 0.9)), ("sgd", (0.5, 0.9))):
        p = torch.nn.Parameter(torch.ones(2, 3))
        optimizer = make_optimizer(name, [p], lr=0.1, betas=betas, weight_decay=0.1)
        p.grad = torch.ones(2, 3)
        optimizer.step()
        slots = optimizer.state_dict()["state"][0]
        assert tuple(slots) == states.SLOTS[type(optimizer).__name__]
        for key, slot in slots.items():
            assert slot.shape == (() if key == "step" else p.shape) and slot.dtype == p.dtype


def test_checkpoints_of_the_format_before_are_refused_by_name(tmp_path):
    make = golden_maker()
    est, X = make.checkpointed(tmp_path)
    folder = tmp_path / f"{type(est).__name__}-0123456789abcdef"
    folder.mkdir()
    old = folder / "epoch-000002.pt"
    shutil.copyfile(GOLDEN / "v1_checkpoint.pt", old)
    with pytest.raises(ValueError, match="epoch-000002.pt is of an earlier skgan.*'auto'"):
        est.set_params(resume="must").fit(X)
    with pytest.warns(UserWarning, match="starting anew.*epoch-000002.pt is of an earlier skgan"):
        est.set_params(resume="auto").fit(X)
    assert old.exists() and len(list(tmp_path.rglob("epoch*.safetensors"))) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.set_params(resume="must").fit(X)
        make.checkpointed(tmp_path)[0].set_params(resume="never").fit(X)


def test_golden_checkpoints_go_on(tmp_path):
    """What an earlier skgan of this format wrote, if it were of this version and these rows."""
    make = golden_maker()
    est, X = make.checkpointed(tmp_path)
    est.fit(X)
    newest = max(tmp_path.rglob("epoch*"))
    for golden in sorted(GOLDEN.glob("v*_checkpoint.safetensors")):
        kept, now = (checkpoint.decode(p.read_bytes()) for p in (golden, newest))
        newest.write_bytes(checkpoint.encode(now | {"state": kept["state"]}))
        on = make.checkpointed(tmp_path)[0].set_params(n_epochs=3, resume="must").fit(X)
        assert on.n_epochs_ == 3 and on.history_[:2] == kept["state"]["history"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lr": 1e-3}, ["lr=0.0002 there, 0.001 now"]),
        ({"discriminator": DCGANSpec(8)}, ["discriminator=DCGANSpec(width=4) there"]),
        ({"random_state": 1}, ["random_state=0 there, 1 now"]),
    ],
)
def test_another_fit_is_refused_with_the_difference_named(small, digits, tmp_path, change, words):
    X, _ = digits
    small(image_shape=(8, 8), checkpoint_dir=tmp_path).fit(X)
    other = small(image_shape=(8, 8), checkpoint_dir=tmp_path, resume="must", **change)
    with pytest.raises(ValueError, match="resume='must'") as caught:
        other.fit(X)
    assert all(word in str(caught.value) for word in words)
    with pytest.warns(UserWarning, match="starting anew"):
        resumed = other.set_params(resume="auto").fit(X)
    fresh = small(image_shape=(8, 8), **change).fit(X)
    assert same(resumed, fresh)


def test_other_data_and_versions_are_refused(small, digits, tmp_path, monkeypatch):
    X, _ = digits
    est = small(image_shape=(8, 8), checkpoint_dir=tmp_path).fit(X)
    changed = X.copy()
    changed[7, 7] += 1
    with pytest.raises(ValueError, match="data="):
        est.set_params(resume="must").fit(changed)
    monkeypatch.setattr("skgan.base.__version__", "99")
    with pytest.raises(ValueError, match="skgan=.* there, 99 now"):
        est.fit(X)


def _networks_with(activation):
    def critic(input_shape, norm):
        layers = torch.nn.Linear(64, 8), activation(), torch.nn.Linear(8, 1)
        return torch.nn.Sequential(torch.nn.Flatten(), *layers)

    return critic


def scaled_critic(input_shape, norm, factor):
    layers = torch.nn.Linear(64, 8), torch.nn.LeakyReLU(factor), torch.nn.Linear(8, 1)
    return torch.nn.Sequential(torch.nn.Flatten(), *layers)


@pytest.mark.parametrize(
    ("name", "value", "equal", "other"),
    [
        ("random_state", lambda: np.random.RandomState(1), lambda: np.random.RandomState(1),
         lambda: np.random.RandomState(2)),
        ("discriminator", lambda: _networks_with(torch.nn.ReLU),
         lambda: _networks_with(torch.nn.ReLU), lambda: _networks_with(torch.nn.Tanh)),
        ("discriminator", lambda: functools.partial(scaled_critic, factor=0.1),
         lambda: functools.partial(scaled_critic, factor=0.1),
         lambda: functools.partial(scaled_critic, factor=0.5)),
    ],
    ids=["RandomState", "closure", "partial"],
)  # fmt: skip
def test_what_a_parameter_does_tells_fits_apart(small, digits, tmp_path, name, value, equal, other):
    X, _ = digits
    settings = {"image_shape": (8, 8), "checkpoint_dir": tmp_path, "resume": "must"}
    small(image_shape=(8, 8), checkpoint_dir=tmp_path, **{name: value()}).fit(X)
    small(**settings, **{name: equal()}).fit(X)
    with pytest.raises(ValueError, match=f"{name}=.* there, .* now"):
        small(**settings, **{name: other()}).fit(X)


def test_a_function_is_described_alike_in_another_process():
    """Constants may be sets of strings, whose order differs from process to process."""
    code = (
        "from skgan.engine.identity import describe\n"
        "def f(x, y=(1, 'a')):\n    return x in {'p', 'q', 'r', 's'}, lambda: x\n"
        "class C:\n    def __init__(self): self.a = 1\n"
        "print(describe(f), describe(C()))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": str(seed)},
            check=True, capture_output=True, text=True,
        ).stdout
        for seed in (1, 2, 3)
    }  # fmt: skip
    assert len(said) == 1 and "0x" not in said.pop()


def test_fits_of_fewer_epochs_share_the_folder(small, digits, tmp_path, steps):
    X, _ = digits
    settings = {"image_shape": (8, 8), "checkpoint_dir": tmp_path}
    small(n_epochs=5, **settings).fit(X)
    short = small(n_epochs=2, **settings).fit(X)
    assert short.n_epochs_ == 2 and same(short, small(image_shape=(8, 8), n_epochs=2).fit(X))
    names = sorted(p.name for p in tmp_path.rglob("epoch*"))
    assert names == [f"epoch-00000{i}.safetensors" for i in (1, 2, 4, 5)]
    n = len(steps)
    small(n_epochs=5, **settings).fit(X)
    assert len(steps) == n
    with pytest.raises(ValueError, match="resume='must'"):
        small(n_epochs=1, **settings).set_params(checkpoint_keep=1, resume="must",
                                                 random_state=7).fit(X)  # fmt: skip


def test_never_resuming_leaves_checkpoints_of_the_new_training(small, digits, tmp_path):
    X, _ = digits
    settings = {"image_shape": (8, 8), "checkpoint_dir": tmp_path}
    small(n_epochs=6, **settings).fit(X)
    small(n_epochs=4, resume="never", **settings).fit(X)
    names = sorted(p.name for p in tmp_path.rglob("epoch*"))
    assert names == ["epoch-000003.safetensors", "epoch-000004.safetensors"]


def test_fits_of_other_rows_share_a_folder_without_a_word(small, digits, tmp_path):
    X, _ = digits
    settings = {"image_shape": (8, 8), "checkpoint_dir": tmp_path}
    small(**settings).fit(X[:100])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(**settings, lr=1e-3).fit(X[100:])
    # Of the same rows, also where those of others are newer.
    with pytest.warns(UserWarning, match="starting anew.*lr="):
        small(**settings, lr=1e-3).fit(X[:100])


def test_files_of_others_are_passed_over(small, digits, tmp_path):
    X, _ = digits
    est = small(image_shape=(8, 8), checkpoint_dir=tmp_path).fit(X)
    (folder,) = tmp_path.iterdir()
    save_file({"w": torch.ones(2)}, folder / "zz.safetensors")
    (folder / "epoch.txt").write_text("")
    for i, content in enumerate([{"identity": 1, "state": 2}, [], {"identity": {}, "state": {}}]):
        (folder / f"epoch-99999{i}.safetensors").write_bytes(checkpoint.encode(content))
    again = small(image_shape=(8, 8), checkpoint_dir=tmp_path, resume="must").fit(X)
    assert same(est, again)
    with pytest.warns(UserWarning, match="starting anew.*lr="):
        small(image_shape=(8, 8), checkpoint_dir=tmp_path, lr=1e-3).fit(X)


def test_a_checkpoint_that_vanishes_is_passed_over(small, digits, tmp_path, monkeypatch):
    """Another process drops old ones meanwhile."""
    X, _ = digits
    small(image_shape=(8, 8), checkpoint_dir=tmp_path).fit(X)
    gone = [tmp_path / "gone" / "epoch-000001.safetensors"]
    monkeypatch.setattr(Path, "glob", lambda _, pattern: gone if pattern[-1] == "s" else [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(image_shape=(8, 8), checkpoint_dir=tmp_path, lr=1e-3).fit(X)


@pytest.mark.parametrize("place", ["file", "file/below", 5])
def test_a_folder_that_cannot_be_is_said_before_training(small, digits, tmp_path, steps, place):
    (tmp_path / "file").write_text("")
    folder = tmp_path / place if isinstance(place, str) else place
    with pytest.raises(ValueError, match=r"checkpoint_dir=.*(cannot be written to|must be a path)"):
        small(image_shape=(8, 8), checkpoint_dir=folder, checkpoint_every=9).fit(digits[0])
    assert not steps


def test_a_full_disk_warns_and_training_goes_on(small, digits, tmp_path, monkeypatch):
    X, _ = digits

    def full_disk(_path, _content):
        raise OSError("no space left on device")

    monkeypatch.setattr("skgan.engine.checkpoint.write_atomically", full_disk)
    with pytest.warns(UserWarning, match="could not be written .*no space"):
        est = small(image_shape=(8, 8), checkpoint_dir=tmp_path).fit(X)
    assert same(est, small(image_shape=(8, 8)).fit(X))


def test_a_broken_checkpoint_is_passed_over(small, digits, tmp_path, steps):
    X, _ = digits
    whole = small(image_shape=(8, 8), n_epochs=3, checkpoint_dir=tmp_path).fit(X)
    n = len(steps)
    newest = max(tmp_path.rglob("epoch*"))
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="epoch-000003.safetensors is damaged"):
        again = small(image_shape=(8, 8), n_epochs=3, checkpoint_dir=tmp_path).fit(X)
    assert same(whole, again) and len(steps) == n + n // 3


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def full_disk(_fd):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_search_may_share_one_folder(small, digits, tmp_path):
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.svm import LinearSVC

    X, y = digits
    pipe = Pipeline(
        [("f", small(image_shape=(8, 8), checkpoint_dir=tmp_path)), ("svm", LinearSVC())]
    )
    grid = {"f__lr": [1e-4, 1e-3]}
    with np.errstate(all="ignore"), pytest.warns(UserWarning, match="starting anew"):
        search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)
    assert len(list(tmp_path.iterdir())) == 2 * 2 + 1
    assert search.best_score_ > 0.5


def test_resume_must_needs_a_folder(small, digits):
    with pytest.raises(ValueError, match="checkpoint_dir"):
        small(image_shape=(8, 8), resume="must").fit(digits[0])


# ------------------------------------------------------------------ Ctrl-C and kill


def test_ctrl_c_with_stop_leaves_a_usable_fit(small, digits, monkeypatch):
    X, _ = digits
    count = press_at(monkeypatch, 27)
    before = signal.getsignal(signal.SIGINT)
    est = small(image_shape=(8, 8), n_epochs=10, on_interrupt="stop").fit(X)
    assert est.n_epochs_ == 1 and len(count) == 28  # the step under way is played to its end
    assert np.isfinite(est.transform(X)).all()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("at", "epochs"), [(40, 2), (39, 1)])
def test_an_epoch_that_was_played_to_its_end_counts(small, digits, monkeypatch, at, epochs):
    """10 minibatches an epoch, two updates each: Ctrl-C in the last update, and in front of it."""
    X, _ = digits
    press_at(monkeypatch, at if epochs == 2 else at - 1)
    est = small(image_shape=(8, 8), n_epochs=10, on_interrupt="stop").fit(X)
    assert est.n_epochs_ == len(est.history_) == epochs


def press_at(monkeypatch, n_updates):
    update, count = Players.update, []

    def pressing(self, **named):
        count.append(1)
        if len(count) == n_updates:
            os.kill(os.getpid(), signal.SIGINT)
        update(self, **named)

    monkeypatch.setattr(Players, "update", pressing)
    return count


def test_ctrl_c_does_not_keep_networks_that_have_diverged(small, digits, monkeypatch):
    X, _ = digits
    est = small(image_shape=(8, 8), on_interrupt="stop").fit(X)
    before = est.transform(X)
    press_at(monkeypatch, 7)
    with pytest.raises(FloatingPointError, match="became nan in epoch 1"):
        est.set_params(lr=1e18).fit(X)
    assert np.array_equal(est.transform(X), before)


def test_ctrl_c_behind_the_training_with_stop_loses_nothing(small, digits, monkeypatch):
    X, _ = digits
    measure = Training._measure_batchnorm

    def pressing(self, *args):
        os.kill(os.getpid(), signal.SIGINT)
        measure(self, *args)

    monkeypatch.setattr(Training, "_measure_batchnorm", pressing)
    est = small(image_shape=(8, 8), on_interrupt="stop").fit(X)
    assert est.n_epochs_ == 2 and np.isfinite(est.transform(X)).all()


CHILD = """
import os, sys, time
import numpy as np
from skgan import DCGANDiscriminatorFeatures, DCGANSpec
from skgan.engine.players import Players
folder, out, pause = sys.argv[1:4]
count, update, sync = [], Players.update, os.fsync
def slow(handle):
    time.sleep(float(pause))
    sync(handle)
os.fsync = slow
def counting(self, **named):
    count.append(1)
    update(self, **named)
Players.update = counting
X = np.random.default_rng(0).random((200, 8, 8))
est = DCGANDiscriminatorFeatures(
    generator=DCGANSpec(4), discriminator=DCGANSpec(4), latent_dim=8, n_epochs=40, batch_size=50,
    random_state=0, device="cpu", ema_decay=0.9, checkpoint_dir=folder,
)
est.fit(X)
np.savez(out, Z=est.transform(X), n=len(count))
"""


def kill_and_resume(folder, delay, pause):
    """Kill a fit `delay` seconds after its first checkpoint; resume; (features, steps done).

    Each of the two times that a checkpoint is flushed to the disk takes `pause` seconds longer.
    """
    folder.mkdir()
    command = [sys.executable, "-c", CHILD, str(folder / "checkpoints"), str(folder / "out.npz")]
    command.append(str(pause))
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=env)
    while not list(folder.rglob("epoch*")):
        assert process.poll() in (None, 0)
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    killed = process.wait() != 0
    left = len(list(folder.rglob(".*.part")))
    epoch = max(int(p.stem.removeprefix("epoch-")) for p in folder.rglob("epoch*"))
    subprocess.run(command, env=env, check=True)
    with np.load(folder / "out.npz") as out:
        return out["Z"], int(out["n"]), epoch, killed, left


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    command = [sys.executable, "-c", CHILD, str(folder / "c"), str(folder / "out.npz"), "0"]
    subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
    with np.load(folder / "out.npz") as out:
        assert int(out["n"]) == 40 * 4 * 2
        return out["Z"]


@pytest.mark.parametrize(
    "moment", [pytest.param(m, marks=[pytest.mark.slow] * (m > 1)) for m in range(50)]
)
def test_killed_at_any_moment(tmp_path, undisturbed, moment):
    """SIGKILL, then resume: equal bit for bit, with the remaining steps only."""
    delay, pause = random.Random(moment).uniform(0, 0.8), 0.02 * (moment % 2)
    fit = Path(tmp_path) / "fit"
    Z, n_updates, epoch, killed, _ = kill_and_resume(fit, delay, pause)
    assert np.array_equal(Z, undisturbed)
    assert n_updates == (40 - epoch) * 4 * 2
    assert killed or epoch == 40
    assert not list(fit.rglob("*.part"))


def test_killed_while_a_checkpoint_is_written(tmp_path, undisturbed):
    """The next fit removes what a killed one has left of an unfinished file."""
    for i in range(5):  # until a kill has met a flush
        fit = Path(tmp_path) / f"fit{i}"
        Z, _, _, killed, left = kill_and_resume(fit, 0.3 + 0.07 * i, 0.1)
        assert np.array_equal(Z, undisturbed) and not list(fit.rglob("*.part"))
        if killed and left:
            return
    raise AssertionError("no kill met a file that was being written")


def test_estimator_without_checkpoints_writes_nothing(small, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small(image_shape=(8, 8)).fit(digits[0])
    assert not list(tmp_path.iterdir())
    assert isinstance(small(), DCGANDiscriminatorFeatures)
