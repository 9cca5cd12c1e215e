"""The package's public names: at run time, for type checkers, and among its subpackages."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import bottleneck

SOURCE = Path(bottleneck.__file__)
CHECKOUT = SOURCE.parents[1]


def static_imports() -> dict[str, str]:
    """The names that type checkers read from ``bottleneck/__init__.py``, and their modules."""
    (block,) = (
        node
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {
        alias.name: str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_read_the_names_that_are_imported_at_run_time() -> None:
    assert static_imports() == bottleneck._MODULES
    assert set(bottleneck.__all__) == {"__version__", *bottleneck._MODULES}


def test_every_public_name_is_there() -> None:
    for name in bottleneck.__all__:
        assert getattr(bottleneck, name) is not None
    assert set(bottleneck.__all__) <= set(dir(bottleneck))


def test_every_public_function_with_progress_can_be_quiet() -> None:
    functions = [getattr(bottleneck, name) for name in bottleneck.__all__]
    taken = {
        f.__name__: inspect.signature(f).parameters for f in functions if inspect.isfunction(f)
    }
    showing = {name for name, parameters in taken.items() if "progress" in parameters}
    assert showing >= {
        "audit_features", "compare", "evaluate", "extract", "extract_all", "fit",
        "run_leak_experiment", "write_report",
    }  # fmt: skip
    for name in showing:
        assert taken[name]["quiet"].default is False, name
        assert taken[name]["progress"].kind is inspect.Parameter.KEYWORD_ONLY, name
        assert hasattr(getattr(bottleneck, name), "__wrapped__"), name


def test_no_public_name_is_that_of_a_subpackage() -> None:
    # Whichever of the two is imported last would replace the other.
    modules = {module.name for module in pkgutil.iter_modules(bottleneck.__path__)}
    assert not modules & set(bottleneck.__all__)


@pytest.mark.slow(reason="mypy reads the whole package")
def test_mypy_reveals_the_types_of_public_functions(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import bottleneck\n"
        'data = bottleneck.load_dataset("phantom", limit=2)\n'
        "reveal_type(data)\n"
        "reveal_type(data.samples[0].label)\n"
        'reveal_type(bottleneck.load_backbone("resnet18", weights="random"))\n'
        "bottleneck.load_datset()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", CHECKOUT / "pyproject.toml", script],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    revealed = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    # Older versions of mypy write builtins.str.
    assert [line.split('"')[1].removeprefix("builtins.") for line in revealed] == [
        "bottleneck.data.dataset.ImageDataset",
        "str",
        "bottleneck.backbones.backbone.Backbone",
    ]
    (error,) = (line for line in done.stdout.splitlines() if ": error:" in line)
    assert "load_datset" in error
