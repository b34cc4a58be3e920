"""Pairs of binary codes that differ in few bits, found without comparing all with all.

If two codes differ in at most r bits, and are cut into more than r / 2 bands, then in one of the
bands they differ in at most one bit (the pigeonhole principle; multi-index hashing of Norouzi,
Punjani and Fleet 2012, "Fast search in Hamming space with multi-index hashing"). So the codes are
sorted once for every bit, by the band of this bit without it, and only neighbours that are equal in
this order are compared.
"""

import numpy as np

MOST_BITS = 62  # of a band, which is the key of a sort in 64 bits
N_COMPARED = 2**20  # pairs that are compared at a time
ONES = np.array([i.bit_count() for i in range(256)], np.uint8)


def close_pairs(codes: np.ndarray, radius: int) -> np.ndarray:
    """Indices (2, m) of all pairs of codes that differ in at most `radius` bits.

    Parameters
    ----------
    codes : uint8 ndarray of shape (n, n_bytes)
        Bits in bytes, as `numpy.packbits` gives them. No two may be equal, since a set of n equal
        codes would have n (n - 1) / 2 pairs.
    radius : int

    Returns
    -------
    int64 ndarray of shape (2, m)
        Every pair once, the smaller index first, in sorted order.
    """
    n = len(codes)
    found = [np.empty(0, np.int64)]  # i * n + j
    if radius > 0:
        bits = np.unpackbits(codes, axis=1)
        n_bits = bits.shape[1]
        n_bands = max(radius // 2 + 1, -(-n_bits // MOST_BITS))
        for band in np.array_split(np.arange(n_bits), min(n_bands, n_bits)):
            places = np.int64(1) << np.arange(len(band))
            keys = bits[:, band] @ places
            for place in places:
                found.extend(_close_among_equal(codes, keys & ~place, radius))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(n, 1)))


def _close_among_equal(codes: np.ndarray, keys: np.ndarray, radius: int):
    """Close pairs among the codes whose keys are equal, as i * n + j for i < j, in parts."""
    n = len(codes)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first, lag = np.arange(n), 0
    while len(first):
        lag += 1
        first = first[first + lag < n]
        # Sorted, so what differs at this distance differs at larger ones.
        first = first[keys[first] == keys[first + lag]]
        for start in range(0, len(first), N_COMPARED):
            some = first[start : start + N_COMPARED]
            i, j = order[some], order[some + lag]  # i < j: the sort is stable
            close = ONES[codes[i] ^ codes[j]].sum(axis=1, dtype=np.int64) <= radius
            yield i[close] * n + j[close]
