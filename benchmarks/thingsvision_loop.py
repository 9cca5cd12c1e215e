"""Extraction with thingsvision, timed; runs in an environment of its own, for extraction.py.

    python thingsvision_loop.py NAME DEVICE BATCH FOLDER SCRATCH

Loads the network with random weights, and then, for every line on the standard input that holds a
number of images, extracts the features of as many files of the folder and prints the seconds.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from thingsvision import get_extractor
from thingsvision.utils.data import DataLoader, ImageDataset

MODULES = {"resnet50": "avgpool", "vgg16": "features", "inception_v3": "avgpool"}


def main() -> None:
    """Answer every line with seconds of the wall and of the processor."""
    name, device, batch, folder, scratch = sys.argv[1:]
    options = {"model_name": name, "source": "torchvision", "device": device, "pretrained": False}
    extractor = get_extractor(**options)
    names = sorted(path.name for path in Path(folder).iterdir())
    answers = sys.stdout
    for line in sys.stdin:
        dataset = ImageDataset(
            root=folder,
            out_path=scratch,
            backend=extractor.get_backend(),
            file_names=names[: int(line)],
            transforms=extractor.get_transformations(),
        )
        batches = DataLoader(dataset, batch_size=int(batch), backend=extractor.get_backend())
        clocks = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            features = extractor.extract_features(
                batches=batches, module_name=MODULES[name], flatten_acts=False
            )
        wall, processor = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
        if len(features) != int(line):
            raise SystemExit(f"{len(features)} rows for {line.strip()} images")
        print(f"SECONDS {wall} {processor}", file=answers, flush=True)


if __name__ == "__main__":
    main()
