"""The errors of every arm: as the page shows them, and as a table with names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.analyses.best_arm import best_arm
from bottleneck.evaluation.cases.wrong_cases import ImageName, WrongCase, describe_errors
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.report.gallery.embedded_images import data_url, describe_name, list_parts
from bottleneck.text.plain_text import without_paths
from bottleneck.text.table_text import text_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ArmErrors", "ErrorGroup", "ImageLookup", "NearView", "errors_frame", "view_errors"]


# Fields of a case in the table.
_OF_CASE = (
    *("label", "predicted", "probability", "score", "lead"),
    *("repeat", "fold", "times", "tested"),
)


@dataclasses.dataclass(frozen=True)
class ImageLookup:
    """What may be shown of the images of one data set, by row.

    Attributes
    ----------
    thumbnails : mapping of int to ndarray of uint8
        Empty if images are not shown.
    names : mapping of int to ImageName
        Empty if names are not shown.
    """

    thumbnails: Mapping[int, NDArray[np.uint8]]
    names: Mapping[int, ImageName]

    def url(self, row: int) -> str:
        """Return the ``data:`` URL of an image; "" if it is not shown."""
        image = self.thumbnails.get(row)
        return "" if image is None else data_url(image)

    def name(self, row: int) -> str:
        """Return what identifies an image; "" if it is not shown."""
        return describe_name(self.names[row]) if row in self.names else ""


@dataclasses.dataclass(frozen=True)
class ErrorGroup:
    """The errors of one true class.

    Attributes
    ----------
    title : str
        "False negatives (…)", or the true class.
    n : int
        Number of samples or patients, of which some are shown.
    cases : list of WrongCase
        The cases that are shown.
    """

    title: str
    n: int
    cases: list[WrongCase]

    @property
    def has_near(self) -> bool:
        """Whether there are training images near the cases."""
        return any(case.nearest for case in self.cases)

    @property
    def is_repeated(self) -> bool:
        """Whether samples were tested several times."""
        return any(case.tested > 1 for case in self.cases)


@dataclasses.dataclass(frozen=True)
class NearView:
    """A nearest training image as a page shows it; ``image`` and ``name`` are "" if hidden."""

    label: str
    distance: float
    image: str
    name: str


@dataclasses.dataclass(frozen=True)
class ArmErrors:
    """The errors of one arm.

    Attributes
    ----------
    name : str
        Name of the arm.
    cohort : str
        Name of the external cohort; "" for the samples of the comparison.
    n, n_tested : int
        Number of samples or patients that it misclassified, in any repeat, and that it tested.
    order : str
        What is largest for the most confident error, in words.
    is_best : bool
        Whether the arm has the highest AUROC.
    groups : list of ErrorGroup
        Errors by their true class, the positive class first.
    own, near : ImageLookup
        Images of the cases, and of the training set.
    """

    name: str
    cohort: str
    n: int
    n_tested: int
    order: str
    is_best: bool
    groups: list[ErrorGroup]
    own: ImageLookup
    near: ImageLookup

    def view_near(self, case: WrongCase) -> list[NearView]:
        """Return the training images that are nearest to a case."""
        return [
            NearView(one.label, one.distance, self.near.url(one.row), self.near.name(one.row))
            for one in case.nearest
        ]

    @property
    def misclassified(self) -> str:
        """What makes a sample an error, in words."""
        return describe_errors(case.tested for group in self.groups for case in group.cases)

    @property
    def n_shown(self) -> int:
        """Number of cases that are shown."""
        return sum(len(group.cases) for group in self.groups)


def view_errors(
    comparison: Comparison, *, with_ids: bool = False, with_pictures: bool = False
) -> list[ArmErrors]:
    """Return the errors of all arms, the arm with the highest AUROC first.

    Parameters
    ----------
    comparison : Comparison
        The results.
    with_ids, with_pictures : bool
        Whether samples and patients are named, and whether images are shown.
    """

    def look_up(part: Comparison | External) -> ImageLookup:
        return ImageLookup(
            part.thumbnails if with_pictures else {}, part.image_names if with_ids else {}
        )

    shown = []
    for part in list_parts(comparison):
        best = best_arm(part.evaluations)
        for e in sorted(part.evaluations, key=lambda e: e is not best):
            if e.name in part.cases:
                cases = part.cases[e.name]
                shown.append(
                    ArmErrors(
                        name=e.name,
                        cohort=str(part.dataset["name"]) if isinstance(part, External) else "",
                        n=len(np.unique(e.predictions.ids[_is_wrong(e)])),
                        n_tested=e.predictions.n_samples,
                        order=_describe_order(e),
                        is_best=e is best,
                        groups=_group(e, cases, comparison.positive),
                        own=look_up(part),
                        near=look_up(comparison),
                    )
                )
    return shown


def _is_wrong(evaluation: Evaluation) -> NDArray[np.bool_]:
    wrong: NDArray[np.bool_] = evaluation.predictions.predicted != evaluation.predictions.labels
    return wrong


def _describe_order(evaluation: Evaluation) -> str:
    if evaluation.predictions.probabilities is None:
        return (
            "score of the predicted class minus that of the true class, since the arm has no "
            "probabilities"
        )
    words = "probability of the predicted class"
    source = evaluation.calibration.source if evaluation.calibration else ""
    return f"{words} ({source})" if source else words


def _group(
    evaluation: Evaluation, cases: Sequence[WrongCase], positive: str | None
) -> list[ErrorGroup]:
    p = evaluation.predictions
    wrong = _is_wrong(evaluation)
    two = positive is not None and len(p.classes) == 2
    groups = []
    for label in sorted(p.classes, key=lambda name: name != positive):
        n = len(np.unique(p.ids[wrong & (p.labels == label)]))
        title = f"True class {label}"
        if two:
            other = next(name for name in p.classes if name != label)
            kind = "False negatives" if label == positive else "False positives"
            title = f"{kind}: {label}, predicted as {other}"
        if n:
            own = [case for case in cases if case.label == label]
            groups.append(ErrorGroup(title, n, own))
    return groups


def errors_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the cases of all arms as a table with names: one row per case.

    Returns
    -------
    DataFrame
        Columns arm, cohort ("" for the samples of the comparison), case, id, patient, file,
        label, predicted, probability, score, lead, repeat, fold, times, tested, and for each of the
        nearest training images nearest_1_id, nearest_1_patient, nearest_1_label and
        nearest_1_distance, up to the largest number of them.
    """
    rows: list[dict[str, Any]] = []
    for part in list_parts(comparison):
        cohort = str(part.dataset["name"]) if isinstance(part, External) else ""
        for name, cases in part.cases.items():
            for case in cases:
                row = {"arm": name, "cohort": cohort, "case": case.number}
                row |= {"id": case.id, "patient": case.patient}
                row["file"] = without_paths(part.image_names[case.row].source)
                row |= {field: getattr(case, field) for field in _OF_CASE}
                for n, near in enumerate(case.nearest, 1):
                    for field in ("id", "patient", "label", "distance"):
                        row[f"nearest_{n}_{field}"] = getattr(near, field)
                rows.append(row)
    fields = list(dict.fromkeys(field for row in rows for field in row))
    return text_frame({f: np.array([r.get(f) for r in rows], object) for f in fields})
