"""The checks of the heat maps of an arm, over images of all its test folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.backbones.inputs.network_inputs import require_image_preprocessing
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.regions.input_masks import input_masks
from bottleneck.data.regions.known_regions import RegionSource, known_regions
from bottleneck.explain.checks.arm_checks import ArmChecks
from bottleneck.explain.checks.map_checks import MapChecks
from bottleneck.explain.checks.mean_maps import MeanMaps, mean_maps
from bottleneck.explain.checks.randomisation import TrainingRows, check_maps
from bottleneck.explain.checks.region_shares import RegionShares, region_shares
from bottleneck.explain.maps.decision import Explained
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.explain.maps.map_methods import MethodName, choose_map_method, make_maps
from bottleneck.explain.shown_cases.case_images import CaseImages
from bottleneck.processes.progress_bar import Progress

__all__ = ["MOST_CHECKED", "CheckedImage", "check_arm", "check_if_asked", "choose_checked"]

#: Number of images that maps are checked on: an effective number of 10 patients is needed.
MOST_CHECKED = 40
_UNKNOWN = "label not known"
_WITHOUT = "Without that check, they are not evidence of what the model uses."
_NOT_ASKED = f"It was not checked whether the maps depend on the model. {_WITHOUT}"
_SLOW = (
    "It was not checked whether the maps depend on the model, because occlusion takes many passes "
    "through the network for each map: --checks (in Python: checks=True) checks it. {_WITHOUT}"
)
_NOT_READ = (
    "It was not checked whether the maps depend on the model, because none of the images for it "
    "could be read. {_WITHOUT}"
)


@dataclasses.dataclass(frozen=True, eq=False)
class CheckedImage:
    """An image whose map is checked.

    Attributes
    ----------
    id, label, patient : str
        Sample, its label and its patient; "" where one is not known.
    towards : str
        The class that its map is towards: the positive class, or, where there is none, the true
        one, or the predicted one.
    explained : Explained
        What decides on it, such as the head of its test fold.
    training : TrainingRows or None
        What that was fitted to, where it is a fitted head.
    """

    id: str
    label: str
    patient: str
    towards: str
    explained: Explained
    training: TrainingRows | None = None


def choose_checked(
    labels: ArrayLike, patients: ArrayLike | None, most: int = MOST_CHECKED, seed: int = 0
) -> NDArray[np.intp]:
    """Return rows at random: the classes take turns, and new patients come first.

    Parameters
    ----------
    labels : array-like of str, shape (n_images,)
        Labels.
    patients : array-like, shape (n_images,), or None
        Patients; without them, every image counts as a patient.
    most : int
        Largest number of rows.
    seed : int
        Seed of the order.

    Examples
    --------
    >>> sorted(choose_checked(["a", "a", "a", "b"], ["p", "p", "q", "r"], most=3).tolist())[1:]
    [2, 3]
    """
    y = np.asarray(labels)
    own = np.arange(len(y)) if patients is None else np.unique(patients, return_inverse=True)[1]
    mixed = np.random.default_rng(seed).permutation(len(y))
    turn = np.zeros(len(y), np.intp)  # How many images of its patient come before.
    taken: dict[int, int] = {}
    for row in mixed.tolist():
        turn[row] = taken[own[row]] = taken.get(own[row], -1) + 1
    place = np.zeros(len(y), np.intp)  # The place among the images of its class.
    order = mixed[np.argsort(turn[mixed], kind="stable")]
    for name in np.unique(y):
        rows = order[y[order] == name]
        place[rows] = np.arange(len(rows))
    return np.sort(order[np.argsort(place[order], kind="stable")][:most])


def check_if_asked(
    images: Sequence[CheckedImage],
    load: Callable[[list[str]], CaseImages],
    *,
    wanted: bool | None,
    method: MethodName,
    dataset: ImageDataset,
    regions: str | Path | None = None,
    progress: Progress | None = None,
) -> tuple[ArmChecks | None, tuple[str, ...]]:
    """Return the checks of the maps of some images, and why there are none.

    Parameters
    ----------
    images : sequence of CheckedImage
        The images.
    load : callable
        Takes the ids of the images, and returns their pixels.
    wanted : bool or None
        Whether maps are checked; None where this is quick, as it is not by occlusion.
    method, dataset, progress
        As for ``check_arm``.
    regions : str or Path, optional
        As for ``known_regions``.
    """
    if wanted is False or not images:
        return None, (_NOT_ASKED,) if images else ()
    if wanted is None and any(
        choose_map_method(one, method).name == "occlusion"
        for one in {id(image.explained): image.explained for image in images}.values()
    ):
        return None, (_SLOW,)
    loaded = load([one.id for one in images])
    known = known_regions(dataset, regions)
    made = check_arm(
        images, loaded, method=method, dataset=dataset, regions=known, progress=progress
    )
    return made, () if made else (_NOT_READ,)


def check_arm(
    images: Sequence[CheckedImage],
    loaded: CaseImages,
    *,
    method: MethodName,
    dataset: ImageDataset | None = None,
    regions: RegionSource | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> ArmChecks | None:
    """Return the checks of the maps of some images; None if none of them can be read.

    Parameters
    ----------
    images : sequence of CheckedImage
        The images, of one or several folds; those that could not be read are left out.
    loaded : CaseImages
        Their pixels.
    method : str
        As for ``make_maps``.
    dataset : ImageDataset or None
        The data set of the images, which the regions need.
    regions : RegionSource or None
        From ``known_regions``.
    seed : int
        Seed of the random weights and labels.
    progress : callable or None
        Called with the number of rounds done, their total, and a text.

    Raises
    ------
    UsageError
        If the method does not serve what decides.
    """
    read = [one for one in images if one.id in loaded.pixels]
    if not read:
        return None
    together: dict[int, list[CheckedImage]] = {}
    for one in read:
        together.setdefault(id(one.explained), []).append(one)
    checks: dict[str, list[MapChecks]] = {}
    maps: list[HeatMap] = []
    ordered: list[CheckedImage] = []
    for number, group in enumerate(together.values()):
        explained = group[0].explained
        pixels = np.stack([loaded.pixels[one.id] for one in group])
        towards = [one.towards for one in group]
        own = choose_map_method(explained, method).name
        made = make_maps(explained, pixels, towards, own)

        def move(done: int, total: int, text: str, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, len(together) * total, text)

        one_check = check_maps(
            explained,
            pixels,
            towards,
            groups=_patients(group),
            method=own,
            maps=made,
            training=group[0].training,
            seed=seed,
            progress=move,
        )
        checks.setdefault(own, []).append(one_check)
        maps += made
        ordered += group
    inside, notes = _inside_regions(ordered, maps, loaded, dataset, regions)
    return ArmChecks(
        checks=tuple(MapChecks.join(one) for one in checks.values()),
        means=_means(ordered, maps),
        regions=inside,
        notes=notes,
    )


def _patients(images: Sequence[CheckedImage]) -> list[str]:
    return [one.patient or one.id for one in images]


def _means(images: Sequence[CheckedImage], maps: Sequence[HeatMap]) -> tuple[MeanMaps, ...]:
    together: dict[tuple[str, str, tuple[int, ...]], list[int]] = {}
    for n, one in enumerate(maps):
        together.setdefault((one.method, one.towards, one.values.shape), []).append(n)
    labels = [one.label or _UNKNOWN for one in images]
    patients = _patients(images)
    return tuple(
        mean_maps([maps[n] for n in rows], [labels[n] for n in rows], [patients[n] for n in rows])
        for rows in together.values()
    )


def _inside_regions(
    images: Sequence[CheckedImage],
    maps: Sequence[HeatMap],
    loaded: CaseImages,
    dataset: ImageDataset | None,
    regions: RegionSource | None,
) -> tuple[RegionShares | None, tuple[str, ...]]:
    if regions is None or dataset is None:
        return None, ()
    wanted = {one.id for one in images}
    samples = {one.id: one for one in dataset.samples if one.id in wanted}
    own = [samples[one.id] for one in images]
    stated = require_image_preprocessing(loaded.preprocessing, "the check of maps by regions")
    masks = input_masks(dataset, own, stated, regions)
    return region_shares(maps, masks.masks, _patients(images)), masks.notes
