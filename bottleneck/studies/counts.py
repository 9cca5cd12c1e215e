"""Which whole numbers of samples can be behind figures that were rounded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TypeAlias

from bottleneck.studies.published import Figure, Matrix

__all__ = ["Range", "explain", "figures_of", "fitting_positives", "hits", "within"]

Range: TypeAlias = tuple[Fraction, Fraction]
_Whole: TypeAlias = tuple[int, int]


def hits(value: Fraction, figure: Figure) -> bool:
    """Whether a value rounds to a figure, halves either way."""
    return figure.low <= value <= figure.high


def within(figure: Figure, n: int) -> list[int]:
    """Return the whole numbers of ``n`` samples that round to a figure."""
    low, high = _counts(figure, n)
    return list(range(low, high + 1))


def figures_of(matrix: Matrix) -> dict[str, Fraction]:
    """Return every figure that a confusion matrix defines."""
    tn, fp, fn, tp = matrix.tn, matrix.fp, matrix.fn, matrix.tp
    shares = {
        "accuracy": (tp + tn, matrix.n),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }
    return {name: Fraction(k, of) for name, (k, of) in shares.items() if of}


def fitting_positives(figures: Mapping[str, Figure], n: int) -> list[int]:
    """Return the numbers of positives for which whole numbers fit all figures of a row.

    Parameters
    ----------
    figures : mapping of str to Figure
        By the names in ``published.METRICS``; the AUROC is not looked at, because it is a
        share of pairs, which are so many that nearly every value occurs.
    n : int
        Number of samples.

    Returns
    -------
    list of int
        Rising.
    """
    return [p for p in range(n + 1) if _fits(figures, n, p)]


def explain(figures: Mapping[str, Figure], n: int, positives: int) -> str:
    """Say why a number of positives does not fit."""
    negatives = n - positives
    sides = _sides(figures, positives, negatives)
    for name, of, side in (
        ("sensitivity", positives, sides[0]),
        ("specificity", negatives, sides[1]),
    ):
        if side[0] > side[1]:
            return f"of {of} no whole number rounds to a {name} of {figures[name].text}"
    if "accuracy" in figures:
        right = _counts(figures["accuracy"], n)
        for bound, word, outside in (
            (0, "at least", sides[0][0] + sides[1][0] > right[1]),
            (1, "at most", sides[0][1] + sides[1][1] < right[0]),
        ):
            if outside:
                tp, tn = sides[0][bound], sides[1][bound]
                return (
                    f"with {positives}, {word} {tp} of {positives} and {tn} of {negatives} are "
                    f"right, {tp + tn} of {n}: an accuracy of {(tp + tn) / n:.4f}"
                )
    return f"with {positives} no whole numbers fit"


def _counts(figure: Figure, of: int) -> _Whole:
    """Return the least and the largest whole number that rounds to a figure of a number."""
    least, most = math.ceil(figure.low * of), math.floor(figure.high * of)
    return max(least, 0), min(most, of)


def _sides(figures: Mapping[str, Figure], positives: int, negatives: int) -> tuple[_Whole, _Whole]:
    """Return what sensitivity and specificity leave to the right answers of each class."""
    sides = []
    for name, of in (("sensitivity", positives), ("specificity", negatives)):
        if name not in figures:
            sides.append((0, of))
        else:
            # Without a sample of the class there would be no figure.
            sides.append(_counts(figures[name], of) if of else (1, 0))
    return sides[0], sides[1]


def _fits(figures: Mapping[str, Figure], n: int, positives: int) -> bool:
    negatives = n - positives
    (least, most), specific = _sides(figures, positives, negatives)
    right = _counts(figures["accuracy"], n) if "accuracy" in figures else (0, n)
    if specific[0] > specific[1] or right[0] > right[1]:
        return False
    if not set(figures) & {"ppv", "npv", "f1"}:
        # Sums of two ranges leave no gap.
        return least <= most and least + specific[0] <= right[1] and most + specific[1] >= right[0]
    for tp in range(least, most + 1):
        low = max(specific[0], right[0] - tp)
        high = min(specific[1], right[1] - tp)
        for name in ("ppv", "npv", "f1"):
            if name in figures and low <= high:
                bounds = _allowed(name, figures[name], tp, positives - tp, negatives)
                low, high = max(low, bounds[0]), min(high, bounds[1])
        if low <= high:
            return True
    return False


def _allowed(name: str, figure: Figure, tp: int, fn: int, negatives: int) -> _Whole:
    """Return the true negatives that a figure leaves, given the answers to the positives."""
    lowest, highest = figure.low, figure.high
    if name == "npv":
        if fn == 0:  # It is 1; or, with no negative answer, what a program likes.
            return (0, negatives) if highest >= 1 else (0, 0) if lowest <= 0 else (1, 0)
        # tn / (tn + fn) rises with tn.
        least = math.ceil(lowest * fn / (1 - lowest)) if lowest < 1 else negatives + 1
        most = math.floor(highest * fn / (1 - highest)) if highest < 1 else negatives
        return max(least, 0), min(most, negatives)
    if tp == 0:  # It is 0, whatever the false positives.
        return (0, negatives) if lowest <= 0 else (1, 0)
    if highest <= 0:
        return 1, 0
    # Both are a / (b + fp) and fall with the false positives.
    a, b = (tp, tp) if name == "ppv" else (2 * tp, 2 * tp + fn)
    fewest = math.ceil(a / highest - b)
    largest = math.floor(a / lowest - b) if lowest > 0 else negatives
    return max(negatives - largest, 0), min(negatives - max(fewest, 0), negatives)
