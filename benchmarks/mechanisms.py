"""The gain of each speed mechanism on a CPU: extraction with it against extraction without it.

A block extracts images without writing a feature file: the threads of a ``Worker`` read, decode,
describe and resize them, and its lanes compute them. The clock starts after the first batches,
when every lane has had one, and stops while there is still work for all lanes, so the rate leaves
out start and end. Blocks with and without the mechanism alternate (A B, B A, ...), and each pair
gives one ratio of images per second. The interval of the median is that of two order statistics,
which assumes no distribution and holds the median with at least 95 % for independent pairs.

A pair is repeated if other programs took more than a tenth of the cores. Where too few pairs are
left, all of them count, and the row says so: it then also has the ratio of processor time, which
other programs disturb less. Networks have random weights, which take as long as any others.

    python benchmarks/mechanisms.py --mechanism lanes --network resnet50
    python benchmarks/mechanisms.py --mechanism cache --network resnet18 --kind png
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from extraction import make_images

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.features.compute import batch_runner
from bottleneck.features.compute.batch_runner import Lanes
from bottleneck.features.compute.engine import BatchPlan, FeatureBatch, ForwardPass
from bottleneck.features.compute.worker import Worker
from bottleneck.features.timing import Clock

CPU = torch.device("cpu")
# A mechanism must gain this much.
WORTH = 1.03
# A pair is repeated if other programs had more than this share of the cores.
QUIET = 0.1
# Images that are finished before the clock starts: one batch of 16 for each of two lanes.
WARM = 32


@dataclasses.dataclass(frozen=True)
class Block:
    """One measured block.

    Attributes
    ----------
    rate : float
        Images per second.
    processor : float
        Processor seconds per image, of all threads together.
    others : float
        Share of all cores that other programs, or other guests of the machine, had.
    """

    rate: float
    processor: float
    others: float


@dataclasses.dataclass(frozen=True)
class Setup:
    """One way to extract.

    Attributes
    ----------
    backbone : Backbone
        The network.
    plan : BatchPlan
        How it is computed.
    cache : PixelCache or None
        Cache of decoded images.
    context : callable
        Returns a context that switches a mechanism off.
    """

    backbone: Backbone
    plan: BatchPlan
    cache: PixelCache | None = None
    context: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext


def run_block(dataset: ImageDataset, timed: int, setup: Setup, rng: np.random.Generator) -> Block:
    """Extract images in a random order, each at most once, and time ``timed`` of them."""
    numbers = rng.permutation(len(dataset)).tolist()
    with contextlib.ExitStack() as stack:
        stack.enter_context(setup.context())
        results = stack.enter_context(contextlib.closing(extract(dataset, numbers, setup)))
        done, before, begun = 0, None, 0
        for batch in results:
            if batch.plan != setup.plan:
                raise SystemExit(f"computed as {batch.plan}, not as {setup.plan}")
            done += len(batch.rows)
            if before is None and done >= WARM:
                before, begun = read_clocks(), done
            elif before is not None and done >= begun + timed:
                pairs = zip(before, read_clocks(), strict=True)
                wall, processor, busy = (after - start for start, after in pairs)
                others = (busy - processor) / wall / (os.cpu_count() or 1)
                return Block((done - begun) / wall, processor / (done - begun), others)
    raise SystemExit("too few images for a block: use more --images, or fewer --timed")


def extract(dataset: ImageDataset, numbers: list[int], setup: Setup) -> Iterator[FeatureBatch]:
    """Yield batches of features in bf16, as extraction computes them."""
    recipe = setup.backbone.recipe("bf16", "fast")
    forward = ForwardPass((setup.backbone,), "bf16", recipe.framing, setup.plan, drift=False)
    worker = Worker([forward], CPU, Clock(os.cpu_count() or 1), setup.cache, len(numbers))
    with contextlib.closing(worker):
        results = worker.run(dataset, numbers, lambda _forward, _key: False)
        with contextlib.closing(results):
            yield from (each for each in results if isinstance(each, FeatureBatch))


def read_clocks() -> tuple[float, float, float]:
    """Return elapsed time, processor time of this process, and busy time of all cores."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), time.process_time(), busy


class OneLane(Lanes):
    """Batches one after another, each on all threads; loading threads have one each."""

    def __init__(self, device: torch.device) -> None:
        with mock.patch.object(batch_runner, "lanes_of", return_value=1):
            super().__init__(device)
        torch.set_num_threads(1)  # For threads that have not computed yet: those that load.


def without_lanes() -> contextlib.AbstractContextManager[object]:
    """Compute one batch at a time."""
    return mock.patch("bottleneck.features.compute.worker.Lanes", OneLane)


def without_kept_memory() -> contextlib.AbstractContextManager[object]:
    """Leave the C library's settings as they are."""
    return mock.patch.object(batch_runner, "kept_memory", contextlib.nullcontext)


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the narrowest symmetric interval of order statistics with at least 95 %."""
    n, ordered = len(ratios), sorted(ratios)

    def outside(rank: int) -> float:
        return 2 * sum(math.comb(n, k) for k in range(rank)) / 2**n

    # Below six pairs not even the extremes reach 95 %.
    rank = max((r for r in range(1, n // 2 + 1) if outside(r) <= 0.05), default=1)
    return ordered[rank - 1], ordered[n - rank]


def compare(dataset: ImageDataset, setups: tuple[Setup, Setup], options: argparse.Namespace) -> str:
    """Measure pairs of blocks, with the mechanism first and then without; return table cells."""
    rng = np.random.default_rng(0)
    for setup in setups:  # What is loaded or compiled once is not measured.
        run_block(dataset, options.timed, setup, rng)
    every: list[tuple[Block, Block]] = []
    quiet: list[tuple[Block, Block]] = []
    while len(quiet) < options.pairs and len(every) < options.pairs * 4 / 3:
        order = (0, 1) if len(every) % 2 == 0 else (1, 0)
        blocks = {each: run_block(dataset, options.timed, setups[each], rng) for each in order}
        every.append((blocks[0], blocks[1]))
        if max(block.others for block in blocks.values()) <= QUIET:
            quiet.append(every[-1])
    pairs = quiet if len(quiet) >= options.pairs else every
    rates = [a.rate / b.rate for a, b in pairs]
    costs = [b.processor / a.processor for a, b in pairs]
    low, high = interval(rates)
    verdict = "below" if high < WORTH else "above" if low >= WORTH else "undecided"
    verdict = verdict if len(pairs) >= 6 else "too few pairs"
    least, most = interval(costs)
    return (
        f"{len(pairs)} | {statistics.median(rates):.3f} | {low:.3f}–{high:.3f} "
        f"| {statistics.median(costs):.3f} ({least:.3f}–{most:.3f}) "
        f"| {verdict}{', others at work' * (pairs is every and len(quiet) < len(every))}"
    )


def choose_setups(
    dataset: ImageDataset, options: argparse.Namespace, scratch: Path
) -> tuple[Setup, Setup]:
    """Return extraction with the mechanism and without it."""
    backbone = load_backbone(options.network, weights="random")
    usual = Setup(backbone, BatchPlan(options.batch, compiled=options.compiled))
    match options.mechanism:
        case "lanes":
            # Compiled code is made for a number of threads, so each has a network of its own.
            another = load_backbone(options.network, weights="random")
            return usual, dataclasses.replace(usual, backbone=another, context=without_lanes)
        case "kept-memory":
            return usual, dataclasses.replace(usual, context=without_kept_memory)
        case "compile":
            return dataclasses.replace(usual, plan=BatchPlan(options.batch, compiled=True)), usual
        case "cache":
            small = Setup(load_backbone("resnet18", weights="random"), BatchPlan(16))
            filled = dataclasses.replace(small, cache=PixelCache(scratch))
            for _ in extract(dataset, list(range(len(dataset))), filled):
                pass
            return dataclasses.replace(usual, cache=filled.cache), usual
    return usual, usual  # "none": what chance alone gives.


def main() -> None:
    """Measure one mechanism, and print its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ("lanes", "kept-memory", "compile", "cache", "none")
    parser.add_argument("--mechanism", choices=known, required=True)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--compiled", action="store_true", help="with and without the mechanism")
    parser.add_argument("--batch", type=int, default=16, help="images per batch")
    parser.add_argument("--kind", choices=("jpg", "png"), default="jpg")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--timed", type=int, default=96, help="images that are timed in a block")
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, scratch = Path(name) / "images", Path(name) / "cache"
        folder.mkdir()
        paths = make_images(folder, options.images, options.kind)
        samples = tuple(Sample(path.name, path.name, "x") for path in paths)
        dataset = ImageDataset("bench", samples, FileSource(folder))
        cells = compare(dataset, choose_setups(dataset, options, scratch), options)
    compiled = ", compiled" * options.compiled
    print(f"| {options.mechanism} | {options.network}{compiled}, {options.kind} | {cells} |")


if __name__ == "__main__":
    main()
