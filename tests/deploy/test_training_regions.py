"""New regions of volumes that a model was trained on, and air, which is the same in all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from made_regions import MadeVolumes, made_volume, region_of

from bottleneck import FeatureSet, fit
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_volume_backbone


def scans(name: str, first: int, last: int, *, air: bool) -> ImageDataset:
    """Return one region of each scan, and one in the air around another if this is asked for."""
    volumes = {f"scan{n}": made_volume(n) for n in range(first, last)}
    if air:
        one = made_volume(last)
        stored = np.array(one.stored)
        stored[:, :, :12] = -1000
        volumes[f"scan{last}"] = dataclasses.replace(one, stored=stored)
    samples = [
        Sample(
            id=source,
            source=source,
            label="ab"[n % 2],
            group=f"{name} {n}",
            volume_region=region_of(0),
        )
        for n, source in enumerate(volumes)
    ]
    return ImageDataset(name, tuple(samples), MadeVolumes(volumes))


def features_of(dataset: ImageDataset, folder: Path) -> FeatureSet:
    backbone = tiny_volume_backbone(side=8)
    return load_features(extract(dataset, backbone, output=folder, precision="fp32").path)


def test_air_is_no_training_region(tmp_path: Path) -> None:
    old = features_of(scans("old", 0, 22, air=True), tmp_path)
    model = fit(old, "ridge", positive="b", quiet=True)
    assert model.reference is not None
    new = features_of(scans("new", 50, 53, air=True), tmp_path)
    # To the features, it is the air of the training set.
    np.testing.assert_array_equal(new.X[-1], old.X[-1])
    known = features_of(scans("known", 20, 25, air=True), tmp_path)
    for features, n in ((new, 0), (known, 2)):
        warnings = [w for w in model.predict(features, quiet=True).warnings if "trained on" in w]
        assert [w.split(" of these ")[0] for w in warnings] == ["the model was trained on 2"] * (
            n > 0
        )
