"""The gate before the app: only its own page reaches it, and only the routes that it needs."""

from __future__ import annotations

import contextlib
import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from bottleneck.app.session_files import receiving_upload

__all__ = ["RequestGate"]

Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# What the page asks for. Gradio has more routes: of its documentation, of proxies, and of code.
_ROUTES = re.compile(
    r"/|/(?:config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)"
    r"|/(?:assets|static|svelte)/[\w./@+-]+"
    r"|/gradio_api/(?:app_id|cancel|reset|startup-events|upload|upload_progress)/?"
    r"|/gradio_api/(?:queue/(?:join|data)|heartbeat/\w+)"
    r"|/gradio_api/file=(?!\w+:/).+"
)
_UPLOAD = "gradio_api/upload"
# A page that is shown by this app can send nothing to another host, whatever is in it.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio needs them.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "frame-src 'self' data: blob:",
        "frame-ancestors 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# By them, a request states that another server has passed it on.
_OF_PROXIES = re.compile(rb"x-forwarded-.*|forwarded|x-gradio-server")


class RequestGate:
    """An ASGI application that passes on only what a page on this machine asks for.

    It refuses other names of this machine, so that no web page reaches the app by a name of its own
    (DNS rebinding); requests that pages of other hosts send; requests without the key, such as
    those of other users of this machine; and all routes that the page does not need. Its answers
    forbid the page to ask other hosts for anything.

    The key is in the path, and not in a cookie, which browsers also send to the other ports of this
    machine.

    Parameters
    ----------
    app : ASGI application
        The app.
    port : int
        The port that it is at.
    key : str
        What its paths begin with, which nobody can guess.
    """

    def __init__(self, app: ASGIApp, port: int, key: str) -> None:
        self._app = app
        self._key = key.encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
        self._origins = {b"http://" + host for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # Nothing of the page opens a web socket.
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = dict(scope["headers"])
        if headers.get(b"host", b"").lower() not in self._hosts:
            await _refuse(send, 403, "This app answers at 127.0.0.1 only.")
            return
        if headers.get(b"origin", next(iter(self._origins))).lower() not in self._origins:
            await _refuse(send, 403, "This app answers to its own page only.")
            return
        key, _, route = scope["path"].removeprefix("/").partition("/")
        if not hmac.compare_digest(key.encode(errors="replace"), self._key):
            await _refuse(send, 403, "Open the whole address that the app showed when it started.")
            return
        if not _ROUTES.fullmatch(f"/{route}"):
            await _refuse(send, 404, "There is no such page.")
            return

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        kept = [one for one in scope["headers"] if not _OF_PROXIES.fullmatch(one[0])]
        inner = self._app({**scope, "headers": kept}, receive, send_guarded)
        if route.rstrip("/") == _UPLOAD:
            from starlette.requests import ClientDisconnect  # Here, as it comes with the extra.

            # A page that is closed breaks its upload off, which is not a failure to report.
            with contextlib.suppress(ClientDisconnect), receiving_upload():
                await inner
        else:
            await inner


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
