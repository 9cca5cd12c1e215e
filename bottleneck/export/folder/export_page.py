"""The README of an exported folder: what it is, how to use it, and what was compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bottleneck.backbones.licences import describe_weights

__all__ = ["README", "write_page"]

README = "README.md"


def write_page(folder: Path, record: Mapping[str, Any], texts: Sequence[str]) -> None:
    """Write the README of an export, around the text on its use that the target has written.

    Parameters
    ----------
    folder : Path
        The folder; its ``README.md``, if there is one, says how to use it.
    record : mapping
        Content of ``export.json``.
    texts : sequence of str
        What was compared with the model, in sentences.
    """
    path = folder / README
    usage = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    name = record["model"]["name"] or record["model"]["head"]
    lines = [
        f"# {name}, exported to {record['target']}",
        "",
        "For research use only. This is not a medical device, and none of its output is a "
        "diagnosis.",
        "",
        *([usage, "", "## Numbers", ""] if usage else []),
        *_facts(record),
        *(f"- {text}" for text in texts),
        "- `export.json` records all of this, with the sha256 of each file.",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _facts(record: Mapping[str, Any]) -> list[str]:
    weights, threshold = record["weights"], record["threshold"]
    takes = "RGB pictures of any size, upright, as 8-bit values,"
    if patches := record["input"].get("patches"):
        takes = f"patches of volumes ({patches.partition(', patches')[0]})"
    lines = [
        f"- It takes {takes} and returns the calibrated "
        f"probability of each class, in this order: {', '.join(record['classes'])}."
    ]
    lines.append(f"- {record['decision']}")
    if threshold is not None:
        lines[-1] += f" This gave a {threshold['held']} of {threshold['target']:g} in training."
    if record["unit"] == "patient":
        lines.append(
            f"- The model predicts patients: take the {record['aggregate']} of the scores of a "
            "patient's images. The probabilities here are those of patients with one image."
        )
    if weights and weights.get("name") != "random":
        lines.append(
            f"- Weights of the network: {describe_weights(weights)}. They are in these files, and "
            "their licence applies."
        )
    return lines
