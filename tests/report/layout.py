"""What headless Chromium measures of a page: what is cut, what overlaps, which words are broken."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from webdriver import CHROMIUM

needs_browser = pytest.mark.skipif(not CHROMIUM, reason="layouts are measured by Chromium")

# Measures one page in a frame: all folded text is opened first.
_MEASURE = r"""
const measure = (frame) => {
  const doc = frame.contentDocument, view = frame.contentWindow, faults = [];
  const root = doc.documentElement;
  if (root.scrollWidth > view.innerWidth) faults.push(`page: ${root.scrollWidth} wide`);
  const say = (what, el) => faults.push(
    `${what}: ${el.tagName}.${el.className} "${el.textContent.trim().slice(0, 60)}" in ` +
    `${el.closest("section")?.id ?? "header"} (${el.scrollWidth} in ${el.clientWidth})`);
  const hidden = (el) => el.closest(".visually-hidden") || !el.getClientRects().length;
  for (const el of doc.body.querySelectorAll("*")) {
    if (hidden(el) || el.closest("svg")?.contains(el) && el.tagName !== "svg") continue;
    const box = el.getBoundingClientRect(), region = el.parentElement.closest(".scroll");
    const edge = region
      ? region.getBoundingClientRect().left + region.scrollWidth - region.scrollLeft
      : view.innerWidth;
    if (box.right > edge + 1 || (box.left < 0 && !region)) say("cut", el);
    const style = view.getComputedStyle(el);
    if (style.display !== "inline" && !el.matches(".scroll") && el.clientWidth &&
        (el.scrollWidth > el.clientWidth + 1)) say("overflows", el);
  }
  // A word is text without spaces, hyphens and <wbr>; Chinese and Japanese break anywhere.
  const names = doc.querySelectorAll(".arm, bdi, th, h1, h2, summary, .explained dd");
  for (const name of names) {
    if (hidden(name)) continue;
    const walker = doc.createTreeWalker(name, NodeFilter.SHOW_TEXT);
    for (let text; (text = walker.nextNode());) {
      for (const word of text.data.matchAll(/[^\s\-\u2010\u3000-\u9fff\uff00-\uffef]+/g)) {
        const range = doc.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        const upright = name.matches(".upright thead th");
        const rects = [...range.getClientRects()];
        const lines = new Set(rects.map((r) => Math.round(upright ? r.left : r.top)));
        if (lines.size > 1) say(`broken word '${word[0]}'`, name);
      }
    }
  }
  for (const span of doc.querySelectorAll(".matrix thead th span")) {
    const inner = span.getBoundingClientRect(), outer = span.parentElement.getBoundingClientRect();
    if (inner.left < outer.left - 2 || inner.right > outer.right + 2) say("overlaps", span);
  }
  const regions = [...doc.querySelectorAll(".scroll")].filter((r) => r.getClientRects().length);
  const wide = regions.filter((r) => r.scrollWidth > r.clientWidth + 1);
  for (const region of wide) {
    if (region.tabIndex !== 0 || !region.ariaLabel || region.role !== "region")
      say("no region", region);
    const hint = region.previousElementSibling;
    if (!hint?.matches(".hint") || hint.hidden || hint.matches(".ended")) say("no hint", region);
    const first = region.querySelector("tbody th:not([colspan])");
    const before = first?.getBoundingClientRect().left;
    region.scrollLeft = region.scrollWidth;
    region.dispatchEvent(new view.Event("scroll"));
    if (!hint?.matches(".ended")) say("hint stays at the end", region);
    const moved = first && Math.abs(first.getBoundingClientRect().left - before) > 1;
    if (moved && !region.matches(".loose")) say("first column scrolls", region);
  }
  return { faults: [...new Set(faults)], scrolling: wide.length };
};
addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")];
  for (const { contentDocument } of frames)
    contentDocument.querySelectorAll("details").forEach((d) => (d.open = true));
  setTimeout(() => {
  const found = frames.map(measure);
  document.body.innerHTML = "";
  const shown = document.body.appendChild(document.createElement("pre"));
  shown.textContent = JSON.stringify(found);
  }, 500);
});
"""


def measure_layout(page: str, folder: Path, widths: tuple[int, ...] = (1200, 420)) -> list[Any]:
    """Return the faults of a page at some widths, and how many of its tables scroll there."""
    frames = "".join(
        f'<iframe width="{w}" height="900" style="border: 0" srcdoc="{html.escape(page)}"></iframe>'
        for w in widths
    )
    wrapper = folder / "wrapper.html"
    wrapper.write_text(f'<meta charset="utf-8">{frames}<script>{_MEASURE}</script>', "utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=8000", "--dump-dom"]
    done = subprocess.run(
        [*command, wrapper.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stdout[:500]
    return json.loads(html.unescape(found.group(1)))
