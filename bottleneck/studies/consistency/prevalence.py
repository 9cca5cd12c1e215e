"""How frequent the classes are, by everything that a publication says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from bottleneck.studies.consistency.grim import Range
from bottleneck.studies.published_figures import Claim, Figure, Part, Row

__all__ = ["check_shares", "implied_share", "say_row"]


def implied_share(figures: Mapping[str, Figure]) -> Range | None:
    """Return which shares of positives fit accuracy, sensitivity and specificity.

    With sensitivity s, specificity c and accuracy a it is (c − a) / (c − s); the range is that
    of all values that round to those printed.

    Returns
    -------
    tuple of Fraction, or None
        Lowest and highest; None where a figure is missing or sensitivity and specificity may
        be the same.
    """
    if not {"accuracy", "sensitivity", "specificity"} <= set(figures):
        return None
    a, s, c = (figures[name] for name in ("accuracy", "sensitivity", "specificity"))
    if s.low <= c.high and c.low <= s.high:
        return None
    # It rises or falls in each of the three throughout, so that its ends are at corners.
    corners = [
        (y - x) / (y - z) for x in (a.low, a.high) for z in (s.low, s.high) for y in (c.low, c.high)
    ]
    return max(min(corners), Fraction(0)), min(max(corners), Fraction(1))


def check_shares(part: Part, negative: str, positive: str) -> Iterator[str]:
    """Hold what different places say of the classes' frequencies against each other."""
    shares: list[tuple[Range, str]] = []
    for claim in part.claims:
        shares.append(_claimed(claim, negative, positive))
    for row in part.rows:
        if row.matrix is not None:
            n, positives = row.matrix.n, row.matrix.positives
            share = Fraction(positives, n)
            words = f"{n - positives} of {n} {negative} in the confusion matrix of '{row.model}'"
            shares.append(((share, share), words))
        elif part.n is None and (implied := implied_share(row.figures)) is not None:
            words = f"(c - a) / (c - s) of {positive} for {say_row(row)}"
            shares.append((implied, words))
    bounds = [share for share, _ in shares]
    if shares and max(low for low, _ in bounds) > min(high for _, high in bounds):
        said = "; ".join(f"{_say_share(share)} {negative}: {words}" for share, words in shares)
        yield f"the classes have several frequencies: {said}"


def _claimed(claim: Claim, negative: str, positive: str) -> tuple[Range, str]:
    """Return the share of positives that a claim allows, and the claim in words."""
    if claim.weights is not None:
        of = {side: _weighed(claim.weights[side]) for side in ("negative", "positive")}
        others = tuple(1 - bound for bound in of["negative"])
        low, high = max(of["positive"][0], min(others)), min(of["positive"][1], max(others))
        text = ", ".join(f"1 / (2 × {claim.weights[side]})" for side in ("negative", "positive"))
        return (low, high), f"{claim.where}, {text} of {negative}, {positive}"
    assert claim.negatives is not None
    assert claim.positives is not None
    half = Fraction(claim.rounded_to, 2) if claim.rounded_to > 1 else Fraction(0)
    least = max(claim.positives - half, Fraction(0)), max(claim.negatives - half, Fraction(0))
    most = claim.positives + half, claim.negatives + half
    words = f"{claim.negatives} to {claim.positives} in {claim.where}"
    if half:
        words += f", read as rounded to {claim.rounded_to}"
    return (least[0] / (least[0] + most[1]), most[0] / (most[0] + least[1])), words


def _weighed(text: str) -> Range:
    """Return the shares of a class that a balanced weight n / (2 n_class) allows."""
    places = len(text.partition(".")[2])
    half = Fraction(1, 2 * 10**places)
    weight = Fraction(text)
    return 1 / (2 * (weight + half)), 1 / (2 * (weight - half))


def _say_share(share: Range) -> str:
    """Write the share of negatives that goes with one of positives."""
    low, high = (100 * float(1 - bound) for bound in reversed(share))
    if high - low < 0.3:
        return f"{(low + high) / 2:.1f} %"
    return f"{low:.1f} to {high:.1f} %"


def say_row(row: Row) -> str:
    """Name a row and its figures."""
    figures = ", ".join(f"{name} {figure.text}" for name, figure in row.figures.items())
    return f"'{row.model}' ({figures})"
