"""Descriptions of data set and protocol, and warnings."""

from __future__ import annotations

import dataclasses

import numpy as np
from made_features import make_features

from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import get_head

QUICK = Protocol(n_splits=3, inner_splits=2)


def test_data_set_and_protocol_are_described():
    f = make_features(dataset={"excluded": {"no label": 3}, "positive": "benign"})
    y = f.y.copy()
    y[0] = "malignant"  # a patient with a nodule of each kind
    f = dataclasses.replace(f, y=y)
    comparison = compare(f, ["logistic"], protocol=Protocol(n_splits=3, repeats=2, seed=4))
    assert comparison.dataset == {
        "name": "phantom",
        "fingerprint": "f" * 64,
        "n_samples": 80,
        "n_patients": 40,
        "n_unnamed": 0,
        "classes": {"benign": 39, "malignant": 41},
        "patients": {"benign": 20, "malignant": 21},
        "positive": "benign",
        "failures": 0,
        "failures_by_class": {},
        "excluded": {"no label": 3},
        "selection": {},
        "sources": {},
    }
    assert comparison.classes == ("benign", "malignant")
    assert comparison.positive == "benign"
    protocol = dict(comparison.protocol)
    words = protocol.pop("words")
    assert protocol.pop("primary") == "none: only one arm uses images"
    assert protocol == {
        "kind": "cross-validation",
        "folds": 3,
        "repeats": 2,
        "common_repeats": 2,
        "inner_folds": 5,
        "inner_splits": 5,
        "seed": 4,
        "seeds": (4, 5),
        "grouped": True,
        "unit": "image",
        "aggregate": None,
        "allow_leakage": False,
        "conflicts": "drop",
        "prevalence": None,
        "act_at": None,
    }
    assert "3 folds, stratified by class" in words
    assert "This was repeated 2 times with new folds." in words
    assert "5-fold cross-validation, grouped by patient" in words
    assert "logistic regression with an L2 penalty (C: 6 candidates)" in words
    assert comparison.warnings == ()
    assert comparison.features == (f.provenance,)
    assert len(comparison.evaluations[0].chosen) == 6


def test_samples_without_a_patient_are_counted():
    f = make_features()
    groups = f.groups.copy()
    groups[:3] = ""  # one patient, and half of another
    f = dataclasses.replace(f, stated_patients=groups)
    dataset = compare(f, ["logistic"], protocol=QUICK).dataset
    assert (dataset["n_unnamed"], dataset["n_patients"]) == (3, 39 + 3)


def test_inner_folds_shrink_with_the_patients_and_the_words_say_so():
    f = make_features(n_patients=12)
    comparison = compare(f, ["logistic"], protocol=Protocol(n_splits=3))
    assert comparison.protocol["inner_folds"] == 4
    assert " 4-fold cross-validation" in comparison.protocol["words"]


def test_warnings_come_gravest_first():
    f = make_features(
        n_patients=14, recipe={"weights": "random"}, failures=(("x.png", "truncated"),)
    )
    f = dataclasses.replace(f, stated_patients=None)
    warnings = compare(f, ["logistic"], protocol=QUICK).warnings
    assert warnings[0] == "random weights: the figures are meaningless"
    assert warnings[1].startswith("no patients named")
    assert warnings[2].startswith("1 sample without features is missing from every figure; counted")
    assert len(warnings) == 3
    few = compare(make_features(n_patients=14), ["logistic"], protocol=QUICK).warnings
    assert few == ("estimate only: 7 patients in the smallest class of the test sets",)


def test_a_patient_with_most_of_the_samples_is_reported():
    f = make_features()
    groups = f.groups.copy()
    groups[np.flatnonzero(f.y == f.y[0])[:30]] = groups[0]
    f = dataclasses.replace(f, stated_patients=groups)
    (said,) = (w for w in compare(f, ["logistic"], protocol=QUICK).warnings if "largely" in w)
    assert said.startswith("one patient has 30 of the 80 test samples")
    by_patient = dataclasses.replace(QUICK, unit="patient")
    warnings = compare(f, ["logistic"], protocol=by_patient).warnings
    assert not any("largely" in warning for warning in warnings)


def test_a_head_that_did_not_converge_is_reported():
    hurried = Head(get_head("mlp").build(0, {"mlp__max_iter": 2}), name="hurried")
    warnings = compare(make_features(), hurried, protocol=QUICK).warnings
    assert "resnet18 (imagenet) + hurried did not converge in 3 of 3 folds" in warnings
