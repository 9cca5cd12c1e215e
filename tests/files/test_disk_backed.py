"""Arrays and dicts on the disk hold what arrays and dicts in memory would."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from bottleneck.errors import UsageError
from bottleneck.files.disk_backed import DiskArray, DiskDict

# Fills a dict, and an array, with so many bytes allowed to a file.
FULL = """
import resource, signal
from bottleneck.errors import UsageError
from bottleneck.files.disk_backed import DiskArray, DiskDict
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
for fill in (
    lambda: DiskDict((f"{n:064d}", n) for n in range(200_000)),
    lambda: DiskArray(10_000_000, "i8"),
):
    try:
        fill()
    except UsageError as error:
        print(error)
"""


def test_a_dict() -> None:
    rng = np.random.default_rng(0)
    expected: dict[str, int] = {}
    found: DiskDict[int] = DiskDict()
    for _ in range(30):
        items = {str(key): int(key) * 2**40 for key in rng.integers(0, 9000, 400)}
        expected |= items
        found.add(items.items())
    assert len(found) == len(expected)
    assert dict(found) == expected
    assert all((str(key) in found) == (str(key) in expected) for key in range(9000))
    assert found.get("é", -1) == -1
    with pytest.raises(KeyError):
        found["-1"]
    found.add([("1", 5), ("1", 6)])
    assert found["1"] == 6
    assert dict(DiskDict([("a", "b")])) == {"a": "b"}


def test_an_array() -> None:
    dtype = np.dtype([("name", "S4"), ("pair", "i8", 2)])
    expected, found = np.zeros(1000, dtype), DiskArray(1000, dtype)
    rng = np.random.default_rng(0)
    for _ in range(50):
        start, n = int(rng.integers(0, 950)), int(rng.integers(0, 50))
        values = [(f"{start}", (n, -start)) for _ in range(n)]
        found.write(start, values)
        expected[start : start + n] = np.array(values, dtype)
    assert len(found) == 1000
    np.testing.assert_array_equal(found.read(0, 1000), expected)
    np.testing.assert_array_equal(found.read(990, 2000), expected[990:])


def test_a_folder_for_temporary_files_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="with the environment variable TMPDIR"):
        DiskArray(3, "i8")


@pytest.mark.skipif(os.name == "nt", reason="limits are those of Unix")
def test_a_folder_for_temporary_files_that_is_full() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FULL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 2, done.stdout
    assert all("folder for temporary files cannot be used" in line for line in said)
