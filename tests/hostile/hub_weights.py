"""The weights that tests download from a hub, and what its cache holds."""

from __future__ import annotations

from pathlib import Path

from bottleneck.backbones.encoder import PublishedWeights

SMALL = "timm/test_resnet.r160_in1k"
REPOSITORY = "someone/weights"
PUBLISHED = PublishedWeights("imagenet", "model.safetensors", REPOSITORY, "https://x", "timm")
NAME = f"{REPOSITORY}/model.safetensors"


def blobs(tmp_path: Path) -> list[Path]:
    """Whatever of files the cache holds, finished or not."""
    return [path for path in (tmp_path / "cache").glob("*/blobs/*") if path.is_file()]
