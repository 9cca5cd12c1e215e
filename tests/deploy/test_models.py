"""Models that are saved and loaded: predictions, records and refused files."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from functools import partial

import numpy as np
import pytest
import skops.io
from made_features import make_features
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.model import MODEL_FORMAT, Model
from bottleneck.deploy.models.model_fields import describe_fields, write_fields
from bottleneck.deploy.models.model_file import model_file_name, read_model
from bottleneck.errors import FeatureFileError, ModelError, ProtocolError, UsageError
from bottleneck.features.file.reader import load_features
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head_catalogue import HEADS
from bottleneck.heads.search import search

# Their predictions are defined by the largest probability, and they take a second each.
TREES = ("random_forest", "gradient_boosting")


@pytest.fixture
def model() -> Model:
    return fit(make_features(), "logistic", inner_splits=2)


@pytest.mark.parametrize("name", HEADS)
def test_models_come_back_from_their_files(tmp_path, name):
    f = make_features(n_patients=16)
    fresh = make_features(n_patients=16, seed=1)
    model = fit(f, name, inner_splits=2)
    path = model.save(tmp_path / model_file_name("phantom--resnet18--avg--0123abcd.h5", name))
    assert path.name == f"phantom--resnet18--avg--0123abcd--{name}.skops"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    loaded = read_model(path)
    np.testing.assert_equal(write_fields(loaded), write_fields(model))
    before, after = model.predict(fresh).predictions, loaded.predict(fresh).predictions
    np.testing.assert_array_equal(after.scores, before.scores)
    np.testing.assert_array_equal(after.predicted, before.predicted)


def test_fit_records_what_it_was_trained_on(model):
    f = make_features()
    assert (model.head, model.classes, model.positive) == (
        "logistic",
        ("benign", "malignant"),
        "malignant",
    )
    assert (model.dataset, model.fingerprint) == ("phantom", "f" * 64)
    assert (model.n_samples, model.n_patients, model.trained_on) == (80, 40, "all samples")
    assert model.recipe == f.provenance["recipe"]
    assert model.recipe_hash == f.recipe_hash
    assert 0.5 < model.inner_score <= 1
    assert set(model.chosen) == {"C"}
    assert model.versions["numpy"] == np.__version__
    assert json.loads(json.dumps(describe_fields(model)))


def test_predictions_are_those_of_the_estimator(model):
    fresh = make_features(seed=1)
    predictions = model.predict(fresh).predictions
    probability = model.estimator.predict_proba(fresh.X.astype(float))
    np.testing.assert_array_equal(predictions.scores, probability)
    expected = np.array(model.classes)[probability.argmax(axis=1)]
    np.testing.assert_array_equal(predictions.predicted, expected)
    assert predictions.kind == "probability"
    assert predictions.ids.tolist() == fresh.ids.tolist()
    assert set(predictions.repeats) == set(predictions.folds) == {0}


def test_a_fixed_test_part_is_left_out():
    f = make_features()
    splits = np.repeat(["train", "val", "test", "train"], 20)
    X = f.X.copy()
    # A test part that says the opposite would spoil the model if it were trained on.
    X[splits == "test"] *= -50
    model = fit(dataclasses.replace(f, splits=splits, X=X), "logistic", inner_splits=2)
    kept = splits != "test"
    part = dataclasses.replace(
        f, X=f.X[kept], y=f.y[kept], ids=f.ids[kept], stated_patients=f.stated_patients[kept]
    )
    alone = fit(part, "logistic", inner_splits=2)
    assert (model.n_samples, model.n_patients) == (60, 30)
    assert model.trained_on == "training and validation parts"
    np.testing.assert_array_equal(
        model.predict(f).predictions.scores, alone.predict(f).predictions.scores
    )


def test_fit_reads_feature_files(tmp_path):
    with pytest.raises(FeatureFileError, match="does not exist"):
        fit(tmp_path / "none.h5")


def test_fit_asks_which_class_is_positive():
    f = make_features(classes=("TI-RADS 2", "TI-RADS 5"))
    with pytest.raises(UsageError, match="which label is the positive class"):
        fit(f)
    assert fit(f, "prior", positive="TI-RADS 2").positive == "TI-RADS 2"
    stated = make_features(classes=("x", "y"), dataset={"positive": "x"})
    assert fit(stated, "prior").positive == "x"
    assert fit(stated, "prior", positive="y").positive == "y"


def test_fit_refuses_one_class():
    f = make_features(classes=("benign",))
    with pytest.raises(ProtocolError, match=r"all 80 samples are of class 'benign'"):
        fit(f)


def test_other_recipes_are_refused_with_what_differs(model):
    other = make_features(recipe={"pooling": "max", "preprocessing": {"height": 299, "width": 224}})
    with pytest.raises(ModelError) as caught:
        model.predict(other)
    assert "pooling is 'max', not 'avg'; preprocessing.height is 299, not 224." in str(caught.value)
    # A second name of the same network makes the same numbers.
    assert len(model.predict(make_features(recipe={"backbone": "timm/resnet18.tv_in1k"}))) == 80


def test_labels_that_the_model_does_not_know_are_refused(model):
    f = make_features()
    y = f.y.copy()
    y[:3] = "cyst"
    with pytest.raises(ModelError, match=r"3 of 80 samples have another label \('cyst'\)"):
        model.predict(dataclasses.replace(f, y=y))
    benign = f.y == "benign"
    part = dataclasses.replace(
        f,
        X=f.X[benign],
        y=f.y[benign],
        ids=f.ids[benign],
        stated_patients=f.stated_patients[benign],
    )
    assert model.predict(part).predictions.classes == ("benign", "malignant")


def test_features_that_are_not_finite_are_refused(model):
    f = make_features()
    f.X[0, 0] = np.nan
    with pytest.raises(FeatureFileError, match="1 of 80 samples are not finite"):
        model.predict(f)


def dump(path, content) -> None:
    skops.io.dump(content, path)


def describe(model: Model, **changes) -> dict:
    return write_fields(model) | changes


def test_types_that_no_head_needs_are_named_and_not_loaded(tmp_path, model):
    path = tmp_path / "bad.skops"
    harm = make_pipeline(FunctionTransformer(partial(print, "harm")))
    dump(path, {"format": MODEL_FORMAT, "metadata": describe(model), "estimator": harm})
    with pytest.raises(ModelError, match=r"no bottleneck head needs: .*builtins\.print"):
        read_model(path)


def test_estimators_of_other_kinds_are_refused(tmp_path, model):
    f = make_features()
    path = tmp_path / "bayes.skops"
    bayes = make_pipeline(GaussianNB()).fit(f.X, f.y)
    dump(path, {"format": MODEL_FORMAT, "metadata": describe(model), "estimator": bayes})
    with pytest.raises(ModelError, match="an estimator other than that of the head 'logistic'"):
        read_model(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "bottleneck-model/9"}, "has the format 'bottleneck-model/9'"),
        ({"metadata": {"head": "svm"}}, "is not a bottleneck model: it lacks the field"),
        ({"estimator": "nothing"}, "holds an estimator other"),
        ({"classes": ("cyst", "malignant")}, "estimator with classes other"),
        ({"kind": "odds"}, "the field 'kind' is not one that fit writes"),
    ],
)
def test_contents_that_do_not_fit_are_refused(tmp_path, model, change, message):
    content = {
        "format": MODEL_FORMAT,
        "metadata": describe(model, conformal=None),
        "estimator": model.estimator,
    }
    content["metadata"] |= {k: v for k, v in change.items() if k in ("classes", "kind")}
    content |= {k: v for k, v in change.items() if k in content}
    path = tmp_path / "odd.skops"
    dump(path, content)
    with pytest.raises(ModelError, match=message):
        read_model(path)


def test_files_that_are_no_models_are_refused(tmp_path, model):
    path = model.save(tmp_path / "model.skops")
    whole = path.read_bytes()
    flipped = bytes(b ^ 0xFF for b in whole[200:260])
    damaged = (
        b"",
        b"this is not a zip",
        whole[: len(whole) // 2],
        whole[:200] + flipped + whole[260:],
    )
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(ModelError, match="is damaged, or not a bottleneck model"):
            read_model(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday.txt", "photographs")
    with pytest.raises(ModelError, match="is damaged, or not a bottleneck model"):
        read_model(path)
    dump(path, ["a", "list"])
    with pytest.raises(ModelError, match="is not a bottleneck model"):
        read_model(path)
    with pytest.raises(ModelError, match=r"the model .* cannot be read: No such file"):
        read_model(tmp_path / "none.skops")


def test_a_model_that_cannot_be_written_leaves_the_old_one(tmp_path, model, monkeypatch):
    path = model.save(tmp_path / "model.skops")
    before = path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ModelError, match=r"cannot write the model .*No space left"):
        dataclasses.replace(model, dataset="other").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ModelError, match="No such file or directory"):
        model.save(tmp_path / "no" / "model.skops")


def test_loading_a_feature_file_as_a_model_is_refused_and_the_other_way(tmp_path, model):
    path = model.save(tmp_path / "model.skops")
    with pytest.raises(FeatureFileError):
        load_features(path)


@pytest.mark.parametrize("name", [n for n in HEADS if n not in TREES])
def test_the_predicted_class_has_the_largest_score(name):
    # Of three classes in noise, each often wins one pair; libsvm then takes the first.
    f = make_features(classes=("a", "b", "c"), n_patients=30, signal=0.5, width=4)
    fresh = make_features(classes=("a", "b", "c"), n_patients=300, signal=0.5, width=4, seed=1)
    model = fit(f, name, inner_splits=2, positive="a")
    predictions = model.predict(fresh).predictions
    taken = [list("abc").index(c) for c in predictions.predicted]
    rows = np.arange(len(taken))
    np.testing.assert_array_equal(predictions.scores[rows, taken], predictions.scores.max(axis=1))
    if name == "svm_2018":
        voted = model.estimator.predict(fresh.X.astype(float))
        assert (voted != predictions.predicted).any()


def test_copies_are_in_one_inner_fold(monkeypatch):
    # Every image of one patient is also an image of another one.
    f = make_features(n_patients=24, images=2)
    pixels = np.array([f"{i % 24:064d}" for i in range(48)])
    f = dataclasses.replace(f, pixels=pixels, y=np.tile(f.y[:24], 2))
    passed = []

    def spy(head, X, y, groups, **options):
        passed.append(groups)
        return search(head, X, y, groups, **options)

    monkeypatch.setattr("bottleneck.deploy.fit.search", spy)
    model = fit(f, "logistic", inner_splits=2)
    (groups,) = passed
    assert (groups[:24] == groups[24:]).all()
    assert model.n_patients == 24


def test_a_model_is_trained_on_arrays_and_names_what_it_cannot_predict_from() -> None:
    y = np.repeat(["benign", "malignant"], 20)
    X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    features = FeatureSet.from_arrays(X, y, groups=np.arange(40) // 2)
    from_arrays, from_set = (
        fit(X, "logistic", y=y, groups=np.arange(40) // 2),
        fit(features, "logistic"),
    )
    np.testing.assert_array_equal(
        from_arrays.predict(features).predictions.scores,
        from_set.predict(features).predictions.scores,
    )
    unlabelled = from_arrays.predict(X).predictions
    np.testing.assert_array_equal(unlabelled.scores, from_set.predict(features).predictions.scores)
    assert set(unlabelled.labels) == {""}
    with pytest.raises(ModelError, match="there are 3 columns, not 4"):
        from_arrays.predict(X[:, :3])
