"""How far the probabilities of exported models are from those of the package.

    python benchmarks/parity.py ../shared > benchmarks/parity.md
    python benchmarks/parity.py ../shared heads    # the first table alone; or: networks

A head is fitted to features of nodules of DDTI, computed in fp32: to 100 others for the first
table, and to those that are compared for the second. Each target writes it to a folder, which is
read as its user would, from the file of a picture on. The tables have the largest difference of a
probability from that of `predict` over 100 pictures and all classes, and the size of the folder.
The folders of the hub that are no plain checkpoint of timm hold the same program of torch as the
target "torch". A target that refuses a model is named with the reason below the table.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

N = 100
NETWORKS = (
    "vgg16",
    "inception_v3",
    "densenet121",
    "mobilenetv3",
    "efficientnet_lite0",
    "swin_tiny",
    "swinv2_tiny",
)
HEADS_OF_RANDOM = ("logistic",)
HEADER = """
| head | network | target | largest difference | MiB |
| --- | --- | --- | --- | --- |"""


class Fitted(NamedTuple):
    """A head on the features of a network, and what it predicts."""

    head: str
    network: str
    model: Any
    classifier: Callable[[], Any]
    pictures: Sequence[Path]
    probabilities: np.ndarray


class Refused(Exception):
    """A target that does not take a model."""


def main(shared: Path, parts: Sequence[str]) -> None:
    print("# Parity of exported models\n")
    print(" ".join(__doc__.split("\n\n")[2].split()))
    if "heads" in parts:
        from bottleneck.heads.head_catalogue import HEADS

        print("\n## Heads of the catalogue, on ResNet-18 with weights of ImageNet")
        weights = str(shared / "weights" / "resnet18-imagenet.pth")
        tabulate(fitted_heads(shared, "resnet18", weights, tuple(HEADS), n_others=N))
    if "networks" in parts:
        print("\n## Other networks, with random weights")
        each = (fitted_heads(shared, name, "random", HEADS_OF_RANDOM) for name in NETWORKS)
        tabulate(itertools.chain.from_iterable(each))


def tabulate(models: Iterator[Fitted]) -> None:
    """Print a row for each model and target, and what was refused."""
    print(HEADER)
    refused = []
    for fitted in models:
        for target in targets():
            with tempfile.TemporaryDirectory() as name:
                try:
                    row = compare(fitted, target, Path(name))
                except Refused as error:
                    refused.append(f"- {fitted.head}, {fitted.network}, {target.name}: {error}")
                    row = "refused | "
            print(f"| {fitted.head} | {fitted.network} | {target.name} | {row} |", flush=True)
    if refused:
        print("\n".join(["", "Refused:", "", *refused]))


def targets() -> Sequence[Any]:
    from bottleneck.export.targets.hub_folder import HubFolder
    from bottleneck.export.targets.onnx_file import OnnxFile
    from bottleneck.export.targets.torch_folder import TorchFolder

    return OnnxFile(), TorchFolder(), HubFolder()


def compare(fitted: Fitted, target: Any, folder: Path) -> str:
    """Return the largest difference over the pictures, and the size of the folder."""
    from bottleneck.errors import BottleneckError

    try:
        target.write(fitted.classifier(), fitted.model, folder)
    except BottleneckError as error:
        raise Refused(str(error)) from error
    read = target.read(folder)
    given = np.stack([read(path) for path in fitted.pictures])
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    return f"{abs(given - fitted.probabilities).max():.1e} | {size:.0f}"


def fitted_heads(
    shared: Path, network: str, weights: str, heads: Sequence[str], *, n_others: int = 0
) -> Iterator[Fitted]:
    """Yield heads that were fitted to features in fp32, of other pictures or of the same."""
    import bottleneck
    from bottleneck.export.classifier.classifier_building import build_classifier

    folder = shared / "data" / "ddti-crops"
    dataset = bottleneck.load_dataset(
        folder / "labels.csv", columns={"path": "image"}, limit=N + n_others
    )
    backbone = bottleneck.load_backbone(network, weights=weights)
    with tempfile.TemporaryDirectory() as output:
        run = bottleneck.extract(
            dataset, backbone, precision="fp32", output=output, compile="never", quiet=True
        )
        features = bottleneck.load_features(run.path)
    compared = features.take(np.arange(N))
    training = features.take(np.arange(N, N + n_others)) if n_others else compared
    source = {sample.id: folder / sample.source for sample in dataset.samples}
    for head in heads:
        model = bottleneck.fit(training, head, quiet=True)
        probabilities = model.predict(compared).predictions.probabilities
        assert probabilities is not None
        yield Fitted(
            head,
            network,
            model,
            lambda model=model: build_classifier(model, backbone=backbone),
            [source[name] for name in compared.ids.tolist()],
            probabilities,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ("heads", "networks"))
