"""The only code that opens feature files; ``features/README.md`` is their specification."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.decode import THUMBNAIL_SIDE, PixelFacts
from bottleneck.errors import BottleneckError, FeatureFileError
from bottleneck.features.featureset import FeatureSet

__all__ = [
    "FORMAT",
    "NO_STAMP",
    "Row",
    "Stamp",
    "StoredRows",
    "feature_files",
    "load_features",
    "read_provenance",
    "row_key",
    "write_features",
]

FORMAT = 1

# Size in bytes and modification time in nanoseconds of an image's file.
Stamp = tuple[int, int]
NO_STAMP: Stamp = (-1, -1)

_TEXT = h5py.string_dtype("utf-8")
_OPTIONAL_FIELDS = {"groups": "group", "splits": "split", "folds": "fold", "centres": "centre"}
_FAILURE = np.dtype([("id", _TEXT), ("reason", _TEXT)])
_OPTIONAL_TEXT = ("groups", "splits", "folds", "centres", "sources", "sha256", "pixels", "phash")
_BLOCK = 4096
# In bytes, of text that any file may hold.
_SMALL = 16_777_216
_NUMBERS = {"embeddings": 2, "thumbnails": 3}
# How a heap of texts begins, and the size of its head and of each entry's (HDF5's format
# specification, III.E, the global heap).
_HEAP, _HEAP_HEAD = b"GCOL\x01", 16
_THUMBNAIL = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A sample that has features, and what is known of its image."""

    sample: Sample
    sha256: str
    facts: PixelFacts
    stamp: Stamp = NO_STAMP

    @property
    def key(self) -> str:
        """What the row's values answer to."""
        return row_key(self.sha256, self.sample)


def row_key(sha256: str, sample: Sample) -> str:
    """Name what a row's values answer to: the image's bytes, and the region of it."""
    return sha256 if sample.region is None else f"{sha256}{list(sample.region)}"


def feature_files(folder: Path) -> list[Path]:
    """Return the feature files of a folder, sorted by name."""
    return sorted(folder.glob("*.h5"))


def write_features(
    path: Path,
    dataset: ImageDataset,
    blocks: Iterable[tuple[Sequence[Row], NDArray[np.float32]]],
    *,
    shape: tuple[int, int],
    failures: Sequence[tuple[str, str]],
    provenance: Mapping[str, Any],
) -> None:
    """Write a feature file: whole or not at all.

    The bytes go into a temporary file beside the target, which takes its place only when
    the disk has all of them.

    Parameters
    ----------
    path : Path
        The target; replaced where it exists.
    dataset : ImageDataset
        Whose samples decide which of the optional members there are.
    blocks : iterable of (sequence of Row, ndarray of float32)
        The rows in the order of the data set, some at a time, and their features.
    shape : tuple of int
        Number of rows in all, and length of a feature vector.
    failures : sequence of (str, str)
        Id and reason of the samples without a row.
    provenance : mapping
        JSON-serialisable.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full. The target is untouched.
    """
    beside = path.with_name(f"{path.name}.writing")
    try:
        with _created(beside) as file:
            _create_members(file, dataset, *shape)
            start = 0
            for rows, features in blocks:
                stop = start + len(rows)
                file["embeddings"][start:stop] = features
                _write_columns(file, slice(start, stop), rows)
                start = stop
            file["failures"] = np.array([tuple(f) for f in failures], _FAILURE)
            file.attrs["provenance"] = json.dumps(provenance)
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


class _Sink(io.FileIO):
    """A file that takes every byte, and keeps the first error for later.

    HDF5 cannot close a file that it failed to write to: it raises, and tries again until the
    process ends.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return size


@contextlib.contextmanager
def _created(path: Path) -> Iterator[h5py.File]:
    with _Sink(path, "w+") as sink:
        try:
            with h5py.File(sink, "w") as file:
                yield file
        finally:
            if sink.error is not None:
                raise sink.error


def _create_members(file: h5py.File, dataset: ImageDataset, n: int, width: int) -> None:
    # Contiguous, so that readers can map it into memory; floats hardly compress.
    file.create_dataset("embeddings", (n, width), "<f4")
    for member in ("ids", "labels", "sources"):
        file.create_dataset(member, (n,), _TEXT)
    for member, field in _OPTIONAL_FIELDS.items():
        if any(getattr(sample, field) is not None for sample in dataset.samples):
            file.create_dataset(member, (n,), _TEXT)
    if any(sample.region is not None for sample in dataset.samples):
        file.create_dataset("regions", (n, 4), "<i4")
    for member, kind in (("sha256", "S64"), ("pixels", "S64"), ("phash", "S16")):
        file.create_dataset(member, (n,), kind)
    file.create_dataset("size", (n, 2), "<i4")
    file.create_dataset("brightness", (n,), "<f4")
    file.create_dataset("thumbnails", (n, *_THUMBNAIL), "u1")
    file.create_dataset("stamps", (n, 2), "<i8")


def _write_columns(file: h5py.File, place: slice, rows: Sequence[Row]) -> None:
    samples = [row.sample for row in rows]
    columns: dict[str, Any] = {
        "ids": np.array([s.id for s in samples], _TEXT),
        "labels": np.array([s.label for s in samples], _TEXT),
        "sources": np.array([s.source for s in samples], _TEXT),
        "sha256": np.array([row.sha256 for row in rows], "S64"),
        "pixels": np.array([row.facts.pixels for row in rows], "S64"),
        "phash": np.array([row.facts.phash for row in rows], "S16"),
        "size": np.array([row.facts.size for row in rows], np.int32),
        "brightness": np.array([row.facts.brightness for row in rows], np.float32),
        "stamps": np.array([row.stamp for row in rows], np.int64),
    }
    for member, field in _OPTIONAL_FIELDS.items():
        if member in file:
            columns[member] = np.array([getattr(s, field) or "" for s in samples], _TEXT)
    if "regions" in file:
        columns["regions"] = np.array([s.region or (-1,) * 4 for s in samples], np.int32)
    pictures = bytes.fromhex("".join(row.facts.thumbnail for row in rows))
    columns["thumbnails"] = np.frombuffer(pictures, np.uint8).reshape(-1, *_THUMBNAIL)
    for member, values in columns.items():
        file[member][place] = values


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and needs no such flush.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_provenance(path: Path) -> Mapping[str, Any]:
    """Return what a feature file says of itself, without reading its rows.

    Raises
    ------
    FeatureFileError
        If the file is missing, damaged, no feature file, or of a newer format.
    """
    with _opened(path) as file:
        return _provenance(path, file)


def load_features(path: str | Path, *, memory_map: bool = False) -> FeatureSet:
    """Read a feature file.

    Parameters
    ----------
    path : str or Path
        What ``extract`` wrote.
    memory_map : bool
        Leave the features on the disk, and map them into memory, read-only: what is never
        looked at is never read.

    Returns
    -------
    FeatureSet

    Raises
    ------
    FeatureFileError
        If the file is missing, damaged, no feature file, or of a newer format.
    """
    path = Path(path)
    with _opened(path) as file:
        provenance = _provenance(path, file)
        ids = _texts(path, file, "ids")
        if len(set(ids.tolist())) < len(ids):
            raise _malformed(path, "ids")
        member = _member(path, file, "embeddings", len(ids), ndim=2, kind="f")
        start = member.id.get_offset() if memory_map else None  # None where it lies in pieces.
        X = (
            member[:]
            if start is None
            else np.memmap(path, member.dtype, "r", start, shape=member.shape)
        )
        columns: dict[str, Any] = {
            name: _texts(path, file, name, len(ids)) for name in _OPTIONAL_TEXT if name in file
        }
        if "size" in file:
            columns["size"] = _member(path, file, "size", len(ids), ndim=2, kind="i")[:]
        if "brightness" in file:
            columns["brightness"] = _member(path, file, "brightness", len(ids), kind="f")[:]
        if "thumbnails" in file:
            columns["thumbnails"] = _thumbnails(path, file, len(ids))[:]
        return FeatureSet(
            X=X,
            y=_texts(path, file, "labels", len(ids)),
            ids=ids,
            provenance=provenance,
            failures=tuple(_failures(path, file)),
            path=path,
            **columns,
        )


class StoredRows:
    """The rows of a feature file that a run can take over.

    What is large stays in the file, and is read when it is asked for.

    Parameters
    ----------
    path : Path
        A feature file; one that does not exist has no rows.

    Attributes
    ----------
    numbers : mapping of str to int
        Key to number of the row.
    provenance : mapping
        Of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.numbers: dict[str, int] = {}
        self.provenance: Mapping[str, Any] = {}
        self._sha256 = np.empty(0, "S64")
        self._regions: NDArray[np.int32] | None = None
        self._stamps: NDArray[np.int64] | None = None
        if path.exists():
            self._read()

    def __len__(self) -> int:
        return len(self._sha256)

    def _read(self) -> None:
        path = self.path
        with _opened(path) as file:
            self.provenance = _provenance(path, file)
            n = len(_member(path, file, "ids"))
            for name in ("ids", "sources", "pixels", "phash"):
                member = _member(path, file, name, n)
                if name in ("ids", "sources"):
                    _refuse_repeats(path, file, member)
            self._sha256 = _member(path, file, "sha256", n, kind="S")[:]
            if "regions" in file:
                self._regions = _member(path, file, "regions", n, ndim=2, kind="i", columns=4)[:]
            if "stamps" in file:
                self._stamps = _member(path, file, "stamps", n, ndim=2, kind="i", columns=2)[:]
            _member(path, file, "size", n, ndim=2, kind="i", columns=2)
            _member(path, file, "brightness", n, kind="f")
            _thumbnails(path, file, n)
        self.numbers = {self.key(number): number for number in range(n)}

    def key(self, number: int) -> str:
        """Return the key of a row."""
        sha256 = self.sha256(number)
        if self._regions is None or self._regions[number, 0] < 0:
            return sha256
        return f"{sha256}{self._regions[number].tolist()}"

    def sha256(self, number: int) -> str:
        """Return the hash of the bytes of a row's image."""
        return self._sha256[number].decode("ascii", "replace")

    def locate(self, samples: Sequence[Sample]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Find the samples that the file has rows of, by their ids.

        Returns
        -------
        numbers : ndarray of int, shape (len(samples),)
            Of their rows; −1 where there is none.
        stamps : ndarray of int64, shape (len(samples), 2)
            Those that the file recorded; ``NO_STAMP`` where it has none for the sample's
            source and region.
        """
        numbers = np.full(len(samples), -1)
        stamps = np.full((len(samples), 2), NO_STAMP, np.int64)
        if not len(self):
            return numbers, stamps
        places = {sample.id: place for place, sample in enumerate(samples)}
        with _opened(self.path) as file:
            for start in range(0, len(self), _BLOCK):
                ids = file["ids"].asstr()[start : start + _BLOCK]
                sources = file["sources"].asstr()[start : start + _BLOCK]
                for number, (identity, source) in enumerate(zip(ids, sources, strict=True), start):
                    place = places.get(identity)
                    if place is None:
                        continue
                    numbers[place] = number
                    sample = samples[place]
                    same = row_key(self.sha256(number), sample) == self.key(number)
                    if same and sample.source == source and self._stamps is not None:
                        stamps[place] = self._stamps[number]
        return numbers, stamps

    def facts(self, numbers: Sequence[int]) -> list[PixelFacts]:
        """Return what is recorded of the images of rows."""
        with _opened(self.path) as file:
            pixels, phash = _take(file["pixels"], numbers), _take(file["phash"], numbers)
            size = _take(file["size"], numbers).tolist()
            brightness = _take(file["brightness"], numbers).tolist()
            thumbnails = _take(file["thumbnails"], numbers)
        return [
            PixelFacts(p.decode(), h.decode(), (s[0], s[1]), b, t.tobytes().hex())
            for p, h, s, b, t in zip(pixels, phash, size, brightness, thumbnails, strict=True)
        ]

    def features(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """Return the features of rows, shape (len(numbers), width)."""
        with _opened(self.path) as file:
            member = _member(self.path, file, "embeddings", len(self), ndim=2, kind="f")
            return _take(member, numbers)


def _take(member: h5py.Dataset, numbers: Sequence[int]) -> NDArray[Any]:
    order, inverse = np.unique(numbers, return_inverse=True)
    if not len(order):
        return member[:0]
    # HDF5 reads a run of rows hundreds of times faster than as many named one by one.
    low, high = int(order[0]), int(order[-1]) + 1
    if high - low <= 4 * len(order):
        return member[low:high][order - low][inverse]
    return member[order][inverse]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise FeatureFileError(f"feature file {path} does not exist")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except BottleneckError:
        raise
    # HDF5 finds damage as late as a value is read, and names it in errors of any type.
    except Exception as error:  # noqa: BLE001
        cause = str(error).partition("(")[2].rstrip(")") or error
        raise FeatureFileError(
            f"{path} is damaged, or no HDF5 file ({cause}); "
            "move it away and extract the features again"
        ) from None


def _provenance(path: Path, file: h5py.File) -> Mapping[str, Any]:
    _refuse_endless_heaps(path, file)
    try:
        provenance = json.loads(file.attrs["provenance"])
        version = provenance["format"]
        dataset, recipe = dict(provenance["dataset"]), dict(provenance["recipe"])
        names = dataset["name"], recipe["backbone"], recipe["weights"], provenance["recipe_hash"]
        if not all(isinstance(name, str) for name in names):
            raise TypeError
    except (KeyError, OSError, RecursionError, TypeError, ValueError):
        raise FeatureFileError(
            f"{path} is no feature file of bottleneck: it has no valid provenance"
        ) from None
    if version != FORMAT:
        raise FeatureFileError(
            f"{path} has format {version}; this version of bottleneck reads format {FORMAT}"
        )
    return provenance


def _member(
    path: Path,
    file: h5py.File,
    name: str,
    n: int | None = None,
    *,
    ndim: int = 1,
    kind: str = "SO",
    columns: int | None = None,
) -> h5py.Dataset:
    # A link to another file, or a size that the file cannot hold, is no work of ours.
    link = file.get(name, getlink=True) if name in file else None
    member = file[name] if isinstance(link, h5py.HardLink) else None
    if (
        not isinstance(member, h5py.Dataset)
        or member.is_virtual
        or member.external
        or member.ndim != ndim
        or member.dtype.kind not in kind
        or (n is not None and len(member) != n)
        or (columns is not None and member.shape[1] != columns)
        or member.size * min(member.dtype.itemsize, 4) > path.stat().st_size
    ):
        raise _malformed(path, name)
    return member


def _malformed(path: Path, name: str) -> FeatureFileError:
    return FeatureFileError(
        f"{path} is no sound feature file: '{name}' is missing or malformed; "
        "move it away and extract the features again"
    )


def _thumbnails(path: Path, file: h5py.File, n: int) -> h5py.Dataset:
    member = _member(path, file, "thumbnails", n, ndim=3, kind="u")
    if member.shape[1:] != _THUMBNAIL:
        raise FeatureFileError(
            f"{path} is no sound feature file: 'thumbnails' has the shape {member.shape}, not "
            f"({n}, {THUMBNAIL_SIDE}, {THUMBNAIL_SIDE}); move it away and extract the features "
            "again"
        )
    return member


def _texts(path: Path, file: h5py.File, name: str, n: int | None = None) -> NDArray[np.str_]:
    member = _member(path, file, name, n)
    if member.dtype.kind == "O":
        _refuse_repeats(path, file, member)
        return np.asarray(member.asstr()[:]).astype(str)
    return np.asarray(member[:]).astype(str)


def _refuse_repeats(path: Path, file: h5py.File, member: h5py.Dataset) -> None:
    """Refuse texts that take more memory than the file has bytes.

    A row of text is a length and an address, and a million rows may have the address of one
    and the same megabyte. numpy gives every row the width of the longest.
    """
    if len(member) == 0:
        return
    heap = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
    place, texts = member.id.get_offset(), len(member.dtype.names or "1")
    sizes = file.id.get_create_plist().get_sizes()
    is_text = member.dtype.names or h5py.check_string_dtype(member.dtype)
    if place is None or sizes[0] != 8 or not is_text:  # not as we write it
        raise _malformed(path, member.name)
    with path.open("rb") as raw:
        raw.seek(place)
        lengths = np.frombuffer(raw.read(heap.itemsize * texts * len(member)), heap)["length"]
    size = path.stat().st_size
    longest = int(lengths.max()) * len(member)
    if lengths.sum(dtype=np.int64) > size or longest > max(size, _SMALL):
        raise _malformed(path, member.name)


def _refuse_endless_heaps(path: Path, file: h5py.File) -> None:
    """Refuse heaps of text that HDF5 would walk through without end.

    An entry says where the next one begins, and HDF5 does not mind one that has no size.
    """
    start, gaps = 0, []
    known = (
        _member(path, file, name, ndim=d, kind="fu") for name, d in _NUMBERS.items() if name in file
    )
    for offset, nbytes in sorted((m.id.get_offset() or 0, m.nbytes) for m in known):
        gaps.append((start, offset))
        start = max(start, offset + nbytes)
    with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for begin, end in (*gaps, (start, len(data))):
            place = data.find(_HEAP, begin, end)
            while place >= 0:
                if not _ends(data, place):
                    raise FeatureFileError(
                        f"{path} is damaged: a heap of its texts has no end; move it away and "
                        "extract the features again"
                    )
                place = data.find(_HEAP, place + 1, end)


def _ends(data: mmap.mmap, place: int) -> bool:
    """Walk through one heap as HDF5 does."""
    stop = place + int.from_bytes(data[place + 8 : place + 16], "little")
    entry = place + _HEAP_HEAD
    while entry + _HEAP_HEAD <= min(stop, len(data)):
        number = int.from_bytes(data[entry : entry + 2], "little")
        size = int.from_bytes(data[entry + 8 : entry + 16], "little")
        # Entry 0 is the space that is left, and counts its own head.
        step = size if number == 0 else _HEAP_HEAD + -(-size // 8) * 8
        if not _HEAP_HEAD <= step <= stop - entry:
            return False
        entry += step
    return True


def _failures(path: Path, file: h5py.File) -> Iterator[tuple[str, str]]:
    if "failures" in file:
        member = _member(path, file, "failures", kind="V")
        if member.dtype != _FAILURE:
            raise _malformed(path, "failures")
        _refuse_repeats(path, file, member)
        for row in member[:]:
            yield row["id"].decode(), row["reason"].decode()
