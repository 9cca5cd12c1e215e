"""Fitted heads, with the recipe of their features."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from bottleneck.backbones.licences import LicencePolicy, require_licence
from bottleneck.backbones.recipe import sample_noun
from bottleneck.checks.ignored_checks import Ignore, leave_out, read_codes
from bottleneck.data.splits.protocol import Aggregate, Unit
from bottleneck.deploy.models.conformal import ConformalSets
from bottleneck.deploy.models.distance import TrainingReference
from bottleneck.deploy.models.evaluated_arm import EvaluatedArm
from bottleneck.deploy.models.model_fields import write_fields
from bottleneck.deploy.models.model_types import TRUSTED, find_burst, untrusted_types
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.errors import ModelError, describe_os_error, one_line
from bottleneck.evaluation.metrics.operating_points import OperatingThreshold
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids
from bottleneck.features.arrays.feature_inputs import Column, SampleFields
from bottleneck.files.paths import as_path
from bottleneck.files.writing import write_whole
from bottleneck.heads.head_catalogue import HEADS
from bottleneck.predictions import Kind
from bottleneck.processes.progress_bar import Progress
from bottleneck.processes.work_steps import shows_progress
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_names, describe, shortened, show_html

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone
    from bottleneck.deploy.inputs.new_inputs import NewInput
    from bottleneck.features.options import MachineKeywords

__all__ = ["MODEL_FORMAT", "Model"]

MODEL_FORMAT = "bottleneck-model/3"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """A fitted head, with the recipe of its features.

    Attributes
    ----------
    estimator : estimator
        The fitted scikit-learn estimator.
    head : str
        Name of the head.
    kind : {"decision", "probability"}
        Whether its scores are values of a decision function or probabilities.
    classifier : mapping
        Classes, parameters, versions of packages and search space of the head.
    classes : tuple of str
        All labels, sorted.
    positive : str or None
        The positive class.
    recipe : mapping
        Recipe of the features; the model can predict only from features of this recipe.
    recipe_hash : str
        Hash of the recipe.
    dataset, fingerprint : str
        Name and fingerprint of the training data set.
    trained_on : str
        "all samples", or "training and validation parts" of the data set.
    selection : mapping
        What was chosen of the data set: excluded (number of samples), left_out (class to number
        of samples), merged (new class to classes) and ``words``; empty if nothing was.
    n_samples : int
        Number of training samples.
    n_patients : int or None
        Number of training patients; None if they are not known.
    inner_score : float or None
        AUROC of the chosen hyperparameters over the inner folds. As a maximum it is biased
        upwards; use ``compare`` to estimate how good a head is.
    chosen : mapping of str to value
        The hyperparameters.
    converged : bool
        False if the solver stopped at its limit of iterations.
    versions : mapping of str to str
        Versions of Python and of the packages that trained it.
    unit : {"image", "patient"}
        What it predicts, and what the next four fields were fitted to, as in ``Protocol``.
    aggregate : {"mean", "max"}
        How the score of a patient follows from those of the images, as in ``Protocol``.
    sigmoids : Sigmoids or None
        Calibration of the scores, as in ``compare``. None: scores that are probabilities are
        kept, and values of a decision function have no probability.
    operating_point : OperatingThreshold or None
        The threshold of the positive class; None: the class with the largest score is decided.
    conformal : ConformalSets or None
        The nonconformity scores that the sets of new images follow from; None where there are no
        out-of-fold probabilities.
    reference : TrainingReference or None
        The features of training images, which the distances of new images are measured from.
    training : mapping
        Summary of the training samples: images and patients of each class, images of each
        centre, seed, inner folds, what was done with copies of different labels, and how many
        samples are regions of volumes (None for images).
    weights : mapping
        Name, source, sha256 and licence of the network's weights; empty for own features.
    comparison : EvaluatedArm or None
        What a comparison measured of this head; None where none was named.
    recalibrations : tuple of mapping
        Each recalibration of the model since, the first one first.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, fit
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> model = fit(FeatureSet.from_arrays(X, y), "logistic")
    >>> model.head, model.positive
    ('logistic', 'malignant')
    """

    estimator: Any
    head: str
    kind: Kind
    classifier: Mapping[str, Any]
    classes: tuple[str, ...]
    positive: str | None
    recipe: Mapping[str, Any]
    recipe_hash: str
    dataset: str
    fingerprint: str
    trained_on: str
    selection: Mapping[str, Any]
    n_samples: int
    n_patients: int | None
    inner_score: float | None
    chosen: Mapping[str, Any]
    converged: bool
    versions: Mapping[str, str]
    unit: Unit
    aggregate: Aggregate
    sigmoids: Sigmoids | None
    operating_point: OperatingThreshold | None
    conformal: ConformalSets | None
    reference: TrainingReference | None
    training: Mapping[str, Any]
    weights: Mapping[str, Any]
    comparison: EvaluatedArm | None
    recalibrations: tuple[Mapping[str, Any], ...]

    def __repr__(self) -> str:
        size = counted(self.n_samples, "sample")
        if self.n_patients is not None:
            size += f" of {counted(self.n_patients, 'patient')}"
        made_by = f"{self.recipe.get('backbone')} ({self.recipe.get('weights')})"
        classes, point = class_names(self.classes), self.operating_point
        return describe(
            self,
            self.head,
            f"on features from {shortened(made_by)}",
            f"trained on {size} of {shortened(self.dataset)}",
            "classes " + classes,
            "" if point is None else f"threshold for a {point.held} of {point.target:g}",
            f"recalibrated {counted(n, 'time')}" if (n := len(self.recalibrations)) else "",
            "" if self.converged else "the solver did not converge",
        )

    _repr_html_ = show_html

    @property
    def noun(self) -> str:
        """What the model takes in a word: "image" or "volume", which may be a region."""
        return sample_noun(self.recipe)

    @property
    def untrusted_types(self) -> tuple[str, ...]:
        """Types of the model that a reader of its file must trust; none for heads by name.

        Raises
        ------
        ModelError
            If the estimator cannot be saved.
        """
        return () if self.head in HEADS else untrusted_types(self._dump())

    @shows_progress("images")
    def predict(
        self,
        images: NewInput,
        *,
        y: Column = None,
        groups: Column = None,
        ids: Column = None,
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
        """Predict new images, exactly as the model was evaluated.

        The network, its weights and the preparation of the images are those of the recipe of the
        model. Where labels are known, the predictions have metrics, as of an external test.

        Parameters
        ----------
        images : path, list of paths, ImageDataset, array, FeatureSet or data frame
            Images, as for ``load_new_images``: files, a folder, a table of them, or arrays of
            uint8. Or features of the same recipe: a feature set or the path of its file; of a
            model that was trained on an array, the same columns in their order.
        y, groups, ids : array-like of shape (n_images,) or None
            Labels, patients and ids of a list of images or of an array; labels may be unknown.
        error_rate : float
            Error rate of the conformal sets, between 0 and 1.
        weights : str or Path, optional
            The weight file, in place of a search by its sha256. Other weights are refused.
        backbone : Backbone, optional
            The network, if it is one of your own.
        features : str or Path
            Folder of the feature files. A call that is repeated, also after a kill, computes only
            images without rows there. Rows of 32 images or fewer are not kept.
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
            Options of ``extract`` that change no row: device, batch_size, workers, compile,
            engine, address and pixel_cache.

        Returns
        -------
        ModelPredictions
            One row per image, in the order of the data set or the features. An image that cannot
            be read has a row with the reason.

        Raises
        ------
        UsageError
            If it is neither images nor features, the error rate is not between 0 and 1, or
            there is no such check.
        LicenceError
            If the policy refuses the licence of the weights.
        DataError
            If there is no image, or the images cannot be listed.
        WeightsError
            If the weights are not on this machine, or are other ones.
        ModelError
            If features have another recipe, or a label that the model does not have.
        FeatureFileError
            If a feature is not finite, or a feature file is damaged or in use.

        Examples
        --------
        >>> import numpy as np
        >>> from bottleneck import FeatureSet, fit
        >>> y = np.repeat(["benign", "malignant"], 20)
        >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
        >>> model = fit(FeatureSet.from_arrays(X, y), "logistic")
        >>> made = model.predict([[3, 3, 3, 3], [-2, -2, -2, -2]])
        >>> made.predictions.predicted.tolist()
        ['malignant', 'benign']
        """
        from bottleneck.deploy.prediction.head_prediction import predict_new

        codes = read_codes(ignore)
        require_licence(self.weights, licence_policy)
        made = predict_new(
            self,
            images,
            SampleFields(y, groups, ids),
            error_rate=error_rate,
            weights=weights,
            backbone=backbone,
            folder=features,
            progress=progress,
            **machine,
        )
        return leave_out(made, codes)

    def save(self, path: str | Path) -> Path:
        """Write the model to a file, atomically.

        ``untrusted_types`` lists what a reader of the file must trust.

        Parameters
        ----------
        path : str or Path
            File to write; an existing file is replaced.

        Returns
        -------
        Path
            The same path.

        Raises
        ------
        UsageError
            If the path is none.
        ModelError
            If the file cannot be written, or the estimator cannot be saved with skops.

        Examples
        --------
        >>> import numpy as np
        >>> from bottleneck import FeatureSet, fit, load_model
        >>> y = np.repeat(["benign", "malignant"], 20)
        >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
        >>> path = fit(FeatureSet.from_arrays(X, y), "logistic").save("logistic.skops")
        >>> load_model(path).head
        'logistic'
        """
        path = as_path(path, "a model", "svm.skops")
        data = self._dump()
        try:
            write_whole(path, data)
        except OSError as error:
            reason = describe_os_error(error)
            raise ModelError(f"cannot write the model to {path}: {reason}") from error
        return path

    def _dump(self) -> bytes:
        """Return the content of the model's file, which was read once as a test."""
        import skops.io

        content = {
            "format": MODEL_FORMAT,
            "metadata": write_fields(self),
            "estimator": self.estimator,
        }
        try:
            data: bytes = skops.io.dumps(content)
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if bomb := find_burst(archive, len(data)):
                    raise ValueError(f"{bomb}; use fewer trees, or fewer samples")
            if self.head not in HEADS:
                skops.io.loads(data, trusted=[*TRUSTED, *untrusted_types(data)])
        # skops has no error of its own for what it cannot save.
        except Exception as error:
            raise ModelError(
                f"the head {self.head} cannot be saved ({type(error).__name__}: "
                f"{one_line(error)}): skops cannot save lambdas or nested functions. evaluate and "
                "compare need no file"
            ) from error
        return data
