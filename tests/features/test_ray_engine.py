"""Actors of a Ray cluster make the same file as one process, even if some of them are killed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from made import dataset_of
from made_features import make_features
from made_luna16 import make_luna16
from PIL import Image

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers import load_dataset
from bottleneck.data.splits.protocol import Protocol
from bottleneck.deploy.fit import fit
from bottleneck.errors import ClusterError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.extraction_result import Extraction
from bottleneck.files.temporary import own_folder
from bottleneck.processes import cluster, cluster_guard
from bottleneck.testing import tiny_backbone, tiny_volume_backbone

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

MakeImages = Callable[[int], Path]
OPTIONS: dict[str, Any] = {"batch_size": 4, "workers": 1, "precision": "fp32"}
CLUSTER = OPTIONS | {"engine": "ray"}


@pytest.fixture(scope="module", autouse=True)
def two_actors() -> Iterator[None]:
    """One Ray for all tests here, with two cores, so that there are two actors of one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with cluster.connect(cores=2):
        yield
    torch.set_num_threads(threads)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_nobody_else_can_reach_the_cluster() -> None:
    folder = own_folder(short=True)
    assert folder.stat().st_mode & 0o777 == 0o700
    processes = [os.getpid(), *cluster_guard.find_writers(folder / "ray")]
    assert len(processes) > 5
    sockets = set()
    for process in processes:
        for opened in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                sockets.add(str(opened.readlink()))
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, address, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                listening.append(address.partition(":")[0])
    assert len(listening) > 3
    assert set(listening) <= {"0100007F", "0000000000000000FFFF00000100007F"}


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_the_token_of_the_cluster_is_on_no_disk() -> None:
    folder = own_folder(short=True)
    found = set()
    for process in cluster_guard.find_writers(folder / "ray"):
        variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        found |= {each[15:] for each in variables if each.startswith(b"RAY_AUTH_TOKEN=")}
    (token,) = found
    assert len(token) == 64
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert not (Path.home() / ".ray").exists()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not any(token in path.read_bytes() for path in files)


def columns(result: Extraction) -> dict[str, Any]:
    with h5py.File(result.path) as file:
        return {name: member[:].tolist() for name, member in file.items()}


def assert_same(result: Extraction, other: Extraction) -> None:
    """Everything but where and how fast it was made."""
    assert result.path.name == other.path.name
    assert columns(result) == columns(other)
    assert result.failures == other.failures
    varies = {"engine", "stages", "bottleneck", "created", "seconds", "images_per_second"}
    a, b = ({k: v for k, v in r.provenance.items() if k not in varies} for r in (result, other))
    assert json.dumps(a) == json.dumps(b)


def test_the_same_file_as_the_local_engine(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(41)
    # Copies in other chunks than their originals, an image that is none, and one that vanishes.
    for number in (0, 7):
        (folder / f"9{number}.png").write_bytes((folder / f"{number:03d}.png").read_bytes())
    (folder / "020.png").write_bytes(b"no image")
    dataset = dataset_of(folder)
    (folder / "030.png").unlink()
    other = tiny_backbone(width=5, side=12)
    backbones = [tiny_backbone(), other]
    kept = CLUSTER | {"pixel_cache": tmp_path / "pixels"}
    ours = extract_all(dataset, backbones, layers=(), output=tmp_path / "a", **kept)
    local = extract_all(dataset, backbones, layers=(), output=tmp_path / "b", **OPTIONS)
    for one, two in zip(ours, local, strict=True):
        assert [identity for identity, _ in one.failures] == ["020.png", "030.png"]
        assert (one.n_extracted, one.provenance["engine"]) == (39, "ray")
        assert_same(one, two)
    assert len([path for path in (tmp_path / "pixels").rglob("*") if path.is_file()]) == 39
    assert {s.name: s.busy > 0 for s in ours[0].stages} == dict.fromkeys(
        ("read", "decode", "describe", "preprocess", "copy", "forward", "write"), True
    )


@pytest.mark.slow
def test_regions_of_volumes_are_those_of_the_local_engine(tmp_path: Path) -> None:
    scans = make_luna16(tmp_path / "luna", 5)
    dataset = load_dataset(tmp_path / "luna")
    backbone = tiny_volume_backbone(side=8)
    (tmp_path / "luna" / f"subset{scans[0].subset}" / f"{scans[0].uid}.raw").unlink()
    samples = list(dataset.samples)
    region = samples[-1].volume_region
    assert region is not None
    samples[-1] = dataclasses.replace(samples[-1], volume_region=region._replace(x=5e3))
    dataset = dataclasses.replace(dataset, samples=samples)
    result = extract(dataset, backbone, output=tmp_path / "a", **CLUSTER)
    assert result.provenance["engine"] == "ray"
    assert dict(result.failures)[samples[-1].id].startswith("the centre of the region lies outside")
    assert len(result.failures) > 1
    assert_same(result, extract(dataset, backbone, output=tmp_path / "b", **OPTIONS))


@pytest.mark.slow
def test_a_killed_actor_is_replaced(image_folder: MakeImages, tmp_path: Path) -> None:
    folder, seen, gone = image_folder(60), tmp_path / "seen", tmp_path / "gone"
    seen.mkdir()

    # Defined here, so that actors are sent the class itself.
    @dataclasses.dataclass(frozen=True)
    class Telling(FileSource):
        def read(self, source: str) -> bytes:
            (seen / str(os.getpid())).touch()
            # What is left is not done by the other actor alone before the new one is there.
            waited = 0.0
            while gone.exists() and len(list(seen.iterdir())) < 3 and waited < 120:
                time.sleep(0.05)
                waited += 0.05
            time.sleep(0.02)
            return super().read(source)

    killed: list[int] = []

    def kill(done: int, total: int, text: str) -> None:
        if done and not killed:
            killed.append(int(next(seen.iterdir()).name))
            gone.touch()
            os.kill(killed[0], signal.SIGKILL)

    dataset = dataset_of(folder)
    told = dataclasses.replace(dataset, images=Telling(folder))
    result = extract(told, tiny_backbone(), output=tmp_path / "a", progress=kill, **CLUSTER)
    readers = {path.name for path in seen.iterdir()}
    assert len(readers) >= 3  # The two that were there, and the one in place of the killed.
    assert str(os.getpid()) not in readers
    assert_same(result, extract(dataset, tiny_backbone(), output=tmp_path / "b", **OPTIONS))


def spoilt() -> Backbone:
    """A network that makes nothing finite of a white image."""
    backbone = tiny_backbone()

    def spoil(module: Any, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        white = (inputs[0] == 1).flatten(1).all(1)
        return inputs[0].masked_fill(white[:, None, None, None], torch.nan)

    backbone.network.register_forward_pre_hook(spoil)
    return backbone


@pytest.mark.slow
def test_each_engine_continues_the_other(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(60)
    dataset: ImageDataset = dataset_of(folder)
    sound = (folder / "059.png").read_bytes()

    def stop(done: int, total: int, text: str) -> None:
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(dataset, spoilt(), output=tmp_path / "a", progress=stop, **OPTIONS)
    (log,) = (tmp_path / "a").glob("*.unfinished")
    begun = log.stat().st_size
    Image.new("L", (24, 24), 255).save(folder / "059.png")
    with pytest.raises(UsageError, match=r"'059\.png' are not finite in fp32"):
        extract(dataset, spoilt(), output=tmp_path / "a", **CLUSTER)
    assert log.stat().st_size > begun
    (folder / "059.png").write_bytes(sound)
    result = extract(dataset, spoilt(), output=tmp_path / "a", **OPTIONS)
    assert 0 < result.n_extracted < 60
    assert_same(result, extract(dataset, spoilt(), output=tmp_path / "b", **OPTIONS))


@pytest.mark.slow
def test_a_machine_without_the_images(image_folder: MakeImages, tmp_path: Path) -> None:
    here = os.getpid()

    @dataclasses.dataclass(frozen=True)
    class Elsewhere(FileSource):
        def read(self, source: str) -> bytes:
            if os.getpid() != here:
                raise FileNotFoundError(2, "No such file or directory")
            return super().read(source)

    folder = image_folder(5)
    dataset = dataclasses.replace(dataset_of(folder), images=Elsewhere(folder))
    with pytest.raises(ClusterError, match="can be read here: every machine needs the folder"):
        extract(dataset, tiny_backbone(), output=tmp_path, **CLUSTER)
    assert not list(tmp_path.glob("*.h5"))


@pytest.mark.slow
def test_rows_are_made_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Echo:
        def __init__(self, errand: object) -> None: ...

        def __call__(self, table: Any) -> Any:
            return table.rename_columns(["result"])

    made = 0

    def rows() -> Iterator[bytes]:
        nonlocal made
        for made in range(1, 13):
            yield b"%d" % made

    monkeypatch.setattr(cluster, "_WAVE", 5)
    seen = set()
    for outcome in cluster.stream(Echo, None, rows(), actors=2, num_cpus=1, num_gpus=0):
        seen.add(outcome)
        assert made <= 5 * -(-len(seen) // 5)
    assert seen == {b"%d" % number for number in range(1, 13)}


@pytest.mark.slow
def test_joblib_over_the_cluster() -> None:
    features = make_features(n_patients=24)
    moves: list[int] = []

    def move(done: int, total: int, text: str) -> None:
        if text in ("resnet18 (imagenet) + svm", "prior only"):  # The folds of an arm.
            moves.append(done)

    def results(n_jobs: int) -> tuple[Any, ...]:
        comparison = compare(
            features,
            ["svm"],
            protocol=Protocol(n_splits=3),
            n_jobs=n_jobs,
            progress=move,
        )
        model = fit(features, "svm", n_jobs=n_jobs)
        scores = [one.predictions.scores.tolist() for one in comparison.evaluations]
        return scores, model.chosen, model.inner_score, model.estimator.predict(features.X).tolist()

    with cluster.share_out("ray"):
        shared = results(-1)
    assert moves == list(range(7))
    assert shared == results(1)


def test_what_cannot_be(image_folder: MakeImages, tmp_path: Path) -> None:
    dataset = dataset_of(image_folder(1))
    for options, text in (
        ({"engine": "spark"}, "unknown engine 'spark'"),
        ({"engine": "local", "address": "head:6379"}, "add --engine ray"),
        ({"engine": "ray", "address": "head:6379"}, "is connected to the Ray cluster"),
        ({"engine": "ray", "device": "cuda:1"}, "must be auto, cpu or cuda"),
        ({"engine": "ray", "workers": 3}, "no machine of the Ray cluster has 3 cores"),
    ):
        with pytest.raises(UsageError, match=text):
            extract(dataset, tiny_backbone(), output=tmp_path, **{**OPTIONS, **options})


@pytest.mark.slow
def test_a_cluster_without_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with pytest.raises(ClusterError, match="it needs 1 cores and 1000 GPUs"):
        cluster.call(lambda: None, num_cpus=1, num_gpus=1000)
