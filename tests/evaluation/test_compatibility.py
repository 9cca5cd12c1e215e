"""Compatibility and description of an external cohort."""

import dataclasses

import numpy as np
import pytest
from made_features import make_features

from bottleneck.errors import ProtocolError
from bottleneck.evaluation.external.compatibility import describe_cohorts, match_external


def with_hashes(features, prefix):
    names = np.array([f"{prefix}{i}" for i in range(len(features))])
    return dataclasses.replace(features, pixels=names, sha256=np.char.add("bytes ", names))


def external(**fields):
    made = make_features(n_patients=10, images=1, seed=1, dataset={"name": "elsewhere"}, **fields)
    return with_hashes(
        dataclasses.replace(made, stated_patients=np.char.add("other ", made.stated_patients)), "b"
    )


def test_two_cohorts_without_anything_in_common_give_no_finding():
    assert match_external(with_hashes(make_features(), "a"), external()) == ()


def test_identical_images_are_a_leak_by_pixels_and_by_bytes():
    inside, outside = with_hashes(make_features(), "a"), external()
    outside.pixels[3] = inside.pixels[70]
    outside.sha256[5] = inside.sha256[0]
    (finding,) = match_external(inside, outside)
    assert (finding.code, finding.severity, finding.rows) == ("BF401", "leak", (3, 5))
    assert "2 of 10 external images" in finding.text


def test_features_without_hashes_say_that_nothing_was_looked_for():
    (finding,) = match_external(make_features(), external())
    assert (finding.code, finding.severity) == ("BF902", "note")


def test_shared_names_of_patients_are_a_warning_that_names_nobody():
    inside, outside = with_hashes(make_features(), "a"), external()
    outside.stated_patients[:4] = ["Patient-00", "patient-01", "patient-01", ""]
    inside.stated_patients[-1] = ""
    (finding,) = match_external(inside, outside)
    assert (finding.code, finding.severity) == ("BF402", "warning")
    assert (finding.count, finding.rows) == (2, (0, 1, 2))
    assert "coincidence" in finding.text
    assert "patient-0" not in finding.text


def test_a_class_that_the_external_cohort_lacks_is_named():
    outside = external()
    outside = dataclasses.replace(outside, y=np.full(10, "malignant"))
    (finding,) = match_external(with_hashes(make_features(), "a"), outside)
    assert finding.code == "BF403"
    assert "'benign'" in finding.text


def test_labels_that_were_not_trained_on_are_refused_by_name():
    outside = external(classes=("0", "1"))
    with pytest.raises(
        ProtocolError, match=r"benign, malignant.*'0' \(5\), '1' \(5\).*leave them out"
    ):
        match_external(make_features(), outside)


def test_another_recipe_is_refused_with_the_fields_that_differ():
    recipe = {"precision": "bf16", "preprocessing": {"height": 256, "width": 224}}
    with pytest.raises(ProtocolError) as raised:
        match_external(make_features(), external(recipe=recipe))
    assert "precision is 'bf16', not 'fp32'" in str(raised.value)
    assert "preprocessing.height is 256, not 224" in str(raised.value)
    assert "width" not in str(raised.value)


def test_cohorts_stand_side_by_side():
    inside = make_features(
        n_patients=6,
        images=2,
        dataset={"description": {"labels": "TI-RADS scores"}, "excluded": {"no label": 3}},
        size=np.array([[300, 300]] * 12),
        brightness=np.linspace(10, 90, 12, dtype=np.float32),
        sources=np.array([f"secret/{i}.PNG" for i in range(11)] + ["secret/x.jpg"]),
        centres=np.array(["A"] * 7 + [""] * 5),
        failures=(("secret", "damaged"),),
    )
    outside = external(size=np.array([[400 + 10 * i, 300 - i] for i in range(10)]))
    outside = dataclasses.replace(outside, stated_patients=None)
    found = describe_cohorts(inside, outside)
    assert found["data set"] == {"inside": "phantom", "outside": "elsewhere"}
    assert found["labels"] == {
        "inside": "benign: 6 images of 3 patients; malignant: 6 images of 3 patients",
        "outside": "benign: 5 images; malignant: 5 images",
    }
    assert found["labels come from"] == {"inside": "TI-RADS scores", "outside": "not recorded"}
    assert found["images show"]["inside"] == "not recorded"
    assert found["patients"] == {
        "inside": "6 patients, 2.0 images each (2 to 2)",
        "outside": "not recorded",
    }
    assert found["size"] == {
        "inside": "300 × 300 pixels",
        "outside": "median 445 × 296 pixels (width 400 to 490, height 291 to 300)",
    }
    assert found["brightness"] == {
        "inside": "median 50 of 255 (10 to 90)",
        "outside": "not recorded",
    }
    assert found["files"]["inside"] == ".png: 11; .jpg: 1"
    assert found["centres"]["inside"] == "A: 7; not recorded: 5"
    assert found["left out"] == {
        "inside": "3 × no label; 1 × without features",
        "outside": "nothing",
    }
    assert "secret" not in str(found)


def test_images_without_a_patient_are_reported():
    features = make_features(n_patients=4, images=2)
    features.stated_patients[0] = ""
    assert describe_cohorts(features, features)["patients"]["inside"] == (
        "5 patients, 1.6 images each (1 to 2); 1 image without a patient"
    )
