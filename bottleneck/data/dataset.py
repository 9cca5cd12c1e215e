"""Data sets: labelled samples, and a source for the bytes of their images."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol

from bottleneck.data.samples import (
    Sample,
    SampleTable,
    collect,
    count_named,
    fingerprint_of,
    repeated_ids,
    values_of,
)
from bottleneck.data.spelling_keys import match_names
from bottleneck.data.spelling_variants import unify_spellings
from bottleneck.errors import (
    DataError,
    UsageError,
    is_of_storage,
    storage_failure,
    unknown_name,
)
from bottleneck.settings.ranges import Patients
from bottleneck.settings.schema import validate
from bottleneck.text.plain_text import visible
from bottleneck.text.plurals import counted

__all__ = ["FileSource", "ImageDataset", "ImageSource", "Sample", "choose_positive"]

# More than the largest accepted image takes without compression. A sparse file can claim any size,
# and all its zeros would be read.
_MAX_BYTES = 1 << 30

# Number of classes that a summary names.
_N_NAMED_CLASSES = 6

# Labels that are recognised as the positive class, after casefold.
_POSITIVE_LABELS = ("malignant", "cancer", "positive", "1")


class ImageSource(Protocol):
    """Anything that returns the encoded bytes of an image by its name."""

    def read(self, source: str) -> bytes:
        """Return the encoded image; raise OSError or DataError if it cannot be read."""
        ...


@dataclasses.dataclass(frozen=True)
class FileSource:
    """Images stored as files; their sources are absolute or relative to one folder."""

    root: Path

    def read(self, source: str) -> bytes:
        """Return the bytes of a file; raise the same errors as ``open``."""
        with self.open(source) as file:
            data = file.read(_MAX_BYTES + 1)  # It may grow while it is read.
        if len(data) > _MAX_BYTES:
            raise DataError(f"it grows: no image has more than {_MAX_BYTES:,} bytes")
        return data

    def open(self, source: str) -> BinaryIO:
        """Return a file that is open for reading.

        Raises
        ------
        OSError
            If the file cannot be read.
        DataError
            If it is not a regular file, or is larger than any image that can be decoded.
        """
        # Opening a named pipe would wait until another program writes. What is opened is checked,
        # not what had the name before.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        path = os.path.join(self.root, source)  # noqa: PTH118
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # A socket cannot be opened.
            raise DataError("a folder or special file, not an image")
        file = os.fdopen(os.open(path, flags), "rb")
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_BYTES:
            return file
        file.close()
        raise DataError(f"{status.st_size:,} bytes: no image has more than {_MAX_BYTES:,}")

    def stamp(self, source: str) -> tuple[int, int]:
        """Return the size in bytes and the modification time in nanoseconds of a file.

        Raises
        ------
        OSError
            If there is no such file.
        """
        # Called for every image of a data set: building a Path takes longer than the stat itself.
        status = os.stat(os.path.join(self.root, source))  # noqa: PTH116, PTH118
        return status.st_size, status.st_mtime_ns


@dataclasses.dataclass(frozen=True, repr=False)
class ImageDataset:
    """A named set of labelled images.

    Every class, patient, fold and centre has one spelling: names that a spreadsheet or a database
    respelled are brought into their canonical form, and ``notes`` name them.

    Attributes
    ----------
    name : str
        The name of the data set; the names of its feature files begin with it.
    samples : sequence of Sample
        The samples in the order of the data set; a large data set keeps them on disk.
    images : ImageSource
        Returns the bytes of an image by its ``Sample.source``.
    positive : str or None
        The label of the positive class, if the user stated it.
    excluded : mapping of str to int
        The reasons why samples were left out on reading, each with their number.
    notes : tuple of str
        Notes to the user about how the data set was read.
    description : mapping of str to str
        Text for a report: where the labels come from ("labels") and what the images show
        ("images"). Either may be missing.

    Raises
    ------
    DataError
        If there is no sample, two samples have the same id, a label means that there is none, or
        the names of two patients or classes differ only in leading zeros.
    UsageError
        If ``positive`` is not a label of the data set.

    Examples
    --------
    Image files with labels and patients from your own code:

    >>> from pathlib import Path
    >>> samples = [
    ...     Sample(id="a1", source="a/1.png", label="benign", group="a"),
    ...     Sample(id="a2", source="a/2.png", label="benign", group="a"),
    ...     Sample(id="b1", source="b/1.png", label="malignant", group="b"),
    ... ]
    >>> ImageDataset("mine", samples, FileSource(Path("scans")), positive="malignant")
    <ImageDataset mine: 3 images of 2 patients; benign 2, malignant 1>
    """

    name: str
    samples: Sequence[Sample]
    images: ImageSource
    positive: str | None = None
    excluded: Mapping[str, int] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    description: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.samples:
            reasons = ". ".join((self._exclusions(), *self.notes))
            raise DataError(f"data set '{self.name}' contains no images{reasons}")
        repeated = repeated_ids(self.samples)
        if repeated:
            raise DataError(
                f"in data set '{self.name}', several samples have the id '{repeated[0]}' "
                f"({counted(len(repeated), 'such id')} in all); ids must be unique"
            )
        if not (isinstance(self.samples, SampleTable) and self.samples.is_unified):
            self._unify()
        if self.positive is not None:
            object.__setattr__(self, "positive", _find_label(self.positive, self.classes))

    def _unify(self) -> None:
        """Bring every name into one spelling, and add notes about it."""
        try:
            samples, notes = unify_spellings(self.samples)
        except DataError as error:
            raise DataError(f"data set '{self.name}': {error}") from error
        if isinstance(samples, SampleTable):
            samples.is_unified = True
        object.__setattr__(self, "samples", samples)
        # What stays as it is would be noted again of every part of a data set, with other names.
        known = set(map(_without_names, self.notes))
        new = tuple(note for note in notes if _without_names(note) not in known)
        object.__setattr__(self, "notes", self.notes + new)

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"<ImageDataset {visible(self.summary)}>"

    @property
    def summary(self) -> str:
        """One line with name, number of images, patients, classes, and samples left out."""
        n_named, _ = count_named(self.samples, "group")
        patients = counted(self.n_groups, "patient") if self.n_groups else "unknown patients"
        unnamed = f" ({len(self) - n_named} without a name)" if 0 < n_named < len(self) else ""
        counts = [f"{label} {n}" for label, n in sorted(self.class_counts.items())]
        n_more = len(counts) - _N_NAMED_CLASSES
        classes = ", ".join(counts[:_N_NAMED_CLASSES])
        classes += f" and {n_more} more classes" if n_more > 0 else ""
        images = counted(len(self), "image")
        return f"{self.name}: {images} of {patients}{unnamed}; {classes}{self._exclusions()}"

    def _exclusions(self) -> str:
        reasons = ", ".join(f"{n} × {reason}" for reason, n in self.excluded.items())
        return f"; left out: {reasons}" if reasons else ""

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(sorted(self.class_counts))

    @cached_property
    def class_counts(self) -> Mapping[str, int]:
        """The number of samples with each label."""
        return Counter(values_of(self.samples, "label"))

    def names(self, field: str) -> bool:
        """Return whether any sample has a value in a field, such as "group"."""
        return any(value is not None for value in values_of(self.samples, field))

    @cached_property
    def n_groups(self) -> int | None:
        """The number of patients, or None if no sample names its patient.

        If some samples do, each of the others counts as a patient of its own.
        """
        named, distinct = count_named(self.samples, "group")
        return distinct + len(self) - named if named else None

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the fields of all samples; the bytes of the images are not included."""
        return fingerprint_of(self.samples)

    def read(self, sample: Sample) -> bytes:
        """Return the encoded bytes of a sample's image.

        Raises
        ------
        OSError, DataError
            If the image cannot be read.
        StorageError
            If the storage failed, which says nothing about the image.
        """
        try:
            return self.images.read(sample.source)
        except OSError as error:
            if not is_of_storage(error):
                raise
        # Once more: a file that was replaced on a server is there under its name.
        try:
            return self.images.read(sample.source)
        except OSError as error:
            if not is_of_storage(error):
                raise
            raise storage_failure(sample.id, error) from None

    def stamp(self, sample: Sample) -> tuple[int, int] | None:
        """Return the size (bytes) and modification time (ns) of a sample's file.

        They reveal a change of the file. None if the image is not a file of its own, or the file
        does not exist.
        """
        if not isinstance(self.images, FileSource):
            return None
        try:
            return self.images.stamp(sample.source)
        except OSError:
            return None

    def limited(self, n_patients: int) -> ImageDataset:
        """Return the part of the data set that belongs to its first patients.

        Parameters
        ----------
        n_patients : int
            Number of patients to keep, in order of appearance. A sample without
            a patient counts as a patient of its own.

        Returns
        -------
        ImageDataset
            Named ``NAME-firstN``, so that its features are stored separately.

        Raises
        ------
        UsageError
            If ``n_patients`` is below 1, or no number of patients.
        """
        validate(Patients, n_patients, "the limit of patients")
        kept = collect(self._of_first(n_patients))
        if len(kept) == len(self.samples):
            return self
        notes = self.notes
        lacking = sorted(set(self.classes).difference(values_of(kept, "label")))
        if lacking:
            who = counted(n_patients, "patient")
            notes += (f"none of the first {who} has the label '{lacking[0]}'",)
        return dataclasses.replace(
            self,
            name=f"{self.name}-first{n_patients}",
            samples=kept,
            positive=None if self.positive in lacking else self.positive,
            notes=notes,
        )

    def _of_first(self, n_patients: int) -> Iterator[Sample]:
        first: set[str] = set()
        for sample in self.samples:
            key = f"group {sample.group}" if sample.group is not None else f"id {sample.id}"
            if key in first or len(first) < n_patients:
                first.add(key)
                yield sample


def _without_names(note: str) -> str:
    return re.sub(r"'[^']*'| ?\(.*\)|\d+", "", note)


def choose_positive(classes: tuple[str, ...], stated: str | None = None) -> str | None:
    """Return the label of the positive class.

    If it is not stated, "malignant", "cancer", "positive" and "1" are recognised. Alphabetical
    order does not decide: it would swap sensitivity and specificity at random.

    Parameters
    ----------
    classes : tuple of str
        All labels.
    stated : str or None
        The label that the user stated.

    Returns
    -------
    str or None
        None for three or more classes if no label is stated.

    Raises
    ------
    UsageError
        If the stated label does not exist, or neither of two labels is recognised.

    Examples
    --------
    >>> choose_positive(("benign", "malignant"))
    'malignant'
    """
    if stated is not None:
        return _find_label(stated, classes)
    if len(classes) != 2:
        return None
    recognised = [c for c in classes if c.casefold() in _POSITIVE_LABELS]
    if len(recognised) == 1:
        return recognised[0]
    raise UsageError(
        f"which label is the positive class, '{classes[0]}' or '{classes[1]}'? "
        f"State it with --positive LABEL (in Python: positive=LABEL)."
    )


def _find_label(label: str, classes: tuple[str, ...]) -> str:
    """Return the class that a label is a spelling of."""
    found = match_names([label], classes)
    if label not in found:
        raise unknown_name("positive label", label, classes)
    return found[label]
