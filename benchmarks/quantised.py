"""What 8-bit integers cost on the test folds, and what they save.

    python benchmarks/quantised.py ../shared > benchmarks/quantised.md

The nodules of DDTI, in 5 folds by patient. In each fold, the network is quantised with 128 images
of the training part, and the head, fitted on the features of the exact network, predicts the test
images from those of the quantised one. The weights are of ImageNet. Times are of onnxruntime on
one thread of an idle machine, for one picture from its pixels on, in pairs of alternating order:
medians of 50 pictures.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

NETWORKS = ("resnet18", "efficientnet_lite0")
HEADS = ("svm",)
N_TIMED = 50


def main(shared: Path) -> None:
    import bottleneck
    from bottleneck.export.classifier.classifier_building import build_classifier
    from bottleneck.export.onnx_graph.graph_writing import write_graph
    from bottleneck.export.quantised.quantised_export import quantise_export

    weights = {"resnet18": str(shared / "weights" / "resnet18-imagenet.pth")}
    data = bottleneck.load_dataset(
        shared / "data" / "ddti-crops" / "labels.csv", columns={"path": "image"}
    )
    print("# Networks in 8-bit integers\n")
    print(" ".join(__doc__.split("\n\n")[2].split()) + "\n")
    columns = (
        "network",
        "head",
        "AUROC",
        "AUROC, int8",
        "loss (95 %)",
        "decisions changed",
        "probability moves by at most (mean)",
        "MiB",
        "MiB, int8",
        "ms",
        "ms, int8",
    )
    print("| " + " | ".join(columns) + " |\n" + "| --- " * len(columns) + "|")
    for name in NETWORKS:
        backbone = bottleneck.load_backbone(name, weights=weights.get(name, "imagenet"))
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            run = bottleneck.extract(data, backbone, output=folder, precision="fp32", quiet=True)
            comparison = bottleneck.compare([run.path], heads=HEADS, quiet=True)
            for head in HEADS:
                model = bottleneck.fit(bottleneck.load_features(run.path), head, quiet=True)
                write_graph(build_classifier(model, backbone=backbone), folder / "model.onnx", {})
                made = quantise_export(
                    model, folder, report=comparison, data=data, features=run.path
                )
                loss, files = made.loss, (folder / "model.onnx", folder / made.file)
                exact, rounded = np.median(list(times(files, data)), axis=0)
                cells = (
                    name,
                    head,
                    f"{loss.auroc:.3f}",
                    f"{loss.auroc_int8:.3f}",
                    f"{loss.difference:.3f} ({loss.low:.3f} to {loss.high:.3f})",
                    f"{loss.n_changed} of {loss.n}",
                    f"{made.largest_change:.3f} ({made.mean_change:.4f})",
                    f"{made.n_bytes_exported / 2**20:.1f}",
                    f"{made.n_bytes / 2**20:.1f}",
                    f"{exact:.1f}",
                    f"{rounded:.1f}",
                )
                print("| " + " | ".join(cells) + " |", flush=True)


def times(files: tuple[Path, ...], data: object) -> Iterator[tuple[float, ...]]:
    """Yield the milliseconds of each file for a picture."""
    from onnxruntime import InferenceSession, SessionOptions

    from bottleneck.data.images.decode import decode

    options = SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [InferenceSession(one, options, providers=["CPUExecutionProvider"]) for one in files]
    for number, sample in enumerate(data.samples[: N_TIMED + 2]):
        pixels = np.asarray(decode(data.read(sample)))[np.newaxis]
        made = {}
        for turn in ((0, 1), (1, 0))[number % 2]:
            start = time.perf_counter()
            sessions[turn].run(None, {"pixels": pixels})
            made[turn] = (time.perf_counter() - start) * 1e3
        if number >= 2:  # The first runs set up memory.
            yield made[0], made[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
