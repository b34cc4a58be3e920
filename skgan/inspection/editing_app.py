"""A page in the browser on which a constraint is painted, and an image follows: Zhu et al. 2016."""

import asyncio
import socket
import threading
import webbrowser
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sklearn.utils import Bunch

from ..utils.checks import check_flag, check_number
from .editing_page import EditPage
from .painting import ImageEditor

HERE = ("127.0.0.1", "localhost")
SECONDS_TO_START = 30
REALISM = 0.1  # the weight that `GANProjector.edit` has by default


class EditApp:
    """The running app that `edit_app` returns. As a context manager it is closed at the end.

    Attributes
    ----------
    url : str
        Where the page is.
    edit : Bunch or None
        The last edit that was computed for the page: what `GANProjector.edit` returns, and the
        `target` and `mask` that were painted.
    """

    def __init__(self, editor: ImageEditor, weights: tuple[float, float], host: str, port: int):
        self.edit: Bunch | None = None
        self._editor, self._weights = editor, weights
        self._sockets, port = _bound(host, port)
        self.url = f"http://{host}:{port}/"
        self._origins = [f"{name}:{port}" for name in {*(HERE if host in HERE else ()), host}]
        # One worker: edits of several tabs would only slow each other down.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="edit_app")
        self._loop: Any = None
        started: Future = Future()
        self._thread = threading.Thread(target=self._serve, args=[started], daemon=True)
        self._thread.start()
        started.result(SECONDS_TO_START)

    def wait(self) -> None:
        """Serve until Ctrl+C is pressed, or another thread calls `close`."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.5)
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving. A second call does nothing."""
        # The worker first: an edit that ends tells the event loop.
        self._worker.shutdown(wait=True, cancel_futures=True)
        if self._thread.is_alive():
            self._loop.add_callback(self._loop.stop)
            self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __repr__(self):
        return f"<EditApp at {self.url}{'' if self._thread.is_alive() else ', closed'}>"

    # ---------------------------------------------------------------- the server's thread

    def _serve(self, started: Future) -> None:
        from bokeh.application import Application
        from bokeh.application.handlers import FunctionHandler
        from bokeh.server.server import BaseServer
        from bokeh.server.tornado import BokehTornado
        from tornado.httpserver import HTTPServer
        from tornado.ioloop import IOLoop

        events = asyncio.new_event_loop()
        asyncio.set_event_loop(events)
        self._loop = IOLoop.current()
        try:
            app = BokehTornado(
                {"/": Application(FunctionHandler(self._open_page))},
                extra_websocket_origins=self._origins,
            )
            http = HTTPServer(app)
            http.add_sockets(self._sockets)
            server = BaseServer(self._loop, app, http)
            server.start()
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(None)
        self._loop.start()
        server.stop()
        self._loop.close()

    def _open_page(self, document: Any) -> None:
        def submit(work, done):
            def finish(future):
                result = future.exception() or future.result()
                document.add_next_tick_callback(lambda: done(result))

            self._worker.submit(work).add_done_callback(finish)

        page = EditPage(
            self._editor, *self._weights, submit, document.add_timeout_callback, self._keep
        )
        page.add_to(document)

    def _keep(self, edit: Bunch) -> None:
        self.edit = edit


def edit_app(
    projector, image, *, host="127.0.0.1", port=0, closeness_weight=1.0, realism_weight=None,
    n_steps=50, n_starts=8, n_frames=9, code=None, random_state=0, show=True,
):  # fmt: skip
    """Open a page on which an image is edited by painting on it (Zhu et al. 2016, sec. 4).

    Strokes of a brush say what the image is to look like, and where; the edited image, which the
    generator makes, follows each stroke. A slider goes the way back to the projection of the
    original, and each image on it can be saved as a PNG. Every tab of the browser has strokes of
    its own.

    Parameters
    ----------
    projector : GANProjector
        Fitted on images of at most 64x64 pixels, in grey or in colour.
    image : array-like, one sample of the shape of those in `fit`
        The image to edit, such as X[0].
    host : str, default="127.0.0.1"
        The address at which the page is served. By default only this machine reaches it; there is
        no password, so give another one only in a network that you trust.
    port : int, default=0
        Its port, from 0 to 65535; 0 is any that is free. To reach the page through a tunnel, use
        the same port on both sides.
    closeness_weight, realism_weight : float, default=1.0 and None
        See `GANProjector.edit`; where their sliders begin, None at 0.1. Realism plays no part
        where no discriminator judges samples.
    n_steps, n_starts : int, default=50 and 8
        See `GANProjector.edit`: fewer are faster, and meet the painting less well. On one core, an
        edit by the default DCGAN takes 1 to 2 s for digits of 28x28, and 5 s for 64x64 in colour.
    n_frames : int, default=9
        Number of images on the way, at least 2.
    code : array-like of shape (d,), default=None
        The image's code, if it is known; None projects the image.
    random_state : None, int or RandomState, default=0
        Seed of the starts. With an int the same strokes give the same edit.
    show : bool, default=True
        Open the page in the default browser.

    Returns
    -------
    app : EditApp
        Serves the page from a thread of its own until `app.close()`, or the end of the program;
        at the end of a script call `app.wait()`. `app.url` is where the page is, and `app.edit` the
        last edit.

    Raises
    ------
    ImportError
        If Bokeh is not installed: `pip install "skgan[app]"`.
    TypeError
        If `projector` is no projector.
    NotFittedError
        If it is not fitted.
    ValueError
        If it was fitted on a table, on images of more than 64x64 pixels or with a number of
        channels other than 1 or 3, and for an image of another shape.
    OSError
        If the port is taken.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skgan import DCGANDiscriminatorFeatures
    >>> from skgan.inspection import edit_app
    >>> from skgan.tools import GANProjector
    >>> X, _ = load_digits(return_X_y=True)
    >>> gan = DCGANDiscriminatorFeatures(image_shape=(8, 8), n_epochs=1, random_state=0).fit(X)
    >>> projector = GANProjector(FrozenEstimator(gan), encoder_steps=20, n_steps=5).fit(X)
    >>> with edit_app(projector, X[0], show=False) as app:
    ...     app.url.startswith("http://127.0.0.1:")
    True
    """
    _needs_bokeh()
    if not isinstance(host, str) or not host:
        raise ValueError(f"host={host!r} must be an address of this machine, such as '127.0.0.1'.")
    check_number("port", port, low=0, high=65535, integer=True)
    check_number("closeness_weight", closeness_weight, low=0)
    realism_weight = REALISM if realism_weight is None else realism_weight
    check_number("realism_weight", realism_weight, low=0)
    check_flag("show", show)
    editor = ImageEditor(
        projector, image, n_steps=n_steps, n_starts=n_starts, n_frames=n_frames, code=code,
        random_state=random_state,
    )  # fmt: skip
    app = EditApp(editor, (closeness_weight, realism_weight), host, int(port))
    if show:
        webbrowser.open(app.url)
    return app


def _needs_bokeh() -> None:
    try:
        import bokeh.server.server  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'edit_app needs Bokeh, which is not installed: pip install "skgan[app]"'
        ) from error


def _bound(host: str, port: int) -> tuple[list[socket.socket], int]:
    """Sockets at an address, and their port."""
    from bokeh.server.util import bind_sockets

    try:
        return bind_sockets(host, port)
    except OSError as error:
        raise OSError(
            error.errno, f"host={host!r}, port={port} cannot be used: {error}. Use port=0."
        ) from error
