"""What a head may be made of, and what is said of all else."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import own_heads
import pandas as pd
import pytest
from made_features import make_features
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LassoCV,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from bottleneck.errors import UsageError
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.heads.estimators import suitability
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import CHOICES, HEADS, get_head, get_heads
from bottleneck.heads.search import search

EARLY = MLPClassifier(early_stopping=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (RandomForestClassifier, r"a class: write RandomForestClassifier\(\)"),
        (None, "not None, which has no fit"),
        (5, "not 5, which has no fit"),
        (pd.DataFrame({"a": [1]}), "one head is needed here"),
        (print, "not <built-in function print>, which"),
        (["svm"], "one head is needed here, not \\['svm'\\]"),
        (np.array(["benign", "malignant"]), "labels are passed as y="),
        (Ridge(), "Ridge is a regressor: use RidgeClassifier"),
        (KMeans(), "KMeans is a clusterer"),
        (IsolationForest(), "IsolationForest is an outlier detector"),
        (
            make_pipeline(StandardScaler(), PCA()),
            "the last step of the Pipeline, PCA, is not: use a classifier",
        ),
        (own_heads.WithGroups(), "the method fit of WithGroups needs groups"),
        (VotingClassifier([("a", SVC())]), "predicts classes only, .*set voting='soft'"),
        (SVC(decision_function_shape="ovo"), "set decision_function_shape='ovr'"),
        (FrozenEstimator(SVC()), "was fitted before"),
    ],
)
def test_what_is_no_classifier_is_refused_with_advice(given, message):
    with pytest.raises(UsageError, match=message):
        get_head(given)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (EARLY, "set early_stopping=False"),
        (make_pipeline(StandardScaler(), EARLY), "set mlpclassifier__early_stopping=False"),
        (BaggingClassifier(EARLY), "set estimator__early_stopping=False"),
        (VotingClassifier([("a", SVC()), ("b", EARLY)], voting="soft"), "b__early_stopping=False"),
        (OneVsRestClassifier(SGDClassifier(early_stopping=True)), "estimator__early_stopping"),
        (GradientBoostingClassifier(n_iter_no_change=5), "set n_iter_no_change=None"),
        (LogisticRegressionCV(), r"use Head\(LogisticRegression\(\), \{'C'"),
        (RidgeClassifierCV(), "cross-validation of its own"),
        (CalibratedClassifierCV(SVC()), "give the classifier itself"),
        (StackingClassifier([("a", SVC())]), "use VotingClassifier"),
        (GridSearchCV(SVC(), {"C": [1]}), r"use Head\(SVC\(...\), grid\)"),
        (
            make_pipeline(SelectFromModel(LassoCV()), SVC()),
            "LassoCV .in selectfrommodel__est",
        ),
        (VotingClassifier([("a", SVC(probability=True))], voting="soft"), "probability=True .in a"),
    ],
)
def test_validation_rows_that_an_estimator_draws_are_refused(estimator, message):
    with pytest.raises(UsageError, match=message):
        Head(estimator)


def test_methods_of_fitted_estimators_are_refused():
    scaler = StandardScaler().fit([[0.0], [1.0]])
    for method in (scaler.transform, functools.partial(scaler.transform)):
        with pytest.raises(UsageError, match="put that estimator into the pipeline itself"):
            Head(make_pipeline(FunctionTransformer(method), SVC()))


def test_a_head_of_a_head_is_refused():
    with pytest.raises(UsageError, match="this is a Head already"):
        Head(Head(SVC()))


def test_a_method_that_is_none_is_no_method():
    made = type("Decides", (SVC,), {"predict_proba": None})
    assert Head(made()).kind == "decision"


@pytest.mark.parametrize(
    "name", ["early_stopping_rounds", "validation_split", "validation_size", "train_split"]
)
def test_other_packages_ways_to_draw_rows_are_refused(name):
    made = type("Booster", (own_heads.Centroid,), {"__init__": lambda self, **k: setup(self, k)})

    def setup(self, given):
        self.given = {name: 10, **given}

    made.get_params = lambda self, deep=True: self.given
    made.set_params = lambda self, **k: self
    with pytest.raises(UsageError, match=f"set {name}="):
        suitability.refuse_drawing(made())


def test_early_stopping_that_waits_for_many_samples_is_refused_with_many():
    head = get_head(HistGradientBoostingClassifier())
    assert head.for_samples(10_000) is head
    with pytest.raises(UsageError, match="set early_stopping=False, or use the head gradient_boos"):
        head.for_samples(10_001)
    assert get_head("gradient_boosting").for_samples(10_001)
    with pytest.raises(UsageError, match="early_stopping=True"):
        Head(MLPClassifier(), {"early_stopping": [False, True]})


@pytest.mark.parametrize(
    ("estimator", "grid", "message"),
    [
        (SVC(), {"c": [1]}, "'c', which is not a parameter of SVC"),
        (make_pipeline(SVC()), {"C": [1]}, "did you mean 'svc__C'"),
        (SVC(), {"C": 1}, r"write \[1\]"),
        (SVC(), {"kernel": "rbf"}, r"write \['rbf'\]"),
        (MLPClassifier(), {"early_stopping": np.array([False]), "alpha": np.ones(2)}, None),
        (SVC(), {"C": np.array(3.0)}, r"write \[3.0\]"),
        (SVC(), {"C": []}, "has no value for 'C'"),
        (SVC(), [1], ", not 1"),
        (SVC(), 5, "mappings, not 5"),
        (SVC(), {1: [2]}, "are texts such as 'C', not 1"),
        (SGDClassifier(), {"loss": ["hinge", "log_loss"]}, None),
        (Pipeline([("a", "passthrough")]), {"a": [SVC(), LogisticRegression()]}, None),
        (BaggingClassifier(), {"estimator": [LogisticRegressionCV()]}, "in estimator"),
    ],
)
def test_grids_are_checked_against_the_estimator(estimator, grid, message):
    if message is None:
        expected = "probability" if "alpha" in grid else "decision"
        assert Head(estimator, grid).kind == expected
        return
    with pytest.raises(UsageError, match=message):
        Head(estimator, grid)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sklearn.ensemble.RandomForestClassifier", "'sklearn.ensemble:RandomForestClassifier'"),
        ("sklearn.ensemble:RandomForestClasifier", "did you mean 'RandomForestClassifier'"),
        ("sklearn.ensembl:X", "there is no module 'sklearn.ensembl'"),
        ("a:b:c", "is not an import path"),
        ("own_heads:Needy", r"needs arguments \(depth\)"),
        ("own_heads:np", "which has no fit"),
        ("broken_module:X", r"cannot be imported \(ZeroDivisionError"),
        ("exiting_module:X", r"cannot be imported \(SystemExit"),
        ("os:sep", "names no class and no estimator"),
        ("sklearn.linear_model:Ridge", "is a regressor"),
    ],
)
def test_import_paths_that_lead_nowhere_are_named(path, message, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    (tmp_path / "exiting_module.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=message):
        get_head(path)
    assert "exiting_module" not in sys.modules


def test_import_paths_name_classes_estimators_and_heads():
    assert get_head("own_heads:Centroid").name == "Centroid"
    assert get_head("own_heads:model").estimator[-1].C == 0.1
    assert get_head(np.str_("svm")) is get_head("svm")


def test_heads_of_one_class_have_distinct_names():
    a, b = RandomForestClassifier(), RandomForestClassifier(max_depth=3)
    names = [head.name for head in get_heads([a, b, "svm", PCA_SVC])]
    assert names == [
        "RandomForestClassifier()",
        "RandomForestClassifier(max_depth=3)",
        "svm",
        "SVC",
    ]
    assert [h.name for h in get_heads({"deep": a, "svm": "svm"})] == ["deep", "svm"]
    assert [h.name for h in get_heads(a)] == ["RandomForestClassifier"]
    for twice in (["svm", "svm"], [SVC(), SVC()], [Head(SVC(), name="a"), Head(PCA_SVC, name="A")]):
        with pytest.raises(UsageError, match="is listed twice"):
            get_heads(twice)
    for none in ([], {}, ()):
        with pytest.raises(UsageError, match="no head to compare"):
            get_heads(none)


PCA_SVC = make_pipeline(PCA(), SVC())


@pytest.mark.parametrize("name", ["", " a", "a/b", "a\n", "\u202ea", "a" * 101, 5, b"a"])
def test_names_that_files_and_terminals_do_not_take_are_refused(name):
    with pytest.raises(UsageError, match="the name of a head"):
        Head(SVC(), name=name)


@pytest.mark.parametrize("name", ["svm", "prior", "metadata", "predictions", "ensemble"])
def test_names_with_a_meaning_are_refused(name):
    with pytest.raises(UsageError, match="is that of a head of bottleneck"):
        get_head(Head(SVC(), name=name))


def test_a_fitted_estimator_leaves_no_trace_in_the_head():
    f = make_features(n_patients=12)
    fitted = LogisticRegression().fit(f.X, f.y)
    head = Head(fitted)
    assert not hasattr(head.estimator, "coef_")
    fitted.set_params(C=99)
    assert head.build(0).C == 1.0


def test_random_states_are_those_of_the_seed_where_none_are_set():
    inner = make_pipeline(PCA(), own_heads.Centroid())
    vote = VotingClassifier([("a", inner), ("b", RandomForestClassifier(random_state=7))])
    vote.set_params(voting="soft")
    built = Head(vote).build(5)
    assert built.get_params()["a__pca__random_state"] == 5
    assert built.get_params()["a__centroid__random_state"] == 5
    assert built.get_params()["b__random_state"] == 7
    swapped = Head(BaggingClassifier(), {"estimator": [own_heads.Centroid()]})
    assert swapped.build(3, {"estimator": own_heads.Centroid()}).estimator.random_state == 3
    f = make_features(n_patients=12)
    one, two, other = (
        search(Head(own_heads.Centroid()), f.X, f.y, f.groups, inner_splits=2, seed=s)
        for s in (1, 1, 2)
    )
    assert one.score == two.score
    np.testing.assert_array_equal(one.estimator.means_, two.estimator.means_)
    assert not np.allclose(one.estimator.means_, other.estimator.means_, atol=1e-9)


@pytest.mark.parametrize(
    ("estimator", "balanced"),
    [
        (SVC(class_weight="balanced"), True),
        (make_pipeline(StandardScaler(), SVC(class_weight="balanced")), True),
        (BaggingClassifier(SVC(class_weight="balanced")), True),
        (RandomForestClassifier(class_weight="balanced_subsample"), True),
        (SVC(), False),
        (own_heads.Centroid(), False),
        (SVC(class_weight={"a": 2}), None),
        (GaussianNB(priors=np.array([0.5, 0.5])), None),
    ],
)
def test_class_weights_are_read_from_the_estimator(estimator, balanced):
    head = get_head(clone(estimator))
    assert head.balanced is balanced
    arm = Evaluation("a", None, None, head.name, None, {}, None, classifier=head.record)
    assert arm.weights_classes is balanced
    assert Head(SVC(), {"class_weight": [None, "balanced"]}).balanced is None


def test_records_and_descriptions_name_class_package_and_parameters():
    head = Head(make_pipeline(StandardScaler(), SVC(C=2)), {"svc__gamma": [0.1, "scale"]})
    step = head.record["steps"][1]
    assert (step["class"], step["parameters"]["C"]) == ("sklearn.svm:SVC", 2)
    assert head.record["grid"] == [{"svc__gamma": [0.1, "scale"]}]
    assert set(head.record["packages"]) == {"scikit-learn"}
    assert "SVC(C=2) (sklearn.svm, scikit-learn " in head.description
    assert "after StandardScaler()" in head.description
    assert "own_heads" in get_head("own_heads:Centroid").record["packages"]


def test_help_and_docs_list_every_name():
    assert set(CHOICES.split(", ")) == set(HEADS) - {"prior"}
    docs = (Path(__file__).parents[2] / "docs" / "guide" / "compare.md").read_text(encoding="utf-8")
    for name, description in HEADS.items():
        assert f"| `{name}` | {description} |" in docs
        assert get_head(name).description == HEADS[name]
