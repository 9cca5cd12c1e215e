"""A torch module as an ONNX file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bottleneck.errors import MissingExtraError, ModelError, one_line
from bottleneck.export.classifier.graph_input import GraphInput

__all__ = ["OPSET", "OUTPUTS", "import_onnx", "write_graph"]

#: Version of the ONNX operators in the files. onnxruntime has it since 1.17.
OPSET = 20
#: Names of the outputs.
OUTPUTS = ("probabilities", "scores")

# An ONNX file holds less than 2 GiB. Weights beyond this many bytes are in a file beside it.
_MOST_IN_ONE_FILE = 1_800_000_000


def import_onnx() -> Any:
    """Return the package onnx.

    Raises
    ------
    MissingExtraError
        If a package of the extra ``onnx`` is not installed.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401  # Whether it is there.
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"an export to ONNX needs {error.name}, which is not installed. Install it with",
            "  pip install 'bottleneck-features[onnx]'",
        ) from None
    return onnx


def write_graph(
    module: nn.Module, path: Path, metadata: Mapping[str, Any], given: GraphInput | None = None
) -> None:
    """Write a module that takes the pixels of images to an ONNX file.

    Parameters
    ----------
    module : nn.Module
        As ``ExportedClassifier``, on the CPU, in evaluation mode. The operators of its parts with
        an ``onnx_function`` become functions of the file.
    path : Path
        The file. Of weights beyond 1.8 GB, there is a second file with the suffix ``.data``.
    metadata : mapping
        What the file states of the model, by name; the values are written as JSON.
    given : GraphInput, optional
        What the module takes; by default the pixels of pictures of any size.

    Raises
    ------
    MissingExtraError
        If a package of the extra ``onnx`` is not installed.
    ModelError
        If torch cannot write the module as ONNX.
    """
    onnx = import_onnx()
    given = given or GraphInput()
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            # Of what future versions of torch change.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            program = torch.onnx.export(
                module,
                (given.example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[given.name],
                output_names=list(OUTPUTS),
                dynamic_shapes=(dict(given.axes),),
                custom_translation_table={torch.ops.aten.scalar_tensor.default: _constant()},
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        cause = error.__cause__ or error
        raise ModelError(
            f"torch cannot write this network as ONNX ({one_line(cause)[:300]}): export it to "
            "another target, with --to torch"
        ) from error
    assert program is not None
    program.model.metadata_props.update(
        {name: json.dumps(value) for name, value in metadata.items()}
    )
    for part in module.modules():
        if (function := getattr(part, "onnx_function", None)) is not None:
            _add_function(program.model, function)
    size = sum(tensor.nbytes for tensor in module.state_dict().values())
    program.save(str(path), external_data=size > _MOST_IN_ONE_FILE)
    onnx.checker.check_model(str(path), full_check=True)


def _constant() -> Callable[..., Any]:
    """Return the operator of a number, which torch would round to float32 in float64 too."""
    import onnx_ir
    from onnxscript import opset20
    from onnxscript.onnx_types import TensorType

    operators: Any = opset20  # Its stubs know only one of the classes of tensors.

    def constant(
        s: Any, dtype: int = 1, layout: str = "", device: str = "", pin_memory: bool = False
    ) -> Any:
        if isinstance(s, int | float):
            return operators.Constant(value=onnx_ir.tensor(s, dtype=onnx_ir.DataType(dtype)))
        return operators.Cast(s, to=dtype)

    # torch reads the types of the arguments from here, and not from their names.
    kinds = {"dtype": int, "layout": str, "device": str, "pin_memory": bool}
    constant.__annotations__ = {"s": TensorType, **kinds}
    return constant


def _add_function(model: Any, function: Any) -> None:
    """Add an operator that the graph names, with the operators that it is made of."""
    import onnx_ir

    made = onnx_ir.serde.deserialize_function(function)
    model.functions[made.identifier()] = made
    for domain, version in made.opset_imports.items():
        model.opset_imports.setdefault(domain, version)
