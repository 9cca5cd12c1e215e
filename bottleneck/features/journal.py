"""An append-only log of finished rows, which a kill at any moment leaves readable.

A record is a length, a checksum and a payload. What a kill cuts off is the last record
alone; opening the log again drops it. The first record describes the run, every other one
holds a batch: a JSON line, then its features as raw little-endian float32.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.decode import PixelFacts
from bottleneck.errors import FeatureFileError

__all__ = ["Journal"]

_HEAD = struct.Struct("<8sQI")
_MAGIC = b"BNJRNL01"


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    offset: int  # of the features, in bytes from the start of the log
    facts: PixelFacts


class Journal:
    """The rows that a run has finished, by key.

    Use as a context manager; ``rows`` maps every key to where its features lie.

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
        self.header = dict(header)
        self.rows: dict[str, _Row] = {}
        self.seconds = 0.0
        self._width = 0
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
                self.header = json.loads(payload)
                if self.header["recipe_hash"] != header["recipe_hash"]:
                    raise FeatureFileError(
                        f"{self.path} belongs to another recipe; move it away and repeat"
                    )
            else:
                self._index(start, payload)
            end = start + len(payload)
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

    def _index(self, start: int, payload: bytes) -> None:
        line, _, raw = payload.partition(b"\n")
        batch = json.loads(line)
        self._width, self.seconds = batch["width"], batch["seconds"]
        self.header["drift"] = batch["drift"]
        if len(raw) != 4 * self._width * len(batch["rows"]):
            raise ValueError("the features are not as many as the rows")
        first = start + len(payload) - len(raw)
        for number, (key, *facts) in enumerate(batch["rows"]):
            pixels, phash, size, brightness, thumbnail = facts
            self.rows[key] = _Row(
                first + number * self._width * 4,
                PixelFacts(pixels, phash, (size[0], size[1]), brightness, thumbnail),
            )

    def append(
        self,
        keys: Sequence[str],
        facts: Sequence[PixelFacts],
        features: NDArray[np.float32],
        seconds: float,
    ) -> None:
        """Add a batch; when this returns, the disk has it.

        Parameters
        ----------
        keys, facts : sequence
            Of each row.
        features : ndarray of float32, shape (len(keys), width)
            The rows.
        seconds : float
            What all runs into this log have taken so far.
        """
        rows = [(key, *dataclasses.astuple(fact)) for key, fact in zip(keys, facts, strict=True)]
        batch = {"width": features.shape[1], "seconds": seconds, "rows": rows}
        line = json.dumps(batch | {"drift": self.header.get("drift")})
        payload = line.encode() + b"\n" + features.astype("<f4").tobytes()
        self._index(self._write(payload), payload)

    def _write(self, payload: bytes) -> int:
        start = self._file.seek(0, os.SEEK_END) + _HEAD.size
        self._file.write(_HEAD.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload)
        self._file.flush()
        os.fsync(self._file.fileno())
        return start

    def features(self, key: str) -> NDArray[np.float32]:
        """Return the features of a key, shape (width,)."""
        self._file.seek(self.rows[key].offset)
        return np.frombuffer(self._file.read(self._width * 4), "<f4").astype(np.float32)
