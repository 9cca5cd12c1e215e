"""Heat maps of the trained networks of a study: which test images they get wrong, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bottleneck.backbones.recipe import slug
from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import BottleneckError
from bottleneck.studies.study import MapMethod

if TYPE_CHECKING:
    from bottleneck.finetune.trained_arm import Trained

__all__ = ["explain_trained"]

Progress = Callable[[int, int, str], None]


def explain_trained(
    trained: Mapping[str, Sequence[Trained]],
    data: ImageDataset,
    folder: Path,
    method: MapMethod,
    *,
    with_ids: bool = False,
    with_pictures: bool = False,
    progress: Progress | None = None,
) -> tuple[dict[str, Path], str]:
    """Write an explanation of the networks of every trained arm, those of the first seed.

    Parameters
    ----------
    trained : mapping of str to sequence of Trained
        The trained arms, one per seed. Networks on features have no maps and are left out.
    data : ImageDataset
        The images that they were trained and tested on.
    folder : Path
        Folder of the explanations; each arm has one of its own.
    method : {"auto", "exact", "grad-cam", "occlusion", "none"}
        How heat maps are made.
    with_ids, with_pictures : bool
        Whether an explanation names samples and patients, and shows images.
    progress : callable or None
        As for ``explain_predictions``.

    Returns
    -------
    pages : dict of str to Path
        The page of each arm.
    problem : str
        What could not be made, which must not end a study; empty if nothing.
    """
    from bottleneck.deploy.trained.trained_model import TrainedModel
    from bottleneck.explain.explained_predictions import explain_predictions
    from bottleneck.report.explanation_page import write_explanation

    pages: dict[str, Path] = {}
    problems = []
    for name, runs in trained.items():
        if runs[0].record["network"].get("head") == "new_fc":
            continue

        def move(done: int, total: int, text: str, name: str = name) -> None:
            if progress is not None:
                progress(done, total, f"{name}: {text}")

        try:
            made = explain_predictions(
                TrainedModel(runs[0].path), data=data, maps=method, progress=move
            )
            pages[name] = write_explanation(
                made,
                folder / slug(name),
                with_ids=with_ids,
                with_pictures=with_pictures,
                overwrite=True,
            )
        except BottleneckError as error:
            problems.append(f"The maps of '{name}' could not be made: {error}.")
    return pages, " ".join(problems)
