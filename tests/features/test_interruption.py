"""Ctrl-C during an extraction: what the network computes at that moment is kept."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import dataset_of

from bottleneck.features.compute.batch_runner import BatchRunner
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

MakeImages = Callable[[int], Path]
OPTIONS: dict[str, Any] = {"batch_size": 4, "workers": 1, "precision": "fp32"}


@pytest.mark.parametrize("where", ["in the engine", "outside it"])
def test_begun_batches_are_kept(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    dataset = dataset_of(image_folder(6))
    begun = False
    run = BatchRunner.run

    def slow(self: BatchRunner, *arguments: Any) -> list[np.ndarray]:
        nonlocal begun
        is_first, begun = not begun, True
        time.sleep(0.2)  # By then, the main thread has nothing to do but to wait for a batch.
        if is_first and where == "in the engine":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
        return run(self, *arguments)

    def interrupt(done: int, total: int, text: str) -> None:
        if begun and where == "outside it":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BatchRunner, "run", slow)
        with pytest.raises(KeyboardInterrupt):
            extract(dataset, tiny_backbone(), output=tmp_path / "f", progress=interrupt, **OPTIONS)
    result = extract(dataset, tiny_backbone(), output=tmp_path / "f", **OPTIONS)
    assert (result.n_known, result.n_extracted) in [(4, 2), (6, 0)]
    whole = extract(dataset, tiny_backbone(), output=tmp_path / "whole", **OPTIONS)
    np.testing.assert_array_equal(load_features(result.path).X, load_features(whole.path).X)
