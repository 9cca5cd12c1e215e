"""Models of volumes as exports that take patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_regions import region_dataset

from bottleneck import Model, VolumePreprocessing, export_model, extract, fit
from bottleneck.backbones.backbone import Backbone
from bottleneck.errors import DataError, DecodeError, UsageError
from bottleneck.export.standalone.program_files import read_with_program
from bottleneck.testing import tiny_volume_backbone

DATASET = region_dataset(6, 2)
BACKBONES = {
    "volume": tiny_volume_backbone(side=8),
    "slices": tiny_volume_backbone(side=8, slices="orthogonal", slice_pooling="concatenate"),
}


def fitted(backbone: Backbone, folder: Path) -> Model:
    run = extract(DATASET, backbone, output=folder / "features", precision="fp32", quiet=True)
    return fit(run.path, "logistic", inner_splits=2, n_jobs=1, positive="malignant", quiet=True)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("slices", "torch"),
        pytest.param("volume", "torch", marks=pytest.mark.slow),
        pytest.param("slices", "onnx", marks=pytest.mark.slow),
        pytest.param("volume", "onnx", marks=pytest.mark.slow),
        pytest.param("volume", "hub", marks=pytest.mark.slow),
    ],
)
def test_an_export_gives_the_probabilities_of_patches(
    name: str, target: str, tmp_path: Path
) -> None:
    backbone = BACKBONES[name]
    model = fitted(backbone, tmp_path)
    options: dict[str, Any] = {"images": DATASET, "backbone": backbone, "quiet": True}
    made = export_model(model, target, output=tmp_path / "out", **options)
    assert made.parity.n == len(DATASET)
    assert made.parity.pictures == "12 regions in regions"
    read = read_with_program(tmp_path / "out")
    sample = DATASET.samples[3]
    assert isinstance(backbone.preprocessing, VolumePreprocessing)
    patch = DATASET.read_patch(sample, backbone.preprocessing)
    np.save(tmp_path / "patch.npy", patch)
    expected = model.predict(DATASET, backbone=backbone, quiet=True).predictions
    row = expected.ids.tolist().index(sample.id)
    assert expected.probabilities is not None
    np.testing.assert_allclose(read(tmp_path / "patch.npy"), expected.probabilities[row], atol=1e-5)
    np.save(tmp_path / "other.npy", patch[:-1])
    with pytest.raises(DecodeError, match="has the shape"):
        read(tmp_path / "other.npy")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "python predict.py patch.npy" in page
    assert "takes patches of volumes (float32, n × " in page


def test_a_model_of_volumes_is_compared_on_volumes(tmp_path: Path) -> None:
    backbone = BACKBONES["volume"]
    model = fitted(backbone, tmp_path)
    with pytest.raises(DataError, match="takes volumes, and the embedded simulated data set"):
        export_model(model, "torch", output=tmp_path / "out", backbone=backbone, quiet=True)
    with pytest.raises(UsageError, match="models of volumes cannot be quantised"):
        export_model(
            model,
            "onnx",
            output=tmp_path / "out",
            quantise=True,
            report=tmp_path,
            data=DATASET,
            quiet=True,
        )
