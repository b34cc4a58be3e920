"""The search for close binary codes, against comparing all with all."""

import numpy as np
import pytest

from skgan.utils import hamming
from skgan.utils.hamming import close_pairs


def by_comparing_all(codes, radius):
    bits = np.unpackbits(codes, axis=1)
    distance = (bits[:, None] != bits).sum(-1)
    return np.array(np.nonzero(np.triu(distance <= radius, 1)))


def clustered(n, n_bytes, seed=0, share=0.05):
    """Distinct codes, of which many are close: a few centres with a share of bits turned."""
    rng = np.random.default_rng(seed)
    centres = rng.random((max(2, n // 6), 8 * n_bytes)) < 0.5
    bits = centres[rng.integers(len(centres), size=n)] ^ (rng.random((n, 8 * n_bytes)) < share)
    return rng.permutation(np.unique(np.packbits(bits, axis=1), axis=0))


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 6, 7, 8, 13, 20])
@pytest.mark.parametrize("n_bytes", [1, 4, 16])
def test_all_pairs_and_no_others(radius, n_bytes):
    codes = clustered(300, n_bytes, share=max(radius, 1) / (16 * n_bytes))
    expected = by_comparing_all(codes, radius)
    if 0 < radius < 8 * n_bytes:
        assert expected.shape[1] > 20
    np.testing.assert_array_equal(close_pairs(codes, radius), expected)


def test_parts_do_not_matter(monkeypatch):
    codes = clustered(200, 16)
    expected = close_pairs(codes, 6)
    monkeypatch.setattr(hamming, "N_COMPARED", 3)
    np.testing.assert_array_equal(close_pairs(codes, 6), expected)


@pytest.mark.parametrize("n", [0, 1])
def test_few_codes_have_no_pairs(n):
    assert close_pairs(np.zeros((n, 16), np.uint8), 6).shape == (2, 0)


def test_few_of_all_pairs_are_compared(monkeypatch):
    """Of random codes no more than about one in a thousand pairs."""
    compared = 0

    class Counting(np.ndarray):
        def __getitem__(self, pairs):
            nonlocal compared
            compared += len(pairs)
            return np.asarray(self)[np.asarray(pairs)]

    monkeypatch.setattr(hamming, "ONES", hamming.ONES.view(Counting))
    n = 20_000
    codes = np.random.default_rng(0).integers(256, size=(n, 16), dtype=np.uint8)
    codes[n // 2] = codes[0] ^ np.eye(1, 16, dtype=np.uint8)[0]  # one bit away
    assert close_pairs(codes, 6).tolist() == [[0], [n // 2]]
    assert 0 < compared < n * (n - 1) / 2 / 1000
