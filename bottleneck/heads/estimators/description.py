"""Names, records and descriptions of estimators, in plain values and safe text."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np

from bottleneck.errors import UsageError
from bottleneck.heads.estimators.import_path import public_path
from bottleneck.heads.estimators.suitability import last_step, walk
from bottleneck.text.plain_text import is_hidden, visible

__all__ = [
    "check_name",
    "describe_estimator",
    "find_balance",
    "find_package",
    "name_steps",
    "plain_value",
    "record_estimator",
    "safe_name",
    "write_estimator",
]

_MOST_CHARACTERS, _MOST_ITEMS = 100, 20


def check_name(name: object) -> str:
    """Return the name of a head, which becomes a part of file names and tables.

    Raises
    ------
    UsageError
        If it is not text, empty, too long, or has characters that files or terminals do not take.
    """
    if not isinstance(name, str):
        raise UsageError(f"the name of a head must be a text, not {type(name).__name__}")
    if not name.strip() or name != name.strip() or len(name) > _MOST_CHARACTERS:
        raise UsageError(
            f"the name of a head needs 1 to {_MOST_CHARACTERS} characters without spaces around "
            f"them, not '{name[:_MOST_CHARACTERS]}'"
        )
    if bad := [c for c in name if is_hidden(c) or c in "/\\"]:
        raise UsageError(
            f"the name of a head cannot hold '{visible(bad[0])}' ('{name}'): use letters, digits, "
            "spaces and brackets"
        )
    return str(name)


def safe_name(name: str) -> str:
    """Return the name of a class, or of its parameters, as a name that a head can have."""
    text = visible(name).replace("/", ".").replace("\\", ".")
    return text[:_MOST_CHARACTERS].strip() or "unnamed"


def plain_value(value: Any) -> Any:
    """Return a parameter as a plain value: a number, a text, None, or a list of these.

    Examples
    --------
    >>> plain_value(np.float64(0.5)), plain_value((64, 32)), plain_value(math.log)
    (0.5, [64, 32], 'math.log')
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _shorten(value)
    if isinstance(value, list | tuple | set | frozenset) and len(value) <= _MOST_ITEMS:
        return [plain_value(one) for one in value]
    if isinstance(value, Mapping) and len(value) <= _MOST_ITEMS:
        return {_shorten(str(name)): plain_value(one) for name, one in value.items()}
    if hasattr(value, "get_params") and not inspect.isclass(value):
        return write_estimator(value)
    if isinstance(value, np.ndarray):
        return f"array of {value.size} numbers"
    named = value if hasattr(value, "__qualname__") else type(value)
    return _shorten(f"{named.__module__}.{named.__qualname__}")


def write_estimator(estimator: Any) -> str:
    """Return an estimator with the parameters that are not its defaults.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> write_estimator(SVC(C=2, kernel="linear"))
    "SVC(C=2, kernel='linear')"
    """
    parameters = ", ".join(f"{n}={_write(v)}" for n, v in _changed(estimator).items())
    return _shorten(f"{type(estimator).__name__}({parameters})", 300)


def name_steps(estimator: Any) -> str:
    """Return all steps of a pipeline with their parameters, as ``write_estimator`` does."""
    steps = getattr(estimator, "steps", None)
    if not isinstance(steps, list):
        return write_estimator(estimator)
    shown = (name_steps(step) if hasattr(step, "fit") else "" for _, step in steps)
    return ", ".join(filter(None, shown))


def record_estimator(estimator: Any) -> dict[str, Any]:
    """Return the steps of an estimator in plain values, with the versions of their packages.

    Returns
    -------
    dict
        "steps": the "class" (an import path) and "parameters" of each; "packages": versions.
    """
    steps, packages = [], {}
    for step in _steps(estimator):
        package, version = find_package(type(step))
        packages[package] = version
        parameters = {n: plain_value(v) for n, v in step.get_params(deep=False).items()}
        steps.append({"class": public_path(type(step)), "parameters": parameters})
    for _, inside in walk(estimator):
        packages.update([find_package(type(inside))])
    return {"steps": steps, "packages": packages}


def describe_estimator(estimator: Any) -> str:
    """Return a description of an estimator for a methods section."""
    last = last_step(estimator)
    package, version = find_package(type(last))
    where = public_path(type(last)).partition(":")[0]
    steps = _steps(estimator)
    before = (
        f"after {', '.join(map(write_estimator, steps[:-1]))} and no other preprocessing"
        if len(steps) > 1
        else "on features as they are"
    )
    weights = {
        True: "classes weighted equally",
        False: "without class weights",
        None: "class weights of its own",
    }[find_balance(estimator)]
    source = f"{package} {version}" if version else "a module without a version"
    return f"{write_estimator(last)} ({where}, {source}), {before}, {weights}"


def find_balance(estimator: Any) -> bool | None:
    """Return whether classes are weighted equally in training; None if it cannot be told."""
    known = [
        (one.get_params(deep=False), hasattr(one, "balances_classes"))
        for _, one in walk(last_step(estimator))
    ]
    weights = [p["class_weight"] for p, _ in known if "class_weight" in p]
    if any(always for _, always in known) or (
        weights and all(str(w).startswith("balanced") for w in weights)
    ):
        return True
    other = ("priors", "class_prior", "scale_pos_weight")
    values = [p[name] for p, _ in known for name in other if name in p]
    stated = any(v is not None and not (np.isscalar(v) and v == 1) for v in values)
    return None if stated or any(w is not None for w in weights) else False


def find_package(kind: type) -> tuple[str, str]:
    """Return the package that a class comes from, and its version; "" for a module alone."""
    top = kind.__module__.partition(".")[0]
    if top in ("sklearn", "bottleneck"):
        name = {"sklearn": "scikit-learn", "bottleneck": "bottleneck-features"}[top]
        return name, _version(name)
    for name in _distributions().get(top, ()):
        return name, _version(name)
    return top, ""


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _version(package: str) -> str:
    if package == "bottleneck-features":
        from bottleneck import __version__

        return __version__
    return visible(metadata.version(package))


def _steps(estimator: Any) -> list[Any]:
    steps = getattr(estimator, "steps", None)
    if not isinstance(steps, list):
        return [estimator]
    return [one for _, step in steps if hasattr(step, "fit") for one in _steps(step)]


def _changed(estimator: Any) -> dict[str, Any]:
    parameters = estimator.get_params(deep=False)
    try:
        known = inspect.signature(type(estimator)).parameters
    except (TypeError, ValueError):
        return dict(parameters)
    defaults = {name: parameter.default for name, parameter in known.items()}
    return {n: v for n, v in parameters.items() if repr(v) != repr(defaults.get(n))}


def _write(value: Any) -> str:
    plain = plain_value(value)
    return repr(plain) if isinstance(value, str) else str(plain)


def _shorten(text: str, most: int = 200) -> str:
    text = visible(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
