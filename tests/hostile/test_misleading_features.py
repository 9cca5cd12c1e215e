"""Malicious feature files: none is mistaken for valid features."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made import dataset_of, make_images

from bottleneck.errors import FeatureFileError
from bottleneck.features.extraction import extract
from bottleneck.features.file.format import FAILED
from bottleneck.features.file.reader import load_features, read_provenance
from bottleneck.features.file.stored_rows import StoredRows
from bottleneck.testing import tiny_backbone


@pytest.fixture(scope="module")
def feature_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("features")
    make_images(folder / "images", 6)
    dataset = dataset_of(folder / "images")
    return extract(dataset, tiny_backbone(), precision="fp32", output=folder).path.read_bytes()


def replaced(name: str, make: Callable[[h5py.File], Any]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        made = make(file)
        if made is not None:
            file[name] = made

    return change


def stated(**fields: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.attrs["provenance"] = json.dumps(json.loads(file.attrs["provenance"]) | fields)

    return change


def attribute(value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__("provenance", value)


def huge(file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    file.create_dataset(name, shape, dtype, chunks=tuple(min(s, 64) for s in shape))


def packed(file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    file.create_dataset(name, shape, dtype, chunks=shape, compression="gzip")


def chunked(file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    file.create_dataset(name, shape, dtype, chunks=shape)[:] = 1


def empty(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    file.create_dataset(name, shape, "<f4")


def no_rows(file: h5py.File) -> None:
    for name, member in list(file.items()):
        shape, dtype = member.shape, member.dtype
        del file[name]
        file.create_dataset(name, (0, *shape[1:]), dtype)


def deep() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(30):
        made = {"a": made}
    return made


LIES: dict[str, Callable[[h5py.File], None]] = {
    "external link": replaced("embeddings", lambda f: h5py.ExternalLink("/etc/passwd", "x")),
    "soft link": replaced("embeddings", lambda f: h5py.SoftLink("/size")),
    "circle of links": replaced("ids", lambda f: h5py.SoftLink("/ids")),
    "group": replaced("labels", lambda f: f.create_group("labels") and None),
    "group in itself": replaced("labels", lambda f: f["/"]),
    "huge size": replaced("embeddings", lambda f: huge(f, "embeddings", (6, 10**12), "<f4")),
    "huge text": replaced("labels", lambda f: huge(f, "labels", (6,), "S100000000")),
    "other file's bytes": replaced(
        "embeddings",
        lambda f: (
            f.create_dataset("embeddings", (6, 8), "<f4", external=[("/etc/passwd", 0, 192)])
            and None
        ),
    ),
    "fewer rows": replaced("labels", lambda f: np.array(["a"] * 5, h5py.string_dtype())),
    "other shape": replaced("embeddings", lambda f: np.zeros((6, 2, 4), "<f4")),
    "integers": replaced("embeddings", lambda f: np.zeros((6, 8), "<i4")),
    "objects": replaced("ids", lambda f: np.array([f.ref] * 6, h5py.ref_dtype)),
    "lists": replaced("ids", lambda f: huge(f, "ids", (6,), h5py.vlen_dtype(np.int32))),
    "no text": replaced("ids", lambda f: huge(f, "ids", (6,), h5py.string_dtype())),
    "not UTF-8": replaced("labels", lambda f: np.array([b"\xff"] * 6, h5py.string_dtype())),
    "ids twice": replaced("ids", lambda f: np.array(["same"] * 6, h5py.string_dtype())),
    "small thumbnails": replaced("thumbnails", lambda f: np.zeros((6, 3, 3), "u1")),
    "failures of numbers": replaced("failures", lambda f: np.zeros(3)),
    "failed samples that did not fail": lambda f: f.create_dataset(
        "failed_samples", data=np.array([("image", "a", "b", "")], FAILED)
    ),
    "no provenance": lambda file: file.attrs.__delitem__("provenance"),
    "provenance of numbers": attribute(np.arange(3)),
    "provenance is a reference": lambda f: f.attrs.create(
        "provenance", f.ref, dtype=h5py.ref_dtype
    ),
    "provenance is a list": attribute("[1, 2]"),
    "no width": replaced("embeddings", lambda f: np.zeros((6, 0), "<f4")),
    "no size": replaced("size", lambda f: np.zeros((6, 2), "<i4")),
    "no brightness": replaced("brightness", lambda f: np.full(6, np.nan, "<f4")),
    "absurd brightness": replaced("brightness", lambda f: np.full(6, np.inf, "<f4")),
    "no rows": lambda f: no_rows(f),
    "failures of lists": replaced(
        "failures",
        lambda f: np.array(
            [(np.arange(4), np.arange(4))],
            [("id", h5py.vlen_dtype("<i8")), ("reason", h5py.vlen_dtype("<i8"))],
        ),
    ),
    "many wrong values": stated(shape=[""] * 20_000),
    "deep provenance": attribute("[" * 30_000),
    "recipe is a number": stated(recipe=3),
    "name is a number": stated(dataset={"name": 3}),
    "newer format": stated(format=99),
    "text of fixed length": replaced("labels", lambda f: np.array([b"a"] * 6, "S1")),
    "text of megabytes": replaced("labels", lambda f: huge(f, "labels", (6,), "S200000")),
    "compressed": replaced("embeddings", lambda f: packed(f, "embeddings", (6, 8), "<f4")),
    "compressed text": replaced("ids", lambda f: packed(f, "ids", (6,), h5py.string_dtype())),
    "chunks": replaced("thumbnails", lambda f: chunked(f, "thumbnails", (6, 32, 32), "u1")),
    "never written": replaced("embeddings", lambda f: empty(f, "embeddings", (6, 8))),
    "double precision": replaced("embeddings", lambda f: np.zeros((6, 8))),
    "big-endian": replaced("embeddings", lambda f: np.zeros((6, 8), ">f4")),
    "short hashes": replaced("pixels", lambda f: np.array([b"a"] * 6, "S8")),
    "wide sizes": replaced("size", lambda f: np.zeros((6, 200), "<i4")),
    "ASCII text": replaced("ids", lambda f: np.array(list("abcdef"), h5py.string_dtype("ascii"))),
    "long id": replaced("ids", lambda f: np.array(["x" * 5000, *"abcde"], h5py.string_dtype())),
    "long provenance": stated(command="x" * 5_000_000),
    "provenance of many values": stated(shape=[1] * 1_100_000),
    "provenance of many bits": stated(images_extracted=10**400),
    "provenance of infinite time": stated(seconds=1e999),
    "provenance of no number": stated(seconds=float("nan")),
    "provenance of negative time": stated(stages={"read": {"busy": -1.0, "waiting": 0.0}}),
    "provenance of a text as a number": stated(batch_size="32"),
    "provenance of absurd batches": stated(batch_size=10**20),
    "provenance of many classes": stated(
        dataset={"name": "x", "fingerprint": "", "classes": {"a": [1]}}
    ),
    "provenance without a fingerprint": stated(dataset={"name": "x"}),
    "provenance of half a selection": stated(
        dataset={"name": "x", "fingerprint": "", "selection": {"excluded": 1}}
    ),
    "provenance of levels": stated(
        recipe={"backbone": "x", "weights": "y", "preprocessing": deep()}
    ),
    "provenance of a window": stated(
        recipe={
            "backbone": "x",
            "weights": "y",
            "preprocessing": {"preparation": {"window": [1e300, -1]}},
        }
    ),
    "provenance of texts": attribute(np.array(["{}"] * 3, h5py.string_dtype())),
}


@pytest.mark.parametrize("lie", LIES)
def test_feature_files_made_to_mislead_are_refused(
    tmp_path: Path, feature_file: bytes, lie: str
) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(feature_file)
    with h5py.File(path, "r+") as file:
        LIES[lie](file)
    with pytest.raises(FeatureFileError):
        load_features(path)


def test_texts_that_share_their_bytes_are_refused(tmp_path: Path, feature_file: bytes) -> None:
    # A long text, to which every row then points: 6 MB as the file says, 100 GB in memory.
    path, n = tmp_path / "x.h5", 100_000
    path.write_bytes(feature_file)
    with h5py.File(path, "r+") as file:
        del file["ids"]
        texts = file.create_dataset("ids", (n,), h5py.string_dtype())
        texts[:] = ["x"] * (n - 1) + ["y" * 1_000_000]
        place = texts.id.get_offset()
    data = bytearray(path.read_bytes())
    data[place : place + 16 * n] = data[place + 16 * (n - 1) : place + 16 * n] * n
    path.write_bytes(data)
    with pytest.raises(FeatureFileError, match=r"'/?ids' is missing or malformed"):
        load_features(path)


@pytest.mark.parametrize("kind", range(2, 16))
def test_a_damaged_type_of_the_provenance_is_refused(
    kind: int, tmp_path: Path, feature_file: bytes
) -> None:
    # HDF5's format specification, IV.A.2.d and IV.A.2.m: the name of an attribute, filled up to a
    # multiple of 8 bytes, then its type. 9 is a type of variable length, of which the next byte
    # says what it holds: 0 a sequence, 1 text, all else nothing.
    name = b"provenance\0"
    at = feature_file.rfind(name) + -(-len(name) // 8) * 8
    assert feature_file[at] & 15 == 9
    damaged = bytearray(feature_file)
    damaged[at + 1] = kind
    path = tmp_path / "x.h5"
    path.write_bytes(damaged)
    with pytest.raises(FeatureFileError):
        read_provenance(path)


def test_a_heap_of_texts_without_end_is_refused(tmp_path: Path, feature_file: bytes) -> None:
    # HDF5 2.0 itself never returns from this one.
    path, data = tmp_path / "x.h5", bytearray(feature_file)
    heap = data.index(b"GCOL\x01")
    data[heap + 16 : heap + 32] = bytes(16)
    path.write_bytes(data)
    for read in (read_provenance, load_features, StoredRows):
        with pytest.raises(FeatureFileError, match="a heap of its text does not end"):
            read(path)


def test_a_heap_inside_of_the_embeddings_is_found(tmp_path: Path, feature_file: bytes) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(feature_file)
    with h5py.File(path, "r+") as file:
        place, size = file["ids"].id.get_offset(), file["ids"].size
        del file["embeddings"]
        inside = file.create_dataset("embeddings", (6, 512), "<f4")
        inside[:] = 0
        start = inside.id.get_offset()
    data = bytearray(path.read_bytes())
    # Every id is a text of the heap that begins where the features do, and has no end.
    data[start : start + 16] = struct.pack("<5s3xQ", b"GCOL\x01", 4096)
    row = struct.pack("<IQI", 4, start, 1)
    data[place : place + len(row) * size] = row * size
    path.write_bytes(data)
    with pytest.raises(FeatureFileError, match="a heap of its text does not end"):
        load_features(path)


def test_features_of_another_recipe_under_this_name_are_refused(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 3)
    dataset, options = dataset_of(tmp_path / "images"), {"precision": "fp32", "output": tmp_path}
    one = extract(dataset, tiny_backbone(width=1), **options).path
    other = extract(dataset, tiny_backbone(width=8), **options).path
    one.replace(other)
    with pytest.raises(FeatureFileError, match="features of another recipe"):
        extract(dataset, tiny_backbone(width=8), **options)


CHILD = """
import resource, sys
from pathlib import Path
from bottleneck.errors import BottleneckError
from bottleneck.features.file.reader import load_features, read_provenance
from bottleneck.features.file.stored_rows import StoredRows

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in map(Path, sys.argv[1:]):
    for read in (read_provenance, load_features, StoredRows):
        try:
            read(path)
        except BottleneckError:
            pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_reading_a_small_file_takes_little_memory(tmp_path: Path, feature_file: bytes) -> None:
    # The bound is 64 bytes for each byte of the file, and 256 MiB.
    def text(width: int, rows: int) -> Callable[[h5py.File], None]:
        def change(file: h5py.File) -> None:
            for name in ("ids", "labels", "sources"):
                del file[name]
                how = {"chunks": (1000,), "compression": "gzip"}
                file.create_dataset(name, (rows,), f"S{width}", **how)

        return change

    def long_texts(file: h5py.File) -> None:
        n = 60_000
        for name in ("ids", "labels", "sources"):
            del file[name]
            texts = [f"{name}{i}" for i in range(n - 1)]
            file[name] = np.array(["x" * 3900, *texts], h5py.string_dtype())

    changes = {
        "fixed": text(100_000, 10_000),
        "long": long_texts,
        "lists": stated(excluded=[[[]] * 300_000]),
        "wrong values": stated(shape=[""] * 900_000),
        "fields": stated(**{f"x{i}": {} for i in range(200_000)}),
    }
    for name, change in changes.items():
        path = tmp_path / f"{name}.h5"
        path.write_bytes(feature_file)
        with h5py.File(path, "r+") as file:
            change(file)
    # A heap, and a part of the file's own lists, that state a terabyte, in a file that has it.
    for name, at in {
        "heap": feature_file.index(b"GCOL") + 8,
        "names": feature_file.index(b"HEAP") + 8,
    }.items():
        data = bytearray(feature_file)
        data[at : at + 8] = (2**39).to_bytes(8, "little")
        (tmp_path / f"{name}.h5").write_bytes(data)
        os.truncate(tmp_path / f"{name}.h5", 2**40)
    paths = sorted(tmp_path.glob("*.h5"))
    size = max(path.stat().st_blocks * 512 for path in paths)
    command = [sys.executable, "-c", CHILD, *map(str, paths)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert int(told.stdout) * 1024 < 64 * size + 2**28
