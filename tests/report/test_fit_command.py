"""The command that fits the best arm: read by a shell again, it names what was compared."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_features import make_features
from sklearn.naive_bayes import GaussianNB

from bottleneck import Predictions, Protocol, Selection, compare, load_features, write_report
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.arm_origin import ArmOrigin
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.evaluation.results.result_parts import ArmChoice
from bottleneck.report.fit_command import fit_command

QUICK = Protocol(n_splits=2, inner_splits=5)
CLASSES = ("-odd", "it's b; rm", "malignant")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(path: str, **options: Any) -> str:
    make_features(n_patients=24, **options).save(path)
    return path


def words_of(comparison: Comparison, report: str = "report") -> list[str]:
    made = fit_command(comparison, report)
    assert made.command is not None
    assert shlex.split(" ".join(line.removesuffix("\\") for line in made.lines)) == shlex.split(
        made.command
    )
    return shlex.split(made.command)


def test_the_command_names_file_head_class_and_target(here: Path) -> None:
    path = saved("features/own scans.h5")
    assert words_of(compare(path, "lda", protocol=QUICK), "my report") == [
        *("bottleneck", "fit", path, "--head", "lda", "--positive", "malignant"),
        *("--at-sensitivity", "0.9", "--comparison", "my report"),
    ]


def test_settings_that_are_not_the_usual_ones_are_options(here: Path) -> None:
    path = saved("-scans.h5", classes=CLASSES)
    (here / "bad ones.txt").write_text("image-000\n")
    chosen = Selection(
        exclude="bad ones.txt", merge={"b": ["it's b; rm"]}, classes=("b", "malignant")
    )
    protocol = Protocol(n_splits=2, seed=3, unit="patient", aggregate="max", conflicts="keep")
    made = compare(
        path, "sklearn.naive_bayes:GaussianNB", protocol=protocol, selection=chosen, positive="b"
    )
    assert words_of(made) == [
        *("bottleneck", "fit", "./-scans.h5", "--head", "sklearn.naive_bayes:GaussianNB"),
        *("--positive", "b", "--unit", "patient", "--aggregate", "max", "--conflicts", "keep"),
        *("--seed", "3", *(["--at-sensitivity", "0.9"] if _points(made) else [])),
        *("--exclude", "bad ones.txt", "--merge", "b=it's b; rm", "--classes", "b,malignant"),
        *("--comparison", "report"),
    ]


def _points(comparison: Comparison) -> bool:
    return bool(comparison.evaluations[0].operating_points)


def test_the_report_names_no_folder_of_an_absolute_path(here: Path) -> None:
    folder = here / "anna müller"
    path = folder / "scans.h5"
    saved(os.fspath(path))
    (folder / "bad.txt").write_text("image-000")
    made = compare(
        path, "lda", protocol=QUICK, selection=Selection(exclude=os.fspath(folder / "bad.txt"))
    )
    assert {os.fspath(path), os.fspath(folder / "bad.txt")} <= set(words_of(made))
    write_report(made, "report")
    page = (here / "report" / "report.html").read_text()
    said = "".join(re.findall(r"(?s)<code>(.*?)</code>", page)[-1:])
    assert re.sub("<.*?>", "", said).startswith("bottleneck fit scans.h5 --head lda --positive ")
    assert "--exclude bad.txt" in page
    assert "--comparison REPORT" in page
    for name in ("report.html", "results.json"):
        assert "anna müller" not in (here / "report" / name).read_text()


@pytest.mark.slow
def test_what_a_shell_cannot_name_is_a_line_of_python(here: Path) -> None:
    path = saved("scans.h5")
    features = load_features(path)
    ids = Selection(exclude=["image-000"])
    four = Protocol(n_splits=2, inner_splits=4)
    rows: list[tuple[Any, Any, dict[str, Any], str, str]] = [
        (path, GaussianNB(), {}, "object of Python", "fit('scans.h5', head, positive="),
        (features.X, "lda", {"y": features.y}, "in memory", "fit(X, 'lda', y=y, positive="),
        (path, "lda", {"selection": ids}, "its selection", "selection=selection, comparison='r'"),
        (path, "lda", {"protocol": four}, "of inner folds", "inner_splits=4, comparison='r'"),
        (features.choose(ids), "lda", {}, "in memory", "fit(features, 'lda'"),
        (features.select(features.ids != "image-000"), "lda", {}, "in memory", "fit(features"),
    ]
    for given, head, more, why, line in rows:
        made = fit_command(compare(given, head, **{"protocol": QUICK} | more), "r")
        assert made.command is None
        assert why in made.words[0]
        assert line in str(made.python)


def test_predictions_and_ensembles_give_way_to_an_arm_that_can_be_kept(here: Path) -> None:
    path = saved("scans.h5", signal=0.4)
    known = load_features(path)
    sure = Predictions.from_arrays(known.y, known.y == "malignant", ids=known.ids)
    alone = fit_command(compare(predictions={"reader": sure}))
    assert alone.arm is alone.line is None
    assert "'reader' has predictions of another program" in alone.words[0]
    made = compare(path, ("lda", "ridge"), protocol=QUICK, ensemble="mean")
    best = {
        e.name: dataclasses.replace(e, metrics={**e.metrics, "auroc": Metric(0.99)})
        if e.members
        else e
        for e in made.evaluations
    }
    kept = fit_command(dataclasses.replace(made, evaluations=tuple(best.values())))
    assert kept.arm in [e.name for e in made.evaluations if e.head in ("lda", "ridge")]
    assert "is the mean of several arms, which no command can keep" in kept.words[0]


def test_trained_networks_predict_by_their_folder(here: Path) -> None:
    made = compare(saved("scans.h5"), "lda", protocol=QUICK)
    arm, *others = made.evaluations
    trained = dataclasses.replace(arm, origin=ArmOrigin(file="trained/my net"))
    made = dataclasses.replace(made, evaluations=(trained, *others))
    assert words_of(made) == ["bottleneck", "predict", "trained/my net", "IMAGES"]


def test_the_figure_of_a_choice_is_called_optimistic(here: Path) -> None:
    path = saved("scans.h5", signal=0.0)
    one, two = (compare(path, heads, protocol=QUICK) for heads in (("lda",), ("lda", "ridge")))
    assert "optimistic" not in " ".join(fit_command(one).cautions)
    said = " ".join(fit_command(two).cautions)
    best = max(e.metrics["auroc"].value for e in two.evaluations if e.uses_images)
    assert f"Its AUROC of {best:.3f} is the figure that it was chosen by, out of 2 arms" in said
    assert "too optimistic" in said
    assert "no better than chance" in said
    assert "allows for the choice" not in said
    names = [e.name for e in two.evaluations]
    choice = ArmChoice(names[0], dict.fromkeys(names, Metric(best, 0.51, 0.99)))
    said = " ".join(fit_command(dataclasses.replace(two, choice=choice)).cautions)
    assert "allows for the choice is 0.510–0.990" in said
    assert "no better than chance" not in said


def test_without_any_auroc_there_is_nothing_to_keep(here: Path) -> None:
    made = compare(saved("scans.h5"), "lda", protocol=QUICK)
    unknown = [dataclasses.replace(e, metrics={"auroc": Metric(np.nan)}) for e in made.evaluations]
    kept = fit_command(dataclasses.replace(made, evaluations=tuple(unknown)))
    assert (kept.arm, kept.line) == (None, None)
    assert kept.words
