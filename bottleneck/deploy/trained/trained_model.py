"""Networks of a finished training as a model, which predicts on new images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.data.positive_class import recognise_positive
from bottleneck.data.splits.protocol import Aggregate, Unit
from bottleneck.deploy.trained.network_choice import (
    NetworkChoice,
    choose_network,
    network_label,
    network_names,
)
from bottleneck.errors import UsageError
from bottleneck.finetune.training_folder.trained_folder import TrainedFolder
from bottleneck.processes.work_steps import shows_progress
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_names, describe, shortened, show_html

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone
    from bottleneck.deploy.prediction.input_rows import InputRows
    from bottleneck.deploy.prediction.model_predictions import ModelPredictions
    from bottleneck.predictions import Predictions

__all__ = ["TrainedModel"]

_NO_DISTANCES = (
    "How far the images lie from the training images is not known: this network keeps no features "
    "of them."
)


@dataclasses.dataclass(frozen=True, eq=False)
class _Scored:
    """Predictions of images by each network, with the rows of the input."""

    parts: tuple[Predictions, ...]
    failures: Sequence[tuple[str, str]]
    everyone: InputRows
    fingerprint: str | None
    notes: tuple[str, ...] = ()


class TrainedModel:
    """The networks of a training, which predict like a fitted head.

    Parameters
    ----------
    path : str or Path
        A folder that ``finetune`` wrote.
    backbone : Backbone, optional
        The backbone that was passed to ``finetune``, if it was a network of one's own.

    Attributes
    ----------
    path : Path
        The folder.
    classes : tuple of str
        All labels, sorted.
    positive : str or None
        The positive class.
    networks : tuple of str
        Names for ``network`` in ``predict``, the default first.

    Raises
    ------
    ModelError
        If the folder holds no finished training, or its record is damaged or of another version.
    """

    def __init__(self, path: str | Path, *, backbone: Backbone | None = None) -> None:
        self.path = Path(path)
        self.backbone = backbone
        self._folder = TrainedFolder(self.path)
        record = self._folder.record
        self.name = record.name
        self.classes = record.classes
        known = recognise_positive(record.classes) if len(record.classes) == 2 else []
        self.positive = record.dataset.positive or (known[0] if len(known) == 1 else None)
        self.networks = tuple(network_names(record))

    def __repr__(self) -> str:
        record = self._folder.record
        return describe(
            self,
            shortened(self.name),
            counted(len(record.folds), "fold") + (" and a refit" if record.refit else ""),
            f"trained on {counted(record.dataset.n_samples, 'sample')} of "
            f"{shortened(record.dataset.name)}",
            "classes " + class_names(self.classes),
        )

    _repr_html_ = show_html

    @shows_progress("images")
    def predict(
        self,
        images: Any,
        *,
        network: str | None = None,
        at_sensitivity: float | None = None,
        at_specificity: float | None = None,
        unit: Unit = "image",
        aggregate: Aggregate = "mean",
        error_rate: float = 0.1,
        output: str | Path = "features",
        device: str = "auto",
        progress: Callable[[int, int, str], None] | None = None,
        quiet: bool = False,
    ) -> ModelPredictions:
        """Predict the class of every image.

        As in a comparison, the scores of a network are calibrated by a sigmoid on the validation
        set of its fold, and a threshold is chosen there.

        Parameters
        ----------
        images : path, sequence of paths, ImageDataset or arrays
            As for ``Model.predict``. A classifier that was trained on features predicts from a
            ``FeatureSet`` or its file too.
        network : str, optional
            "mean", the mean of the calibrated probabilities of the networks of all folds;
            "fold-1", the network of the first fold ("repeat-1-fold-1" where there are repeats); or
            "refit", the network of all samples, if it was trained. By default the mean; with a
            single fold, its network.
        at_sensitivity, at_specificity : float, optional
            The threshold reaches this sensitivity, or this specificity, on the validation set of
            the network, or for the mean on the test folds; at most one of the two. By default the
            class of the largest score is decided.
        unit, aggregate : {"image", "patient"}, {"mean", "max"}
            What is predicted, and how a patient's score follows from those of the images, as in
            ``Protocol``.
        error_rate : float
            Error rate of the conformal sets, between 0 and 1.
        output : str or Path
            Folder of the feature files that keep the rows of the images, as for ``extract``.
        device : str
            "auto", "cpu", "cuda" or "cuda:N".
        progress : callable, optional
            Called with images done, images in all, and a text.
        quiet : bool
            Whether no progress bar is shown; by default, one is on a terminal and in a notebook.

        Returns
        -------
        ModelPredictions
            Its notes say which networks made the figures, and what was evaluated.

        Raises
        ------
        UsageError
            If there is no network of this name, or an option does not fit.
        ModelError
            If the network of all samples was not trained, a file is missing or damaged, or the
            images have a label that the model does not have.
        DataError
            If the images cannot be used.
        """
        from bottleneck.deploy.fit import read_target
        from bottleneck.deploy.prediction.application import apply_model
        from bottleneck.deploy.trained.network_calibration import deploy_networks

        choice = choose_network(self._folder.record, network)
        target = read_target(at_sensitivity, at_specificity)
        if target is not None and self.positive is None:
            raise UsageError(
                f"a threshold needs a positive class, and it is not known which of "
                f"{', '.join(self.classes)} is: repeat the training command with --positive "
                "LABEL, which trains no finished fold again"
            )
        deployed = deploy_networks(
            self._folder, choice, self.positive, target=target, unit=unit, aggregate=aggregate
        )
        rows = self._score(images, choice, output=output, device=device, progress=progress)
        return apply_model(
            deployed,
            deployed.join(rows.parts),
            None,
            rows.failures,
            error_rate,
            everyone=rows.everyone,
            fingerprint=rows.fingerprint,
            notes=(f"{choice.words}.", *rows.notes, _NO_DISTANCES),
        )

    def _score(
        self,
        images: Any,
        choice: NetworkChoice,
        *,
        output: str | Path,
        device: str,
        progress: Callable[[int, int, str], None] | None,
    ) -> _Scored:
        from bottleneck.deploy.prediction.input_rows import InputRows
        from bottleneck.deploy.trained.network_rows import extract_rows, score_rows, split_network

        record = self._folder.record
        networks = [
            split_network(
                self._folder.network(one, self.backbone), record, network_label(record, one)
            )
            for one in choice.members
        ]
        sets = extract_rows(
            images, networks, record, output=output, device=device, progress=progress
        )
        return _Scored(
            parts=tuple(
                score_rows(one, network.head, self.classes)
                for one, network in zip(sets, networks, strict=True)
            ),
            failures=sets[0].failures,
            everyone=InputRows.of_samples(images.samples),
            fingerprint=images.fingerprint,
        )
