"""Provenance for the report: without absolute paths, and readable."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.data.images.preparation import name_mask, recorded_preparation
from bottleneck.evaluation.cases.wrong_cases import WrongCase
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.predictions import Predictions
from bottleneck.text.plain_text import without_paths

__all__ = [
    "feature_recipes",
    "fields",
    "flatten",
    "plain",
    "readable",
    "shareable",
    "shared_and_own",
]

# Columns of an array that a report names.
_N_COLUMNS = 10


def plain(value: Any, text: Callable[[str], str] = str) -> Any:
    """Convert a value to types of strict JSON.

    Parameters
    ----------
    value : object
        Mapping, dataclass, sequence, array, NumPy scalar, path, number or text. A CheckWarning
        becomes a mapping of its code and its text.
    text : callable
        Function applied to all texts, the keys of mappings included, such as ``without_paths``.
        Keys that become the same are numbered.

    Returns
    -------
    object
        The converted value; NaN and infinity become None.
    """
    if isinstance(value, Mapping):
        return _mapped(value, text, lambda inner: plain(inner, text))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), text) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), text)
    if isinstance(value, list | tuple):
        return [plain(v, text) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, CheckWarning):
        return {"code": value.code, "text": text(str(value))}
    return text(str(value))


def _mapped(
    value: Mapping[Any, Any], text: Callable[[str], str], convert: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return a mapping with converted values under keys that a function has changed."""
    changed: dict[str, Any] = {}
    taken = {str(key) for key in value}
    for key, inner in value.items():
        name = text(str(key))
        if name != str(key):
            name = _unused(name, taken)
            taken.add(name)
        changed[name] = convert(inner)
    return changed


def _unused(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the name itself, or with a number."""
    names = (name if n == 1 else f"{name} ({n})" for n in itertools.count(1))
    return next(one for one in names if one not in taken)


def shareable(comparison: Comparison) -> Comparison:
    """Return a comparison whose texts hold no absolute paths, whatever its records say.

    Labels of classes stay, and so do ids and patients. Arms whose names become the same are
    numbered.
    """
    names = [e.name for e in comparison.evaluations]
    known = {label: label for label in comparison.classes}
    taken = {*names, *comparison.classes}
    for name in names:
        known[name] = name
        if (short := without_paths(name)) != name:
            known[name] = _unused(short, taken)
            taken.add(known[name])
    return _replace(comparison, lambda text: known.get(text) or without_paths(text))


def _replace(value: Any, text: Callable[[str], str]) -> Any:
    """Return a value with a function applied to all texts in it, but those of single samples."""
    # Ids are those of predictions.csv; the page shows them without paths.
    if isinstance(value, Predictions | np.ndarray | WrongCase):
        return value
    if isinstance(value, CheckWarning):
        return value.map(text)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, PurePath):
        return type(value)(text(str(value)))
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            return value
        return _mapped(value, text, lambda inner: _replace(inner, text))
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_replace(inner, text) for inner in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.init]
        changed = {name: _replace(getattr(value, name), text) for name in fields}
        if any(changed[name] is not getattr(value, name) for name in fields):
            return dataclasses.replace(value, **changed)
    return value


def readable(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provenance with units and the resizing that was used, and with long texts shortened.

    A mask becomes a name, and of the columns of an array the first ten are named.
    """
    shown = dict(_named_masks(provenance))
    decoding = str(shown.get("recipe", {}).get("decoding", ""))
    if decoding.endswith("-fast"):
        # The preprocessing names the resizer of the weights' publisher.
        used = f"{decoding} (resized by torchvision instead of the resizer)"
        shown["recipe"] = {**shown["recipe"], "decoding": used}
    elif decoding.endswith("-device"):
        used = f"{decoding} (plain JPEG decoded and resized by the device, all else by torchvision)"
        shown["recipe"] = {**shown["recipe"], "decoding": used}
    columns = shown.get("recipe", {}).get("columns") or []
    if len(columns) > _N_COLUMNS:
        some = [*columns[:_N_COLUMNS], f"and {len(columns) - _N_COLUMNS} more"]
        shown["recipe"] = {**shown["recipe"], "columns": some}
    weights = shown.get("weights")
    if isinstance(weights, Mapping) and weights.get("name", "random") != "random":
        shown["weights"] = {**weights, "licence": weights.get("licence") or "not stated"}
    if "stages" in shown:
        shown["stages"] = _in_seconds(shown["stages"])
    return shown


def fields(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Flatten the provenance of a feature file for display.

    Parameters
    ----------
    provenance : mapping
        Nested provenance of the feature file.

    Returns
    -------
    dict of str to str
        Names such as "preprocessing · crop" with their values, without empty values and
        without the data set, which has a section of its own.
    """
    shown = readable(provenance)
    # "weights" is a name in the recipe, and their origin outside it.
    rest = {key: value for key, value in shown.items() if key not in ("dataset", "recipe")}
    nested = {**shown.get("recipe", {}), **rest}
    return flatten(nested)


def flatten(nested: Mapping[str, Any]) -> dict[str, str]:
    """Flatten nested fields to names such as "preprocessing · crop"; drop empty values."""
    return {" · ".join(keys).replace("_", " "): text for keys, text in _leaves(nested, ())}


def shared_and_own(
    features: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Split the fields of several feature files into shared and other fields.

    Returns
    -------
    shared : dict of str to str
        Fields with the same value in all files; empty for a single file.
    own : list of dict
        The other fields of each file.
    """
    flat = [fields(f) for f in features]
    if len(flat) < 2:
        return {}, flat
    shared = {k: v for k, v in flat[0].items() if all(f.get(k) == v for f in flat)}
    return shared, [{k: v for k, v in f.items() if k not in shared} for f in flat]


def _leaves(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*keys, str(key)))
        return
    value = plain(value, without_paths)
    if value is None or value in ("", []):
        return
    yield (
        keys,
        ", ".join(map(_value_text, value)) if isinstance(value, list) else _value_text(value),
    )


def _named_masks(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _named_masks(inner) for key, inner in value.items()}
    return name_mask(value) if isinstance(value, str) else value


def _in_seconds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_seconds(inner) for key, inner in value.items()}
    return f"{value:.1f} s" if isinstance(value, int | float) else value


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def feature_recipes(
    comparison: Comparison,
) -> tuple[dict[str, str], list[tuple[str, dict[str, str]]]]:
    """Return what the recipes of all features share, and the rest of each, with its name."""
    shared, own = shared_and_own(comparison.features)
    return shared, list(zip(_feature_names(comparison), own, strict=True))


def _feature_names(comparison: Comparison) -> list[str]:
    """Return the names of the features: as in the names of their arms, unless all have others."""
    arms = [e for e in comparison.evaluations if e.backbone is not None]
    n_heads = len(arms) // max(1, len(comparison.features))
    names = []
    for number, provenance in enumerate(comparison.features):
        recipe = provenance.get("recipe", {})
        words = recorded_preparation(recipe).words
        title = f"{recipe.get('backbone')} ({recipe.get('weights')}{words and f', {words}'})"
        of_these = arms[number * n_heads : (number + 1) * n_heads]
        stems = {e.name.removesuffix(f" + {e.head}") for e in of_these} - {e.name for e in of_these}
        names.append(stems.pop() if len(stems) == 1 else title)
    return names
