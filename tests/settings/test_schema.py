"""Schemas: strict types, limits, and messages that name file, key and what was expected."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt

from bottleneck.errors import UsageError
from bottleneck.evaluation.measures import Measures
from bottleneck.settings.ranges import Expected, Share
from bottleneck.settings.schema import Field, from_table, schema, validate


@schema
class Leaf:
    name: str
    size: Annotated[int, Ge(1)] = 1
    colour: Literal["red", "green"] = "red"


@schema
class Tree:
    name: str
    leaves: tuple[Leaf, ...] = ()
    height: Annotated[float, Gt(0)] | None = None
    shares: Literal["equal"] | Mapping[str, Annotated[float, Gt(0)]] = "equal"
    label: Annotated[str, Expected("a label in quotes")] = ""
    extra: Mapping[str, Any] = Field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name == "none":
            raise UsageError("a tree needs a name")


@schema(kw_only=False)
class Pair:
    first: int
    second: int = 0


def test_tables_become_nested_schemas() -> None:
    table = {"name": "oak", "leaves": [{"name": "a", "size": 3}], "height": 2, "extra": {"x": [1]}}
    tree = from_table(Tree, table, "t.toml")
    assert tree == Tree(name="oak", leaves=(Leaf(name="a", size=3),), height=2.0, extra={"x": [1]})
    assert isinstance(tree.height, float)
    assert from_table(Tree, json.loads(json.dumps(dataclasses.asdict(tree))), "t.json") == tree
    assert pickle.loads(pickle.dumps(tree)) == tree


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nam": "x"}, "t.toml: unknown key 'nam'; did you mean 'name'? Known: extra, height"),
        ({}, "t.toml: the key 'name' is missing; it must be a string"),
        ({"name": 3}, "t.toml: name must be a string, not 3"),
        ({"name": "x", "height": True}, "t.toml: height must be a number above 0, not True"),
        ({"name": "x", "height": "3"}, "t.toml: height must be a number above 0, not '3'"),
        ({"name": "x", "height": float("inf")}, "height must be a finite number, not inf"),
        ({"name": "x", "label": 3}, "t.toml: label must be a label in quotes, not 3"),
        ({"name": "x", "shares": "even"}, "shares must be equal, or a table, not 'even'"),
        ({"name": "x", "shares": {"a": 0}}, "t.toml: shares.a must be a number above 0, not 0"),
        ({"name": "x", "leaves": 3}, "t.toml: leaves must be a list of tables, not 3"),
        ({"name": "x", "leaves": [3]}, "t.toml: leaves 1 must be a table, not 3"),
        ({"name": "x", "leaves": [{}]}, "t.toml: leaves 1: the key 'name' is missing"),
        (
            {"name": "x", "leaves": [{"name": "a"}, {"name": "b", "size": 1.5}]},
            "t.toml: leaves 'b': size must be a whole number of at least 1, not 1.5",
        ),
        (
            {"name": "x", "leaves": [{"name": "a", "colour": "gren"}]},
            "t.toml: leaves 'a': unknown colour 'gren'; did you mean 'green'? Known: green, red.",
        ),
        ({"name": "none"}, "t.toml: a tree needs a name"),
        ([], "t.toml: the content must be a table, not []"),
        ({"name": date(2024, 1, 1)}, "name must be a string, not the date or time 2024-01-01"),
        (
            {"name": "x", "label": time(12)},
            "t.toml: label must be a label in quotes, not the date or time 12:00:00",
        ),
        (
            {"name": "x", "leaves": [{"name": datetime(2024, 1, 1, 12)}]},
            "name must be a string, not the date or time 2024-01-01 12:00:00",
        ),
        ({"name": "x", "size": date(2024, 1, 1)}, "t.toml: unknown key 'size'"),
        (
            {"name": "x", "extra": {"day": date(2024, 1, 1)}},
            "extra.day must be text, a number, true or false, a list or a table, not the date",
        ),
    ],
)
def test_what_does_not_fit_is_named(table: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_table(Tree, table, "t.toml")
    assert message in str(caught.value)


def test_a_percentage_is_written_as_a_share() -> None:
    for make, message in (
        (lambda: Measures(prevalence=20), "and below 1, not 20 (write 20 % as 0.2)"),
        (lambda: Measures(at_sensitivity=92.5), "and below 1, not 92.5 (write 92.5 % as 0.925)"),
        (lambda: validate(Share, 50, "the share"), "from 0 to 1, not 50 (write 50 % as 0.5)"),
        (lambda: Measures(prevalence=200), "and below 1, not 200"),
        (lambda: Measures(prevalence=1), "and below 1, not 1"),
    ):
        with pytest.raises(UsageError) as caught:
            make()
        assert str(caught.value).endswith(message)


def test_arguments_are_checked_in_python_too() -> None:
    assert Pair(1, 2) == Pair(first=1, second=2)
    for make, message in (
        (lambda: Pair(1, True), "second must be a whole number, not True"),
        (lambda: Pair(first=1, secund=3), "unknown key 'secund'; did you mean 'second'?"),
        (lambda: dataclasses.replace(Leaf(name="a"), size=0), "size must be a whole number of"),
    ):
        with pytest.raises(UsageError) as caught:
            make()
        assert str(caught.value).startswith(message)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Pair(1).first = 2  # type: ignore[misc]


def test_the_package_is_imported_without_pydantic() -> None:
    code = "import bottleneck, sys; assert not {'pydantic', 'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
