"""Training of one arm: a network for every fold, and one for all samples where it is asked for."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck import __version__
from bottleneck.duplicates.fold_plan import FoldPlan
from bottleneck.finetune.inputs.validation_split import (
    REFIT,
    FoldSplit,
    refuse_shared_patients,
    split_table,
)
from bottleneck.finetune.networks.classifier import count_parameters, describe_trainable
from bottleneck.finetune.trained_arm import Trained
from bottleneck.finetune.training_folder.fold_record import JOINED, TRAINING_FORMAT
from bottleneck.finetune.training_folder.saved_files import (
    seal_table,
    write_sealed_json,
    write_table,
)
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.predictions import Predictions, predicted_classes
from bottleneck.text.plain_text import without_paths
from bottleneck.text.table_text import frame_csv

if TYPE_CHECKING:
    from bottleneck.finetune.inputs.training_data import Inputs
    from bottleneck.finetune.training_folder.run_folder import RunFolder, Scores

__all__ = ["describe_inputs", "train_arm"]

Progress = Callable[[int, int, str], None]

_PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy", "scikit-learn")


def describe_inputs(
    inputs: Inputs, config: TrainingOptions, parts: Sequence[FoldSplit], plan: FoldPlan
) -> dict[str, Any]:
    """Return what determines the result of a training: options, data, network and folds."""
    table = split_table(parts, inputs.ids, inputs.stated_patients)
    labels = {"labels": plan.conflicts.how} if len(plan.conflicts.relabelled) else {}
    return {
        **labels,
        "bottleneck": __version__,
        "config": config.decisive(),
        "data": inputs.digest,
        "network": inputs.described["network"],
        "folds": hashlib.sha256(frame_csv(table).encode()).hexdigest(),
    }


def train_arm(
    inputs: Inputs,
    config: TrainingOptions,
    plan: FoldPlan,
    parts: Sequence[FoldSplit],
    whole: FoldSplit | None,
    folder: RunFolder,
    progress: Progress | None,
) -> Trained:
    """Train the networks of one seed, and write their predictions and records.

    Parameters
    ----------
    inputs : Inputs
        Samples and network.
    config : TrainingOptions
        Options, with a precision other than "auto".
    plan : FoldPlan
        The folds.
    parts : sequence of FoldSplit
        The folds with their validation sets.
    whole : FoldSplit or None
        All samples with a validation set, for a network that is tested on nothing.
    folder : RunFolder
        The folder of the seed, which is locked.
    progress : callable or None
        As for the public functions.
    """
    import pandas as pd

    layers = describe_trainable(inputs.network(config.seed))
    n_trained, n_all = count_parameters(layers)
    every = [*parts] if whole is None else [*parts, whole]
    results = [
        _train_fold(inputs, config, part, plan, folder, progress, (number, len(every), len(parts)))
        for number, part in enumerate(every)
    ]
    test, validation = (
        Predictions.concatenate(
            [
                _predictions(inputs, part, getattr(part, name), scores[name])
                for part, (_, scores) in zip(parts, results[: len(parts)], strict=True)
            ]
        )
        for name in ("test", "validation")
    )
    parts_of_table = [
        test.to_frame().assign(part="test"),
        validation.to_frame().assign(part="validation"),
    ]
    tables = {"predictions.csv": pd.concat(parts_of_table, ignore_index=True)}
    if plan.all_groups is not None and len(plan.duplicates.pairs):
        joined = dict(zip(inputs.ids.tolist(), plan.all_groups.tolist(), strict=True))
        tables["predictions.csv"][JOINED] = tables["predictions.csv"]["id"].map(joined)
    refit = None
    if whole is not None:
        refit, scores = results[-1]
        chosen_on = _predictions(inputs, whole, whole.validation, scores["validation"])
        tables[f"{REFIT}.csv"] = chosen_on.to_frame().assign(part="validation")
    records = [record for record, _ in results[: len(parts)]]
    record = {
        "format": TRAINING_FORMAT,
        "name": inputs.name,
        "seed": config.seed,
        **inputs.described,
        "classes": list(inputs.classes),
        "config": config.to_dict(),
        "protocol": {
            "kind": plan.folds.kind,
            "grouped": plan.folds.grouped,
            "words": plan.folds.words,
            "audit": plan.words,
            "conflicts": plan.conflicts.how,
            "dropped": len(plan.conflicts.dropped),
        },
        "trained_parameters": n_trained,
        "parameters": n_all,
        "layers": layers,
        "seconds": sum(r["seconds"] for r in records),
        "images_seen": sum(r["images_seen"] for r in records),
        "device": ", ".join(sorted({r["device"] for r in records})),
        "peak_memory_bytes": max(r["peak_memory_bytes"] for r in records),
        "folds": records,
        "refit": refit,
        "files": {name: seal_table(table)._asdict() for name, table in tables.items()},
        "notes": [without_paths(note) for note in inputs.notes],
        "versions": {
            "bottleneck": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    }
    who = split_table(parts, inputs.ids, inputs.stated_patients)
    refuse_shared_patients(who)
    write_table(folder.path / "splits.csv", who)
    write_sealed_json(folder.path / "training.json", record)
    for name, table in reversed(tables.items()):  # That of the folds marks the end.
        write_table(folder.path / name, table)
    return Trained(
        inputs.name, folder.path, config.seed, test, validation, record, tuple(inputs.notes)
    )


def _train_fold(
    inputs: Inputs,
    config: TrainingOptions,
    part: FoldSplit,
    plan: FoldPlan,
    folder: RunFolder,
    progress: Progress | None,
    place: tuple[int, int, int],
) -> tuple[dict[str, Any], Scores]:
    from bottleneck.finetune.training.trainer import embed_rows, predict_rows, train_network
    from bottleneck.finetune.training.training_module import auroc

    number, n_parts, n_folds = place
    known = folder.finished(part, len(inputs.classes))
    if known is not None:
        return known

    def move(done: int, total: int, text: str) -> None:
        if progress is not None:
            progress(number * total + done, n_parts * total, text)

    what = f"fold {number + 1}/{n_folds}" if part.name != REFIT else "all samples"
    text = f"seed {config.seed}, {what}"
    path = folder.fold(part.name)
    checkpoint = folder.checkpoint(part.name)
    network, record = train_network(inputs, part, config, checkpoint, move, text, folder.note)
    scores = {
        name: predict_rows(inputs, network, getattr(part, name), config, path)
        for name in ("test", "validation")
    }
    reference = inputs.stored_features(part.train)
    if reference is None and network.has_features:
        reference = embed_rows(inputs, network, part.train, config, path)
    record = {
        "repeat": part.repeat,
        "fold": part.fold,
        "n_train": len(part.train),
        "n_validation": len(part.validation),
        "n_test": len(part.test),
        **{
            f"{k}_auroc": auroc(inputs.labels[getattr(part, k)], v) if len(v) else None
            for k, v in scores.items()
        },
        **record,
    }
    groups = inputs.ids if plan.all_groups is None else plan.all_groups
    made = {} if reference is None else _name_none(groups[part.train], reference)
    return folder.finish(part.name, record, scores, network.state_dict(), made), scores


def _name_none(groups: NDArray[np.str_], features: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Return features with numbers in place of patients, joined where they share copies."""
    return {"X": features, "patients": np.unique(groups, return_inverse=True)[1]}


def _predictions(
    inputs: Inputs, part: FoldSplit, rows: NDArray[np.intp], scores: NDArray[np.float64]
) -> Predictions:
    return Predictions(
        ids=inputs.ids[rows],
        groups=None if inputs.patients is None else inputs.patients[rows],
        repeats=np.full(len(rows), part.repeat),
        folds=np.full(len(rows), part.fold),
        labels=inputs.y[rows],
        predicted=predicted_classes(scores, inputs.classes),
        scores=scores,
        classes=inputs.classes,
        kind="probability",
    )
