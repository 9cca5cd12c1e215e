"""Damaged files of every format: read, or refused by an error of ours; never anything else."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made import dataset_of, make_images
from made_features import make_features

from bottleneck.configuration import read_configuration
from bottleneck.data.decode import PixelFacts
from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.columns import read_columns
from bottleneck.errors import BottleneckError
from bottleneck.features.extraction import extract
from bottleneck.features.journal import Journal
from bottleneck.features.store import load_features, read_provenance
from bottleneck.features.stored import StoredRows
from bottleneck.heads.persistence import load_model
from bottleneck.heads.training import fit
from bottleneck.predictions import read_predictions
from bottleneck.testing import tiny_backbone

Read = Callable[[], object]
LOG = {"recipe_hash": "a", "batch_size": 4, "drift": None}


def feature_file(folder: Path) -> tuple[Path, Read]:
    make_images(folder / "images", 5)
    dataset = dataset_of(folder / "images")
    path = extract(dataset, tiny_backbone(), precision="fp32", output=folder).path

    def read() -> None:
        read_provenance(path)
        features = load_features(path)
        assert len(features) == len(features.y) == len(features.X)
        stored = StoredRows(path)
        stored.features(list(stored.numbers.values()))

    return path, read


def log(folder: Path) -> tuple[Path, Read]:
    path, facts = folder / "x.h5.unfinished", [PixelFacts("a", "b", (1, 2), 0.5, "00")] * 4
    with Journal(path, LOG) as journal:
        for n in range(3):
            values = np.full((4, 8), n, np.float32)
            journal.append([f"{n}{i}" for i in range(4)], facts, values, 1.0)

    def read() -> None:
        with Journal(path, LOG) as journal:
            for key, number in journal.numbers.items():
                # Whatever is left of a log, a row in it is the one that was written.
                assert (journal.read([number])[1] == int(key[0])).all()

    return path, read


def model(folder: Path) -> tuple[Path, Read]:
    features = make_features(n_patients=12)
    path = fit(features, "logistic", inner_splits=2).save(folder / "m.skops")
    return path, lambda: load_model(path).predict(features)


def predictions(folder: Path) -> tuple[Path, Read]:
    path = folder / "p.csv"
    rows = [f"i{i},g{i // 2},0,{i % 3},a,b,test,0.2,0.8,0.1,0.9" for i in range(6)]
    header = "id,group,repeat,fold,label,predicted,part,score_a,score_b"
    path.write_text("\n".join([f"{header},probability_a,probability_b", *rows, ""]))
    return path, lambda: read_predictions(path)


def columns(folder: Path) -> tuple[Path, Read]:
    path = folder / "c.csv"
    path.write_text("id;age;sex\n" + "".join(f'i{i};{i};"m"\n' for i in range(6)))
    return path, lambda: read_columns(path, ["age"], [f"i{i}" for i in range(6)])


def manifest(folder: Path) -> tuple[Path, Read]:
    make_images(folder, 4)
    path = folder / "m.csv"
    rows = "".join(f'00{i}.png,"{"ab"[i % 2]}",P{i // 2},train\n' for i in range(4))
    path.write_text(f"path,label,patient,split\n{rows}")
    return path, lambda: load_dataset(path)


def ddti(folder: Path) -> tuple[Path, Read]:
    make_images(folder, 1)
    (folder / "000.png").rename(folder / "1_1.jpg")
    points = [{"points": [{"x": 1, "y": 2}, {"x": 20, "y": 9}], "regionType": "freehand"}]
    path = folder / "1.xml"
    path.write_text(
        f"<case><number>1</number><tirads>4a</tirads><mark><image>1</image>"
        f"<svg>{json.dumps(points)}</svg></mark></case>"
    )
    return path, lambda: load_dataset(folder, crop=True)


def voc(folder: Path) -> tuple[Path, Read]:
    make_images(folder / "JPEGImages", 1)
    (folder / "JPEGImages" / "000.png").rename(folder / "JPEGImages" / "1.jpg")
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for split in ("train", "val", "test"):
        listed = "1\n" if split == "train" else ""
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(listed)
    path = folder / "Annotations" / "1.xml"
    path.parent.mkdir()
    path.write_text(
        "<annotation><object><name>1</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax>"
        "<ymax>9</ymax></bndbox></object></annotation>"
    )
    return path, lambda: load_dataset(folder, crop=True)


def configuration(folder: Path) -> tuple[Path, Read]:
    path = folder / "bottleneck.toml"
    path.write_text(
        '[dataset]\npath = "x"\ncrop = true\npatient_pattern = "P\\\\d"\n'
        '[dataset.columns]\npath = "image"\n[weights]\nfolder = "w"\n'
    )
    return path, lambda: read_configuration(folder)


# Images and MedMNIST have tests of this kind of their own, beside their readers.
FORMATS = {
    feature_file: 250,
    log: 300,
    model: 60,
    predictions: 100,
    columns: 100,
    manifest: 150,
    ddti: 150,
    voc: 150,
    configuration: 200,
}


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change, drop, insert, copy or cut off some bytes."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at, kind = rng.randrange(len(made) + 1), rng.random()
        if kind < 0.5:
            made[at : at + 1] = rng.randbytes(1)
        elif kind < 0.65:
            n = rng.choice((1, 2, 4, 8))
            made[at : at + n] = rng.choice((b"\0", b"\xff", b"\x7f")) * n
        elif kind < 0.75:
            del made[at : at + rng.randrange(1, 20)]
        elif kind < 0.85:
            made[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind < 0.95:
            other = rng.randrange(len(made) + 1)
            made[at : at + 8] = made[other : other + 8]
        else:
            del made[at:]
    return bytes(made)


def check(make: Callable[[Path], tuple[Path, Read]], folder: Path, n: int, seed: int) -> None:
    path, read = make(folder)
    whole = path.read_bytes()
    read()
    rng = random.Random(seed)
    for _ in range(n):
        path.write_bytes(mutate(whole, rng))
        with contextlib.suppress(BottleneckError):
            read()


@pytest.mark.parametrize("make", FORMATS)
def test_damaged_files_are_read_or_refused(
    make: Callable[[Path], tuple[Path, Read]], tmp_path: Path
) -> None:
    check(make, tmp_path, FORMATS[make], seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("make", FORMATS)
def test_many_damaged_files_are_read_or_refused(
    make: Callable[[Path], tuple[Path, Read]], tmp_path: Path
) -> None:
    check(make, tmp_path, 20 * FORMATS[make], seed=1)
