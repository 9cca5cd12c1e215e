"""Reader of folders of images, with labels or without: flat, by patient or by class."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.known_labels import class_meanings
from bottleneck.data.readers.folders.class_folders import describe_masks, describe_suffixes
from bottleneck.data.readers.folders.folder_contents import NO_IMAGE, read_contents
from bottleneck.data.readers.new_images.folder_meanings import read_folder_labels
from bottleneck.data.samples.sample_table import Sample, collect, values_of
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import DataError
from bottleneck.text.plurals import counted

__all__ = ["add_other_images", "read_image_folder"]


def read_image_folder(
    folder: Path,
    classes: Sequence[str] = (),
    selection: Mapping[str, Any] | None = None,
    *,
    volumes: bool = False,
) -> ImageDataset:
    """Read the images below a folder, at any depth.

    Masks of other images, hidden files and what is not an image are left out, as by
    ``read_class_folders``. The id of a sample is its path relative to the folder.

    Parameters
    ----------
    folder : Path
        The folder.
    classes, selection
        As for ``match_labels``. The label of an image is the name of a folder above it that is
        one of these classes.
    volumes : bool
        Whether the samples are volumes, as for ``read_contents``.

    Returns
    -------
    ImageDataset
        Samples sorted by path; the label is "" where no folder states one.

    Raises
    ------
    DataError
        If there is no image, or a folder cannot be listed.
    """
    contents = read_contents(folder, volumes=volumes)
    images, others, noun = contents.paths, contents.others, contents.noun
    tables = [file for file in others if file.casefold().endswith((".csv", ".tsv", ".xlsx"))]
    if not images:
        what = describe_suffixes(contents.files, noun) if contents.files else "no file"
        reasons = ". ".join((f"the folder '{folder}' contains {what}", *contents.notes))
        if tables:
            reasons += f". If a table names the {noun}s, pass it instead: {folder / tables[0]}"
        raise DataError(reasons)
    labels, label_notes = read_folder_labels(images, classes, selection)
    notes = [*contents.notes, *describe_masks(contents), *label_notes]
    if match_names([folder.name], class_meanings(classes, selection)) and not any(labels):
        notes.append(
            f"the folder is called '{folder.name}', like a class of the model, and its {noun}s "
            "have no labels: if that is their label, pass the folder above it"
        )
    if others:
        note = (
            f"{counted(len(others), 'file')} left out that {'is' if len(others) == 1 else 'are'} "
            f"no {noun} by name or content, such as '{others[0]}'"
        )
        if tables and not any(labels):
            note += f". If '{tables[0]}' names the {noun}s and their labels, pass it instead"
        notes.append(note)
    return ImageDataset(
        name=folder.name or f"{noun}s",
        samples=collect(
            # "." is the folder itself, whose files are the slices of one volume.
            Sample(id=path if path != "." else folder.name or noun, source=path, label=label)
            for path, label in zip(images, labels, strict=True)
        ),
        images=contents.source,
        excluded=+contents.excluded,
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
        excluded={why: n for why, n in plain.excluded.items() if why != NO_IMAGE},
        notes=(*dataset.notes, note),
        may_lack_labels=True,
    )
