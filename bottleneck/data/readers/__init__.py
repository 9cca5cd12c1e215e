"""Readers of data sets, one module per format; :func:`load_dataset` chooses among them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.built_in_readers import (
    BUILT_IN,
    FOLDERS,
    Reader,
    is_stated,
    takes_option,
)
from bottleneck.data.readers.folders.class_folders import name_patients
from bottleneck.data.readers.installed_readers import GuardedReader, choose_reader
from bottleneck.data.readers.patients.examinations import Examinations, find_examinations
from bottleneck.data.readers.patients.patient_ids import find_patients, name_volumes, read_patients
from bottleneck.data.readers.sample_records import check_name
from bottleneck.data.spelling.unclear_labels import check_unclear_labels
from bottleneck.data.splits.merged_folds import merge_folds as keep_patients_in_folds
from bottleneck.data.volumes.volume_region import Space
from bottleneck.errors import DataError, UsageError, describe_os_error
from bottleneck.files.small_files import open_regular
from bottleneck.settings.config import CONFIGURATION_FILE, read_configuration
from bottleneck.settings.ranges import Patients
from bottleneck.settings.schema import validate

__all__ = ["Reader", "load_dataset"]

_PHANTOM = "phantom"
_NEEDED = (
    "Pass a folder with one subfolder per class, a table (CSV, .xlsx), a MedMNIST .npz, or "
    "'phantom' for the embedded data set"
)
# What an option of a reader needs.
_OPTIONS = {
    "columns": "columns to name",
    "images": "folder of images to name (--images)",
    "crop": "regions to crop",
    "space": "points in volumes (--space)",
    "size_mm": "points in volumes (--size-mm)",
    "volumes": "DICOM files that can be volumes (--volumes)",
    "negatives": "negative candidates to sample (--negatives)",
}


def load_dataset(
    source: str | Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    images: str | Path | None = None,
    patient_pattern: str | None = None,
    positive: str | None = None,
    crop: bool = False,
    space: Space | None = None,
    size_mm: float | None = None,
    volumes: bool = False,
    negatives: float | None = None,
    merge_folds: bool = False,
    examinations: Examinations = "auto",
    limit: int | None = None,
    name: str | None = None,
    description: Mapping[str, str] | None = None,
    reader: str | Reader | None = None,
) -> ImageDataset:
    """Read a data set, in a format that is recognised by its files.

    ====================================================  =======================
    ``source``                                            is read as
    ====================================================  =======================
    the word ``"phantom"``                                the embedded phantom
    an Excel workbook                                     table of images
    another zip archive, or a file called ``.npz``        MedMNIST
    another file                                          table of images
    a folder with ``Annotations`` and ``JPEGImages``      TN5000
    a folder with files ``1.xml``, ``2.xml`` ...          DDTI
    a folder with ``subset0`` ..., ``annotations.csv``    LUNA16
    another folder                                        one subfolder per class
    ====================================================  =======================

    Parameters
    ----------
    source : str or Path, optional
        A path, or ``"phantom"``. By default, the data set in ``bottleneck.toml`` in the current
        folder, with the options stated there unless they are given here; without such a file, the
        phantom. ``ImageDataset.notes`` states which one was used.
    columns : mapping of str to str, optional
        For a table of images: the columns by role, such as ``{"path": "image"}``. Roles are
        path, label, patient, split, fold, centre and id; of a table of volumes also x, y, z, space,
        size_mm and lesion.
    images : str or Path, optional
        For a table of images: the folder that its paths are relative to; by default the table's.
        Absolute paths that do not exist are read below it, without their beginning.
    patient_pattern : str, optional
        Regular expression that extracts the patient from the path of an image, for data
        sets without patients: the group named ``patient``, else the first group,
        else the whole match. Without a pattern, the patient is the PatientID if all images are
        DICOM files, or a folder above the folders of the classes.
    positive : str, optional
        The label of the positive class.
    crop : bool
        For DDTI and TN5000: whether each annotated nodule is a sample, instead of each image.
        The data set's name then ends in ``-nodules``.
    space : {"lps", "ras", "voxel"}, optional
        For a table of points in volumes: the space of x, y and z, where no column states it.
        Without it, points in DICOM and MetaImage are LPS; of other formats, it must be stated.
    size_mm : float, optional
        For a table of points in volumes: the edge of the region around each, where no column states
        it. Without it, the preprocessing of the network decides.
    volumes : bool
        For folders: whether each folder of DICOM slices is one volume, instead of each file an
        image. Files of NIfTI, MetaImage and NRRD are volumes in any case. For a table: whether its
        DICOM files are volumes.
    negatives : float, optional
        For LUNA16: the share of the negative candidates that are read, above 0 and at most 1. The
        name of the data set then ends in it.
    merge_folds : bool
        Whether a patient of several published folds counts in one of them, as a whole. Without it,
        such folds are refused where they would be used.
    examinations : {"auto", "dicom", "none"}
        What tells that images are of one examination, which no split divides where patients are not
        known: studies of DICOM files, and by default also file names such as ``case12_003.png``; a
        note says so.
    limit : int, optional
        The number of patients to keep, in order of appearance; by default all.
    name : str, optional
        The name of the data set and its feature files; by default that of the file or folder.
    description : mapping of str to str, optional
        Text for a report, if the format does not provide it: where the labels come from
        ("labels": "biopsy"), and what the images show ("images": "whole frames").
    reader : str or Reader, optional
        The reader to use, whatever the format looks like: TN5000, DDTI, LUNA16, MedMNIST, table,
        folders, the name of one that an installed package registers, or an object of your own. By
        default, a registered reader that matches comes before those of the table above, except for
        TN5000, DDTI and LUNA16: of several readers that match, one has to be chosen.

    Returns
    -------
    ImageDataset
        The samples, and a source for the bytes of their images.

    Raises
    ------
    DataError
        If the data set cannot be read or used.
    UsageError
        If an option does not fit the data set.
    MissingExtraError
        If the data set contains DICOM files and the extra ``medical`` is not installed.

    Examples
    --------
    >>> load_dataset("phantom", limit=20)
    <ImageDataset phantom-first20: 62 images of 20 patients; benign 35,
        malignant 27>
    """
    if limit is not None:
        validate(Patients, limit, "the limit of patients")
    notes: tuple[str, ...] = ()
    if source is None:
        chosen = read_configuration().dataset
        if chosen is None:
            source = _PHANTOM
            notes = ("no data set named: using the embedded phantom",)
        else:
            source = chosen.path
            notes = (f"data set named in {CONFIGURATION_FILE}: {source.name}",)
            columns = columns or chosen.columns
            images = chosen.images if images is None else images
            patient_pattern = chosen.patient_pattern if patient_pattern is None else patient_pattern
            positive = chosen.positive if positive is None else positive
            crop = crop or chosen.crop
            space = chosen.space if space is None else space
            size_mm = chosen.size_mm if size_mm is None else size_mm
            volumes = volumes or chosen.volumes
            negatives = chosen.negatives if negatives is None else negatives
            merge_folds = merge_folds or chosen.merge_folds
            examinations = chosen.examinations if examinations == "auto" else examinations
            reader = chosen.reader if reader is None else reader
            name = chosen.name if name is None else name
    options = {
        "columns": columns,
        "images": images and Path(images),
        "crop": crop,
        "space": space,
        "size_mm": size_mm,
        "volumes": volumes,
        "negatives": negatives,
    }
    stated = {key: value for key, value in options.items() if is_stated(value)}
    dataset, is_class_folders = _read(source, reader, stated)
    if patient_pattern is None:
        dataset = read_patients(dataset)
        if is_class_folders:
            dataset = name_patients(dataset)
    else:
        dataset = find_patients(dataset, patient_pattern)
    dataset = find_examinations(name_volumes(dataset), examinations)
    if merge_folds:
        dataset = keep_patients_in_folds(dataset)
    unclear = tuple(check_unclear_labels(dataset.samples))
    name = dataset.name if name is None else check_name(name)
    dataset = dataclasses.replace(
        dataset,
        name=f"{name}-nodules" if crop else name,
        positive=dataset.positive if positive is None else positive,
        notes=tuple(dict.fromkeys((*notes, *dataset.notes, *unclear))),
        description={**dataset.description, **(description or {})},
    )
    return dataset if limit is None else dataset.limited(limit)


def _read(
    source: str | Path, reader: str | Reader | None, options: Mapping[str, Any]
) -> tuple[ImageDataset, bool]:
    """Return a data set, and whether it is a folder with one subfolder per class."""
    if isinstance(source, str) and source == _PHANTOM:
        if reader is not None:
            raise UsageError(f"'{_PHANTOM}' is the embedded data set, which needs no reader")
        if options:
            raise _refuse_option(f"'{_PHANTOM}' is the embedded data set", next(iter(options)))
        from bottleneck.data.phantom.generator import phantom_dataset

        return phantom_dataset(), False
    path = _find_path(source)
    try:
        chosen, notes = choose_reader(path, reader)
    except OSError as error:
        raise _unreadable(source, error) from error
    inner = chosen.reader if isinstance(chosen, GuardedReader) else chosen
    for option in options:
        if not takes_option(inner, option):
            raise _refuse_option(f"'{source}' is read by {chosen}", option)
    dataset = chosen.read(path, **options)
    dataset = dataclasses.replace(dataset, reader=chosen.record, notes=(*notes, *dataset.notes))
    return dataset, chosen is FOLDERS


def _find_path(source: str | Path) -> Path:
    """Return the absolute path of a file or folder that exists."""
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            f"the data set must be a path, not {type(source).__name__}; "
            "ImageDataset.from_samples makes one of samples, dicts or a DataFrame"
        )
    if source == "":
        raise UsageError("the path of the data set is empty; for the current folder, pass '.'")
    path = Path(source)
    try:
        if not path.is_dir():
            open_regular(path, "data set", DataError).close()
        return path.resolve()
    except OSError as error:
        raise _unreadable(source, error) from error
    except DataError as error:
        raise DataError(f"{error}. {_NEEDED}") from None


def _unreadable(source: str | Path, error: OSError) -> DataError:
    reason = describe_os_error(error)
    return DataError(f"the data set '{source}' cannot be read: {reason}. {_NEEDED}")


def _refuse_option(what: str, option: str) -> UsageError:
    others = ", ".join(one.name for one in BUILT_IN if takes_option(one, option))
    return UsageError(
        f"{what}, which has no {_OPTIONS[option]}; of the readers here, these have: {others}"
    )
