"""Downloads that are cut, changed or interrupted: nothing half downloaded, nothing lost."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from backbones.loopback_hub import COMMIT, LoopbackHub, use_endpoint
from hub_weights import NAME, PUBLISHED, REPOSITORY, SMALL, blobs
from huggingface_hub import constants
from safetensors.torch import save

from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import ENCODERS, find_encoder
from bottleneck.backbones.networks import build
from bottleneck.backbones.weights import hub, index, watched_download
from bottleneck.backbones.weights.hub import HubError
from bottleneck.errors import WeightsError

# Each attempt starts again and comes further than a piece.
ENDLESS = pytest.param(600_000, False, marks=pytest.mark.slow)


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
