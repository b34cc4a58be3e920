"""A headless Chromium for tests of pages, spoken to by its DevTools protocol.

A handful of commands is all that the tests need; a library for them would bring 170 MB.
"""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 60


def missing(what):
    """Skip a test of a page for want of something, or fail where CI_BROWSER=1."""
    (pytest.fail if os.environ.get("CI_BROWSER") == "1" else pytest.skip)(what)


def chromium():
    """Where the browser is."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    return path or missing(f"no browser: none of {', '.join(NAMES)} is on the PATH")


class Browser:
    """A tab. As a context manager it is closed at the end."""

    def __init__(self, path, folder, width=1280, height=900):
        command = [path, "--headless=new", "--remote-debugging-port=0", "--disable-gpu",
                   f"--user-data-dir={folder}", "--no-first-run", "--disable-dev-shm-usage",
                   "--disable-background-networking", "about:blank"]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium does not run as root within one
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)  # fmt: skip
        self.loop = asyncio.new_event_loop()
        self.requested = []
        try:
            self._connect(Path(folder) / "DevToolsActivePort")
            self.resize(width, height)
        except BaseException:
            self.close()
            raise

    def _connect(self, file):
        from tornado.websocket import websocket_connect

        wait_until(lambda: file.exists() and file.read_text().count("\n"))
        port, browser = file.read_text().split()
        self.session = None
        self.n_sent = 0
        url = f"ws://127.0.0.1:{port}{browser}"
        self.socket = self._run(websocket_connect, url, max_message_size=2**28)
        (target,) = [
            t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"
        ]
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def _run(self, function, *args, **settings):
        async def bounded():
            return await asyncio.wait_for(function(*args, **settings), SECONDS)

        return self.loop.run_until_complete(bounded())

    def call(self, method, **params):
        """Send a command and return its result; what is reported meanwhile is noted."""
        self.n_sent += 1
        message = {"id": self.n_sent, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        self._run(self.socket.write_message, json.dumps(message))
        while True:
            answer = self._run(self.socket.read_message)
            assert answer is not None, f"the browser ended during {method}"
            answer = json.loads(answer)
            if answer.get("method") == "Network.requestWillBeSent":
                self.requested.append(answer["params"]["request"]["url"])
            elif answer.get("method") == "Network.webSocketCreated":
                self.requested.append(answer["params"]["url"])
            if answer.get("id") == self.n_sent:
                assert "error" not in answer, f"{method}: {answer.get('error')}"
                return answer["result"]

    def open(self, url):
        self.call("Page.navigate", url=url)

    def resize(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=mobile)  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def js(self, expression):
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def stroke(self, points, touch=False):
        """Press at the first point, move over the others, and let go at the last; in CSS pixels."""
        for i, (x, y) in enumerate([*points, points[-1]]):
            kind = 0 if i == 0 else 2 if i == len(points) else 1
            if touch:
                name = ("touchStart", "touchMove", "touchEnd")[kind]
                at = [] if kind == 2 else [{"x": x, "y": y}]
                self.call("Input.dispatchTouchEvent", type=name, touchPoints=at)
            else:
                name = ("mousePressed", "mouseMoved", "mouseReleased")[kind]
                self.call("Input.dispatchMouseEvent", type=name, x=x, y=y, button="left",
                          buttons=0 if kind == 2 else 1, clickCount=1)  # fmt: skip

    def screenshot(self, clip=None, whole=False):
        """The PNG of what is seen, of a rectangle (x, y, width, height), or of the whole page."""
        params = {"captureBeyondViewport": whole}
        if clip is not None:
            params["clip"] = dict(zip(("x", "y", "width", "height"), clip, strict=True)) | {
                "scale": 1
            }
        return base64.b64decode(self.call("Page.captureScreenshot", **params)["data"])

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def wait_until(condition, seconds=SECONDS):
    """The first true value of a function, or a failure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    pytest.fail(f"nothing for {seconds} s: {condition}")
