"""What was computed is kept, whatever happens while the report is drawn and written."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bottleneck.checks.check_warnings import warn
from bottleneck.cli.saving import save
from bottleneck.errors import ReportError, UsageError
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.files.temporary import own_folder, used_by_all
from bottleneck.report import page
from bottleneck.report.page import render, write_report
from bottleneck.report.result_files import claim_folder, write_files

TABLES = {"table.md", "table.csv", "paragraphs.md"}
RESULTS = {"results.json", "predictions.csv"}
FILES = {*RESULTS, *TABLES, "report.html"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def odd(binary: Comparison) -> Comparison:
    """A comparison with a number in its provenance that no format can show."""
    (first, *others) = binary.features
    return dataclasses.replace(
        binary, features=({**first, "stages": {"decode": {"busy": 10**400}}}, *others)
    )


def test_a_section_that_cannot_be_drawn_leaves_the_others(odd: Comparison, tmp_path: Path) -> None:
    with pytest.raises(ReportError) as caught:
        write_report(odd, tmp_path)
    message = str(caught.value)
    assert "the section 'Features' of report.html could not be drawn (OverflowError" in message
    assert f"Written to {tmp_path}: results.json, predictions.csv, " in message
    assert names(tmp_path) == FILES
    html = (tmp_path / "report.html").read_text()
    assert html.count("This section could not be drawn (OverflowError") == 1
    assert html.index('id="limits"') > html.index("This section could not be drawn")
    with pytest.raises(OverflowError):  # Who asks for the page alone gets the error.
        render(odd)


def test_a_page_that_cannot_be_drawn_leaves_the_other_files(
    binary: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("5 GiB are missing")

    write_report(binary, tmp_path)
    monkeypatch.setattr(page.summary, "summarise", fail)
    with pytest.raises(ReportError, match=r"report.html could not be written \(MemoryError: 5 GiB"):
        write_report(binary, tmp_path, overwrite=True)
    assert names(tmp_path) == FILES - {"report.html"}


def test_an_interruption_while_the_page_is_drawn_keeps_the_results(
    binary: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(binary, tmp_path, inner_scores=True)

    def interrupt(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "render", interrupt)
    changed = dataclasses.replace(binary, warnings=warn("BF305", ["changed"]))
    with pytest.raises(KeyboardInterrupt) as caught:
        write_report(changed, tmp_path, overwrite=True)
    assert names(tmp_path) == RESULTS | TABLES  # No page and no scores of another comparison.
    assert "changed" in (tmp_path / "results.json").read_text()
    assert "predictions.csv" in caught.value.__notes__[0]
    with pytest.raises(UsageError, match=r"results\.json exists: replace it with --overwrite"):
        write_report(binary, tmp_path)


@pytest.mark.parametrize("fault", ["vanished", "a file", "full"])
def test_results_whose_folder_is_gone_are_written_next_to_it(
    binary: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    folder = tmp_path / "report"
    if fault == "a file":
        folder.write_text("precious")
    if fault == "full":
        sync = os.fsync

        def fail(descriptor: int) -> None:
            if Path(f"/proc/self/fd/{descriptor}").readlink().parent == folder:
                raise OSError(28, "No space left on device")
            sync(descriptor)

        if not Path("/proc/self/fd").exists():
            pytest.skip("names of open files are in /proc")
        monkeypatch.setattr(os, "fsync", fail)
    place, problem = save(lambda place: write_report(binary, place, overwrite=True), folder)
    assert names(place) == FILES
    if fault == "vanished":
        assert (place, problem) == (folder, None)
        return
    assert place.parent == tmp_path
    assert isinstance(problem, UsageError)
    assert f"A copy of all results is in {place}" in str(problem)
    assert fault != "full" or "No space left on device" in str(problem)
    assert fault != "a file" or folder.read_text() == "precious"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_results_that_can_be_written_nowhere_are_an_error(
    binary: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr("bottleneck.cli.saving.lasting_folder", lambda: tmp_path)
    place, problem = save(lambda place: write_report(binary, place), tmp_path / "report")
    assert place == tmp_path / "report"
    assert "the results cannot be written" in str(problem)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_that_does_not_fit_is_missing_and_the_others_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.csv").mkdir()  # It can be neither replaced nor removed.
    with pytest.raises(UsageError) as caught:
        write_files(tmp_path, {n: lambda: "text" for n in ("a.json", "b.csv", "c.md")})
    assert "b.csv cannot be written to" in str(caught.value)
    assert f"Written to {tmp_path}: a.json, c.md;" in str(caught.value)


@pytest.mark.parametrize("error", [UsageError("no"), KeyboardInterrupt()])
def test_a_run_that_fails_removes_the_folder_that_it_left_empty(
    tmp_path: Path, error: BaseException
) -> None:
    def fail(folder: Path, name: str = "") -> bool:
        with (
            contextlib.suppress(type(error)),
            claim_folder(folder, ("results.json",), "comparison"),
        ):
            if name:
                (folder / name).touch()
            raise error
        return folder.exists()

    (tmp_path / "old").mkdir()
    assert not fail(tmp_path / "new")
    assert fail(tmp_path / "old")
    assert fail(tmp_path / "new", "kept.csv")
    assert (tmp_path / "new" / "kept.csv").exists()


def test_two_runs_do_not_write_one_folder(tmp_path: Path) -> None:
    claim = functools.partial(claim_folder, tmp_path, ("results.json",), "comparison")
    with (
        claim(),
        pytest.raises(UsageError, match="is being written by another comparison; wait"),
        claim(),
    ):
        pytest.fail("two runs have the folder")
    with claim():
        write_files(tmp_path, {"results.json": lambda: "{}"})
    with pytest.raises(UsageError, match=r"results\.json exists"), claim():
        pytest.fail("the result is replaced")


def test_the_results_are_there_before_the_page_is_drawn(
    binary: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object, **__: object) -> str:
        assert json.loads((tmp_path / "results.json").read_text())["arms"]
        assert len(pd.read_csv(tmp_path / "predictions.csv"))
        return "page"

    monkeypatch.setattr(page, "render", look)
    assert write_report(binary, tmp_path).read_text() == "page"


def test_a_copy_stays_when_the_run_removes_its_temporary_files(
    binary: Comparison, tmp_path: Path
) -> None:
    blocked = tmp_path / "file" / "report"
    blocked.parent.write_text("")
    with used_by_all():
        place, problem = save(lambda place: write_report(binary, place), blocked)
        assert not place.is_relative_to(own_folder())
    assert isinstance(problem, UsageError)
    assert names(place) == FILES
    shutil.rmtree(place)


def test_unfinished_files_are_in_the_folder_that_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_end = []

    def rename(path: Path, target: Path) -> Path:
        at_end.append(path.parent)
        os.rename(path, target)  # noqa: PTH104
        return target

    monkeypatch.setattr(Path, "replace", rename)
    write_files(tmp_path, {"a.json": lambda: "{}", "images/one.png": lambda: b"1"})
    assert at_end == [tmp_path, tmp_path]


@pytest.mark.parametrize("switch", ["with_ids", "with_pictures", "overwrite", "figures"])
def test_a_switch_is_true_or_false_so_that_no_word_shows_what_is_private(
    binary: Comparison, tmp_path: Path, switch: str
) -> None:
    options: dict[str, Any] = {switch: "no"}
    with pytest.raises(UsageError, match=f"{switch} must be true or false, not 'no'"):
        write_report(binary, tmp_path, **options)
    assert not names(tmp_path)
