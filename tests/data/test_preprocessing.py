"""Preprocessing: resizing, cropping and normalisation, and the checks of its fields."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, functional

import bottleneck.backbones.inputs.preprocessing_presets
from bottleneck.data.images import preprocessing
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import DecodeError, UsageError
from bottleneck.settings.schema import from_table

# Loading it enters torchvision's resize.
assert "torchvision" in preprocessing.TENSOR_RESIZERS, (
    bottleneck.backbones.inputs.preprocessing_presets
)
HALF = (0.5, 0.5, 0.5)


def make(resize: int = 8, crop: int = 8, interpolation="bilinear", **options) -> Preprocessing:
    return Preprocessing(resize, crop, interpolation, HALF, HALF, **options)


def noise_image(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def test_the_shorter_side_is_resized_and_the_centre_cut_out():
    image = noise_image(40, 20)
    resized = np.asarray(image.resize((20, 10), Image.Resampling.BILINEAR))
    assert np.array_equal(make(10, 8).pixels(image), resized[1:9, 6:14])


def test_squash_resizes_both_sides():
    image = noise_image(40, 20)
    expected = np.asarray(image.resize((8, 8), Image.Resampling.BICUBIC))
    assert np.array_equal(make(interpolation="bicubic", squash=True).pixels(image), expected)


@pytest.mark.parametrize("resizer", ["pillow", "torchvision", "opencv"])
def test_bgr_is_rgb_reversed(resizer):
    image = noise_image(12, 9)
    rgb, bgr = (make(resizer=resizer, channels=c).pixels(image) for c in ("RGB", "BGR"))
    assert np.array_equal(rgb, bgr[:, :, ::-1])
    assert rgb.shape == (8, 8, 3)
    assert rgb.flags.c_contiguous


def test_opencvs_resize_takes_the_two_nearest_pixels_and_does_not_round():
    """Closed form: of every 4 columns of a ramp the middle two, weighted equally."""
    ramp = np.repeat(np.arange(32, dtype=np.uint8)[None, :, None], 32, 0).repeat(3, 2)
    pixels = make(squash=True, resizer="opencv").pixels(Image.fromarray(ramp))
    assert pixels.dtype == np.float32
    assert np.allclose(pixels[0, :, 0], np.arange(8) * 4 + 1.5)


def test_opencvs_resize_is_not_antialiased_and_the_others_are():
    """Lines of one pixel in four, which the two nearest pixels never see."""
    lines = np.zeros((32, 32, 3), np.uint8)
    lines[:, ::4] = 255
    image = Image.fromarray(lines)
    assert make(squash=True, resizer="opencv").pixels(image).max() == 0
    for resizer in ("pillow", "torchvision"):
        pixels = make(squash=True, resizer=resizer).pixels(image)
        assert 30 < pixels.mean() < 100


def test_opencvs_resize_enlarges_without_leaving_the_image():
    image = noise_image(4, 4)
    pixels = make(squash=True, resizer="opencv").pixels(image)
    array = np.asarray(image)
    assert np.allclose(pixels[0, 0], array[0, 0])
    assert np.allclose(pixels[-1, -1], array[-1, -1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 9}, "crop must be at most resize \\(8\\), not 9"),
        ({"interpolation": "cubic"}, "did you mean 'bicubic'"),
        ({"channels": "GBR"}, "unknown channels 'GBR'"),
        ({"resizer": "opencl"}, "did you mean 'opencv'"),
        ({"resizer": "opencv", "interpolation": "bicubic"}, "interpolation of opencv"),
        ({"resizer": "torchvision", "interpolation": "nearest"}, "interpolation of torchvision"),
    ],
)
def test_fields_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        make(**options)


def test_a_std_of_zero_is_refused():
    with pytest.raises(UsageError, match="std 1 must be a number from 1e-06 to"):
        Preprocessing(8, 8, "bilinear", HALF, (0.0, 1.0, 1.0))


def test_torchvisions_resize_needs_the_room_that_has_torch(monkeypatch):
    monkeypatch.delitem(preprocessing.TENSOR_RESIZERS, "torchvision")
    with pytest.raises(UsageError, match="import bottleneck"):
        make(resizer="torchvision").pixels(noise_image(12, 9))


def test_a_strip_is_refused():
    with pytest.raises(DecodeError, match="too long and narrow"):
        make().pixels(noise_image(900, 10))


def test_the_fields_survive_json_and_toml():
    whole = make(10, 8, squash=True, channels="BGR", resizer="opencv")
    assert from_table(Preprocessing, whole.to_dict(), "x") == whole
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in whole.to_dict().items()}
    assert from_table(Preprocessing, lists, "x") == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": "224"}, "crop must be a whole number of at least 1, not '224'"),
        ({"crop": True}, "crop must be a whole number of at least 1, not True"),
        ({"mean": 0.5}, "mean must be a list, not 0.5"),
        (
            {"mean": ["a", "b", "c"]},
            "mean 1 must be a number from -1,000 to 1,000, not 'a'",
        ),
        ({"squash": 1}, "squash must be true or false, not 1"),
        ({"channels": 3}, "channels must be RGB or BGR or L, not 3"),
        ({"cropp": 3}, "did you mean 'crop'"),
    ],
)
def test_fields_of_another_type_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        from_table(Preprocessing, make().to_dict() | change, "x.toml")


def test_missing_fields_are_named():
    with pytest.raises(UsageError, match=r"x\.toml: the keys crop, interpolation are missing"):
        from_table(Preprocessing, {"resize": 8, "mean": [0, 0, 0], "std": [1, 1, 1]}, "x.toml")


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_fast_resize_is_torchvisions(interpolation):
    image = noise_image(140, 90)
    reference = make(48, 40, interpolation)
    fast = reference.fast().pixels(image)
    tensor = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).contiguous()
    mode = InterpolationMode(interpolation)
    resized = functional.resize(tensor, [48, 74], mode, antialias=True).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(fast, resized[4:44, 17:57])
    apart = np.abs(fast.astype(int) - reference.pixels(image))
    assert apart.max() == 1
    assert (apart > 0).mean() < 0.02


def test_a_resize_that_has_no_fast_form_stays():
    for one in (make(interpolation="nearest"), make(resizer="opencv")):
        assert one.fast() == one
