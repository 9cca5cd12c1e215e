"""What a card was made of, which it keeps in a comment that readers do not see."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from bottleneck.errors import UsageError
from bottleneck.model_card.sources.export_facts import ExportFacts
from bottleneck.settings.schema import from_table, schema

__all__ = ["CARD_FORMAT", "CardRecord", "read_record", "record_comment"]

#: Version of the wording and of the record of a card.
CARD_FORMAT = 1
_BEGIN, _END = "<!-- bottleneck-card", "-->"
_COMMENT = re.compile(rf"^{_BEGIN}\n(.*?)\n{_END}$", re.DOTALL | re.MULTILINE)


@schema
class CardRecord:
    """All that a card is made of, besides ``results.json``.

    Attributes
    ----------
    format : int
        ``CARD_FORMAT``.
    bottleneck : str
        Version that wrote the card.
    results_sha256 : str
        sha256 of ``results.json``.
    title : str
        Heading of the card.
    authors : tuple of str
        Names for the citation.
    licence : str or None
        Licence of the card and of the classifier.
    model : mapping
        From ``describe_for_card``.
    exports : tuple of ExportFacts
        Its exports.
    """

    format: int
    bottleneck: str
    results_sha256: str
    title: str
    authors: tuple[str, ...] = ()
    licence: str | None = None
    model: Mapping[str, Any]
    exports: tuple[ExportFacts, ...] = ()


def record_comment(record: CardRecord) -> str:
    """Return the comment that holds a record: nothing in it ends the comment."""
    text = json.dumps(dataclasses.asdict(record), indent=1)
    for mark, escaped in (("--", "-\\u002d"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(mark, escaped)
    return f"{_BEGIN}\n{text}\n{_END}"


def read_record(text: str, name: str) -> tuple[str, CardRecord]:
    """Return the text of a card with empty lines in place of its record, and the record.

    Parameters
    ----------
    text : str
        Content of the card.
    name : str
        Its file, for messages.

    Raises
    ------
    UsageError
        If it is not a card of this version.
    """
    found = list(_COMMENT.finditer(text))
    if len(found) != 1:
        raise UsageError(
            f"{name} is not a model card that `bottleneck card` wrote, or its record was removed: "
            f"the record is one comment that begins with '{_BEGIN}'. Write the card again"
        )
    try:
        content = json.loads(found[0][1])
    except (ValueError, RecursionError):
        raise UsageError(f"the record in {name} is damaged: write the card again") from None
    if not isinstance(content, dict) or content.get("format") != CARD_FORMAT:
        raise UsageError(
            f"{name} is a card of another version of bottleneck: check it with that version, or "
            "write it again"
        )
    record = from_table(CardRecord, content, f"the record in {name}")
    # Lines keep their numbers.
    blank = "\n" * found[0][0].count("\n")
    return text[: found[0].start()] + blank + text[found[0].end() :], record
