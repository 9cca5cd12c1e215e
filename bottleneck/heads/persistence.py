"""Fitted heads and their files.

Files have the format of skops, which lists the types in a file before any object is built.
Loading a model therefore never runs code from its file.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck.backbones.recipe import name_differences
from bottleneck.errors import ModelError, UsageError, describe_os_error, one_line
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.files.archives import find_bomb
from bottleneck.files.small_files import read_small
from bottleneck.files.writing import write_whole
from bottleneck.heads.head_catalogue import get_head
from bottleneck.heads.search import check_finite, score_classes
from bottleneck.predictions import Predictions, predicted_classes
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_names, describe, shortened, show_html

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["Model", "load_model", "model_file_name"]

_FORMAT = "bottleneck-model/1"
# Bytes of a file, and of the description of its objects.
_MAX_BYTES, _MAX_SCHEMA = 2**31, 4_194_304

# The types of our heads that skops does not trust by default.
_TRUSTED = (
    "bottleneck.heads.estimators.BalancedMLPClassifier",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A fitted head, with the recipe of its features.

    Attributes
    ----------
    estimator : Pipeline
        The fitted scikit-learn pipeline.
    head : str
        Name of the head.
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

    estimator: Pipeline
    head: str
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

    def __repr__(self) -> str:
        size = counted(self.n_samples, "sample")
        if self.n_patients is not None:
            size += f" of {counted(self.n_patients, 'patient')}"
        made_by = f"{self.recipe.get('backbone')} ({self.recipe.get('weights')})"
        classes = class_names(self.classes)
        return describe(
            self,
            self.head,
            f"on features by {shortened(made_by)}",
            f"trained on {size} of {shortened(self.dataset)}",
            "classes " + classes,
            "" if self.converged else "the solver did not converge",
        )

    _repr_html_ = show_html

    def predict(self, features: FeatureSet) -> Predictions:
        """Predict the class of every sample of a feature set.

        Parameters
        ----------
        features : FeatureSet
            Features of the same recipe as the model.

        Returns
        -------
        Predictions
            One row per sample, in the order of the features, all in repeat 0 and fold 0.

        Raises
        ------
        ModelError
            If the features have another recipe, or a label that the model does not have.
        FeatureFileError
            If a feature is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from bottleneck import FeatureSet, fit
        >>> y = np.repeat(["benign", "malignant"], 20)
        >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
        >>> model = fit(FeatureSet.from_arrays(X, y), "logistic")
        >>> new = FeatureSet.from_arrays([[3, 3, 3, 3], [-2, -2, -2, -2]], ["malignant", "benign"])
        >>> model.predict(new).predicted.tolist()
        ['malignant', 'benign']
        """
        if features.recipe_hash != self.recipe_hash:
            differing = name_differences(self.recipe, features.provenance["recipe"])
            raise ModelError(
                f"the model needs features of the recipe that it was trained on, but these have "
                f"another: {'; '.join(differing) or 'the hashes differ'}. "
                f"Extract these images again with the recipe of the model"
            )
        unknown = sorted(set(features.classes) - set(self.classes))
        if unknown:
            raise ModelError(
                f"the model has the classes {', '.join(self.classes)}, but "
                f"{np.isin(features.y, unknown).sum()} of {len(features)} samples have another "
                f"label ('{unknown[0]}'): map the labels to those of the model, or exclude these "
                f"samples (FeatureSet.choose){self._chosen}"
            )
        check_finite(features.X)
        head = get_head(self.head)
        zeros = np.zeros(len(features), dtype=np.int64)
        try:
            scores = score_classes(head, self.estimator, features.X)
        # A damaged file can hold an estimator of the right type with inconsistent arrays.
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise ModelError(
                f"the model cannot predict from these features ({one_line(error)}); is its file "
                f"damaged? Train the head again with fit"
            ) from error
        return Predictions(
            ids=features.ids,
            groups=features.patients,
            repeats=zeros,
            folds=zeros,
            labels=features.y,
            predicted=predicted_classes(scores, self.classes),
            scores=scores,
            classes=self.classes,
            kind=head.kind,
        )

    @property
    def _chosen(self) -> str:
        words = self.selection.get("words")
        return f". It was trained on a selection: {words}" if words else ""

    def save(self, path: str | Path) -> Path:
        """Write the model to a file, atomically.

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
        ModelError
            If the file cannot be written.

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
        import skops.io

        path = Path(path)
        metadata = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        estimator = metadata.pop("estimator")
        content = {"format": _FORMAT, "metadata": metadata, "estimator": estimator}
        data = skops.io.dumps(content)
        try:
            write_whole(path, data)
        except OSError as error:
            reason = describe_os_error(error)
            raise ModelError(f"cannot write the model to {path}: {reason}") from error
        return path


def load_model(path: str | Path) -> Model:
    """Read a model from a file of ``Model.save``.

    Parameters
    ----------
    path : str or Path
        File of the model.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelError
        If the file is missing, damaged or not a model of bottleneck, or holds types that no
        head needs. The message names these types; none of them is loaded.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, fit
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> path = fit(FeatureSet.from_arrays(X, y), "logistic").save("logistic.skops")
    >>> load_model(path).n_samples
    40
    """
    import skops.io

    path = Path(path)
    trusted = list(_TRUSTED)
    data = read_small(path, "model", limit=_MAX_BYTES, error=ModelError)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if bomb := _find_burst(archive, len(data)):
                raise ModelError(
                    f"{path} was not loaded, because it may be a decompression bomb: {bomb}"
                )
        untrusted = sorted(set(skops.io.get_untrusted_types(data=data)) - set(trusted))
        content: Any = None if untrusted else skops.io.loads(data, trusted=trusted)
    except ModelError:
        raise
    except Exception as error:  # damaged bytes can make a parser raise anything
        raise ModelError(
            f"{path} is damaged, or not a model of bottleneck "
            f"({type(error).__name__}: {one_line(error)}): "
            f"copy it again, or train the head again with fit"
        ) from error
    if untrusted:
        raise ModelError(
            f"{path} was not loaded, because it holds types that no head of bottleneck needs: "
            f"{', '.join(untrusted)}"
        )
    try:
        if content["format"] != _FORMAT:
            raise ModelError(f"{path} has the format {content['format']!r}, not '{_FORMAT}'")
        model = Model(estimator=content["estimator"], **content["metadata"])
        _check_types(model)
        head = get_head(model.head)
        built = [h.build(0) for h in (head, head.large) if h is not None]
        steps = [type(step) for step in model.estimator]
        if all(steps != [type(step) for step in pipeline] for pipeline in built):
            raise ModelError(
                f"{path} holds an estimator other than that of the head '{model.head}'"
            )
        if tuple(model.estimator.classes_) != model.classes:
            raise ModelError(
                f"{path} holds an estimator with classes other than those listed in it"
            )
    except (AttributeError, KeyError, TypeError, UsageError, ValueError) as error:
        raise ModelError(f"{path} is not a model of bottleneck: {error}") from error
    return model


def _find_burst(archive: zipfile.ZipFile, size: int) -> str | None:
    """Return why an archive would take more memory than its bytes; None if it would not."""
    if bomb := find_bomb(archive):
        return bomb
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED:
            return f"{member.filename} is compressed, and models are not"
        if member.filename == "schema.json" and member.file_size > _MAX_SCHEMA:
            return f"schema.json has {member.file_size:,} bytes, and {_MAX_SCHEMA:,} are allowed"
    if (unpacked := sum(member.file_size for member in archive.infolist())) > size:
        return f"its {size:,} bytes would become {unpacked:,}"
    names = Counter(name for name, _ in set(_named_files(json.loads(archive.read("schema.json")))))
    if repeated := [name for name, n in names.items() if n > 1]:
        return f"it would read {repeated[0]} {names[repeated[0]]} times"
    return None


def _named_files(schema: object) -> Iterator[tuple[str, object]]:
    """Yield the members that hold the arrays of a description, with the id of the object.

    skops builds an object once, however often its id is named.
    """
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
            if isinstance(node.get("file"), str):
                known = node.get("__id__")
                yield node["file"], known if isinstance(known, int) else id(node)
        elif isinstance(node, list):
            waiting += node


def _check_types(model: Model) -> None:
    texts = (model.head, model.recipe_hash, model.dataset, model.fingerprint, model.trained_on)
    sound = (
        all(isinstance(text, str) for text in (*texts, *model.classes))
        and isinstance(model.classes, tuple)
        and all(isinstance(m, Mapping) for m in (model.recipe, model.versions, model.selection))
        and isinstance(model.positive, str | None)
    )
    if not sound:
        raise TypeError("its metadata has fields of the wrong type")


def model_file_name(features: str | Path, head: str, cohort: str | None = None) -> str:
    """Return the file name of a model trained on a feature file.

    Parameters
    ----------
    features : str or Path
        Path of the feature file.
    head : str
        Name of the head.
    cohort : str or None
        Fingerprint of the samples that were chosen; None for all.
    """
    chosen = "" if cohort is None else f"--{cohort[:8]}"
    return f"{Path(features).stem}{chosen}--{head}.skops"
