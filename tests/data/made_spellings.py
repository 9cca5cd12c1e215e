"""Data sets made of names in given spellings."""

from __future__ import annotations

from pathlib import Path

from made import make_images

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.samples.sample_table import Sample


def table(folder: Path, rows: list[str], header: str = "path,label,patient") -> Path:
    make_images(folder, len(rows), side=16)
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *(f"{n:03d}.png,{row}" for n, row in enumerate(rows))]))
    return path


def of_patients(*patients: str) -> ImageDataset:
    samples = [Sample(f"i{n}", "a", "x", group=patient) for n, patient in enumerate(patients)]
    return ImageDataset("made", samples, FileSource(Path()))


def of_classes(*labels: str) -> ImageDataset:
    samples = [Sample(f"i{n}", "a", label) for n, label in enumerate(labels)]
    return ImageDataset("made", samples, FileSource(Path()))
