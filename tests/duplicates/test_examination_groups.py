"""Groups of images of one examination, in splits, findings and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_features import make_features

from bottleneck.audit.audit import audit_features
from bottleneck.data.splits.protocol import Protocol
from bottleneck.duplicates.fold_plan import plan_folds
from bottleneck.errors import ProtocolError
from bottleneck.features.file.reader import load_features
from bottleneck.features.sets.feature_set import FeatureSet

N = 40
CASES = np.array([f"names case{number // 2}" for number in range(N)])
STUDIES = np.array([f"study {number // 2:016x} series {number:016x}" for number in range(N)])


def unnamed(examinations: np.ndarray, **fields: object) -> FeatureSet:
    return make_features(
        n_patients=N // 2, images=2, stated_patients=None, examinations=examinations, **fields
    )


def plan(features: FeatureSet, protocol: Protocol):
    return plan_folds(features, protocol, lambda: features.leak_safe_groups)


@pytest.mark.parametrize("examinations", [CASES, STUDIES], ids=["names", "studies"])
def test_no_fold_divides_an_examination(examinations: np.ndarray) -> None:
    features = unnamed(examinations)
    made = plan(features, Protocol(n_splits=4))
    for fold in made.folds:
        assert not set(CASES[fold.train]) & set(CASES[fold.test])
    by_name = examinations is CASES
    source = " by their file names" if by_name else ""
    assert f"Images of one examination{source} were kept on one side" in made.folds.words
    assert ("prove nothing" if by_name else "headers of DICOM files") in made.words
    assert "40 images belong to 20 examinations" in made.words


def test_known_patients_are_not_joined_but_a_disagreement_is_a_finding() -> None:
    patients = np.array([f"p{number // 2}" for number in range(N)])
    patients[1] = "p7"
    features = make_features(
        n_patients=N // 2, images=2, stated_patients=patients, examinations=STUDIES
    )
    assert features.leak_safe_groups.examinations is None
    findings = [f for f in audit_features(features).findings if f.kind == "examinations"]
    assert [(f.severity, f.count, f.rows) for f in findings] == [("warning", 1, (0, 1))]


def test_a_row_without_a_patient_goes_with_its_examination() -> None:
    patients = np.array([f"p{number // 2}" for number in range(N)])
    patients[5] = ""
    features = make_features(
        n_patients=N // 2, images=2, stated_patients=patients, examinations=STUDIES
    )
    assert features.groups[5] == features.groups[4]
    assert len(set(features.groups)) == N // 2


def test_a_published_split_is_refused_for_studies_and_warned_of_for_names() -> None:
    splits = np.array(["test" if number % 8 in (3, 4) else "train" for number in range(N)])
    with pytest.raises(ProtocolError, match="of one examination"):
        plan(unnamed(STUDIES, splits=splits), Protocol())
    made = plan(unnamed(CASES, splits=splits), Protocol())
    assert any("10 examinations that file names indicate" in text for text in made.folds.warnings)
    findings = audit_features(unnamed(CASES, splits=splits)).findings
    assert any(f.kind == "examinations" and f.severity == "warning" for f in findings)


def test_examinations_are_kept_in_files_parts_and_sums(tmp_path: Path) -> None:
    features = unnamed(CASES, sources=np.array([f"{n}.png" for n in range(N)]))
    read = load_features(features.save(tmp_path / "kept.h5"))
    assert read.examinations is not None
    assert read.examinations.tolist() == CASES.tolist()
    part = read.select(np.arange(N) % 2 == 0)
    assert part.loose_examinations is None
    other = make_features(
        n_patients=N,
        images=1,
        seed=3,
        stated_patients=None,
        examinations=STUDIES,
        sources=np.array([f"{n}.png" for n in range(N)]),
    )
    both = FeatureSet.concatenate({"Bern": features, "Basel": other})
    assert both.examinations is not None
    assert both.examinations[0] == "names Bern/case0"
    assert both.examinations[N] == STUDIES[0]


def test_too_few_groups_and_the_largest_name_the_examinations_of_file_names() -> None:
    features = unnamed(np.array([f"names S{number % 4}" for number in range(N)]))
    with pytest.raises(ProtocolError, match=r"one examination by their file names in one group"):
        plan(features, Protocol(n_splits=5))
    (large,) = [f for f in audit_features(features).findings if f.kind == "large group"]
    assert large.text.startswith("Images of one examination by their file names join 10 of 40")
    assert large.text.endswith("--examinations dicom.")
