"""Patients that are written in file names, or in DICOM headers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.images.decode import LOADING, decode, is_dicom
from bottleneck.data.readers.untrusted_files import PICTURE_SUFFIXES
from bottleneck.data.samples import blocks_of, collect, count_named, values_of
from bottleneck.errors import DataError, UsageError

__all__ = ["find_patients", "read_patients"]

# That wait for the disk: what they do besides, Python does one by one.
_THREADS = 8


def find_patients(dataset: ImageDataset, pattern: str) -> ImageDataset:
    """Take every sample's patient from the path of its image.

    Parameters
    ----------
    dataset : ImageDataset
        A data set that names no patient.
    pattern : str
        Regular expression searched in ``Sample.source``. The patient is the group
        named ``patient``, else the first group, else the whole match.

    Returns
    -------
    ImageDataset
        The same samples, each with its patient.

    Raises
    ------
    UsageError
        If the pattern is no regular expression, if a path does not match it or gives
        an empty patient, or if the data set names patients already.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"the patient pattern '{pattern}' is not a regular expression: {error}"
        ) from error
    if dataset.n_groups is not None:
        raise UsageError(
            f"data set '{dataset.name}' names its patients already; leave the patient pattern out"
        )
    wanted: str | int = (
        "patient" if "patient" in expression.groupindex else min(expression.groups, 1)
    )

    def find(source: str) -> str | None:
        match = expression.search(source)
        return match.group(wanted) if match else None

    samples = dataset.samples
    unmatched = [s for s in values_of(samples, "source") if not find(s)]
    if unmatched:
        raise UsageError(
            f"the patient pattern '{pattern}' finds no patient in '{unmatched[0]}' "
            f"({len(unmatched)} of {len(dataset)} images do not match); every image needs one"
        )
    named = (dataclasses.replace(sample, group=find(sample.source)) for sample in samples)
    return dataclasses.replace(dataset, samples=collect(named))


def read_patients(dataset: ImageDataset) -> ImageDataset:
    """Take every sample's patient from the header of its DICOM file.

    Files are read up to their PatientID (PS3.3, C.7.1.1). Those whose suffix is that of another
    format are not opened. Those without one that cannot be decoded are passed over, for they never
    become a row.

    Parameters
    ----------
    dataset : ImageDataset
        Any.

    Returns
    -------
    ImageDataset
        The same samples with their patients, where none was named before and every image that
        can be decoded is a DICOM file with a PatientID; else as it was, with a note where some
        are DICOM files.

    Raises
    ------
    MissingExtraError
        If there are DICOM files, and the extra ``medical`` is not installed.
    """
    samples, images = dataset.samples, dataset.images
    if not isinstance(images, FileSource) or dataset.n_groups is not None:
        return dataset
    if all(map(_is_other, values_of(samples, "source"))):
        return dataset
    n_dicom = lacking = broken = 0
    example = ""

    def name() -> Iterator[Sample]:
        nonlocal n_dicom, lacking, broken, example
        with ThreadPoolExecutor(_THREADS) as pool:
            for _, block in blocks_of(samples):
                found = pool.map(lambda sample: _read_patient(images, sample.source), block)
                for sample, patient in zip(block, found, strict=True):
                    n_dicom += patient is not None
                    # Once one is lacking it does not matter what becomes of the others.
                    if not patient and not lacking and _is_broken(images, sample.source):
                        broken += 1
                        example = example or sample.source
                    elif not patient:
                        lacking += 1
                        example = example if lacking > 1 else sample.source
                    yield dataclasses.replace(sample, group=patient or None)

    named = collect(name())
    if n_dicom == 0:
        return dataset
    n_named, n_patients = count_named(named, "group")
    if lacking or not n_named:
        note = (
            f"patients: none, for {lacking + broken} of {len(samples)} images have no PatientID "
            f"that could be read, such as '{example}'; find them in paths "
            "(--patient-pattern REGEX), or name them in a table"
        )
        return dataclasses.replace(dataset, notes=(*dataset.notes, note))
    note = f"patients: PatientID of {n_named} DICOM files"
    if broken:
        note += f"; {broken} more cannot be decoded, such as '{example}'"
    if n_patients == 1 < n_named:
        note += (
            ", which is the same in all: where it was replaced, find patients in paths "
            "(--patient-pattern REGEX), or name them in a table"
        )
    return dataclasses.replace(dataset, samples=named, notes=(*dataset.notes, note))


def _is_other(source: str) -> bool:
    return PurePosixPath(source).suffix.casefold() in PICTURE_SUFFIXES


def _is_broken(images: FileSource, source: str) -> bool:
    if _is_other(source):
        return False
    try:
        decode(images.read(source))
    except DataError:
        return True
    except (OSError, ValueError):  # It may be read the next time.
        return False
    return False


def _read_patient(images: FileSource, source: str) -> str | None:
    """Return the PatientID, "" where there is none, and None where the file is no DICOM file."""
    if _is_other(source):
        return None
    try:
        with images.open(source) as file:
            if not is_dicom(file.read(132)):
                return None
            with LOADING:
                from bottleneck.data.images.dicom import read_patient

            return read_patient(file) or ""
    except (OSError, DataError, ValueError):  # ValueError: the path holds a NUL
        return None
