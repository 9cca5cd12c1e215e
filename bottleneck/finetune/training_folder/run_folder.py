"""The output folder of a training: its options, finished folds and results."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.files.archives import find_bomb
from bottleneck.files.locks import lock
from bottleneck.files.writing import make_folder, sweep
from bottleneck.finetune.inputs.validation_split import FoldSplit
from bottleneck.finetune.training_folder.fold_record import check_record
from bottleneck.finetune.training_folder.saved_files import (
    DamagedFile,
    Seal,
    explained_writes,
    is_there,
    read_sealed,
    read_sealed_json,
    write_sealed,
    write_sealed_json,
)

if TYPE_CHECKING:
    from bottleneck.finetune.training_folder.training_checkpoint import CheckpointFile

__all__ = ["RunFolder"]

_INPUTS = "run.json"
_CHECKPOINT = "last.ckpt"
_DONE = "fold.json"
_WEIGHTS = "network.safetensors"
_SCORES = "scores.npz"
_REFERENCE = "reference.npz"
_SHOWN = 4

Scores = Mapping[str, NDArray[np.float64]]


class RunFolder:
    """The folder of one seed, with a subfolder for each fold.

    A fold is finished when its ``fold.json`` exists, which is written last and has the checksums
    of the others. A damaged file is set aside as ``NAME.damaged``, and its fold is trained again.

    Parameters
    ----------
    path : Path
        The folder.
    inputs : mapping
        Everything that determines the result: options, data, folds.
    note : callable, optional
        Called with a sentence on each damaged file.

    Raises
    ------
    UsageError
        If the folder cannot be written.
    """

    def __init__(
        self, path: Path, inputs: Mapping[str, Any], note: Callable[[str], None] | None = None
    ) -> None:
        self.path = make_folder(path)
        self.note = note or (lambda _: None)
        # The values as they are read back from JSON.
        self._inputs = json.loads(json.dumps(inputs))
        self.hash = hashlib.sha256(json.dumps(self._inputs, sort_keys=True).encode()).hexdigest()

    def _known(self) -> dict[str, Any] | None:
        path = self.path / _INPUTS
        if not is_there(path, "record"):
            return None
        try:
            known = read_sealed_json(path, "record")
            if not isinstance(known.get("config"), dict):
                raise DamagedFile(path, "does not describe a training")
        except DamagedFile as damaged:
            # Every file of a fold also states the training that it belongs to.
            self.note(damaged.set_aside())
            return None
        return known

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other runs, and record what the training is.

        Raises
        ------
        UsageError
            If another run has locked it, or it holds a training of something else or a
            comparison.
        """
        with lock(self.path, "training"):
            if is_there(self.path / "results.json", "results"):
                raise UsageError(
                    f"{self.path} holds a comparison, which must not be mixed with other results: "
                    "choose another folder with --output"
                )
            known = self._known()
            if known is None:
                write_sealed_json(self.path / _INPUTS, self._inputs)
            elif known != self._inputs:
                raise UsageError(
                    f"{self.path} holds another training: {_difference(known, self._inputs)}. "
                    "Choose another folder with --output, or remove this one"
                )
            yield

    def fold(self, name: str) -> Path:
        """Return the folder of a fold, and create it where it does not exist."""
        path = self.path / name
        # It could lead to the folder of another fold, too.
        if path.is_symlink():
            raise UsageError(
                f"{path} is a symbolic link, not the folder of a fold: remove it, and repeat the "
                "command"
            )
        with explained_writes(path):
            path.mkdir(exist_ok=True)
            sweep(path)
        return path

    def has(self, name: str) -> bool:
        """Return whether the network of a fold is finished."""
        return is_there(self.path / name / _DONE, "record")

    def checkpoint(self, name: str) -> CheckpointFile:
        """Return the checkpoint of a fold."""
        from bottleneck.finetune.training_folder.training_checkpoint import CheckpointFile

        return CheckpointFile(self.fold(name) / _CHECKPOINT, f"{self.hash} {name}")

    def finished(self, part: FoldSplit, n_classes: int) -> tuple[dict[str, Any], Scores] | None:
        """Return the record of a fold and its scores by set; None where it must be trained.

        Parameters
        ----------
        part : FoldSplit
            The fold.
        n_classes : int
            Number of columns of its scores.

        Raises
        ------
        UsageError
            If a file belongs to another training, or cannot be read or set aside.
        """
        folder = self.fold(part.name)
        if not is_there(folder / _DONE, "record"):
            if (folder / _WEIGHTS).exists() and not any(folder.glob("*.ckpt")):
                self.note(f"{folder / _DONE} is missing. The fold is trained again.")
            return None
        try:
            content = read_sealed_json(folder / _DONE, "record")
            if content.pop("run", None) != self.hash:
                raise UsageError(
                    f"{folder} is of another training: remove it, or choose another --output"
                )
            check_record(folder / _DONE, content, part)
            read_sealed(folder / _WEIGHTS, "network", _seal(content, _WEIGHTS))
            if _REFERENCE in content["files"]:
                read_sealed(folder / _REFERENCE, "features", _seal(content, _REFERENCE))
            scores = _read_scores(folder / _SCORES, _seal(content, _SCORES), part, n_classes)
        except DamagedFile as damaged:
            self.note(f"{damaged.set_aside()} The fold is trained again.")
            with explained_writes(folder / _DONE):
                (folder / _DONE).unlink(missing_ok=True)
            return None
        self._tidy(folder)
        return content, scores

    def finish(
        self,
        name: str,
        record: Mapping[str, Any],
        scores: Scores,
        network: Mapping[str, Any],
        reference: Mapping[str, NDArray[Any]],
    ) -> dict[str, Any]:
        """Record a fold as finished, with its network, and delete its checkpoints.

        Parameters
        ----------
        name : str
            Name of the fold.
        record : mapping
            How it was trained.
        scores : mapping
            Scores by set.
        network : mapping
            The tensors of the network.
        reference : mapping
            "X", the features of the training set, and "patients", their patients as numbers;
            empty for a network without features.

        Returns
        -------
        dict
            The record, with size and SHA-256 of each file.
        """
        from safetensors.torch import save

        folder = self.fold(name)
        tensors = save({key: tensor.contiguous() for key, tensor in network.items()})
        files = {
            _WEIGHTS: write_sealed(folder / _WEIGHTS, tensors)._asdict(),
            _SCORES: write_sealed(folder / _SCORES, _pack(scores))._asdict(),
        }
        if reference:
            files[_REFERENCE] = write_sealed(folder / _REFERENCE, _pack(reference))._asdict()
        record = {**record, "files": files}
        write_sealed_json(folder / _DONE, {"run": self.hash, **record})
        self._tidy(folder)
        return record

    def _tidy(self, folder: Path) -> None:
        # A kill may have left checkpoints in the folder of a finished fold.
        for checkpoint in folder.glob("*.ckpt"):
            with explained_writes(checkpoint):
                checkpoint.unlink()


def _pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type] # Of one type each.
    return packed.getvalue()


def _seal(record: Mapping[str, Any], name: str) -> Seal:
    return Seal(**record["files"][name])


def _read_scores(path: Path, seal: Seal, part: FoldSplit, n_classes: int) -> Scores:
    data = io.BytesIO(read_sealed(path, "scores", seal))
    wanted = {name: (len(getattr(part, name)), n_classes) for name in ("test", "validation")}
    try:
        with zipfile.ZipFile(data) as archive:
            bomb = find_bomb(archive)
        data.seek(0)
        if bomb is None:
            with np.load(data, allow_pickle=False) as file:
                scores = dict(file)
            shapes = {name: values.shape for name, values in scores.items()}
            if shapes == wanted and all(v.dtype == np.float64 for v in scores.values()):
                return scores
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError):
        pass
    raise DamagedFile(path, "does not hold the scores of this fold")


def _difference(known: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    flat, wanted = _flatten(known), _flatten(inputs)
    differing = [k for k in sorted({*flat, *wanted}) if flat.get(k) != wanted.get(k)]
    texts = [
        f"{k} {flat.get(k)} there, {wanted.get(k)} here"
        if k.startswith("option ")
        else f"another {k}"
        for k in differing[:_SHOWN]
    ]
    more = len(differing) - _SHOWN
    return "; ".join([*texts, *([f"and {more} more"] if more > 0 else [])])


def _flatten(inputs: Mapping[str, Any]) -> dict[str, Any]:
    options = {f"option {k}": v for k, v in inputs.get("config", {}).items()}
    return {**{k: v for k, v in inputs.items() if k != "config"}, **options}
