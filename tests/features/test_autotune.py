"""How a network is computed: the measured choice."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made import dataset_of

import bottleneck
from bottleneck.backbones.weights.folder import folder_path
from bottleneck.errors import UsageError
from bottleneck.features import devices
from bottleneck.features.compute.autotune import Speed, measure_speed, tune
from bottleneck.features.compute.engine import BatchPlan
from bottleneck.features.extraction import Extraction, extract
from bottleneck.testing import tiny_backbone

MakeImages = Callable[..., Path]
CPU = torch.device("cpu")
USUAL = BatchPlan(16)


def run(folder: Path, output: Path, **options: Any) -> Extraction:
    options = {"batch_size": 4, "workers": 2, "precision": "fp32", **options}
    return extract(dataset_of(folder), tiny_backbone(), output=output, **options)


class Machine:
    """Speeds that a machine would have, and a list of what was measured."""

    def __init__(self, rate: Callable[[BatchPlan], float], setup: float = 0.0) -> None:
        self.measured: list[BatchPlan] = []
        self._rate, self._setup = rate, setup

    def __call__(self, backbones: Any, device: Any, precision: str, plan: BatchPlan) -> Speed:
        self.measured.append(plan)
        return Speed(self._rate(plan), self._setup * plan.compiled)


def rate(plan: BatchPlan) -> float:
    """A machine on which everything helps, batches of 32 too."""
    speed = 150.0 if plan.layout == "contiguous" else 100.0
    return speed * {8: 0.9, 16: 1.0, 32: 1.2}[plan.batch_size] * (2.0 if plan.compiled else 1.0)


@pytest.fixture
def choose(tmp_path: Path) -> Callable[..., BatchPlan]:
    taps = [tiny_backbone()]

    def call(measure: Machine, n_images: int, **options: Any) -> BatchPlan:
        options = {"memory": tmp_path / "tuning.json", **options}
        return tune(taps, CPU, "bf16", "auto", n_images, measure=measure, **options)

    return call


def test_the_fastest_of_all_is_taken(choose: Callable[..., BatchPlan]) -> None:
    assert choose(Machine(rate), 10, tuning="always") == BatchPlan(32, "contiguous", True)


def test_smaller_batches_are_taken_where_they_are_faster(choose: Callable[..., BatchPlan]) -> None:
    machine = Machine(lambda plan: {4: 101.0, 8: 105.0, 16: 100.0}[plan.batch_size])
    assert choose(machine, 10, tuning="always") == BatchPlan(8)
    # Larger ones were not: that of 16 is known, and 32 would follow it.
    assert max(plan.batch_size for plan in machine.measured) == 16


def test_what_fails_is_neither_taken_nor_remembered(
    choose: Callable[..., BatchPlan],
) -> None:
    machine = Machine(lambda plan: 0.0 if plan.compiled or plan.batch_size > 16 else 100.0)
    assert choose(machine, 10**6, tuning="always") == USUAL
    assert choose(Machine(lambda _: 0.0), 10**6, tuning="always") == USUAL
    assert choose(Machine(rate), 10**6) == BatchPlan(32, "contiguous", True)


def test_a_measurement_costs_a_twentieth_of_the_run(choose: Callable[..., BatchPlan]) -> None:
    # A measurement takes three batches of each lane.
    each = 3 * 16 * devices.lanes_of(CPU)
    machine = Machine(rate)
    assert choose(machine, 20 * each - 1) == USUAL
    assert machine.measured == []
    assert choose(machine, 20 * each) == USUAL
    assert machine.measured == [USUAL]
    # What is known costs nothing.
    assert choose(machine, 20 * each) == BatchPlan(16, "contiguous")
    assert len(machine.measured) == 2
    assert choose(machine, 10, tuning="never") == USUAL
    # A run that goes on needs no plan of its own.
    assert choose(Machine(rate), 0, tuning="always") == USUAL


def test_each_measurement_is_announced(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, texts = Machine(rate), []
    choose = functools.partial(tune, measure=machine, memory=tmp_path / "tuning.json")
    monkeypatch.setattr("bottleneck.features.compute.local_engine.tune", choose)
    options = {"tuning": "always", "batch_size": 16}
    run(image_folder(4), tmp_path / "f", progress=lambda *said: texts.append(said), **options)
    assert texts.count((0, 4, "measuring tiny")) == len(machine.measured) > 1
    assert texts[-1] == (4, 4, "tiny")


def test_without_a_home_folder_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where HOME is not set and the user is not declared.
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    machine = Machine(rate)
    for _ in range(2):
        plan = tune([tiny_backbone()], CPU, "bf16", "auto", 10_000, measure=machine)
        assert plan == BatchPlan(32, "contiguous", compiled=False)
    assert len(machine.measured) == 8
    monkeypatch.delenv("BOTTLENECK_WEIGHTS", raising=False)
    with pytest.raises(UsageError, match="no home folder to keep weights in"):
        folder_path()


def test_compiling_must_pay(choose: Callable[..., BatchPlan]) -> None:
    machine = Machine(lambda plan: 200.0 if plan.compiled else 100.0, setup=50.0)
    # 50 + n / 200 < n / 100 above 10,000 images, and it must do so by three per cent.
    compiled = BatchPlan(16, compiled=True)
    assert choose(machine, 11_000, tuning="always") == compiled
    assert choose(machine, 10_100) == USUAL
    assert choose(machine, 10_800) == compiled
    assert len(machine.measured) == len(set(machine.measured))


def test_measurements_are_kept_by_network_and_device(
    tmp_path: Path, choose: Callable[..., BatchPlan]
) -> None:
    memory, machine = tmp_path / "tuning.json", Machine(rate)
    choose(machine, 10, tuning="always")
    (key,) = json.loads(memory.read_text())
    assert "tiny8" in key
    assert torch.__version__ in key
    assert f"bottleneck {bottleneck.__version__}" in key
    taken = len(machine.measured)
    tune([tiny_backbone(width=4)], CPU, "fp32", 16, 10**9, measure=machine, memory=memory)
    assert len(machine.measured) > taken
    assert "fp32" in json.loads(memory.read_text()).popitem()[0]
    assert len(json.loads(memory.read_text())) == 2


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"x": 3}', "\x00", "KEY"])
def test_a_damaged_memory_is_measured_again(
    tmp_path: Path, choose: Callable[..., BatchPlan], text: str
) -> None:
    memory, machine = tmp_path / "tuning.json", Machine(rate)
    choose(machine, 10**6)
    (key,) = json.loads(memory.read_text())
    row = {"batch_size": -1, "rate": 1, "setup": 0}
    memory.write_text(json.dumps({key: [row]}) if text == "KEY" else text)
    taken = len(machine.measured)
    choose(machine, 10**6)
    assert len(machine.measured) == 2 * taken


def test_a_real_measurement() -> None:
    speed = measure_speed([tiny_backbone()], CPU, "fp32", BatchPlan(4))
    assert speed.rate > 0
    assert speed.setup >= 0
