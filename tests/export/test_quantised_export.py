"""A quantised copy of an export, measured on the test folds of the comparison of its model."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bottleneck import (
    Comparison,
    ImageDataset,
    Model,
    Protocol,
    compare,
    extract,
    fit,
    load_dataset,
    load_features,
)
from bottleneck.errors import UsageError
from bottleneck.export.classifier.classifier_building import build_classifier
from bottleneck.export.quantised import quantisable_networks, quantised_loss
from bottleneck.export.quantised.quantised_export import quantise_export
from bottleneck.export.quantised.recorded_pictures import RecordedPictures
from bottleneck.testing import tiny_backbone

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


class Exported(NamedTuple):
    """An export, and what it comes from."""

    folder: Path
    model: Model
    comparison: Comparison
    data: ImageDataset
    features: Path


def make_export(folder: Path, *, unit: Any = "image") -> Exported:
    from bottleneck.export.onnx_graph.graph_writing import write_graph

    data, backbone = load_dataset("phantom", limit=24), tiny_backbone(width=16)
    run = extract(data, backbone, output=folder / "features", precision="fp32", quiet=True)
    protocol = Protocol(n_splits=3, unit=unit)
    comparison = compare([run.path], heads=("logistic",), protocol=protocol, quiet=True)
    model = fit(load_features(run.path), "logistic", unit=unit, quiet=True)
    write_graph(build_classifier(model, backbone=backbone), folder / "model.onnx", {})
    return Exported(folder, model, comparison, data, run.path)


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the small network quantised as those for phones are."""
    monkeypatch.setattr(quantisable_networks, "QUANTISABLE", {"tiny16": "tiny"})


def quantise(made: Exported, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "report": made.comparison,
        "data": made.data,
        "features": made.features,
    }
    return quantise_export(made.model, made.folder, **(given | changes))


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["image", "patient"])
def test_the_exact_network_loses_nothing(
    unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_export(tmp_path, unit=unit)
    read: list[list[str]] = []

    class Watched(RecordedPictures):
        def read(self, ids: Sequence[str], *shown: Any) -> Iterator[Any]:
            read.append(list(ids))
            return super().read(read[-1], *shown)

    def copy(source: Path, target: Path, pictures: Iterable[Any]) -> None:
        list(pictures)
        shutil.copyfile(source, target)

    monkeypatch.setattr("bottleneck.export.quantised.quantised_export.RecordedPictures", Watched)
    monkeypatch.setattr(quantised_loss, "quantise_graph", copy)
    result = quantise(made)
    arm = made.comparison.evaluations[0]
    assert result.loss.arm == arm.name
    assert result.loss.auroc == pytest.approx(arm.metrics["auroc"].value)
    assert result.loss.difference == pytest.approx(0, abs=1e-6)
    assert (result.loss.n, result.loss.n_folds) == (len(arm.predictions), 3)
    assert result.loss.n_changed == 0
    # In each fold: images of the training part set the ranges, and then the test images are read.
    tested = []
    for training, test in zip(read[0:6:2], read[1:6:2], strict=True):
        assert not set(training) & set(test)
        tested += test
    assert sorted(tested) == sorted(load_features(made.features).ids.tolist())


@pytest.mark.slow
def test_the_loss_is_recorded_with_the_file(tmp_path: Path) -> None:
    from onnxruntime import InferenceSession

    made = make_export(tmp_path)
    result = quantise(made)
    record = result.to_dict()
    assert record["file"] == "model-int8.onnx"
    assert record["n_bytes"] == (tmp_path / record["file"]).stat().st_size
    assert 0 < record["mean_change"] <= record["largest_change"] < 0.2
    assert record["loss"]["auroc"] - record["loss"]["auroc_int8"] == pytest.approx(
        record["loss"]["difference"]
    )
    session = InferenceSession(tmp_path / record["file"], providers=["CPUExecutionProvider"])
    pixels = np.zeros((2, 40, 50, 3), np.uint8)
    probabilities, scores = session.run(None, {"pixels": pixels})
    assert probabilities.shape == scores.shape == (2, 2)
    words = " ".join(result.sentences)
    assert f"{record['loss']['auroc_int8']:.3f} with 8-bit integers" in words

    other = dataclasses.replace(made.model, head="svm")
    with pytest.raises(UsageError, match="no svm on the features of this model"):
        quantise(made._replace(model=other))
