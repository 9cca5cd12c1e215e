"""Augmented copies: their pixels depend only on the augmentation, the sample and the number."""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path

import numpy as np
import pytest
from made import dataset_of, make_images
from made_regions import region_dataset
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from bottleneck.data.augmented_copies import Augmentation, augment, original_ids
from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import decode
from bottleneck.data.phantom.generator import phantom_dataset
from bottleneck.errors import BottleneckError, DataError, UsageError
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

STILL = Augmentation(flip=False, rotation=0, noise=0)


class OneImage:
    """A source that gives the same image under every name."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "PNG")
        self.data = encoded.getvalue()

    def read(self, source: str) -> bytes:
        return self.data


def copies_of(
    pixels: NDArray[np.uint8], *, samples: int = 1, **options: object
) -> NDArray[np.uint8]:
    """Return the pixels of every copy of an image that stands under several ids."""
    listed = tuple(Sample(f"s{n}", f"s{n}.png", "benign") for n in range(samples))
    still = {"flip": False, "rotation": 0.0, "noise": 0.0}
    made = augment(ImageDataset("one", listed, OneImage(pixels)), Augmentation(**(still | options)))
    copies = [s for s in made.samples if "#" in s.id]
    return np.array([decode(made.read(s), s.region) for s in copies])


def by_id(dataset: ImageDataset) -> dict[str, bytes]:
    return {s.id: dataset.read(s) for s in dataset.samples}


def test_copies_follow_their_originals(tmp_path: Path) -> None:
    make_images(tmp_path, 4)
    plain = dataset_of(tmp_path)
    plain = dataclasses.replace(
        plain,
        positive="malignant",
        samples=tuple(
            dataclasses.replace(s, split="train", fold=str(n), centre="A")
            for n, s in enumerate(plain.samples)
        ),
    )
    made = augment(plain, Augmentation(copies=2))
    assert [s.id for s in made.samples[:4]] == ["000.png", "000.png#1", "000.png#2", "001.png"]
    assert [s for s in made.samples if "#" not in s.id] == list(plain.samples)
    assert original_ids([s.id for s in made.samples]).tolist() == [
        s.id for s in plain.samples for _ in range(3)
    ]
    for position, sample in enumerate(made.samples):
        original = plain.samples[position // 3]
        for field in ("label", "group", "split", "fold", "centre"):
            assert getattr(sample, field) == getattr(original, field)
    assert made.positive == "malignant"
    assert made.n_groups == plain.n_groups
    originals = {s.id: (tmp_path / s.source).read_bytes() for s in plain.samples}
    assert originals.items() <= by_id(made).items()


def test_name_and_fingerprint_tell_augmentations_apart() -> None:
    plain = phantom_dataset(n_patients=2)
    options = [{}, {"copies": 5}, {"flip": False}, {"rotation": 10.0}, {"noise": 4.0}, {"seed": 1}]
    made = [augment(plain, Augmentation(**one)) for one in options]
    assert len({plain.fingerprint, *(m.fingerprint for m in made)}) == 7
    assert len({plain.name, *(m.name for m in made)}) == 7
    assert all("augmented" in m.name for m in made)
    assert augment(plain, Augmentation()).fingerprint == made[0].fingerprint


def test_a_copy_depends_on_its_id_its_number_and_the_seed_alone(tmp_path: Path) -> None:
    make_images(tmp_path, 6)
    plain = dataset_of(tmp_path)
    made = augment(plain, Augmentation(copies=2))
    whole = by_id(made)
    backwards = dict(reversed([(s.id, made.read(s)) for s in reversed(made.samples)]))
    assert backwards == whole
    fewer = by_id(augment(plain.limited(2), Augmentation(copies=1)))
    assert len(fewer) < len(whole)
    assert fewer.items() <= whole.items()
    assert len(set(whole.values())) == len(whole)
    other = by_id(augment(plain, Augmentation(copies=2, seed=1)))
    assert {i for i in whole if whole[i] == other[i]} == {s.id for s in plain.samples}


def test_half_of_the_copies_are_exact_mirror_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    mirrored = 0
    for copy in copies_of(pixels, samples=100, flip=True):
        mirrored += np.array_equal(copy, np.fliplr(pixels))
        assert np.array_equal(copy, np.fliplr(pixels)) or np.array_equal(copy, pixels)
    assert stats.binomtest(mirrored, 600, 0.5).pvalue > 1e-3
    assert np.array_equal(copies_of(pixels, copies=1)[0], pixels)


def test_angles_are_uniform_and_turn_about_the_centre() -> None:
    pixels = np.zeros((81, 81), np.uint8)
    pixels[38:43, 68:73] = 255  # 30 to the right of the centre
    angles = []
    for copy in copies_of(pixels, samples=50, rotation=20.0):
        row, column = ndimage.center_of_mass(copy[:, :, 0])
        assert math.hypot(row - 40, column - 40) == pytest.approx(30, abs=0.1)
        angles.append(math.degrees(math.atan2(40 - row, column - 40)))
    assert stats.kstest(angles, stats.uniform(-20, 40).cdf).pvalue > 1e-3


def test_rotation_is_that_of_another_library() -> None:
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(80, 80)), 4)
    pixels = np.interp(smooth, (smooth.min(), smooth.max()), (20, 235)).astype(np.uint8)
    (copy,) = copies_of(pixels, copies=1, rotation=30.0)[..., 0].astype(float)

    def error(angle: float) -> float:
        turned = ndimage.rotate(pixels.astype(float), angle, reshape=False, order=1)
        return float(np.abs(turned - copy)[20:60, 20:60].max())

    best = min(np.arange(-30, 30.1, 0.25), key=error)
    assert error(best) < 2
    assert min(error(best - 5), error(best + 5)) > 10


def test_noise_is_gaussian_and_a_grey_image_stays_grey() -> None:
    (copy,) = copies_of(np.full((200, 200), 128, np.uint8), copies=1, noise=8.0)
    assert np.array_equal(copy, np.repeat(copy[:, :, :1], 3, axis=2))
    drawn = copy[:, :, 0].ravel().astype(float) - 128
    # Rounding to whole grey values adds the variance of a uniform distribution of width 1.
    variance = 64 + 1 / 12
    low, high = stats.chi2(drawn.size - 1).ppf([5e-4, 1 - 5e-4]) * variance / (drawn.size - 1)
    assert low < drawn.var(ddof=1) < high
    assert abs(drawn.mean()) < 4 * math.sqrt(variance / drawn.size)
    bins = np.arange(-24.5, 25)
    expected = np.diff(stats.norm(0, 8).cdf(bins)) * drawn.size
    observed, _ = np.histogram(drawn, bins)
    assert stats.chi2(len(expected)).sf(((observed - expected) ** 2 / expected).sum()) > 1e-3


def test_noise_of_colours_is_independent_and_stays_in_range() -> None:
    colour = np.broadcast_to(np.array([0, 128, 120], np.uint8), (100, 100, 3))
    (copy,) = copies_of(np.ascontiguousarray(colour), copies=1, noise=20.0)
    assert np.mean(copy[:, :, 0] == 0) == pytest.approx(stats.norm(0, 20).cdf(0.5), abs=0.02)
    assert abs(stats.pearsonr(copy[:, :, 1].ravel(), copy[:, :, 2].ravel()).statistic) < 0.04


def test_a_region_is_cut_out_before_it_is_altered() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    samples = (
        Sample("a", "whole.png", "benign", region=(5, 5, 25, 30)),
        Sample("b", "whole.png", "benign", region=(20, 10, 45, 35)),
    )
    made = augment(
        ImageDataset("regions", samples, OneImage(pixels)), dataclasses.replace(STILL, copies=1)
    )
    first, second = (np.asarray(decode(made.read(s), s.region)) for s in made.samples[1::2])
    assert np.array_equal(first[..., 0], pixels[5:30, 5:25])
    assert np.array_equal(second[..., 0], pixels[10:35, 20:45])


def test_extraction_keeps_copies_and_names_what_fails(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 4)
    (tmp_path / "images" / "002.png").write_bytes(b"no image")
    made = augment(dataset_of(tmp_path / "images"), Augmentation(copies=2))
    options = {"batch_size": 4, "precision": "fp32", "output": tmp_path / "features"}
    result = extract(made, tiny_backbone(), **options)
    assert [identity for identity, _ in result.failures] == ["002.png", "002.png#1", "002.png#2"]
    assert result.n_extracted == 9
    again = extract(made, tiny_backbone(), **options)
    assert (again.path, again.n_extracted, again.n_known) == (result.path, 0, 9)
    features = load_features(result.path)
    assert features.stated_patients.tolist() == ["P0"] * 6 + ["P1"] * 3
    assert len(np.unique(features.X, axis=0)) == 9


@pytest.mark.parametrize(
    ("make", "error", "phrase"),
    [
        (lambda: Augmentation(copies=0), UsageError, "copies must be a whole number from 1"),
        (lambda: Augmentation(copies=1.5), UsageError, "copies must be a whole number"),
        (lambda: Augmentation(seed=-1), UsageError, "seed must be a whole number from 0"),
        (
            lambda: Augmentation(rotation=math.nan),
            UsageError,
            "must be a finite number, not nan",
        ),
        (lambda: Augmentation(rotation=181), UsageError, "from 0 to 180, not 181"),
        (
            lambda: Augmentation(noise=-1),
            UsageError,
            "a number from 0 to 255",
        ),
        (
            lambda: augment(augment(phantom_dataset(n_patients=2), STILL), STILL),
            DataError,
            "it is augmented already",
        ),
        (lambda: augment(region_dataset(1, 1), STILL), UsageError, "holds volumes"),
    ],
)
def test_impossible_augmentations_are_refused(
    make, error: type[BottleneckError], phrase: str
) -> None:
    with pytest.raises(error, match=phrase):
        make()
