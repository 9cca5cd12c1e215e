"""What a card quotes of a model, as plain content that the card itself keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.backbones.licences import recorded_licence
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.models.model_words import describe_model, describe_order
from bottleneck.deploy.prediction.decision_boundary import boundary_probability
from bottleneck.errors import UsageError
from bottleneck.evaluation.cross_validation.training_record import read_training, training_cost
from bottleneck.evaluation.results.arm_origin import head_digest
from bottleneck.export.folder.export_record import hash_model
from bottleneck.report.redaction import plain
from bottleneck.text.plain_text import without_paths

if TYPE_CHECKING:
    from bottleneck.deploy.trained.trained_model import TrainedModel

__all__ = ["describe_for_card", "training_digest"]

_WEIGHTS = ("name", "source", "sha256")


def describe_for_card(model: Model | TrainedModel, path: Path | None) -> dict[str, Any]:
    """Return what a card quotes of a model.

    Parameters
    ----------
    model : Model or TrainedModel
        The model.
    path : Path or None
        Its file or folder; None for a model in memory.

    Returns
    -------
    dict
        Plain content without absolute paths. ``kind`` is "head" or "networks", ``words`` are
        sentences, and ``file`` and ``sha256`` are those of the file (of a training, of its
        ``training.json``).

    Raises
    ------
    UsageError
        If no comparison evaluated the model.
    """
    facts = _of_head(model) if isinstance(model, Model) else _of_networks(model)
    facts |= {
        "classes": model.classes,
        "positive": model.positive,
        "weights": {
            **{name: model.weights.get(name) for name in _WEIGHTS},
            "licence": recorded_licence(model.weights),
        },
        "file": None if path is None else path.name,
        "sha256": None if path is None else hash_model(path),
    }
    made: dict[str, Any] = plain(facts, without_paths)
    return made


def training_digest(cost: Mapping[str, Any]) -> str:
    """Return a digest of a training: its options, and the losses of its epochs.

    Parameters
    ----------
    cost : mapping
        ``cost`` of an arm in ``results.json``.
    """
    kept = [cost.get("training"), cost.get("curves")]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _of_head(model: Model) -> dict[str, Any]:
    if model.comparison is None:
        raise UsageError(
            "a card quotes the results of a comparison, but this model names none that evaluated "
            "it: fit it again with --comparison REPORT (in Python: comparison=), which is the "
            "report of compare"
        )
    point = model.operating_point
    return {
        "kind": "head",
        "words": {**describe_model(model), "order": describe_order(model)},
        "comparison": model.comparison.to_dict(),
        "fingerprint": model.fingerprint,
        "recipe_hash": model.recipe_hash,
        "head_digest": head_digest(model.classifier),
        "operating_point": None
        if point is None
        else {"held": point.held, "target": point.target, "threshold": point.threshold},
        "threshold_moved": any(one.get("what") == "threshold" for one in model.recalibrations),
        "boundary": boundary_probability(model),
        "is_calibrated": model.sigmoids is not None,
        "versions": dict(model.versions),
    }


def _of_networks(model: TrainedModel) -> dict[str, Any]:
    from bottleneck.deploy.trained.network_choice import choose_network
    from bottleneck.finetune.training_folder.trained_folder import TrainedFolder

    file = model.path / "training.json"
    cost = plain(training_cost(read_training(file), file), without_paths)
    described = model.describe()
    record = TrainedFolder(model.path).record
    return {
        "kind": "networks",
        "words": {
            "classifier": f"{model.name}: {described['began with']}",
            "trained on": described["trained on"],
            "predicts": "images",
            "probabilities": "calibrated by a sigmoid on the validation set of each fold",
            "threshold": "chosen for each prediction, with --at-sensitivity or --at-specificity; "
            "without a threshold, it decides for the class with the largest score",
            "sets": "of predictions on the test folds",
            "distances": "measured from the training images of each network",
            "comparison": choose_network(record).words,
            "recalibrations": "none",
            "order": "",
        },
        "name": model.name,
        "training_digest": training_digest(cost),
        "operating_point": None,
        "threshold_moved": False,
        "boundary": None,
        "is_calibrated": True,
        "versions": cost.get("training", {}).get("versions", {}),
    }
