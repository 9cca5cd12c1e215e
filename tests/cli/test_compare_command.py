"""``bottleneck compare`` of predictions alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bottleneck import Predictions
from bottleneck.cli.command_line import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", *arguments])


@pytest.fixture
def _tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    for name in ("a", "b"):
        made = Predictions.from_arrays(y, y + rng.normal(size=40), groups=np.arange(40) // 2)
        made.to_frame().to_csv(f"{name}.csv", index=False)


@pytest.mark.usefixtures("_tables")
def test_predictions_are_compared_without_a_feature_file() -> None:
    result = run("--predictions", "a.csv", "--predictions", "reader=b.csv", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert [arm["name"] for arm in record["arms"]] == ["a", "reader"]
    assert record["features"] == []


@pytest.mark.usefixtures("_tables")
def test_readers_are_arms_and_are_named_on_the_terminal_only() -> None:
    text = "id,Dr Adam\n" + "".join(f"{n},{1 + n % 2 * 3 + n % 3 // 2}\n" for n in range(40))
    Path("readers.csv").write_text(text)
    result = run("--predictions", "a.csv", "--readers", "readers.csv", "--reader-threshold", "4")
    assert result.exit_code == 0, result.output
    assert "reader 1 is 'Dr Adam' of readers.csv (40 scores)" in " ".join(result.stderr.split())
    record = json.loads(Path("report/results.json").read_text())
    assert [arm["name"] for arm in record["arms"]] == ["a", "reader 1"]
    assert "Adam" not in result.stdout + json.dumps(record)
    assert run("--readers", "readers.csv", "--overwrite").exit_code == 2  # It has no labels.


@pytest.mark.usefixtures("_tables")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-features"], "name some with --predictions"),
        (["--no-features", "x.h5", "--predictions", "a.csv"], "leave out the feature files"),
        (["--predictions", "a.csv", "--protocol", "cv"], "leave --protocol at auto"),
        (["--predictions", "a.csv", "--subgroup", "centre"], "no column 'centre'"),
        (["--predictions", "none.csv"], "none.csv"),
        (["--predictions", "a.csv", "--reader-mean"], "has no effect without --readers"),
        (["--predictions", "a.csv", "--readers", "none.csv"], "none.csv"),
        (["--predictions", "a.csv", "--unread", "skip"], "Known: drop, stop"),
    ],
)
def test_wrong_uses_have_messages(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
