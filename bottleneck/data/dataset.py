"""Data sets: samples, and a source for the bytes of their images."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bottleneck.data.labels.positive_class import choose_positive, find_label
from bottleneck.data.samples.sample_checks import check_arguments
from bottleneck.data.samples.sample_table import (
    Sample,
    SampleTable,
    collect,
    count_named,
    repeated_ids,
)
from bottleneck.data.samples.volume_samples import VolumeSamples
from bottleneck.data.sources.image_sources import (
    FileSource,
    ImageSource,
    read_bytes,
    read_stamp,
)
from bottleneck.data.spelling.spelling_variants import new_notes, unify_spellings
from bottleneck.data.volumes.candidates import Candidates
from bottleneck.data.volumes.volume_region import Space
from bottleneck.errors import DataError
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_counts, describe, show_html

if TYPE_CHECKING:
    import pandas as pd

    from bottleneck.data.labels.selection import Selection

__all__ = ["FileSource", "ImageDataset", "ImageSource", "Sample", "choose_positive"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ImageDataset(VolumeSamples):
    """A named set of images, with a label each unless they may have none.

    Every class, patient, fold and centre has one spelling: names that a spreadsheet or a database
    respelled are brought into their canonical form, and ``notes`` name them.

    Attributes
    ----------
    name : str
        The name of the data set; the names of its feature files begin with it.
    samples : sequence of Sample
        The samples in the order of the data set; a large data set keeps them on disk. Any
        iterable may be given; it is consumed one by one.
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
    selection : mapping
        What was chosen with ``choose``; empty if nothing was.
    reader : mapping of str to str
        The reader that read it: its "name"; and its "package" and "version", unless it is one of
        this package.
    may_lack_labels : bool
        Whether samples may have no label, which is "". What needs labels refuses such samples.
    named_by_path : bool
        Whether the name holds a hash of the path. A feature file of this name is then one of the
        same folder, even if all images in it are new.
    candidates : Candidates or None
        The scans and lesions behind a data set of candidates.

    Raises
    ------
    DataError
        If there is no sample, a field of a sample has another type or value than ``Sample`` says,
        two samples have the same id, a label means that there is none and must not, or the names of
        two patients or classes differ only in leading zeros.
    UsageError
        If ``positive`` is not a label of the data set.

    Examples
    --------
    >>> from bottleneck import load_dataset
    >>> load_dataset("phantom").positive is None
    True
    """

    name: str
    samples: Sequence[Sample]
    images: ImageSource
    positive: str | None = None
    excluded: Mapping[str, int] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    description: Mapping[str, str] = dataclasses.field(default_factory=dict)
    selection: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reader: Mapping[str, str] = dataclasses.field(default_factory=dict)
    may_lack_labels: bool = False
    named_by_path: bool = False
    candidates: Candidates | None = None

    def __post_init__(self) -> None:
        check_arguments(self.name, self.samples, self.images)
        if not isinstance(self.samples, SampleTable):
            object.__setattr__(self, "samples", collect(self.samples))
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
            object.__setattr__(self, "positive", find_label(self.positive, self.classes))

    @classmethod
    def from_samples(
        cls,
        samples: Iterable[Sample | Mapping[str, Any]] | pd.DataFrame,
        *,
        name: str,
        images: str | os.PathLike[str] | Mapping[str, Any] | ImageSource | None = None,
        columns: Mapping[str, str] | None = None,
        positive: str | None = None,
        space: Space | None = None,
        size_mm: float | None = None,
        may_lack_labels: bool = False,
        examinations: Literal["auto", "dicom", "none"] = "auto",
    ) -> ImageDataset:
        """Make a data set of samples of your own, checked like one that was read from files.

        Parameters
        ----------
        samples : DataFrame, or iterable of Sample or dict
            One sample per row. A dict or DataFrame has the columns of a table of images: path and
            label; and, if you have them, id (without it, the path is the id), patient, split,
            fold, centre and region; for volumes x, y, z, space, size_mm and lesion. The names of
            the fields of ``Sample`` serve as well. As in a table, None, NaN and codes such as "NA"
            are empty fields, rows without a path or label are left out and counted, and whole
            numbers are text.
        name : str
            The name of the data set and of its feature files.
        images : path, mapping or source, optional
            Where the images are. A folder that relative paths start from, by default the current
            one; a zip archive; a mapping from the paths to images in memory, as ``MemorySource``
            takes them; or any object with a method ``read(path)`` that returns the bytes of an
            image. It is called from several threads.
        columns : mapping of str to str, optional
            Columns with other names, by role: ``{"label": "diagnosis"}``.
        positive : str, optional
            The label of the positive class.
        space, size_mm
            As for ``load_dataset``.
        may_lack_labels : bool
            Whether samples without a label are kept, with the label "". A fitted model predicts
            them.

        Returns
        -------
        ImageDataset
            ``notes`` name columns that were not used, and files outside the folder.

        Raises
        ------
        DataError
            If a sample, or the data set, cannot be used; the message names the sample.
        UsageError
            If an argument has another type than these.

        Examples
        --------
        >>> import numpy as np
        >>> rows = [
        ...     {"path": "a/1", "label": "benign", "patient": "a"},
        ...     {"path": "a/2", "label": "benign", "patient": "a"},
        ...     {"path": "b/1", "label": "malignant", "patient": "b"},
        ... ]
        >>> pixels = {row["path"]: np.zeros((64, 64), np.uint8) for row in rows}
        >>> ImageDataset.from_samples(rows, name="mine", images=pixels)
        <ImageDataset mine: 3 images of 2 patients; benign 2, malignant 1>
        """
        from bottleneck.data.readers.sample_records import check_name, read_records

        check_name(name)
        return read_records(
            samples,
            name=name,
            images=images,
            columns=columns,
            positive=positive,
            space=space,
            size_mm=size_mm,
            may_lack_labels=may_lack_labels,
            examinations=examinations,
        )

    @staticmethod
    def concatenate(
        datasets: Mapping[str, ImageDataset] | Iterable[ImageDataset],
        *,
        centre: bool = True,
        same_patients: bool = False,
        name: str | None = None,
    ) -> ImageDataset:
        """Return the samples of several data sets as one data set.

        Parameters and errors are those of ``FeatureSet.concatenate``, and so are the ids, patients
        and centres of the result. ``notes`` say what was unified or left out.

        Examples
        --------
        >>> from pathlib import Path
        >>> def site(name):
        ...     samples = [Sample("1", "1.png", "benign"), Sample("2", "2.png", "malignant")]
        ...     return ImageDataset(name, samples, FileSource(Path(name)))
        >>> both = ImageDataset.concatenate([site("Bern"), site("Basel")])
        >>> both.name, both.samples[0].id, both.samples[3].centre
        ('Bern + Basel', 'Bern/1', 'Basel')
        """
        from bottleneck.data.sources.combined_images import concatenate_images

        return concatenate_images(datasets, centre=centre, same_patients=same_patients, name=name)

    def _unify(self) -> None:
        """Bring every name into one spelling, and add notes about it."""
        try:
            samples, notes = unify_spellings(self.samples, unlabelled=self.may_lack_labels)
        except DataError as error:
            raise DataError(f"data set '{self.name}': {error}") from error
        if isinstance(samples, SampleTable):
            samples.is_unified = True
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "notes", self.notes + new_notes(notes, self.notes))

    def __repr__(self) -> str:
        return describe(self, self.name, *self._facts())

    _repr_html_ = show_html

    @property
    def summary(self) -> str:
        """One line with name, number of images, patients, classes, and samples left out."""
        return f"{self.name}: {'; '.join(filter(None, self._facts()))}"

    def _facts(self) -> tuple[str, ...]:
        n_named, _ = count_named(self.samples, "group")
        patients = counted(self.n_groups, "patient") if self.n_groups else "unknown patients"
        unnamed = f" ({len(self) - n_named} without a name)" if 0 < n_named < len(self) else ""
        size = f"{counted(len(self), self.noun)} of {patients}{unnamed}"
        counts = {**self.class_counts, **({"": n} if (n := self.n_unlabelled) else {})}
        return size, class_counts(counts), self._exclusions().removeprefix("; ")

    def _exclusions(self) -> str:
        reasons = ", ".join(f"{n} × {reason}" for reason, n in self.excluded.items())
        return f"; left out: {reasons}" if reasons else ""

    def read(self, sample: Sample) -> bytes:
        """Return the encoded bytes of a sample's image.

        Raises
        ------
        OSError, DataError
            If the image cannot be read.
        StorageError
            If the storage failed, which says nothing about the image.

        Examples
        --------
        >>> from bottleneck import load_dataset
        >>> data = load_dataset("phantom", limit=2)
        >>> data.read(data.samples[0])[:2]  # A PGM file.
        b'P5'
        """
        return read_bytes(self.images, sample.source, sample.id)

    def stamp(self, sample: Sample) -> tuple[int, int] | None:
        """Return the size (bytes) and modification time (ns) of a sample's file.

        They reveal a change of the file. None if the image is not a file of its own, or the file
        does not exist.

        Examples
        --------
        Images that are not files of their own have none:

        >>> from bottleneck import load_dataset
        >>> data = load_dataset("phantom", limit=2)
        >>> data.stamp(data.samples[0]) is None
        True
        """
        try:
            return read_stamp(self.images, sample.source)
        except OSError:
            return None

    def choose(self, selection: Selection, *, positive: str | int | None = None) -> ImageDataset:
        """Return the samples and classes that a selection keeps, named ``NAME-HASH``.

        Parameters
        ----------
        selection : Selection
            Samples to leave out, classes to merge, and classes to keep.
        positive : str, int or None
            The positive class, as it is called before or after merging.

        Examples
        --------
        >>> from bottleneck import Selection, load_dataset
        >>> data = load_dataset("phantom", limit=2)
        >>> data.choose(Selection(merge={"cancer": ["malignant"]})).classes
        ('benign', 'cancer')
        """
        from bottleneck.data.labels.selection import choose_samples

        return choose_samples(self, selection, positive)

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

        Examples
        --------
        >>> from bottleneck import load_dataset
        >>> data = load_dataset("phantom", limit=2)
        >>> data.limited(1).name, len(data.limited(1))
        ('phantom-first2-first1', 2)
        """
        from bottleneck.data.labels.selection import limit_patients

        return limit_patients(self, n_patients)
