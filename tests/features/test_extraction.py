"""Extraction of good, bad, new, changed and unfinished images."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import filelock
import h5py
import numpy as np
import pytest
import torch
from made import dataset_of, make_images
from PIL import Image

from bottleneck.backbones.backbone import load_backbone
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.errors import DataError, FeatureFileError, UsageError
from bottleneck.features.extraction import extract
from bottleneck.features.extraction_result import Extraction
from bottleneck.features.file.journal import Journal
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

MakeImages = Callable[[int], Path]


def run(folder: Path, output: Path, **options: object) -> Extraction:
    options = {"batch_size": 8, "workers": 2, "precision": "fp32", **options}
    return extract(dataset_of(folder), tiny_backbone(), output=output, **options)


def by_hand(folder: Path) -> np.ndarray:
    """The tiny network on every image, one at a time, with torch alone."""
    network = tiny_backbone().network
    rows = []
    for path in sorted(folder.iterdir()):
        grey = Image.open(path).convert("RGB").resize((16, 16), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.asarray(grey).copy()).permute(2, 0, 1)[None].float() / 255
        rows.append(network((x - 0.5) / 0.5).mean((2, 3))[0])
    return torch.stack(rows).detach().numpy()


def test_features_are_those_of_the_network(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(21)
    result = run(folder, tmp_path / "features")
    features = load_features(result.path)
    np.testing.assert_allclose(features.X, by_hand(folder), rtol=1e-5, atol=1e-6)
    names = [path.name for path in sorted(folder.iterdir())]
    assert features.ids.tolist() == names
    assert features.sources.tolist() == names
    assert features.sha256.tolist() == [
        hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names
    ]
    assert features.stated_patients.tolist()[:4] == ["P0", "P0", "P1", "P1"]
    assert features.y.tolist()[:4] == ["benign", "benign", "malignant", "malignant"]
    assert features.size.tolist() == [[24, 24]] * 21


def test_second_run_has_nothing_to_do(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(10)
    first = run(folder, tmp_path)
    before = first.path.read_bytes()
    second = run(folder, tmp_path)
    assert (second.n_extracted, second.n_known) == (0, 10)
    assert first.path.read_bytes() == before


def test_growth_and_change_cost_only_what_is_new(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(12)
    first = load_features(run(folder, tmp_path / "f").path)
    make_images(folder, 3, first=20)
    (folder / "004.png").write_bytes((folder / "021.png").read_bytes() + b"\0")
    (folder / "007.png").unlink()
    result = run(folder, tmp_path / "f")
    assert (result.n_extracted, result.n_known) == (4, 10)
    assert any("4 images changed" in n or "1 image changed" in n for n in result.notes)
    assert any("1 image no longer in the data set" in n for n in result.notes)
    second = load_features(result.path)
    np.testing.assert_allclose(second.X, by_hand(folder), rtol=1e-5, atol=1e-6)
    kept = [i for i in first.ids if i not in ("004.png", "007.png")]
    for identity in kept:
        np.testing.assert_array_equal(
            second.X[second.ids == identity], first.X[first.ids == identity]
        )


def test_new_labels_need_no_new_features(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(6)
    run(folder, tmp_path)
    dataset = dataset_of(folder)
    relabelled = dataclasses.replace(
        dataset, samples=tuple(dataclasses.replace(s, label="cyst") for s in dataset.samples)
    )
    result = extract(relabelled, tiny_backbone(), precision="fp32", output=tmp_path)
    assert result.n_extracted == 0
    assert set(load_features(result.path).y) == {"cyst"}


def test_damaged_images_fail_and_unusual_ones_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    make_images(folder, 3)
    noise = Image.effect_noise((40, 30), 80)
    jpeg = io.BytesIO()
    noise.save(jpeg, "JPEG")
    (folder / "truncated.jpg").write_bytes(jpeg.getvalue()[: len(jpeg.getvalue()) // 2])
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.png").write_text("no image")
    wide = (np.asarray(noise).astype(np.uint16)) * 257
    Image.fromarray(wide).save(folder / "sixteen.png")
    noise.convert("CMYK").save(folder / "cmyk.jpg")
    noise.convert("P").save(folder / "palette.png", transparency=bytes(range(256)))
    exif = Image.Exif()
    exif[0x0112] = 6
    noise.save(folder / "rotated.jpg", exif=exif)
    Image.new("L", (1, 1)).save(folder / "one.png")
    shutil.copy(folder / "000.png", folder / "twin.png")

    result = run(folder, tmp_path / "f")
    failures = dict(result.failures)
    assert set(failures) == {"truncated.jpg", "zero.png", "text.png", "one.png"}
    assert "damaged" in failures["truncated.jpg"]
    assert "empty" in failures["zero.png"]
    assert "not an image" in failures["text.png"]
    assert "1×1" in failures["one.png"]
    features = load_features(result.path)
    assert dict(features.failures) == failures
    labels = {sample.id: sample.label for sample in dataset_of(folder).samples}
    assert {s.id: s.label for s in features.failed_samples} == {i: labels[i] for i in failures}
    rows = dict(zip(features.ids.tolist(), features.X, strict=True))
    assert set(rows) == {p.name for p in folder.iterdir()} - set(failures)
    np.testing.assert_array_equal(rows["twin.png"], rows["000.png"])
    assert any("1 image with the same content" in note for note in result.notes)
    sizes = dict(zip(features.ids.tolist(), features.size.tolist(), strict=True))
    assert sizes["rotated.jpg"] == [30, 40]
    # The 16-bit file holds the same image as its 8-bit original.
    noise.save(tmp_path / "eight.png")
    backbone = tiny_backbone()
    pixels = backbone.preprocessing.pixels(Image.open(tmp_path / "eight.png").convert("RGB"))
    expected = backbone.embed(torch.from_numpy(pixels.copy())[None])[0].numpy()
    np.testing.assert_allclose(rows["sixteen.png"], expected, rtol=1e-5, atol=1e-6)


def test_a_missing_image_is_a_failure_until_it_comes(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(5)
    dataset = dataset_of(folder)
    hidden = (folder / "002.png").rename(tmp_path / "hidden.png")
    options = {"precision": "fp32", "output": tmp_path / "f"}
    first = extract(dataset, tiny_backbone(), **options)
    assert dict(first.failures)["002.png"].startswith("cannot be read: No such file")
    hidden.rename(folder / "002.png")
    second = extract(dataset, tiny_backbone(), **options)
    assert (second.n_extracted, second.failures) == (1, ())
    np.testing.assert_allclose(load_features(second.path).X, by_hand(folder), rtol=1e-5, atol=1e-6)


def test_no_usable_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_text("no")
    with pytest.raises(DataError, match="none of the 1 images"):
        run(tmp_path / "images", tmp_path / "f")


def test_regions_of_one_image_are_rows_of_their_own(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 1, side=64)
    boxes = [None, (0, 0, 32, 32), (32, 32, 64, 64)]
    samples = [Sample(f"s{n}", "000.png", "ab"[n % 2], region=box) for n, box in enumerate(boxes)]
    dataset = ImageDataset("regions", tuple(samples), FileSource(tmp_path / "images"))
    result = extract(dataset, tiny_backbone(), precision="fp32", output=tmp_path)
    features = load_features(result.path)
    assert features.size.tolist() == [[64, 64], [32, 32], [32, 32]]
    assert len({row.tobytes() for row in features.X}) == 3
    assert extract(dataset, tiny_backbone(), precision="fp32", output=tmp_path).n_extracted == 0


def test_a_row_does_not_depend_on_its_batch(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(20)
    whole = load_features(run(folder, tmp_path / "a", batch_size=20).path)
    ones = load_features(run(folder, tmp_path / "b", batch_size=1).path)
    np.testing.assert_allclose(whole.X, ones.X, rtol=1e-5, atol=1e-6)


def test_a_file_keeps_its_batch_size_and_precision(
    image_folder: MakeImages, tmp_path: Path
) -> None:
    folder = image_folder(4)
    first = run(folder, tmp_path / "f", precision="bf16", batch_size=8)
    assert first.provenance["drift"]["cosine"] > 0.999
    make_images(folder, 2, first=10)
    second = run(folder, tmp_path / "f", precision="auto", batch_size=3)
    assert second.path == first.path
    assert second.provenance["batch_size"] == 8
    assert any("batch size 8, not 3" in note for note in second.notes)


def test_every_cut_of_the_log_is_recovered_from(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(12)
    whole = load_features(run(folder, tmp_path / "whole", batch_size=4).path)
    log = _log_of_a_run(folder, tmp_path / "broken")
    data = log.read_bytes()
    rng = np.random.default_rng(0)
    cuts = [0, 1, 19, 20, len(data) - 1, *rng.integers(0, len(data), 25)]
    for number, cut in enumerate(cuts):
        output = tmp_path / f"cut{number}"
        output.mkdir()
        (output / log.name).write_bytes(data[:cut])
        result = run(folder, output, batch_size=4)
        np.testing.assert_array_equal(load_features(result.path).X, whole.X)
        assert not (output / log.name).exists()


def _log_of_a_run(folder: Path, output: Path, **options: object) -> Path:
    """Make a run fail after its last batch, as a full disk would."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bottleneck.features.file.store.write_features", full)
        with pytest.raises(FeatureFileError, match=r"No space left.*Finished work is kept"):
            run(folder, output, batch_size=4, **options)
    (log,) = output.glob("*.unfinished")
    return log


def test_a_full_disk_loses_nothing(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(12)
    _log_of_a_run(folder, tmp_path / "f")
    result = run(folder, tmp_path / "f", batch_size=4)
    assert (result.n_extracted, result.n_known) == (0, 12)
    np.testing.assert_allclose(load_features(result.path).X, by_hand(folder), rtol=1e-5, atol=1e-6)


def test_features_that_are_not_finite_are_refused(image_folder: MakeImages, tmp_path: Path) -> None:
    backbone = tiny_backbone()
    backbone.network[0].weight.fill_(3e38)
    with pytest.raises(UsageError, match="not finite in fp32"):
        extract(dataset_of(image_folder(3)), backbone, precision="fp32", output=tmp_path / "f")


def test_two_runs_into_one_file(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(3)
    path = run(folder, tmp_path / "f").path
    with (
        filelock.FileLock(path.with_name(f".{path.name}.lock")),
        pytest.raises(FeatureFileError, match="being written by another extraction"),
    ):
        run(folder, tmp_path / "f")


def test_another_data_set_of_the_same_name(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 3)
    make_images(tmp_path / "b", 3, first=50)
    path = run(tmp_path / "a", tmp_path / "f").path
    before = path.read_bytes()
    with pytest.raises(FeatureFileError, match=r"another data set.*--name"):
        run(tmp_path / "b", tmp_path / "f")
    assert path.read_bytes() == before


def test_another_data_set_of_the_same_names(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 3)
    make_images(tmp_path / "b", 3, first=50)
    for path in sorted((tmp_path / "b").iterdir()):
        path.rename(tmp_path / "b" / f"00{int(path.stem) - 50}.png")
    path = run(tmp_path / "a", tmp_path / "f").path
    before = path.read_bytes()
    with pytest.raises(FeatureFileError, match=r"another data set.*--name"):
        run(tmp_path / "b", tmp_path / "f")
    assert path.read_bytes() == before
    assert not list((tmp_path / "f").glob("*.unfinished"))


def test_drift_survives_a_kill(image_folder: MakeImages, tmp_path: Path) -> None:
    folder = image_folder(12)
    _log_of_a_run(folder, tmp_path / "f", precision="bf16")
    result = run(folder, tmp_path / "f", batch_size=4, precision="bf16")
    assert result.n_extracted == 0
    assert result.provenance["drift"]["cosine"] > 0.999


def test_a_drift_measured_while_a_batch_is_written_is_kept(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, write = {"images": 4, "cosine": 1.0, "relative": 0.0}, Journal._write

    def slow(self: Journal, payload: bytes) -> int:
        if self.numbers:  # As the lane of the first batch may, while the second is written.
            self.settings["drift"] = measured
        return write(self, payload)

    monkeypatch.setattr(Journal, "_write", slow)
    monkeypatch.setattr(
        "bottleneck.features.compute.batch_runner.BatchRunner.drift", lambda *_: [None]
    )
    result = run(image_folder(12), tmp_path / "f", batch_size=4, precision="bf16")
    assert result.provenance["drift"] == measured


def test_the_recorded_command_holds_no_folder(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["/opt/bin/bottleneck", "extract", f"{tmp_path}/scans/", "--patient-pattern", r"P\d+"]
    monkeypatch.setattr("sys.argv", words)
    command = run(image_folder(2), tmp_path / "f").provenance["command"]
    assert command == r"bottleneck extract scans --patient-pattern 'P\d+'"


def test_a_folder_that_cannot_be_written(image_folder: MakeImages, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot be written.*--output"):
        run(image_folder(3), tmp_path / "file" / "features")


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("precision", "fp8", "unknown precision 'fp8'"),
        ("device", "tpu", "unknown device 'tpu'"),
        ("device", "cuda:99", "no device 'cuda:99'"),
        (
            "batch_size",
            0,
            "batch_size must be a whole number from 1 to 65,536, or auto, not 0",
        ),
        (
            "workers",
            -1,
            "workers must be a whole number from 1 to 1,024, or auto, not -1",
        ),
    ],
)
def test_options_that_cannot_be(
    option: str, value: object, says: str, image_folder: MakeImages, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        run(image_folder(1), tmp_path / "f", **{option: value})


def test_provenance_names_what_made_the_rows(image_folder: MakeImages, tmp_path: Path) -> None:
    result = run(image_folder(5), tmp_path / "f")
    with h5py.File(result.path) as file:
        provenance = json.loads(file.attrs["provenance"])
    assert provenance["format"] == 3
    assert provenance["dataset"]["fingerprint"] == dataset_of(tmp_path / "images").fingerprint
    assert provenance["recipe"]["precision"] == "fp32"
    assert provenance["weights"]["name"] == "random"
    assert provenance["versions"]["torch"] == str(torch.__version__).partition("+")[0]
    assert provenance["images_extracted"] == 5
    assert provenance["seconds"] > 0
    assert provenance["images_per_second"] > 0
    assert provenance["recipe_hash"][:8] in result.path.name


def test_a_folder_named_like_a_package_is_none(
    image_folder: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = metadata.version

    def without(name: str) -> str:
        if name in ("pydicom", "imagecodecs"):
            raise metadata.PackageNotFoundError(name)
        return version(name)

    (tmp_path / "pydicom").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "version", without)
    result = run(image_folder(2), tmp_path / "f")
    assert not {"pydicom", "imagecodecs"} & set(result.provenance["versions"])


@pytest.mark.shared
def test_real_resnet18_equals_torchvision(shared: Path, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    weights = shared / "weights" / "resnet18-imagenet.pth"
    images = sorted((shared / "data" / "ddti-crops" / "images").iterdir())[:20]
    samples = tuple(Sample(p.name, p.name, "nodule") for p in images)
    dataset = ImageDataset("ddti", samples, FileSource(images[0].parent))
    backbone = load_backbone("resnet18", weights=str(weights))
    result = extract(dataset, backbone, precision="fp32", output=tmp_path)

    network = torchvision.models.resnet18()
    state = torch.load(weights, weights_only=True)
    network.load_state_dict({k: v.to(network.state_dict()[k].dtype) for k, v in state.items()})
    network.fc = torch.nn.Identity()
    transform = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    with torch.inference_mode():
        batch = torch.stack([transform(Image.open(p).convert("RGB")) for p in images])
        expected = network.eval()(batch).numpy()
    X = load_features(result.path).X
    error = np.linalg.norm(X - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() <= 1e-4
