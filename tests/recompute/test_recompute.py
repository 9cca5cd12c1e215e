"""Every number of a report follows from its predictions, without the package."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_features import VGG, make_features

from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.report.json_record import results_text
from bottleneck.report.tables.result_frames import external_predictions_frame, predictions_frame
from bottleneck.text.table_text import frame_csv

HERE = Path(__file__).parent
AWAY = {"dataset": {"name": "elsewhere", "fingerprint": "e" * 64}}
# The package cannot be imported here.
RUN = (
    "import runpy, sys; sys.modules['bottleneck'] = None; sys.path.insert(0, sys.argv[1]); "
    "sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def unequal(n_patients: int, *, seed: int = 0, **options) -> FeatureSet:
    """Patients with one to three images, and fewer of the first class."""
    f = make_features(n_patients=n_patients, images=3, seed=seed, width=4, **options)
    patient = np.arange(len(f)) // 3
    rare = patient % len(f.classes) == 0
    kept = (~rare | (patient < 0.6 * n_patients)) & (np.random.default_rng(5).random(len(f)) < 0.7)
    rows = {
        field.name: value[kept]
        for field in dataclasses.fields(f)
        if isinstance(value := getattr(f, field.name), np.ndarray)
    }
    return dataclasses.replace(f, **rows)


def run(*folders: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, HERE, HERE / "recompute.py", *folders]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> list[Path]:
    """Two classes over folds and an external cohort; three classes with repeats; centres."""
    folder = tmp_path_factory.mktemp("reports")
    inside = [unequal(36), unequal(36, seed=1, recipe=VGG)]
    outside = [unequal(30, seed=7, **AWAY), unequal(30, seed=8, recipe=VGG, **AWAY)]
    binary = compare(
        inside,
        ["logistic"],
        external=outside,
        protocol=Protocol(n_splits=3, inner_splits=2),
        measures=Measures(prevalence=0.1, act_at=0.15, margin=0.05),
    )
    several = compare(
        unequal(30, classes=("a", "b", "c")),
        ["logistic"],
        external=unequal(24, classes=("a", "b", "c"), seed=7, **AWAY),
        protocol=Protocol(n_splits=2, repeats=2, inner_splits=2),
    )
    at_centres = make_features(n_patients=100, images=1, signal=1.0, width=4)
    centres = compare(
        dataclasses.replace(at_centres, centres=np.array(list("vwxyz"))[np.arange(100) // 20]),
        ["logistic"],
        protocol=Protocol(kind="centres", inner_splits=2),
    )
    made = {"binary": binary, "several": several, "centres": centres}
    for name, comparison in made.items():
        write_results(folder / name, comparison)
    return [folder / name for name in made]


def write_results(folder: Path, comparison: Comparison) -> None:
    """Write the files of a report that are read here. The page takes longer than all of them."""
    folder.mkdir()
    (folder / "results.json").write_text(results_text(comparison), encoding="utf-8")
    inside = frame_csv(predictions_frame(comparison.evaluations))
    (folder / "predictions.csv").write_text(inside, encoding="utf-8")
    if comparison.external:
        outside = frame_csv(external_predictions_frame(comparison))
        (folder / "predictions_external.csv").write_text(outside, encoding="utf-8")


def test_every_number_is_computed_again(reports):
    result = run(*reports)
    assert result.returncode == 0, result.stdout + result.stderr
    found = re.findall(r"(\d+) numbers compared, largest deviation (\S+)", result.stdout)
    assert all(int(n) > least for (n, _), least in zip(found, (2000, 900, 600), strict=True))
    assert json.loads((reports[2] / "results.json").read_text())["arms"][0]["centres"]["new_centre"]
    assert all(float(deviation) < 1e-6 for _, deviation in found)
    for kind in ("thresholds", "shifts[].mmd_p", "dataset.n_samples"):
        assert re.search(rf"not computed: \S*{re.escape(kind)}\S* \(\d+\): \w+", result.stdout)


def test_a_number_that_is_off_is_noticed(reports, tmp_path):
    results = json.loads((reports[1] / "results.json").read_text())
    results["comparisons"][0]["p"] += 2e-6
    results["arms"][0]["metrics"]["auroc"]["new"] = 0.5
    (tmp_path / "results.json").write_text(json.dumps(results))
    for name in ("predictions.csv", "predictions_external.csv"):
        (tmp_path / name).write_bytes((reports[1] / name).read_bytes())
    result = run(tmp_path)
    assert result.returncode == 1
    assert len(re.findall("fault: ", result.stdout)) == 2
    assert "comparisons[0].p is" in result.stdout
    assert "auroc.new is 0.5, and this script does not know it" in result.stdout


def test_the_script_shares_no_code_with_the_package():
    own = {"plain_auroc", "plain_intervals", "plain_metrics", "plain_probabilities"}
    roots = set()
    for path in (HERE / f"{name}.py" for name in ("recompute", *own)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                roots.add(str(node.module).partition(".")[0])
    standard = {"collections", "dataclasses", "json", "pathlib", "re", "sys", "typing"}
    assert roots <= own | standard | {"__future__", "numpy", "pandas", "scipy"}
