"""How fast extraction is, beside thingsvision, a plain loop over timm, and its two ceilings.

The ceilings are the pictures alone (open, decode, resize and crop, on every core) and the network
alone (on pixels in memory, in the fastest of precision × memory format × compiling × lanes that
was measured). On a CPU both use the same cores, so that what they allow together is the sum of
their times; on a GPU it is the longer of the two. All run in turn, several times over, and the
medians' ratios are what counts: machines are shared and noisy. Where other work takes most of the
cores, ``--cpu`` compares processor time instead, which says what the work costs and not how well
it overlaps. Random weights, which cost the same as any other.

thingsvision needs older libraries than this package: ``--thingsvision`` names the interpreter of
an environment that has it, and ``make bench`` makes one.

    python benchmarks/extraction.py --backbone resnet50 --images 160
    python benchmarks/extraction.py --together --backbone resnet50 --backbone vgg16
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.decode import decode
from bottleneck.features import worker
from bottleneck.features.engine import (
    Lanes,
    Runner,
    default_workers,
    describe_device,
    resolve_device,
)
from bottleneck.features.extraction import extract_all
from bottleneck.features.stages import Clock
from bottleneck.features.tuning import Setting, tune

SIZE = (560, 360)
DEFAULT = ["resnet50", "vgg16", "inception_v3", "swin_tiny"]
# As a run of this many images would choose to compute, for which compiling pays where it is
# faster at all.
LONG = 10_000_000


@dataclasses.dataclass(frozen=True)
class Bench:
    """What is measured on what.

    Attributes
    ----------
    paths : list of Path
        The images. Slow works take the first of them alone.
    batch : int
        Images a batch, of the loops that have to be told.
    device : torch.device
        Where to compute.
    clock : callable
        Returns seconds.
    """

    paths: list[Path]
    batch: int
    device: torch.device
    clock: Callable[[], float]


# Runs over so many images and returns nothing, or the seconds that it took by its own clock.
Work = Callable[[int], float | None]


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


@functools.cache
def loaded(name: str) -> Backbone:
    """Return one backbone for all rounds: loading takes longer, and varies more, than a batch."""
    return load_backbone(name, weights="random")


@functools.cache
def fastest(name: str, device: torch.device) -> Setting:
    """Return the fastest way to compute a network here."""
    return tune([loaded(name)], device, "auto", "auto", LONG, tuning="always")


def plain_loop(bench: Bench, name: str) -> Work:
    """What one writes without this package: timm's transform, fp32, one image after another."""
    network: nn.Module = timm.create_model(find_encoder(name).timm, num_classes=0)
    network = network.eval().to(bench.device)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))

    def work(n: int) -> None:
        with torch.inference_mode():
            for start in range(0, n, bench.batch):
                paths = bench.paths[start : min(n, start + bench.batch)]
                images = [transform(Image.open(p).convert("RGB")) for p in paths]
                network.forward_features(torch.stack(images).to(bench.device)).cpu()

    return work


def thingsvision_loop(bench: Bench, name: str, interpreter: str) -> Work:
    """Start thingsvision in its own environment, where it waits for numbers of images."""
    script = Path(__file__).with_name("thingsvision_loop.py")
    folder = bench.paths[0].parent
    scratch = tempfile.mkdtemp()
    words = [interpreter, script, name, bench.device.type, bench.batch, folder, scratch]
    child = subprocess.Popen(
        [str(word) for word in words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdin
    assert child.stdout

    def work(n: int) -> float:
        print(n, file=child.stdin, flush=True)
        for line in child.stdout:
            if line.startswith("SECONDS"):
                _, wall, processor = line.split()
                return float(wall if bench.clock is time.perf_counter else processor)
        raise SystemExit(f"thingsvision ended ({child.wait()}) at {name}")

    return work


def ours(bench: Bench, *names: str) -> Work:
    """Our extraction of one or several networks in one pass, into a fresh folder."""
    backbones = [loaded(name) for name in names]
    chosen = {id(loaded(name)): fastest(name, bench.device) for name in names}

    def settle(taps: Sequence[Backbone], *_: Any, **__: Any) -> Setting:
        return chosen[id(taps[0])]

    # What a run of LONG images would choose; a short one would not find it worth compiling.
    worker.tune = settle

    def work(n: int) -> None:
        samples = tuple(Sample(p.name, p.name, "x") for p in bench.paths[:n])
        dataset = ImageDataset("bench", samples, FileSource(bench.paths[0].parent))
        with tempfile.TemporaryDirectory() as output:
            extract_all(dataset, backbones, layers=(), device=str(bench.device), output=output)

    return work


def network_alone(bench: Bench, name: str) -> Work:
    """Our network as fast as it goes, on pixels that lie in memory."""
    setting = fastest(name, bench.device)
    backbone, size = loaded(name), setting.plan.batch_size
    side = backbone.preprocessing.crop
    pixels = list(np.random.default_rng(0).integers(0, 256, (size, side, side, 3), np.uint8))

    def work(n: int) -> None:
        runner = Runner([backbone], bench.device, setting.precision, setting.plan, Clock(1))
        lanes = Lanes(bench.device)
        batches = [lanes.submit(lambda: runner.run(pixels, [])) for _ in range(0, n, size)]
        for batch in batches:
            batch.result()
        lanes.close()

    return work


def pictures_alone(bench: Bench, name: str) -> Work:
    """Decode, resize and crop on every core, and nothing else."""
    preprocessing = loaded(name).preprocessing

    def one(path: Path) -> None:
        preprocessing.pixels(decode(path.read_bytes()))

    def work(n: int) -> None:
        with ThreadPoolExecutor(default_workers()) as pool:
            deque(pool.map(one, bench.paths[:n]), maxlen=0)

    return work


def measure(bench: Bench, works: Sequence[tuple[Work, int]], rounds: int) -> list[list[float]]:
    """Return seconds an image of each work in each round, less what the first batch takes.

    Parameters
    ----------
    bench : Bench
        What is measured on.
    works : sequence of (Work, int)
        Each with its number of images.
    rounds : int
        How often all of them run in turn.
    """
    for work, _ in works:  # What is loaded, made or compiled once is not measured.
        work(2 * bench.batch)
    return [[one_round(bench, work, n) for work, n in works] for _ in range(rounds)]


def one_round(bench: Bench, work: Work, n: int) -> float:
    """Time one work once."""
    few = 2 * bench.batch
    return (timed(bench, work, n) - timed(bench, work, few)) / (n - few)


def timed(bench: Bench, work: Work, n: int) -> float:
    """Return the seconds of one run."""
    started = bench.clock()
    own = work(n)
    return bench.clock() - started if own is None else own


def compare_one(bench: Bench, name: str, options: argparse.Namespace) -> str:
    """Return a line of the table."""
    n, few = len(bench.paths), options.slow_images
    works = [
        (ours(bench, name), n),
        (plain_loop(bench, name), few),
        (pictures_alone(bench, name), n),
        (network_alone(bench, name), n),
    ]
    theirs = options.thingsvision and name != "swin_tiny"  # It has no Swin.
    if theirs:
        works.append((thingsvision_loop(bench, name, options.thingsvision), few))
    rounds = measure(bench, works, options.rounds)

    def ratio(column: int) -> float:
        return statistics.median(row[column] / row[0] for row in rounds)

    together = statistics.median(
        (row[2] + row[3] if bench.device.type == "cpu" else max(row[2:4])) / row[0]
        for row in rounds
    )
    setting = fastest(name, bench.device)
    how = f"{setting.precision}, {setting.plan.layout}, {setting.plan.batch_size}"
    return (
        f"| {name} | {how}{', compiled' * setting.plan.compiled} "
        f"| {f'{ratio(4):.1f}×' if theirs else '–'} | {ratio(1):.1f}× | {ratio(2):.0%} "
        f"| {ratio(3):.0%} | {together:.0%} |"
        + (f" {1 / statistics.median(row[0] for row in rounds):,.0f} images/s |" * options.absolute)
    )


def compare_together(bench: Bench, names: list[str], options: argparse.Namespace) -> str:
    """Say what one pass of several networks costs, beside as many passes."""
    separate = [ours(bench, name) for name in names]
    together = ours(bench, *names)

    def each_alone(n: int) -> None:
        for work in separate:
            work(n)

    def all_at_once(n: int) -> None:
        together(n)

    works: list[tuple[Work, int]] = [
        (each_alone, len(bench.paths)),
        (all_at_once, len(bench.paths)),
    ]
    rounds = measure(bench, works, options.rounds)
    ratio = statistics.median(row[0] / row[1] for row in rounds)
    return f"{', '.join(names)}: {len(names)} passes / one pass {ratio:.2f}×"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", action="append")
    parser.add_argument("--images", type=int, default=480)
    parser.add_argument("--slow-images", type=int, default=96, help="of thingsvision and the loop")
    parser.add_argument("--kind", choices=("jpg", "png"), action="append")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--thingsvision", help="interpreter of its environment")
    parser.add_argument("--together", action="store_true", help="one pass against several")
    parser.add_argument("--absolute", action="store_true", help="images/s as well")
    parser.add_argument(
        "--cpu", action="store_true", help="processor time, where other work shares the cores"
    )
    options = parser.parse_args()
    names = options.backbone or DEFAULT
    device = resolve_device(options.device)
    for kind in options.kind or ["jpg", "png"]:
        print(f"\n{describe_device(device)}, {options.images} {kind} of {SIZE[0]}×{SIZE[1]}\n")
        with tempfile.TemporaryDirectory() as folder:
            paths = make_images(Path(folder), options.images, kind)
            clock = time.process_time if options.cpu else time.perf_counter
            bench = Bench(paths, options.batch, device, clock)
            if options.together:
                print(compare_together(bench, names, options), flush=True)
                continue
            print("| backbone | computed | thingsvision / ours | plain loop / ours ", end="")
            print("| pictures alone / ours | network alone / ours | both / ours |")
            print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
            for name in names:
                print(compare_one(bench, name, options), flush=True)


if __name__ == "__main__":
    main()
