"""Rows of the same images by the same recipe in the feature files of a folder."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.recipe import hash_recipe
from bottleneck.data.images.decode import PixelFacts
from bottleneck.errors import FeatureFileError
from bottleneck.features.file.format import Members
from bottleneck.features.file.reader import feature_files
from bottleneck.features.file.stored_rows import StoredRows
from bottleneck.text.plurals import counted

__all__ = ["Arithmetic", "NeighbourFiles", "TakenRow"]

TakenRow = tuple[PixelFacts, NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """What the rows of a reduced precision depend on by more than their last bits.

    In bf16, rows of a compiled network differ from others by 2 % of the largest number.

    Attributes
    ----------
    compiled : bool
        Whether torch compiled the network.
    device : str
        Kind of the device, such as "cpu".
    """

    compiled: bool
    device: str

    def find_difference(self, provenance: Mapping[str, Any]) -> str:
        """Return how other rows were computed; empty if it was in the same way."""
        if provenance.get("taken"):
            return "some of its rows were taken from other files, and it is not recorded how"
        if provenance.get("compiled", False) != self.compiled:
            how = "without compiling the network" if self.compiled else "by a compiled network"
            return f"its rows were computed {how}"
        device = str(provenance.get("device", ""))
        if re.split(r"[: ]", device)[0] != self.device:
            return f"its rows were computed on another device ({device or 'not recorded'})"
        return ""


class NeighbourFiles:
    """The feature files of a folder that ``extract`` wrote by one recipe.

    They are looked for at first use. Files that are damaged or do not add up are left out.

    Parameters
    ----------
    folder : Path
        The folder; one that does not exist has no files.
    recipe_hash : str
        Hash of the recipe.
    width : int
        Length of a row.
    besides : Path, optional
        The feature file of this run, which is none of them.
    like : Arithmetic, optional
        How rows must have been computed to be taken; by default in any way.

    Attributes
    ----------
    taken : Counter of str
        Rows that were read, by the name of their file.
    """

    def __init__(
        self,
        folder: Path,
        recipe_hash: str,
        width: int,
        besides: Path | None = None,
        like: Arithmetic | None = None,
    ) -> None:
        self._folder, self._hash, self._width, self._besides = folder, recipe_hash, width, besides
        self._like = like
        self._found: list[StoredRows] | None = None
        self._lock = threading.Lock()
        self.taken: Counter[str] = Counter()
        self._faults: dict[str, list[str]] = {}

    @property
    def notes(self) -> list[str]:
        """Files with the hash of the recipe in their name that no row is taken from, and why."""
        notes = []
        for reason, (first, *others) in self._faults.items():
            more = f", nor from {counted(len(others), 'file')} like it" if others else ""
            notes.append(f"no rows were taken from {first}{more}: {reason}")
        return notes

    def __contains__(self, key: str) -> bool:
        return any(key in stored for stored in self._files())

    def provenance(self) -> Mapping[str, Any]:
        """Return the provenance of the file that most rows were taken from."""
        ((name, _),) = self.taken.most_common(1)
        return next(s.provenance for s in self._files() if s.path.name == name)

    def read(self, keys: Sequence[str]) -> dict[str, TakenRow]:
        """Return facts and features of the rows of keys, as far as there are any.

        Raises
        ------
        FeatureFileError
            If a file has changed since its rows were looked up, or a row is not finite.
        """
        rows: dict[str, TakenRow] = {}
        left = list(dict.fromkeys(keys))
        for stored in self._files():
            here = [key for key in left if key in stored]
            if not here:
                continue
            facts, features = stored.read([stored.numbers[key] for key in here], here)
            if not np.isfinite(features).all():
                raise FeatureFileError(
                    f"{stored.path} has rows of the same images that are not finite numbers: move "
                    "it away and repeat the command"
                )
            for key, fact, row in zip(here, facts, features, strict=True):
                rows[key] = fact, row
            self.taken[stored.path.name] += len(here)
            left = [key for key in left if key not in rows]
        return rows

    def _files(self) -> list[StoredRows]:
        with self._lock:
            if self._found is None:
                others = (path for path in feature_files(self._folder) if path != self._besides)
                self._found = [stored for path in others for stored in self._open(path)]
            return self._found

    def _open(self, path: Path) -> Iterator[StoredRows]:
        try:
            with Members.opened(path) as file:
                if file.provenance()["recipe_hash"] != self._hash:
                    return
                if "stamps" not in file:  # Saved from memory, where rows may have been changed.
                    return
            stored = StoredRows(path)
            reason = self._find_fault(stored)
        except FeatureFileError as error:
            reason = str(error)
        if not reason:
            yield stored
        elif path.stem.endswith(f"--{self._hash[:8]}"):
            self._faults.setdefault(reason, []).append(path.name)

    def _find_fault(self, stored: StoredRows) -> str:
        """Return why no row of a file can be taken; empty where all can."""
        if hash_recipe(stored.provenance["recipe"]) != self._hash:
            return "its recipe is not the one of its hash"
        if stored.width != self._width:
            return f"its rows have {stored.width} numbers, not {self._width}"
        if self._like is not None and (reason := self._like.find_difference(stored.provenance)):
            return reason
        if stored.provenance.get("content") != stored.content():
            return "its ids and hashes of images are not those that it was written with"
        return ""
