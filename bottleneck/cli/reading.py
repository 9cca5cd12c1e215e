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


Name: TypeAlias = Annotated[
    str | None, typer.Option(help="Name of the data set.", rich_help_panel=PANEL)
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """Where the pictures are that features were made of, to look at them again."""

    crop: Annotated[
        bool, typer.Option("--crop", help="DDTI, TN5000: a sample a nodule.", rich_help_panel=PANEL)
    ] = False
    images: Annotated[
        str | None,
        typer.Option(
            help="Folder that the paths of a CSV manifest start from, if not the table's own.",
            rich_help_panel=PANEL,
        ),
    ] = None
    path_column: Annotated[str | None, _column("the image path")] = None
    label_column: Annotated[str | None, _column("the label")] = None
    id_column: Annotated[str | None, _column("the id")] = None

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are called otherwise than usual, by their roles."""
        named = {key: value for key, value in vars(self).items() if key.endswith("_column")}
        return {key.removesuffix("_column"): value for key, value in named.items() if value}

    def load(self, dataset: str | None, **options: Any) -> ImageDataset:
        """Read a data set; the other options are those of ``load_dataset``."""
        from bottleneck.data.readers import load_dataset

        others = {key: value for key, value in vars(self).items() if not key.endswith("_column")}
        return load_dataset(dataset, columns=self.columns, **others, **options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions(PictureOptions):
    """Whose pictures they are as well, and how they are split."""

    patient_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression that finds the patient in a file's path; the group named "
            "`patient`, the first group, or all of it. Without it, DICOM's PatientID.",
            rich_help_panel=PANEL,
        ),
    ] = None
    patient_column: Annotated[str | None, _column("the patient")] = None
    split_column: Annotated[str | None, _column("train/val/test")] = None
    fold_column: Annotated[str | None, _column("the test fold")] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetOptions(SampleOptions):
    """Which samples a data set has, and what is known of each."""

    positive: Annotated[
        str | None, typer.Option(help="Label of the positive class.", rich_help_panel=PANEL)
    ] = None
    name: Name = None
    centre_column: Annotated[str | None, _column("the centre")] = None


def refuse_idle(options: PictureOptions, where: str) -> None:
    """Refuse options that were given where no data set is read."""
    if options != type(options)():
        raise UsageError(
            f"--images, --path-column and the other options that say how a data set is read have "
            f"no effect {where}"
        )
