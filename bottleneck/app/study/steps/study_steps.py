"""The steps of a study, on the public functions that the command line calls too."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from bottleneck.app.study.steps.step_choices import (
    CompareChoice,
    DataChoice,
    ExtractChoice,
    FitChoice,
    PatternChoice,
    WeightsChoice,
)
from bottleneck.app.study.steps.step_results import (
    ComparedArm,
    ComparedHeads,
    DataSummary,
    FeatureSummary,
    KeptModel,
    OfferedNetwork,
    PatternPreview,
)
from bottleneck.text.plurals import counted

__all__ = [
    "compare_heads",
    "extract_features",
    "fit_model",
    "list_networks",
    "read_data",
    "try_pattern",
]

Move = Callable[[int, int, str], None]

# Paths that a pattern is tried on, and those that are shown.
_MOST_PATHS, _N_EXAMPLES = 2000, 8
# A note of the reader of class folders states the pattern for the command line.
_PROPOSED = re.compile(r"--patient-pattern '([^']+)'")


def read_data(choice: DataChoice, move: Move) -> DataSummary:
    """Return what a data set holds."""
    from bottleneck.data.labels.positive_class import recognise_positive
    from bottleneck.data.samples.sample_table import values_of

    dataset = choice.load()
    recognised = recognise_positive(dataset.classes) if len(dataset.classes) == 2 else []
    step = -(-len(dataset) // _MOST_PATHS)
    proposed = [found[1] for note in dataset.notes if (found := _PROPOSED.search(note))]
    return DataSummary(
        name=dataset.name,
        n_images=len(dataset),
        n_patients=dataset.n_groups,
        class_counts={name: dataset.class_counts[name] for name in dataset.classes},
        positive=recognised[0] if len(recognised) == 1 else None,
        excluded=dict(dataset.excluded),
        notes=dataset.notes,
        sources=tuple(values_of(dataset.samples, "source"))[::step],
        proposed_pattern=proposed[0] if proposed else None,
    )


def try_pattern(choice: PatternChoice, move: Move) -> PatternPreview:
    """Return the patients that a pattern finds in some paths."""
    from bottleneck.data.readers.patients.patient_ids import patient_finder

    patients = [*map(patient_finder(choice.pattern), choice.sources)]
    pairs = list(zip(choice.sources, patients, strict=True))
    step = max(1, len(pairs) // _N_EXAMPLES)
    unmatched = [source for source, patient in pairs if patient is None]
    return PatternPreview(
        examples=tuple(pairs[::step][:_N_EXAMPLES]),
        n_paths=len(pairs),
        n_unmatched=len(unmatched),
        n_patients=len(set(patients) - {None}),
        unmatched=unmatched[0] if unmatched else None,
    )


def list_networks(choice: WeightsChoice, move: Move) -> tuple[OfferedNetwork, ...]:
    """Return the networks whose weights are on this machine, those of a given file first."""
    from bottleneck.backbones.catalogue import ENCODERS
    from bottleneck.backbones.layouts.fitting import fitting_encoders
    from bottleneck.backbones.licences import recorded_licence
    from bottleneck.backbones.weights import folder
    from bottleneck.backbones.weights.loading import (
        WeightFile,
        find_local,
        read_content,
    )
    from bottleneck.backbones.weights.stated_licences import licence_of

    offered = []
    if choice.file is not None:
        path = Path(choice.file)
        content = read_content(WeightFile(path, path.stem, path.name))
        licence = recorded_licence({"sha256": content.sha256})
        for encoder in fitting_encoders(content.entries):
            offered.append(_offer(encoder.name, choice.file, path.name, licence))
    records = folder.read_records(folder.folder_path()).values()
    for encoder in ENCODERS.values():
        published = {one.weights: one for one in encoder.published}
        for name, one in published.items():
            if find_local(encoder, one) is not None:
                offered.append(_offer(encoder.name, name, name, licence_of(encoder, one)))
        for record in records:
            if record.encoder == encoder.name and record.weights not in published:
                name = record.weights
                offered.append(_offer(encoder.name, name, name, record.licence))
    return tuple(offered)


def _offer(backbone: str, weights: str, name: str, licence: str | None) -> OfferedNetwork:
    return OfferedNetwork(backbone=backbone, weights=weights, weights_name=name, licence=licence)


def extract_features(choice: ExtractChoice, move: Move) -> FeatureSummary:
    """Run a data set through a network; a repeated call computes only what is new."""
    from bottleneck.features.extraction import extract

    dataset = choice.data.load()
    made = extract(
        dataset,
        choice.backbone,
        weights=choice.weights,
        output=choice.output,
        licence_policy=choice.licence_policy,
        progress=move,
    )
    weights = made.provenance["weights"]
    return FeatureSummary(
        path=made.path,
        n_rows=made.n_extracted + made.n_known + made.n_copies,
        width=made.width,
        n_new=made.n_extracted,
        failures=made.failures,
        notes=made.notes[len(dataset.notes) :],
        weights=str(weights["name"]),
        licence=str(weights.get("licence") or "not stated"),
    )


def compare_heads(choice: CompareChoice, move: Move) -> ComparedHeads:
    """Compare heads on a feature file and write the report to a new folder."""
    from bottleneck.evaluation.compare import compare
    from bottleneck.evaluation.measures import Measures
    from bottleneck.report.fit_command import fit_command
    from bottleneck.report.page import FINISHED, write_report
    from bottleneck.report.result_files import claim_folder

    with claim_folder(choice.output, FINISHED, "comparison"):
        comparison = compare(
            [choice.features],
            choice.heads,
            positive=choice.positive,
            measures=Measures(at_sensitivity=choice.at_sensitivity),
            licence_policy=choice.licence_policy,
            n_jobs=-1,
            progress=move,
        )
        # The folder is claimed for this call, and was empty.
        write_report(
            comparison,
            choice.output,
            with_pictures=choice.with_pictures,
            overwrite=True,
            progress=move,
        )
    arms = [
        ComparedArm(
            head=arm.origin.head_name,
            auroc=arm.metrics["auroc"].value,
            # With three classes there may be no threshold.
            at_sensitivity=choice.at_sensitivity if arm.operating_points else None,
        )
        for arm in comparison.evaluations
        if arm.origin is not None and arm.origin.head_name and "auroc" in arm.metrics
    ]
    best = fit_command(comparison, choice.output)
    return ComparedHeads(
        report=choice.output,
        arms=tuple(sorted(arms, key=lambda arm: -arm.auroc)),
        positive=comparison.positive,
        cautions=best.cautions,
    )


def fit_model(choice: FitChoice, move: Move) -> KeptModel:
    """Train a head on all samples and save it."""
    from bottleneck.deploy.fit import fit
    from bottleneck.deploy.models.model_file import model_file_name
    from bottleneck.deploy.models.model_words import describe_order, describe_threshold
    from bottleneck.files.locks import lock
    from bottleneck.files.writing import make_folder

    path = make_folder(choice.output) / model_file_name(choice.features, choice.head)
    with lock(path, "training"):
        model = fit(
            choice.features,
            choice.head,
            positive=choice.positive,
            at_sensitivity=choice.at_sensitivity,
            comparison=choice.comparison,
            licence_policy=choice.licence_policy,
            n_jobs=-1,
            progress=move,
        )
        model.save(path)
    patients = f" of {counted(model.n_patients, 'patient')}" if model.n_patients else ""
    words = [f"Trained on {model.trained_on} ({counted(model.n_samples, 'image')}{patients})."]
    if model.operating_point is not None and model.positive is not None:
        words.append(f"{describe_threshold(model.operating_point, model.positive)}.")
    if model.comparison is not None:
        words.append(f"It was {model.comparison.words.rstrip('.')}.")
    return KeptModel(path=path, words=tuple(filter(None, [*words, describe_order(model)])))
