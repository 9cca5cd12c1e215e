"""The preprocessing of image files equals that of each library, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from example_images import two_images
from originals import resize_as_opencv
from PIL import Image

from bottleneck.backbones.backbone import load_backbone
from bottleneck.backbones.catalogue import ENCODERS, find_encoder
from bottleneck.backbones.encoder import Encoder
from bottleneck.backbones.inputs.preprocessing_presets import (
    find_preprocessing,
    keras_preprocessing,
    torchvision_preprocessing,
    transformers_preprocessing,
)
from bottleneck.data.images.decode import decode
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError

os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return two_images(tmp_path_factory.mktemp("images"))


def normalised(preprocessing: Preprocessing, path: Path) -> np.ndarray:
    """(value / 255 − mean) / std as the backbone computes it, in its order of channels."""
    pixels = preprocessing.pixels(decode(path.read_bytes())).astype(np.float32) / np.float32(255)
    mean = np.array(preprocessing.mean, np.float32)
    return ((pixels - mean) / np.array(preprocessing.std, np.float32)).transpose(2, 0, 1)


def bytes_of(tensor: torch.Tensor) -> np.ndarray:
    return (tensor * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_timms_input_is_ours_bit_for_bit(encoder: Encoder, images):
    config = timm.get_pretrained_cfg(encoder.timm).to_dict()
    transform = timm.data.create_transform(
        **timm.data.resolve_data_config({}, pretrained_cfg=config)
    )
    plain = timm.data.create_transform(
        **timm.data.resolve_data_config({}, pretrained_cfg=config | PLAIN)
    )
    ours = find_preprocessing("timm", encoder)
    for path in images:
        image = Image.open(path).convert("RGB")
        assert np.array_equal(ours.pixels(decode(path.read_bytes())), bytes_of(plain(image)))
        np.testing.assert_allclose(normalised(ours, path), transform(image), atol=1e-6, rtol=0)


PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def torchvision_files() -> list:
    names = dict.fromkeys(e.torchvision for e in ENCODERS.values() if e.torchvision)
    return [
        pytest.param(name, weights, id=str(weights))
        for name in names
        for weights in torchvision.models.get_model_weights(name)
        # A detector's features, without a classifier and in another normalisation.
        if "FEATURES" not in weights.name
    ]


@pytest.mark.parametrize(("name", "weights"), torchvision_files())
def test_torchvisions_input_is_ours_bit_for_bit(name, weights, images):
    digits = weights.url.rpartition("-")[2].partition(".")[0]
    ours = torchvision_preprocessing(name, f"{digits}{'0' * 56}")
    stated = weights.transforms()
    plain = weights.transforms(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    for path in images:
        image = Image.open(path).convert("RGB")
        assert np.array_equal(ours.pixels(decode(path.read_bytes())), bytes_of(plain(image)))
        expected = stated(image)
        if name == "inception_v3":
            options = {"transform_input": True, "init_weights": False}
            with torch.device("meta"):
                network = torchvision.models.inception_v3(**options)
            expected = network._transform_input(expected[None])[0]
        np.testing.assert_allclose(normalised(ours, path), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["VGG16", "ResNet50", "DenseNet121", "InceptionV3"])
def test_keras_s_input_is_ours(name, images):
    import keras

    modules = {"VGG16": "vgg16", "ResNet50": "resnet50", "DenseNet121": "densenet"}
    module = getattr(keras.applications, modules.get(name, "inception_v3"))
    ours = keras_preprocessing(name)
    for path in images:
        loaded = keras.utils.load_img(path, target_size=(ours.crop, ours.crop))
        expected = module.preprocess_input(keras.utils.img_to_array(loaded)).transpose(2, 0, 1)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(normalised(ours, path) / scale, expected / scale, atol=1e-6)


@pytest.mark.parametrize("name", ["swin_tiny", "swinv2_base"])
def test_transformers_input_is_ours(name, images):
    import transformers

    ours = transformers_preprocessing(ENCODERS[name])
    processor = transformers.ViTImageProcessor(
        size={"height": ours.crop, "width": ours.crop},
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    for path in images:
        expected = processor(Image.open(path).convert("RGB"), return_tensors="np")["pixel_values"]
        np.testing.assert_allclose(normalised(ours, path), expected[0], atol=1e-6)


def test_radimagenets_notebook_is_the_default_of_its_pt(images):
    ours = find_preprocessing("radimagenet", ENCODERS["resnet50"])
    for path in images:
        bgr = np.asarray(Image.open(path).convert("RGB"), np.float64)[:, :, ::-1]
        expected = resize_as_opencv((bgr - 127.5) * 2 / 255, 224, 224).transpose(2, 0, 1)
        np.testing.assert_allclose(normalised(ours, path), expected, atol=1e-6)


def test_radimagenets_keras_scripts_subtract_first_and_divide_then(images, tmp_path):
    """ImageDataGenerator applies its preprocessing_function before its rescale."""
    from keras.applications.imagenet_utils import preprocess_input
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(rescale=1.0 / 255, preprocessing_function=preprocess_input)
    ours = find_preprocessing("radimagenet-keras", ENCODERS["resnet50"])
    for path in images:
        loaded = Image.open(path).convert("RGB").resize((256, 256), Image.Resampling.NEAREST)
        expected = generator.standardize(np.asarray(loaded, np.float32)).transpose(2, 0, 1)
        np.testing.assert_allclose(normalised(ours, path), expected, atol=1e-6)


def test_the_contradictory_recipes_differ_and_have_names():
    names = ("radimagenet", "radimagenet-keras", "radimagenet-imagenet", "radimagenet-monai")
    found = [find_preprocessing(name, ENCODERS["resnet50"]) for name in names]
    assert len(set(found)) == len(names)


def test_another_preprocessing_is_another_recipe(tmp_path):
    usual = load_backbone("resnet18", weights="random")
    file = tmp_path / "mine.toml"
    file.write_text(
        "resize = 64\ncrop = 64\ninterpolation = 'bilinear'\nsquash = true\n"
        "mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n"
    )
    mine = load_backbone("resnet18", weights="random", preprocessing=str(file))
    named = load_backbone("resnet18", weights="random", preprocessing="radimagenet-keras")
    assert mine.preprocessing.crop == 64
    assert (named.preprocessing.crop, named.preprocessing.channels) == (256, "BGR")
    assert len({b.recipe("fp32").hash for b in (usual, mine, named)}) == 3


def test_an_input_that_the_network_cannot_take_is_refused(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'resize = 300\ncrop = 300\ninterpolation = "bilinear"\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n'
    )
    with pytest.raises(UsageError, match="test_vit cannot take images of 300×300 pixels"):
        load_backbone("timm/test_vit", weights="random", preprocessing=str(file))


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"did you mean 'torchvision'.*FILE\.toml"):
        find_preprocessing("torchvison", ENCODERS["vgg16"])
    with pytest.raises(UsageError, match="unknown preprocessing of resnet18 'keras'"):
        find_preprocessing("keras", ENCODERS["resnet18"])
    with pytest.raises(UsageError, match=r"x\.toml cannot be read"):
        find_preprocessing(str(tmp_path / "x.toml"), ENCODERS["vgg16"])
    (tmp_path / "y.toml").write_text("resize = 224\ncrop = 224\nmeen = [0, 0, 0]")
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        find_preprocessing(str(tmp_path / "y.toml"), ENCODERS["vgg16"])


def test_a_model_of_timm_without_a_short_name_has_timms_input():
    encoder = find_encoder("timm/resnet50.a1_in1k")
    assert find_preprocessing("timm", encoder).resize == 235
    with pytest.raises(UsageError, match="unknown preprocessing"):
        find_preprocessing("torchvision", encoder)
