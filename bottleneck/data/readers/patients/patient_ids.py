"""The patient of each image, from its path or its DICOM header."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.images.decode import LOADING, decode
from bottleneck.data.images.dicom.dicom_signature import SIGNATURE_BYTES, is_dicom
from bottleneck.data.samples.sample_table import blocks_of, collect, count_named, values_of
from bottleneck.data.sources.untrusted_files import has_picture_suffix
from bottleneck.data.volumes.volume_files import VolumeFiles, is_volume_name
from bottleneck.errors import DataError, UsageError, is_of_storage, storage_failure
from bottleneck.text.plurals import counted

__all__ = ["find_patients", "name_volumes", "patient_finder", "read_patients"]

# Threads that read headers. They mostly wait for the disk, since Python runs one at a time.
_N_THREADS = 8


def find_patients(dataset: ImageDataset, pattern: str) -> ImageDataset:
    """Return a data set in which the patient of each sample comes from the path of its image.

    Parameters
    ----------
    dataset : ImageDataset
        A data set without patients.
    pattern : str
        Regular expression that is searched in ``Sample.source``. The patient is the group
        named ``patient``, else the first group, else the whole match.

    Returns
    -------
    ImageDataset
        The same samples with their patients.

    Raises
    ------
    UsageError
        If the pattern is not a regular expression, a path does not match it or yields an empty
        patient, or the data set already has patients.
    """
    find_patient = patient_finder(pattern)
    if dataset.n_groups is not None:
        raise UsageError(
            f"data set '{dataset.name}' already has patients; omit the patient pattern"
        )
    samples = dataset.samples
    unmatched = [s for s in values_of(samples, "source") if not find_patient(s)]
    if unmatched:
        raise UsageError(
            f"the patient pattern '{pattern}' does not match '{unmatched[0]}' "
            f"({len(unmatched)} of {len(dataset)} images do not match); it must match every path"
        )
    named = (dataclasses.replace(sample, group=find_patient(sample.source)) for sample in samples)
    found = dataclasses.replace(dataset, samples=collect(named))
    if note := _note_extremes(found, pattern):
        return dataclasses.replace(found, notes=(*dataset.notes, note))
    return found


def _note_extremes(dataset: ImageDataset, pattern: str) -> str | None:
    """Return a note on a pattern that tells no images apart, or all of them."""
    n = len(dataset)
    if n < 2 or dataset.n_groups not in (1, n):
        return None
    example = f"of a path such as '{next(values_of(dataset.samples, 'source'))}'"
    if dataset.n_groups == 1:
        return (
            f"the patient pattern '{pattern}' makes all {n} images one patient; if they are of "
            f"several, it takes too little {example}"
        )
    return (
        f"the patient pattern '{pattern}' makes each of {n} images a patient of its own; if a "
        f"patient has several images, it takes too much {example}"
    )


def name_volumes(dataset: ImageDataset) -> ImageDataset:
    """Return a data set in which the regions of one volume are of one patient.

    Parameters
    ----------
    dataset : ImageDataset
        Any data set.

    Returns
    -------
    ImageDataset
        The same data set, unless it has regions without a patient in volumes with several regions:
        these are then of the patient of the other regions, or named after their volume, and a
        note says so.

    Raises
    ------
    DataError
        If regions of one volume are of different patients.
    """
    if not dataset.names("volume_region"):
        return dataset
    counts, stated = Counter[str](), dict[str, str]()
    for sample in dataset.samples:
        if sample.group is None:
            counts[sample.source] += 1
        elif stated.setdefault(sample.source, sample.group) != sample.group:
            raise DataError(
                f"regions of '{sample.source}' are of the patients '{stated[sample.source]}' and "
                f"'{sample.group}', and a volume has one patient: correct the patient"
            )
    if max(counts.values(), default=0) < 2 and not counts.keys() & stated.keys():
        return dataset
    named = (
        dataclasses.replace(sample, group=stated.get(sample.source, sample.source))
        if sample.group is None
        else sample
        for sample in dataset.samples
    )
    samples = collect(named)
    if counts.keys() <= stated.keys():
        note = (
            f"patients: {counted(counts.total(), 'region')} without a patient, taken from the "
            "other regions of the volume"
        )
        return dataclasses.replace(dataset, samples=samples, notes=(*dataset.notes, note))
    note = (
        f"patients: {counted(counts.total(), 'region')} without a patient, and each volume counts "
        "as one. If there are several volumes of a patient, name the patients in the table, or in "
        "the paths (--patient-pattern REGEX)"
    )
    return dataclasses.replace(dataset, samples=samples, notes=(*dataset.notes, note))


def patient_finder(pattern: str) -> Callable[[str], str | None]:
    """Return a function from the path of an image to its patient.

    Parameters
    ----------
    pattern : str
        As for ``find_patients``.

    Returns
    -------
    callable
        It returns None for a path that the pattern does not match, or in which the patient is
        empty.

    Raises
    ------
    UsageError
        If the pattern is not a regular expression.

    Examples
    --------
    >>> patient_finder(r"(P\\d+)_")("benign/P07_2.png")
    'P07'
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"the patient pattern '{pattern}' is not a regular expression: {error}"
        ) from error
    group: str | int = (
        "patient" if "patient" in expression.groupindex else min(expression.groups, 1)
    )

    def find_patient(source: str) -> str | None:
        match = expression.search(source)
        return (match.group(group) or None) if match else None

    return find_patient


def read_patients(dataset: ImageDataset, *, some: bool = False) -> ImageDataset:
    """Return a data set in which the patient of each sample is the PatientID of its DICOM file.

    Files are read up to the PatientID (PS3.3, C.7.1.1), of a folder of slices the first; files with
    the suffix of another format are not opened. Files that cannot be decoded are ignored, since
    they have no features.

    Parameters
    ----------
    dataset : ImageDataset
        Any data set.
    some : bool
        Whether it is enough if some images have a PatientID. Where samples are split, an image of
        an unknown patient could be on the other side than the rest of that patient.

    Returns
    -------
    ImageDataset
        The same samples with their patients, if the data set had none and every image that can be
        decoded is a DICOM file with a PatientID. Otherwise the data set is returned unchanged,
        with a note if some of its images are DICOM files.

    Raises
    ------
    MissingExtraError
        If there are DICOM files and the extra ``medical`` is not installed.
    """
    samples, images = dataset.samples, dataset.images
    if not isinstance(images, FileSource | VolumeFiles) or dataset.n_groups is not None:
        return dataset
    if all(map(_has_other_suffix, values_of(samples, "source"))):
        return dataset
    n_dicom = n_unnamed = n_broken = 0
    example = ""

    def name_patients() -> Iterator[Sample]:
        nonlocal n_dicom, n_unnamed, n_broken, example
        with ThreadPoolExecutor(_N_THREADS) as pool:
            for _, block in blocks_of(samples):
                # A volume has many samples, and may be a folder of many files.
                sources = dict.fromkeys(sample.source for sample in block)
                read = pool.map(lambda source: _read_patient(images, source), sources)
                patients = dict(zip(sources, read, strict=True))
                for sample in block:
                    patient = patients[sample.source]
                    n_dicom += patient is not None
                    # After the first image without a PatientID, broken ones need not be told apart.
                    if not patient and not n_unnamed and _is_broken(images, sample.source):
                        n_broken += 1
                        example = example or sample.source
                    elif not patient:
                        n_unnamed += 1
                        example = example if n_unnamed > 1 else sample.source
                    yield dataclasses.replace(sample, group=patient or None)

    named = collect(name_patients())
    if n_dicom == 0:
        return dataset
    n_named, n_patients = count_named(named, "group")
    if not n_named or (n_unnamed and not some):
        note = (
            f"patients: unknown, since {n_unnamed + n_broken} of {len(samples)} {dataset.noun}s "
            f"have no readable PatientID, such as '{example}'; take patients from the paths "
            "(--patient-pattern REGEX), or from a table"
        )
        return dataclasses.replace(dataset, notes=(*dataset.notes, note))
    kind = "file" if isinstance(images, FileSource) else dataset.noun
    note = f"patients: PatientID of {counted(n_named, f'DICOM {kind}')}"
    if n_unnamed:
        n_others = n_unnamed + n_broken
        have, each = ("has", "it") if n_others == 1 else ("have", "each")
        note += (
            f"; {counted(n_others, dataset.noun)} {have} none that can be read, such as "
            f"'{example}', and {each} counts as a patient of its own"
        )
    elif n_broken:
        note += f"; {n_broken} more cannot be decoded, such as '{example}'"
    if n_patients == 1 < n_named:
        note += (
            ", which is the same in all files. If it was replaced to anonymise them, take "
            "patients from the paths (--patient-pattern REGEX), or from a table"
        )
    return dataclasses.replace(dataset, samples=named, notes=(*dataset.notes, note))


def _has_other_suffix(source: str) -> bool:
    return has_picture_suffix(source) or is_volume_name(source)


def _is_broken(images: FileSource | VolumeFiles, source: str) -> bool:
    if _has_other_suffix(source) or isinstance(images, VolumeFiles):
        return False
    try:
        decode(images.read(source))
    except DataError:
        return True
    except (OSError, ValueError):  # It may be readable the next time.
        return False
    return False


def _read_patient(images: FileSource | VolumeFiles, source: str) -> str | None:
    """Return the PatientID; "" if there is none, None if the file is not a DICOM file."""
    if _has_other_suffix(source):
        return None
    try:
        with images.open(source) as file:
            if not is_dicom(file.read(SIGNATURE_BYTES)):
                return None
            file.seek(0)
            with LOADING:
                from bottleneck.data.images.dicom.dicom_images import read_patient

            return read_patient(file) or ""
    except OSError as error:
        if is_of_storage(error):  # Without its patient, it could be on both sides of a split.
            raise storage_failure(source, error) from None
        return None
    except (DataError, ValueError):  # ValueError: the path contains a NUL
        return None
