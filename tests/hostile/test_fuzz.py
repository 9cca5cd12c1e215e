"""``make fuzz`` reads damaged files of every format; here, a few of some."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "fuzz" / "run.py"


def fuzz(targets: str, runs: int, findings: Path, *options: str) -> dict[str, dict[str, int]]:
    command = [sys.executable, str(RUN), "--runs", str(runs), "--findings", str(findings)]
    command += ["--targets", targets] if targets else []
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.stem: json.loads(path.read_text()) for path in findings.glob("*.json")}


@pytest.mark.skipif(sys.platform == "win32", reason="the time of a read is limited by a signal")
@pytest.mark.slow
def test_every_reader_has_a_target_that_works(tmp_path: Path) -> None:
    counts = fuzz("", 20, tmp_path, "--unguided")
    assert len(counts) >= 40
    assert all(one["inputs"] == 20 and one["findings"] == 0 for one in counts.values())


def test_what_is_no_error_of_ours_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RUN.parent))
    monkeypatch.syspath_prepend(str(RUN.parents[1]))
    import run
    import targets

    path = tmp_path / "file"

    def make(_: Path) -> tuple[Path, object]:
        path.write_bytes(b"sound")
        return path, lambda: 1 // len(path.read_bytes())

    monkeypatch.setitem(targets.TARGETS, "made", make)
    session = run.Session("made", tmp_path, tmp_path / "found")
    for data in (b"x", b"", b"yy", b""):
        session.one(data)
    session.report()
    assert session.counts == {"inputs": 4, "read": 2, "refused": 0, "findings": 1}
    (kept,) = (tmp_path / "found" / "made").glob("*.bin")
    assert kept.read_bytes() == b""
    assert "ZeroDivisionError" in kept.with_suffix(".txt").read_text()
