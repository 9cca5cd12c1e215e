"""Graphs whose float32 part computes in 8-bit integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bottleneck.errors import UsageError
from bottleneck.export.quantised.quantised_graph import (
    FeatureGraph,
    add_features,
    quantise_graph,
    remove_features,
)

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

WIDTH = 5


def write_exported(path: Path, *, networks: int = 1) -> dict[str, np.ndarray]:
    """Write a graph of an export: float64, then a convolution in float32, then float64."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(WIDTH, 3, 3, 3)).astype(np.float32)
    head = rng.normal(size=(WIDTH, 2))

    def node(kind: str, inputs: list[str], outputs: list[str], **attributes: object) -> object:
        return onnx.helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes)

    double, single = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT
    nodes = [
        node("Cast", ["pixels"], ["wide"], to=double),
        node("Div", ["wide", "scale"], ["levels"]),
        node("Cast", ["levels"], ["input"], to=single),
        node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2]),
        node("Conv", ["planes", "kernel"], ["map"]),
        node("Relu", ["map"], ["active"]),
        node("ReduceMean", ["active", "axes"], ["pooled"], keepdims=0),
        node("Cast", ["pooled"], ["exact"], to=double),
        node("MatMul", ["exact", "head"], ["logits"]),
        node("Softmax", ["logits"], ["shares"]),
        node("Cast", ["shares"], ["probabilities"], to=single),
    ]
    if networks == 2:
        nodes.append(node("Cast", ["active"], ["other"], to=double))
    constants = {
        "scale": np.array(255.0),
        "kernel": kernel,
        "axes": np.array([2, 3]),
        "head": head,
    }
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "exported",
        [value("pixels", onnx.TensorProto.UINT8, ["n", "height", "width", 3])],
        [value("probabilities", single, ["n", 2])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return constants


def pictures(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    sides = rng.integers(8, 30, size=(n, 2))
    return [rng.integers(0, 256, (1, *side, 3), dtype=np.uint8) for side in sides]


def run(path: Path, picture: np.ndarray, name: str) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (made,) = session.run([name], {"pixels": picture})
    return made


def test_the_features_are_what_the_head_takes(tmp_path: Path) -> None:
    constants = write_exported(tmp_path / "model.onnx")
    add_features(tmp_path / "model.onnx", tmp_path / "graph.onnx")
    network = FeatureGraph(tmp_path / "graph.onnx")
    for picture in pictures(5):
        logits = network.features(picture).astype(float) @ constants["head"]
        shares = np.exp(logits) / np.exp(logits).sum()
        exported = run(tmp_path / "model.onnx", picture, "probabilities")
        np.testing.assert_allclose(shares, exported, atol=1e-6)
        np.testing.assert_array_equal(network.probabilities(picture), exported)


def test_the_network_computes_in_integers_near_the_exact_features(tmp_path: Path) -> None:
    write_exported(tmp_path / "model.onnx")
    add_features(tmp_path / "model.onnx", tmp_path / "graph.onnx")
    quantise_graph(tmp_path / "graph.onnx", tmp_path / "int8.onnx", iter(pictures(20)))
    exact, rounded = FeatureGraph(tmp_path / "graph.onnx"), FeatureGraph(tmp_path / "int8.onnx")
    made = np.concatenate([rounded.features(one) for one in pictures(30, seed=1)])
    wanted = np.concatenate([exact.features(one) for one in pictures(30, seed=1)])
    # Weights have 127 levels on each side, and values 255.
    assert 0 < np.abs(made - wanted).max() < 0.02 * wanted.max()
    model = onnx.load(tmp_path / "int8.onnx")
    kinds = {one.name: one.data_type for one in model.graph.initializer}
    assert onnx.TensorProto.INT8 in kinds.values()
    # The head is as it was.
    assert kinds["head"] == onnx.TensorProto.DOUBLE


def test_the_written_file_has_the_outputs_of_the_export(tmp_path: Path) -> None:
    write_exported(tmp_path / "model.onnx")
    add_features(tmp_path / "model.onnx", tmp_path / "graph.onnx")
    quantise_graph(tmp_path / "graph.onnx", tmp_path / "int8.onnx", iter(pictures(20)))
    remove_features(tmp_path / "int8.onnx", tmp_path / "model-int8.onnx")
    model = onnx.load(tmp_path / "model-int8.onnx")
    assert [one.name for one in model.graph.output] == ["probabilities"]
    for picture in pictures(5):
        np.testing.assert_array_equal(
            run(tmp_path / "model-int8.onnx", picture, "probabilities"),
            run(tmp_path / "int8.onnx", picture, "probabilities"),
        )


def test_a_graph_of_several_networks_is_refused(tmp_path: Path) -> None:
    write_exported(tmp_path / "model.onnx", networks=2)
    with pytest.raises(UsageError, match="2 networks, but only one can be quantised"):
        add_features(tmp_path / "model.onnx", tmp_path / "graph.onnx")
