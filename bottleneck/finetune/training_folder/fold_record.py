"""The record of a trained fold, as its ``fold.json`` and ``training.json`` hold it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen

from bottleneck.errors import UsageError
from bottleneck.finetune.inputs.validation_split import FoldSplit
from bottleneck.finetune.training_folder.saved_files import DamagedFile
from bottleneck.settings.schema import Field, from_table, schema

__all__ = ["JOINED", "TRAINING_FORMAT", "FileRecord", "FoldRecord", "check_record"]

#: The format of ``training.json``.
TRAINING_FORMAT = "bottleneck-training/1"
#: The column of ``predictions.csv`` with the groups of patients who share copies of an image.
JOINED = "joined"

_Count = Annotated[int, Ge(0), Le(10**15)]
_Seconds = Annotated[float, Ge(0), Le(10**15)]
_Share = Annotated[float, Ge(0), Le(1)]


@schema
class FileRecord:
    """Size and SHA-256 of a file of the fold."""

    size: _Count
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


@schema
class EpochRecord:
    """One row of the learning curve."""

    epoch: _Count
    train_loss: float
    train_accuracy: _Share
    val_loss: float
    val_auroc: _Share
    val_accuracy: _Share
    val_recall: Mapping[str, _Share]
    learning_rate: float
    seconds: _Seconds
    peak_memory_bytes: _Count


@schema
class FoldRecord:
    """How a fold was trained, and the AUROC of its network."""

    repeat: _Count
    fold: _Count
    n_train: _Count
    n_validation: _Count
    n_test: _Count
    test_auroc: _Share | None
    validation_auroc: _Share
    curve: Annotated[tuple[EpochRecord, ...], MinLen(1)]
    chosen_epoch: _Count
    seconds: _Seconds
    images_seen: _Count
    device: str
    peak_memory_bytes: _Count
    peak_memory_of: str
    files: Mapping[str, FileRecord]


def check_record(path: Path, content: Mapping[str, Any], part: FoldSplit) -> None:
    """Raise ``DamagedFile`` if a record does not describe a training of this fold."""
    try:
        record = from_table(FoldRecord, content, str(path))
    except (UsageError, RecursionError):
        raise DamagedFile(path, "does not describe the training of a fold") from None
    stated = (record.repeat, record.fold, record.n_train, record.n_validation, record.n_test)
    wanted = (part.repeat, part.fold, len(part.train), len(part.validation), len(part.test))
    if stated != wanted or not {"network.safetensors", "scores.npz"} <= set(record.files):
        raise DamagedFile(path, "describes the training of another fold")
