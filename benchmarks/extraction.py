"""Speed of extraction, compared with thingsvision, a plain loop over timm, and two upper limits.

The limits are the images alone (open, decode, resize and crop, on all cores) and the network
alone on random tensors: the fastest of fp32 and bf16, two memory formats, one forward pass on all
cores or one on each, and compiled with constant weights if that is faster. On a CPU both share
the cores, so together they allow the sum of their times; on a GPU, the longer of the two. All of
them run in turn, several times over, and medians of ratios are reported, because machines are
shared and noisy. If other programs take most of the cores, ``--cpu`` compares processor time
instead, which does not show how well the work overlaps. Networks have random weights, which take
as long as any others.

thingsvision needs older libraries than this package: ``--thingsvision`` names the interpreter of
an environment that has it, and ``make bench`` creates one.

    python benchmarks/extraction.py --backbone resnet50 --images 160
    python benchmarks/extraction.py --together --backbone resnet50 --backbone vgg16
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import functools
import itertools
import statistics
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from torch import nn

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.networks import feature_map
from bottleneck.backbones.recipe import Precision
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.images.decode import decode
from bottleneck.features.compute import worker
from bottleneck.features.compute.batch_runner import Lanes
from bottleneck.features.compute.compile import compiled, constant_weights, pays_off
from bottleneck.features.compute.engine import BatchPlan
from bottleneck.features.compute.malloc import kept_memory
from bottleneck.features.devices import (
    default_batch_size,
    default_workers,
    describe_device,
    lanes_of,
    native_precision,
    resolve_device,
)
from bottleneck.features.extraction import extract_all

SIZE = (560, 360)
DEFAULT = ["resnet50", "vgg16", "inception_v3", "swin_tiny"]
# Images of a long run, for which compiling pays.
LONG = 10_000_000


@dataclasses.dataclass(frozen=True)
class Bench:
    """Images and settings of all measurements.

    Attributes
    ----------
    paths : list of Path
        The images. Slow loops take only the first of them.
    batch : int
        Images per batch of the other loops.
    device : torch.device
        Device of the networks.
    clock : callable
        Returns seconds.
    decoding : str
        Decoding of our extraction.
    """

    paths: Sequence[Path]
    batch: int
    device: torch.device
    clock: Callable[[], float]
    decoding: str = "auto"


# Runs over a number of images. Returns None, or seconds if it has a clock of its own.
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
def plan_of(name: str, device: torch.device) -> BatchPlan:
    """Return how a long run computes a network here."""
    backbone = loaded(name)
    return BatchPlan(default_batch_size(device), pays_off([backbone], device, LONG))


def plain_loop(bench: Bench, name: str) -> Work:
    """Return a loop without this package: timm's transform, fp32, one image after another."""
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


@contextlib.contextmanager
def thingsvision_loop(bench: Bench, name: str, interpreter: str) -> Iterator[Work]:
    """Start thingsvision in its own environment; it waits for numbers of images."""
    script = Path(__file__).with_name("thingsvision_loop.py")
    folder = bench.paths[0].parent
    scratch = tempfile.TemporaryDirectory()
    words = [interpreter, script, name, bench.device.type, bench.batch, folder, scratch.name]
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

    with scratch, child:
        yield work


def ours(bench: Bench, *names: str) -> Work:
    """Return our extraction of one or several networks in one pass, into a new folder."""
    backbones = [loaded(name) for name in names]

    def work(n: int) -> None:
        samples = tuple(Sample(p.name, p.name, "x") for p in bench.paths[:n])
        dataset = ImageDataset("bench", samples, FileSource(bench.paths[0].parent))
        with tempfile.TemporaryDirectory() as output:
            extract_all(
                dataset,
                backbones,
                layers=(),
                device=str(bench.device),
                decoding=bench.decoding,
                # As in a long run.
                compile="always" if plan_of(names[0], bench.device).compiled else "never",
                output=output,
            )

    return work


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to compute a network."""

    precision: Precision
    layout: str
    lanes: bool
    compiled: bool = False


def computing(name: str, device: torch.device, way: Way) -> Work:
    """Return a loop of the network alone, on random tensors."""
    size = plan_of(name, device).batch_size
    memory = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
    network = copy.deepcopy(loaded(name).network).to(device)
    network = network.to(memory_format=memory[way.layout])
    side = loaded(name).preprocessing.crop
    x = torch.rand(size, 3, side, side).to(device).to(memory_format=memory[way.layout])
    forward = compiled(network) if way.compiled else feature_map
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[way.precision]

    def once() -> None:
        reduced = way.precision != "fp32"
        with torch.inference_mode(), torch.autocast(device.type, kind, enabled=reduced):
            forward(network, x)
            if device.type == "cuda":
                torch.cuda.current_stream().synchronize()

    def warm() -> None:
        with constant_weights():
            once()

    if way.compiled and way.lanes:  # Compiled code is made for a number of threads.
        lanes = Lanes(device)
        lanes.submit(warm).result()
        lanes.close()
    elif way.compiled:
        warm()

    def work(n: int) -> None:
        batches = range(0, n, size)
        if not way.lanes:
            with kept_memory() if device.type == "cpu" else contextlib.nullcontext():
                for _ in batches:
                    once()
            return
        lanes = Lanes(device)
        for future in [lanes.submit(once) for _ in batches]:
            future.result()
        lanes.close()

    return work


@functools.cache
def best_way(name: str, device: torch.device) -> Way:
    """Return the fastest way, compiled if that is faster."""
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    layouts = ("channels_last", "contiguous")
    ways = [Way(*each) for each in itertools.product(precisions, layouts, (True, False))]
    n = 4 * plan_of(name, device).batch_size

    def seconds(way: Way) -> float:
        work = computing(name, device, way)
        work(n)
        taken = []
        for _ in range(4):
            started = time.perf_counter()
            work(n)
            taken.append(time.perf_counter() - started)
        return min(taken)

    best = min(ways, key=seconds)
    others = [dataclasses.replace(best, compiled=True, lanes=lanes) for lanes in (True, False)]
    return min((best, *others), key=seconds)


def network_alone(bench: Bench, name: str) -> Work:
    """Run the network in the fastest way."""
    return computing(name, bench.device, best_way(name, bench.device))


def images_alone(bench: Bench, name: str) -> Work:
    """Decode, resize and crop on every core, and nothing else."""
    preprocessing = loaded(name).preprocessing
    if native_precision(bench.device) != "fp32":
        preprocessing = preprocessing.fast()

    def one(path: Path) -> None:
        preprocessing.pixels(decode(path.read_bytes()))

    def work(n: int) -> None:
        with ThreadPoolExecutor(default_workers()) as pool:
            deque(pool.map(one, bench.paths[:n]), maxlen=0)

    return work


def measure(bench: Bench, works: Sequence[tuple[Work, int, int]], rounds: int) -> list[list[float]]:
    """Return seconds an image of each work in each round: of many images less that of few.

    Parameters
    ----------
    bench : Bench
        What is measured on.
    works : sequence of (Work, int, int)
        Each with its few and its many images.
    rounds : int
        How often all of them run in turn.
    """
    for work, few, _ in works:  # What is loaded, made or compiled once is not measured.
        work(few)
    return [
        [
            (timed(bench, work, many) - timed(bench, work, few)) / (many - few)
            for work, few, many in works
        ]
        for _ in range(rounds)
    ]


def timed(bench: Bench, work: Work, n: int) -> float:
    """Return the seconds of one run."""
    started = bench.clock()
    own = work(n)
    return bench.clock() - started if own is None else own


def sizes(bench: Bench, name: str, options: argparse.Namespace) -> tuple[int, int]:
    """Return few and many images: few, and ten batches of every lane or more."""
    size = plan_of(name, bench.device).batch_size
    return few_images(bench, size), max(options.images, 10 * lanes_of(bench.device) * size)


def few_images(bench: Bench, batch_size: int) -> int:
    """Return a number of images that keeps every lane busy while the drift is measured.

    With fewer images the other lanes would be idle in the short run but not in the long one, and
    the difference of the two would be too small.
    """
    return 4 * lanes_of(bench.device) * batch_size


def compare_one(bench: Bench, name: str, options: argparse.Namespace) -> str:
    """Return a line of the table."""
    few, many = sizes(bench, name, options)
    if bench.device.type == "cuda":  # Decoder processes, as in a long run.
        worker._MANY_IMAGES = 0
    slow = 2 * bench.batch, options.slow_images
    works = [
        (ours(bench, name), few, many),
        (plain_loop(bench, name), *slow),
        (images_alone(bench, name), few, many),
        (network_alone(bench, name), few, many),
    ]
    theirs = options.thingsvision and name != "swin_tiny"  # It has no Swin.
    with contextlib.ExitStack() as stack:
        if theirs:
            loop = thingsvision_loop(bench, name, options.thingsvision)
            works.append((stack.enter_context(loop), *slow))
        rounds = measure(bench, works, options.rounds)

    def ratio(column: int) -> float:
        return statistics.median(row[column] / row[0] for row in rounds)

    together = statistics.median(
        (row[2] + row[3] if bench.device.type == "cpu" else max(row[2:4])) / row[0]
        for row in rounds
    )
    plan, way = plan_of(name, bench.device), best_way(name, bench.device)
    how = f"{native_precision(bench.device)}, {plan.batch_size}"
    how += ", compiled" * plan.compiled
    fastest_way = f"{way.precision}, {way.layout}{', lanes' * way.lanes}"
    return (
        f"| {name} | {how} | {fastest_way}{', compiled' * way.compiled} "
        f"| {f'{ratio(4):.1f}×' if theirs else '–'} | {ratio(1):.1f}× | {ratio(2):.0%} "
        f"| {ratio(3):.0%} | {together:.0%} |"
        + (f" {1 / statistics.median(row[0] for row in rounds):,.0f} images/s |" * options.absolute)
    )


def compare_together(bench: Bench, names: list[str], options: argparse.Namespace) -> str:
    """Return a line on one pass of several networks, compared with as many passes."""
    separate = [ours(bench, name) for name in names]
    together = ours(bench, *names)

    def each_alone(n: int) -> None:
        for work in separate:
            work(n)

    def all_at_once(n: int) -> None:
        together(n)

    few = few_images(bench, default_batch_size(bench.device))
    if len(bench.paths) <= few:
        raise SystemExit(f"--images must be above {few}, not {len(bench.paths)}")
    works: list[tuple[Work, int, int]] = [
        (work, few, len(bench.paths)) for work in (each_alone, all_at_once)
    ]
    rounds = measure(bench, works, options.rounds)
    ratio = statistics.median(row[0] / row[1] for row in rounds)
    return f"{', '.join(names)}: {len(names)} passes / one pass {ratio:.2f}×"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", action="append")
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--slow-images", type=int, default=128, help="of thingsvision and the loop")
    parser.add_argument("--kind", choices=("jpg", "png"), action="append")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--decode", default="auto", help="of ours, as extract takes it")
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
        n = options.images
        if not options.together:
            loose = Bench((), options.batch, device, time.perf_counter)
            n = max(sizes(loose, name, options)[1] for name in names)
        print(f"\n{describe_device(device)}, {n} {kind} of {SIZE[0]}×{SIZE[1]}\n")
        with tempfile.TemporaryDirectory() as folder:
            paths = tuple(make_images(Path(folder), n, kind))
            clock = time.process_time if options.cpu else time.perf_counter
            bench = Bench(paths, options.batch, device, clock, options.decode)
            if options.together:
                print(compare_together(bench, names, options), flush=True)
                continue
            print("| backbone | ours | network alone | thingsvision / ours ", end="")
            print("| plain loop / ours | images alone / ours ", end="")
            print("| network alone / ours | both / ours |")
            print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
            for name in names:
                print(compare_one(bench, name, options), flush=True)


if __name__ == "__main__":
    main()
