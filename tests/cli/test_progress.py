"""The bar: what was known before says nothing of the rate."""

from __future__ import annotations

import re
import time

import pytest

from bottleneck.cli.console import progress


def test_the_rate_is_that_of_this_run(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=False, unit="images") as move:
        move(1000, 1010, "resnet18")
        time.sleep(0.6)
        move(1006, 1010, "resnet18")
    shown = capsys.readouterr().err
    found = re.search(r"resnet18 .* 1006/1010 +(\d+\.\d) images/s", shown)
    assert found is not None, shown
    assert 0 < float(found[1]) <= 10


def test_without_anything_new_there_is_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=False, unit="images") as move:
        move(1010, 1010, "resnet18")
        time.sleep(0.6)
        move(1010, 1010, "resnet18")
    shown = capsys.readouterr().err
    assert "1010/1010" in shown
    assert "images/s" not in shown


def test_what_fails_before_its_first_step_shows_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="before"), progress(quiet=False, unit="images"):
        raise ValueError("before")
    assert capsys.readouterr().err.strip() == ""
