"""A small server of the hub's protocol on this machine, which can misbehave."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from huggingface_hub import close_session, constants, file_download

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class LoopbackHub(ThreadingHTTPServer):
    """A hub with one commit; its attributes make it misbehave."""

    daemon_threads = True
    prefix = ""  # of all paths
    commit: str | None = COMMIT
    direct = False  # without another host for large files
    refusal: tuple[int, dict[str, str]] | None = None  # an answer to every request
    page: bytes | None = None  # in place of every answer
    page_of_get: bytes | None = None
    stated: str | None = None  # in place of the right ETag
    stated_size: int | None = None
    cuts = 0  # how many downloads break off
    cut_at = 600_000
    ranges = True
    head_seconds = get_seconds = 0.0
    drip = 0.0  # seconds between two bytes
    spare = b""  # sent after the file

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    @property
    def endpoint(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}{self.prefix}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"", **headers: str | None) -> None:
        self.send_response(status)
        names = {name.replace("_", "-"): value for name, value in headers.items() if value}
        for name, value in ({"Content-Length": str(len(body))} | names).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def _handle(self) -> None:
        hub = self.server
        hub.requests.append((self.command, self.path, dict(self.headers)))
        time.sleep(hub.head_seconds if self.command == "HEAD" else hub.get_seconds)
        if hub.page is not None:
            return self._answer(200, hub.page)
        if hub.refusal is not None:
            status, headers = hub.refusal
            return self._answer(status, **headers)
        # A proxy is asked for the whole address.
        path = "/" + self.path.split("/", 3)[3] if "://" in self.path else self.path
        if path.startswith("/cdn/"):
            return self._download(hub.files[path.removeprefix("/cdn/")])
        repository, _, rest = path.removeprefix(hub.prefix + "/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        data = hub.files.get(f"{repository}/{name}")
        if revision not in ("main", hub.commit) and hub.commit:
            return self._answer(404, X_Error_Code="RevisionNotFound")
        if data is None:
            return self._answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=hub.commit)
        etag = hub.stated or hashlib.sha256(data).hexdigest()
        size = len(data) if hub.stated_size is None else hub.stated_size
        if hub.direct and self.command == "GET":
            return self._download(data)
        if hub.direct:
            named = {"Content_Length": str(size), "Accept_Ranges": "bytes"}
            return self._answer(200, X_Repo_Commit=hub.commit, ETag=f'"{etag}"', **named)
        return self._answer(
            302,
            Location=f"http://localhost:{hub.server_port}/cdn/{repository}/{name}",
            X_Repo_Commit=hub.commit,
            X_Linked_Etag=f'"{etag}"',
            X_Linked_Size=str(size),
            ETag='"of the page"',
        )

    def _download(self, data: bytes) -> None:
        hub = self.server
        if hub.page_of_get is not None:
            return self._answer(200, hub.page_of_get)
        start, body = 0, data + hub.spare
        if hub.ranges and (asked := self.headers.get("Range")):
            start = int(asked.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if hub.cuts:
            hub.cuts -= 1
            self.wfile.write(body[start : max(start, hub.cut_at)])
            self.close_connection = True
        elif hub.drip:
            for place in range(start, len(body)):
                self.wfile.write(body[place : place + 1])
                time.sleep(hub.drip)
        else:
            self.wfile.write(body[start:])
        return None


@contextmanager
def running_hub(patch: pytest.MonkeyPatch, cache: object) -> Iterator[LoopbackHub]:
    """Run a hub, and make it the one of the client, which waits for nothing."""
    for name in _PROXIES:
        patch.delenv(name, raising=False)
        patch.delenv(name.lower(), raising=False)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        patch.delenv(name, raising=False)
    clock = {name: getattr(time, name) for name in ("time", "monotonic", "perf_counter")}
    patch.setattr(file_download, "time", SimpleNamespace(**clock, sleep=lambda seconds: None))
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub = LoopbackHub()
    use_endpoint(patch, hub.endpoint)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    close_session()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
        close_session()


def use_endpoint(patch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Do what the client does with HF_ENDPOINT when it is imported."""
    patch.setattr(constants, "ENDPOINT", endpoint.rstrip("/"))
    template = endpoint.rstrip("/") + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
