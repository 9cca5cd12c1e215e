"""Extraction on a GPU: the tests marked gpu, then images per second for four networks.

For each network, extraction over JPEG files runs in turn with the network alone, on random pixels
that are on the device already. The table has images per second of both, and the first as a share
of the second. Random weights take as long as any others. It ends before a time limit and says
what it skipped. Nothing but torch, timm and the packages that come with them is needed, and a few
small ones that can lie in a folder ``.gpu-packages`` (see ``benchmarks/gpu.md``).

    python benchmarks/gpu.py                            # writes benchmarks/gpu.md
    python benchmarks/gpu.py --device cpu --images 32   # the same code without a GPU
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = CHECKOUT / ".gpu-packages"
sys.path[:0] = [str(CHECKOUT)]
sys.path.append(str(PACKAGES))

NETWORKS = ("vgg16", "inception_v3", "resnet50", "swin_tiny")
NEEDED = ("torch", "torchvision", "timm", "h5py", "numpy", "PIL")
NEEDED += ("defusedxml", "platformdirs", "pydantic")
SIZE = (560, 360)
# Different JPEG images; each file has a trailer of its own, so that no two are copies.
DISTINCT = 256
# Seconds that one round of a network may take beyond the time of the one before it.
MARGIN = 1.5


def main() -> int:
    """Run everything, print the table, and write it where a GPU was used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=6144, help="JPEG files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, help="images per batch, by default as extraction")
    parser.add_argument("--minutes", type=float, default=7.5, help="time limit")
    parser.add_argument("--output", type=Path, help="Markdown; by default gpu.md after a GPU run")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"not installed: {', '.join(missing)}. Install them, or put them into "
            f"{PACKAGES.name}, as benchmarks/gpu.md says",
            file=sys.stderr,
        )
        return 2
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(
            "torch finds no CUDA device on this machine. Run this on one that has a GPU, or try "
            "the code with --device cpu --images 32",
            file=sys.stderr,
        )
        return 2
    skipped: list[str] = []
    tests = run_tests(options.device, skipped)
    rows = measure(options, deadline, skipped)
    text = report(options, tests, rows, skipped)
    print(text)
    output = options.output
    if output is None and options.device.startswith("cuda"):
        output = Path(__file__).with_suffix(".md")
    if output is not None:
        output.write_text(text)
    return 0


def run_tests(device: str, skipped: list[str]) -> str:
    """Run the tests marked gpu, and return pytest's last line."""
    if not device.startswith("cuda"):
        skipped.append("the tests marked gpu: they need a CUDA device")
        return "not run"
    if importlib.util.find_spec("pytest") is None:
        skipped.append("the tests marked gpu: pytest is not installed")
        return "not run"
    files = [p for p in sorted(CHECKOUT.glob("tests/*/test_*.py")) if "mark.gpu" in p.read_text()]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", *map(str, files)]
    command += ["-p", "no:cacheprovider", "-W", "default"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(PACKAGES)])}
    try:
        done = subprocess.run(
            command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=150
        )
    except subprocess.TimeoutExpired:
        skipped.append("the rest of the tests marked gpu: they took longer than 150 s")
        return "timed out"
    print(done.stdout, done.stderr, file=sys.stderr)
    return (done.stdout.strip().splitlines() or ["no output"])[-1].strip("= ")


def make_files(folder: Path, n: int) -> list[Path]:
    """Write JPEG files of smoothed noise."""
    import numpy as np
    from PIL import Image

    rng, images, paths = np.random.default_rng(0), [], []
    for _ in range(min(n, DISTINCT)):
        small = Image.fromarray(rng.integers(0, 256, (90, 140), np.uint8))
        file = io.BytesIO()
        small.resize(SIZE, Image.Resampling.BICUBIC).convert("RGB").save(file, "JPEG", quality=90)
        images.append(file.getvalue())
    for number in range(n):
        paths.append(folder / f"{number:06d}.jpg")
        paths[-1].write_bytes(images[number % DISTINCT] + b"%d" % number)
    return paths


def measure(
    options: argparse.Namespace, deadline: float, skipped: list[str]
) -> list[dict[str, Any]]:
    """Return one row per network: rates of extraction and of the network alone."""
    import torch

    from bottleneck.backbones.backbone import load_backbone
    from bottleneck.features import devices
    from bottleneck.features.compute import worker

    device = torch.device(options.device)
    if importlib.util.find_spec("loky") is None:
        skipped.append("decoder processes: loky is not installed, so threads decode")
        worker._MANY_IMAGES = sys.maxsize
    else:  # As in a long run.
        worker._MANY_IMAGES = 0
    precision = devices.native_precision(device)
    batch = options.batch or devices.default_batch_size(device)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        paths = make_files(Path(name), options.images)
        for network in NETWORKS:
            backbone = load_backbone(network, weights="random")
            rounds: list[tuple[float, float]] = []
            for _ in range(options.rounds):
                started = time.monotonic()
                rounds.append(
                    (
                        rate_of_extraction(paths, backbone, device, precision, batch),
                        rate_of_network(backbone, device, precision, batch),
                    )
                )
                seconds = time.monotonic() - started
                print(f"{network}: {rounds[-1]} in {seconds:.0f} s", file=sys.stderr, flush=True)
                if time.monotonic() + MARGIN * seconds > deadline:
                    break
            if len(rounds) < options.rounds:
                skipped.append(
                    f"{options.rounds - len(rounds)} of {options.rounds} rounds of {network}: time"
                )
            rows.append(
                {
                    "network": network,
                    "how": f"{precision}, batches of {batch}",
                    "ours": statistics.median(ours for ours, _ in rounds),
                    "alone": statistics.median(alone for _, alone in rounds),
                    "share": statistics.median(ours / alone for ours, alone in rounds),
                }
            )
            if time.monotonic() + MARGIN * seconds > deadline:
                left = NETWORKS[NETWORKS.index(network) + 1 :]
                skipped += [f"{each}: time" for each in left]
                break
    return rows


def rate_of_extraction(
    paths: list[Path], backbone: Any, device: Any, precision: Any, batch: int
) -> float:
    """Return images per second: a run over all files less a run over a quarter of them."""
    from bottleneck.data.dataset import FileSource, ImageDataset, Sample
    from bottleneck.features.extraction import extract

    few, seconds = max(1, len(paths) // 4), []
    for n in (few, len(paths)):
        samples = tuple(Sample(p.name, p.name, "x") for p in paths[:n])
        dataset = ImageDataset("bench", samples, FileSource(paths[0].parent))
        with tempfile.TemporaryDirectory() as output:
            started = time.perf_counter()
            extract(
                dataset,
                backbone,
                device=str(device),
                precision=precision,
                batch_size=batch,
                output=output,
            )
            seconds.append(time.perf_counter() - started)
    difference = seconds[1] - seconds[0]
    return (len(paths) - few) / difference if difference > 0 else len(paths) / seconds[1]


def rate_of_network(backbone: Any, device: Any, precision: Any, batch: int) -> float:
    """Return images per second of the network on pixels that are on the device."""
    import torch

    backbone.to(device)
    side = backbone.preprocessing.crop
    pixels = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8).to(device)

    def seconds(n_batches: int) -> float:
        started = time.perf_counter()
        for _ in range(n_batches):
            backbone.embed(pixels, precision)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    seconds(2)
    # For about two seconds.
    n_batches = max(2, round(2 / (seconds(2) / 2))) if device.type == "cuda" else 2
    return n_batches * batch / seconds(n_batches)


def report(
    options: argparse.Namespace, tests: str, rows: list[dict[str, Any]], skipped: list[str]
) -> str:
    """Return the results as Markdown."""
    import torch

    from bottleneck.features.devices import default_workers, describe_device

    width, height = SIZE
    lines = [
        "# Extraction on a GPU",
        "",
        f"`make bench-gpu` on {describe_device(torch.device(options.device))} with "
        f"{default_workers()} loading threads, torch {torch.__version__}; {options.images} JPEG "
        f"files of {width}×{height}, the median of {options.rounds} rounds.",
        "",
        "| network | computed | images/s | network alone, images/s | share |",
        "| --- | --- | ---: | ---: | ---: |",
        *(
            f"| {row['network']} | {row['how']} | {row['ours']:,.0f} | {row['alone']:,.0f} "
            f"| {row['share']:.0%} |"
            for row in rows
        ),
        "",
        f"Tests marked gpu: {tests}.",
        "",
        *(
            ["Skipped:", "", *(f"- {each}" for each in skipped)]
            if skipped
            else ["Nothing skipped."]
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
