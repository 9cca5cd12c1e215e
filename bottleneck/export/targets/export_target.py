"""A form in which a model is handed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.export.classifier.exported_classifier import ExportedClassifier

__all__ = ["ExportTarget", "PictureReader"]

#: From the path of a picture to the probability of every class, of shape (n_classes,), in the
#: order of ``classes``.
PictureReader = Callable[[Path], NDArray[np.float64]]


class ExportTarget(Protocol):
    """A form in which a model is handed over: a folder that other software uses."""

    @property
    def name(self) -> str:
        """Name of the target: "onnx", "hub" or "torch"."""
        ...

    def write(
        self, classifier: ExportedClassifier, model: Model | TrainedModel, folder: Path
    ) -> tuple[str, ...]:
        """Write the files that a user of the folder needs.

        Parameters
        ----------
        classifier : ExportedClassifier
            The model as one module.
        model : Model or TrainedModel
            The model, for what the files state of it.
        folder : Path
            An existing folder.

        Returns
        -------
        tuple of str
            Notes to the user.

        Raises
        ------
        UsageError
            If the model cannot have this form.
        MissingExtraError
            If a package is not installed.
        """
        ...

    def read(self, folder: Path) -> PictureReader:
        """Return the function of a user of the folder, from the file of a picture on.

        Parameters
        ----------
        folder : Path
            What ``write`` wrote.
        """
        ...
