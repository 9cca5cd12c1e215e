"""Estimators and other objects named by an import path: ``package.module:Class``."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from typing import Any

from bottleneck.errors import UsageError, did_you_mean, first_line
from bottleneck.heads.estimators.suitability import required_arguments

__all__ = ["import_estimator", "import_object", "public_path", "suggest_path"]

_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PATH = re.compile(rf"({_DOTTED}):({_DOTTED})")
_EXAMPLE = "sklearn.ensemble:ExtraTreesClassifier"


def import_estimator(path: str) -> Any:
    """Return the object with an import path; a class is called without arguments.

    The module is imported, which runs its code.

    Parameters
    ----------
    path : str
        ``package.module:Class``, or ``package.module:name`` of an estimator or a ``Head``.

    Raises
    ------
    UsageError
        If there is no such module or name, the module fails, or the class needs arguments.

    Examples
    --------
    >>> import_estimator("sklearn.svm:LinearSVC")
    LinearSVC()
    """
    value = import_object(path, f"package.module:Class, such as {_EXAMPLE}")
    if not inspect.isclass(value):
        return value
    if needed := required_arguments(value):
        raise UsageError(
            f"the class {path} needs arguments ({', '.join(needed)}), but --head gives none: make "
            "an object of it in your own module, and name that (mymodule:object), or pass "
            f"an object in Python"
        )
    try:
        return value()
    # A class of other code may raise anything.
    except Exception as error:
        raise UsageError(
            f"the class {path} cannot be made without arguments "
            f"({type(error).__name__}: {first_line(error)}): pass an object of it in Python"
        ) from error


def import_object(path: str, expected: str) -> Any:
    """Return the object with an import path.

    Parameters
    ----------
    path : str
        ``package.module:name``.
    expected : str
        What such a path is, with an example, for the message.

    Raises
    ------
    UsageError
        If there is no such module or name, or the module fails.

    Examples
    --------
    >>> import_object("math:pi", "package.module:number")
    3.141592653589793
    """
    if (match := _PATH.fullmatch(path)) is None:
        raise UsageError(
            f"'{path}' is not an import path: write {expected} (the name of a module, not of its "
            "file)"
        )
    module, name = match.groups()
    value = _import(module, path)
    for part in name.split("."):
        try:
            known = hasattr(value, part)
        except Exception as error:  # A module may import what it holds only now.
            raise _failed(module, error) from error
        if not known:
            hint = did_you_mean(part, dir(value)) or ": check its spelling"
            raise UsageError(f"the module '{module}' has no '{name}'{hint}")
        value = getattr(value, part)
    return value


def suggest_path(text: str) -> str | None:
    """Return the import path that a text without a colon may mean; None if it means none."""
    module, dot, name = text.rpartition(".")
    return f"{module}:{name}" if dot and _PATH.fullmatch(f"{module}:{name}") else None


def public_path(kind: type) -> str:
    """Return the import path of a class, through the shortest package that exports it.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> SVC.__module__, public_path(SVC)
    ('sklearn.svm._classes', 'sklearn.svm:SVC')
    """
    module, name = kind.__module__, kind.__qualname__
    parts = module.split(".")
    for length in range(1, len(parts)):
        # The packages of an imported module are imported.
        package = ".".join(parts[:length])
        if getattr(sys.modules.get(package), name, None) is kind:
            return f"{package}:{name}"
    return f"{module}:{name}"


def _import(module: str, path: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module == missing or module.startswith(f"{missing}."):
            raise UsageError(
                f"there is no module '{missing}', which '{path}' names: is it installed in this "
                f"environment? A module of your own must be in the current folder (on the command "
                f"line) or on sys.path (in Python)"
            ) from error
        raise _failed(module, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(module, error) from error


def _failed(module: str, error: BaseException) -> UsageError:
    return UsageError(
        f"the module '{module}' cannot be imported ({type(error).__name__}: {first_line(error)}): "
        f"try `python -c 'import {module}'`, which shows where it fails"
    )
