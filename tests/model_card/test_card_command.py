"""``bottleneck card``: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_card.conftest import Published
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["card", *map(str, arguments)])


def test_a_card_is_written_and_checked(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stated = ("--name", "Our *model*", "--author", "A. Author", "--licence", "CC-BY-4.0")
    done = run(published.model, "--report", published.report, "--output", "README.md", *stated)
    assert (done.exit_code, done.stdout) == (0, "Card: README.md\n")
    assert "Add what the software cannot know" in " ".join(done.stderr.split())
    text = Path("README.md").read_text()
    assert "\n# Our \\*model\\*\n" in text
    assert "  author = {A. Author}," in text
    assert "CC-BY-4.0" in text
    checked = run("--check", "README.md", "--report", published.report)
    assert checked.exit_code == 0
    assert "README.md is as its results are." in checked.stdout

    Path("README.md").write_text(text.replace("no leak found", "1 leak found"))
    caught = run(published.model, "--check", "README.md", "--report", published.report)
    assert caught.exit_code == 1
    again = run(published.model, "--report", published.report, "--output", "2.md", "-q", "--json")
    assert json.loads(again.stdout) == {"format": "bottleneck-card/1", "path": "2.md"}
    assert "differs  line" in caught.stdout
    assert "Traceback" not in caught.output
    assert max(map(len, caught.stdout.splitlines())) <= 80
    as_json = run("--check", "README.md", "--report", published.report, "--json")
    record = json.loads(as_json.stdout)
    assert (as_json.exit_code, record["agrees"]) == (1, False)
    assert record["differences"][0]["field"] == "/audit/verdict"


def test_errors_are_sentences(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("mine")
    for arguments, words in (
        (
            (published.model, "--report", published.report, "--output", "README.md"),
            "README.md exists",
        ),
        (("--report", published.report), "name the model"),
        ((published.model, "--report", "no"), "no"),
        (("--check", "README.md", "--report", published.report), "not a model card"),
        *(
            (("--check", "README.md", *option), f"and {option[0]} is for writing")
            for option in (
                ("--output", "x.md"),
                ("--name", "x"),
                ("--author", "x"),
                ("--licence", "x"),
                ("--licence-policy", "commercial"),
                ("--overwrite",),
            )
        ),
    ):
        done = run(*arguments)
        assert done.exit_code == 2
        assert "Traceback" not in done.output
        assert words in " ".join(done.stderr.split())
    assert Path("README.md").read_text() == "mine"
    replaced = ("--output", "README.md", "--overwrite", "-q")
    assert run(published.model, "--report", published.report, *replaced).stderr == ""


def test_a_card_is_beside_its_model_by_default(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/our.v2.skops").write_bytes(published.model.read_bytes())
    done = run("models/our.v2.skops", "--report", published.report)
    assert done.stdout == f"Card: {Path('models/our.v2.md')}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["models"]
