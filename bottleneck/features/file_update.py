"""One run of an extraction: what is known before it, what it adds, the file at its end."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import Recipe
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples import Sample, blocks_of
from bottleneck.disk_backed import DiskArray
from bottleneck.errors import DataError, FeatureFileError, UsageError
from bottleneck.features.compute.engine import BatchPlan
from bottleneck.features.file.journal import Journal
from bottleneck.features.file.row_reuse import StoredRows
from bottleneck.features.file.writer import write_features
from bottleneck.features.provenance import make_provenance
from bottleneck.features.rows import ImageRow, ImageTable, Stamp, row_key
from bottleneck.features.timing import Stage
from bottleneck.plurals import counted

__all__ = ["Run", "log_path"]


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
    recipe : Recipe
        Of its rows.
    plan : BatchPlan
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
    n_extracted, n_copies : int
        Rows computed in this run, and those of samples of which another has the same image.
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
        plan: BatchPlan,
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
        self._located = self.stored.locate(dataset.samples)
        self.failures: Sequence[tuple[str, str]] = ()
        self.n_rows = 0
        self.n_extracted = self.n_copies = 0
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
        plan = BatchPlan(self._plan.batch_size) if self.stored.provenance else self._plan
        fields = dataclasses.asdict(plan)
        try:
            plan = BatchPlan(**{f: self.provenance.get(f, fields[f]) for f in fields})
        except UsageError as error:
            raise FeatureFileError(
                f"{self.path} does not say how it was computed ({error}); move it away and repeat"
            ) from None
        return {
            "recipe_hash": self.recipe.hash,
            "drift": self.provenance.get("drift"),
            **dataclasses.asdict(plan),
        }

    def recorded(self, start: int, samples: Sequence[Sample]) -> list[tuple[str, Stamp] | None]:
        """Return what the file says of the images of samples, of which ``start`` is the first.

        As ``StoredRows.recorded``.
        """
        numbers = self._located.read(start, start + len(samples)).tolist()
        return self.stored.recorded(numbers, samples)

    def keys_before(self, numbers: Sequence[int]) -> list[str]:
        """Return the keys of the rows that the file has of samples, by their numbers."""
        rows = [row for n in numbers if (row := self._located.read(n, n + 1).item()) >= 0]
        return self.stored.keys(rows) if rows else []

    def has(self, journal: Journal, key: str) -> bool:
        """Whether there is a row of a key, in the file or in its log."""
        return key in journal.numbers or (len(self.stored) > 0 and key in self.stored.numbers)

    def refuse_foreign(self) -> None:
        """Refuse a file that shares no image with the data set, before anything is computed.

        Raises
        ------
        FeatureFileError
            Where the file must be another data set's.
        """
        if not len(self.stored):
            return
        for start, samples in blocks_of(self.dataset.samples):
            for sample, said in zip(samples, self.recorded(start, samples), strict=True):
                if said is not None and said[1] == self.dataset.stamp(sample):
                    return
                try:
                    data = self.dataset.read(sample)
                except (OSError, DataError):
                    continue
                if row_key(hashlib.sha256(data).hexdigest(), sample) in self.stored.numbers:
                    return
        raise FeatureFileError(
            f"{self.path} holds another data set that is named '{self.dataset.name}' as well: "
            "none of its images is in this one. Give this one a name of its own with --name; "
            "if it is the same one, and all its images changed, move the file away"
        )

    def write(
        self,
        images: ImageTable,
        journal: Journal,
        stages: tuple[Stage, ...],
        describe: Callable[[], Mapping[str, str]],
    ) -> None:
        """Write the file, if anything in it changes.

        Parameters
        ----------
        images : ImageTable
            Hash and stamp of every image that could be read.
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
        self.failures = images.failures
        rows = _Rows(len(self.dataset), len(self.stored) + len(journal))
        for start, samples in blocks_of(self.dataset.samples):
            self._find_rows(rows, start, samples, images, journal)
        self.n_rows = rows.n
        self.n_copies = rows.n - int(rows.used.sum())
        if not self.n_rows:
            raise DataError(
                f"none of the {len(self.dataset)} images can be used; the first, "
                f"{self.failures[0][0]}: {self.failures[0][1]}"
            )
        # A kill after the file took its place, and before the log was removed, leaves a log
        # whose rows the file has already.
        fresh = int(rows.used[len(self.stored) :].sum())
        self._note_changes(rows)
        old = self.stored.provenance
        provenance = make_provenance(
            self.dataset,
            self.backbone,
            self.recipe,
            content=self._content(rows),
            header=journal.header,
            before=old,
            n_fresh=fresh,
            seconds=journal.seconds,
            stages=stages,
        )
        if old and not fresh and all(old[k] == provenance[k] for k in ("dataset", "content")):
            return
        provenance |= describe()
        write_features(
            self.path,
            self.dataset,
            self._blocks(images, rows, journal),
            shape=(self.n_rows, self.backbone.width),
            failures=self.failures,
            provenance=provenance,
        )
        self.provenance = provenance

    def _find_rows(
        self,
        rows: _Rows,
        start: int,
        samples: Sequence[Sample],
        table: ImageTable,
        journal: Journal,
    ) -> None:
        n_stored = len(self.stored)
        located = self._located.read(start, start + len(samples)).tolist()
        before = [number for number in located if number >= 0]
        keys_before = dict(zip(before, self.stored.keys(before) if before else (), strict=True))
        places = np.full(len(samples), -1)
        images = table.read(start, start + len(samples))
        for n, (sample, number, (sha256, _)) in enumerate(
            zip(samples, located, images, strict=True)
        ):
            rows.located += number >= 0
            if not sha256:
                rows.lost += number >= 0
                continue
            key = row_key(sha256, sample)
            if keys_before.get(number) == key:
                places[n] = number
            else:
                rows.changed += number >= 0
                stored = self.stored.numbers.get(key) if n_stored else None
                # Rows of the log are numbered on from those of the file.
                places[n] = n_stored + journal.numbers[key] if stored is None else stored
            rows.content.update(f"{sample.id}\n{key}\n".encode())
        rows.add(start, places)

    def _blocks(
        self, table: ImageTable, rows: _Rows, journal: Journal
    ) -> Iterator[tuple[list[ImageRow], NDArray[np.float32]]]:
        n_stored = len(self.stored)
        for start, samples in blocks_of(self.dataset.samples):
            places = rows.places.read(start, start + len(samples))
            images = table.read(start, start + len(samples))
            with_row = np.flatnonzero(places >= 0).tolist()
            here = places[with_row]
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
                    ImageRow(start + n, samples[n], *images[n], fact)
                    for n, fact in zip(with_row, facts, strict=True)
                ],
                features,
            )

    def _note_changes(self, rows: _Rows) -> None:
        for count, text in (
            (rows.changed, "changed since the last run"),
            (len(self.stored) - rows.located, "no longer in the data set, dropped from the file"),
            (rows.lost, "had features before and cannot be used now"),
            (self.n_copies, "with the same content as another image of the data set"),
        ):
            if count:
                self.notes.append(f"{counted(count, 'image')} {text}")

    def _content(self, rows: _Rows) -> str:
        digest = rows.content.copy()
        for failure in self.failures:
            digest.update("\n".join(failure).encode())
        return digest.hexdigest()


class _Rows:
    """Which row of the file, or of its log, every sample has; −1 for none."""

    def __init__(self, n_samples: int, n_rows: int) -> None:
        self.places = DiskArray(n_samples, np.int64)
        # In memory, but a byte a row.
        self.used = np.zeros(n_rows, bool)
        self.content = hashlib.sha256()
        self.n = self.located = self.lost = self.changed = 0

    def add(self, start: int, places: NDArray[np.intp]) -> None:
        self.places.write(start, places)
        self.used[places[places >= 0]] = True
        self.n += int((places >= 0).sum())
