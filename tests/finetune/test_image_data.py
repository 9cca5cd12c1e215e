"""Images as they are fed to a network."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from made import dataset_of, make_images
from small import N_IMAGES, quick, small_backbone

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.images.decode import decode
from bottleneck.data.images.preparation import Preparation
from bottleneck.errors import UsageError
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.finetune.inputs.image_data import ImageInputs
from bottleneck.finetune.inputs.training_data import FeatureInputs
from bottleneck.finetune.training_options import TrainingOptions


def test_unusable_images_leave_the_folds_alike(photos: Path, tmp_path: Path) -> None:
    whole = dataset_of(photos)
    broken = tmp_path / "images"
    broken.mkdir()
    for path in photos.iterdir():
        content = b"" if path.name in ("005.png", "020.png") else path.read_bytes()
        (broken / path.name).write_bytes(content)
    dataset = ImageDataset("made", whole.samples, FileSource(broken))
    inputs = ImageInputs(dataset, TrainingOptions(), small_backbone())
    features = load_features(extract(dataset, small_backbone(), output=tmp_path / "f").path)
    for field in ("ids", "y", "stated_patients"):
        np.testing.assert_array_equal(getattr(inputs, field), getattr(features, field))
    assert len(inputs.ids) == N_IMAGES - 2
    assert "2 images cannot be used" in inputs.notes[0]


def test_augmentation_is_of_training_only_and_of_no_order(
    dataset: ImageDataset, backbone: Backbone
) -> None:
    inputs = ImageInputs(dataset, quick(), backbone)
    rows = np.array([4, 9, 30])
    plain = inputs.items(rows, None)
    for number, row in enumerate(rows):
        pixels, label, place = plain[number]
        sample = dataset.samples[row]
        expected = backbone.preprocessing.pixels(decode(dataset.read(sample)))
        np.testing.assert_array_equal(pixels, expected)
        assert (inputs.classes[label], place) == (sample.label, row)
    forth, back = inputs.items(rows, (0, 1)), inputs.items(rows[::-1], (0, 1))
    later, other = inputs.items(rows, (0, 2)), inputs.items(rows, (1, 1))
    for number in range(3):
        assert torch.equal(forth[number][0], back[2 - number][0])
        for different in (plain, later, other):
            assert not torch.equal(forth[number][0], different[number][0])


def test_from_scratch(dataset: ImageDataset) -> None:
    inputs = ImageInputs(dataset, quick(backbone="small_cnn"))
    one, again, other = (inputs.network(seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, one.state_dict().values(), again.state_dict().values()))
    assert not torch.equal(one.body[0].weight, other.body[0].weight)
    batch = torch.stack([inputs.items(np.arange(2), None)[n][0] for n in range(2)])
    assert one(batch).shape == (2, 2)


def test_random_weights_are_drawn_for_every_seed(dataset: ImageDataset) -> None:
    config = quick(backbone="timm/test_resnet", weights="none")
    inputs = ImageInputs(dataset, config)
    first = [next(inputs.network(seed).body.parameters()) for seed in (0, 0, 1)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert inputs.name == "timm/test_resnet (random, from scratch)"


def test_folded_norm_is_noted(dataset: ImageDataset) -> None:
    inputs = ImageInputs(dataset, quick(), small_backbone())
    assert any("--freeze-norm" in note for note in inputs.notes)
    assert not ImageInputs(dataset, quick(freeze_norm=True), small_backbone()).notes
    assert not ImageInputs(dataset, quick(), small_backbone(norm=False)).notes


def test_patients_that_share_an_image_are_one_group(photos: Path, tmp_path: Path) -> None:
    whole = dataset_of(photos)
    (tmp_path / "images").mkdir()
    for path in photos.iterdir():
        name = "003.png" if path.name == "020.png" else path.name
        (tmp_path / "images" / path.name).write_bytes((photos / name).read_bytes())
    dataset = ImageDataset("made", whole.samples, FileSource(tmp_path / "images"))
    inputs = ImageInputs(dataset, TrainingOptions(), small_backbone())
    assert inputs.patients is not None
    rows = [inputs.ids.tolist().index(name) for name in ("003.png", "020.png")]
    assert len(set(inputs.patients[rows])) == 2
    names = inputs.leak_safe_groups.names
    assert names is not None
    assert len(set(names[np.isin(inputs.patients, inputs.patients[rows])])) == 1


def test_images_are_prepared_in_training_and_in_testing(
    dataset: ImageDataset, backbone: Backbone
) -> None:
    inputs = ImageInputs(dataset, quick(denoise="median"), backbone)
    assert inputs.name == "small (made, fine-tuned, median)"
    rows = np.array([4, 9])
    plain = ImageInputs(dataset, quick(), backbone)
    for number, row in enumerate(rows):
        sample = dataset.samples[row]
        image = Preparation(denoise="median").prepared(decode(dataset.read(sample)))
        expected = backbone.preprocessing.pixels(image)
        np.testing.assert_array_equal(inputs.items(rows, None)[number][0], expected)
        augmented = (inputs, plain)
        one, other = (each.items(rows, (0, 1))[number][0] for each in augmented)
        assert not torch.equal(one, other)
    np.testing.assert_array_equal(inputs.leak_safe_groups.names, plain.leak_safe_groups.names)
    scratch = ImageInputs(dataset, quick(backbone="small_cnn", mask_text=True, denoise="lee"))
    assert scratch.name == "small_cnn (from scratch, text masked, lee)"
    assert scratch.preprocessing.preparation == Preparation(mask_text=True, denoise="lee")


def test_features_are_not_prepared_again(photos: Path, tmp_path: Path) -> None:
    features = load_features(extract(dataset_of(photos), small_backbone(), output=tmp_path).path)
    with pytest.raises(UsageError, match="so 'median' has no effect on them: leave it out"):
        FeatureInputs(features, quick(backbone="new_fc", denoise="median"))


def test_a_moved_data_set_is_the_same(tmp_path):
    make_images(tmp_path / "here", 4)
    shutil.copytree(tmp_path / "here", tmp_path / "there")

    def digest(folder: Path, **changes: str) -> str:
        dataset = dataset_of(folder, name=folder.name)
        # As a table with absolute paths names them.
        samples = [dataclasses.replace(s, source=str(folder / s.source)) for s in dataset.samples]
        samples[0] = dataclasses.replace(samples[0], **changes)
        moved = dataclasses.replace(dataset, samples=tuple(samples))
        return ImageInputs(moved, quick(), small_backbone()).digest

    before = digest(tmp_path / "here")
    assert digest(tmp_path / "there") == before
    for change in ({"label": "malignant"}, {"group": "P9"}, {"fold": "1"}, {"id": "other"}):
        assert digest(tmp_path / "there", **change) != before
    make_images(tmp_path / "there", 1, first=70)
    (tmp_path / "there" / "070.png").replace(tmp_path / "there" / "001.png")
    assert digest(tmp_path / "there") != before
