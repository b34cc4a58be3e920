"""Walks, arithmetic and directions of codes, against their formulas; and samples of codes."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skgan import (
    ACGANFeatures,
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    DisentangledEncoder,
    InfoGANExtractor,
    MGANExtractor,
    SupervisedFeatures,
    VAEGANEncoder,
)
from skgan.tools import (
    attribute_vectors,
    combine_codes,
    draw_codes,
    generate,
    interpolate_codes,
    move_codes,
    turn_vector,
)

RNG = np.random.default_rng(0)
CODES = RNG.normal(size=(12, 5))


# ------------------------------------------------------------------ walks


@pytest.mark.parametrize("path", ["linear", "spherical"])
@pytest.mark.parametrize("n_steps", [1, 4, 7])
def test_a_walk_passes_its_points_in_equal_steps(path, n_steps):
    walk = interpolate_codes(CODES, n_steps, path=path)
    assert walk.shape == (11 * n_steps + 1, 5) and walk.dtype == np.float32
    np.testing.assert_allclose(walk[::n_steps], CODES, atol=1e-6)
    for i, (a, b) in enumerate(pairwise(CODES)):
        leg = walk[i * n_steps : (i + 1) * n_steps + 1].astype(float)
        if path == "linear":
            np.testing.assert_allclose(
                np.diff(leg, axis=0), [(b - a) / n_steps] * n_steps, atol=1e-6
            )
            continue
        lengths = np.linalg.norm(leg, axis=1)
        step = (np.linalg.norm(b) - np.linalg.norm(a)) / n_steps
        np.testing.assert_allclose(np.diff(lengths), step, atol=1e-5)
        unit = leg / lengths[:, None]
        angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        np.testing.assert_allclose(
            (unit[:-1] * unit[1:]).sum(1), np.cos(angle / n_steps), atol=1e-6
        )
        assert np.linalg.matrix_rank(leg, tol=1e-4) == min(2, n_steps + 1)  # within one plane


def test_lines_between_normal_draws_leave_the_typical_lengths_and_circles_do_not():
    draws = np.random.default_rng(1).normal(size=(200, 100))
    usual = np.linalg.norm(draws, axis=1)
    for path, low, high in (("linear", 0.6, 0.8), ("spherical", 0.95, 1.05)):
        middle = interpolate_codes(draws, 2, path=path)[1::2]
        assert low < np.linalg.norm(middle, axis=1).mean() / usual.mean() < high


def test_walks_without_a_great_circle():
    walk = interpolate_codes([[0, 2], [0, -1]], 4)
    np.testing.assert_allclose(walk[:, 1], [2, 1.25, 0.5, -0.25, -1])
    with pytest.raises(ValueError, match="codes 1 and 2 are opposite .* path='linear'"):
        interpolate_codes([[1, 1], [0, 2], [0, -1]], 4, path="spherical")
    for ends in ([[1, 2], [2, 4]], [[0, 0], [3, 1]], [[1, 1], [0, 0]], [[1, 2], [1, 2]]):
        lines = [interpolate_codes(ends, 4, path=path) for path in ("linear", "spherical")]
        np.testing.assert_allclose(lines[0], lines[1], atol=1e-6)


def test_a_small_angle_is_exact():
    walk = interpolate_codes([[1, 0], [1, 1e-5]], 2, path="spherical")
    np.testing.assert_allclose(walk[1], [1, 5e-6], rtol=1e-4)


@pytest.mark.parametrize(
    ("codes", "settings", "message"),
    [
        (CODES[:1], {}, r"codes has shape \(1, 5\): a walk needs two codes or more"),
        (CODES[0], {}, r"codes has shape \(5,\), but \(n, d\)"),
        (CODES[:0], {}, r"codes has shape \(0, 5\)"),
        (CODES, {"n_steps": 0}, "n_steps=0 must be a whole number"),
        (CODES, {"path": "curved"}, "path='curved' is unknown; use one of 'linear', 'spherical'"),
        ([[1, np.nan], [0, 1]], {}, "Input codes contains NaN"),
    ],
)
def test_bad_walks(codes, settings, message):
    with pytest.raises(ValueError, match=message):
        interpolate_codes(codes, **settings)


# ------------------------------------------------------------------ arithmetic


def test_arithmetic_on_averages():
    sets = [CODES[:3], CODES[3:5], CODES[5:9], CODES[9:10]]
    means = [s.mean(0) for s in sets]
    result = combine_codes(sets[:2], sets[2:], n_neighbors=0)
    assert result.shape == (1, 5) and result.dtype == np.float32
    np.testing.assert_allclose(result[0], means[0] + means[1] - means[2] - means[3], atol=1e-6)
    np.testing.assert_allclose(combine_codes(sets[:1], n_neighbors=0)[0], means[0], atol=1e-6)
    tensors = [torch.from_numpy(s) for s in sets]
    np.testing.assert_array_equal(combine_codes(tensors[:2], tensors[2:], n_neighbors=0), result)
    stacked = combine_codes(np.stack([CODES[:3], CODES[3:6]]), n_neighbors=0)
    np.testing.assert_allclose(stacked[0], CODES[:3].mean(0) + CODES[3:6].mean(0), atol=1e-6)


def test_neighbours_are_uniform_around_the_result():
    state = np.random.get_state()[1].copy()
    found = combine_codes([CODES], n_neighbors=4000, random_state=0)
    assert found.shape == (4001, 5)
    away = found[1:] - found[0]
    assert np.abs(away).max() <= 0.25 + 1e-6
    np.testing.assert_allclose(np.quantile(away, [0.05, 0.5, 0.95]), [-0.225, 0, 0.225], atol=0.01)
    again = combine_codes([CODES], n_neighbors=4000, random_state=0)
    np.testing.assert_array_equal(found, again)
    assert not np.array_equal(found, combine_codes([CODES], n_neighbors=4000, random_state=1))
    assert np.array_equal(np.random.get_state()[1], state)
    assert combine_codes([CODES]).shape == (9, 5)  # the paper's figure 7
    wide = combine_codes([CODES], n_neighbors=500, noise=2, random_state=0)
    assert 1.9 < np.abs(wide[1:] - wide[0]).max() <= 2 + 1e-6


def test_bad_arithmetic():
    with pytest.raises(ValueError, match="plus=\\(\\) has no set of codes"):
        combine_codes([])
    with pytest.raises(ValueError, match=r"plus has shape \(12, 5\): give a list of sets"):
        combine_codes(CODES)
    with pytest.raises(ValueError, match=r"minus\[0\] has shape \(5,\)"):
        combine_codes([CODES], [CODES[0]])
    with pytest.raises(ValueError, match="codes of 4 and 5 numbers"):
        combine_codes([CODES], [CODES[:, :4]])
    with pytest.raises(ValueError, match=r"plus\[1\] has shape \(0, 5\)"):
        combine_codes([CODES, CODES[:0]])
    with pytest.raises(ValueError, match="noise=-1"):
        combine_codes([CODES], noise=-1)
    with pytest.raises(ValueError, match="n_neighbors=-1"):
        combine_codes([CODES], n_neighbors=-1)


# ------------------------------------------------------------------ directions


def test_the_turn_vector_leads_from_one_mean_to_the_other():
    v = turn_vector(CODES[:4], CODES[4:])
    assert v.shape == (5,) and v.dtype == np.float32
    moved = move_codes(CODES[:4].mean(0, keepdims=True), v, [1])
    np.testing.assert_allclose(moved[0], CODES[4:].mean(0), atol=1e-6)
    np.testing.assert_allclose(turn_vector(CODES[4:], CODES[:4]), -v, atol=1e-6)
    with pytest.raises(ValueError, match="start and end have codes of 5 and 4 numbers"):
        turn_vector(CODES, CODES[:, :4])


def test_codes_move_row_by_row():
    v, amounts = CODES[0], [-1, 0, 0.5]
    moved = move_codes(CODES, v, amounts).reshape(12, 3, 5)
    for k, t in enumerate(amounts):
        np.testing.assert_allclose(moved[:, k], CODES + t * v, atol=1e-6)
    assert move_codes(CODES, v).shape == (60, 5)
    with pytest.raises(ValueError, match="codes and direction have codes of 5 and 3 numbers"):
        move_codes(CODES, v[:3])
    with pytest.raises(ValueError, match=r"direction has shape \(12, 5\), but \(d,\)"):
        move_codes(CODES, CODES)
    with pytest.raises(ValueError, match=r"amounts has shape \(\), but"):
        move_codes(CODES, v, 1.0)


# ------------------------------------------------------------------ attribute vectors


def test_one_vector_for_each_attribute():
    has = np.array(
        [[0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], [1, 1, 1, -1, -1, -1, -1, -1, 1, 1, 1, 1]]
    ).T
    vectors = attribute_vectors(CODES, has)
    assert vectors.shape == (2, 5) and vectors.dtype == np.float32
    for vector, column in zip(vectors, has.T, strict=True):
        top = column == 1  # -1 and 1 alone are two classes
        np.testing.assert_allclose(vector, CODES[top].mean(0) - CODES[~top].mean(0), atol=1e-6)
    np.testing.assert_array_equal(attribute_vectors(torch.from_numpy(CODES), has), vectors)
    np.testing.assert_array_equal(attribute_vectors(CODES, torch.from_numpy(has)), vectors)
    np.testing.assert_array_equal(attribute_vectors(CODES, has[:, 0] == 1), vectors[:1])


def test_attributes_of_several_labels_and_missing_ones():
    y = np.array(["a", "b", "c", "a", None, "b", "c", np.nan, "a", "b", -1, "c"], object)
    binary = np.array([0, 1, -1] * 4)
    vectors, names = attribute_vectors(CODES, np.stack([y, binary], 1), return_names=True)
    assert names == ["attribute0=a", "attribute0=b", "attribute0=c", "attribute1"]
    known = np.array([isinstance(label, str) for label in y])
    for vector, label in zip(vectors, "abc", strict=False):
        top = y == label
        expected = CODES[top].mean(0) - CODES[known & ~top].mean(0)
        np.testing.assert_allclose(vector, expected, atol=1e-6)
    expected = CODES[binary == 1].mean(0) - CODES[binary == 0].mean(0)
    np.testing.assert_allclose(vectors[3], expected, atol=1e-6)
    rows = [[a, int(b)] for a, b in zip(y, binary, strict=True)]
    np.testing.assert_array_equal(attribute_vectors(CODES, rows), vectors)


def test_columns_of_a_frame_give_their_names():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"smile": [True, False] * 6, "hair": ["dark", "fair", None] * 4})
    vectors, names = attribute_vectors(CODES, frame, return_names=True)
    assert names == ["smile", "hair"]
    expected = CODES[::2].mean(0) - CODES[1::2].mean(0)
    np.testing.assert_allclose(vectors[0], expected, atol=1e-6)
    expected = CODES[1::3].mean(0) - CODES[::3].mean(0)
    np.testing.assert_allclose(vectors[1], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (np.tile([0, 1], 5), "10 rows for 12 codes"),
        (np.stack([np.arange(12) % 2, np.ones(12)], 1), r"attribute1 holds the classes \[1.0\]"),
        (np.r_[np.nan, np.arange(11) % 2], "attribute0 contains NaN"),
        (np.zeros((12, 2, 2)), r"attributes has shape \(12, 2, 2\)"),
        (np.linspace(0, 1, 12), "continuous"),
    ],
)
def test_bad_attributes(attributes, message):
    with pytest.raises(ValueError, match=message):
        attribute_vectors(CODES, attributes)


# ------------------------------------------------------------------ codes and samples


@pytest.fixture(scope="module")
def quick():
    """Fits a small estimator of any class on 60 digits, as bytes (n, h, w)."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3

    def fit(cls, X=X, **settings):
        spec = DCGANSpec(4) if X.ndim > 2 else "mlp"
        known = cls().get_params(deep=False)
        roles = ("generator", "discriminator", "encoder", "classifier", "trunk")
        chosen = dict.fromkeys(roles, spec) if X.ndim > 2 else {}
        chosen |= {"latent_dim": 6, "n_epochs": 1, "batch_size": 30, "random_state": 0}
        chosen = {k: v for k, v in chosen.items() if k in known} | settings
        return cls(**chosen).fit(X, y)

    return fit


@pytest.mark.parametrize(
    "cls", [DCGANDiscriminatorFeatures, InfoGANExtractor, ACGANFeatures, MGANExtractor]
)
def test_samples_of_drawn_codes_are_those_of_sample(quick, cls):
    gan = quick(cls)
    codes = draw_codes(gan, 700, random_state=3)
    assert codes.dtype == np.float32
    samples = generate(gan, codes)
    assert samples.dtype == np.uint8 and samples.shape == (700, 8, 8)
    np.testing.assert_array_equal(samples, gan.sample(700, random_state=3))
    np.testing.assert_array_equal(generate(FrozenEstimator(gan), codes.tolist()), samples)
    if cls is not DCGANDiscriminatorFeatures:
        one = draw_codes(gan, 5, random_state=0, component=1)
        np.testing.assert_array_equal(generate(gan, one), gan.sample(5, 0, component=1))


def test_tables_have_codes_too(quick):
    X = np.random.default_rng(0).normal(3, 7, (60, 4))
    gan = quick(DCGANDiscriminatorFeatures, X)
    samples = generate(gan, draw_codes(gan, 9, random_state=0))
    np.testing.assert_array_equal(samples, gan.sample(9, random_state=0))
    assert samples.shape == (9, 4)


@pytest.mark.parametrize("cls", [BiGANEncoder, AutoencoderFeatures, VAEGANEncoder])
def test_codes_of_an_encoder_are_those_of_inverse_transform(quick, cls):
    gan = quick(cls, output="latent")
    codes = gan.transform(np.zeros((3, 8, 8), np.uint8) + 9)
    np.testing.assert_array_equal(generate(gan, codes), gan.inverse_transform(codes))


def test_codes_of_content_alone(quick):
    with pytest.warns(UserWarning, match="sample_domain is not given"):
        gan = quick(DisentangledEncoder, output="latent")
    codes = np.ones((2, 6))
    np.testing.assert_array_equal(generate(gan, codes), gan.inverse_transform(codes))


def test_attribute_vectors_are_those_of_the_vae_gan(quick):
    X = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    vaegan = quick(VAEGANEncoder, output="latent")
    y = np.array(["dark", "light", None] * 20, object)
    expected = vaegan.attribute_vector(X, y)
    np.testing.assert_allclose(attribute_vectors(vaegan.transform(X), y)[0], expected, atol=1e-5)


def test_a_fitted_estimator_stays_as_it_is(quick):
    gan = quick(DCGANDiscriminatorFeatures)
    before = {k: v.clone() for k, v in gan.generator_.state_dict().items()}
    state = torch.random.get_rng_state()
    generate(gan, draw_codes(gan, 40, random_state=0))
    after = gan.generator_.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert not gan.generator_.training
    assert all(p.grad is None for p in gan.generator_.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_bad_codes_and_estimators(quick):
    gan = quick(DCGANDiscriminatorFeatures)
    with pytest.raises(ValueError, match=r"codes has shape \(2, 5\), but DCGAN.* shape \(n, 6\)"):
        generate(gan, np.zeros((2, 5)))
    with pytest.raises(ValueError, match="Input codes contains NaN"):
        generate(gan, np.full((2, 6), np.nan))
    with pytest.raises(ValueError, match="n_samples=0"):
        draw_codes(gan, 0)
    with pytest.raises(ValueError, match="component=1: .* without a categorical part"):
        draw_codes(gan, 2, component=1)
    for use in (draw_codes, lambda e: generate(e, np.zeros((2, 6)))):
        with pytest.raises(NotFittedError):
            use(clone(gan))
        with pytest.raises(TypeError, match="PCA is none of skgan's"):
            use(PCA().fit(CODES))
    with pytest.raises(ValueError, match="AutoencoderFeatures draws no z from a prior"):
        draw_codes(quick(AutoencoderFeatures))
    with pytest.raises(ValueError, match="SupervisedFeatures has no generator"):
        generate(quick(SupervisedFeatures), np.zeros((2, 6)))


def test_a_turn_vector_turns_the_images():
    """Images that are bright on the left become bright on the right, also ones not averaged."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 0.3, (240, 8, 8))
    right = np.arange(240) % 2 == 1
    X[~right, :, :4] += 0.7
    X[right, :, 4:] += 0.7
    ae = AutoencoderFeatures(output="latent", latent_dim=8, n_epochs=30, lr=2e-3, random_state=0)
    codes = ae.fit(X).transform(X)
    left_ones, right_ones = codes[~right], codes[right]
    turn = turn_vector(left_ones[:4], right_ones[:4])  # four of each, as in the paper
    start, middle, end = generate(ae, move_codes(left_ones[4:], turn, [0, 0.5, 1])).reshape(
        -1, 3, 8, 8
    ).swapaxes(0, 1)  # fmt: skip

    def leaning(images):
        return images[:, :, 4:].mean((1, 2)) - images[:, :, :4].mean((1, 2))

    assert (leaning(start) < -0.4).mean() > 0.95
    assert (leaning(end) > 0.4).mean() > 0.95
    assert np.abs(leaning(middle)).mean() < 0.5 * np.abs(leaning(end)).mean()
    by_attribute = attribute_vectors(codes, right)[0]
    assert turn @ by_attribute > 0.8 * np.linalg.norm(turn) * np.linalg.norm(by_attribute)
