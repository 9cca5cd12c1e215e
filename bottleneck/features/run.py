"""One run of an extraction: what is known before it, what it adds, the file at its end."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import platform
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import bottleneck
from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import DataError, FeatureFileError
from bottleneck.features import engine
from bottleneck.features.journal import Journal
from bottleneck.features.recipe import Recipe
from bottleneck.features.stages import Stage, find_bottleneck
from bottleneck.features.store import FORMAT, NO_STAMP, Row, StoredRows, row_key, write_features

__all__ = ["Found", "Run", "log_path"]

_PACKAGES = ("torch", "timm", "numpy", "pillow", "h5py")
_BLOCK = 4096


def log_path(path: Path) -> Path:
    """Name the log of a feature file that is not finished."""
    return path.with_name(f"{path.name}.unfinished")


class Found:
    """What became of the images of a data set, in arrays: a million of them are few bytes.

    Parameters
    ----------
    dataset : ImageDataset
        Whose images.

    Attributes
    ----------
    sha256 : ndarray of bytes, shape (n_samples,)
        Of each image; empty where it failed.
    stamps : ndarray of int64, shape (n_samples, 2)
        Size and modification time of its file, or ``NO_STAMP``.
    failures : list of (str, str)
        Id and reason of the samples without a row.
    """

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset
        self.sha256 = np.zeros(len(dataset), "S64")
        self.stamps = np.full((len(dataset), 2), NO_STAMP, np.int64)
        self.failures: list[tuple[str, str]] = []

    def key(self, number: int) -> str:
        """Return what the values of a sample's row answer to."""
        return row_key(self.sha256[number].decode(), self.dataset.samples[number])


class Run:
    """Brings a feature file to the state of its data set.

    Parameters
    ----------
    dataset : ImageDataset
        What to run.
    backbone : Backbone
        Through what.
    recipe : Recipe
        Of its rows.
    plan : Plan
        How a new file is computed; one that exists keeps its own.
    path : Path
        The feature file.
    device : torch.device
        Where to compute.

    Attributes
    ----------
    n_rows : int
        Of the file, at the end.
    failures : sequence of (str, str)
        Id and reason of the samples without a row.
    n_extracted : int
        Rows computed in this run.
    notes : list of str
        What the user should hear.
    provenance : mapping
        Of the file.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        backbone: Backbone,
        recipe: Recipe,
        plan: engine.Plan,
        path: Path,
        device: torch.device,
    ) -> None:
        self.dataset = dataset
        self.backbone = backbone
        self.recipe = recipe
        self._plan = plan
        self.path = path
        self.device = device
        self.stored = StoredRows(path)
        if self.stored.provenance.get("recipe_hash", self.recipe.hash) != self.recipe.hash:
            raise FeatureFileError(
                f"{path} holds features of another recipe, under a name of this one; move it away "
                "and repeat"
            )
        # Of each sample the row that the file has of it, and the stamp recorded there.
        self.places, self.stamps = self.stored.locate(dataset.samples)
        self.failures: Sequence[tuple[str, str]] = ()
        self.n_rows = 0
        self.n_extracted = 0
        self.notes = list(dataset.notes)
        self.provenance: dict[str, Any] = dict(self.stored.provenance)
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time since the run began."""
        return time.perf_counter() - self._started

    def header(self) -> dict[str, Any]:
        """Say what a new log begins with; what the file recorded stays."""
        # A file that does not say more was computed in the usual way.
        plan = engine.Plan(self._plan.batch_size) if self.stored.provenance else self._plan
        fields = dataclasses.asdict(plan)
        plan = engine.Plan(**{f: self.provenance.get(f, fields[f]) for f in fields})
        return {
            "recipe_hash": self.recipe.hash,
            "drift": self.provenance.get("drift"),
            **dataclasses.asdict(plan),
        }

    def refuse_foreign(self) -> None:
        """Refuse a file that shares no image with the data set, before anything is computed.

        Raises
        ------
        FeatureFileError
            Where the file must be another data set's.
        """
        for number, sample in enumerate(self.dataset.samples if len(self.stored) else ()):
            if self.stamps[number, 0] >= 0 and self.dataset.stamp(sample) == tuple(
                self.stamps[number].tolist()
            ):
                return
            try:
                data = self.dataset.read(sample)
            except (OSError, DataError):
                continue
            if row_key(hashlib.sha256(data).hexdigest(), sample) in self.stored.numbers:
                return
        if len(self.stored):
            raise FeatureFileError(
                f"{self.path} holds another data set that is named '{self.dataset.name}' as well: "
                "none of its images is in this one. Give this one a name of its own with --name; "
                "if it is the same one, and all its images changed, move the file away"
            )

    def write(
        self,
        found: Found,
        journal: Journal,
        stages: tuple[Stage, ...],
        describe: Callable[[], Mapping[str, str]],
    ) -> None:
        """Write the file, if anything in it changes.

        Parameters
        ----------
        found : Found
            What became of every sample.
        journal : Journal
            The rows that the file does not have yet.
        stages : tuple of Stage
            Where the time went.
        describe : callable
            Names engine and device for the record; called if the file is written.

        Raises
        ------
        DataError
            If there is no row at all.
        """
        self.failures = found.failures
        order = np.flatnonzero(found.sha256 != b"")
        self.n_rows = len(order)
        if not self.n_rows:
            raise DataError(
                f"none of the {len(self.dataset)} images can be used; the first, "
                f"{self.failures[0][0]}: {self.failures[0][1]}"
            )
        # Rows of the log are numbered on from those of the file.
        n_stored, stored = len(self.stored), self.stored.numbers
        places = np.empty(len(order), np.intp)
        changed = 0
        for n, number in enumerate(order.tolist()):
            key = found.key(number)
            places[n] = stored[key] if key in stored else n_stored + journal.numbers[key]
            before = self.places[number]
            changed += before >= 0 and self.stored.key(before) != key
        distinct = np.unique(places)
        # A kill after the file took its place, and before the log was removed, leaves a log
        # whose rows the file has already.
        fresh = int((distinct >= n_stored).sum())
        self._note_changes(found, changed, len(places) - len(distinct))
        provenance = self._describe(found, order, journal, fresh, stages)
        old = self.stored.provenance
        if old and not fresh and all(old[k] == provenance[k] for k in ("dataset", "content")):
            return
        provenance |= describe()
        write_features(
            self.path,
            self.dataset,
            self._blocks(found, order, places, journal),
            shape=(self.n_rows, self.backbone.width),
            failures=self.failures,
            provenance=provenance,
        )
        self.provenance = provenance

    def _blocks(
        self, found: Found, order: NDArray[np.intp], places: NDArray[np.intp], journal: Journal
    ) -> Iterator[tuple[list[Row], NDArray[np.float32]]]:
        n_stored = len(self.stored)
        for start in range(0, len(order), _BLOCK):
            here = places[start : start + _BLOCK]
            features = np.empty((len(here), self.backbone.width), np.float32)
            facts: list[Any] = [None] * len(here)
            old, new = np.flatnonzero(here < n_stored), np.flatnonzero(here >= n_stored)
            if len(old):
                numbers = here[old].tolist()
                features[old] = self.stored.features(numbers)
                for n, fact in zip(old, self.stored.facts(numbers), strict=True):
                    facts[n] = fact
            if len(new):
                known, features[new] = journal.read((here[new] - n_stored).tolist())
                for n, fact in zip(new, known, strict=True):
                    facts[n] = fact
            yield (
                [
                    Row(
                        self.dataset.samples[number],
                        found.sha256[number].decode(),
                        fact,
                        tuple(found.stamps[number].tolist()),
                    )
                    for number, fact in zip(order[start : start + _BLOCK], facts, strict=True)
                ],
                features,
            )

    def _note_changes(self, found: Found, changed: int, copies: int) -> None:
        located = self.places >= 0
        lost = int((located & (found.sha256 == b"")).sum())
        gone = len(self.stored) - int(located.sum())
        for count, text in (
            (changed, "changed since the last run"),
            (gone, "no longer in the data set, dropped from the file"),
            (lost, "had features before and cannot be used now"),
            (copies, "with the same content as another image of the data set"),
        ):
            if count:
                self.notes.append(f"{count} {'image' if count == 1 else 'images'} {text}")

    def _describe(
        self,
        found: Found,
        order: NDArray[np.intp],
        journal: Journal,
        fresh: int,
        stages: tuple[Stage, ...],
    ) -> dict[str, Any]:
        dataset, old = self.dataset, self.stored.provenance
        seconds = old.get("seconds", 0.0) + (journal.seconds if fresh else 0.0)
        extracted = old.get("images_extracted", 0) + fresh
        return {
            "format": FORMAT,
            "dataset": {
                "name": dataset.name,
                "fingerprint": dataset.fingerprint,
                "positive": dataset.positive,
                "n_samples": len(dataset),
                "n_patients": dataset.n_groups,
                "classes": dict(sorted(Counter(s.label for s in dataset.samples).items())),
                "excluded": dict(dataset.excluded),
                "description": dict(dataset.description),
            },
            "content": self._content(found, order),
            "recipe": self.recipe.to_dict(),
            "recipe_hash": self.recipe.hash,
            "weights": self.backbone.weights.to_dict(),
            "shape": list(self.backbone.shape),
            **{field: journal.header[field] for field in ("batch_size", "layout", "compiled")},
            "drift": journal.header["drift"],
            "versions": {"bottleneck": bottleneck.__version__, "python": platform.python_version()}
            | {package: metadata.version(package) for package in _PACKAGES},
            "command": _command(),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "stages": {s.name: {"busy": s.busy, "waiting": s.waiting} for s in stages},
            "bottleneck": find_bottleneck(stages),
            "images_extracted": extracted,
            "seconds": round(seconds, 3),
            "images_per_second": round(extracted / seconds, 3) if seconds else None,
        }

    def _content(self, found: Found, order: NDArray[np.intp]) -> str:
        digest = hashlib.sha256()
        for number in order.tolist():
            digest.update(f"{self.dataset.samples[number].id}\n{found.key(number)}\n".encode())
        for failure in self.failures:
            digest.update("\n".join(failure).encode())
        return digest.hexdigest()


def _command() -> str:
    # Of every path the last part: folders tell who works where.
    return shlex.join(word.rstrip(os.sep).rpartition(os.sep)[2] for word in sys.argv)
