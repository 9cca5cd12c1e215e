"""The page of an explanation, and the files with the same content."""

from __future__ import annotations

import dataclasses
import functools
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck import __version__
from bottleneck.errors import UsageError
from bottleneck.evaluation.cases.wrong_cases import ImageName, NearestImage
from bottleneck.explain.checks.arm_checks import ArmChecks
from bottleneck.explain.explanation import REASONS, ExplainedArm, ExplainedCase, Explanation
from bottleneck.explain.maps.overlay import colour_bar, common_limit, overlay
from bottleneck.files.paths import as_path
from bottleneck.report.gallery.embedded_images import data_url, describe_name
from bottleneck.report.gallery.error_gallery import NearView
from bottleneck.report.redaction import plain
from bottleneck.report.result_files import refuse_finished, write_files
from bottleneck.report.templating import environment
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.settings.schema import validate
from bottleneck.text.plain_text import json_text, without_paths
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten
from bottleneck.text.table_text import frame_csv

__all__ = ["FINISHED", "explanation_record", "write_explanation"]

# Files by which a folder holds an explanation.
FINISHED = ("explanation.html", "explanation.json")
# Images of an earlier explanation.
_IMAGES = "images"
_IMAGE_NAME = re.compile(r"arm-\d+-case-\d+-(image|map)\.png")
# A map without its image is drawn on this grey.
_GREY, _SIDE = 128, 224


def write_explanation(
    explanation: Explanation,
    folder: str | Path,
    *,
    with_ids: bool = False,
    with_pictures: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write an explanation to a folder.

    The files are ``explanation.html`` (self-contained), ``explanation.csv`` (one row per case),
    ``explanation.json``, ``maps.npz`` with the values of the heat maps (by arm and case, such as
    ``arm-1-case-2``), where there are any, and, with pictures, ``images/`` with each image and
    the map on it. They hold no image, and name no sample and no patient, unless they are asked
    for. Files are written atomically.

    Parameters
    ----------
    explanation : Explanation
        From ``explain_predictions``.
    folder : str or Path
        The folder; created if it does not exist.
    with_ids : bool
        Whether samples and patients are named.
    with_pictures : bool
        Whether images are shown.
    overwrite : bool
        Whether an explanation in the folder is replaced.

    Returns
    -------
    Path
        Path of ``explanation.html``.

    Raises
    ------
    UsageError
        If it is not an explanation, or the folder cannot be created or written, or holds an
        explanation and ``overwrite`` is not set.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, Protocol, compare, explain_predictions
    >>> from bottleneck import write_explanation
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> features = FeatureSet.from_arrays(X, y)
    >>> quick = Protocol(n_splits=2, inner_splits=2)
    >>> comparison = compare(features, heads=("logistic",), protocol=quick)
    >>> page = write_explanation(explain_predictions(comparison, features=features), "why")
    >>> page.name
    'explanation.html'
    """
    if not isinstance(explanation, Explanation):
        raise UsageError(
            "an explanation is what explain_predictions returns, not "
            f"{shorten(explanation)}; the report of a comparison is written by write_report"
        )
    validate(bool, with_ids, "with_ids")
    validate(bool, with_pictures, "with_pictures")
    validate(bool, overwrite, "overwrite")
    folder = as_path(folder, "an explanation", "explanation")
    refuse_finished(folder, FINISHED, overwrite=overwrite)
    frame = explanation.to_frame
    files: dict[str, Callable[[], str | bytes]] = {
        "explanation.json": lambda: json_text(explanation_record(explanation)) + "\n",
        "explanation.csv": lambda: frame_csv(frame(with_ids=with_ids)),
    }
    if any(arm.heat_maps for arm in explanation.arms):
        files["maps.npz"] = lambda: _maps(explanation)
    files["explanation.html"] = lambda: render(
        explanation, with_ids=with_ids, with_pictures=with_pictures
    )
    if with_pictures:
        files |= _image_files(explanation)
    absent = [name for name in ("maps.npz", *_earlier_images(folder)) if name not in files]
    write_files(folder, files, absent=absent)
    return folder / "explanation.html"


def explanation_record(explanation: Explanation) -> JsonRecord:
    """Return an explanation in types of strict JSON, without ids, patients, images and paths."""
    record = {
        "bottleneck": __version__,
        "of": explanation.of,
        "title": explanation.title,
        "classes": explanation.classes,
        "positive": explanation.positive,
        "unit": explanation.unit,
        "warnings": explanation.warnings,
        "ignored": explanation.ignored,
        "arms": [
            {
                "name": arm.name,
                "n_wrong": arm.n_wrong,
                "n_labelled": arm.n_labelled,
                "n_images": arm.n_images,
                "words": arm.words,
                "limit": arm.limit if arm.heat_maps else None,
                "checks": None if arm.checks is None else _checks_record(arm.checks),
                "cases": [_case_record(case) for case in arm.cases],
            }
            for arm in explanation.arms
        ],
    }
    return JsonRecord("explain", plain(record, without_paths))


def _checks_record(checks: ArmChecks) -> dict[str, Any]:
    regions = checks.regions
    return {
        "verdict": checks.verdict,
        "words": checks.words,
        "similarity": [
            {"map": one.method, **row}
            for one in checks.checks
            for row in one.to_frame().to_dict("records")
        ],
        "regions": None if regions is None else regions.to_frame().to_dict("records"),
    }


def _case_record(case: ExplainedCase) -> dict[str, Any]:
    hidden = ("id", "patient", "pixels", "nearest", "nearest_pixels", "heat_map")
    names = [field.name for field in dataclasses.fields(case) if field.name not in hidden]
    heat_map = case.heat_map
    return {
        **{name: getattr(case, name) for name in names},
        "nearest": [{"label": one.label, "distance": one.distance} for one in case.nearest],
        "map": None
        if heat_map is None
        else {
            "method": heat_map.method,
            "towards": heat_map.towards,
            "decision": heat_map.decision,
            "intercept": heat_map.intercept,
            "shape": heat_map.values.shape,
        },
    }


def render(explanation: Explanation, *, with_ids: bool, with_pictures: bool) -> str:
    """Return the HTML of ``explanation.html``, as ``write_explanation`` writes it."""
    return (
        environment()
        .get_template("pages/explanation.html.jinja")
        .render(
            explanation=explanation,
            version=__version__,
            reasons=REASONS,
            with_ids=with_ids,
            with_pictures=with_pictures,
            view=lambda case, arm: _view(case, arm, with_ids=with_ids, with_pictures=with_pictures),
            scale=_scale,
            mean_views=_mean_views,
            has_maps=any(arm.heat_maps for arm in explanation.arms),
        )
    )


@dataclasses.dataclass(frozen=True)
class _CaseView:
    """The images of a case as ``data:`` URLs, and its name; "" for what is not shown."""

    image: str
    heat_map: str
    name: str
    nearest: list[NearView]


def _view(
    case: ExplainedCase, arm: ExplainedArm, *, with_ids: bool, with_pictures: bool
) -> _CaseView:
    overlaid = _overlaid(case, arm.limit, with_pictures=with_pictures)
    near = case.nearest_pixels or (None,) * len(case.nearest)

    def name(one: ExplainedCase | NearestImage) -> str:
        return describe_name(ImageName(one.id, one.patient)) if with_ids else ""

    def url(pixels: NDArray[np.uint8] | None) -> str:
        return data_url(pixels) if with_pictures and pixels is not None else ""

    return _CaseView(
        image=url(case.pixels),
        heat_map="" if overlaid is None else data_url(overlaid),
        name=name(case),
        nearest=[
            NearView(one.label, one.distance, url(pixels), name(one))
            for one, pixels in zip(case.nearest, near, strict=True)
        ],
    )


def _overlaid(
    case: ExplainedCase, limit: float, *, with_pictures: bool
) -> NDArray[np.uint8] | None:
    """Return the map of a case on its image or, where images are not shown, on grey."""
    if case.heat_map is None:
        return None
    pixels = case.pixels if with_pictures else None
    if pixels is None:
        pixels = np.full((_SIDE, _SIDE, 3), _GREY, np.uint8)
    return overlay(pixels, case.heat_map, limit)


def _mean_views(checks: ArmChecks) -> list[tuple[str, str]]:
    """Return the mean maps, drawn on grey, each with a caption."""
    views = []
    for one in checks.means:
        limit = common_limit([one.overall, *one.classes.values()])
        for label, heat_map in one.classes.items():
            drawn = overlay(np.full((_SIDE, _SIDE, 3), _GREY, np.uint8), heat_map, limit)
            images, patients = one.counts[label]
            caption = f"{label}: {counted(images, 'image')} of {counted(patients, 'patient')}"
            views.append((data_url(drawn), f"{caption}, maps towards {heat_map.towards}"))
    return views


def _scale(arm: ExplainedArm) -> str:
    """Return the bar of the colours of an arm's maps, from the least to the largest value."""
    return data_url(colour_bar(arm.limit))


def _image_files(explanation: Explanation) -> dict[str, Callable[[], bytes]]:
    files: dict[str, Callable[[], bytes]] = {}
    for n, arm in enumerate(explanation.arms, 1):
        for case in arm.cases:
            stem = f"{_IMAGES}/{_key(n, case.number)}"
            if case.pixels is not None:
                files[f"{stem}-image.png"] = functools.partial(_png, case.pixels)
            if case.heat_map is not None:
                files[f"{stem}-map.png"] = functools.partial(_drawn, case, arm.limit)
    return files


def _drawn(case: ExplainedCase, limit: float) -> bytes:
    drawn = _overlaid(case, limit, with_pictures=True)
    assert drawn is not None
    return _png(drawn)


def _earlier_images(folder: Path) -> list[str]:
    try:
        names = [path.name for path in (folder / _IMAGES).iterdir()]
    except OSError:  # There is no such folder.
        return []
    return [f"{_IMAGES}/{name}" for name in sorted(names) if _IMAGE_NAME.fullmatch(name)]


def _maps(explanation: Explanation) -> bytes:
    """Return the values of all maps as an archive of NumPy."""
    out = io.BytesIO()
    arrays = {
        _key(n, case.number): case.heat_map.values
        for n, arm in enumerate(explanation.arms, 1)
        for case in arm.cases
        if case.heat_map is not None
    }
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type] # Of one type each.
    return out.getvalue()


def _key(arm: int, case: int) -> str:
    return f"arm-{arm}-case-{case}"


def _png(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()
