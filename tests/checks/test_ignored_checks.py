"""Ignored checks run, protect the split and are counted; what they find is not shown."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_features import make_features

from bottleneck import FeatureSet, Protocol, audit_features, compare, fit, write_report
from bottleneck.audit.audit import Audit
from bottleneck.checks.check_registry import CHECKS
from bottleneck.checks.ignored_checks import describe_ignored, read_codes
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.results.comparison_results import Comparison

QUICK = Protocol(n_splits=3, inner_splits=2)


def with_copy(**fields: object) -> FeatureSet:
    """Features of 40 patients, of whom 0, 2 and 4, of one class, share an image."""
    pixels = np.array([f"{n:064x}" for n in range(80)])
    pixels[[4, 8]] = pixels[0]
    return make_features(pixels=pixels, **fields)


@pytest.fixture(scope="module")
def shown() -> Comparison:
    return compare(with_copy(), "lda", protocol=QUICK)


@pytest.fixture(scope="module")
def hidden() -> Comparison:
    return compare(with_copy(), "lda", protocol=QUICK, ignore=("BF103", "BF106", "BF303"))


def test_an_unknown_code_is_refused_with_all_codes() -> None:
    with pytest.raises(UsageError) as refused:
        audit_features(make_features(), ignore="BF1O1")
    assert "there is no check 'BF1O1'" in str(refused.value)
    assert all(f"{code} ({check.name})" in str(refused.value) for code, check in CHECKS.items())
    assert read_codes("BF101") == read_codes(["BF101", "BF101"]) == ("BF101",)


def test_findings_are_counted_and_not_shown() -> None:
    folds = np.repeat(["1", "2"], 40)
    folds[4:6] = "2"
    whole = audit_features(with_copy(folds=folds))
    part = audit_features(with_copy(folds=folds), ignore=["BF103", "BF201"])
    copies = [f for f in whole.findings if f.code == "BF103"]
    assert any(f.severity == "leak" for f in copies)
    assert part.findings == tuple(f for f in whole.findings if f.code != "BF103")
    assert part.ignored == {"BF103": len(copies), "BF201": 0}
    assert part.groups.names is not None
    assert part.groups.names.tolist() == whole.groups.names.tolist()


def test_a_verdict_that_leaves_out_a_leak_does_not_say_that_there_is_none() -> None:
    def verdict(**ignored: int) -> str:
        audit: Audit = dataclasses.replace(plain, ignored=ignored)
        return audit.verdict

    plain = audit_features(make_features())
    assert plain.verdict == verdict(BF101=0) == "no leak found"
    assert verdict(BF101=2, BF202=0) == "no leak reported, 2 findings of ignored checks (BF101)"


def test_the_split_and_the_figures_are_the_same(shown: Comparison, hidden: Comparison) -> None:
    for one, other in zip(shown.evaluations, hidden.evaluations, strict=True):
        pd.testing.assert_frame_equal(one.predictions.to_frame(), other.predictions.to_frame())
        assert repr(one.metrics) == repr(other.metrics)
    assert {w.code for w in shown.warnings} - {w.code for w in hidden.warnings} == {"BF106"}
    assert hidden.ignored == {"BF103": 1, "BF106": 1, "BF303": 0}
    assert shown.ignored == {}


def test_a_split_that_divides_a_copy_is_refused_all_the_same() -> None:
    splits = np.where(np.arange(80) < 3, "test", "train")
    with pytest.raises(ProtocolError, match="both sides"):
        compare(with_copy(splits=splits), "lda", protocol=QUICK, ignore="BF103")


def test_all_that_is_written_states_what_was_ignored(hidden: Comparison, tmp_path: Path) -> None:
    words = describe_ignored(hidden.ignored)
    assert "BF103, identical samples (1 finding); BF106, large group (1 finding)" in words
    write_report(hidden, tmp_path, figures=False)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.index(words) < page.index("<h1>")
    assert "join 3 of 40 patients into one group" not in page
    methods, _ = (tmp_path / "paragraphs.md").read_text(encoding="utf-8").split("## Results")
    assert words in methods
    assert "2 findings of ignored checks" in methods
    record = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert record["ignored"] == {"BF103": 1, "BF106": 1, "BF303": 0}
    assert {one["code"] for one in record["audit"]["findings"]}.isdisjoint(record["ignored"])
    assert words in hidden._repr_html_()


def test_a_model_keeps_what_its_comparison_ignored(hidden: Comparison) -> None:
    model = fit(with_copy(), "lda", inner_splits=2, comparison=hidden)
    assert model.comparison is not None
    assert any("BF106, large group (1 finding)" in text for text in model.comparison.warnings)


def test_predictions_count_what_they_leave_out() -> None:
    features = make_features()
    model = fit(features, "lda", inner_splits=2)
    assert [one.code for one in model.predict(features).warnings] == ["BF401"]
    made = model.predict(features, ignore="BF401")
    assert (made.warnings, made.ignored) == ((), {"BF401": 1})


def test_new_images_of_another_kind_are_warned_of_and_those_of_the_same_are_not() -> None:
    """By simulation: the warning is rarer than 1 in 1,000 sets of patients of the same kind."""
    model = fit(make_features(seed=0), "lda", inner_splits=2)
    rng = np.random.default_rng(1)
    for n in (1, 5, 25, 100):
        X = rng.normal(size=(n, 8)).astype(np.float32)
        new = dataclasses.replace(
            make_features(n_patients=n, images=1, dataset={"fingerprint": "a" * 64}), X=X
        )
        assert "BF404" not in {one.code for one in model.predict(new).warnings}
        far = model.predict(dataclasses.replace(new, X=X + 30))
        # A single patient may be unlike the others by chance.
        assert ("BF404" in {one.code for one in far.warnings}) == (n > 1)
