"""Several data sets of images as one: every image is read from its own data set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from made import dataset_of, make_images

from bottleneck.data.augmented_copies import Augmentation, augment
from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.volumes.volume_files import VolumeFiles
from bottleneck.errors import UsageError
from bottleneck.features.extraction import extract
from bottleneck.testing import tiny_backbone


@pytest.fixture
def sites(tmp_path: Path) -> dict[str, ImageDataset]:
    make_images(tmp_path / "bern", 8)
    make_images(tmp_path / "basel", 6, first=50)
    return {name: dataset_of(tmp_path / name, name=name) for name in ("bern", "basel")}


def test_images_come_from_their_own_data_set(sites: dict[str, ImageDataset]) -> None:
    both = ImageDataset.concatenate(sites.values())
    assert (len(both), both.n_groups, both.name) == (14, 7, "bern + basel")
    given = [(name, s) for name, one in sites.items() for s in one.samples]
    for sample, (name, own) in zip(both.samples, given, strict=True):
        assert (sample.id, sample.group) == (f"{name}/{own.id}", f"{name}/{own.group}")
        assert (sample.centre, sample.label) == (name, own.label)
        assert both.read(sample) == sites[name].read(own)
        assert both.stamp(sample) == sites[name].stamp(own) is not None
    assert ImageDataset.concatenate(sites.values(), same_patients=True).n_groups == 4
    twice = ImageDataset.concatenate({"all": both, "more": sites["bern"]})
    assert twice.read(twice.samples[0]) == sites["bern"].read(sites["bern"].samples[0])
    assert twice.samples[0].centre == "all/bern"
    copies = augment(both, Augmentation(copies=1))
    assert copies.read(copies.samples[1])


def test_lesions_of_different_data_sets_are_different(tmp_path: Path) -> None:
    (tmp_path / "scan.mhd").touch()
    rows = [
        {"path": "scan.mhd", "label": "ill", "x": 1, "y": 2, "z": 3, "lesion": "L1"},
        {"path": "scan.mhd", "label": "well", "x": 4, "y": 5, "z": 6},
    ]
    sites = [
        ImageDataset.from_samples(rows, name=name, images=tmp_path) for name in ("bern", "basel")
    ]
    sites[1] = dataclasses.replace(sites[1], images=VolumeFiles(tmp_path / "elsewhere"))
    both = ImageDataset.concatenate(sites)
    assert both.holds_volumes
    assert [s.lesion for s in both.samples] == ["bern/L1", None, "basel/L1", None]
    assert [s.volume_region for s in both.samples[:2]] == [
        s.volume_region for s in sites[0].samples
    ]


def test_features_of_the_parts_are_used(sites: dict[str, ImageDataset], tmp_path: Path) -> None:
    options = {"precision": "fp32", "batch_size": 4, "output": tmp_path / "features"}
    parts = [extract(one, tiny_backbone(), **options) for one in sites.values()]
    both = extract(ImageDataset.concatenate(sites.values()), tiny_backbone(), **options)
    assert (both.n_extracted, both.taken) == (0, {p.path.name: p.n_samples for p in parts})
    again = extract(ImageDataset.concatenate(sites.values()), tiny_backbone(), **options)
    assert (again.n_extracted, again.n_known) == (0, 14)


def test_what_differs_is_noted_or_refused(sites: dict[str, ImageDataset]) -> None:
    bern, basel = sites.values()
    upper = [dataclasses.replace(s, label=s.label.upper(), split="train") for s in basel.samples]
    other = dataclasses.replace(basel, samples=tuple(upper), positive="MALIGNANT")
    both = ImageDataset.concatenate([bern, other])
    assert (both.classes, both.positive) == (("benign", "malignant"), "malignant")
    assert not both.names("split")
    assert sum("'BENIGN'" in n or "splits are left out" in n for n in both.notes) == 2
    cases: list[tuple[Any, str]] = [
        ([bern], "at least two"),
        (bern, "several data sets in a list"),
        ([bern, "basel"], "data set 2 of 2 is str"),
        ([bern, bern], "hold the same images"),
        ([bern, dataclasses.replace(basel, name="bern")], "are named 'bern'"),
        ([dataclasses.replace(bern, positive="benign"), other], "positive class of 'bern'"),
    ]
    for given, words in cases:
        with pytest.raises(UsageError, match=words):
            ImageDataset.concatenate(given)
    moved = dataclasses.replace(bern, images=FileSource(Path("moved")), name="moved")
    assert len(ImageDataset.concatenate([bern, moved])) == 16
