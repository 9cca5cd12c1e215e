"""Numbers that texts quote from the tables of the benchmarks are the numbers that stand there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).parent.parent
#: A rate that a text quotes, with the file of the table in the same paragraph.
RATE = r"(?:cover|reject)s? (?:up to |as little as |at most )?[\d.]+(?: to [\d.]+)? %"


@pytest.fixture(scope="module")
def quotes() -> ModuleType:
    path = CHECKOUT / "benchmarks" / "quotes.py"
    spec = importlib.util.spec_from_file_location("quotes_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_quoted_numbers_stand_in_the_tables(quotes: ModuleType) -> None:
    wrong = [f"{q.path}: {quoted} % for {wanted} %" for q, quoted, wanted in quotes.differences()]
    assert wrong == [], "python benchmarks/quotes.py --write corrects them"


def test_the_numbers_are_those_of_the_table_by_eye(quotes: ModuleType, tmp_path: Path) -> None:
    text = "## Cross-validation\n\nWorst:\n\n| a | size: x |\n| --- | --- |\n| 1 | **0.064** |\n\n"
    text += "All cells:\n\n| a | size: x |\n| --- | --- |\n| 1 | 0.021 |\n| 2 | **0.064** |\n"
    (tmp_path / "t.md").write_text(text)
    made = quotes.Quote("", "", str(tmp_path / "t.md"), "Cross", ("size: x",), max)
    # Not 6: a size of 6.4 % is more than "at most 6 %".
    assert quotes.tabled(made) == "6.4"
    assert quotes.tabled(made._replace(extreme=min)) == "2.1"
    assert quotes.tabled(made._replace(rows=lambda row: row["a"] == "1", extreme=min)) == "2.1"
    with pytest.raises(SystemExit, match="has no column"):
        quotes.tabled(made._replace(columns=("size: y",)))


def test_a_decision_quotes_no_rate_of_a_table_unchecked(quotes: ModuleType) -> None:
    checked = {q.path: [] for q in quotes.QUOTES}
    for quote in quotes.QUOTES:
        checked[quote.path].append(quote)
    for path, known in checked.items():
        text = (CHECKOUT / path).read_text(encoding="utf-8")
        spans = [quotes.find(quote, text).span() for quote in known]
        for paragraph in re.finditer(r"(?:.+\n)+", text):
            if "benchmarks/" not in paragraph[0] or not path.endswith(".md"):
                continue
            flat = re.sub(r"\s", " ", paragraph[0])
            for rate in re.finditer(RATE, flat):
                at = paragraph.start() + rate.end()
                is_checked = any(low <= at - 1 and at - 3 <= high for low, high in spans)
                assert is_checked, f"add '{rate[0]}' of {path} to QUOTES of benchmarks/quotes.py"


def counts_of(path: str, n_columns: int) -> list[list[str]]:
    """Return the rows of the tables with so many columns whose second cell is a number."""
    lines = (CHECKOUT / path).read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if len(row) == n_columns and row[1].isdigit()]


@pytest.mark.parametrize(
    "path", ["docs/guide/leakage.md", "bottleneck/report/templates/methods/audit.html.jinja"]
)
def test_the_audit_quotes_its_own_tables(path: str) -> None:
    pairs = counts_of("benchmarks/pair_kinds.md", 5)
    frames = [row for row in pairs if row[0].endswith("patients not known")]
    copies = [row for row in pairs if " apart, " not in row[0]]
    planted = counts_of("docs/decisions/0003-leak-audit.md", 5)
    quoted = (
        (planted, 2, 3, "recognised {} of {}"),
        (copies, 2, 1, "right for {} of {} altered copies"),
        (frames, 3, 1, "for {} of {} pairs of neighbouring frames or slices"),
    )
    text = " ".join((CHECKOUT / path).read_text(encoding="utf-8").split())
    for rows, right, of, words in quoted:
        numbers = (f"{sum(int(row[column]) for row in rows):,}" for column in (right, of))
        assert words.format(*numbers) in text
    assert f"altered in {len(planted)} ways" in text
    assert min(int(row[2]) / int(row[3]) for row in planted) >= 0.95
