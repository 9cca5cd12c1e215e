"""Models in use: the file of a fitted head, or the folder of trained networks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bottleneck.deploy.models import model_file
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.models.model_types import read_trust
from bottleneck.errors import ModelError, UsageError
from bottleneck.files.paths import as_path

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone
    from bottleneck.deploy.trained.trained_model import TrainedModel

__all__ = ["load_given", "load_model"]


def load_given(
    model: Model | TrainedModel | str | Path, *, trust: str | Iterable[str] = ()
) -> Model | TrainedModel:
    """Return a model that is given as itself, or by its file or folder.

    Parameters
    ----------
    model, trust
        As for ``load_model``.

    Raises
    ------
    UsageError
        If ``trust`` is given for a model that needs no loading.
    """
    if isinstance(model, str | Path):
        return load_model(model, trust=trust)
    if any(read_trust(trust)):
        raise UsageError(
            "trust is for the file of a model, and this model is in memory already: leave trust out"
        )
    return model


def load_model(
    path: str | Path, *, trust: str | Iterable[str] = (), backbone: Backbone | None = None
) -> Model | TrainedModel:
    """Read a model: a file of ``fit``, or a folder of ``finetune``.

    Parameters
    ----------
    path : str or Path
        File of ``Model.save``, or a folder that ``finetune`` wrote.
    trust : str or iterable of str
        Types in the file that are trusted, exactly those of ``Model.untrusted_types``: none for
        heads by name. Loading runs the code of these types, which must be installed here.
    backbone : Backbone, optional
        The backbone that was passed to ``finetune``, if it was a network of one's own.

    Returns
    -------
    Model or TrainedModel
        Both have the same ``predict``.

    Raises
    ------
    ModelError
        If the file is missing, damaged or not a model of bottleneck, or holds other types than
        those that are trusted, which the message names; or if the folder holds no finished
        training. Nothing is loaded then.
    UsageError
        If ``trust`` is given for a folder, or ``backbone`` for a file.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, fit
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> path = fit(FeatureSet.from_arrays(X, y), "logistic").save("logistic.skops")
    >>> load_model(path).classes
    ('benign', 'malignant')
    """
    path = as_path(path, "a model", "svm.skops")
    try:
        is_folder = path.is_dir()
    except OSError:  # What is wrong with the name, the reader of files says.
        is_folder = False
    if not is_folder:
        if backbone is not None:
            raise UsageError(
                f"backbone is for a folder of trained networks, but {path} is a file: leave "
                "backbone out"
            )
        return model_file.read_model(path, trust=trust)
    if any(read_trust(trust)):
        raise ModelError(
            f"{path} is a folder of trained networks, whose files run no code: leave out --trust "
            "(in Python: trust=)"
        )
    from bottleneck.deploy.trained.trained_model import TrainedModel

    return TrainedModel(path, backbone=backbone)
