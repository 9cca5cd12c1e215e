"""The store: one feature file that a run brings up to date with its data set."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.recipe import Recipe
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample, blocks_of
from bottleneck.errors import FeatureFileError, NoUsableImageError
from bottleneck.features.file.format import FORMAT
from bottleneck.features.file.journal import Journal
from bottleneck.features.file.neighbour_files import Arithmetic, NeighbourFiles
from bottleneck.features.file.row_plan import RowPlan
from bottleneck.features.file.stored_rows import StoredRows
from bottleneck.features.file.write_queue import WriteQueue
from bottleneck.features.file.writer import write_features
from bottleneck.features.images.row_keys import read_keys
from bottleneck.features.rows import ImageRow, ImageTable, Stamp
from bottleneck.text.plurals import counted

__all__ = ["FeatureStore", "log_path"]

# Images that are logged together where no batch takes them along: where all rows are known.
_MOST_UNLOGGED = 1024


def log_path(path: Path) -> Path:
    """Return the path of the log of a feature file that is not finished."""
    return path.with_name(f"{path.name}.unfinished")


class FeatureStore:
    """A feature file, its log, and the rows that both hold.

    ``append`` adds finished rows to the log. ``finish`` writes the whole file and removes the log.
    A kill at any moment leaves the old file or the new one, and a log that the next run continues.
    Use as a context manager, while holding ``files.locks.lock`` of the path.

    Parameters
    ----------
    path : Path
        The feature file; it need not exist.
    dataset : ImageDataset
        The images that it shall hold rows of.
    recipe : Recipe
        What determines the rows.
    width : int
        Length of a row.
    settings : mapping
        How the rows of a new file are computed. A file or log that exists keeps its own.
    queue : WriteQueue
        Writes the log; stores of one run may share it.
    like : Arithmetic, optional
        How rows of other files must have been computed to be taken; by default in any way.

    Attributes
    ----------
    settings : dict
        How the rows are computed; changes are logged with the next batch.
    notes : list of str
        What changed in the file, for the user.
    provenance : mapping
        Provenance as the file holds it; empty if there is no file yet.
    failures : sequence of (str, str)
        Id and reason of the samples without a row; known when the store is finished.
    n_rows, n_extracted, n_copies : int
        Rows of the finished file; rows that were appended; and rows of images that are copies, byte
        by byte, of another image of the data set.

    Raises
    ------
    FeatureFileError
        If the file is damaged, of another recipe or of another data set.
    OSError
        If it cannot be written; so do the methods.
    """

    def __init__(
        self,
        path: Path,
        dataset: ImageDataset,
        recipe: Recipe,
        width: int,
        settings: Mapping[str, Any],
        queue: WriteQueue,
        like: Arithmetic | None = None,
    ) -> None:
        self.path, self.dataset, self.recipe, self.width = path, dataset, recipe, width
        self.notes: list[str] = []
        self.failures: Sequence[tuple[str, str]] = ()
        self.n_rows = self.n_extracted = self.n_copies = 0
        self._started = time.perf_counter()
        self._queue = queue
        self._queued: set[str] = set()
        self._unlogged: list[ImageRow] = []
        self._neighbours = NeighbourFiles(path.parent, recipe.hash, width, path, like)
        self._stored = StoredRows(path)
        self.provenance: Mapping[str, Any] = self._stored.provenance
        self._located = self._stored.locate(dataset.samples)
        self._refuse_foreign()
        self._journal = Journal(log_path(path), self._kept(settings), recipe.hash)
        self._seconds_before = self._journal.seconds
        for held in (self._stored.width, self._journal.width):
            if held not in (None, width):
                self._journal.close()
                raise FeatureFileError(
                    f"{path} or its log holds rows of {held:,} numbers, and this recipe makes "
                    f"{width:,}; move both away and repeat"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.close()  # What is queued is written first.
        self._journal.close()

    def _kept(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self.provenance:
            return settings
        try:
            return {name: self.provenance[name] for name in settings}
        except KeyError as error:
            raise FeatureFileError(
                f"{self.path} does not record how it was computed: {error} is missing; move it "
                "away "
                "and repeat"
            ) from None

    def _refuse_foreign(self) -> None:
        """Refuse a file of another recipe, or one that shares no image with the data set."""
        if not self.provenance:
            return
        if self.provenance["recipe_hash"] != self.recipe.hash:
            raise FeatureFileError(
                f"{self.path} holds features of another recipe under the name of this one; move "
                "it away and repeat"
            )
        # With the path in its name, it is of the same folder, and all images may be new ones.
        is_same = self.dataset.named_by_path
        if len(self._stored) and not is_same and not self._shares_an_image():
            raise FeatureFileError(
                f"{self.path} holds another data set that is named '{self.dataset.name}' as well: "
                "none of its images is in this data set. Give this data set its own name with "
                "--name; if it is the same data set and all its images changed, move the file away"
            )

    def _shares_an_image(self) -> bool:
        for start, samples in blocks_of(self.dataset.samples):
            for sample, record in zip(samples, self._recorded(start, samples), strict=True):
                if record is not None and record[1] == self.dataset.stamp(sample):
                    return True
        with contextlib.closing(read_keys(self.dataset, self.recipe.framing)) as keys:
            return any(key in self._stored for key in keys)

    @property
    def settings(self) -> dict[str, Any]:
        """How the rows are computed."""
        return self._journal.settings

    @property
    def seconds(self) -> float:
        """Seconds since the store was opened."""
        return time.perf_counter() - self._started

    @property
    def is_new(self) -> bool:
        """Whether neither the file nor its log holds a row."""
        return not (len(self._stored) or len(self._journal))

    def __contains__(self, key: str) -> bool:
        """Whether there is a row of a key, or one is about to be written; for any thread."""
        return key in self._queued or self._has(key)

    def _has(self, key: str) -> bool:
        return key in self._journal.numbers or key in self._stored

    def can_take(self, key: str) -> bool:
        """Whether another feature file of the folder has the row of a key; for any thread.

        The row is copied when its image was read.
        """
        return key in self._neighbours

    @property
    def taken(self) -> Mapping[str, int]:
        """Rows that this run took from other feature files of the folder, by their names."""
        return dict(self._neighbours.taken)

    def records(
        self, start: int, samples: Sequence[Sample]
    ) -> list[tuple[tuple[str, Stamp] | None, tuple[str, Stamp] | None]]:
        """Return keys and stamps that the images of samples had in earlier runs.

        Parameters
        ----------
        start : int
            Number of the first sample.
        samples : sequence of Sample
            Consecutive samples of the data set.

        Returns
        -------
        list of pairs of (str, (int, int)) or None
            As the file recorded them, and as the log did. The file has a row of its key; of the
            log's key there may be none.
        """
        logged = self._journal.recorded(samples)
        return list(zip(self._recorded(start, samples), logged, strict=True))

    def _recorded(self, start: int, samples: Sequence[Sample]) -> list[tuple[str, Stamp] | None]:
        numbers = self._located.read(start, start + len(samples)).tolist()
        return self._stored.recorded(numbers, samples)

    def keys(self, numbers: Sequence[int]) -> Iterator[str]:
        """Yield the keys that samples had in earlier runs, by their numbers."""
        rows = [row for n in numbers if (row := self._located.read(n, n + 1).item()) >= 0]
        yield from self._stored.keys(rows)
        samples = [self.dataset.samples[number] for number in numbers]
        yield from (record[0] for record in self._journal.recorded(samples) if record is not None)

    def note_read(self, row: ImageRow) -> None:
        """Log, together with the next batch, that an image was read and can be used."""
        if row.failure is not None:
            return
        self._unlogged.append(row.without_pixels())
        if len(self._unlogged) >= _MOST_UNLOGGED:
            self.append([], np.empty((0, self.width), np.float32))

    def append(self, rows: Sequence[ImageRow], features: NDArray[np.float32]) -> None:
        """Queue finished rows for the log; those that are known are left out.

        Parameters
        ----------
        rows : sequence of ImageRow
            Decoded images; there may be none.
        features : ndarray of float32, shape (len(rows), width)
            Their features.
        """
        images_read, self._unlogged = self._unlogged, []
        self._queued.update(row.key for row in rows)
        self._queue.submit(self._log, rows, features, images_read)

    def _log(
        self,
        rows: Sequence[ImageRow],
        features: NDArray[np.float32],
        images_read: Sequence[ImageRow],
    ) -> None:
        # Two workers may compute copies of one image; the first row is kept.
        fresh = [number for number, row in enumerate(rows) if not self._has(row.key)]
        seconds = self._seconds_before + self.seconds
        if fresh or images_read:
            chosen = [rows[number] for number in fresh]
            read = [(r.sample.id, r.sample.source, r.key, *r.stamp) for r in images_read]
            self._journal.append(chosen, features[fresh], seconds, read)
            self.n_extracted += len(fresh)
        self._take(images_read, seconds)
        self._queued.difference_update(row.key for row in rows)

    def _take(self, images: Sequence[ImageRow], seconds: float) -> None:
        """Copy the rows of images from other feature files into the log, as far as they have any.

        A row that is computed in the same run is not copied.
        """
        lacking = {
            row.key: row
            for row in images
            if row.key not in self._queued and not self._has(row.key) and self.can_take(row.key)
        }
        taken = self._neighbours.read(list(lacking))
        if taken:
            rows = [
                dataclasses.replace(lacking[key], facts=facts) for key, (facts, _) in taken.items()
            ]
            features = np.stack([row for _, row in taken.values()])
            self._journal.append(rows, features, seconds, [])

    def finish(self, images: ImageTable, describe: Callable[[], Mapping[str, Any]]) -> None:
        """Write the file, if anything in it changes, and remove the log.

        Parameters
        ----------
        images : ImageTable
            Hash and stamp of every image, and the failures.
        describe : callable
            Returns further fields of the provenance; called only if the file is written.

        Raises
        ------
        NoUsableImageError
            If there is no row at all.
        """
        self._queue.finish()
        samples, self.failures = self.dataset.samples, images.failures
        failed = tuple(images.failed)
        self._take(self._unlogged, self._seconds_before + self.seconds)
        self._note_taken()
        plan = RowPlan(samples, images, self._stored, self._located, self._journal)
        self.n_rows, self.n_copies = plan.n_rows, plan.n_copies
        self.notes += [*plan.notes(), *images.notes]
        if not self.n_rows:
            error = NoUsableImageError(
                f"none of the {len(self.dataset)} {self.dataset.noun}s can be used; the first, "
                f"{self.failures[0][0]}: {self.failures[0][1]}"
            )
            error.failures = tuple(self.failures)
            raise error
        provenance = self._describe(plan)
        same = all(self.provenance.get(k) == provenance[k] for k in ("dataset", "content"))
        same &= failed == self._stored.failed_samples()
        licence = provenance["recipe"]["licence"]
        if plan.n_fresh or not same or licence != self._recorded_licence:
            provenance |= describe()
            if licence != self.recipe.licence:
                provenance["weights"] = {**provenance["weights"], "licence": licence}
            write_features(
                self.path,
                self.dataset,
                plan.blocks(self.width),
                shape=(self.n_rows, self.width),
                failures=self.failures,
                failed_samples=failed,
                provenance=provenance,
            )
            self.provenance = provenance
        self._journal.close()
        # A kill right here leaves a log of rows that the file has: the next run removes it. There
        # is not a log where somebody removed the folder, and the lock with it, during the run.
        log_path(self.path).unlink(missing_ok=True)

    def _note_taken(self) -> None:
        taken = self.taken
        self.notes += [
            f"{counted(n, 'row')} taken from {name}, which has the same "
            f"{self.dataset.noun}{'' if n == 1 else 's'} by the same recipe"
            for name, n in taken.items()
        ]
        self.notes += self._neighbours.notes
        if taken and not self.n_extracted and not len(self._stored):
            # Nothing was computed here: the rows are as the other file describes them.
            recorded = self._neighbours.provenance()
            self.settings.update({k: recorded[k] for k in self.settings if k in recorded})

    @property
    def _recorded_licence(self) -> str | None:
        return self.provenance.get("recipe", {}).get("licence")

    def _describe(self, plan: RowPlan) -> dict[str, Any]:
        dataset, before = self.dataset, self.provenance
        seconds = before.get("seconds", 0.0) + (self._journal.seconds if plan.n_fresh else 0.0)
        taken = Counter(before.get("taken") or {}) + Counter(self.taken)
        n_computed = max(0, plan.n_fresh - sum(self.taken.values()))
        extracted = before.get("images_extracted", 0) + n_computed
        return {
            "format": FORMAT,
            "dataset": {
                "name": dataset.name,
                "fingerprint": dataset.fingerprint,
                "positive": dataset.positive,
                "n_samples": len(dataset),
                "n_patients": dataset.n_groups,
                "classes": dict(sorted(dataset.class_counts.items())),
                "excluded": dict(dataset.excluded),
                "description": dict(dataset.description),
                "reader": dict(dataset.reader),
                **({"selection": dict(dataset.selection)} if dataset.selection else {}),
                **({"candidates": dataset.candidates.to_dict()} if dataset.candidates else {}),
            },
            "content": plan.content,
            # Another machine may know a licence that was stated in its weights folder.
            "recipe": {
                **self.recipe.to_dict(),
                "licence": self.recipe.licence or self._recorded_licence,
            },
            "recipe_hash": self.recipe.hash,
            **self.settings,
            **({"taken": dict(taken)} if taken else {}),
            "images_extracted": extracted,
            "seconds": round(seconds, 3),
            "images_per_second": round(extracted / seconds, 3) if seconds else None,
        }
