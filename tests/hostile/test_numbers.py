"""Numbers out of range are refused before anything is read or written, wherever they are given."""

from __future__ import annotations

import dataclasses
import json
import math
import resource
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from made import dataset_of, make_images
from made_features import make_features
from typer.testing import CliRunner

from bottleneck.cli.command_line import app
from bottleneck.data.augmented_copies import Augmentation
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.readers import load_dataset
from bottleneck.data.splits.protocol import Protocol
from bottleneck.deploy.fit import fit
from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.measures import Measures
from bottleneck.features.extraction import extract
from bottleneck.features.file.format import FORMAT
from bottleneck.features.file.journal import Journal
from bottleneck.features.options import ExtractionOptions
from bottleneck.finetune.training_options import TrainingOptions, read_training_options
from bottleneck.settings.schema import bare
from bottleneck.studies.overrides import Overrides
from bottleneck.studies.study import StudyProtocol
from bottleneck.testing import tiny_backbone

HALF = (0.5, 0.5, 0.5)
# The first record of a log.
FIRST = json.dumps({"format": FORMAT, "recipe_hash": "a"}).encode()
SCHEMAS: dict[type, dict[str, Any]] = {
    ExtractionOptions: {},
    Protocol: {},
    TrainingOptions: {},
    Overrides: {},
    Augmentation: {},
    Measures: {},
    StudyProtocol: {"name": "x"},
    Preprocessing: {
        "resize": 9, "crop": 9, "interpolation": "bilinear", "mean": HALF, "std": HALF
    },
}  # fmt: skip
ABSURD = [10**20, -(10**20), 2**63, 1e308, math.nan, math.inf, -math.inf, True, "7" * 5000]


def numbers(kind: type) -> list[str]:
    """The fields that hold a number, or a number among others."""
    fields = kind.__pydantic_fields__  # type: ignore[attr-defined]
    kinds = {name: field.annotation for name, field in fields.items()}
    return [
        name
        for name, one in kinds.items()
        if {int, float} & {bare(one), *map(bare, get_args(one))} and bare(one) is not bool
    ]


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field) for kind in SCHEMAS for field in numbers(kind)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_no_option_takes_an_absurd_number(kind: type, field: str) -> None:
    for value in ABSURD:
        # A tuple of numbers has the absurd one first.
        before = SCHEMAS[kind].get(field)
        given = (value, *before[1:]) if isinstance(before, tuple) else value
        with pytest.raises(UsageError) as error:
            kind(**{**SCHEMAS[kind], field: given})
        assert len(str(error.value)) < 400


def test_every_schema_has_its_numbers_tested() -> None:
    assert len([field for kind in SCHEMAS for field in numbers(kind)]) > 40


OPTIONS = [
    ("extract", "--batch-size"),
    ("extract", "--workers"),
    ("extract", "--limit"),
    ("leakage", "--batch-size"),
    ("leakage", "--limit"),
    ("leakage", "--jobs"),
    ("leakage", "--seed"),
    ("leakage", "--repeats"),
    ("leakage", "--copies"),
    ("fit", "--jobs"),
    ("fit", "--seed"),
    ("compare", "--folds"),
    ("compare", "--repeats"),
    ("compare", "--seed"),
    ("finetune", "--seeds"),
    ("finetune", "--epochs"),
    ("finetune", "--limit"),
    ("reproduce sai-sundar", "--limit"),
    ("reproduce sai-sundar", "--seeds"),
    ("reproduce sai-sundar", "--epochs"),
    ("demo", "--limit"),
]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_commands_write_nothing_for_absurd_numbers(
    command: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ("1" + "0" * 20, "-7777", "7" * 5000):
        result = CliRunner().invoke(app, [*command.split(), option, value])
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_python_refuses_what_the_command_line_refuses() -> None:
    features = make_features(n_patients=12)
    for value in (0, 10**20, -(10**20), 1.5, True):
        for call in (
            lambda n: fit(features, "logistic", n_jobs=n),
            lambda n: fit(features, "logistic", seed=-1 if n == 0 else n),
            lambda n: fit(features, "logistic", inner_splits=n),
            lambda n: compare(features, ("logistic",), n_jobs=n),
            lambda n: load_dataset("phantom", limit=n),
        ):
            with pytest.raises(UsageError, match="must be"):
                call(value)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e308", "0x" + "f" * 5000, "1" * 5000])
def test_toml_files_refuse_absurd_numbers(value: str, tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    for field in ("epochs", "learning_rate", "seed"):
        path.write_text(f"{field} = {value}\n")
        with pytest.raises(UsageError, match=r"t\.toml") as error:
            read_training_options(path)
        assert len(str(error.value)) < 400


def test_a_run_that_was_refused_leaves_no_log(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 3)
    dataset = dataset_of(tmp_path / "images")
    options = {"precision": "fp32", "output": tmp_path / "f"}
    with pytest.raises(UsageError):
        extract(dataset, tiny_backbone(), batch_size=10**20, **options)
    assert not (tmp_path / "f").exists()
    assert extract(dataset, tiny_backbone(), batch_size=2, **options).n_extracted == 3


def test_options_overrule_a_log_without_rows(tmp_path: Path) -> None:
    path, settings = tmp_path / "x.unfinished", {"batch_size": 2, "drift": None}
    with Journal(path, settings, "a"):
        assert not path.exists()
    with Journal(path, settings, "a") as journal:
        journal.append([], np.empty((0, 8), np.float32), 0.0, [("i", "s", "k", 1, 2)])
    with Journal(path, settings | {"batch_size": 3}, "a") as journal:
        assert journal.settings["batch_size"] == 3


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": 1e300},
        {"seconds": -1},
        {"seconds": True},
        {"width": 10**30},
        {"settings": {"batch_size": 10**20, "drift": None}},
        {"settings": {"batch_size": 2, "drift": {"cosine": 1e999}}},
        {"settings": {"batch_size": 2, "drift": [[[[[[]]]]]]}},
        {"rows": [["k", "p", [1, 10**30], 0.5]]},
        {"rows": [["k", "p", [1, 2], 1e300]]},
        {"rows": [["k", "p" * 65, [1, 2], 0.5]]},
        {"rows": [["k" * 1000, "p", [1, 2], 0.5]]},
        {"read": [["i", "s", "k", 10**30, 2]]},
        {"read": [["i", "s", 3, 1, 2]]},
        {"rows": [["k", "é", [1, 2], 0.5]]},
        {"rows": [["é", "p", [1, 2], 0.5]]},
    ],
    ids=str,
)
def test_a_log_of_absurd_values_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path, settings = tmp_path / "x.unfinished", {"batch_size": 2, "drift": None}
    batch = {"width": 1, "seconds": 1.0, "settings": settings, "rows": [], "read": []} | change
    batch["rows"] = batch["rows"] or [["k", "p", [1, 2], 0.5]]
    with Journal(path, settings, "a") as journal:
        journal._write(FIRST)
        journal._write(json.dumps(batch).encode() + b"\n" + bytes(1028))
    with pytest.raises(FeatureFileError, match="is not a log of unfinished features"):
        Journal(path, settings, "a")


@pytest.mark.slow
def test_a_log_of_many_wrong_rows_takes_little_memory(tmp_path: Path) -> None:
    path, kib = tmp_path / "x.unfinished", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = b'{"width": 1, "seconds": 1.0, "settings": {}, "read": [], "rows": [[]%s]}\n'
    for records in (
        [b"[%s0]" % (b"[]," * 20_000_000)],
        [FIRST, line % (b",[]" * 2_700_000)],
    ):
        path.unlink(missing_ok=True)
        with Journal(path, {}, "a") as journal:
            for record in records:
                journal._write(record)
        with pytest.raises(FeatureFileError, match="is not a log of unfinished features"):
            Journal(path, {}, "a")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - kib < 400 * 1024


def test_a_long_batch_is_several_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bottleneck.data.images.decode import PixelFacts
    from bottleneck.data.samples.sample_table import Sample
    from bottleneck.features.file import journal as module
    from bottleneck.features.rows import ImageRow

    monkeypatch.setattr(module, "_MAX_LINE", 1000)
    facts = PixelFacts("a", (1, 2), 0.5, bytes(1024))
    rows = [ImageRow(n, Sample(str(n), "s", "l"), f"{n}", facts=facts) for n in range(100)]
    values = np.arange(100, dtype=np.float32)[:, None]
    read = [(str(n), "s", f"{n}", 1, 2) for n in range(100)]
    path = tmp_path / "x.unfinished"
    with Journal(path, {}, "a") as journal:
        journal.append(rows, values, 1.0, read)
    with Journal(path, {}, "a") as journal:
        assert len(journal) == 100
        order = [journal.numbers[f"{n}"] for n in range(100)]
        assert journal.read(order)[1].tolist() == values.tolist()
        assert None not in journal.recorded([dataclasses.replace(r.sample, id=r.key) for r in rows])
