"""New images of any kind as one data set: :func:`load_new_images`."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.known_labels import class_meanings, match_labels
from bottleneck.data.readers.built_in_readers import (
    BUILT_IN,
    FOLDERS,
    BuiltInReader,
    Reader,
    is_stated,
    takes_option,
)
from bottleneck.data.readers.installed_readers import GuardedReader, choose_reader
from bottleneck.data.readers.new_images.folder_meanings import name_folder_patients
from bottleneck.data.readers.new_images.given_images import read_inputs
from bottleneck.data.readers.new_images.image_folders import add_other_images, read_image_folder
from bottleneck.data.readers.new_images.joined_sources import (
    SourceImages,
    join_sources,
    read_image_files,
)
from bottleneck.data.readers.patients.patient_ids import find_patients, name_volumes, read_patients
from bottleneck.data.readers.sample_records import check_name, read_records
from bottleneck.data.readers.tables.spreadsheets import is_workbook
from bottleneck.data.samples.sample_table import collect
from bottleneck.data.sources.untrusted_files import IMAGE_SUFFIXES, is_image
from bottleneck.data.spelling.identifiers import name_value
from bottleneck.data.volumes.volume_files import is_volume_name
from bottleneck.data.volumes.volume_region import Space
from bottleneck.errors import DataError, UsageError, describe_os_error
from bottleneck.files.small_files import open_regular
from bottleneck.text.short_repr import shorten

__all__ = ["load_new_images"]

_PHANTOM = "phantom"
# Of text, spreadsheets and MedMNIST; a table may have no suffix.
_TABLE_SUFFIXES = frozenset(
    {"", ".csv", ".tsv", ".txt", ".tab", ".dat", ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"}
    | {".numbers", ".npz"}
)
_NEEDED = "Pass an image, a folder of images, a table of images (CSV, .xlsx) or a MedMNIST .npz"


def load_new_images(
    sources: Any,
    *,
    classes: Sequence[str] = (),
    selection: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    images: str | Path | None = None,
    patient_pattern: str | None = None,
    crop: bool = False,
    space: Space | None = None,
    size_mm: float | None = None,
    volumes: bool = False,
    negatives: float | None = None,
    reader: str | Reader | None = None,
    name: str | None = None,
) -> ImageDataset:
    """Read images for a fitted model, with labels or without.

    ============================================  ================================================
    source                                        is read as
    ============================================  ================================================
    an image, or several                          samples in the order given
    a folder                                      all images in it, at any depth
    a table (CSV, .xlsx, a data frame)            one image a row; a column of labels is optional
    TN5000, DDTI, LUNA16, MedMNIST, "phantom"     as by ``load_dataset``
    arrays of uint8, as for ``FrozenBackbone``    images in memory, numbered
    an ``ImageDataset``                           what it is
    ============================================  ================================================

    The label of a sample is "" where none is known. A label of a table or of a reader, and the name
    of a folder, is one if it is a spelling of a class of the model; after a selection, classes that
    were merged become the class that they were merged into. All other labels count as none, and
    ``notes`` name them.

    Parameters
    ----------
    sources : path, ImageDataset, array, data frame, or sequence of these
        The images. An image that several sources contain is one sample.
    classes : sequence of str
        Classes of the model. Without any, labels of tables are kept, and folders have none.
    selection : mapping, optional
        What was chosen of the training data: ``Model.selection``.
    columns : mapping of str to str, optional
        For tables: the columns by role, as for ``load_dataset``.
    images : str or Path, optional
        For tables: the folder that paths are relative to.
    patient_pattern : str, optional
        Regular expression for the patient in the path of an image, as for ``load_dataset``. Without
        one, patients are those of a table or of DICOM, or folders called like "patient 12".
    crop : bool
        For DDTI and TN5000: whether each annotated nodule is a sample.
    space, size_mm
        For tables of points in volumes, as for ``load_dataset``.
    volumes : bool
        Whether the images are volumes, and DICOM files their slices, as for ``load_dataset``.
    negatives : float, optional
        For LUNA16, as for ``load_dataset``.
    reader : str or Reader, optional
        The reader of the sources, as for ``load_dataset``.
    name : str, optional
        Name of the data set and of its feature files. By default that of the first source with a
        hash of all paths, so that two folders called "new" have two files.

    Returns
    -------
    ImageDataset
        Sorted by path; files and rows of a table in the order given. Ids are paths relative to the
        folder of the source; of several sources, to the folder that contains them all.

    Raises
    ------
    DataError
        If a source does not exist, cannot be read, or contains no image. A damaged image is not an
        error here.
    UsageError
        If an option fits no source.
    MissingExtraError
        If there are DICOM files and the extra ``medical`` is not installed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> Path("new").mkdir()
    >>> for number in (1, 2):
    ...     Image.new("L", (8, 8), number).save(f"new/{number}.png")
    >>> data = load_new_images("new", classes=["benign", "malignant"])
    >>> [(sample.id, sample.label) for sample in data.samples]
    [('1.png', ''), ('2.png', '')]
    """
    known = _read_classes(classes)
    if selection is not None and not isinstance(selection, Mapping):
        raise UsageError(f"selection must be that of a model, not {shorten(selection)}")
    stated = {
        "columns": columns,
        "images": images and Path(images),
        "crop": crop,
        "space": space,
        "size_mm": size_mm,
        "volumes": volumes,
        "negatives": negatives,
    }
    options = {key: value for key, value in stated.items() if is_stated(value)}
    reading = _Reading(known, selection, options, reader)
    read = list(reading.read_each(_list(sources)))
    if not read:
        raise UsageError(f"no images are given. {_NEEDED}")
    for option in options.keys() - reading.used - {"volumes"}:
        raise _refuse_option(option)
    if volumes:
        _refuse_images(one.dataset for one in read)
    read = [dataclasses.replace(one, dataset=reading.finish(one, patient_pattern)) for one in read]
    if patient_pattern is not None and not reading.matched:
        raise UsageError("the images have patients already: omit the patient pattern")
    dataset = join_sources(read)
    return dataset if name is None else _renamed(dataset, name)


@dataclasses.dataclass
class _Reading:
    """How sources are read: the classes of the model, and the options and where they were used."""

    classes: tuple[str, ...]
    selection: Mapping[str, Any] | None
    options: Mapping[str, Any]
    reader: str | Reader | None
    used: set[str] = dataclasses.field(default_factory=set)
    matched: bool = False

    def read_each(self, given: Sequence[Any]) -> Iterator[SourceImages]:
        """Yield the data set of each source; image files are one."""
        files: list[Path] = []
        volumes: list[Path] = []
        known: set[str] = set()
        for source in given:
            if isinstance(source, ImageDataset):
                yield SourceImages(source)
            elif _is_frame(source):
                yield SourceImages(self._read_frame(source))
            elif isinstance(source, str) and source == _PHANTOM:
                from bottleneck.data.phantom.generator import phantom_dataset

                yield SourceImages(phantom_dataset())
            else:
                path = _find_path(source)
                kind = None if self.reader or path.is_dir() else self._kind(path)
                if kind is not None:
                    (files if kind == "image" else volumes).append(path)
                elif (real := os.path.realpath(path)) not in known:
                    known.add(real)
                    yield self._read(path)
        if files:
            yield read_image_files(files)
        if volumes:
            yield read_image_files(volumes, volumes=True)

    def _kind(self, path: Path) -> str | None:
        """Return what a file is: "image", "volume", or None for a table."""
        if is_volume_name(path.name):
            return "volume"
        if not is_image(path.parent, path.name):
            return None
        return "volume" if "volumes" in self.options else "image"

    def _read(self, path: Path) -> SourceImages:
        try:
            chosen, notes = choose_reader(path, self.reader)
        except OSError as error:
            raise _unreadable(path, error) from error
        if self.reader is None and isinstance(chosen, BuiltInReader) and path.is_file():
            _refuse_other_file(path)
        inner = chosen.reader if isinstance(chosen, GuardedReader) else chosen
        options = {key: o for key, o in self.options.items() if takes_option(inner, key)}
        self.used.update(options)
        may_be_plain = self.reader is None and "crop" not in options and path.is_dir()
        is_folder, record = chosen is FOLDERS, chosen.record
        if is_folder:
            of_volumes = "volumes" in options
            dataset = read_image_folder(path, self.classes, self.selection, volumes=of_volumes)
        elif isinstance(chosen, BuiltInReader) and may_be_plain:
            try:
                dataset = add_other_images(chosen.read(path, **options), path)
            except DataError as error:
                dataset = read_image_folder(path, self.classes, self.selection)
                notes.append(f"the folder is not read as {chosen.name}: {error}")
                is_folder, record = True, FOLDERS.record
        elif takes_option(chosen, "may_lack_labels"):
            dataset = chosen.read(path, may_lack_labels=True, **options)
        else:
            dataset = chosen.read(path, **options)
        dataset = dataclasses.replace(dataset, reader=record, notes=(*notes, *dataset.notes))
        return SourceImages(dataset, path, is_folder=is_folder)

    def _read_frame(self, frame: Any) -> ImageDataset:
        idle = ("crop", "negatives", "volumes")
        options = {key: value for key, value in self.options.items() if key not in idle}
        self.used.update(options)
        dataset = read_records(frame, name="table", may_lack_labels=True, **options)
        return dataclasses.replace(dataset, name=f"table-{dataset.fingerprint[:8]}")

    def finish(self, source: SourceImages, pattern: str | None) -> ImageDataset:
        """Return the data set of a source with labels of the model, and with patients."""
        dataset = source.dataset
        counts = {**dataset.class_counts, "": dataset.n_unlabelled}
        names, notes = match_labels(counts, self.classes, self.selection)
        samples = dataset.samples
        if any(label != name for label, name in names.items()):
            samples = collect(
                dataclasses.replace(sample, label=names[sample.label]) for sample in samples
            )
        dataset = dataclasses.replace(
            dataset,
            samples=samples,
            positive=None,
            notes=tuple(dict.fromkeys((*dataset.notes, *notes))),
            may_lack_labels=True,
        )
        if pattern is None and not source.paths:
            return dataset  # Samples in Python have the patients that were stated.
        if pattern is None:
            dataset = name_volumes(read_patients(dataset, some=True))
            known = class_meanings(self.classes, self.selection)
            return name_folder_patients(dataset, known) if source.is_folder else dataset
        if dataset.n_groups is not None:
            return dataset
        self.matched = True
        return find_patients(dataset, pattern)


def _read_classes(classes: Any) -> tuple[str, ...]:
    """Return the names of classes; a number stands for its text."""
    needed = "classes must be names, such as classes=('a', 'b')"
    if isinstance(classes, str | bytes | Mapping) or not isinstance(classes, Iterable):
        raise UsageError(f"{needed}, not {shorten(classes)}")
    try:
        return tuple(map(name_value, classes))
    except TypeError:
        raise UsageError(f"{needed}, not {shorten(classes)}") from None


def _list(sources: Any) -> Sequence[Any]:
    """Return the sources one by one; arrays are one of them."""
    if isinstance(sources, str | os.PathLike | ImageDataset) or _is_frame(sources):
        return [sources]
    if isinstance(sources, Iterator):
        sources = list(sources)
    # A column of pandas or polars.
    column = sources.to_numpy() if hasattr(sources, "to_numpy") else sources
    of_texts = isinstance(column, np.ndarray) and column.dtype.kind in "OUT"
    listed = column.tolist() if of_texts else column
    if isinstance(listed, list | tuple) and not (listed and hasattr(listed[0], "__array__")):
        return listed
    if not isinstance(listed, list | tuple) and not hasattr(listed, "__array__"):
        raise UsageError(f"images cannot be read from {shorten(sources)}. {_NEEDED}")
    given = read_inputs(sources).dataset("images")
    digest = hashlib.sha256()
    for sample in given.samples:
        digest.update(given.read(sample))
    return [dataclasses.replace(given, name=f"images-{digest.hexdigest()[:8]}")]


def _is_frame(value: object) -> bool:
    pandas = sys.modules.get("pandas")  # A data frame cannot be there without it.
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _find_path(source: Any) -> Path:
    """Return the absolute path of a file or folder that exists."""
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            f"{shorten(source)} among the images is not a path. {_NEEDED}. Images in memory are "
            "arrays of uint8, such as np.asarray(image.convert('RGB'))"
        )
    if not str(source):
        raise UsageError("the path of the images is empty; for the current folder, pass '.'")
    path = Path(source)
    try:
        if not path.exists():
            link = " is a link to a file that" if path.is_symlink() else ""
            raise DataError(f"{str(path)!r}{link} does not exist. {_NEEDED}")
        # A damaged image, or one that this user may not read, is not an error here.
        is_image_file = path.suffix.casefold() in IMAGE_SUFFIXES and path.is_file()
        if not path.is_dir() and not is_image_file:
            open_regular(path, "file", DataError).close()
        return Path(os.path.normpath(path.absolute()))
    except OSError as error:
        raise _unreadable(path, error) from error


def _refuse_other_file(path: Path) -> None:
    """Raise DataError for a file that is neither an image nor a table."""
    suffix = path.suffix.casefold()
    if zipfile.is_zipfile(path) and not is_workbook(path) and suffix != ".npz":
        raise DataError(f"'{path.name}' is an archive: unpack it, and pass the folder")
    if suffix in _TABLE_SUFFIXES:
        return
    raise DataError(
        f"'{path.name}' is neither an image (PNG, JPEG, TIFF, DICOM, BMP, GIF, WebP, netpbm) nor a "
        "table (CSV, .xlsx): convert it, or pass another file"
    )


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"'{path}' cannot be read: {describe_os_error(error)}. {_NEEDED}")


def _refuse_images(datasets: Iterable[ImageDataset]) -> None:
    for dataset in datasets:
        if not dataset.holds_volumes:
            raise UsageError(
                f"'{dataset.name}' holds images, but volumes are needed: files of NIfTI, MetaImage "
                "or NRRD, or folders of DICOM slices"
            )


def _refuse_option(option: str) -> UsageError:
    what = {
        "columns": "a column",
        "images": "a folder of images",
        "crop": "regions to crop",
        "space": "a space of points in volumes",
        "size_mm": "a size of regions of volumes",
        "negatives": "a share of negative candidates",
    }
    others = ", ".join(one.name for one in BUILT_IN if takes_option(one, option))
    return UsageError(
        f"{what[option]} was named, but no reader of these images supports that. These readers "
        f"do: {others}"
    )


def _renamed(dataset: ImageDataset, name: str) -> ImageDataset:
    return dataclasses.replace(dataset, name=check_name(name), named_by_path=False)
