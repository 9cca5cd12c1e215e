"""The import order that CONTRIBUTING.md describes, and the names of modules and classes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


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
    (order,) = re.findall(r"```text\n(.*→.*)\n```", (CHECKOUT / "CONTRIBUTING.md").read_text())
    ranks = [[rank[room] for room in step.split(", ")] for step in order.split(" → ")]
    assert all(len(set(step)) == 1 for step in ranks)
    assert [step[0] for step in ranks] == sorted({step[0] for step in ranks})


def test_files_that_test_fast_leaves_out_exist() -> None:
    lines = (CHECKOUT / "tests" / "long_files.txt").read_text().splitlines()
    assert all((CHECKOUT / line.removeprefix("--ignore=")).is_file() for line in lines)


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
