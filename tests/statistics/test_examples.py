"""The public functions of the statistics are documented, and their examples are right."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

from bottleneck import statistics

MODULES = [module.name for module in pkgutil.iter_modules(statistics.__path__)]
FUNCTIONS = [name for name in statistics.__all__ if inspect.isfunction(getattr(statistics, name))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name):
    module = importlib.import_module(f"bottleneck.statistics.{name}")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_have_an_example_and_say_what_they_return(name):
    text = inspect.getdoc(getattr(statistics, name))
    assert ">>> " in text
    assert "Parameters\n-----" in text
    assert "Returns\n-----" in text
