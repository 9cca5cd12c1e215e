"""The checks of heat maps in an explanation: which images they take, and what is written."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import dataset_of, make_images

from bottleneck import (
    Protocol,
    compare,
    explain_predictions,
    extract,
    fit,
    load_features,
    write_explanation,
)
from bottleneck.errors import UsageError
from bottleneck.explain.checks.checking import choose_checked
from bottleneck.testing import tiny_backbone


@pytest.mark.parametrize("seed", range(5))
def test_classes_take_turns_and_new_patients_come_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, 30, 200)
    labels = np.where(patients % 3 == 0, "ill", "well")
    chosen = choose_checked(labels, patients, most=16, seed=seed)
    assert Counter(labels[chosen].tolist()) == {"ill": 8, "well": 8}
    assert len(set(patients[chosen].tolist())) == 16


def test_a_few_images_are_all_chosen() -> None:
    assert choose_checked(["a", "b", "a"], None).tolist() == [0, 1, 2]
    assert choose_checked(["a", "b", "a"], ["p", "p", "p"]).tolist() == [0, 1, 2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("checked")
    make_images(root / "images", 24)
    dataset = dataset_of(root / "images")
    made = extract(dataset, tiny_backbone(), output=root / "features", precision="fp32", quiet=True)
    features = load_features(made.path)
    first = dataset.samples[0].id
    regions = root / "regions.csv"
    rows = [f"{one.id},0,0,9,9" for one in dataset.samples]
    regions.write_text("\n".join(["id,left,top,right,bottom", *rows]))
    quick = Protocol(n_splits=2, inner_splits=2)
    comparison = compare(features, ["ridge"], protocol=quick, n_jobs=1, quiet=True)
    options = {
        "features": features, "backbone": tiny_backbone(), "most": 2, "quiet": True
    }  # fmt: skip
    return {
        "dataset": dataset, "set": features, "first": first, "regions": regions,
        "comparison": comparison, "options": options,
    }  # fmt: skip


def test_a_comparison_is_checked_over_the_images_of_all_folds(
    run: dict[str, Any], tmp_path: Path
) -> None:
    made = explain_predictions(
        run["comparison"], data=run["dataset"], regions=run["regions"], **run["options"]
    )
    checks = made.arms[0].checks
    assert checks is not None
    assert checks.regions is not None
    assert [one.method for one in checks.checks] == ["class activation"]
    assert checks.checks[0].permuted_labels is not None
    n = len(run["dataset"].samples)
    assert len(checks.checks[0].random_weights.patients) == n
    assert sum(images for images, _ in checks.means[0].counts.values()) == n
    assert checks.regions.inside.n is not None
    page = write_explanation(made, tmp_path / "why")
    text = page.read_text(encoding="utf-8")
    assert "Does the map depend on the model?" in text
    assert run["first"] not in text
    record = json.loads((page.parent / "explanation.json").read_text(encoding="utf-8"))
    kept = record["arms"][0]["checks"]
    assert {row["check"] for row in kept["similarity"]} == {
        "random weights", "permuted labels", "other images"
    }  # fmt: skip
    assert kept["verdict"] == checks.verdict


def test_a_model_is_checked_on_the_images_that_it_is_given(run: dict[str, Any]) -> None:
    model = fit(run["set"], "ridge", quiet=True)
    made = explain_predictions(model, run["dataset"], **run["options"])
    checks = made.arms[0].checks
    assert checks is not None
    assert checks.checks[0].permuted_labels is not None


def test_what_was_not_checked_is_said(run: dict[str, Any]) -> None:
    def words(**options: Any) -> str:
        given = {**run["options"], **options}
        made = explain_predictions(run["comparison"], data=run["dataset"], **given)
        assert made.arms[0].checks is None
        return " ".join(made.arms[0].words)

    assert "depend on the model. Without that check, they are not evidence" in words(checks=False)
    assert "because occlusion takes many passes" in words(maps="occlusion")
    assert "checked" not in words(maps="none")


def test_regions_that_are_not_there_are_an_error(run: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"there is no table or folder of regions 'none\.csv'"):
        explain_predictions(
            run["comparison"], data=run["dataset"], regions="none.csv", **run["options"]
        )
