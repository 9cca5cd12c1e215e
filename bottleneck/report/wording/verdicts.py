"""Verdicts on non-inferiority, in words."""

from __future__ import annotations

from collections.abc import Iterable

from bottleneck.evaluation.results.result_parts import MarginResults
from bottleneck.text.plurals import counted

__all__ = ["LEVEL", "VERDICTS", "count_verdicts", "doubt_reference", "explain_verdicts"]

#: Level of the one-sided tests.
LEVEL = 0.025
#: Verdicts and what they mean, in the order of a sentence.
VERDICTS = {
    "superior": "the AUROC is higher than that of the reference.",
    "non-inferior": "the AUROC is not lower, or is lower by less than the margin.",
    "lower within the margin": "the AUROC is lower, but by less than the margin, which was "
    "accepted.",
    "inconclusive": "it is shown neither that the loss is less than the margin nor that it is "
    "more: the arm may be as good, or worse.",
    "inferior": "the AUROC is lower by more than the margin.",
}
_MOST_NAMES = 4
_CHANCE = 0.5


def explain_verdicts(results: MarginResults) -> list[tuple[str, str]]:
    """Return the verdicts that occur, with their meaning."""
    given = {test.verdict for test in results.tests}
    return [(name, meaning) for name, meaning in VERDICTS.items() if name in given]


def count_verdicts(results: MarginResults) -> str:
    """Return which arms got which verdict, in a sentence or two.

    Returns
    -------
    str
        Such as "Compared with A, with a margin of 0.05 of the AUROC: B is non-inferior; for C
        and D, the result is inconclusive.", and a caution if A may be at chance level.
    """
    parts = []
    for verdict in VERDICTS:
        arms = [test.arm for test in results.tests if test.verdict == verdict]
        if arms and verdict == "inconclusive":
            parts.append(f"for {_join(arms)}, the result is inconclusive")
        elif arms:
            parts.append(f"{_join(arms)} {'is' if len(arms) == 1 else 'are'} {verdict}")
    return (
        f"Compared with {results.reference}, with a margin of {results.margin:g} of the AUROC: "
        f"{'; '.join(parts)}.{doubt_reference(results, ' ')}"
    )


def doubt_reference(results: MarginResults, before: str = "") -> str:
    """Return a caution, after ``before``, if the reference may be at chance level; otherwise ""."""
    auroc = results.reference_auroc
    if auroc is None or auroc.low is None or auroc.low > _CHANCE:
        return ""
    return (
        f"{before}The interval of the reference's own AUROC includes values of 0.5 or less: the "
        "reference may be no better than chance, and an arm can then be as good without being "
        "useful."
    )


def _join(names: Iterable[str]) -> str:
    listed = list(names)
    if len(listed) > _MOST_NAMES:
        return counted(len(listed), "arm")
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
