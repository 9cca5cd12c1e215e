"""Modules as ONNX files."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from bottleneck.errors import MissingExtraError, ModelError
from bottleneck.export.onnx_graph import graph_writing
from bottleneck.export.onnx_graph.graph_writing import write_graph


class _Means(nn.Module):
    """Means of the channels, weighted."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.arange(3 * 2000, dtype=torch.float64).view(3, -1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        scores = pixels.double().mean((1, 2)) @ self.weights * math.pi
        return scores.softmax(1).float(), scores.float()


def _run(path: Path, pixels: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(path).run(None, {"pixels": pixels})


def test_a_file_states_what_it_is_and_takes_images_of_any_number_and_size(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_graph(_Means().eval(), path, {"classes": ["gutartig", "bösartig"], "threshold": None})
    model = onnx.load(path)
    stated = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert stated == {"classes": ["gutartig", "bösartig"], "threshold": None}
    assert {(one.domain, one.version) for one in model.opset_import} == {("", graph_writing.OPSET)}
    (pixels,) = model.graph.input
    shape = [one.dim_param or one.dim_value for one in pixels.type.tensor_type.shape.dim]
    assert (pixels.name, shape) == ("pixels", ["n", "height", "width", 3])
    assert [output.name for output in model.graph.output] == ["probabilities", "scores"]
    # torch rounds such a number to float32.
    assert math.pi in [onnx.numpy_helper.to_array(one).max() for one in model.graph.initializer]
    for shape in [(1, 8, 9, 3), (4, 33, 20, 3)]:
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        wanted = images.mean((1, 2), dtype=np.float64) @ np.arange(6000).reshape(3, -1) * np.pi
        np.testing.assert_allclose(_run(path, images)[1], wanted, rtol=1e-6)


@pytest.mark.slow
def test_weights_beyond_two_gigabytes_are_in_a_file_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.full((1, 8, 8, 3), 7, np.uint8)
    write_graph(_Means().eval(), tmp_path / "model.onnx", {})
    monkeypatch.setattr(graph_writing, "_MOST_IN_ONE_FILE", 1000)
    (tmp_path / "large").mkdir()
    large = tmp_path / "large" / "model.onnx"
    write_graph(_Means().eval(), large, {})
    assert sorted(path.name for path in large.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    for one, other in zip(_run(large, images), _run(tmp_path / "model.onnx", images), strict=True):
        np.testing.assert_array_equal(one, other)


class _Branching(nn.Module):
    """A module that torch cannot export: what it does depends on the pixels."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        means = pixels.double().mean((1, 2))
        return (means, means) if means.sum() > 1 else (-means, means)


@pytest.mark.slow(reason="torch takes seconds to refuse it")
def test_a_module_that_cannot_be_exported_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="torch cannot write this network as ONNX"):
        write_graph(_Branching().eval(), tmp_path / "model.onnx", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=f"needs {missing}.*\n.*features.onnx"):
        write_graph(_Means().eval(), tmp_path / "model.onnx", {})
