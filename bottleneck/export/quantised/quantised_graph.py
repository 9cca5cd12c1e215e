"""An ONNX graph whose network computes in 8-bit integers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.export.classifier.graph_input import PIXELS
from bottleneck.export.onnx_graph.graph_writing import import_onnx

__all__ = ["FEATURES", "FeatureGraph", "add_features", "quantise_graph", "remove_features"]

#: Name of the output with the features of the network, which only measurements need.
FEATURES = "features"


def add_features(source: Path, target: Path) -> None:
    """Write an exported graph with one more output: the features that its head takes.

    Parameters
    ----------
    source, target : Path
        The graph that was exported, with one network, and the file to write.

    Raises
    ------
    UsageError
        If the graph has several networks.
    """
    onnx = import_onnx()
    model = onnx.shape_inference.infer_shapes(onnx.load(source))
    kinds = _kinds(model)
    # Resize and head compute in float64, and the network between them in float32.
    ends = {
        node.input[0]: node
        for node in model.graph.node
        if node.op_type == "Cast"
        and kinds.get(node.input[0]) == onnx.TensorProto.FLOAT
        and kinds.get(node.output[0]) == onnx.TensorProto.DOUBLE
    }
    if len(ends) != 1:
        raise UsageError(
            f"this export has {len(ends)} networks, but only one can be quantised: export it "
            "without --quantise (in Python: quantise=)"
        )
    ((name, node),) = ends.items()
    number = list(model.graph.node).index(node)
    model.graph.node.insert(
        number, onnx.helper.make_node("Identity", [name], [FEATURES], name=FEATURES)
    )
    value = onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, None)
    model.graph.output.append(value)
    onnx.save(model, target)


def remove_features(source: Path, target: Path) -> None:
    """Write a graph of ``add_features`` without that output."""
    onnx = import_onnx()
    model = onnx.load(source)
    for items in (model.graph.node, model.graph.output):
        items.remove(next(one for one in items if one.name == FEATURES))
    onnx.save(model, target)
    onnx.checker.check_model(str(target), full_check=True)


def quantise_graph(source: Path, target: Path, pictures: Iterable[NDArray[np.uint8]]) -> None:
    """Write a graph whose network computes in 8-bit integers.

    The weights of a convolution are int8, with a scale per channel; the values between layers are
    uint8, in the range that the pictures give them. What computes in float64 stays as it is: the
    resize, which remains exact, and the head with its calibration.

    Parameters
    ----------
    source, target : Path
        The graph, and the file to write.
    pictures : iterable of ndarray of uint8, shape (1, height, width, 3)
        Images whose values set the ranges.
    """
    onnx = import_onnx()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="bottleneck-") as folder:
        prepared = Path(folder, "prepared.onnx")
        # The graph was optimised when torch wrote it; only the shapes are missing.
        quant_pre_process(source, prepared, skip_symbolic_shape=True, skip_optimization=True)
        model = onnx.load(prepared)
        kinds = _kinds(model)
        exact = [
            node.name
            for node in model.graph.node
            if any(kinds.get(name) == onnx.TensorProto.DOUBLE for name in node.output)
        ]
        quantize_static(
            prepared,
            target,
            _reader(pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=exact,
        )


def _kinds(model: Any) -> dict[str, int]:
    """Return the types of the values of a graph by their names."""
    graph = model.graph
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _reader(pictures: Iterable[NDArray[np.uint8]]) -> Any:
    """Return what onnxruntime calibrates with."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """One picture after the other."""

        def __init__(self) -> None:
            self._pictures: Iterator[NDArray[np.uint8]] = iter(pictures)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            picture = next(self._pictures, None)
            return None if picture is None else {PIXELS: picture}

    return Reader()


class FeatureGraph:
    """A graph of ``add_features``, run by onnxruntime.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        import_onnx()
        from onnxruntime import InferenceSession

        self._session = InferenceSession(path, providers=["CPUExecutionProvider"])

    def features(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of pictures, shape (n, width)."""
        (made,) = self._session.run([FEATURES], {PIXELS: picture})
        return made

    def probabilities(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of pictures, shape (n, n_classes)."""
        (made,) = self._session.run(["probabilities"], {PIXELS: picture})
        return made
