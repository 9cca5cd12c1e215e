"""What the audit says pairs are: altered copies of real images, and frames of real sequences.

Each kind of alteration of ``benchmarks/audit.py`` is made of images of a data set and of frames of
the sequences, and comes first in every second pair; neighbouring frames are those of the sequences,
up to four apart in a cine and up to two in a volume. Sequences are DICOM files of several frames,
folders of DICOM slices, or volumes.

    python benchmarks/pair_kinds.py images/labels.csv --path-column image --sequences FILE FILE
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from audit import KINDS, SOURCES
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.decode import decode, make_thumbnail
from bottleneck.data.readers import load_dataset
from bottleneck.duplicates.kinds import pair_kinds
from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair

Pair = tuple[Image.Image, Image.Image]

# CT is shown as soft tissue, in HU.
_LOW, _HIGH = -160, 240
_ANSWERS = ("altered copy", "neighbouring frame", "unclear")


def frames_of(path: Path) -> tuple[list[Image.Image], bool]:
    """Return the frames of a sequence, and whether they are slices of a volume."""
    if path.suffix == ".dcm":
        import pydicom

        header = pydicom.dcmread(path)
        values = np.asarray(header.pixel_array)
        if values.ndim == 4:
            colours = "YBR" in header.PhotometricInterpretation
            return [_picture(v[..., 0] if colours else v) for v in values], False
        low, high = np.quantile(values, [0.01, 0.99])
        return [_picture(_scaled(v, low, high)) for v in values], True
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    if path.is_dir():
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
    image = reader.Execute() if path.is_dir() else SimpleITK.ReadImage(str(path))
    volume = SimpleITK.GetArrayFromImage(image)
    return [_picture(_scaled(v, _LOW, _HIGH)) for v in volume], True


def _scaled(values: NDArray, low: float, high: float) -> NDArray[np.uint8]:
    return ((values - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def _picture(values: NDArray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(values)).convert("RGB")


def neighbours(frames: list[Image.Image], lag: int) -> Iterator[Pair]:
    """Yield the pairs of frames that are ``lag`` apart and differ."""
    for one, other in zip(frames, frames[lag:], strict=False):
        if one.tobytes() != other.tobytes():
            yield one, other


def judge(pairs: list[Pair], *, related: bool) -> Counter[str]:
    """Count the answers."""
    pictures = [image.convert("RGB") for pair in pairs for image in pair]
    thumbnails = np.stack([make_thumbnail(picture) for picture in pictures])
    sizes = np.array([picture.size for picture in pictures], np.int32)
    given = [DuplicatePair(2 * n, 2 * n + 1, False, 0.9, None) for n in range(len(pairs))]
    made = pair_kinds.name_kinds(given, thumbnails, sizes, np.full(len(given), related))
    return Counter(pair.kind for pair in made)


def show(name: str, pairs: list[Pair], *, related: bool) -> None:
    """Print a row of the table."""
    counts = judge(pairs, related=related)
    numbers = " | ".join(str(counts[answer]) for answer in _ANSWERS)
    print(f"| {name} | {len(pairs)} | {numbers} |", flush=True)


def main() -> None:
    """Make the pairs, ask what they are, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--path-column")
    parser.add_argument("--sequences", nargs="+", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=30, help="of each kind; 0 for frames only")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    columns = {"path": options.path_column} if options.path_column else {}
    dataset = load_dataset(options.dataset, columns=columns)
    rng = np.random.default_rng(options.seed)
    sequences = {path: frames_of(path) for path in options.sequences}
    images = [decode(dataset.read(sample), sample.region) for sample in dataset.samples]
    frames = [frame for found, _ in sequences.values() for frame in found]
    print("| pairs | of | altered copy | neighbouring frame | unclear |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind, alter in KINDS.items() if options.copies else ():
        chosen = [images[n] for n in rng.choice(len(images), options.copies, replace=False)]
        chosen += [frames[n] for n in rng.choice(len(frames), options.copies, replace=False)]
        source = SOURCES.get(kind, lambda image, rng: image)
        pairs = [(source(image, rng), alter(image, rng)) for image in chosen]
        pairs = [pair[::-1] if n % 2 else pair for n, pair in enumerate(pairs)]
        show(kind, pairs, related=False)
    for path, (found, is_volume) in sequences.items():
        for lag in (1, 2) if is_volume else (1, 2, 4):
            for related in (False, True):
                known = "of one patient" if related else "patients not known"
                name = f"{path.name}, {lag} apart, {known}"
                show(name, list(neighbours(found, lag)), related=related)


if __name__ == "__main__":
    main()
