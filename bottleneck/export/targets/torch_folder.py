"""A model as a program of torch, with a short program that predicts pictures."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch.export import Dim

from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.export.classifier.exported_classifier import ExportedClassifier
from bottleneck.export.standalone.program_files import (
    classifier_facts,
    read_with_program,
    write_program,
)
from bottleneck.export.targets.export_target import PictureReader

__all__ = ["DYNAMIC_SHAPES", "TorchFolder", "example_pixels"]

#: The sizes of the input that may change from call to call.
DYNAMIC_SHAPES = {"pixels": {0: Dim("n"), 1: Dim("height"), 2: Dim("width")}}


def example_pixels() -> torch.Tensor:
    """Return an input for the export; with other sizes, torch would take some for constants."""
    return torch.zeros(2, 97, 131, 3, dtype=torch.uint8)


class TorchFolder:
    """A folder with ``model.pt2``, a program of ``torch.export``, and ``predict.py``.

    Examples
    --------
    >>> TorchFolder().name
    'torch'
    """

    name = "torch"

    def write(
        self, classifier: ExportedClassifier, model: Model | TrainedModel, folder: Path
    ) -> None:
        """Write model and program, as ``ExportTarget`` says."""
        program = torch.export.export(
            classifier, (example_pixels(),), dynamic_shapes=DYNAMIC_SHAPES
        )
        facts = json.dumps(classifier_facts(classifier, model))
        torch.export.save(program, folder / "model.pt2", extra_files={"classifier.json": facts})
        write_program(folder)

    def read(self, folder: Path) -> PictureReader:
        """Return the function of ``predict.py`` in the folder."""
        return read_with_program(folder)
