"""Reader of MedMNIST archives: images, labels and damaged files."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bottleneck.data.images.decode import decode
from bottleneck.data.readers import load_dataset
from bottleneck.data.readers.published.medmnist import read_medmnist
from bottleneck.errors import DataError

COUNTS = {"train": 5, "val": 2, "test": 3}


def arrays(shape=(28, 28), dtype=np.uint8, label_width=1):
    rng = np.random.default_rng(0)
    made = {}
    for split, n in COUNTS.items():
        made[f"{split}_images"] = rng.integers(0, 256, (n, *shape)).astype(dtype)
        made[f"{split}_labels"] = np.arange(n * label_width).reshape(n, label_width) % 2
    return made


@pytest.fixture(params=[np.savez, np.savez_compressed], ids=["stored", "compressed"])
def save(request, tmp_path):
    def save_as(name="breastmnist", **content):
        request.param(tmp_path / f"{name}.npz", **content)
        return tmp_path / f"{name}.npz"

    return save_as


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3), (5, 9), (5, 9, 3)])
def test_images_and_labels(save, shape):
    made = arrays(shape)
    dataset = load_dataset(save(**made))
    assert dataset.name == "breastmnist"
    assert [s.id for s in dataset.samples] == [
        f"{split}/{index:06d}" for split, n in COUNTS.items() for index in range(n)
    ]
    assert {s.group for s in dataset.samples} == {None}
    for sample in dataset.samples:
        split, index = sample.id.split("/")
        assert sample.split == split
        assert sample.label == str(made[f"{split}_labels"][int(index), 0])
        expected = made[f"{split}_images"][int(index)]
        with Image.open(io.BytesIO(dataset.read(sample))) as image:
            np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize("shape", [(28, 28, 28), (5, 9, 7)])
def test_volumes(save, shape):
    made = arrays(shape)
    dataset = load_dataset(save("organmnist3d", **made))
    assert dataset.noun == "volume"
    for sample in dataset.samples:
        split, index = sample.id.split("/")
        assert (sample.split, sample.volume_region) == (split, None)
        assert sample.label == str(made[f"{split}_labels"][int(index), 0])
        volume = dataset.open_volume(sample)
        assert volume.geometry.shape == shape
        assert volume.geometry.spacing == (1, 1, 1)
        np.testing.assert_array_equal(
            volume.read((0, 0, 0), shape), made[f"{split}_images"][int(index)]
        )
        assert dataset.stamp(sample) is None
        with pytest.raises(DataError, match="is a volume"):
            dataset.read(sample)


def test_bytes_are_the_same_every_time_and_in_every_process(save):
    dataset = load_dataset(save(**arrays()))
    first = [dataset.read(sample) for sample in dataset.samples]
    assert first == [dataset.read(sample) for sample in dataset.samples]
    copied = pickle.dumps(dataset.images)
    assert len(copied) < 1000  # the arrays do not travel
    again = pickle.loads(copied)
    assert first == [again.read(sample.source) for sample in dataset.samples]
    assert first[0].startswith(b"P5\n28 28\n255\n")


def test_the_decoder_of_this_package_takes_them(save):
    made = arrays((28, 28, 3))
    dataset = load_dataset(save(**made))
    np.testing.assert_array_equal(
        np.asarray(decode(dataset.read(dataset.samples[0]))), made["train_images"][0]
    )


def test_flat_labels_and_fortran_order(save):
    made = {k: np.asfortranarray(v) for k, v in arrays((6, 7, 3)).items()}
    made = {k: v.ravel() if "labels" in k else v for k, v in made.items()}
    dataset = load_dataset(save(**made))
    with Image.open(io.BytesIO(dataset.read(dataset.samples[1]))) as image:
        np.testing.assert_array_equal(np.asarray(image), made["train_images"][1])


def test_two_classes_come_with_a_warning_about_1(save):
    assert "in BreastMNIST, 0 is malignant" in load_dataset(save(**arrays())).notes[0]
    made = {k: v * 0 + 3 if "val_l" in k else v for k, v in arrays().items()}
    dataset = load_dataset(save(**made))
    assert dataset.classes == ("0", "1", "3")
    assert dataset.notes == ()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            arrays((28, 28, 4)),
            r"expected 8-bit images .*, or volumes .*, not uint8 \(5, 28, 28, 4\)",
        ),
        (arrays((28, 28, 28, 1)), "expected 8-bit images"),
        (
            {**arrays((9, 9, 9)), "val_images": arrays((9, 9))["val_images"]},
            "images in one split, and volumes in another",
        ),
        (arrays(label_width=14), "multi-label"),
        (arrays(dtype=np.uint16), "expected 8-bit images"),
        (arrays(shape=()), "expected 8-bit images"),
        ({k: v.astype(float) if "lab" in k else v for k, v in arrays().items()}, "integer labels"),
        ({k: v[:1] if "lab" in k else v for k, v in arrays().items()}, "do not fit"),
        ({k: v.astype(object) for k, v in arrays().items()}, "Python objects"),
        ({k: v.astype(object) if "lab" in k else v for k, v in arrays().items()}, "objects"),
        ({k: v for k, v in arrays().items() if k != "val_labels"}, "lacks val_labels"),
        (
            {"X": np.zeros(3)},
            "not a MedMNIST data set: it lacks train_images and contains X.npy",
        ),
        ({}, "contains nothing"),
    ],
)
def test_other_arrays_are_refused(save, made, message):
    with pytest.raises(DataError, match=message):
        load_dataset(save(**made))


def test_an_ordinary_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        archive.writestr("benign/1.png", b"x")
    with pytest.raises(DataError, match=r"scans.zip .* contains benign/1.png"):
        load_dataset(tmp_path / "scans.zip")


def test_a_header_that_promises_too_much(tmp_path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1), np.uint8))
    with zipfile.ZipFile(tmp_path / "forged.npz", "w") as archive:
        for split in COUNTS:
            for kind, shape in {"images": (10**14, 28, 28), "labels": (10**14, 1)}.items():
                data = io.BytesIO()
                np.lib.format.write_array_header_1_0(data, {**header, "shape": shape})
                archive.writestr(f"{split}_{kind}.npy", data.getvalue())
    with pytest.raises(DataError, match="declares 300,000,000,000,000 images"):
        load_dataset(tmp_path / "forged.npz")


@pytest.mark.parametrize("header", [b"[" * 8999 + b"\n", b"(" * 20_000, b"{'descr'", b"\xff\0 1L"])
def test_a_header_that_is_none(tmp_path, header):
    data = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "forged.npz", "w") as archive:
        for split in COUNTS:
            for kind in ("images", "labels"):
                archive.writestr(f"{split}_{kind}.npy", data)
    with pytest.raises(DataError, match=r"forged.npz cannot be read as .npz") as raised:
        load_dataset(tmp_path / "forged.npz")
    assert "allow_pickle" not in str(raised.value)


def test_damage_found_only_when_images_are_read(tmp_path):
    path = tmp_path / "late.npz"
    made = arrays((100, 100))
    np.savez(path, **made)
    raw = path.read_bytes()
    at = raw.index(made["val_images"].tobytes())
    path.write_bytes(raw[:at] + b"damage" + raw[at + 6 :])
    dataset = load_dataset(path)
    with pytest.raises(DataError, match=r"late.npz cannot be read as .npz: Bad CRC-32"):
        dataset.read(dataset.samples[0])


@settings(max_examples=150)
@given(data=st.data(), replacement=st.binary(min_size=1, max_size=12))
def test_a_damaged_file_reads_or_gives_a_clear_error(tmp_path_factory, data, replacement):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays((16, 16)))
    raw = buffer.getvalue()
    at = data.draw(st.integers(0, len(raw) - 1))
    cut = data.draw(st.sampled_from([len(raw), at + 1]))
    path = tmp_path_factory.mktemp("fuzz") / "x.npz"
    path.write_bytes((raw[:at] + replacement + raw[at + len(replacement) :])[:cut])
    try:
        dataset = read_medmnist(path)
        images = [decode(dataset.read(sample)) for sample in dataset.samples]
    except DataError:
        return
    assert len(images) == sum(COUNTS.values())
