"""Fitted heads, and the files they are kept in.

Files are in the form of skops, which names the types it holds, so that a file is refused
before anything in it is built: loading a model never runs code that came with it.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck.backbones.recipe import name_differences
from bottleneck.data.splits.patients import name_patients
from bottleneck.errors import ModelError, UsageError
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.files import find_bomb, write_whole
from bottleneck.heads.registry import get_head
from bottleneck.heads.search import refuse_not_finite, score_classes
from bottleneck.predictions import Predictions

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["Model", "load_model", "model_file_name"]

_FORMAT = "bottleneck-model/1"

# All that our heads hold beyond what skops trusts by itself.
_TRUSTED = (
    "bottleneck.heads.estimators.BalancedMLPClassifier",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A head fitted for use on samples that it has not seen.

    Attributes
    ----------
    estimator : Pipeline
        The fitted scikit-learn pipeline.
    head : str
        Its name in the catalogue.
    classes : tuple of str
        All labels, sorted.
    positive : str or None
        The positive class.
    recipe : mapping
        What made the features; only features of this recipe can be predicted from.
    recipe_hash : str
        Its hash.
    dataset, fingerprint : str
        Name and fingerprint of the data set trained on.
    trained_on : str
        Which part of it: "all samples", or "training and validation parts".
    n_samples : int
        Number of samples trained on.
    n_patients : int or None
        Number of patients trained on, where known.
    inner_score : float or None
        AUROC of the chosen hyperparameters over the inner folds. It was maximised, so it
        flatters: compare, not this, says how good a head is.
    chosen : mapping of str to value
        The hyperparameters.
    converged : bool
        False where the solver stopped at its limit.
    versions : mapping of str to str
        What it was trained with.
    """

    estimator: Pipeline
    head: str
    classes: tuple[str, ...]
    positive: str | None
    recipe: Mapping[str, Any]
    recipe_hash: str
    dataset: str
    fingerprint: str
    trained_on: str
    n_samples: int
    n_patients: int | None
    inner_score: float | None
    chosen: Mapping[str, Any]
    converged: bool
    versions: Mapping[str, str]

    def predict(self, features: FeatureSet) -> Predictions:
        """Predict every sample of a feature set, labelled with the model's classes.

        Parameters
        ----------
        features : FeatureSet
            Features of the model's recipe.

        Returns
        -------
        Predictions
            One row a sample, in the order of the features, all in repeat 0 and fold 0.

        Raises
        ------
        ModelError
            If the features are of another recipe, or have a label the model does not know.
        FeatureFileError
            If a feature is not finite.
        """
        if features.recipe_hash != self.recipe_hash:
            differing = name_differences(self.recipe, features.provenance["recipe"])
            raise ModelError(
                f"the model needs features of the recipe it was trained on, and these are of "
                f"another: {'; '.join(differing) or 'the hashes differ'}. "
                f"Extract these images again with the model's recipe"
            )
        unknown = sorted(set(features.classes) - set(self.classes))
        if unknown:
            raise ModelError(
                f"the model knows the classes {', '.join(self.classes)}, and "
                f"{np.isin(features.y, unknown).sum()} of {len(features)} samples have another "
                f"label ('{unknown[0]}'): map the labels to the model's, or leave these out"
            )
        refuse_not_finite(features.X)
        head = get_head(self.head)
        zeros = np.zeros(len(features), dtype=np.int64)
        try:
            predicted = self.estimator.predict(features.X.astype(np.float64))
            scores = score_classes(head, self.estimator, features.X)
        # A file can hold an estimator of the right type whose parts do not fit together.
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise ModelError(
                f"the model cannot predict from these features ({error}); is its file damaged? "
                f"Train the head again with fit"
            ) from error
        return Predictions(
            ids=features.ids,
            groups=name_patients(features.groups, features.ids),
            repeats=zeros,
            folds=zeros,
            labels=features.y,
            predicted=predicted,
            scores=scores,
            classes=self.classes,
            kind=head.kind,
        )

    def save(self, path: str | Path) -> Path:
        """Write the model to a file, which appears whole or not at all.

        Parameters
        ----------
        path : str or Path
            The target; replaced where it exists.

        Returns
        -------
        Path
            The target.

        Raises
        ------
        ModelError
            If it cannot be written.
        """
        import skops.io

        path = Path(path)
        metadata = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        estimator = metadata.pop("estimator")
        content = {"format": _FORMAT, "metadata": metadata, "estimator": estimator}
        data = skops.io.dumps(content)
        try:
            write_whole(path, data)
        except OSError as error:
            raise ModelError(f"cannot write the model to {path}: {error.strerror}") from error
        return path


def load_model(path: str | Path) -> Model:
    """Read a model that ``Model.save`` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelError
        If the file is missing, damaged or no model of ours, or holds types that no head
        needs; these are named, and none of them is loaded.
    """
    import skops.io

    path = Path(path)
    trusted = list(_TRUSTED)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            bomb = find_bomb(archive)
        if bomb:
            raise ModelError(f"{path} is not loaded, for it may be a bomb: {bomb}")
        untrusted = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
        content: Any = None if untrusted else skops.io.loads(data, trusted=trusted)
    except ModelError:
        raise
    except Exception as error:  # there is no end to what damaged bytes make a parser raise
        raise ModelError(
            f"{path} is damaged, or no model of bottleneck ({type(error).__name__}: {error}): "
            f"copy it again, or train the head again with fit"
        ) from error
    if untrusted:
        raise ModelError(
            f"{path} holds types that no head of bottleneck needs, and was not loaded: "
            f"{', '.join(untrusted)}"
        )
    try:
        if content["format"] != _FORMAT:
            raise ModelError(f"{path} is of the form {content['format']!r}, not '{_FORMAT}'")
        model = Model(estimator=content["estimator"], **content["metadata"])
        _check_types(model)
        head = get_head(model.head)
        built = [h.build(0) for h in (head, head.large) if h is not None]
        steps = [type(step) for step in model.estimator]
        if all(steps != [type(step) for step in pipeline] for pipeline in built):
            raise ModelError(f"{path} holds another estimator than the head '{model.head}'")
        if tuple(model.estimator.classes_) != model.classes:
            raise ModelError(f"{path} holds an estimator of other classes than it says")
    except (AttributeError, KeyError, TypeError, UsageError, ValueError) as error:
        raise ModelError(f"{path} is no model of bottleneck: {error}") from error
    return model


def _check_types(model: Model) -> None:
    texts = (model.head, model.recipe_hash, model.dataset, model.fingerprint, model.trained_on)
    sound = (
        all(isinstance(text, str) for text in (*texts, *model.classes))
        and isinstance(model.classes, tuple)
        and all(isinstance(field, Mapping) for field in (model.recipe, model.versions))
        and isinstance(model.positive, str | None)
    )
    if not sound:
        raise TypeError("its description has fields of other types")


def model_file_name(features: str | Path, head: str) -> str:
    """Name the file of a model after the feature file it was trained on.

    Parameters
    ----------
    features : str or Path
        The feature file.
    head : str
        Name of the head.
    """
    return f"{Path(features).stem}--{head}.skops"
