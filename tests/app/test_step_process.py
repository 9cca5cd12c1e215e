"""Steps in processes of their own: results, errors, cancelling, and the end of the app."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bottleneck.app.study.steps import study_steps
from bottleneck.app.study.steps.step_choices import DataChoice, PatternChoice
from bottleneck.app.study.steps.step_process import StepCancelledError, StepProcess
from bottleneck.errors import BottleneckError

# Python's engine tries 2 to the power of 40 ways, and notices no signal meanwhile.
ENDLESS = PatternChoice(pattern="(a+)+$", sources=("a" * 40 + "b",))
# In seconds, on a busy machine.
LONG = 60


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended stays in the table until its parent has asked how.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_step_returns_its_result() -> None:
    process = StepProcess(
        study_steps.try_pattern, PatternChoice(pattern=r"P\d+", sources=("a/P1.png", "b/2.png"))
    )
    assert process.result().examples == (("a/P1.png", "P1"), ("b/2.png", None))
    assert not process.is_running


def test_an_error_of_a_step_keeps_its_message_and_its_lines(tmp_path: Path) -> None:
    process = StepProcess(study_steps.read_data, DataChoice(source=str(tmp_path / "none")))
    with pytest.raises(BottleneckError, match="none cannot be read: No such file"):
        process.result()


def test_a_step_that_cannot_be_interrupted_is_killed() -> None:
    process = StepProcess(study_steps.try_pattern, ENDLESS, grace=0.0)
    assert not process.wait(0.2)
    began = time.monotonic()
    process.cancel()
    with pytest.raises(StepCancelledError):
        process.result()
    assert time.monotonic() - began < LONG
    assert process.is_cancelled


def test_a_step_ends_with_the_page() -> None:
    stop = threading.Event()
    process = StepProcess(study_steps.try_pattern, ENDLESS, stop=stop, grace=0.0)
    stop.set()
    assert process.wait(LONG)


def test_a_killed_step_says_that_the_system_ended_it() -> None:
    process = StepProcess(study_steps.try_pattern, ENDLESS)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(
        BottleneckError, match=r"the system ended the step .code -9.*memory is full"
    ):
        process.result()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it reads /proc")
def test_a_step_ends_with_the_app_that_is_killed() -> None:
    code = (
        "import time\n"
        "from bottleneck.app.study.steps import study_steps\n"
        "from bottleneck.app.study.steps.step_process import StepProcess\n"
        "from bottleneck.app.study.steps.step_choices import PatternChoice\n"
        "choice = PatternChoice(pattern='(a+)+$', sources=('a' * 40 + 'b',))\n"
        "print(StepProcess(study_steps.try_pattern, choice).pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    app = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert app.stdout is not None
    pid = int(app.stdout.readline())
    app.kill()
    app.communicate()
    latest = time.monotonic() + LONG
    while is_alive(pid) and time.monotonic() < latest:
        time.sleep(0.1)
    assert not is_alive(pid)
