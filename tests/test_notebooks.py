"""The notebooks run from top to bottom, and show what they promise."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import pytest
from IPython.core.formatters import DisplayFormatter
from made import make_images
from nbclient import NotebookClient
from sklearn.metrics import roc_auc_score

import bottleneck
from bottleneck.data.dataset import FileSource, ImageDataset, Sample
from bottleneck.features.extraction import extract
from bottleneck.features.file.reader import load_features
from bottleneck.testing import tiny_backbone

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
EXPLAIN, EXPLORE, FIRST, STATISTICS = NOTEBOOKS


def cells(path: Path) -> list[str]:
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), (
        "commit notebooks without output"
    )
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.slow
# The kernel's client leaves sockets to the garbage collector; the notebook is what we test.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_notebook_runs_in_a_kernel(tmp_path: Path) -> None:
    notebook = nbformat.read(EXPLORE, as_version=4)
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "auroc" in printed
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [o for o in outputs if o.get("name") == "stderr"], printed


def run_cells(path: Path) -> list[dict[str, str]]:
    """Run a notebook in this process, which has loaded what takes long, and return its outputs."""
    names: dict[str, object] = {}
    shown = []
    for cell in cells(path):
        *body, last = ast.parse(cell).body
        is_shown = isinstance(last, ast.Expr)
        exec(compile(ast.Module(body if is_shown else [*body, last], []), cell, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), cell, "eval"), names)
            if value is not None:
                shown.append(DisplayFormatter().format(value)[0])
    # A newcomer reads every output: none fills a screen.
    assert max(len(output["text/plain"]) for output in shown) < 2500
    return shown


def test_the_first_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run_cells(FIRST)
    assert "auroc" in "".join(output["text/plain"] for output in shown)
    assert sum("text/html" in output for output in shown) >= 6
    assert capfd.readouterr().err == ""


@pytest.fixture
def _without_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    yield
    plt.close("all")


@pytest.mark.usefixtures("_without_windows")
def test_the_notebook_of_statistics_agrees_with_scikit_learn(
    capfd: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, Any] = {}
    exec(cells(STATISTICS)[0], names)
    y, new = names["y"], names["new"]
    shown = run_cells(STATISTICS)
    assert f"Interval({roc_auc_score(y == 'malignant', new):.3g}, 95 %" in shown[1]["text/plain"]
    assert "too narrow" in (printed := capfd.readouterr()).out
    assert printed.err == ""


@pytest.mark.slow(reason="maps of networks with random weights are computed, to check those shown")
@pytest.mark.usefixtures("_without_windows")
def test_the_notebook_that_explains_a_model_runs(capfd: pytest.CaptureFixture[str]) -> None:
    shown = run_cells(EXPLAIN)
    assert "4 heat maps" in "".join(output["text/plain"] for output in shown)
    printed = capfd.readouterr()
    mean, intercept, decision = map(float, re.findall(r"[+-]\d+\.\d{3}", printed.out)[:3])
    assert mean + intercept == pytest.approx(decision, abs=0.002)
    assert "Random weights: " in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("classes", [("benign", "malignant"), ("cyst", "lipoma", "scar")])
def test_notebook_survives_data_without_patients(
    classes: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    make_images(tmp_path, 24)
    samples = [Sample(f"{i:03d}", f"{i:03d}.png", classes[i % len(classes)]) for i in range(24)]
    dataset = ImageDataset("scans", samples, FileSource(tmp_path))
    extraction = extract(dataset, tiny_backbone(), output=tmp_path)
    assert load_features(extraction.path).patients is None
    code = "\n".join(cells(EXPLORE))
    exec(code.replace("FEATURES = None", f"FEATURES = {str(extraction.path)!r}"), {})
    assert "The patients are unknown" in capsys.readouterr().out
    plt.close("all")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_public_names_only(path: Path) -> None:
    code = "\n".join(cells(path))
    used = set(re.findall(r"\bbottleneck\.(\w+)", code))
    assert used <= set(bottleneck.__all__)
    assert len(used) >= 4
    assert set(re.findall(r"\bstatistics\.(\w+)", code)) <= set(bottleneck.statistics.__all__)
    assert not re.search(r"from bottleneck\.|import bottleneck\.", code)
