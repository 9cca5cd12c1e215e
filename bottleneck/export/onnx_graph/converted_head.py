"""Estimators of users as operators of an ONNX graph, converted by skl2onnx and checked."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bottleneck.deploy.models.model import Model
from bottleneck.errors import MissingExtraError, UsageError, one_line
from bottleneck.export.onnx_graph.graph_writing import OPSET, import_onnx
from bottleneck.heads.estimators.scores import order_classes, read_scores
from bottleneck.heads.estimators.suitability import last_step
from bottleneck.predictions import Kind

__all__ = ["DOMAIN", "ConvertedHead", "convert_head", "convert_own_head"]

#: Domain of the operators, which are functions in the file itself.
DOMAIN = "bottleneck"

# Of the operators of classical machine learning. onnxruntime has it since 1.9.
_ML_OPSET = 3
# skl2onnx converts some estimators to other functions: probabilities were off by up to 0.9.
_MOST_APART = 1e-5


@dataclasses.dataclass(frozen=True)
class _Conversion:
    """What skl2onnx made of an estimator, with numbers of one type."""

    proto: Any
    dtype: torch.dtype

    @property
    def outputs(self) -> list[str]:
        return [output.name for output in self.proto.graph.output]


class ConvertedHead(nn.Module):
    """The scores of an estimator that skl2onnx has converted; its forward pass writes ONNX only.

    Parameters
    ----------
    name : str
        Name of the operator in the graph.
    function : FunctionProto
        The operator.
    dtype : torch.dtype
        Type of the features that it takes.
    n_scores : int
        Number of scores that it returns for a sample.
    columns : sequence of int
        For each class in sorted order, the column of its score.
    """

    def __init__(
        self, name: str, function: Any, dtype: torch.dtype, n_scores: int, columns: Sequence[int]
    ) -> None:
        super().__init__()
        self.operator, self.onnx_function = name, function
        self.dtype, self.n_scores, self.columns = dtype, n_scores, list(columns)

    def forward(self, features: Tensor) -> Tensor:
        """Return scores of float64, shape (n, n_classes), as ``read_scores`` does.

        Parameters
        ----------
        features : Tensor of float64, shape (n, n_features)
            Features.

        Raises
        ------
        UsageError
            Outside an export to ONNX.
        """
        if not torch.onnx.is_in_onnx_export():
            raise UsageError(
                f"the head {self.operator} can be exported only to ONNX, through skl2onnx: export "
                "the model with --to onnx"
            )
        scores = torch.onnx.ops.symbolic(
            f"{DOMAIN}::{self.operator}",
            (features.to(self.dtype),),
            dtype=self.dtype,
            shape=(features.shape[0], self.n_scores),
            version=1,
        ).double()
        if self.n_scores == 1:
            scores = torch.cat([-scores, scores], 1)
        return scores[:, self.columns]


def convert_own_head(model: Model) -> ConvertedHead:
    """Return the head of a model as a module that can be written as ONNX.

    The scores are compared on the training features that the model holds.

    Raises
    ------
    MissingExtraError, UsageError
        As ``convert_head``.
    """
    reference = model.reference
    rows = np.empty((0, 0)) if reference is None else reference.rows
    return convert_head(model.estimator, model.kind, model.classes, rows)


def convert_head(
    estimator: Any, kind: Kind, classes: Sequence[str], rows: NDArray[np.floating]
) -> ConvertedHead:
    """Return the scores of a fitted estimator as a module that can be written as ONNX.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of scikit-learn.
    kind : {"decision", "probability"}
        Whether the scores are values of the decision function or probabilities.
    classes : sequence of str
        All labels, sorted.
    rows : ndarray of float, shape (n_rows, n_features)
        Features of the training images, on which the scores are compared.

    Raises
    ------
    MissingExtraError
        If skl2onnx or a package of the extra ``onnx`` is not installed.
    UsageError
        If skl2onnx does not know the estimator, if its scores differ from those of scikit-learn,
        or if there are no rows to compare them on.
    """
    name = type(last_step(estimator)).__name__
    if not len(rows):
        raise UsageError(
            f"the head {name} would have to be converted by skl2onnx, but the model holds no "
            "training features on which to check the conversion: fit it on more patients"
        )
    _import_skl2onnx()
    X = np.asarray(rows, dtype=np.float64)
    wanted = read_scores(kind, estimator, X, classes)
    columns = order_classes(estimator, classes)
    # A difference of scores counts beside their range.
    scale = max(1.0, float(np.ptp(wanted))) if kind == "decision" else 1.0
    reasons = []
    for dtype in (torch.float64, torch.float32):
        try:
            made = _convert(estimator, kind, X.shape[1], dtype)
            raw = _run(made, X)
        # skl2onnx and onnxruntime raise whatever occurs to them on what they do not know.
        except Exception as error:  # noqa: BLE001
            reasons.append(f"{type(error).__name__}: {one_line(error)[:120]}")
            continue
        given = np.hstack([-raw, raw]) if raw.shape[1] == 1 else raw
        if given.shape != wanted.shape:
            reasons.append(f"{given.shape[1]} scores for {len(classes)} classes")
            continue
        apart = float(abs(given[:, columns] - wanted).max()) / scale
        if apart <= _MOST_APART:
            return ConvertedHead(name, _function(made, name), dtype, raw.shape[1], columns)
        reasons.append(f"its scores differ by {apart:.2g} from those of scikit-learn")
    raise UsageError(
        f"the head {name} cannot be converted by skl2onnx ({reasons[-1]}): export a head of "
        "the catalogue, a pipeline of scalers and a linear classifier, or a support vector machine"
    )


def _import_skl2onnx() -> Any:
    import_onnx()
    try:
        import skl2onnx
    except ImportError:
        raise MissingExtraError(
            "an export of your own estimator needs skl2onnx, which is not installed. Install "
            "it with",
            "  pip install 'bottleneck-features[onnx]'",
        ) from None
    return skl2onnx


def _convert(estimator: Any, kind: Kind, n_features: int, dtype: torch.dtype) -> _Conversion:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    numbers = DoubleTensorType if dtype == torch.float64 else FloatTensorType
    options: dict[str, bool] = {"zipmap": False}
    if kind == "decision":
        options["raw_scores"] = True
    with warnings.catch_warnings():
        # Of scikit-learn's attributes that skl2onnx reads.
        warnings.simplefilter("ignore", FutureWarning)
        proto = _import_skl2onnx().to_onnx(
            estimator,
            initial_types=[("features", numbers([None, n_features]))],
            options={id(estimator): options},
            target_opset={"": OPSET, "ai.onnx.ml": _ML_OPSET},
        )
    return _Conversion(proto, dtype)


def _run(made: _Conversion, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores of onnxruntime, of shape (n_rows, n_scores)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        made.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kind = np.float64 if made.dtype == torch.float64 else np.float32
    (scores,) = session.run(made.outputs[1:2], {"features": X.astype(kind)})
    return np.asarray(scores, dtype=np.float64).reshape(len(X), -1)


def _function(made: _Conversion, name: str) -> Any:
    """Return a graph as a function, whose numbers are constants in it."""
    from onnx import helper

    graph = made.proto.graph
    constants = [
        helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in graph.initializer
    ]
    return helper.make_function(
        DOMAIN,
        name,
        ["features"],
        made.outputs[1:2],
        [*constants, *graph.node],
        list(made.proto.opset_import),
    )
