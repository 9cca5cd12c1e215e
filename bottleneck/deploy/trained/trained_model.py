"""Networks of a finished training as a model, which predicts on new images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from bottleneck.backbones.licences import LicencePolicy, require_licence
from bottleneck.backbones.recipe import sample_noun
from bottleneck.checks.ignored_checks import Ignore, leave_out, read_codes
from bottleneck.data.labels.positive_class import recognise_positive
from bottleneck.data.splits.protocol import Aggregate, Unit
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.deploy.trained.network_choice import network_names
from bottleneck.features.arrays.feature_inputs import Column, SampleFields
from bottleneck.finetune.training_folder.trained_folder import TrainedFolder
from bottleneck.processes.progress_bar import Progress
from bottleneck.processes.work_steps import shows_progress
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_names, describe, shortened

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone
    from bottleneck.deploy.inputs.new_inputs import NewInput
    from bottleneck.deploy.prediction.model_predictions import ModelPredictions
    from bottleneck.features.options import MachineKeywords

__all__ = ["TrainedModel"]


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
    recipe : mapping
        Recipe of the features that a classifier was trained on; empty where networks take images.
    weights : mapping
        Name, sha256 and licence of the weights that the training began with, or of those of the
        features; empty for columns of an array.
    selection : mapping
        What was chosen of the training data set, as in ``Model``.

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
        self.recipe = {} if record.features is None else record.features.recipe
        began = {
            "name": record.network.weights,
            "sha256": record.network.weights_sha256,
            "licence": record.network.licence,
        }
        self.weights = began if record.features is None else dict(record.features.weights or {})
        self.selection = record.dataset.selection

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

    @property
    def noun(self) -> str:
        """What the networks take in a word: "image" or "volume", which may be a region."""
        if self.recipe:
            return sample_noun(self.recipe)
        how = self._folder.record.network.preprocessing
        return "volume" if isinstance(how, VolumePreprocessing) else "image"

    def describe(self) -> dict[str, Any]:
        """Return what the training is, as headings and plain values."""
        record = self._folder.record
        stated, data = record.network, record.dataset
        return {
            "arm": self.name,
            "classes": ", ".join(
                f"{name} (positive)" if name == self.positive else name for name in self.classes
            ),
            "trained on": ". ".join(
                filter(
                    None,
                    (
                        f"{counted(data.n_samples, self.noun)} of {data.name}",
                        data.selection.get("words"),
                    ),
                )
            ),
            "networks": list(self.networks),
            "began with": f"{stated.backbone}, weights {stated.weights}"
            + (f", licence {stated.licence}" if stated.licence else ""),
            "takes": f"{self.noun}s"
            + ("" if record.features is None else ", or features of its recipe"),
            "precision": record.config.precision,
            "seed": record.seed,
            "evaluation": "no evaluation is kept here: compare evaluates the networks of the folds",
            "preprocessing": stated.preprocessing and stated.preprocessing.to_dict(),
        }

    @shows_progress("images")
    def predict(
        self,
        images: NewInput,
        *,
        y: Column = None,
        groups: Column = None,
        ids: Column = None,
        network: str | None = None,
        at_sensitivity: float | None = None,
        at_specificity: float | None = None,
        unit: Unit = "image",
        aggregate: Aggregate = "mean",
        error_rate: float = 0.1,
        weights: str | Path | None = None,
        backbone: Backbone | None = None,
        features: str | Path = "features",
        ignore: Ignore = (),
        licence_policy: LicencePolicy = "any",
        progress: Progress | None = None,
        quiet: bool = False,
        **machine: Unpack[MachineKeywords],
    ) -> ModelPredictions:
        """Predict new images, as the networks of the folds were evaluated.

        As in a comparison, the scores of a network are calibrated by a sigmoid on the validation
        set of its fold, and its threshold is chosen there.

        Parameters
        ----------
        images : path, list of paths, ImageDataset, array, FeatureSet or data frame
            Images, as for ``Model.predict``. A classifier that was trained on features takes
            features of the same recipe too.
        y, groups, ids : array-like of shape (n_images,) or None
            Labels, patients and ids of a list of images or of an array; labels may be unknown.
        network : str, optional
            "mean", the mean of the calibrated probabilities of the networks of all folds;
            "fold-1", the network of the first fold ("repeat-1-fold-1" where there are repeats); or
            "refit", the network of all samples, if it was trained. By default the mean; with a
            single fold, its network.
        at_sensitivity, at_specificity : float, optional
            Decide at the threshold that reaches this sensitivity, or this specificity: of a
            network on its validation set, and of the mean on the test folds; at most one of the
            two. By default, the class of the largest score is decided.
        unit, aggregate : {"image", "patient"}, {"mean", "max"}
            What is predicted, and how a patient's score follows from those of the images, as in
            ``Protocol``.
        error_rate : float
            Error rate of the conformal sets, between 0 and 1. They are fitted on test folds, which
            the network that predicts them was not trained on.
        weights, backbone
            As for ``Model.predict``: where a classifier was trained on features, the weights or
            the network that images are extracted with. Otherwise ``backbone`` is the one that was
            passed to ``finetune``, if it was a network of one's own.
        features : str or Path
            Folder of the feature files. Images with rows there are not computed again.
        ignore : str or sequence of str
            Codes of checks whose warnings are not shown, such as "BF401". They are counted in
            ``ignored``.
        licence_policy : {"any", "commercial"}
            "commercial" refuses a model of weights whose licence does not allow commercial use, or
            is not stated.
        progress : callable or None
            Called with the number of steps done, their total, and a text.
        quiet : bool
            Whether no progress bar is shown; by default, one is on a terminal and in a notebook.
        **machine
            Options of ``extract`` that change no row.

        Returns
        -------
        ModelPredictions
            ``network`` and ``origin`` say which networks predicted, and what was evaluated.

        Raises
        ------
        UsageError
            If there is no network of this name, or an option does not fit.
        ModelError
            If the network of all samples was not trained, a file is missing or damaged, or an
            image has a label that the model does not have.
        LicenceError
            If the policy refuses the licence of the weights.
        DataError
            If there is no image, or the images cannot be listed.
        """
        from bottleneck.deploy.trained.network_prediction import predict_with_networks

        codes = read_codes(ignore)
        require_licence(self.weights, licence_policy)
        made = predict_with_networks(
            self._folder,
            images,
            SampleFields(y, groups, ids),
            positive=self.positive,
            network=network,
            at_sensitivity=at_sensitivity,
            at_specificity=at_specificity,
            unit=unit,
            aggregate=aggregate,
            error_rate=error_rate,
            weights=weights,
            backbone=backbone or self.backbone,
            features=features,
            progress=progress,
            **machine,
        )
        return leave_out(made, codes)
