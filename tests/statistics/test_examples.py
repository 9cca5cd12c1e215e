"""The public functions of the statistics are documented, with an example."""

import inspect

import pytest

from bottleneck import statistics

FUNCTIONS = [name for name in statistics.__all__ if inspect.isfunction(getattr(statistics, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_have_an_example_and_say_what_they_return(name):
    text = inspect.getdoc(getattr(statistics, name))
    assert ">>> " in text
    assert "Parameters\n-----" in text
    assert "Returns\n-----" in text
