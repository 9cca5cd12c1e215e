"""Options of an extraction, checked, and what "auto" becomes in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import DECODINGS, PRECISIONS, Decoding, Precision, Recipe
from bottleneck.errors import UsageError, unknown_name
from bottleneck.features.compute.compile import COMPILING, Compiling, pays_off
from bottleneck.features.compute.engine import BatchPlan, Engine
from bottleneck.features.devices import default_batch_size
from bottleneck.features.file.store import log_path

__all__ = ["ExtractionOptions", "choose_plan", "choose_recipe", "explain_decoding"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractionOptions:
    """Options that ``extract``, ``extract_layers`` and ``extract_all`` share.

    Attributes
    ----------
    weights, pooling, preprocessing : str
        As ``load_backbone`` takes them; for backbones given by name.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Arithmetic of the network. "auto" keeps the precision of a run that is continued; a new
        run takes bf16 where the hardware computes in it, else fp32.
    decoding : {"auto", "reference", "fast"}
        Who resizes: Pillow ("reference"), or torchvision ("fast"), which takes a fifth to a
        third of the time and differs by one level in a few pixels of a thousand. "auto" keeps
        the decoding of a run that is continued; a new run takes the reference in fp32, which
        allows no other, and fast in reduced precision.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    batch_size : int or "auto"
        Images per batch. A feature file keeps the batch size of its first run.
    workers : int or "auto"
        Threads that read and decode; by default one per core, 24 at most. With Ray, those of one
        actor.
    compile : {"auto", "always", "never"}
        Whether torch compiles the network, which takes a minute or two. "auto" compiles in new
        runs of 20,000 images or more on a CPU of this machine. Layers other than the last feature
        map are never compiled.
    engine : {"local", "ray"}
        Where to compute: in this process, or in actors of a Ray cluster, which must see the
        images under the same path. Both make the same file, and each continues the other's.
    address : str, optional
        Address of the Ray cluster. By default the environment variable ``RAY_ADDRESS``, else Ray is
        started on this machine with all its cores and GPUs.
    pixel_cache : str or Path, optional
        Folder that keeps decoded images for networks that are run later. Useful where decoding
        takes the time, as with PNG. It holds the images themselves.
    verify : bool
        Read and hash every image, also where size and modification time are those recorded.
    output : str or Path
        Folder of the feature files, created where absent.

    Raises
    ------
    UsageError
        If an option has no such value.
    """

    weights: str = "imagenet"
    pooling: str = "avg"
    preprocessing: str | None = None
    precision: Precision | Literal["auto"] = "auto"
    decoding: Decoding | Literal["auto"] = "auto"
    device: str = "auto"
    batch_size: int | Literal["auto"] = "auto"
    workers: int | Literal["auto"] = "auto"
    compile: Compiling = "auto"
    engine: str = "local"
    address: str | None = None
    pixel_cache: str | Path | None = None
    verify: bool = False
    output: str | Path = "features"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("precision", self.precision, ("auto", *PRECISIONS)),
            ("decoding", self.decoding, ("auto", *DECODINGS)),
            ("choice for compile", self.compile, COMPILING),
        ):
            if value not in known:
                raise unknown_name(name, value, known)
        for name, number in (
            ("batch size", self.batch_size),
            ("number of workers", self.workers),
        ):
            if number != "auto" and number < 1:
                raise UsageError(f"the {name} must be at least 1, not {number}")


def choose_recipe(
    options: ExtractionOptions,
    dataset: str,
    taps: Sequence[Backbone],
    native: Callable[[], Precision],
) -> tuple[Precision, Decoding, bool]:
    """Choose precision and decoding for layers of one network.

    Parameters
    ----------
    options : ExtractionOptions
        "auto" takes precision or decoding of the one run that can be continued. Without such a
        run, the precision is ``native``; the decoding is the reference in fp32, and else fast.
    dataset : str
        Name of the data set.
    taps : sequence of Backbone
        The layers.
    native : callable
        Returns bf16 where the hardware computes in it, else fp32.

    Returns
    -------
    precision, decoding : str
        Neither is "auto".
    begun : bool
        Whether there is a run to be continued.

    Raises
    ------
    UsageError
        If fp32 is combined with another decoding than the reference.
    """
    precision, decoding = options.precision, options.decoding
    begun = _find_begun(options, dataset, taps)
    if begun is not None:
        precision, decoding = begun
    if precision == "auto":
        precision = native()
    if decoding == "auto":
        decoding = "reference" if precision == "fp32" else "fast"
    elif decoding != "reference" and precision == "fp32":
        raise UsageError(
            "fp32 takes the reference decoding: leave --decode out, or say --precision bf16"
        )
    return precision, decoding, begun is not None


def choose_plan(
    options: ExtractionOptions, taps: Sequence[Backbone], engine: Engine, n_images: int
) -> BatchPlan:
    """Choose how to compute layers of one network.

    Parameters
    ----------
    options : ExtractionOptions
        Its batch size and whether to compile.
    taps : sequence of Backbone
        The layers.
    engine : Engine
        Where they are computed.
    n_images : int
        Images of a new run; 0 for one that is continued, with the plan of its file.
    """
    size = options.batch_size
    if options.compile == "auto":
        # Every actor of a cluster would compile for itself.
        compiled = engine.name == "local" and pays_off(taps, engine.device, n_images)
    else:
        compiled = options.compile == "always"
    return BatchPlan(default_batch_size(engine.device) if size == "auto" else size, compiled)


def _find_begun(
    options: ExtractionOptions, dataset: str, taps: Sequence[Backbone]
) -> tuple[Precision, Decoding] | None:
    """Return precision and decoding of a run that can be continued, if there is exactly one."""
    begun: dict[Path, tuple[Precision, Decoding]] = {}
    for precision in PRECISIONS if options.precision == "auto" else [options.precision]:
        for decoding in DECODINGS if options.decoding == "auto" else [options.decoding]:
            names = [tap.recipe(precision, decoding).file_name(dataset) for tap in taps]
            paths = [Path(options.output) / name for name in names]
            if any(path.exists() or log_path(path).exists() for path in paths):
                # Where a resize has no fast form, both decodings name one file.
                begun.setdefault(paths[0], (precision, decoding))
    return next(iter(begun.values())) if len(begun) == 1 else None


def explain_decoding(recipe: Recipe, decoding: Decoding | Literal["auto"]) -> list[str]:
    """Return a note if a decoding was asked for that the network does not have.

    Parameters
    ----------
    recipe : Recipe
        What was chosen.
    decoding : str
        What was asked for.
    """
    how = recipe.preprocessing
    if decoding in ("auto", "reference") or how.fast() != how:
        return []
    return [
        f"{recipe.backbone}: --decode {decoding} is the reference here, for there is no other form "
        f"of its resize ({how.interpolation} of {how.resizer})"
    ]
