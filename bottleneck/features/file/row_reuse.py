"""The rows of a feature file that a run can take over."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.samples import Sample, values_of
from bottleneck.disk_backed import DiskArray, DiskDict
from bottleneck.features.file.format import Members, take
from bottleneck.features.rows import Stamp, row_key

__all__ = ["StoredRows"]

_BLOCK = 4096


class StoredRows:
    """The rows of a feature file that a run can take over.

    All that there is one of for each row stays in the file, and is read some rows at a time.

    Parameters
    ----------
    path : Path
        A feature file; one that does not exist has no rows.

    Attributes
    ----------
    provenance : mapping
        Of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.provenance: Mapping[str, Any] = {}
        self._n = 0
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
            for name in ("ids", "sources", "pixels"):
                member = file.member(name, n)
                if name in ("ids", "sources"):
                    file.longest(member)
            file.member("sha256", n, kind="S")
            if "regions" in file:
                file.member("regions", n, ndim=2, kind="i", columns=4)
            if "stamps" in file:
                file.member("stamps", n, ndim=2, kind="i", columns=2)
            file.member("size", n, ndim=2, kind="i", columns=2)
            file.member("brightness", n, kind="f")
            file.thumbnails(n)
        self._n = n

    @property
    def numbers(self) -> Mapping[str, int]:
        """Key to number of the row; made when it is first asked for, which may be never."""
        with self._lock:
            if self._numbers is None:
                self._numbers = DiskDict(
                    (key, number)
                    for rows in self._blocks()
                    for key, number in zip(self.keys(rows), rows, strict=True)
                )
        return self._numbers

    def _blocks(self) -> Iterator[range]:
        for start in range(0, len(self), _BLOCK):
            yield range(start, min(start + _BLOCK, len(self)))

    def keys(self, numbers: Sequence[int]) -> list[str]:
        """Return the keys of rows."""
        with Members.opened(self.path) as file:
            return _keys(file, numbers)

    def locate(self, samples: Sequence[Sample]) -> DiskArray:
        """Find the samples that the file has rows of, by their ids.

        Returns
        -------
        DiskArray of int64, shape (len(samples),)
            Numbers of their rows; −1 where there is none.
        """
        located = DiskArray(len(samples), np.int64)
        elsewhere: Mapping[str, int] | None = None if len(self) else {}
        following = 0
        ids = values_of(samples, "id")
        for start in range(0, len(samples), _BLOCK):
            block = list(itertools.islice(ids, _BLOCK))
            numbers = range(following, following + len(block))
            # Rows mostly stand in the order of the data set; only for others there is an index.
            if self._ids(numbers) == block:
                located.write(start, numbers)
                following = numbers.stop
                continue
            if elsewhere is None:
                elsewhere = DiskDict(
                    pair
                    for rows in self._blocks()
                    for pair in zip(self._ids(rows), rows, strict=True)
                )
            found = [elsewhere.get(identity, -1) for identity in block]
            located.write(start, found)
            following = max(following, *(number + 1 for number in found))
        return located

    def _ids(self, rows: range) -> list[str]:
        if rows.start >= len(self):
            return []
        with Members.opened(self.path) as file:
            return file["ids"].asstr()[rows.start : rows.stop].tolist()

    def recorded(
        self, numbers: Sequence[int], samples: Sequence[Sample]
    ) -> list[tuple[str, Stamp] | None]:
        """Return what the file says of the images of samples.

        Parameters
        ----------
        numbers : sequence of int
            Of the samples' rows, from ``locate``; −1 where there is none.
        samples : sequence of Sample
            The same.

        Returns
        -------
        list of (str, (int, int)) or None
            Key of the row, and stamp of the image's file; None where there is no stamp, or it is
            one of another source or region.
        """
        said: list[tuple[str, Stamp] | None] = [None] * len(samples)
        places = [place for place, number in enumerate(numbers) if number >= 0]
        if not places:
            return said
        rows = [numbers[place] for place in places]
        with Members.opened(self.path) as file:
            if "stamps" not in file:
                return said
            keys = _keys(file, rows)
            stamps = take(file["stamps"], rows).tolist()
            sources = take(file["sources"], rows).tolist()
        for place, key, stamp, source in zip(places, keys, stamps, sources, strict=True):
            sample = samples[place]
            same = source.decode("utf-8", "replace") == sample.source
            if same and stamp[0] >= 0 and row_key(key[:64], sample) == key:
                said[place] = key, (stamp[0], stamp[1])
        return said

    def facts(self, numbers: Sequence[int]) -> list[PixelFacts]:
        """Return what is recorded of the images of rows."""
        with Members.opened(self.path) as file:
            pixels = take(file["pixels"], numbers)
            size = take(file["size"], numbers).tolist()
            brightness = take(file["brightness"], numbers).tolist()
            thumbnails = take(file["thumbnails"], numbers)
        return [
            PixelFacts(p.decode(), (s[0], s[1]), b, t.tobytes())
            for p, s, b, t in zip(pixels, size, brightness, thumbnails, strict=True)
        ]

    def features(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """Return the features of rows, shape (len(numbers), width)."""
        with Members.opened(self.path) as file:
            return take(file.member("embeddings", len(self), ndim=2, kind="f"), numbers)


def _keys(file: Members, numbers: Sequence[int]) -> list[str]:
    hashes = [sha256.decode("ascii", "replace") for sha256 in take(file["sha256"], numbers)]
    if "regions" not in file:
        return hashes
    regions = take(file["regions"], numbers).tolist()
    return [
        sha256 if region[0] < 0 else f"{sha256}{region}"
        for sha256, region in zip(hashes, regions, strict=True)
    ]
