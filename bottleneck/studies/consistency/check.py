"""Contradictions of published figures: figures that no whole numbers of samples can give.

Sensitivity, specificity, PPV and NPV are fractions of numbers of samples, the accuracy follows
from both classes, and the number of positives of a set is the same for all models. Every number of
positives is tried with every whole number of correct answers that rounds to the printed figures,
with halves rounded either way, in exact arithmetic (an extension of the GRIM test, Brown &
Heathers 2017, doi:10.1177/1948550616673876). A contradiction is one whatever the data were;
figures without one may still be wrong.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from bottleneck.studies.consistency.epochs import check_epochs
from bottleneck.studies.consistency.grim import explain, figures_of, fitting_positives, hits, within
from bottleneck.studies.consistency.prevalence import check_frequencies, name_row
from bottleneck.studies.published_figures import Figure, PublishedRow, PublishedSet
from bottleneck.studies.published_training import PublishedTraining
from bottleneck.studies.study import Study

__all__ = ["Contradiction", "check", "check_study"]

_LARGEST = 5000
# Highest probability with which random figures may fit a number of samples that is reported.
_BY_CHANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """Published figures that contradict each other.

    Attributes
    ----------
    published : str
        Name of the published set.
    words : str
        The figures, and the arithmetic.
    """

    published: str
    words: str


def check_study(study: Study) -> tuple[Contradiction, ...]:
    """Return the contradictions of the figures that a study states as published."""
    return check(
        study.published,
        negative=study.negative,
        positive=study.positive,
        trainings=study.trainings,
        patience=int(study.training.get("patience", 0)),
    )


def check(
    published: Sequence[PublishedSet],
    *,
    negative: str = "negative",
    positive: str = "positive",
    trainings: Sequence[PublishedTraining] = (),
    patience: int = 0,
) -> tuple[Contradiction, ...]:
    """Return the contradictions of published figures.

    Parameters
    ----------
    published : sequence of PublishedSet
        The published figures of each set.
    negative, positive : str
        Names of the classes, for the words.
    trainings : sequence of PublishedTraining
        The published epochs.
    patience : int
        The published patience of early stopping; 0 without it.

    Returns
    -------
    tuple of Contradiction
        Empty where there is none.
    """
    contradictions = []
    for one in published:
        for words in (
            *_check_matrices(one, positive),
            *_check_counts(one, positive),
            *check_frequencies(one, negative, positive),
        ):
            contradictions.append(Contradiction(one.name, words))
        for training in trainings:
            if training.validation == one.name:
                for words in check_epochs(training, one, positive, patience):
                    contradictions.append(Contradiction(one.name, words))
    return tuple(contradictions)


def _check_matrices(published: PublishedSet, positive: str) -> Iterator[str]:
    for row in published.rows:
        if row.matrix is None:
            continue
        of = f"the confusion matrix of '{row.model}' ({_format_matrix(row)})"
        if published.n is not None and row.matrix.n != published.n:
            yield f"{of} has {row.matrix.n} samples, where {published.n} are stated"
        if published.positives is not None and row.matrix.positives != published.positives:
            yield (
                f"{of} has {row.matrix.positives} of {positive}, where {published.positives} are "
                "stated"
            )
        computed = figures_of(row.matrix)
        for name, figure in row.figures.items():
            value = computed.get(name)
            if value is not None and not hits(value, figure):
                yield f"{of} makes the {name} {float(value):.4f}, where {figure.text} is stated"


def _check_counts(published: PublishedSet, positive: str) -> Iterator[str]:
    """Check the figures of each row, and of all rows together, against the number of samples."""
    if published.n is None:
        return
    fitting = {row.model: fitting_positives(row.figures, published.n) for row in published.rows}
    impossible = [row for row in published.rows if not fitting[row.model]]
    if impossible:
        yield from _describe_impossible(published, impossible)
    possible = [row for row in published.rows if fitting[row.model] and _ties(row)]
    if published.positives is not None:
        for row in possible:
            if published.positives not in fitting[row.model]:
                yield (
                    f"{name_row(row)} needs {_format_range(fitting[row.model])} {positive} of "
                    f"{published.n}, where {published.positives} are stated; "
                    f"{explain(row.figures, published.n, published.positives)}"
                )
    elif possible and not set.intersection(*(set(fitting[row.model]) for row in possible)):
        yield _describe_mismatch(published.n, possible, fitting, positive)


def _ties(row: PublishedRow) -> bool:
    """Whether the figures of a row restrict the number of positives."""
    return len(set(row.figures) - {"auroc"}) > 1


def _describe_mismatch(
    n: int, rows: Sequence[PublishedRow], fitting: Mapping[str, Sequence[int]], positive: str
) -> str:
    """Describe why no number of positives fits all rows, from the row that allows the fewest."""
    low = min(rows, key=lambda row: fitting[row.model][-1])
    most = fitting[low.model][-1]
    above = [row for row in rows if fitting[row.model][0] > most]
    verdict = f"no number of {positive} fits all rows of these {n} samples"
    if not above:  # Their ranges overlap, but they have no number in common.
        needs = "; ".join(
            f"{name_row(row)} needs one of {len(fitting[row.model])} from "
            f"{_format_range(fitting[row.model])}"
            for row in rows
        )
        return f"{verdict}: {needs}"
    return (
        f"{verdict}: {name_row(low)} needs at most {most} "
        f"({explain(low.figures, n, most + 1)}), but "
        + "; ".join(
            f"{name_row(row)} at least {fitting[row.model][0]} "
            f"({explain(row.figures, n, fitting[row.model][0] - 1)})"
            for row in above
        )
    )


def _describe_impossible(published: PublishedSet, rows: Sequence[PublishedRow]) -> Iterator[str]:
    """Describe rows that fit no whole numbers, and numbers of samples that they would fit."""
    assert published.n is not None
    accurate = [row for row in rows if "accuracy" in row.figures]
    alone = [row for row in accurate if not within(row.figures["accuracy"], published.n)]
    for row in rows:
        if row not in alone:
            yield f"{name_row(row)} fits no whole numbers of {published.n} samples"
    explained = set()
    for count in published.other_counts:
        fits = {row.model: within(row.figures["accuracy"], count.n) for row in alone}
        for row in alone:
            if fits[row.model]:
                explained.add(row.model)
                figure = row.figures["accuracy"]
                yield (
                    f"{_name_accuracy(row)} is {fits[row.model][0]} of {count.n} ({count.where}); "
                    f"it is impossible on {published.n}: "
                    f"{_describe_neighbours(figure, published.n)}"
                )
    rest = [row for row in alone if row.model not in explained]
    other = _other_number([row.figures["accuracy"] for row in rest])
    if other is not None:
        joined = [row for row in rest if within(row.figures["accuracy"], other)]
        counts = [within(row.figures["accuracy"], other)[0] for row in joined]
        yield (
            f"the accuracies {_join([row.figures['accuracy'].text for row in joined])} "
            f"({_join([repr(row.model) for row in joined])}) are {_join(list(map(str, counts)))} "
            f"of {other}, and not of {published.n}: there, the first would be "
            f"{_describe_neighbours(joined[0].figures['accuracy'], published.n)}"
        )
        rest = [row for row in rest if row not in joined]
    for row in rest:
        figure = row.figures["accuracy"]
        neighbours = _describe_neighbours(figure, published.n)
        yield f"{_name_accuracy(row)} is impossible on {published.n}: {neighbours}"


def _other_number(figures: Sequence[Figure]) -> int | None:
    """Return the smallest number of samples that the finest figures fit, if not by chance."""
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


def _name_accuracy(row: PublishedRow) -> str:
    return f"the accuracy {row.figures['accuracy'].text} of '{row.model}'"


def _describe_neighbours(figure: Figure, n: int) -> str:
    exact = figure.value * n
    below = math.floor(exact)
    return (
        f"{float(exact):.2f} of {n}, where {below} are {_like(Fraction(below, n), figure)} and "
        f"{below + 1} are {_like(Fraction(below + 1, n), figure)}"
    )


def _like(value: Fraction, figure: Figure) -> str:
    """Format a share as a figure was printed."""
    places = len(str(figure.scale)) - 1
    if "%" in figure.text:
        return f"{float(100 * value):.{places - 2}f} %"
    return f"{float(value):.{places}f}"


def _format_matrix(row: PublishedRow) -> str:
    assert row.matrix is not None
    return ", ".join(f"{field} {value}" for field, value in dataclasses.asdict(row.matrix).items())


def _format_range(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    return f"{numbers[0]} to {numbers[-1]}"


def _join(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
