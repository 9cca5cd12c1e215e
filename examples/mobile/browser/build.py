"""Put an exported model and onnxruntime-web into one folder: a page that classifies pictures.

python build.py EXPORT --output FOLDER [--model FILE] [--packages FOLDER]

EXPORT is a folder of `bottleneck export MODEL --to onnx`. Its model-int8.onnx is taken, if it has
one, and otherwise its model.onnx. onnxruntime-web comes from node_modules beside this file, which
npm fills if it is not there. Afterwards nothing needs a network: python FOLDER/serve.py
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")


def build(export: Path, output: Path, file: str | None, packages: Path) -> None:
    """Write the folder of the demo.

    Parameters
    ----------
    export : Path
        Folder of an export to ONNX.
    output : Path
        A new folder, or one that an earlier build wrote.
    file : str or None
        Name of the model's file in the export.
    packages : Path
        The node_modules that holds onnxruntime-web.
    """
    if not (export / "export.json").is_file():
        sys.exit(f"{export} is not a folder of `bottleneck export MODEL --to onnx`")
    record = json.loads((export / "export.json").read_text("utf-8"))
    if record["target"] != "onnx":
        sys.exit(f"{export} is an export to {record['target']}: export the model with --to onnx")
    quantised = record.get("quantised")
    if file is None:
        file = quantised["file"] if quantised else "model.onnx"
    if not (export / file).is_file():
        sys.exit(f"{export} holds no {file}")
    runtime = packages / "onnxruntime-web"
    if not runtime.is_dir():
        install(packages)
    if output.exists() and any(output.iterdir()) and not (output / "model.json").exists():
        sys.exit(f"{output} holds other files: name a new folder with --output")
    shutil.copytree(HERE / "page", output, dirs_exist_ok=True)
    (output / "ort").mkdir(exist_ok=True)
    for name in RUNTIME:
        shutil.copyfile(runtime / "dist" / name, output / "ort" / name)
    version = json.loads((runtime / "package.json").read_text("utf-8"))["version"]
    (output / "ort" / "LICENSE.txt").write_text(
        f"onnxruntime-web {version}, copyright Microsoft Corporation, MIT licence: "
        "https://github.com/microsoft/onnxruntime/blob/main/LICENSE\n",
        "utf-8",
    )
    shutil.copyfile(export / file, output / "model.onnx")
    is_quantised = quantised is not None and file == quantised["file"]
    facts = describe(record, quantised if is_quantised else None)
    (output / "model.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False), "utf-8")


def describe(record: dict[str, Any], quantised: dict[str, Any] | None) -> dict[str, Any]:
    """Return what the page shows of a model, from its ``export.json``."""
    threshold, head = record["threshold"], record["model"]["head"]
    network = record["recipe"].get("backbone")
    words = str(record["decision"])
    if record["unit"] == "patient":
        words += " The model decides patients: here, each picture is a patient with one picture."
    if quantised is not None:
        loss = quantised["loss"]
        words += (
            " The network computes in 8-bit integers: on the test folds, the AUROC is "
            f"{loss['auroc_int8']:.3f} with them and {loss['auroc']:.3f} without."
        )
    return {
        "name": f"{f'{head} on {network}' if network else head}: {' or '.join(record['classes'])}",
        "words": words,
        "classes": record["classes"],
        "positive": record["positive"],
        "threshold": None if threshold is None else threshold["score"],
    }


def install(packages: Path) -> None:
    """Have npm fill node_modules beside this file."""
    npm = shutil.which("npm")
    if npm is None or packages != HERE / "node_modules":
        sys.exit(
            f"{packages} holds no onnxruntime-web: run `npm install onnxruntime-web` in "
            f"{packages.parent}, or name another node_modules with --packages"
        )
    subprocess.run([npm, "install", "--no-package-lock", "--ignore-scripts"], cwd=HERE, check=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--packages", type=Path, default=HERE / "node_modules")
    given = parser.parse_args()
    build(given.export, given.output, given.model, given.packages.resolve())
    print(f"{given.output}: python {given.output / 'serve.py'}")


if __name__ == "__main__":
    main()
