"""The import order that CONTRIBUTING.md describes, and what the documentation names."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text()
PAGES = {
    path.relative_to(CHECKOUT).as_posix(): path.read_text()
    for pages in ("*.md", "docs/*.md", "docs/*/*.md", "features/*.md")
    for path in sorted(CHECKOUT.glob(pages))
}
# Options of other programs: Ray, Slurm, and our benchmarks.
FOREIGN = {"--port", "--nodes", "--ntasks-per-node", "--exclude", "--block", "--full"} | {
    "--temp-dir",
    "--generate",
    "--include-dashboard",
    "--node-ip-address",
}


def find(pattern: str) -> list[tuple[str, str]]:
    return sorted({(page, m) for page, text in PAGES.items() for m in re.findall(pattern, text)})


def test_imports_run_in_one_direction() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_module_needs_what_windows_lacks() -> None:
    """On Windows, modules that are absent there are imported in functions or in ``try``."""
    absent = {"fcntl", "grp", "pwd", "resource", "termios"}
    for path in sorted((CHECKOUT / "bottleneck").rglob("*.py")):
        top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import)]
        assert not absent & {alias.name for node in top for alias in node.names}, path


def test_import_order_in_contributing_is_the_contract() -> None:
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    rank = {
        room.strip().removeprefix("bottleneck."): -n
        for n, layer in enumerate(layers)
        for room in layer.split("|")
    }
    (order,) = re.findall(r"```\n(.*→.*)\n```", PAGES["CONTRIBUTING.md"])
    ranks = [[rank[room] for room in step.split(", ")] for step in order.split(" → ")]
    assert all(len(set(step)) == 1 for step in ranks)
    assert [step[0] for step in ranks] == sorted({step[0] for step in ranks})


def test_no_page_has_a_path_of_the_machine_that_wrote_it() -> None:
    # Measurements are written by programs, and what these print may hold warnings with paths.
    pages = [CHECKOUT / page for page in PAGES] + sorted((CHECKOUT / "benchmarks").glob("*.md"))
    path = re.compile(rf"{re.escape(str(CHECKOUT))}|{re.escape(sys.prefix)}|/(site|dist)-packages/")
    assert not [page.name for page in pages if path.search(page.read_text())]


def test_arrays_in_the_documentation_run() -> None:
    first, code = re.findall(r"```python\n(.*?)```", PAGES["docs/guide/python.md"], re.DOTALL)
    assert first in README
    exec(code, {})


def test_readers_in_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from made import make_images

    from bottleneck import load_dataset

    make_images(tmp_path / "scans", 4)
    samples, reader = re.findall(r"```python\n(.*?)```", PAGES["docs/guide/data.md"], re.DOTALL)
    names: dict[str, Any] = {}
    exec(reader, names)
    visits = [
        {
            "visit": n,
            "patient": n // 2,
            "diagnosis": "xy"[n % 2],
            "images": [{"file": f"00{n}.png"}],
        }
        for n in range(4)
    ]
    visits[0]["images"][0]["nodule"] = [1, 2, 20, 20]
    (tmp_path / "scans" / "visits.json").write_text(json.dumps(visits))
    data = load_dataset(tmp_path / "scans", reader=names["Clinic"](), crop=True)
    assert [(s.id, s.source, s.label, s.group, s.region) for s in data.samples][:2] == [
        ("0-0", "000.png", "x", "0", (1, 2, 20, 20)),
        ("1-0", "001.png", "y", "0", None),
    ]
    for old, new in (("000.png", "a1.png"), ("001.png", "b1.png")):
        (tmp_path / "scans" / old).rename(tmp_path / "scans" / new)
    monkeypatch.chdir(tmp_path)
    exec(samples, names)
    assert names["data"].n_groups == 2


def test_names_in_the_python_page_exist() -> None:
    import bottleneck

    table = re.findall(r"^\| .*? \| (.*) \|$", PAGES["docs/guide/python.md"], re.MULTILINE)[2:]
    names = {name for row in table for name in re.findall(r"`([A-Za-z_]+)`", row)}
    assert names - {"X", "y", "ids", "groups"} <= set(bottleneck.__all__)


def test_study_in_the_documentation_can_be_read(tmp_path: Path) -> None:
    from bottleneck.studies.study import read_study

    (text,) = re.findall(r"```toml\n(.*?)```", PAGES["docs/guide/reproduce.md"], re.DOTALL)
    (tmp_path / "mine.toml").write_text(text)
    assert len(read_study(tmp_path / "mine.toml").arms) == 3


def test_toml_in_the_documentation_is_toml() -> None:
    for _, block in find(r"(?s)```toml\n(.*?)```"):
        tomllib.loads(block)


@pytest.mark.parametrize(("page", "link"), find(r"\]\((?!http)([^)#]+)"))
def test_links_lead_to_files(page: str, link: str) -> None:
    assert ((CHECKOUT / page).parent / link).exists()


@pytest.mark.parametrize(("page", "path"), find(r"`((?:bottleneck|benchmarks|tests)/[\w/.]+)`"))
def test_named_files_exist(page: str, path: str) -> None:
    assert (CHECKOUT / path).exists()


def test_commands_exist() -> None:
    known = set(_commands())
    used = find(r"(?m)(?:^\$? ?|`)bottleneck ([a-z]+)")
    assert {command for _, command in used} <= known


def test_options_exist() -> None:
    known = {"--help"} | {
        option
        for command in _commands().values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    used = find(r"(?<![\w-])(--[a-z][a-z0-9-]*[a-z0-9])\b(?!-)")
    assert {name for _, name in used} <= known | FOREIGN


def _commands() -> dict[str, typer.core.TyperCommand]:
    from bottleneck.cli.command_line import app

    group = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found[name] = command
        found.update(getattr(command, "commands", {}))
    return found


def test_tests_named_in_faults_exist() -> None:
    source = "\n".join(path.read_text() for path in (CHECKOUT / "tests").rglob("test_*.py"))
    text = PAGES["docs/reference/faults.md"]
    for name in re.findall(r"`(test_[a-z0-9_]+)(?:…)?`", text):
        assert f"def {name}" in source, name
    for path in re.findall(r"`((?:[a-z]+/)*test_\w+\.py)`", text):
        relative = path.removeprefix("tests/")
        tests = CHECKOUT / "tests"
        assert (tests / relative).exists() or (tests / "hostile" / relative).exists(), path


def test_no_two_modules_and_no_two_public_classes_share_a_name() -> None:
    """Files of ``cli`` are named after their command, and may repeat a name."""
    modules, classes = Counter[str](), Counter[str]()
    package = CHECKOUT / "bottleneck"
    for path in package.rglob("*.py"):
        if path.name != "__init__.py" and path.relative_to(package).parts[0] != "cli":
            modules[path.stem] += 1
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name] += 1
    assert [name for names in (modules, classes) for name, n in names.items() if n > 1] == []
