"""What `edit_app` does apart from the browser: strokes of a brush, and edits that meet them."""

import base64
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from ..utils.checks import check_choice, check_number
from ..utils.fitted import FittedNetworks

KINDS = ("paint", "keep", "erase")
MAX_SIZE = 64  # pixels; an edit takes some seconds on a CPU there, too long to follow beyond
TINT = np.array([1.0, 0.45, 0.0])  # of pixels with a constraint
TINT_SHARE = 0.35


@dataclass
class Stroke:
    """One movement of the brush.

    Parameters
    ----------
    kind : {"paint", "keep", "erase"}
        Pixels are to take the colour, or to stay as in the original, or are free again.
    colour : sequence of c numbers in [0, 1]
    size : float
        Diameter of the brush in pixels.
    points : list of (x, y)
        In pixels from the upper left corner of the image.
    """

    kind: str
    colour: tuple[float, ...]
    size: float
    points: list[tuple[float, float]] = field(default_factory=list)


class Painting:
    """A constraint on an image, painted with strokes: a target and a mask.

    Parameters
    ----------
    original : ndarray of shape (c, h, w)
        The image to edit, in [0, 1].

    Attributes
    ----------
    target : ndarray of shape (c, h, w)
        The original with the strokes on it.
    mask : ndarray of shape (h, w), bool
        Where the target counts.
    strokes : list of Stroke
    """

    def __init__(self, original: np.ndarray):
        self.original = original
        self.clear()

    def clear(self) -> None:
        """Take back all strokes."""
        self.strokes: list[Stroke] = []
        self.target: np.ndarray = self.original.copy()
        self.mask: np.ndarray = np.zeros(self.original.shape[1:], bool)

    def begin(self, kind: str, colour: Any, size: float) -> None:
        """Begin a stroke, of which `move` gives the points."""
        check_choice("kind", kind, KINDS)
        check_number("size", size, low=0, open_low=True)
        if len(colour) != len(self.original):
            raise ValueError(
                f"colour={colour!r} must have {len(self.original)} numbers, one for each channel."
            )
        self.strokes.append(Stroke(kind, tuple(colour), size))

    def move(self, x: float, y: float) -> None:
        """Go on with the last stroke, in a straight line to a point."""
        stroke = self.strokes[-1]
        before = stroke.points[-1] if stroke.points else (x, y)
        stroke.points.append((x, y))
        self._draw(stroke, before, (x, y))

    def undo(self) -> None:
        """Take back the last stroke, if there is one."""
        strokes = self.strokes[:-1]
        self.clear()
        self.strokes = strokes
        for stroke in strokes:
            before = stroke.points[0]
            for point in stroke.points:
                self._draw(stroke, before, point)
                before = point

    def shown(self, background: np.ndarray) -> np.ndarray:
        """The strokes on an image (c, h, w), as colours (3, h, w) in which they stand out."""
        image = np.where(self.mask, self.target, background)
        colours = np.broadcast_to(image, (3, *self.mask.shape))
        tinted = (1 - TINT_SHARE) * colours + TINT_SHARE * TINT[:, None, None]
        return np.where(self.mask, tinted, colours)

    def _draw(self, stroke: Stroke, a: tuple[float, float], b: tuple[float, float]) -> None:
        h, w = self.mask.shape
        x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = dx * dx + dy * dy
        along = ((x - a[0]) * dx + (y - a[1]) * dy) / length if length else np.zeros((h, w))
        along = along.clip(0, 1)
        distance = np.hypot(x - a[0] - along * dx, y - a[1] - along * dy)
        covered = distance <= stroke.size / 2
        # The smallest brush, too, covers the pixels that it touches.
        n = int(np.ceil(max(abs(dx), abs(dy)))) * 2 + 1
        columns = np.floor(np.linspace(a[0], b[0], n)).astype(int)
        rows = np.floor(np.linspace(a[1], b[1], n)).astype(int)
        inside = (columns >= 0) & (columns < w) & (rows >= 0) & (rows < h)
        covered[rows[inside], columns[inside]] = True
        colour = np.asarray(stroke.colour)[:, None]
        new = colour if stroke.kind == "paint" else self.original[:, covered]
        self.target[:, covered] = new
        self.mask[covered] = stroke.kind != "erase"


class ImageEditor:
    """Edits of one image by a projector, whose code is found once.

    Parameters are those of `edit_app`.

    Attributes
    ----------
    original, projection : ndarray of shape (c, h, w)
        The image, and what the generator makes of its code, in [0, 1].
    has_judge : bool
        Whether a discriminator judges images, so that realism can have a weight.
    """

    def __init__(
        self, projector, image, *, n_steps=50, n_starts=8, n_frames=9, code=None, random_state=0
    ):
        for name, value, low in (
            ("n_steps", n_steps, 1),
            ("n_starts", n_starts, 1),
            ("n_frames", n_frames, 2),
        ):
            check_number(name, value, low=low, integer=True)
        self._networks = checked_networks(projector)
        self.image = checked_image(self._networks, image)
        self.original = self._shown(self.image[None])[0]
        self.has_judge = self._networks.has_logits
        self._projector, self.n_frames = projector, n_frames
        self._settings = {
            "n_steps": n_steps, "n_starts": n_starts, "n_frames": n_frames,
            "random_state": random_state,
        }  # fmt: skip
        if code is None:
            code = np.asarray(projector.transform(self.image[None]))[0]
        self.code = self._networks.checked_code(code)[0].numpy(force=True)
        self.projection = self._shown(projector.inverse_transform(self.code[None]))[0]

    def edit(self, target, mask, closeness_weight=1.0, realism_weight=None) -> Bunch:
        """The edit that meets a target (c, h, w) in [0, 1] where the mask (h, w) is.

        Returns
        -------
        Bunch
            What `GANProjector.edit` returns, and

            - shown : ndarray of shape (n_frames, c, h, w), the images in [0, 1];
            - target, mask : the constraint, the target in the layout of X.
        """
        x = torch.from_numpy(np.asarray(target, np.float32))[None] * 2 - 1
        target = self._networks.like_X(x)[0]
        edit = self._projector.edit(
            self.image, target, mask, closeness_weight=closeness_weight,
            realism_weight=realism_weight if self.has_judge else None, code=self.code,
            **self._settings,
        )  # fmt: skip
        edit.update(shown=self._shown(edit.images), target=target, mask=np.array(mask))
        return edit

    def _shown(self, X: np.ndarray) -> np.ndarray:
        return self._networks.images(self._networks.encoded(X))


def checked_networks(projector: Any) -> FittedNetworks:
    """The networks of a projector that is fitted on images."""
    if not hasattr(projector, "edit") or isinstance(projector, type):
        raise TypeError(
            f"projector={projector!r} edits no images: pass a fitted skgan.tools.GANProjector."
        )
    check_is_fitted(projector, "gan_")
    networks = FittedNetworks(projector.gan_)
    if len(networks.shape) != 3:
        raise ValueError(
            f"projector={projector!r} was fitted on a table, which cannot be painted on: fit it "
            "on images, or give its GAN image_shape."
        )
    c, h, w = networks.shape
    if max(h, w) > MAX_SIZE:
        raise ValueError(
            f"projector={projector!r} was fitted on images of {h}x{w} pixels: fit it on images of "
            f"at most {MAX_SIZE}x{MAX_SIZE}."
        )
    if c not in (1, 3):
        raise ValueError(
            f"projector={projector!r} was fitted on images of {c} channels: fit it on images of 1 "
            "(grey) or 3 (colour)."
        )
    return networks


def checked_image(networks: FittedNetworks, image: Any) -> np.ndarray:
    """The image, which is one sample of X."""
    image = np.asarray(image)
    if image.shape != networks.row_shape:
        raise ValueError(
            f"image has shape {image.shape}; pass one image of shape {networks.row_shape}, such "
            "as X[0]."
        )
    if not np.issubdtype(image.dtype, np.number) or not np.isfinite(image).all():
        raise ValueError(
            f"image of type {image.dtype} has values that are no finite numbers: repair it, or "
            "pass another one."
        )
    return np.asarray(networks.checked(image[None]))[0]


def png(image: np.ndarray) -> str:
    """An image (c, h, w) in [0, 1] as the data URL of a PNG of its own size."""
    pixels = np.rint(255 * np.asarray(image).clip(0, 1)).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
