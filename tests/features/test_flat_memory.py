"""What grows with the number of images lies on the disk; logs and files are known by sample."""

from __future__ import annotations

import dataclasses
import gc
import os
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from made import dataset_of, make_images

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.samples import sample_table as samples_module
from bottleneck.data.samples.sample_table import Sample, SampleTable
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.extraction_result import Extraction
from bottleneck.features.file import format, store
from bottleneck.features.file.journal import Journal
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

MakeImages = Callable[[int], Path]
OPTIONS: dict[str, Any] = {"batch_size": 8, "workers": 2, "precision": "fp32"}


@dataclasses.dataclass(frozen=True)
class Counting(FileSource):
    """Counts how often each file is read."""

    counts: Counter[str] = dataclasses.field(default_factory=Counter)

    def read(self, source: str) -> bytes:
        self.counts[source] += 1
        return super().read(source)


class Stamped:
    """Pictures that are made when they are read, stamped with their number."""

    def read(self, source: str) -> bytes:
        return b"P5\n8 8\n255\n" + int(source).to_bytes(64, "big")


def counted(dataset: ImageDataset) -> tuple[ImageDataset, Counter[str]]:
    assert isinstance(dataset.images, FileSource)
    source = Counting(dataset.images.root)
    return dataclasses.replace(dataset, images=source), source.counts


def contents(result: Extraction) -> dict[str, Any]:
    with h5py.File(result.path) as file:
        return {name: file[name][:].tolist() for name in file}


def old(folder: Path) -> ImageDataset:
    """Read a folder of images that are old enough for their time to tell a change."""
    for path in folder.iterdir():
        os.utime(path, ns=(10**18, 10**18 + len(path.name)))
    return dataset_of(folder)


def break_off(dataset: ImageDataset, output: Path, after: int) -> None:
    """Begin an extraction, and interrupt it after so many batches."""
    append, calls = Journal.append, []
    torch.set_num_threads(1)  # In one lane, batches are finished in their order.

    def interrupted(self: Journal, *arguments: Any) -> None:
        append(self, *arguments)
        calls.append(1)
        if len(calls) == after:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            extract(dataset, tiny_backbone(), output=output, **OPTIONS)


def test_a_resumed_run_does_not_read_what_the_log_holds(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(30)
    # A copy has no row of its own in the log.
    (folder / "003.png").write_bytes((folder / "000.png").read_bytes())
    dataset = old(folder)
    whole = extract(dataset, tiny_backbone(), output=tmp_path / "whole", **OPTIONS)
    break_off(dataset, tmp_path / "f", after=2)
    again, reads = counted(dataset)
    result = extract(again, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    # Two batches of eight, and the copy among them.
    assert set(reads) == {f"{n:03d}.png" for n in range(17, 30)}
    assert (result.n_extracted, result.n_known, result.n_copies) == (13, 16, 1)
    assert contents(result) == contents(whole)


def test_a_logged_image_that_changed_is_read_and_computed(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(20)
    dataset = old(folder)
    break_off(dataset, tmp_path / "f", after=1)
    (folder / "002.png").write_bytes((folder / "001.png").read_bytes() + b"\0")
    again, reads = counted(dataset)
    result = extract(again, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    assert set(reads) == {"002.png", *(f"{n:03d}.png" for n in range(8, 20))}
    fresh = extract(dataset, tiny_backbone(), output=tmp_path / "fresh", **OPTIONS)
    assert contents(result)["sha256"] == contents(fresh)["sha256"]
    assert load_features(result.path).X.tobytes() == load_features(fresh.path).X.tobytes()


def test_a_log_names_images_of_which_every_row_is_known(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = image_folder(20)
    dataset = old(folder)
    extract(dataset, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    monkeypatch.setattr("bottleneck.features.file.store._MOST_UNLOGGED", 6)
    for path in folder.iterdir():
        os.utime(path, ns=(10**18, 10**18 + 99))
    break_off(dataset, tmp_path / "f", after=2)
    again, reads = counted(dataset)
    result = extract(again, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    # The first is read to see that the file is this data set's.
    assert set(reads) == {"000.png", *(f"{n:03d}.png" for n in range(12, 20))}
    assert (result.n_extracted, result.n_known) == (0, 20)


def test_rows_are_found_wherever_they_stand(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(12)
    dataset = old(folder)
    extract(dataset, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    make_images(folder, 2, first=40)
    order = [13, 7, 0, 1, 2, 11, 3, 12, 5]
    every = dataset_of(folder).samples
    moved = dataclasses.replace(dataset, samples=tuple(every[n] for n in order))
    again, reads = counted(moved)
    result = extract(again, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    assert set(reads) == {every[12].source, every[13].source}
    assert (result.n_extracted, result.n_known) == (2, 7)
    assert any("5 images no longer in the data set" in note for note in result.notes)
    fresh = extract(moved, tiny_backbone(), output=tmp_path / "fresh", **OPTIONS)
    a, b = contents(result), contents(fresh)
    assert all(a[name] == b[name] for name in a if name != "stamps")


def test_a_table_of_samples_makes_the_same_file(image_folder: MakeImages, tmp_path: Path) -> None:
    dataset = old(image_folder(23))
    samples = [
        dataclasses.replace(s, region=(0, 0, 9 + n, 9) if n % 3 else None)
        for n, s in enumerate(dataset.samples)
    ]
    few = dataclasses.replace(dataset, samples=tuple(samples))
    many = dataclasses.replace(dataset, samples=SampleTable(samples))
    backbones = [tiny_backbone(), tiny_backbone(width=5)]
    one = extract_all(few, backbones, layers=(), output=tmp_path / "few", **OPTIONS)
    other = extract_all(many, backbones, layers=(), output=tmp_path / "many", **OPTIONS)
    assert [contents(result) for result in one] == [contents(result) for result in other]
    assert one[0].provenance["content"] == other[0].provenance["content"]
    again, reads = counted(many)
    results = extract_all(again, backbones, layers=(), output=tmp_path / "few", **OPTIONS)
    assert ([r.n_known for r in results], reads) == ([23, 23], Counter())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)  # One lane: fewer batches are under way, and more evenly many.
    # Small blocks, because some are always in memory.
    monkeypatch.setattr(samples_module, "_BLOCK", 64)
    live: list[int] = []
    write = store.write_features

    def note() -> None:
        gc.collect()
        live.append(tracemalloc.get_traced_memory()[0])

    def writing(*arguments: Any, **options: Any) -> None:
        write(*arguments, **options)
        note()

    monkeypatch.setattr(store, "write_features", writing)

    def measure(n: int, n_extracted: int) -> int:
        table = SampleTable(Sample(f"{i}", f"{i}", "ab"[i % 2], f"P{i}") for i in range(n))
        dataset = ImageDataset(f"n{n}", table, Stamped())
        live.clear()
        tracemalloc.start()
        try:
            result = extract(
                dataset,
                tiny_backbone(),
                progress=lambda done, total, _: note() if done == total else None,
                output=tmp_path / f"f{n}",
                **OPTIONS | {"batch_size": 16},
            )
        finally:
            tracemalloc.stop()
        assert result.n_extracted == n_extracted
        assert len(live) == 1 + (n_extracted > 0)
        return max(live)

    measure(100, 100)
    # It was 700 bytes a row once, which made 1.1 MB. What is under way, a few batches, varies.
    assert measure(2000, 2000) - measure(400, 400) < 500_000
    assert measure(2000, 0) - measure(400, 0) < 500_000


def test_texts_of_many_blocks(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_of(image_folder(11))
    samples = tuple(
        dataclasses.replace(s, id="é" * (n + 1), group="P" if n == 7 else None)
        for n, s in enumerate(dataset.samples)
    )
    named = dataclasses.replace(dataset, samples=samples)
    result = extract(named, tiny_backbone(), output=tmp_path, **OPTIONS)
    monkeypatch.setattr(format, "_BLOCK", 4)
    features = load_features(result.path, memory_map=True)
    assert features.ids.tolist() == [s.id for s in samples]
    assert features.stated_patients is not None
    assert features.stated_patients.tolist() == [s.group or "" for s in samples]
    assert isinstance(features.thumbnails, np.memmap)
    with h5py.File(result.path) as file:
        np.testing.assert_array_equal(features.thumbnails, file["thumbnails"][:])
