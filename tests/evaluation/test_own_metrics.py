"""Metrics of the user's own, against those of this package and of scikit-learn."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys

import numpy as np
import pytest
from made_features import make_features
from made_predictions import predict, with_probabilities
from scipy.stats import rankdata
from sklearn import metrics as sk

from bottleneck import compare, on_probabilities, on_scores, write_report
from bottleneck.cli.named_metrics import get_metrics
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.cross_validation.arms import ArmPredictions
from bottleneck.evaluation.cross_validation.evaluate_arm import evaluate_arm
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.own import own_metrics
from bottleneck.evaluation.metrics.own.metric_trial import check_metrics
from bottleneck.evaluation.metrics.own.own_intervals import measure_own
from bottleneck.evaluation.metrics.own.own_metrics import resample_metric
from bottleneck.report.json_record import results
from bottleneck.report.tables.terminal_tables import own_tables
from bottleneck.report.tables.text_tables import markdown_table
from bottleneck.report.wording.paragraphs import methods_paragraph

CLASSES = ("benign", "malignant")


def hits(true, predicted):
    return float((true == predicted).mean())


QUICK = Protocol(n_splits=3, inner_splits=2)


@pytest.fixture
def few_draws(monkeypatch):
    for module in ("own_metrics", "own_intervals"):
        monkeypatch.setattr(f"bottleneck.evaluation.metrics.own.{module}.N_DRAWS", 60)
    monkeypatch.setattr("bottleneck.statistics.inference.bootstrap._N_BLOCKS", 12)


def evaluated(arm, name="x", positive="malignant"):
    made = ArmPredictions(
        name=name,
        backbone=None,
        weights=None,
        head="predictions",
        test=arm,
        inner=(),
        chosen=(),
        seconds=0.0,
    )
    return evaluate_arm(made, positive, Measures())


def measure(arm, metric, positive="malignant"):
    (own,) = check_metrics({"own": metric}, arm.classes, positive).values()
    return resample_metric(own, arm, positive, seed=0)


ARMS = {
    "one test set": predict(60, groups=True),
    "folds and repeats": predict(90, groups=True, folds=3, repeats=2),
    "three classes": predict(90, groups=True, folds=3, classes=("a", "b", "c")),
}


def brier_of_classes(truth, probability):
    return float(np.mean((truth - probability) ** 2))


OURS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "mcc": sk.matthews_corrcoef,
    "auroc": on_scores(sk.roc_auc_score),
    "auprc": on_scores(sk.average_precision_score),
    "brier": on_probabilities(brier_of_classes),
}


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
def test_values_are_those_of_our_own_metrics(monkeypatch, arm, name):
    """Averaged over folds, repeats and classes as the metric of the same name is."""
    monkeypatch.setattr(own_metrics, "N_DRAWS", 1)
    monkeypatch.setattr("bottleneck.statistics.inference.bootstrap._N_BLOCKS", 1)
    arm = with_probabilities(arm)
    positive = "malignant" if "malignant" in arm.classes else None
    expected = evaluated(arm, positive=positive).metrics[name].value
    assert measure(arm, OURS[name], positive).value == pytest.approx(expected)


def auroc(truth, score):
    n, ranks = truth.sum(), rankdata(score)
    return (ranks[truth == 1].sum() - n * (n + 1) / 2) / (n * (len(truth) - n))


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("accuracy", hits),
        ("auroc", on_scores(auroc)),
        ("brier", on_probabilities(brier_of_classes)),
    ],
)
@pytest.mark.parametrize("folds", [1, 3])
def test_intervals_are_near_those_of_our_own_metrics(monkeypatch, name, metric, folds):
    """Other methods, the same patients and folds: the bounds are alike."""
    monkeypatch.setattr(own_metrics, "N_DRAWS", 1000)
    arm = with_probabilities(predict(240, groups=True))
    arm = dataclasses.replace(arm, folds=np.arange(240) // 4 % folds)
    checked = check_metrics({"own": metric}, CLASSES, "malignant")
    (result,) = measure_own([evaluated(arm)], checked, "malignant", seed=0).evaluations
    ours, own = result.metrics[name], result.metrics["own"]
    assert own.high - own.low == pytest.approx(ours.high - ours.low, rel=0.25)
    assert own.low == pytest.approx(ours.low, abs=0.03)
    assert ("Nadeau" in own.method) == (folds > 1)
    assert own.method.startswith("bootstrap of patients (BCa, 2,000 draws, seed 0)")


def test_arms_share_their_draws(few_draws):
    """The difference of an arm to itself is 0 in every draw, and that to a better one narrow."""
    one = predict(120, groups=True, seed=1)
    both = [
        evaluated(arm, name)
        for name, arm in (("a", one), ("b", one), ("c", predict(120, groups=True, seed=2)))
    ]
    checked = check_metrics({"kappa": hits}, CLASSES, "malignant")
    differences = measure_own(both, checked, "malignant", seed=0).differences
    assert [(d.a, d.b, d.metric, d.role, d.p) for d in differences] == [
        ("a", "b", "kappa", "secondary", None),
        ("a", "c", "kappa", "secondary", None),
        ("b", "c", "kappa", "secondary", None),
    ]
    assert (differences[0].value, differences[0].low) == (0, None)
    assert differences[1].low < differences[1].value < differences[1].high


def test_a_metric_is_shown_wherever_metrics_are(few_draws):
    features = make_features(signal=1.0, n_patients=24)
    other = make_features(
        signal=1.0, n_patients=24, seed=5, dataset={"name": "other", "fingerprint": "e" * 64}
    )
    other = dataclasses.replace(other, ids=np.char.add("x", other.ids))
    result = compare(
        features,
        ["lda"],
        external=other,
        protocol=QUICK,
        metrics={"hits": hits, "rank order": on_scores(auroc)},
    )
    arm = result.evaluations[0]
    assert list(arm.metrics)[-2:] == ["hits", "rank order"]
    assert arm.metrics["rank order"].value == pytest.approx(arm.metrics["auroc"].value)
    assert arm.metrics["hits"].low < arm.metrics["hits"].value < arm.metrics["hits"].high
    rows = result.to_frame().query("metric == 'hits'")
    assert rows["low"].notna().any()
    assert result.external[0].evaluations[0].metrics["hits"].low is not None
    assert {d.metric for d in result.external[0].drops} >= {"hits", "rank order"}
    record = json.loads(json.dumps(results(result)))
    assert record["arms"][0]["metrics"]["hits"]["value"] == pytest.approx(arm.metrics["hits"].value)
    assert any(d["metric"] == "hits" for d in record["comparisons"])
    assert "Hits" in markdown_table(result)
    assert "bootstrap of patients (BCa, 60 draws, seed 0)" in methods_paragraph(result)
    (table,) = own_tables(result.evaluations)
    assert [str(column.header) for column in table.columns[2:]] == ["Hits", "Rank order"]


@pytest.mark.slow(reason="the report is written")
def test_a_metric_is_in_the_report(few_draws, tmp_path):
    metrics = {"kappa <b>": sk.cohen_kappa_score}
    result = compare(make_features(n_patients=24), ["logistic"], protocol=QUICK, metrics=metrics)
    write_report(result, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Kappa &lt;b&gt;" in page
    assert "Kappa <b>" not in page


def test_a_metric_that_fails_later_leaves_the_rest(few_draws):
    """The trial has other numbers of samples than the data set."""

    def fragile(true, predicted):
        if len(true) not in (60,):
            raise ZeroDivisionError("division by zero")
        return hits(true, predicted)

    def undefined(true, predicted):
        return hits(true, predicted) if len(true) == 60 else float("nan")

    features = make_features(signal=1.0, n_patients=24)
    result = compare(
        features, ["lda"], protocol=QUICK, metrics={"fragile": fragile, "nothing": undefined}
    )
    assert result.evaluations[0].metrics["auroc"].low is not None
    assert np.isnan(result.evaluations[0].metrics["fragile"].value)
    warned = [w for w in result.warnings if "the metric" in w]
    arm = result.evaluations[0].name
    assert f"the metric 'fragile' of {arm} raised ZeroDivisionError: division by zero" in warned
    assert any(w.startswith(f"the metric 'nothing' of {arm} is not defined") for w in warned)


def test_what_a_function_warns_of_is_a_warning_of_the_results(few_draws):
    """The precision of an arm that never predicts the class is 0 for scikit-learn."""
    precision = functools.partial(sk.precision_score, pos_label="malignant")
    arm = predict(40)
    arm = dataclasses.replace(arm, predicted=np.full_like(arm.labels, "benign"))
    checked = check_metrics({"precision of mine": precision}, CLASSES, "malignant")
    result = measure_own([evaluated(arm)], checked, "malignant", seed=0)
    assert result.evaluations[0].metrics["precision of mine"].value == 0
    (warned,) = result.warnings
    assert warned.startswith("the metric 'precision of mine' of x: Precision is ill-defined")


def test_an_arm_without_probabilities_lacks_their_metrics(few_draws):
    arm = evaluated(predict(40))
    checked = check_metrics({"loss": on_probabilities(sk.log_loss)}, CLASSES, "malignant")
    (result,) = measure_own([arm], checked, "malignant", seed=0).evaluations
    assert "loss" not in result.metrics


def test_a_fold_without_a_class_has_no_value(few_draws):
    arm = predict(40, folds=2)
    arm = dataclasses.replace(arm, folds=(arm.labels == "benign").astype(np.int64))
    result = measure(arm, on_scores(sk.average_precision_score))
    assert np.isnan(result.value)
    assert "a fold lacks a class" in result.failure


def test_perfect_predictions_have_no_interval(few_draws):
    arm = predict(40, groups=True, skill=50)
    made = evaluated(arm)
    checked = check_metrics({"kappa": hits}, CLASSES, "malignant")
    (result,) = measure_own([made], checked, "malignant", seed=0).evaluations
    assert (result.metrics["kappa"].value, result.metrics["kappa"].low) == (1, None)


@pytest.mark.parametrize("skill", [-1.5, 1.5])
@pytest.mark.parametrize("seed", range(3))
def test_bounds_are_values_that_a_metric_can_have(few_draws, skill, seed):
    """Tails are extrapolated where training sets overlap, and 60 draws show little of them."""
    arm = with_probabilities(predict(60, groups=True, seed=seed, skill=skill))
    made = evaluated(dataclasses.replace(arm, folds=np.arange(60) // 4 % 3))
    metrics = {
        "share": hits,
        "rank": on_scores(auroc),
        "square": on_probabilities(brier_of_classes),
    }
    checked = check_metrics(metrics, CLASSES, "malignant")
    results = measure_own([made, dataclasses.replace(made, name="y")], checked, "malignant", seed=0)
    for name in metrics:
        own = results.evaluations[0].metrics[name]
        assert 0 <= own.low < own.value < own.high <= 1


def test_a_function_may_change_its_arrays(few_draws):
    def greedy(true, predicted):
        value = hits(true, predicted)
        true[:] = predicted
        return value

    arm = predict(40)
    before = arm.labels.copy()
    measure(arm, greedy)
    assert (arm.labels == before).all()


def returns(value):
    return lambda true, predicted: value if (true != predicted).any() else 7.0


class Scorer:
    def __call__(self, estimator, X, y):
        return 1.0


WRONG = {
    "no dict": (sk.cohen_kappa_score, "metrics must be a dict of names to functions"),
    "list": ([sk.cohen_kappa_score], "metrics must be a dict"),
    "name of ours": ({"auroc": len}, "'auroc' has the name of a built-in metric, 'auroc'"),
    "name like ours": ({"Balanced Accuracy": len}, "a built-in metric, 'balanced_accuracy'"),
    "prevalence": ({"PPV at prevalence": len}, "built-in metric"),
    "twice": ({"k a": returns(1.0), "K_A": returns(1.0)}, "the name of another metric, 'k a'"),
    "number as name": ({7: len}, "the name of a metric must be text, not 7"),
    "empty name": ({" ": len}, "cannot name a metric"),
    "line in name": ({"a\nb": len}, "cannot name a metric"),
    "long name": ({"a" * 41: len}, "use 1 to 40 letters"),
    "not callable": ({"k": "cohen_kappa_score"}, "needs a function .* not 'cohen_kappa_score'"),
    "None": ({"k": None}, "needs a function .* not None"),
    "class": ({"k": Scorer}, "needs a function"),
    "scorer": ({"k": Scorer()}, "'k' raised TypeError: .* It is called as function"),
    "one argument": ({"k": lambda true: 1.0}, "raised TypeError"),
    "raises": ({"k": lambda t, p: 1 / 0}, "'k' raised ZeroDivisionError: division by zero, on a"),
    "pos_label": ({"f1": sk.f1_score}, "has the name of a built-in"),
    "pos_label 1": ({"F1 score": sk.f1_score}, "pos_label=1 is not a valid label.*partial"),
    "scores": ({"k": sk.average_precision_score}, "'k' raised .* pass on_scores"),
    "returns None": ({"k": returns(None)}, r"'k' returned None \(NoneType\), not a number"),
    "returns an array": ({"k": returns(np.ones(2))}, r"returned array\(\[1., 1.\]\) \(ndarray\)"),
    "returns a bool": ({"k": returns(True)}, r"returned True \(bool\), not a number"),
    "returns np.bool": ({"k": returns(np.bool_(True))}, "not a number"),
    "returns complex": ({"k": returns(1j)}, r"returned 1j \(complex\), not a number"),
    "returns text": ({"k": returns("1")}, r"returned '1' \(str\), not a number"),
    "per class": (
        {"k": functools.partial(sk.recall_score, average=None)},
        r"returned array\(.*\) \(ndarray\), not a number",
    ),
    "column": ({"Arm": hits}, "'Arm' has the name of a column of the tables, 'arm'"),
    "bound": ({"AUROC low": hits}, "has the name of a built-in metric, 'auroc'"),
    "bound of another": ({"k": hits, "k_low": hits}, "the name of another metric, 'k'"),
    "classes as numbers": (
        {
            "cost": lambda t, p: float(
                5 * ((t == 1) & (p == 0)).mean() + ((t == 0) & (p == 1)).mean()
            )
        },
        "'cost' is 0 for any predictions. Classes are text: compare them with 'malignant'",
    ),
    "class that is not there": (
        {"k": lambda t, p: float("nan") if not (t == "M").any() else 1.0},
        "'k' is not a number .NaN. for any predictions",
    ),
    "positives as text": (
        {"k": on_scores(lambda t, s: float(s[t == "malignant"].sum()))},
        "'k' is 0 for any predictions. True values are 0 or 1",
    ),
    "threshold of scores": (
        {"k": on_scores(lambda t, s: sk.f1_score(t, s > 0.5))},
        "'k' depends on more than the order of the scores.* pass on_probabilities",
    ),
    "loss of scores": ({"k": on_scores(sk.log_loss)}, "more than the order of the scores"),
    "random": ({"k": lambda t, p: np.random.random()}, "gives different values .* fix its seed"),
}


@pytest.mark.parametrize(("metrics", "message"), WRONG.values(), ids=WRONG)
def test_wrong_metrics_are_refused_before_anything_is_trained(monkeypatch, metrics, message):
    monkeypatch.setattr("bottleneck.evaluation.comparison.plan_split", None)
    with pytest.raises(UsageError, match=message):
        compare(make_features(n_patients=12), ["logistic"], metrics=metrics)


@pytest.mark.parametrize("mark", [on_scores, on_probabilities])
@pytest.mark.parametrize("function", [None, "f1", 7, Scorer, on_scores(len)])
def test_only_functions_are_marked(mark, function):
    with pytest.raises(UsageError, match=f"{mark.__name__} (needs a function|got)"):
        mark(function)


@pytest.mark.parametrize(
    "number", [1, 0.5, np.float32(0.5), np.int64(3), np.array(0.5), float("nan"), float("inf")]
)
def test_numbers_of_every_kind(number):
    check_metrics({"k": returns(number)}, CLASSES, "malignant")


def test_the_command_line_names_functions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "mine_of_metrics.py").write_text(
        "from bottleneck import on_probabilities\n"
        "def hits(t, p): return float((t == p).mean())\n"
        "loss = on_probabilities(hits)\n"
    )
    made = get_metrics(
        [
            "sklearn.metrics:cohen_kappa_score",
            "share=mine_of_metrics:hits",
            "mine_of_metrics:loss",
        ],
        ["AP=sklearn.metrics:average_precision_score"],
    )
    assert list(made) == ["cohen_kappa_score", "share", "loss", "AP"]
    assert (made["AP"].kind, made["loss"].kind) == ("scores", "probabilities")
    assert made["share"](np.array(["a"]), np.array(["a"])) == 1


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (["kappa"], [], "'kappa' is not an import path: write package.module:function, such as"),
        (["sklearn.metrics.cohen_kappa_score"], [], "is not an import path"),
        (["sklearn.metrics:cohen_kapa_score"], [], "did you mean 'cohen_kappa_score'"),
        (["nothing_here:f"], [], "there is no module 'nothing_here'"),
        ([], ["math:pi"], "on_scores needs a function .* not 3.14"),
        (["math:gcd", "math:gcd"], [], "two metrics are called 'gcd'"),
        ([""], [], "'' is not an import path"),
        (["a="], [], "'' is not an import path"),
    ],
)
def test_metrics_that_a_command_line_cannot_name(labels, scores, message):
    with pytest.raises(UsageError, match=message):
        get_metrics(labels, scores)
