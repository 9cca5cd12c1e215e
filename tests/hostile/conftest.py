"""A hub on this machine with the weights of the tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from backbones.loopback_hub import LoopbackHub, running_hub
from hub_weights import NAME


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("BOTTLENECK_WEIGHTS", str(tmp_path / "weights"))
    with running_hub(monkeypatch, tmp_path / "cache") as running:
        running.files[NAME] = random.Random(0).randbytes(1_000_000)
        yield running
