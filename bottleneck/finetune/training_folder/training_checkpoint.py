"""The checkpoint of a training: one file, replaced after every epoch and verified when read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from bottleneck.errors import UsageError
from bottleneck.files.writing import replacing
from bottleneck.finetune.training.early_stopping import Course
from bottleneck.finetune.training_folder.saved_files import (
    DamagedFile,
    explained_writes,
    is_there,
    read_bytes,
)

__all__ = ["CheckpointFile"]

# After the bytes of torch.save: these, and the SHA-256 of all before it.
_MAGIC = b"BNCKPT01"
_TAIL = len(_MAGIC) + 32


class CheckpointFile(CheckpointIO):
    """Reads and writes the checkpoint of one fold, for Lightning and for us.

    Lightning's own class writes into the folder for temporary files and moves the result; on
    another file system, that is a copy, and a kill leaves half of it.

    Parameters
    ----------
    path : Path
        The file.
    fold : str
        What determines the training of this fold. A checkpoint of another fold is refused.
    """

    def __init__(self, path: Path, fold: str) -> None:
        self.path = path
        self.fold = fold

    def exists(self) -> bool:
        """Return whether there is a checkpoint."""
        return is_there(self.path, "checkpoint")

    def read_course(self) -> dict[str, Any]:
        """Return the learning curve ("curve") and the best network ("best").

        Raises
        ------
        DamagedFile
            If the file is damaged.
        UsageError
            If it cannot be read, or belongs to another fold.
        """
        try:
            course = self.load_checkpoint(self.path)["callbacks"][Course.__qualname__]
            [row["val_auroc"] for row in course["curve"]]
            course["best"].keys()
        except (AttributeError, LookupError, TypeError):
            raise DamagedFile(self.path, "holds no training") from None
        return course

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint whole or not at all; only the user may read it."""
        # Lightning states the path of our file with its links resolved.
        if Path(path).name != self.path.name:
            # Processes of several devices hand over their last network in a temporary folder.
            # Nobody needs it: the best network is in the checkpoint.
            Path(path).parent.rmdir()
            return
        with explained_writes(self.path), replacing(self.path, private=True) as file:
            hashing = _HashingFile(file)
            try:
                torch.save({"fold": self.fold, "content": checkpoint}, cast(IO[bytes], hashing))
            except Exception:
                if hashing.error is not None:  # torch replaces it by an error of its own.
                    raise hashing.error from None
                raise
            file.write(_MAGIC + hashing.hash.digest())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return a checkpoint; raise what ``read_course`` raises."""
        if Path(path).name != self.path.name:
            return {}
        with_tail = read_bytes(self.path, "checkpoint")
        data, tail = memoryview(with_tail)[:-_TAIL], with_tail[-_TAIL:]
        if tail != _MAGIC + hashlib.sha256(data).digest():
            raise DamagedFile(self.path, "has another checksum than the bytes that were written")
        try:
            whole = torch.load(io.BytesIO(with_tail), map_location="cpu", weights_only=True)
            fold, content = whole["fold"], whole["content"]
        except Exception as error:  # Damaged pickles raise errors of any class.
            raise DamagedFile(self.path, "is not a checkpoint of this program") from error
        if fold != self.fold:
            raise UsageError(
                f"{self.path} belongs to another training or fold: remove it, or choose another "
                "--output"
            )
        return content

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint."""
        with explained_writes(Path(path)):
            Path(path).unlink(missing_ok=True)


class _HashingFile:
    """Writes into a file, hashes what passes, and remembers why a write failed."""

    def __init__(self, file: BinaryIO) -> None:
        self.hash = hashlib.sha256()
        self.error: OSError | None = None
        self._file = file

    def write(self, data: Any) -> int:
        return self._attempt(lambda: self._file.write(data), data)

    def flush(self) -> None:
        self._attempt(self._file.flush, b"")

    def _attempt(self, act: Callable[[], Any], data: Any) -> int:
        try:
            act()
        except OSError as error:
            self.error = self.error or error
            raise
        self.hash.update(data)
        return len(data)
