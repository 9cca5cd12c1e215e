"""Files of fitted heads.

Files have the format of skops, which lists the types in a file before any object is built.
Loading a model therefore runs no code that its file names, but for the types that the caller
trusts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bottleneck.backbones.recipe import slug
from bottleneck.deploy.models.model import MODEL_FORMAT, Model
from bottleneck.deploy.models.model_fields import check_fields, read_fields
from bottleneck.deploy.models.model_types import (
    MAX_BYTES,
    TRUSTED,
    find_burst,
    read_trust,
    refuse_other_types,
    untrusted_types,
)
from bottleneck.errors import ModelError, UsageError, one_line
from bottleneck.files.paths import as_path
from bottleneck.files.small_files import read_small
from bottleneck.heads.estimators.array_check import refuse_broken_arrays
from bottleneck.heads.estimators.scores import order_classes
from bottleneck.heads.head_catalogue import HEADS, get_head
from bottleneck.text.short_repr import shorten

__all__ = ["model_file_name", "read_model"]


def read_model(path: str | Path, *, trust: str | Iterable[str] = ()) -> Model:
    """Read a model from a file of ``Model.save``.

    Parameters
    ----------
    path : str or Path
        File of the model.
    trust : str or iterable of str
        Types in the file that are trusted, exactly those of ``Model.untrusted_types``: none for
        heads by name. Loading runs the code of these types, which must be installed here.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ModelError
        If the file is missing, damaged or not a model of bottleneck, or holds other types than
        those that are trusted. The message names them; nothing of the file is loaded.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, fit
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> path = fit(FeatureSet.from_arrays(X, y), "logistic").save("logistic.skops")
    >>> read_model(path).n_samples
    40
    """
    import skops.io

    path = as_path(path, "a model", "svm.skops")
    given = read_trust(trust)
    data = read_small(path, "model", limit=MAX_BYTES, error=ModelError)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if bomb := find_burst(archive, len(data)):
                raise ModelError(
                    f"{path} was not loaded, because it may be a decompression bomb: {bomb}"
                )
        untrusted = untrusted_types(data)
    except ModelError:
        raise
    except Exception as error:  # damaged bytes can make a parser raise anything
        raise _damaged(path, error) from error
    refuse_other_types(path, untrusted, given)
    try:
        content: Any = skops.io.loads(data, trusted=[*TRUSTED, *untrusted])
    except (ImportError, AttributeError) as error:
        if not untrusted:
            raise _damaged(path, error) from error
        raise ModelError(
            f"{path} needs {', '.join(untrusted)}, of which some types are missing here "
            f"({one_line(error)}): "
            "install its package, or run in the folder of its module"
        ) from error
    except Exception as error:  # as above
        raise _damaged(path, error) from error
    if type(content) is not dict or set(content) != {"format", "metadata", "estimator"}:
        raise ModelError(f"{path} is not a bottleneck model: it holds other data")
    if type(stated := content["format"]) is not str or stated != MODEL_FORMAT:
        shown = shorten(stated) if type(stated) is str else "of no name"
        raise ModelError(
            f"{path} has the format {shown}, not '{MODEL_FORMAT}': train the head again with fit"
        )
    names = [field.name for field in dataclasses.fields(Model)]
    try:
        fields = read_fields(content["metadata"], names)
        model = Model(estimator=content["estimator"], **fields)
        check_fields(model)
    except (ModelError, UsageError) as error:
        raise ModelError(f"{path} is not a bottleneck model: {one_line(error)}") from error
    try:
        refuse_broken_arrays(model.estimator)
        _check_estimator(path, model)
    except ModelError:
        raise
    # The attributes of an estimator are what the file says.
    except Exception as error:
        raise _damaged(path, error) from error
    return model


def _damaged(path: Path, error: Exception) -> ModelError:
    if path.suffix in (".h5", ".hdf5"):
        return ModelError(
            f"{path} is a feature file, where a model (.skops) was expected: `bottleneck fit "
            f"{path}` makes one"
        )
    return ModelError(
        f"{path} is damaged, or not a bottleneck model ({type(error).__name__}: "
        f"{one_line(error)}): "
        f"copy it again, or train the head again with fit"
    )


def _check_estimator(path: Path, model: Model) -> None:
    """Raise ``ModelError`` if the estimator is not that of the head, or has other classes."""
    method = "predict_proba" if model.kind == "probability" else "decision_function"
    known = hasattr(model.estimator, method)
    if known and model.head in HEADS:
        head = get_head(model.head)
        built = [h.build(0) for h in (head, head.large) if h is not None]
        steps = [type(step) for step in getattr(model.estimator, "named_steps", {}).values()]
        known = any(steps == [type(step) for step in pipeline] for pipeline in built)
    if not known:
        raise ModelError(f"{path} holds an estimator other than that of the head '{model.head}'")
    reference, width = model.reference, getattr(model.estimator, "n_features_in_", None)
    if reference is not None and width not in (None, reference.rows.shape[1]):
        raise ModelError(f"{path} holds training images with another number of features")
    try:
        order_classes(model.estimator, model.classes)
    except UsageError as error:
        raise ModelError(
            f"{path} holds an estimator with classes other than those listed in it"
        ) from error


def model_file_name(features: str | Path, head: str, cohort: str | None = None) -> str:
    """Return the file name of a model trained on a feature file.

    Parameters
    ----------
    features : str or Path
        Path of the feature file.
    head : str
        Name of the head. If it has characters that file names do not take, a part of its hash
        distinguishes it from others.
    cohort : str or None
        Fingerprint of the samples that were chosen; None for all.
    """
    name = slug(head)
    if name != head:
        name = f"{name}-{hashlib.sha256(head.encode()).hexdigest()[:6]}"
    chosen = "" if cohort is None else f"--{cohort[:8]}"
    return f"{Path(features).stem}{chosen}--{name}.skops"
