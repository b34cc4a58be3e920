"""CatGANs: their losses and five steps by hand, and blobs that they cluster."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import is_clusterer
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from torch import nn

import skgan
from skgan import CatGANClassifier, CatGANFeatures, MLPSpec
from skgan.callbacks import BestCheckpoint, EarlyStopping
from skgan.losses import (
    catgan_discriminator,
    catgan_generator,
    conditional_entropy,
    marginal_entropy,
)

REAL = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0], [0.2, 0.1, 0.0], [-4.0, 2.0, 1.0]])
FAKE = np.array([[0.0, -1.0, 2.0], [-3.0, -3.0, -3.0], [1.0, 1.0, 1.0], [0.5, 0.0, -0.5]])
TINY = {
    "generator": MLPSpec(16), "discriminator": MLPSpec(16), "latent_dim": 4, "batch_size": 50,
    "n_epochs": 1, "random_state": 3, "device": "cpu",
}  # fmt: skip


def fitted(X, y=None, cls=CatGANFeatures, **settings):
    return cls(**(TINY | settings)).fit(X, y)


def probabilities(scores):
    powers = np.exp(scores)
    return powers / powers.sum(-1, keepdims=True)


def entropy(p):
    return -(p * np.log(p)).sum(-1)


# ------------------------------------------------------------------ losses


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_losses_by_hand_on_four_rows(dtype):
    real, fake = (torch.tensor(s, dtype=dtype) for s in (REAL, FAKE))
    p, q = probabilities(REAL), probabilities(FAKE)
    game = entropy(p.mean(0)) - entropy(p).mean() + entropy(q).mean()
    for ours, expected in (
        (conditional_entropy(real), entropy(p).mean()),
        (marginal_entropy(real), entropy(p.mean(0))),
        (catgan_discriminator(real, fake), -game),
        (catgan_generator(fake), entropy(q).mean() - entropy(q.mean(0))),
    ):
        assert ours.dtype == dtype and ours.item() == pytest.approx(expected, rel=1e-5)


def test_the_entropies_of_sure_and_of_even_scores():
    """A score far ahead of the others underflows to probability 0, not to NaN."""
    sure = torch.tensor([[1e4, 0.0], [0.0, 1e4]], requires_grad=True)
    assert conditional_entropy(sure).item() == 0
    assert marginal_entropy(sure).item() == pytest.approx(np.log(2))
    catgan_discriminator(sure, sure).backward()
    assert sure.grad.isfinite().all()
    same = torch.tensor([[1e4, 0.0]] * 3)
    assert marginal_entropy(same).item() == 0


# ------------------------------------------------------------------ the step


@pytest.fixture
def one_thread():
    """Sums are rounded by the number of threads, and Adam's first steps enlarge that."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("cls", [CatGANFeatures, CatGANClassifier])
def test_five_steps_equal_a_loop_written_by_hand(digits, monkeypatch, one_thread, cls):
    X, y = digits[0][:250], digits[1][:250]
    few = np.where(np.arange(250) < 60, y, -1)
    own = {"supervised_weight": 0.5} if cls is CatGANClassifier else {"n_clusters": 7}
    labels = few if cls is CatGANClassifier else None
    start = fitted(X, labels, cls, **(own | {"n_epochs": 0}))
    G, T, H = (
        copy.deepcopy(net).train()
        for net in (start.generator_, start.trunk_, start._discriminator_branch_)
    )
    seen, step = [], cls._step

    def watched(self, nets, batch, update):
        z = batch.latent()
        labelled = batch.labelled() if batch.labelled is not None else None
        seen.append((batch.x.clone(), z.clone(), labelled))
        given = dataclasses.replace(batch, latent=lambda: z, labelled=lambda: labelled)
        step(self, nets, given, update)

    monkeypatch.setattr(cls, "_step", watched)
    est = fitted(X, labels, cls, **own)
    assert len(seen) == est.n_steps_ == 5
    D = nn.ModuleList([T, H])
    opt = {net: torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (G, D)}

    def move(net, loss):
        params = list(net.parameters())
        for p, g in zip(params, torch.autograd.grad(loss, params), strict=True):
            p.grad = g
        opt[net].step()

    def each(p):
        return -(p * p.log()).sum(-1)

    for x, z, labelled in seen:
        fake = G(z)
        p, q = (H(T(a)).softmax(1) for a in (x, fake))
        loss = -(each(p.mean(0)) - each(p).mean() + each(q).mean())
        if labelled is not None:
            loss = loss + 0.5 * nn.functional.cross_entropy(H(T(labelled[0])), labelled[1])
        move(D, loss)
        q = H(T(fake)).softmax(1)
        move(G, each(q).mean() - each(q.mean(0)))
    theirs = est.generator_, est.trunk_, est._discriminator_branch_
    for mine, other in zip((G, T, H), theirs, strict=True):
        for p, q in zip(mine.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=5e-6)


# ------------------------------------------------------------------ the claims


def blobs(n=300):
    centres = [[0, 0], [4, 0], [0, 4], [4, 4]]
    return make_blobs(n, centers=centres, cluster_std=0.6, random_state=0)


def test_it_clusters_blobs():
    X, y = blobs()
    settings = {"n_clusters": 4, "latent_dim": 8, "device": "cpu"}
    for seed in range(3):
        untrained, est = (
            CatGANFeatures(**settings, n_epochs=n, random_state=seed).fit(X) for n in (0, 60)
        )
        scores = [adjusted_rand_score(y, e.labels_) for e in (untrained, est)]
        assert scores[1] > 0.95 and scores[0] < 0.9, scores
        # D is surer of samples than it was.
        assert est.score_samples(X).mean() > untrained.score_samples(X).mean() + 0.3
        assert est.outputs_.tolist() == [0, 1, 2, 3]


def test_few_labels_are_enough_for_blobs_and_name_the_categories():
    X, y = blobs()
    names = np.array(["a", "b", "c", "d"], object)[y]
    few = np.full(len(y), None, object)
    for k in range(4):
        few[np.flatnonzero(y == k)[0]] = names[y == k][0]
    est = CatGANClassifier(latent_dim=8, n_epochs=40, random_state=0, device="cpu").fit(X, few)
    assert est.classes_.tolist() == ["a", "b", "c", "d"] and est.score(X, names) > 0.95


# ------------------------------------------------------------------ clusters


def test_y_is_ignored_bit_for_bit(digits):
    X, y = digits
    est = fitted(X)
    with pytest.warns(UserWarning, match="CatGANFeatures ignores y"):
        partly = fitted(X, np.where(y == 0, -1, y))
    for other in (fitted(X, y), partly):
        assert np.array_equal(other.transform(X), est.transform(X))
        assert np.array_equal(other.labels_, est.labels_)


def test_clusters_are_numbered_by_the_outputs_that_fit_used(digits):
    X = digits[0]
    est = fitted(X, n_clusters=60, n_epochs=0)
    with torch.no_grad():
        best = est.discriminator_(est._format.encode(X)).argmax(1).numpy()
    assert len(set(best)) < 60  # some outputs are used by no sample
    assert np.array_equal(est.outputs_, np.unique(best))
    assert np.array_equal(est.outputs_[est.labels_], best)
    assert np.array_equal(est.predict(X), est.labels_) and est.labels_.dtype == np.int64
    assert sorted(set(est.labels_)) == list(range(len(est.outputs_)))
    other = np.random.default_rng(0).uniform(0, 16, (500, 64))
    assert set(est.predict(other)) <= set(est.labels_)
    assert np.array_equal(fitted(X, n_clusters=60, n_epochs=0).fit_predict(X), est.labels_)
    assert is_clusterer(est)


def test_a_failed_fit_leaves_the_clusters_alone_and_partial_fit_numbers_its_own(digits):
    X = digits[0]
    est = fitted(X)
    before = est.labels_.copy()
    with pytest.raises(ValueError, match="lr=-1"):
        est.set_params(lr=-1).fit(X[:50])
    assert np.array_equal(est.labels_, before)
    est.set_params(lr=1e-3).partial_fit(X[:50])
    assert est.labels_.shape == (50,) and np.array_equal(est.predict(X[:50]), est.labels_)
    with pytest.raises(ValueError, match="n_clusters=4, but this estimator was fitted with"):
        est.set_params(n_clusters=4).predict(X)


def test_partial_fit_keeps_the_numbers_of_clusters_that_it_does_not_meet(digits):
    X = digits[0]
    est = fitted(X, n_clusters=30)
    before = est.outputs_.copy()
    est.partial_fit(X[:3])
    assert np.array_equal(est.outputs_[: len(before)], before) and len(est.labels_) == 3
    assert len(set(est.outputs_)) == len(est.outputs_)
    assert np.array_equal(est.predict(X[:3]), est.labels_)
    now = est.outputs_.copy()
    with pytest.warns(UserWarning, match="left out"):
        est.partial_fit(X[:1])
    assert np.array_equal(est.outputs_, now) and len(est.labels_) == 3


def test_callbacks_and_what_they_keep_see_the_clusters_of_their_epoch(digits, tmp_path):
    X, y = digits
    seen = []

    def scorer(est, X, y):
        assert np.array_equal(est.predict(X), est.labels_)  # of this fit, not of an earlier one
        seen.append(len(est.outputs_))
        return adjusted_rand_score(y, est.labels_)

    est = CatGANFeatures(n_clusters=30, image_shape=(8, 8), n_epochs=2, random_state=0)
    best = BestCheckpoint(tmp_path / "best", monitor="trunk_loss")
    est.set_callbacks(EarlyStopping(scorer=scorer, validation_data=(X, y), patience=5), best)
    for n_clusters in (30, 5):
        est.set_params(n_clusters=n_clusters).fit(X)
        assert seen and max(seen) <= n_clusters
        kept = skgan.load(best.path)
        assert set(kept.predict(X)) == set(range(len(kept.outputs_)))
        seen.clear()


def test_files_and_pickles_keep_the_clusters(digits, tmp_path):
    X = digits[0]
    est = fitted(X)
    est.save(tmp_path / "catgan")
    for other in (skgan.load(tmp_path / "catgan"), pickle.loads(pickle.dumps(est))):
        assert np.array_equal(other.predict(X), est.predict(X))
        assert np.array_equal(other.labels_, est.labels_)
        assert np.array_equal(other.outputs_, est.outputs_)


def test_scores_of_samples_are_negative_entropies(digits):
    X, y = digits
    for est in (fitted(X), fitted(X, y, CatGANClassifier)):
        with torch.no_grad():
            p = est.discriminator_(est._format.encode(X)).double().softmax(1).numpy()
        np.testing.assert_allclose(est.score_samples(X), -entropy(p), atol=1e-5)


def test_r1_is_of_the_entropies(digits):
    X = digits[0]
    est = fitted(X, r1_weight=1.0)
    assert np.isfinite(est.history_[0]["discriminator_r1"])
    assert not np.array_equal(est.transform(X), fitted(X).transform(X))


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (CatGANFeatures, {"n_clusters": 0}, "n_clusters=0"),
        (CatGANFeatures, {"n_clusters": 2.5}, "n_clusters=2.5"),
        (CatGANClassifier, {"supervised_weight": -1}, "supervised_weight=-1"),
        (CatGANClassifier, {"class_weight": {99: 1}}, r"class_weight has \[99\]"),
    ],
)
def test_bad_values_are_named(digits, monkeypatch, cls, settings, message):
    monkeypatch.setattr("skgan.training.train", lambda *_args: pytest.fail("training began"))
    with pytest.raises(ValueError, match=message):
        fitted(*digits, cls, **settings)
