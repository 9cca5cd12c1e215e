"""Names of the arms of a comparison: unique, and as the user wants them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import UsageError, unknown_name
from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.evaluation.cross_validation.imported_predictions import ImportedArm
from bottleneck.evaluation.human_readers.human_reader import HumanReader
from bottleneck.settings.ranges import ArmName
from bottleneck.settings.schema import validate
from bottleneck.text.short_repr import shorten

__all__ = ["name_arms"]


def name_arms(
    arms: Sequence[Arm],
    imported: Sequence[ImportedArm],
    ensemble: str | None,
    names: Mapping[str, str] | None,
    readers: Sequence[HumanReader] = (),
    mean: str | None = None,
) -> tuple[list[Arm], list[ImportedArm], str | None, list[HumanReader], str | None]:
    """Return arms under the names that the user gives them.

    Parameters
    ----------
    arms, imported : sequence
        Arms under their own names.
    ensemble : str or None
        Name of the ensemble; None if there is none.
    names : mapping of str to str, or None
        New names of some arms by their own names, which may differ in letter case and spaces; of
        a reader also by the name in the table.
    readers : sequence of HumanReader
        Human readers.
    mean : str or None
        Name of their mean; None if there is none.

    Returns
    -------
    arms, imported : list
        The same arms.
    ensemble : str or None
        Name of the ensemble.
    readers : list
        The same readers.
    mean : str or None
        Name of their mean.

    Raises
    ------
    UsageError
        If an arm is unknown or named twice, a new name is not text, or two arms have one name.
    """
    own = [*(arm.name for arm in arms), *(arm.name for arm in imported)]
    own += [ensemble] if ensemble else []
    own += [reader.name for reader in readers]
    own += [mean] if mean else []
    if equal := [name for name, n in Counter(own).items() if n > 1]:
        raise UsageError(
            f"two arms are called '{equal[0]}': name the predictions with --predictions NAME=PATH"
        )
    given = _match(names, own, {reader.own_name: reader.name for reader in readers})
    final = [given.get(name, name) for name in own]
    if equal := [name for name, n in Counter(final).items() if n > 1]:
        first, second = [name for name in own if given.get(name, name) == equal[0]][:2]
        raise UsageError(
            f"the arms '{first}' and '{second}' would both be called '{equal[0]}': give each a "
            f"name of its own"
        )
    return (
        [dataclasses.replace(arm, name=given.get(arm.name, arm.name)) for arm in arms],
        [dataclasses.replace(arm, name=given.get(arm.name, arm.name)) for arm in imported],
        given.get(ensemble, ensemble) if ensemble else None,
        [dataclasses.replace(one, name=given.get(one.name, one.name)) for one in readers],
        given.get(mean, mean) if mean else None,
    )


def _match(
    names: Mapping[str, str] | None, own: Sequence[str], aliases: Mapping[str, str]
) -> dict[str, str]:
    """Return the new names by the arms' own names."""
    if names is None:
        return {}
    if not isinstance(names, Mapping):
        raise UsageError(
            f"names must map the names of arms to new ones, such as {{{own[0]!r}: 'Baseline'}}, "
            f"not {shorten(names)}"
        )
    given: dict[str, str] = {}
    texts = [name for name in names if isinstance(name, str)]
    of_table = match_names(texts, aliases)
    found = {name: aliases[alias] for name, alias in of_table.items()} | match_names(texts, own)
    for name, new in names.items():
        if name not in found:
            raise unknown_name("arm", name if isinstance(name, str) else shorten(name), own)
        if found[name] in given:
            raise UsageError(f"the arm '{found[name]}' is named twice: name it once")
        text = validate(ArmName, new, f"the new name of the arm '{found[name]}'")
        given[found[name]] = " ".join(text.split())
    return given
