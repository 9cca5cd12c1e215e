"""Every error that bottleneck raises on purpose, in one tree.

::

    BottleneckError
    ├── UsageError          an option, name or argument that cannot be
    ├── DataError           a data set that cannot be read or used
    │   └── DecodeError     one image that cannot be decoded; becomes a row in ``failures``
    ├── FeatureFileError    a feature file that is damaged, foreign or does not fit
    ├── DeviceError         a GPU that failed
    ├── WeightsError        weights that are missing, damaged or of another network
    ├── MissingExtraError   a part of the package whose own dependencies are not installed
    ├── ModelError          a saved model that is damaged, untrusted or does not fit
    ├── ClusterError        a cluster that cannot be reached, or cannot do the work
    └── ProtocolError       samples that cannot be split or compared as asked

Messages say what was expected, what came, and what to do. The command line prints
the message and ends with exit code 2; it never shows a traceback for these.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BottleneckError",
    "ClusterError",
    "DataError",
    "DecodeError",
    "DeviceError",
    "FeatureFileError",
    "MissingExtraError",
    "ModelError",
    "ProtocolError",
    "UsageError",
    "WeightsError",
    "unknown_name",
]


class BottleneckError(Exception):
    """Base of all errors that bottleneck raises on purpose."""


class UsageError(BottleneckError):
    """An option, name or argument that cannot be."""


class DataError(BottleneckError):
    """A data set that cannot be read or used."""


class DecodeError(DataError):
    """One image that cannot be decoded; extraction records it and goes on."""


class FeatureFileError(BottleneckError):
    """A feature file that is damaged, foreign or does not fit."""


class DeviceError(BottleneckError):
    """A GPU that failed in the middle of its work."""


class WeightsError(BottleneckError):
    """Weights that are missing, damaged or of another network."""


class MissingExtraError(BottleneckError):
    """A part of the package whose own dependencies are not installed."""


class ModelError(BottleneckError):
    """A saved model that is damaged, untrusted or does not fit."""


class ClusterError(BottleneckError):
    """A cluster that cannot be reached, or cannot do the work."""


class ProtocolError(BottleneckError):
    """Samples that cannot be split or compared as asked."""


def first_line(error: BaseException) -> str:
    """Return what an error says first, or its name where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """Make the error for a name that is not among its choices.

    Parameters
    ----------
    kind : str
        What the name is a name of ("backbone", "head", "column").
    name : str
        The name that came.
    choices : iterable of str
        The names that exist.

    Returns
    -------
    UsageError
        With the nearest name as a suggestion, and all the choices.
    """
    known = sorted(choices)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return UsageError(f"unknown {kind} '{name}'{hint} Known: {', '.join(known) or 'none'}.")
