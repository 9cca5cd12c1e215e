"""Which networks of a training predict: that of a fold, all of them, or that of all samples."""

from __future__ import annotations

import dataclasses
import re

from bottleneck.errors import ModelError, UsageError, unknown_name
from bottleneck.finetune.inputs.validation_split import REFIT
from bottleneck.finetune.training_folder.trained_folder import FoldFiles, TrainingRecord
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = ["MEAN", "NetworkChoice", "choose_network", "network_label", "network_names"]

#: Name of the mean of the networks of all folds.
MEAN = "mean"

_SETS = "Its sets are made from the predictions of the networks of the folds"
_NAME = re.compile(r"(?:repeat-(\d+)-)?fold-(\d+)", re.ASCII)


@dataclasses.dataclass(frozen=True)
class NetworkChoice:
    """The networks that predict.

    Attributes
    ----------
    name : str
        "mean", "refit", or the name of a fold.
    members : tuple of FoldFiles
        The networks.
    words : str
        Which networks predict, and what was evaluated.
    """

    name: str
    members: tuple[FoldFiles, ...]
    words: str


def network_names(record: TrainingRecord) -> list[str]:
    """Return the names of the networks of a training, that of the default first."""
    several = len({fold.repeat for fold in record.folds}) > 1
    folds = [_fold_label(fold, several=several) for fold in record.folds]
    return [
        *([MEAN] if len(folds) > 1 else []),
        *folds,
        *([REFIT] if record.refit is not None else []),
    ]


def choose_network(record: TrainingRecord, name: str | None = None) -> NetworkChoice:
    """Return the networks of a name.

    Parameters
    ----------
    record : TrainingRecord
        The training.
    name : str or None
        "mean" for the mean of the calibrated probabilities of all folds, "fold-1" or
        "repeat-1-fold-1" for the network of a fold, "refit" for that of all samples. By default
        the mean; with a single fold, its network.

    Raises
    ------
    UsageError
        If there is no network of this name, or the name is of several.
    ModelError
        If the network of all samples was not trained.
    """
    known = network_names(record)
    if name is None:
        name = known[0]
    if not isinstance(name, str):
        raise UsageError(f"network must be one of {', '.join(known)}, not {shorten(name)}")
    if name == MEAN and len(record.folds) > 1:
        n = counted(len(record.folds), "fold")
        return NetworkChoice(
            name,
            record.folds,
            f"These figures are the mean of the calibrated probabilities of the networks of {n}. "
            "A comparison evaluates each of these networks on its own test fold, and not their "
            f"mean, which is usually slightly better. {_SETS}",
        )
    if name == REFIT:
        if record.refit is None:
            raise ModelError(
                "no network was trained on all samples: repeat the training with --refit (in "
                f"Python: refit=True), or choose another network: {', '.join(known)}"
            )
        return NetworkChoice(
            name,
            (record.refit,),
            "These figures are of the network that was trained on all samples, which was not "
            "itself evaluated: a comparison evaluates the networks of the folds, which were "
            "trained in the same way on fewer samples. {_SETS}",
        )
    several = len({fold.repeat for fold in record.folds}) > 1
    match = _NAME.fullmatch(name)
    if match is not None and match[1] is None and several:
        raise UsageError(
            f"the training has {len({fold.repeat for fold in record.folds})} repeats, each with a "
            f"{name}: name one of them, such as repeat-1-{name}"
        )
    for fold in record.folds if match is not None else ():
        assert match is not None
        if (fold.repeat + 1, fold.fold + 1) == (int(match[1] or 1), int(match[2])):
            label = _fold_label(fold, several=several)
            return NetworkChoice(
                label,
                (fold,),
                f"These figures are of the network of {label}, which a comparison evaluates on "
                "the test fold that this network was not trained on",
            )
    raise unknown_name("network", name, known)


def network_label(record: TrainingRecord, fold: FoldFiles) -> str:
    """Return the name of one network."""
    if fold is record.refit:
        return REFIT
    return _fold_label(fold, several=len({one.repeat for one in record.folds}) > 1)


def _fold_label(fold: FoldFiles, *, several: bool) -> str:
    prefix = f"repeat-{fold.repeat + 1}-" if several else ""
    return f"{prefix}fold-{fold.fold + 1}"
