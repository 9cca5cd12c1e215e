"""Models of regions refuse whole volumes, and models of whole volumes refuse regions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from made_regions import region_dataset

from bottleneck import FeatureSet, ImageDataset, extract, fit, load_features, load_model
from bottleneck.errors import ModelError, ProtocolError
from bottleneck.evaluation.external.compatibility import match_external
from bottleneck.testing import tiny_volume_backbone

BACKBONE = tiny_volume_backbone(width=4, side=8)


def made(n_whole: int) -> ImageDataset:
    """Return samples of which some are whole volumes, of scans of their own."""
    plain = region_dataset(8, 1, name=f"whole{n_whole}")
    samples = [
        dataclasses.replace(
            sample,
            label=("benign", "malignant")[n % 2],
            volume_region=None if n < n_whole else sample.volume_region,
        )
        for n, sample in enumerate(plain.samples)
    ]
    return dataclasses.replace(plain, samples=tuple(samples))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> dict[int, FeatureSet]:
    folder = tmp_path_factory.mktemp("features")
    return {
        n: load_features(extract(made(n), BACKBONE, output=folder, quiet=True, device="cpu").path)
        for n in (0, 1, 8)
    }


@pytest.mark.parametrize(
    ("trained", "new", "words"),
    [
        (0, 1, "trained on regions of volumes, and 1 of 8 samples is a whole volume: pass a table"),
        (8, 1, "trained on whole volumes, and 7 of 8 samples are each a region"),
        (8, 8, None),
        (1, 0, None),
    ],
)
def test_an_extent_that_no_training_sample_had_is_refused(
    trained: int, new: int, words: str | None, features: dict[int, FeatureSet], tmp_path: Path
) -> None:
    fitted = fit(features[trained], "ridge", inner_splits=2, n_jobs=1, quiet=True)
    model = load_model(fitted.save(tmp_path / "ridge.skops"))
    if words is None:
        assert len(model.predict(features[new]).predictions) == 8
        return
    with pytest.raises(ModelError, match=words):
        model.predict(features[new])
    with pytest.raises(ModelError, match=words):
        model.predict(made(new), backbone=BACKBONE, quiet=True)
    with pytest.raises(ProtocolError, match=words):
        match_external(features[trained], features[new])
