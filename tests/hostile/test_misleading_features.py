"""Malicious feature files: none is mistaken for valid features."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made import dataset_of, make_images

from bottleneck.errors import FeatureFileError
from bottleneck.features.extraction import extract
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
    "no provenance": lambda file: file.attrs.__delitem__("provenance"),
    "provenance of numbers": attribute(np.arange(3)),
    "provenance is a reference": lambda f: f.attrs.create(
        "provenance", f.ref, dtype=h5py.ref_dtype
    ),
    "provenance is a list": attribute("[1, 2]"),
    "deep provenance": attribute("[" * 30_000),
    "recipe is a number": stated(recipe=3),
    "name is a number": stated(dataset={"name": 3}),
    "newer format": stated(format=99),
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
        with pytest.raises(FeatureFileError, match="a heap of its texts has no end"):
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
    with pytest.raises(FeatureFileError, match="a heap of its texts has no end"):
        load_features(path)


def test_features_of_another_recipe_under_this_name_are_refused(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 3)
    dataset, options = dataset_of(tmp_path / "images"), {"precision": "fp32", "output": tmp_path}
    one = extract(dataset, tiny_backbone(width=1), **options).path
    other = extract(dataset, tiny_backbone(width=8), **options).path
    one.replace(other)
    with pytest.raises(FeatureFileError, match="features of another recipe"):
        extract(dataset, tiny_backbone(width=8), **options)
