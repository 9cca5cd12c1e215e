"""Predict with the exported model in this folder: python predict.py picture.png ...

A model of volumes takes patches in place of pictures: python predict.py patch.npy ...

It needs numpy and Pillow, and torch for model.pt2, onnxruntime for model.onnx, or torch, timm and
transformers for model.safetensors. For research use only. This is not a medical device, and none
of its output is a diagnosis.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.export.standalone.picture_reading import read_picture

#: From pixels of shape (n, height, width, 3), uint8, or patches of volumes, float32, to
#: probabilities and scores of shape (n, n_classes).
Classifier = Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[np.float64]]]


def load_classifier(folder: Path) -> tuple[dict[str, Any], Classifier]:
    """Return the classes and the threshold of the model in a folder, and the model."""
    if (folder / "model.onnx").exists():
        return _load_onnx(folder / "model.onnx")
    if (folder / "model.safetensors").exists():
        return _load_checkpoint(folder)
    return _load_torch(folder / "model.pt2")


def _load_torch(path: Path) -> tuple[dict[str, Any], Classifier]:
    import torch

    files = {"classifier.json": ""}
    network = torch.export.load(path, extra_files=files).module()

    def classify(pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        with torch.inference_mode():
            probabilities, scores = network(torch.from_numpy(pixels))
        return probabilities.numpy(), scores.numpy()

    return json.loads(files["classifier.json"]), classify


def _load_onnx(path: Path) -> tuple[dict[str, Any], Classifier]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    names = ("classes", "positive", "threshold", "decision", "patch")
    (given,) = session.get_inputs()
    facts = {name: json.loads(texts[name]) for name in names}

    def classify(pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        probabilities, scores = session.run(["probabilities", "scores"], {given.name: pixels})
        return probabilities, scores

    return facts, classify


def _load_checkpoint(folder: Path) -> tuple[dict[str, Any], Classifier]:
    import timm  # noqa: F401  # Without it, transformers ends with a long trace.
    from PIL import Image
    from transformers import pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    network = pipeline("image-classification", model=str(folder), device="cpu")
    facts = network.model.config.decision

    def classify(pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        pictures = [Image.fromarray(one) for one in pixels]
        each = network(pictures, top_k=2, function_to_apply="none", batch_size=1)
        rows = [{one["label"]: one["score"] for one in made} for made in each]
        odds = np.array([row[facts["classes"][1]] - row[facts["classes"][0]] for row in rows])
        decisions = (odds - facts["intercept"]) / facts["slope"]
        scores = decisions if facts["scores"] == "decision" else 1 / (1 + np.exp(-decisions))
        other = -scores if facts["scores"] == "decision" else 1 - scores
        probabilities = 1 / (1 + np.exp(-odds))
        return (
            np.stack([1 - probabilities, probabilities], 1),
            np.stack([other, scores], 1),
        )

    return facts, classify


def read_input(path: str | PathLike[str], facts: dict[str, Any]) -> NDArray[Any]:
    """Return the pixels of a picture, or a patch of a volume: what the model takes.

    Raises
    ------
    ValueError
        If the file holds something else.
    OSError
        If it cannot be read.
    """
    if facts.get("patch") is None:
        return read_picture(path)
    patch = np.load(path, allow_pickle=False)
    if not isinstance(patch, np.ndarray) or patch.dtype != np.float32:
        raise ValueError("it is not an array of float32: the model takes patches of volumes (.npy)")
    if list(patch.shape) != facts["patch"]:
        raise ValueError(
            f"it has the shape {list(patch.shape)}, and the model takes {facts['patch']}"
        )
    return patch


def decide(facts: dict[str, Any], scores: np.ndarray) -> str:
    """Return the decided class of a picture: at the threshold, or that of the largest score."""
    classes, positive = facts["classes"], facts["positive"]
    if facts["threshold"] is None:
        return classes[int(scores.argmax())]
    if scores[classes.index(positive)] >= facts["threshold"]:
        return positive
    others = [name for name in classes if name != positive]
    return others[0] if len(others) == 1 else f"not {positive}"


def main(names: list[str]) -> int:
    """Print the probability of every class for each picture, and the decision."""
    if not names:
        print(__doc__)
        return 2
    try:
        facts, classify = load_classifier(Path(__file__).parent)
    except ImportError as error:
        print(f"{error}. Install it with: pip install {error.name}", file=sys.stderr)
        return 2
    print(facts["decision"], file=sys.stderr)
    print("\t".join(["picture", *facts["classes"], "decision"]))
    failed = 0
    for name in names:
        try:
            pixels = read_input(Path(name), facts)
        except (OSError, ValueError) as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
            continue
        probabilities, scores = classify(pixels[np.newaxis])
        shown = [f"{one:.4f}" for one in probabilities[0]]
        print("\t".join([name, *shown, decide(facts, scores[0])]))
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
