"""The study of lung-nodule candidates: its preprocessing, and a run on a small tree of LUNA16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_luna16 import PAIR, make_luna16

from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.inputs.preprocessing_presets import find_preprocessing
from bottleneck.data.readers import load_dataset
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.studies.figure_table import lines, tables
from bottleneck.studies.overrides import Overrides
from bottleneck.studies.runner import run_study
from bottleneck.studies.study import load_study

FROZEN = "Frozen, averaged + logistic; theirs"
MLP = "Frozen, flattened + MLP; as pretrained"
TRAINED = "Trained together; as pretrained, augmented"
CONTROL = "2-D control: ResNet-18, three slices + logistic"
SMALL = {
    "weights": {"": "random"},
    "backbones": {"swin_unetr": "medicalnet_resnet10"},
    "epochs": 1,
    "patch_size": 16,
}


def test_their_preprocessing_is_that_of_the_published_code() -> None:
    arm = next(arm for arm in load_study("swin-luna16").arms if arm.name.endswith("theirs"))
    assert arm.preprocessing is not None
    stated = find_preprocessing(arm.preprocessing, find_encoder("swin_unetr"))
    assert isinstance(stated, VolumePreprocessing)
    rng = np.random.default_rng(0)
    values = rng.integers(-1000, 1000, (60, 70, 50)).astype(np.int16)
    affine = np.diag([0.7, 0.7, 1.25, 1.0])
    affine[:3, 3] = -200, -150, -310.5
    point = (-180.3, -121.7, -280.1)
    volume = Volume(VolumeGeometry(values.shape, affine), values)
    patch = read_region(volume, VolumeRegion(*point, "lps"), stated).patch
    # Zeros around the scan, whole voxels, axes as y, z, x, and twice the value less one.
    padded = np.zeros([n + 96 for n in values.shape])
    padded[49 : 49 + 60, 49 : 49 + 70, 49 : 49 + 50] = values
    i, j, k = (int((point[n] - affine[n, 3]) / affine[n, n]) for n in range(3))
    cut = padded[i : i + 96, j : j + 96, k : k + 96]
    np.testing.assert_array_equal(patch[..., 0], 2 * cut.transpose(1, 2, 0) - 1)


@pytest.fixture(scope="module")
def luna16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "LUNA16"
    make_luna16(folder, 12, n_negatives=4)
    return folder


@pytest.mark.slow
def test_a_run_of_all_kinds_of_arms(luna16: Path, tmp_path: Path) -> None:
    result = run_study(
        load_study("swin-luna16"),
        load_dataset(luna16),
        overrides=Overrides(
            **SMALL,
            limit=10,
            arms=(MLP, FROZEN, TRAINED, CONTROL),
            protocols=("80:20 by candidate (theirs)", "80:20 by patient"),
        ),
        output=tmp_path / "out",
        n_jobs=1,
        quiet=True,
    )
    assert result.first_line.startswith("Changes of the study: 10 of 11 patients; 4 of 9 arms;")
    assert "patches of 16 voxels along each edge" in result.first_line
    assert "1 epoch in place of 30 to 40" in result.first_line
    theirs, honest = result.protocols
    assert "images of the same patient for" in theirs.words
    assert "Patients were divided at random" in honest.words
    for protocol in (theirs, honest):
        by_name = {arm.name: arm for arm in protocol.arms}
        assert {MLP, FROZEN, TRAINED, CONTROL} <= set(by_name)
        assert {n: f.text for n, f in by_name[TRAINED].published.items()} == {
            "accuracy": "85.4 %",
            "sensitivity": "72.1 %",
            "specificity": "92.3 %",
        }
        assert protocol.report.exists()
        assert not protocol.problem
    patients = pd.read_csv(honest.report.with_name("predictions.csv"))
    assert patients["id"].nunique() < len(load_dataset(luna16))
    text = " ".join(str(table.title) for table in tables(result))
    assert "80:20 by candidate (theirs): published and ours" in text
    assert any("66.0 % non-nodule" in line for line in lines(result))


@pytest.mark.slow
def test_official_folds_keep_the_patient_of_two_scans_together(tmp_path: Path) -> None:
    # Two scans in each subset: without the scan that is moved, subset6 has a nodule.
    made = make_luna16(tmp_path / "LUNA16", 24, n_negatives=2)
    dataset = load_dataset(tmp_path / "LUNA16")
    result = run_study(
        load_study("swin-luna16"),
        dataset,
        overrides=Overrides(**SMALL, arms=(FROZEN,), protocols=("official folds",)),
        output=tmp_path / "out",
        n_jobs=1,
        quiet=True,
    )
    (protocol,) = result.protocols
    assert "that the published folds divide are in the fold of the most of them" in protocol.words
    predictions = protocol.comparison.evaluations[0].predictions
    scan = np.array([name.partition("/")[0] for name in predictions.ids.tolist()])
    folds = {uid: set(predictions.folds[scan == uid].tolist()) for uid in PAIR}
    assert len(folds[PAIR[0]]) == 1
    assert folds[PAIR[0]] == folds[PAIR[1]]
    # Scans with reversed axes cannot be read as in "theirs": their lesions do not count.
    upright = [one for one in made if one.sign > 0]
    assert len(upright) < len(made)
    assert set(scan) == {one.uid for one in upright}
    assert all(len(set(predictions.folds[scan == uid])) == 1 for uid in set(scan))
    detected = protocol.comparison.evaluations[0].free_response
    assert detected is not None
    assert detected.n_scans == len(upright)
    assert detected.n_lesions == sum(len(one.nodules) for one in upright)
