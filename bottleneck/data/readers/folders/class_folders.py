"""Reader of folders with one subfolder per class."""

from __future__ import annotations

import dataclasses
import operator
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.folders.folder_contents import FolderContents, read_contents
from bottleneck.data.readers.folders.folder_levels import (
    FolderLevels,
    doubt_folder,
    find_levels,
    propose_pattern,
)
from bottleneck.data.readers.folders.mask_files import same_but_suffix, same_but_word
from bottleneck.data.readers.manifest import SPLITS
from bottleneck.data.samples.sample_table import Sample, collect, values_of
from bottleneck.data.volumes.volume_files import SUFFIXES
from bottleneck.errors import DataError
from bottleneck.text.plurals import counted

__all__ = ["describe_masks", "describe_suffixes", "name_patients", "read_class_folders"]

# So few images may have the name of another by chance.
_MANY = 3


def read_class_folders(folder: Path, *, volumes: bool = False) -> ImageDataset:
    """Read a folder with one subfolder per class.

    Images may be at any depth below the folder of their class. If all subfolders are named after
    splits (train, val, test and synonyms), they are read as splits, and the folders below
    them as classes. Folders of patients may be above the classes, see ``find_levels``. Masks of
    other images are left out. The id of a sample is its path relative to the folder.
    Files need no suffix.

    Parameters
    ----------
    folder : Path
        The folder that contains the class folders.
    volumes : bool
        Whether the samples are volumes, as for ``read_contents``.

    Returns
    -------
    ImageDataset
        Samples sorted by path.

    Raises
    ------
    DataError
        If no image is in a class folder, or there is only one class. The folder is then probably
        one level too high or too low, or a table in it contains the labels.
    """
    contents = read_contents(folder, volumes=volumes)
    files, images, excluded = contents.files, contents.paths, contents.excluded
    tables = [f for f in files if "/" not in f and f.casefold().endswith((".csv", ".tsv", ".xlsx"))]
    levels = find_levels(images)
    samples = []
    for path in images:
        *folders, _ = path.split("/")
        if len(folders) < levels.next:
            excluded[f"{contents.noun} outside the class folders"] += 1
            continue
        split = None if levels.split is None else SPLITS[folders[levels.split].casefold()]
        samples.append(
            Sample(
                id=path,
                source=path,
                label=folders[levels.label],
                split=split,
                fold=folders[levels.label - 1] if levels.above == "fold" else None,
                centre=folders[levels.label - 1] if levels.above == "centre" else None,
            )
        )
    classes = {sample.label for sample in samples}
    if tables and len(classes) < 2:
        message = (
            f"'{folder}' does not have one subfolder per class, but it has the table "
            f"'{tables[0]}'. If this table names the images and their labels, pass it instead: "
            f"{folder / tables[0]}"
        )
        raise DataError(". ".join((message, *contents.notes)))
    if not samples:
        message = _describe_missing_images(folder, contents, levels)
        raise DataError(". ".join((message, *contents.notes)))
    notes = [*contents.notes, *levels.notes, *describe_masks(contents)]
    if note := doubt_folder(folder.name, classes):
        notes.append(note)
    dataset = ImageDataset(
        name=folder.name,
        samples=collect(samples),
        images=contents.source,
        excluded=+excluded,
        notes=tuple(notes),
    )
    # Only the data set knows whether two folders are two spellings of one class.
    if len(dataset.classes) < 2:
        message = _describe_one_class(folder, samples, levels)
        raise DataError(". ".join((message, *contents.notes)))
    return dataset


def name_patients(dataset: ImageDataset) -> ImageDataset:
    """Return a data set of class folders with the patients that its folders name.

    Parameters
    ----------
    dataset : ImageDataset
        What ``read_class_folders`` returned, perhaps with patients from the headers of the images.

    Returns
    -------
    ImageDataset
        With patients, if the folders above the classes are patients and the headers do not tell
        several patients apart. Otherwise with a note, if other folders may be patients.
    """
    levels = find_levels(values_of(dataset.samples, "source"))
    if levels.above != "group":
        if dataset.n_groups is not None:
            return dataset
        note = propose_pattern(values_of(dataset.samples, "source"), levels)
        return dataclasses.replace(dataset, notes=(*dataset.notes, note)) if note else dataset
    folder_of = operator.itemgetter(levels.label - 1)
    if (dataset.n_groups or 1) > 1:
        ids = defaultdict(set)
        for sample in dataset.samples:
            ids[folder_of(sample.source.split("/"))].add(sample.group)
        divided = sorted(folder for folder, groups in ids.items() if len(groups) > 1)
        if not divided:
            return dataset
        note = (
            f"{counted(len(divided), 'folder')} above the classes with images of several "
            f"PatientIDs, such as '{divided[0]}'. If each folder is one patient, pass "
            f"--patient-pattern '^{'[^/]+/' * (levels.label - 1)}(?P<patient>[^/]+)/'"
        )
        return dataclasses.replace(dataset, notes=(*dataset.notes, note))
    named = (
        dataclasses.replace(sample, group=folder_of(sample.source.split("/")))
        for sample in dataset.samples
    )
    # A note on the headers would contradict.
    notes = [note for note in dataset.notes if not note.startswith("patients: ")]
    notes.append("patients: the folders above the classes")
    return dataclasses.replace(dataset, samples=collect(named), notes=tuple(notes))


def describe_masks(contents: FolderContents) -> list[str]:
    """Return notes on the masks that were left out, and on other images with similar names."""
    masks, alone, images, noun = contents.masks, contents.alone, contents.paths, contents.noun
    notes = []
    if masks:
        mask, image = masks[0]
        notes.append(
            f"{counted(len(masks), 'mask')} of other {noun}s left out, such as '{mask}' of "
            f"'{image}'. To use them as {noun}s, pass a table"
        )
    if alone:
        notes.append(
            f"{counted(len(alone), noun)} kept with the name of a mask, such as '{alone[0]}', "
            f"because there is no {noun} that it could belong to"
        )
    if twins := same_but_suffix(images):
        one, other = twins[0]
        notes.append(
            f"{counted(len(twins), 'pair')} of {noun}s with the same name but another suffix, such "
            f"as '{one}' and '{other}'. If one is a mask or a copy, remove it or pass a table"
        )
    if len(named_alike := same_but_word(images)) >= _MANY:
        one, other = named_alike[0]
        notes.append(
            f"{counted(len(named_alike), noun)} with the name of another and a word, such as "
            f"'{one}' and '{other}'. If they are masks or copies, remove them or pass a table"
        )
    return notes


def _describe_one_class(folder: Path, samples: list[Sample], levels: FolderLevels) -> str:
    label = samples[0].label
    below = {sample.source.split("/")[levels.next] for sample in samples}
    inner = folder / samples[0].source.partition(f"{label}/")[0] / label
    remedy = f"pass the folder that contains {label}/ and the folders of the other classes"
    if levels.label == 0 and len(below) > 1 and not any((inner / name).is_file() for name in below):
        first, second = sorted(below)[:2]
        remedy = f"if {first}/ and {second}/ are classes, pass {inner}. Otherwise {remedy}"
    return (
        f"'{folder}' has only one class, '{label}'. Expected one subfolder of images per class: "
        f"{remedy}. For images of one class, pass a table with the columns path and label"
    )


def _describe_missing_images(folder: Path, contents: FolderContents, levels: FolderLevels) -> str:
    noun, images, files = contents.noun, contents.paths, contents.files
    expected = f"expected one subfolder with {noun}s per class, such as benign/ and malignant/"
    if images:
        place = "directly in it" if levels.split is None else "directly in its split folders"
        is_are = "is" if len(images) == 1 else "are"
        return (
            f"'{folder}': {expected}, but its {counted(len(images), noun)} {is_are} {place}. If it "
            "is the folder of one class, pass the folder above; otherwise pass a table with the "
            "labels. "
            f"{noun.capitalize()}s without labels are for a fitted model: bottleneck predict, or "
            "extract --unlabelled (in Python load_new_images)"
        )
    if not files:
        return f"'{folder}': {expected}, but it contains no file"
    return f"'{folder}': {expected}, but it contains {describe_suffixes(files, noun)}"


def describe_suffixes(files: Iterable[str], noun: str) -> str:
    """Return which files there are in place of images, as the end of a message."""
    suffixes = Counter(PurePosixPath(f).suffix or "no extension" for f in files)
    kinds = "image (PNG, JPEG, TIFF, DICOM, BMP, GIF, WebP, netpbm)"
    if noun == "volume":
        kinds = f"volume (folders of DICOM slices, {', '.join(SUFFIXES)})"
    present = ", ".join(f"{n} × {suffix}" for suffix, n in suffixes.most_common(3))
    return f"{present} and no {kinds}"
