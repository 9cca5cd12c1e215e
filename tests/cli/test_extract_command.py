"""``bottleneck extract`` with several networks: one pass, and its times by stage."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from made import make_images
from typer.testing import CliRunner, Result

from bottleneck.cli.app import app

OPTIONS = ["--backbone", "resnet18", "--backbone", "mobilenet_v3", "--weights", "random"]


def test_several_networks_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for number, label in enumerate(("benign", "malignant")):
        make_images(tmp_path / "scans" / label, 3, first=10 * number)
        for path in (tmp_path / "scans" / label).iterdir():
            os.utime(path, (1e9, 1e9))
    words = ["extract", "scans", *OPTIONS, "--batch-size", "4"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("(6 new, 0 known") == 2
    for stage in ("read", "decode", "describe", "preprocess", "copy", "forward", "write"):
        assert f"{stage}: " in result.stderr
    assert "bottleneck: " in result.stderr
    again = CliRunner().invoke(app, [*words, "--verify", "--json"])
    records = json.loads(again.stdout)
    assert [(r["n_extracted"], r["n_known"]) for r in records] == [(0, 6)] * 2
    read = {stage["name"]: stage for stage in records[0]["stages"]}["read"]
    assert read["busy"] > 0
    known = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert {stage["name"]: stage for stage in known[0]["stages"]}["read"]["busy"] == 0
    assert known[0]["bottleneck"] in {stage["name"] for stage in known[0]["stages"]}


def test_copies_are_not_known_from_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    make_images(tmp_path / "scans" / "benign", 2)
    make_images(tmp_path / "scans" / "malignant", 2, first=10)

    def copy(name: str) -> None:
        for path in list((tmp_path / "scans").glob("*/0??.png")):
            shutil.copy(path, path.with_name(f"{name}-{path.name}"))

    def run(*more: str) -> Result:
        words = ["extract", "scans", *OPTIONS[2:], "--batch-size", "4", *more]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return result

    copy("a")
    copy("b")
    assert "(4 new, 0 known, 8 copies of these, " in run().stdout
    assert "(nothing to do: all 12 images are known)" in run().stdout
    copy("c")
    (record,) = json.loads(run("--json").stdout)
    assert [record[f"n_{kind}"] for kind in ("extracted", "known", "copies")] == [0, 12, 4]
