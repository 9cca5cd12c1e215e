"""Patches in a temporary file."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from bottleneck.errors import UsageError
from bottleneck.finetune.volumes import patch_store
from bottleneck.finetune.volumes.patch_store import PatchStore


def test_patches_come_back_in_any_order_and_process() -> None:
    rng = np.random.default_rng(0)
    patches = [rng.normal(size=(4, 3, 2, 1)).astype(np.float32) for _ in range(5)]
    store = PatchStore((4, 3, 2, 1))
    for patch in patches:
        # As a flipped axis makes it.
        store.append(patch[::-1, ::-1][::-1, ::-1])
    assert len(store) == 5
    other = pickle.loads(pickle.dumps(store))
    for number in (3, 0, 4, 1, 2):
        np.testing.assert_array_equal(other.read(number), patches[number])


def test_the_file_goes_with_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_store, "own_folder", lambda: tmp_path)
    store = PatchStore((2, 2, 2, 1))
    store.append(np.zeros((2, 2, 2, 1), np.float32))
    assert len(list(tmp_path.iterdir())) == 1
    del store
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_store, "own_folder", lambda: tmp_path / "gone")
    with pytest.raises(UsageError, match=r"3\.54 MB for each sample: choose another folder"):
        PatchStore((96, 96, 96, 1))
