"""Licences of weights: which of them allow commercial use, and a policy that refuses the others."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Literal

from bottleneck.backbones.weights import folder
from bottleneck.errors import LicenceError, WeightsError
from bottleneck.settings.schema import validate

__all__ = ["LicencePolicy", "Verdict", "judge_licence", "recorded_licence", "require_licence"]

LicencePolicy = Literal["any", "commercial"]
Verdict = Literal["commercial", "non-commercial", "unknown", "not stated"]

_NOT_STATED = ("", "none", "unknown", "other", "not stated", "noassertion")
# Words in the names of licences that allow no commercial use. timm, transformers and SPDX write
# them with hyphens.
_FORBIDDING = (
    "non-?commercial",
    r"\bnc\b",
    r"research-only",
    r"only-for-research",
    r"academic",
    # Apple Machine Learning Research Model: for research purposes alone.
    r"\bapple-amlr\b",
    # Model licence of SEER, of the same terms as the non-commercial licence of FAIR.
    r"\bseer-license\b",
)
# Identifiers of SPDX and of the hub. The last two lines are licences of their own publishers, which
# allow commercial use on conditions.
_ALLOWING = re.compile(
    r"apache-[12]\.[01]|mit(-0)?|bsd(-[0-4]-clause.*)?|isc|zlib|unlicense|0bsd|wtfpl|bsl-1\.0"
    r"|cc0-1\.0|cc-by(-sa|-nd)?-[1-4]\.0|pddl(-1\.0)?|odc-by(-1\.0)?|odbl(-1\.0)?|cdla-.*"
    r"|[al]?gpl(-[23](\.[01])?(-only|-or-later|\+)?)?|mpl-[12]\.[01]|epl-[12]\.0|eupl-1\.[12]"
    r"|ms-pl|afl-3\.0|artistic-2\.0|openrail(\+\+)?|bigscience-openrail-m|bigcode-openrail-m"
    r"|apple-ascl|dinov3-license|nvidia-open-model-license|gemma"
)


def judge_licence(licence: str | None) -> Verdict:
    """Return whether a licence allows commercial use.

    Parameters
    ----------
    licence : str or None
        An identifier of SPDX or of the hub, as timm and publishers state it; what is in brackets
        after it is not read.

    Returns
    -------
    {"commercial", "non-commercial", "unknown", "not stated"}
        "unknown" is a licence that this version does not know.

    Examples
    --------
    >>> [judge_licence(name) for name in ("apache-2.0", "CC-BY-NC-4.0", "mit (BMEII-AI)", None)]
    ['commercial', 'non-commercial', 'commercial', 'not stated']
    """
    text = re.sub(r"\(.*\)", "", licence or "").strip().casefold()
    if text in _NOT_STATED:
        return "not stated"
    name = re.sub(r"[\s_]+", "-", text)
    if any(re.search(word, name) for word in _FORBIDDING):
        return "non-commercial"
    return "commercial" if _ALLOWING.fullmatch(name) else "unknown"


def recorded_licence(record: Mapping[str, Any]) -> str | None:
    """Return the licence of recorded weights.

    Where the record states none, it is that of the same file in the weights folder, which
    `bottleneck weights import --licence` may have stated since.

    Parameters
    ----------
    record : mapping
        The entry "weights" of a provenance or of a model.
    """
    if record.get("licence"):
        return str(record["licence"])
    if not record.get("sha256"):
        return None
    # A damaged record of other weights is reported where these are used.
    with contextlib.suppress(WeightsError):
        for stored in folder.read_records(folder.folder_path()).values():
            if stored.sha256 == record["sha256"] and stored.licence:
                return stored.licence
    return None


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
            f"{weights} have the licence '{licence}', which this version does not know, so that "
            f"{policy_words} does not accept it. Read the licence. If it allows your use, leave "
            "--licence-policy out (in Python: licence_policy)"
        )
    raise LicenceError(
        f"{weights} have the licence '{licence}', which does not allow commercial use, and "
        f"{policy_words} does not accept it. Choose other weights: `bottleneck weights list` "
        "names the licences"
    )
