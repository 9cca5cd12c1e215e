"""Rows that belong together."""

import numpy as np
import pytest
from made_predictions import predict
from test_calibration import make

from bottleneck.errors import ProtocolError
from bottleneck.evaluation.metrics.inference.row_groups import (
    encode_folds,
    encode_patients,
    match_folds,
    split_folds,
)


def test_folds_are_split_in_order_of_first_appearance():
    test = make(["n", "p"] * 20, np.arange(40.0), folds=np.repeat([3, 1], 20))
    assert [rows[0] for rows in split_folds(test)] == [0, 20]
    assert encode_folds(test).tolist() == [1] * 20 + [0] * 20


def test_repeats_have_folds_of_their_own_and_the_same_patients():
    test = predict(8, folds=2, repeats=2, groups=True)
    assert encode_folds(test).tolist() == [0, 0, 1, 1] * 2 + [2, 2, 3, 3] * 2
    assert encode_patients(test).tolist() == [0, 0, 0, 0, 1, 1, 1, 1] * 2
    # Without patients, every sample is one.
    assert encode_patients(predict(8, repeats=2)).tolist() == [*range(8)] * 2


def test_validation_samples_follow_the_fold_of_their_model():
    test = make(["n", "p"] * 2, np.arange(4.0), folds=np.array([2, 2, 0, 0]))
    validation = make(["p", "n", "p"], np.arange(3.0), folds=np.array([0, 2, 0]))
    assert [part.labels.tolist() for part in match_folds(test, validation)] == [["n"], ["p", "p"]]
    with pytest.raises(ProtocolError, match="fold 0 has test samples"):
        match_folds(test, validation.take(validation.folds == 2))
