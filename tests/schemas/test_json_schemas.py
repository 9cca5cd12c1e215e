"""The schemas of JSON records: what they are, what they refuse, and which commands have one."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from fastjsonschema import JsonSchemaException
from json_checks import check_record

from bottleneck.cli.root import COMMANDS
from bottleneck.schemas.json_schemas import JsonRecord, json_format, schema_files

FILES = schema_files()
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json.md"


def described(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of a schema with its place."""
    if isinstance(schema, list):
        for one in schema:
            yield from described(one, place)
    elif isinstance(schema, dict):
        if isinstance(properties := schema.get("properties"), dict):
            yield from ((f"{place}.{name}", field) for name, field in properties.items())
        for name, one in schema.items():
            yield from described(one, f"{place}.{name}")


@pytest.mark.parametrize("name", FILES)
def test_a_schema_is_one_and_describes_every_field(name: str) -> None:
    schema = json.loads(FILES[name].read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    assert re.fullmatch(rf"bottleneck-{name}/\d+", json_format(name))
    assert next(iter(schema["properties"])) == schema["required"][0] == "format"
    assert schema["title"].endswith(".")
    for place, field in described(schema):
        assert field["description"].endswith("."), place


def test_every_command_that_prints_json_has_a_schema() -> None:
    for command in set(COMMANDS) - {"app", "weights", "run", "reproduce"}:
        function = getattr(import_module(f"bottleneck.cli.{command}"), command)
        if "as_json" in inspect.signature(function).parameters:
            stems = {name.rpartition("-")[0] or name for name in FILES} | FILES.keys()
            assert command in stems, command


def test_the_page_has_a_section_for_each_format() -> None:
    page = PAGE.read_text(encoding="utf-8")
    sections = re.findall(r"^## bottleneck-([\w-]+)$", page, re.MULTILINE)
    assert sorted(sections) == sorted(FILES)
    assert re.findall(r'^show\("([\w-]+)"\)$', page, re.MULTILINE) == sections


def test_a_record_without_a_field_or_of_another_type_is_refused() -> None:
    card = dict(JsonRecord("card", {"path": "README.md"}))
    assert list(card) == ["format", "path"]
    for wrong in ({"path": 1}, {"format": "bottleneck-card/0"}, {"more": 1}):
        with pytest.raises(JsonSchemaException):
            check_record("card")(card | wrong)
    with pytest.raises(JsonSchemaException):
        JsonRecord("card", {})


def test_a_program_may_meet_fields_that_a_schema_does_not_describe() -> None:
    """Another library reads the files as they are, with their references to each other."""

    def read(address: str) -> referencing.Resource[Any]:
        content = json.loads(Path(address.removeprefix("file://")).read_text(encoding="utf-8"))
        return referencing.Resource.from_contents(content)

    schema = {"$ref": FILES["demo"].as_uri()}
    validator = jsonschema.Draft7Validator(
        schema,
        registry=referencing.Registry(retrieve=read),
    )
    record = {"format": "bottleneck-demo/1", "model": "m.skops", "new": 1}
    lacking = {error.message for error in validator.iter_errors(record)}
    assert lacking == {
        "'comparison' is a required property",
        "'predictions' is a required property",
    }
