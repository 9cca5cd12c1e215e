"""Which level of nested folders is the class, which the patient, and which the split."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

from bottleneck.data.readers.folders.mask_files import is_image_folder
from bottleneck.data.readers.manifest import SPLITS
from bottleneck.text.plurals import counted

__all__ = ["FolderLevels", "doubt_folder", "find_levels", "may_be_patients", "propose_pattern"]

_CLASS_WORDS = frozenset(
    {"benign", "malignant", "malign", "normal", "abnormal", "healthy", "diseased", "disease"}
    | {"cancer", "cancerous", "noncancer", "tumor", "tumour", "carcinoma", "adenoma", "melanoma"}
    | {"nevus", "naevus", "positive", "negative", "pos", "neg", "control", "controls", "sick"}
    | {"ill", "well", "class", "grade", "stage", "birads", "tirads", "rads", "benigno", "maligno"}
    | {"benigne", "maligne", "gutartig", "bösartig", "gesund", "krank", "bénin", "malin"}
    | {"良性", "恶性", "惡性", "正常"}
)
_FOLD = re.compile(r"(?:cv|folds?)[ _-]*\d+", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_CENTRE = re.compile(
    r"(?:site|centre|center|hospital|clinic|scanner|device)(?:[ _-]*\w{1,2}|[ _-]+.+)",
    re.IGNORECASE,
)
# Names that describe the view, and neither the patient nor the class.
_VIEW = re.compile(
    "left|right|l|r|axial|sagittal|coronal|transverse|longitudinal|[lr]?(?:cc|mlo)|ap|pa|lateral|"
    r"t[12]w?|flair|dwi|adc|ct|mri?|us|pre|post|before|after|(?:study|series|visit)[ _-]*\d*",
    re.IGNORECASE,
)

# If no words decide, so many folders above are patients.
_MIN_PATIENTS, _PATIENTS_PER_CLASS, _MAX_CLASSES = 5, 2, 10


@dataclasses.dataclass(frozen=True)
class FolderLevels:
    """Which folders of a path have a meaning; 0 is the outermost.

    Attributes
    ----------
    label : int
        The level of the classes.
    split : int or None
        The level of the fixed splits.
    above : {"group", "fold", "centre"} or None
        The field of a sample that the level above the classes is, if the classes repeat there.
    notes : tuple of str
        What the user should know of this choice.
    certain : bool
        Whether nothing speaks for other levels.
    """

    label: int = 0
    split: int | None = None
    above: str | None = None
    notes: tuple[str, ...] = ()
    certain: bool = True

    @property
    def next(self) -> int:
        """The first level without a meaning."""
        return max(self.label, -1 if self.split is None else self.split) + 1


def find_levels(paths: Iterable[str]) -> FolderLevels:
    """Return the meaning of the folders above images.

    The outermost folders are splits if all have names of splits, and otherwise classes. They are
    patients, though, if the folders below them are named like classes, or if many folders contain
    the same few. Folders below the classes are splits if all have names of splits.

    Parameters
    ----------
    paths : iterable of str
        Paths of images, relative to the data set.

    Examples
    --------
    >>> find_levels(["p1/benign/a.png", "p2/malignant/b.png"]).label
    1
    """
    # The number of images below each chain of outer folders; four levels decide.
    counts: Counter[tuple[str, ...]] = Counter()
    for path in paths:
        *folders, _ = path.split("/")
        if folders:
            counts[tuple(folders[:4])] += 1
    outer = {folders[0] for folders in counts}
    if not outer or not all(map(_is_split, outer)):
        return _find_classes(counts, 0)
    inner: Counter[tuple[str, ...]] = Counter()
    for chain, n in counts.items():
        if len(chain) > 1:
            inner[chain[1:]] += n
    levels = _find_classes(inner, 1)
    note = f"the folders {_name(outer)} are used as fixed splits"
    return dataclasses.replace(levels, split=0, notes=(note, *levels.notes))


def propose_pattern(paths: Iterable[str], levels: FolderLevels) -> str | None:
    """Return a note on folders below the classes that may be patients; None if there are none.

    Parameters
    ----------
    paths : iterable of str
        Paths of images, relative to the data set.
    levels : FolderLevels
        What ``find_levels`` returned for them.
    """
    start = levels.next
    classes_of: dict[str, set[str]] = defaultdict(set)
    heads, folders = set(), set()
    n_images = n_outside = 0
    for path in paths:
        names = path.split("/")[:-1]
        n_images += 1
        if len(names) <= start:
            n_outside += 1
            continue
        heads.add(tuple(names[:start]))
        folders.add(tuple(names[: start + 1]))
        classes_of[names[start]].add(names[levels.label])
    one_each = len(classes_of) == 1 and len(folders) <= len(heads)
    if not levels.certain or one_each or all(map(_is_no_patient, classes_of)):
        return None
    example = min(folders)
    note = (
        f"the class folders contain {counted(len(folders), 'folder')}, such as "
        f"'{'/'.join(example)}'"
    )
    if n_outside:
        note += f", and {counted(n_outside, 'image')} outside these. If they are patients, "
        return f"{note}name all patients in a table" if 2 * n_outside < n_images else None
    note += (
        ". If each is a patient, pass --patient-pattern "
        f"'^{'[^/]+/' * start}(?P<patient>[^/]+)/', which makes '{example[-1]}' the patient there"
    )
    n_shared = sum(len(classes) > 1 for classes in classes_of.values())
    if n_shared:
        note += (
            f"; {counted(n_shared, 'name')} in several classes would be one patient each. If they "
            f"are different patients, pass '^(?P<patient>{'[^/]+/' * start}[^/]+)/'"
        )
    return note


def may_be_patients(names: Iterable[str]) -> bool:
    """Return whether folders of one level may each be a patient, by their names.

    Examples
    --------
    >>> may_be_patients(["P1", "P2"]), may_be_patients(["left", "right"])
    (True, False)
    """
    listed = list(names)
    if len(listed) < 2 or any(_is_split(name) or _is_class(name) for name in listed):
        return False
    return not all(map(_is_no_patient, listed))


def doubt_folder(name: str, classes: Iterable[str]) -> str | None:
    """Return a note if a data set's folder has the name of a class, and its classes do not.

    Parameters
    ----------
    name : str
        The name of the folder.
    classes : iterable of str
        The classes that were read.
    """
    if name.casefold() not in _CLASS_WORDS or any(map(_is_class, classes)):
        return None
    return f"the folder is called '{name}': if it is one of the classes, pass the folder above it"


def _find_classes(counts: Counter[tuple[str, ...]], depth: int) -> FolderLevels:
    """Return the levels of folders without splits above; ``depth`` is that of the outer ones."""
    outer = {chain[0] for chain in counts}
    outer_of: dict[str, set[str]] = defaultdict(set)
    n_nested = 0
    for chain, n in counts.items():
        if len(chain) > 1:
            outer_of[chain[1]].add(chain[0])
            n_nested += n
    inner = set(outer_of)
    n_direct = counts.total() - n_nested
    plain = FolderLevels(label=depth)
    if doubt := _doubt_classes(outer, depth):
        return dataclasses.replace(plain, notes=(doubt,), certain=False)
    if len(outer) < 2 or any(map(_is_class, outer)):
        return _split_below(plain, inner, n_direct)
    n_pairs = sum(map(len, outer_of.values()))
    are_classes = len(inner) <= _MAX_CLASSES and 2 * sum(map(_is_class, inner)) >= len(inner)
    if n_direct < n_nested and are_classes:
        return _classes_inside(outer, inner, depth, _may_be_patients(outer, n_pairs))
    deeper = {chain[2] for chain in counts if len(chain) > 2}
    if deeper and all(map(_is_class, deeper)):
        return _uncertain(plain, outer, "folders two levels below are named like classes", deeper)
    repeats = len(inner) > 1 and all(len(folders) > 1 for folders in outer_of.values())
    if inner and all(map(_is_split, inner)):
        return _split_below(plain, inner, n_direct)
    if repeats and not n_direct:
        may_be_classes = not any(_is_split(name) or _is_no_patient(name) for name in inner)
        if may_be_classes and _are_above_classes(outer, len(inner), n_pairs):
            return _classes_inside(outer, inner, depth)
        if len(outer) >= len(inner):
            return _uncertain(plain, outer, "several contain the same folders", inner)
    if len(outer) >= 2 * _MIN_PATIENTS and all(map(_has_digit, outer)):
        note = (
            f"the {len(outer)} folders, such as '{min(outer)}', are read as classes. If they are "
            "patients, pass a table with their labels"
        )
        return dataclasses.replace(plain, notes=(note,), certain=False)
    return plain


def _are_above_classes(outer: set[str], n_inner: int, n_pairs: int) -> bool:
    """Return whether folders are folds, centres, or many patients of few classes."""
    if all(map(_FOLD.fullmatch, outer)) or all(map(_CENTRE.fullmatch, outer)):
        return True
    n_enough = max(_MIN_PATIENTS, _PATIENTS_PER_CLASS * n_inner)
    is_enough = n_inner <= _MAX_CLASSES and len(outer) >= n_enough
    return is_enough and _may_be_patients(outer, n_pairs)


def _may_be_patients(outer: set[str], n_pairs: int) -> bool:
    """Return whether each folder has a number or one class; a site or year has most classes."""
    have_numbers = all(map(_has_digit, outer)) and not all(map(_YEAR.fullmatch, outer))
    return have_numbers or n_pairs <= 1.2 * len(outer)


def _doubt_classes(outer: set[str], depth: int) -> str | None:
    """Return a note if some folders that are read as classes have the names of splits."""
    splits = set(filter(_is_split, outer))
    if splits and not depth:
        return (
            f"the folders {_name(outer)} are read as classes, since {_name(outer - splits)} "
            "is not a split. If the others are splits, pass a folder that contains only those"
        )
    if len(outer) > 1 and all(map(_names_split, outer)):
        return (
            f"the folders {_name(outer)} are read as classes. If they are splits, call them train, "
            "val and test, with one subfolder per class in each, or pass a table"
        )
    return None


def _split_below(levels: FolderLevels, inner: set[str], n_direct: int) -> FolderLevels:
    """Return the levels with the splits below the classes, if there are any."""
    if len(inner) < 2 or not all(map(_is_split, inner)) or levels.label:
        return levels
    used, reason = "used", ""
    if n_direct:
        used, reason = "not used", f", since {counted(n_direct, 'image')} are outside them"
    note = f"the folders {_name(inner)} below the classes are {used} as fixed splits{reason}"
    split = None if n_direct else levels.label + 1
    return dataclasses.replace(levels, split=split, notes=(note,), certain=not n_direct)


def _classes_inside(
    outer: set[str], inner: set[str], depth: int, are_patients: bool = True
) -> FolderLevels:
    above, meaning = ("group", "") if are_patients else (None, ", which are not used")
    if all(map(_FOLD.fullmatch, outer)):
        above, meaning = "fold", ", which are read as published test folds"
    elif all(map(_CENTRE.fullmatch, outer)):
        above, meaning = "centre", ", which are read as centres"
    note = (
        f"the classes are the inner folders ({_name(inner)}), below "
        f"{counted(len(outer), 'folder')} such as '{min(outer)}'{meaning}. If that is wrong, pass "
        "a table"
    )
    return FolderLevels(label=depth + 1, above=above, notes=(note,))


def _uncertain(
    levels: FolderLevels, outer: set[str], reason: str, others: set[str]
) -> FolderLevels:
    note = (
        f"the classes are the outer folders ({_name(outer)}), but {reason} ({_name(others)}). If "
        "these are the classes, pass a table"
    )
    return dataclasses.replace(levels, notes=(note,), certain=False)


def _is_split(name: str) -> bool:
    return name.casefold() in SPLITS


def _names_split(name: str) -> bool:
    return any(word == "trainval" or _is_split(word) for word in _words(name))


def _is_class(name: str) -> bool:
    return not _CLASS_WORDS.isdisjoint(_words(name))


def _is_no_patient(name: str) -> bool:
    """Return whether a folder says which images it contains, and not of whom."""
    return is_image_folder(name) or any(kind.fullmatch(name) for kind in (_VIEW, _CENTRE, _FOLD))


def _has_digit(name: str) -> bool:
    return any(character.isdigit() for character in name)


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", name).casefold())


def _name(names: Iterable[str]) -> str:
    """Return a few names for a message."""
    first, *others = sorted(names)
    text = ", ".join([first, *others[:3]])
    return text if len(others) < 4 else f"{text}, …"
