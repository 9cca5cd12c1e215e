"""Training on volumes: patches as inputs, and a training from folds to predictions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_regions import MadeVolumes, made_volume
from small import quick
from torch import nn

from bottleneck import load_model
from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.weights.loading import Weights
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.splits.protocol import Protocol
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import ModelError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.features import devices
from bottleneck.features.extraction import extract
from bottleneck.finetune.cross_validate import finetune
from bottleneck.finetune.inputs.image_data import ImageInputs

N_SCANS = 12
WHOLE = VolumePreprocessing(size=(8, 8, 8), window=(-200.0, 200.0), fill=-200.0)
SLICES = VolumePreprocessing(
    size=(8, 8, 8), window=(-200.0, 200.0), n_channels=3, slices="orthogonal"
)


def network_of(preprocessing: VolumePreprocessing) -> Backbone:
    """One convolution of as many dimensions as the preprocessing needs."""
    conv = nn.Conv3d if preprocessing.slices is None else nn.Conv2d
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(conv(preprocessing.n_channels, 6, 3, stride=2), nn.ReLU())
    return Backbone(
        network,
        name="one_convolution",
        architecture="one_convolution",
        weights=Weights("made", "seed 0"),
        preprocessing=preprocessing,
        own=True,
    )


def candidates() -> ImageDataset:
    """Three candidates in each scan, in their order; one has a texture, so that none look alike."""
    volumes, samples = {}, []
    for scan in range(N_SCANS):
        volume = made_volume(scan, side=24)
        volume.stored[:] //= 5
        for number in range(3):
            voxel = np.array([4, 12, 19])[[number, (number + 1) % 3, (number + 2) % 3]]
            if number == scan % 3:
                low, high = voxel - 3, voxel + 4
                box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
                volume.stored[box] *= 5
            x, y, z = volume.geometry.to_lps(voxel).tolist()
            sample = Sample(
                id=f"{scan}-{number}",
                source=f"scan{scan}",
                label="nodule" if number == scan % 3 else "other",
                group=f"P{scan}",
                volume_region=VolumeRegion(x, y, z, "lps"),
            )
            samples.append((number, sample))
        volumes[f"scan{scan}"] = volume
    ordered = sorted(samples, key=lambda pair: pair[0])
    return ImageDataset(
        "candidates", tuple(s for _, s in ordered), MadeVolumes(volumes), positive="nodule"
    )


def options(**given: Any) -> Any:
    return quick(**{"noise": 0.0, "learning_rate": 0.02, "epochs": 3, **given})


@pytest.mark.parametrize("preprocessing", [WHOLE, SLICES], ids=["whole", "slices"])
def test_items_are_patches_and_each_volume_is_opened_once(
    preprocessing: VolumePreprocessing,
) -> None:
    dataset = candidates()
    inputs = ImageInputs(dataset, options(), network_of(preprocessing))
    source = dataset.images
    assert isinstance(source, MadeVolumes)
    assert set(source.opened.values()) == {1}
    assert inputs.ids.tolist() == [sample.id for sample in dataset.samples]
    rows = np.array([30, 2, 17])
    items = inputs.items(rows, None)
    for number, row in enumerate(rows.tolist()):
        sample = dataset.samples[row]
        patch, label, place = items[number]
        voxels = read_region(dataset.open_volume(sample), sample.volume_region, preprocessing)
        np.testing.assert_array_equal(patch, voxels.patch)
        assert (inputs.classes[label], place) == (sample.label, row)
    drawn, again, later = (inputs.items(rows, (0, epoch)) for epoch in (1, 1, 2))
    assert torch.equal(drawn[0][0], again[0][0])
    epochs = [inputs.items(rows, (0, epoch))[0][0].numpy().tobytes() for epoch in range(60)]
    assert len(set(epochs)) == (8 if preprocessing is WHOLE else 2)
    assert later[0][0].shape == preprocessing.input_shape


def test_the_network_computes_what_extraction_computes() -> None:
    dataset = candidates()
    for preprocessing in (WHOLE, SLICES):
        backbone = network_of(preprocessing)
        inputs = ImageInputs(dataset, options(), backbone)
        items = inputs.items(np.arange(4), None)
        patches = torch.stack([items[n][0] for n in range(4)])
        with torch.inference_mode():
            features = inputs.network(0).eval().features(patches)
        torch.testing.assert_close(features, backbone.embed(patches))


@pytest.mark.parametrize(
    "preprocessing", [WHOLE, pytest.param(SLICES, marks=pytest.mark.slow)], ids=["whole", "slices"]
)
def test_a_training_from_folds_to_predictions(
    preprocessing: VolumePreprocessing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Volumes are trained in fp32 on a CPU, whatever it supports.
    monkeypatch.setattr(devices, "native_precision", lambda device: "bf16")
    precision = "auto" if preprocessing is WHOLE else "fp32"
    dataset, backbone = candidates(), network_of(preprocessing)
    protocol = Protocol(n_splits=2)
    (trained,) = finetune(
        dataset,
        options(hidden=(5,), rotate90=preprocessing is WHOLE, epochs=6, precision=precision),
        backbone=backbone,
        protocol=protocol,
        output=tmp_path / "trained",
    )
    assert trained.record["config"]["precision"] == "fp32"
    assert any("flipped at random" in note for note in trained.notes)
    features = extract(dataset, backbone, output=tmp_path / "features").path
    made = compare(
        [features],
        ["logistic"],
        predictions=[f"trained={trained.path}"],
        protocol=protocol,
        n_jobs=1,
    )
    by_name = {evaluation.name: evaluation for evaluation in made.evaluations}
    told = by_name["trained"]
    assert told.metrics["auroc"].value > 0.9
    model = load_model(trained.path, backbone=backbone)
    assert isinstance(model, TrainedModel)
    assert model.noun == "volume"
    for fold in range(2):
        rows = told.predictions.take(told.predictions.folds == fold)
        predicted = model.predict(
            dataset, network=f"fold-{fold + 1}", features=tmp_path / "new"
        ).predictions
        at = [predicted.ids.tolist().index(one) for one in rows.ids.tolist()]
        assert predicted.probabilities is not None
        assert rows.probabilities is not None
        np.testing.assert_allclose(predicted.probabilities[at], rows.probabilities, atol=1e-6)
    whole = [dataclasses.replace(sample, volume_region=None) for sample in dataset.samples[:1]]
    with pytest.raises(ModelError, match="trained on regions of volumes, and 1 of 1 sample"):
        model.predict(dataclasses.replace(dataset, samples=tuple(whole)))


def test_networks_and_data_of_different_dimensions_are_refused(
    dataset: ImageDataset, backbone: Backbone
) -> None:
    with pytest.raises(UsageError, match=r"takes images, and the data set holds volumes"):
        ImageInputs(candidates(), options(), backbone)
    with pytest.raises(UsageError, match=r"volumes of 8×8×8 voxels, and the data set holds images"):
        ImageInputs(dataset, options(), network_of(WHOLE))
    with pytest.raises(UsageError, match=r"small_cnn takes images, and the data set holds volumes"):
        ImageInputs(candidates(), options(backbone="small_cnn"))
    with pytest.raises(UsageError, match=r"noise = 4\.0 applies to images"):
        ImageInputs(candidates(), options(noise=4.0), network_of(WHOLE))
