"""The progress bar: steps of an earlier run do not count for the rate."""

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
    assert shown.endswith("\n")
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
    assert capsys.readouterr().err == ""


def test_what_fails_leaves_no_bar_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with progress(quiet=False, unit="images") as move:
            move(0, 10, "resnet18")
            move(6, 10, "resnet18")
            raise ValueError("after")

    with pytest.raises(ValueError, match="after"):
        work()
    assert capsys.readouterr().err == ""


def test_what_comes_before_the_first_step_is_not_of_the_rate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress(quiet=False, unit="images") as move:
        move(0, 10, "measuring")
        time.sleep(1.5)
        move(0, 10, "resnet18")
        time.sleep(0.6)
        move(6, 10, "resnet18")
    found = re.search(r"resnet18 .* 6/10 +(\d+\.\d) images/s", capsys.readouterr().err)
    assert found is not None
    assert 6 / 1.5 < float(found[1]) <= 10


def test_a_long_text_is_cut_and_no_figure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with progress(quiet=False, unit="batches") as move:
        move(0, 5670, "vgg16, inception_v3, resnet50, swin_tiny, densenet121")
        time.sleep(0.6)
        move(1234, 5670, "vgg16, inception_v3, resnet50, swin_tiny, densenet121")
    shown = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        r"vgg16, inception_v3, resnet50.*… .* 1234/5670 \d+\.\d batches/s \S:\S\S:\S\S", shown
    ), shown
    assert len(shown) < 79
    monkeypatch.setenv("COLUMNS", "120")
    with progress(quiet=False, unit="batches") as move:
        move(1, 5670, "CNN from scratch: seed 0, fold 1/5, epoch 3, AUROC 0.712")
    assert "epoch 3, AUROC 0.712 " in capsys.readouterr().err


def test_work_that_follows_has_a_rate_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=False, unit="images") as move:
        for done in range(0, 3001, 1000):
            move(done, 3000, "first")
        move(0, 3000, "second")
        time.sleep(0.6)
        move(6, 3000, "second")
    found = re.search(r"second .* 6/3000 +(\d+\.\d) images/s", capsys.readouterr().err)
    assert found is not None
    assert float(found[1]) <= 10
