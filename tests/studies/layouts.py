"""Small data sets in the layouts that the studies' data have."""

from __future__ import annotations

import json
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image


def _save(path: Path, number: int, *, bright: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    mean = 150 if bright else 100
    pixels = rng.normal(mean, 40, (24, 24)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def make_ddti(folder: Path, n_cases: int) -> Path:
    """Cases as DDTI publishes them, TI-RADS 2 and 4a by turns, every third with two images."""
    outline = json.dumps(
        [{"points": [{"x": x, "y": y} for x, y in ((2, 2), (20, 2), (20, 20))], "regionType": "f"}]
    )
    for case in range(1, n_cases + 1):
        malignant, images = case % 2 == 0, 1 + (case % 3 == 0)
        for image in range(1, images + 1):
            _save(folder / f"{case}_{image}.jpg", 10 * case + image, bright=malignant)
        marks = "".join(
            f"<mark><image>{image}</image><svg>{escape(outline)}</svg></mark>"
            for image in range(1, images + 1)
        )
        (folder / f"{case}.xml").write_text(
            f"<case><number>{case}</number><age>38</age><sex>F</sex><composition/>"
            f"<tirads>{'4a' if malignant else '2'}</tirads>{marks}</case>",
            encoding="utf-8",
        )
    return folder


def make_tn5000(folder: Path, n: int) -> Path:
    """Annotations, images and lists as TN5000 publishes them."""
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number in range(n):
        name, malignant = f"{number:06d}", number % 3 > 0
        _save(folder / "JPEGImages" / f"{name}.jpg", number, bright=malignant)
        annotation = folder / "Annotations" / f"{name}.xml"
        annotation.parent.mkdir(parents=True, exist_ok=True)
        annotation.write_text(
            f"<annotation><filename>{name}.jpg</filename><object><name>{int(malignant)}</name>"
            "<bndbox><xmin>3</xmin><ymin>3</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></object>"
            "</annotation>",
            encoding="utf-8",
        )
        lists["train" if number % 10 < 6 else "val" if number % 10 < 8 else "test"].append(name)
    for part, names in lists.items():
        path = folder / "ImageSets" / "Main" / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(names) + "\n", encoding="utf-8")
    return folder


def make_folders(
    folder: Path, n_patients: int, *, labels: tuple[str, str] = ("benign", "malignant"), first=0
) -> Path:
    """One subfolder a class; files ``P07_1.png`` of two images a patient."""
    for patient in range(n_patients):
        for image in (1, 2):
            bright = patient % 2 == 1
            path = folder / labels[bright] / f"P{first + patient:02d}_{image}.png"
            _save(path, 1000 + 10 * (first + patient) + image, bright=bright)
    return folder
