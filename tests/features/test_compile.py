"""Recorded kernels: a CUDA graph where there is one, else torch's own operations, replayed."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bottleneck.backbones.backbone import embed_together
from bottleneck.features import devices
from bottleneck.features.compute import batch_runner as engine
from bottleneck.features.compute import compile
from bottleneck.features.compute.autotune import Speed, tune
from bottleneck.features.compute.batch_runner import Lanes, Plan, Runner
from bottleneck.features.compute.compile import Captured
from bottleneck.features.timing import Clock
from bottleneck.testing import tiny_backbone

CUDA = torch.device("cuda")


class Recorder(TorchDispatchMode):
    """Records operations with their tensors, and repeats them on the same tensors.

    As a CUDA graph does: what Python decides in between is decided once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, ...]] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        result = operation(*arguments, **(options or {}))
        self.made.append((operation, arguments, options or {}, result))
        return result

    @torch.inference_mode()
    def replay(self) -> None:
        for operation, arguments, options, result in self.made:
            again = operation(*arguments, **options)
            if isinstance(result, Tensor) and result.data_ptr() != again.data_ptr():
                result.copy_(again)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def graph(
        recorder: Recorder, *, pool: Any, stream: Any, capture_error_mode: str
    ) -> Iterator[None]:
        with recorder:
            yield

    stream = SimpleNamespace(wait_event=lambda event: None)
    cuda = SimpleNamespace(
        CUDAGraph=Recorder,
        graph=graph,
        graph_pool_handle=lambda: None,
        Stream=lambda device: stream,
        Event=lambda: SimpleNamespace(record=lambda stream: None),
        current_stream=lambda device: stream,
    )
    monkeypatch.setattr(compile, "torch", SimpleNamespace(cuda=cuda, equal=torch.equal))


def batches(n: int, size: int) -> list[Tensor]:
    return list(torch.randint(0, 256, (n, size, 8, 8, 3), dtype=torch.uint8))


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_recorded_computes_other_batches_too(precision: Any) -> None:
    backbone = tiny_backbone()
    images = batches(20, 4)

    def compute(pixels: Tensor) -> list[Tensor]:
        return embed_together([backbone, backbone], pixels, precision)

    captured = Captured(compute, images[0])
    with ThreadPoolExecutor(2) as pool:  # As lanes do.
        found = list(pool.map(captured, images))
    for batch, each in zip(images, found, strict=True):
        for a, b in zip(each, compute(batch), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert captured.fits(images[0])
    assert not captured.fits(images[0][:2])


@pytest.mark.usefixtures("recorded")
def test_what_hangs_on_more_than_the_shape_is_refused() -> None:
    times = itertools.count()
    with pytest.raises(RuntimeError, match="something else"):
        Captured(lambda pixels: [pixels.float() * next(times)], batches(1, 4)[0])


def test_kernels_are_recorded_on_a_gpu_alone_and_where_that_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "describe_device", str)
    asked: list[Plan] = []

    def choose(device: torch.device, rate: Callable[[Plan], float]) -> Plan:
        def measure(backbones: Any, device: Any, precision: Any, plan: Plan) -> Speed:
            asked.append(plan)
            return Speed(rate(plan), 0.0)

        options = {"tuning": "always", "measure": measure, "memory": tmp_path / "tuning.json"}
        return tune([tiny_backbone()], device, "bf16", 16, 1000, **options)

    assert choose(CUDA, lambda plan: 2.0 if plan.captured else 1.0) == Plan(16, captured=True)
    assert choose(CUDA, lambda plan: 0.0 if plan.captured else 1.0) == Plan(16)
    assert any(plan.captured for plan in asked)
    asked.clear()
    assert choose(torch.device("cpu"), lambda plan: 1.0) == Plan(16)
    assert not any(plan.captured for plan in asked)


def test_what_was_compiled_before_is_not_faster_for_being_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch keeps what it compiled, so that the second measurement finds it made."""
    monkeypatch.setattr(devices, "describe_device", str)

    def measure(backbones: Any, device: Any, precision: Any, plan: Plan) -> Speed:
        rate = 1.9 if plan.captured else 2.0 if plan.compiled else 1.0
        return Speed(rate, 60.0 if plan.compiled and not plan.captured else 0.0)

    options: dict[str, Any] = {"measure": measure, "memory": tmp_path / "tuning.json"}
    plan = tune([tiny_backbone()], CUDA, "bf16", 16, 1000, tuning="always", **options)
    assert plan == Plan(16, compiled=True)


def test_a_cpu_records_nothing() -> None:
    runner = Runner(
        [tiny_backbone()], torch.device("cpu"), "fp32", Plan(2, captured=True), Clock(1)
    )
    assert runner.plan == Plan(2)


def test_what_cannot_be_recorded_is_computed_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner([tiny_backbone()], torch.device("cpu"), "fp32", Plan(4), Clock(1))
    images = [image.numpy() for image in batches(1, 6)[0]]
    expected = runner.compute(images, "fp32")
    runner.plan = Plan(4, captured=True)
    runner._cool()
    # Without a GPU torch refuses, which is one way to fail.
    np.testing.assert_array_equal(runner.compute(images, "fp32"), expected)
    assert runner.plan == Plan(4)


@pytest.mark.usefixtures("recorded")
def test_a_runner_computes_with_what_is_recorded_and_records_anew_for_smaller_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = Runner([tiny_backbone()], torch.device("cpu"), "fp32", Plan(4), Clock(1))
    images = [image.numpy() for image in batches(1, 10)[0]]
    expected = runner.compute(images, "fp32")
    runner.plan = Plan(4, captured=True)
    runner._cool()
    made: list[int] = []

    class Counted(Captured):
        def __init__(self, compute: Any, example: Tensor) -> None:
            super().__init__(compute, example)
            made.append(len(example))

        def __call__(self, batch: Tensor) -> list[Tensor]:
            if made and made[-1] == 4 and len(made) == 1 and runner.batch_size == 4 and full:
                full.clear()
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__call__(batch)

    full: list[bool] = []
    monkeypatch.setattr(engine, "Captured", Counted)
    np.testing.assert_array_equal(runner.compute(images, "fp32"), expected)
    full.append(True)
    np.testing.assert_allclose(runner.compute(images, "fp32"), expected, rtol=1e-6)
    assert made == [4, 2]
    assert runner.plan == Plan(2, captured=True)


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gpu_computes_the_same_bits_from_a_record(compiled: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images = [image.numpy() for image in batches(1, 30)[0]]
    features = []
    for captured in (False, True):
        plan = Plan(8, compiled=compiled, captured=captured)
        runner, lanes = Runner([tiny_backbone()], CUDA, "bf16", plan, Clock(1)), Lanes(CUDA)
        with contextlib.closing(lanes):
            futures = [lanes.submit(partial(runner.compute, images, "bf16")) for _ in range(8)]
            features += [future.result()[0] for future in futures]
        assert runner.plan == plan
    for each in features:
        np.testing.assert_array_equal(each, features[0])
