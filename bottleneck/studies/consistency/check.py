"""Whether published figures can hold together: whole numbers of samples must be behind them.

A sensitivity is a number of samples of another number, and so are its kin; an accuracy follows
from both classes, and one part of the samples has one number of positives for all models. Every
number of positives is tried with every whole number of right answers that rounds to what was
printed, halves either way, in exact arithmetic (the idea is that of the GRIM test, Brown &
Heathers 2017, doi:10.1177/1948550616673876). What is reported cannot hold, whatever the data were;
what is not reported need not be right.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from bottleneck.studies.consistency.grim import explain, figures_of, fitting_positives, hits, within
from bottleneck.studies.consistency.prevalence import check_shares, say_row
from bottleneck.studies.published_figures import Figure, Part, Row

__all__ = ["Contradiction", "check"]

_LARGEST = 5000
# How likely figures at random may fit some number of samples, for that number to mean something.
_BY_CHANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """Figures that cannot hold together.

    Attributes
    ----------
    part : str
        Of which part of the samples.
    words : str
        Which figures, and the arithmetic.
    """

    part: str
    words: str


def check(
    parts: Sequence[Part], *, negative: str = "negative", positive: str = "positive"
) -> tuple[Contradiction, ...]:
    """Look for published figures that cannot hold together.

    Parameters
    ----------
    parts : sequence of Part
        What was published, part by part.
    negative, positive : str
        What the classes are called.

    Returns
    -------
    tuple of Contradiction
        Empty where nothing was found.
    """
    found = []
    for part in parts:
        for words in (
            *_check_matrices(part, positive),
            *_check_counts(part, positive),
            *check_shares(part, negative, positive),
        ):
            found.append(Contradiction(part.name, words))
    return tuple(found)


def _check_matrices(part: Part, positive: str) -> Iterator[str]:
    for row in part.rows:
        if row.matrix is None:
            continue
        of = f"the confusion matrix of '{row.model}' ({_say_matrix(row)})"
        if part.n is not None and row.matrix.n != part.n:
            yield f"{of} has {row.matrix.n} samples, where {part.n} are stated"
        if part.positives is not None and row.matrix.positives != part.positives:
            yield (
                f"{of} has {row.matrix.positives} of {positive}, where {part.positives} are stated"
            )
        computed = figures_of(row.matrix)
        for name, figure in row.figures.items():
            value = computed.get(name)
            if value is not None and not hits(value, figure):
                yield f"{of} makes the {name} {float(value):.4f}, where {figure.text} is stated"


def _check_counts(part: Part, positive: str) -> Iterator[str]:
    """Hold the figures of each row, and of all rows together, against the number of samples."""
    if part.n is None:
        return
    fitting = {row.model: fitting_positives(row.figures, part.n) for row in part.rows}
    impossible = [row for row in part.rows if not fitting[row.model]]
    if impossible:
        yield from _say_impossible(part, impossible)
    possible = [row for row in part.rows if fitting[row.model] and _ties(row)]
    if part.positives is not None:
        for row in possible:
            if part.positives not in fitting[row.model]:
                yield (
                    f"{say_row(row)} needs {_say_range(fitting[row.model])} {positive} of "
                    f"{part.n}, where {part.positives} are stated; "
                    f"{explain(row.figures, part.n, part.positives)}"
                )
    elif possible and not set.intersection(*(set(fitting[row.model]) for row in possible)):
        yield _say_apart(part.n, possible, fitting, positive)


def _ties(row: Row) -> bool:
    """Whether the figures of a row say anything of the number of positives."""
    return len(set(row.figures) - {"auroc"}) > 1


def _say_apart(
    n: int, rows: Sequence[Row], fitting: Mapping[str, Sequence[int]], positive: str
) -> str:
    """Say that no number of positives fits all rows, by the one that needs the fewest."""
    low = min(rows, key=lambda row: fitting[row.model][-1])
    most = fitting[low.model][-1]
    above = [row for row in rows if fitting[row.model][0] > most]
    said = f"no number of {positive} fits all rows of these {n} samples"
    if not above:  # They only miss each other.
        needs = "; ".join(
            f"{say_row(row)} needs one of {len(fitting[row.model])} from "
            f"{_say_range(fitting[row.model])}"
            for row in rows
        )
        return f"{said}: {needs}"
    return (
        f"{said}: {say_row(low)} needs at most {most} "
        f"({explain(low.figures, n, most + 1)}), but "
        + "; ".join(
            f"{say_row(row)} at least {fitting[row.model][0]} "
            f"({explain(row.figures, n, fitting[row.model][0] - 1)})"
            for row in above
        )
    )


def _say_impossible(part: Part, rows: Sequence[Row]) -> Iterator[str]:
    """Say which rows fit no whole numbers, and how many samples would make them fit."""
    assert part.n is not None
    accurate = [row for row in rows if "accuracy" in row.figures]
    alone = [row for row in accurate if not within(row.figures["accuracy"], part.n)]
    for row in rows:
        if row not in alone:
            yield f"{say_row(row)} fits no whole numbers of {part.n} samples"
    said = set()
    for count in part.elsewhere:
        fits = {row.model: within(row.figures["accuracy"], count.n) for row in alone}
        for row in alone:
            if fits[row.model]:
                said.add(row.model)
                figure = row.figures["accuracy"]
                yield (
                    f"{_say_accuracy(row)} is {fits[row.model][0]} of {count.n} ({count.where}); "
                    f"it is impossible on {part.n}: {_say_neighbours(figure, part.n)}"
                )
    rest = [row for row in alone if row.model not in said]
    other = _other_number([row.figures["accuracy"] for row in rest])
    if other is not None:
        joined = [row for row in rest if within(row.figures["accuracy"], other)]
        counts = [within(row.figures["accuracy"], other)[0] for row in joined]
        yield (
            f"the accuracies {_join([row.figures['accuracy'].text for row in joined])} "
            f"({_join([repr(row.model) for row in joined])}) are {_join(list(map(str, counts)))} "
            f"of {other}, and not of {part.n}: there, the first would be "
            f"{_say_neighbours(joined[0].figures['accuracy'], part.n)}"
        )
        rest = [row for row in rest if row not in joined]
    for row in rest:
        figure = row.figures["accuracy"]
        yield (f"{_say_accuracy(row)} is impossible on {part.n}: {_say_neighbours(figure, part.n)}")


def _other_number(figures: Sequence[Figure]) -> int | None:
    """Return the least number of samples that the finest of some figures fit, if by no chance."""
    if not figures:
        return None
    finest = max(figure.scale for figure in figures)
    fine = [figure for figure in figures if figure.scale == finest]
    chance = 0.0
    for n in range(1, _LARGEST):
        chance += min(1.0, n / finest) ** len(fine)
        if chance > _BY_CHANCE:
            return None
        if all(within(figure, n) for figure in fine):
            return n
    return None


def _say_accuracy(row: Row) -> str:
    return f"the accuracy {row.figures['accuracy'].text} of '{row.model}'"


def _say_neighbours(figure: Figure, n: int) -> str:
    exact = figure.value * n
    below = math.floor(exact)
    return (
        f"{float(exact):.2f} of {n}, where {below} are {_like(Fraction(below, n), figure)} and "
        f"{below + 1} are {_like(Fraction(below + 1, n), figure)}"
    )


def _like(value: Fraction, figure: Figure) -> str:
    """Write a share as a figure is written."""
    places = len(str(figure.scale)) - 1
    if "%" in figure.text:
        return f"{float(100 * value):.{places - 2}f} %"
    return f"{float(value):.{places}f}"


def _say_matrix(row: Row) -> str:
    assert row.matrix is not None
    return ", ".join(f"{field} {value}" for field, value in dataclasses.asdict(row.matrix).items())


def _say_range(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    return f"{numbers[0]} to {numbers[-1]}"


def _join(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
