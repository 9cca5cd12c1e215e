"""Paths that functions are given: one, or several."""

from __future__ import annotations

from pathlib import Path

import pytest

from bottleneck.app.folders import Folders
from bottleneck.errors import UsageError
from bottleneck.files.paths import as_paths


def test_one_path_is_not_read_letter_by_letter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    assert as_paths("..", "a folder", "scans") == [Path("..")]
    assert as_paths(["a", Path("b")], "a folder", "scans") == [Path("a"), Path("b")]
    assert Folders("scans").paths == Folders(["scans"]).paths == (tmp_path.resolve() / "scans",)


@pytest.mark.parametrize("value", [None, 3, True, b"scans", object(), "", "a\0b", [None]])
def test_what_is_no_path_is_an_error(value):
    with pytest.raises(UsageError, match="a folder needs a path"):
        as_paths(value, "a folder", "scans")
