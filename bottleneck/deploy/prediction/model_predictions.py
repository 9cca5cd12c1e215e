"""Predictions of a deployed model on new images: one row per image, and one per patient."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.data.splits.protocol import Unit
from bottleneck.deploy.inputs.input_rows import InputRows
from bottleneck.deploy.models.distance import UNLIKE
from bottleneck.deploy.prediction.deployed_model import Decisions
from bottleneck.deploy.prediction.patient_rows import PatientRows
from bottleneck.deploy.prediction.prediction_files import write_predictions
from bottleneck.deploy.prediction.prediction_frames import frame_rows
from bottleneck.evaluation.metrics.operating_points import OperatingThreshold
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.files.paths import as_path
from bottleneck.predictions import Predictions
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_counts, describe, show_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ModelPredictions"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ModelPredictions:
    """Predictions of a model on new images.

    Attributes
    ----------
    decided : Decisions
        Scores, probabilities, decisions and conformal sets of the images that could be read.
    inputs : InputRows
        Ids, labels and patients of all images, in the order of the input.
    percentiles : ndarray of float64, shape (n_predicted,), or None
        Percentile of the distance from the training images among those of the training images
        from each other, 0 to 100; None if the model does not know them.
    failures : tuple of (str, str)
        Id and reason of every image without a prediction.
    by_patient : PatientRows or None
        The same for patients; None unless they are the unit of the model, and known.
    evaluation : Evaluation or None
        Metrics with intervals in the unit of the model, where labels are known.
    error_rate : float
        Error rate of the conformal sets.
    unit : {"image", "patient"}
        Unit of the model.
    positive : str or None
        The positive class.
    operating_point : OperatingThreshold or None
        The threshold of the decisions; None if the class with the largest score is decided.
    noun : str
        What a sample is in a word: "image", "volume" or "region".
    set_words : str
        What the sets say at this error rate, in words; empty without sets.
    network : str or None
        Which networks of a training predicted: "mean", "refit", or the name of a fold; None for a
        fitted head.
    origin : str
        What was evaluated of these networks, in a sentence or two; "" for a fitted head.
    distance_words : str
        What the percentiles are, in words; empty without them.
    warnings : tuple of CheckWarning
        Warnings about the model and its metrics, the most severe first.
    notes : tuple of str
        Notes to the user.
    ignored : mapping of str to int
        Number of findings of each check that was ignored, by its code.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import fit
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + 2 * (y == "malignant")[:, None]
    >>> made = fit(X, "logistic", y=y).predict([[3, 3, 3, 3], [-2, -2, -2, -2]])
    >>> made.predictions.predicted.tolist(), made.evaluation is None
    (['malignant', 'benign'], True)
    """

    decided: Decisions
    inputs: InputRows
    percentiles: NDArray[np.float64] | None
    failures: tuple[tuple[str, str], ...]
    by_patient: PatientRows | None
    evaluation: Evaluation | None
    error_rate: float
    unit: Unit
    positive: str | None
    operating_point: OperatingThreshold | None
    noun: str = "image"
    set_words: str = ""
    network: str | None = None
    origin: str = ""
    distance_words: str = ""
    warnings: tuple[CheckWarning, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs.ids)

    def __repr__(self) -> str:
        size = counted(len(self), self.noun)
        if self.by_patient is not None:
            size += f" of {counted(len(self.by_patient.decided.predictions), 'patient')}"
        decisions = class_counts(self.decision_counts)
        return describe(
            self,
            "",
            size,
            f"decided: {decisions}" if decisions else "",
            f"{self.n_unlike} unlike the training {self.noun}s" if self.n_unlike else "",
            f"{len(self.failures)} without a prediction" if self.failures else "",
            "" if self.evaluation is None else "with metrics",
            counted(len(self.warnings), "warning") if self.warnings else "",
        )

    _repr_html_ = show_html

    @property
    def predictions(self) -> Predictions:
        """Scores and probabilities of the images that could be read, in the order of the input."""
        return self.decided.predictions

    @property
    def unlike_training(self) -> NDArray[np.bool_] | None:
        """Whether an image lies farther from the training images than 99 % of these.

        Shape (n_predicted,); None if the model does not know them.
        """
        return None if self.percentiles is None else self.percentiles > UNLIKE

    @property
    def n_unlike(self) -> int:
        """Number of images that are unlike the training images."""
        return 0 if self.unlike_training is None else int(self.unlike_training.sum())

    @property
    def decision_counts(self) -> Mapping[str, int]:
        """Number of images, or of patients if they are the unit, of each decision."""
        decided = self.decided if self.by_patient is None else self.by_patient.decided
        return Counter(decided.decisions.tolist())

    def to_frame(self) -> pd.DataFrame:
        """Return one row per image, in the order of the input.

        Returns
        -------
        DataFrame
            Columns id; label and patient, where any is known; predicted, the class of the largest
            score, as in ``compare``; probability_<class>; decision, the class at the threshold of
            the model; set, the classes that the error rate allows, joined by " | ", and empty
            where no class fits; distance_percentile and unlike_training; reason, why there is no
            prediction, else empty; score_<class>. A column that the model has nothing for is left
            out. Rows without a prediction have empty cells.

        Examples
        --------
        >>> import numpy as np
        >>> from bottleneck import fit
        >>> y = np.repeat(["benign", "malignant"], 20)
        >>> X = np.random.default_rng(0).normal(size=(40, 4)) + 2 * (y == "malignant")[:, None]
        >>> frame = fit(X, "logistic", y=y).predict([[3, 3, 3, 3]]).to_frame()
        >>> frame.loc[0, ["id", "predicted", "reason"]].tolist()
        ['0', 'malignant', '']
        """
        first: dict[str, Any] = {"id": self.inputs.ids}
        for name, column in (("label", self.inputs.labels), ("patient", self.inputs.patients)):
            if np.any(column != ""):
                first[name] = column
        then = {}
        if self.percentiles is not None and self.unlike_training is not None:
            then = {
                "distance_percentile": self.percentiles,
                "unlike_training": self.unlike_training,
            }
        return frame_rows(first, self.decided, self._rows, self._reasons, then)

    @property
    def patients(self) -> pd.DataFrame | None:
        """One row per patient, in order of their first image; None if these are not the unit.

        Columns patient; label, where any is known; images, the number of images that were read;
        unread, of those that were not; then as ``to_frame``. In place of distances it has
        images_unlike_training, the number of these images.
        """
        if self.by_patient is None:
            return None
        decided, patient_of = self.by_patient.decided, self.by_patient.patient_of
        names, n = decided.predictions.ids.tolist(), len(decided.predictions)
        lost = Counter(self.inputs.patients[self._reasons != ""].tolist())
        lost.pop("", None)
        further = [name for name in lost if name not in set(names)]
        listed = np.array([*names, *further], str)
        first: dict[str, Any] = {"patient": listed}
        if np.any(decided.predictions.labels != ""):
            first["label"] = np.array([*decided.predictions.labels.tolist(), *[""] * len(further)])
        first["images"] = np.array([*np.bincount(patient_of, minlength=n), *[0] * len(further)])
        first["unread"] = np.array([lost[name] for name in listed.tolist()])
        then = {}
        if self.unlike_training is not None:
            unlike = np.bincount(patient_of, self.unlike_training, minlength=n)
            then = {"images_unlike_training": unlike.astype(np.int64)}
        reasons = np.array([*[""] * n, *["no image could be read"] * len(further)], str)
        return frame_rows(first, decided, np.arange(n), reasons, then)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the table of images to a file, and that of patients to a second one next to it.

        Each file appears whole or not at all. The table of patients is called
        ``<name>-patients``, with the same suffix; it is the second sheet of a workbook.

        Parameters
        ----------
        path : str or Path
            A file that ends with .csv or .xlsx, in a folder that exists.
        overwrite : bool
            Whether earlier predictions are replaced. Other files never are.

        Returns
        -------
        Path
            The same path.

        Raises
        ------
        UsageError
            If the file exists, or cannot be written.

        Examples
        --------
        >>> import numpy as np
        >>> from bottleneck import fit
        >>> y = np.repeat(["benign", "malignant"], 20)
        >>> X = np.random.default_rng(0).normal(size=(40, 4)) + 2 * (y == "malignant")[:, None]
        >>> made = fit(X, "logistic", y=y).predict([[3, 3, 3, 3]])
        >>> made.save("predictions.csv").read_text(encoding="utf-8-sig").split(",")[:2]
        ['id', 'predicted']
        """
        path = as_path(path, "predictions", "predictions.csv")
        write_predictions(path, self.to_frame(), self.patients, overwrite=overwrite)
        return path

    @cached_property
    def _reasons(self) -> NDArray[np.str_]:
        """Why each row of the input has no prediction; "" where it has one."""
        reasons = dict(self.failures)
        return np.array([reasons.get(one, "") for one in self.inputs.ids.tolist()], str)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        """Rows of the input that have a prediction."""
        place = {one: n for n, one in enumerate(self.inputs.ids.tolist())}
        return np.array([place[one] for one in self.predictions.ids.tolist()], dtype=np.intp)
