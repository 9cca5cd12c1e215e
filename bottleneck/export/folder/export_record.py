"""What the folder of an export records of its model and of its files."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck import __version__
from bottleneck.backbones.licences import recorded_licence
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.prediction.decision_boundary import boundary_probability
from bottleneck.errors import ModelError
from bottleneck.export.classifier.decision_rule import decision_words
from bottleneck.files.hashes import hash_file

if TYPE_CHECKING:
    from bottleneck.deploy.trained.trained_model import TrainedModel
    from bottleneck.export.classifier.exported_classifier import ExportedClassifier

__all__ = ["describe_export", "hash_model", "list_files"]

_PACKAGES = {
    "onnx": ("torch", "timm", "onnx", "onnxruntime"),
    "hub": ("torch", "timm", "transformers", "safetensors"),
    "torch": ("torch", "timm"),
}


def hash_model(path: Path) -> str:
    """Return the sha256 of the file of a model; of a folder of networks, that of its record."""
    file = path / "training.json" if path.is_dir() else path
    return hash_file(file, "model", ModelError)


def describe_export(
    model: Model | TrainedModel,
    classifier: ExportedClassifier,
    target: str,
    *,
    path: Path | None,
    network: str | None,
) -> dict[str, Any]:
    """Return what the record of an export states of its model.

    Parameters
    ----------
    model, classifier
        The model, as it is and as one module.
    target : str
        Name of the target.
    path : Path or None
        File or folder of the model, if it was read from there.
    network : str or None
        Which networks of a training.
    """
    weights = dict(model.weights)
    stated: dict[str, Any] = {
        "target": target,
        "model": {
            "name": None if path is None else path.name,
            "sha256": None if path is None else hash_model(path),
            "network": network,
        },
        "classes": list(classifier.classes),
        "positive": model.positive,
        "unit": "image",
        "aggregate": None,
        "scores": classifier.kind,
        "threshold": None,
        "decision": decision_words(classifier, model),
        "input": {
            classifier.input.name: classifier.input.words,
            "precision": "fp32",
            "preprocessing": classifier.preprocessing.to_dict(),
        },
        "weights": {**weights, "licence": recorded_licence(weights)} if weights else {},
        "recipe": dict(model.recipe),
        "versions": _versions(target),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    if isinstance(model, Model):
        stated["model"] |= {
            "head": model.head,
            "dataset": model.dataset,
            "trained_on": model.trained_on,
        }
        stated |= {
            "unit": model.unit,
            "aggregate": model.aggregate if model.unit == "patient" else None,
            "recipe_hash": model.recipe_hash,
            "threshold": _threshold(model),
        }
    else:
        stated["model"] |= {"head": model.name}
    return stated


def _threshold(model: Model) -> dict[str, Any] | None:
    """Return the threshold of the positive class: of its score, and as a probability if it is one.

    A probability rises with its score where there are two classes and the sigmoid rises.
    """
    point = model.operating_point
    if point is None or model.positive is None:
        return None
    return {
        "positive": model.positive,
        "score": point.threshold,
        "probability": boundary_probability(model),
        "held": point.held,
        "target": point.target,
    }


def _versions(target: str) -> dict[str, str]:
    found = {"bottleneck": __version__, "python": platform.python_version()}
    for name in _PACKAGES[target]:
        found[name] = metadata.version(name)
    return found


def list_files(folder: Path, leave_out: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return size and sha256 of the files of an export, by their names."""
    return {
        path.relative_to(folder).as_posix(): {
            "size": path.stat().st_size,
            "sha256": hash_file(path, "exported file"),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in leave_out
    }
