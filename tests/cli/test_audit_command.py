"""``bottleneck audit``: its output and its errors."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner, Result

from bottleneck.cli.command_line import app


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest, images of twelve patients, and their features.

    The last patient's image is the first one's, mirrored; the one before has text.
    """
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    rows = ["file,diagnosis,patient"]
    images = [
        Image.fromarray(rng.integers(0, 90, (24, 24), np.uint8)).resize((192, 192))
        for _ in range(11)
    ]
    images.append(images[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    ImageDraw.Draw(images[10]).text((10, 80), "MALIGNANT", 255, font_size=24)
    for number, image in enumerate(images):
        image.save(folder / f"{number:02d}.png")
        rows.append(f"{number:02d}.png,{('benign', 'malignant')[number % 2]},P{number:02d}")
    (folder / "labels.csv").write_text("\n".join(rows))
    columns = ["--path-column", "file", "--label-column", "diagnosis"]
    backbone = ["--backbone", "resnet18", "--weights", "random", "--batch-size", "4"]
    result = run(
        "extract", folder / "labels.csv", *columns, *backbone, "--output", folder / "features", "-q"
    )
    assert result.exit_code == 0, result.output
    return folder


def feature_file(made: Path) -> Path:
    (path,) = (made / "features").glob("*.h5")
    return path


def test_options_of_reading_need_what_is_read(made: Path) -> None:
    for command in (["audit"], ["compare", "--head", "svm"], ["finetune"]):
        result = run(*command, feature_file(made), "--images", "elsewhere")
        assert result.exit_code == 2
        assert "have no effect" in " ".join(result.stderr.split())


def test_findings_in_plain_words(made: Path) -> None:
    result = run("audit", feature_file(made))
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "12 images, 12 patients: no leak found, 2 warnings 1 pair of copies" in said
    assert "ties 2 of 12 patients into 1 group." in said
    assert "1 pair of near-duplicate images (likely an altered copy: mirrored; agreement" in said
    assert "Burned-in text was not searched for" in said
    assert "P00" not in said
    assert "00.png" not in said
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_an_ignored_check_is_counted_in_the_output_and_in_json(made: Path) -> None:
    result = run("audit", feature_file(made), "--ignore", "BF104", "--ignore", "BF202")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "BF104 1 pair" not in said
    assert "no leak reported, 2 warnings, 1 finding of ignored checks (BF104)" in said
    words = "ignored: BF104, near-duplicates (1 finding); BF202, burned-in text (0 findings)."
    assert said.endswith(words)
    facts = json.loads(run("audit", feature_file(made), "--ignore", "BF104", "--json").stdout)
    assert facts["audit"]["ignored"] == {"BF104": 1}
    assert "BF104" not in {one["code"] for one in facts["audit"]["findings"]}
    result = run("audit", feature_file(made), "--ignore", "104")
    assert result.exit_code == 2
    assert "there is no check '104' to ignore" in " ".join(result.stderr.split())


def test_images_are_read_from_the_folder_that_is_named(made: Path) -> None:
    columns = ["--path-column", "file", "--label-column", "diagnosis"]
    result = run("audit", feature_file(made), "--data", made / "labels.csv", *columns, "--with-ids")
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "00.png = 11.png (altered copy: mirrored)" in lines
    assert "10.png" in lines
    assert "1 image with strokes like text" in " ".join(lines)
    assert "predicting the label from metadata" in result.stderr
    assert "2/2" in result.stderr
    assert run("audit", feature_file(made), "-q").stderr == ""


def test_json_is_all_there_is_on_stdout(made: Path) -> None:
    facts = json.loads(run("audit", feature_file(made), "--json").stdout)["audit"]
    assert (facts["n_samples"], facts["n_patients"], facts["leaks"]) == (12, 12, 0)
    assert facts["verdict"] == "no leak found, 2 warnings"
    assert facts["search"]["compared"] == 66
    assert "pairs" not in facts["findings"][0]
    facts = json.loads(run("audit", feature_file(made), "--json", "--with-ids").stdout)["audit"]
    assert facts["findings"][0]["pairs"] == [["00.png", "11.png"]]


def test_bad_input_is_refused(made: Path) -> None:
    for arguments, phrase in (
        (["nowhere.h5"], "does not exist"),
        ([made], "is a folder, where a feature file (.h5) was expected"),
        ([made / "labels.csv"], "no HDF5 file"),
        ([feature_file(made), "--data", "nowhere"], "nowhere"),
        ([feature_file(made), "--data", "phantom"], "none of the 12 samples"),
    ):
        result = run("audit", *arguments)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        assert phrase in " ".join(result.stderr.split())


def test_audit_compare_and_report_state_one_fact_in_one_sentence(
    made: Path, tmp_path: Path
) -> None:
    facts = json.loads(run("audit", feature_file(made), "--json").stdout)["audit"]
    said = " ".join(run("audit", feature_file(made)).stdout.split())
    assert f"{facts['verdict']} {facts['ties']}" in said
    options = ["--folds", "2", "--head", "logistic", "--jobs", "1"]
    compared = run("compare", feature_file(made), *options, "--output", tmp_path / "report")
    assert compared.exit_code == 0, compared.output
    note = " ".join(compared.stderr.split())
    assert f"note: Leak audit: {facts['verdict']}. {facts['ties']}" in note
    record = json.loads((tmp_path / "report" / "results.json").read_text())["audit"]
    assert {k: record[k] for k in ("verdict", "ties", "leaks")} == {
        k: facts[k] for k in ("verdict", "ties", "leaks")
    }
    texts = {finding["text"] for finding in facts["findings"]}
    assert {finding["text"] for finding in record["findings"]} == texts
    page = re.sub(r"<[^>]+>", " ", (tmp_path / "report" / "report.html").read_text())
    page = " ".join(html.unescape(page).split())
    assert f"Leak audit: {facts['verdict']} . {facts['ties']}" in page
    assert f"{facts['verdict'].capitalize()} in 12 samples of 12 patients" in page
    assert facts["ties"] in (tmp_path / "report" / "paragraphs.md").read_text()
