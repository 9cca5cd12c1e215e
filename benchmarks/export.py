"""Time of a picture in onnxruntime and in torch, from its pixels to its probabilities.

    python benchmarks/export.py ../shared > benchmarks/export.md

A logistic regression on features of DDTI crops, in fp32, exported to ONNX. Each takes the pixels of
one crop at its own size, in turns of alternating order, with as many threads. torch has its weights
in its usual order, and with the channels last. A ratio is the time of torch divided by that of
onnxruntime: its geometric mean over the turns with a 95 % interval of the t distribution on the
logarithms. Milliseconds are medians.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from parity import Fitted, fitted_heads
from scipy.stats import t

TURNS, CALLS = 20, 3
NETWORKS = ("resnet18",)


def main(shared: Path) -> None:
    print("# Time of exported models\n")
    print(" ".join(__doc__.split("\n\n")[2].split()) + "\n")
    print("| network | threads | onnxruntime, ms | torch | ratio | channels last | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for network in NETWORKS:
        (fitted,) = fitted_heads(shared, network, "random", ["logistic"])
        for threads in (1, 2):
            print(f"| {network} | {threads} | {measure(fitted, threads)} |", flush=True)


def measure(fitted: Fitted, threads: int) -> str:
    """Return the time of both, and their ratio."""
    import onnxruntime
    import torch

    from bottleneck.export.standalone.picture_reading import read_picture
    from bottleneck.export.targets.onnx_file import OnnxFile

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name:
        OnnxFile().write(fitted.classifier(), fitted.model, Path(name))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            Path(name, "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
    pixels = read_picture(fitted.pictures[0])[np.newaxis]
    tensor = torch.from_numpy(pixels)
    usual, last = (
        classifier.to(memory_format=order)
        for classifier, order in (
            (fitted.classifier(), torch.contiguous_format),
            (fitted.classifier(), torch.channels_last),
        )
    )

    def in_torch(classifier: torch.nn.Module) -> None:
        with torch.inference_mode():
            classifier(tensor)

    ways: list[Callable[[], object]] = [
        lambda: session.run(None, {"pixels": pixels}),
        lambda: in_torch(usual),
        lambda: in_torch(last),
    ]
    seconds: list[list[float]] = [[], [], []]
    for turn in range(-2, TURNS):
        for way in range(3) if turn % 2 else reversed(range(3)):
            start = time.perf_counter()
            for _ in range(CALLS):
                ways[way]()
            if turn >= 0:  # The first two are a warm-up.
                seconds[way].append((time.perf_counter() - start) / CALLS)
    ours, *theirs = (1000 * np.array(each) for each in seconds)
    return f"{np.median(ours):.1f} | " + " | ".join(against(ours, each) for each in theirs)


def against(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Return the median of the other time, and the ratio."""
    logs = np.log(theirs / ours)
    half = t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    low, mean, high = np.exp(logs.mean() + half * np.array([-1, 0, 1]))
    return f"{np.median(theirs):.1f} | {mean:.2f} ({low:.2f}–{high:.2f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
