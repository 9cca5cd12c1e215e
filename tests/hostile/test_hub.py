"""Hubs that refuse, lie or are not there: a reason at once, and nothing lost."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from backbones.loopback_hub import COMMIT, LoopbackHub, use_endpoint
from hub_weights import NAME, PUBLISHED, REPOSITORY, SMALL, blobs
from huggingface_hub import close_session, constants
from safetensors.torch import save
from typer.testing import CliRunner

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.networks import build
from bottleneck.backbones.weights import hub, watched_download
from bottleneck.backbones.weights.hub import HubError
from bottleneck.cli.command_line import app

ROOT = Path(__file__).resolve().parents[2]


REFUSALS = {
    "401": ((401, {}), "refuses access to .* log in with `hf auth login` or set HF_TOKEN"),
    "403": ((403, {}), r"refuses access to someone/weights-2 \(403\)"),
    "gate": ((403, {"X_Error_Code": "GatedRepo"}), "Accept them on http://127"),
    "private": ((404, {"X_Error_Code": "RepoNotFound"}), "refuses access to"),
    "renamed": ((404, {"X_Error_Code": "EntryNotFound"}), "has no file model.safetensors at the"),
    "404": ((404, {}), "it may have been renamed or removed"),
    "407": ((407, {}), "the proxy"),
    "429": ((429, {}), "asks for fewer requests"),
    "500": ((500, {}), r"cannot answer now \(500\)"),
    "loop": ((302, {"Location": "/"}), "in a circle: check HF_ENDPOINT"),
    "elsewhere": ((302, {"Location": "ftp://127.0.0.1/x"}), "not as a hub does"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_have_their_reason(server: LoopbackHub, name: str) -> None:
    good = hub.download(PUBLISHED)
    server.refusal, reason = REFUSALS[name]
    with pytest.raises(HubError, match=reason) as caught:
        hub.download(replace(PUBLISHED, repository=f"{REPOSITORY}-2"))
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hub.cached_file(PUBLISHED) == good


@pytest.mark.parametrize("page", [b"<html>Log in</html>", b""])
def test_a_login_page_in_place_of_the_hub(server: LoopbackHub, tmp_path: Path, page: bytes) -> None:
    server.page = page
    with pytest.raises(HubError, match="check HF_ENDPOINT, and whether a proxy or a login page"):
        hub.download(PUBLISHED)
    server.page = None
    # Only the download itself is a page, of the right size.
    server.page_of_get, server.stated = b"<html>Log in</html>", "unhashed"
    server.stated_size = len(server.page_of_get)
    with pytest.raises(HubError, match="is a web page, not weights"):
        hub.download(PUBLISHED)
    assert blobs(tmp_path) == []
    server.stated_size = None
    with pytest.raises(HubError, match="was cut off"):
        hub.download(PUBLISHED)
    assert blobs(tmp_path) == []


def test_slow_hubs_end_with_a_reason(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    monkeypatch.setattr(watched_download, "STALL_SECONDS", 0.5)
    server.head_seconds = 0.6
    with pytest.raises(HubError, match="does not answer in time"):
        hub.download(PUBLISHED)
    server.head_seconds, server.drip = 0.0, 0.02
    with pytest.raises(HubError, match="the download made no progress in"):
        hub.download(PUBLISHED)
    assert blobs(tmp_path) == []


def test_a_full_disk(server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(HubError, match="is full: free some space, or name another folder in"):
            hub.download(PUBLISHED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert blobs(tmp_path) == []
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(HubError, match="has 10 left: free some space"):
        hub.download(PUBLISHED)


def test_no_hub_at_all(monkeypatch: pytest.MonkeyPatch, server: LoopbackHub) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://me:secret@127.0.0.1:{free.getsockname()[1]}"
        use_endpoint(monkeypatch, endpoint)
        with pytest.raises(HubError, match="the hub does not answer") as caught:
            hub.download(PUBLISHED)
    assert "secret" not in str(caught.value)
    for wrong in ("127.0.0.1", "ftp://127.0.0.1", "https://", ""):
        use_endpoint(monkeypatch, wrong)
        with pytest.raises(HubError, match="HF_ENDPOINT is"):
            hub.download(PUBLISHED)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    with pytest.raises(HubError, match=r"^TRANSFORMERS_OFFLINE is set$"):
        hub.download(PUBLISHED)


def test_settings_that_mean_nothing(server: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, reason in (
        ("HTTP_PROXY", "http://host:abc", "ALL_PROXY does not hold a valid address"),
        ("HF_TOKEN", "a\xe9b", "HF_TOKEN has characters that no token has"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            close_session()
            with pytest.raises(HubError, match=reason):
                hub.download(PUBLISHED)
    close_session()
    for name, value in (
        ("HF_ENDPOINT", "http://host:abc"),
        ("HF_ENDPOINT", "http://[x"),
        ("HF_HUB_ETAG_TIMEOUT", "soon"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "0"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "-1"),
    ):
        result = CliRunner().invoke(app, ["doctor"], env={name: value})
        assert result.exit_code == 2
        assert f"the environment variable {name}" in " ".join(result.stderr.split())


def test_a_cache_that_cannot_be_written(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file"))
    with pytest.raises(HubError, match=r"the hub's cache .* cannot be used"):
        hub.download(PUBLISHED)


def test_a_proxy_is_respected(server: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    own = server.endpoint
    # The server is the proxy of a hub with a name that only the proxy knows.
    use_endpoint(monkeypatch, "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", own)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")  # where the hub's files are
    close_session()
    assert hub.download(PUBLISHED).path.read_bytes() == server.files[NAME]
    assert server.requests[0][1].startswith("http://hub.invalid/")
    # A proxy that is not there, and a hub for which no proxy is to be used.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    close_session()
    with pytest.raises(HubError, match=r"does not answer.*the proxy"):
        hub.download(replace(PUBLISHED, file="other"))
    use_endpoint(monkeypatch, own)
    assert hub.download(PUBLISHED).revision == COMMIT


@pytest.mark.slow
def test_the_command_uses_a_mirror_and_says_why_it_cannot(
    server: LoopbackHub, tmp_path: Path
) -> None:
    server.prefix = "/mirror"
    server.files[f"{SMALL}/model.safetensors"] = save(build(find_encoder(SMALL)).state_dict())

    def fetch(backbone: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"{server.endpoint}/",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "COLUMNS": "500",
        }
        return subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), "weights", "fetch", backbone],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    good = fetch(SMALL)
    assert good.returncode == 0, good.stderr
    assert COMMIT in good.stdout
    bad = fetch("resnet18")
    assert bad.returncode == 2
    assert "has no revision" in bad.stderr
    assert "Traceback" not in bad.stderr
