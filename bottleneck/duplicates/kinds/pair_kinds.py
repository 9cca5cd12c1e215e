"""What each pair of near-duplicates likely is, judged by its thumbnails and its recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair
from bottleneck.duplicates.kinds.pair_alignment import Alignment, align_pair

__all__ = ["MOST_ALIGNED", "name_kinds"]

Progress: TypeAlias = Callable[[int, int, str], None]
Thumbnail: TypeAlias = NDArray[np.uint8]

#: Pairs that are aligned in one data set, each in 15 to 30 ms. More remain unclear.
MOST_ALIGNED = 1000

# The limits below lie between altered copies of real images and neighbouring frames of real
# sequences; ``benchmarks/pair_kinds.md`` has the measurements.
# Share of the detail whose residual decides; captions change less than the rest of it.
_SHARE, _MORE = 0.6, 0.75
# Residuals, of the contrast: what encoding and rescaling leave of three quarters of the detail,
# and a caption of six tenths of it; the least that two frames of one recording differ by.
_ENCODED, _CAPTIONED, _FRAMES = 0.04, 0.015, 0.025
# Residual up to which an image is the other one at another place, or with other grey values.
_FITS = 0.15
_DEGREES, _SCALE, _SHIFT, _BRIGHTNESS = 4.0, 0.03, 0.03, 0.4
# Smaller movements count if they explain most of the difference.
_EXPLAINED = 0.6
_SMALL_DEGREES, _SMALL_SCALE = 1.5, 0.015
# From this difference on, two images have other numbers of pixels.
_OTHER_SIZE = 0.01


def name_kinds(
    pairs: Sequence[DuplicatePair],
    thumbnails: NDArray[np.uint8],
    sizes: NDArray[np.int32] | None,
    related: NDArray[np.bool_],
    progress: Progress | None = None,
) -> tuple[DuplicatePair, ...]:
    """Return pairs with what each of them likely is.

    An altered copy is one image that was mirrored, rotated, scaled, shifted, brightened, given a
    caption or encoded again: one such change explains the whole difference. In neighbouring
    frames something moved by itself, which no change of the whole image explains.

    Parameters
    ----------
    pairs : sequence of DuplicatePair
        Identical images and near-duplicates.
    thumbnails : ndarray of uint8, shape (n_samples, 32, 32)
        Thumbnails of all images.
    sizes : ndarray of int, shape (n_samples, 2), or None
        Width and height of all images in pixels. Frames of one recording have one size.
    related : ndarray of bool, shape (n_pairs,)
        Whether the two images are of one patient or recording, as far as these are known.
    progress : callable or None
        Called with the number of pairs done, their total and a text.

    Returns
    -------
    tuple of DuplicatePair
        At most ``MOST_ALIGNED`` pairs are aligned; further ones may be "unclear".
    """
    named, n_aligned = [], 0
    for number, (pair, is_related) in enumerate(zip(pairs, related.tolist(), strict=True)):
        if pair.identical:
            named.append(dataclasses.replace(pair, kind="identical"))
            continue
        one, other = thumbnails[pair.a], thumbnails[pair.b]
        is_resized = sizes is not None and _differ(sizes[pair.a], sizes[pair.b])
        judge = _Judge(_align(one, other, moved=False), is_related, is_resized)
        if judge.needs_alignment:
            if n_aligned == MOST_ALIGNED:
                named.append(pair)
                continue
            n_aligned += 1
            judge = dataclasses.replace(judge, moved=_align(one, other, moved=True))
            if progress is not None:
                progress(number + 1, len(pairs), "comparing near-duplicates")
        named.append(judge.named(pair))
    return tuple(named)


def _align(one: Thumbnail, other: Thumbnail, *, moved: bool) -> Alignment:
    """Align two thumbnails, either of which may be the copy."""
    made = align_pair(one, other, moved=moved)
    if moved and made.error <= _FITS:
        return made
    return min(made, align_pair(other, one, moved=moved), key=lambda aligned: aligned.error)


def _differ(one: NDArray[np.int32], other: NDArray[np.int32]) -> bool:
    return bool((np.abs(one - other) > _OTHER_SIZE * np.maximum(one, other)).any())


@dataclasses.dataclass(frozen=True)
class _Judge:
    """A pair as it is, and as it is aligned."""

    still: Alignment
    is_related: bool
    is_resized: bool
    moved: Alignment | None = None

    @property
    def needs_alignment(self) -> bool:
        """Whether the images differ by more than grey values, and are not plainly two frames."""
        if self._is_recoded or self._is_brightened:
            return False
        is_frame = self.is_related and not self.is_resized and self.still.left(_SHARE) < _FITS
        return not is_frame

    @property
    def _is_recoded(self) -> bool:
        still = self.still
        limit = _FRAMES if self.is_related and not self.is_resized else _ENCODED
        return still.left(_MORE) <= limit or still.left(_SHARE) <= _CAPTIONED

    @property
    def _is_brightened(self) -> bool:
        return self.still.brightness >= _BRIGHTNESS and self.still.left(_SHARE) <= _FITS / 2

    def named(self, pair: DuplicatePair) -> DuplicatePair:
        """Return the pair with its kind and the alterations of a copy."""
        if self._is_recoded or self._is_brightened:
            return self._as_copy(pair, self.still, [])
        if self.moved is not None and (done := self._movements(self.moved)):
            return self._as_copy(pair, self.moved, done)
        if self.is_resized and self._fits(self.moved):
            return self._as_copy(pair, self.moved or self.still, [])
        is_frame = not self.is_resized and self.still.left(_SHARE) <= 2 * _FITS
        return dataclasses.replace(pair, kind="neighbouring frame" if is_frame else "unclear")

    @staticmethod
    def _fits(aligned: Alignment | None) -> bool:
        return aligned is not None and aligned.left(_SHARE) <= _FITS

    def _movements(self, moved: Alignment) -> list[str]:
        """Return how one image became the other as a whole, if that explains the difference."""
        if not self._fits(moved):
            return []
        x, y = (abs(scale - 1) for scale in moved.scale)
        shift = max(map(abs, moved.shift))
        explains = moved.left(_SHARE) <= _EXPLAINED * self.still.left(_SHARE)
        done, degrees = [], abs(moved.degrees)
        if moved.mirrored:
            # A flip is its mirror image, turned by 180°.
            is_flip = degrees > 90
            done.append("flipped top to bottom" if is_flip else "mirrored")
            degrees = 180 - degrees if is_flip else degrees
        if degrees >= (_SMALL_DEGREES if explains else _DEGREES):
            done.append(f"rotated by {degrees:.0f}°")
        if max(x, y) >= (_SMALL_SCALE if explains else _SCALE):
            mean = float(np.sqrt(moved.scale[0] * moved.scale[1]))
            done.append(f"cropped, zoomed or with a margin ({max(mean, 1 / mean):.0%})")
        if shift >= (_SMALL_SCALE if explains else _SHIFT):
            done.append(f"shifted by {shift:.0%}")
        return done

    def _as_copy(self, pair: DuplicatePair, aligned: Alignment, done: list[str]) -> DuplicatePair:
        if self.is_resized:
            done.append("other number of pixels")
        if aligned.brightness >= _BRIGHTNESS:
            done.append("other brightness or contrast")
        if aligned.left(_SHARE) <= _FITS / 2 and aligned.is_marked:
            done.append("a caption or mark")
        return dataclasses.replace(
            pair, kind="altered copy", alterations=tuple(done) or ("encoded again",)
        )
