"""Programs that use the package with annotations are accepted by mypy in strict mode."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bottleneck
from bottleneck import statistics
from bottleneck.features.options import ExtractionKeywords, ExtractionOptions

HERE = Path(__file__).resolve().parent


@pytest.mark.slow(reason="mypy reads the whole package, torch and pandas")
def test_mypy_accepts_a_program_with_annotations(tmp_path: Path) -> None:
    # As for an installed package, errors in the package itself are not those of the program.
    options = ["--strict", "--follow-imports=silent", "--config-file=", "--cache-dir", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, HERE / "typed_use.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_program_uses_every_public_name() -> None:
    text = (HERE / "typed_use.py").read_text(encoding="utf-8")
    for package in (bottleneck, statistics):
        names = {name for name in package.__all__ if callable(getattr(package, name))}
        unused = {name for name in names if not re.search(rf"\b{name}\b", text)}
        # What the statistics return is used without being named.
        assert not [n for n in unused if n in bottleneck.__all__ or n[0].islower()]


def test_keywords_of_extract_are_the_options() -> None:
    fields = [field.name for field in dataclasses.fields(ExtractionOptions)]
    assert sorted(ExtractionKeywords.__annotations__) == sorted(fields)


def test_public_functions_state_the_types_of_parameters_and_results() -> None:
    for package in (bottleneck, statistics):
        for name in package.__all__:
            made = getattr(package, name)
            methods = vars(made).items() if inspect.isclass(made) else [(name, made)]
            for method, function in methods:
                if method.startswith("_") or not inspect.isfunction(function):
                    continue
                signature = inspect.signature(function)
                parameters = list(signature.parameters.values())[inspect.isclass(made) :]
                lacking = [p.name for p in parameters if p.annotation is p.empty]
                assert not lacking, (name, method, lacking)
                returned = signature.return_annotation
                # Estimators of scikit-learn have no types.
                assert method == "build" or returned not in (signature.empty, "Any"), (name, method)
