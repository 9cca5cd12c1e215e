"""Features of prepared images: a file and an arm of their own, next to those of the same images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import dataset_of
from PIL import Image, ImageDraw

from bottleneck.audit.findings import describe_text
from bottleneck.audit.image_check import check_images
from bottleneck.data.augmented_copies import Augmentation, augment
from bottleneck.data.images.decode import decode, pixel_facts
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.images.preparation_steps.burned_in_text import mask_text
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import DataError, ProtocolError, UsageError
from bottleneck.evaluation.cross_validation.arms import make_arms
from bottleneck.evaluation.external.compatibility import refuse_other_recipe
from bottleneck.features.extraction import extract, extract_all
from bottleneck.features.file.reader import load_features
from bottleneck.features.images.decoder_pool import DecoderPool
from bottleneck.features.rows import ImageRow
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.features.timing import Clock
from bottleneck.finetune.inputs.image_data import ImageInputs
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.testing import tiny_backbone

OPTIONS: dict[str, Any] = {"batch_size": 4, "workers": 2, "precision": "fp32"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images with speckle; two have a word in a black strip, and one has another size."""
    made = tmp_path_factory.mktemp("scans")
    for number in range(8):
        size = (120, 90) if number < 7 else (140, 90)
        grain = np.random.default_rng(number).gamma(4, 12, (size[1], size[0]))
        image = Image.fromarray(grain.clip(0, 255).astype(np.uint8)).convert("RGB")
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 0, 140, 20), "black")
        if number in (2, 5):
            draw.text((4, 2), "TIRADS 4", "white", font_size=14)
        image.save(made / f"{number:03d}.png")
    return made


@pytest.fixture(scope="module")
def mask(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("mask") / "mask.png"
    keep = np.zeros((90, 120), bool)
    keep[25:80, 10:110] = True
    Image.fromarray(keep).save(path)
    return str(path)


def features(folder: Path, output: Path, **options: Any) -> FeatureSet:
    path = extract(dataset_of(folder), tiny_backbone(), output=output, **OPTIONS | options).path
    return load_features(path)


@pytest.mark.parametrize(
    "steps",
    [
        {"mask_text": True},
        {"denoise": "median"},
        {"denoise": "lee"},
        {"denoise": "nlm"},
        {"sector": "auto"},
        {"mask_text": True, "sector": "mask", "denoise": "median"},
    ],
)
def test_rows_are_those_of_the_prepared_images(
    folder: Path, tmp_path: Path, mask: str, steps: dict[str, Any]
) -> None:
    if steps.get("sector") == "mask":
        steps = {**steps, "sector": mask}
    plain, prepared = features(folder, tmp_path), features(folder, tmp_path, **steps)
    preparation = Preparation(**steps)
    backbone = tiny_backbone()
    for number, identity in enumerate(prepared.ids):
        image = preparation.prepared(decode((folder / identity).read_bytes()))
        pixels = torch.from_numpy(backbone.preprocessing.pixels(image).copy())[None]
        np.testing.assert_allclose(prepared.X[number], backbone.embed(pixels)[0], rtol=1e-5)
    assert prepared.preparation == preparation
    assert prepared.recipe_hash != plain.recipe_hash
    assert prepared.path is not None
    assert f"--{preparation.words.replace(', ', '-').replace(' ', '-')}--" in prepared.path.name
    # What is recorded of an image describes it as it was decoded.
    for field in ("pixels", "brightness", "thumbnails", "sha256"):
        known = np.isin(plain.ids, prepared.ids)
        np.testing.assert_array_equal(getattr(plain, field)[known], getattr(prepared, field))


def test_prepared_and_plain_are_two_arms(folder: Path, tmp_path: Path) -> None:
    sets = [
        features(folder, tmp_path),
        features(folder, tmp_path, mask_text=True, denoise="median"),
        features(folder, tmp_path, denoise="lee"),
    ]
    names = [arm.name for arm in make_arms(sets, "logistic")[:3]]
    assert names == [
        "tiny (random) + logistic",
        "tiny (random, text masked, median) + logistic",
        "tiny (random, lee) + logistic",
    ]
    with pytest.raises(ProtocolError, match=r"preparation\.denoise is 'lee', not None"):
        refuse_other_recipe(sets[0], sets[2])


def test_one_call_extracts_several_preparations(folder: Path, tmp_path: Path) -> None:
    backbone = tiny_backbone()
    kinds = [Preparation(), Preparation(mask_text=True), Preparation(denoise="median")]
    given = [backbone.prepared(kind) for kind in kinds]
    assert given[0] is backbone
    together = extract_all(
        dataset_of(folder), [*given, given[0]], layers=(), output=tmp_path / "a", **OPTIONS
    )
    assert together[3].path == together[0].path
    for kind, result in zip(kinds, together[:3], strict=True):
        assert load_features(result.path).preparation == kind
        alone = extract(
            dataset_of(folder), backbone.prepared(kind), output=tmp_path / "b", **OPTIONS
        )
        np.testing.assert_array_equal(load_features(result.path).X, load_features(alone.path).X)
        # Only the arm whose text is masked says so.
        masked = "2 images, such as '002.png': burned-in text was masked"
        assert (masked in result.notes) == kind.mask_text


def test_an_image_of_another_size_than_the_mask_fails_alone(
    folder: Path, tmp_path: Path, mask: str
) -> None:
    result = extract(dataset_of(folder), tiny_backbone(), output=tmp_path, sector=mask, **OPTIONS)
    assert result.n_extracted == 7
    assert result.failures == (
        (
            "007.png",
            "the sector mask has 120×90 pixels, and the image 140×90: both must have the same size",
        ),
    )


def test_decoder_processes_need_no_mask_file(folder: Path, mask: str) -> None:
    own = Path(mask).with_name("own.png")
    own.write_bytes(Path(mask).read_bytes())
    preparation = Preparation(mask_text=True, sector=str(own), denoise="lee")
    own.unlink()
    square = Preprocessing(
        20, 16, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), preparation=preparation
    )
    sample = dataset_of(folder).samples[2]
    data = (folder / sample.source).read_bytes()
    rows = []
    for processes in (False, True):
        pool = DecoderPool(Clock(1), processes=processes)
        row = ImageRow(2, sample, "0" * 64)
        pool.decode(row, data, [square])
        pool.close()
        rows.append(row)
    assert rows[0].facts == rows[1].facts
    assert rows[0].facts is not None
    assert rows[0].facts.notes == ("burned-in text was masked",)
    np.testing.assert_array_equal(rows[0].pixels[square], rows[1].pixels[square])


def test_the_audit_names_the_remedy_and_sees_its_effect(folder: Path, tmp_path: Path) -> None:
    data = dataset_of(folder)

    def text(features: FeatureSet) -> list[str]:
        images = check_images(features, data)
        assert len(images.checked) == len(features)  # None of them counts as changed.
        return [one.text for one in describe_text(features, images)]

    (advice,) = text(features(folder, tmp_path))
    assert "2 images with strokes like text" in advice
    assert "bottleneck extract --mask-text" in advice
    assert text(features(folder, tmp_path, mask_text=True)) == []


def test_what_masking_hides_is_not_learnt(tmp_path: Path) -> None:
    # The word gives the class away in every image; nothing else does.
    (tmp_path / "scans").mkdir()
    for number in range(32):
        grain = np.random.default_rng(number).gamma(4, 12, (90, 120))
        image = Image.fromarray(grain.clip(0, 255).astype(np.uint8)).convert("RGB")
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 0, 120, 34), "black")
        word = ("benign", "MALIGNANT")[number // 2 % 2]
        draw.text((4, 9), word, "white", font_size=14)
        image.save(tmp_path / "scans" / f"{number:03d}.png")
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def auroc(**steps: Any) -> float:
        backbone = tiny_backbone(width=16, side=32)
        path = extract(
            dataset_of(tmp_path / "scans"), backbone, output=tmp_path, **OPTIONS, **steps
        ).path
        made = load_features(path)
        head = make_pipeline(StandardScaler(), LogisticRegression())
        scores = cross_val_predict(
            head, made.X, made.y, groups=made.groups, cv=GroupKFold(4), method="predict_proba"
        )
        return float(roc_auc_score(made.y == "malignant", scores[:, 1]))

    assert auroc() > 0.95
    assert auroc(mask_text=True) < 0.75


def test_options_are_added_to_those_of_a_file(tmp_path: Path, mask: str) -> None:
    from bottleneck.backbones.backbone import load_backbone

    relative = Path(mask).name
    table = (
        "resize = 16\ncrop = 16\ninterpolation = 'bilinear'\n"
        "mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n"
        f"[preparation]\nsector = '{relative}'\ndenoise = 'median'\n"
    )
    file = Path(mask).with_name("mine.toml")
    file.write_text(table)
    loaded = load_backbone("timm/test_resnet", weights="random", preprocessing=str(file))
    assert loaded.preprocessing.preparation == Preparation(sector=mask, denoise="median")
    both = loaded.prepared(Preparation(mask_text=True))
    assert both.preprocessing.preparation.mask_text
    assert both.preprocessing.preparation.denoise == "median"
    assert both.network is loaded.network
    file.write_text(table.replace(relative, "nowhere.png"))
    with pytest.raises(UsageError, match=r"mine\.toml: the sector .*nowhere\.png"):
        load_backbone("timm/test_resnet", weights="random", preprocessing=str(file))


def test_masking_comes_before_the_resize(folder: Path) -> None:
    image = decode((folder / "002.png").read_bytes())
    backbone = tiny_backbone()
    square = backbone.preprocessing
    prepared = dataclasses.replace(square, preparation=Preparation(mask_text=True))
    np.testing.assert_array_equal(prepared.pixels(image), square.pixels(mask_text(image)))


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Values of 12 bits in 16, which are almost black without a window."""
    made = tmp_path / "deep"
    made.mkdir()
    for number in range(4):
        values = np.random.default_rng(number).integers(0, 4096, (30, 40), np.uint16)
        Image.fromarray(values).save(made / f"{number:03d}.png")
    return made


def levels(path: Path, window: tuple[float, float]) -> Image.Image:
    """The linear window of the DICOM standard, written once more."""
    values = np.asarray(Image.open(path)).astype(float)
    centre, width = window
    scaled = ((values - (centre - 0.5)) / (width - 1) + 0.5) * 255
    return Image.fromarray(np.rint(scaled.clip(0, 255)).astype(np.uint8)).convert("RGB")


def test_a_window_is_used_by_everything_that_reads_the_images(deep: Path, tmp_path: Path) -> None:
    window, data = (2000, 1500), dataset_of(deep)
    with pytest.raises(DataError, match="show almost nothing"):
        features(deep, tmp_path)
    windowed = features(deep, tmp_path, window=window, pixel_cache=tmp_path / "pixels")
    rescaled = features(deep, tmp_path, rescale=True, pixel_cache=tmp_path / "pixels")
    again = features(deep, tmp_path / "b", window=window, pixel_cache=tmp_path / "pixels")
    backbone = tiny_backbone()
    for number, identity in enumerate(windowed.ids):
        shown = levels(deep / identity, window)
        pixels = torch.from_numpy(backbone.preprocessing.pixels(shown).copy())[None]
        np.testing.assert_allclose(windowed.X[number], backbone.embed(pixels)[0], rtol=1e-5)
        assert windowed.pixels is not None
        assert windowed.pixels[number] == pixel_facts(shown).pixels
    np.testing.assert_array_equal(windowed.X, again.X)
    assert not np.allclose(windowed.X, rescaled.X)
    for made in (windowed, rescaled):  # The audit reads them as they were extracted.
        assert check_images(made, data).checked.tolist() == [0, 1, 2, 3]
    # Copies of the same images, in the levels of the originals.
    display = Preparation(window=window).display
    copies = augment(data, Augmentation(copies=1, flip=False, rotation=0.0, noise=0.0), display)
    copy = next(sample for sample in copies.samples if sample.id == "000.png#1")
    shown = levels(deep / "000.png", window)
    np.testing.assert_array_equal(np.asarray(decode(copies.read(copy))), np.asarray(shown))
    plain = augment(data, Augmentation(copies=1, flip=False, rotation=0.0, noise=0.0))
    assert copies.fingerprint != plain.fingerprint


def test_a_training_uses_the_window(deep: Path) -> None:
    inputs = ImageInputs(
        dataset_of(deep), TrainingOptions(window=(2000, 1500), backbone="small_cnn")
    )
    (pixels, _, row) = inputs.items(np.array([2]), None)[0]
    shown = levels(deep / str(inputs.ids[row]), (2000, 1500))
    np.testing.assert_array_equal(pixels, inputs.preprocessing.pixels(shown))
