"""Copies of volumes and their regions: identical voxels, and nothing that only looks alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from made_regions import MadeVolumes, made_volume, region_of

from bottleneck import FeatureSet
from bottleneck.audit.audit import audit_features
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample
from bottleneck.duplicates.leak_safe_groups import leak_safe_groups
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.finetune.inputs.image_data import ImageInputs
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.testing import tiny_volume_backbone

# The scans of the second half look like those of the first, and the last one is equal to the first.
N = 6


def scans(*, whole: bool = False) -> ImageDataset:
    volumes = {}
    for n in range(N):
        one = made_volume(n % (N // 2), side=24)
        noise = np.random.default_rng(n).integers(-1, 2, one.geometry.shape, np.int16)
        stored = one.stored + noise * (N // 2 <= n < N - 1)
        volumes[f"scan{n}"] = dataclasses.replace(one, stored=stored)
    volumes[f"scan{N - 1}"] = volumes["scan0"]
    samples = tuple(
        Sample(
            id=str(n),
            source=f"scan{n}",
            label="ab"[n % (N // 2) % 2],
            group=f"P{n}",
            volume_region=None if whole else region_of(1),
        )
        for n in range(N)
    )
    return ImageDataset("scans", samples, MadeVolumes(volumes))


@pytest.mark.parametrize("whole", [False, True])
def test_only_identical_voxels_join_patients_on_every_way(tmp_path: Path, whole: bool) -> None:
    dataset, backbone = scans(whole=whole), tiny_volume_backbone(side=8)
    one = "volume" if whole else "region"
    features, *halves = (
        load_features(
            extract(
                dataclasses.replace(dataset, name=name, samples=dataset.samples[part]),
                backbone,
                output=tmp_path,
                precision="fp32",
                workers=1,
            ).path
        )
        for name, part in (("all", slice(N)), ("here", slice(3)), ("there", slice(3, N)))
    )
    joined = FeatureSet.concatenate(halves, same_patients=True)
    expected = ["P0", "P1", "P2", "P3", "P4", "P0"]
    assert features.noun == one
    assert features.groups.tolist() == expected
    assert len(set(joined.groups.tolist())) == N - 1
    inputs = ImageInputs(dataset, TrainingOptions(), backbone)
    assert inputs.leak_safe_groups.names is not None
    assert inputs.leak_safe_groups.names.tolist() == expected
    # With the data set in place of the thumbnails.
    audit = audit_features(dataclasses.replace(features, thumbnails=None), dataset=dataset)
    assert audit.groups.names is not None
    assert audit.groups.names.tolist() == expected
    assert audit.ties == (
        f"1 pair of copies ({one}s with identical voxels) ties 2 of 6 patients into 1 group."
    )
    texts = " ".join(finding.text for finding in audit.findings)
    assert f"Copies are {one}s with identical voxels. Near-duplicates of volumes" in texts
    assert f"1 pair of {one}s with identical voxels: they belong to different pat" in texts
    assert "image" not in texts
    # Their pictures agree so well that images like these would be copies.
    assert features.thumbnails is not None
    as_images = leak_safe_groups(features.thumbnails, features.patients, features.ids)
    assert {(0, 3), (1, 4), (0, 5)} <= {(pair.a, pair.b) for pair in as_images.pairs}


def test_without_a_copy_the_audit_says_what_was_not_searched_for() -> None:
    ids = np.array(["1", "2"])
    apart = leak_safe_groups(np.zeros((2, 32, 32), np.uint8), ids, ids, pixels=ids, noun="volume")
    assert (apart.search, apart.pairs) == (None, ())
