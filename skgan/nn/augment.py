"""Random changes of samples that leave what they show: each by itself, and differentiable.

Images are (n, c, h, w) in [-1, 1]; each is changed by draws of its own, from the generator that is
passed in. All changes of place (shift, flip, crop, affine, elastic) are one resampling.

| name | what it does |
|---|---|
| shift | moves by up to 1/8 of the side, in whole pixels (DiffAugment) |
| cutout | sets a square of half the side to the middle of the range (DiffAugment) |
| flip | mirrors half of the images left and right (SimCLR) |
| crop | enlarges a window of half to all of the area, 3:4 to 4:3 (SimCLR; from .08 there) |
| affine | moves by .18 of half the side, turns by .35 rad, scales and shears by .2, all at most |
| elastic | bends: moves each of 5 x 5 points by up to .15 of half the side, the rest smoothly |
| colour | brightness, contrast, a gain per channel; a fifth of the images in grey (as SimCLR) |
| invert | turns half of the images into their negatives |
| noise | adds U(-1/2, 1/2) to every number; the one change that rows of a table have, too |

DiffAugment: Zhao et al. 2020, arXiv 2006.10738; SimCLR: Chen et al. 2020, arXiv 2002.05709.
Elastic deformation of handwritten digits: Simard et al. 2003.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..utils.checks import check_choice
from ..utils.seeds import global_state_kept

NAMES = ("shift", "cutout", "flip", "crop", "affine", "elastic", "colour", "invert", "noise")
# For written characters, whose mirror images are others; for characters in colour, which may be
# dark on light or light on dark; and for photographs.
POLICIES = {
    "digits": ("affine", "elastic"),
    "signs": ("crop", "colour", "invert"),
    "photographs": ("crop", "flip", "colour"),
}


def policy_of(augment: Any, shape: tuple[int, ...]) -> tuple[str, ...] | Callable | None:
    """The names that a value of `augment` stands for, a callable, or None, for samples of `shape`.

    "auto" takes "digits" for images of one channel, "signs" for other images, and "noise" for
    rows of a table, for which there is nothing else.
    """
    if augment is None or callable(augment):
        return augment
    if isinstance(augment, str):
        check_choice("augment", augment, ("auto", *POLICIES, *NAMES))
        if augment == "auto":
            kinds = "digits" if shape[0] == 1 else "signs"
            augment = kinds if len(shape) == 3 else "noise"
        names: Sequence[str] = POLICIES.get(augment, (augment,))
    else:
        names = augment if isinstance(augment, (tuple, list)) else (augment,)
    for name in names:
        check_choice("augment", name, NAMES)
    if len(shape) != 3 and set(names) != {"noise"}:
        raise ValueError(
            f"augment={augment!r} is for images, but the data are rows of {shape[0]} columns: use "
            "'noise', a callable, or None."
        )
    return tuple(names)


def check_change(augment: Callable, shape: tuple[int, ...]) -> None:
    """Raise for a user's function that cannot change samples, tried on two of zeros."""
    x = torch.zeros(2, *shape)
    try:
        with torch.no_grad(), global_state_kept():
            changed = augment(x)
    except Exception as error:
        raise ValueError(
            f"augment={augment!r} failed on samples of shape {tuple(x.shape)}: {error}"
        ) from error
    if not isinstance(changed, Tensor) or changed.shape != x.shape:
        got = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
        raise ValueError(
            f"augment={augment!r} turns samples of shape {tuple(x.shape)} into {got}: it must "
            "return a tensor of the same shape."
        )


def augmented(x: Tensor, names: Sequence[str], uniform: Callable[..., Tensor]) -> Tensor:
    """The images, changed. `uniform(*shape)` draws from U(0, 1), on the device of x."""

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * uniform(len(x), *shape)

    x = x.float()
    places = [name for name in names if name in _PLACES]
    if places or "elastic" in names:
        matrix = torch.eye(3, dtype=torch.float32, device=x.device).expand(len(x), 3, 3)
        for name in places:
            matrix = _PLACES[name](matrix, between, x.shape[2:])
        grid = F.affine_grid(matrix[:, :2], list(x.shape), align_corners=False)
        if "elastic" in names:
            points = between(-0.15, 0.15, 2, 5, 5)
            moves = F.interpolate(points, x.shape[2:], mode="bicubic", align_corners=True)
            grid = grid + moves.permute(0, 2, 3, 1)
        x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    if "colour" in names:
        x = _colour(x, between)
    if "invert" in names:
        x = x * between(-1, 1, 1, 1, 1).sign()
    if "cutout" in names:
        x = _cutout(x, between)
    if "noise" in names:
        x = x + between(-0.5, 0.5, *x.shape[1:])
    return x


def _matrix(rows: list[list[Any]], like: Tensor) -> Tensor:
    """(n, 3, 3) from entries that are numbers or (n,)."""
    n = len(like)
    entries = [torch.as_tensor(e, dtype=like.dtype, device=like.device).expand(n)
               for row in rows for e in row]  # fmt: skip
    return torch.stack(entries, dim=1).view(n, 3, 3)


def _shift(matrix: Tensor, between: Callable[..., Tensor], size: Any) -> Tensor:
    moves = []
    for side in (size[1], size[0]):
        most = round(side / 8)
        pixels = between(-most - 0.5, most + 0.5).round().clamp(-most, most)
        moves.append(2 * pixels / side)
    return matrix @ _matrix([[1, 0, moves[0]], [0, 1, moves[1]], [0, 0, 1]], matrix)


def _flip(matrix: Tensor, between: Callable[..., Tensor], size: Any) -> Tensor:
    sign = between(-1, 1).sign()
    return matrix @ _matrix([[sign, 0, 0], [0, 1, 0], [0, 0, 1]], matrix)


def _crop(matrix: Tensor, between: Callable[..., Tensor], size: Any) -> Tensor:
    area, ratio = between(0.5, 1.0), between(math.log(3 / 4), math.log(4 / 3)).exp()
    w, h = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x, y = between(-1, 1) * (1 - w), between(-1, 1) * (1 - h)
    return matrix @ _matrix([[w, 0, x], [0, h, y], [0, 0, 1]], matrix)


def _affine(matrix: Tensor, between: Callable[..., Tensor], size: Any) -> Tensor:
    angle, shear = between(-0.35, 0.35), between(-0.2, 0.2)
    a, b = 1 + between(-0.2, 0.2), 1 + between(-0.2, 0.2)
    x, y = between(-0.18, 0.18), between(-0.18, 0.18)
    cos, sin = angle.cos(), angle.sin()
    turned = _matrix([[cos, -sin, x], [sin, cos, y], [0, 0, 1]], matrix)
    return matrix @ turned @ _matrix([[a, shear, 0], [0, b, 0], [0, 0, 1]], matrix)


_PLACES = {"shift": _shift, "flip": _flip, "crop": _crop, "affine": _affine}


def _colour(x: Tensor, between: Callable[..., Tensor]) -> Tensor:
    c = x.shape[1]
    grey = x.mean(1, keepdim=True)
    x = torch.where(between(0, 1, 1, 1, 1) < 0.2, grey, x * between(0.6, 1.4, c, 1, 1))
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * between(0.4, 1.6, 1, 1, 1)
    return x + between(-0.4, 0.4, 1, 1, 1)


def _cutout(x: Tensor, between: Callable[..., Tensor]) -> Tensor:
    inside = torch.ones(len(x), 1, 1, 1, dtype=torch.bool, device=x.device)
    for axis, side in ((2, x.shape[2]), (3, x.shape[3])):
        middle = between(0, side, 1, 1, 1).floor()
        shape = [1, 1, 1, 1]
        shape[axis] = side
        place = torch.arange(side, device=x.device).view(shape)
        inside = inside & (place >= middle - side // 4) & (place < middle - side // 4 + side // 2)
    return torch.where(inside, 0.0, x)
