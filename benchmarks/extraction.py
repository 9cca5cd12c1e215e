"""How fast extraction is, beside a plain loop over timm's own transform and its two ceilings.

The ceilings are the pictures alone (read, decode, crop, hash) and the network alone (on pixels in
memory, in the precision that extraction takes). On a CPU both use the same cores, so that what
they allow together is the sum of their times; on a GPU it is the longer of the two. All run in
turn in one process, several times over, and the medians' ratios are what counts: machines are
shared and noisy. Where other work takes most of the cores, ``--cpu`` with OMP_NUM_THREADS=1
compares processor time instead, which says what the work costs and not how well it overlaps.
Random weights, which cost the same as any other.

    python benchmarks/extraction.py --backbone resnet50 --images 160
    python benchmarks/extraction.py --together --backbone resnet50 --backbone vgg16
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.features.engine import (
    default_workers,
    describe_device,
    native_precision,
    resolve_device,
)
from bottleneck.features.extraction import extract_all
from bottleneck.features.pictures import framing, prepare
from bottleneck.features.stages import Clock

SIZE = (560, 360)
CLOCK = [time.perf_counter]
DEFAULT = ["resnet50", "vgg16", "inception_v3", "swin_tiny"]


def make_images(folder: Path, n: int, kind: str) -> list[Path]:
    """Smoothed noise, so that a JPEG has the size that it has in practice."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(n):
        small = Image.fromarray(rng.integers(0, 256, (90, 140), np.uint8))
        path = folder / f"{number:05d}.{kind}"
        small.resize(SIZE, Image.Resampling.BICUBIC).convert("RGB").save(path, quality=90)
        paths.append(path)
    return paths


def dataset_of(paths: list[Path]) -> ImageDataset:
    """Make a data set of files in one folder."""
    samples = tuple(Sample(p.name, p.name, "x") for p in paths)
    return ImageDataset("bench", samples, FileSource(paths[0].parent))


@functools.cache
def loaded(name: str) -> Backbone:
    """Return one backbone for all rounds: loading takes longer, and varies more, than a batch."""
    return load_backbone(name, weights="random")


@functools.cache
def plain_network(name: str) -> nn.Module:
    """Return timm's network, likewise."""
    return timm.create_model(find_encoder(name).timm, num_classes=0).eval()


def plain_loop(name: str, paths: list[Path], batch: int, device: torch.device) -> None:
    """What one writes without this package: timm's transform, fp32, one image after another."""
    network = plain_network(name).to(device)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    with torch.inference_mode():
        for start in range(0, len(paths), batch):
            images = [transform(Image.open(p).convert("RGB")) for p in paths[start : start + batch]]
            network.forward_features(torch.stack(images).to(device)).cpu()


def ours(name: str, paths: list[Path], batch: int, device: torch.device) -> None:
    """Our extraction, into a fresh folder."""
    together([name], paths, batch, device)


def together(names: Sequence[str], paths: list[Path], batch: int, device: torch.device) -> None:
    """Our extraction of several networks in one pass."""
    with tempfile.TemporaryDirectory() as output:
        backbones = [loaded(name) for name in names]
        options = {"batch_size": batch, "device": str(device), "output": output}
        extract_all(dataset_of(paths), backbones, layers=(), **options)


def network_alone(name: str, paths: list[Path], batch: int, device: torch.device) -> None:
    """Our network in our precision, on pixels that lie in memory."""
    backbone = loaded(name).to(device)
    side = backbone.preprocessing.crop
    pixels = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8)
    for _ in range(0, len(paths), batch):
        backbone.embed(pixels, native_precision(device)).cpu()


def pictures_alone(name: str, paths: list[Path], batch: int, device: torch.device) -> None:
    """Our reading side, with as many threads as there are cores, and no network."""
    crop = framing(loaded(name).preprocessing)
    clock = Clock(default_workers())
    numbers = range(len(paths))
    deque(prepare(dataset_of(paths), numbers, lambda _: [crop], clock, ahead=4 * batch), maxlen=0)


def measured(
    works: Sequence[Callable[[list[Path]], None]], paths: list[Path], options: argparse.Namespace
) -> list[float]:
    """Return seconds an image of each work: those on all images less those on the first batch."""
    for work in works:  # What is loaded or made once is not measured.
        work(paths[: options.batch])
    rounds = [[one_round(w, paths, options.batch) for w in works] for _ in range(options.rounds)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def one_round(work: Callable[[list[Path]], None], paths: list[Path], batch: int) -> float:
    """Time one work once."""
    started = CLOCK[0]()
    work(paths[:batch])
    first = CLOCK[0]()
    work(paths)
    return (CLOCK[0]() - first - (first - started)) / (len(paths) - batch)


def compare_one(name: str, paths: list[Path], options: argparse.Namespace) -> str:
    """Return a line of the table."""
    batch, device = options.batch, resolve_device(options.device)
    works = [
        functools.partial(work, name, batch=batch, device=device)
        for work in (plain_loop, pictures_alone, network_alone, ours)
    ]
    plain, pictures, network, own = measured(works, paths, options)
    allowed = pictures + network if device.type == "cpu" else max(pictures, network)
    return (
        f"| {name} | {plain / own:.1f}× | {pictures / own:.0%} | {network / own:.0%} "
        f"| {allowed / own:.0%} |"
    )


def compare_together(names: list[str], paths: list[Path], options: argparse.Namespace) -> str:
    """Say what one pass of several networks costs, beside as many passes."""
    batch, device = options.batch, resolve_device(options.device)
    works: list[Callable[[list[Path]], None]] = [
        lambda p: [ours(name, p, batch, device) for name in names],
        lambda p: together(names, p, batch, device),
    ]
    separate, one = measured(works, paths, options)
    return f"{', '.join(names)}: {len(names)} passes / one pass {separate / one:.2f}×"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", action="append")
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--kind", choices=("jpg", "png"), default="jpg")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--together", action="store_true", help="one pass against several")
    parser.add_argument(
        "--cpu", action="store_true", help="processor time, where other work shares the cores"
    )
    options = parser.parse_args()
    if options.cpu:
        CLOCK[0] = time.process_time
    names = options.backbone or DEFAULT
    print(
        f"{describe_device(resolve_device(options.device))}, {options.images} {options.kind} of "
        f"{SIZE[0]}×{SIZE[1]}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = make_images(Path(folder), options.images, options.kind)
        if options.together:
            print(compare_together(names, paths, options))
            return
        print("| backbone | ours / plain timm loop | / pictures alone | / network alone | / both |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name in names:
            print(compare_one(name, paths, options), flush=True)


if __name__ == "__main__":
    main()
