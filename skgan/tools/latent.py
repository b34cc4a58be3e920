"""Walks, arithmetic and directions in the space of codes z.

    walk              z(t) = (1 - t) a + t b,  or along the sphere (slerp)
    arithmetic        z = sum_i mean(P_i) - sum_j mean(M_j),  and z + U(-.25, .25)
    turn vector       v = mean(B) - mean(A),   z + t v
    attribute vector  v = mean(codes with it) - mean(codes without)

The first three are those of DCGAN (Radford, Metz and Chintala 2016, arXiv 1511.06434, sec. 6.1 and
6.3), the sphere is of White 2016 (arXiv 1609.04468), and attribute vectors are of VAE/GAN (Larsen
et al. 2016, arXiv 1512.09300, sec. 4.1). All are functions of arrays of codes (n, d), whatever they
come from, and return such arrays; `generate` turns codes into samples.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from ..utils.checks import check_choice, check_flag, check_number, random_state_of
from ..utils.labels import check_labels, has_label
from .generation import check_codes

PATHS = ("linear", "spherical")
SMALLEST_SINE = 1e-7  # of the angle between codes, below which rounding decides on their circle


def interpolate_codes(codes, n_steps=8, *, path="linear"):
    """Walk from code to code in equal steps (DCGAN, sec. 6.1 and figure 4).

    If samples change by jumps along such a walk, the generator has memorised; if they change
    smoothly and all of them look real, it has not.

    Parameters
    ----------
    codes : array-like of shape (k, d)
        The points to walk through, two or more, in this order; repeat the first one at the end for
        a closed walk.
    n_steps : int, default=8
        Number of steps from each point to the next, at least 1.
    path : {"linear", "spherical"}, default="linear"
        Straight lines; or great circles, with the length changing linearly (spherical linear
        interpolation, White 2016, sec. 2.1). Codes in the middle of a line between draws from
        N(0, I) are shorter than nearly all draws, those on a great circle are not. With a uniform
        prior take lines, which stay in its range.

    Returns
    -------
    ndarray of shape ((k - 1) * n_steps + 1, d), float32
        Row i * n_steps is point i.

    Raises
    ------
    ValueError
        For fewer than two codes, or, on a sphere, where a point is opposite to the one before it:
        there is no shortest arc between them.

    Examples
    --------
    >>> from skgan.tools import interpolate_codes
    >>> interpolate_codes([[0, 2], [1, 0]], n_steps=2)
    array([[0. , 2. ],
           [0.5, 1. ],
           [1. , 0. ]], dtype=float32)
    """
    check_number("n_steps", n_steps, low=1, integer=True)
    check_choice("path", path, PATHS)
    codes = check_codes("codes", codes)
    if len(codes) < 2:
        raise ValueError(f"codes has shape {codes.shape}: a walk needs two codes or more.")
    t = np.arange(n_steps)[:, None] / n_steps
    legs = [
        (1 - t) * a + t * b if path == "linear" else _arc(a, b, t, i)
        for i, (a, b) in enumerate(pairwise(codes))
    ]
    return np.concatenate([*legs, codes[-1:]]).astype(np.float32)


def combine_codes(plus, minus=(), *, n_neighbors=8, noise=0.25, random_state=None):
    """Arithmetic on averaged codes, and draws around the result (DCGAN, sec. 6.3.2 and figure 7).

    The mean codes of the sets in `plus`, less those of the sets in `minus`: smiling woman - neutral
    woman + neutral man. Single codes are unstable; the authors average three of each concept, and
    show eight neighbours around the result.

    Parameters
    ----------
    plus : sequence of array-like of shape (m, d)
        Sets of codes, each of which stands for one concept; m may differ.
    minus : sequence of array-like of shape (m, d), default=()
    n_neighbors : int, default=8
        Number of draws around the result.
    noise : float, default=0.25
        The draws add uniform noise of -noise to noise to each number of the result.
    random_state : None, int or RandomState, default=None
        Seed of the noise.

    Returns
    -------
    ndarray of shape (1 + n_neighbors, d), float32
        The result, then the draws around it.

    Raises
    ------
    ValueError
        For no sets in `plus`, or sets of different width.

    Examples
    --------
    >>> from skgan.tools import combine_codes
    >>> combine_codes([[[1, 1], [3, 1]], [[0, 5]]], [[[1, 1]]], n_neighbors=0)
    array([[1., 5.]], dtype=float32)
    """
    check_number("n_neighbors", n_neighbors, low=0, integer=True)
    check_number("noise", noise, low=0)
    plus, minus = _means("plus", plus), _means("minus", minus)
    if not plus:
        raise ValueError("plus=() has no set of codes: give one or more, each of shape (m, d).")
    for mean in (*plus, *minus):
        _check_width("minus and plus", mean, plus[0])
    result = sum(plus) - sum(minus, np.zeros_like(plus[0]))
    rng = random_state_of(random_state)
    around = result + rng.uniform(-noise, noise, (n_neighbors, len(result)))
    return np.concatenate([result[None], around]).astype(np.float32)


def turn_vector(start, end):
    """The direction from one set of codes to another: mean(end) - mean(start).

    DCGAN's turn vector is that from faces looking left to faces looking right, of four averaged
    codes; `move_codes` adds it to other codes (sec. 6.3.2 and figure 8).

    Parameters
    ----------
    start, end : array-like of shape (m, d)
        Sets of codes; m may differ.

    Returns
    -------
    ndarray of shape (d,), float32

    Raises
    ------
    ValueError
        If the codes are of different width.

    Examples
    --------
    >>> from skgan.tools import turn_vector
    >>> turn_vector([[0, 1], [0, 3]], [[1, 2]])
    array([1., 0.], dtype=float32)
    """
    a, b = (
        check_codes(name, codes).mean(axis=0) for name, codes in (("start", start), ("end", end))
    )
    _check_width("start and end", a, b)
    return (b - a).astype(np.float32)


def move_codes(codes, direction, amounts=(0.0, 0.25, 0.5, 0.75, 1.0)):
    """Codes at several places along a direction: z + t v for every t (DCGAN, figure 8).

    Parameters
    ----------
    codes : array-like of shape (n, d)
    direction : array-like of shape (d,)
        Such as a `turn_vector`, or a row of `attribute_vectors`.
    amounts : array-like of shape (k,), default=(0, 0.25, 0.5, 0.75, 1)
        How far to go, as multiples of the direction; they may be negative.

    Returns
    -------
    ndarray of shape (n * k, d), float32
        The k places of the first code, then those of the second one: for a sheet of samples with k
        columns.

    Raises
    ------
    ValueError
        If codes and direction are of different width.

    Examples
    --------
    >>> from skgan.tools import move_codes
    >>> move_codes([[0, 0], [5, 5]], [1, 2], amounts=[0, 1])
    array([[0., 0.],
           [1., 2.],
           [5., 5.],
           [6., 7.]], dtype=float32)
    """
    z = check_codes("codes", codes)
    v = check_codes("direction", direction, ndim=1)
    t = check_codes("amounts", amounts, ndim=1)
    _check_width("codes and direction", z[0], v)
    return (z[:, None] + t[:, None] * v).reshape(-1, len(v)).astype(np.float32)


def attribute_vectors(codes, attributes, *, return_names=False):
    """The mean code of the samples with an attribute, minus that of those without, for each one.

    As `VAEGANEncoder.attribute_vector`, for codes of any origin and for several attributes (Larsen
    et al. 2016, sec. 4.1).

    Parameters
    ----------
    codes : array-like of shape (n, d)
    attributes : array-like or DataFrame of shape (n, k) or (n,)
        A column of labels for each attribute. A column of two labels, such as False and True or -1
        and 1, gives one vector, towards the larger label in sorted order. A column of more labels
        gives one vector for each of them in sorted order: from all samples with another label to
        those with this one. Missing are -1 beside two or more other labels and, among strings, None
        and NaN; a sample may lack some attributes and have others.
    return_names : bool, default=False
        Whether to return names of the vectors, too.

    Returns
    -------
    vectors : ndarray of shape (n_vectors, d), float32
        Those of the first column, then those of the second one.
    names : list of str
        The name of the column for a column of two labels, and "column=label" for others. Columns
        without names are "attribute0", "attribute1", .... Only with return_names=True.

    Raises
    ------
    ValueError
        If there is not one row of attributes for every code, or a column has only one label.

    Examples
    --------
    >>> from skgan.tools import attribute_vectors
    >>> codes = [[0, 0], [2, 0], [0, 3], [2, 3]]
    >>> attributes = [[0, "a"], [1, "a"], [0, "b"], [1, None]]
    >>> vectors, names = attribute_vectors(codes, attributes, return_names=True)
    >>> vectors
    array([[ 2.,  0.],
           [-1.,  3.]], dtype=float32)
    >>> names
    ['attribute0', 'attribute1']
    """
    check_flag("return_names", return_names)
    z = check_codes("codes", codes)
    vectors, names = [], []
    for name, column in _columns(attributes):
        if len(column) != len(z):
            raise ValueError(
                f"attributes has {len(column)} rows for {len(z)} codes: give one row for each code."
            )
        y = check_labels(name, column)
        known = has_label(y)
        classes = np.unique(y[known])
        for label in classes[1:] if len(classes) == 2 else classes:
            has_it = known & (y == label)
            vectors.append(z[has_it].mean(axis=0) - z[known & ~has_it].mean(axis=0))
            names.append(name if len(classes) == 2 else f"{name}={label}")
    found = np.array(vectors, np.float32)
    return (found, names) if return_names else found


def _arc(a: np.ndarray, b: np.ndarray, t: np.ndarray, i: int) -> np.ndarray:
    """Points (n, d) on the great circle from a to b, whose length changes linearly."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if min(lengths) == 0:
        return (1 - t) * a + t * b  # 0 has no direction
    start, end = a / lengths[0], b / lengths[1]
    # Exact for small angles, unlike the arc cosine.
    angle = 2 * np.arctan2(np.linalg.norm(start - end), np.linalg.norm(start + end))
    sine = np.sin(angle)
    if sine < SMALLEST_SINE and start @ end < 0:
        raise ValueError(
            f"codes {i} and {i + 1} are opposite to each other, so that no arc between them is the "
            "shortest: put another code between them, or use path='linear'."
        )
    if sine < SMALLEST_SINE:
        return (1 - t) * a + t * b  # the same direction
    directions = (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / sine
    return ((1 - t) * lengths[0] + t * lengths[1]) * directions


def _means(name: str, sets: Any) -> list[np.ndarray]:
    """The mean code of every set."""
    if hasattr(sets, "ndim") and sets.ndim != 3:
        raise ValueError(
            f"{name} has shape {tuple(sets.shape)}: give a list of sets of codes, each of shape "
            "(m, d), also where there is one set alone."
        )
    return [check_codes(f"{name}[{i}]", codes).mean(axis=0) for i, codes in enumerate(sets)]


def _check_width(names: str, a: np.ndarray, b: np.ndarray) -> None:
    if len(a) != len(b):
        raise ValueError(
            f"{names} have codes of {len(a)} and {len(b)} numbers: all codes must be of the same "
            "space."
        )


def _columns(attributes: Any) -> list[tuple[str, Any]]:
    """Names and labels of the columns."""
    if hasattr(attributes, "columns"):
        return [(str(name), attributes[name].to_numpy()) for name in attributes.columns]
    if isinstance(attributes, Tensor):
        attributes = attributes.numpy(force=True)
    if isinstance(attributes, (list, tuple)):
        attributes = np.array(attributes, object)  # NumPy would make strings of None and -1
    attributes = np.asarray(attributes)
    if attributes.ndim not in (1, 2) or attributes.size == 0:
        raise ValueError(f"attributes has shape {attributes.shape}: (n,) or (n, k) is expected.")
    table = attributes.reshape(len(attributes), -1)
    return [(f"attribute{j}", _plain(table[:, j])) for j in range(table.shape[1])]


def _plain(column: np.ndarray) -> np.ndarray:
    """Numbers of an object array as numbers; a column with strings, or None, stays as it is."""
    if column.dtype.kind == "O" and all(isinstance(v, (bool, int, float, np.number, np.bool_))
                                        for v in column.tolist()):  # fmt: skip
        return np.array(column.tolist())
    return column
