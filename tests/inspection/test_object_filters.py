"""Feature maps that draw an object: found in a generator built by hand, and dropped in a GAN."""

import itertools
import types

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from skgan import (
    AutoencoderFeatures,
    BiGANEncoder,
    DCGANDiscriminatorFeatures,
    DCGANSpec,
    MGANExtractor,
    MLPSpec,
    SupervisedFeatures,
)
from skgan.inspection import ObjectFilters
from skgan.utils.fitted import FittedNetworks


def draw_codes(gan, n, seed):
    """Those of `sample_images` for the same seed."""
    return FittedNetworks(gan).draw(n, seed).numpy()


class ByHand(nn.Module):
    """z (n, 18) -> x (n, 1, 16, 16): what each of three feature maps of 4x4 draws is known.

    Map 1 draws a bright square of 4x4 pixels where one of the first 16 numbers of z is positive;
    maps 0 and 2 draw the left and right half of the background, bright by the last two numbers.
    """

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(18, 48, bias=False)
        self.relu = nn.ReLU()
        self.last = nn.ConvTranspose2d(3, 1, 4, stride=4)
        with torch.no_grad():
            for p in self.parameters():
                p.zero_()
            weight = self.first.weight.view(3, 4, 4, 18)
            weight[1].view(16, 18)[:, :16] = torch.eye(16)
            weight[0, :, :2, 16] = weight[2, :, 2:, 17] = 1
            self.last.weight[1] = 2.0
            self.last.weight[[0, 2]] = 0.3

    def forward(self, z):
        return self.last(self.relu(self.first(z).view(-1, 3, 4, 4))).tanh()


@pytest.fixture
def by_hand(small):
    X = np.linspace(-1, 1, 4 * 256).reshape(4, 16, 16)
    gan = small(generator=ByHand(), latent_dim=18, n_epochs=0, value_range=(-1, 1))
    return gan.fit(X)


def hand_draws(n, seed=0):
    """Draws with a square each, and the boxes around them."""
    rng = np.random.default_rng(seed)
    z, cells = np.zeros((n, 18), np.float32), rng.integers(16, size=n)
    z[np.arange(n), cells] = 1
    z[:, 16:] = rng.random((n, 2))
    rows, columns = 4 * (cells // 4), 4 * (cells % 4)
    return z, list(zip(columns, rows, columns + 4, rows + 4, strict=True))


def test_the_map_that_draws_the_square_is_found_and_only_it_is_dropped(by_hand):
    z, boxes = hand_draws(60)
    filters = ObjectFilters(by_hand, z, boxes, random_state=0)
    assert filters.drawing[0] == 1
    assert filters.weights[1] > 5 * max(abs(filters.weights[[0, 2]]))
    assert filters.layer == 0 and filters.accuracy == 1 and filters.n_positions == 60
    new, where = hand_draws(30, seed=1)
    with_square, without = filters.images(new, drop=0), filters.images(new, drop=1)
    assert with_square.shape == without.shape == (30, 1, 16, 16)
    new[:, :16] = 0  # what the generator makes of z without a square
    np.testing.assert_array_equal(without, filters.images(new, drop=[]))
    for image, plain, (x0, y0, x1, y1) in zip(with_square, without, where, strict=True):
        changed = image[0] != plain[0]
        assert changed[y0:y1, x0:x1].all() and changed.sum() == 16
    np.testing.assert_array_equal(filters.images(new, drop=[0, 1, 2]), 0.5)


def test_the_scale_of_a_map_plays_no_part(by_hand):
    z, boxes = hand_draws(60)
    before = ObjectFilters(by_hand, z, boxes, random_state=0).weights
    generator = by_hand.generator_
    with torch.no_grad():
        generator.first.weight.view(3, 16, 18)[0] *= 100
        generator.last.weight[0] /= 100
    after = ObjectFilters(by_hand, z, boxes, random_state=0).weights
    np.testing.assert_allclose(before, after, atol=1e-3)


def test_drop_chooses_the_maps(by_hand):
    z, boxes = hand_draws(60)
    filters = ObjectFilters(by_hand, z, boxes, random_state=0)
    order = np.argsort(-filters.weights)
    for drop, maps in [(2, order[:2]), ("positive", filters.drawing), (3, [0, 1, 2])]:
        np.testing.assert_array_equal(filters.images(z, drop=drop), filters.images(z, drop=maps))
    assert (filters.weights[filters.drawing] > 0).all()
    assert set(filters.drawing) == set(np.flatnonzero(filters.weights > 0))


def positions_of(boxes, size, *, margins=(0, 0, 0, 0), generated=None, image=(1, 16, 16)):
    """Which positions of a feature map `_within` finds inside."""
    generator = types.SimpleNamespace(margins=margins, image_shape=generated or image)
    nets = types.SimpleNamespace(generator=generator)
    filters = ObjectFilters.__new__(ObjectFilters)
    filters._networks = types.SimpleNamespace(nets=nets, shape=image)
    return filters._within(np.array(boxes, float), size).astype(int).tolist()


def test_positions_are_inside_by_their_centres():
    # Centres of a 4x4 map at pixels 2, 6, 10, 14.
    assert positions_of([(0, 0, 16, 3)], (4, 4)) == [[1] * 4] + [[0] * 4] * 3
    assert positions_of([(2, 6, 7, 11)], (4, 4))[1] == [1, 1, 0, 0]
    assert positions_of([(2, 6, 7, 11)], (4, 4))[2] == [1, 1, 0, 0]
    # No centre in the box: the nearest to its middle.
    assert positions_of([(3, 3, 4, 6)], (4, 4))[:2] == [[0] * 4, [1, 0, 0, 0]]
    assert positions_of([(12, 13, 13, 16)], (4, 4))[3] == [0, 0, 0, 1]
    # Two boxes; a map that is not square.
    assert positions_of([(0, 0, 4, 8), (12, 8, 16, 16)], (2, 4)) == [[1, 0, 0, 0], [0, 0, 0, 1]]


def test_positions_follow_margins_and_resizing():
    # Images of 12x12 cut out of 16x16: centres at pixels 0, 4, 8, 12.
    cut = {"margins": (2, 2, 2, 2), "image": (1, 12, 12)}
    assert positions_of([(0, 0, 1, 12)], (4, 4), **cut) == [[1, 0, 0, 0]] * 3 + [[0] * 4]
    # Drawn at 8x8 and enlarged twice: centres at pixels 4 and 12, and not at 2 and 6.
    assert positions_of([(5, 0, 7, 16)], (2, 2), generated=(1, 8, 8)) == [[1, 0], [1, 0]]
    assert positions_of([(0, 5, 16, 7)], (2, 2), generated=(1, 8, 8)) == [[1, 1], [0, 0]]


def test_negatives_are_from_marked_images_as_many_as_positives(by_hand):
    z, boxes = hand_draws(40)
    boxes[10:] = [None] * 30
    # Unmarked squares in the other images would count against map 1.
    marked = ObjectFilters(by_hand, z, boxes, random_state=0)
    assert marked.n_positions == 10 and marked.accuracy == 1
    only = ObjectFilters(by_hand, z[:10], boxes[:10], random_state=0)
    np.testing.assert_array_equal(marked.weights, only.weights)
    again = ObjectFilters(by_hand, z, boxes, random_state=0)
    np.testing.assert_array_equal(marked.weights, again.weights)
    other = ObjectFilters(by_hand, z, boxes, random_state=1)
    assert (marked.weights != other.weights).any()
    # Several boxes in an image, and more positions inside than outside.
    many = [[box, (0, 0, 16, 8), (0, 8, 8, 16)] for box in boxes[:10]]
    assert ObjectFilters(by_hand, z[:10], many, random_state=0).n_positions >= 10 * 12


# ---------------------------------------------------------------- skgan's generators


def test_the_second_highest_layer_is_the_default(small, digits):
    gan = small(generator=DCGANSpec(4, n_blocks=3), image_shape=(8, 8)).fit(digits[0])
    z, boxes = draw_codes(gan, 20, 0), [(2, 1, 5, 7)] * 20
    default = ObjectFilters(gan, z, boxes, random_state=0)
    assert default.layer == 1 and len(default.weights) == 8
    assert ObjectFilters(gan, z, boxes, layer=-2, random_state=0).layer == 1
    assert len(ObjectFilters(gan, z, boxes, layer=2, random_state=0).weights) == 4


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("spec", [DCGANSpec(4), DCGANSpec(4, z_injection=True)])
@pytest.mark.parametrize("cls", [DCGANDiscriminatorFeatures, BiGANEncoder])
def test_dropping_is_what_zeros_in_the_next_layer_do(small, digits, cls, spec, layer):
    gan = small(cls, generator=spec, image_shape=(8, 8)).fit(digits[0])
    z = draw_codes(gan, 30, 0)
    filters = ObjectFilters(gan, z, [(2, 1, 5, 7)] * 30, layer=layer, random_state=0)
    np.testing.assert_allclose(filters.images(z, drop=0), gan.sample_images(30, 0), atol=1e-6)
    dropped = filters.images(z, drop=[1, 3])
    ups = [m for m in gan.generator_.layers if isinstance(m, nn.ConvTranspose2d)]
    with torch.no_grad():
        ups[layer].weight[[1, 3]] = 0
    np.testing.assert_allclose(dropped, gan.sample_images(30, 0), atol=1e-6)
    assert not any(m._forward_hooks for m in gan.generator_.modules())


def test_generators_of_a_mixture_and_of_an_autoencoder_have_maps(small, digits):
    X, _ = digits
    gan = small(MGANExtractor, image_shape=(8, 8)).fit(X)
    z, boxes = draw_codes(FrozenEstimator(gan), 20, 0), [(2, 1, 5, 7)] * 20
    filters = ObjectFilters(gan, z, boxes, random_state=0)
    np.testing.assert_allclose(filters.images(z, drop=0), gan.sample_images(20, 0), atol=1e-6)
    auto = small(AutoencoderFeatures, output="latent", image_shape=(8, 8)).fit(X)
    codes = auto.transform(X[:20])
    filters = ObjectFilters(auto, codes, boxes, random_state=0)
    expected = auto.inverse_transform(codes).reshape(-1, 1, 8, 8) / 16
    np.testing.assert_allclose(filters.images(codes, drop=0), expected.clip(0, 1), atol=1e-5)


# ---------------------------------------------------------------- the claim (sec. 6.3.1)


def squares(n, rng):
    """Smooth dark images of 16x16, most with a bright square of 5x5 pixels."""
    y, x = np.mgrid[:16, :16] / 15 - 0.5
    a, b, c = rng.uniform(-0.25, 0.25, (3, n, 1, 1))
    images = (0.3 + 1.5 * a * x + 1.5 * b * y + 0.6 * c).clip(0, 0.7)
    for image in itertools.compress(images, rng.random(n) < 0.85):
        top, left = rng.integers(0, 12, 2)
        image[top : top + 5, left : left + 5] = 1
    return images.astype(np.float32)


def bright_boxes(images):
    """The box around the bright pixels of each image; None where they are few, or far apart."""
    boxes = []
    for image in images[:, 0]:
        rows, columns = (np.flatnonzero((image > 0.75).any(axis)) for axis in (1, 0))
        box = (image > 0.75).sum() >= 9 and max(np.ptp(rows), np.ptp(columns)) < 8
        ends = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if box else None
        boxes.append(ends)
    return boxes


@pytest.fixture(scope="module")
def drawn_squares():
    spec = DCGANSpec(16)
    gan = DCGANDiscriminatorFeatures(
        generator=spec, discriminator=spec, latent_dim=16, n_epochs=15, batch_size=32, lr=2e-3,
        value_range=(0, 1), random_state=0, device="cpu",
    )  # fmt: skip
    return gan.fit(squares(1000, np.random.default_rng(0)))


@pytest.mark.parametrize("layer", [-1, -2])
def test_dropping_the_maps_of_a_square_removes_it_and_random_maps_do_not(drawn_squares, layer):
    gan = drawn_squares
    boxes = bright_boxes(gan.sample_images(600, 0))
    filters = ObjectFilters(gan, draw_codes(gan, 600, 0), boxes, layer=layer, random_state=0)
    # On other draws than those that were marked.
    z, before = draw_codes(gan, 300, 1), gan.sample_images(300, 1)[:, 0]
    inside = np.zeros(before.shape, bool)
    for where, box in zip(inside, bright_boxes(before[:, None]), strict=True):
        if box is not None:
            x0, y0, x1, y1 = box
            where[y0:y1, x0:x1] = True
    marked = inside.any((1, 2))
    background = before[marked][~inside[marked]].mean()
    contrast = before[inside].mean() - background
    assert marked.sum() > 50 and contrast > 0.3

    def left(maps):
        """The share of the square that is left, and the change outside of the boxes."""
        after = filters.images(z, drop=maps)[:, 0]
        share = (after[inside].mean() - background) / contrast
        return share, np.abs(after - before)[~inside].mean()

    share, change = left("positive")
    assert abs(share) < 0.15 and change < 0.2 * contrast
    rng = np.random.default_rng(0)
    n, k = len(filters.weights), len(filters.drawing)
    assert 0 < k < n
    # As many random maps leave more of the square, and change more of the background.
    random = np.mean([left(rng.permutation(n)[:k]) for _ in range(20)], axis=0)
    assert random[0] > share + 0.2 and random[1] > change


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"codes": np.zeros((40, 5))}, "codes has 5 columns, but the generator takes 18 numbers"),
        ({"boxes": [None] * 39}, "boxes must have an entry .* each of the 40 codes"),
        ({"boxes": [None] * 40}, "boxes are all None"),
        ({"boxes": [(0, 0, 17, 4)] * 40}, r"boxes\[0\]=\(0, 0, 17, 4\) must be .* x1 <= 16"),
        ({"boxes": [None, (4, 4, 4, 8)] * 20}, r"boxes\[1\]=\(4, 4, 4, 8\) must be"),
        ({"boxes": [(1, 2, 3)] * 40}, r"boxes\[0\]=\(1, 2, 3\) must be"),
        ({"boxes": ["abcd"] * 40}, r"boxes\[0\]='abcd' must be"),
        ({"boxes": [(0, 0, 16, 16)] * 40}, "boxes cover every position"),
        ({"layer": 1}, r"layer=1 must be a whole number in \[-1, 0\], or None"),
        ({"C": 0}, "C=0 must be"),
    ],
)
def test_bad_values_are_named(by_hand, given, message):
    z, boxes = hand_draws(40)
    with pytest.raises(ValueError, match=message):
        ObjectFilters(by_hand, **({"codes": z, "boxes": boxes} | given))


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        (4, r"drop=4 must be a whole number in \[0, 3\], or 'positive'"),
        ([3], r"drop=\[3\] must be indices of maps from 0 to 2"),
        ([0.5], "drop=.* must be indices"),
        ("negative", "drop='negative' is unknown"),
    ],
)
def test_bad_maps_are_named(by_hand, drop, message):
    filters = ObjectFilters(by_hand, *hand_draws(40), random_state=0)
    with pytest.raises(ValueError, match=message):
        filters.images(hand_draws(2)[0], drop=drop)


def test_generators_without_feature_maps_are_refused(small, digits):
    X, y = digits
    boxes = [(2, 1, 5, 7)] * 4
    dense = small(generator=MLPSpec(8), image_shape=(8, 8), n_epochs=0).fit(X)
    with pytest.raises(ValueError, match="MLPGenerator has no activation module whose output is"):
        ObjectFilters(dense, np.zeros((4, 8)), boxes)
    with pytest.raises(ValueError, match="SupervisedFeatures has no generator"):
        net = small(SupervisedFeatures, image_shape=(8, 8), n_epochs=0).fit(X, y)
        ObjectFilters(net, np.zeros((4, 8)), boxes)
    with pytest.raises(ValueError, match="was fitted on a table"):
        table = small(generator=MLPSpec(8), discriminator=MLPSpec(8), n_epochs=0).fit(X)
        ObjectFilters(table, np.zeros((4, 8)), boxes)
