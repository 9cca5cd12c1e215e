"""The examination that each image was recorded in, from its DICOM header or from file names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.images.decode import LOADING
from bottleneck.data.images.dicom.dicom_signature import SIGNATURE_BYTES, is_dicom
from bottleneck.data.readers.patients.frame_names import ToldNames, name_examinations
from bottleneck.data.samples.sample_table import blocks_of, collect
from bottleneck.data.sources.image_sources import ArchiveSource
from bottleneck.data.sources.untrusted_files import has_picture_suffix
from bottleneck.data.splits.examination_names import examination_of_header, examination_of_name
from bottleneck.data.volumes.volume_files import VolumeFiles, is_volume_name
from bottleneck.errors import DataError, UsageError, is_of_storage, storage_failure
from bottleneck.files.disk_backed import DiskArray
from bottleneck.text.plurals import counted

__all__ = ["Examinations", "find_examinations"]

Examinations = Literal["auto", "dicom", "none"]

# Threads that read headers. They mostly wait for the disk, since Python runs one at a time.
_N_THREADS = 8
# Characters of a common part of names; a field of a sample has few more.
_MOST_TEXT = 900
# Three names with 16 digits each.
_TEXT, _BLOCK = "S80", 4096


def find_examinations(dataset: ImageDataset, how: Examinations = "auto") -> ImageDataset:
    """Return a data set in which the samples name the examination that they were recorded in.

    Images of one examination without a patient are on one side of every split.

    Parameters
    ----------
    dataset : ImageDataset
        Any data set.
    how : {"auto", "dicom", "none"}
        "dicom" takes StudyInstanceUID and SeriesInstanceUID of DICOM files; "auto" takes file
        names of other images as well, as ``name_examinations`` does; "none" takes nothing.

    Returns
    -------
    ImageDataset
        The same samples with their examinations, and a note where some have no patient. Volumes
        with known patients are not read.

    Raises
    ------
    UsageError
        If ``how`` is something else.
    DataError
        If the storage fails.
    """
    if how not in ("auto", "dicom", "none"):
        raise UsageError(f"examinations must be 'auto', 'dicom' or 'none', not {how!r}")
    images, samples = dataset.images, dataset.samples
    if how == "none" or not isinstance(images, FileSource | VolumeFiles | ArchiveSource):
        return dataset
    if isinstance(images, VolumeFiles) and dataset.n_groups is not None:
        return dataset
    headers = DiskArray(len(samples), _TEXT)
    notes = [] if isinstance(images, ArchiveSource) else _read_headers(dataset, images, headers)
    told = None
    if how == "auto" and not isinstance(images, VolumeFiles):
        told = name_examinations(lambda: _rows(samples, headers))
    if told is not None and told.n_images:
        notes.append(
            f"examinations: names of files such as '{told.example}' count as frames of "
            f"{counted(told.n_examinations, 'examination')} ({counted(told.n_images, 'image')} "
            "without a patient), and each examination stays on one side of every split. File "
            "names prove nothing: name the patients in a table, or in the paths (--patient-pattern "
            "REGEX), or ignore the names (--examinations dicom, in Python examinations='dicom')"
        )
    if not told and not notes and not _are_any(headers):
        return dataset
    named = collect(_named(samples, headers, told))
    return dataclasses.replace(dataset, samples=named, notes=(*dataset.notes, *notes))


def _are_any(headers: DiskArray) -> bool:
    return any(any(headers.read(n, n + _BLOCK)) for n in range(0, len(headers), _BLOCK))


def _texts(headers: DiskArray, start: int, stop: int) -> list[str]:
    return [text.decode() for text in headers.read(start, stop).tolist()]


def _rows(samples: Sequence[Sample], headers: DiskArray) -> Iterator[tuple[str, str, str | None]]:
    """Yield path, label and patient of every image; no path where a header tells more."""
    for start, block in blocks_of(samples):
        known = _texts(headers, start, start + len(block))
        for sample, text in zip(block, known, strict=True):
            yield "" if text else sample.source, sample.label, sample.group


def _named(
    samples: Sequence[Sample], headers: DiskArray, told: ToldNames | None
) -> Iterator[Sample]:
    for start, block in blocks_of(samples):
        stop = start + len(block)
        names = [None] * len(block) if told is None else told.read(start, stop)
        for sample, text, name in zip(block, _texts(headers, start, stop), names, strict=True):
            of_name = None if name is None or len(name) > _MOST_TEXT else examination_of_name(name)
            found = text or of_name
            yield dataclasses.replace(sample, examination=found) if found else sample


def _read_headers(
    dataset: ImageDataset, images: FileSource | VolumeFiles, headers: DiskArray
) -> list[str]:
    """Record the examination of every sample that is a DICOM file, and return a note on them."""
    studies: set[str] = set()
    n_known = n_loose = 0
    with ThreadPoolExecutor(_N_THREADS) as pool:
        for start, block in blocks_of(dataset.samples):
            sources = dict.fromkeys(sample.source for sample in block)
            read = pool.map(lambda source: _read_header(images, source), sources)
            of_source = dict(zip(sources, read, strict=True))
            found = [of_source[sample.source] or "" for sample in block]
            if not any(found):
                continue
            headers.write(start, [text.encode() for text in found])
            for sample, text in zip(block, found, strict=True):
                n_known += bool(text)
                n_loose += bool(text) and sample.group is None
                studies.add(" ".join(text.split(" ")[:2]))
    studies.discard("")
    if len(studies) == 1 and n_known == len(dataset):
        # A single study, or a UID that an anonymiser wrote into every file.
        for start, block in blocks_of(dataset.samples):
            headers.write(start, [b""] * len(block))
        return []
    if not n_loose:
        return []
    return [
        f"examinations: {counted(n_loose, dataset.noun)} without a patient belong to "
        f"{counted(len(studies), 'DICOM examination')} (StudyInstanceUID), and each examination "
        "stays on one side of every split"
    ]


def _read_header(images: FileSource | VolumeFiles, source: str) -> str | None:
    if has_picture_suffix(source) or is_volume_name(source):
        return None
    try:
        with images.open(source) as file:
            if not is_dicom(file.read(SIGNATURE_BYTES)):
                return None
            file.seek(0)
            with LOADING:
                from bottleneck.data.images.dicom.dicom_images import read_examination

            return examination_of_header(*read_examination(file))
    except OSError as error:
        if is_of_storage(error):  # Without its study, it could be on both sides of a split.
            raise storage_failure(source, error) from None
        return None
    except (DataError, ValueError):  # ValueError: the path contains a NUL.
        return None
