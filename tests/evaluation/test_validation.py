"""External validation, against scikit-learn trained on all internal samples, and refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import VGG, changed, make_features
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.external import validation as external_module
from bottleneck.heads.head_catalogue import get_head

QUICK = Protocol(n_splits=3, inner_splits=3, seed=2)
EXTERNAL = {"name": "elsewhere", "fingerprint": "e" * 64}


def outside(**fields):
    """Another draw of the same classes, moved; ids and patients are called as inside."""
    made = make_features(n_patients=30, images=1, seed=0, dataset=EXTERNAL)
    rng = np.random.default_rng(8)
    groups = np.array([f"other-{g}" for g in made.groups])
    X = made.X + rng.normal(size=made.X.shape).astype(np.float32) + 0.5
    return dataclasses.replace(made, **({"X": X, "stated_patients": groups} | fields))


def test_heads_are_trained_on_all_of_the_first_and_tested_once():
    f, g = make_features(), outside()
    comparison = compare(f, ["logistic"], external=g, protocol=QUICK)
    grid = {"logisticregression__C": get_head("logistic").grid[0]["logistic__C"]}
    model = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)),
        grid,
        scoring="roc_auc",
        cv=StratifiedGroupKFold(3, shuffle=True, random_state=2),
    ).fit(f.X.astype(float), f.y, groups=f.groups)
    wanted = model.predict_proba(g.X.astype(float))[:, 1]

    (external,) = comparison.external
    arm, prior = external.evaluations
    assert external.dataset["name"] == "elsewhere"
    assert prior.name == "prior only"
    np.testing.assert_allclose(arm.predictions.scores[:, 1], wanted, atol=1e-6)
    np.testing.assert_array_equal(arm.predictions.ids, g.ids)
    assert arm.metrics["auroc"].value == pytest.approx(roc_auc_score(g.y, wanted))
    inside = compare(f, ["logistic"], protocol=QUICK)
    assert comparison.evaluations[0].metrics == inside.evaluations[0].metrics
    (drop,) = [d for d in external.drops if (d.arm, d.metric) == (arm.name, "auroc")]
    assert drop.difference.value == pytest.approx(
        arm.metrics["auroc"].value - inside.evaluations[0].metrics["auroc"].value
    )
    assert drop.difference.low < drop.difference.value < drop.difference.high
    (shift,) = external.shifts
    assert shift.mmd_p < 0.05
    assert any("estimate only" not in w for w in external.warnings) or not external.warnings


def test_cohorts_are_found_by_recipe_in_any_order():
    sets = [make_features(), make_features(seed=1, recipe=VGG)]
    other = make_features(n_patients=30, images=1, recipe=VGG, dataset=EXTERNAL)
    cohort = [dataclasses.replace(other, stated_patients=outside().stated_patients), outside()]
    external = compare(sets, ["logistic"], external=cohort, protocol=QUICK).external[0]
    alone = compare(sets[0], ["logistic"], external=cohort[1], protocol=QUICK).external[0]
    np.testing.assert_array_equal(
        external.evaluations[0].predictions.scores, alone.evaluations[0].predictions.scores
    )
    assert len(external.shifts) == 2


def test_a_patient_with_most_of_an_external_cohort_is_reported():
    g = make_features(n_patients=30, images=2, dataset=EXTERNAL)
    g = dataclasses.replace(
        g, stated_patients=np.array(["one"] * 20 + [f"o{n}" for n in range(40)])
    )
    external = compare(make_features(), ["svm"], external=g, protocol=QUICK).external[0]
    assert any("one patient has 20 of the 60 test samples" in w for w in external.warnings)


def test_patients_are_counted_outside_too():
    g = make_features(n_patients=30, images=2, dataset=EXTERNAL)
    g = dataclasses.replace(g, stated_patients=np.char.add("other-", g.stated_patients))
    protocol = dataclasses.replace(QUICK, unit="patient", aggregate="max")
    external = compare(make_features(), ["svm"], external=g, protocol=protocol).external[0]
    assert external.evaluations[0].confusion.sum() == 30


@pytest.mark.parametrize(
    ("cohort", "said"),
    [
        (make_features, "is of the data set|are of the data set 'phantom'"),
        (
            lambda: outside(y=np.full(30, "benign")),
            r"no sample of 'malignant'.* It has: benign; .*: benign, malignant\. .* that it lacks",
        ),
        (
            lambda: outside(y=np.array(["Benign", "Malignant"] * 15)),
            r"It has: Benign, Malignant; .*: benign, malignant\. .* the same names",
        ),
        (lambda: outside(y=np.array(["benign", "malignant", "cyst"] * 10)), r"'cyst' \(10\)"),
        (
            lambda: make_features(recipe={"pooling": "max"}, dataset=EXTERNAL),
            "pooling is 'max', not 'avg'|pooling is 'avg', not 'max'",
        ),
    ],
)
def test_cohorts_that_cannot_test_these_heads_are_refused(cohort, said):
    with pytest.raises(ProtocolError, match=said):
        compare(make_features(), ["logistic"], external=cohort(), protocol=QUICK)


def test_training_images_are_no_external_cohort():
    f = make_features(pixels=np.array([f"{i:064d}" for i in range(80)]))
    g = outside(pixels=np.array([f"{i:064d}" for i in range(78, 108)]))
    with pytest.raises(ProtocolError, match=r"2 of 30 external images are identical .*--allow-lea"):
        compare(f, ["logistic"], external=g, protocol=QUICK)
    allowed = dataclasses.replace(QUICK, allow_leakage=True)
    external = compare(f, ["logistic"], external=g, protocol=allowed).external[0]
    assert external.warnings[0].startswith("leakage was allowed: 2 of 30")


def test_two_cohorts_of_one_name_are_not_taken_for_one():
    other = {"name": "elsewhere", "fingerprint": "d" * 64}
    second = make_features(n_patients=20, images=1, dataset=other)
    with pytest.raises(ProtocolError, match="two external cohorts are called 'elsewhere'"):
        compare(make_features(), ["logistic"], external=[outside(), second], protocol=QUICK)
    with pytest.raises(ProtocolError, match=r"two files hold features of .* with the same recipe"):
        compare(make_features(), ["logistic"], external=[outside(), outside()], protocol=QUICK)
    patients = dataclasses.replace(QUICK, unit="patient")
    with pytest.raises(ProtocolError, match="names no patients"):
        compare(
            make_features(), ["logistic"], external=outside(stated_patients=None), protocol=patients
        )


def hashes(start, n):
    return np.array([f"{i:064d}" for i in range(start, start + n)])


def test_names_that_two_centres_give_alike_do_not_make_one_data_set():
    f, g = make_features(sha256=hashes(0, 80)), make_features(seed=1, sha256=hashes(80, 80))
    external = compare(f, ["logistic"], external=g, protocol=QUICK).external[0]
    assert external.evaluations[0].confusion.sum() == 80
    one_changed = dataclasses.replace(f, sha256=changed(f.sha256, 3, "e" * 64))
    for same in (f, one_changed, make_features()):
        with pytest.raises(ProtocolError, match="are of the data set 'phantom' that heads"):
            compare(f, ["logistic"], external=same, protocol=QUICK)


def test_an_external_cohort_has_the_same_images_in_every_recipe():
    sets = [make_features(), make_features(seed=1, recipe=VGG)]
    g = outside(sha256=hashes(0, 30))
    other = make_features(n_patients=30, images=1, recipe=VGG, dataset=EXTERNAL)
    other = dataclasses.replace(other, stated_patients=g.stated_patients)
    for sha256, said in (
        (hashes(30, 30), "two external cohorts are called 'elsewhere'"),
        (changed(g.sha256, [4, 7], "e" * 64), "disagree on the image bytes of 2 of 30 samples"),
    ):
        cohort = [g, dataclasses.replace(other, sha256=sha256)]
        with pytest.raises(ProtocolError, match=said):
            compare(sets, ["logistic"], external=cohort, protocol=QUICK)


def test_copies_stay_together_when_heads_are_trained_on_all(monkeypatch):
    pixels = np.array([f"{i:064d}" for i in range(80)])
    pixels[5] = pixels[0]  # of patients 0 and 2
    seen = []
    original = external_module.run_arms

    def watch(arms, folds, samples, work):
        seen.append(samples.groups)
        return original(arms, folds, samples, work)

    monkeypatch.setattr(external_module, "run_arms", watch)
    compare(make_features(pixels=pixels), ["logistic"], external=outside(), protocol=QUICK)
    (groups,) = seen
    assert groups[0] == groups[5]
