"""Tables of the epochs that a publication states, with ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bottleneck.report.terminal import WIDTH, make_table
from bottleneck.report.wording.number_format import three
from bottleneck.studies.published_training import EPOCH_FIGURES
from bottleneck.studies.study_results import StudyArmResult, TrainingRow
from bottleneck.text.table_text import markdown_text

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["training_json", "training_markdown", "training_table"]

_LABELS = {
    "train_loss": "Training loss",
    "train_accuracy": "Training accuracy",
    "val_loss": "Validation loss",
    "val_accuracy": "Validation accuracy",
    "val_auroc": "Validation AUROC",
    "val_sensitivity": "Validation sensitivity",
    "val_specificity": "Validation specificity",
}
_SHORT = {
    "train_loss": "Tr. loss",
    "train_accuracy": "Tr. acc.",
    "val_loss": "Val. loss",
    "val_accuracy": "Val. acc.",
    "val_auroc": "Val. AUROC",
    "val_sensitivity": "Val. sens.",
    "val_specificity": "Val. spec.",
}


def training_table(first_line: str, title: str, arms: Sequence[StudyArmResult]) -> Table | None:
    """Return a table for a terminal: the epochs of every arm; None if none were published."""
    from rich.text import Text

    names = _names(arms)
    if not names:
        return None
    table = make_table(first_line, f"{title}: training, published and ours", width=WIDTH)
    table.add_column("Arm", overflow="fold", min_width=11)
    table.add_column("Epoch", overflow="fold", min_width=15)
    for name in names:
        table.add_column(_SHORT[name], justify="right", no_wrap=True)
    for arm in arms:
        for n, row in enumerate(arm.training):
            cells = [Text(_format(row, name)) for name in names]
            table.add_row("" if n else arm.name, f"{row.source}, {row.when}", *cells)
    return table


def training_markdown(title: str, arms: Sequence[StudyArmResult]) -> Iterator[str]:
    """Yield the lines of the same table in Markdown; none if no epochs were published."""
    names = _names(arms)
    if not names:
        return
    yield from ("", f"**{markdown_text(title)}: training, published and ours**", "")
    yield f"| Arm | Epoch | {' | '.join(_LABELS[name] for name in names)} |"
    yield "| --- | --- |" + " ---: |" * len(names)
    for arm in arms:
        for n, row in enumerate(arm.training):
            texts = ["" if n else arm.name, f"{row.source}, {row.when}"]
            cells = [*texts, *(_format(row, name) for name in names)]
            yield f"| {' | '.join(map(markdown_text, cells))} |"


def training_json(arm: StudyArmResult) -> list[dict[str, Any]]:
    """Return the epochs of an arm as plain values."""
    return [
        {"source": row.source, "when": row.when, "n": row.n, "values": dict(row.values)}
        for row in arm.training
    ]


def _names(arms: Sequence[StudyArmResult]) -> list[str]:
    known = {name for arm in arms for row in arm.training for name in row.values}
    return [name for name in EPOCH_FIGURES if name in known]


def _format(row: TrainingRow, name: str) -> str:
    value = row.values.get(name, "")
    return value if isinstance(value, str) else three(value)
