"""One run of an extraction: what is known before it, what it adds, the file at its end."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

import bottleneck
from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.errors import DataError, FeatureFileError
from bottleneck.features import engine
from bottleneck.features.journal import Journal
from bottleneck.features.recipe import Precision
from bottleneck.features.store import FORMAT, Row, StoredRows, row_key, write_features

__all__ = ["Run", "log_path"]

_PACKAGES = ("torch", "timm", "numpy", "pillow", "h5py")


def log_path(path: Path) -> Path:
    """Name the log of a feature file that is not finished."""
    return path.with_name(f"{path.name}.unfinished")


class Run:
    """Brings a feature file to the state of its data set.

    Parameters
    ----------
    dataset : ImageDataset
        What to run.
    backbone : Backbone
        Through what.
    precision : {"fp32", "bf16", "fp16"}
        Arithmetic of the network.
    path : Path
        The feature file.
    device : torch.device
        Where to compute.

    Attributes
    ----------
    rows : list of Row
        Of the file, in the order of the data set.
    failures : list of (str, str)
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
        precision: Precision,
        path: Path,
        device: torch.device,
    ) -> None:
        self.dataset = dataset
        self.backbone = backbone
        self.recipe = backbone.recipe(precision)
        self.path = path
        self.device = device
        self.stored = StoredRows(path)
        if self.stored.provenance.get("recipe_hash", self.recipe.hash) != self.recipe.hash:
            raise FeatureFileError(
                f"{path} holds features of another recipe, under a name of this one; move it away "
                "and repeat"
            )
        self.rows: list[Row] = []
        self.failures: list[tuple[str, str]] = []
        self.n_extracted = 0
        self.notes = list(dataset.notes)
        self.provenance: dict[str, Any] = dict(self.stored.provenance)
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time since the run began."""
        return time.perf_counter() - self._started

    def header(self, batch_size: int | Literal["auto"]) -> dict[str, Any]:
        """Say what a new log begins with; what the file recorded stays."""
        default = engine.default_batch_size(self.device) if batch_size == "auto" else batch_size
        return {
            "recipe_hash": self.recipe.hash,
            "batch_size": self.provenance.get("batch_size", default),
            "drift": self.provenance.get("drift"),
        }

    def refuse_foreign(self) -> None:
        """Refuse a file that shares no image with the data set, before anything is computed.

        Raises
        ------
        FeatureFileError
            Where the file must be another data set's.
        """
        for sample in self.dataset.samples if self.stored.rows else ():
            try:
                data = self.dataset.read(sample)
            except (OSError, DataError):
                continue
            if row_key(hashlib.sha256(data).hexdigest(), sample) in self.stored.rows:
                return
        if self.stored.rows:
            raise FeatureFileError(
                f"{self.path} holds another data set that is named '{self.dataset.name}' as well: "
                "none of its images is in this one. Give this one a name of its own with --name; "
                "if it is the same one, and all its images changed, move the file away"
            )

    def collect(self, found: Sequence[tuple[Sample, str]], journal: Journal) -> None:
        """Gather the rows of the samples that were found, each with the hash of its bytes."""
        if not found:
            raise DataError(
                f"none of the {len(self.dataset)} images can be used; the first, "
                f"{self.failures[0][0]}: {self.failures[0][1]}"
            )
        for sample, sha256 in found:
            key = row_key(sha256, sample)
            known = journal.rows[key].facts if key in journal.rows else self.stored.facts(key)
            self.rows.append(Row(sample, sha256, known))

    def write(self, journal: Journal) -> None:
        """Write the file, if anything in it changes."""
        keys = [row.key for row in self.rows]
        self._note_changes(keys)
        # A kill after the file took its place, and before the log was removed, leaves a log
        # whose rows the file has already.
        fresh = len((journal.rows.keys() - self.stored.rows.keys()) & set(keys))
        provenance = self._describe(journal, fresh)
        old = self.stored.provenance
        if old and not fresh and all(old[k] == provenance[k] for k in ("dataset", "content")):
            return

        def features(start: int, stop: int) -> NDArray[np.float32]:
            block = np.empty((stop - start, self.backbone.width), np.float32)
            stored = [n for n in range(start, stop) if keys[n] not in journal.rows]
            if stored:
                block[np.subtract(stored, start)] = self.stored.features([keys[n] for n in stored])
            for n in range(start, stop):
                if keys[n] in journal.rows:
                    block[n - start] = journal.features(keys[n])
            return block

        write_features(
            self.path,
            self.rows,
            features,
            width=self.backbone.width,
            failures=self.failures,
            provenance=provenance,
        )
        self.provenance = provenance

    def _note_changes(self, keys: Sequence[str]) -> None:
        before = self.stored.ids
        changed = sum(
            before.get(row.sample.id, key) != key for row, key in zip(self.rows, keys, strict=True)
        )
        gone = len(before.keys() - {sample.id for sample in self.dataset.samples})
        lost = len(before.keys() & {identity for identity, _ in self.failures})
        for count, text in (
            (changed, "changed since the last run"),
            (gone, "no longer in the data set, dropped from the file"),
            (lost, "had features before and cannot be used now"),
            (len(keys) - len(set(keys)), "with the same content as another image of the data set"),
        ):
            if count:
                self.notes.append(f"{count} {'image' if count == 1 else 'images'} {text}")

    def _describe(self, journal: Journal, fresh: int) -> dict[str, Any]:
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
            "content": self._content(),
            "recipe": self.recipe.to_dict(),
            "recipe_hash": self.recipe.hash,
            "weights": self.backbone.weights.to_dict(),
            "shape": list(self.backbone.shape),
            "device": engine.describe_device(self.device),
            "batch_size": journal.header["batch_size"],
            "compiled": False,
            "drift": journal.header["drift"],
            "versions": {"bottleneck": bottleneck.__version__, "python": platform.python_version()}
            | {package: metadata.version(package) for package in _PACKAGES},
            "command": _command(),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "images_extracted": extracted,
            "seconds": round(seconds, 3),
            "images_per_second": round(extracted / seconds, 3) if seconds else None,
        }

    def _content(self) -> str:
        digest = hashlib.sha256()
        for row in self.rows:
            digest.update(f"{row.sample.id}\n{row.key}\n".encode())
        for failure in self.failures:
            digest.update("\n".join(failure).encode())
        return digest.hexdigest()


def _command() -> str:
    # Of every path the last part: folders tell who works where.
    return shlex.join(word.rstrip(os.sep).rpartition(os.sep)[2] for word in sys.argv)
