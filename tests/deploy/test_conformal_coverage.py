"""The coverage of conformal sets of fitted models, measured as in ``benchmarks/conformal.py``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "conformal.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformal_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_sets_of_a_few_fitted_models_hold_the_true_class_often_enough(benchmark):
    rows = benchmark.run(benchmark.Cell(60, 0.5), 4)
    assert [row["asked"] for row in rows] == pytest.approx([0.95, 0.9, 0.8])
    for row in rows:
        # Within three standard errors of four splits, of one class.
        assert row["lowest"] > row["asked"] - 0.06
        assert row["all"] < row["asked"] + 0.1
        assert 1 <= row["size"] < 2


@pytest.mark.slow(reason="fits 240 models")
@pytest.mark.parametrize(
    "options",
    [
        {"patients": 60, "prevalence": 0.2},
        {"patients": 150, "prevalence": 0.5, "images": "1"},
        {"patients": 60, "prevalence": 1 / 3, "classes": 3},
        {"patients": 150, "prevalence": 0.2, "head": "logistic"},
    ],
)
def test_coverage_is_at_most_two_points_below_what_was_asked(benchmark, options):
    for row in benchmark.run(benchmark.Cell(**options), 60):
        assert row["lowest"] > row["asked"] - 0.02 - 2 * row["error"]
