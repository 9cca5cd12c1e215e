"""The layers that CONTRIBUTING.md describes, and the README's own words."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text()


def test_imports_run_in_one_direction() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_python_in_the_readme_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:bottleneck", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 0 <= float(done.stdout) <= 1
    assert (tmp_path / "report" / "report.html").exists()
    assert (tmp_path / "svm.skops").exists()


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)", README))
def test_links_of_the_readme_lead_somewhere(link: str) -> None:
    assert (CHECKOUT / link).exists()


def test_commands_of_the_readme_exist() -> None:
    from bottleneck.cli.app import app

    known = {command.name for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    assert set(re.findall(r"^\$? ?bottleneck ([a-z]+)", README, re.MULTILINE)) <= known
