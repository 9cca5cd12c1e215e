"""The options of an extraction, under the same names in Python and on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypedDict

from bottleneck.backbones.licences import LicencePolicy
from bottleneck.backbones.recipe import Decoding, Precision
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.volumes.patches.volume_options import VolumeKeywords, VolumeOptions
from bottleneck.settings.ranges import BatchSize, Processes
from bottleneck.settings.schema import option, schema

__all__ = ["MACHINE_OPTIONS", "ExtractionKeywords", "ExtractionOptions", "MachineKeywords"]

_NETWORK, _MACHINE = "Network", "Machine"


@schema
class ExtractionOptions(VolumeOptions, Preparation):
    """Options that ``extract`` and ``extract_all`` share.

    Attributes
    ----------
    window, rescale, mask_text, sector, denoise
        How images are prepared, as in ``Preparation``; in addition to what the preprocessing of
        the backbone states. Of these, volumes take the window.
    slices, slice_step, slice_pooling, patch_size, spacing, orientation
        How networks take volumes, as in ``VolumeOptions``; for backbones given by name.
    weights, pooling, preprocessing : str
        As ``load_backbone`` takes them; for backbones given by name.
    licence_policy : {"any", "commercial"}
        "commercial" refuses weights whose licence does not allow commercial use, or is not stated,
        before anything is computed or downloaded.
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

    weights: str = option(
        "imagenet",
        "imagenet or another name that `bottleneck weights list` shows, random, or a weight file.",
        panel=_NETWORK,
    )
    pooling: str = option("avg", "avg, max, gem or flatten.", panel=_NETWORK)
    preprocessing: str | None = option(
        None,
        "timm, torchvision, keras, transformers, radimagenet, or a TOML file; for volumes, a "
        "publisher such as ssl.",
        panel=_NETWORK,
        shown="as the weights' publisher states",
    )
    licence_policy: LicencePolicy = option(
        "any",
        "commercial: refuse weights whose licence forbids commercial use or is not stated. any: "
        "accept all.",
        panel=_NETWORK,
    )
    precision: Precision | Literal["auto"] = option(
        "auto", "Arithmetic: auto, fp32, bf16 or fp16.", panel=_NETWORK
    )
    decoding: Decoding | Literal["auto"] = option(
        "auto",
        "Library that resizes: reference (Pillow), fast (torchvision), or auto (reference in "
        "fp32, otherwise fast).",
        panel=_NETWORK,
        name="decode",
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N.", panel=_MACHINE)
    batch_size: BatchSize | Literal["auto"] = option(
        "auto", "Images per batch, or auto.", panel=_MACHINE
    )
    workers: Processes | Literal["auto"] = option(
        "auto",
        "Number of threads that decode (in long runs, one process each), or auto. With Ray: cores "
        "of an actor.",
        panel=_MACHINE,
    )
    compile: Literal["auto", "always", "never"] = option(
        "auto",
        "Compile the network with torch: auto (in long runs of extract on a CPU), always or never.",
        panel=_MACHINE,
    )
    engine: str = option(
        "local",
        "local, or ray for a cluster or several GPUs (needs the extra `ray`).",
        panel=_MACHINE,
    )
    address: str | None = option(
        None, "HOST:PORT of the Ray cluster; by default, Ray runs on this machine.", panel=_MACHINE
    )
    pixel_cache: str | Path | None = option(
        None,
        "Folder that keeps decoded images for later networks. This saves time with formats that "
        "are slow to decode, such as PNG.",
        panel=_MACHINE,
    )
    verify: bool = option(
        False, "Read every image again, even if its size and modification time are as recorded."
    )
    output: str | Path = option("features", "Folder of the feature files.")


class MachineKeywords(TypedDict, total=False):
    """Options of a machine that change no row, which prediction takes too."""

    device: str
    batch_size: int | Literal["auto"]
    workers: int | Literal["auto"]
    compile: Literal["auto", "always", "never"]
    engine: str
    address: str | None
    pixel_cache: str | Path | None


MACHINE_OPTIONS = tuple(MachineKeywords.__annotations__)


class ExtractionKeywords(MachineKeywords, VolumeKeywords, total=False):
    """The fields of ``ExtractionOptions`` as keyword arguments, for type checkers and editors."""

    window: tuple[float, float] | None
    rescale: bool
    mask_text: bool
    sector: str | None
    denoise: Literal["median", "lee", "nlm"] | None
    weights: str
    pooling: str
    preprocessing: str | None
    licence_policy: LicencePolicy
    precision: Precision | Literal["auto"]
    decoding: Decoding | Literal["auto"]
    verify: bool
    output: str | Path
