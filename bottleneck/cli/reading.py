"""Options that say how a data set is read, shared by every command that reads one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from bottleneck.errors import UsageError

if TYPE_CHECKING:
    from bottleneck.data.dataset import ImageDataset

PANEL = "Reading the data set"


def _column(of: str) -> typer.models.OptionInfo:
    return typer.Option(help=f"CSV column of {of}.", rich_help_panel=PANEL)


Crop: TypeAlias = Annotated[
    bool, typer.Option("--crop", help="DDTI, TN5000: a sample a nodule.", rich_help_panel=PANEL)
]
Name: TypeAlias = Annotated[
    str | None, typer.Option(help="Name of the data set.", rich_help_panel=PANEL)
]
PatientPattern: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Regular expression that finds the patient in a file's path; the group named "
        "`patient`, the first group, or all of it. Without it, DICOM's PatientID.",
        rich_help_panel=PANEL,
    ),
]
LabelSource: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="For the report: where labels come from, such as 'biopsy'.", rich_help_panel=PANEL
    ),
]
ImageKind: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="For the report: what images show, such as 'whole frames'.", rich_help_panel=PANEL
    ),
]
PathColumn: TypeAlias = Annotated[str | None, _column("the image path")]
LabelColumn: TypeAlias = Annotated[str | None, _column("the label")]
PatientColumn: TypeAlias = Annotated[str | None, _column("the patient")]
SplitColumn: TypeAlias = Annotated[str | None, _column("train/val/test")]
FoldColumn: TypeAlias = Annotated[str | None, _column("the test fold")]
CentreColumn: TypeAlias = Annotated[str | None, _column("the centre")]
IdColumn: TypeAlias = Annotated[str | None, _column("the id")]


Images: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Folder that the paths of a CSV manifest start from, if not the table's own.",
        rich_help_panel=PANEL,
    ),
]
Positive: TypeAlias = Annotated[
    str | None, typer.Option(help="Label of the positive class.", rich_help_panel=PANEL)
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """Which samples a data set has, and what is known of each."""

    positive: Positive = None
    patient_pattern: PatientPattern = None
    crop: Crop = False
    name: Name = None
    images: Images = None
    path_column: PathColumn = None
    label_column: LabelColumn = None
    patient_column: PatientColumn = None
    split_column: SplitColumn = None
    fold_column: FoldColumn = None
    centre_column: CentreColumn = None
    id_column: IdColumn = None

    def load(self, dataset: str | None, **options: Any) -> ImageDataset:
        """Read a data set; the other options are those of ``load_dataset``."""
        return _load(self, dataset, **options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """Where the pictures are that features were made of, to look at them again."""

    crop: Crop = False
    images: Images = None
    path_column: PathColumn = None
    label_column: LabelColumn = None
    id_column: IdColumn = None

    def load(self, dataset: str) -> ImageDataset:
        """Read the data set that the features were extracted from."""
        return _load(self, dataset)


def refuse_idle(options: DatasetOptions | PictureOptions, where: str) -> None:
    """Refuse options that were given where no data set is read."""
    if options != type(options)():
        raise UsageError(
            f"--images, --path-column and the other options that say how a data set is read have "
            f"no effect {where}"
        )


def columns_of(options: object) -> dict[str, str]:
    """Return the columns that are called otherwise than usual, by their roles."""
    named = {key: value for key, value in vars(options).items() if key.endswith("_column")}
    return {key.removesuffix("_column"): value for key, value in named.items() if value}


def _load(
    how: DatasetOptions | PictureOptions, dataset: str | None, **options: Any
) -> ImageDataset:
    from bottleneck.data.readers import load_dataset

    others = {key: value for key, value in vars(how).items() if not key.endswith("_column")}
    return load_dataset(dataset, columns=columns_of(how), **others, **options)
