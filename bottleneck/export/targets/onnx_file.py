"""A model as an ONNX graph, with a short program that predicts pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottleneck import __version__
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.export.classifier.exported_classifier import ExportedClassifier
from bottleneck.export.onnx_graph.graph_writing import import_onnx, write_graph
from bottleneck.export.standalone.program_files import (
    classifier_facts,
    read_with_program,
    write_program,
)
from bottleneck.export.targets.export_target import PictureReader

__all__ = ["OnnxFile"]


class OnnxFile:
    """A folder with ``model.onnx``, one graph from pixels to probabilities, and ``predict.py``.

    Examples
    --------
    >>> OnnxFile().name
    'onnx'
    """

    name = "onnx"

    def write(
        self, classifier: ExportedClassifier, model: Model | TrainedModel, folder: Path
    ) -> None:
        """Write graph and program, as ``ExportTarget`` says; errors also as ``write_graph``."""
        write_graph(classifier, folder / "model.onnx", _metadata(classifier, model))
        write_program(folder)

    def read(self, folder: Path) -> PictureReader:
        """Return the function of ``predict.py`` in the folder."""
        import_onnx()
        return read_with_program(folder)


def _metadata(classifier: ExportedClassifier, model: Model | TrainedModel) -> Mapping[str, Any]:
    """Return what the file states of the model."""
    metadata: dict[str, Any] = {
        **classifier_facts(classifier, model),
        "scores": classifier.kind,
        "weights": dict(model.weights),
        "recipe": dict(model.recipe),
        "made_by": f"bottleneck {__version__}",
        "notice": "For research use only. This is not a medical device.",
    }
    if isinstance(model, Model):
        metadata |= {
            "head": model.head,
            "unit": model.unit,
            "aggregate": model.aggregate,
            "recipe_hash": model.recipe_hash,
        }
    return metadata
