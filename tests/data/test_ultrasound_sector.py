"""The scanned sector of ultrasound images: detected, or kept by a mask."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from made_scans import grain, save_mask
from PIL import Image, ImageDraw

from bottleneck.data.images.decode import decode
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.images.preparation_steps.burned_in_text import find_text
from bottleneck.data.images.preparation_steps.ultrasound_sector import find_sector
from bottleneck.data.readers import load_dataset
from bottleneck.errors import DecodeError, UsageError


def screenshot(shape: str, level: int, seed: int = 0) -> tuple[Image.Image, np.ndarray]:
    """A scanner's screen, and where its sector is."""
    width, height = 640, 480
    form = Image.new("1", (width, height))
    draw = ImageDraw.Draw(form)
    if shape == "linear":
        draw.rectangle((140, 60, 500, 430), fill=1)
    elif shape == "trapezoid":
        draw.polygon([(190, 60), (450, 60), (540, 430), (100, 430)], fill=1)
    else:  # curved array: a ring segment
        draw.pieslice((-80, -300, 720, 440), 55, 125, fill=1)
        draw.pieslice((220, -20, 420, 120), 0, 360, fill=0)
    sector = np.asarray(form)
    rng = np.random.default_rng(seed)
    tissue = np.asarray(
        Image.fromarray(rng.gamma(4, 15, (240, 320)).clip(12, 255).astype(np.uint8)).resize(
            (width, height)
        )
    ).copy()
    tissue[300:, 290:340] = 8  # a shadow, nearly black
    image = Image.fromarray(np.where(sector, tissue, np.uint8(level))).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.text((5, 5), "HOSPITAL  DOE^JANE  12-03-1960", "white", font_size=16)
    draw.text((5, 455), "MI 0.9  TIS 0.4", "yellow", font_size=14)
    draw.rectangle((600, 60, 612, 200), "white")  # grey bar
    for y in range(60, 430, 40):  # ruler
        draw.line((575, y, 585, y), "white", width=2)
    draw.line((580, 60, 580, 430), "white", width=2)
    draw.ellipse((20, 60, 34, 74), fill="blue")  # logo
    return image, sector


@pytest.mark.parametrize("level", [0, 6, 32])
@pytest.mark.parametrize("shape", ["linear", "trapezoid", "curved"])
def test_the_sector_is_kept_and_the_frame_is_black(shape: str, level: int) -> None:
    image, sector = screenshot(shape, level)
    prepared = Preparation(sector="auto").prepared(image)
    before, after = np.asarray(image), np.asarray(prepared)
    kept = (after == before).all(-1)
    assert kept[sector].mean() > 0.995
    assert after[~sector].max(-1).max() <= level  # No stroke, bar or logo is left outside.
    assert kept[sector & (before.max(-1) > 20)].mean() > 0.995
    assert len(find_text(prepared)) == 0
    # The same sector whatever is written around it.
    bare = Image.fromarray(np.where(sector[..., None], before, np.uint8(level)))
    drawn, _ = find_sector(image)
    plain, _ = find_sector(bare)
    assert drawn is not None
    np.testing.assert_array_equal(drawn, plain)


def test_crops_are_kept_whole_and_the_reason_is_noted() -> None:
    for seed in range(5):
        image = grain(seed)
        assert Preparation(sector="auto").prepared_with_notes(image) == (
            image,
            (
                "the whole image was kept as the sector: no frame was detected around the scanned "
                "sector",
            ),
        )
    small = Image.new("RGB", (300, 300))
    small.paste(grain(0, (60, 60)), (120, 120))
    black = Image.new("RGB", (300, 300))
    for image, reason in ((small, "less than 20%"), (black, "nothing was detected")):
        prepared, (note,) = Preparation(sector="auto").prepared_with_notes(image)
        assert prepared is image
        assert reason in note


@pytest.mark.parametrize("size", [(8, 8), (8, 400), (500, 9), (257, 255), (1024, 768)])
def test_images_of_every_size_have_a_sector_or_a_reason(size: tuple[int, int]) -> None:
    for image in (Image.new("RGB", size), Image.new("RGB", size, "white"), grain(0, size)):
        sector, reason = find_sector(image)
        assert (sector is None) == bool(reason)
    framed = Image.new("RGB", size)
    inner = (max(size[0] // 2, 1), max(size[1] // 2, 1))
    framed.paste(Image.new("RGB", inner, (90, 90, 90)), (size[0] // 4, size[1] // 4))
    sector, _ = find_sector(framed)
    assert sector is None or sector.shape == (size[1], size[0])


@pytest.mark.parametrize("name", ["mask.png", "mask.bmp", "mask.tif", "mask.gif"])
def test_a_mask_file_keeps_where_it_is_not_black(tmp_path: Path, name: str) -> None:
    keep = save_mask(tmp_path / name)
    preparation = Preparation(sector=str(tmp_path / name))
    image = grain(0)
    expected = np.where(keep[..., None], np.asarray(image), 0)
    np.testing.assert_array_equal(np.asarray(preparation.prepared(image)), expected)
    # Levels 0 and 1, and 0 and 255, are one mask.
    Image.fromarray(keep.astype(np.uint8)).save(tmp_path / "levels.png")
    levels = Preparation(sector=tmp_path / "levels.png").prepared(image)
    np.testing.assert_array_equal(np.asarray(levels), expected)


def test_masks_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    keep = save_mask(tmp_path / "mask.png")
    preparation = Preparation(sector=str(tmp_path / "mask.png"))
    with pytest.raises(DecodeError, match="mask has 200×150 pixels, and the image 320×240"):
        preparation.prepared(grain(0, (320, 240)))
    save_mask(tmp_path / "mask.jpg")
    with pytest.raises(UsageError, match="is a JPEG"):
        Preparation(sector=str(tmp_path / "mask.jpg"))
    Image.new("L", (200, 150)).save(tmp_path / "black.png")
    with pytest.raises(UsageError, match="would keep nothing: draw the sector in white on black"):
        Preparation(sector=str(tmp_path / "black.png"))
    Image.fromarray(np.where(keep, 255, 50).astype(np.uint8)).save(tmp_path / "grey.png")
    with pytest.raises(UsageError, match="would keep all"):
        Preparation(sector=str(tmp_path / "grey.png"))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UsageError, match=r"text\.png: .* not an image"):
        Preparation(sector=str(tmp_path / "text.png"))
    grain(0, (60, 40)).save(tmp_path / "tissue.png")
    with pytest.raises(UsageError, match="more than two colours, so it is not a mask"):
        Preparation(sector=str(tmp_path / "tissue.png"))
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    with pytest.raises(UsageError, match=r"a black-and-white PNG.*larger than 30,000 bytes"):
        Preparation(sector=str(tmp_path / "large.png"))
    with pytest.raises(UsageError, match="is a folder"):
        Preparation(sector=str(tmp_path))


def test_a_screen_sized_mask_is_small_enough() -> None:
    _, sector = screenshot("curved", 0)
    buffer = io.BytesIO()
    Image.fromarray(sector).resize((1920, 1440)).convert("L").save(buffer, "PNG")
    assert len(buffer.getvalue()) < 30_000


@pytest.mark.shared
def test_real_crops_stay_whole_and_real_frames_lose_only_their_margin(shared: Path) -> None:
    crops = load_dataset(shared / "data" / "ddti-crops" / "labels.csv", columns={"path": "image"})
    for sample in crops.samples[::9]:
        image = decode(crops.read(sample), sample.region)
        assert find_sector(image)[0] is None
    for path in sorted((shared / "data" / "ud-tn").rglob("*.jpg")):
        image = decode(path.read_bytes())
        sector, _ = find_sector(image)
        if sector is not None:
            grey = np.asarray(image.convert("L"))
            assert grey[sector].sum() > 0.95 * grey.sum()
