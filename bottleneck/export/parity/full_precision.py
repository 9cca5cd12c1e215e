"""A model whose network computes in float32, with the reference decoding of pictures."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from bottleneck.backbones.recipe import Recipe, name_decoding, read_recipe
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.trained_model import TrainedModel

__all__ = ["in_full_precision", "precision_words"]


def precision_words(model: Model | TrainedModel) -> str:
    """Return the arithmetic of the model's features, if it is not that of an export; else "".

    Examples
    --------
    >>> from bottleneck.testing import tiny_backbone
    >>> from types import SimpleNamespace
    >>> recipe = tiny_backbone().recipe("bf16", "fast").to_dict()
    >>> _of_recipe(read_recipe(recipe))
    'bf16, pictures resized by torchvision'
    """
    if isinstance(model, Model):
        return _of_recipe(read_recipe(model.recipe))
    record = model._folder.record
    if record.features is not None:
        return _of_recipe(read_recipe(record.features.recipe))
    return "" if record.config.precision == "fp32" else str(record.config.precision)


def _of_recipe(recipe: Recipe) -> str:
    resized = "pictures resized by torchvision" if recipe.is_fast else ""
    precision = recipe.precision if recipe.precision != "fp32" or resized else ""
    return ", ".join(filter(None, (precision, resized)))


def in_full_precision(model: Model | TrainedModel) -> Model | TrainedModel:
    """Return a model that is the same apart from the arithmetic of its network.

    It predicts pictures by a recipe in fp32, which resizes as the preprocessing of the weights
    states. Conformal sets and distances, which belong to the other features, are left out.

    Parameters
    ----------
    model : Model or TrainedModel
        The model.
    """
    if isinstance(model, Model):
        return dataclasses.replace(model, **_full(model.recipe), reference=None, conformal=None)
    made, folder = copy.copy(model), copy.copy(model._folder)
    record = folder.record
    features = record.features
    folder.record = dataclasses.replace(
        record,
        config=dataclasses.replace(record.config, precision="fp32"),
        features=features and dataclasses.replace(features, **_full(features.recipe)),
    )
    made._folder = folder
    return made


def _full(record: Mapping[str, Any]) -> dict[str, Any]:
    stated = read_recipe(record)
    decoding = name_decoding(stated.preprocessing, "reference")
    recipe = dataclasses.replace(stated, precision="fp32", decoding=decoding)
    return {"recipe": recipe.to_dict(), "recipe_hash": recipe.hash}
