"""Provenance for the report: without absolute paths, and readable."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from bottleneck.data.images.preparation import name_mask

__all__ = ["fields", "flatten", "plain", "readable", "shared_and_own", "without_paths"]

# An absolute path within a text: "/data/x", "~/x", "C:\x", "\\server\x". In quotes it may contain
# spaces; without quotes it follows a space, bracket, equals sign or file://. The slashes of
# https:// and of "and/or" do not match.
_ROOT = r"(?:~?/(?!/)|~\\|[A-Za-z]:[\\/]|\\\\)"
_ABSOLUTE = re.compile(
    rf"(?<='){_ROOT}[^']+(?=')"
    rf'|(?<="){_ROOT}[^"]+(?=")'
    rf"|(?:file:/*(?=/)|(?<![^\s=:,;'\"(\[{{<])){_ROOT}[^\s,;'\")\]}}>]+"
)


def plain(value: Any, text: Callable[[str], str] = str) -> Any:
    """Convert a value to types of strict JSON.

    Parameters
    ----------
    value : object
        Mapping, dataclass, sequence, array, NumPy scalar, path, number or text.
    text : callable
        Function applied to all texts except the keys of mappings, such as ``without_paths``.

    Returns
    -------
    object
        The converted value; NaN and infinity become None.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v, text) for k, v in value.items()}
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
    return text(str(value))


def without_paths(text: str) -> str:
    """Replace every absolute path in a text with its last part."""
    if "\n" not in text and _is_absolute(text):
        return _last_part(text)
    return _ABSOLUTE.sub(lambda match: _last_part(match[0]), text)


def readable(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Add units and the resizing that was used to a provenance, and shorten masks to a name."""
    shown = dict(_named_masks(provenance))
    decoding = str(shown.get("recipe", {}).get("decoding", ""))
    if decoding.endswith("-fast"):
        # The preprocessing names the resizer of the weights' publisher.
        used = f"{decoding} (resized by torchvision in place of the resizer)"
        shown["recipe"] = {**shown["recipe"], "decoding": used}
    elif decoding.endswith("-device"):
        used = f"{decoding} (plain JPEG decoded and resized by the device, all else by torchvision)"
        shown["recipe"] = {**shown["recipe"], "decoding": used}
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


def _is_absolute(text: str) -> bool:
    return (
        PurePosixPath(text).is_absolute()
        or PureWindowsPath(text).is_absolute()
        or text.startswith(("~/", "~\\"))
    )


def _last_part(path: str) -> str:
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1] or path
