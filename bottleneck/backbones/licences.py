"""Licences of weights: which of them allow commercial use, and a policy that refuses the others."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

from bottleneck.backbones.weights import folder
from bottleneck.errors import LicenceError, WeightsError
from bottleneck.settings.schema import validate

__all__ = [
    "LicencePolicy",
    "Verdict",
    "describe_weights",
    "judge_licence",
    "licence_text",
    "recorded_licence",
    "require_licence",
    "weights_record",
]

LicencePolicy = Literal["any", "commercial"]
Verdict = Literal["commercial", "non-commercial", "unknown", "not stated"]

_NOT_STATED = ("", "none", "unknown", "other", "not-stated", "noassertion")
# Words in the names of licences that allow no commercial use. timm, transformers and SPDX write
# them with hyphens.
_FORBIDDING = (
    "non-?commercial",
    "(no|not)-(for-)?commercial",
    r"\bnc\b",
    "research-(use-)?only",
    "only-(for|in)-research",
    r"\b(h|intel)-research\b",
    "academic",
    # Apple Machine Learning Research Model: for research purposes alone.
    r"\bapple-amlr\b",
    # Model licence of SEER, of the same terms as the non-commercial licence of FAIR.
    r"\bseer\b",
)
# Identifiers of SPDX and of the hub, without "license". The last two lines are licences of their
# own publishers, which allow commercial use on conditions.
_ALLOWING = re.compile(
    r"apache(-?[12](\.[01])?)?|mit(-0)?|isc|zlib|unlicense|0bsd|wtfpl|bsl-1\.0|ncsa|postgresql"
    r"|bsd(-[0-4]-clause(-(clear|patent|lbnl|attribution|views|uc|modification))?)?"
    r"|cc0(-1\.0)?|cc-by(-sa|-nd)?(-[1-4]\.0)?|pddl(-1\.0)?|odc-by(-1\.0)?|odbl(-1\.0)?"
    r"|cdla-(permissive|sharing)-[12]\.0"
    r"|[al]?gpl(-[23](\.[01])?(-only|-or-later|\+)?)?|mpl-[12]\.[01]|epl-[12]\.0|eupl-1\.[12]"
    r"|ms-pl|afl-3\.0|ecl-2\.0|osl-3\.0|artistic-2\.0"
    r"|openrail(\+\+)?|bigscience-openrail-m|bigcode-openrail-m|creativeml-openrail-m"
    r"|apple-ascl|dinov3|nvidia-open-model|gemma"
)
# Words that are not part of an identifier: "The MIT License", "Apache License, Version 2.0".
_LOOSE = re.compile(r"\b(the|licen[cs]e|version)\b|,-")
# A publisher after the name of its licence, as in "mit (BMEII-AI/RadImageNet)".
_PUBLISHER = re.compile(r"-\([\w.-]+/[\w.-]+\)$")


def judge_licence(licence: str | None) -> Verdict:
    """Return whether a licence allows commercial use.

    Parameters
    ----------
    licence : str or None
        An identifier of SPDX or of the hub, as timm and publishers state it, or several of them
        with "and" or "or" between them, of which each must allow it. A publisher in brackets after
        it, as owner/name, is not read.

    Returns
    -------
    {"commercial", "non-commercial", "unknown", "not stated"}
        "unknown" is a licence that this version does not know.

    Examples
    --------
    >>> [judge_licence(name) for name in ("apache-2.0", "CC-BY-NC-4.0", "MIT and ask us", None)]
    ['commercial', 'non-commercial', 'unknown', 'not stated']
    """
    # A record that others wrote may hold anything.
    text = unicodedata.normalize("NFKC", str("" if licence is None else licence))
    name = re.sub(r"[\s_\u2010-\u2015]+", "-", text.strip()).casefold()
    if name in _NOT_STATED:
        return "not stated"
    if any(re.search(word, name) for word in _FORBIDDING):
        return "non-commercial"
    stated = re.split("-(?:and|or)-(?!later)", _PUBLISHER.sub("", name))
    known = all(_ALLOWING.fullmatch(_without_loose_words(one)) for one in stated)
    return "commercial" if known else "unknown"


def _without_loose_words(name: str) -> str:
    return re.sub("-+", "-", _LOOSE.sub("-", name)).strip("-")


def weights_record(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of the weights that features were made with, with the licence known now.

    Where a provenance of others has none, its recipe names them. It is empty for columns of an
    array, which were made without weights that are known.

    Parameters
    ----------
    provenance : mapping
        The provenance of features.
    """
    recipe = provenance.get("recipe") or {}
    record = dict(provenance.get("weights") or {})
    if not record and "columns" not in recipe:
        record = {"name": recipe.get("weights"), "licence": recipe.get("licence")}
    return record and {**record, "licence": recorded_licence(record)}


def recorded_licence(record: Mapping[str, Any]) -> str | None:
    """Return the licence of recorded weights.

    Where the record states none, it is that of the same file in the weights folder, which
    `bottleneck weights import --licence` may have stated since.

    Parameters
    ----------
    record : mapping
        The entry "weights" of a provenance or of a model.
    """
    stated = record.get("licence")
    if judge_licence(stated) == "not stated" and record.get("sha256"):
        # A damaged record of other weights is reported where these are used.
        with contextlib.suppress(WeightsError):
            for stored in folder.read_records(folder.folder_path()).values():
                if stored.sha256 == record["sha256"] and stored.licence:
                    return stored.licence
    return str(stated) if stated else None


def licence_text(licence: str | None) -> str:
    """Return a licence in words; None where nobody stated it.

    Examples
    --------
    >>> licence_text("mit"), licence_text(None)
    ('licence mit', 'licence not stated')
    """
    return f"licence {licence or 'not stated'}"


def describe_weights(record: Mapping[str, Any]) -> str:
    """Return the name, the source and the licence of recorded weights.

    Parameters
    ----------
    record : mapping
        The entry "weights" of a provenance or of a model, which names them.

    Examples
    --------
    >>> describe_weights({"name": "imagenet", "source": "timm/resnet18.tv_in1k", "licence": "mit"})
    'imagenet from timm/resnet18.tv_in1k, licence mit'
    """
    source = f" from {record['source']}" if record.get("source") else ""
    return f"{record.get('name')}{source}, {licence_text(recorded_licence(record))}"


def require_licence(record: Mapping[str, Any], policy: LicencePolicy | str) -> None:
    """Raise an error if a policy refuses the licence of recorded weights.

    Random weights have no licence, and columns of an array have no weights: both are accepted.

    Parameters
    ----------
    record : mapping
        The entry "weights" of a provenance or of a model, or ``Weights.to_dict``.
    policy : {"any", "commercial"}
        "commercial" accepts only licences that allow commercial use.

    Raises
    ------
    LicenceError
        If the policy refuses the licence, or none is stated.
    UsageError
        If there is no such policy.

    Examples
    --------
    >>> require_licence({"name": "imagenet", "licence": "cc-by-nc-4.0"}, "any")
    >>> require_licence({"name": "imagenet", "licence": "mit"}, "commercial")
    """
    validate(LicencePolicy, policy, "the licence policy")
    if policy == "any" or not record or record.get("name") in ("random", "none"):
        return
    licence = recorded_licence(record)
    verdict = judge_licence(licence)
    if verdict == "commercial":
        return
    source = record.get("source")
    weights = f"the weights '{record.get('name')}'" + (f" (from {source})" if source else "")
    policy_words = "the licence policy 'commercial'"
    if verdict == "not stated":
        raise LicenceError(
            f"no licence is stated for {weights}, and {policy_words} accepts only licences that "
            "allow commercial use. If you know the licence, state it once, and repeat the command:",
            "  bottleneck weights import FILE --backbone NAME --as NAME --licence apache-2.0",
        )
    if verdict == "unknown":
        raise LicenceError(
            f"{weights} have the licence '{licence}', which this version does not know, so "
            f"{policy_words} does not accept it. Read the licence. If it allows your use, leave "
            "--licence-policy out (in Python: licence_policy)"
        )
    raise LicenceError(
        f"{weights} have the licence '{licence}', which does not allow commercial use, and "
        f"{policy_words} does not accept it. Choose other weights: `bottleneck weights list` "
        "names the licences"
    )
