"""The output folder of a training: its options, finished folds and results."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bottleneck.errors import UsageError, describe_os_error
from bottleneck.files.locks import lock
from bottleneck.files.writing import replacing, sweep, write_whole
from bottleneck.finetune.validation_split import fold_name
from bottleneck.table_text import frame_csv

__all__ = ["RunFolder", "network_file", "write_json", "write_table"]

_INPUTS = "run.json"
_DONE = "fold.json"
_WEIGHTS = "network.safetensors"
_SCORES = "scores.npz"
_SHOWN = 4


class RunFolder:
    """The folder of one seed, with a subfolder for each fold.

    A fold is finished when its ``fold.json`` exists, which is written last. Files are written
    under another name and then moved into place.

    Parameters
    ----------
    path : Path
        The folder.
    inputs : mapping
        Everything that determines the result: options, data, folds.

    Raises
    ------
    UsageError
        If the folder cannot be written, or holds a training of something else.
    """

    def __init__(self, path: Path, inputs: Mapping[str, Any]) -> None:
        self.path = path
        # The values as they are read back from JSON.
        inputs = json.loads(json.dumps(inputs))
        self.hash = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        try:
            path.mkdir(parents=True, exist_ok=True)
            known = self._known()
            if known is None:
                write_json(path / _INPUTS, inputs)
        except OSError as error:
            raise UsageError(
                f"the output folder {path} cannot be written: {describe_os_error(error)}; choose "
                "another with --output"
            ) from None
        if known is not None and known != inputs:
            raise UsageError(
                f"{path} holds another training: {_difference(known, inputs)}. Name another folder "
                "with --output, or remove this one"
            )

    def _known(self) -> dict[str, Any] | None:
        path = self.path / _INPUTS
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise UsageError(
                f"{path} is damaged, so the training in {self.path} is unknown: remove the folder, "
                "or choose another with --output"
            ) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other runs.

        Raises
        ------
        UsageError
            If another run has locked it.
        """
        with lock(self.path, "training"):
            yield

    def fold(self, name: str) -> Path:
        """Return the folder of a fold, and create it where it does not exist."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        sweep(path)
        return path

    def finished(self, name: str) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]] | None:
        """Return the record of a fold and its scores by set; None where it is not finished."""
        folder = self.fold(name)
        if not (folder / _DONE).exists():
            return None
        record = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        if record.pop("run") != self.hash:
            raise UsageError(
                f"{folder} is of another training: remove it, or name another --output"
            )
        self._tidy(folder)
        with np.load(folder / _SCORES) as scores:
            return record, dict(scores)

    def finish(
        self,
        name: str,
        record: Mapping[str, Any],
        scores: Mapping[str, NDArray[np.float64]],
        network: Mapping[str, Any],
    ) -> None:
        """Record a fold as finished, with its network, and delete its checkpoints."""
        from safetensors.torch import save

        folder = self.fold(name)
        write_whole(
            folder / _WEIGHTS, save({key: tensor.contiguous() for key, tensor in network.items()})
        )
        with replacing(folder / _SCORES) as file:
            np.savez(file, allow_pickle=False, **scores)
        write_json(folder / _DONE, {"run": self.hash, **record})
        self._tidy(folder)

    def _tidy(self, folder: Path) -> None:
        # A kill may have left checkpoints in the folder of a finished fold.
        for checkpoint in folder.glob("*.ckpt"):
            checkpoint.unlink()


def network_file(path: Path, repeat: int, fold: int) -> Path:
    """Return the path of a fold's network in a run's folder."""
    return path / fold_name(repeat, fold) / _WEIGHTS


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    write_whole(path, json.dumps(content, indent=1, allow_nan=False).encode())


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV file atomically."""
    write_whole(path, frame_csv(table).encode())


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
