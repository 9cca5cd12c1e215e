"""Burned-in text: detected where it is, and not in speckle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from made_features import make_features
from PIL import Image, ImageDraw

from bottleneck.audit.audit import audit_features
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.data.images.decode import decode, pixel_facts
from bottleneck.data.images.preparation_steps.burned_in_text import find_text
from bottleneck.data.phantom.generator import phantom_dataset
from bottleneck.data.readers import load_dataset
from bottleneck.errors import DataError

# What a person sees in each of the crops that are flagged: the scanner's settings at the right
# edge, and in 338_2-1 the words "IZQ" and "TIRADS 4".
WITH_TEXT = {
    "118_1-2",
    "179_1-2",
    "198_1-2",
    "201_1-2",
    "212_1-2",
    "244_1-2",
    "255_1-2",
    "279_1-2",
    "284_1-2",
    "338_2-1",
    "70_1-2",
}


def tissue(level: int = 45) -> Image.Image:
    grain = np.random.default_rng(0).gamma(4, level / 4, (60, 80))
    return Image.fromarray(grain.clip(0, 255).astype(np.uint8)).resize((320, 240)).convert("RGB")


@pytest.mark.parametrize("size", [14, 24, 60])
@pytest.mark.parametrize("colour", ["white", "yellow", "#00ff00"])
def test_written_words_are_found(size: int, colour: str) -> None:
    image = tissue()
    ImageDraw.Draw(image).text((20, 100), "TIRADS 4", colour, font_size=size)
    boxes = find_text(image)
    assert len(boxes) >= 3
    assert boxes[:, 1].min() >= 95
    assert boxes[:, 3].max() <= 105 + 1.3 * size
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_tissue_marks_and_bars_are_no_text() -> None:
    assert len(find_text(tissue(90))) == 0
    marked = tissue()
    draw = ImageDraw.Draw(marked)
    for x, y in ((60, 60), (200, 90), (130, 200)):  # Callipers.
        draw.line((x - 6, y, x + 6, y), "white", width=2)
        draw.line((x, y - 6, x, y + 6), "white", width=2)
    draw.rectangle((300, 20, 312, 200), "white")
    assert len(find_text(marked)) == 0


def test_phantoms_hold_no_text() -> None:
    dataset = phantom_dataset(n_patients=20)
    assert not any(len(find_text(decode(dataset.read(s)))) for s in dataset.samples)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images, of which the last has text."""
    for number in range(12):
        image = tissue(40 + number)
        if number == 11:
            ImageDraw.Draw(image).text((20, 100), "BIRADS 5", "white", font_size=24)
        image.save(tmp_path / f"{number:02d}.png")
    return tmp_path


def dataset_of(folder: Path) -> ImageDataset:
    names = sorted(p.name for p in folder.iterdir())
    return ImageDataset("made", tuple(Sample(n, n, "x") for n in names), FileSource(folder))


def test_the_audit_reads_the_images_again(folder: Path) -> None:
    images = [decode(path.read_bytes()) for path in sorted(folder.iterdir())]
    features = make_features(
        n_patients=12,
        images=1,
        ids=np.array([p.name for p in sorted(folder.iterdir())]),
        pixels=np.array([pixel_facts(image).pixels for image in images]),
    )
    seen: dict[str, list[int]] = {}
    dataset = dataset_of(folder)
    found = audit_features(
        features,
        dataset=dataset,
        progress=lambda done, total, text: seen.setdefault(text, []).append(done),
    )
    (text,) = [f for f in found.findings if f.code == "BF202"]
    assert (text.severity, text.count, text.rows) == ("warning", 1, (11,))
    assert seen["checking the images"] == list(range(1, 13))
    assert seen["searching for near-duplicates"][-1] == seen["aligning similar images"][-1] == 12
    # Features without thumbnails get them from the images.
    assert found.groups.search is not None
    assert not any("not searched for" in f.text for f in found.findings)

    tissue(200).save(folder / "03.png")
    (folder / "04.png").write_bytes(b"no image")
    found = audit_features(features, dataset=dataset)
    missing = [f for f in found.findings if f.code == "BF905" and f.rows]
    assert [(f.rows, f.severity) for f in missing] == [((4,), "note"), ((3,), "note")]

    other = dataclasses.replace(dataset, samples=(Sample("elsewhere", "00.png", "x"),))
    with pytest.raises(DataError, match="none of the 12 samples"):
        audit_features(features, dataset=other)


@pytest.mark.shared
def test_text_in_real_crops(shared: Path) -> None:
    crops = load_dataset(shared / "data" / "ddti-crops" / "labels.csv", columns={"path": "image"})
    flagged = {
        Path(s.id).stem for s in crops.samples if len(find_text(decode(crops.read(s), s.region)))
    }
    assert "338_2-1" in flagged
    assert flagged == WITH_TEXT
