"""``bottleneck concatenate``, and comparing and auditing what it makes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from made_features import VGG, make_features
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app
from bottleneck.features.sets.feature_set import FeatureSet


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def save(features: FeatureSet, folder: Path = Path()) -> Path:
    return features.save(folder / features.file_name)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files of two hospitals by one recipe."""
    monkeypatch.chdir(tmp_path)
    bern = make_features(n_patients=16, seed=1, dataset={"name": "bern"})
    # Another signal would be another recipe: the columns of both mean the same.
    basel = dataclasses.replace(
        make_features(n_patients=12, seed=1, dataset={"name": "basel"}),
        X=bern.X[:24] + np.float32(0.1),
    )
    return [save(bern), save(basel)]


def test_two_hospitals_are_compared_by_centre(files: list[Path]) -> None:
    result = run("compare", *files, "--head", "prior")
    assert result.exit_code == 2
    assert "bottleneck concatenate" in " ".join(result.stderr.split())
    result = run("concatenate", *files, "--json")
    assert result.exit_code == 0, result.output
    (made,) = json.loads(result.stdout)["files"]
    assert made["sources"] == {"bern": 32, "basel": 24}
    assert Path(made["path"]).name.startswith("bern-basel--resnet18--imagenet--avg--")
    result = run("compare", "--head", "prior", "--protocol", "centres", "--jobs", "1", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["protocol"]["kind"] == "centres"
    assert record["dataset"]["n_patients"] == 28
    assert "bern" in json.dumps(record["arms"][0]["centres"])
    assert run("audit", made["path"]).exit_code == 0
    assert "sources" in run("inspect", made["path"]).stdout


def test_every_recipe_has_a_file(files: list[Path]) -> None:
    others = [
        save(make_features(n_patients=n, recipe=VGG, dataset={"name": name}))
        for n, name in ((16, "bern"), (12, "basel"))
    ]
    result = run("concatenate", *files, *others, "--name", "both", "--output", "out")
    assert result.exit_code == 0, result.output
    assert len(list(Path("out").glob("both--*.h5"))) == 2
    again = run("concatenate", *files, *others, "--name", "both", "--output", "out")
    assert (again.exit_code, "--overwrite" in again.stderr) == (2, True)
    words = "name a file of every recipe for each data set"
    assert words in " ".join(run("concatenate", *files, others[0]).stderr.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0"], "at least two data sets, not 1"),
        (["0", "0"], "both come from a data set named 'bern'"),
        (["Bern=0", "0"], "hold the same samples"),
        (["=0", "1"], "must be FILE or NAME=FILE"),
        (["0", "nothing.h5"], "does not exist"),
        (["0", "empty"], "no feature files in empty"),
        (["0", "other"], "backbone is 'vgg16'"),
    ],
)
def test_wrong_uses(files: list[Path], words: list[str], message: str) -> None:
    Path("empty").mkdir()
    other = save(make_features(recipe=VGG, dataset={"name": "other"}))
    paths = {"0": str(files[0]), "1": str(files[1]), "other": str(other)}
    typed = []
    for word in words:
        name, sign, path = word.rpartition("=")
        typed.append(f"{name}{sign}{paths.get(path, path)}")
    result = run("concatenate", *typed)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
