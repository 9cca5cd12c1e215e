"""Hubs that fail, lie or are not there: a reason at once, nothing half downloaded, nothing lost."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from backbones.loopback_hub import COMMIT, LoopbackHub, running_hub, use_endpoint
from huggingface_hub import close_session, constants
from safetensors.torch import save
from typer.testing import CliRunner

from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import ENCODERS, PublishedWeights, find_encoder
from bottleneck.backbones.networks import build
from bottleneck.backbones.weights import hub, index, watched_download
from bottleneck.backbones.weights.hub import HubError
from bottleneck.cli.app import app
from bottleneck.errors import WeightsError

SMALL = "timm/test_resnet.r160_in1k"
REPOSITORY = "someone/weights"
PUBLISHED = PublishedWeights("imagenet", "model.safetensors", REPOSITORY, "https://x", "timm")
NAME = f"{REPOSITORY}/model.safetensors"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "weights"))
    with running_hub(monkeypatch, tmp_path / "cache") as running:
        running.files[NAME] = random.Random(0).randbytes(1_000_000)
        yield running


# Each attempt starts again and comes further than a piece.
ENDLESS = pytest.param(600_000, False, marks=pytest.mark.slow)


def blobs(tmp_path: Path) -> list[Path]:
    """Whatever of files the cache holds, finished or not."""
    return [path for path in (tmp_path / "cache").glob("*/blobs/*") if path.is_file()]


@pytest.mark.parametrize("prefix", ["", "/mirror/hub"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_on_another_port_and_path(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, prefix: str, slash: str
) -> None:
    server.prefix = prefix
    use_endpoint(monkeypatch, server.endpoint + slash)
    file = hub.download(PUBLISHED)
    data = server.files[NAME]
    assert file.path.read_bytes() == data
    assert (file.revision, file.sha256) == (COMMIT, hashlib.sha256(data).hexdigest())
    asked = {path for _, path, _ in server.requests if "/resolve/" in path}
    assert asked == {f"{prefix}/{REPOSITORY}/resolve/main/model.safetensors"}
    assert hub.cached_file(PUBLISHED) == file
    assert hub.cached_file(replace(PUBLISHED, revision=COMMIT)) == file
    assert hub.cached_file(replace(PUBLISHED, revision=40 * "a")) is None


@pytest.mark.parametrize("etag", [None, "not-a-hash"])
def test_a_mirror_that_sends_files_itself(server: LoopbackHub, etag: str | None) -> None:
    server.direct, server.stated = True, etag
    file = hub.download(PUBLISHED)
    assert file.path.read_bytes() == server.files[NAME]
    assert file.sha256 == hashlib.sha256(server.files[NAME]).hexdigest()


def test_weights_of_a_hub_have_their_revision_and_are_used_without_it(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files[f"{SMALL}/model.safetensors"] = save(build(find_encoder(SMALL)).state_dict())
    first = load_backbone(SMALL).weights
    assert (first.source, first.revision) == (SMALL, COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_backbone(SMALL).weights == first
    path, record = index.fetch(SMALL)
    assert (record.revision, record.sha256) == (COMMIT, first.sha256)
    assert load_backbone(SMALL).weights == first
    assert [check.state for check in index.verify()] == ["ok"]
    assert path.name.startswith("timm-test_resnet.r160_in1k--imagenet-")


def test_a_pinned_revision_is_the_one_that_is_asked_for(server: LoopbackHub) -> None:
    for encoder in ENCODERS.values():
        for published in encoder.published:
            assert published.revision is None or len(published.revision) == 40
            assert published.sha256 is None or len(published.sha256) == 64
    hub.download(replace(PUBLISHED, revision=COMMIT))
    assert all("/resolve/main/" not in path for _, path, _ in server.requests)
    with pytest.raises(HubError, match=f"has no revision {40 * 'a'} of {REPOSITORY}"):
        hub.download(replace(PUBLISHED, revision=40 * "a"))
    server.commit = None
    with pytest.raises(HubError, match="not as a hub does"):
        hub.download(PUBLISHED)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_is_resumed(server: LoopbackHub, *, ranges: bool) -> None:
    server.cuts, server.ranges = 2, ranges
    assert hub.download(PUBLISHED).path.read_bytes() == server.files[NAME]
    assert any("Range" in headers or "range" in headers for _, _, headers in server.requests)


@pytest.mark.parametrize(
    ("cut_at", "ranges"), [(600_000, True), (100_000, True), (0, True), ENDLESS]
)
def test_a_download_that_is_always_cut_leaves_nothing(
    server: LoopbackHub, tmp_path: Path, cut_at: int, *, ranges: bool
) -> None:
    server.cuts, server.cut_at, server.ranges = 10**6, cut_at, ranges
    with pytest.raises(HubError, match="was cut off, and nothing of it is kept"):
        hub.download(PUBLISHED)
    assert blobs(tmp_path) == []
    assert hub.cached_file(PUBLISHED) is None
    server.cuts = 0
    assert hub.download(PUBLISHED).path.read_bytes() == server.files[NAME]


def test_other_content_than_known_is_refused_and_removed(
    server: LoopbackHub, tmp_path: Path
) -> None:
    good = hub.download(PUBLISHED)
    server.files[NAME] = server.files[NAME][::-1]
    server.commit = 40 * "b"
    # The server says so itself: nothing is downloaded.
    with pytest.raises(HubError, match="is known for it: it is not downloaded"):
        hub.download(replace(PUBLISHED, sha256=good.sha256))
    # The server states one content, and sends another.
    server.stated = 64 * "c"
    with pytest.raises(HubError, match=f"not {64 * 'c'}, which the hub states; it was removed"):
        hub.download(PUBLISHED)
    # The server states nothing.
    server.stated, server.commit = "etag", 40 * "d"
    with pytest.raises(HubError, match=f"not {good.sha256}, which is known for it; it was removed"):
        hub.download(replace(PUBLISHED, sha256=good.sha256))
    assert [path.name for path in blobs(tmp_path)] == [good.sha256]
    assert good.path.read_bytes() == server.files[NAME][::-1]


def test_a_cached_file_that_changed_is_refused_before_it_is_parsed(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files[f"{SMALL}/model.safetensors"] = save(build(find_encoder(SMALL)).state_dict())
    load_backbone(SMALL)
    cached = hub.cached_file(find_encoder(SMALL).published[0])
    assert cached is not None
    with cached.path.open("r+b") as file:
        file.write(b"\x80\x04evil")

    def parse(*_: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("bottleneck.backbones.weights.loading.parse_checkpoint", parse)
    with pytest.raises(WeightsError, match=r"was changed: .* downloads it again"):
        load_backbone(SMALL)


def test_a_cached_file_of_another_revision_needs_the_known_content(server: LoopbackHub) -> None:
    good = hub.download(PUBLISHED)
    other = replace(PUBLISHED, revision=40 * "e")
    assert hub.cached_file(other) is None
    assert hub.cached_file(replace(other, sha256=good.sha256)) == good
    assert hub.cached_file(replace(other, sha256=64 * "c")) is None


@pytest.mark.parametrize("drip", [0.02, pytest.param(20.0, marks=pytest.mark.slow)])
def test_ctrl_c_during_a_download_leaves_nothing(
    server: LoopbackHub, tmp_path: Path, drip: float
) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    server.drip = drip
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            hub.download(PUBLISHED)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert blobs(tmp_path) == []


def test_remains_of_a_killed_download_are_removed(server: LoopbackHub, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "models--someone--weights" / "blobs"
    folder.mkdir(parents=True)
    for name, age in (("old", 4000), ("new", 60)):
        (folder / f"{name}.incomplete").write_bytes(b"x")
        os.utime(folder / f"{name}.incomplete", (time.time() - age,) * 2)
    file = hub.download(PUBLISHED)
    assert {path.name for path in blobs(tmp_path)} == {"new.incomplete", file.sha256}


@pytest.mark.slow
def test_a_download_of_another_process_is_waited_for(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watched_download, "STALL_SECONDS", 0.5)
    server.get_seconds = 1.2
    folder = tmp_path / "cache" / "models--someone--weights" / "blobs"
    folder.mkdir(parents=True)
    stop = threading.Event()

    def write() -> None:
        with (folder / "x.incomplete").open("wb", buffering=0) as file:
            while not stop.wait(0.1):
                file.write(b"x")

    other = threading.Thread(target=write)
    other.start()
    try:
        assert hub.download(PUBLISHED).revision == COMMIT
    finally:
        stop.set()
        other.join()


@pytest.mark.parametrize("etag", ["../../../../evil", "a/b", "..", "x" * 300])
def test_an_etag_cannot_be_a_path(server: LoopbackHub, tmp_path: Path, etag: str) -> None:
    server.stated = etag
    with pytest.raises(HubError, match="not as a hub does"):
        hub.download(PUBLISHED)
    assert not list(tmp_path.rglob("*evil*"))


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
    "loop": ((302, {"Location": "/"}), "round in a circle: check HF_ENDPOINT"),
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


def test_a_size_that_no_weights_have(server: LoopbackHub) -> None:
    for size in (10**15, 0):
        server.stated_size = size
        with pytest.raises(HubError, match="bytes, which no weight file has"):
            hub.download(PUBLISHED)


def test_more_than_the_file_has(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watched_download, "_SPARE", 0)
    server.spare = bytes(5_000_000)
    with pytest.raises(HubError, match="sends more than the file has"):
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
        ("HTTP_PROXY", "http://host:abc", "the address in HF_ENDPOINT, HTTPS_PROXY"),
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
