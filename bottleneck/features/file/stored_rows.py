"""The rows of an existing feature file, which a run can keep."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.samples.sample_table import Sample, values_of
from bottleneck.errors import FeatureFileError
from bottleneck.features.file.format import HASH, HASHES, Members, take
from bottleneck.features.rows import Stamp, key_of, row_key
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.files.disk_backed import DiskArray, DiskDict

__all__ = ["StoredRows"]

_BLOCK = 4096


class StoredRows:
    """The rows of an existing feature file, which are read some at a time.

    Parameters
    ----------
    path : Path
        A feature file; one that does not exist has no rows.

    Attributes
    ----------
    provenance : mapping
        What the file says of itself; empty where there is no file.
    width : int or None
        Length of a row; None where there is no file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.provenance: Mapping[str, Any] = {}
        self._n = 0
        self.width: int | None = None
        self._numbers: DiskDict[int] | None = None
        self._lock = threading.Lock()
        if path.exists():
            self._read()

    def __len__(self) -> int:
        return self._n

    def _read(self) -> None:
        with Members.opened(self.path) as file:
            self.provenance = file.provenance()
            n = len(file.member("ids"))
            if "stamps" not in file:
                raise FeatureFileError(
                    f"{self.path} was saved from a feature set in memory, which `bottleneck "
                    "extract` does not continue: move it away, or give the data set its own name "
                    "with --name"
                )
            for name in ("ids", "sources"):
                file.longest(file.member(name, n))
            for name in HASHES:
                file.member(name, n, kind=HASH)
            if "regions" in file:
                file.member("regions", n, ndim=2, kind="<i4", columns=4)
            if "volume_regions" in file:
                file.longest(file.member("volume_regions", n))
            if "boxes" in file:
                file.member("boxes", n, ndim=2, kind="<f8", columns=6)
            file.member("stamps", n, ndim=2, kind="<i8", columns=2)
            file.member("size", n, ndim=2, kind="<i4", columns=2)
            file.member("brightness", n, kind="<f4")
            file.thumbnails(n)
            self.width = file.member("embeddings", n, ndim=2, kind="<f4").shape[1]
        self._n = n

    @property
    def numbers(self) -> Mapping[str, int]:
        """Key to number of the row; built on first use, which may never come."""
        with self._lock:
            if self._numbers is None:
                self._numbers = DiskDict(
                    (key, number)
                    for rows in self._blocks()
                    for key, number in zip(self.keys(rows), rows, strict=True)
                )
        return self._numbers

    def __contains__(self, key: str) -> bool:
        return self._n > 0 and key in self.numbers

    def _blocks(self) -> Iterator[range]:
        for start in range(0, len(self), _BLOCK):
            yield range(start, min(start + _BLOCK, len(self)))

    def keys(self, numbers: Sequence[int]) -> list[str]:
        """Return the keys of rows."""
        if not len(numbers):
            return []
        with Members.opened(self.path) as file:
            return _keys(file, numbers)

    def locate(self, samples: Sequence[Sample]) -> DiskArray:
        """Find the rows of samples by their ids.

        Returns
        -------
        DiskArray of int64, shape (len(samples),)
            Numbers of the rows; −1 where there is none.
        """
        located = DiskArray(len(samples), np.int64)
        index: Mapping[str, int] | None = None if len(self) else {}
        following = 0
        ids = values_of(samples, "id")
        for start in range(0, len(samples), _BLOCK):
            block = list(itertools.islice(ids, _BLOCK))
            numbers = range(following, following + len(block))
            # Rows mostly stand in the order of the data set; only others need an index.
            if self._ids(numbers) == block:
                located.write(start, numbers)
                following = numbers.stop
                continue
            if index is None:
                index = DiskDict(
                    pair
                    for rows in self._blocks()
                    for pair in zip(self._ids(rows), rows, strict=True)
                )
            places = [index.get(identity, -1) for identity in block]
            located.write(start, places)
            following = max(following, *(number + 1 for number in places))
        return located

    def _ids(self, rows: range) -> list[str]:
        if rows.start >= len(self):
            return []
        with Members.opened(self.path) as file:
            return file["ids"].asstr()[rows.start : rows.stop].tolist()

    def recorded(
        self, numbers: Sequence[int], samples: Sequence[Sample]
    ) -> list[tuple[str, Stamp] | None]:
        """Return keys and stamps that the images of samples had when the file was written.

        Parameters
        ----------
        numbers : sequence of int
            Rows of the samples, from ``locate``; −1 where there is none.
        samples : sequence of Sample
            The same samples.

        Returns
        -------
        list of (str, (int, int)) or None
            None where there is no row or no stamp, or the sample had another source or region.
        """
        records: list[tuple[str, Stamp] | None] = [None] * len(samples)
        places = [place for place, number in enumerate(numbers) if number >= 0]
        if not places:
            return records
        rows = [numbers[place] for place in places]
        with Members.opened(self.path) as file:
            keys = _keys(file, rows)
            stamps = take(file["stamps"], rows).tolist()
            sources = take(file["sources"], rows).tolist()
        for place, key, stamp, source in zip(places, keys, stamps, sources, strict=True):
            sample = samples[place]
            same = source.decode("utf-8", "replace") == sample.source
            if same and stamp[0] >= 0 and row_key(key[:64], sample) == key:
                records[place] = key, (stamp[0], stamp[1])
        return records

    def failed_samples(self) -> tuple[FailedSample, ...]:
        """Return what the file records of the samples without a row."""
        if not self.path.exists():
            return ()
        with Members.opened(self.path) as file:
            return file.failed_samples()

    def content(self) -> str:
        """Return the sha256 over ids, keys and failures, which the provenance records."""
        digest = hashlib.sha256()
        for rows in self._blocks():
            for name, key in zip(self._ids(rows), self.keys(rows), strict=True):
                digest.update(f"{name}\n{key}\n".encode())
        with Members.opened(self.path) as file:
            for failure in file.failures():
                digest.update("\n".join(failure).encode())
        return digest.hexdigest()

    def read(
        self, numbers: Sequence[int], keys: Sequence[str] | None = None
    ) -> tuple[list[PixelFacts], NDArray[np.float32]]:
        """Return facts and features of rows; the latter of shape (len(numbers), width).

        Parameters
        ----------
        numbers : sequence of int
            The rows.
        keys : sequence of str or None
            The keys that they must have, for a file that other runs may replace.

        Raises
        ------
        FeatureFileError
            If a row has another key, or the file another recipe.
        """
        with Members.opened(self.path) as file:
            if keys is not None and not self._is_unchanged(file, numbers, keys):
                raise FeatureFileError(
                    f"{self.path} was changed while rows were taken from it: repeat the command"
                )
            columns = [
                take(file[name], numbers) for name in ("pixels", "size", "brightness", "thumbnails")
            ]
            features = take(file.member("embeddings", len(self), ndim=2, kind="<f4"), numbers)
            boxes = None
            if "boxes" in file:
                boxes = take(file.member("boxes", len(self), ndim=2, kind="<f8"), numbers).tolist()
        pixels, sizes, brightness, thumbnails = columns
        described = zip(pixels, sizes.tolist(), brightness.tolist(), thumbnails, strict=True)
        facts = [
            PixelFacts(
                digest.decode(),
                (width, height),
                grey,
                thumbnail.tobytes(),
                box=None if boxes is None else tuple(boxes[place]),
            )
            for place, (digest, (width, height), grey, thumbnail) in enumerate(described)
        ]
        return facts, features

    def _is_unchanged(self, file: Members, numbers: Sequence[int], keys: Sequence[str]) -> bool:
        about = file.provenance()
        return (
            about["recipe_hash"] == self.provenance["recipe_hash"]
            and about.get("content") == self.provenance.get("content")
            and len(file.member("ids")) == len(self)
            and _keys(file, numbers) == list(keys)
        )


def _keys(file: Members, numbers: Sequence[int]) -> list[str]:
    hashes = [sha256.decode("ascii", "replace") for sha256 in take(file["sha256"], numbers)]
    regions: list[Any] = [None] * len(hashes)
    volume_regions = [""] * len(hashes)
    if "regions" in file:
        regions = take(file["regions"], numbers).tolist()
    if "volume_regions" in file:
        texts = take(file["volume_regions"], numbers)
        volume_regions = [text.decode("utf-8", "replace") for text in texts]
    return [key_of(*each) for each in zip(hashes, regions, volume_regions, strict=True)]
