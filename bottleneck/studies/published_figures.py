"""Published figures, with the rounding that they were printed with, and their sample sizes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Literal

from annotated_types import Ge, Le

from bottleneck.errors import UsageError
from bottleneck.settings.ranges import Expected
from bottleneck.settings.schema import Field, schema

__all__ = [
    "METRICS",
    "ClassFrequencies",
    "ConfusionMatrix",
    "Figure",
    "PublishedRow",
    "PublishedSet",
    "PublishedTest",
    "SampleCount",
]

METRICS = ("auroc", "accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")

_PRINTED = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?\s*(%?)")

# The checks try every possible count.
_Count = Annotated[int, Ge(0), Le(10_000_000)]
_Size = Annotated[int, Ge(1), Le(10_000_000)]
_Decimals = Annotated[int, Ge(0), Le(9)]
_Printed = Annotated[str, Expected('written as printed, in quotes, such as "0.82" or "69.54 %"')]
_Weight = Annotated[
    str,
    Field(pattern=r"^\d{1,9}(\.\d{1,9})?$"),
    Expected('written as printed, in quotes, such as "1.75"'),
]


@schema(kw_only=False)
class Figure:
    """A figure between 0 and 1 with its printed decimals.

    Attributes
    ----------
    text : str
        The figure as printed, such as "0.985" or "69.5418 %".
    decimals : int
        Smallest number of decimals to assume, because a table of two decimals may print "1" and
        "0.8" without trailing zeros.

    Raises
    ------
    UsageError
        If the text is not such a figure, or is not between 0 and 1 (100 %).

    Examples
    --------
    >>> figure = Figure("0.8", decimals=2)
    >>> float(figure.low), float(figure.high)
    (0.795, 0.805)
    """

    text: _Printed
    decimals: _Decimals = 0

    def __post_init__(self) -> None:
        if not _PRINTED.fullmatch(self.text):
            raise UsageError(
                f'a published figure must be written as printed, such as "0.82" or '
                f'"69.54 %", not {self.text!r}'
            )
        if not 0 <= self.value <= 1:
            raise UsageError(f"the published figure {self.text} is not between 0 and 1 (100 %)")

    @property
    def value(self) -> Fraction:
        """The figure as a share of 1."""
        return Fraction(self.scaled, self.scale)

    @property
    def scale(self) -> int:
        """Ten to the power of the number of printed decimals."""
        return int(10**self._places)

    @property
    def scaled(self) -> int:
        """The value in units of the last decimal."""
        whole, after, _ = self._groups
        return int(whole + after) * 10 ** (self._places - len(after) - self._shift)

    @property
    def low(self) -> Fraction:
        """Smallest value that rounds to the figure, whichever way halves are rounded."""
        return self.value - Fraction(1, 2 * self.scale)

    @property
    def high(self) -> Fraction:
        """Largest value that rounds to the figure."""
        return self.value + Fraction(1, 2 * self.scale)

    @property
    def _groups(self) -> tuple[str, str, str]:
        match = _PRINTED.fullmatch(self.text)
        assert match is not None
        return match[1], match[2] or "", match[3]

    @property
    def _shift(self) -> int:
        return 2 if self._groups[2] else 0

    @property
    def _places(self) -> int:
        return max(self.decimals, len(self._groups[1]) + self._shift)


@schema
class ConfusionMatrix:
    """A confusion matrix of two classes: true and false negatives and positives."""

    tn: _Count
    fp: _Count
    fn: _Count
    tp: _Count

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.tn + self.fp + self.fn + self.tp

    @property
    def positives(self) -> int:
        """Number of samples of the positive class."""
        return self.fn + self.tp


@schema
class SampleCount:
    """Another number of samples that the publication states for a set.

    Attributes
    ----------
    n : int
        Number of samples.
    where : str
        Where the publication states it.
    """

    n: _Size
    where: str


@schema
class ClassFrequencies:
    """Class frequencies that the publication states in another place.

    Attributes
    ----------
    where : str
        Where the publication states them.
    negatives, positives : int or None
        Samples of each class.
    rounded_to : int
        The multiple that the numbers were rounded to: 50 for "about 350".
    weights : mapping of {"negative", "positive"} to str, or None
        In place of the numbers, balanced class weights n / (2 n_class) as printed.

    Raises
    ------
    UsageError
        If there are neither numbers nor weights, or both.
    """

    where: str
    negatives: _Count | None = None
    positives: _Count | None = None
    rounded_to: _Size = 1
    weights: Mapping[Literal["negative", "positive"], _Weight] | None = None

    def __post_init__(self) -> None:
        counts = (self.negatives, self.positives)
        if (self.weights is None) == (None in counts) or (self.weights and any(counts)):
            raise UsageError(
                f"the frequencies in '{self.where}' must be negatives and positives, or weights"
            )
        if self.weights is not None and len(self.weights) < 2:
            raise UsageError(f"the weights in '{self.where}' must be of negative and positive")


@schema
class PublishedRow:
    """Published figures of one model on one set.

    Attributes
    ----------
    model : str
        Name of the model in the publication.
    auroc, accuracy, sensitivity, specificity, ppv, npv, f1 : str or None
        The figures as printed.
    matrix : ConfusionMatrix or None
        The confusion matrix.
    decimals : int
        As for ``Figure``; 0 for those of the set.
    """

    model: str
    auroc: _Printed | None = None
    accuracy: _Printed | None = None
    sensitivity: _Printed | None = None
    specificity: _Printed | None = None
    ppv: _Printed | None = None
    npv: _Printed | None = None
    f1: _Printed | None = None
    matrix: ConfusionMatrix | None = None
    decimals: _Decimals = 0

    def __post_init__(self) -> None:
        _ = self.figures  # Raises where a text is not a figure.

    @cached_property
    def figures(self) -> Mapping[str, Figure]:
        """The published figures, by the names in ``METRICS``."""
        texts = {name: getattr(self, name) for name in METRICS}
        return {
            name: Figure(text, self.decimals) for name, text in texts.items() if text is not None
        }


@schema
class PublishedSet:
    """A set of samples on which models were tested.

    Attributes
    ----------
    name : str
        "test", "validation" or "external".
    rows : tuple of PublishedRow
        One per model.
    n, positives : int or None
        Number of samples, and of samples of the positive class.
    decimals : int
        As for ``Figure``, for all rows that state none.
    other_counts : tuple of SampleCount
        Other numbers of samples that the publication states for the set.
    frequencies : tuple of ClassFrequencies
        Class frequencies that the publication states for it in other places.
    """

    name: str
    rows: tuple[PublishedRow, ...] = ()
    n: _Size | None = None
    positives: _Size | None = None
    decimals: _Decimals = 0
    other_counts: tuple[SampleCount, ...] = ()
    frequencies: tuple[ClassFrequencies, ...] = ()

    def __post_init__(self) -> None:
        if self.n is not None and self.positives is not None and self.positives > self.n:
            raise UsageError(
                f"the published set '{self.name}' has {self.positives} positives among {self.n}"
            )
        rows = tuple(
            row if row.decimals else dataclasses.replace(row, decimals=self.decimals)
            for row in self.rows
        )
        object.__setattr__(self, "rows", rows)

    def find_row(self, model: str | None) -> PublishedRow | None:
        """Return the row of a model; None where nothing was published of it."""
        return next((row for row in self.rows if row.model == model), None)


@schema
class PublishedTest:
    """A published test of the difference between two models.

    Attributes
    ----------
    a, b : str
        The models.
    metric : str
        The metric that was compared, one of ``METRICS``.
    p : str
        The p value as printed, such as "0.03" or "<0.01".
    """

    a: str
    b: str
    metric: Literal["auroc", "accuracy", "sensitivity", "specificity", "ppv", "npv", "f1"]
    p: str
