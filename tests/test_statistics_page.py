"""The examples in docs/guide/statistics.md give what the page shows."""

import doctest
import re
from pathlib import Path

from bottleneck import statistics

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "statistics.md"


def test_examples_of_the_statistics_page_run() -> None:
    text = PAGE.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(code, {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) > 25
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_page_names_every_function_and_no_other() -> None:
    named = set(re.findall(r"`(?:statistics\.)?(\w+)[`(]", PAGE.read_text(encoding="utf-8")))
    called = set(re.findall(r"statistics\.(\w+)\(", PAGE.read_text(encoding="utf-8")))
    functions = {name for name in statistics.__all__ if name[0].islower()}
    assert functions <= named | called
    assert called <= functions
