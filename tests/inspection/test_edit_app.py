"""The page of edits: strokes, edits that follow them, and a browser that paints."""

import base64
import importlib.util
import io
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skgan import DCGANDiscriminatorFeatures, DCGANSpec, VAEGANEncoder
from skgan.inspection import edit_app
from skgan.inspection.painting import ImageEditor, Painting
from skgan.tools import GANProjector
from tests.browser import Browser, chromium, missing, wait_until
from tests.inspection.drawn import check_same_state, state_of

needs_bokeh = pytest.mark.skipif(
    importlib.util.find_spec("bokeh") is None, reason='needs Bokeh: pip install "skgan[app]"'
)
DIGITS = load_digits().images
SMALL = {"generator": DCGANSpec(8), "discriminator": DCGANSpec(8), "latent_dim": 8,
         "batch_size": 100, "random_state": 0, "device": "cpu"}  # fmt: skip
PROJECTOR = {"method": "optimization", "n_steps": 30, "batch_size": 1, "random_state": 0}


@pytest.fixture(scope="module")
def gan():
    return DCGANDiscriminatorFeatures(**SMALL, lr=1e-3, n_epochs=10).fit(DIGITS)


@pytest.fixture(scope="module")
def projector(gan):
    return GANProjector(FrozenEstimator(gan), **PROJECTOR).fit(DIGITS)


@pytest.fixture(scope="module")
def editor(projector):
    return ImageEditor(projector, DIGITS[0], n_steps=20, n_starts=4, n_frames=5)


def untrained(X, **settings):
    gan = DCGANDiscriminatorFeatures(**SMALL | {"n_epochs": 0} | settings).fit(X)
    return GANProjector(FrozenEstimator(gan), **PROJECTOR | {"n_steps": 2}).fit(X)


# ---------------------------------------------------------------- strokes


def painted(*strokes, c=1, shape=(6, 8)):
    painting = Painting(np.full((c, *shape), 0.5))
    for kind, colour, size, *points in strokes:
        painting.begin(kind, colour, size)
        for point in points:
            painting.move(*point)
    return painting


def test_a_stroke_sets_the_pixels_below_it_and_no_others():
    painting = painted(("paint", [1.0], 1, (1.5, 2.5), (5.5, 2.5)))
    expected = np.zeros((6, 8), bool)
    expected[2, 1:6] = True
    np.testing.assert_array_equal(painting.mask, expected)
    np.testing.assert_array_equal(painting.target[0], np.where(expected, 1.0, 0.5))


def test_a_wide_brush_is_a_disc_and_is_cut_at_the_edge():
    painting = painted(("paint", [0.0], 4, (0.0, 3.0)))
    y, x = np.mgrid[:6, :8] + 0.5
    inside = np.hypot(x, y - 3) <= 2
    inside[3, 0] = True
    np.testing.assert_array_equal(painting.mask, inside)
    assert not painted(("paint", [0.0], 1, (-5.0, -5.0), (-3.0, 20.0))).mask.any()


def test_a_fast_stroke_has_no_gaps():
    mask = painted(("paint", [1.0], 1, (0.2, 0.2), (7.8, 5.8))).mask
    assert mask.any(0).all() and mask.any(1).all()


def test_colours_keeping_erasing_and_undoing():
    painting = painted(
        ("paint", [1.0, 0.0, 0.25], 1, (1.5, 1.5)),
        ("paint", [0.0, 0.0, 0.0], 1, (2.5, 1.5)),
        ("keep", [0.0, 0.0, 0.0], 1, (2.5, 1.5), (3.5, 1.5)),
        ("erase", [0.0, 0.0, 0.0], 1, (1.5, 1.5)),
        c=3,
    )
    assert np.argwhere(painting.mask).tolist() == [[1, 2], [1, 3]]
    np.testing.assert_array_equal(painting.target, 0.5)  # kept, or as if never painted
    painting.undo()
    assert painting.mask[1, 1:4].all() and painting.mask.sum() == 3
    np.testing.assert_array_equal(painting.target[:, 1, 1], [1.0, 0.0, 0.25])
    painting.undo()
    np.testing.assert_array_equal(painting.target[:, 1, 2], 0.0)
    for _ in range(5):
        painting.undo()
    assert not painting.mask.any() and not painting.strokes


def test_what_is_painted_stands_out():
    painting = painted(("paint", [1.0], 1, (1.5, 1.5)))
    shown = painting.shown(painting.original)
    assert shown.shape == (3, 6, 8) and shown[0, 1, 1] - shown[2, 1, 1] > 0.2
    shown[:, 1, 1] = 0.5
    np.testing.assert_array_equal(shown, 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "spray"}, "kind='spray' is unknown"),
        ({"colour": (1.0, 1.0)}, r"colour=\(1.0, 1.0\) must have 1 numbers"),
        ({"size": 0}, "size=0"),
    ],
)
def test_bad_strokes_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        painted().begin(**{"kind": "paint", "colour": (1.0,), "size": 2} | change)


# ---------------------------------------------------------------- edits


def test_an_edit_meets_the_painting_and_begins_at_the_projection(editor, gan):
    before = state_of(gan)
    painting = Painting(editor.original)
    painting.begin("paint", [1.0], 2)
    painting.move(4, 2)
    painting.move(4, 6)
    edit = editor.edit(painting.target, painting.mask, 0.01, 0.01)
    check_same_state(before, state_of(gan))
    assert edit.shown.shape == (5, 1, 8, 8) and edit.images.shape == (5, 8, 8)
    np.testing.assert_allclose(edit.shown[0], editor.projection, atol=1e-5)
    error = np.abs(edit.shown - painting.target)[:, 0, painting.mask].mean(1)
    assert error[-1] < 0.5 * error[0]
    again = editor.edit(painting.target, painting.mask, 0.01, 0.01)
    np.testing.assert_array_equal(edit.images, again.images)
    # The weight of closeness arrives.
    near = editor.edit(painting.target, painting.mask, 10.0, 0.01)
    assert near.closeness[-1] < 0.5 * edit.closeness[-1]


@pytest.mark.parametrize("layout", ["flat", "channels_last", "bytes"])
def test_the_target_is_in_the_layout_and_range_of_the_samples(layout):
    X = np.random.default_rng(0).random((40, 3, 8, 8)).astype(np.float32)
    settings = {}
    if layout == "flat":
        X, settings = X.reshape(40, -1), {"image_shape": (3, 8, 8)}
    else:
        X = X.transpose(0, 2, 3, 1)
        settings = {"data_format": "channels_last"}
    if layout == "bytes":
        X = (255 * X).astype(np.uint8)
    editor = ImageEditor(untrained(X, **settings), X[0], n_steps=2, n_starts=2, n_frames=3)
    mask = np.eye(8, dtype=bool)
    edit = editor.edit(editor.original, mask)
    assert edit.target.dtype == X.dtype
    np.testing.assert_allclose(edit.target, X[0], atol=1e-5)
    assert edit.images.shape == (3, *X.shape[1:]) and edit.shown.shape == (3, 3, 8, 8)


def test_a_known_code_is_not_looked_for(projector, editor, monkeypatch):
    monkeypatch.setattr(GANProjector, "transform", None)
    known = ImageEditor(projector, DIGITS[0], code=editor.code)
    np.testing.assert_array_equal(known.projection, editor.projection)


# ---------------------------------------------------------------- the page, without a browser


class Clock:
    """Runs what a page asks for when it is told to."""

    def __init__(self):
        self.waiting, self.jobs = [], []

    def later(self, callback, milliseconds):
        self.waiting.append(callback)

    def submit(self, work, done):
        self.jobs.append((work, done))

    def pause(self):
        while self.waiting:
            self.waiting.pop(0)()

    def work(self):
        """Do the one job there is."""
        ((work, done),) = self.jobs
        self.jobs = []
        try:
            result = work()
        except Exception as error:
            result = error
        done(result)

    def all(self):
        self.pause()
        while self.jobs:
            self.work()
            self.pause()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def page(editor, clock):
    pytest.importorskip("bokeh", reason='needs Bokeh: pip install "skgan[app]"')
    return opened(editor, clock)


def opened(editor, clock, **more):
    from bokeh.document import Document

    from skgan.inspection.editing_page import EditPage

    page = EditPage(editor, 0.01, 0.01, clock.submit, clock.later, **more)
    page.add_to(Document())
    return page


def seen(picture):
    """The image (h, w, 3) that a picture shows, from the top."""
    (image,) = picture.source.data["image"]
    return image[::-1].copy().view(np.uint8).reshape(*image.shape, 4)[..., :3]


def drag(page, *points):
    """A stroke as the browser reports it, of points from the lower left corner."""
    from bokeh.events import Pan, PanEnd, PanStart

    figure = page.canvas.figure
    for i, (x, y) in enumerate(points):
        kind = PanStart if i == 0 else PanEnd if i == len(points) - 1 else Pan
        figure._trigger_event(kind(figure, x=x, y=y))


def click(button):
    from bokeh.events import ButtonClick

    button._trigger_event(ButtonClick(button))


def same_image(picture, image):
    np.testing.assert_allclose(seen(picture), 255 * image.transpose(1, 2, 0).repeat(3, 2), atol=1)


def test_the_page_begins_with_the_original_and_its_projection(page, editor, clock):
    same_image(page.canvas, editor.original)
    same_image(page.original, editor.original)
    same_image(page.projection, editor.projection)
    same_image(page.edited, editor.projection)
    clock.all()
    assert not clock.jobs


def test_the_edited_image_follows_strokes_and_the_slider_goes_back(page, editor, clock):
    drag(page, (0.5, 7.5), (0.5, 4.5), (0.5, 0.5))
    assert page.painting.mask[:, 0].all() and page.painting.mask.sum() == 8
    assert (seen(page.canvas)[:, 0] != 255 * editor.original[0, :, :1]).any()
    clock.pause()
    assert "Looking" in page.status.text
    clock.work()
    frames = page.frames
    same_image(page.edited, frames[-1])
    assert np.abs(frames[-1] - editor.projection).max() > 0.1
    assert page.status.text.startswith("Found in ")
    page.share.value = 0.5
    same_image(page.edited, frames[2])
    page.share.value = 0
    same_image(page.edited, editor.projection)
    # The strip shows them all, and a click chooses one.
    strip = seen(page.path)
    assert strip.shape == (8, 5 * 8 + 4, 3)
    np.testing.assert_allclose(strip[:, 27:35, 0], 255 * frames[3, 0], atol=1)
    from bokeh.events import Tap

    page.path.figure._trigger_event(Tap(page.path.figure, x=28, y=3))
    same_image(page.edited, frames[3])


def test_one_edit_is_computed_after_a_pause_and_one_more_after_strokes_meanwhile(page, clock):
    drag(page, (0.5, 7.5), (0.5, 4.5), (0.5, 0.5))
    drag(page, (2.5, 7.5), (2.5, 0.5))
    clock.pause()
    assert len(clock.jobs) == 1
    drag(page, (4.5, 7.5), (4.5, 0.5))
    drag(page, (6.5, 7.5), (6.5, 0.5))
    clock.pause()
    assert len(clock.jobs) == 1
    clock.work()
    assert len(clock.jobs) == 1
    edits = []
    page.on_edit = edits.append
    clock.all()
    assert [edit.mask[:, ::2].all() for edit in edits] == [True]


def test_reset_undo_erase_and_weights(page, editor, clock):
    drag(page, (0.5, 7.5), (0.5, 0.5))
    clock.all()
    edits = []
    page.on_edit = edits.append
    page.realism.trigger("value_throttled", 0, 0)
    clock.all()
    assert len(edits) == 1
    drag(page, (4.5, 7.5), (4.5, 0.5))
    click(page.undo)
    assert not page.painting.mask[:, 4].any() and page.painting.mask[:, 0].all()
    page.kind.active = 2
    drag(page, (0.5, 3.5), (0.5, 0.5))
    assert page.painting.mask[:4, 0].all() and not page.painting.mask[4:].any()
    clock.pause()  # an edit begins
    click(page.reset)
    same_image(page.canvas, editor.original)
    same_image(page.edited, editor.projection)
    clock.all()  # it ends, and is not shown
    same_image(page.edited, editor.projection)
    drag(page, (4.5, 7.5), (4.5, 0.5))  # still erasing, of nothing
    clock.all()
    assert not page.painting.mask.any()


def test_the_image_on_show_can_be_saved(page, clock):
    drag(page, (0.5, 7.5), (0.5, 0.5))
    clock.all()
    page.share.value = 0.75
    _, _, rest = page.save.text.partition("data:image/png;base64,")
    image = Image.open(io.BytesIO(base64.b64decode(rest.partition('"')[0])))
    assert image.size == (8, 8) and image.mode == "L"
    np.testing.assert_allclose(np.asarray(image), 255 * page.frames[3, 0], atol=1)


def test_colour_images_are_painted_in_colour(clock):
    pytest.importorskip("bokeh", reason='needs Bokeh: pip install "skgan[app]"')
    X = np.random.default_rng(0).random((40, 3, 8, 8)).astype(np.float32)
    page = opened(ImageEditor(untrained(X), X[0], n_steps=2, n_starts=2), clock)
    page.colour.color = "#ff0080"
    drag(page, (0.5, 7.5), (0.5, 0.5))
    np.testing.assert_allclose(page.painting.target[:, 3, 0], [1, 0, 128 / 255])
    clock.all()
    same = np.rint(255 * page.frames[-1]).transpose(1, 2, 0)
    np.testing.assert_array_equal(seen(page.edited), same)


def test_what_fails_is_said_and_the_page_goes_on(page, editor, clock, monkeypatch, caplog):
    def broken(self, *args):
        raise RuntimeError("out of paint")

    with monkeypatch.context() as m:
        m.setattr(ImageEditor, "edit", broken)
        drag(page, (0.5, 7.5), (0.5, 0.5))
        clock.all()
    assert "out of paint" in page.status.text and "out of paint" in caplog.text
    drag(page, (1.5, 7.5), (1.5, 0.5))
    clock.all()
    assert page.status.text.startswith("Found in ")


@pytest.mark.parametrize("judges", [True, False])
def test_without_a_judge_there_is_no_weight_of_realism(clock, judges, monkeypatch):
    pytest.importorskip("bokeh", reason='needs Bokeh: pip install "skgan[app]"')
    gan = VAEGANEncoder(n_epochs=0, random_state=0, device="cpu").fit(DIGITS[:50])
    if not judges:
        monkeypatch.delattr(VAEGANEncoder, "_logits")
    projector = GANProjector(FrozenEstimator(gan), **PROJECTOR | {"n_steps": 2}).fit(DIGITS[:50])
    editor = ImageEditor(projector, DIGITS[0], n_steps=2, n_starts=2)
    page = opened(editor, clock)
    assert page.realism.visible == editor.has_judge == judges
    drag(page, (0.5, 7.5), (0.5, 0.5))
    clock.all()
    assert page.status.text.startswith("Found in ")
    assert ("Discriminator's score" in page.status.text) == judges


# ---------------------------------------------------------------- the app


@needs_bokeh
def test_the_app_serves_its_page_here_only_until_it_is_closed(projector, editor, monkeypatch):
    opened_pages = []
    monkeypatch.setattr("webbrowser.open", opened_pages.append)
    with edit_app(projector, DIGITS[0], code=editor.code) as app:
        assert opened_pages == [app.url] and app.url in repr(app)
        page = urllib.request.urlopen(app.url, timeout=20).read().decode()
        assert "Paint here" in page and "<canvas" not in page
        assert app.edit is None
        port = int(app.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(OSError, match=f"port={port} cannot be used.*Use port=0"):
            edit_app(projector, DIGITS[0], code=editor.code, port=port, show=False)
        # Two at a time do not disturb each other.
        with edit_app(projector, DIGITS[0], code=editor.code, show=False) as other:
            assert urllib.request.urlopen(other.url, timeout=20).status == 200
        assert urllib.request.urlopen(app.url, timeout=20).status == 200
    assert len(opened_pages) == 1
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(app.url, timeout=20)
    app.close()
    assert "closed" in repr(app)


class NotSkgans(BaseEstimator):
    gan_ = None

    def fit(self, X):
        return self

    def edit(self):
        """Never called."""


@needs_bokeh
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"projector": None}, TypeError, "projector=None edits no images"),
        ({"projector": GANProjector}, TypeError, "edits no images"),
        ({"projector": GANProjector()}, NotFittedError, "not fitted"),
        ({"projector": NotSkgans()}, TypeError, "none of skgan's"),
        ({"image": DIGITS[:1]}, ValueError, r"image has shape \(1, 8, 8\).*\(8, 8\)"),
        ({"image": np.full((8, 8), np.nan)}, ValueError, "no finite numbers"),
        ({"image": np.full((8, 8), "a")}, ValueError, "no finite numbers"),
        ({"host": ""}, ValueError, "host=''"),
        ({"port": 70000}, ValueError, "port=70000"),
        ({"closeness_weight": -1}, ValueError, "closeness_weight=-1"),
        ({"realism_weight": np.nan}, ValueError, "realism_weight=nan"),
        ({"n_steps": 0}, ValueError, "n_steps=0"),
        ({"n_starts": 0}, ValueError, "n_starts=0"),
        ({"n_frames": 1}, ValueError, "n_frames=1"),
        ({"code": np.zeros(3)}, ValueError, r"code has shape \(3,\).*\(8,\)"),
        ({"code": np.full(8, np.nan)}, ValueError, r"code\[0\]=nan must be finite"),
        ({"show": "yes"}, ValueError, "show='yes'"),
    ],
)
def test_bad_arguments_are_named(projector, change, error, message):
    with pytest.raises(error, match=message):
        edit_app(**{"projector": projector, "image": DIGITS[0], "show": False} | change)


@needs_bokeh
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5,), "fitted on a table"),
        ((1, 8, 72), "images of 8x72 pixels.*at most 64x64"),
        ((2, 8, 8), "images of 2 channels"),
    ],
)
def test_what_cannot_be_painted_on_is_named(shape, message):
    X = np.random.default_rng(0).random((30, *shape)).astype(np.float32)
    if len(shape) == 1:
        gan = DCGANDiscriminatorFeatures(n_epochs=0, random_state=0, device="cpu").fit(X)
        projector = GANProjector(FrozenEstimator(gan), **PROJECTOR).fit(X)
    else:
        projector = untrained(X)
    with pytest.raises(ValueError, match=message):
        edit_app(projector, X[0], show=False)


def test_without_bokeh_the_error_says_what_to_install(projector, monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    monkeypatch.setitem(sys.modules, "bokeh.server.server", None)
    with pytest.raises(ImportError, match=r'pip install "skgan\[app\]"'):
        edit_app(projector, DIGITS[0], show=False)


# ---------------------------------------------------------------- the app in a browser

RECTANGLE = """(name => {
  const model = Bokeh.documents[0].get_model_by_name(name)
  const r = Bokeh.index.find_one_by_id(model.id).el.getBoundingClientRect()
  return [r.x + scrollX, r.y + scrollY, r.width, r.height]
})"""
READY = """Boolean(window.Bokeh && Bokeh.documents[0]?.get_model_by_name("path") && Bokeh.index
  .find_one_by_id(Bokeh.documents[0].get_model_by_name("path").id)?.el.clientWidth)"""
STATUS = """Bokeh.documents[0].get_model_by_name("status_text").text"""


def pixels(browser, name):
    """What is seen of a picture."""
    png = browser.screenshot(browser.js(f"{RECTANGLE}('{name}')"))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def paint(browser, x0, y0, x1, y1, **how):
    """A stroke between points given as shares of the canvas."""
    left, top, width, height = browser.js(f"{RECTANGLE}('canvas')")
    way = np.linspace(0, 1, 12)
    points = [
        (left + width * (x0 + (x1 - x0) * t), top + height * (y0 + (y1 - y0) * t)) for t in way
    ]
    browser.stroke(points, **how)


def difference(a, b):
    return float(np.abs(a - b).mean())


@pytest.mark.slow
def test_painting_in_a_browser_changes_the_image(tmp_path, bytes_28):
    if importlib.util.find_spec("bokeh") is None:
        missing('needs Bokeh: pip install "skgan[app]"')
    path = chromium()
    settings = SMALL | {"latent_dim": 16, "batch_size": 20, "lr": 1e-3, "n_epochs": 60}
    gan = DCGANDiscriminatorFeatures(**settings).fit(bytes_28)
    projector = GANProjector(FrozenEstimator(gan), **PROJECTOR).fit(bytes_28)
    with (
        edit_app(projector, bytes_28[0], show=False) as app,
        Browser(path, tmp_path) as browser,
    ):
        browser.open(app.url)
        wait_until(lambda: browser.js(READY))
        wait_until(lambda: pixels(browser, "edited").min() < 128)  # it has been drawn
        start = pixels(browser, "edited")
        canvas = pixels(browser, "canvas")
        paint(browser, 0.1, 0.5, 0.9, 0.5)
        wait_until(lambda: browser.js(STATUS).startswith("Found"))
        assert (pixels(browser, "canvas") != canvas).any(2).mean() > 0.02
        # The last of the edits, which began while the stroke went on.
        wait_until(lambda: app.edit.mask[13:15, 5:23].any(0).all())
        assert not app.edit.mask[:10].any()
        wait_until(lambda: difference(pixels(browser, "edited"), start) > 1)
        # Back to the original, as far as G can draw it.
        left, top, width, height = browser.js(f"{RECTANGLE}('path')")
        at = (left + 0.02 * width, top + height / 2)
        browser.stroke([at, at])
        wait_until(lambda: difference(pixels(browser, "edited"), start) < 1)
        # A phone, and a finger; the page does not scroll away below it.
        browser.resize(390, 844, mobile=True)
        browser.open(app.url)
        wait_until(lambda: browser.js(READY))
        assert browser.js("document.documentElement.scrollWidth") <= 390
        paint(browser, 0.5, 0.2, 0.5, 0.8, touch=True)
        wait_until(lambda: app.edit.mask[8:20, 13:15].any(1).all())
        assert browser.js("scrollY") == 0 and not app.edit.mask[:, :10].any()
        elsewhere = [u for u in browser.requested if app.url.split("//")[1] not in u]
        assert not [u for u in elsewhere if not u.startswith(("data:", "about:"))]
