"""Samples on disk behave like samples in memory."""

from __future__ import annotations

import dataclasses
import pickle
import tracemalloc
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers import load_dataset
from bottleneck.data.samples import sample_table as samples_module
from bottleneck.data.samples.sample_table import Sample, SampleTable, blocks_of, collect
from bottleneck.errors import DataError, UsageError


def make(n: int = 1500) -> list[Sample]:
    """Samples with every kind of field: empty, repeated, not ASCII, with a region."""
    return [
        Sample(
            id=f"ü{n}",
            source=f"folder/{n // 2}.png",
            label="abc"[n % 3],
            group=f"P{n // 4}" if n % 5 else None,
            split="train" if n % 2 else "test",
            centre='O\'Hare "1"',
            region=(1, 2, n + 3, 4) if n % 3 else None,
        )
        for n in range(n)
    ]


def dataset(samples: Sequence[Sample]) -> ImageDataset:
    return ImageDataset("x", samples, FileSource(Path()))


def test_a_table_is_the_sequence_that_it_was_made_from() -> None:
    expected = make()
    table = SampleTable(iter(expected))
    assert len(table) == len(expected)
    assert list(table) == expected
    assert [table[n] for n in (0, 511, 512, 1499, -1, -1500)] == [
        expected[n] for n in (0, 511, 512, 1499, -1, -1500)
    ]
    for part in (
        slice(3, 700),
        slice(None, -1490),
        slice(9, 3),
        slice(1400, 9999),
        slice(5, 0, -2),
    ):
        assert list(table[part]) == expected[part]
    for n in (1500, -1501):
        with pytest.raises(IndexError):
            table[n]
    assert [s for _, block in blocks_of(table) for s in block] == expected
    assert pickle.loads(pickle.dumps(table)) == tuple(expected)
    assert expected[7] in table
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(table.__getitem__, range(1500))) == expected


def test_a_data_set_says_the_same_of_a_table() -> None:
    few, many = dataset(tuple(make())), dataset(SampleTable(make()))
    for name in ("classes", "class_counts", "n_groups", "fingerprint"):
        assert getattr(few, name) == getattr(many, name)
    for field in ("group", "fold", "region", "centre"):
        assert few.names(field) == many.names(field)
    assert many.names("fold") is False
    assert list(few.limited(40).samples) == list(many.limited(40).samples)
    nobody = [dataclasses.replace(sample, group=None) for sample in make()]
    assert dataset(SampleTable(nobody)).n_groups is None


def test_ids_that_repeat_are_refused_in_a_table_too() -> None:
    expected = make()
    twice = SampleTable([*expected, expected[9], expected[4], expected[9]])
    with pytest.raises(DataError, match=r"several samples have the id 'ü4' \(2 such ids"):
        dataset(twice)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let four samples be many."""
    monkeypatch.setattr(samples_module, "_MAX_IN_MEMORY", 3)


def write_manifest(folder: Path, n: int, *more: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "0.png").write_bytes(b"x")
    rows = (f"{number}.png,{'ab'[number % 2]},P{number}" for number in range(n))
    path = folder / "m.csv"
    path.write_text("\n".join(["path,label,patient", *rows, *more, ""]))
    return path


def test_a_long_manifest_is_read_into_a_table(tmp_path: Path, few: None) -> None:
    path = write_manifest(tmp_path, 9)
    read = load_dataset(path)
    assert isinstance(read.samples, SampleTable)
    assert [s.group for s in read.samples] == [f"P{n}" for n in range(9)]
    limited = load_dataset(path, limit=5)
    assert isinstance(limited.samples, SampleTable)
    assert len(limited) == 5
    with pytest.raises(DataError, match=r"m.csv, line 11: '2.png' is already in line 4"):
        load_dataset(write_manifest(tmp_path, 9, "2.png,a,P2"))
    with pytest.raises(DataError, match="contains a line break or NUL"):
        load_dataset(write_manifest(tmp_path, 9, '"2\n.png",a,P2'))


def test_names_that_are_not_unicode_are_refused_before_the_disk(few: None) -> None:
    odd = [Sample(f"{n}", "a\udcff", "a") for n in range(9)]
    with pytest.raises(DataError, match="bytes that are not UTF-8"):
        collect(odd)


def test_patients_are_found_in_a_table(tmp_path: Path, few: None) -> None:
    for n in range(6):
        (tmp_path / "ab"[n % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[n % 2] / f"P{n // 2}_{n}.png").write_bytes(b"x")
    found = load_dataset(tmp_path, patient_pattern=r"P\d")
    assert isinstance(found.samples, SampleTable)
    assert found.n_groups == 3
    with pytest.raises(UsageError, match=r"does not match 'a/P0_0.png' \(6 of 6 images"):
        load_dataset(tmp_path, patient_pattern="Q")


def test_a_manifest_takes_no_memory_for_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples_module, "_MAX_IN_MEMORY", 500)

    def peak(n: int) -> int:
        path = write_manifest(tmp_path / str(n), n)
        tracemalloc.start()
        try:
            read = load_dataset(path)
            assert (len(read), read.n_groups) == (n, n)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1000)
    # A sample in memory takes some 400 bytes.
    assert peak(22_000) - peak(2000) < 20_000 * 10


def test_what_is_raised_while_samples_are_made_is_raised() -> None:
    def broken() -> Iterator[Sample]:
        yield from make(3)
        raise OSError("the table is gone")

    with pytest.raises(OSError, match="the table is gone"):
        SampleTable(broken())
