"""The pages of the gallery of pitfalls: one for each check, whose example raises it."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path

import pytest

from bottleneck.checks.check_registry import CHECKS

PAGES = Path(__file__).resolve().parents[2] / "docs" / "pitfalls"
# Examples that train nothing; the others run under `make test-slow`, and when the site is built.
QUICK = {"BF101", "BF102", "BF103", "BF105", "BF106", "BF108", "BF901", "BF902", "BF904"}
# Reasons why the last example of a page ignores nothing: it shows how to be rid of the finding.
NOT_IGNORED = {"BF406", "BF903"}


def run_cells(text: str) -> list[str]:
    """Run the Python of a page, and return what each cell prints or shows."""
    names: dict[str, object] = {}
    shown = []
    for source in re.findall(
        r"```\{code-cell\} python\n(?::tags:[^\n]*\n)?(.*?)```", text, re.DOTALL
    ):
        *body, last = ast.parse(source).body
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            if not isinstance(last, ast.Expr):
                body, value = [*body, last], None
            exec(compile(ast.Module(body, []), "<page>", "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "<page>", "eval"), names)
        as_html = getattr(value, "_repr_html_", None)
        shown.append(printed.getvalue() + (as_html() if as_html else repr(value)))
    return shown


def test_each_check_has_a_page_and_no_page_is_left_over() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {"index", *CHECKS}


@pytest.mark.parametrize("code", CHECKS)
def test_a_page_states_what_its_check_is(code: str) -> None:
    text = (PAGES.parent / CHECKS[code].page).read_text(encoding="utf-8")
    assert f"\n# {code}: {CHECKS[code].name}\n\n**{CHECKS[code].summary}**\n" in text
    for heading in ("Why it matters", "An example", "What to do"):
        assert f"\n## {heading}\n" in text
    assert code in NOT_IGNORED or f"--ignore {code}" in text


@pytest.mark.parametrize(
    "code",
    [code if code in QUICK else pytest.param(code, marks=pytest.mark.slow) for code in CHECKS],
)
def test_the_example_of_a_page_raises_its_check(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    *examples, ignored = run_cells((PAGES / f"{code}.md").read_text(encoding="utf-8"))
    assert any(code in text for text in examples)
    if code in NOT_IGNORED:
        assert code not in ignored
    else:
        assert re.search(rf"[1-9]\d* findings? of ignored checks \({code}|'{code}': [1-9]", ignored)
