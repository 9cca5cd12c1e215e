"""Explanations of models of volumes: cases and nearest regions, and no heat maps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from made_regions import MadeVolumes, region_dataset

from bottleneck import (
    ImageDataset,
    Model,
    compare,
    explain_predictions,
    extract,
    fit,
    load_features,
)
from bottleneck.app.served_models import ServedModels
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.errors import ModelError, UsageError
from bottleneck.report.prediction_summary import describe_predictions
from bottleneck.testing import tiny_volume_backbone

BACKBONE = tiny_volume_backbone(side=8)


def made_dataset() -> ImageDataset:
    """Return regions of volumes whose coarse structure differs from patient to patient."""
    plain = region_dataset(12, 2)
    rng = np.random.default_rng(0)
    coarse = {source: rng.integers(-1000, 1000, (4, 4, 4), np.int16) for source in VOLUMES}
    volumes = {
        source: dataclasses.replace(
            plain.open_volume(next(s for s in plain.samples if s.source == source)),
            stored=np.kron(values, np.ones((4, 4, 4), np.int16)),
        )
        for source, values in coarse.items()
    }
    return dataclasses.replace(plain, images=MadeVolumes(volumes))


VOLUMES = [f"scan{n}" for n in range(12)]
DATASET = made_dataset()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    return extract(DATASET, BACKBONE, output=folder, precision="fp32", quiet=True).path


@pytest.fixture(scope="module")
def model(path: Path) -> Model:
    return fit(path, "ridge", inner_splits=2, n_jobs=1, positive="malignant", quiet=True)


def test_new_regions_are_predicted_as_their_features_are(path: Path, model: Model) -> None:
    made = model.predict(DATASET, backbone=BACKBONE, quiet=True, device="cpu")
    assert f"{len(DATASET)} regions" in repr(made)
    assert describe_predictions(made)[0].startswith(f"{len(DATASET)} regions")
    assert "image" not in " ".join(describe_predictions(made))
    of_features = model.predict(load_features(path))
    assert made.predictions.ids.tolist() == [sample.id for sample in DATASET.samples]
    order = np.argsort(of_features.predictions.ids)
    assert np.allclose(
        made.predictions.scores[np.argsort(made.predictions.ids)],
        of_features.predictions.scores[order],
        atol=1e-6,
    )


def test_wrong_regions_are_shown_in_three_planes_with_the_regions_near_them(
    path: Path, model: Model
) -> None:
    explanation = explain_predictions(
        model, DATASET, features=path, backbone=BACKBONE, quiet=True, device="cpu"
    )
    (arm,) = explanation.arms
    assert arm.cases
    assert any("takes volumes" in words for words in arm.words)
    samples = {sample.id: sample for sample in DATASET.samples}
    for case in arm.cases:
        sample = samples[case.id]
        region = read_region(
            DATASET.open_volume(sample), sample.volume_region, BACKBONE.preprocessing
        )
        assert case.pixels is not None
        assert np.array_equal(case.pixels[..., 0], np.asarray(region.picture()))
        assert case.heat_map is None
        assert case.nearest
        assert not {samples[near.id].group for near in case.nearest} & {sample.group}


@pytest.mark.slow
def test_a_comparison_of_volumes_is_explained_without_a_network(path: Path) -> None:
    comparison = compare([path], heads=("ridge",), quiet=True)
    explanation = explain_predictions(comparison, data=DATASET, features=path, quiet=True)
    (arm,) = explanation.arms
    assert arm.cases
    assert all(case.pixels is not None and case.pixels.shape[2] == 3 for case in arm.cases)


def test_a_map_that_is_asked_for_is_refused(path: Path, model: Model) -> None:
    with pytest.raises(UsageError, match="this network takes volumes: leave --maps out"):
        explain_predictions(
            model, DATASET, features=path, backbone=BACKBONE, maps="occlusion", quiet=True
        )


def test_the_app_refuses_a_model_of_volumes(model: Model) -> None:
    with pytest.raises(ModelError, match="takes volumes, but the app predicts pictures"):
        ServedModels().add(model)
