"""The recipe of features: everything that determines their values, and its hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from bottleneck.data.images import decode
from bottleneck.data.images.preparation import name_mask, recorded_preparation
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.volumes.volume_preprocessing import POLICY, VolumePreprocessing
from bottleneck.errors import UsageError
from bottleneck.settings.schema import from_table, schema

__all__ = [
    "DECODINGS",
    "PRECISIONS",
    "AnyPreprocessing",
    "Decoding",
    "Precision",
    "Recipe",
    "RecordedPreprocessing",
    "hash_recipe",
    "read_recipe",
    "recorded_words",
    "slug",
]

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
Decoding = Literal["reference", "fast"]
DECODINGS: tuple[Decoding, ...] = ("reference", "fast")
# How the samples of a data set reach a network: images, or regions of volumes.
AnyPreprocessing = Preprocessing | VolumePreprocessing
_FAST = "-fast"
# Characters of a name, and of a file's name before its hash. File systems allow 255.
_LONGEST, _LONGEST_STEM = 100, 200
# Fields that change no number of a row.
_WITHOUT_EFFECT = ("backbone", "weights", "licence")
# Columns that a message names.
_NAMED = 5
# Names that Windows keeps for devices, whatever follows their first dot.
_DEVICE = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d)")


def _kind(value: Any) -> str:
    """Return the name of the class that a preprocessing, or its record, belongs to."""
    is_volume = isinstance(value, VolumePreprocessing) or (
        isinstance(value, Mapping) and is_of_volumes(value)
    )
    return VolumePreprocessing.__name__ if is_volume else Preprocessing.__name__


def is_of_volumes(table: Mapping[str, Any]) -> bool:
    """Return whether the record of a preprocessing, or a table of a file, is one of volumes."""
    return "size" in table and "crop" not in table


def takes_volumes(recipe: Mapping[str, Any]) -> bool:
    """Return whether the network of a recorded recipe takes volumes.

    Examples
    --------
    >>> takes_volumes({"preprocessing": {"size": [96, 96, 96]}}), takes_volumes({})
    (True, False)
    """
    return is_of_volumes(recipe.get("preprocessing") or {})


def sample_noun(recipe: Mapping[str, Any]) -> str:
    """Return what the network of a recorded recipe takes, in a word.

    Examples
    --------
    >>> sample_noun({"preprocessing": {"size": [96, 96, 96]}}), sample_noun({})
    ('volume', 'image')
    """
    return "volume" if takes_volumes(recipe) else "image"


# A record is read as the class that its fields belong to.
RecordedPreprocessing = Annotated[
    Annotated[Preprocessing, Tag(Preprocessing.__name__)]
    | Annotated[VolumePreprocessing, Tag(VolumePreprocessing.__name__)],
    Discriminator(_kind),
]


@schema
class Recipe:
    """Everything that determines the row of an image.

    Attributes
    ----------
    backbone, weights : str
        Names such as "resnet50" and "imagenet". Two names for the same numbers, such as
        ``timm/resnet50.tv_in1k``, make one recipe, so names are not part of the hash.
    network : str
        The architecture.
    weights_digest : str
        sha256 over the tensors of the frozen part, whatever file they were loaded from.
    layer : str
        Name of the layer whose output is pooled; "" for the last feature map.
    pooling : str
        How the layer's positions become one vector.
    preprocessing : Preprocessing or VolumePreprocessing
        How pixels or voxels reach the network.
    precision : {"fp32", "bf16", "fp16"}
        Arithmetic of the forward pass.
    decoding : str
        Policy of ``bottleneck.data.images.decode``, with "-fast" if ``Preprocessing.fast``
        resizes; or that of ``bottleneck.data.volumes.volume_preprocessing``.
    variant : str
        Publisher of the architecture, if it differs from the usual one in more than names:
        "keras" has other strides and another padding, with the same tensors.
    licence : str or None
        Licence of the weights; not part of the hash.
    """

    backbone: str
    weights: str
    network: str
    weights_digest: str
    layer: str
    pooling: str
    preprocessing: RecordedPreprocessing
    precision: Precision
    decoding: str = decode.POLICY
    variant: str = ""
    licence: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict for JSON."""
        return dataclasses.asdict(self)

    @property
    def is_fast(self) -> bool:
        """Whether torchvision resizes, where the preprocessing itself says Pillow."""
        return self.decoding.endswith(_FAST)

    @property
    def framing(self) -> AnyPreprocessing:
        """The part of the preprocessing that makes the pixels, with the resize of the decoding."""
        crop = framing(self.preprocessing)
        return crop.fast() if self.is_fast else crop

    @property
    def hash(self) -> str:
        """sha256 of all fields except names and licence; equal ones make the same rows."""
        return hash_recipe(self.to_dict())

    def file_name(self, dataset: str) -> str:
        """Return the name of the feature file of a data set: its contents, and a short hash."""
        prepared = words_of(self.preprocessing)
        parts = [dataset, self.backbone, self.weights, self.layer, self.pooling, prepared]
        return name_feature_file(parts, self.hash)


def hash_recipe(fields: Mapping[str, Any]) -> str:
    """Return the hash of a recipe that is given as by ``Recipe.to_dict``."""
    decisive = {name: value for name, value in fields.items() if name not in _WITHOUT_EFFECT}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def read_recipe(record: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a network's features that a file or a model records.

    Parameters
    ----------
    record : mapping
        From ``Recipe.to_dict``, or from a provenance.

    Raises
    ------
    UsageError
        If it is the recipe of an array's columns, or is damaged.
    """
    if not isinstance(record, Mapping) or not record:
        raise UsageError("no recipe of the features is recorded: train again with fit")
    if "columns" in record:
        raise UsageError(
            f"the features are columns of an array ({record.get('backbone')}), and no network "
            "computes them from images: give the same columns, as an array, a table or a feature "
            "file"
        )
    recorded_preparation(record)
    return from_table(Recipe, record, "the recorded recipe")


def name_feature_file(parts: Sequence[str], recipe_hash: str) -> str:
    """Return the name of a feature file.

    Parameters
    ----------
    parts : sequence of str
        Data set, backbone, weights, layer, pooling, and the words of the preparation, some empty.
    recipe_hash : str
        Hash of the recipe.
    """
    *names, prepared = parts
    # ``slug`` would drop the sign of a window's centre.
    texts = [*names, prepared.replace("-", "minus ")]
    stem = "--".join(slug(p) for p in texts if p)[:_LONGEST_STEM]
    return f"{stem}--{recipe_hash[:8]}.h5"


def words_of(preprocessing: AnyPreprocessing) -> str:
    """Return in a few words what distinguishes a preprocessing in names; "" for the usual one."""
    if isinstance(preprocessing, VolumePreprocessing):
        return preprocessing.words
    return preprocessing.preparation.words


def recorded_words(recipe: Mapping[str, Any]) -> str:
    """Return what ``words_of`` returns, for the preprocessing in the record of a recipe.

    Raises
    ------
    UsageError
        If the record of the preparation, or of the preprocessing of volumes, is damaged.

    Examples
    --------
    >>> recorded_words({"preprocessing": {"size": [64, 64, 64], "slices": "orthogonal"}})
    'orthogonal slices'
    """
    table = recipe.get("preprocessing")
    if isinstance(table, Mapping) and is_of_volumes(table):
        where = "the recorded preprocessing of volumes"
        return from_table(VolumePreprocessing, table, where).words
    return recorded_preparation(recipe).words


def framing(preprocessing: AnyPreprocessing) -> AnyPreprocessing:
    """Return the part of a preprocessing that makes the pixels: all that the device does not do."""
    if isinstance(preprocessing, VolumePreprocessing):
        return dataclasses.replace(preprocessing, mean=(0.0,), std=(1.0,), slice_pooling="mean")
    return dataclasses.replace(preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def name_decoding(preprocessing: AnyPreprocessing, decoding: Decoding) -> str:
    """Return the name of a decoding in a recipe."""
    if isinstance(preprocessing, VolumePreprocessing):
        return POLICY
    fast = decoding == "fast" and preprocessing.fast() != preprocessing
    return decode.POLICY + _FAST * fast


def slug(text: str) -> str:
    """Return a name that every file system allows for a file or folder, without "--".

    Examples
    --------
    >>> slug("../Klinik A"), slug("con"), slug("甲")
    ('Klinik-A', 'con_', 'unnamed')
    """
    name = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._-]+", "-", text)).strip("-.") or "unnamed"
    if len(name) > _LONGEST:
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        name = f"{name[:_LONGEST].rstrip('-.')}-{digest[:8]}"
    base, dot, rest = name.partition(".")
    return f"{base}_{dot}{rest}" if _DEVICE.fullmatch(base) else name


def name_differences(
    wanted: Mapping[str, Any], given: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    """Return the fields in which two recipes differ, and how.

    Parameters
    ----------
    wanted, given : mapping
        From ``Recipe.to_dict``, or from a provenance.
    prefix : str
        Text before the names of fields.
    """
    differences = []
    if "columns" in {*wanted, *given}:
        return _compare_columns(wanted, given)
    for field in sorted({*wanted, *given} - {"licence"}):
        # A file has lists in place of tuples.
        a, b = (
            list(one) if isinstance(one, tuple) else one
            for one in (wanted.get(field), given.get(field))
        )
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            differences += name_differences(a, b, f"{prefix}{field}.")
        elif a != b:
            a, b = (name_mask(one) if isinstance(one, str) else one for one in (a, b))
            differences.append(f"{prefix}{field} is {b!r}, not {a!r}")
    return differences


def explain_mismatch(wanted: Mapping[str, Any], given: Mapping[str, Any], advice: str) -> str:
    """Return how two recipes differ, and what to do.

    Parameters
    ----------
    wanted, given : mapping
        As for ``name_differences``.
    advice : str
        What to do about features of a network.
    """
    differing = name_differences(wanted, given)
    if "columns" in wanted and "columns" in given:
        advice = "Pass the same columns in the same order, under the same name (recipe=)"
    return f"{'; '.join(differing) or 'the hashes differ'}. {advice}"


def _compare_columns(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the differences of two recipes, at least one of them of arrays."""
    if not ("columns" in wanted and "columns" in given):
        kinds = (
            f"columns of an array ({recipe.get('backbone')})"
            if "columns" in recipe
            else f"features of the network {recipe.get('backbone')}"
            for recipe in (given, wanted)
        )
        return ["{} are not {}".format(*kinds)]
    names, others = wanted["columns"], given["columns"]
    if names is None and others is None:
        differences = []
        if wanted["n_columns"] != given["n_columns"]:
            differences = [f"there are {given['n_columns']} columns, not {wanted['n_columns']}"]
    elif names is None or others is None:
        bare = others is None
        named = _quote(names if bare else others)
        here, there = ("have no names", "have") if bare else ("have names", "have none")
        differences = [f"these columns {here}, and the others {there} ({named})"]
    else:
        lacking = [name for name in names if name not in set(others)]
        further = [name for name in others if name not in set(names)]
        differences = [f"the missing columns are {_quote(lacking)}"] if lacking else []
        differences += [f"the unknown columns are {_quote(further)}"] if further else []
        if names != others and not differences:
            differences = [f"the order of the columns differs from that of {_quote(names)}"]
    if wanted["backbone"] != given["backbone"]:
        differences.append(f"they are called '{given['backbone']}', not '{wanted['backbone']}'")
    return differences


def _quote(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
