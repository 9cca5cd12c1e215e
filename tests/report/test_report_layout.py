"""No page is cut, overlaps or breaks a word, as Chromium draws it 1200 and 420 pixels wide."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from report.complete import complete
from report.factory import LESIONS, SOURCES, make_comparison
from report.layout import measure_layout, needs_browser

from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.report.page import render

pytestmark = [pytest.mark.slow, needs_browser]
LONG = (
    "follicular_thyroid_carcinoma_variant",
    "papillary thyroid carcinoma, tall-cell variant, of the isthmus",
    "甲状腺乳头状癌高细胞型",
    "Hashimoto-thyreoiditis_mit_onkozytärer_Metaplasie",
    "갑상선유두암",
    "NV",
    "benign",
    "سرطان الغدة الدرقية",
)
ARMS = (
    "follicular_thyroid_carcinoma_variant_detector_v2_final",
    "甲状腺超声图像分类模型（第二版）线性支持向量机",
    "resnet18 (imagenet, ROI) & swinv2_tiny_window8_256 (radimagenet) + a_user_defined_classifier",
    "Schilddrüsenkarzinomverdachtsklassifikationsmodell",
)
MANY = (*SOURCES, ("convnextv2_base.fcmae_ft_in22k_in1k_384", "imagenet", 2.0))


def rename(comparison: Comparison, names: tuple[str, ...]) -> Comparison:
    """Give the first arms other names."""
    new = dict(zip((e.name for e in comparison.evaluations), names, strict=False))
    return dataclasses.replace(
        comparison,
        evaluations=tuple(
            dataclasses.replace(e, name=new.get(e.name, e.name)) for e in comparison.evaluations
        ),
        differences=tuple(
            dataclasses.replace(d, a=new.get(d.a, d.a), b=new.get(d.b, d.b))
            for d in comparison.differences
        ),
    )


def twelve_arms(classes: tuple[str, ...], positive: str | None) -> Comparison:
    return rename(make_comparison(classes, n=480, positive=positive, sources=MANY), ARMS)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: complete(make_comparison(repeats=2)), id="complete"),
        pytest.param(lambda: complete(twelve_arms(LONG, None)), id="eight long classes"),
        pytest.param(lambda: complete(twelve_arms(LONG[:2], LONG[0])), id="two long classes"),
        pytest.param(
            lambda: make_comparison(LESIONS, n=450, positive=None, sources=SOURCES[:1]),
            id="nine classes",
        ),
        pytest.param(
            lambda: make_comparison(heads=("svm",), sources=SOURCES[:1], intervals=False),
            id="one arm",
        ),
    ],
)
def test_nothing_is_cut_and_no_word_is_broken(make, tmp_path: Path) -> None:
    measured = measure_layout(render(make(), with_ids=True), tmp_path)
    assert [at["faults"] for at in measured] == [[], []]
    assert measured[1]["scrolling"] >= measured[0]["scrolling"]


def test_the_measurement_finds_what_is_cut(tmp_path: Path) -> None:
    page = (
        '<style>.arm { overflow-wrap: anywhere }</style><p style="width: 1500px">wide</p>'
        '<section><div style="width: 40px"><bdi class="arm">carcinoma</bdi></div></section>'
    )
    wide, narrow = (at["faults"] for at in measure_layout(page, tmp_path))
    for faults in (wide, narrow):
        assert any(fault.startswith("page:") for fault in faults)
        assert any(fault.startswith("broken word 'carcinoma'") for fault in faults)
