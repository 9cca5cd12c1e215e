"""Regions of volumes in the leak audit and in reports: read again, compared, and drawn."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from made_features import make_features
from made_regions import MadeVolumes, region_dataset

from bottleneck import FeatureSet, ImageDataset
from bottleneck.audit.audit import audit_features
from bottleneck.audit.image_check import check_images
from bottleneck.audit.region_reading import find_volume_preprocessing
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError
from bottleneck.evaluation.cases.shown_images import make_thumbnails

HOW = VolumePreprocessing(size=(12, 12, 12), window=(-200.0, 200.0), orientation="LPI")


def extracted(dataset: ImageDataset) -> FeatureSet:
    """Return features of a data set of volumes, with what extraction stores of each region."""
    volumes = [dataset.open_volume(sample) for sample in dataset.samples]
    voxels = [
        read_region(volume, sample.volume_region, HOW)
        for volume, sample in zip(volumes, dataset.samples, strict=True)
    ]
    n = len(voxels)
    thumbnails = [np.frombuffer(v.facts().thumbnail, np.uint8).reshape(32, 32) for v in voxels]
    features = make_features(
        n_patients=n,
        images=1,
        recipe={"preprocessing": json.loads(json.dumps(HOW.to_dict()))},
        ids=np.array([sample.id for sample in dataset.samples]),
        pixels=np.array([v.pixels_sha256 for v in voxels]),
        sha256=np.array([v.sha256 for v in voxels]),
        boxes=np.array([v.box for v in voxels]),
        thumbnails=np.stack(thumbnails),
    )
    patients = np.array([sample.group for sample in dataset.samples])
    return dataclasses.replace(features, stated_patients=patients)


def with_volumes(dataset: ImageDataset, change: Any) -> ImageDataset:
    assert isinstance(dataset.images, MadeVolumes)
    return dataclasses.replace(dataset, images=MadeVolumes(change(dict(dataset.images.volumes))))


def damaged(volumes: dict[str, Volume]) -> dict[str, Volume]:
    """Return volumes of which one is missing, and one has another voxel at one of its regions."""
    del volumes["scan1"]
    stored = np.array(volumes["scan2"].stored)
    stored[(2 * 7) % 16, (2 * 5) % 16, (2 * 3) % 16] += 1  # The centre of region 0.
    volumes["scan2"] = dataclasses.replace(volumes["scan2"], stored=stored)
    return volumes


def test_regions_are_compared_and_not_searched_for_text() -> None:
    dataset = region_dataset(3, 4, mixed=True)
    features = extracted(dataset)
    steps: list[tuple[int, int, str]] = []
    check = check_images(features, dataset, lambda *step: steps.append(step))
    assert check.checked.tolist() == list(range(12))
    assert not len(check.text) + len(check.unreadable) + len(check.changed)
    np.testing.assert_array_equal(check.thumbnails, features.thumbnails)
    assert steps[-1] == (12, 12, "checking the regions")
    assert isinstance(dataset.images, MadeVolumes)
    # Once for the features of each region, and once more for all of them together.
    assert dataset.images.opened == {"scan0": 5, "scan1": 5, "scan2": 5}
    texts = [finding.text for finding in audit_features(features, dataset=dataset).findings]
    assert any("not searched for: volumes" in text for text in texts)


def test_regions_that_changed_or_are_missing_are_told_apart() -> None:
    dataset = region_dataset(3, 4)
    features = extracted(dataset)
    check = check_images(features, with_volumes(dataset, damaged))
    assert check.unreadable.tolist() == [4, 5, 6, 7]
    assert 8 in check.changed
    assert check.checked.tolist()[:4] == [0, 1, 2, 3]


def test_pictures_show_unchanged_regions_and_thumbnails_the_others() -> None:
    dataset = region_dataset(3, 4)
    features = extracted(dataset)
    assert features.thumbnails is not None
    made = make_thumbnails(features, [8, 0, 4], with_volumes(dataset, damaged))
    expected = read_region(
        dataset.open_volume(dataset.samples[0]), dataset.samples[0].volume_region, HOW
    )
    np.testing.assert_array_equal(made[0], np.asarray(expected.picture(256)))
    np.testing.assert_array_equal(made[4], features.thumbnails[4])
    np.testing.assert_array_equal(made[8], features.thumbnails[8])


def test_preprocessing_is_the_recorded_one() -> None:
    features = extracted(region_dataset(1, 2))
    assert find_volume_preprocessing(features) == HOW
    recipe = {**features.provenance["recipe"], "preprocessing": {}}
    bare = dataclasses.replace(features, provenance={**features.provenance, "recipe": recipe})
    assert find_volume_preprocessing(bare).size == (96, 96, 96)
    with pytest.raises(UsageError, match="recorded preprocessing of the volumes"):
        find_volume_preprocessing(make_features())
