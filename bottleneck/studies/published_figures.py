"""Figures as a publication prints them, and what else it says of the samples behind them."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

from bottleneck.errors import UsageError, unknown_name

__all__ = ["METRICS", "Claim", "Count", "Figure", "Matrix", "Part", "PublishedTest", "Row", "take"]

METRICS = ("auroc", "accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")

_MAX_DECIMALS = 9
_PRINTED = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?\s*(%?)")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure with the decimals that it was printed with.

    Attributes
    ----------
    text : str
        "0.985" or "69.5418 %".
    decimals : int
        At least so many are taken as meant, because "1" and "0.8" drop their zeros in a table
        of two decimals.

    Raises
    ------
    UsageError
        If the text is no such figure, or is not between 0 and 1 (100 %).
    """

    text: str
    decimals: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not _PRINTED.fullmatch(self.text):
            raise UsageError(
                f'a published figure is written as it was printed, such as "0.82" or "69.54 %", '
                f"not {self.text!r}"
            )
        _check_count("decimals", self.decimals, 0)
        if self.decimals > _MAX_DECIMALS:
            raise UsageError(f"nobody prints {self.decimals} decimals")
        if not 0 <= self.value <= 1:
            raise UsageError(f"the published figure {self.text} does not lie between 0 and 1")

    @property
    def value(self) -> Fraction:
        """As a share of 1."""
        return Fraction(self.scaled, self.scale)

    @property
    def scale(self) -> int:
        """Units of the last decimal in 1."""
        return int(10**self._places)

    @property
    def scaled(self) -> int:
        """The value in such units."""
        whole, after, _ = self._parts
        return int(whole + after) * 10 ** (self._places - len(after) - self._shift)

    @property
    def low(self) -> Fraction:
        """Least value that rounds to it, whichever way halves are rounded."""
        return self.value - Fraction(1, 2 * self.scale)

    @property
    def high(self) -> Fraction:
        """Largest value that rounds to it."""
        return self.value + Fraction(1, 2 * self.scale)

    @property
    def _parts(self) -> tuple[str, str, str]:
        found = _PRINTED.fullmatch(self.text)
        assert found is not None
        return found[1], found[2] or "", found[3]

    @property
    def _shift(self) -> int:
        return 2 if self._parts[2] else 0

    @property
    def _places(self) -> int:
        return max(self.decimals, len(self._parts[1]) + self._shift)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matrix:
    """A confusion matrix of two classes.

    Attributes
    ----------
    tn, fp, fn, tp : int
        Negatives called negative and positive, positives called negative and positive.
    """

    tn: int
    fp: int
    fn: int
    tp: int

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_count(f"{field.name} of a confusion matrix", getattr(self, field.name), 0)

    @property
    def n(self) -> int:
        """Samples."""
        return self.tn + self.fp + self.fn + self.tp

    @property
    def positives(self) -> int:
        """Samples of the positive class."""
        return self.fn + self.tp


@dataclasses.dataclass(frozen=True, kw_only=True)
class Count:
    """A number of samples that the publication gives in another place.

    Attributes
    ----------
    n : int
        How many.
    where : str
        In which place.
    """

    n: int
    where: str

    def __post_init__(self) -> None:
        _check_count("n", self.n, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """How frequent the classes are, by another place of the publication.

    Attributes
    ----------
    where : str
        In which place.
    negatives, positives : int or None
        Samples of each class.
    rounded_to : int
        To which multiple those were rounded: 50 for "about 350".
    weights : mapping of {"negative", "positive"} to str, or None
        Balanced class weights as printed, n / (2 n_class), in place of counts.
    """

    where: str
    negatives: int | None = None
    positives: int | None = None
    rounded_to: int = 1
    weights: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        counts = (self.negatives, self.positives)
        if (self.weights is None) == (None in counts) or (self.weights and any(counts)):
            raise UsageError(
                f"what is claimed in '{self.where}' needs negatives and positives, or weights"
            )
        if self.weights is not None and set(self.weights) != {"negative", "positive"}:
            raise UsageError(f"the weights in '{self.where}' need negative and positive")
        for count in counts:
            if count is not None:
                _check_count(f"a count in '{self.where}'", count, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What was published of one model on one part.

    Attributes
    ----------
    model : str
        As the publication calls it.
    figures : mapping of str to Figure
        By the names in ``METRICS``.
    matrix : Matrix or None
        Its confusion matrix.
    """

    model: str
    figures: Mapping[str, Figure]
    matrix: Matrix | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the samples on which models were tested.

    Attributes
    ----------
    name : str
        "test", "validation", "external".
    rows : tuple of Row
        One a model.
    n, positives : int or None
        Its samples, and those of the positive class.
    elsewhere : tuple of Count
        Other numbers of samples that the publication gives for it.
    claims : tuple of Claim
        How frequent the classes are in it, by other places.
    """

    name: str
    rows: tuple[Row, ...] = ()
    n: int | None = None
    positives: int | None = None
    elsewhere: tuple[Count, ...] = ()
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        for field in ("n", "positives"):
            if (value := getattr(self, field)) is not None:
                _check_count(field, value, 1)
        if self.n is not None and self.positives is not None and self.positives > self.n:
            raise UsageError(f"part '{self.name}' has {self.positives} positives of {self.n}")

    def find(self, model: str | None) -> Row | None:
        """Return what was published of a model, if anything."""
        return next((row for row in self.rows if row.model == model), None)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], where: str) -> Part:
        """Take a table of a study's file.

        Raises
        ------
        UsageError
            If a key is unknown or a value cannot be.
        """
        table = dict(table)
        decimals = table.pop("decimals", 0)
        rows = tuple(_row(row, decimals, where) for row in tables(table, "rows", where))
        nested = {
            name: tuple(take(kind, one, where) for one in tables(table, name, where))
            for name, kind in (("elsewhere", Count), ("claims", Claim))
        }
        return take(cls, {**table, "rows": rows, **nested}, where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedTest:
    """A test between two models, as published.

    Attributes
    ----------
    a, b : str
        The models.
    metric : str
        What they differ in.
    p : str
        As printed: "0.03", "<0.01".
    """

    a: str
    b: str
    metric: str
    p: str


def take(cls: Any, table: Mapping[str, Any], where: str) -> Any:
    """Make a dataclass of a table of a file, whose keys are its fields.

    Raises
    ------
    UsageError
        If the table has a key that is none, or lacks one.
    """
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} needs a table of keys and values, not {table!r}")
    known = {field.name: field for field in dataclasses.fields(cls)}
    for key in table:
        if key not in known:
            raise unknown_name(f"key in {where}", key, known)
    for name, field in known.items():
        optional = (field.default, field.default_factory) != (dataclasses.MISSING,) * 2
        if name not in table and not optional:
            raise UsageError(f"{where} lacks the key '{name}'")
    hints = typing.get_type_hints(cls)
    for name, value in table.items():
        if not _is(value, hints[name]):
            raise UsageError(f"{where}: {name} cannot be {value!r}")
    return cls(**table)


def tables(table: Mapping[str, Any], key: str, where: str) -> Sequence[Mapping[str, Any]]:
    """Return a list of tables in a table; empty where there is none.

    Raises
    ------
    UsageError
        If it is something else.
    """
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise UsageError(f"{where}: {key} must be a list of tables")
    return found


def _is(value: object, hint: Any) -> bool:
    """Tell whether a value of a file has the type of a field; names are checked by its class."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return isinstance(value, str)
    if origin is types.UnionType:
        return any(_is(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(one, inner[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_is(one, inner[1]) for one in value.values())
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, int | float if hint is float else hint)


def _row(table: Mapping[str, Any], decimals: int, where: str) -> Row:
    table = dict(table)
    where = f"{where}, row '{table.get('model', '')}'"
    matrix = table.pop("matrix", None)
    model = table.pop("model", "")
    for key in table:
        if key not in METRICS:
            raise unknown_name(f"key in {where}", key, ("model", "matrix", *METRICS))
    figures = {name: Figure(table[name], decimals) for name in METRICS if name in table}
    matrix = None if matrix is None else take(Matrix, matrix, where)
    return take(Row, {"model": model, "figures": figures, "matrix": matrix}, where)


def _check_count(what: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{what} must be a whole number from {least} on, not {value!r}")
