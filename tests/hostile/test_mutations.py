"""Damaged files of every format: read, or refused by an error of ours; never anything else."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import torch
from made import dataset_of, make_images
from made_dicom import dicom, rle
from made_features import make_features
from PIL import Image
from pydicom import uid

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.inputs.preprocessing_presets import find_preprocessing
from bottleneck.backbones.layouts import keras
from bottleneck.backbones.layouts.checkpoint import read_checkpoint
from bottleneck.backbones.weights.folder import read_records
from bottleneck.data.images.decode import PixelFacts, decode
from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.tables.csv_tables import read_columns
from bottleneck.data.samples.sample_table import Sample
from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.model_file import read_model
from bottleneck.errors import BottleneckError
from bottleneck.evaluation.cross_validation.imported_predictions import load_imported
from bottleneck.features.extraction import extract
from bottleneck.features.file.journal import Journal
from bottleneck.features.file.reader import load_features, read_provenance
from bottleneck.features.file.stored_rows import StoredRows
from bottleneck.features.rows import ImageRow
from bottleneck.finetune.training_options import read_training_options
from bottleneck.predictions.prediction_tables import read_predictions
from bottleneck.settings.config import read_configuration
from bottleneck.studies.study import read_study
from bottleneck.testing import tiny_backbone

Read = Callable[[], object]
PIXELS = np.random.default_rng(0).integers(0, 4096, (16, 16), np.uint16)
LOG: tuple[dict[str, Any], str] = ({"batch_size": 4, "drift": None}, "a")


def feature_file(folder: Path) -> tuple[Path, Read]:
    make_images(folder / "images", 5)
    dataset = dataset_of(folder / "images")
    path = extract(dataset, tiny_backbone(), precision="fp32", output=folder).path

    def read() -> None:
        read_provenance(path)
        features = load_features(path)
        assert len(features) == len(features.y) == len(features.X)
        stored = StoredRows(path)
        stored.read(list(stored.numbers.values()))

    return path, read


def log(folder: Path) -> tuple[Path, Read]:
    path, facts = folder / "x.h5.unfinished", PixelFacts("a", (1, 2), 0.5, bytes(1024))
    with Journal(path, *LOG) as journal:
        for n in range(3):
            values = np.full((4, 8), n, np.float32)
            if n == 2:  # As those of volumes.
                facts = dataclasses.replace(facts, box=(0.0, -1.0, 2.5, 8.0, 7.0, 10.5))
            rows = [ImageRow(i, Sample("i", "s", "l"), f"{n}{i}", facts=facts) for i in range(4)]
            journal.append(rows, values, 1.0, [])

    def read() -> None:
        with Journal(path, *LOG) as journal:
            for key, number in journal.numbers.items():
                # Whatever is left of a log, a row in it is the one that was written.
                assert (journal.read([number])[1] == int(key[0])).all()

    return path, read


def model(folder: Path) -> tuple[Path, Read]:
    features = make_features(n_patients=12)
    path = fit(features, "logistic", inner_splits=2).save(folder / "m.skops")
    return path, lambda: read_model(path).predict(features)


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


def plain_dicom(folder: Path) -> tuple[Path, Read]:
    window = {"WindowCenter": [300, 40], "WindowWidth": [400, 80], "RescaleSlope": 2}
    return scan(folder, dicom(PIXELS, bits=12, PatientID="P1", RescaleIntercept=-1024, **window))


def rle_dicom(folder: Path) -> tuple[Path, Read]:
    return scan(folder, rle(PIXELS, WindowCenter=300, WindowWidth=400))


def jpeg_dicom(folder: Path) -> tuple[Path, Read]:
    stream = imagecodecs.jpeg8_encode(PIXELS, lossless=True)
    return scan(folder, dicom(PIXELS, uid.JPEGLosslessSV1, stream=stream, bits=12))


def jpeg_ls_dicom(folder: Path) -> tuple[Path, Read]:
    stream = imagecodecs.jpegls_encode(PIXELS)
    return scan(folder, dicom(PIXELS, uid.JPEGLSLossless, stream=stream, bits=12))


def jpeg_2000_dicom(folder: Path) -> tuple[Path, Read]:
    stream = imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k", reversible=True)
    window = {"WindowCenter": 300, "WindowWidth": 400}
    return scan(folder, dicom(PIXELS, uid.JPEG2000Lossless, stream=stream, **window))


def scan(folder: Path, data: bytes) -> tuple[Path, Read]:
    path = folder / "a" / "1.dcm"
    path.parent.mkdir()
    path.write_bytes(data)
    (folder / "b").mkdir()  # A folder of one class is refused.
    Image.new("L", (9, 9)).save(folder / "b" / "1.png")

    def read() -> None:
        load_dataset(folder)
        assert decode(path.read_bytes()).mode == "RGB"

    return path, read


def split_list(folder: Path) -> tuple[Path, Read]:
    _, read = voc(folder)
    return folder / "ImageSets" / "Main" / "train.txt", read


def safetensors(folder: Path) -> tuple[Path, Read]:
    from safetensors.torch import save_file

    path = folder / "w.safetensors"
    save_file(tensors(), path)
    return path, lambda: weights(path)


def pth(folder: Path) -> tuple[Path, Read]:
    path = folder / "w.pth"
    torch.save({"state_dict": tensors(), "epoch": 3}, path)
    return path, lambda: weights(path)


def old_pth(folder: Path) -> tuple[Path, Read]:
    path = folder / "w.pth"
    torch.save(tensors(), path, _use_new_zipfile_serialization=False)
    return path, lambda: weights(path)


def keras_h5(folder: Path) -> tuple[Path, Read]:
    path = folder / "w.h5"
    text = h5py.string_dtype()  # In heaps, where HDF5 finds no end, and crashes.
    with h5py.File(path, "w") as file:
        names = [f"conv2d_{n}" for n in range(4)]
        file.attrs["layer_names"] = np.array(names, text)
        for name in names:
            file.create_group(name).attrs["weight_names"] = np.array(["k", "b"], text)
            file[name]["k"] = np.ones((3, 3, 2, 2), np.float32)
            file[name]["b"] = np.ones(2, np.float32)
    return path, lambda: weights(path)


def tensors() -> dict[str, torch.Tensor]:
    return {"conv1.weight": torch.ones(4, 3, 3, 3), "bn1.num_batches_tracked": torch.tensor(3)}


def weights(path: Path) -> None:
    for state in read_checkpoint(path).values():
        for tensor in state.values():
            tensor.clone()


def weight_record(folder: Path) -> tuple[Path, Read]:
    path = folder / "w.pth.json"
    fields = {"encoder": "vgg16", "weights": "own", "file": "w.pth", "sha256": 64 * "0"}
    path.write_text(json.dumps(fields | {"layout": "timm", "source": "x", "licence": None}))
    return path, lambda: read_records(folder)


def training_record(folder: Path) -> tuple[Path, Read]:
    predictions(folder)
    path = folder / "training.json"
    fold = {"repeat": 0, "fold": 0, "curve": [{"epoch": 1, "train_loss": 0.5, "val_auroc": 0.7}]}
    path.write_text(json.dumps({"name": "x", "seconds": 3.0, "device": "cpu", "folds": [fold]}))
    return path, lambda: load_imported(folder / "p.csv")


def preprocessing(folder: Path) -> tuple[Path, Read]:
    path = folder / "p.toml"
    path.write_text(
        'resize = 18\ncrop = 16\ninterpolation = "bilinear"\nmean = [0.5, 0.5, 0.5]\n'
        'std = [0.5, 0.5, 0.5]\nchannels = "BGR"\nsquash = false\nresizer = "pillow"\n'
    )
    image, encoder = Image.new("RGB", (40, 30)), find_encoder("resnet18")
    return path, lambda: find_preprocessing(str(path), encoder).pixels(image)


def training_options(folder: Path) -> tuple[Path, Read]:
    path = folder / "t.toml"
    path.write_text(
        'backbone = "resnet18"\nepochs = 3\nlearning-rate = 0.001\nbatch_size = 4\nseed = 1\n'
        'augment = true\nrotation = 5.0\nweights = "random"\nworkers = "auto"\n'
        "[class_weights]\na = 1.5\nb = 0.5\n"
    )
    return path, lambda: read_training_options(path)


def study(folder: Path) -> tuple[Path, Read]:
    path = folder / "s.toml"
    path.write_text(
        'name = "s"\ntitle = "t"\ndata = "x"\nnotes = ["n"]\n[training]\nepochs = 3\n'
        '[[protocols]]\nname = "cv"\nkind = "cv"\nfolds = 5\nrepeats = 2\npublished = "test"\n'
        "[protocols.augment]\ncopies = 2\n"
        '[[arms]]\nname = "f"\nbackbone = "vgg16"\nhead = "svm"\nmodel = "M"\n'
        '[[arms]]\nname = "n"\nbackbone = "resnet18"\nkind = "trained"\n'
        "[arms.training]\nepochs = 2\n"
        '[[published]]\nname = "test"\nn = 100\npositives = 40\ndecimals = 2\n'
        '[[published.rows]]\nmodel = "M"\nauroc = "0.82"\naccuracy = "71.5 %"\n'
        "matrix = { tp = 30, fn = 10, fp = 5, tn = 55 }\n"
        '[[published.other_counts]]\nn = 90\nwhere = "abstract"\n'
        '[[published.frequencies]]\nwhere = "text"\nnegatives = 60\npositives = 40\n'
        '[[tests]]\na = "M"\nb = "M"\nmetric = "auroc"\np = "<0.01"\n'
    )
    return path, lambda: read_study(path)


def configuration(folder: Path) -> tuple[Path, Read]:
    path = folder / "bottleneck.toml"
    path.write_text(
        '[dataset]\npath = "x"\ncrop = true\npatient_pattern = "P\\\\d"\n'
        '[dataset.columns]\npath = "image"\n[weights]\nfolder = "w"\n'
    )
    return path, lambda: read_configuration(folder)


# Other images and MedMNIST have such tests in the modules of their readers.
FORMATS = {
    feature_file: 250,
    log: 300,
    model: 60,
    predictions: 100,
    columns: 100,
    manifest: 150,
    ddti: 150,
    voc: 150,
    plain_dicom: 200,
    rle_dicom: 100,
    jpeg_dicom: 100,
    jpeg_ls_dicom: 100,
    jpeg_2000_dicom: 100,
    split_list: 50,
    safetensors: 150,
    pth: 100,
    old_pth: 100,
    keras_h5: 8,
    weight_record: 100,
    training_record: 150,
    preprocessing: 200,
    training_options: 200,
    study: 200,
    configuration: 200,
}
# Texts in which a value can be replaced by another one, where chance would only break the text.
VALUES = (weight_record, training_record, preprocessing, training_options, study, configuration)
ODD = (
    *("0", "-1", "1000000", "9" * 25, "0.5", "-0.5", "1e400", "true", '""', '"x"', '"\\u0000"'),
    *('"' + "x" * 5000 + '"', "[]", "[1]", '["x"]', "[[]]", "[0.5, 0.5, 0.5]", "[1, 2, 1e400]"),
)
ODD_TOML = (*ODD, "nan", "inf", "{}", "{ a = 1 }", "1979-05-27", "[{}]")
ODD_JSON = (*ODD, "null", "NaN", "{}", '{"a": 1}', "[null]")


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


def replace_value(data: bytes, rng: random.Random) -> bytes:
    """Put an odd value, or several, in the place of a key's."""
    text = data.decode()
    is_json = text.startswith("{")
    for _ in range(rng.choice((1, 1, 2))):
        value = r'"(?:[^"])*"|\[[^\[\]]*\]|\{[^{}]*\}|[\w.+-]+'
        found = list(
            re.finditer(rf"(?<=: )(?:{value})" if is_json else rf"(?<== )(?:{value})", text)
        )
        place = rng.choice(found)
        odd = rng.choice(ODD_JSON if is_json else ODD_TOML)
        text = text[: place.start()] + odd + text[place.end() :]
    return text.encode()


def check(make: Callable[[Path], tuple[Path, Read]], folder: Path, n: int, seed: int) -> None:
    path, read = make(folder)
    whole = path.read_bytes()
    read()
    rng = random.Random(seed)
    for number in range(n):
        how = replace_value if make in VALUES and number % 2 else mutate
        path.write_bytes(how(whole, rng))
        with contextlib.suppress(BottleneckError):
            read()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    # What HDF5 finds no end in need not be waited for as long as for a slow disk.
    monkeypatch.setattr(keras, "_SECONDS", 5.0)


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
