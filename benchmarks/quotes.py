"""Numbers that texts quote from the tables of the benchmarks, and whether they stand there.

    python benchmarks/quotes.py            # lists quotes that differ from the tables
    python benchmarks/quotes.py --write    # writes the numbers of the tables into the texts

Rates stand in the tables with three decimals and in the texts as per cent with one, so that no
quote is rounded to the better side. ``tests/test_quoted_numbers.py`` runs the check.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parent.parent
COVERAGE, SHIFT = "benchmarks/coverage.md", "benchmarks/shift.md"
CONFORMAL, POWER = "benchmarks/conformal.md", "benchmarks/power.md"
RECORD = "docs/decisions/0005-honest-comparison.md"
Row = dict[str, str]


class Quote(NamedTuple):
    """A number in a text: the text around it, and the cells that it is the extreme of.

    ``pattern`` has one group, the number; a space in it stands for any white space. ``section`` is
    a part of the heading, and ``columns`` are names of columns in its tables.
    """

    path: str
    pattern: str
    table: str
    section: str
    columns: tuple[str, ...]
    extreme: Callable[[list[float]], float]
    rows: Callable[[Row], bool] = lambda row: True


_UNCORRECTED = ("cover: AUROC, uncorrected",)
_T_TEST = ("size: corrected t, 4 repeats",)


_HELD = "bottleneck/statistics/inference/intervals.py"


def _unmoved(row: Row) -> bool:
    return float(row["move"]) == 0


def _first_power(row: Row) -> bool:
    return row["patients"] == "400" and row["repeats"] == "5"


def _is_cell(row: Row) -> bool:
    return row["patients"] != "largest"


QUOTES = (
    Quote(
        RECORD,
        r"It rejects up to ([\d.]+) % of true hypotheses at the 5 % level if there are many",
        COVERAGE,
        "Cross-validation",
        _T_TEST,
        max,
    ),
    Quote(
        "bottleneck/statistics/inference/corrections.py",
        r"the test rejects up to ([\d.]+) % of true null hypotheses",
        COVERAGE,
        "Cross-validation",
        _T_TEST,
        max,
    ),
    Quote(
        RECORD,
        r"for the training sets, 95 % intervals of the AUROC cover ([\d.]+) to",
        COVERAGE,
        "Cross-validation",
        _UNCORRECTED,
        min,
    ),
    Quote(
        RECORD,
        r"for the training sets, 95 % intervals of the AUROC cover [\d.]+ to ([\d.]+) %",
        COVERAGE,
        "Cross-validation",
        _UNCORRECTED,
        max,
    ),
    *(
        Quote(RECORD, pattern, POWER, "Power", (column,), max, _first_power)
        for pattern, column in (
            (r"finds the difference in ([\d.]+) % of the studies", "jackknife × 1.5"),
            (r"of the studies, against ([\d.]+) % with the factor", "factor"),
            (r"with the true ratio, it would be ([\d.]+) %", "known"),
            (r"Bates, Hastie and Tibshirani, finds ([\d.]+) %", "inner folds"),
        )
    ),
    *(
        Quote(RECORD, pattern, POWER, "Size, 5 repeats", (column,), max, _is_cell)
        for pattern, column in (
            (r"without a difference it rejects up to ([\d.]+) %", "jackknife × 1.5"),
            (r"Without the 1.5 it would be ([\d.]+) %", "jackknife × 1"),
        )
    ),
    *(
        Quote(
            RECORD,
            pattern,
            "benchmarks/selection.md",
            "Real features",
            ("truth below",),
            max,
            lambda row, method=method: row["method"] == method,
        )
        for pattern, method in (
            (r"lies above 0.5 in ([\d.]+) % of the draws, and the", "alone"),
            (r"of the draws, and the adjusted one in ([\d.]+) %", "adjusted"),
        )
    ),
    *(
        Quote(RECORD, pattern, "benchmarks/subgroups.md", "cross-validation", (column,), extreme)
        for pattern, column, extreme in (
            (r"Nadeau and Bengio it rejects ([\d.]+) to", "p: AUROC", min),
            (r"Nadeau and Bengio it rejects [\d.]+ to ([\d.]+) %", "p: AUROC", max),
            (r"5 % level, and without it ([\d.]+) to", "without the factor", min),
            (r"5 % level, and without it [\d.]+ to ([\d.]+) %", "without the factor", max),
        )
    ),
    Quote(
        "docs/guide/predict.md",
        r"contain the worst class at most ([\d.]+) percentage points less often than asked",
        CONFORMAL,
        "New patients",
        ("short",),
        max,
    ),
    Quote(_HELD, r"coverage drops to ([\d.]+) %", COVERAGE, "Few patients", ("cover: AUROC",), min),
    Quote(
        _HELD,
        r"DeLong's test rejects up to ([\d.]+) %",
        COVERAGE,
        "Few patients",
        ("size: DeLong",),
        max,
    ),
    Quote(
        _HELD,
        r"covers as little as ([\d.]+) %",
        COVERAGE,
        "cross-validation",
        ("cover: auprc",),
        min,
    ),
    *(
        Quote(path, pattern, SHIFT, "How often", ("mean",), max, _unmoved)
        for path, pattern in (
            (RECORD, r"images rejects up to ([\d.]+) % of true hypotheses if the cohorts"),
            ("bottleneck/statistics/shift/mmd.py", r"level reject up to ([\d.]+) % if one cohort"),
        )
    ),
    Quote(
        "bottleneck/statistics/shift/mmd.py",
        r"by the first cohort alone, they reject ([\d.]+) % with 40",
        SHIFT,
        "How often",
        ("first",),
        max,
        lambda row: row["patients"] == "40 / 20" and _unmoved(row),
    ),
)


def read_tables(path: Path) -> Iterator[tuple[str, list[Row]]]:
    """Yield the heading and the rows of every table of a Markdown file, without bold."""
    heading, header, rows = "", [], []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            if rows:
                yield heading, rows
            header, rows = [], []
        elif not header:
            header = cells
        elif set(line) - set("|- :"):
            rows.append(dict(zip(header, cells, strict=True)))


def tabled(quote: Quote) -> str:
    """Return the number that a quote must be, as per cent with one decimal."""
    values = [
        float(row[column].partition(" ±")[0])
        for heading, rows in read_tables(CHECKOUT / quote.table)
        if quote.section in heading
        for row in rows
        # Tables of the worst cells have the same columns and extremes.
        for column in quote.columns
        if column in row and quote.rows(row)
    ]
    if not values:
        raise SystemExit(f"{quote.table} has no column {quote.columns} under '{quote.section}'")
    return f"{100 * quote.extreme(values):.1f}"


def find(quote: Quote, text: str) -> re.Match[str]:
    """Return the place of a quote in a text."""
    found = re.search(quote.pattern.replace(" ", r"\s+"), text)
    if found is None:
        raise SystemExit(f"{quote.path} does not quote '{quote.pattern}'; change QUOTES with it")
    return found


def differences() -> list[tuple[Quote, str, str]]:
    """Return the quotes that differ from the tables: what is quoted, and what stands there."""
    texts = {quote.path: (CHECKOUT / quote.path).read_text(encoding="utf-8") for quote in QUOTES}
    pairs = [(quote, find(quote, texts[quote.path])[1], tabled(quote)) for quote in QUOTES]
    return [(quote, quoted, wanted) for quote, quoted, wanted in pairs if quoted != wanted]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    for quote, quoted, wanted in differences():
        print(f"{quote.path} quotes {quoted} %, where {quote.table} has {wanted} %")
    if not parser.parse_args().write:
        return
    for quote, _, wanted in differences():
        path = CHECKOUT / quote.path
        text = path.read_text(encoding="utf-8")
        place = find(quote, text)
        path.write_text(text[: place.start(1)] + wanted + text[place.end(1) :], encoding="utf-8")


if __name__ == "__main__":
    main()
