"""kill -9 in the middle of a training; the next run must end as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Where a run is killed: a step of the second fold's second epoch, and each move of a file that
# the second fold ends with, before and after it.
PLACES = [
    ("step", 1, "before"),
    *(
        (name, 1, when)
        for name in ("last.ckpt", "network.safetensors", "fold.json")
        for when in ("before", "after")
    ),
]
QUICK = (("step", 1, "before"), ("network.safetensors", 1, "before"))


def run(folder: Path, output: Path, place: tuple[str, int, str] | None) -> None:
    """Train; with a place, kill this process there."""
    import torch
    from made import dataset_of
    from small import PROTOCOL, quick, small_backbone

    from bottleneck.finetune import cross_validate as arm
    from bottleneck.finetune.training.early_stopping import Course

    torch.set_num_threads(1)
    name, times, when = place or ("", 0, "")

    def fatal(owner: Any, attribute: str, is_place: Callable[..., bool]) -> None:
        original = getattr(owner, attribute)
        seen = 0

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            here = is_place(*args)
            seen += here
            if here and seen == times and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **kwargs)
            if here and seen == times:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, attribute, wrapped)

    def is_file(source: Any, target: Any, *_: Any) -> bool:
        return Path(target).name == name and Path(target).parent.name == "fold-0-1"

    if name == "step":
        in_place = lambda course, *_: "fold 2" in course.text and len(course.curve) == 1  # noqa: E731
        fatal(Course, "on_train_batch_end", in_place)
    elif name:
        fatal(Path, "replace", is_file)
    arm.finetune(
        dataset_of(folder), quick(), backbone=small_backbone(), protocol=PROTOCOL, output=output
    )


@pytest.fixture(scope="module")
def processes() -> Any:
    # Children of this server have Lightning loaded already, and no threads of ours.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["bottleneck.finetune.training.trainer", "sklearn.metrics", "small", "made"]
    )
    return context


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    output = tmp_path_factory.mktemp("whole") / "run"
    run(photos, output, None)
    return (output / "predictions.csv").read_bytes()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
@pytest.mark.parametrize(
    "place",
    [pytest.param(p, marks=[pytest.mark.slow] * (p not in QUICK)) for p in PLACES],
    ids=lambda p: f"{p[2]}-{p[0]}-{p[1]}",
)
def test_same_predictions_bit_for_bit(
    processes: Any, photos: Path, tmp_path: Path, whole: bytes, place: tuple[str, int, str]
) -> None:
    output = tmp_path / "run"
    child = processes.Process(target=run, args=(photos, output, place))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not (output / "predictions.csv").exists()
    run(photos, output, None)
    assert (output / "predictions.csv").read_bytes() == whole
    left = {path.name for path in (output / "fold-0-1").iterdir()}
    assert left == {"fold.json", "network.safetensors", "reference.npz", "scores.npz"}
