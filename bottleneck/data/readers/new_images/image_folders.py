"""Reader of folders of images, with labels or without: flat, by patient or by class."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.known_labels import class_meanings
from bottleneck.data.readers.class_folders import describe_masks, describe_suffixes
from bottleneck.data.readers.mask_files import split_masks
from bottleneck.data.readers.new_images.folder_meanings import read_folder_labels
from bottleneck.data.readers.untrusted_files import is_image, list_files
from bottleneck.data.samples import Sample, collect, values_of
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import DataError
from bottleneck.text.plurals import counted

__all__ = ["add_other_images", "read_image_folder"]

_NO_IMAGE = "not an image file"


def read_image_folder(
    folder: Path, classes: Sequence[str] = (), selection: Mapping[str, Any] | None = None
) -> ImageDataset:
    """Read the images below a folder, at any depth.

    Masks of other images, hidden files and what is no image are left out, as by
    ``read_class_folders``. The id of a sample is its path relative to the folder.

    Parameters
    ----------
    folder : Path
        The folder.
    classes, selection
        As for ``match_labels``. The label of an image is the name of a folder above it that is
        one of these classes.

    Returns
    -------
    ImageDataset
        Samples sorted by path; the label is "" where no folder states one.

    Raises
    ------
    DataError
        If there is no image, or a folder cannot be listed.
    """
    listing = list_files(folder)
    files, excluded = listing.files, listing.excluded
    every_image = [file for file in files if is_image(folder, file)]
    images, masks, alone = split_masks(every_image)
    others = sorted(set(files).difference(every_image))
    excluded[_NO_IMAGE] = len(others)
    excluded["mask of another image"] = len(masks)
    tables = [file for file in others if file.casefold().endswith((".csv", ".tsv", ".xlsx"))]
    if not images:
        what = describe_suffixes(files) if files else "no file"
        reasons = ". ".join((f"the folder '{folder}' contains {what}", *listing.notes))
        if tables:
            reasons += f". If a table names the images, pass it instead: {folder / tables[0]}"
        raise DataError(reasons)
    labels, label_notes = read_folder_labels(images, classes, selection)
    notes = [*listing.notes, *describe_masks(masks, alone, images), *label_notes]
    if match_names([folder.name], class_meanings(classes, selection)) and not any(labels):
        notes.append(
            f"the folder is called '{folder.name}', like a class of the model, and its images have "
            "no labels: if that is their label, pass the folder above it"
        )
    if others:
        note = (
            f"{counted(len(others), 'file')} left out that {'is' if len(others) == 1 else 'are'} "
            f"no image by name or content, such as '{others[0]}'"
        )
        if tables and not any(labels):
            note += f". If '{tables[0]}' names the images and their labels, pass it instead"
        notes.append(note)
    return ImageDataset(
        name=folder.name or "images",
        samples=collect(
            Sample(id=path, source=path, label=label)
            for path, label in zip(images, labels, strict=True)
        ),
        images=FileSource(folder),
        excluded=+excluded,
        notes=tuple(notes),
        may_lack_labels=True,
    )


def add_other_images(dataset: ImageDataset, folder: Path) -> ImageDataset:
    """Return a data set with the images of its folder that its reader left out, without labels.

    Parameters
    ----------
    dataset : ImageDataset
        What a reader of labelled images made of the folder.
    folder : Path
        The folder.
    """
    if dataset.holds_volumes:
        return dataset
    known = set(values_of(dataset.samples, "source"))
    plain = read_image_folder(folder)
    others = [sample for sample in plain.samples if sample.source not in known]
    if not others:
        return dataset
    reasons = ", ".join(f"{n} × {reason}" for reason, n in dataset.excluded.items())
    note = (
        f"{counted(len(others), 'image')}, such as '{others[0].id}', left out of data sets of this "
        f"kind ({reasons or 'not part of it'}): read without labels"
    )
    return dataclasses.replace(
        dataset,
        samples=collect([*dataset.samples, *others]),
        # The reader has read the others.
        excluded={why: n for why, n in plain.excluded.items() if why != _NO_IMAGE},
        notes=(*dataset.notes, note),
        may_lack_labels=True,
    )
