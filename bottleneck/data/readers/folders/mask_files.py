"""Masks and other drawings of an image, stored with it, which are not images of their own."""

from __future__ import annotations

import itertools
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from bottleneck.data.sources.untrusted_files import IMAGE_SUFFIXES
from bottleneck.errors import DataError

__all__ = ["is_image_folder", "match_masks", "same_but_suffix", "same_but_word", "split_masks"]

_MASK = (
    "masks?|msk|segmentations?|segmented|seg|labels?|labelmap|gt|ground[ _-]?truth|annotations?|"
    "annotated|contours?|overlays?|superpixels"
)
_IMAGE = "images?|imgs?|jpegimages|originals?|orig|inputs?|raw|photos?|frames?|scans?|pictures?"
_WORD_AT_END = re.compile(r"(.*[^/ ._-])[ ._-]+\(?[^\W\d_][^\s/._-]*")
_NUMBER = re.compile(r"[ ._-]*\(?\d+\)?$")


def _pattern(words: str) -> re.Pattern[str]:
    """Return a pattern for names that consist of a word and the name of an image."""
    # Without a separator, a digit or a capital letter must show where the word begins or ends.
    begins = r"(?:[ ._-]+|(?<=[^a-z])|(?-i:(?<=[a-z])(?=[A-Z])))"
    return re.compile(
        rf"(?P<before>.+?){begins}(?:{words})(?:[ ._-]*\(?\d+\)?)?"
        rf"|(?:{words})(?:(?:[ ._-]+|(?=\d))(?P<after>.+))?",
        re.IGNORECASE,
    )


_MASK_NAME, _IMAGE_NAME = _pattern(_MASK), _pattern(_IMAGE)
_ANY_MASK = re.compile(_MASK, re.IGNORECASE)


def split_masks(images: Sequence[str]) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Return images without the masks that belong to one of them.

    A mask has the name of its image and a word such as "mask", "seg" or "gt", in the name of the
    file or of a folder: ``1_mask.png`` and ``1.png``, ``masks/1.png`` and ``images/1.png``. Letter
    case, suffixes, and a number after the word do not matter.

    Parameters
    ----------
    images : sequence of str
        Paths with ``/``, sorted.

    Returns
    -------
    kept : list of str
        The paths that are not masks of another.
    masks : list of (str, str)
        The masks, each with its image.
    alone : list of str
        Files among those kept that are named like masks, and have no image.

    Examples
    --------
    >>> split_masks(["a/1.png", "a/1_mask.png", "a/2_mask.png"])
    (['a/1.png', 'a/2_mask.png'], [('a/1_mask.png', 'a/1.png')], ['a/2_mask.png'])
    """
    suspects = {path for path in images if _ANY_MASK.search(path) and _is_mask(path)}
    if not suspects:
        return list(images), [], []
    by_key = {_key(path): path for path in images if path not in suspects}
    masks: dict[str, str] = {}
    for path in suspects:
        key = _key(path)
        shorter = (*key[:-1], _NUMBER.sub("", key[-1])) if key else key
        if image := by_key.get(key) or by_key.get(shorter):
            masks[path] = image
    return (
        [path for path in images if path not in masks],
        sorted(masks.items()),
        sorted(p for p in suspects - masks.keys() if _base(_stem(p), _MASK_NAME) is not None),
    )


def match_masks(masks: Iterable[str], images: Iterable[str]) -> list[tuple[str, str]]:
    """Return masks in a folder of their own, each with the image of its name in another folder.

    The folders and the words that ``split_masks`` knows need not be there. Masks without an image
    are left out.

    Raises
    ------
    DataError
        If a mask has the name of several images.

    Examples
    --------
    >>> match_masks(["1_mask.png", "b/2.png"], ["a/1.png", "a/2.png", "b/2.png"])
    [('1_mask.png', 'a/1.png'), ('b/2.png', 'b/2.png')]
    """
    # Images by what their paths end in: the name, the last folder and the name, and so on.
    by_end: dict[tuple[str, ...], set[str]] = {}
    for image in images:
        key = _key(image)
        for start in range(len(key)):
            by_end.setdefault(key[start:], set()).add(image)
    pairs = []
    for mask in masks:
        key = _key(mask)
        shorter = (*key[:-1], _NUMBER.sub("", key[-1])) if key else key
        named = sorted(by_end.get(key) or by_end.get(shorter) or ())
        if len(named) > 1:
            raise DataError(
                f"the mask '{mask}' has the name of '{named[0]}' and of '{named[1]}': put masks "
                "into folders with the names of the folders of the images"
            )
        pairs += [(mask, image) for image in named]
    return pairs


def is_image_folder(name: str) -> bool:
    """Return whether a folder has a name such as "images" or "masks", which tells nothing else."""
    return _base(name, _IMAGE_NAME) == "" or _base(name, _MASK_NAME) == ""


def same_but_suffix(images: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of paths that differ only in their suffix; the paths are sorted."""
    pairs = itertools.pairwise(map(posixpath.splitext, images))
    return [
        (root + suffix, other + other_suffix)
        for (root, suffix), (other, other_suffix) in pairs
        if root == other and {suffix.casefold(), other_suffix.casefold()} <= IMAGE_SUFFIXES
    ]


def same_but_word(images: Iterable[str]) -> list[tuple[str, str]]:
    """Return paths that have the name of another and a word, each with that one.

    Examples
    --------
    >>> same_but_word(["a/1.png", "a/1_roi.png", "a/1 - Copy.png", "a/1_2.png"])
    [('a/1_roi.png', 'a/1.png'), ('a/1 - Copy.png', 'a/1.png')]
    """
    by_root = {posixpath.splitext(path)[0]: path for path in images}
    pairs = ((path, _WORD_AT_END.fullmatch(root)) for root, path in by_root.items())
    return [(path, by_root[match[1]]) for path, match in pairs if match and match[1] in by_root]


def _stem(path: str) -> str:
    stem = PurePosixPath(path).stem
    return stem.removesuffix(".nii") if path.casefold().endswith(".nii.gz") else stem


def _base(name: str, pattern: re.Pattern[str]) -> str | None:
    """Return a name without a word; None if it does not contain one, "" if it is the word."""
    match = pattern.fullmatch(name)
    return match and (match["before"] or match["after"] or "")


def _is_mask(path: str) -> bool:
    *folders, _ = path.split("/")
    return any(_base(name, _MASK_NAME) is not None for name in (*folders, _stem(path)))


def _key(path: str) -> tuple[str, ...]:
    """Return what a mask and its image have in common."""
    *folders, _ = path.split("/")
    bases = (_strip(_strip(name, _MASK_NAME), _IMAGE_NAME) for name in (*folders, _stem(path)))
    return tuple(unicodedata.normalize("NFC", base).casefold() for base in bases if base)


def _strip(name: str, pattern: re.Pattern[str]) -> str:
    base = _base(name, pattern)
    return name if base is None else base
