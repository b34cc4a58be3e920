"""The page of `edit_app`, made of Bokeh's widgets: one `EditPage` for each tab of a browser.

Bokeh is a library for small apps whose figures report the pointer in pixels of the image, so
painting needs no JavaScript of our own. Its server runs in a thread, serves every file itself and
sends nothing elsewhere; it has skgan's licence, and needs four small packages. NiceGUI and Gradio
need about forty, Gradio and Streamlit report their use, Panel is built on Bokeh, and Dash and Shiny
have nothing to paint with.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from .painting import KINDS, ImageEditor, Painting, png

log = logging.getLogger(__name__)

TEMPLATE = Path(__file__).with_suffix(".html")
PAUSE = 150  # milliseconds without a change, after which an edit is computed
GAP = 0.06  # between the images of the path, in images
GREETING = "Paint on the left image. The edited image follows each stroke."
SAVE_STYLE = (
    "display: block; padding: 6px 12px; border-radius: 4px; background: #1f5fbf; color: white; "
    "font-size: 15px; text-align: center; text-decoration: none;"
)


class EditPage:
    """The widgets of the page, and what they do.

    Parameters
    ----------
    editor : ImageEditor
    closeness_weight, realism_weight : float
        Where their sliders begin.
    submit : callable
        `submit(work, done)` calls `work()` outside of the event loop, and then `done` in it with
        what `work` returned, or with the exception that it raised.
    later : callable
        `later(callback, milliseconds)` calls back in the event loop.
    on_edit : callable
        Called with every finished edit.
    """

    def __init__(
        self, editor: ImageEditor, closeness_weight: float, realism_weight: float,
        submit: Callable[..., None], later: Callable[..., Any],
        on_edit: Callable[[Bunch], None] = lambda edit: None,
    ):  # fmt: skip
        self.editor = editor
        self.painting = Painting(editor.original)
        self.submit, self.later, self.on_edit = submit, later, on_edit
        self.version = 0  # of the strokes and the weights
        self.shown_version = 0  # of the edit that is shown
        self.running = False
        self._make_pictures()
        self._make_brush()
        self._make_result(closeness_weight, realism_weight)
        self._show_original()

    def add_to(self, document: Any) -> None:
        """Put the widgets where the HTML template has their names."""
        from bokeh.layouts import column, row

        groups = {
            "strokes": [row(self.undo, self.reset, sizing_mode="stretch_width")],
            "brush": [self.kind, self.colour, self.size],
            "result": [self.share, self.save],
            "weights": [self.closeness, self.realism],
            "status": [self.status],
        }
        for name, widgets in groups.items():
            document.add_root(column(*widgets, name=name, sizing_mode="stretch_width"))
        for picture in (self.canvas, self.edited, self.original, self.projection, self.path):
            document.add_root(picture.figure)
        document.title = "skgan: edit an image"
        document.template = TEMPLATE.read_text()

    # ---------------------------------------------------------------- widgets

    def _make_pictures(self) -> None:
        from bokeh.events import Pan, PanEnd, PanStart, Tap

        shape = self.editor.original.shape[1:]
        self.canvas = Picture("canvas", shape, "crosshair", takes_strokes=True)
        self.edited = Picture("edited", shape)
        self.original = Picture("original", shape)
        self.projection = Picture("projection", shape)
        n = self.editor.n_frames
        self.path = Picture("path", (shape[0], n * shape[1] + (n - 1) * self._gap), "pointer")
        self.original.show(self.editor.original)
        self.projection.show(self.editor.projection)
        self.canvas.figure.on_event(Tap, lambda e: self._stroke(e, begins=True, ends=True))
        self.canvas.figure.on_event(PanStart, lambda e: self._stroke(e, begins=True))
        self.canvas.figure.on_event(Pan, self._stroke)
        self.canvas.figure.on_event(PanEnd, lambda e: self._stroke(e, ends=True))
        self.path.figure.on_event(Tap, self._choose)

    def _make_brush(self) -> None:
        from bokeh.models import Button, ColorPicker, RadioButtonGroup, Slider

        c, h, w = self.editor.original.shape
        wide = {"sizing_mode": "stretch_width"}
        self.kind = RadioButtonGroup(labels=["Paint", "Keep as is", "Erase"], active=0, **wide)
        if c == 1:
            self.colour = Slider(
                title="Grey, from black to white", start=0, end=1, step=0.05, value=1, **wide
            )
        else:
            self.colour = ColorPicker(title="Colour", color="#ffffff", **wide)
        side = min(h, w)
        self.size = Slider(
            title="Brush, in pixels", start=1, end=max(2, side // 3), step=1,
            value=max(1, side // 14), **wide,
        )  # fmt: skip
        self.undo = Button(label="Undo the last stroke", **wide)
        self.reset = Button(label="Reset to the original", **wide)
        self.undo.on_click(self._undo)
        self.reset.on_click(self._reset)

    def _make_result(self, closeness_weight: float, realism_weight: float) -> None:
        from bokeh.models import Div, Slider

        wide = {"sizing_mode": "stretch_width"}
        self.share = Slider(
            title="Share of the way from the projection", start=0, end=1,
            step=1 / (self.editor.n_frames - 1), value=1, format="0.00", **wide,
        )  # fmt: skip
        self.save = Div(name="save", **wide)
        self.status = Div(name="status_text", styles={"font-size": "15px"}, **wide)
        closeness, realism = (
            Slider(title=title, start=0, end=max(3, value), step=0.05, value=value, **wide)
            for title, value in (
                ("Closeness to the original", closeness_weight),
                ("Realism", realism_weight),
            )
        )
        realism.visible = self.editor.has_judge
        self.closeness, self.realism = closeness, realism
        self.share.on_change("value", lambda attr, old, new: self._show_frame())
        for slider in (closeness, realism):
            slider.on_change("value_throttled", lambda attr, old, new: self._changed())

    # ---------------------------------------------------------------- what the user does

    def _stroke(self, event: Any, begins: bool = False, ends: bool = False) -> None:
        if begins:
            kind = KINDS[self.kind.active]
            self.painting.begin(kind, self._colour(), self.size.value)
        if event.x is not None and self.painting.strokes:
            self.painting.move(event.x, self.editor.original.shape[1] - event.y)
            self._show_canvas()
            self._changed()

    def _undo(self) -> None:
        self.painting.undo()
        self._show_canvas()
        self._changed()

    def _reset(self) -> None:
        self.painting.clear()
        self._changed()

    def _choose(self, event: Any) -> None:
        frame = int(event.x // (self.editor.original.shape[2] + self._gap))
        self.share.value = min(max(frame, 0), len(self.frames) - 1) / (self.editor.n_frames - 1)

    def _colour(self) -> tuple[float, ...]:
        if len(self.editor.original) == 1:
            return (self.colour.value,)
        text = self.colour.color.lstrip("#")
        return tuple(int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))

    # ---------------------------------------------------------------- edits

    def _changed(self) -> None:
        self.version += 1
        if not self.painting.mask.any():
            self._show_original()
            return
        version = self.version
        self.later(lambda: self._compute(version), PAUSE)

    def _compute(self, version: int) -> None:
        """Compute an edit, unless there was a change since, or another one is being computed."""
        if version != self.version or self.running or version == self.shown_version:
            return
        self.running = True
        painting, start = self.painting, time.perf_counter()
        target, mask = painting.target.copy(), painting.mask.copy()
        weights = self.closeness.value, self.realism.value
        self._say("Looking for an image that meets the painting ...")
        self.submit(
            lambda: self.editor.edit(target, mask, *weights),
            lambda result: self._finished(version, result, time.perf_counter() - start),
        )

    def _finished(self, version: int, result: Any, seconds: float) -> None:
        self.running = False
        if not self.painting.mask.any():
            return  # it was reset meanwhile
        if isinstance(result, Exception):
            log.error("The edit failed.", exc_info=result)
            self._say(f"The edit failed: {result}")
        else:
            self.on_edit(result)
            self._show_path(result.shown)
            self._say(described(result, seconds))
        self.shown_version = version
        self._compute(self.version)  # where there were strokes meanwhile

    # ---------------------------------------------------------------- what is shown

    @property
    def _gap(self) -> int:
        return max(1, round(GAP * self.editor.original.shape[2]))

    def _show_original(self) -> None:
        self.shown_version = self.version
        self._show_canvas()
        self._show_path(self.editor.projection[None])
        self._say(GREETING)

    def _show_canvas(self) -> None:
        self.canvas.show(self.painting.shown(self.editor.original))

    def _show_path(self, frames: np.ndarray) -> None:
        self.frames = frames
        n, c, h, w = frames.shape
        strip = np.ones((c, h, n, w + self._gap))
        strip[..., :w] = frames.transpose(1, 2, 0, 3)
        self.path.show(strip.reshape(c, h, -1)[..., : -self._gap])
        self._show_frame()

    def _show_frame(self) -> None:
        frame = self.frames[round(self.share.value * (len(self.frames) - 1))]
        self.edited.show(frame)
        self.save.text = (
            f'<a style="{SAVE_STYLE}" download="edited.png" href="{png(frame)}">Save as PNG</a>'
        )

    def _say(self, text: str) -> None:
        self.status.text = text


class Picture:
    """An image in a figure, each of its pixels a unit of the axes.

    Parameters
    ----------
    name : str
        Name of the figure.
    shape : (h, w)
    cursor : str
        Of the pointer, in CSS.
    takes_strokes : bool
        Whether moving a finger over it is a stroke, and does not scroll the page.
    """

    def __init__(self, name, shape, cursor="default", takes_strokes=False):
        from bokeh.models import BoxAnnotation, BoxSelectTool, ColumnDataSource
        from bokeh.plotting import figure

        h, w = shape
        self.figure = figure(
            name=name, x_range=(0, w), y_range=(0, h), width=w, height=h, aspect_ratio=w / h,
            sizing_mode="scale_width", toolbar_location=None, tools="", min_border=0,
            outline_line_color=None,
        )  # fmt: skip
        self.figure.axis.visible = False
        self.figure.grid.visible = False
        self.figure.styles = {"cursor": cursor}
        if takes_strokes:
            # Bokeh leaves fingers to the page's scrolling unless a tool of dragging is active.
            unseen = BoxAnnotation(visible=False)
            tool = BoxSelectTool(overlay=unseen, renderers=[])
            self.figure.add_tools(tool)
            self.figure.toolbar.active_drag = tool
        self.source = ColumnDataSource({"image": []})
        self.figure.image_rgba("image", x=0, y=0, dw=w, dh=h, source=self.source)

    def show(self, image: np.ndarray) -> None:
        """Show (c, h, w) in [0, 1], in grey or colour; what is wider or less so begins left."""
        h, w = image.shape[1:]
        pixels = np.full((h, w, 4), 255, np.uint8)
        pixels[..., :3] = np.rint(255 * image.clip(0, 1)).transpose(1, 2, 0)
        self.source.data = {"image": [pixels[::-1].copy().view(np.uint32).reshape(h, w)]}


def described(edit: Bunch, seconds: float) -> str:
    """How well an edit meets its terms, beside the projection."""
    before, after = edit.constraint[0], edit.constraint[-1]
    text = (
        f"Found in {seconds:.1f} s. Error where you painted: {after:.2f} (projection "
        f"{before:.2f}; 1 is that of the mean image). Distance from the original's code: "
        f"{edit.closeness[-1]:.2f}."
    )
    if edit.realism is not None:
        text += (
            f" Discriminator's score: {edit.realism[-1]:.2f} (projection {edit.realism[0]:.2f})."
        )
    return text
