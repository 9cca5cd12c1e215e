"""Class frequencies that a publication states in several places, or implies by its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from bottleneck.studies.consistency.grim import Range, fitting_positives
from bottleneck.studies.published_figures import (
    ClassFrequencies,
    Figure,
    PublishedRow,
    PublishedSet,
)

__all__ = ["check_frequencies", "implied_share", "name_row"]


def implied_share(figures: Mapping[str, Figure]) -> Range | None:
    """Return the range of shares of positives that accuracy, sensitivity and specificity allow.

    With sensitivity s, specificity c and accuracy a, the share is (c − a) / (c − s); the range is
    over all values that round to the printed figures.

    Returns
    -------
    tuple of Fraction, or None
        Lowest and highest share; None where a figure is missing, or sensitivity and specificity
        may be equal.
    """
    if not {"accuracy", "sensitivity", "specificity"} <= set(figures):
        return None
    a, s, c = (figures[name] for name in ("accuracy", "sensitivity", "specificity"))
    if s.low <= c.high and c.low <= s.high:
        return None
    # The share is monotonic in each of the three, so that its extremes are at corners.
    corners = [
        (y - x) / (y - z) for x in (a.low, a.high) for z in (s.low, s.high) for y in (c.low, c.high)
    ]
    return max(min(corners), Fraction(0)), min(max(corners), Fraction(1))


def check_frequencies(published: PublishedSet, negative: str, positive: str) -> Iterator[str]:
    """Yield a sentence where the class frequencies of different places contradict each other."""
    shares: list[tuple[Range, str]] = []
    for stated in published.frequencies:
        shares.append(_range_of(stated, negative, positive))
    for row in published.rows:
        if row.matrix is not None:
            n, positives = row.matrix.n, row.matrix.positives
            share = Fraction(positives, n)
            words = f"{n - positives} of {n} {negative} in the confusion matrix of '{row.model}'"
            shares.append(((share, share), words))
        elif published.n is None and (implied := implied_share(row.figures)) is not None:
            words = f"(c - a) / (c - s) of {positive} for {name_row(row)}"
            shares.append((implied, words))
    if published.frequencies and (counted := _counted(published, negative)) is not None:
        shares.append(counted)
    bounds = [share for share, _ in shares]
    if shares and max(low for low, _ in bounds) > min(high for _, high in bounds):
        listed = "; ".join(f"{_format_share(share)} {negative}: {words}" for share, words in shares)
        yield f"the classes have several frequencies: {listed}"


def _counted(published: PublishedSet, negative: str) -> tuple[Range, str] | None:
    """Return the shares of positives for which whole numbers fit the figures of all rows."""
    n = published.n
    rows = [row for row in published.rows if row.matrix is None and row.figures]
    if n is None or not rows:
        return None
    fitting = set.intersection(*(set(fitting_positives(row.figures, n)) for row in rows))
    if not fitting:  # That the rows contradict each other is a sentence of its own.
        return None
    low, high = min(fitting), max(fitting)
    numbers = f"{n - high}" if low == high else f"{n - high} to {n - low}"
    words = f"{numbers} of {n} {negative}, which the figures need"
    return (Fraction(low, n), Fraction(high, n)), words


def _range_of(stated: ClassFrequencies, negative: str, positive: str) -> tuple[Range, str]:
    """Return the range of shares of positives that a statement allows, and the statement."""
    if stated.weights is not None:
        of = {side: _weighed(stated.weights[side]) for side in ("negative", "positive")}
        others = tuple(1 - bound for bound in of["negative"])
        low, high = max(of["positive"][0], min(others)), min(of["positive"][1], max(others))
        text = ", ".join(f"1 / (2 × {stated.weights[side]})" for side in ("negative", "positive"))
        return (low, high), f"{stated.where}, {text} of {negative}, {positive}"
    assert stated.negatives is not None
    assert stated.positives is not None
    half = Fraction(stated.rounded_to, 2) if stated.rounded_to > 1 else Fraction(0)
    least = max(stated.positives - half, Fraction(0)), max(stated.negatives - half, Fraction(0))
    most = stated.positives + half, stated.negatives + half
    words = f"{stated.negatives} to {stated.positives} in {stated.where}"
    if half:
        words += f", read as rounded to {stated.rounded_to}"
    return (least[0] / (least[0] + most[1]), most[0] / (most[0] + least[1])), words


def _weighed(text: str) -> Range:
    """Return the range of shares of a class that a balanced weight n / (2 n_class) allows."""
    places = len(text.partition(".")[2])
    half = Fraction(1, 2 * 10**places)
    weight = Fraction(text)
    return 1 / (2 * (weight + half)), 1 / (2 * (weight - half))


def _format_share(share: Range) -> str:
    """Format the share of negatives that corresponds to a share of positives."""
    low, high = (100 * float(1 - bound) for bound in reversed(share))
    if high - low < 0.3:
        return f"{(low + high) / 2:.1f} %"
    return f"{low:.1f} to {high:.1f} %"


def name_row(row: PublishedRow) -> str:
    """Return the name of a row with its figures."""
    figures = ", ".join(f"{name} {figure.text}" for name, figure in row.figures.items())
    return f"'{row.model}' ({figures})"
