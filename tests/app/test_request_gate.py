from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("gradio", reason="the extra app is not installed")
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from bottleneck.app.request_gate import RequestGate


async def answer(scope: Any, receive: Any, send: Any) -> None:
    seen = ",".join(sorted(Request(scope).headers))
    await PlainTextResponse(f"inside {seen}")(scope, receive, send)


@pytest.fixture
def client() -> TestClient:
    inner = Starlette(routes=[Mount("/", app=answer)])
    return TestClient(RequestGate(inner, 7860, "key"), base_url="http://127.0.0.1:7860/key")


def test_the_page_is_answered_and_may_load_nothing_from_other_hosts(client: TestClient) -> None:
    got = client.get("/")
    assert got.text.startswith("inside")
    policy = dict(
        one.strip().split(" ", 1) for one in got.headers["content-security-policy"].split(";")
    )
    allowed = {word for words in policy.values() for word in words.split()}
    assert policy["default-src"] == "'self'"
    assert allowed == {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}


@pytest.mark.parametrize(
    "host", ["evil.example:7860", "127.0.0.1:80", "127.0.0.1", "192.168.0.4:7860", "[::1]:7860"]
)
def test_other_names_of_this_machine_are_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8000"])
def test_pages_of_other_origins_are_refused(client: TestClient, origin: str) -> None:
    sent = client.post("/gradio_api/queue/join", headers={"origin": origin})
    assert sent.status_code == 403


def test_the_page_itself_may_send(client: TestClient) -> None:
    for origin in ("http://127.0.0.1:7860", "http://localhost:7860"):
        assert client.post("/gradio_api/upload", headers={"origin": origin}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/openapi.json",
        "/login",
        "/monitoring",
        "/gradio_api/api/predict",
        "/gradio_api/call/x",
        "/gradio_api/component_server",
        "/gradio_api/file=https://evil.example/x",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/proxy=https://evil.example/",
        "/gradio_api/run/predict",
        "/gradio_api/runs",
        "/gradio_api/token",
        "/gradio_api/vibe-edit",
    ],
)
def test_routes_that_the_page_does_not_need_are_closed(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/config", "/kez/", "/key2/", "/KEY/", "//key/", "/%ff/", "/é/"]
)
def test_requests_without_the_key_are_refused(client: TestClient, path: str) -> None:
    assert client.get("http://127.0.0.1:7860/key/config").status_code == 200
    refused = client.get(f"http://127.0.0.1:7860{path}")
    assert (refused.status_code, refused.text[:8]) == (403, "Open the")


def test_nothing_is_said_to_come_by_way_of_another_server(client: TestClient) -> None:
    names = ("x-forwarded-host", "x-forwarded-for", "forwarded", "x-gradio-server")
    got = client.get("/", headers=dict.fromkeys(names, "evil.example"))
    assert not set(got.text.removeprefix("inside ").split(",")) & set(names)
