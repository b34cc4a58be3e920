"""DisentangledEncoder: content without the domain, by probes that no adversary has seen."""

import copy
import dataclasses
import functools
import pickle
import warnings

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn
from torch.nn.functional import cross_entropy

import skgan
from skgan import DCGANSpec, DisentangledEncoder, MLPSpec
from skgan.evaluation import domain_leak
from skgan.losses import uniform_cross_entropy
from skgan.utils.domains import another_of_domain

DENSE = {
    "encoder": MLPSpec(64), "generator": MLPSpec(64), "domain_encoder": MLPSpec(64),
    "domain_classifier": MLPSpec(64),
}  # fmt: skip
TINY = {name: MLPSpec(16) for name in DENSE} | {
    "latent_dim": 3, "batch_size": 60, "n_epochs": 2, "random_state": 0, "device": "cpu",
}  # fmt: skip


# ------------------------------------------------------------------ the claim


@functools.cache
def world():
    """How each of three domains shows a content of two numbers, in ten columns; alike in four."""
    rng = np.random.default_rng(100)
    A, offset, scale = rng.normal(size=(2, 10)), rng.normal(size=(3, 10)), rng.normal(size=(3, 10))
    offset[:, :4] = scale[:, :4] = 0
    return A, offset, np.exp(0.3 * scale)


def shown(content, domain):
    A, offset, scale = world()
    return np.tanh(content @ A) * scale[domain - 1] + offset[domain - 1]


@functools.cache
def samples(seed, n):
    """(X, content, domain): content is skewed, so that no domain's is another's turned round."""
    rng = np.random.default_rng(seed)
    content = rng.exponential(size=(n, 2)) * [1, 0.6] - [1, 0.6]
    domain = rng.integers(1, 4, n)
    return shown(content, domain) + 0.05 * rng.normal(size=(n, 10)), content, domain


@functools.cache
def fitted(seed=0, **settings):
    X, _, domain = samples(0, 1500)
    chosen = {
        "latent_dim": 2, "lr": 1e-3, "domain_classifier_lr": 3e-3, "lr_decay": "linear",
        "warmup": 0.1, "batch_size": 96, "n_epochs": 20,
        "domain_dim": 2 if "domain_code" in settings else 4,
    }  # fmt: skip
    est = DisentangledEncoder(**DENSE, **(chosen | settings), random_state=seed)
    return est.fit(X, sample_domain=domain)


def recovery(Z, content):
    """R^2 of the content from a code, by neighbours in held-out samples."""
    regressor = make_pipeline(StandardScaler(), KNeighborsRegressor(10))
    return cross_val_score(regressor, Z, content, cv=3).mean()


def conversion_error(est, X, content, domain):
    """Of samples shown in the next domain, as a share of the variance of what they should be."""
    to = domain % 3 + 1
    truth = shown(content, to)
    converted = est.convert(X, to)
    judge = LogisticRegression(max_iter=1000).fit(*samples(0, 1500)[::2])
    error = np.square(converted - truth).mean() / np.square(truth - truth.mean(0)).mean()
    return error, judge.score(converted, to)


FLIP, ENCODER = {}, {"domain_code": "encoder"}
# With seeds 4 and 7 content and domain come apart as well, but a content is matched with another
# one of the next domain: nothing in the game forbids it.
NOW = [(0, FLIP), (1, FLIP), (0, ENCODER)]
SLOW = [(s, FLIP) for s in (2, 3)] + [(s, ENCODER) for s in (1, 2, 3)]
SLOW += [(s, {"adversary": kind}) for s in range(4) for kind in ("neg_ce", "uniform")]


@pytest.mark.parametrize(
    ("seed", "settings"), [*NOW, *(pytest.param(*m, marks=pytest.mark.slow) for m in SLOW)]
)
def test_content_and_domain_come_apart(seed, settings):
    est = fitted(seed, **settings)
    X, content, domain = samples(1, 1200)
    Z, S = est.transform(X), est.transform_domain(X)
    found = domain_leak(Z, domain)
    assert found.best < found.majority + 0.05, found
    assert recovery(Z, content) > 0.9
    assert domain_leak(S, domain).accuracies["knn"] > 0.99
    assert recovery(S, content) < 0.3
    error, agrees = conversion_error(est, X, content, domain)
    assert error < 0.03 and agrees > 0.99
    # Reconstruction has a domain to find out, and conversion to a sample's own is one.
    own = np.square(est.convert(X, domain) - X).mean()
    assert own < 0.02 and np.square(est.reconstruct(X) - X).mean() < 1.1 * own


def test_without_the_adversary_the_domain_is_in_the_content():
    """The probes above can fail, and so can conversion."""
    est = fitted(0, adversary_weight=0.0)
    X, content, domain = samples(1, 1200)
    found = domain_leak(est.transform(X), domain)
    assert found.best > found.majority + 0.1
    error, _ = conversion_error(est, X, content, domain)
    assert error > 0.04


def test_a_code_with_room_to_spare_fools_the_adversary_but_not_a_fresh_probe():
    """Why the adversary's accuracy is no proof."""
    est = fitted(0, latent_dim=4, n_adversary_steps=1, domain_classifier_lr=None, lr_decay=None)
    X, _, domain = samples(1, 1200)
    assert est.history_[-1]["adversary_accuracy"] < 0.5
    assert domain_leak(est.transform(X), domain).best > 0.6


# ------------------------------------------------------------------ the step


@pytest.mark.parametrize("adversary", ["flip", "neg_ce", "uniform"])
@pytest.mark.parametrize("domain_code", ["embedding", "encoder"])
def test_five_steps_equal_a_loop_written_by_hand(adversary, domain_code, monkeypatch):
    X, _, domain = samples(0, 1500)
    X, domain = X[:300], np.repeat([2, -1, 3], 100)
    settings = TINY | {
        "adversary": adversary, "domain_code": domain_code, "warmup": 0.5, "lr": 1e-3,
        "adversary_weight": 0.5, "n_adversary_steps": 2, "adversary_dropout": 0.25,
        "reconstruction_loss": "l1", "weight_decay": 0.0, "clip_grad_norm": None,
        "domain_classifier_lr": 2e-3,
    }  # fmt: skip
    start = DisentangledEncoder(**settings | {"n_epochs": 0}).fit(X, sample_domain=domain)
    assert start.domains_.tolist() == [2, 3, -1]
    code = f"domain_{domain_code}"
    E, G, C, S = (
        copy.deepcopy(getattr(start, f"{role}_")).train()
        for role in ("encoder", "generator", "domain_classifier", code)
    )
    seen, step = [], DisentangledEncoder._step

    def watched(self, nets, batch, update):
        drawn = []

        def uniform(*shape):
            drawn.append(batch.uniform(*shape))
            return drawn[-1]

        step(self, nets, dataclasses.replace(batch, uniform=uniform), update)
        seen.append((batch.x.clone(), batch.domain.clone(), drawn))

    monkeypatch.setattr(DisentangledEncoder, "_step", watched)
    est = DisentangledEncoder(**settings | {"n_epochs": 1}).fit(X, sample_domain=domain)
    assert len(seen) == est.n_steps_ == 5

    rates = {E: 1e-3, G: 1e-3, S: 1e-3, C: 2e-3}
    opt = {n: torch.optim.Adam(n.parameters(), lr, (0.5, 0.999)) for n, lr in rates.items()}

    def move(loss, *nets):
        weights = [p for net in nets for p in net.parameters()]
        for p, g in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            p.grad = g
        for net in nets:
            opt[net].step()

    for i, (x, k, drawn) in enumerate(seen):
        assert k.bincount().tolist() == [20, 20, 20]
        c = E(x)
        for u in drawn[:2]:
            move(cross_entropy(C(c.detach() * (u >= 0.25) / 0.75), k), C)
        if domain_code == "embedding":
            s = S.table.weight[k]
        else:
            codes, s = S(x), [None] * len(x)
            for d in range(3):
                rows = [j for j in range(len(x)) if k[j] == d]
                for j, other in zip(rows, rows[-1:] + rows[:-1], strict=True):
                    s[j] = codes[other]
            s = torch.stack(s)
        scores = C(c)
        if adversary == "neg_ce":
            hiding = -cross_entropy(scores, k)
        elif adversary == "uniform":
            hiding = cross_entropy(scores, torch.full((len(x), 3), 1 / 3))
        else:
            others = torch.tensor([[(d + 1) % 3, (d + 2) % 3] for d in range(3)])
            hiding = cross_entropy(scores, others[k, (drawn[2] >= 0.5).long()])
        weight = 0.5 * min(1, (i / 5) / 0.5)
        move((G(torch.cat([c, s], 1)) - x).abs().mean() + weight * hiding, E, G, S)
    for role, mine in (("encoder", E), ("generator", G), ("domain_classifier", C), (code, S)):
        theirs = dict(getattr(est, f"{role}_").named_parameters())
        for name, p in mine.named_parameters():
            # Batch norm of G takes a shift of all codes out: its gradient is rounding alone.
            if (role, name) != ("domain_encoder", "head.bias"):
                torch.testing.assert_close(p, theirs[name], rtol=0, atol=2e-5, msg=f"{role} {name}")


def test_uniform_cross_entropy_by_hand():
    scores = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0]])
    p = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum(1, keepdims=True)
    assert uniform_cross_entropy(scores).item() == pytest.approx(-np.log(p).mean(), rel=1e-6)


def test_the_other_sample_is_another_one_of_the_same_domain():
    k = torch.tensor([0, 1, 0, 2, 1, 0, 2])
    other = another_of_domain(k)
    assert torch.equal(k[other], k) and sorted(other.tolist()) == list(range(7))
    assert not (other == torch.arange(7)).any()


def test_a_flipped_domain_is_another_and_all_others_are_drawn():
    est = DisentangledEncoder()

    class Batch:
        domain = torch.arange(4).repeat(500)
        uniform = staticmethod(lambda n: torch.linspace(0, 1, n))  # 1 itself would be no other

    scores = torch.zeros(2000, 4, requires_grad=True)
    est._hiding_loss(scores, Batch).backward()
    wanted = scores.grad.argmin(1)  # where the scores are to rise
    pairs = torch.zeros(4, 4).index_put((Batch.domain, wanted), torch.ones(2000), accumulate=True)
    assert (pairs.diag() == 0).all() and (pairs + torch.eye(4) > 0).all()


def test_parts_of_the_training_follow_each_other():
    X, _, domain = samples(0, 1500)
    settings = TINY | {"n_epochs": 10, "warmup": 0.4}
    est = DisentangledEncoder(**settings, pretrain_autoencoder=0.2, pretrain_adversary=0.3)
    est.fit(X[:120], sample_domain=domain[:120])
    rows = [(int("encoder_loss" in r), int("domain_classifier_loss" in r)) for r in est.history_]
    assert rows == [(1, 0)] * 2 + [(0, 1)] * 3 + [(1, 1)] * 5
    weights = [est._weight(p) for p in (0.5, 0.6, 0.9, 1.0)]
    assert weights == pytest.approx([0, 0.025, 0.1, 0.1])
    assert DisentangledEncoder(warmup=0.0)._weight(0.0) == 0.1


def test_an_adversary_without_weight_only_looks_on():
    X, _, domain = samples(0, 1500)
    X, domain = X[:200], domain[:200]
    settings = TINY | {"adversary_weight": 0.0, "weight_decay": 0.0}
    one, two = (
        DisentangledEncoder(**settings, n_adversary_steps=n).fit(X, sample_domain=domain)
        for n in (1, 4)
    )
    assert np.array_equal(one.transform(X), two.transform(X))
    assert two.history_[-1]["domain_classifier_loss"] < one.history_[-1]["domain_classifier_loss"]


# ------------------------------------------------------------------ scikit-learn's side


def few(n=200):
    X, _, domain = samples(0, 1500)
    return X[:n], domain[:n]


def test_labels_play_no_part_and_neither_do_signs_of_domains():
    X, domain = few()
    y = np.arange(len(X)) % 2
    est = DisentangledEncoder(**TINY).fit(X, y, sample_domain=domain)
    other = clone(est).fit(X, np.random.default_rng(0).permutation(y), sample_domain=domain)
    signs = clone(est).fit(X, sample_domain=np.array([0, 3, -8, -9])[domain])
    for again in (other, signs):
        assert np.array_equal(est.transform(X), again.transform(X))
    assert signs.domains_.tolist() == [3, -8, -9]
    assert np.array_equal(est.convert(X, 3), signs.convert(X, -9))
    assert not np.array_equal(
        est.transform(X), clone(est).fit(X[::-1], sample_domain=domain).transform(X)
    )


def test_one_domain_has_no_adversary_and_warns():
    X, _ = few()
    with pytest.warns(UserWarning, match="sample_domain is not given"):
        est = DisentangledEncoder(**TINY).fit(X)
    assert est.domains_.tolist() == [1] and not hasattr(est, "domain_classifier_")
    assert "adversary_accuracy" not in est.history_[-1]
    Z = est.transform(X)
    np.testing.assert_allclose(est.inverse_transform(Z), est.reconstruct(X), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(est.convert(X, 1), est.reconstruct(X), rtol=1e-5, atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DisentangledEncoder(**TINY).fit(*few()[:1], sample_domain=few()[1])


def test_content_alone_cannot_be_decoded_where_there_are_several_domains():
    X, domain = few()
    est = DisentangledEncoder(**TINY).fit(X, sample_domain=domain)
    with pytest.raises(ValueError, match=r"\[1, 2, 3\].* use convert\(X, to_domain\)"):
        est.inverse_transform(est.transform(X))


@pytest.mark.parametrize("routing", [True, False])
def test_domains_pass_through_pipelines_and_searches(routing):
    X, domain = few()
    y = (X[:, 0] > 0).astype(int)
    est = DisentangledEncoder(**TINY)
    expected = clone(est).fit(StandardScaler().fit_transform(X), sample_domain=domain)
    pipe = Pipeline([("scale", StandardScaler()), ("codes", est), ("svm", LinearSVC())])
    with sklearn.config_context(enable_metadata_routing=routing), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        given = {"sample_domain" if routing else "codes__sample_domain": domain}
        pipe.fit(X, y, **given)
        assert pipe.predict(X).shape == y.shape
        search = GridSearchCV(pipe, {"codes__adversary_weight": [0.0, 0.1]}, cv=2)
        search.fit(X, y, **given)
    assert pipe["codes"].domains_.tolist() == [1, 2, 3]
    scaled = pipe["scale"].transform(X)
    assert np.array_equal(pipe["codes"].transform(scaled), expected.transform(scaled))
    assert len(search.cv_results_["params"]) == 2


@pytest.mark.parametrize("domain_code", ["embedding", "encoder"])
def test_fits_with_domains_are_kept_and_go_on(domain_code, tmp_path):
    X, domain = few()
    est = DisentangledEncoder(**TINY, domain_code=domain_code).fit(X, sample_domain=domain)
    est.save(tmp_path / "codes")
    for other in (skgan.load(tmp_path / "codes"), pickle.loads(pickle.dumps(est))):
        for use in ("transform", "transform_domain", "reconstruct", "score_samples"):
            assert np.array_equal(getattr(est, use)(X), getattr(other, use)(X)), use
        assert np.array_equal(est.convert(X, 2), other.convert(X, 2))
        assert other.domains_.tolist() == [1, 2, 3]
    module = est.as_module()
    with torch.no_grad():
        Z = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(Z, est.transform(X), atol=1e-5)

    # A warm start equals going through where no schedule depends on the end.
    steady = TINY | {"warmup": 0.0, "domain_code": domain_code}
    through = DisentangledEncoder(**steady | {"n_epochs": 4}).fit(X, sample_domain=domain)
    warm = DisentangledEncoder(**steady, warm_start=True).fit(X, sample_domain=domain)
    warm.set_params(n_epochs=4).fit(X, sample_domain=domain)
    assert np.array_equal(warm.convert(X, 3), through.convert(X, 3))

    # And so does a fit that goes on from a checkpoint, whatever its schedule.
    keep = TINY | {"n_epochs": 4, "domain_code": domain_code, "checkpoint_dir": tmp_path}
    whole = DisentangledEncoder(**keep | {"checkpoint_dir": None}).fit(X, sample_domain=domain)
    first = DisentangledEncoder(**keep, checkpoint_keep=9).fit(X, sample_domain=domain)
    last = max(tmp_path.glob("*/epoch-*"))
    last.unlink()
    again = DisentangledEncoder(**keep, resume="must").fit(X, sample_domain=domain)
    assert np.array_equal(first.transform(X), whole.transform(X))
    assert np.array_equal(again.transform(X), whole.transform(X))


@pytest.mark.parametrize("domain_code", ["embedding", "encoder"])
def test_partial_fit_knows_the_domains_of_the_first_call(domain_code):
    X, domain = few()
    est = DisentangledEncoder(**TINY, domain_code=domain_code)
    est.partial_fit(X, sample_domain=domain)
    before = est.domain_codes_.copy()
    two = domain != 2
    est.partial_fit(X[two], sample_domain=domain[two])
    assert est.n_epochs_ == 2 and est.domain_codes_.shape == before.shape
    if domain_code == "encoder":  # no sample says anything new of the domain that is absent
        assert [np.array_equal(*rows) for rows in zip(before, est.domain_codes_, strict=True)] == [
            False, True, False,
        ]  # fmt: skip
    with pytest.raises(ValueError, match=r"sample_domain has \[7\], but the domains"):
        est.partial_fit(X, sample_domain=np.where(domain == 2, 7, domain))
    with pytest.raises(ValueError, match=r"sample_domain=None, but .*\[1, 2, 3\]"):
        est.partial_fit(X)
    assert np.isfinite(est.transform(X)).all() and est.n_epochs_ == 2


# ------------------------------------------------------------------ images


@pytest.mark.parametrize("layout", ["rows", "stack", "bytes"])
@pytest.mark.parametrize("domain_code", ["embedding", "encoder"])
def test_converted_images_have_the_layout_of_x(digits, layout, domain_code):
    X = digits[0][:100]
    domain = 1 + np.arange(100) % 2
    X = np.where(domain[:, None] == 2, 16 - X, X)
    if layout == "stack":
        X = X.reshape(-1, 8, 8)
    elif layout == "bytes":
        X = (15 * X).reshape(-1, 8, 8, 1).astype(np.uint8)
    spec = DCGANSpec(4)
    est = DisentangledEncoder(
        encoder=spec, generator=spec, domain_encoder=spec, domain_code=domain_code,
        image_shape=(8, 8) if layout == "rows" else None, n_epochs=1, random_state=0,
    ).fit(X, sample_domain=domain)  # fmt: skip
    converted = est.convert(X, 3 - domain)
    assert converted.shape == X.shape and np.isfinite(converted).all()
    assert (converted.dtype == np.uint8) == (layout == "bytes")
    alone = est.convert(X[3:4], int(3 - domain[3]))
    np.testing.assert_allclose(converted[3:4], alone, atol=1.0 if layout == "bytes" else 1e-4)


def test_networks_of_ones_own():
    X, domain = few()
    est = DisentangledEncoder(
        encoder=lambda input_shape, n_outputs: nn.Linear(*input_shape, n_outputs),
        generator=lambda latent_dim, output_shape: nn.Linear(latent_dim, *output_shape),
        domain_classifier=lambda input_shape, n_outputs, norm: nn.Linear(*input_shape, n_outputs),
        latent_dim=3, n_epochs=1, random_state=0,
    ).fit(X, sample_domain=domain)  # fmt: skip
    assert est.domain_classifier_.weight.shape == (3, 3)
    assert est.generator_.weight.shape == (10, 3 + 4)
    assert est.convert(X, 1).shape == X.shape


# ------------------------------------------------------------------ errors


BAD = {
    "domain_code": ["table"], "domain_dim": [0, 1.5], "adversary": ["grl", None],
    "adversary_weight": [-1, "much"], "warmup": [-0.1, 1.1], "pretrain_autoencoder": [2],
    "pretrain_adversary": [-1], "n_adversary_steps": [0, 2.5], "adversary_dropout": [1.0, -0.5],
    "reconstruction_loss": ["huber"], "domain_encoder_lr": [0], "domain_classifier_lr": ["fast"],
    "domain_classifier": ["resnet", 5], "output": ["codes"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in BAD.items() for v in vs])
def test_bad_values_are_named(name, value, monkeypatch):
    monkeypatch.setattr("skgan.training.train", lambda *_: pytest.fail("training began"))
    X, domain = few(50)
    with pytest.raises((ValueError, TypeError), match=f"^{name}={value!r}"):
        DisentangledEncoder(**{name: value}).fit(X, sample_domain=domain)


def test_parts_that_are_more_than_the_whole_are_named():
    with pytest.raises(ValueError, match=r"pretrain_adversary=0\.4, warmup=0\.3 .* come to 1"):
        DisentangledEncoder(pretrain_autoencoder=0.5, pretrain_adversary=0.4).fit(few()[0])


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (np.arange(50) % 3, "sample_domain has 0 for 17 samples"),
        (np.ones(50), "sample_domain is 1 throughout"),
        (np.arange(50) % 2 + 1.5, "sample_domain holds"),
        (np.arange(40) % 2 + 1, "inconsistent numbers of samples"),
    ],
)
def test_domains_that_cannot_work_are_named(domain, message):
    with pytest.raises(ValueError, match=message):
        DisentangledEncoder(**TINY).fit(few(50)[0], sample_domain=domain)


def test_domains_that_are_unknown_to_the_fit_are_named():
    X, domain = few(50)
    est = DisentangledEncoder(**TINY).fit(X, sample_domain=domain)
    with pytest.raises(ValueError, match=r"to_domain has \[5\], but the domains of fit are"):
        est.convert(X, 5)
    with pytest.raises(ValueError, match=r"to_domain has shape \(2,\) for 50 samples"):
        est.convert(X, [1, 2])
