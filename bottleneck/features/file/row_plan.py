"""Source of each row of a finished feature file: the previous file or its log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.samples.sample_table import Sample, blocks_of
from bottleneck.features.file.journal import Journal
from bottleneck.features.file.stored_rows import StoredRows
from bottleneck.features.rows import ImageRow, ImageTable, row_key
from bottleneck.files.disk_backed import DiskArray
from bottleneck.text.plurals import counted

__all__ = ["RowPlan"]


class RowPlan:
    """Where the row of every sample comes from.

    Parameters
    ----------
    samples : sequence of Sample
        All samples of the data set, in order.
    images : ImageTable
        Hash and stamp of every image, and the failures.
    stored : StoredRows
        Rows of the file before.
    located : DiskArray of int64
        Row of each sample in the file before, by its id; −1 for none.
    journal : Journal
        Rows of the log.

    Attributes
    ----------
    n_rows, n_copies, n_fresh : int
        Rows of the new file; rows of images that are copies of another one; rows of the log that
        the new file holds.
    content : str
        sha256 over ids, image hashes and failures.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        images: ImageTable,
        stored: StoredRows,
        located: DiskArray,
        journal: Journal,
    ) -> None:
        self._samples, self._images = samples, images
        self._stored, self._journal = stored, journal
        # Rows of the log are numbered on from those of the file.
        self._places = DiskArray(len(samples), np.int64)
        self.n_rows = self._n_located = self._n_lost = self._n_changed = 0
        digest = hashlib.sha256()
        used = np.zeros(len(stored) + len(journal), bool)  # In memory, but only a byte a row.
        for start, block in blocks_of(samples):
            keys = self._keys(start, block)
            places = self._find(keys, located.read(start, start + len(block)).tolist())
            self._places.write(start, places)
            used[places[places >= 0]] = True
            self.n_rows += int((places >= 0).sum())
            for sample, key in zip(block, keys, strict=True):
                if key:
                    digest.update(f"{sample.id}\n{key}\n".encode())
        for failure in images.failures:
            digest.update("\n".join(failure).encode())
        self.content = digest.hexdigest()
        self.n_copies = self.n_rows - int(used.sum())
        self.n_fresh = int(used[len(stored) :].sum())

    def _keys(self, start: int, block: Sequence[Sample]) -> list[str]:
        images = self._images.read(start, start + len(block))
        return [
            row_key(sha256, sample) if sha256 else ""
            for sample, (sha256, _) in zip(block, images, strict=True)
        ]

    def _find(self, keys: Sequence[str], located: Sequence[int]) -> NDArray[np.int64]:
        before = [number for number in located if number >= 0]
        keys_before = dict(zip(before, self._stored.keys(before), strict=True))
        places = np.full(len(keys), -1, np.int64)
        for n, (key, number) in enumerate(zip(keys, located, strict=True)):
            self._n_located += number >= 0
            if not key:
                self._n_lost += number >= 0
            elif keys_before.get(number) == key:
                places[n] = number
            else:
                self._n_changed += number >= 0
                stored = self._stored.numbers.get(key) if len(self._stored) else None
                if stored is None:
                    stored = len(self._stored) + self._journal.numbers[key]
                places[n] = stored
        return places

    def blocks(self, width: int) -> Iterator[tuple[list[ImageRow], NDArray[np.float32]]]:
        """Yield rows in the order of the data set, some at a time, and their features."""
        n_stored = len(self._stored)
        for start, samples in blocks_of(self._samples):
            places = self._places.read(start, start + len(samples))
            with_row = np.flatnonzero(places >= 0)
            here = places[with_row]
            features = np.empty((len(here), width), np.float32)
            facts: dict[int, PixelFacts] = {}
            for source, first, chosen in (
                (self._stored, 0, np.flatnonzero(here < n_stored)),
                (self._journal, n_stored, np.flatnonzero(here >= n_stored)),
            ):
                if len(chosen):
                    described, features[chosen] = source.read((here[chosen] - first).tolist())
                    facts.update(zip(chosen.tolist(), described, strict=True))
            images = self._images.read(start, start + len(samples))
            rows = [
                ImageRow(start + n, samples[n], *images[n], facts[place])
                for place, n in enumerate(with_row.tolist())
            ]
            yield rows, features

    def notes(self) -> list[str]:
        """Return notes about what changed since the previous file."""
        noun = self._images.noun
        counts = (
            (self._n_changed, "changed since the last run"),
            (
                len(self._stored) - self._n_located,
                "no longer in the data set, dropped from the file",
            ),
            (self._n_lost, "had features before, but cannot be used now"),
            (self.n_copies, f"with the same content as another {noun} of the data set"),
        )
        return [f"{counted(count, noun)} {text}" for count, text in counts if count]
