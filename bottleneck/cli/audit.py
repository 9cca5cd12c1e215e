"""``bottleneck audit``: search a data set for leaks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.cli.choosing import SelectionOptions, choose
from bottleneck.cli.console import (
    Ignored,
    Json,
    Quiet,
    fold,
    progress,
    show,
    show_json,
)
from bottleneck.cli.defaults import choose_ignored
from bottleneck.cli.fields import takes_fields
from bottleneck.cli.reading import PANEL, ImageOptions, refuse_idle
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.audit.audit import Audit
    from bottleneck.audit.findings import Finding
    from bottleneck.features.sets.feature_set import FeatureSet

_SHOWN = 20


@takes_fields(SelectionOptions, ImageOptions)
def audit(
    features: Annotated[Path, typer.Argument(help="A feature file (.h5).")],
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set that the features were extracted from, to search its images for text.",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = None,
    with_ids: Annotated[
        bool, typer.Option("--with-ids", help="List the samples of each finding.")
    ] = False,
    ignore: Ignored = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    choosing: SelectionOptions,
    options: ImageOptions,
) -> None:
    """Search for leaks: shared patients, duplicates across folds, burned-in text, metadata.

    A leak is a result, not an error. `bottleneck compare` also runs this audit, and keeps
    duplicates on one side of every split.

    Example: `bottleneck audit features/phantom--vgg16--imagenet--avg--1a2b3c4d.h5 --data phantom`
    """
    from bottleneck.audit.audit import audit_features
    from bottleneck.features.file.reader import load_features

    if data is None:
        refuse_idle(options, "without --data: add --data")
    codes = choose_ignored(ignore, quiet=quiet)
    loaded = choose(load_features(features), choosing, quiet=quiet)
    dataset = None if data is None else options.load(data, quiet=quiet)
    with progress(quiet=quiet, unit=f"{loaded.noun}s") as move:
        audited = audit_features(loaded, dataset=dataset, ignore=codes, progress=move)
    if as_json:
        from bottleneck.report.audit_record import audit_record

        record = audit_record(audited, loaded.ids if with_ids else None)
        show_json(JsonRecord("audit", {"dataset": audited.dataset, "audit": record}))
        return
    show(*_describe(audited, loaded, with_ids=with_ids, quiet=quiet))


def _describe(audited: Audit, features: FeatureSet, *, with_ids: bool, quiet: bool) -> list[str]:
    patients = (
        "the patients are unknown"
        if audited.n_patients is None
        else counted(audited.n_patients, "patient")
    )
    samples = counted(audited.n_samples, features.noun)
    lines = [
        *fold(f"{audited.dataset}: {samples}, {patients}: {audited.verdict}"),
        *fold(audited.ties),
    ]
    for finding in audited.findings:
        if quiet and finding.severity == "note":
            continue
        mark = f"{finding.severity:<8} {finding.code} "
        lines += fold(finding.text, mark)
        if with_ids:
            hanging = " " * len(mark)
            listed = _list_samples(finding, features)
            lines += [f"{hanging}{sample}" for sample in listed[:_SHOWN]]
            if len(listed) > _SHOWN:
                lines.append(f"{hanging}… and {len(listed) - _SHOWN} more; --json lists all")
    if words := describe_ignored(audited.ignored):
        lines += fold(f"{words}.")
    return lines


def _list_samples(finding: Finding, features: FeatureSet) -> list[str]:
    from bottleneck.audit.pair_findings import name_kind

    ids = features.ids
    listed = [f"{ids[a]} = {ids[b]}" for a, b in finding.pairs]
    for number, pair in enumerate(finding.duplicates):
        if not pair.identical:
            listed[number] += f" ({name_kind(pair)})"
    return listed + [str(ids[row]) for row in finding.rows]
