"""An append-only log of finished rows that a kill at any moment leaves readable.

A record is a length, a checksum and a payload. A kill can cut off only the last record, and opening
the log again drops it. The first record names the recipe. Every other record holds a batch: a JSON
line, the thumbnails, and the features as little-endian float32. The line also says how the batch
was computed, and names the images that were read since the batch before: sample, source, key, and
stamp of the file. There is no log before the first batch.
"""

from __future__ import annotations

import bisect
import functools
import json
import os
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Self

import numpy as np
from annotated_types import Ge, Le, MaxLen
from numpy.typing import NDArray
from pydantic import FailFast, TypeAdapter

from bottleneck.data.images.decode import THUMBNAIL_SIDE, PixelFacts
from bottleneck.data.samples.sample_table import Sample
from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.features.file.format import FORMAT
from bottleneck.features.file.provenance_record import RecordedPlan
from bottleneck.features.rows import ImageRow, Stamp, row_key
from bottleneck.files.disk_backed import DiskDict
from bottleneck.files.writing import continue_file
from bottleneck.settings.ranges import Seconds
from bottleneck.settings.schema import Field, from_table, schema

__all__ = ["Journal"]

_HEAD = struct.Struct("<8sQI")
_MAGIC = b"BNJRNL02"
_THUMBNAIL = THUMBNAIL_SIDE**2
# Bytes of a record, and of its JSON, which takes up to twenty times as much memory. Longer batches
# are several records.
_MAX_RECORD, _MAX_LINE = 2**28, 2**23

# In ASCII: a hash, perhaps with the region of the image behind it.
_Key = Annotated[str, Field(pattern="^[ -~]{0,256}$")]
_Hash = Annotated[str, Field(pattern="^[ -~]{0,64}$")]
_Brightness = Annotated[float, Ge(0), Le(255)]
_Name = Annotated[str, MaxLen(65_536)]
_Side = Annotated[int, Ge(1), Le(2**31 - 1)]
_Long = Annotated[int, Ge(-(2**63)), Le(2**63 - 1)]
_Mm = Annotated[float, Ge(-1e9), Le(1e9)]


@schema
class _Batch:
    """The JSON line of a batch. The first row that does not fit ends the check."""

    width: Annotated[int, Ge(1), Le(2**24)]
    seconds: Seconds
    settings: Mapping[str, Any]
    # Key, hash of the pixels, width and height, brightness.
    rows: Annotated[tuple[tuple[_Key, _Hash, tuple[_Side, _Side], _Brightness], ...], FailFast()]
    # Sample, source, key, size and time of the file.
    read: Annotated[tuple[tuple[_Name, _Name, _Key, _Long, _Long], ...], FailFast()]
    # The box of each row of a volume.
    boxes: Annotated[tuple[tuple[_Mm, _Mm, _Mm, _Mm, _Mm, _Mm], ...], FailFast()] = ()


@functools.cache
def _adapter() -> TypeAdapter[_Batch]:
    return TypeAdapter(_Batch)


class Journal:
    """The rows that a run has finished, by key.

    Use as a context manager. No row stays in memory.

    Parameters
    ----------
    path : Path
        Continued where present, and otherwise created with the first batch.
    settings : mapping
        How rows are computed. A log that has rows keeps its own settings.
    recipe_hash : str
        Recipe of the rows.

    Attributes
    ----------
    settings : dict
        How the rows are computed; logged with every batch, because it may change between them.
    numbers : mapping of str to int
        Key to number of the row, on the disk.
    seconds : float
        Duration of all runs that wrote into the log.
    width : int or None
        Length of its rows; None if it has none.

    Raises
    ------
    FeatureFileError
        If the file is not a log, is a link, or belongs to another recipe or user.
    OSError
        If it cannot be written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], recipe_hash: str) -> None:
        self.path = path
        self.settings = dict(settings)
        self.numbers: DiskDict[int] = DiskDict()
        self.seconds = 0.0
        # Images that earlier runs read, by sample: source, key, size and time, in JSON.
        self._read_before: DiskDict[str] = DiskDict()
        self._n, self._resumed = 0, False
        # Number of each batch's first row, and start and end of its payload.
        self._first, self._start, self._end = array("q"), array("q"), array("q")
        self._origin = {"format": FORMAT, "recipe_hash": recipe_hash}
        self.width: int | None = None
        self._opened: BinaryIO | None = None
        if not os.path.lexists(path):
            return
        try:
            self._replay()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._n

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _file(self) -> BinaryIO:
        if self._opened is None:
            what = "the log of an extraction"
            self._opened = continue_file(self.path, what, FeatureFileError)
        return self._opened

    def _replay(self) -> None:
        end = 0
        try:
            for start, payload in self._records():
                if end:
                    self._replay_batch(start, payload)
                # ``dict`` refuses what is not a record at all.
                elif dict(json.loads(payload)) != self._origin:
                    raise FeatureFileError(
                        f"{self.path} belongs to another recipe, or to another version of "
                        "bottleneck; move it away and repeat"
                    )
                end = start + len(payload)
        # A UsageError says that a field of a batch does not fit.
        except (LookupError, TypeError, ValueError, RecursionError, UsageError):
            raise self._malformed() from None
        self._resumed = end > 0
        self._file.seek(end)
        self._file.truncate()

    def _replay_batch(self, start: int, payload: bytes) -> None:
        batch = self._index(start, payload)
        if batch.rows:  # The options of a run without rows bind no other.
            self._take(batch.settings)
        self._read_before.add((identity, json.dumps(record)) for identity, *record in batch.read)

    def _take(self, settings: Mapping[str, Any]) -> None:
        if settings.keys() != self.settings.keys():
            raise ValueError("other settings than a run has")
        from_table(RecordedPlan, settings, self.path.name)
        self.settings = dict(settings)

    def _records(self) -> Iterator[tuple[int, bytes]]:
        size = os.fstat(self._file.fileno()).st_size
        while len(head := self._file.read(_HEAD.size)) == _HEAD.size:
            magic, length, checksum = _HEAD.unpack(head)
            start = self._file.tell()
            if magic != _MAGIC:
                raise self._malformed()
            if start + length > size:
                return
            # The first record names the recipe, and has no features.
            if length > (_MAX_RECORD if start > _HEAD.size else _MAX_LINE):
                raise self._malformed()
            payload = self._file.read(length)
            if zlib.crc32(payload) != checksum:
                return
            yield start, payload

    def _malformed(self) -> FeatureFileError:
        return FeatureFileError(
            f"{self.path} is not a log of unfinished features; move it away and repeat"
        )

    def _index(self, start: int, payload: bytes) -> _Batch:
        end = payload.index(b"\n")
        if end > _MAX_LINE:
            raise ValueError("a batch of too many words")
        batch = _adapter().validate_json(payload[:end])
        rows = batch.rows
        if len(payload) - end - 1 != (_THUMBNAIL + 4 * batch.width) * len(rows):
            raise ValueError("the number of features does not match the number of rows")
        if batch.boxes and len(batch.boxes) != len(rows):
            raise ValueError("the number of boxes does not match the number of rows")
        if rows and self.width not in (None, batch.width):
            raise ValueError("rows of several lengths")
        self.width = batch.width if rows else self.width
        self.seconds = batch.seconds
        self._first.append(self._n)
        self._start.append(start)
        self._end.append(start + len(payload))
        self.numbers.add((row[0], number) for number, row in enumerate(rows, self._n))
        self._n += len(rows)
        return batch

    def append(
        self,
        rows: Sequence[ImageRow],
        features: NDArray[np.float32],
        seconds: float,
        images_read: Sequence[tuple[str, str, str, int, int]],
    ) -> None:
        """Add a batch; when this returns, the disk has it.

        Parameters
        ----------
        rows : sequence of ImageRow
            Decoded images; there may be none.
        features : ndarray of float32, shape (len(rows), width)
            Their features.
        seconds : float
            Duration so far of all runs that wrote into this log.
        images_read : sequence of (str, str, str, int, int)
            Id, source, key, size and modification time of each image that was read since the
            batch before, whether it has a row in this batch or not.
        """
        facts = [row.facts for row in rows if row.facts is not None]
        batch: dict[str, Any] = {
            "width": features.shape[1],
            "seconds": seconds,
            "settings": self.settings,
            "rows": [
                (row.key, fact.pixels, fact.size, fact.brightness)
                for row, fact in zip(rows, facts, strict=True)
            ],
            "read": images_read,
        }
        if boxes := [fact.box for fact in facts if fact.box is not None]:
            batch["boxes"] = boxes
        thumbnails = b"".join(fact.thumbnail for fact in facts)
        line = json.dumps(batch).encode()
        size = len(line) + len(thumbnails) + features.nbytes
        if (len(line) > _MAX_LINE or size > _MAX_RECORD // 2) and len(rows) + len(images_read) > 2:
            n, m = len(rows) // 2, len(images_read) // 2
            self.append(rows[:n], features[:n], seconds, images_read[:m])
            self.append(rows[n:], features[n:], seconds, images_read[m:])
            return
        payload = b"%s\n%s%s" % (line, thumbnails, features.astype("<f4").tobytes())
        if not self._file.seek(0, os.SEEK_END):
            self._write(json.dumps(self._origin).encode())
        self._index(self._write(payload), payload)

    def _write(self, payload: bytes) -> int:
        start = self._file.seek(0, os.SEEK_END) + _HEAD.size
        self._file.write(_HEAD.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload)
        self._file.flush()
        os.fsync(self._file.fileno())
        return start

    def recorded(self, samples: Sequence[Sample]) -> list[tuple[str, Stamp] | None]:
        """Return keys and stamps that the images of samples had when earlier runs read them.

        None where no earlier run read the image, or the sample had another source or region then;
        ``NO_STAMP`` where the stamp could not be trusted. There need not be a row of the key.
        """
        records: list[tuple[str, Stamp] | None] = [None] * len(samples)
        for place, sample in enumerate(samples if self._resumed else ()):
            record = self._read_before.get(sample.id)
            if record is None:
                continue
            source, key, size, time = json.loads(record)
            if source == sample.source and row_key(key[:64], sample) == key:
                records[place] = key, (size, time)
        return records

    def read(self, numbers: Sequence[int]) -> tuple[list[PixelFacts], NDArray[np.float32]]:
        """Return facts and features of rows; the latter of shape (len(numbers), width)."""
        all_facts, features = [], []
        last = -1
        for number in numbers:
            batch = bisect.bisect_right(self._first, number) - 1
            if batch != last:  # Rows mostly come in the order in which they were written.
                last, (rows, boxes, thumbnails, block) = batch, self._batch(batch)
            place = number - self._first[batch]
            _, pixels, size, brightness = rows[place]
            thumbnail = thumbnails[place * _THUMBNAIL : (place + 1) * _THUMBNAIL]
            box = tuple(boxes[place]) if boxes else None
            all_facts.append(PixelFacts(pixels, tuple(size), brightness, thumbnail, box=box))
            features.append(block[place])
        return all_facts, np.stack(features)

    def _batch(self, batch: int) -> tuple[list[Any], list[Any], bytes, NDArray[np.float32]]:
        self._file.seek(self._start[batch])
        line, _, raw = self._file.read(self._end[batch] - self._start[batch]).partition(b"\n")
        fields = json.loads(line)
        end = _THUMBNAIL * len(fields["rows"])
        features = np.frombuffer(raw[end:], "<f4").reshape(-1, fields["width"])
        return fields["rows"], fields.get("boxes", []), raw[:end], features
