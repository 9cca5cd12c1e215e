"""Names of arms: renamed everywhere, and refused where two would be one."""

from __future__ import annotations

import numpy as np
import pytest
from made_features import VGG, make_features

from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.report.json_record import results_text
from bottleneck.report.redaction import feature_recipes
from bottleneck.report.wording.paragraphs import results_paragraph

QUICK = Protocol(n_splits=2, inner_splits=2)
LDA, LOGISTIC = "resnet18 (imagenet) + lda", "resnet18 (imagenet) + logistic"


@pytest.fixture(scope="module")
def features():
    return make_features(n_patients=24, centres=np.repeat(["Bern", "Basel"], 24))


@pytest.fixture(scope="module")
def alone(features):
    return compare(features, ["logistic"], protocol=QUICK)


def test_an_arm_has_its_new_name_everywhere(features, alone):
    other = make_features(
        n_patients=12,
        seed=3,
        dataset={"name": "elsewhere", "fingerprint": "e" * 64},
        stated_patients=np.repeat([f"other {n}" for n in range(12)], 2),
    )
    names = {
        "ResNet18 (ImageNet) + Logistic ": " A  baseline",
        LDA: LOGISTIC,  # Names may be exchanged.
        "metadata only": "no image",
        "prior only": "chance",
        "ensemble (mean)": "both",
    }
    named = compare(
        features,
        ["lda", "logistic"],
        external=other,
        ensemble="mean",
        names=names,
        protocol=QUICK,
    )
    expected = [LOGISTIC, "A baseline", "both", "no image", "chance"]
    assert [e.name for e in named.evaluations] == expected
    assert named.evaluations[2].members == (LOGISTIC, "A baseline")
    assert [e.head for e in named.evaluations] == [
        "lda",
        "logistic",
        "ensemble",
        "metadata",
        "prior",
    ]
    assert [e.name for e in named.external[0].evaluations] == [*expected[:3], "chance"]
    assert {d.arm for d in named.external[0].drops} == {*expected[:3], "chance"}
    assert set(named.inner) == set(expected)
    texts = results_text(named) + results_paragraph(named)
    assert "A baseline" in texts
    assert not any(old in texts for old in (LDA, "prior only", "ensemble (mean)"))
    assert [name for name, _ in feature_recipes(named)[1]] == ["resnet18 (imagenet)"]
    # The figures are those of the arm that it was.
    before = alone.evaluations[0].metrics["auroc"]
    assert named.evaluations[1].metrics["auroc"] == before


@pytest.mark.slow
def test_the_names_of_a_mapping_are_those_of_its_arms(features):
    sets = {
        "ours": features,
        "theirs": make_features(n_patients=24, recipe=VGG, centres=features.centres),
    }
    named = compare(sets, ["logistic"], protocol=QUICK)
    assert [e.name for e in named.evaluations[:2]] == ["ours + logistic", "theirs + logistic"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"resnet18 + lda": "x"}, f"unknown arm 'resnet18 + lda'; did you mean '{LDA}'?"),
        ({LDA: "prior only"}, f"the arms '{LDA}' and 'prior only' would both be called"),
        ({LDA: "a", LOGISTIC: "a "}, "would both be called 'a'"),
        ({LDA: ""}, "must be a text of 1 to 200 characters, not ''"),
        ({LDA: "x" * 201}, "must be a text of 1 to 200 characters"),
        ({LDA: None}, "must be a text of 1 to 200 characters, not None"),
        ({LDA: "a", LDA.upper(): "b"}, f"the arm '{LDA}' is named twice"),
        ({1: "a"}, "unknown arm '1'"),
        (["a", "b"], "names must map the names of arms to new ones"),
    ],
)
def test_wrong_names_are_refused(features, names, message):
    with pytest.raises(UsageError) as caught:
        compare(features, ["lda", "logistic"], protocol=QUICK, names=names)
    assert message in str(caught.value)
