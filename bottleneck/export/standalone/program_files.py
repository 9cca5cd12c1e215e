"""The program of an exported folder: written into it, and run as its user does."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.inputs.network_inputs import patch_shape
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import DecodeError
from bottleneck.export.classifier.decision_rule import decision_words
from bottleneck.export.classifier.exported_classifier import ExportedClassifier
from bottleneck.export.classifier.graph_input import PIXELS
from bottleneck.export.standalone import picture_reading, predict_pictures
from bottleneck.export.targets.export_target import PictureReader

__all__ = ["PROGRAM", "classifier_facts", "input_words", "read_with_program", "write_program"]

#: Name of the program in an exported folder.
PROGRAM = "predict.py"
_READING = "picture_reading"


def classifier_facts(classifier: ExportedClassifier, model: Model | TrainedModel) -> dict[str, Any]:
    """Return what the program needs to know of a model beside the module, for JSON.

    Parameters
    ----------
    classifier : ExportedClassifier
        The model as one module.
    model : Model or TrainedModel
        The model.

    Returns
    -------
    dict
        classes; positive, a class or None; threshold, from which on a score is decided as the
        positive class, or None; decision, a sentence on how the model decides; patch, the shape of
        a patch of a volume, or None if the model takes pictures.
    """
    point = model.operating_point if isinstance(model, Model) else None
    shape = patch_shape(classifier.preprocessing)
    return {
        "classes": list(classifier.classes),
        "positive": model.positive,
        "threshold": None if point is None or model.positive is None else point.threshold,
        "decision": decision_words(classifier, model),
        "patch": None if classifier.input.name == PIXELS else list(shape),
    }


def input_words(classifier: ExportedClassifier) -> dict[str, str]:
    """Return an example of a file that a model takes, and where its content comes from."""
    if classifier.input.name == PIXELS:
        return {
            "file": "picture.png",
            "reading": "`read_picture` of `picture_reading.py` turns a file into such pixels, as "
            "the model was trained on.",
        }
    return {
        "file": "patch.npy",
        "reading": "A patch is what bottleneck makes of a region of a volume. Its orientation, "
        "spacing, size,\nwindow and all other steps are `preprocessing` under `input` in "
        "`export.json`; they are not part of\nthe model. `patch.npy` is such an array, as numpy "
        "saves it; `ImageDataset.read_patch` of\nbottleneck makes one.",
    }


def write_program(folder: Path) -> None:
    """Write the program into an exported folder, and what it imports next to it."""
    source = Path(predict_pictures.__file__).read_text(encoding="utf-8")
    reading = picture_reading.__name__
    # Not a package: the program imports the file in its own folder.
    source = source.replace(reading, _READING)
    (folder / PROGRAM).write_text(source, encoding="utf-8")
    copied = Path(picture_reading.__file__).read_text(encoding="utf-8")
    (folder / f"{_READING}.py").write_text(copied, encoding="utf-8")


def read_with_program(folder: Path) -> PictureReader:
    """Return the function of the program in an exported folder.

    Parameters
    ----------
    folder : Path
        The folder, with the program and a model. The program is run from there.

    Returns
    -------
    callable
        Takes the path of a picture and returns the probability of every class. It raises
        ``DecodeError`` if the program refuses the picture.
    """
    program = _load(folder / PROGRAM)
    facts, classify = program.load_classifier(folder)

    def read(path: Path) -> NDArray[np.float64]:
        try:
            pixels = program.read_input(path, facts)
        except (OSError, ValueError) as error:
            raise DecodeError(f"{path}: {error}") from None
        probabilities, _ = classify(pixels[np.newaxis])
        return np.asarray(probabilities[0], dtype=np.float64)

    return read


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exported_program", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As Python does for the folder of a program that it runs. What Python remembers of a relative
    # path is that of the folder that was the current one at its first use.
    folder = str(path.parent.absolute())
    importlib.invalidate_caches()
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
        sys.modules.pop(_READING, None)
    return module
