"""Heat maps of cases, where an image gives the decision that it is shown for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.recipe import AnyPreprocessing, Precision
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError
from bottleneck.explain.explanation import ExplainedCase
from bottleneck.explain.maps.decision import Explained
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.maps.map_methods import MethodName, choose_map_method, make_maps
from bottleneck.explain.shown_cases.case_images import CaseImages, thumbnail
from bottleneck.processes.progress_bar import Progress
from bottleneck.text.plurals import counted

__all__ = [
    "Agreement",
    "MapChoice",
    "add_maps",
    "add_pixels",
    "possible_maps",
    "same_features",
]

#: How heat maps are made; "none" for no maps.
MapChoice: TypeAlias = Literal[MethodName, "none"]
#: Says which images give the decision that is recorded: takes what decides, their pixels, and the
#: numbers of their cases.
Agreement: TypeAlias = Callable[[Any, NDArray[Any], list[int]], NDArray[np.bool_]]

# Features of an image may differ from the recorded row by this share of their norm. Those of two
# images differ by more than 1e-1. In bf16, those of one image differ from fp32 by less than 1e-2
# (ResNet) to 2e-1 (EfficientNet-Lite), so that the two are compared in the recorded precision.
_SAME = 3e-2


def possible_maps(maps: MapChoice, preprocessing: AnyPreprocessing, words: list[str]) -> MapChoice:
    """Return the choice of maps; for volumes, which have none, "none" and a sentence in ``words``.

    Raises
    ------
    UsageError
        If a method was chosen, and the network takes volumes.
    """
    if maps == "none" or not isinstance(preprocessing, VolumePreprocessing):
        return maps
    if maps != "auto":
        raise UsageError(
            "heat maps are drawn on images, but this network takes volumes: leave --maps out (in "
            "Python: maps=)"
        )
    words.append(
        "There are no heat maps: they are drawn on images, but this network takes volumes."
    )
    return "none"


def add_pixels(case: ExplainedCase, images: CaseImages) -> ExplainedCase:
    """Return a case with its image, and those of its nearest training images."""
    nearest = [images.shown(one.id) for one in case.nearest]
    return dataclasses.replace(
        case,
        pixels=images.shown(case.id),
        nearest_pixels=tuple(None if one is None else thumbnail(one) for one in nearest),
    )


def add_maps(
    cases: Sequence[ExplainedCase],
    explained: Sequence[Explained],
    images: CaseImages,
    agrees: Agreement,
    method: MethodName,
    progress: Progress | None = None,
) -> tuple[list[ExplainedCase], list[str]]:
    """Return the cases with heat maps towards the predicted class, and words on the maps.

    Parameters
    ----------
    cases : sequence of ExplainedCase
        The cases.
    explained : sequence of Explained
        What decided each case; cases of one fold share it.
    images : CaseImages
        The images of the cases.
    agrees : callable
        See ``Agreement``. Other images get no map.
    method : str
        As for ``make_maps``.
    progress : callable or None
        As for ``make_maps``.

    Raises
    ------
    UsageError
        If the method does not fit what decided.
    """
    made = list(cases)
    other, words = 0, list[str]()
    together: dict[int, list[int]] = {}
    for n, (case, one) in enumerate(zip(cases, explained, strict=True)):
        if case.id in images.pixels:
            together.setdefault(id(one), []).append(n)
    for numbers in together.values():
        one = explained[numbers[0]]
        pixels = np.stack([images.pixels[cases[n].id] for n in numbers])
        same = agrees(one, pixels, numbers)
        other += int((~same).sum())
        kept = [n for n, agreed in zip(numbers, same.tolist(), strict=True) if agreed]
        if not kept:
            continue
        words.append(choose_map_method(one, method).words)
        towards = [cases[n].predicted for n in kept]
        maps = make_maps(one, pixels[same], towards, method, progress=progress)
        for n, heat_map in zip(kept, maps, strict=True):
            made[n] = dataclasses.replace(made[n], heat_map=heat_map)
    words = list(dict.fromkeys(words))
    if other:
        words.append(
            f"{counted(other, 'image')} of {len(cases)} gave a different decision here from the "
            "one to be explained, so they have no map: are these the images that were predicted?"
        )
    return made, words


def same_features(
    cases: Sequence[ExplainedCase],
    rows: Mapping[str, NDArray[Any]],
    precision: Precision = "fp32",
) -> Agreement:
    """Return the agreement of images with the features that a head predicted from.

    Parameters
    ----------
    cases : sequence of ExplainedCase
        The cases.
    rows : mapping of str to ndarray of float, shape (n_features,)
        The features, by id.
    precision : {"fp32", "bf16", "fp16"}
        The precision that they were computed in.
    """

    def agrees(head: ExplainedHead, pixels: NDArray[Any], numbers: list[int]) -> NDArray[np.bool_]:
        recorded = np.stack([rows[cases[n].id] for n in numbers]).astype(np.float64)
        apart = np.linalg.norm(head.features(pixels, precision) - recorded, axis=1)
        same: NDArray[np.bool_] = apart <= _SAME * np.linalg.norm(recorded, axis=1)
        return same

    return agrees
