"""How fast extraction is, beside a plain loop over timm's own transform and the network alone.

All three run in turn in one process, several times over, and the medians' ratios are what
counts: machines are shared and noisy. Random weights, which cost the same as any other.

    python benchmarks/extraction.py --backbone resnet50 --images 160
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image

from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.features.engine import describe_device, native_precision, resolve_device
from bottleneck.features.extraction import extract

SIZE = (560, 360)


def make_images(folder: Path, n: int) -> list[Path]:
    """Smoothed noise, so that a JPEG has the size that it has in practice."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(n):
        small = Image.fromarray(rng.integers(0, 256, (90, 140), np.uint8))
        path = folder / f"{number:05d}.jpg"
        small.resize(SIZE, Image.Resampling.BICUBIC).convert("RGB").save(path, quality=90)
        paths.append(path)
    return paths


def plain_loop(name: str, paths: list[Path], batch: int, device: torch.device) -> None:
    """What one writes without this package: timm's transform, fp32, one image after another."""
    network = timm.create_model(find_encoder(name).timm, num_classes=0).eval().to(device)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    with torch.inference_mode():
        for start in range(0, len(paths), batch):
            images = [transform(Image.open(p).convert("RGB")) for p in paths[start : start + batch]]
            network.forward_features(torch.stack(images).to(device)).cpu()


def ours(name: str, paths: list[Path], batch: int, device: torch.device) -> None:
    """Our extraction, into a fresh folder."""
    samples = tuple(Sample(p.name, p.name, "x") for p in paths)
    dataset = ImageDataset("bench", samples, FileSource(paths[0].parent))
    with tempfile.TemporaryDirectory() as output:
        backbone = load_backbone(name, weights="random")
        extract(dataset, backbone, batch_size=batch, device=str(device), output=output)


def network_alone(name: str, paths: list[Path], batch: int, device: torch.device) -> None:
    """Our network in our precision, on pixels that lie in memory."""
    backbone = load_backbone(name, weights="random").to(device)
    side = backbone.preprocessing.crop
    pixels = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8)
    for _ in range(0, len(paths), batch):
        backbone.embed(pixels, native_precision(device)).cpu()


def seconds_per_image(
    work: Callable[[str, list[Path], int, torch.device], None],
    name: str,
    paths: list[Path],
    batch: int,
    device: torch.device,
) -> float:
    """Time the work on all images less on the first batch, so that loading cancels out."""
    started = time.perf_counter()
    work(name, paths[:batch], batch, device)
    first = time.perf_counter()
    work(name, paths, batch, device)
    return (time.perf_counter() - first - (first - started)) / (len(paths) - batch)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", action="append")
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = resolve_device(options.device)
    print(f"{describe_device(device)}, {options.images} JPEGs of {SIZE[0]}×{SIZE[1]}\n")
    print("| backbone | ours / plain timm loop | ours / network alone |")
    print("| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_images(Path(folder), options.images)
        for name in options.backbone or ["resnet18", "resnet50", "vgg16"]:
            rounds = [
                [
                    seconds_per_image(work, name, paths, options.batch, device)
                    for work in (plain_loop, network_alone, ours)
                ]
                for _ in range(options.rounds)
            ]
            plain, alone, own = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"| {name} | {plain / own:.1f}× | {alone / own:.0%} |", flush=True)


if __name__ == "__main__":
    main()
