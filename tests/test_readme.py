"""Every command of the README runs, and prints what the README shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.data.phantom.image_files import save_scans

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
# A command after "$ ", and the output below it up to the end of the block.
SHOWN = [
    (shlex.split(command), output)
    for command, output in re.findall(r"(?ms)^\$ bottleneck (.*?)\n(.*?)^```$", README)
]
# Times differ between machines.
SPEED = re.compile(r"[\d.,]+ images/s")


def run_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the commands of the README in a folder with its images; return what they print."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    printed = []
    for words, _ in SHOWN:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        printed.append(done.stdout)
    return printed


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the first patients of the same images: file names are the same, figures are not."""
    assert [words[0] for words, _ in SHOWN] == ["extract", "compare", "fit", "predict"]
    save_scans(tmp_path / "scans", n_patients=14)
    (tmp_path / "new").symlink_to(tmp_path / "scans" / "benign")
    printed = run_all(tmp_path, monkeypatch)
    for (words, output), text in zip(SHOWN, printed, strict=True):
        if words[0] != "compare":
            assert output.splitlines()[0] in text.splitlines()


@pytest.mark.slow
@pytest.mark.repeats
def test_the_output_is_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(app, ["demo", "--images", str(tmp_path)])
    assert done.exit_code == 0
    printed = run_all(tmp_path, monkeypatch)
    for (_, output), text in zip(SHOWN, printed, strict=True):
        given = [SPEED.sub("", line.rstrip()) for line in text.splitlines()]
        for line in output.splitlines():
            shown = SPEED.sub("", line.rstrip()).removesuffix(" …")
            assert shown == "…" or any(one.startswith(shown) for one in given), line


def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert 0 <= float(capsys.readouterr().out) <= 1
    assert (tmp_path / "report" / "report.html").exists()
    assert (tmp_path / "svm.skops").exists()


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 125
