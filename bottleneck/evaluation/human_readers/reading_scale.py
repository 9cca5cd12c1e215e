"""The scale of readers' scores: classes, 0 and 1, probabilities, or ratings such as TI-RADS."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from bottleneck.data.spelling.identifiers import canonical
from bottleneck.data.spelling.missing_values import may_be_missing
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import DataError, UsageError
from bottleneck.evaluation.human_readers.reader_tables import Reading
from bottleneck.text.short_repr import shorten

__all__ = ["ReadingScale", "find_scale", "is_unread", "threshold_of"]

Kind = Literal["class", "binary", "probability", "rating"]

_NUMBER = re.compile(r"([+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15}))\s*(%?)")
# TR4, TI-RADS 4a, BI-RADS IV, category 3, 4b
_CATEGORY = re.compile(
    r"(?P<name>[a-z][a-z\s_/.-]*?)?[\s_:-]*(?:(?P<number>\d{1,2})|(?P<roman>i{1,3}|iv|vi?))"
    r"(?P<part>[a-c])?"
)
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}
# 4a, 4b and 4c lie between 4 and 5.
_PARTS = {"a": 0.25, "b": 0.5, "c": 0.75}
# Numbers that tables write for a missing rating, on scales that end at 10 and at 100.
_CODES = (-1.0, -9.0, -99.0, -999.0, 77.0, 88.0, 99.0, 999.0, 9999.0)
_SCALE_ENDS = (10, 100)


class _Score(NamedTuple):
    """A score: its value, the name of its scale, and how it is written."""

    value: float
    scale: str = ""
    is_percent: bool = False
    is_part: bool = False


@dataclasses.dataclass(frozen=True)
class ReadingScale:
    """The scale that all readers of a table use.

    Attributes
    ----------
    kind : {"class", "binary", "probability", "rating"}
        Names of classes; 0 and 1; probabilities of the positive class; or ratings, of which larger
        ones mean more of the positive class.
    values : mapping of str to float or str
        For each text, its number, or its class.
    name : str
        The name that is written before ratings, such as "tr"; "" for none.
    """

    kind: Kind
    values: Mapping[str, float | str]
    name: str = ""

    @property
    def numbers(self) -> list[float]:
        """All values, sorted; empty for classes."""
        return sorted({value for value in self.values.values() if not isinstance(value, str)})


def is_unread(text: str, classes: Sequence[str] = ()) -> bool:
    """Return whether a text such as "not assessed" means that a reader gave no score.

    Parameters
    ----------
    text : str
        What is written in the field.
    classes : sequence of str
        Names of classes, which are scores.
    """
    return may_be_missing(text) and not match_names([text], classes)


def find_scale(
    source: str,
    readings: Mapping[str, Sequence[Reading]],
    classes: Sequence[str],
    *,
    has_decimal_commas: bool = False,
    are_numbers: bool = False,
) -> ReadingScale:
    """Return the scale of a table of readers' scores.

    Parameters
    ----------
    source : str
        Name of the table, for messages.
    readings : mapping of str to sequence of Reading
        What each reader wrote, without missing readings.
    classes : sequence of str
        Names that classes have.
    has_decimal_commas : bool
        Whether 0,5 is a half.
    are_numbers : bool
        Whether the scores are numbers where they could also be names of classes such as "1".

    Raises
    ------
    DataError
        If a text is neither a class nor a number, or the texts are of several scales.
    """
    texts: dict[str, Reading] = {}
    for rows in readings.values():
        for reading in rows:
            texts.setdefault(reading.text, reading)
    found = match_names(texts, classes)
    scores = {
        text: score
        for text in texts
        if (score := _parse(text, commas=has_decimal_commas)) is not None
    }
    if len(found) == len(texts) and not (are_numbers and len(scores) == len(texts)):
        return ReadingScale("class", dict(found))
    if wrong := [reading for text, reading in texts.items() if text not in scores]:
        one = wrong[0]
        raise DataError(
            f"{source}, line {one.line}: {shorten(one.text)} is neither a number, a category such "
            f"as TR4, a percentage nor a class ({', '.join(classes)}); correct it, or leave it "
            "blank if it was not read"
        )
    kind, name = _judge(source, scores)
    if kind == "rating":
        _refuse_mixed(source, readings, scores)
        _refuse_codes(source, [score.value for score in scores.values()])
    return ReadingScale(kind, {text: score.value for text, score in scores.items()}, name)


def threshold_of(given: float | str | None, scale: ReadingScale, source: str) -> float:
    """Return the score from which on a reader calls a sample positive.

    Parameters
    ----------
    given : float, str or None
        The threshold that the user states, such as 4 or "TR4".
    scale : ReadingScale
        The scale of the scores.
    source : str
        Name of the table, for messages.

    Returns
    -------
    float
        One half for classes, 0 and 1, and probabilities, where none is stated.

    Raises
    ------
    UsageError
        If ratings need one, or it is none of this scale, or no score or every score reaches it.
    """
    if scale.kind in ("class", "binary"):
        return 0.5
    numbers = scale.numbers
    shown = f"{numbers[0]:g} to {numbers[-1]:g}"
    if given is None and scale.kind == "probability":
        return 0.5
    if given is None:
        raise UsageError(
            f"{source} has ratings ({shown}), which need a threshold: state the lowest rating "
            "that counts as positive, such as --reader-threshold "
            f"{numbers[-1]:g} (in Python Measures(reader_threshold={numbers[-1]:g}))"
        )
    score = _parse(str(given), commas=False)
    if score is None or (score.scale and scale.name and score.scale != scale.name):
        raise UsageError(
            f"the threshold {shorten(given)} of the readers is not a score of {source} ({shown}): "
            "write it like the scores"
        )
    if not numbers[0] < score.value <= numbers[-1]:
        side = "every score reaches" if score.value <= numbers[0] else "no score reaches"
        raise UsageError(
            f"{side} the readers' threshold {given} in {source}, where scores are {shown}: state "
            "a threshold between them"
        )
    return score.value


def _parse(text: str, *, commas: bool) -> _Score | None:
    """Return a score; None for what is none."""
    plain = canonical(text).casefold()
    if commas and plain.count(",") == 1:
        plain = plain.replace(",", ".")
    if match := _NUMBER.fullmatch(plain):
        value = float(match[1])
        if not match[2]:
            return _Score(value)
        return _Score(value / 100, is_percent=True) if 0 <= value <= 100 else None
    if match := _CATEGORY.fullmatch(plain):
        number = int(match["number"]) if match["number"] else _ROMAN[match["roman"]]
        name = re.sub(r"[\W_]", "", match["name"] or "")
        return _Score(number + _PARTS.get(match["part"], 0.0), name, is_part=bool(match["part"]))
    return None


def _judge(source: str, scores: Mapping[str, _Score]) -> tuple[Kind, str]:
    """Return the kind of scores that are all numbers, and the name of their scale."""
    names = sorted({score.scale for score in scores.values() if score.scale})
    parts = any(score.is_part for score in scores.values())
    percent = [text for text, score in scores.items() if score.is_percent]
    values = [score.value for score in scores.values()]
    if len(names) > 1:
        raise DataError(
            f"{source} has ratings of several scales ('{names[0]}' and '{names[1]}'): put each "
            "into a table of its own"
        )
    if percent and (names or parts or max(values) > 1):
        other = next(text for text, score in scores.items() if not score.is_percent)
        raise DataError(
            f"{source} has percentages ('{percent[0]}') and other scores ('{other}'): write all of "
            "them in one way"
        )
    if names or parts:
        if odd := [text for text, s in scores.items() if s.value * 4 % 1 or s.value < 0]:
            raise DataError(
                f"{source} has categories and the number '{odd[0]}': write all scores in one way"
            )
        whole = {score.value for score in scores.values() if not score.is_part}
        divided = {float(int(score.value)) for score in scores.values() if score.is_part}
        if both := sorted(whole & divided):
            raise DataError(
                f"{source} has the rating {both[0]:g} both with and without a letter, such as "
                f"{both[0]:g} and {both[0]:g}a, which have no order: write all of them in one way"
            )
        return "rating", "".join(names)
    if percent or (min(values) >= 0 and max(values) <= 1):
        return ("binary" if set(values) <= {0.0, 1.0} and not percent else "probability"), ""
    return "rating", ""


def _refuse_mixed(
    source: str, readings: Mapping[str, Sequence[Reading]], scores: Mapping[str, _Score]
) -> None:
    """Refuse readers who give probabilities, or 0 and 1, next to readers who give ratings."""
    for number, rows in enumerate(readings.values(), 1):
        own = {scores[reading.text].value for reading in rows}
        if max(own) <= 1 and min(own) >= 0 and own != {1.0}:
            largest = max(score.value for score in scores.values())
            raise DataError(
                f"{source}: the scores of its reader {number} are between 0 and 1, and those of "
                f"others reach {largest:g}: put readers of different scales into tables of their "
                "own"
            )


def _refuse_codes(source: str, values: Sequence[float]) -> None:
    """Refuse ratings that are most likely a code for a missing one."""
    others = [value for value in values if value not in _CODES]
    end = next((e for e in _SCALE_ENDS if others and 0 <= min(others) <= max(others) <= e), None)
    if end is not None and (codes := [one for one in values if not 0 <= one <= end]):
        raise DataError(
            f"{source} has the rating {codes[0]:g} among ratings of {min(others):g} to "
            f"{max(others):g}, which looks like a code for a missing rating: leave such fields "
            "blank"
        )
    if not all(map(math.isfinite, values)):
        raise DataError(f"{source} has ratings that are not finite: leave such fields blank")
