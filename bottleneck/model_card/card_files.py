"""Model cards, written to a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck import __version__
from bottleneck.backbones.licences import LicencePolicy, require_licence
from bottleneck.deploy.model_loading import load_given
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.models.results_file import read_results
from bottleneck.errors import UsageError, describe_os_error
from bottleneck.files.paths import as_path
from bottleneck.files.writing import make_folder, write_whole
from bottleneck.model_card.card_text import card_text
from bottleneck.model_card.sources.card_record import CARD_FORMAT, CardRecord
from bottleneck.model_card.sources.export_facts import read_exports
from bottleneck.model_card.sources.model_facts import describe_for_card
from bottleneck.settings.schema import validate
from bottleneck.text.plain_text import without_paths

if TYPE_CHECKING:
    from bottleneck.deploy.trained.trained_model import TrainedModel

__all__ = ["read_model_facts", "write_card"]


def write_card(
    model: Model | TrainedModel | str | Path,
    report: str | Path,
    path: str | Path | None = None,
    *,
    exports: Iterable[str | Path] = (),
    name: str | None = None,
    authors: Sequence[str] = (),
    licence: str | None = None,
    trust: str | Iterable[str] = (),
    licence_policy: LicencePolicy = "any",
    overwrite: bool = False,
) -> Path:
    """Write the card of a model: what it is for, how it was tested, and every figure of that.

    The card is Markdown with the metadata of the Hugging Face hub. Each number in it is followed by
    a comment that names its field in ``results.json``. It names no sample and no patient.

    Parameters
    ----------
    model : Model, TrainedModel or path
        A model of ``fit`` that names the comparison that evaluated it, or a folder of
        ``finetune``.
    report : str or Path
        The folder of the report of that comparison, or its ``results.json``.
    path : str or Path, optional
        File of the card; by default beside the model, with its name and the ending ``.md``. A
        model in memory has no such place.
    exports : iterable of path
        Folders of ``export_model``: the card quotes how their probabilities compare with those of
        the model.
    name : str, optional
        Heading of the card; by default the arm and the data set.
    authors : sequence of str
        Names for the citation.
    licence : str, optional
        Licence of the card and of the classifier, such as "CC-BY-4.0". That of the network's
        weights is known from the model.
    trust : str or iterable of str
        Types in the model's file that are trusted, as for ``load_model``.
    licence_policy : {"any", "commercial"}
        "commercial" refuses a model with weights whose licence does not allow commercial use, or
        is not stated.
    overwrite : bool
        Whether a file of that name is replaced.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    UsageError
        If no comparison evaluated the model, or another one than that of the report; if the report
        has no results; if an export is of another model, or its files have changed; if the file
        exists or cannot be written; or if no file is named for the card of a model in memory.
    ModelError
        If the model cannot be read.
    LicenceError
        If the policy refuses the licence of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, compare, fit, write_card, write_report
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> features = FeatureSet.from_arrays(X, y)
    >>> page = write_report(compare(features, heads=("logistic",)), "report")
    >>> model = fit(features, "logistic", comparison="report")
    >>> write_card(model, "report", "card.md").name
    'card.md'
    """
    path = _beside(model) if path is None else as_path(path, "a card", "README.md")
    validate(bool, overwrite, "overwrite")
    if not overwrite and os.path.lexists(path):
        raise UsageError(
            f"{path} exists: replace it with --overwrite (in Python: overwrite=True), or name "
            "another file with --output"
        )
    results = read_results(as_path(report, "a report", "report"))
    facts = read_model_facts(model, trust=trust)
    weights = facts["weights"]
    # A classifier of one's own features has none.
    require_licence(weights if weights["name"] else {}, licence_policy)
    title = _title(facts) if name is None else validate(str, name, "the name of a card")
    names = tuple(authors) if isinstance(authors, list) else authors
    record = CardRecord(
        format=CARD_FORMAT,
        bottleneck=__version__,
        results_sha256=results.sha256,
        title=title,
        authors=validate(tuple[str, ...], names, "the authors of a card"),
        licence=licence,
        model=facts,
        exports=read_exports(exports, facts),
    )
    text = card_text(record, results.content, results.path)
    make_folder(path.parent)
    try:
        write_whole(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {describe_os_error(error)}") from None
    return path


def read_model_facts(
    model: Model | TrainedModel | str | Path, *, trust: str | Iterable[str] = ()
) -> dict[str, Any]:
    """Return what a card quotes of a model, which may be its file or folder.

    Parameters
    ----------
    model, trust
        As for ``write_card``.
    """
    loaded = load_given(model, trust=trust)
    if isinstance(model, str | Path):
        return describe_for_card(loaded, Path(model))
    return describe_for_card(loaded, None if isinstance(loaded, Model) else loaded.path)


def _beside(model: Model | TrainedModel | str | Path) -> Path:
    """Return the file of the card of a model for which none is named."""
    if isinstance(model, Model):
        raise UsageError("name a file for the card, such as README.md: the model is in memory")
    file = as_path(model, "a model", "svm.skops") if isinstance(model, str | Path) else model.path
    return file.with_name(f"{file.name.removesuffix('.skops')}.md")


def _title(facts: Mapping[str, Any]) -> str:
    if comparison := facts.get("comparison"):
        return without_paths(f"{comparison['arm']}, trained on {comparison['dataset']}")
    return str(facts["name"])
