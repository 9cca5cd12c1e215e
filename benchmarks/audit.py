"""Sensitivity of the search for near-duplicates to planted copies, and its false pairs.

Copies of images of a data set are planted under new patients' names and in other folds, one kind
of alteration at a time. In the kinds of ``SOURCES`` the copied image itself is altered as well: it
shows the border, and its copy does not. A copy is found if its pair with the original is; a false
pair is any other pair of different patients. Thumbnails alone decide: features, where there are
any, confirm further pairs.

    python benchmarks/audit.py images/labels.csv --path-column image
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from skimage.exposure import equalize_adapthist

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import decode, pixel_facts
from bottleneck.data.readers import load_dataset
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups, leak_safe_groups

Alter = Callable[[Image.Image, np.random.Generator], Image.Image]

_TURNS = Image.Transpose


def _encode(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(30, 96)))
    return Image.open(buffer)


def _rescale(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    factor = rng.uniform(0.25, 2)
    width, height = (max(8, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _squash(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = (round(side * rng.uniform(0.5, 1.5)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _rotate(image: Image.Image, rng: np.random.Generator, **options: bool) -> Image.Image:
    return image.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR, **options)


def _augment(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    flipped = image.transpose(_TURNS.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image
    pixels = np.asarray(_rotate(flipped, rng), float)
    noisy = np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255)
    return Image.fromarray(noisy.astype(np.uint8))


def _border(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add a border of one grey value, of 0 to 20 % of the sides and 5 % on at least one side."""
    widths = rng.uniform(0, 0.2, 4)
    widths[rng.integers(4)] = rng.uniform(0.05, 0.2)
    left, top, right, bottom = np.round(widths * np.tile(image.size, 2)).astype(int).tolist()
    fill = int(rng.choice([0, 0, 0, 32, 128, 255]))
    return ImageOps.expand(image.convert("L"), (left, top, right, bottom), fill)


def _sector(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Black out what lies outside a sector whose apex is above the image."""
    width, height = image.size
    x, y = width * rng.uniform(0.4, 0.6), -height * rng.uniform(0.2, 0.6)
    reach = height * rng.uniform(0.95, 1.05) - y
    half = np.rad2deg(np.arctan(width / 2 / (height * rng.uniform(0.45, 0.7) - y)))
    mask = Image.new("L", image.size)
    box = (x - reach, y - reach, x + reach, y + reach)
    ImageDraw.Draw(mask).pieslice(box, 90 - half, 90 + half, fill=255)
    return Image.composite(image.convert("L"), Image.new("L", image.size), mask)


_CAPTIONS = ("THYROID RT LOBE TRANS", "12L 9.0 MHz 31 fps", "MI 1.2 TIS 0.4", "D1 2.31 cm", "SAG")


def _caption(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Write one to three lines, half of the time on a black or a grey ground."""
    image = image.convert("L")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(image.height * rng.uniform(0.05, 0.09))
    text = "\n".join(rng.choice(_CAPTIONS, rng.integers(1, 4)).tolist())
    _, _, width, height = draw.textbbox((0, 0), text, font)
    x = rng.uniform(0, max(1, image.width - width))
    y = rng.choice([0.02 * image.height, 0.97 * image.height - height])
    if rng.random() < 0.5:
        draw.rectangle((x - 4, y - 4, x + width + 4, y + height + 4), int(rng.choice([0, 64])))
    draw.text((x, y), text, 255, font)
    return image


def _move(image: Image.Image, scale: float, x: float, y: float) -> Image.Image:
    """Scale an image about its centre and move it by shares of its sides."""
    width, height = image.size
    left = width / 2 - (width / 2 + x * width) / scale
    top = height / 2 - (height / 2 + y * height) / scale
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        (1 / scale, 0, left, 0, 1 / scale, top),
        Image.Resampling.BICUBIC,
    )


def _shift(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _move(image, 1, *rng.uniform(-0.15, 0.15, 2))


def _zoom(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _move(image, rng.uniform(0.85, 1.15), 0, 0)


def _cut(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut out a window of 85 % of the sides."""
    x, y = (rng.uniform(0, 0.15) * side for side in image.size)
    window = (x, y, x + 0.85 * image.width, y + 0.85 * image.height)
    return image.crop(tuple(round(edge) for edge in window))


def _gamma(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    curve = 255 * np.linspace(0, 1, 256) ** np.exp2(rng.uniform(-1, 1))
    return image.convert("L").point(curve.astype(int).tolist())


def _s_curve(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    middle, slope = rng.uniform(0.2, 0.5), rng.uniform(5, 12)
    curve = 1 / (1 + np.exp(-slope * (np.linspace(0, 1, 256) - middle)))
    curve = 255 * (curve - curve[0]) / (curve[-1] - curve[0])
    return image.convert("L").point(curve.astype(int).tolist())


def _equalise(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Equalise local histograms of limited contrast (CLAHE)."""
    pixels = np.asarray(image.convert("L"))
    equal = equalize_adapthist(pixels, clip_limit=rng.uniform(0.01, 0.03))
    return Image.fromarray((255 * equal).astype(np.uint8))


def _in_turn(*steps: Alter) -> Alter:
    def alter(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for step in steps:
            image = step(image, rng)
        return image

    return alter


def _choose(*turns: Image.Transpose) -> Alter:
    return lambda image, rng: image.transpose(turns[rng.integers(len(turns))])


_FLIP = _choose(_TURNS.FLIP_LEFT_RIGHT, _TURNS.FLIP_TOP_BOTTOM)

KINDS: dict[str, Alter] = {
    "re-encoded (JPEG, quality 30–95)": _encode,
    "rescaled (0.25–2 times)": _rescale,
    "rescaled, sides apart (0.5–1.5 times)": _squash,
    "flipped": _FLIP,
    "rotated by quarter turns": _choose(_TURNS.ROTATE_90, _TURNS.ROTATE_180, _TURNS.ROTATE_270),
    "rotated by up to 15°": _rotate,
    "rotated by up to 15°, frame grown": lambda i, rng: _rotate(i, rng, expand=True),
    "rotated by any angle": lambda i, rng: i.rotate(rng.uniform(0, 360), Image.Resampling.BILINEAR),
    "brightened (1.1–2 times)": lambda i, rng: i.point(
        (np.arange(256) * rng.uniform(1.1, 2)).clip(0, 255).astype(int).tolist() * 3
    ),
    "brightened (by 20–80)": lambda i, rng: i.point(
        (np.arange(256) + rng.integers(20, 81)).clip(0, 255).tolist() * 3
    ),
    "flipped, rotated by up to 15°, noise 8": _augment,
    "border added": _border,
    "border removed": lambda i, rng: i,
    "outside of a sector blacked out": _sector,
    "caption burned in": _caption,
    "shifted by up to 15 %": _shift,
    "scaled by up to 15 %": _zoom,
    "window of 85 % of the sides": _cut,
    "gamma (0.5–2)": _gamma,
    "S-curve": _s_curve,
    "local histograms equalised (CLAHE)": _equalise,
    "border, flipped, gamma": _in_turn(_border, _FLIP, _gamma),
    "caption, scaled by up to 15 %": _in_turn(_caption, _zoom),
    "window of 85 %, S-curve, JPEG": _in_turn(_cut, _s_curve, _encode),
    "shifted and scaled by up to 15 %": _in_turn(_zoom, _shift),
    "rotated by up to 15°, scaled by up to 15 %": _in_turn(_rotate, _zoom),
    "cropped to 95 %": lambda i, rng: i.crop(_inset(i, 0.025)),
    "cropped to 90 %": lambda i, rng: i.crop(_inset(i, 0.05)),
}

# How the image that is copied is altered itself.
SOURCES: dict[str, Alter] = {"border removed": _border}


def _inset(image: Image.Image, share: float) -> tuple[int, int, int, int]:
    x, y = round(image.width * share), round(image.height * share)
    return x, y, image.width - x, image.height - y


@dataclasses.dataclass(frozen=True)
class Altered:
    """The images of a data set, some of them altered, and the copies that were planted."""

    original: ImageDataset
    changed: dict[str, bytes]

    def read(self, source: str) -> bytes:
        return self.changed[source] if source in self.changed else self.original.images.read(source)


def plant(
    dataset: ImageDataset, alter: Alter, n: int, seed: int, source: Alter | None = None
) -> ImageDataset:
    """Add altered copies of n images, each of a new patient and in another fold.

    ``source`` alters the images that are copied, but not their copies.
    """
    rng = np.random.default_rng(seed)
    folds = sorted({s.fold or "" for s in dataset.samples})
    samples, changed = list(dataset.samples), {}
    for number in sorted(rng.choice(len(dataset), n, replace=n > len(dataset)).tolist()):
        sample = dataset.samples[number]
        image = decode(dataset.read(sample), sample.region)
        name = f"planted/{number}"
        changed[name] = _write(alter(image, rng))
        if source is not None:
            changed[f"source/{number}"] = _write(source(image, rng))
            samples[number] = dataclasses.replace(sample, source=f"source/{number}", region=None)
        others = [f for f in folds if f != (sample.fold or "")] or [""]
        fold = str(rng.choice(others)) or None
        samples.append(Sample(name, name, sample.label, group=f"copy {number}", fold=fold))
    return ImageDataset("planted", tuple(samples), Altered(dataset, changed))


def _write(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    if image.format == "JPEG":
        image.save(buffer, "JPEG", quality="keep")
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def search(dataset: ImageDataset) -> tuple[LeakSafeGroups, float]:
    """Search a data set as the audit does, and return the processor time in seconds as well."""
    facts = [pixel_facts(decode(dataset.read(s), s.region)) for s in dataset.samples]
    started = time.process_time()
    found = leak_safe_groups(
        np.stack([np.frombuffer(f.thumbnail, np.uint8).reshape(32, 32) for f in facts]),
        np.array([s.group for s in dataset.samples]),
        np.array([s.id for s in dataset.samples]),
        pixels=np.array([f.pixels for f in facts]),
        sizes=np.array([f.size for f in facts]),
    )
    return found, time.process_time() - started


def score(dataset: ImageDataset, found: LeakSafeGroups) -> tuple[int, int]:
    """Count copies whose pair with the original was found, and false pairs."""
    truth = []
    for row, sample in enumerate(dataset.samples):
        folder, _, number = sample.source.partition("planted/")
        truth.append(int(number) if not folder and number else row)
    patients = [dataset.samples[row].group for row in truth]
    caught, false = set(), 0
    for pair in found.pairs:
        if truth[pair.a] == truth[pair.b]:
            caught.add(max(pair.a, pair.b))
        elif patients[pair.a] != patients[pair.b]:
            false += 1
    return len(caught), false


def main() -> None:
    """Plant, search and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--path-column")
    parser.add_argument("--fold-column")
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    columns = {"path": options.path_column, "fold": options.fold_column}
    dataset = load_dataset(options.dataset, columns={k: v for k, v in columns.items() if v})
    untouched, _ = search(dataset)
    assert untouched.search is not None
    _, false = score(dataset, untouched)
    print(f"{len(dataset)} untouched images, {untouched.search.compared:,} pairs:")
    print(f"{len(untouched.pairs)} flagged, {false} of them of different patients; ", end="")
    print(f"threshold {untouched.search.threshold:.3f}\n")
    print("| alteration | found | of | false pairs | threshold | processor, s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for seed, (kind, alter) in enumerate(KINDS.items(), options.seed):
        planted = plant(dataset, alter, options.copies, seed, SOURCES.get(kind))
        found, seconds = search(planted)
        assert found.search is not None
        caught, false = score(planted, found)
        numbers = f"{caught} | {options.copies} | {false} | {found.search.threshold:.2f}"
        print(f"| {kind} | {numbers} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
