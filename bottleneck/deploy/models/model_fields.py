"""The fields of a model as the plain content of its file, and how a file's content is checked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, get_args

import numpy as np

from bottleneck.data.splits.protocol import Aggregate, Unit
from bottleneck.deploy.models.conformal import ConformalSets
from bottleneck.deploy.models.distance import TrainingReference
from bottleneck.deploy.models.evaluated_arm import EvaluatedArm
from bottleneck.errors import ModelError, UsageError
from bottleneck.evaluation.metrics.operating_points import OperatingThreshold
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids
from bottleneck.predictions import Kind
from bottleneck.settings.ranges import refuse_absurd
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    from bottleneck.deploy.models.model import Model

__all__ = [
    "check_fields",
    "describe_fields",
    "read_fields",
    "write_fields",
]


class _KeptValue(Protocol):
    """A value of a model that its file holds as plain content.

    Plain content is mappings, lists, texts, numbers, truth values, None, and arrays of finite
    numbers.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the plain content."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the value of plain content, or raise an error of bottleneck if it does not fit."""


# Fields of a model that are objects of their own, and their classes.
_KEPT: Mapping[str, type[_KeptValue]] = {
    "sigmoids": Sigmoids,
    "operating_point": OperatingThreshold,
    "conformal": ConformalSets,
    "reference": TrainingReference,
    "comparison": EvaluatedArm,
}

_TEXTS = ("head", "recipe_hash", "dataset", "fingerprint", "trained_on")
_MAPPINGS = ("recipe", "versions", "selection", "classifier", "chosen", "training", "weights")
_SCALARS = (str, int, float, bool, type(None))
_PLAIN = (dict, list, tuple, *_SCALARS)


def write_fields(model: Model) -> dict[str, Any]:
    """Return all fields of a model but its estimator, as plain content."""
    fields = {f.name: getattr(model, f.name) for f in dataclasses.fields(model)}
    del fields["estimator"]
    return {
        name: value.to_dict() if name in _KEPT and value is not None else value
        for name, value in fields.items()
    }


def describe_fields(model: Model) -> dict[str, Any]:
    """Return the fields of ``write_fields`` for people: of an array, how many numbers it has."""
    return {name: _without_numbers(value) for name, value in write_fields(model).items()}


def _without_numbers(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return f"{value.size} numbers"
    if isinstance(value, dict):
        return {name: _without_numbers(one) for name, one in value.items()}
    return [_without_numbers(one) for one in value] if isinstance(value, list) else value


def read_fields(content: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields of a model from the content of a file.

    Parameters
    ----------
    content : object
        What the file holds in their place.
    names : iterable of str
        Fields that a model has.

    Raises
    ------
    ModelError
        If a field is absent, unknown or not plain, or is not what ``write_fields`` made.
    """
    if type(content) is not dict:
        raise ModelError("its description is not a mapping")
    _check_plain(content)
    known = set(names) - {"estimator"}
    if lacking := known - set(content):
        raise ModelError(f"it lacks the field '{min(lacking)}'")
    if more := set(content) - known:
        raise ModelError(f"it has an unknown field {shorten(min(more))}")
    fields = dict(content)
    for name, kind in _KEPT.items():
        if fields[name] is None:
            continue
        wrong = f"the field '{name}' does not hold what fit writes"
        try:
            kept = kind.from_dict(_require(dict, fields[name], name))
            # Numbers that were given as texts, for example, are not what was written.
            if not _is_same(kept.to_dict(), fields[name]):
                raise ModelError(wrong)
        except (ModelError, UsageError):
            raise
        # Content that was changed can make the reader of a value raise anything.
        except Exception as error:
            raise ModelError(wrong) from error
        fields[name] = kept
    return fields


def _require(kind: type, value: Any, name: str) -> Any:
    if type(value) is not kind:
        raise ModelError(f"the field '{name}' has the wrong type")
    return value


def _is_same(a: Any, b: Any) -> bool:
    """Whether two plain contents are equal, in the types of their values too."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return set(a) == set(b) and all(_is_same(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_is_same, a, b))
    return bool(a == b)


def _check_plain(content: dict[str, Any]) -> None:
    """Raise ``ModelError`` if content holds objects, or more of anything than a model has."""
    try:
        refuse_absurd(content)
    except ValueError as error:
        raise ModelError(f"in its description, {error}") from error
    waiting: list[Any] = [content]
    while waiting:
        value = waiting.pop()
        if type(value) is np.ndarray:
            if value.dtype.kind not in "biuf" or value.ndim > 3 or not np.isfinite(value).all():
                raise ModelError("an array of its description does not hold finite numbers")
        elif type(value) not in _PLAIN:
            raise ModelError(
                "its description holds values other than text, numbers and lists of these"
            )
        elif isinstance(value, dict):
            if not all(type(key) is str for key in value):
                raise ModelError("a name in its description is not text")
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value


def check_fields(model: Model) -> None:
    """Raise ``ModelError`` if a field of a loaded model has the wrong type or does not fit others.

    Parameters
    ----------
    model : Model
        The model, of fields from ``read_fields``.
    """
    for name in _TEXTS:
        _require(str, getattr(model, name), name)
    for name in _MAPPINGS:
        _require(dict, getattr(model, name), name)
    choices = {"kind": Kind, "unit": Unit, "aggregate": Aggregate}
    classes = model.classes
    if not (
        type(classes) is tuple
        and all(type(name) is str for name in classes)
        and len(classes) > 1
        and list(classes) == sorted(set(classes))
    ):
        raise ModelError("the field 'classes' is not one that fit writes")
    checks = {
        "positive": type(model.positive) in (str, type(None))
        and model.positive in (None, *classes),
        "n_samples": _is_count(model.n_samples),
        "n_patients": model.n_patients is None or _is_count(model.n_patients),
        "inner_score": model.inner_score is None or _is_share(model.inner_score),
        "converged": type(model.converged) is bool,
        "training": _is_training(model.training),
        "selection": _is_selection(model.selection),
        "weights": all(type(value) in _SCALARS for value in model.weights.values()),
        "recalibrations": type(model.recalibrations) is tuple
        and all(map(_is_recalibration, model.recalibrations)),
        **{
            name: type(value := getattr(model, name)) is str and value in get_args(kind)
            for name, kind in choices.items()
        },
    }
    for name, fits in checks.items():
        if not fits:
            raise ModelError(f"the field '{name}' is not one that fit writes")
    n = len(classes)
    if model.sigmoids is not None and len(model.sigmoids.slopes) != (1 if n == 2 else n):
        raise ModelError(f"its calibration does not fit its {n} classes")
    if model.conformal is not None and model.conformal.classes != classes:
        raise ModelError("its nonconformity scores belong to other classes")
    if model.positive is None and (model.operating_point or model.aggregate == "max"):
        raise ModelError("it has a threshold or a maximum of scores, but no positive class")
    if model.aggregate == "max" and n != 2:
        raise ModelError(f"it takes the maximum of the scores of {n} classes")


def _is_training(training: Mapping[str, Any]) -> bool:
    counts = [training.get(name) for name in ("images", "patients", "centres")]
    return (
        counts[0] is not None
        and all(one is None or _is_counts(one) for one in counts)
        and all(_is_natural(training.get(name)) for name in ("seed", "inner_splits"))
        and type(training.get("conflicts")) is str
        and (training.get("regions") is None or _is_natural(training["regions"]))
    )


def _is_selection(selection: Mapping[str, Any]) -> bool:
    merged, left_out = selection.get("merged") or {}, selection.get("left_out") or {}
    return (
        type(merged) is type(left_out) is dict
        and all(
            isinstance(parts, list | tuple) and all(type(one) is str for one in parts)
            for parts in merged.values()
        )
        and type(selection.get("words", "")) is str
    )


def _is_recalibration(record: Any) -> bool:
    return (
        type(record) is dict
        and all(type(record.get(name)) is str for name in ("date", "what", "dataset"))
        and _is_counts(record.get("images"))
        and type(record.get("helps")) is bool
    )


def _is_counts(value: Any) -> bool:
    return type(value) is dict and all(map(_is_count, value.values()))


def _is_natural(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_share(value: Any) -> bool:
    return type(value) is float and math.isfinite(value) and 0 <= value <= 1
