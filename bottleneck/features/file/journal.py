"""An append-only log of finished rows, which a kill at any moment leaves readable.

A record is a length, a checksum and a payload. What a kill cuts off is the last record
alone; opening the log again drops it. The first record describes the run, every other one
holds a batch: a JSON line, the thumbnails, and the features as little-endian float32. The line
says, too, which images were read since the batch before: sample, key, and stamp of the file.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import os
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import THUMBNAIL_SIDE, PixelFacts
from bottleneck.data.samples import Sample
from bottleneck.disk_backed import DiskDict
from bottleneck.errors import FeatureFileError
from bottleneck.features.rows import Stamp, row_key

__all__ = ["Journal", "Seen"]

_HEAD = struct.Struct("<8sQI")
_MAGIC = b"BNJRNL02"
_THUMBNAIL = THUMBNAIL_SIDE**2
# What may change from batch to batch, and what a log that does not say it was written with.
_CHANGING = ("drift", "batch_size", "layout", "compiled")
_OLDER: dict[str, Any] = {"layout": "channels_last", "compiled": False}


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """An image that was read: whose it is, the key of its row, the stamp of its file."""

    sample: Sample
    key: str
    stamp: Stamp


class Journal:
    """The rows that a run has finished, by key.

    Use as a context manager. Nothing of a row stays in memory.

    Parameters
    ----------
    path : Path
        Created where absent, continued where present.
    header : mapping
        What a new log says of its run. A log that exists keeps its own.

    Attributes
    ----------
    header : mapping
        Of the log.
    numbers : mapping of str to int
        Key to number of the row, on the disk.
    seconds : float
        What the runs before this one took.

    Raises
    ------
    FeatureFileError
        If the log is no log, or belongs to another recipe.
    OSError
        If it cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.header = _OLDER | dict(header)
        self.numbers: DiskDict[int] = DiskDict()
        # By sample what the runs before this one read: source, key, size and time, in JSON.
        self._read_before: DiskDict[str] = DiskDict()
        self.seconds = 0.0
        self._n, self._resumed = 0, False
        # Of every batch: the number of its first row, and where its payload starts and ends.
        self._first = array("q")
        self._start = array("q")
        self._end = array("q")
        self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
        try:
            self._replay(header)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._n

    def _replay(self, header: Mapping[str, Any]) -> None:
        try:
            self._continue(header)
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
            raise FeatureFileError(
                f"{self.path} is no log of unfinished features; move it away and repeat"
            ) from None

    def _continue(self, header: Mapping[str, Any]) -> None:
        end = 0
        for start, payload in self._records():
            if end == 0:
                self.header = _OLDER | json.loads(payload)
                if self.header["recipe_hash"] != header["recipe_hash"]:
                    raise FeatureFileError(
                        f"{self.path} belongs to another recipe; move it away and repeat"
                    )
            else:
                batch = self._index(start, payload)
                for field in _CHANGING:
                    self.header[field] = batch.get(field, self.header[field])
                self._read_before.add(
                    (str(identity), json.dumps([str(source), str(key), int(size), int(time)]))
                    for identity, source, key, size, time in batch.get("read", ())
                )
            end = start + len(payload)
        self._resumed = end > 0
        self._file.seek(end)
        self._file.truncate()
        if end == 0:
            self._write(json.dumps(self.header).encode())

    def _records(self) -> Iterator[tuple[int, bytes]]:
        size = self.path.stat().st_size
        while len(head := self._file.read(_HEAD.size)) == _HEAD.size:
            magic, length, checksum = _HEAD.unpack(head)
            start = self._file.tell()
            if magic != _MAGIC:
                raise FeatureFileError(
                    f"{self.path} is no log of unfinished features; move it away and repeat"
                )
            if start + length > size:
                return
            payload = self._file.read(length)
            if zlib.crc32(payload) != checksum:
                return
            yield start, payload

    def _index(self, start: int, payload: bytes) -> dict[str, Any]:
        line, _, raw = payload.partition(b"\n")
        batch = json.loads(line)
        self.seconds = batch["seconds"]
        if len(raw) != (_THUMBNAIL + 4 * batch["width"]) * len(batch["rows"]):
            raise ValueError("the features are not as many as the rows")
        first = self._n
        self._n += len(batch["rows"])
        self._first.append(first)
        self._start.append(start)
        self._end.append(start + len(payload))
        if any(len(row) != 4 or not isinstance(row[0], str) for row in batch["rows"]):
            raise ValueError("a row needs a key and three facts of its image")
        self.numbers.add((row[0], number) for number, row in enumerate(batch["rows"], first))
        return batch

    def append(
        self,
        keys: Sequence[str],
        facts: Sequence[PixelFacts],
        features: NDArray[np.float32],
        seconds: float,
        read: Sequence[Seen] = (),
    ) -> None:
        """Add a batch; when this returns, the disk has it.

        Parameters
        ----------
        keys, facts : sequence
            Of each row. There may be none.
        features : ndarray of float32, shape (len(keys), width)
            The rows.
        seconds : float
            What all runs into this log have taken so far.
        read : sequence of Seen
            The images that were read since the batch before, whether a row of this batch is
            theirs or not.
        """
        rows = [
            (key, fact.pixels, fact.size, fact.brightness)
            for key, fact in zip(keys, facts, strict=True)
        ]
        batch = {"width": features.shape[1], "seconds": seconds, "rows": rows}
        if read:
            batch["read"] = [
                (seen.sample.id, seen.sample.source, seen.key, *seen.stamp) for seen in read
            ]
        batch |= {field: self.header[field] for field in _CHANGING}
        thumbnails = b"".join(fact.thumbnail for fact in facts)
        payload = b"%s\n%s%s" % (
            json.dumps(batch).encode(),
            thumbnails,
            features.astype("<f4").tobytes(),
        )
        self._index(self._write(payload), payload)

    def _write(self, payload: bytes) -> int:
        start = self._file.seek(0, os.SEEK_END) + _HEAD.size
        self._file.write(_HEAD.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload)
        self._file.flush()
        os.fsync(self._file.fileno())
        return start

    def recorded(self, samples: Sequence[Sample]) -> list[tuple[str, Stamp] | None]:
        """Return the keys of samples' images, and the stamps of their files.

        None where the runs before this one have not read the image, or the sample had another
        source or region; ``NO_STAMP`` where the stamp could not be trusted. That a key is known
        here does not mean that there is a row of it.
        """
        said: list[tuple[str, Stamp] | None] = [None] * len(samples)
        for place, sample in enumerate(samples if self._resumed else ()):
            found = self._read_before.get(sample.id)
            if found is None:
                continue
            source, key, size, time = json.loads(found)
            if source == sample.source and row_key(key[:64], sample) == key:
                said[place] = key, (size, time)
        return said

    def read(self, numbers: Sequence[int]) -> tuple[list[PixelFacts], NDArray[np.float32]]:
        """Return what is recorded of rows, and their features, shape (len(numbers), width)."""
        all_facts, features = [], []
        last = -1
        for number in numbers:
            batch = bisect.bisect_right(self._first, number) - 1
            if batch != last:  # Rows mostly come in the order in which they were written.
                last, (rows, thumbnails, block) = batch, self._batch(batch)
            place = number - self._first[batch]
            _, pixels, size, brightness = rows[place]
            thumbnail = thumbnails[place * _THUMBNAIL : (place + 1) * _THUMBNAIL]
            all_facts.append(PixelFacts(pixels, tuple(size), brightness, thumbnail))
            features.append(block[place])
        return all_facts, np.stack(features)

    def _batch(self, batch: int) -> tuple[list[Any], bytes, NDArray[np.float32]]:
        self._file.seek(self._start[batch])
        line, _, raw = self._file.read(self._end[batch] - self._start[batch]).partition(b"\n")
        fields = json.loads(line)
        end = _THUMBNAIL * len(fields["rows"])
        features = np.frombuffer(raw[end:], "<f4").reshape(-1, fields["width"])
        return fields["rows"], raw[:end], features
