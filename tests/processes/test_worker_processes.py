"""Worker processes of joblib that cannot do their work."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import joblib
import numpy as np
import pytest

from bottleneck.errors import UsageError
from bottleneck.processes.worker_processes import joblib_options, joblib_workers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits and signals are those of Unix")


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def total(array: np.ndarray, number: int) -> float:
    return float(array.sum()) + number


def ignored(number: int) -> list[bool]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [signal.getsignal(each) == signal.SIG_IGN for each in numbers]


def test_joblib_workers(tmp_path: Path) -> None:
    assert joblib_options(None) == joblib_options(1) == {}
    with joblib.parallel_config(backend="threading"):
        assert joblib_options(2) == {}
    options = joblib_options(2)
    run = joblib.Parallel(2, **options)
    assert run(joblib.delayed(ignored)(n) for n in range(2)) == [[True] * 3] * 2
    # A killed worker is explained, and so is a folder in which the arrays have no room.
    with pytest.raises(UsageError, match="fewer --jobs"), joblib_workers():
        run(joblib.delayed(die)(n) for n in range(2))
    array = np.zeros(1_000_000)
    (tmp_path / "file").touch()
    missing = options | {"temp_folder": str(tmp_path / "file")}
    with pytest.raises(UsageError, match="TMPDIR"), joblib_workers():
        joblib.Parallel(2, **missing)(joblib.delayed(total)(array, n) for n in range(2))
