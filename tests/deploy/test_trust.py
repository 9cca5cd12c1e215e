"""Model files of estimators that are not in the catalogue: which types are trusted, and by whom."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import own_heads
import pytest
import skops.io
from made_features import make_features
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.model_file import read_model
from bottleneck.errors import ModelError, UsageError

OWN = (Path(__file__).parents[1] / "own_heads.py").read_text()


def test_models_of_own_estimators_need_the_trust_that_fit_names(tmp_path):
    f = make_features(n_patients=12)
    model = fit(f, "own_heads:Centroid", inner_splits=2)
    assert model.untrusted_types == ("own_heads.Centroid",)
    path = model.save(tmp_path / "m.skops")
    command = "bottleneck inspect .*m.skops --trust own_heads.Centroid"
    with pytest.raises(ModelError, match=command):
        read_model(path)
    with pytest.raises(ModelError, match=r"it does not hold other\.Type"):
        read_model(path, trust=("own_heads.Centroid", "other.Type"))
    for trust in ("own_heads.Centroid", ["own_heads.Centroid"], {"own_heads.Centroid"}):
        again = read_model(path, trust=trust)
        np.testing.assert_array_equal(
            again.predict(f).predictions.scores, model.predict(f).predictions.scores
        )
    assert again.classifier == model.classifier
    with pytest.raises(UsageError, match="the names of types"):
        read_model(path, trust=[own_heads.Centroid])
    trusted = fit(f, make_pipeline(StandardScaler(), GaussianNB()), inner_splits=2)
    assert trusted.untrusted_types == ()
    path = trusted.save(tmp_path / "t.skops")
    assert read_model(path).head == "GaussianNB"
    with pytest.raises(ModelError, match=r"needs no trust in a\.B"):
        read_model(path, trust="a.B")


def change(path: Path, **members) -> None:
    """Replace the estimator of a model file, and arrays by their names."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(content["schema.json"])
    schema["content"]["estimator"] = members["estimator"]
    content["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("loader", ["ObjectNode", "FunctionNode", "TypeNode", "ReduceNode"])
def test_no_file_imports_what_was_not_trusted(loader, tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(
        "from pathlib import Path\nPath('harm').touch()\ndef Evil(*args): Path('harm').touch()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = fit(make_features(n_patients=12), GaussianNB()).save(tmp_path / "m.skops")
    empty = {"__loader__": "JsonNode", "content": "{}", "__id__": 98}
    node = {"__class__": "Evil", "__module__": "planted", "__loader__": loader, "__id__": 99}
    node |= {"content": empty, "reduce": {"__loader__": "TupleNode", "content": [], "__id__": 97}}
    change(path, estimator=node)
    for trust in ((), ("sklearn.naive_bayes.GaussianNB",), ("planted",)):
        with pytest.raises(ModelError):
            read_model(path, trust=trust)
        result = CliRunner().invoke(app, ["inspect", str(path)])
        assert result.exit_code == 2
    assert "planted" not in sys.modules
    assert not Path("harm").exists()


def test_estimators_that_skops_cannot_save_are_named(tmp_path):
    f = make_features(n_patients=12)
    model = fit(f, make_pipeline(FunctionTransformer(lambda X: X), GaussianNB()), inner_splits=2)
    with pytest.raises(ModelError, match="the head GaussianNB cannot be saved"):
        model.save(tmp_path / "m.skops")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["Tree", "TreePredictor"])
def test_trees_that_point_out_of_themselves_are_refused(kind, tmp_path):
    f = make_features(n_patients=20)
    trees = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5)
    estimator = ExtraTreesClassifier(2, max_depth=2) if kind == "Tree" else trees
    model = fit(f, estimator, inner_splits=2)
    path = model.save(tmp_path / "m.skops")
    assert read_model(path).untrusted_types == ()
    if kind == "Tree":
        tree = model.estimator.estimators_[0].tree_
        state = tree.__getstate__()
        state["nodes"]["left_child"][0] = 2**40
        tree.__setstate__(state)
    else:
        model.estimator._predictors[0][0].nodes["feature_idx"][0] = 900
    with pytest.raises(ModelError, match="broken nodes"):
        read_model(model.save(tmp_path / "broken.skops"))


def test_trees_of_more_features_than_their_forest_are_refused(tmp_path):
    f = make_features(n_patients=12)
    wide = np.hstack([np.zeros_like(f.X)] * 9 + [f.X])
    codes = np.unique(f.y, return_inverse=True)[1]
    for estimator in (ExtraTreesClassifier(2), GradientBoostingClassifier(n_estimators=2)):
        model = fit(f, estimator, inner_splits=2)
        member = np.ravel(model.estimator.estimators_)[0]
        member.tree_ = type(member)(random_state=0).fit(wide, codes).tree_
        with pytest.raises(ModelError, match="broken nodes"):
            read_model(model.save(tmp_path / "wide.skops"))
        # Nor does it help that the member says so.
        member.n_features_in_ = wide.shape[1]
        with pytest.raises(ModelError, match="broken nodes"):
            read_model(model.save(tmp_path / "wide.skops"))


@pytest.mark.parametrize("name", ["support_", "_dual_coef_", "_intercept_", "support_vectors_"])
def test_support_vectors_with_arrays_of_unlike_lengths_are_refused(name, tmp_path):
    f = make_features(n_patients=12)
    model = fit(f, "svm_2018")
    assert read_model(model.save(tmp_path / "svm.skops")).head == "svm_2018"
    svc = model.estimator[-1]
    setattr(svc, name, getattr(svc, name)[..., :-1].copy())
    with pytest.raises(ModelError, match="arrays of different lengths"):
        read_model(model.save(tmp_path / "short.skops"))


def test_the_command_names_and_takes_the_types_to_trust(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    Path("my_heads.py").write_text(OWN)
    make_features(n_patients=12).save("f.h5")

    def run(*words: str, code: int = 0):
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, result.output
        return result

    fitted = run(
        "fit", "f.h5", "--jobs", "1", "--head", "my_heads:Centroid", "--head", "my_heads:model"
    )
    asked = "bottleneck inspect models/f--Centroid.skops --trust my_heads.Centroid"
    assert asked in fitted.stderr
    assert "f--LogisticRegression.skops" in fitted.stdout
    assert "--trust" not in fitted.stderr.replace(asked, "")
    refused = run("inspect", "models/f--Centroid.skops", code=2).stderr
    assert asked in refused
    assert "Traceback" not in refused
    shown = run(*asked.split()[1:], "--json").stdout
    assert json.loads(shown)["model"]["classifier"]["steps"][0]["class"] == "my_heads:Centroid"
    run("inspect", "models/f--LogisticRegression.skops", "--trust", "a.B", code=2)
    assert "for models" in run("inspect", "f.h5", "--trust", "a.B", code=2).stderr
    assert "needs arguments" in run("fit", "f.h5", "--head", "my_heads:Needy", code=2).stderr
    skops.io.dump({"a": 1}, "other.skops")
    assert "not a bottleneck model" in run("inspect", "other.skops", code=2).stderr
