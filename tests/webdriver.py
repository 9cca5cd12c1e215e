"""Headless Chromium, driven by chromedriver in the WebDriver protocol of the W3C."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), "")
DRIVER = shutil.which("chromedriver") or ""
needs_driver = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="pages are opened by Chromium and its chromedriver"
)


class Browser:
    """A window of a browser."""

    def __init__(self, address: str) -> None:
        self._address = address

    def call(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        """Return the answer to a command."""
        data = None if method == "GET" else json.dumps(content or {}).encode()
        request = urllib.request.Request(self._address + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()[:1000]) from None

    def open(self, url: str) -> None:
        self.call("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script: str, seconds: float = 60) -> Any:
        """Return what a script returns as soon as that is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"not within {seconds:g} s: {script}\n{self.messages()}"
            time.sleep(0.1)
        return value

    def find(self, css: str) -> str:
        """Return the path of an element."""
        query = {"using": "css selector", "value": css}
        return "/element/" + next(iter(self.call("POST", "/element", query).values()))

    def choose(self, css: str, files: Sequence[Path]) -> None:
        """Choose files in a field for them."""
        self.call("POST", self.find(css) + "/value", {"text": "\n".join(map(str, files))})

    def resize(self, width: int, height: int) -> None:
        self.call("POST", "/window/rect", {"width": width, "height": height})

    def save_screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def messages(self) -> list[str]:
        """Return the errors and warnings of the console since the last call."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last call."""
        entries = self.call("POST", "/se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]


@contextlib.contextmanager
def open_browser(folder: Path, width: int = 1200, height: int = 900) -> Iterator[Browser]:
    """Yield a browser whose profile is in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "binary": CHROMIUM,
        "args": [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width},{height}",
        ],
    }
    logs = {"performance": "ALL", "browser": "ALL"}
    wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": logs}}
    with subprocess.Popen(
        [DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as driver:
        try:
            address = f"http://127.0.0.1:{port}"
            _retry(lambda: Browser(address).call("GET", "/status"))
            session = Browser(address).call("POST", "/session", {"capabilities": wanted})
            browser = Browser(f"{address}/session/{session['sessionId']}")
            try:
                yield browser
            finally:
                browser.call("DELETE", "")
        finally:
            driver.terminate()


def _retry(ask: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            ask()
            return
        except OSError:
            assert time.monotonic() < end, "chromedriver does not answer"
            time.sleep(0.1)
