"""The ``results.json`` of a report, read back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottleneck.errors import UsageError
from bottleneck.files.small_files import read_small
from bottleneck.schemas.json_schemas import json_format
from bottleneck.text.short_repr import shorten

__all__ = ["ResultsFile", "read_results"]

# Bytes of a results.json; 50 arms with 200 classes have 20 million.
_MAX_BYTES = 67_108_864


@dataclasses.dataclass(frozen=True)
class ResultsFile:
    """A ``results.json``.

    Attributes
    ----------
    path : Path
        The file.
    content : mapping
        Its content.
    sha256 : str
        sha256 of its bytes.
    """

    path: Path
    content: Mapping[str, Any]
    sha256: str


def read_results(report: str | os.PathLike[str]) -> ResultsFile:
    """Return the ``results.json`` of a report.

    Parameters
    ----------
    report : path
        The folder of the report, or the file in it.

    Raises
    ------
    UsageError
        If there is no such file, or it holds no results of a comparison by this version.
    """
    path = Path(report)
    if path.is_dir():
        path /= "results.json"
        if not path.exists():
            raise UsageError(
                f"{path.parent} holds no results.json: name the folder that compare wrote (its "
                "--output)"
            )
    data = read_small(path, "report", limit=_MAX_BYTES)
    wrong = f"{path} holds no results of a comparison"
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(f"{wrong}: it is not JSON; name the results.json of a report") from None
    if not isinstance(content, dict) or not {"arms", "protocol", "format"} <= content.keys():
        raise UsageError(f"{wrong}: name the results.json of a report")
    if content["format"] != (known := json_format("compare")):
        raise UsageError(
            f"{path} is of the format {shorten(content['format'])}, and {known} is read: "
            "compare again with this version"
        )
    return ResultsFile(path, content, hashlib.sha256(data).hexdigest())
