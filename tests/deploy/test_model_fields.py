"""Model files with fields that fit does not write: each is refused with a sentence."""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from made_features import make_features
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.model import MODEL_FORMAT, Model
from bottleneck.deploy.models.model_fields import write_fields
from bottleneck.deploy.models.model_file import read_model
from bottleneck.errors import BottleneckError, ModelError
from bottleneck.report.notebook import to_html


@functools.cache
def made() -> Model:
    return fit(make_features(n_patients=20), "logistic", inner_splits=2, at_sensitivity=0.9)


def nested(depth: int) -> dict[str, Any]:
    return {"a": nested(depth - 1)} if depth else {}


POINT = {"held": "sensitivity", "target": 0.9, "threshold": 0.5} | dict.fromkeys(
    ("sensitivity", "specificity"), 0.9
)
WRONG = {
    "unit": ["patients", "", 1, None, ["image"]],
    "aggregate": ["median", None, "max "],
    "positive": ["cyst", 1, ("malignant",)],
    "classes": [
        (),
        ("benign",),
        ("malignant", "benign"),
        ("a", "a"),
        ["benign", "malignant"],
        "ab",
    ],
    "kind": ["odds", None, np.zeros(2)],
    "n_samples": [0, -1, 1.5, True, "80", None, 2**70],
    "n_patients": [0, 2.0, "2"],
    "inner_score": [np.nan, 1.2, -0.1, 1, "0.9", np.inf],
    "converged": [1, None, "yes"],
    "sigmoids": [
        {},
        [],
        "none",
        {"slopes": [1.0], "intercepts": []},
        {"slopes": [1.0, 1.0], "intercepts": [0.0, 0.0]},
        {"slopes": [np.nan], "intercepts": [0.0]},
        {"slopes": [np.inf], "intercepts": [0.0]},
        {"slopes": ["a"], "intercepts": [0.0]},
        {"slopes": ["1.0"], "intercepts": [0.0]},
        {"slopes": [[1.0]], "intercepts": [0.0]},
        {"slopes": [1.0], "intercepts": [0.0], "more": 1},
        {"slopes": [True], "intercepts": [0.0]},
        {"slopes": np.ones(1), "intercepts": [0.0]},
    ],
    "operating_point": [
        {},
        "0.5",
        POINT | {"held": "accuracy"},
        POINT | {"target": 0.0},
        POINT | {"target": 1.1},
        POINT | {"target": "0.9"},
        POINT | {"threshold": np.inf},
        POINT | {"threshold": np.nan},
        POINT | {"threshold": "0.5"},
        POINT | {"threshold": None},
        POINT | {"threshold": True},
        POINT | {"sensitivity": 2.0},
        POINT | {"more": 1},
    ],
    "training": [
        *(None, [], "all", {}, nested(20), {"a": StandardScaler()}, {1: "a"}),
        *({"images": counts} for counts in (None, [], {"benign": "1"}, {"benign": 0})),
    ],
    "weights": [None, (), {"a": np.array(["x"], object)}, {"a": np.array([np.nan])}, {"a": []}],
    "reference": [{}, [], 1, {"rows": np.zeros((2, 2))}],
    "comparison": ["report", [], 1],
    "recalibrations": [[], ("a",), ({},), None, {}, ({"date": "2026-01-01", "images": {}},)],
    "recipe": [None, "resnet18"],
    "selection": [
        None,
        {"words": 5},
        *({"merged": merged} for merged in (5, ["a"], {"ill": 5}, {"ill": [1]})),
        {"left_out": 1},
    ],
    "versions": [[]],
    "head": [None, 1],
    "dataset": [None, {}],
}


@pytest.mark.parametrize("name", WRONG)
def test_fields_that_fit_does_not_write_are_refused(name: str, tmp_path: Path) -> None:
    fields, path = write_fields(made()), tmp_path / "m.skops"
    assert name in fields
    for value in WRONG[name]:
        content = {
            "format": MODEL_FORMAT,
            "metadata": fields | {name: value},
            "estimator": made().estimator,
        }
        skops.io.dump(content, path)
        with pytest.raises(ModelError) as caught:
            read_model(path)
        text = str(caught.value)
        assert "is not a bottleneck model: " in text, (value, text)
        assert not any(word in text for word in ("__init__", "NoneType", "argument", "object at"))


def test_fields_that_are_absent_or_unknown_are_named(tmp_path: Path) -> None:
    fields, path = write_fields(made()), tmp_path / "m.skops"
    short = {name: value for name, value in fields.items() if name != "unit"}
    for metadata, words in ((short, "lacks the field 'unit'"), (fields | {"x": 1}, "field 'x'")):
        skops.io.dump(
            {"format": MODEL_FORMAT, "metadata": metadata, "estimator": made().estimator}, path
        )
        with pytest.raises(ModelError, match=words):
            read_model(path)


@pytest.mark.parametrize("stated", ["bottleneck-model/2", 3, None, np.zeros(2), ["a"]])
def test_models_of_another_version_are_to_be_trained_again(stated: Any, tmp_path: Path) -> None:
    path = tmp_path / "old.skops"
    skops.io.dump({"format": stated, "metadata": {}, "estimator": 1}, path)
    with pytest.raises(ModelError, match=r"has the format .*: train the head again with fit"):
        read_model(path)


def test_training_images_of_another_width_are_refused(tmp_path: Path) -> None:
    fields, path = write_fields(made()), tmp_path / "m.skops"
    reference = fields["reference"]
    assert reference["rows"].shape[1] == 8
    narrow = reference | {"rows": reference["rows"][:, :5].copy()}
    content = {"format": MODEL_FORMAT, "metadata": fields | {"reference": narrow}}
    skops.io.dump(content | {"estimator": made().estimator}, path)
    with pytest.raises(ModelError, match="another number of features"):
        read_model(path)


ODD: list[Any] = [
    *(None, 0, -1, 1.5, True, "", "2", "\x1b[31m", 2**62, np.nan, np.inf, 1e308),
    *([], {}, {"a": 1}, [1], ("a",), [[]], np.zeros(3), np.zeros((2, 2)), np.array([1, 2])),
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys if isinstance(value, dict | list | tuple) else ():
        yield (*at, key)
        yield from places(value[key], (*at, key)) if hasattr(value[key], "__len__") else ()


def put(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    if isinstance(value, dict):
        return value | {at[0]: put(value[at[0]], at[1:], new)}
    changed = [put(one, at[1:], new) if n == at[0] else one for n, one in enumerate(value)]
    return type(value)(changed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_changed_value_is_refused_or_does_no_harm(seed: int, tmp_path: Path) -> None:
    rng, path = random.Random(seed), tmp_path / "m.skops"
    features = make_features(n_patients=20)
    fields = write_fields(made())
    anywhere = list(places(fields))
    for _ in range(60):
        changed = put(fields, rng.choice(anywhere), rng.choice(ODD))
        content = {"format": MODEL_FORMAT, "metadata": changed, "estimator": made().estimator}
        skops.io.dump(content, path)
        with contextlib.suppress(BottleneckError):
            model = read_model(path)
            assert repr(model)
            assert to_html(model)
            assert CliRunner().invoke(app, ["inspect", str(path)]).exit_code == 0
            model.predict(features).to_frame()


def test_a_model_holds_no_id_and_no_patient(tmp_path: Path) -> None:
    data = made().save(tmp_path / "m.skops").read_bytes()
    assert b"image-0" not in data
    assert b"patient-0" not in data
