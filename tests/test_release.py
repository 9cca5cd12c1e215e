"""What a release consists of: versions, workflows, the container, and the gate of the coverage."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import bottleneck

CHECKOUT = Path(__file__).resolve().parents[1]
GITHUB = CHECKOUT / ".github"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in GITHUB.glob("workflows/*.yml")}
TARGETS = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
JOBS = [job for workflow in WORKFLOWS.values() for job in workflow["jobs"].values()]
STEPS = [step for job in JOBS for step in job["steps"]]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, CHECKOUT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_texts_name_one_version() -> None:
    release_check = load("release_check")
    assert release_check.read_version() == bottleneck.__version__
    release_check.check_texts(bottleneck.__version__, None)
    with pytest.raises(SystemExit, match=r"the tag is v9, and the package's version is"):
        release_check.check_texts(bottleneck.__version__, "v9")
    with pytest.raises(SystemExit, match=r"CHANGELOG\.md begins with"):
        release_check.check_texts("9.9.9", None)


def test_workflows_run_make_targets_alone() -> None:
    commands = [step["run"] for step in STEPS if "run" in step]
    assert commands
    for command in commands:
        target = re.fullmatch(r"make (\$\{\{ matrix.target \}\}|[a-z-]+)( [A-Z]+=\S+)*", command)
        assert target is not None, command
        assert target[1].startswith("$") or target[1] in TARGETS
    matrices = [job["strategy"]["matrix"] for job in JOBS if "strategy" in job]
    named = {one for matrix in matrices for one in matrix["target"]}
    named |= {one["target"] for matrix in matrices for one in matrix.get("include", ())}
    assert named <= TARGETS


def test_workflows_use_one_state_of_each_action() -> None:
    """A tag can be moved by whoever publishes the action; a commit cannot."""
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action) for action in used)
    # A job may do no more than it must.
    assert all(workflow["permissions"] == {"contents": "read"} for workflow in WORKFLOWS.values())


def test_supported_pythons_are_tested() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    stated = {c.rpartition(" ")[2] for c in project["classifiers"] if ":: Python :: 3." in c}
    tested = WORKFLOWS["checks.yml"]["jobs"]["newest"]["strategy"]["matrix"]["python"]
    assert set(tested) == stated
    assert project["requires-python"] == f">={tested[0]}"


def test_make_targets_in_texts_exist() -> None:
    for name in ("RELEASING.md", "CONTRIBUTING.md", ".pre-commit-config.yaml"):
        named = set(
            re.findall(r"\bmake ([a-z][a-z-]+)\b(?![^`\n]*=)", (CHECKOUT / name).read_text())
        )
        assert named <= TARGETS, name


def test_the_container_is_built_of_files_that_exist() -> None:
    text = (CHECKOUT / "Containerfile").read_text()
    copied = [one for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for one in line.split()]
    assert {"pyproject.toml", "bottleneck"} <= set(copied)
    assert all((CHECKOUT / one).exists() for one in copied)
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r"'\.\[([a-z,]+)\]'", text)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def file(covered: int, statements: int) -> dict[str, Any]:
    return {"summary": {"covered_lines": covered, "num_statements": statements}}


def test_coverage_is_counted_by_folder() -> None:
    tool = load("coverage_by_folder")
    report = {
        "files": {
            "bottleneck/data/readers/a.py": file(1, 2),
            "bottleneck\\data\\b.py": file(8, 8),
            "bottleneck/doctor.py": file(3, 4),
            "bottleneck/audit/__init__.py": file(0, 0),
        }
    }
    measured = tool.per_cents(report)
    assert measured == {"bottleneck": 75.0, "data": 90.0}
    assert tool.problems(measured, {"bottleneck": 75, "data": 90}) == []
    wrong = tool.problems(measured, {"data": 90.1, "app": 80})
    assert [text.split(":")[0].split(" has ")[0] for text in wrong] == [
        "[tool.coverage-by-folder] names app, which",
        "[tool.coverage-by-folder] of pyproject.toml",
        "data",
    ]


def test_each_folder_has_a_limit_of_coverage() -> None:
    tool = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]
    limits = tool["coverage-by-folder"]
    package = CHECKOUT / "bottleneck"
    folders = {path.parent.name for path in package.glob("*/__init__.py")} | {"bottleneck"}
    assert set(limits) == folders
    assert all(limits[folder] >= 90 for folder in ("statistics", "audit", "evaluation"))
