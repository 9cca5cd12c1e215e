"""Train a network on every fold, as an arm of a comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bottleneck.backbones.licences import LicencePolicy, require_licence, weights_record
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.known_labels import require_labels
from bottleneck.data.splits.patients import count_by_class
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import MissingExtraError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.finetune.inputs.validation_split import (
    REFIT,
    divide,
    hold_out_of_all,
    plan_training,
    refuse_shared_patients,
    split_table,
)
from bottleneck.finetune.trained_arm import Trained
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.processes.work_steps import shows_progress
from bottleneck.settings.ranges import ArmName, Repeats
from bottleneck.settings.schema import validate

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone
    from bottleneck.finetune.inputs.training_data import Inputs

__all__ = ["finetune", "summarise_seeds", "train_on_features"]

Progress = Callable[[int, int, str], None]


@shows_progress("batches")
def finetune(
    dataset: ImageDataset,
    config: TrainingOptions = TrainingOptions(),
    *,
    backbone: Backbone | None = None,
    protocol: Protocol = Protocol(),
    folds_from: str | Path | None = None,
    seeds: int = 1,
    refit: bool = False,
    licence_policy: LicencePolicy = "any",
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
        How samples are split. Without a number of repeats, there is one: each more trains the
        networks of all folds again.
    folds_from : str or Path, optional
        A CSV with the columns id, repeat and fold, such as the ``predictions.csv`` of a
        comparison or of another training; the test folds of its first repeats, as many as
        ``protocol`` names, are used instead.
    seeds : int
        Number of networks per fold. The first has the seed of ``config``, each following one the
        next number. Folds and validation sets are the same for all. Each seed is an arm of its
        own, in a folder ``seed-N`` where there are several, because a repeat in ``Predictions``
        means other folds.
    refit : bool
        Whether one more network is trained on all samples, after those of the folds and in the
        same way: a validation set by patient is held out of it too. It was tested on nothing;
        the folds estimate how good it is. A network that was trained before is kept.
    licence_policy : {"any", "commercial"}
        "commercial" refuses weights whose licence does not allow commercial use, or is not stated.
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
    LicenceError
        If the policy refuses their licence.
    ProtocolError
        If the samples cannot be split in this way.
    DataError
        If no image can be used.
    """
    _refuse_missing()
    from bottleneck.finetune.inputs.image_data import ImageInputs

    if backbone is not None:
        require_licence(backbone.weights.to_dict(), licence_policy)
    else:
        config.require_licence(licence_policy)
    inputs = ImageInputs(dataset, config, backbone)
    return _train_arms(
        inputs, config, protocol, folds_from, seeds, Path(output), name, progress, note, refit=refit
    )


@shows_progress("batches")
def train_on_features(
    features: FeatureSet,
    config: TrainingOptions = TrainingOptions(backbone="new_fc"),
    *,
    protocol: Protocol = Protocol(),
    folds_from: str | Path | None = None,
    seeds: int = 1,
    refit: bool = False,
    licence_policy: LicencePolicy = "any",
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
    from bottleneck.finetune.inputs.training_data import FeatureInputs

    require_licence(weights_record(features.provenance), licence_policy)
    inputs = FeatureInputs(features, config)
    return _train_arms(
        inputs, config, protocol, folds_from, seeds, Path(output), name, progress, note, refit=refit
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
    *,
    refit: bool,
) -> tuple[Trained, ...]:
    from bottleneck.features import devices
    from bottleneck.finetune.arm_training import describe_inputs, train_arm
    from bottleneck.finetune.training_folder.run_folder import RunFolder
    from bottleneck.finetune.training_folder.saved_files import write_json

    validate(Repeats, seeds, "the number of seeds")
    require_labels(inputs.described["dataset"]["name"], count_by_class(inputs.y))
    if name is not None:
        inputs.name = validate(ArmName, name, "the name of the arm")
    if config.precision == "auto":
        device = devices.resolve_device(config.device)
        # torch 2.14 computes gradients of bf16 convolutions of volumes on a CPU that are not finite
        # now and then.
        on_cpu = device.type == "cpu" and inputs.is_of_volumes
        native = devices.native_precision(device)
        config = dataclasses.replace(config, precision="fp32" if on_cpu else native)
    plan = plan_training(inputs, protocol, folds_from, progress)
    if note is not None:
        note(f"Leak audit: {plan.words}")
    parts = divide(plan, inputs.splits, config.validation)
    refuse_shared_patients(split_table(parts, inputs.ids, inputs.stated_patients))
    whole = hold_out_of_all(plan, config.validation) if refit else None
    inputs.notes += tuple(one.with_code for one in plan.folds.warnings)
    if len(plan.conflicts.relabelled):
        inputs.y = plan.conflicts.y
    trained = []
    for number in range(seeds):
        chosen = dataclasses.replace(config, seed=config.seed + number)
        path = output if seeds == 1 else output / f"seed-{chosen.seed}"
        folder = RunFolder(path, describe_inputs(inputs, chosen, parts, plan), note)
        with folder.locked():
            if whole is None and folder.has(REFIT):
                whole = hold_out_of_all(plan, config.validation)
            trained.append(train_arm(inputs, chosen, plan, parts, whole, folder, progress))
    if seeds > 1:
        write_json(
            output / "seeds.json",
            {"seeds": [arm.seed for arm in trained], "auroc": summarise_seeds(trained)},
        )
    return tuple(trained)
