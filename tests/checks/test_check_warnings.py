"""Warnings stay texts, and keep their code."""

from __future__ import annotations

import copy
import json
import pickle

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.report.redaction import plain

FEW = CheckWarning("BF301", "estimate only: 8 patients in the smallest class")


def test_a_warning_is_its_text() -> None:
    assert FEW == "estimate only: 8 patients in the smallest class"
    assert json.dumps([FEW]) == json.dumps([str(FEW)])


def test_the_code_survives_copies_and_processes() -> None:
    for made in (copy.deepcopy(FEW), pickle.loads(pickle.dumps(FEW)), FEW.map(str.upper)):
        assert made.code == "BF301"
    assert FEW.map(str.upper).startswith("ESTIMATE ONLY")


def test_the_code_comes_before_the_full_stop() -> None:
    assert FEW.with_code.endswith("smallest class (BF301)")
    assert CheckWarning("BF203", "Two labels.").with_code == "Two labels (BF203)."


def test_json_has_the_code_and_the_shared_text() -> None:
    private = CheckWarning("BF905", "2 images of /home/me could not be read")
    record = plain([private], lambda text: text.replace("/home/me", "…"))
    assert record == [{"code": "BF905", "text": "2 images of … could not be read"}]
