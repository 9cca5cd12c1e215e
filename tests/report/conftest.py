from __future__ import annotations

import pytest
from report.complete import complete
from report.factory import LESIONS, SOURCES, make_comparison

from bottleneck.evaluation.results.comparison_results import Comparison


@pytest.fixture(scope="session")
def binary() -> Comparison:
    return make_comparison(repeats=2)


@pytest.fixture(scope="session")
def lesions() -> Comparison:
    return make_comparison(
        LESIONS, heads=("svm", "logistic"), n=450, positive=None, sources=SOURCES[:1]
    )


@pytest.fixture(scope="session")
def full(binary: Comparison) -> Comparison:
    return complete(binary)
