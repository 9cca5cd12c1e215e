"""``bottleneck plan``."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from bottleneck.cli.command_line import app

ASKED = ["plan", "--auroc", "0.8", "--prevalence", "0.2"]


def run(*options: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [*ASKED, *options])
    return done.exit_code, done.stdout, done.stderr


def test_it_prints_a_table_and_the_sentences_of_the_protocol() -> None:
    code, out, _ = run("--images-per-patient", "3", "--icc", "0.5", "--draws", "20", "--quiet")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    # The documentation shows these numbers.
    assert "at most 0.1 wide          300         60" in out
    assert "design\neffect 1.91" in out
    assert "The study will include 300 patients (about 60 of them positive)" in out


def test_json_has_every_number() -> None:
    code, out, _ = run("--draws", "0", "--log-odds=-2,1.5", "--against", "0.7", "--json")
    made = json.loads(out)
    assert code == 0
    assert made["patients"] == made["validation"][0]["patients"] == 471
    assert made["assumptions"]["log_odds"] == [-2, 1.5]
    assert made["comparison"][0]["patients"] > 0
    assert made["simulated"] is None


def test_wrong_options_end_with_an_explanation() -> None:
    for options, words in (
        (("--images-per-patient", "3"), "intraclass correlation"),
        (("--risks", "1"), "two numbers"),
        (("--width", "10"), "width must be"),
    ):
        code, _, err = run(*options)
        assert code == 2
        assert words in " ".join(err.split())
