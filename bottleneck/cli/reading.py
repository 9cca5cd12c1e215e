"""Options for reading a data set, shared by all commands that read one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from bottleneck.cli.console import say_paragraph
from bottleneck.errors import UsageError

if TYPE_CHECKING:
    from bottleneck.data.dataset import ImageDataset

PANEL = "Reading the data set"


def _column(of: str) -> typer.models.OptionInfo:
    return typer.Option(help=f"Column of {of} in a table.", rich_help_panel=PANEL)


Name: TypeAlias = Annotated[
    str | None, typer.Option(help="Name of the data set.", rich_help_panel=PANEL)
]
LabelSource: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Source of the labels, for the report, such as 'biopsy'.", rich_help_panel=PANEL
    ),
]
ImageKind: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Kind of images, for the report, such as 'whole frames'.", rich_help_panel=PANEL
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Where the images of a data set are."""

    crop: Annotated[
        bool,
        typer.Option("--crop", help="DDTI, TN5000: one sample per nodule.", rich_help_panel=PANEL),
    ] = False
    images: Annotated[
        str | None,
        typer.Option(
            help="Folder of the images that a table names, also after they were moved. Default: "
            "the table's own folder.",
            rich_help_panel=PANEL,
        ),
    ] = None
    reader: Annotated[
        str | None,
        typer.Option(
            help="Reader of the data set: TN5000, DDTI, LUNA16, MedMNIST, table, folders, or that "
            "of a package.",
            show_default="chosen by the files",
            rich_help_panel=PANEL,
        ),
    ] = None
    path_column: Annotated[str | None, _column("the image path")] = None
    label_column: Annotated[str | None, _column("the label")] = None
    id_column: Annotated[str | None, _column("the id")] = None
    point_columns: Annotated[
        str | None,
        typer.Option(
            help="Columns of the point in a volume, in a table: X,Y,Z.",
            show_default="x,y,z",
            rich_help_panel=PANEL,
        ),
    ] = None
    space: Annotated[
        str | None,
        typer.Option(
            help="Space of points in volumes: lps or ras (mm), or voxel. Default: the column "
            "'space', and lps for DICOM and MetaImage.",
            rich_help_panel=PANEL,
        ),
    ] = None
    size_mm: Annotated[
        float | None,
        typer.Option(
            help="Edge of the region around a point in a volume. Default: the column 'size_mm', "
            "or else the size that the network takes.",
            rich_help_panel=PANEL,
        ),
    ] = None
    volumes: Annotated[
        bool,
        typer.Option(
            "--volumes",
            help="Read each folder of DICOM files as one volume, and not each file as an image.",
            rich_help_panel=PANEL,
        ),
    ] = False
    negatives: Annotated[
        float | None,
        typer.Option(
            help="LUNA16: share of the negative candidates to read, such as 0.004.",
            show_default="all",
            rich_help_panel=PANEL,
        ),
    ] = None

    @property
    def columns(self) -> dict[str, str]:
        """The columns with other names than the usual ones, by role."""
        named = {key: value for key, value in vars(self).items() if key.endswith("_column")}
        columns = {key.removesuffix("_column"): value for key, value in named.items() if value}
        if self.point_columns is None:
            return columns
        point = [name.strip() for name in self.point_columns.split(",")]
        if len(point) != 3 or not all(point):
            raise UsageError(
                f"--point-columns must be three columns, such as coordX,coordY,coordZ, not "
                f"'{self.point_columns}'"
            )
        return {**columns, **dict(zip("xyz", point, strict=True))}

    @property
    def _others(self) -> dict[str, Any]:
        """The options that are not names of columns."""
        fields = vars(self).items()
        return {k: v for k, v in fields if not k.endswith(("_column", "_columns"))}

    @property
    def of_new_images(self) -> dict[str, Any]:
        """The options of ``load_new_images``."""
        idle = ("positive", "merge_folds", "examinations")  # New images are not split.
        others = {key: value for key, value in self._others.items() if key not in idle}
        return {"columns": self.columns, **others}

    def load(self, dataset: str | None, *, quiet: bool, **options: Any) -> ImageDataset:
        """Read a data set and print its notes; the other options are those of ``load_dataset``.

        The notes come before the work, since one may say that another data set was meant.
        """
        from bottleneck.data.readers import load_dataset

        loaded = load_dataset(dataset, columns=self.columns, **self._others, **options)
        _say_notes(loaded, quiet=quiet)
        return loaded

    def load_new(
        self, sources: str | Sequence[str], *, quiet: bool, **options: Any
    ) -> ImageDataset:
        """Read images with or without labels and print notes, as ``load_new_images`` does."""
        from bottleneck.data.readers.new_images.image_inputs import load_new_images

        loaded = load_new_images(sources, **{**self.of_new_images, **options})
        _say_notes(loaded, quiet=quiet)
        return loaded


def _say_notes(dataset: ImageDataset, *, quiet: bool) -> None:
    for note in dataset.notes if not quiet else ():
        say_paragraph(note, "note: ")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatientOptions(ImageOptions):
    """Where the images are, and which patients they are of."""

    patient_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression for the patient in a file's path: the group named `patient`, "
            "the first group, or the whole match. Default: the PatientID of DICOM files.",
            rich_help_panel=PANEL,
        ),
    ] = None
    patient_column: Annotated[str | None, _column("the patient")] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions(PatientOptions):
    """Where the images are, which patients they are of, and how they are split."""

    split_column: Annotated[str | None, _column("train/val/test")] = None
    fold_column: Annotated[str | None, _column("the test fold")] = None
    merge_folds: Annotated[
        bool,
        typer.Option(
            "--merge-folds",
            help="Keep each patient in one published fold.",
            rich_help_panel=PANEL,
        ),
    ] = False
    examinations: Annotated[
        str,
        typer.Option(
            help="How to recognise that images without a patient belong to one examination: auto "
            "(DICOM studies, and names such as case12_003.png), dicom, or none.",
            rich_help_panel=PANEL,
        ),
    ] = "auto"


def options_of_each(options: SampleOptions, paths: Sequence[str]) -> list[SampleOptions]:
    """Return the options for each of several data sets.

    Where some are tables and others folders, only the tables have columns, and the pattern is for
    the folders if a column names the patients of the tables.
    """
    tables = [Path(path).is_file() for path in paths]
    if len(set(tables)) < 2:
        return [options] * len(paths)
    folder = SampleOptions(
        crop=options.crop,
        volumes=options.volumes,
        patient_pattern=options.patient_pattern,
        reader=options.reader,
        negatives=options.negatives,
        merge_folds=options.merge_folds,
        examinations=options.examinations,
    )
    pattern = None if options.patient_column else options.patient_pattern
    table = dataclasses.replace(options, patient_pattern=pattern)
    return [table if is_table else folder for is_table in tables]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetOptions(SampleOptions):
    """Options for reading a data set."""

    positive: Annotated[
        str | None, typer.Option(help="Label of the positive class.", rich_help_panel=PANEL)
    ] = None
    name: Name = None
    centre_column: Annotated[str | None, _column("the centre")] = None


def refuse_idle(options: ImageOptions, where: str) -> None:
    """Raise an error if options are given where no data set is read."""
    if options != type(options)():
        raise UsageError(
            f"--images, --path-column and the other options for reading a data set have no effect "
            f"{where}"
        )
