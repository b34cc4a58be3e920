"""What a notebook shows of a fitted estimator: scikit-learn's diagram, samples, a few numbers."""

import base64
import html
import io
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

N_ROWS, N_COLUMNS = 2, 8  # of the sheet
TILE = 64  # pixels of the longer side of a sample on the page
# What a fit raises that is not usable as it is set, whose attributes were changed by hand, or that
# does not fit into memory.
BROKEN = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class NotebookDisplay:
    """The side of `BaseGAN` that notebooks ask for HTML.

    Below scikit-learn's diagram a fitted estimator shows samples of its generator, the same at
    every call, and how it was trained. Looking at an estimator must not fail: where it cannot be
    used as it is, there is the reason in place of samples.
    """

    def _repr_html_inner(self) -> str:
        return self._diagram() + self._summary()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        plain = {"text/plain": repr(self)}
        # scikit-learn has this property where it is configured to show diagrams.
        as_html = hasattr(self, "_repr_html_")
        return plain | ({"text/html": self._repr_html_inner()} if as_html else {})

    def _diagram(self) -> str:
        """scikit-learn's diagram; that of the parameters alone where attributes raise."""
        try:
            return super()._repr_html_inner()  # type: ignore[misc]
        except BROKEN:
            unfitted: Any = type(self)(**self.get_params(deep=False))  # type: ignore[attr-defined]
            return super(NotebookDisplay, unfitted)._repr_html_inner()  # type: ignore[misc]

    def _summary(self) -> str:
        try:
            check_is_fitted(self)
            return f'<div style="margin: 0.5em 0">{_sheet(self)}{_table(self)}</div>'
        except NotFittedError:
            return ""
        except BROKEN as error:
            return f"<p>Samples are not shown: {html.escape(str(error))}</p>"


def _sheet(estimator: Any) -> str:
    """Samples of the generator as an image, or nothing where it makes no images."""
    shape = estimator.input_shape_
    if len(shape) != 3 or shape[0] not in (1, 3) or not hasattr(estimator, "sample_images"):
        return ""
    c, h, w = shape
    images = estimator.sample_images(N_ROWS * N_COLUMNS, random_state=0)
    tiles = np.ones((N_ROWS, N_COLUMNS, h + 1, w + 1, c), np.float32)  # a white line between them
    tiles[:, :, :h, :w] = images.reshape(N_ROWS, N_COLUMNS, c, h, w).transpose(0, 1, 3, 4, 2)
    pixels = tiles.transpose(0, 2, 1, 3, 4).reshape(N_ROWS * (h + 1), N_COLUMNS * (w + 1), c)
    pixels = np.rint(pixels[:-1, :-1] * 255).astype(np.uint8)
    from PIL import Image  # takes time to import

    image = Image.fromarray(pixels[..., 0] if c == 1 else pixels)
    if max(h, w) > TILE:
        image.thumbnail(tuple(round(side * TILE / max(h, w)) for side in image.size))
    file = io.BytesIO()
    image.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    width = round(pixels.shape[1] * TILE / max(h, w))
    name = html.escape(type(estimator).__name__)
    return (
        f'<img alt="samples of {name}" src="data:image/png;base64,{data}" '
        f'style="width: {width}px; max-width: 100%; image-rendering: pixelated">'
    )


def _table(estimator: Any) -> str:
    """How long it was trained, its last losses, and how many features it has."""
    rows = {"epochs": f"{estimator.n_epochs_:,}"}
    last_epoch = dict(*estimator.history_[-1:])  # there may be none
    for key, value in last_epoch.items():
        if key.endswith("_loss"):
            rows[f"last {key.replace('_', ' ')}"] = f"{value:.4g}"
    rows["features"] = f"{estimator.n_features_out_:,}"
    cells = "".join(
        f'<tr><td style="text-align: left">{html.escape(name)}</td>'
        f'<td style="text-align: right">{html.escape(text)}</td></tr>'
        for name, text in rows.items()
    )
    return f"<table>{cells}</table>"
