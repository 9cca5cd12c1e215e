"""Colours of the page have the contrast that WCAG 2.2 asks for, in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bottleneck

CSS = Path(bottleneck.__file__).parent / "report/templates/pages/page.css"
LIGHT, DARK = (
    dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{(.*?)\}", CSS.read_text("utf-8"), re.DOTALL)[:2]
)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, {**LIGHT, **DARK}], ids=["light", "dark"])
def test_texts_have_4_5_and_lines_3(colours: dict[str, str]) -> None:
    assert contrast("#000000", "#ffffff") == 21
    for text in ("--ink", "--muted", "--accent"):
        for ground in ("--paper", "--soft"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["--alarm"], colours["--alarm-soft"]) >= 4.5
    arms = [name for name in colours if re.fullmatch(r"--arm-\d", name)]
    assert len(arms) == 8
    for name in (*arms, "--wrong"):
        assert contrast(colours[name], colours["--paper"]) >= 3, name
