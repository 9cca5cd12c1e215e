"""What is chosen in each step of a study, and the command line that does the same."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bottleneck.backbones.licences import LicencePolicy
    from bottleneck.data.dataset import ImageDataset

__all__ = [
    "CompareChoice",
    "DataChoice",
    "ExtractChoice",
    "FitChoice",
    "PatternChoice",
    "WeightsChoice",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataChoice:
    """The data set of a study.

    Attributes
    ----------
    source : str
        A folder, a table, or "phantom" for the embedded data set.
    allowed : tuple of Path
        Folders that every image has to be in.
    images : str or None
        Folder of the images of a table; by default the table's.
    path_column, label_column, patient_column : str or None
        Columns of a table; by default those with usual names.
    patient_pattern : str or None
        As for ``load_dataset``.
    """

    source: str
    allowed: tuple[Path, ...] = ()
    images: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    patient_column: str | None = None
    patient_pattern: str | None = None

    def load(self) -> ImageDataset:
        """Read the data set; raise what ``load_dataset`` and ``refuse_outside`` raise."""
        from bottleneck.app.study.steps.image_places import refuse_outside
        from bottleneck.data.readers import load_dataset

        roles = ("path", "label", "patient")
        columns = {role: getattr(self, f"{role}_column") for role in roles}
        dataset = load_dataset(
            self.source,
            columns={role: name for role, name in columns.items() if name},
            images=self.images,
            patient_pattern=self.patient_pattern,
        )
        refuse_outside(dataset, self.allowed)
        return dataset

    @property
    def words(self) -> list[str]:
        """The argument and the options of a command that reads this data set."""
        names = ("images", "path_column", "label_column", "patient_column", "patient_pattern")
        return [_path(self.source), *_options((name, getattr(self, name)) for name in names)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatternChoice:
    """A patient pattern that is tried on some paths.

    Attributes
    ----------
    pattern : str
        As for ``load_dataset``.
    sources : tuple of str
        Paths of images, as the data set has them.
    """

    pattern: str
    sources: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightsChoice:
    """Where weights are looked for, besides the weights folder and installed packages.

    Attributes
    ----------
    file : str or None
        A weight file that the app was started with.
    """

    file: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractChoice:
    """A network that the images of a data set are run through.

    Attributes
    ----------
    data : DataChoice
        The data set.
    backbone, weights : str
        As for ``extract``.
    output : Path
        Folder of the feature files.
    licence_policy : {"any", "commercial"}
        Which licences of the weights are accepted.
    """

    data: DataChoice
    backbone: str
    weights: str
    output: Path
    licence_policy: LicencePolicy = "any"

    @property
    def command(self) -> str:
        """The command line that does the same."""
        options = _options(
            (name, getattr(self, name)) for name in ("backbone", "weights", "output")
        )
        words = [*self.data.words, *options, *_policy(self.licence_policy)]
        return shlex.join(["bottleneck", "extract", *words])


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareChoice:
    """Heads that are compared on a feature file.

    Attributes
    ----------
    features : Path
        The feature file.
    heads : tuple of str
        Names of heads.
    positive : str or None
        Label of the positive class; by default as for ``compare``.
    at_sensitivity : float
        The sensitivity that thresholds are chosen for.
    with_pictures : bool
        Whether the report shows images.
    output : Path
        Folder of the report.
    licence_policy : {"any", "commercial"}
        As for ``ExtractChoice``.
    """

    features: Path
    heads: tuple[str, ...]
    positive: str | None = None
    at_sensitivity: float = 0.9
    with_pictures: bool = False
    output: Path
    licence_policy: LicencePolicy = "any"

    @property
    def command(self) -> str:
        """The command line that does the same."""
        options: list[tuple[str, object]] = [("head", head) for head in self.heads]
        options += [("positive", self.positive), ("at_sensitivity", self.at_sensitivity)]
        shown = ["--with-pictures"] if self.with_pictures else []
        return shlex.join(
            [
                *("bottleneck", "compare", _path(self.features)),
                *_options(options),
                *shown,
                *_options([("output", self.output)]),
                *_policy(self.licence_policy),
            ]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitChoice:
    """A head that is trained on all samples and kept as a model.

    Attributes
    ----------
    features : Path
        The feature file.
    head : str
        Name of the head.
    positive : str or None
        Label of the positive class.
    at_sensitivity : float or None
        The sensitivity of the threshold that the model keeps; by default it keeps none.
    comparison : Path
        Folder of the report that evaluated the head.
    output : Path
        Folder of the models.
    licence_policy : {"any", "commercial"}
        As for ``ExtractChoice``.
    """

    features: Path
    head: str
    positive: str | None = None
    at_sensitivity: float | None = None
    comparison: Path
    output: Path
    licence_policy: LicencePolicy = "any"

    @property
    def command(self) -> str:
        """The command line that does the same."""
        names = ("head", "positive", "at_sensitivity", "comparison", "output")
        options = _options((name, getattr(self, name)) for name in names)
        words = [_path(self.features), *options, *_policy(self.licence_policy)]
        return shlex.join(["bottleneck", "fit", *words])


def _options(named: Iterable[tuple[str, object]]) -> list[str]:
    """Return options with their values, without those that are not given."""
    words: list[str] = []
    for name, value in named:
        if value is None:
            continue
        option = f"--{name.replace('_', '-')}"
        text = str(value)
        words += [f"{option}={text}"] if text.startswith("-") else [option, text]
    return words


def _policy(policy: LicencePolicy) -> list[str]:
    return [] if policy == "any" else ["--licence-policy", policy]


def _path(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    return f"./{text}" if text.startswith("-") else text
