"""Rows of the same images are taken from other feature files, and from none that is in doubt."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made import dataset_of, make_images

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.errors import FeatureFileError
from bottleneck.features.extraction import Extraction, extract
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

N = 6


@pytest.fixture
def first(tmp_path: Path) -> Extraction:
    """Features of a data set named "made"."""
    make_images(tmp_path / "images", N)
    return run(dataset_of(tmp_path / "images"), tmp_path)


def run(dataset: ImageDataset, tmp_path: Path) -> Extraction:
    options = {"precision": "fp32", "batch_size": 4, "output": tmp_path / "features"}
    return extract(dataset, tiny_backbone(), **options)


def copied(tmp_path: Path, name: str = "copy") -> ImageDataset:
    """The same images in another folder, under other names and labels."""
    for number, path in enumerate(sorted((tmp_path / "images").iterdir())):
        (tmp_path / name).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / name / f"scan-{N - number}.png")
    return dataset_of(tmp_path / name, name=name)


def test_a_renamed_copy_computes_nothing(first: Extraction, tmp_path: Path) -> None:
    second = run(copied(tmp_path), tmp_path)
    assert (second.n_extracted, second.n_known) == (0, N)
    assert second.taken == {first.path.name: N}
    assert any(f"{N} rows taken from {first.path.name}" in note for note in second.notes)
    assert second.provenance["images_extracted"] == 0
    assert second.provenance["taken"] == {first.path.name: N}
    before, after = load_features(first.path), load_features(second.path)
    order = [before.sha256.tolist().index(digest) for digest in after.sha256]
    assert order == list(range(N))[::-1]
    for field in ("X", "pixels", "size", "brightness", "thumbnails"):
        assert np.array_equal(getattr(after, field), getattr(before, field)[order]), field
    # From now on the file is as any other.
    assert run(copied(tmp_path), tmp_path).taken == {}


def test_a_combination_computes_what_is_new(first: Extraction, tmp_path: Path) -> None:
    make_images(tmp_path / "other", 3, first=50)
    second = run(dataset_of(tmp_path / "other", name="other"), tmp_path)
    shutil.copytree(tmp_path / "images", tmp_path / "both")
    shutil.copytree(tmp_path / "other", tmp_path / "both", dirs_exist_ok=True)
    make_images(tmp_path / "both", 2, first=90)
    both = run(dataset_of(tmp_path / "both", name="both"), tmp_path)
    assert (both.n_extracted, both.n_known) == (2, N + 3)
    assert both.taken == {first.path.name: N, second.path.name: 3}


def test_a_region_is_another_row(first: Extraction, tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "images", name="crops")
    samples = tuple(
        dataclasses.replace(s, region=(0, 0, 20, 20) if n < 2 else None)
        for n, s in enumerate(dataset.samples)
    )
    crops = ImageDataset("crops", samples, FileSource(tmp_path / "images"))
    made = run(crops, tmp_path)
    assert (made.n_extracted, made.taken) == (2, {first.path.name: N - 2})
    # And a crop gives no row to a whole image.
    shutil.move(first.path, tmp_path / "away.h5")
    whole = run(dataset_of(tmp_path / "images"), tmp_path)
    assert (whole.n_extracted, whole.taken) == (2, {made.path.name: N - 2})


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with h5py.File(path, "r+") as file:
        record = json.loads(file.attrs["provenance"])
        change(record)
        file.attrs["provenance"] = json.dumps(record)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def swap_hashes(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["sha256"][:] = file["sha256"][:][::-1]


def swap_regions(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["regions"] = np.full((N, 4), 3, np.int32)


def save_again(path: Path) -> None:
    features = load_features(path)
    dataclasses.replace(features, X=features.X * 2).save(path, overwrite=True)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "damaged"),
        (lambda p: p.write_bytes(b""), "no HDF5 file"),
        (swap_hashes, "not those that it was written with"),
        (swap_regions, "not those that it was written with"),
        (lambda p: edit(p, lambda r: r["recipe"].update(layer="9")), "not the one of its hash"),
        (lambda p: edit(p, lambda r: r.update(content="")), "not those that it was written with"),
        (lambda p: edit(p, lambda r: r.pop("dataset")), "not a valid feature file"),
        (lambda p: edit(p, lambda r: r.update(recipe_hash="0" * 64)), ""),
        (save_again, ""),
    ],
)
def test_nothing_is_taken_from_a_file_in_doubt(
    first: Extraction, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    expected = load_features(first.path).X
    spoil(first.path)
    second = run(copied(tmp_path), tmp_path)
    assert (second.n_extracted, second.taken) == (N, {})
    assert np.array_equal(load_features(second.path).X, expected[::-1])
    said = [note for note in second.notes if "no rows were taken" in note]
    assert bool(said) == bool(words)
    assert all(words in note for note in said)


def test_rows_that_are_no_numbers_end_the_run(first: Extraction, tmp_path: Path) -> None:
    with h5py.File(first.path, "r+") as file:
        file["embeddings"][2, 0] = np.nan
    with pytest.raises(FeatureFileError, match="not finite numbers"):
        run(copied(tmp_path), tmp_path)


def test_a_file_that_changes_meanwhile_ends_the_run(
    first: Extraction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bottleneck.features.file import neighbour_files

    inside = neighbour_files.NeighbourFiles.read

    def read(self: Any, keys: Any) -> Any:
        if keys:
            swap_hashes(first.path)
        return inside(self, keys)

    monkeypatch.setattr(neighbour_files.NeighbourFiles, "read", read)
    with pytest.raises(FeatureFileError, match="changed while rows were taken"):
        run(copied(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("precision", "compile", "change", "n_taken"),
    [
        ("bf16", "auto", {"compiled": True}, N),
        ("bf16", "never", {}, N),
        ("bf16", "never", {"compiled": True}, 0),
        ("bf16", "never", {"device": "cuda:0 (made up)"}, 0),
        ("bf16", "never", {"taken": {"another file": 1}}, 0),
        ("fp32", "never", {"compiled": True}, N),
    ],
)
def test_rows_of_a_reduced_precision_are_those_of_the_same_arithmetic_where_it_is_stated(
    tmp_path: Path, precision: str, compile: str, change: dict[str, Any], n_taken: int
) -> None:
    make_images(tmp_path / "images", N)
    options = {"precision": precision, "batch_size": 4, "output": tmp_path / "features"}
    first = extract(dataset_of(tmp_path / "images"), tiny_backbone(), compile="never", **options)
    with h5py.File(first.path, "r+") as file:
        provenance = json.loads(file.attrs["provenance"]) | change
        file.attrs["provenance"] = json.dumps(provenance)
    second = extract(copied(tmp_path), tiny_backbone(), compile=compile, **options)
    assert sum(second.taken.values()) == n_taken
    assert second.n_extracted == N - n_taken
    assert any("no rows were taken" in note for note in second.notes) == (not n_taken)
