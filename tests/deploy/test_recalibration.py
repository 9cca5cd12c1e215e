"""Recalibration on cases of another hospital: the estimates, what is refused, and the record."""

import dataclasses

import numpy as np
import pytest
import statsmodels.api as sm
from made_features import make_features
from scipy import special
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.evaluated_arm import EvaluatedArm, MeasuredFigure, MeasuredPoint
from bottleneck.deploy.models.model_file import read_model
from bottleneck.deploy.models.model_words import describe_model
from bottleneck.deploy.prediction.head_prediction import score_features
from bottleneck.deploy.recalibration import recalibrate
from bottleneck.errors import BottleneckError, ModelError, ProtocolError, UsageError
from bottleneck.evaluation.metrics.probabilities.calibration_shift import (
    CalibrationShift,
    fit_shift,
)
from bottleneck.evaluation.metrics.probabilities.sigmoids import add_probabilities
from bottleneck.report.prediction_summary import describe_origin

ELSEWHERE = {"name": "elsewhere", "fingerprint": "e" * 64}


def new_cases(n_patients=60, shift=1.0, seed=5, **options):
    """Features of another hospital: moved along the signal, so that probabilities are wrong."""
    made = make_features(n_patients=n_patients, seed=seed, dataset=ELSEWHERE, **options)
    home = make_features(n_patients=60, **{k: v for k, v in options.items() if k == "classes"})
    rng = np.random.default_rng(seed)
    means = np.stack([home.X[home.y == name].mean(axis=0) for name in home.classes])
    codes = np.searchsorted(home.classes, made.y)
    X = means[codes] * 0.6 + rng.normal(size=made.X.shape) + shift * means[-1] / 2
    return dataclasses.replace(made, X=X.astype(np.float32))


@pytest.fixture(scope="module")
def model():
    return fit(make_features(n_patients=60), "logistic", at_sensitivity=0.9)


def probabilities(model, features):
    return add_probabilities(score_features(model, features), model.sigmoids).probabilities


@pytest.mark.parametrize("seed", range(3))
def test_two_classes_are_recalibrated_as_by_the_sigmoid_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=60) * 3
    y = np.where(rng.random(60) < special.expit(0.5 * odds + 1), "m", "b")
    p = special.expit(odds)
    ours = fit_shift(np.stack([1 - p, p], axis=1), y, ("b", "m"))

    line = LogisticRegression().fit(odds[:, None], y)
    line.coef_, line.intercept_ = np.array([[1.0]]), np.array([0.0])
    judge = CalibratedClassifierCV(FrozenEstimator(line), method="sigmoid").fit(odds[:, None], y)
    (platt,) = judge.calibrated_classifiers_[0].calibrators
    np.testing.assert_allclose([ours.slope, ours.intercepts[1]], [-platt.a_, -platt.b_], atol=1e-4)


def test_three_classes_are_recalibrated_as_by_a_multinomial_regression():
    # With many cases, smoothed classes are the classes; the judge fits a slope of its own per
    # class, which are equal where the truth has one.
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1, 1, 1], size=20_000)
    truth = CalibrationShift(0.6, (0.0, 0.8, -0.5))
    y = np.array([rng.choice(3, p=p) for p in truth.apply(shares)])
    ours = fit_shift(shares, np.array(list("abc"))[y], ("a", "b", "c"))
    assert ours.slope == pytest.approx(0.6, abs=0.03)
    np.testing.assert_allclose(ours.intercepts, truth.intercepts, atol=0.06)
    two = y < 2  # Conditional on two classes, it is a logistic regression of their log-odds.
    odds = np.log(shares[two, 1] / shares[two, 0])
    judge = sm.Logit(y[two], sm.add_constant(odds)).fit(disp=0).params
    np.testing.assert_allclose([ours.intercepts[1], ours.slope], judge, atol=0.05)


def test_changes_that_follow_each_other_are_one():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], size=20)
    first, second = CalibrationShift(0.5, (0.0, 1.0, -1.0)), CalibrationShift(2.0, (0.0, -0.3, 0.2))
    np.testing.assert_allclose(second.after(first).apply(p), second.apply(first.apply(p)))
    assert CalibrationShift.from_dict(first.to_dict()) == first


def test_separated_classes_have_a_finite_change():
    p = np.repeat([0.1, 0.9], 20)
    made = fit_shift(np.stack([1 - p, p], axis=1), np.repeat(["b", "m"], 20), ("b", "m"))
    assert made.apply(np.array([[0.1, 0.9]]))[0, 1] == pytest.approx(21 / 22, abs=1e-4)


def test_recalibrated_probabilities_fit_new_cases_of_the_same_hospital(model):
    made = recalibrate(model, new_cases(n_patients=100, shift=2.0), quiet=True)
    later = new_cases(seed=6, n_patients=200, shift=2.0)
    before, after = (probabilities(m, later)[:, 1] for m in (model, made.model))
    true = later.y == "malignant"
    assert log_loss(true, after) < log_loss(true, before) - 0.05
    assert brier_score_loss(true, after) < brier_score_loss(true, before)
    assert roc_auc_score(true, after) == pytest.approx(roc_auc_score(true, before), abs=1e-12)
    assert abs(after.mean() - true.mean()) < 0.08
    assert made.helps
    assert made.words.startswith("Recalibration helps: cross-validated, the log loss falls")


def test_old_figures_are_those_of_scikit_learn_and_new_ones_are_cross_validated(model):
    cases = new_cases()
    made = recalibrate(model, cases, quiet=True)
    true, old = cases.y == "malignant", probabilities(model, cases)[:, 1]
    in_sample = probabilities(made.model, cases)[:, 1]
    assert made.before["brier"].value == pytest.approx(brier_score_loss(true, old))
    assert made.before["log_loss"].value == pytest.approx(log_loss(true, old))
    assert made.after["log_loss"].value > log_loss(true, in_sample)
    assert made.after["log_loss"].value == pytest.approx(log_loss(true, in_sample), abs=0.05)
    assert set(made.before) == set(made.after)
    assert all(m.low < m.value < m.high for n, m in made.after.items() if n != "ece")


def test_labels_without_a_signal_say_that_it_does_not_help(model):
    # Cases like those at home: there is nothing to correct, and estimates only add noise.
    home = make_features(n_patients=60, seed=0, dataset=ELSEWHERE)
    rng = np.random.default_rng(1)
    other = dataclasses.replace(home, X=home.X + 0.05 * rng.normal(size=home.X.shape).astype("f4"))
    made = recalibrate(model, other, quiet=True)
    assert "Recalibration helps" not in made.words
    assert made.model.recalibrations[-1]["helps"] is made.helps


def test_the_conformal_sets_cover_new_patients_of_the_new_hospital(model):
    made = recalibrate(model, new_cases(n_patients=80), quiet=True).model
    assert made.conformal.patients == (40, 40)
    later = new_cases(seed=7, n_patients=300)
    held = {}
    for name, one in (("before", model), ("after", made)):
        sets = one.conformal.sets(probabilities(one, later), 0.1)
        codes = np.searchsorted(one.classes, later.y)
        held[name] = [sets[codes == k, k].mean() for k in (0, 1)]
    assert min(held["before"]) < 0.8 < 0.84 < min(held["after"])


def test_a_threshold_is_moved_to_its_target(model, tmp_path):
    cases = new_cases(shift=-1.0)
    made = recalibrate(model, cases, what="threshold", quiet=True)
    scores = score_features(model, cases).scores[:, 1]
    true = cases.y == "malignant"
    point = made.model.operating_point
    assert (point.held, point.target) == ("sensitivity", 0.9)
    assert (scores[true] >= point.threshold).mean() >= 0.9
    old = (scores[true] >= model.operating_point.threshold).mean()
    assert made.before["sensitivity"].value == pytest.approx(old)
    assert old < 0.8 < made.after["sensitivity"].value
    assert made.helps
    np.testing.assert_array_equal(probabilities(made.model, cases), probabilities(model, cases))
    record = made.model.recalibrations[0]
    assert record["threshold_before"] == model.operating_point.threshold
    assert record["threshold_after"] == point.threshold
    again = read_model(made.model.save(tmp_path / "moved.skops"))
    assert again.operating_point == point
    assert again.recalibrations == made.model.recalibrations


@pytest.mark.parametrize("what", ["probabilities", "threshold"])
def test_what_a_comparison_measured_is_said_to_be_older_than_a_recalibration(model, what):
    point = MeasuredPoint(
        held="sensitivity", target=0.9, metrics={"sensitivity": MeasuredFigure(value=0.87)}
    )
    evaluated = EvaluatedArm(
        arm="arm",
        dataset="phantom",
        positive="malignant",
        auroc=MeasuredFigure(value=0.8),
        design="a split",
        protocol="",
        unit="image",
        n_samples=60,
        n_patients=60,
        n_arms=1,
        is_best=True,
        operating_point=point,
    )
    known = dataclasses.replace(model, comparison=evaluated)
    made = recalibrate(known, new_cases(), what=what, quiet=True).model
    for old, new in (
        (describe_model(known)["comparison"], describe_model(made)["comparison"]),
        (" ".join(describe_origin(known)), " ".join(describe_origin(made))),
    ):
        assert "evaluated: AUROC 0.800" in old
        assert "evaluated before its recalibration: AUROC 0.800" in new
        assert ("refer to the old one" in new) == (what == "threshold")
    assert f"It was recalibrated: {made.recalibrations[0]['date']}, {what}, on elsewhere" in new
    assert ("cross-validated on" in describe_model(made)["threshold"]) == (what == "threshold")


def test_every_recalibration_stays_in_the_file(model, tmp_path):
    first = recalibrate(model, new_cases(), quiet=True)
    second = recalibrate(first.model, new_cases(seed=9), quiet=True)
    loaded = read_model(second.model.save(tmp_path / "model.skops"))
    assert model.recalibrations == ()
    assert [one["what"] for one in loaded.recalibrations] == ["probabilities"] * 2
    record = loaded.recalibrations[0]
    assert record["dataset"] == "elsewhere"
    assert record["fingerprint"] == "e" * 64
    assert record["images"] == {"benign": 60, "malignant": 60}
    assert record["patients"] == {"benign": 30, "malignant": 30}
    assert record["before"]["log_loss"]["value"] == first.before["log_loss"].value
    assert any("before" in note and "too optimistic" in note for note in second.notes)
    data, cases = (tmp_path / "model.skops").read_bytes(), new_cases()
    assert not any(name.encode() in data for name in {*cases.ids, *cases.patients})
    new = new_cases(seed=10)
    np.testing.assert_array_equal(probabilities(loaded, new), probabilities(second.model, new))


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_models_of_patients_are_recalibrated_on_patients(aggregate):
    model = fit(make_features(n_patients=60), "lda", unit="patient", aggregate=aggregate)
    made = recalibrate(model, new_cases(n_patients=50), quiet=True)
    assert made.model.recalibrations[0]["patients"] == {"benign": 25, "malignant": 25}
    assert [len(one) for one in made.model.conformal.scores] == [25, 25]
    unknown = dataclasses.replace(new_cases(), stated_patients=None)
    with pytest.raises(UsageError, match="fitted on patients, but the patients of these cases"):
        recalibrate(model, unknown, quiet=True)
    mixed = new_cases()
    mixed = dataclasses.replace(mixed, stated_patients=np.roll(mixed.stated_patients, 1))
    with pytest.raises(ProtocolError, match="60 of 60 patients have images of several classes"):
        recalibrate(model, mixed, quiet=True)


def test_three_classes_are_recalibrated():
    classes = ("benign", "cyst", "malignant")
    model = fit(make_features(n_patients=90, classes=classes), "lda", positive=None)
    made = recalibrate(model, new_cases(n_patients=75, classes=classes), quiet=True)
    later = new_cases(n_patients=150, classes=classes, seed=8)
    before, after = (probabilities(m, later) for m in (model, made.model))
    np.testing.assert_allclose(after.sum(axis=1), 1)
    assert log_loss(later.y, after) < log_loss(later.y, before)


def refuse(model, cases, message, error=BottleneckError, **options):
    with pytest.raises(error, match=message):
        recalibrate(model, cases, quiet=True, **options)


def test_cases_that_do_not_serve_are_refused(model):
    few = new_cases(n_patients=38)
    refuse(model, few, r"20 patients of each class, and there are 19 patients of 'benign', 19")
    known = new_cases()
    refuse(model, known.take(np.flatnonzero(known.y == "benign")), "0 images of 'malignant'")
    alone = dataclasses.replace(few.take(np.arange(38)), stated_patients=None)
    refuse(model, alone, "20 images of each class, and there are 20 images of 'benign', 18 images")
    pixels = np.char.add(known.y, (np.arange(120) % 18).astype(str))
    twins = dataclasses.replace(known, stated_patients=None, pixels=pixels)
    refuse(model, twins, "different image")
    refuse(model, make_features(n_patients=60), "trained on these cases", ProtocolError)
    part = make_features(n_patients=60).select(np.arange(120) < 100)
    refuse(model, part, "trained on these cases", ProtocolError)
    unlabelled = dataclasses.replace(known, y=np.where(np.arange(120) < 7, "", known.y))
    refuse(model, unlabelled, "label of every case, but 7 of 120 have none", UsageError)
    other = dataclasses.replace(known, y=np.where(np.arange(120) < 7, "cyst", known.y))
    refuse(model, other, "another label", ModelError)
    refuse(model, new_cases(recipe={"pooling": "max"}), "another", ModelError)
    swapped = np.where(known.y == "benign", "malignant", "benign")
    refuse(model, dataclasses.replace(known, y=swapped), "the wrong way", ProtocolError)
    same = dataclasses.replace(known, X=np.ones_like(known.X))
    refuse(model, same, "same probabilities|2 groups|different image", ProtocolError)


def test_images_of_the_training_set_are_recognised_by_their_features(model):
    home, cases = make_features(n_patients=60), new_cases()
    X = cases.X.copy()
    X[[3, 50]] = home.X[[9, 77]] * np.float32(1 + 1e-6)
    refuse(model, dataclasses.replace(cases, X=X), "trained on 2 of these 120 images, such as")
    # A part of the data set under other ids, and with another name.
    whole = fit(home.select(home.y != ""), "lda")
    renamed = home.take(np.arange(100), ids=np.arange(100).astype(str))
    refuse(whole, renamed, "trained on", ProtocolError)


def test_arrays_with_the_row_numbers_of_the_training_set_are_other_cases():
    rng = np.random.default_rng(0)
    y = np.repeat(["benign", "malignant"], 30)
    X, new = (rng.normal(size=(60, 4)) + (y == "malignant")[:, None] for _ in range(2))
    model = fit(X, "lda", y=y)
    assert len(recalibrate(model, new, y=y, quiet=True).model.recalibrations) == 1
    with pytest.raises(ProtocolError, match="trained on these cases"):
        recalibrate(model, X, y=y, quiet=True)
    with pytest.raises(ProtocolError, match="trained on these cases"):
        recalibrate(model, X, y=y, ids=[f"new {n}" for n in range(60)], quiet=True)


def test_models_and_options_that_do_not_serve_are_refused(model):
    cases = new_cases()
    plain = dataclasses.replace(model, operating_point=None)
    refuse(plain, cases, "no threshold to recalibrate", ModelError, what="threshold")
    refuse(model, cases, "part of a model to recalibrate", UsageError, what="head")
    refuse("model.skops", cases, "takes a model of fit or load_model", UsageError)
    refuse(model, cases, "number of folds", UsageError, splits=1)
    refuse(model, cases, "seed", UsageError, seed=-1)


def test_the_order_of_the_cases_does_not_matter(model):
    cases = new_cases()
    shuffled = cases.take(np.random.default_rng(0).permutation(len(cases)))
    a, b = (recalibrate(model, each, quiet=True).model.sigmoids.shift for each in (cases, shuffled))
    np.testing.assert_allclose([a.slope, *a.intercepts], [b.slope, *b.intercepts], atol=1e-6)
