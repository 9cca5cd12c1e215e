"""Features in memory, with the labels, patients and provenance of every row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.data.splits.patients import count_by_class
from bottleneck.errors import FeatureFileError
from bottleneck.features.sets.copy_search import CopySearch
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.features.sets.feature_origin import FeatureOrigin
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_counts, describe, shortened, show_html

if TYPE_CHECKING:
    import pandas as pd

    from bottleneck.data.labels.selection import Selection

__all__ = ["FeatureSet"]

Strings = NDArray[np.str_]


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureSet(FeatureOrigin, CopySearch):
    """One row of features per sample, with their provenance.

    Attributes
    ----------
    X : ndarray of float32, shape (n_samples, n_features)
        The bottleneck features.
    y, ids : ndarray of str, shape (n_samples,)
        The labels, "" for a sample without one; and the ids of the samples, which are unique.
    provenance : mapping
        Data set, recipe and versions that the rows come from; see ``features/README.md``.
    stated_patients, splits, folds, centres : ndarray of str, shape (n_samples,), or None
        As the data set states them; "" in a row without one. ``patients`` completes the first.
    sha256, pixels : ndarray of str, shape (n_samples,), or None
        Hashes of the encoded bytes and of the pixels; of a volume, of its patch and its centre.
    sources : ndarray of str, shape (n_samples,), or None
        Path of the image relative to the data set.
    size, brightness : ndarray of shape (n_samples, 2) and (n_samples,), or None
        Width and height in pixels, as int32; mean grey value from 0 to 255, as float32.
    regions : ndarray of int32, shape (n_samples, 4), or None
        Left, top, right and bottom in pixels; −1 for the whole image.
    volume_regions, lesions, examinations : ndarray of str, shape (n_samples,), or None
        Region of a volume as JSON, "" for a whole one; lesion of a candidate; and examination.
    boxes : ndarray of float64, shape (n_samples, 6), or None
        Least and largest x, y, z of the patch of a volume, in LPS mm; None for images.
    thumbnails : ndarray of uint8, shape (n_samples, 32, 32), or None
        Grey images, too small to read text in, for the search for near-duplicates.
    failures : tuple of (str, str)
        Id and reason of every sample without a row.
    failed_samples : tuple of FailedSample
        Label, patient and split of these, where the feature file records them.
    path : Path or None
        The file that they were read from.

    Examples
    --------
    >>> features = FeatureSet.from_arrays([[0.1, 0.2], [0.3, 0.5], [0.4, 0.4]], [0, 1, 0])
    >>> features.X.shape, features.y.tolist()
    ((3, 2), ['0', '1', '0'])
    """

    X: NDArray[np.float32]
    y: Strings
    ids: Strings
    provenance: Mapping[str, Any]
    stated_patients: Strings | None = None
    splits: Strings | None = None
    folds: Strings | None = None
    centres: Strings | None = None
    sha256: Strings | None = None
    pixels: Strings | None = None
    sources: Strings | None = None
    size: NDArray[np.int32] | None = None
    brightness: NDArray[np.float32] | None = None
    regions: NDArray[np.int32] | None = None
    volume_regions: Strings | None = None
    lesions: Strings | None = None
    examinations: Strings | None = None
    boxes: NDArray[np.float64] | None = None
    thumbnails: NDArray[np.uint8] | None = None
    failures: tuple[tuple[str, str], ...] = ()
    failed_samples: tuple[FailedSample, ...] = ()
    path: Path | None = None

    def __post_init__(self) -> None:
        if self.X.ndim != 2 or not len(self.X) == len(self.y) == len(self.ids):
            raise FeatureFileError(
                f"features need one row per sample, but X has the shape {self.X.shape}, with "
                f"{len(self.y)} labels and {len(self.ids)} ids"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        size = counted(len(self), "sample")
        if self.patients is not None:
            size += f" of {counted(len(np.unique(self.patients)), 'patient')}"
        recipe, dataset = (self.provenance.get(part) or {} for part in ("recipe", "dataset"))
        made_by = f" by {shortened(self.title)}" if {"backbone", "weights"} <= {*recipe} else ""
        return describe(
            self,
            str(dataset.get("name", "")),
            size,
            class_counts(count_by_class(self.y)),
            f"{counted(self.X.shape[1], 'feature')}{made_by}",
            "" if self.centres is None else counted(len(np.unique(self.centres)), "centre"),
            f"{len(self.failures)} without a row" if self.failures else "",
        )

    _repr_html_ = show_html

    @staticmethod
    def from_arrays(
        X: ArrayLike | pd.DataFrame,
        y: ArrayLike | pd.Series,
        groups: ArrayLike | pd.Series | None = None,
        ids: ArrayLike | pd.Series | pd.Index | None = None,
        *,
        name: str = "arrays",
        recipe: str = "own features",
    ) -> FeatureSet:
        """Return a feature set of features that were computed by other means.

        There are no images, so that near-duplicates are not searched for. Samples with equal
        features count as copies: patients that share one stay on one side of every split.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers: an array, a data frame or a list of rows. They are kept as float32.
            The names of a data frame's columns are part of the recipe.
        y : array-like of shape (n_samples,)
            Labels. Whole numbers become their digits, and truth values "True" and "False".
            Spellings of one label are joined, as in tables of data sets.
        groups : array-like of shape (n_samples,) or None
            Patient of every sample; "" for an unknown one, which counts as a patient of its own.
        ids : array-like of shape (n_samples,) or None
            Unique names of the samples; by default the index of a data frame, or row numbers.
        name : str
            Name of the data set.
        recipe : str
            Name of the features, such as "pyradiomics 3.1"; one name for all that are alike.

        Returns
        -------
        FeatureSet

        Raises
        ------
        UsageError
            If an argument has another type, shape or length, or the indexes of data frames and
            series differ.
        DataError
            If a value is missing or infinite, an id is repeated, or a label is unclear.

        Warns
        -----
        UserWarning
            If spellings were joined, or a column determines the label.

        Examples
        --------
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(6, 4))
        >>> features = FeatureSet.from_arrays(X, [0, 1, 0, 1, 0, 1], groups=list("aabbcc"))
        >>> len(features), features.classes, features.title
        (6, ('0', '1'), 'own features (4 columns)')
        """
        from bottleneck.features.arrays.array_features import from_arrays

        return from_arrays(X, y, groups, ids, name=name, recipe=recipe)

    def take(self, rows: NDArray[np.intp], **changes: Any) -> FeatureSet:
        """Return some of the samples, in the order of the rows, with other values for some fields.

        Parameters
        ----------
        rows : ndarray of int
            Rows to take.
        **changes
            New values of fields, for the rows taken.

        Examples
        --------
        >>> features = FeatureSet.from_arrays([[0.1, 0.2], [0.3, 0.5], [0.4, 0.4]], [0, 1, 0])
        >>> features.take(np.array([2, 0])).ids.tolist()
        ['2', '0']
        """
        columns = {
            field.name: getattr(self, field.name)[rows]
            for field in dataclasses.fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        return dataclasses.replace(self, **{**columns, **changes})

    def choose(self, selection: Selection, *, positive: str | int | None = None) -> FeatureSet:
        """Return the samples and classes that a selection keeps, without computing a row again.

        Parameters
        ----------
        selection : Selection
            Samples to leave out, classes to merge, and classes to keep.
        positive : str, optional
            The positive class, as it is called before or after merging.

        Returns
        -------
        FeatureSet
            Its provenance records what was left out and merged, under another fingerprint. Copies
            that are left out tie no patients.

        Raises
        ------
        UsageError
            If the selection does not fit the samples.

        Examples
        --------
        >>> from bottleneck import Selection
        >>> features = FeatureSet.from_arrays([[0.1], [0.3], [0.4]], ["low", "mid", "high"])
        >>> features.choose(Selection(classes=("low", "high"))).ids.tolist()
        ['0', '2']
        """
        from bottleneck.data.labels.selection import check_selection
        from bottleneck.features.sets.chosen_rows import selectable, take_choice

        choice = check_selection(selection).resolve(selectable(self), positive=positive)
        return take_choice(self, choice.refuse_unknown())

    def select(self, chosen: Any, *, reason: str = "not selected") -> FeatureSet:
        """Return some of the samples, and record that they are a part.

        Parameters
        ----------
        chosen : array_like of bool, or sequence of str
            A mask with one value per sample, which keeps the order of this set; or ids, in the
            order that the part is to have. A pandas mask with the ids as its index is matched by
            id.
        reason : str
            Why the others are left out, for the report.

        Returns
        -------
        FeatureSet
            Its groups follow from its own images: copies that are left out tie no patients. Its
            provenance names the number of samples before and after, and its fingerprint is
            another one.

        Raises
        ------
        UsageError
            If the mask has another length or missing values, an id is unknown or named twice,
            nothing is selected, or row numbers are given.

        Examples
        --------
        >>> from bottleneck import extract, load_dataset, load_features
        >>> from bottleneck.testing import tiny_backbone
        >>> run = extract(load_dataset("phantom", limit=6), tiny_backbone(), output="features")
        >>> features = load_features(run.path)
        >>> part = features.select(features.stated_patients != "P001")
        >>> part.provenance["dataset"]["excluded"]
        {'not selected': 2}
        """
        from bottleneck.features.sets.selected_rows import select

        return select(self, chosen, reason)

    @staticmethod
    def concatenate(
        sets: Mapping[str, FeatureSet | str | Path] | Iterable[FeatureSet | str | Path],
        *,
        centre: bool = True,
        same_patients: bool = False,
        name: str | None = None,
        note: Callable[[str], None] | None = None,
    ) -> FeatureSet:
        """Return the samples of several data sets as one feature set.

        The name of its data set goes before every id, patient and path: "Bern/p7" and "Basel/p7"
        are two patients. Copies of images are searched for across all of them.

        Parameters
        ----------
        sets : mapping of str to FeatureSet or path, or iterable of these
            At least two sets of different samples by the same recipe. The names of a mapping
            stand for the names of the data sets, and differ where those are equal.
        centre : bool
            Whether the data set is the centre of a sample, for the protocol "centres". A centre
            that the data set names itself follows it: "Bern/scanner 2".
        same_patients : bool
            Whether a patient of the same name in two of them is one person. Patients keep their
            names then.
        name : str or None
            Name of the result; by default the names of all, joined by " + ".
        note : callable or None
            Called with a sentence on what was unified or left out: labels of other spellings,
            classes that a data set lacks, and splits or published folds that not all have.

        Returns
        -------
        FeatureSet
            Its provenance lists the data sets with their fingerprints.

        Raises
        ------
        UsageError
            If there are fewer than two sets, or two of the same samples, names, other recipes, no
            common class or other positive classes.
        FeatureFileError
            If a file cannot be read.

        Examples
        --------
        >>> from bottleneck import extract, load_dataset, load_features
        >>> from bottleneck.testing import tiny_backbone
        >>> run = extract(load_dataset("phantom", limit=6), tiny_backbone(), output="features")
        >>> features = load_features(run.path)
        >>> is_early = features.stated_patients < "P004"
        >>> sites = {"Bern": features.select(is_early), "Basel": features.select(~is_early)}
        >>> both = FeatureSet.concatenate(sites)
        >>> both.dataset, sorted(set(both.centres.tolist()))
        ('Bern + Basel', ['Basel', 'Bern'])
        """
        from bottleneck.features.sets.concatenation import concatenate

        return concatenate(sets, centre=centre, same_patients=same_patients, name=name, note=note)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the samples to a feature file, which ``load_features`` reads back equal.

        Parameters
        ----------
        path : str or Path
            The file, with the suffix ``.h5``; its folder is created where absent.
        overwrite : bool
            Whether a file of this name is replaced.

        Returns
        -------
        Path
            The file. All commands read it, but ``extract`` neither continues it nor takes rows
            from it, since features in memory may have been changed.

        Raises
        ------
        UsageError
            If the file exists, its name has another suffix, or a feature file cannot hold a value.
        FeatureFileError
            If the file cannot be written, or is being written by another run.

        Examples
        --------
        >>> features = FeatureSet.from_arrays([[0.1, 0.2], [0.3, 0.5], [0.4, 0.4]], [0, 1, 0])
        >>> from bottleneck import load_features
        >>> load_features(features.save("mine.h5")).ids.tolist()
        ['0', '1', '2']
        """
        from bottleneck.features.file.set_writer import save_features

        return save_features(self, path, overwrite=overwrite)

    def to_frame(self, *, with_features: bool = True) -> pd.DataFrame:
        """Return a table with one row per sample.

        Parameters
        ----------
        with_features : bool
            Whether the table has the features.

        Returns
        -------
        DataFrame
            Columns id, label, patient and group, then split, fold and centre where the data set
            states them, then the features as float32: f0, f1 and so on, or under the names
            of a data frame. A sample without a patient is a patient of its own, as in
            ``patients``; group is what a split must keep on one side, as in ``groups``.

        Examples
        --------
        >>> import numpy as np
        >>> features = FeatureSet.from_arrays(np.eye(4), list("aabb"), groups=list("wxyz"))
        >>> features.to_frame().columns.tolist()
        ['id', 'label', 'patient', 'group', 'f0', 'f1', 'f2', 'f3']
        """
        from bottleneck.features.sets.feature_frame import feature_frame

        return feature_frame(self, with_features=with_features)
