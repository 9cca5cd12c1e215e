"""Results as JSON, each with its format, and the schemas of these formats.

The folders hold the schemas (JSON Schema, draft 7), one file per format: ``features/extract.json``
is that of ``bottleneck-extract/1``. Their number changes where a field is renamed, removed or
changes its meaning; a new field does not change it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["JsonRecord", "json_format", "schema_files"]


class JsonRecord(dict[str, Any]):
    """A result as JSON holds it: its format, then its fields.

    Parameters
    ----------
    name : str
        Name of the schema, which is that of the command: "compare".
    fields : mapping
        The fields. A format among them is kept: it is that of the file that they were read from.

    Examples
    --------
    >>> JsonRecord("card", {"path": "README.md"})
    {'format': 'bottleneck-card/1', 'path': 'README.md'}
    """

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        super().__init__({"format": json_format(name), **fields})


def schema_files() -> dict[str, Path]:
    """Return the file of each schema, by its name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*/*.json"))}


@functools.cache
def json_format(name: str) -> str:
    """Return the format that a schema states.

    Examples
    --------
    >>> json_format("compare")
    'bottleneck-compare/1'
    """
    schema = json.loads(schema_files()[name].read_bytes())
    stated: str = schema["properties"]["format"]["const"]
    return stated
