"""Records of JSON, checked against their schemas."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fastjsonschema

from bottleneck.schemas.json_schemas import schema_files


def closed(schema: Any) -> Any:
    """A schema that refuses fields that it does not describe: for programs, they may be new."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(one) for name, one in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        made.setdefault("additionalProperties", False)
    return made


def read_schema(path: Path) -> dict[str, Any]:
    return {"$id": path.as_uri(), **closed(json.loads(path.read_text(encoding="utf-8")))}


@functools.cache
def check_record(name: str) -> Callable[[Any], Any]:
    """The function that raises an error if a record is not as its schema says."""
    return fastjsonschema.compile(
        read_schema(schema_files()[name]),
        handlers={"file": lambda address: read_schema(Path(urlsplit(address).path))},
    )
