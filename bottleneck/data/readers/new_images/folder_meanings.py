"""Labels and patients of new images that the names of their folders state."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.known_labels import class_meanings
from bottleneck.data.readers.folders.folder_levels import find_levels, may_be_patients
from bottleneck.data.samples.sample_table import collect, values_of
from bottleneck.data.spelling.missing_values import may_be_missing, means_nothing
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.text.plurals import counted

__all__ = ["name_folder_patients", "read_folder_labels"]

Chain = tuple[str, ...]

_SHOWN = 4
# A name of fewer letters, such as "1" or "B", may be the number of a patient as well as a class.
_WORD = re.compile(r"[^\W\d_]{3}")
_PATIENT = re.compile(
    r"(?:patient|pat|pt|subject|subj|sub|case|proband|participant|paciente|paziente)s?"
    r"[ _.-]*(?:id|no|nr)?[ _.-]*\d[\w.-]*",
    re.IGNORECASE,
)


def read_folder_labels(
    paths: Sequence[str], classes: Sequence[str], selection: Mapping[str, Any] | None
) -> tuple[list[str], list[str]]:
    """Return the label that the folders of each image state, and notes for the user.

    A folder states a label if it has the name of a class. A name of few letters, such as "1", may
    also be that of a patient: it states a label only if all folders next to it are classes.

    Parameters
    ----------
    paths : sequence of str
        Paths of images, relative to the data set.
    classes, selection
        As for ``match_labels``.

    Returns
    -------
    labels : list of str
        The name of a folder for each path; "" where none, or several, are classes.
    notes : list of str
    """
    chains = Counter(_chain(path) for path in paths)
    folders = {name for chain in chains for name in chain}
    if not classes or not folders:
        return [""] * len(paths), []
    meanings = class_meanings(classes, selection)
    spelled = match_names(folders, meanings)
    stating, doubtful = _find_stating(chains, spelled)
    label_of: dict[Chain, str] = {}
    n_several, example = 0, ""
    for chain, n in chains.items():
        named = [name for level, name in enumerate(chain) if name in stating[level]]
        if len({meanings[spelled[name]] for name in named}) > 1:
            n_several, example = n_several + n, example or "/".join(chain)
            named = []
        label_of[chain] = named[0] if named else ""
    labels = [label_of[_chain(path)] for path in paths]
    n_labelled = len(paths) - labels.count("")
    known = f"the classes of the model ({', '.join(classes)})"
    notes = []
    if n_several:
        notes.append(
            f"{counted(n_several, 'image')} below folders of two classes, such as '{example}': "
            f"{'it counts' if n_several == 1 else 'these count'} as unlabelled"
        )
    if short := {name for names in stating for name in names if not _WORD.search(name)}:
        notes.append(
            f"the folders {_name(short)} are read as labels. If they are patients, pass a table "
            "without a column 'label'"
        )
    if doubtful:
        notes.append(
            f"the folders {_name(doubtful)} have names of classes, and others next to them do not: "
            "they are not read as labels. If they are, pass a table with a column 'label'"
        )
    if n_labelled == 0 and not notes:
        notes.append(f"no labels: the subfolders ({_name(folders)}) are not named like {known}")
    elif 0 < n_labelled < len(paths):
        unlabelled = next(path for path, label in zip(paths, labels, strict=True) if not label)
        notes.append(
            f"{n_labelled} of {counted(len(paths), 'image')} below folders that are named like "
            f"{known}; others, such as '{unlabelled}', have no label"
        )
    return labels, notes


def _find_stating(
    chains: Iterable[Chain], spelled: Mapping[str, str]
) -> tuple[list[set[str]], set[str]]:
    """Return the folders of each level that state a label, and those that may be others."""
    levels: list[set[str]] = []
    for chain in chains:
        for level, name in enumerate(chain):
            if level == len(levels):
                levels.append(set())
            levels[level].add(name)
    stating, doubtful = [], set[str]()
    for names in levels:
        known = {name for name in names if name in spelled}
        others = {n for n in names - known if not (means_nothing(n) or may_be_missing(n))}
        is_level_of_classes = not others and len({spelled[name] for name in known}) > 1
        stating.append({n for n in known if is_level_of_classes or _WORD.search(n)})
        doubtful |= known - stating[-1]
    return stating, doubtful


def name_folder_patients(dataset: ImageDataset, classes: Iterable[str] = ()) -> ImageDataset:
    """Return a data set with the patients that its folders evidently are.

    Folders are patients if all folders of a level are called like "patient 12", or if the folders
    of classes are below them, as ``find_levels`` decides.

    Parameters
    ----------
    dataset : ImageDataset
        Images of a folder.
    classes : iterable of str
        Names that are those of classes, and of no patients.

    Returns
    -------
    ImageDataset
        The same data set if it has patients already. A note says which folders are patients, or
        how to state it where others may be.
    """
    if dataset.n_groups is not None:
        return dataset
    chains = {_chain(source) for source in values_of(dataset.samples, "source")}
    depth = max(map(len, chains))
    levels = [{chain[n] for chain in chains if len(chain) > n} for n in range(depth)]
    chosen = next((n for n, names in enumerate(levels) if all(map(_PATIENT.fullmatch, names))), -1)
    found = find_levels(values_of(dataset.samples, "source"))
    if chosen < 0 and found.above == "group":
        chosen = found.label - 1
    if chosen < 0:
        known = list(classes)
        note = _propose([names - match_names(names, known).keys() for names in levels])
        return dataclasses.replace(dataset, notes=(*dataset.notes, note)) if note else dataset
    named = (
        dataclasses.replace(sample, group=chain[chosen])
        if len(chain := _chain(sample.source)) > chosen
        else sample
        for sample in dataset.samples
    )
    # A note on the headers would contradict.
    notes = [note for note in dataset.notes if not note.startswith("patients: ")]
    notes.append(f"patients: the folders {_name(levels[chosen])}")
    return dataclasses.replace(dataset, samples=collect(named), notes=tuple(notes))


def _propose(levels: Sequence[set[str]]) -> str | None:
    """Return a note on the outermost folders that may be patients; None if there are none."""
    level = next((n for n, names in enumerate(levels) if may_be_patients(names)), None)
    if level is None:
        return None
    return (
        f"patients: unknown. If each of the folders {_name(levels[level])} is a patient, pass "
        f"--patient-pattern '^{'[^/]+/' * level}(?P<patient>[^/]+)/'"
    )


def _chain(path: str) -> Chain:
    return tuple(path.split("/")[:-1])


def _name(names: Iterable[str]) -> str:
    listed = sorted(names)
    shown = ", ".join(f"'{name}'" for name in listed[:_SHOWN])
    return f"{shown}, …" if len(listed) > _SHOWN else shown
