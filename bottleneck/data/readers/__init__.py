"""Readers of data sets, one module per format; :func:`load_dataset` chooses among them."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.class_folders import name_patients, read_class_folders
from bottleneck.data.readers.ddti import CASE_FILE, read_ddti
from bottleneck.data.readers.manifest import read_manifest
from bottleneck.data.readers.medmnist import read_medmnist
from bottleneck.data.readers.patient_ids import find_patients, read_patients
from bottleneck.data.readers.sample_records import check_name
from bottleneck.data.readers.spreadsheets import is_workbook
from bottleneck.data.readers.tn5000 import read_tn5000
from bottleneck.data.readers.untrusted_files import IMAGE_SUFFIXES
from bottleneck.data.unclear_labels import check_unclear_labels
from bottleneck.errors import DataError, UsageError, describe_os_error
from bottleneck.files.small_files import open_regular
from bottleneck.settings.config import CONFIGURATION_FILE, read_configuration
from bottleneck.settings.ranges import Patients
from bottleneck.settings.schema import validate

__all__ = ["load_dataset"]

_PHANTOM = "phantom"
_CLASS_FOLDERS = "folder of classes"
_NEEDED = (
    "Pass a folder with one subfolder per class, a table (CSV, .xlsx), a MedMNIST .npz, or "
    "'phantom' for the embedded data set"
)
_WITH_REGIONS = ("DDTI", "TN5000")


def load_dataset(
    source: str | Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    images: str | Path | None = None,
    patient_pattern: str | None = None,
    positive: str | None = None,
    crop: bool = False,
    limit: int | None = None,
    name: str | None = None,
    description: Mapping[str, str] | None = None,
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
        path, label, patient, split, fold, centre and id.
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
    limit : int, optional
        The number of patients to keep, in order of appearance; by default all.
    name : str, optional
        The name of the data set and its feature files; by default that of the file or folder.
    description : mapping of str to str, optional
        Text for a report, if the format does not provide it: where the labels come from
        ("labels": "biopsy"), and what the images show ("images": "whole frames").

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
            name = chosen.name if name is None else name
    dataset = _read(
        source, columns=columns, images=None if images is None else Path(images), crop=crop
    )
    if patient_pattern is None:
        dataset = read_patients(dataset)
        if _find_format(source) == _CLASS_FOLDERS:
            dataset = name_patients(dataset)
    else:
        dataset = find_patients(dataset, patient_pattern)
    unclear = tuple(check_unclear_labels(dataset.samples))
    name = dataset.name if name is None else check_name(name)
    dataset = dataclasses.replace(
        dataset,
        name=f"{name}-nodules" if crop else name,
        positive=positive,
        notes=notes + dataset.notes + unclear,
        description={**dataset.description, **(description or {})},
    )
    return dataset if limit is None else dataset.limited(limit)


def _read(
    source: str | Path,
    *,
    columns: Mapping[str, str] | None,
    images: Path | None,
    crop: bool,
) -> ImageDataset:
    kind = _find_format(source)
    if crop and kind not in _WITH_REGIONS:
        raise UsageError(
            f"'{source}' is read as {kind}, which has no regions to crop; "
            f"only these formats have: {', '.join(_WITH_REGIONS)}"
        )
    if columns and kind != "table of images":
        raise UsageError(f"'{source}' is read as {kind}, which has no columns to name")
    if images is not None and kind != "table of images":
        raise UsageError(f"'{source}' is read as {kind}; --images is only for tables of images")
    if kind == _PHANTOM:
        from bottleneck.data.phantom.generator import phantom_dataset

        return phantom_dataset()
    path = Path(source).resolve()
    match kind:
        case "MedMNIST":
            return read_medmnist(path)
        case "table of images":
            return read_manifest(path, columns=columns, images=images)
        case "TN5000":
            return read_tn5000(path, crop=crop)
        case "DDTI":
            return read_ddti(path, crop=crop)
        case _:
            return read_class_folders(path)


def _find_format(source: str | Path) -> str:
    if source == _PHANTOM:
        return _PHANTOM
    if source == "":
        raise UsageError("the path of the data set is empty; for the current folder, pass '.'")
    path = Path(source)
    try:
        if path.is_dir():
            if (path / "Annotations").is_dir() and (path / "JPEGImages").is_dir():
                return "TN5000"
            is_ddti = any(CASE_FILE.fullmatch(file.name) for file in path.iterdir())
            return "DDTI" if is_ddti else _CLASS_FOLDERS
        if path.suffix.casefold() in IMAGE_SUFFIXES:
            raise DataError(f"'{source}' is a single image; pass a folder or a table of images")
        if path.suffix.casefold() in (".xls", ".xlsb", ".ods", ".numbers"):
            raise DataError(
                f"'{source}' is a spreadsheet in another format than .xlsx; save it as .xlsx or "
                "'CSV UTF-8', and pass that"
            )
        return _find_file_format(path)
    except OSError as error:
        reason = describe_os_error(error)
        raise DataError(f"the data set '{source}' cannot be read: {reason}. {_NEEDED}") from error


def _find_file_format(path: Path) -> str:
    try:
        file = open_regular(path, "data set", DataError)
    except DataError as error:
        raise DataError(f"{error}. {_NEEDED}") from None
    with file:
        is_archive = path.suffix.casefold() == ".npz" or zipfile.is_zipfile(file)
    return "MedMNIST" if is_archive and not is_workbook(path) else "table of images"
