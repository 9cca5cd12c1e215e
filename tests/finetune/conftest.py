"""A small data set whose classes can be learnt, and a small network for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from made import dataset_of
from PIL import Image
from small import N_IMAGES, small_backbone, train

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.finetune.trained_arm import Trained


# As wide as the training that tests share: another number of threads moves the last bits of sums.
@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images a patient; those of every second patient are brighter on the whole."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(N_IMAGES):
        rng = np.random.default_rng(number)
        mean = (100, 140)[number // 2 % 2]
        pixels = rng.normal(mean, 30, (20, 20)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


@pytest.fixture
def dataset(photos: Path) -> ImageDataset:
    return dataset_of(photos)


@pytest.fixture
def backbone() -> Backbone:
    return small_backbone()


@pytest.fixture(scope="session")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(dataset_of(photos), tmp_path_factory.mktemp("trained") / "run", refit=True)
