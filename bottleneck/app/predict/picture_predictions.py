"""Predictions of the pictures that a user dropped onto the page, and why they are so."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bottleneck.app.served_models import ServedModel
from bottleneck.app.session_files import Session
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.sources.untrusted_files import is_image
from bottleneck.deploy.inputs.new_inputs import read_images
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.errors import BottleneckError, UsageError
from bottleneck.explain.explained_images import explain_cases, new_case
from bottleneck.explain.explained_training import explain_network_cases
from bottleneck.explain.explanation import ExplainedCase
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.shown_cases.case_maps import MapChoice
from bottleneck.features.arrays.feature_inputs import SampleFields
from bottleneck.processes.progress_bar import Progress
from bottleneck.text.short_repr import show_fields
from bottleneck.text.table_text import text_frame

__all__ = ["ExplainedPicture", "PredictedPictures", "StoppedError", "predict_pictures"]

#: Largest number of pictures of one prediction.
MOST_PICTURES = 500
_NO_PICTURE = "this is not a picture: the app reads PNG, JPEG, TIFF, DICOM, BMP, GIF and WebP"


class StoppedError(BottleneckError):
    """A prediction that its user stopped."""


@dataclasses.dataclass(frozen=True, eq=False)
class ExplainedPicture:
    """A picture, what was decided of it, and why.

    Attributes
    ----------
    case : ExplainedCase
        The picture with its heat map and nearest training images.
    words : tuple of str
        Sentences on the map and on the nearest images.
    """

    case: ExplainedCase
    words: tuple[str, ...]

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True, eq=False)
class PredictedPictures:
    """The predictions of the pictures of a page.

    Attributes
    ----------
    served : ServedModel
        What predicted them.
    dataset : ImageDataset or None
        The pictures; None if no file is one.
    made : ModelPredictions or None
        Their predictions.
    refused : tuple of (str, str)
        Names of files that are not pictures, and why.
    """

    served: ServedModel
    dataset: ImageDataset | None
    made: ModelPredictions | None
    refused: tuple[tuple[str, str], ...]
    _explained: dict[tuple[int, bool], ExplainedPicture] = dataclasses.field(
        default_factory=dict, repr=False
    )

    __repr__ = show_fields

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Names of all files without a prediction, and why."""
        return [*(self.made.failures if self.made is not None else ()), *self.refused]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per file, with the columns of ``ModelPredictions.to_frame``."""
        names, reasons = zip(*self.refused, strict=True) if self.refused else ((), ())
        refused = text_frame({"id": list(names), "reason": list(reasons)})
        if self.made is None:
            return refused
        frame = self.made.to_frame()
        return pd.concat([frame, refused], ignore_index=True)[frame.columns]

    def explain(
        self, row: int, *, with_map: bool = True, progress: Progress | None = None
    ) -> ExplainedPicture:
        """Return a picture with its heat map and nearest training images.

        Parameters
        ----------
        row : int
            The row of the predictions.
        with_map : bool
            Whether a heat map is made.
        progress : callable or None
            Called with the number of steps done, their total, and a text.

        Raises
        ------
        UsageError
            If there is no such row.
        """
        made, dataset, served = self.made, self.dataset, self.served
        if made is None or dataset is None or not 0 <= row < len(made.predictions):
            raise UsageError("this picture no longer exists: choose another one")
        key = (row, with_map)
        if key not in self._explained:
            cases = [new_case(made, row, "confident", row + 1)]
            maps: MapChoice = "auto" if with_map else "none"
            if isinstance(served.model, Model):
                head = served.explained
                assert isinstance(head, ExplainedHead)
                cases, words = explain_cases(
                    served.model, head, served.training, cases, dataset, maps, progress
                )
            else:
                network = served.explained
                assert not isinstance(network, ExplainedHead)
                cases, words = explain_network_cases(
                    served.model, network, cases, dataset, maps, progress
                )
            self._explained[key] = ExplainedPicture(cases[0], tuple(words))
        return self._explained[key]


def predict_pictures(
    served: ServedModel,
    session: Session,
    files: Sequence[Path],
    *,
    of_one_patient: bool = False,
    progress: Progress | None = None,
) -> PredictedPictures:
    """Predict the pictures of a page.

    Parameters
    ----------
    served : ServedModel
        The model.
    session : Session
        The page; what is computed for it goes into its folder.
    files : sequence of Path
        The files that its user dropped, in the folder of the page.
    of_one_patient : bool
        Whether all pictures are of one patient; otherwise the patients are those of DICOM, or each
        picture is of one of its own.
    progress : callable or None
        Called with the number of steps done, their total, and a text.

    Raises
    ------
    StoppedError
        If the user stopped it, or closed the page.
    UsageError
        If there are too many files.
    BottleneckError
        As ``Model.predict`` does. A file that cannot be read is not an error, but is in
        ``failures``.
    """
    if len(files) > MOST_PICTURES:
        raise UsageError(
            f"{len(files)} files were dropped, and the app predicts {MOST_PICTURES} at once: drop "
            "fewer, or use `bottleneck predict`"
        )

    def move(done: int, total: int, text: str) -> None:
        if session.stop.is_set():
            raise StoppedError("stopped")
        if progress is not None:
            progress(done, total, text)

    # Never a table: it could name any file of this machine.
    pictures = [path for path in files if is_image(path.parent, path.name)]
    known = set(pictures)
    refused = tuple((path.name, _NO_PICTURE) for path in files if path not in known)
    if not pictures:
        return PredictedPictures(served, None, None, refused)
    model = served.model
    sources = [str(path) for path in pictures]

    def read(patients: list[str] | None = None) -> ImageDataset:
        fields = SampleFields(None, patients, None)
        return read_images(sources, fields, model.classes, model.selection)

    dataset = read(["one patient"] * len(sources) if of_one_patient else None)
    if dataset.n_groups is None and served.predicts_patients:
        dataset = read([path.name for path in pictures])
    options: dict[str, Any] = {
        "features": session.folder / "features",
        "progress": move,
        "quiet": True,
    }
    if isinstance(model, Model):
        made = model.predict(dataset, backbone=served.backbone, **options)
    else:
        made = model.predict(dataset, weights=served.weights, **options)
    return PredictedPictures(served, dataset, made, refused)
