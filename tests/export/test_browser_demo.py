"""The demo in a browser: the probabilities of the model, offline, and what the page refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from webdriver import Browser, needs_driver, open_browser

from bottleneck import Model, export_model, extract, fit, load_dataset, load_features

CHECKOUT = Path(__file__).resolve().parents[2]
DEMO = CHECKOUT / "examples" / "mobile" / "browser"
N_CROPS = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared,
    needs_driver,
    pytest.mark.skipif(
        not (DEMO / "node_modules" / "onnxruntime-web").is_dir(),
        reason="the demo needs onnxruntime-web: npm install in examples/mobile/browser",
    ),
]


class Demo(NamedTuple):
    """A served demo, and the model in it."""

    url: str
    model: Model
    weights: Path
    crops: list[Path]


@pytest.fixture(scope="module")
def demo(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    table, weights = (
        shared / "data" / "ddti-crops" / "labels.csv",
        shared / "weights" / "resnet18-imagenet.pth",
    )
    data = load_dataset(table, columns={"path": "image"}, limit=40)
    run = extract(
        data, "resnet18", weights=str(weights), precision="fp32", output=folder, quiet=True
    )
    model = fit(load_features(run.path), "svm", positive="malignant", quiet=True)
    export = folder / "export"
    export_model(model, "onnx", output=export, images=data, weights=weights, quiet=True)
    build = [sys.executable, DEMO / "build.py", export, "--output", folder / "page"]
    subprocess.run(build, check=True, capture_output=True)
    serve = [sys.executable, "-u", folder / "page" / "serve.py", "0"]
    with subprocess.Popen(
        serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        crops = [table.parent / sample.source for sample in data.samples][:N_CROPS]
        try:
            yield Demo(server.stdout.readline().split()[0], model, weights, crops)
        finally:
            server.terminate()


def classify(browser: Browser, url: str, files: list[Path]) -> dict[str, dict[str, str]]:
    """Return what the page shows of each picture, by its name."""
    browser.open(url)
    browser.wait("return document.getElementById('state').textContent.startsWith('Ready')")
    browser.choose("#files", files)
    browser.wait("return document.getElementById('state').textContent.startsWith('Done')", 120)
    rows = browser.run(
        "return [...document.querySelectorAll('.result')].map((row) => ({"
        "name: row.querySelector('h2').textContent, ...row.dataset,"
        "text: row.querySelector('.decision').textContent}))"
    )
    return {row["name"]: row for row in rows}


def compare(demo: Demo, shown: dict[str, dict[str, str]], files: list[Path]) -> float:
    """Return the largest difference of a probability from the model's own."""
    made = demo.model.predict(files, weights=demo.weights, quiet=True)
    assert made.predictions.probabilities is not None
    ours = dict(zip(made.predictions.ids.tolist(), made.predictions.probabilities, strict=True))
    decided = dict(
        zip(made.predictions.ids.tolist(), made.predictions.predicted.tolist(), strict=True)
    )
    assert len(ours) == len(files)
    differences = []
    for name, row in ours.items():
        page = shown[Path(name).name]
        differences.append(np.abs(json.loads(page["probabilities"]) - row).max())
        assert page["text"] == decided[name]
    return float(max(differences))


def test_the_page_gives_the_probabilities_of_the_model_and_asks_no_other_host(
    demo: Demo, tmp_path: Path
) -> None:
    with open_browser(tmp_path) as browser:
        shown = classify(browser, demo.url, demo.crops)
        # Chromium itself asks for nothing either.
        hosts = {urlsplit(one).hostname for one in browser.requests() if one.startswith("http")}
        assert hosts == {"127.0.0.1"}
        assert browser.messages() == []
        assert browser.run("return crossOriginIsolated")
        # The notice stays in view, and nothing is wider than a phone.
        browser.resize(420, 900)
        browser.run("scrollTo(0, document.body.scrollHeight)")
        top = browser.run("return document.querySelector('.notice').getBoundingClientRect().top")
        width = browser.run("return document.documentElement.scrollWidth - innerWidth")
        assert (top, width <= 0) == (0, True)
    assert len(shown) == N_CROPS
    assert compare(demo, shown, demo.crops) < 1e-3


def test_the_page_itself_may_ask_no_other_host(demo: Demo, tmp_path: Path) -> None:
    with open_browser(tmp_path) as browser:
        browser.open(demo.url)
        browser.run(
            "addEventListener('securitypolicyviolation', (e) => { self.blocked = e.blockedURI; });"
            "fetch('https://example.org/').catch(() => 0);"
        )
        assert browser.wait("return self.blocked").startswith("https://example.org")


def pictures(folder: Path) -> list[Path]:
    """Write pictures of the kinds that the page reads."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (12, 17, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((203, 151), Image.Resampling.BICUBIC)
    turned = Image.Exif()
    turned[0x0112] = 6
    alpha = image.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(folder / "grey-profile.png", icc_profile=_profile(), gamma=0.3)
    image.convert("L").save(folder / "grey.png")
    image.quantize(64).save(folder / "palette.png")
    image.save(folder / "turned.jpg", exif=turned, quality=80)
    image.convert("L").save(folder / "grey.jpg")
    image.save(folder / "lossy.webp", quality=70)
    alpha.save(folder / "alpha.png")
    return sorted(folder.iterdir())


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def test_every_kind_of_picture_is_read_as_the_model_reads_it(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    files = pictures(tmp_path / "images")
    with open_browser(tmp_path) as browser:
        shown = classify(browser, demo.url, files)
    assert compare(demo, shown, files) < 1e-3


def test_what_a_browser_reads_otherwise_is_refused(demo: Demo, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    Image.fromarray(rng.integers(0, 65536, (40, 50), dtype=np.uint16)).save(images / "deep.png")
    noise.convert("CMYK").save(images / "cmyk.jpg")
    noise.save(images / "moving.webp", save_all=True, append_images=[noise.rotate(90)])
    noise.save(images / "moving.png", save_all=True, append_images=[noise.rotate(90)])
    noise.save(images / "scan.tif")
    noise.save(images / "whole.png")
    data = (images / "whole.png").read_bytes()
    (images / "cut.png").write_bytes(data[: len(data) // 2])
    Image.new("RGB", (8, 800)).save(images / "narrow.png")
    Image.new("RGBA", (40, 40), (90, 90, 90, 128)).save(images / "faint.png")
    with open_browser(tmp_path) as browser:
        shown = classify(browser, demo.url, sorted(images.iterdir()))
    said = {name: row["text"] for name, row in shown.items() if "probabilities" not in row}
    reasons = {
        "deep.png": "16 bits",
        "cmyk.jpg": "CMYK",
        "moving.webp": "moves",
        "moving.png": "moves",
        "scan.tif": "Save DICOM and TIFF as 8-bit PNG",
        "cut.png": "damaged",
        "narrow.png": "long and narrow",
        "faint.png": "shows almost nothing",
    }
    assert set(said) == set(reasons)
    for name, reason in reasons.items():
        assert reason in said[name], name
