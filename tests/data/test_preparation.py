"""Preparation of images: nothing unless asked for, and text without a trace."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_dicom import dicom
from made_scans import grain, save_mask
from PIL import Image, ImageDraw, ImageFilter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from bottleneck.data.images.decode import decode, decode_with_notes
from bottleneck.data.images.display import NOT_DISPLAYED
from bottleneck.data.images.preparation import Preparation, recorded_preparation
from bottleneck.data.images.preparation_steps.burned_in_text import find_text, mask_text
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.phantom.generator import phantom_dataset
from bottleneck.errors import UsageError
from bottleneck.settings.schema import from_table

SQUARE = Preprocessing(40, 32, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_without_a_step_an_image_is_the_same_object() -> None:
    image = grain(0)
    assert Preparation().prepared(image) is image
    assert Preparation().words == ""
    assert SQUARE.preparation == Preparation()
    np.testing.assert_array_equal(SQUARE.pixels(image), SQUARE.framed(image))
    # What finds nothing to do changes nothing either.
    assert mask_text(image) is image
    assert Preparation(sector="auto").prepared(image) is image


def test_steps_have_their_order_and_come_before_the_resize() -> None:
    image = grain(1)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 200, 40), "black")
    draw.text((10, 10), "TIRADS 4", "white", font_size=16)
    every = Preparation(mask_text=True, sector="auto", denoise="median")
    prepared = every.prepared(image)
    masked = Preparation(sector="auto").prepared(mask_text(image))
    expected = masked.filter(ImageFilter.MedianFilter(3))
    np.testing.assert_array_equal(np.asarray(prepared), np.asarray(expected))
    np.testing.assert_array_equal(
        dataclasses.replace(SQUARE, preparation=every).pixels(image, np.asarray(image)),
        SQUARE.pixels(prepared),
    )


def test_colour_is_filtered_channel_by_channel_and_grey_stays_grey() -> None:
    colour = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
    filtered = np.asarray(Preparation(denoise="median").prepared(colour))
    for channel in range(3):
        alone = colour.getchannel(channel).filter(ImageFilter.MedianFilter(3))
        np.testing.assert_array_equal(filtered[..., channel], np.asarray(alone))
    for name in ("median", "lee", "nlm"):
        grey = np.asarray(Preparation(denoise=name).prepared(grain(0)))
        assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": "40"}, "must be CENTRE,WIDTH, such as 40,400, not '40'"),
        ({"window": "40,5,400"}, "must be CENTRE,WIDTH"),
        ({"window": "a,b"}, "must be CENTRE,WIDTH"),
        ({"window": (40, 0)}, "positive width, of at most 1,000,000,000, not 40,0"),
        ({"window": "40,-400"}, "positive width"),
        ({"window": "nan,400"}, "finite number"),
        ({"window": (40, 400), "rescale": True}, "exclude each other"),
        ({"sector": "nowhere.png"}, "the sector mask nowhere.png cannot be read"),
        ({"sector": "data:nonsense"}, "text of a mask is damaged"),
        ({"sector": 3}, "auto, or the path of a mask image, not 3"),
        ({"denoise": "gaussian"}, "unknown denoise 'gaussian'"),
        ({"mask_text": "yes"}, "mask_text must be true or false"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_words(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Preparation(**fields)


def test_a_record_restores_it(tmp_path: Path) -> None:
    save_mask(tmp_path / "mask.png")
    made = Preparation(
        window="40,400", mask_text=True, sector=str(tmp_path / "mask.png"), denoise="lee"
    )
    (tmp_path / "mask.png").unlink()  # It is not needed any more.
    recipe = {"preprocessing": {"preparation": dataclasses.asdict(made)}}
    assert recorded_preparation(json.loads(json.dumps(recipe))) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert recorded_preparation({}) == recorded_preparation({"preprocessing": 3}) == Preparation()
    table = {**SQUARE.to_dict(), "preparation": {"window": [40, 400], "denoise": "median"}}
    read = from_table(Preprocessing, table, "file.toml")
    assert read.preparation == Preparation(window=(40.0, 400.0), denoise="median")
    with pytest.raises(UsageError, match=r"file.toml: unknown key of preparation 'denoice'"):
        from_table(Preprocessing, {**table, "preparation": {"denoice": "lee"}}, "file.toml")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (3, "recorded preparation of the images"),
        ({"window": 5}, "window must be two numbers"),
        ({"window": [1, 2, 3]}, "recorded preparation of the images"),
        ({"window": [float("nan"), 2]}, "recorded preparation of the images"),
        ({"denoise": ["median"]}, "denoise must be median or lee or nlm"),
        ({"sharpen": True}, "unknown key 'sharpen'"),
        ({"sector": "mask.png"}, "must be auto or the text of a mask, not 'mask.png'"),
        ({"sector": "data:,x"}, "text of a mask is damaged"),
    ],
)
def test_damaged_records_are_refused_in_words(
    record: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_mask(tmp_path / "mask.png")  # A record never makes this machine read a file.
    with pytest.raises(UsageError, match=message):
        recorded_preparation({"preprocessing": {"preparation": record}})


def test_stated_steps_are_added() -> None:
    own = Preparation(denoise="median", window=(40, 400))
    both = own.with_options(Preparation(mask_text=True, denoise="lee"))
    assert both == Preparation(window=(40, 400), mask_text=True, denoise="lee")
    with pytest.raises(UsageError, match="exclude each other"):
        own.with_options(Preparation(rescale=True))


@pytest.mark.parametrize("step", [{"window": (40, 400)}, {"rescale": True}])
def test_a_display_without_effect_is_noted(step: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    wide, narrow = (
        rng.integers(0, 2**bits, (20, 30)).astype(kind)
        for bits, kind in ((12, np.uint16), (8, np.uint8))
    )
    colour = rng.integers(0, 256, (20, 30, 3), np.uint8)

    def encoded(pixels: np.ndarray, name: str) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, name)
        return buffer.getvalue()

    files = {
        encoded(wide, "PNG"): False,
        encoded(wide, "TIFF"): False,
        dicom(wide, bits=12): False,
        encoded(narrow, "PNG"): True,
        encoded(narrow, "JPEG"): True,
        encoded(colour, "TIFF"): True,
        dicom(narrow): True,
        dicom(colour): True,
    }
    display = Preparation(**step).display
    for data, without_effect in files.items():
        image, notes = decode_with_notes(data, None, display)
        assert (NOT_DISPLAYED in notes) == without_effect
        if without_effect:
            np.testing.assert_array_equal(np.asarray(image), np.asarray(decode(data)))
            assert NOT_DISPLAYED not in decode_with_notes(data)[1]


# --- text


def labelled(number: int, text: str, *, dark: bool = True) -> Image.Image:
    """A phantom image with a word in a black strip, as scanners draw it, or on dark tissue."""
    image = grain(number, level=25)
    draw = ImageDraw.Draw(image)
    if dark:
        draw.rectangle((0, 0, 200, 30), "black")
    draw.text((8, 6), text, "white", font_size=16)
    return image


def auroc(images: list[Image.Image], labels: list[int]) -> float:
    """AUROC of a classifier on the pixels of the region with the text."""
    x = np.array([np.asarray(image.convert("L").crop((0, 0, 110, 30))) for image in images])
    scores = cross_val_predict(
        LogisticRegression(max_iter=300),
        x.reshape(len(x), -1) / 255,
        labels,
        cv=4,
        method="predict_proba",
    )
    return float(roc_auc_score(labels, scores[:, 1]))


@pytest.mark.parametrize("words", [("BIRADS 2", "BIRADS 5"), ("benign, i", "malignant")])
def test_masked_words_cannot_be_told_apart(words: tuple[str, str]) -> None:
    labels = [number % 2 for number in range(40)]
    images = [labelled(number, words[label]) for number, label in enumerate(labels)]
    assert auroc(images, labels) > 0.99
    masked = [mask_text(image) for image in images]
    assert not any(len(find_text(image)) for image in masked)
    strips = {image.crop((0, 0, 110, 24)).tobytes() for image in masked}
    assert len(strips) == 1  # Not one pixel is left of either word.
    assert 0.3 < auroc(masked, labels) < 0.7


def test_words_on_dark_tissue_leave_dark_ground() -> None:
    labels = [number % 2 for number in range(40)]
    images = [labelled(n, f"BIRADS {'25'[y]}", dark=False) for n, y in enumerate(labels)]
    assert auroc(images, labels) > 0.99
    masked = [mask_text(image) for image in images]
    for image in masked:
        assert not len(find_text(image))
        assert np.asarray(image.crop((8, 6, 90, 26))).max() < 90
    assert auroc(masked, labels) < 0.75


def test_every_kind_of_drawn_text_is_gone() -> None:
    for number, (size, colour) in enumerate(
        (size, colour) for size in (14, 24, 60) for colour in ("white", "yellow", "#00ff00")
    ):
        image = grain(number, (320, 240))
        before = np.asarray(image).copy()
        ImageDraw.Draw(image).text((20, 100), "TIRADS 4", colour, font_size=size)
        masked = mask_text(image)
        assert not len(find_text(masked))
        after = np.asarray(masked)
        # Away from the text nothing changes, and in its place nothing is bright.
        far = np.ones(after.shape[:2], bool)
        far[100 - size : 100 + 3 * size] = False
        np.testing.assert_array_equal(after[far], before[far])
        changed = (after != before).any(-1)
        assert after[changed].max() < 140


@pytest.mark.parametrize("quality", [60, 90])
@pytest.mark.parametrize("size", [18, 24, 36])
def test_lines_are_masked_as_a_whole_after_compression(size: int, quality: int) -> None:
    for word in ("TIRADS 4", "malignant", "Benign, 2.3 cm", "DOE^JANE 12-03-1960"):
        for colour in ("white", "yellow"):
            image = Image.new("RGB", (640, 90))
            ImageDraw.Draw(image).text((20, 20), word, colour, font_size=size)
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=quality)
            masked = mask_text(decode(buffer.getvalue()))
            assert not len(find_text(masked))
            assert np.asarray(masked).max() < 90  # No part of a letter; a halo may stay.


def test_phantoms_hold_nothing_to_mask() -> None:
    dataset = phantom_dataset(n_patients=8)
    for sample in dataset.samples:
        image = decode(dataset.read(sample))
        assert mask_text(image) is image
