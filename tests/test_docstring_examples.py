"""The examples in docstrings run and give what they show."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

import bottleneck
from bottleneck import statistics

PACKAGE = Path(bottleneck.__file__).parent


def modules_with_examples() -> list[str]:
    files = [path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    names = (path.relative_to(PACKAGE.parent).with_suffix("").parts for path in files)
    return sorted(".".join(name).removesuffix(".__init__") for name in names)


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed


def public_objects() -> dict[str, object]:
    """The public functions and classes by name, and the methods that the classes define."""
    found: dict[str, object] = {}
    for package in (bottleneck, statistics):
        for name in package.__all__:
            made = getattr(package, name)
            if not callable(made):
                continue
            found[name] = made
            for method, function in vars(made).items() if inspect.isclass(made) else ():
                if not method.startswith("_") and isinstance(function, _METHODS):
                    found[f"{name}.{method}"] = function
    return found


_METHODS = (FunctionType, classmethod, staticmethod)
# A reader is a protocol that others implement; a selection is resolved by the package.
_WITHOUT = {"Reader.matches", "Reader.read", "Selection.resolve", "Selection.resolve_for_cohort"}


def test_every_public_function_class_and_method_has_an_example() -> None:
    lacking = [
        name
        for name, made in public_objects().items()
        if ">>> " not in (inspect.getdoc(made) or "")
    ]
    assert set(lacking) <= _WITHOUT
