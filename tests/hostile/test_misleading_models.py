"""Malicious models and tables of predictions are refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import skops.io

from bottleneck.deploy.models.model_file import read_model
from bottleneck.errors import DataError, ModelError
from bottleneck.predictions.prediction_tables import read_predictions

HEADER = "id,label,score_a,score_b"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"{HEADER},fold\n1,a,1,2,99999999999999999999\n", "fold needs whole numbers from 0"),
        (f"{HEADER},fold\n1,a,1,2,1e30\n", "fold needs whole numbers from 0, not 1e\\+30"),
        (f"{HEADER},repeat\n1,a,1,2,0.5\n", "repeat needs whole numbers from 0, not 0.5"),
        (f"{HEADER},fold\n1,a,1,2,-1\n", "fold needs whole numbers from 0, not -1"),
        (f"{HEADER},score_a\n1,a,1,2,3\n", "several columns 'score_a'"),
        (f"{HEADER},id\n1,a,1,2,3\n", "several columns 'id'"),
        (f"{HEADER}\n1,a,nan,2\n", "score_a needs a number, not 'nan'"),
        (f"{HEADER}\n1,a,1,-inf\n", "score_b needs a number, not '-inf'"),
        (f"{HEADER}\n1,a,1_0,2\n", "score_a needs a number, not '1_0'"),
        (f"{HEADER}\n1\0,a,1,2\n", "NUL bytes"),
        (f"{HEADER}\n1,a,1,2,9\n", "line 2: 5 fields, but the header has 4"),
        ("id,label,score_,score_b\n1,b,1,2\n", "names no class"),
        (f"{HEADER}\né,a,1,2\n".encode("latin-1"), "not UTF-8 text"),
        (f"{HEADER}\n1,a,1\n2\n", "line 2: score_b needs a number, not ''"),
        (b"", "is empty"),
    ],
)
def test_odd_tables_of_predictions_are_refused(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=says):
        read_predictions(path)


def test_predictions_are_a_file_whatever_its_name(tmp_path: Path) -> None:
    for name in ("p.csv.gz", "p.zip", "p.xz"):
        (tmp_path / name).write_text(f"{HEADER}\n1,a,1,2\n")
        assert len(read_predictions(tmp_path / name)[0]) == 1
    with pytest.raises(DataError, match="No such file"):
        read_predictions("http://localhost/p.csv")


@pytest.mark.parametrize(
    "node",
    [
        {"__class__": "system", "__module__": "os", "__loader__": "TypeNode"},
        {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode"},
        {
            "__class__": "Pipeline",
            "__module__": "sklearn.pipeline",
            "__loader__": "OperatorFuncNode",
            "attrs": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"},
        },
        {
            "__class__": "Pipeline",
            "__module__": "sklearn.pipeline",
            "__loader__": "MethodNode",
            "content": {"func": "__init__", "obj": {"__loader__": "JsonNode", "content": "1"}},
        },
    ],
    ids=lambda node: node["__loader__"],
)
def test_models_with_code_in_them_are_refused(tmp_path: Path, node: dict[str, Any]) -> None:
    path = tmp_path / "m.skops"
    skops.io.dump({"format": "bottleneck-model/3", "metadata": {}, "estimator": 1}, path)
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    schema["content"]["estimator"] = node | {"__id__": 99}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    with pytest.raises(ModelError):
        read_model(path)
