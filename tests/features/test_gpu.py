"""Extraction on a GPU against extraction on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import dataset_of

from bottleneck.features.compute.batch_runner import BatchRunner, Lanes
from bottleneck.features.compute.engine import BatchPlan
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.features.timing import Clock
from bottleneck.testing import tiny_backbone

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_features_are_those_of_the_cpu(image_folder: Callable[[int], Path], tmp_path: Path) -> None:
    dataset = dataset_of(image_folder(21))
    options: dict[str, Any] = {"batch_size": 4}

    def features(device: str, precision: str) -> np.ndarray:
        output = tmp_path / f"{device}-{precision}"
        result = extract(
            dataset,
            tiny_backbone(),
            device=device,
            precision=precision,
            output=output,
            **options,
        )
        return load_features(result.path).X

    exact = features("cpu", "fp32")
    largest = np.abs(exact).max()
    np.testing.assert_allclose(features("cuda", "fp32"), exact, rtol=0, atol=1e-5 * largest)
    np.testing.assert_allclose(features("cuda", "bf16"), exact, rtol=0, atol=0.05 * largest)


@pytest.mark.parametrize("compiled", [False, True])
def test_lanes_give_the_same_bits(compiled: bool) -> None:
    device, pixels = torch.device("cuda"), np.random.default_rng(0)
    images = list(pixels.integers(0, 256, (30, 8, 8, 3), np.uint8))
    plan = BatchPlan(8, compiled=compiled)
    runner = BatchRunner([tiny_backbone()], device, "bf16", plan, Clock(1))
    with closing(Lanes(device)) as lanes:
        futures: list[Future[Any]] = [
            lanes.submit(partial(runner.compute, images, "bf16")) for _ in range(8)
        ]
        results = [future.result()[0] for future in futures]
    for each in results:
        np.testing.assert_array_equal(each, results[0])
