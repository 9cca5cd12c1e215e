"""The ranges of numbers: of options in Python, on the command line and in files, and of records.

Each upper bound is beyond any use, and far below what a library could not hold.
"""

from __future__ import annotations

import collections.abc
import dataclasses
from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import StringConstraints

__all__ = [
    "ArmName",
    "BatchSize",
    "Count",
    "Epochs",
    "Expected",
    "FoldCount",
    "Jobs",
    "Number",
    "Patients",
    "Positive",
    "Processes",
    "Repeats",
    "Seconds",
    "Seed",
    "Share",
    "refuse_absurd",
]

# Levels and values of a record in JSON.
_MAX_DEPTH, _MAX_VALUES = 12, 1_000_000


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a value must be, in words that follow "must be"; for use in ``Annotated``."""

    words: str


ArmName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    Expected("a text of 1 to 200 characters"),
]
# Each upper bound is beyond any use, and far below what a library could not hold.
Seed = Annotated[int, Ge(0), Le(2**31 - 1)]  # A repeat adds its number, below numpy's 2³².
PictureCount = Annotated[int, Ge(1), Le(1_000_000)]
Patients = Annotated[int, Ge(1), Le(10**9)]
FoldCount = Annotated[int, Ge(2), Le(10_000)]
Repeats = Annotated[int, Ge(1), Le(10_000)]
Epochs = Annotated[int, Ge(1), Le(1_000_000)]
BatchSize = Annotated[int, Ge(1), Le(65_536)]
Processes = Annotated[int, Ge(1), Le(1_024)]
Jobs = Annotated[
    Annotated[int, Ge(1), Le(1_024)] | Annotated[int, Ge(-1_024), Le(-1)] | None,
    Expected("from 1 to 1,024, or -1 to use all cores (-2: all but one)"),
]
Count = Annotated[int, Ge(0), Le(10**12)]
Seconds = Annotated[float, Ge(0), Le(10**12)]
Share = Annotated[float, Ge(0), Le(1)]
Number = Annotated[float, Ge(-1e9), Le(1e9)]
Positive = Annotated[float, Gt(0), Le(1e9)]


def refuse_absurd(content: object) -> None:
    """Raise ValueError for content that no option or record has, however its fields are named.

    Parameters
    ----------
    content
        Values of a TOML or JSON file.

    Raises
    ------
    ValueError
        If tables or lists are nested more than 12 deep, there are more than a million values, or
        a whole number has more than 64 bits.
    """
    waiting, n = [(content, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        n += 1
        if depth > _MAX_DEPTH or n > _MAX_VALUES:
            raise ValueError(
                f"its tables and lists are nested more than {_MAX_DEPTH} deep"
                if depth > _MAX_DEPTH
                else f"it has more than {_MAX_VALUES:,} values"
            )
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("a number has more than 64 bits")
        if isinstance(value, collections.abc.Mapping):
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(inner, depth + 1) for inner in value]
