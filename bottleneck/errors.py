"""Every error that bottleneck raises on purpose, in one tree.

::

    BottleneckError
    ├── UsageError          an option, a name or an argument that is invalid
    ├── DataError           a data set that cannot be read or used
    │   ├── NoUsableImageError  a data set of which not one image can be used
    │   └── DecodeError     one image that cannot be decoded; becomes a row in ``failures``
    ├── FeatureFileError    a feature file that is damaged, foreign or incompatible
    ├── StorageError        a disk or network storage that failed while an image was read
    ├── DeviceError         a GPU that failed
    ├── WeightsError        weights that are missing, damaged or of another network
    ├── LicenceError        weights whose licence a policy does not accept
    ├── MissingExtraError   an optional dependency that is not installed
    ├── ModelError          a saved model that is damaged, untrusted or incompatible
    ├── ExportError         an export that does not give the probabilities of its model
    ├── ClusterError        a cluster that cannot be reached or cannot do the work
    ├── ReportError         a part of a report that could not be drawn; the results stand
    └── ProtocolError       samples that cannot be split or compared as requested

Messages say what was expected, what was given, and what to do. The command line prints
the message and ends with exit code 2; it never shows a traceback for these.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Sequence

from bottleneck.text.plain_text import visible

__all__ = [
    "BottleneckError",
    "ClusterError",
    "DataError",
    "DecodeError",
    "DeviceError",
    "ExportError",
    "FeatureFileError",
    "LicenceError",
    "MissingExtraError",
    "ModelError",
    "NoUsableImageError",
    "ProtocolError",
    "ReportError",
    "StorageError",
    "UsageError",
    "WeightsError",
    "describe_os_error",
    "did_you_mean",
    "first_line",
    "is_of_storage",
    "one_line",
    "storage_failure",
    "unknown_name",
]


class BottleneckError(Exception):
    """Base of all errors that bottleneck raises on purpose.

    Parameters
    ----------
    *lines : str
        The message, and further lines such as a command. Names in them may come from files that
        others made, so ``str`` returns each as one line without control characters.

    Examples
    --------
    >>> print(BottleneckError("this needs pydicom. Install it with", "  pip install pydicom"))
    this needs pydicom. Install it with
      pip install pydicom
    >>> print(BottleneckError("no file 'a\\nb'"))
    no file 'a\\x0ab'
    """

    def __str__(self) -> str:
        return "\n".join(visible(str(line)) for line in self.args)


class UsageError(BottleneckError):
    """An option, a name or an argument that is invalid."""


class DataError(BottleneckError):
    """A data set that cannot be read or used."""


class NoUsableImageError(DataError):
    """A data set without a single image that can be used.

    Attributes
    ----------
    failures : sequence of (str, str)
        Id and reason of every image.
    """

    failures: Sequence[tuple[str, str]] = ()


class DecodeError(DataError):
    """One image that cannot be decoded; extraction records it and continues."""


class FeatureFileError(BottleneckError):
    """A feature file that is damaged, foreign or incompatible."""


class StorageError(BottleneckError):
    """A disk or network storage that failed while an image was read."""


class DeviceError(BottleneckError):
    """A GPU that failed during a computation."""


class WeightsError(BottleneckError):
    """Weights that are missing, damaged or of another network."""


class LicenceError(BottleneckError):
    """Weights whose licence a policy does not accept."""


class MissingExtraError(BottleneckError):
    """An optional dependency that is not installed."""


class ModelError(BottleneckError):
    """A saved model that is damaged, untrusted or incompatible."""


class ExportError(BottleneckError):
    """An export that does not give the probabilities of its model."""


class ClusterError(BottleneckError):
    """A cluster that cannot be reached or cannot do the work."""


class ReportError(BottleneckError):
    """A part of a report that could not be drawn; the other files hold the results."""


class ProtocolError(BottleneckError):
    """Samples that cannot be split or compared as requested."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class name if there is no message."""
    text = describe_os_error(error) if isinstance(error, OSError) else str(error)
    return next(iter(text.strip().splitlines()), type(error).__name__)


# Failures of the storage. The file may be sound, and the same read may succeed later.
_OF_THE_STORAGE = {
    errno.EIO: "the disk or the network storage failed",
    getattr(errno, "ESTALE", -1): "the network storage has lost the file",
    getattr(errno, "EREMOTEIO", -2): "the network storage failed",
    errno.ETIMEDOUT: "the network storage does not answer",
}


def one_line(error: BaseException) -> str:
    """Return the message of another library's error on one line.

    Examples
    --------
    >>> one_line(ImportError("no library:\\n  libcuda.so"))
    'no library: libcuda.so'
    """
    return " ".join(str(error).split()) or type(error).__name__


def describe_os_error(error: OSError) -> str:
    """Return the reason of a failed read or write, for a message.

    Examples
    --------
    >>> describe_os_error(OSError(2, "No such file or directory"))
    'No such file or directory'
    >>> describe_os_error(OSError(5, "Input/output error"))
    'Input/output error: the disk or the network storage failed, which is not a fault of the file'
    """
    reason = error.strerror or str(error) or type(error).__name__
    if (whose := _OF_THE_STORAGE.get(error.errno or 0)) is not None:
        return f"{reason}: {whose}, which is not a fault of the file"
    return reason


def is_of_storage(error: OSError) -> bool:
    """Return whether a read failed because of the storage, whatever the file contains."""
    return error.errno in _OF_THE_STORAGE


def storage_failure(name: str, error: OSError) -> StorageError:
    """Return the error for an image that the storage did not give.

    Parameters
    ----------
    name : str
        Id or path of the image.
    error : OSError
        One for which ``is_of_storage`` is true.
    """
    return StorageError(
        f"'{name}' cannot be read: {describe_os_error(error)}. Nothing about it was recorded, and "
        "finished work is kept: repeat the command when the storage works again, or remove the "
        "image from the data set"
    )


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return the question that ends a message on an unknown name; "" if no choice is similar.

    Examples
    --------
    >>> did_you_mean("resnet5", ["vgg16", "resnet50"])
    "; did you mean 'resnet50'?"
    """
    near = difflib.get_close_matches(name, list(choices), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """Return the error for a name that does not exist, with the names that do.

    Parameters
    ----------
    kind : str
        What the name stands for: "backbone", "head", "column".
    name : str
        The unknown name.
    choices : iterable of str
        The names that exist.

    Returns
    -------
    UsageError
        Its message suggests the most similar name and lists all the choices.

    Examples
    --------
    >>> print(unknown_name("backbone", "resnet5", ["vgg16", "resnet50"]))
    unknown backbone 'resnet5'; did you mean 'resnet50'? Known: resnet50, vgg16.
    """
    known = sorted(choices)
    hint = did_you_mean(str(name), known) or "."
    return UsageError(f"unknown {kind} '{name}'{hint} Known: {', '.join(known) or 'none'}.")
