"""Conformal sets of a model: from out-of-fold predictions, in words, and in a file."""

import dataclasses

import numpy as np
import pytest
import skops.io
from made_features import make_features

from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.conformal import ConformalSets
from bottleneck.deploy.models.model_file import read_model
from bottleneck.errors import ModelError, UsageError
from bottleneck.predictions import Predictions
from bottleneck.statistics import conformal_p_values, conformal_sets


def predict(n=40, images=3, seed=0, classes=("benign", "malignant"), groups=True):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % len(classes)).repeat(images)
    odds = rng.normal(size=(n * images, len(classes))) + 1.5 * np.eye(len(classes))[y]
    shares = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    patients = np.arange(n).repeat(images) if groups else None
    return Predictions.from_arrays(
        np.array(classes)[y], odds, patients, probabilities=shares, classes=list(classes)
    )


@pytest.mark.parametrize("groups", [True, False])
def test_sets_are_those_of_the_public_function(groups):
    known, new = predict(groups=groups), predict(seed=1).probabilities
    made = ConformalSets.fit(known)
    for error in (0.05, 0.1, 0.3):
        held = conformal_sets(
            known.labels, known.probabilities, known.groups, new=new, error_rate=error
        )
        np.testing.assert_array_equal(made.sets(new, error), held)
    # Alone or among others.
    np.testing.assert_array_equal(
        np.concatenate([made.p_values(row[np.newaxis]) for row in new]), made.p_values(new)
    )
    assert made.sets(np.empty((0, 2))).shape == (0, 2)


def test_the_order_of_the_rows_does_not_matter():
    known, new = predict(), predict(seed=1).probabilities
    shuffled = known.take(np.random.default_rng(0).permutation(len(known)))
    a, b = (ConformalSets.fit(each).p_values(new) for each in (known, shuffled))
    np.testing.assert_allclose(a, b, atol=1e-12)


def test_rows_without_a_patient_are_patients_of_their_own():
    known, new = predict(), predict(seed=1).probabilities
    groups = np.where(np.arange(len(known)) < 6, "", known.groups)
    own = np.where(groups == "", np.char.add("own", known.ids), groups)
    made = ConformalSets.fit(Predictions(**{**vars(known), "groups": groups}))
    judge = conformal_p_values(known.labels, known.probabilities, own, new=new)
    np.testing.assert_allclose(made.p_values(new), judge, atol=1e-12)
    assert made.patients == (22, 22)


def test_the_content_of_a_file_is_read_back_and_holds_no_ids():
    made = ConformalSets.fit(predict())
    content = skops.io.loads(skops.io.dumps(made.to_dict()))
    again = ConformalSets.from_dict(content)
    new = predict(seed=1).probabilities
    np.testing.assert_array_equal(made.p_values(new), again.p_values(new))
    assert again.words() == made.words()
    assert set(content) == {"classes", "scores", "weights", "patients", "unit"}


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["benign"]},
        {"classes": ["benign", "benign"]},
        {"classes": 3},
        {"scores": [[0.5], [np.nan]]},
        {"scores": [[0.5, 0.4], [0.1]]},
        {"weights": [[0.5], [1]]},
        {"weights": [[1, 1], [1]]},
        {"patients": [2, 1]},
        {"patients": ["1", 1]},
        {"unit": "centre"},
        {"more": 1},
    ],
)
def test_damaged_content_is_refused(change):
    content = {
        "classes": ["benign", "malignant"],
        "scores": [[0.5], [0.1]],
        "weights": [[1], [1]],
        "patients": [1, 1],
        "unit": "patient",
    }
    ConformalSets.from_dict(content)
    with pytest.raises(ModelError, match="damaged"):
        ConformalSets.from_dict({**content, **change})
    with pytest.raises(ModelError, match="damaged"):
        ConformalSets.from_dict({k: v for k, v in content.items() if k != "unit"})


def test_words_say_what_is_held_and_where_patients_are_too_few():
    many = ConformalSets.fit(predict(n=60)).words(0.1)
    assert "a set holds the true class for about 90 % or more of new patients of each class" in many
    assert "every set" not in many
    few = ConformalSets.fit(predict(n=30)).words(0.05)
    assert few.startswith("At an error rate of 5 % every set holds all classes")
    assert "sets need 19 patients of a class, and there are 15 patients of 'benign'" in few
    # At the rate that the words name, a set can exclude a class, and just below it cannot.
    made = ConformalSets.fit(predict(n=30))
    assert "from an error rate of 6.3 % on" in few
    assert not made.sets([[1.0, 0.0]], 0.063).all()
    assert made.sets([[1.0, 0.0]], 0.062).all()
    mixed = predict(n=40)
    some = (mixed.labels == "benign") | (np.arange(len(mixed)) < 30)
    text = ConformalSets.fit(mixed.take(some)).words(0.1)
    assert text.endswith(
        "'malignant' is in every set: an error rate of 10 % needs 9 patients, and there are 5."
    )
    assert "several images of one patient count as independent" in ConformalSets.fit(
        predict(groups=False)
    ).words(0.1)


def test_predictions_that_serve_no_sets_are_refused():
    known = predict()
    with pytest.raises(UsageError, match="need calibrated probabilities"):
        ConformalSets.fit(Predictions(**{**vars(known), "probabilities": None}))
    labels = np.where(np.arange(len(known)) < 5, "", known.labels)
    with pytest.raises(UsageError, match="5 of 120 have none"):
        ConformalSets.fit(Predictions(**{**vars(known), "labels": labels}))
    made = ConformalSets.fit(known)
    for wrong, message in (
        ([[0.5, np.nan]], "finite"),
        ([[0.5]], "each of the 2 classes"),
        ([[2.0, -1.0]], "between 0 and 1"),
        ([0.5, 0.5], "one row per sample"),
    ):
        with pytest.raises(UsageError, match=message):
            made.sets(wrong)
    for error in (0, 1, -0.1, 10, float("nan"), None):
        with pytest.raises(UsageError, match="error rate must lie between"):
            made.sets([[0.5, 0.5]], error)
        with pytest.raises(UsageError, match="error rate must lie between"):
            made.words(error)


@pytest.mark.parametrize("head", ["logistic", "svm"])
@pytest.mark.parametrize("unit", ["image", "patient"])
def test_a_fitted_model_keeps_the_sets_of_its_out_of_fold_probabilities(tmp_path, head, unit):
    f = make_features(n_patients=24)
    model = fit(f, head, unit=unit)
    assert model.conformal is not None
    assert model.conformal.patients == tuple(model.training["patients"].values())
    per_class = model.training["images" if unit == "image" else "patients"]
    assert [len(scores) for scores in model.conformal.scores] == list(per_class.values())
    again = read_model(model.save(tmp_path / "model.skops")).conformal
    new = predict(seed=1).probabilities
    np.testing.assert_array_equal(again.p_values(new), model.conformal.p_values(new))
    # Nothing in the file names a sample or a patient.
    data = (tmp_path / "model.skops").read_bytes()
    assert not any(name.encode() in data for name in {*f.ids, *f.patients})


def test_sets_of_other_classes_are_refused(tmp_path):
    model = fit(make_features(), "logistic")
    other = ConformalSets.fit(predict(classes=("a", "b")))
    path = dataclasses.replace(model, conformal=other).save(tmp_path / "model.skops")
    with pytest.raises(ModelError, match="nonconformity scores belong to other classes"):
        read_model(path)
