"""Train a network on every fold, as an arm of a comparison."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck import __version__
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.known_labels import require_labels
from bottleneck.data.splits.patients import count_by_class
from bottleneck.data.splits.protocol import Protocol
from bottleneck.duplicates.fold_plan import FoldPlan
from bottleneck.errors import MissingExtraError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.finetune.trained_arm import Trained
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.finetune.validation_split import (
    FoldSplit,
    divide,
    plan_training,
    refuse_shared_patients,
    split_table,
)
from bottleneck.predictions import Predictions, predicted_classes
from bottleneck.processes.work_steps import shows_progress
from bottleneck.settings.ranges import ArmName, Repeats
from bottleneck.settings.schema import validate
from bottleneck.text.plain_text import without_paths
from bottleneck.text.table_text import frame_csv

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone
    from bottleneck.finetune.training_data import Inputs
    from bottleneck.finetune.training_folder.run_folder import RunFolder, Scores

__all__ = ["finetune", "summarise_seeds", "train_on_features"]

Progress = Callable[[int, int, str], None]
Strings = NDArray[np.str_]

_PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy", "scikit-learn")


@shows_progress("batches")
def finetune(
    dataset: ImageDataset,
    config: TrainingOptions = TrainingOptions(),
    *,
    backbone: Backbone | None = None,
    protocol: Protocol = Protocol(),
    folds_from: str | Path | None = None,
    seeds: int = 1,
    output: str | Path = "trained",
    name: str | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    note: Callable[[str], None] | None = None,
) -> tuple[Trained, ...]:
    """Train a network on the training set of every fold, and test it on the test fold.

    A validation set is held out of each training set by patient; the epoch with its highest
    AUROC is tested. The folds are those of ``compare`` for the same protocol: patients that share
    identical or near-duplicate images are in one fold, and copies with different labels are left
    out. ``compare`` may also join patients by a doubtful duplicate, which only features confirm;
    ``folds_from`` takes the folds of a comparison. A checkpoint is written after every epoch: the
    same call continues an interrupted training, with the same result. Finished folds are not
    trained again.

    Parameters
    ----------
    dataset : ImageDataset
        The images.
    config : TrainingOptions
        Options of network, training and augmentation.
    backbone : Backbone, optional
        A loaded backbone, in place of the one that ``config`` names.
    protocol : Protocol
        How samples are split.
    folds_from : str or Path, optional
        A CSV with the columns id, repeat and fold, such as the ``predictions.csv`` of a
        comparison or of another training; its test folds are used instead.
    seeds : int
        Number of networks per fold. The first has the seed of ``config``, each following one the
        next number. Folds and validation sets are the same for all. Each seed is an arm of its
        own, in a folder ``seed-N`` where there are several, because a repeat in ``Predictions``
        means other folds.
    output : str or Path
        Folder of the results, created where it does not exist.
    name : str, optional
        Name of the arm, by default that of network and weights.
    progress : callable, optional
        Called with the number of batches done, their largest possible number, and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.
    note : callable, optional
        Called with a sentence on copies, before any training, and on each damaged file.

    Returns
    -------
    tuple of Trained
        One per seed.

    Raises
    ------
    MissingExtraError
        If Lightning is not installed.
    UsageError
        If an option does not fit, or the folder holds another training.
    WeightsError
        If the weights are not available or do not fit.
    ProtocolError
        If the samples cannot be split in this way.
    DataError
        If no image can be used.
    """
    _refuse_missing()
    from bottleneck.finetune.image_data import ImageInputs

    inputs = ImageInputs(dataset, config, backbone)
    return _train_arms(
        inputs, config, protocol, folds_from, seeds, Path(output), name, progress, note
    )


@shows_progress("batches")
def train_on_features(
    features: FeatureSet,
    config: TrainingOptions = TrainingOptions(backbone="new_fc"),
    *,
    protocol: Protocol = Protocol(),
    folds_from: str | Path | None = None,
    seeds: int = 1,
    output: str | Path = "trained",
    name: str | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    note: Callable[[str], None] | None = None,
) -> tuple[Trained, ...]:
    """Train the "new FC" of Sai Sundar & Siva Sankara Sai on features of a frozen network.

    Parameters, results and errors are those of :func:`finetune`, with ``features`` in place of a
    data set and without augmentation. The folds are those of ``compare`` for the same protocol.
    """
    _refuse_missing()
    from bottleneck.finetune.training_data import FeatureInputs

    inputs = FeatureInputs(features, config)
    return _train_arms(
        inputs, config, protocol, folds_from, seeds, Path(output), name, progress, note
    )


def summarise_seeds(trained: Sequence[Trained]) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation, over seeds, of the mean AUROC over folds.

    Returns
    -------
    dict
        "test" and "validation", each with ``mean`` and ``sd`` (n − 1; 0 for one seed).
    """
    summary = {}
    for part in ("test", "validation"):
        values = [
            float(np.mean([fold[f"{part}_auroc"] for fold in arm.record["folds"]]))
            for arm in trained
        ]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        summary[part] = {"mean": float(np.mean(values)), "sd": spread}
    return summary


def _refuse_missing() -> None:
    if find_spec("lightning") is None:
        raise MissingExtraError(
            "training needs Lightning, which is not installed. Install it with",
            "  pip install 'bottleneck-features[finetune]'",
        )


def _train_arms(
    inputs: Inputs,
    config: TrainingOptions,
    protocol: Protocol,
    folds_from: str | Path | None,
    seeds: int,
    output: Path,
    name: str | None,
    progress: Progress | None,
    note: Callable[[str], None] | None,
) -> tuple[Trained, ...]:
    from bottleneck.features import devices
    from bottleneck.finetune.training_folder.run_folder import RunFolder
    from bottleneck.finetune.training_folder.saved_files import write_json

    validate(Repeats, seeds, "the number of seeds")
    require_labels(inputs.described["dataset"]["name"], count_by_class(inputs.y))
    if name is not None:
        inputs.name = validate(ArmName, name, "the name of the arm")
    if config.precision == "auto":
        native = devices.native_precision(devices.resolve_device(config.device))
        config = dataclasses.replace(config, precision=native)
    plan = plan_training(inputs, protocol, folds_from, progress)
    if note is not None:
        note(f"Leak audit: {plan.words}")
    parts = divide(plan, inputs.splits, config.validation)
    refuse_shared_patients(split_table(parts, inputs.ids, inputs.stated_patients))
    inputs.notes += plan.folds.warnings
    if len(plan.conflicts.relabelled):
        inputs.y = plan.conflicts.y
    trained = []
    for number in range(seeds):
        chosen = dataclasses.replace(config, seed=config.seed + number)
        path = output if seeds == 1 else output / f"seed-{chosen.seed}"
        folder = RunFolder(path, _inputs_of(inputs, chosen, parts, plan), note)
        with folder.locked():
            trained.append(_train_arm(inputs, chosen, plan, parts, folder, progress))
    if seeds > 1:
        write_json(
            output / "seeds.json",
            {"seeds": [arm.seed for arm in trained], "auroc": summarise_seeds(trained)},
        )
    return tuple(trained)


def _inputs_of(
    inputs: Inputs, config: TrainingOptions, parts: Sequence[FoldSplit], plan: FoldPlan
) -> dict[str, Any]:
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


def _train_arm(
    inputs: Inputs,
    config: TrainingOptions,
    plan: FoldPlan,
    parts: Sequence[FoldSplit],
    folder: RunFolder,
    progress: Progress | None,
) -> Trained:
    import pandas as pd

    from bottleneck.finetune.classifier import count_parameters, describe_trainable
    from bottleneck.finetune.training_folder.saved_files import write_json, write_table

    layers = describe_trainable(inputs.network(config.seed))
    n_trained, n_all = count_parameters(layers)
    results = [
        _train_fold(inputs, config, part, folder, progress, number, len(parts))
        for number, part in enumerate(parts)
    ]
    test, validation = (
        Predictions.concatenate(
            [
                _predictions(inputs, part, getattr(part, name), scores[name])
                for part, (_, scores) in zip(parts, results, strict=True)
            ]
        )
        for name in ("test", "validation")
    )
    records = [record for record, _ in results]
    record = {
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
        "notes": [without_paths(note) for note in inputs.notes],
        "versions": {
            "bottleneck": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    }
    table = pd.concat(
        [
            test.to_frame().assign(part="test"),
            validation.to_frame().assign(part="validation"),
        ],
        ignore_index=True,
    )
    who = split_table(parts, inputs.ids, inputs.stated_patients)
    refuse_shared_patients(who)
    write_table(folder.path / "splits.csv", who)
    write_json(folder.path / "training.json", record)
    write_table(folder.path / "predictions.csv", table)
    return Trained(
        inputs.name, folder.path, config.seed, test, validation, record, tuple(inputs.notes)
    )


def _train_fold(
    inputs: Inputs,
    config: TrainingOptions,
    part: FoldSplit,
    folder: RunFolder,
    progress: Progress | None,
    number: int,
    n_parts: int,
) -> tuple[dict[str, Any], Scores]:
    from bottleneck.finetune.trainer import predict_rows, train_network
    from bottleneck.finetune.training_module import auroc

    known = folder.finished(part, len(inputs.classes))
    if known is not None:
        return known

    def move(done: int, total: int, text: str) -> None:
        if progress is not None:
            progress(number * total + done, n_parts * total, text)

    text = f"seed {config.seed}, fold {number + 1}/{n_parts}"
    path = folder.fold(part.name)
    checkpoint = folder.checkpoint(part.name)
    network, record = train_network(inputs, part, config, checkpoint, move, text, folder.note)
    scores = {
        name: predict_rows(inputs, network, getattr(part, name), config, path)
        for name in ("test", "validation")
    }
    record = {
        "repeat": part.repeat,
        "fold": part.fold,
        "n_train": len(part.train),
        "n_validation": len(part.validation),
        "n_test": len(part.test),
        **{f"{k}_auroc": auroc(inputs.labels[getattr(part, k)], v) for k, v in scores.items()},
        **record,
    }
    return folder.finish(part.name, record, scores, network.state_dict()), scores


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
