"""The samples of a data set, and how their bytes are read."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol

from bottleneck.data.samples import (
    Sample,
    collect,
    count_named,
    fingerprint_of,
    repeated_ids,
    values_of,
)
from bottleneck.errors import DataError, UsageError, unknown_name
from bottleneck.plurals import counted

__all__ = ["FileSource", "ImageDataset", "ImageSource", "Sample", "choose_positive"]

# Above what the largest picture that is decoded takes without any compression. A sparse file can
# be of any size, and its zeros would all be read.
_MAX_BYTES = 1 << 30

# Classes that a summary names.
_SOME = 6

# Labels that name the condition looked for, in the spelling they have after casefold.
_POSITIVE_LABELS = ("malignant", "cancer", "positive", "1")


class ImageSource(Protocol):
    """Where the bytes of a data set's images come from."""

    def read(self, source: str) -> bytes:
        """Return the encoded image; OSError or DataError where that fails."""
        ...


@dataclasses.dataclass(frozen=True)
class FileSource:
    """Images that are files below one folder."""

    root: Path

    def read(self, source: str) -> bytes:
        """Return the bytes of the file; raises what ``open`` does."""
        with self.open(source) as file:
            return file.read()

    def open(self, source: str) -> BinaryIO:
        """Open the file.

        Raises
        ------
        OSError
            If the file cannot be read.
        DataError
            If it is no regular file, or larger than any image that could be decoded.
        """
        path = self.root / source
        found = path.stat()  # Opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(found.st_mode):
            raise DataError("a folder or special file, not an image")
        if found.st_size > _MAX_BYTES:
            raise DataError(f"{found.st_size:,} bytes: no image takes more than {_MAX_BYTES:,}")
        return path.open("rb")

    def stamp(self, source: str) -> tuple[int, int]:
        """Return the size in bytes and the modification time in nanoseconds of the file.

        Raises
        ------
        OSError
            If there is no such file.
        """
        # Called for every image of a data set, and a Path takes longer than the look at the file.
        found = os.stat(os.path.join(self.root, source))  # noqa: PTH116, PTH118
        return found.st_size, found.st_mtime_ns


@dataclasses.dataclass(frozen=True, repr=False)
class ImageDataset:
    """A named set of labelled images.

    Attributes
    ----------
    name : str
        Names the feature files made from it.
    samples : sequence of Sample
        In the order of the data set; on the disk where there are many.
    images : ImageSource
        Reads the bytes of ``Sample.source``.
    positive : str or None
        The label that the user named as the positive class.
    excluded : mapping of str to int
        Why samples were left out on reading, and how many.
    notes : tuple of str
        What the user should hear about how the data set was read.
    description : mapping of str to str
        For readers of a report, as far as known: "labels", where these come from, and
        "images", what the pictures show.

    Raises
    ------
    DataError
        If there is no sample, or two share an id.
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
            left_out = ", ".join(f"{n} × {reason}" for reason, n in self.excluded.items())
            reasons = f"; left out: {left_out}" if left_out else ""
            raise DataError(f"data set '{self.name}' holds no image{reasons}")
        twice = repeated_ids(self.samples)
        if twice:
            raise DataError(
                f"data set '{self.name}' gives the id '{twice[0]}' to several samples "
                f"({len(twice)} such ids); ids must be unique"
            )
        if self.positive is not None and self.positive not in self.classes:
            raise unknown_name("positive label", self.positive, self.classes)

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"<ImageDataset {self.summary}>"

    @property
    def summary(self) -> str:
        """Name, images, patients, classes, and what was left out on reading, in a line."""
        named, _ = count_named(self.samples, "group")
        who = counted(self.n_groups, "patient") if self.n_groups else "unknown patients"
        alone = f" ({len(self) - named} without a name)" if 0 < named < len(self) else ""
        counts = [f"{label} {n}" for label, n in sorted(self.class_counts.items())]
        more = f" and {len(counts) - _SOME} classes more" if len(counts) > _SOME else ""
        said = f"{self.name}: {counted(len(self), 'image')} of {who}{alone}; "
        said += ", ".join(counts[:_SOME]) + more
        left_out = ", ".join(f"{n} × {reason}" for reason, n in self.excluded.items())
        return f"{said}; left out: {left_out}" if left_out else said

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(sorted(self.class_counts))

    @cached_property
    def class_counts(self) -> Mapping[str, int]:
        """How many samples have each label."""
        return Counter(values_of(self.samples, "label"))

    def names(self, field: str) -> bool:
        """Tell whether any sample has something in a field."""
        return any(value is not None for value in values_of(self.samples, field))

    @cached_property
    def n_groups(self) -> int | None:
        """Number of patients, or None where the data set names none.

        Where it names some, every sample without one counts as a patient of its own.
        """
        named, distinct = count_named(self.samples, "group")
        return distinct + len(self) - named if named else None

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over every sample's fields; the bytes of the images are not part of it."""
        return fingerprint_of(self.samples)

    def read(self, sample: Sample) -> bytes:
        """Return the encoded bytes of a sample's image."""
        return self.images.read(sample.source)

    def stamp(self, sample: Sample) -> tuple[int, int] | None:
        """Return size and modification time (ns) of a sample's file, by which a change shows.

        None where its image is no file of its own, or there is none.
        """
        if not isinstance(self.images, FileSource):
            return None
        try:
            return self.images.stamp(sample.source)
        except OSError:
            return None

    def limited(self, n_patients: int) -> ImageDataset:
        """Return the samples of the first patients.

        Parameters
        ----------
        n_patients : int
            How many patients to keep, in order of appearance. A sample without
            a patient counts as a patient of its own.

        Returns
        -------
        ImageDataset
            Its name says that it is a part, so that its features are kept apart.

        Raises
        ------
        UsageError
            If ``n_patients`` is below 1.
        """
        if n_patients < 1:
            raise UsageError(f"the limit must be at least 1 patient, not {n_patients}")
        kept = collect(self._of_first(n_patients))
        if len(kept) == len(self.samples):
            return self
        notes = self.notes
        lacking = sorted(set(self.classes).difference(values_of(kept, "label")))
        if lacking:
            notes += (f"among the first {counted(n_patients, 'patient')} is no '{lacking[0]}'",)
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


def choose_positive(classes: tuple[str, ...], stated: str | None = None) -> str | None:
    """Decide which of two classes is the positive one.

    Alphabetical order would swap sensitivity and specificity as it pleases, so a
    label that is neither stated nor recognised is asked for.

    Parameters
    ----------
    classes : tuple of str
        All labels.
    stated : str or None
        What the user said.

    Returns
    -------
    str or None
        The positive label; None with three classes or more and nothing stated.

    Raises
    ------
    UsageError
        If the stated label does not exist, or none of two is recognised.
    """
    if stated is not None:
        if stated not in classes:
            raise unknown_name("positive label", stated, classes)
        return stated
    if len(classes) != 2:
        return None
    known = [c for c in classes if c.casefold() in _POSITIVE_LABELS]
    if len(known) == 1:
        return known[0]
    raise UsageError(
        f"which label is the positive class, '{classes[0]}' or '{classes[1]}'? "
        f"Say --positive LABEL (in Python: positive=LABEL)."
    )
