"""Differences between a card and the one that its results give."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator
from typing import Any

from bottleneck.model_card.quoted_fields import POINTER
from bottleneck.text.short_repr import shorten, show_fields

__all__ = ["CardDifference", "compare_lines", "compare_metadata"]

_FRONT = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_FIGURES = re.compile(r"^model-index:.*\n(?:[ -].*\n)*", re.MULTILINE)
_VALUE = re.compile(r"[+−-]?\d[\d,]*(?:\.\d+)?(?:e[+−-]?\d+)?$")
# A line and its number.
Line = tuple[int, str]
# What could hide other lines, or show them as another thing.
_HIDING = re.compile(r"<(?!https?://)[A-Za-z/!?]|^\s*(?:```|~~~)")


@dataclasses.dataclass(frozen=True)
class CardDifference:
    """One difference between a card and what it quotes.

    Attributes
    ----------
    line : int or None
        Line of the card; None where a line is missing, or the whole differs.
    words : str
        What differs.
    field : str or None
        Pointer to the field, such as "/arms/0/metrics/auroc/value".
    """

    line: int | None
    words: str
    field: str | None = None

    __repr__ = show_fields

    def __str__(self) -> str:
        return self.words if self.line is None else f"line {self.line}: {self.words}"


def compare_metadata(expected: str, shown: str) -> Iterator[CardDifference]:
    """Yield where the metadata of a card lack or change what they should hold.

    Parameters
    ----------
    expected, shown : str
        The card as its results give it, and as it is.
    """
    wanted, given = _metadata(expected), _metadata(shown)
    head, there = (_FRONT.match(text) for text in (expected, shown))
    if given is None or wanted is None or head is None or there is None:
        yield CardDifference(1, "the metadata between the two lines '---' cannot be read")
        return
    for name, value in wanted.items():
        # YAML with a key that is there twice is none, and its readers disagree on it.
        if len(re.findall(rf"(?m)^{name}\s*:", there[1])) != 1:
            yield CardDifference(None, f"the metadata have {name} more than once")
        elif name == "model-index":
            changed = [*_compare_figures(value, given.get(name))]
            # The hub shows more than these fields, such as whether a figure was verified.
            if not changed and _FIGURES.findall(head[1]) != _FIGURES.findall(there[1]):
                changed = [CardDifference(None, "the lines of model-index in the metadata differ")]
            yield from changed
        elif isinstance(value, list):
            if lacking := [one for one in value if one not in (given.get(name) or [])]:
                yield CardDifference(None, f"the metadata lack the {name} {', '.join(lacking)}")
        elif given.get(name) != value:
            yield CardDifference(
                None, f"the metadata have {name} {shorten(given.get(name))}, not {shorten(value)}"
            )


def _metadata(text: str) -> dict[str, Any] | None:
    """Return the metadata of a card; None if they cannot be read."""
    from huggingface_hub import ModelCard

    front = _FRONT.match(text)
    if front is None:
        return None
    try:
        made: dict[str, Any] = ModelCard(front[0]).data.to_dict()
    except Exception:  # noqa: BLE001 # The reader of YAML has errors of its own, and so has theirs.
        return None
    return made


def _compare_figures(wanted: Any, given: Any) -> Iterator[CardDifference]:
    """Yield where the figures of the metadata differ."""
    known = {} if given is None else dict(_flat(given))
    for place, metric in _flat(wanted):
        field = metric["args"]["field"]
        if place not in known:
            yield CardDifference(None, f"the metadata lack '{metric['name']}'", field)
        elif (there := known.pop(place)) != metric:
            for name, value in metric.items():
                if there.get(name) != value:
                    yield CardDifference(
                        None,
                        f"the metadata have {shorten(there.get(name))} as {name} of "
                        f"'{metric['name']}', and {field} gives {shorten(value)}",
                        field,
                    )
    for metric in known.values():
        name = shorten(metric.get("name"))
        yield CardDifference(None, f"the metadata have {name}, which the results do not have")


def _flat(index: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield the metrics of a model-index, each with its place: model, data set and metric."""
    for model in index:
        for result in model["results"]:
            data = result["dataset"]
            place = (model["name"], data["type"], data["name"], data.get("split"))
            for metric in result["metrics"]:
                yield (*place, metric["type"]), metric


def _body(text: str) -> list[Line]:
    """Return the lines of a card below its metadata that are not empty, with their numbers.

    A line after an empty one begins with a line break: an empty line ends a table or paragraph.
    """
    front = _FRONT.match(text)
    n_front = 0 if front is None else front[0].count("\n")
    lines = text.split("\n")
    return [
        (n, line.rstrip() if lines[n - 2].strip() else f"\n{line.rstrip()}")
        for n, line in enumerate(lines, 1)
        if n > n_front and line.strip()
    ]


def compare_lines(expected: str, shown: str) -> tuple[list[CardDifference], tuple[int, ...]]:
    """Return where the lines below the metadata differ, and the numbers of those that were added.

    Parameters
    ----------
    expected, shown : str
        The card as its results give it, and as it is.
    """
    return _compare(_body(expected), _body(shown))


def _compare(
    expected: list[Line], shown: list[Line]
) -> tuple[list[CardDifference], tuple[int, ...]]:
    added = _find_added([line for _, line in expected], shown)
    differences: list[CardDifference] = []
    if added is None:
        matcher = difflib.SequenceMatcher(
            None, [line for _, line in expected], [line for _, line in shown], autojunk=False
        )
        added = []
        for kind, i, i_end, j, j_end in matcher.get_opcodes():
            if kind == "insert":
                added += shown[j:j_end]
            elif kind != "equal":
                differences += _pair(expected[i:i_end], shown[j:j_end])
    generated = {n for n, _ in shown} - {n for n, _ in added}
    for n, line in added:
        if _HIDING.search(line):
            words = "HTML and code fences in your own text could hide or change other lines"
            differences.append(CardDifference(n, words))
        elif _touches(n, generated, added):
            words = "your own text needs an empty line before and after it"
            differences.append(CardDifference(n, words))
    return differences, tuple(n for n, _ in added)


def _find_added(expected: list[str], shown: list[Line]) -> list[Line] | None:
    """Return the lines that are added; None if a line is missing or not in its place."""
    waiting, added = list(reversed(expected)), []
    for n, line in shown:
        if waiting and line == waiting[-1]:
            waiting.pop()
        else:
            added.append((n, line))
    return None if waiting else added


def _touches(n: int, generated: set[int], added: list[Line]) -> bool:
    """Return whether the block of an added line adjoins a line that is not added."""
    own = {number for number, _ in added}
    first = last = n
    while first - 1 in own:
        first -= 1
    while last + 1 in own:
        last += 1
    return first - 1 in generated or last + 1 in generated


def _pair(expected: list[Line], shown: list[Line]) -> Iterator[CardDifference]:
    """Yield the differences of lines that stand in each other's place."""
    waiting = list(shown)
    for _, wanted in expected:
        ratios = [difflib.SequenceMatcher(None, wanted, line).ratio() for _, line in waiting]
        if not ratios or max(ratios) < 0.6:
            field = next(iter(POINTER.findall(wanted)), None)
            yield CardDifference(None, f"a line is missing: {_readable(wanted)}", field)
            continue
        n, line = waiting.pop(ratios.index(max(ratios)))
        yield from _explain(n, wanted, line)
    for n, line in waiting:
        yield CardDifference(n, f"this line does not belong to the card: {_readable(line)}")


def _explain(n: int, wanted: str, line: str) -> Iterator[CardDifference]:
    """Yield which quotes of a line differ; if none does, that the line differs."""
    if line.strip() == wanted.strip():
        words = "needs an" if wanted.startswith("\n") else "must not follow an"
        yield CardDifference(n, f"this line {words} empty line: {_readable(line)}")
        return
    theirs, ours = POINTER.split(line), POINTER.split(wanted)
    if theirs[1::2] != ours[1::2]:
        is_same = theirs[::2] == ours[::2]
        words = "this line names other fields" if is_same else f"it should be {_readable(wanted)}"
        yield CardDifference(n, words)
        return
    for shown, text, field in zip(theirs[::2], ours[::2], [*ours[1::2], None], strict=True):
        if shown != text:
            value, other = _VALUE.search(text), _VALUE.search(shown)
            if field and value and other and text[: value.start()] == shown[: other.start()]:
                words = f"the card says {other[0]}, and the field is {value[0]} ({field})"
            else:
                start = _begin_of_change(shown, text)
                words = f"the card says {_readable(shown[start:])}, not {_readable(text[start:])}"
            yield CardDifference(n, words, field)


def _begin_of_change(a: str, b: str) -> int:
    """Return where the first word begins in which two texts differ."""
    pairs = enumerate(zip(a, b, strict=False))
    first = next((n for n, (x, y) in pairs if x != y), min(len(a), len(b)))
    return a.rfind(" ", 0, first) + 1


def _readable(line: str) -> str:
    """Return a line without pointers, and without its end where it is long."""
    return shorten(POINTER.sub("", line).strip())
