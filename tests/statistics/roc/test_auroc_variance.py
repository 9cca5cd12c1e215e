"""Degrees of freedom in closed form, and arguments that are refused."""

import numpy as np
import pytest
from binormal import binormal

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics.inference.patient_variance import degrees_of_freedom
from bottleneck.statistics.roc.auroc import roc_auc_interval


def test_degrees_of_freedom_of_simple_sums():
    assert degrees_of_freedom([np.ones(10)]) == pytest.approx(9)
    assert degrees_of_freedom([np.ones(10), np.ones(10)]) == pytest.approx(18)
    assert degrees_of_freedom([np.eye(1, 10)[0]]) == pytest.approx(2)
    normal = np.random.default_rng(0).standard_normal(100_000) ** 2
    assert degrees_of_freedom([normal]) == pytest.approx(100_000, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y_true": [0, 1, 2], "score": [1, 2, 3]}, "state which is positive, such as positive=2"),
        ({"y_true": ["a", "b"], "score": [1, 2]}, "classes 'a', 'b': state which"),
        ({"y_true": [], "score": []}, "it is empty"),
        ({"y_true": [[0, 1]], "score": [[1, 2]]}, "not be of shape"),
        ({"y_true": [0, 1], "score": [1, 2, 3]}, "each of the 2 samples"),
        ({"y_true": [0, 1], "score": ["x", "y"]}, "each of the 2 samples"),
        ({"y_true": [0, 1], "score": [1, np.nan]}, "missing for 1 of the 2"),
        ({"y_true": [0, 1], "score": [1, np.inf]}, "finite numbers, but 1 of the 2"),
        ({"y_true": [0, 1], "score": [1, 2], "groups": ["a"]}, "groups must hold"),
        ({"y_true": [0, 1], "score": [1, 2], "groups": ["a", ""]}, "missing for 1 of the 2"),
        ({"y_true": [0, 1], "score": [1, 2], "groups": ["a", None]}, "missing for 1 of the 2"),
        ({"y_true": [0, 1], "score": [1, 2], "groups": [1.0, np.nan]}, "missing for 1 of the 2"),
        ({"y_true": [0, 1], "score": [1, 2], "level": 95}, "between 0 and 1"),
        ({"y_true": [0, 1], "score": [1, 2], "method": "logitt"}, "did you mean 'logit'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        roc_auc_interval(**arguments)


def test_booleans_are_labels():
    y, score, _ = binormal()
    assert roc_auc_interval(y == 1, score) == roc_auc_interval(y, score)


def test_one_class_cannot_be_ranked():
    with pytest.raises(ProtocolError, match="all samples are of the positive class"):
        roc_auc_interval([1, 1], [1, 2])
    with pytest.raises(ProtocolError, match="one fold are of the negative class"):
        roc_auc_interval([0, 1, 0, 0], [1, 2, 3, 4], folds=[0, 0, 1, 1])
