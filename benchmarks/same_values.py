"""Compare the values of two versions of bottleneck on the same images.

Runs extract (fp32 and bf16), fit, compare, leakage and one epoch of finetune with each of two
checkouts, and compares what they wrote: embeddings bit for bit, predictions and every number of
``results.json`` exactly. Words and times may differ.

    python benchmarks/same_values.py OLD NEW --table labels.csv --weights resnet18.pth --work FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

# Fields that hold a time, a date or a place, or that name the libraries.
VOLATILE = {
    "bottleneck",
    "command",
    "created",
    "curves",
    "device",
    "images_per_second",
    "peak_memory_bytes",
    "path",
    "seconds",
    "stages",
    "versions",
}

ONE_EPOCH = ("--epochs", "1", "--folds", "2", "--workers", "1", "--device", "cpu")


def run_version(checkout: Path, work: Path, table: Path, weights: Path) -> None:
    """Run every command with one checkout; what is complete already is kept."""
    work.mkdir(parents=True, exist_ok=True)
    reading = ["--path-column", "image", "--patient-column", "patient", "--name", "crops"]
    network = ["--backbone", "resnet18", "--weights", str(weights)]
    steps = {
        "fp32": ["extract", table, *network, *reading, "--precision", "fp32", "--output", "fp32"],
        "bf16": ["extract", table, *network, *reading, "--precision", "bf16", "--output", "bf16"],
        "fit": ["fit", "@fp32", "--output", "models", "--head", "svm", "--head", "logistic"],
        "compare-fp32": ["compare", "@fp32", "--output", "compare-fp32", "--learning-curve"],
        "compare-bf16": ["compare", "@bf16", "--output", "compare-bf16", "--unit", "patient"],
        "leakage": ["leakage", table, *network, *reading, "--output", "leakage"],
        "finetune": ["finetune", table, *network, *reading, *ONE_EPOCH, "--output", "finetune"],
    }
    for name, step in steps.items():
        done = work / f"{name}.json"
        if done.exists():
            continue
        words: list[str] = []
        for word in map(str, step):
            found = sorted((work / word[1:]).glob("*.h5")) if word.startswith("@") else [word]
            words += map(str, found)
        environment = os.environ | {"PYTHONPATH": str(checkout), "HOME": str(work)}
        command = [sys.executable, "-P", "-m", "bottleneck_features", *words, "--json", "--quiet"]
        print(f"{checkout.name}: {name}", flush=True)
        result = subprocess.run(
            command, cwd=work, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        done.write_text(result.stdout)


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of a JSON value with its place."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in VOLATILE:
                yield from numbers(each, f"{path}.{key}")
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from numbers(each, f"{path}[{place}]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


def compare_json(old: Path, new: Path) -> str:
    """Compare the numbers of two JSON files; say how many, and which differ."""
    before, after = (dict(numbers(json.loads(path.read_text()))) for path in (old, new))
    other = [key for key, value in before.items() if after.get(key) != value]
    extra = [key for key in after if key not in before]
    text = f"{len(before)} numbers, {len(other)} differ, {len(extra)} are new"
    return f"{text} {[(key, before[key], after.get(key)) for key in other[:3]]}" if other else text


def compare_files(old: Path, new: Path) -> str:
    """Compare the embeddings of the feature file in each of two folders, bit for bit."""
    arrays = []
    for folder in (old, new):
        (path,) = folder.glob("*.h5")
        with h5py.File(path) as file:
            arrays.append((file["embeddings"][()], file["ids"][()], path.name))
    (x, ids, name), (y, other_ids, other) = arrays
    same = np.array_equal(ids, other_ids) and x.tobytes() == y.tobytes()
    largest = float(np.abs(x - y).max()) if x.shape == y.shape else float("nan")
    return f"{name} / {other} {x.shape}: {'same bits' if same else f'differ by {largest}'}"


def compare_tables(old: Path, new: Path) -> str:
    """Compare two tables of predictions exactly."""
    before, after = (pd.read_csv(path, dtype=str) for path in (old, new))
    return f"{len(before)} rows, {'same' if before.equals(after) else 'they differ'}"


def main() -> None:
    """Run both versions and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    folders = []
    for name, checkout in (("old", options.old), ("new", options.new)):
        work = options.work.resolve() / name
        run_version(checkout.resolve(), work, options.table.resolve(), options.weights.resolve())
        folders.append(work)
    old, new = folders
    for name in ("fp32", "bf16"):
        print(f"embeddings {name}: {compare_files(old / name, new / name)}")
    for path in sorted(old.rglob("*.json")):
        name = path.relative_to(old)
        if name.parts[0].startswith("."):  # What libraries keep in a home folder.
            continue
        if not (new / name).exists():
            print(f"{name}: missing in the new version")
        else:
            print(f"{name}: {compare_json(path, new / name)}")
    for path in sorted(old.rglob("predictions*.csv")):
        print(f"{path.relative_to(old)}: {compare_tables(path, new / path.relative_to(old))}")


if __name__ == "__main__":
    main()
