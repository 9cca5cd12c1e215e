"""The registry of checks, and whether the package uses it."""

from __future__ import annotations

import re
from pathlib import Path

import bottleneck
from bottleneck.checks.check_registry import CHECKS, is_unchecked

PACKAGE = Path(bottleneck.__file__).parent


def test_codes_are_sorted_and_have_one_form() -> None:
    assert list(CHECKS) == sorted(CHECKS)
    assert all(re.fullmatch(r"BF[1-49]\d\d", code) for code in CHECKS)
    assert all(code == check.code for code, check in CHECKS.items())


def test_names_and_summaries_are_unique_and_short() -> None:
    for field in ("name", "summary"):
        texts = [getattr(check, field) for check in CHECKS.values()]
        assert len(set(texts)) == len(texts)
    assert all(re.fullmatch(r"[A-Z][^.]{10,110}\.", c.summary) for c in CHECKS.values())


def test_what_could_not_be_checked_is_a_note() -> None:
    for code, check in CHECKS.items():
        assert (check.severity == "note") == is_unchecked(code)


def test_the_package_raises_every_code_and_no_other() -> None:
    used = {
        code
        for path in PACKAGE.rglob("*.py")
        if path.parent != PACKAGE / "checks"
        for code in re.findall(r'"(BF\d+)"', path.read_text(encoding="utf-8"))
    }
    # Random weights have a constant beside the class of warnings.
    assert used | {"BF303"} == set(CHECKS)
