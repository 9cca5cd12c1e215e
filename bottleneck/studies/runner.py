"""Run a study: extraction, training, and one comparison per protocol."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.backbones.licences import LicencePolicy
from bottleneck.backbones.recipe import slug
from bottleneck.checks.ignored_checks import Ignore, read_codes
from bottleneck.data.augmented_copies import augment
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.splits.protocol import Folds
from bottleneck.errors import MissingExtraError, ReportError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.cross_validation.arms import make_arms
from bottleneck.evaluation.cross_validation.split_plan import plan_split
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.features.file.reader import load_features
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.files.writing import make_folder, write_whole
from bottleneck.processes.work_steps import shows_progress
from bottleneck.report.page import write_report
from bottleneck.report.result_files import claim_folder
from bottleneck.settings.ranges import Jobs
from bottleneck.settings.schema import validate
from bottleneck.studies.collect import collect_arms, collect_external, collect_tests
from bottleneck.studies.consistency.check import check_study
from bottleneck.studies.overrides import Overrides, apply_overrides
from bottleneck.studies.split import Split, describe_split, split_samples
from bottleneck.studies.study import MapMethod, Study, StudyArm, StudyProtocol
from bottleneck.studies.study_maps import explain_trained
from bottleneck.studies.study_results import StudyProtocolResult, StudyResult
from bottleneck.studies.subset import select_samples, take_patients
from bottleneck.studies.usable_images import take_usable
from bottleneck.text.table_text import frame_csv, text_frame

if TYPE_CHECKING:
    from bottleneck.finetune.trained_arm import Trained

__all__ = ["run_study"]

Progress = Callable[[int, int, str], None]


@dataclasses.dataclass(frozen=True)
class _Run:
    """Study and options of a run, for all protocols."""

    study: Study
    output: Path
    n_jobs: int | None
    progress: Progress | None
    note: Callable[[str], None] | None
    extraction: Mapping[str, Any]
    features: Path
    maps: MapMethod
    shown: Mapping[str, bool]
    ignore: tuple[str, ...]


@shows_progress()
def run_study(
    study: Study,
    data: ImageDataset,
    *,
    external: ImageDataset | None = None,
    overrides: Overrides = Overrides(),
    output: str | Path = "study",
    overwrite: bool = False,
    features: str | Path | None = None,
    extraction: Mapping[str, Any] | None = None,
    maps: MapMethod | None = None,
    ignore: Ignore = (),
    licence_policy: LicencePolicy = "any",
    with_ids: bool = False,
    with_pictures: bool = False,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    note: Callable[[str], None] | None = None,
) -> StudyResult:
    """Run a study on a data set, and compare its metrics with the published figures.

    Under every protocol, all arms are tested on the same samples in the same folds. Features and
    finished trainings are kept: the same call continues an interrupted run.

    Parameters
    ----------
    study : Study
        The study.
    data : ImageDataset
        The data set; ``overrides`` may limit it.
    external : ImageDataset, optional
        Another data set of the same classes. Protocols that name a published external set test
        all arms on it: heads that were trained on all of ``data``, and the networks of the
        protocol's one fold.
    overrides : Overrides
        Changes of the study.
    output : str or Path
        Folder of features, trainings and reports.
    overwrite : bool
        Whether tables and reports of a finished run in the folder are replaced.
    features : str or Path, optional
        Folder of the features; by default ``features`` in that of the study.
    extraction : mapping, optional
        Options of ``extract`` for precision and speed: precision, device, batch_size, workers.
    maps : {"auto", "exact", "grad-cam", "occlusion", "none"} or None
        How heat maps of the trained networks are made, as the last step; by default as the study
        states.
    ignore : str or sequence of str
        Codes of checks whose findings and warnings are not shown, as for ``compare``.
    licence_policy : {"any", "commercial"}
        "commercial" refuses a study one of whose arms begins with weights whose licence does not
        allow commercial use, or is not stated; before anything is computed or downloaded.
    with_ids, with_pictures : bool
        Whether the pages with these maps name samples and patients, and show images.
    n_jobs : int or None
        Number of processes, as joblib counts them.
    progress : callable, optional
        Called with the number of steps done, the number of all steps, and a text that names the
        arm or its network.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.
    note : callable, optional
        Called with a sentence on leaks and copies, before any training of a protocol.

    Returns
    -------
    StudyResult
        Results of all protocols.

    Raises
    ------
    BottleneckError
        If extraction, training or comparison fails.
    """
    validate(Jobs, n_jobs, "the number of processes")
    if maps is not None:
        validate(MapMethod, maps, "the method of maps")
    codes = read_codes(ignore)
    began = time.perf_counter()
    study, changes = apply_overrides(study, overrides)
    for arm in study.arms:
        arm.require_licence(study.training, licence_policy)
    if any(arm.is_trained for arm in study.arms):
        _refuse_without_lightning()
    whole = len(data.samples) if data.n_groups is None else data.n_groups
    if overrides.limit is not None and overrides.limit < whole:
        unit = "images" if data.n_groups is None else "patients"
        data = take_patients(data, overrides.limit)
        changes = (f"{overrides.limit} of {whole} {unit}", *changes)
        if external is not None:
            external = take_patients(external, overrides.limit)
            changes = (*changes, f"at most {overrides.limit} of the external cohort")
    output = Path(output)
    folder = output / "features" if features is None else Path(features)
    shown = {"with_ids": with_ids, "with_pictures": with_pictures}
    method = maps or study.maps or "none"
    run = _Run(
        study, output, n_jobs, progress, note, extraction or {}, folder, method, shown, codes
    )
    with claim_folder(output, ("study.json",), "study", overwrite=overwrite):
        protocols = tuple(
            _run_protocol(protocol, data, external, run)
            for protocol in study.protocols
            if protocol.default
        )
    return StudyResult(
        study=study,
        changes=changes,
        protocols=protocols,
        contradictions=check_study(study),
        seconds=time.perf_counter() - began,
    )


def _refuse_without_lightning() -> None:
    from importlib.util import find_spec

    if find_spec("lightning") is None:
        raise MissingExtraError(
            "this study trains networks, which needs Lightning, and it is not installed. Install "
            "it with",
            "  pip install 'bottleneck-features[finetune]'",
            "or use frozen arms only (--arm NAME)",
        )


def _run_protocol(
    protocol: StudyProtocol, data: ImageDataset, external: ImageDataset | None, run: _Run
) -> StudyProtocolResult:
    study, folder = run.study, run.output / slug(protocol.name)
    make_folder(folder)
    images = data if protocol.augment is None else augment(data, protocol.augment)
    frozen = [arm for arm in study.arms if not arm.is_trained]
    paths = _extract_all([arm for arm in study.arms if arm.kind != "trained"], images, run)
    loaded = {path: load_features(path) for path in dict.fromkeys(paths.values())}
    n_images = len(images)
    images = take_usable(images, study, loaded.values())
    split = split_samples(protocol, images, loaded[paths[frozen[0].name]], study)
    candidates = split.dataset().candidates
    sets = {p: select_samples(one, split.samples, candidates) for p, one in loaded.items()}
    first = sets[paths[frozen[0].name]]
    planned = plan_split(first, split.plan, note=run.note, ignore=run.ignore)
    folds, samples = planned.folds, first.take(planned.plan.rows, y=planned.plan.y)
    folds_from = None
    if split.plan.kind == "cv":
        folds_from = folder / "folds.csv"
        _write_folds(folds, samples, folds_from)
    trained = {
        arm.name: _train(arm, protocol, split, sets, paths, folds_from, run)
        for arm in study.arms
        if arm.is_trained
    }
    used = list(dict.fromkeys(paths[arm.name] for arm in frozen))
    # Several folds have several networks, with different predictions of the other data set.
    cohort = external if protocol.external is not None and split.plan.kind == "split" else None
    outer = []
    if cohort is not None:
        outer_paths = _extract_all(frozen, cohort, run)
        outer = [load_features(path) for path in dict.fromkeys(outer_paths.values())]
    heads = tuple(dict.fromkeys(arm.head for arm in frozen))
    comparison = compare(
        [sets[path] for path in used],
        heads,
        predictions=[f"{name}={runs[0].path}" for name, runs in trained.items()],
        external=outer,
        protocol=split.plan,
        positive=data.positive or study.positive,
        ignore=run.ignore,
        n_jobs=run.n_jobs,
        progress=run.progress,
    )
    words = describe_split(protocol, folds, samples, images)
    if n_images > len(images):
        words += f" Left out: {n_images - len(images)} of {n_images} that an arm cannot use."
    comparison = _reword(comparison, folds.words, words)
    known = {name: name for name in trained} | _names_of(frozen, paths, sets, used, heads)
    positive = comparison.positive or study.positive
    pages: Mapping[str, Path] = {}
    problem = _report(comparison, folder / "report")
    if run.maps != "none":
        pages, unmade = explain_trained(
            trained,
            split.dataset(),
            folder / "explanations",
            run.maps,
            progress=run.progress,
            **run.shown,
        )
        problem = " ".join(filter(None, (problem, unmade)))
    return StudyProtocolResult(
        protocol=protocol,
        words=words,
        arms=collect_arms(
            study, protocol.published, comparison.evaluations, known, trained, positive
        ),
        external=()
        if cohort is None
        else collect_external(study, protocol, comparison, known, trained, cohort, positive),
        tests=collect_tests(study, comparison, known) if protocol.published else (),
        comparison=comparison,
        report=folder / "report" / "report.html",
        problem=problem,
        explanations=pages,
    )


def _report(comparison: Comparison, folder: Path) -> str:
    """Write the report of a protocol; return what went wrong, which must not end a study."""
    try:
        write_report(comparison, folder, overwrite=True)
    except (ReportError, UsageError) as error:
        return str(error)
    return ""


def _reword(comparison: Comparison, before: str, words: str) -> Comparison:
    """Return a comparison with the study's description of the split."""
    changed = str(comparison.protocol["words"]).replace(before, words)
    return dataclasses.replace(comparison, protocol={**comparison.protocol, "words": changed})


def _extract_all(arms: Sequence[StudyArm], images: ImageDataset, run: _Run) -> dict[str, Path]:
    """Extract the features of all arms in one pass; return the feature file of each arm."""
    from bottleneck.backbones.backbone import Backbone, load_backbone
    from bottleneck.features.extraction import extract_all

    if not arms:
        return {}
    load = functools.cache(load_backbone)
    prepared = functools.cache(Backbone.prepared)
    backbones = [
        prepared(
            load(
                arm.backbone,
                weights=arm.weights or "imagenet",
                pooling=arm.pooling,
                preprocessing=arm.preprocessing,
                **arm.volumes,
            ),
            arm.preparation,
        )
        for arm in arms
    ]
    results = extract_all(
        images,
        backbones,
        layers=(),
        output=run.features,
        progress=run.progress,
        **run.extraction,
    )
    return {arm.name: result.path for arm, result in zip(arms, results, strict=True)}


def _write_folds(folds: Folds, features: FeatureSet, path: Path) -> None:
    import pandas as pd

    tables = [
        text_frame(
            {"id": features.ids[fold.test], "repeat": fold.repeat, "fold": fold.index},
        )
        for fold in folds
    ]
    table = pd.concat(tables, ignore_index=True)
    write_whole(path, frame_csv(table).encode(errors="backslashreplace"))


def _train(
    arm: StudyArm,
    protocol: StudyProtocol,
    split: Split,
    sets: Mapping[Path, FeatureSet],
    paths: Mapping[str, Path],
    folds_from: Path | None,
    run: _Run,
) -> tuple[Trained, ...]:
    from bottleneck.finetune.cross_validate import finetune, train_on_features

    config = arm.config(run.study.training)
    if protocol.augment is not None:  # The data set holds altered copies already.
        config = dataclasses.replace(config, augment=False)

    def move(done: int, total: int, text: str) -> None:
        if run.progress is not None:
            run.progress(done, total, f"{arm.name}: {text}")

    how: dict[str, Any] = {
        "protocol": split.plan,
        "folds_from": folds_from,
        "seeds": protocol.seeds,
        "output": run.output / slug(protocol.name) / "trained" / slug(arm.name),
        "progress": move,
    }
    if arm.kind == "new_fc":
        return train_on_features(sets[paths[arm.name]], config, **how)
    return finetune(split.dataset(), config, **how)


def _names_of(
    frozen: Sequence[StudyArm],
    paths: Mapping[str, Path],
    sets: Mapping[Path, FeatureSet],
    used: Sequence[Path],
    heads: Sequence[str],
) -> dict[str, str]:
    """Return the name of each frozen arm in the comparison, where arms of one recipe are one."""
    path_of = {id(sets[path]): path for path in used}
    named = {
        (path_of[id(made.features)], made.head.name): made.name
        for made in make_arms([sets[path] for path in used], heads)
        if made.features is not None
    }
    return {arm.name: named[paths[arm.name], arm.head] for arm in frozen}
