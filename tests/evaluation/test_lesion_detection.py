"""Free-response results of a comparison whose samples are candidates for lesions."""

import dataclasses
import json

import numpy as np
import pytest

from bottleneck import (
    FeatureSet,
    Predictions,
    Protocol,
    compare,
    plot_free_response,
    write_report,
)
from bottleneck.evaluation.metrics.lesion_detection import detection_of
from bottleneck.statistics import free_response


def made_features(n_patients=40, seed=0):
    """Return features of candidates; one patient has no candidate, and some lesions have none."""
    rng = np.random.default_rng(seed)
    rows, scans, lesions = [], {}, {}
    for n in range(n_patients + 1):
        scan = f"scans/{n}.mhd"
        scans[scan] = f"patient {n}"
        for k in range(2):
            lesions[f"{n}/{k}"] = scan
        if n == n_patients:
            break
        rows.append((scan, f"{n}/0", "nodule"))
        rows += [(scan, "", "other")] * 3
    y = np.array([label for *_, label in rows])
    X = rng.normal(size=(len(rows), 4)) + 1.2 * (y == "nodule")[:, None]
    made = FeatureSet.from_arrays(X, y, groups=[scans[scan] for scan, *_ in rows])
    record = {"negative_rate": 0.5, "scans": scans, "lesions": lesions}
    dataset = {**made.provenance["dataset"], "positive": "nodule", "candidates": record}
    return dataclasses.replace(
        made,
        sources=np.array([scan for scan, *_ in rows]),
        lesions=np.array([lesion for _, lesion, _ in rows]),
        provenance={**made.provenance, "dataset": dataset},
    )


@pytest.fixture(scope="module")
def compared():
    return compare(made_features(), ["logistic"], protocol=Protocol(n_splits=2), positive="nodule")


def test_the_result_is_that_of_the_statistics_on_the_predictions(compared):
    features = made_features()
    arm = next(e for e in compared.evaluations if e.uses_images)
    made = arm.free_response
    row = {name: n for n, name in enumerate(features.ids.tolist())}
    places = [row[name] for name in arm.predictions.ids.tolist()]
    record = features.provenance["dataset"]["candidates"]
    expected = free_response(
        arm.predictions.scores[:, arm.predictions.classes.index("nodule")],
        features.lesions[places],
        features.sources[places],
        scans=record["scans"],
        lesions=record["lesions"],
        folds=arm.predictions.folds,
        negative_rate=0.5,
        n_draws=2,
    )
    assert made.score.value == expected.score.value
    assert (made.n_scans, made.n_lesions, made.n_without_candidate) == (41, 82, 42)
    # Half of the lesions have no candidate.
    assert max(one.value for one in made.sensitivities) <= 0.5


@pytest.mark.slow
def test_the_report_shows_it_without_names_of_scans(compared, tmp_path):
    write_report(compared, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Sensitivity for lesions at false positives per scan" in page
    assert "42 lesions have no candidate and count as missed" in page
    record = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert record["features"][0]["dataset"]["candidates"] == {
        "negative_rate": 0.5,
        "n_scans": 41,
        "n_lesions": 82,
    }
    assert "scans/3.mhd" not in page + json.dumps(record)
    arm = next(one for one in record["arms"] if one["free_response"]["score"]["value"] > 0)
    assert len(arm["free_response"]["sensitivities"]) == 7


def test_the_figure_has_the_curve(compared):
    from matplotlib.figure import Figure

    axes = plot_free_response(compared, ax=Figure().add_subplot())
    arm = next(e for e in compared.evaluations if e.uses_images)
    drawn = [line.get_xydata() for line in axes.lines]
    assert any(np.array_equal(one, arm.free_response.curve) for one in drawn)


def test_a_part_of_the_samples_has_the_scans_and_lesions_of_its_patients():
    features = made_features()
    part = features.select(np.array([p != "patient 3" for p in features.stated_patients]))
    record = part.provenance["dataset"]["candidates"]
    assert "scans/3.mhd" not in record["scans"]
    # The patient without a candidate was not left out by anybody.
    assert "scans/40.mhd" in record["scans"]
    without = features.select(features.lesions != "5/0")
    assert "5/0" not in without.provenance["dataset"]["candidates"]["lesions"]
    assert "5/1" in without.provenance["dataset"]["candidates"]["lesions"]


def test_a_part_of_the_negatives_has_no_analysis():
    # Their share is not that of the record.
    features = made_features()
    part = features.select(np.arange(len(features)) % 4 != 3)
    assert part.provenance["dataset"]["candidates"] is None
    scores = Predictions.from_arrays(
        part.y, np.zeros(len(part)), classes=["other", "nodule"], ids=part.ids
    )
    assert detection_of(scores, part, "nodule") is None


def test_several_data_sets_have_the_scans_and_lesions_of_all():
    one, other = (
        dataclasses.replace(
            made,
            provenance={
                **made.provenance,
                "recipe_hash": "r",
                "dataset": {**made.provenance["dataset"], "name": name},
            },
        )
        for name, made in (("here", made_features()), ("there", made_features(30, seed=1)))
    )
    both = FeatureSet.concatenate([one, other])
    known = both.provenance["dataset"]["candidates"]
    assert (len(known["scans"]), len(known["lesions"])) == (41 + 31, 82 + 62)
    assert set(both.sources) <= set(known["scans"])
    assert set(both.lesions) - {""} <= set(known["lesions"])
    assert set(both.stated_patients) <= set(known["scans"].values())
    # Two rates have no common one.
    record = {**one.provenance["dataset"]["candidates"], "negative_rate": 0.25}
    dataset = {**one.provenance["dataset"], "candidates": record}
    rarer = dataclasses.replace(one, provenance={**one.provenance, "dataset": dataset})
    joined = FeatureSet.concatenate([rarer, other])
    assert "candidates" not in joined.provenance["dataset"]


def test_folds_that_part_a_scan_have_no_analysis():
    features = made_features()
    parted = Predictions.from_arrays(
        features.y,
        np.linspace(0, 1, len(features)),
        classes=["other", "nodule"],
        ids=features.ids,
        folds=np.arange(len(features)) % 2,
    )
    assert detection_of(parted, features, "nodule") is None
    whole = dataclasses.replace(parted, folds=np.arange(len(features)) // 4 % 2)
    assert detection_of(whole, features, "nodule")
    # Of a fixed split, each tested scan must be whole.
    assert detection_of(whole.take(np.flatnonzero(whole.folds)), features, "nodule")
    assert detection_of(whole.take(np.arange(2, 40)), features, "nodule") is None


@pytest.mark.slow
def test_an_external_cohort_has_its_own_analysis(tmp_path):
    cohort = made_features(n_patients=30, seed=1)
    record = cohort.provenance["dataset"]
    cohort = dataclasses.replace(
        cohort,
        ids=np.array([f"other/{n}" for n in range(len(cohort))]),
        provenance={
            **cohort.provenance,
            "dataset": {**record, "name": "other", "fingerprint": "2"},
        },
    )
    made = compare(
        made_features(),
        ["logistic"],
        protocol=Protocol(n_splits=2),
        positive="nodule",
        external=[cohort],
    )
    arm = made.external[0].evaluations[0]
    assert (arm.free_response.n_scans, arm.free_response.n_lesions) == (31, 62)
    assert (
        arm.free_response.score.value == detection_of(arm.predictions, cohort, "nodule").score.value
    )
    write_report(made, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "External detection of lesions" in page
    assert "scans/3.mhd" not in page + (tmp_path / "results.json").read_text(encoding="utf-8")
