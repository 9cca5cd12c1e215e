"""Links that somebody planted under the names of outputs: no command writes through one.

The rule behind it is tested too: whatever a command opens for writing, it has just created.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made import make_images
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.features.compute import tapped_networks
from bottleneck.testing import tiny_backbone

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")

HEADS = ["--head", "logistic", "--jobs", "1"]
SMALL = ["--precision", "fp32", "--batch-size", "4", "--workers", "1"]
#: Each command needs what those before it have made.
COMMANDS = {
    "extract": ["extract", "images", *SMALL, "--pixel-cache", "pixels", "--name", "made"],
    "fit": ["fit", *HEADS],
    "compare": ["compare", *HEADS, "--folds", "2", "--inner-scores", "--overwrite", "--with-ids"],
}
STUDY = """
title = "Two heads"
[[arms]]
name = "one"
backbone = "resnet18"
weights = "random"
head = "logistic"
[[protocols]]
name = "folds"
folds = 2
"""
SLOW = {
    "leakage": [
        *("leakage", "images", "--batch-size", "4", "--precision", "fp32", "--head", "logistic"),
        *("--folds", "2", "--repeats", "1", "--copies", "1", "--jobs", "1", "--overwrite"),
        *("--patient-pattern", r"(\d+)\.png"),
    ],
    "run": ["run", "study.toml", "--data", "images", "--jobs", "1", "--overwrite"],
    "demo": ["demo", "--limit", "12", "--weights", "random"],
    "finetune": [
        *("finetune", "images", "--backbone", "small_cnn", "--epochs", "1", "--folds", "2"),
        *("--batch-size", "8", "--device", "cpu"),
    ],
}

_opened: list[tuple[Any, int]] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open":
        path, _, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR):
            _opened.append((path, flags))


sys.addaudithook(_hook)  # It cannot be removed, and costs nothing while nothing is recorded.


def run(root: Path, command: list[str]) -> tuple[int, str, list[tuple[Any, int]]]:
    """Run a command in a folder; return its exit code, its errors, and what it opened to write."""
    global _opened
    _opened = opened = []
    try:
        result = CliRunner().invoke(app, [*command, "--quiet"], catch_exceptions=False)
    finally:
        _opened = None
    return result.exit_code, result.stderr, opened


def not_created(root: Path, opened: list[tuple[Any, int]]) -> list[str]:
    """Return the files that were opened for writing, but not created, in a folder."""
    wrong = []
    for path, flags in opened:
        if isinstance(path, int):  # A file that is open already.
            continue
        name = Path.cwd() / os.fsdecode(path)
        # A file without a name is announced under the name of its folder.
        if not name.is_relative_to(root) or name.is_dir():
            continue
        # Libraries keep files in the run's own folder, which only its user can open.
        if any(part.startswith("bottleneck-tmp-") for part in name.relative_to(root).parts):
            continue
        created = flags & os.O_EXCL and flags & os.O_CREAT
        # A lock and a log may be there from an earlier run; both are checked when they are open.
        kept = name.name.endswith((".lock", ".unfinished")) and flags & os.O_NOFOLLOW
        if not (created or kept):
            wrong.append(f"{name.relative_to(root)} with flags {flags:o}")
    return wrong


def files_of(root: Path) -> set[str]:
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return {str(path) for path in files if path.parts[0] != "tmp"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "root"
    root.mkdir()
    for n in range(2):
        make_images(root / "images" / ("benign", "malignant")[n], 8, first=50 * n)
    (root / "study.toml").write_text(STUDY)
    (root / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(root / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(root)
    monkeypatch.setattr(tapped_networks, "load_backbone", lambda *_, **__: tiny_backbone())
    load = "bottleneck.backbones.backbone.load_backbone"  # Of the studies.
    monkeypatch.setattr(load, lambda *_, **__: tiny_backbone())
    return root


def plant(root: Path, victims: Path, names: list[str], link: Callable[[int], str]) -> None:
    """Put a link to a precious file under each name."""
    for number, name in enumerate(names):
        place, victim = root / name, victims / str(number)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        kind = link(number)
        if kind != "dangling":
            victim.write_bytes(b"precious %d" % number)
            victim.chmod(0o644)
        if kind == "hard":
            place.hardlink_to(victim)
        else:
            place.symlink_to(victim)


def intact(victims: Path, n: int, link: Callable[[int], str]) -> bool:
    for number in range(n):
        victim = victims / str(number)
        if link(number) == "dangling":
            assert not victim.exists(), number
            continue
        assert victim.read_bytes() == b"precious %d" % number
        assert stat.S_IMODE(victim.stat().st_mode) == 0o644
    return True


def attack(root: Path, tmp_path: Path, commands: dict[str, list[str]], kinds: list[str]) -> None:
    for name, command in commands.items():
        before = files_of(root)
        shutil.copytree(root, tmp_path / "kept", symlinks=True)
        code, said, opened = run(root, command)
        assert code == 0, said
        assert not not_created(root, opened), name
        made = sorted(files_of(root) - before)
        assert made
        logs = [f"{file}.unfinished" for file in made if file.endswith(".h5")]
        for kind in kinds:
            shutil.move(root, tmp_path / "done")
            shutil.copytree(tmp_path / "kept", root, symlinks=True)
            os.chdir(root)
            victims = tmp_path / f"victims-{name}-{kind}"
            victims.mkdir()
            each = {"mixed": ["symbolic", "hard"], "mixed too": ["hard", "dangling", "symbolic"]}
            link = lambda number, each=each[kind]: each[number % len(each)]  # noqa: E731
            plant(root, victims, [*made, *logs], link)
            code, said, opened = run(root, command)
            assert code in (0, 2), said
            assert not not_created(root, opened), name
            assert intact(victims, len(made) + len(logs), link)
            shutil.rmtree(root)
            shutil.move(tmp_path / "done", root)
            os.chdir(root)
        shutil.rmtree(tmp_path / "kept")


def test_no_command_writes_through_a_planted_link(root: Path, tmp_path: Path) -> None:
    quick = {name: COMMANDS[name] for name in ("extract", "fit")}
    attack(root, tmp_path, quick, ["mixed"])


def test_a_writer_that_follows_links_is_noticed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack(root, tmp_path, {"extract": COMMANDS["extract"]}, [])
    monkeypatch.setattr("bottleneck.deploy.models.model.write_whole", Path.write_bytes)
    with pytest.raises(AssertionError, match=r"skops with flags"):
        attack(root, tmp_path / "other", {"fit": COMMANDS["fit"]}, [])


@pytest.mark.slow
@pytest.mark.parametrize("kinds", ["mixed", "mixed too"])
def test_no_command_at_all_writes_through_a_planted_link(
    root: Path, tmp_path: Path, kinds: str
) -> None:
    attack(root, tmp_path, COMMANDS, [kinds])
    attack(root, tmp_path, SLOW, [kinds])
