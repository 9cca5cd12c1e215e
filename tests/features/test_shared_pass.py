"""One pass for many networks, images known by their stamp, and where the time of a run goes."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from made import dataset_of, make_images

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.features.compute import batch_runner
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.extraction_result import Extraction
from bottleneck.features.file import store
from bottleneck.features.file.journal import Journal
from bottleneck.features.file.reader import load_features
from bottleneck.features.timing import STAGES, Clock, Stage, find_bottleneck
from bottleneck.testing import tiny_backbone

MakeImages = Callable[[int], Path]
OPTIONS: dict[str, Any] = {"batch_size": 8, "workers": 2, "precision": "fp32"}


@dataclasses.dataclass(frozen=True)
class CountingSource(FileSource):
    """Counts how often each file is read."""

    counts: Counter[str] = dataclasses.field(default_factory=Counter)

    def read(self, source: str) -> bytes:
        self.counts[source] += 1
        return super().read(source)


def counted(folder: Path) -> tuple[ImageDataset, Counter[str]]:
    source = CountingSource(folder)
    return dataclasses.replace(dataset_of(folder), images=source), source.counts


def named(backbone: Backbone, name: str) -> Backbone:
    backbone.name = backbone.architecture = name
    return backbone


def three() -> list[Backbone]:
    """Networks of different width, input size and pooling."""
    return [
        named(tiny_backbone(), "first"),
        named(tiny_backbone(width=5, side=12), "second"),
        named(tiny_backbone(width=3, pooling="max"), "third"),
    ]


def age(folder: Path, seconds: int = 60) -> None:
    """Let files be old enough for their modification time to tell a change."""
    for path in folder.iterdir():
        then = path.stat().st_mtime_ns - seconds * 10**9
        os.utime(path, ns=(then, then))


def stamps(result: Extraction) -> np.ndarray:
    with h5py.File(result.path) as file:
        return file["stamps"][:]


def test_many_networks_read_each_image_once(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(21)
    alone = [extract(dataset_of(folder), b, output=tmp_path / "a", **OPTIONS) for b in three()]
    dataset, reads = counted(folder)
    together = extract_all(dataset, three(), layers=(), output=tmp_path / "b", **OPTIONS)
    assert reads == Counter(sample.source for sample in dataset.samples)
    assert [result.width for result in together] == [8, 5, 3]
    for one, other in zip(alone, together, strict=True):
        assert one.path.name == other.path.name
        a, b = load_features(one.path), load_features(other.path)
        assert a.X.tobytes() == b.X.tobytes()
        for column in ("ids", "y", "groups", "sha256", "pixels", "size", "brightness"):
            np.testing.assert_array_equal(getattr(a, column), getattr(b, column))
        np.testing.assert_array_equal(a.thumbnails, b.thumbnails)


def test_an_image_known_to_one_network_and_new_to_another(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(9)
    first, second, third = three()
    extract(dataset_of(folder), first, output=tmp_path / "f", **OPTIONS)
    make_images(folder, 4, first=30)
    extract(dataset_of(folder), second, output=tmp_path / "f", **OPTIONS)
    results = extract_all(
        dataset_of(folder), [first, second, third], layers=(), output=tmp_path / "f", **OPTIONS
    )
    assert [(r.n_extracted, r.n_known) for r in results] == [(4, 9), (0, 13), (13, 0)]
    for result, backbone in zip(results, three(), strict=True):
        fresh = extract(dataset_of(folder), backbone, output=tmp_path / "g", **OPTIONS)
        assert load_features(result.path).X.tobytes() == load_features(fresh.path).X.tobytes()


def test_the_same_network_twice_is_one_file(image_folder: MakeImages, tmp_path: Path) -> None:
    backbone = tiny_backbone()
    results = extract_all(
        dataset_of(image_folder(3)), [backbone, backbone], layers=(), output=tmp_path, **OPTIONS
    )
    assert len(results) == 2
    assert len({result.path for result in results}) == len(list(tmp_path.glob("*.h5"))) == 1


def test_a_known_image_is_not_read_again(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(10)
    age(folder)
    first = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    assert stamps(first).tolist() == [
        [path.stat().st_size, path.stat().st_mtime_ns] for path in sorted(folder.iterdir())
    ]
    before = first.path.read_bytes()
    dataset, reads = counted(folder)
    second = extract(dataset, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    assert (second.n_extracted, second.n_known, reads) == (0, 10, Counter())
    verified = extract(dataset, tiny_backbone(), verify=True, output=tmp_path / "f", **OPTIONS)
    assert (verified.n_extracted, verified.n_known) == (0, 10)
    assert set(reads) == {path.name for path in folder.iterdir()}
    assert first.path.read_bytes() == before


def test_a_change_of_size_or_time_is_noticed(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(10)
    age(folder)
    first = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    names = [path.name for path in sorted(folder.iterdir())]
    # Another image with the old file's time; and one of the old size, a nanosecond younger.
    other = (folder / names[1]).stat()
    (folder / names[1]).write_bytes((folder / names[0]).read_bytes() + b"\0" * 9)
    os.utime(folder / names[1], ns=(other.st_atime_ns, other.st_mtime_ns))
    same = (folder / names[2]).stat()
    data = bytearray((folder / names[2]).read_bytes())
    (folder / names[2]).write_bytes(bytes(data))
    os.utime(folder / names[2], ns=(same.st_atime_ns, same.st_mtime_ns + 1))
    dataset, reads = counted(folder)
    second = extract(dataset, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    assert set(reads) == {names[1], names[2]}
    assert (second.n_extracted, second.n_known) == (1, 9)
    X = load_features(second.path).X
    np.testing.assert_array_equal(X[1], X[0])
    assert any("1 image changed" in note for note in second.notes)
    assert stamps(second)[2].tolist() == [same.st_size, same.st_mtime_ns + 1]
    assert first.path == second.path


def test_a_file_that_was_just_written_is_not_trusted(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(3)
    age(folder, -60)
    result = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    assert stamps(result).tolist() == [[-1, -1]] * 3


def test_too_little_memory_halves_the_batch(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(21)
    small = extract(
        dataset_of(folder), tiny_backbone(), output=tmp_path / "a", **OPTIONS | {"batch_size": 2}
    )
    original = batch_runner.embed_together

    def embed(backbones: Any, pixels: torch.Tensor, *rest: Any) -> list[torch.Tensor]:
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(backbones, pixels, *rest)

    monkeypatch.setattr(batch_runner, "embed_together", embed)
    result = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "b", **OPTIONS)
    assert any("continued with 2" in note for note in result.notes)
    assert result.provenance["batch_size"] == 2
    assert load_features(result.path).X.tobytes() == load_features(small.path).X.tobytes()

    def never(*_: object) -> list[torch.Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(batch_runner, "embed_together", never)
    with pytest.raises(UsageError, match="too small for a single image"):
        extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "c", **OPTIONS)


def test_where_the_time_goes(image_folder: MakeImages, tmp_path: Path) -> None:
    result = extract(dataset_of(image_folder(20)), tiny_backbone(), output=tmp_path, **OPTIONS)
    assert [stage.name for stage in result.stages] == list(STAGES)
    assert all(stage.busy > 0 for stage in result.stages)
    assert result.bottleneck in STAGES
    assert result.advice
    assert list(result.provenance["stages"]) == list(STAGES)


def test_the_busiest_threads_are_the_bottleneck() -> None:
    def stages(**busy: float) -> tuple[Stage, ...]:
        waiting = {"decode": 2.0, "copy": 9.0, "forward": 9.0, "write": 9.0}
        return tuple(Stage(n, busy.get(n, 0.1), waiting.get(n, 2.0)) for n in STAGES)

    assert find_bottleneck(stages(decode=8.0, forward=1.0)) == "decode"
    assert find_bottleneck(stages(decode=1.0, read=5.0)) == "read"
    assert find_bottleneck(stages(decode=1.0, forward=100.0)) == "forward"
    assert find_bottleneck(stages(decode=1.0, write=100.0)) == "write"


def test_a_clock_adds_up() -> None:
    clock = Clock(2)
    for _ in range(2):
        with clock.stage("decode"):
            time.sleep(0.01)
    found = {stage.name: stage for stage in clock.stages()}
    assert found["decode"].busy >= 0.02
    assert found["read"].waiting == found["decode"].waiting


def test_features_mapped_into_memory_are_the_same(image_folder: MakeImages, tmp_path: Path) -> None:
    result = extract(dataset_of(image_folder(7)), tiny_backbone(), output=tmp_path, **OPTIONS)
    mapped = load_features(result.path, memory_map=True).X
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, load_features(result.path).X)


def test_a_disk_that_fills_up_at_the_second_file(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, output = dataset_of(image_folder(13)), tmp_path / "f"
    original, written = store.write_features, []

    def full(path: Path, *arguments: Any, **options: Any) -> None:
        if written:
            raise OSError(28, "No space left on device")
        original(path, *arguments, **options)
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_features", full)
        with pytest.raises(FeatureFileError, match="No space left"):
            extract_all(dataset, three(), layers=(), output=output, **OPTIONS)
    assert [path.name for path in output.glob("*.h5")] == [path.name for path in written]
    results = extract_all(dataset, three(), layers=(), output=output, **OPTIONS)
    assert [(r.n_extracted, r.n_known) for r in results] == [(0, 13)] * 3
    assert not list(output.glob("*.unfinished"))
    for result, backbone in zip(results, three(), strict=True):
        alone = extract(dataset, backbone, output=tmp_path / "alone", **OPTIONS)
        assert load_features(result.path).X.tobytes() == load_features(alone.path).X.tobytes()


def test_rows_that_cannot_be_logged_end_the_run_and_are_computed_by_the_next(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, output = dataset_of(image_folder(40)), tmp_path / "f"
    original, calls = Journal.append, []

    def full(self: Journal, *arguments: Any) -> None:
        calls.append(self.path)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        with pytest.raises(FeatureFileError, match="Finished work is kept"):
            extract_all(dataset, three()[:2], layers=(), output=output, **OPTIONS)
    assert len(calls) == 4  # Nothing is tried after the first failure.
    results = extract_all(dataset, three()[:2], layers=(), output=output, **OPTIONS)
    assert sorted(r.n_extracted for r in results) == [24, 32]
    for result, backbone in zip(results, three()[:2], strict=True):
        alone = extract(dataset, backbone, output=tmp_path / "alone", **OPTIONS)
        assert load_features(result.path).X.tobytes() == load_features(alone.path).X.tobytes()


def test_an_image_repeated_within_a_batch_is_computed_once(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(4)
    for number in range(4, 12):
        (folder / f"{number:03d}.png").write_bytes((folder / f"{number % 4:03d}.png").read_bytes())
    options = OPTIONS | {"batch_size": 4}
    result = extract(dataset_of(folder), tiny_backbone(), output=tmp_path / "f", **options)
    assert (result.n_extracted, result.n_samples) == (4, 12)
    features = load_features(result.path).X
    np.testing.assert_array_equal(features[:4], features[4:8])
