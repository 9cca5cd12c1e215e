"""``bottleneck explain``: its files, its output, and wrong uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_features import make_features
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_features(n_patients=20, width=4).save("features/made.h5")
        folds = ("--folds", "2", "--repeats", "2", "--jobs", "1")
        made = run("compare", "--head", "lda", *folds, "--no-figures", "-q")
        assert made.exit_code == 0, made.output
        lines = made.stdout.splitlines()
        assert "  bottleneck explain report --data DATA" in lines
        assert "bottleneck explain REPORT --data DATA" in Path("report/report.html").read_text()
        fitted = run("fit", "features/made.h5", "--head", "lda", "--jobs", "1", "-q")
        assert fitted.exit_code == 0, fitted.output
    return folder


@pytest.fixture
def here(compared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(compared)
    return compared


def test_a_report_is_explained(here: Path) -> None:
    done = run("explain", "report", "--output", "why", "--quiet")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.splitlines()[-1] == "Explanation: why/explanation.html"
    assert "misclassified in one repeat or more, " in " ".join(done.stdout.split())
    page = (here / "why" / "explanation.html").read_text().replace("<wbr>", "")
    assert "patient-0" not in page
    assert "image-0" not in page
    again = run("explain", "report", "--output", "why", "--quiet")
    assert again.exit_code == 2
    assert "replace it with --overwrite" in " ".join(again.stderr.split())
    named = run("explain", "report", "--output", "why", "--overwrite", "--with-ids", "--json", "-q")
    assert named.exit_code == 0, named.output
    record = json.loads(named.stdout)
    assert record["arms"][0]["cases"][0]["reason"] == "wrong"
    assert "image-0" not in named.stdout
    shown = (here / "why" / "explanation.html").read_text().replace("<wbr>", "")
    assert "image-0" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere"),
        (
            ["features/made.h5"],
            "is a feature file, but the first argument must be a model or a report",
        ),
        (["report", "--arm", "svm"], "unknown arm 'svm'"),
        (["report", "--images", "x"], "have no effect without images or --data"),
        (["report", "scans"], "explains only the images that it tested"),
        (["report", "scans", "--data", "scans"], "give one of them"),
        (["report", "--maps", "heat"], "the method of maps must be"),
        (["report", "--trust", "numpy"], "--trust is for the file of a model"),
        (["report", "--features", "report"], "name their file or folder with --features"),
        (["features"], "holds neither a report"),
    ],
)
def test_wrong_uses_end_with_a_sentence(here: Path, arguments: list[str], message: str) -> None:
    done = run("explain", *arguments, "--output", "other")
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.output
    assert not (here / "other" / "explanation.html").exists()


def test_a_model_needs_images(here: Path) -> None:
    (model,) = (here / "models").iterdir()
    done = run("explain", str(model), "--output", "other")
    assert done.exit_code == 2
    assert "a model explains images" in " ".join(done.stderr.split())
    done = run("explain", str(model), "features/made.h5", "--output", "of-model", "-q")
    assert done.exit_code == 0, done.output
