"""Whole numbers of samples that rounded figures can come from."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TypeAlias

from bottleneck.studies.published_figures import ConfusionMatrix, Figure

__all__ = ["Range", "explain", "figures_of", "fitting_positives", "hits", "within"]

Range: TypeAlias = tuple[Fraction, Fraction]
_Whole: TypeAlias = tuple[int, int]
# Lowest and highest value that round to a figure, and what both are shares of.
_Bounds: TypeAlias = tuple[int, int, int]


def hits(value: Fraction, figure: Figure) -> bool:
    """Return whether a value rounds to a figure, with halves rounded either way."""
    return figure.low <= value <= figure.high


def within(figure: Figure, n: int) -> list[int]:
    """Return the numbers k for which k / n rounds to a figure."""
    low, high = _counts(_bounds(figure), n)
    return list(range(low, high + 1))


def figures_of(matrix: ConfusionMatrix) -> dict[str, Fraction]:
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
        By the names in ``published_figures.METRICS``. The AUROC is ignored: it is a share of
        pairs, which are so many that nearly every value is possible.
    n : int
        Number of samples.

    Returns
    -------
    list of int
        In rising order.
    """
    bounds = {name: _bounds(figure) for name, figure in figures.items()}
    return [p for p in range(n + 1) if _fits(bounds, n, p)]


def explain(figures: Mapping[str, Figure], n: int, positives: int) -> str:
    """Describe why a number of positives does not fit."""
    negatives = n - positives
    bounds = {name: _bounds(figure) for name, figure in figures.items()}
    sides = _sides(bounds, positives, negatives)
    for name, of, side in (
        ("sensitivity", positives, sides[0]),
        ("specificity", negatives, sides[1]),
    ):
        if side[0] > side[1]:
            return f"of {of} no whole number rounds to a {name} of {figures[name].text}"
    if "accuracy" in figures:
        right = _counts(bounds["accuracy"], n)
        for end, word, outside in (
            (0, "at least", sides[0][0] + sides[1][0] > right[1]),
            (1, "at most", sides[0][1] + sides[1][1] < right[0]),
        ):
            if outside:
                tp, tn = sides[0][end], sides[1][end]
                return (
                    f"with {positives}, {word} {tp} of {positives} and {tn} of {negatives} are "
                    f"right, {tp + tn} of {n}: an accuracy of {(tp + tn) / n:.4f}"
                )
    return f"with {positives} no whole numbers fit"


def _bounds(figure: Figure) -> _Bounds:
    return 2 * figure.scaled - 1, 2 * figure.scaled + 1, 2 * figure.scale


def _counts(bounds: _Bounds, of: int) -> _Whole:
    """Return the smallest and the largest k for which k / of rounds to a figure."""
    low, high, scale = bounds
    return max(_ceil(low * of, scale), 0), min(high * of // scale, of)


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _sides(bounds: Mapping[str, _Bounds], positives: int, negatives: int) -> tuple[_Whole, _Whole]:
    """Return the range of correct answers of each class that sensitivity and specificity allow."""
    sides = []
    for name, of in (("sensitivity", positives), ("specificity", negatives)):
        if name not in bounds:
            sides.append((0, of))
        else:
            # Without samples of the class, the figure would be undefined.
            sides.append(_counts(bounds[name], of) if of else (1, 0))
    return sides[0], sides[1]


def _fits(bounds: Mapping[str, _Bounds], n: int, positives: int) -> bool:
    negatives = n - positives
    (least, most), specific = _sides(bounds, positives, negatives)
    right = _counts(bounds["accuracy"], n) if "accuracy" in bounds else (0, n)
    if specific[0] > specific[1] or right[0] > right[1]:
        return False
    others = [name for name in ("ppv", "npv", "f1") if name in bounds]
    if not others:  # The sums of two ranges of integers have no gap.
        return least <= most and least + specific[0] <= right[1] and most + specific[1] >= right[0]
    for tp in range(least, most + 1):
        low = max(specific[0], right[0] - tp)
        high = min(specific[1], right[1] - tp)
        for name in others:
            if low <= high:
                allowed = _allowed(name, bounds[name], tp, positives - tp, negatives)
                low, high = max(low, allowed[0]), min(high, allowed[1])
        if low <= high:
            return True
    return False


def _allowed(name: str, bounds: _Bounds, tp: int, fn: int, negatives: int) -> _Whole:
    """Return the range of true negatives that a figure allows, given the answers to positives."""
    lowest, highest, scale = bounds
    if name == "npv":
        # tn / (tn + fn) rises with tn. Without negative answers, programs print 0 or 1.
        if fn == 0:
            return (0, negatives) if highest >= scale else (0, 0) if lowest <= 0 else (1, 0)
        least = _ceil(lowest * fn, scale - lowest) if lowest < scale else negatives + 1
        most = highest * fn // (scale - highest) if highest < scale else negatives
        return max(least, 0), min(most, negatives)
    if tp == 0:  # PPV and F1 are 0, whatever the false positives.
        return (0, negatives) if lowest <= 0 else (1, 0)
    # Both are a / (b + fp), and fall with the false positives.
    a, b = (tp, tp) if name == "ppv" else (2 * tp, 2 * tp + fn)
    fewest = max(_ceil(a * scale, highest) - b, 0)
    largest = a * scale // lowest - b if lowest > 0 else negatives
    return max(negatives - largest, 0), negatives - fewest
