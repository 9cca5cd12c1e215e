"""DICOM series from their folders to predictions, with slices of a network of images."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_series import made_ct, slices, write_series

import bottleneck
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume_files import open_volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.testing import tiny_volume_backbone

SHAPE = (16, 16, 5)
GEOMETRY = VolumeGeometry(SHAPE, np.diag([1.0, 1.0, 3.0, 1.0]))
BACKBONE = tiny_volume_backbone(slices="orthogonal")


def write_scan(folder: Path, number: int, level: int) -> None:
    """Write a series of a patient whose values are around a level."""
    stored = made_ct(SHAPE, number) // 8 + level
    files = slices(stored.astype(np.uint16), GEOMETRY, PatientID=f"P{number}")
    write_series(folder, files, number)


@pytest.mark.slow
def test_a_model_of_series_predicts_folders_of_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(24):
        label, level = (("well", 400), ("ill", 1400))[number % 2]
        write_scan(Path("scans", label, f"scan{number}"), number, level)
    scans = bottleneck.load_dataset("scans", volumes=True)
    assert scans.n_groups == 24
    run = bottleneck.extract(scans, BACKBONE, quiet=True)
    again = bottleneck.extract(scans, BACKBONE, quiet=True)
    assert (run.n_extracted, again.n_extracted) == (24, 0)
    model = bottleneck.fit(run.path, "logistic", positive="ill", quiet=True)

    write_scan(Path("new/31/study"), 31, 1400)
    write_scan(Path("new/32/study"), 32, 400)
    write_scan(Path("new/33/study"), 33, 400)
    gone = sorted(Path("new/33/study").iterdir(), key=_height)[2]
    gone.unlink()
    # Without the option: the model takes volumes.
    made = model.predict("new", backbone=BACKBONE, quiet=True)
    rows = {row["id"]: row for row in made.to_frame().to_dict("records")}
    assert [rows[f"{n}/study"]["predicted"] for n in (31, 32)] == ["ill", "well"]
    assert "slices are missing" in rows["33/study"]["reason"]
    assert (made.noun, model.noun) == ("volume", "volume")
    explained = bottleneck.explain_predictions(model, "new", backbone=BACKBONE, quiet=True)
    assert explained.arms[0].n_images == 2
    alone = model.predict("new/32/study", backbone=BACKBONE, quiet=True)
    (row,) = alone.to_frame().to_dict("records")
    assert row["predicted"] == "well"
    assert row["patient"] == "P32"


def test_a_window_of_hu_has_a_note_on_series_that_are_no_ct(tmp_path: Path) -> None:
    window = VolumePreprocessing(size=(8, 8, 4), window=(-1000, 1000))
    unscaled = dataclasses.replace(window, window=None)
    for modality, n_notes in (("CT", 0), ("MR", 1), ("PT", 1)):
        folder = tmp_path / modality
        write_series(folder, slices(made_ct(SHAPE, 0), GEOMETRY, Modality=modality), 0)
        volume = open_volume(folder)
        notes = [read_region(volume, None, how).facts().notes for how in (window, unscaled)]
        assert [sum(modality in one for one in each) for each in notes] == [n_notes, 0]


def _height(path: Path) -> float:
    import pydicom

    return float(pydicom.dcmread(path).ImagePositionPatient[2])


@pytest.mark.shared
@pytest.mark.slow
def test_points_of_a_real_ct_reach_a_report(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    points = random.uniform((-150, -300, -800), (150, -150, -770), (40, 3))
    rows = []
    for n, (x, y, z) in enumerate(points):
        # A volume is of one patient: each pair of points has a copy of the series.
        if n % 2 == 0:
            shutil.copytree(shared / "data" / "ct" / "dicom", f"ct{n // 2}")
        rows.append(f"ct{n // 2},{'left' if x > 0 else 'right'},P{n // 2},{x},{y},{z}")
    Path("points.csv").write_text("\n".join(["path,label,patient,x,y,z", *rows]))
    data = bottleneck.load_dataset("points.csv")
    backbone = tiny_volume_backbone(width=32, side=32, slices="orthogonal")
    run = bottleneck.extract(data, backbone, quiet=True)
    assert run.n_extracted == 40
    comparison = bottleneck.compare([run.path], heads=("logistic",), positive="left", quiet=True)
    report = bottleneck.write_report(comparison, "report")
    assert report.exists()
