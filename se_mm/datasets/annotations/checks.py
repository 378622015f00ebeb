"""The checks of annotations: of objects, of masks, and of the sizes of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ...errors import SeMmError, listed
from . import masks
from .pictures import Size
from .records import SHOWN, Finding, Records

#: The share of files, entries or pictures that may be missing or broken.
MOST_BROKEN = 0.1


class Check(NamedTuple):
    """What may be wrong with an object, and the columns that show it: (N,) bool."""

    what: str
    of: Callable[[Records], np.ndarray]


def _outside(records: Records) -> np.ndarray:
    sizes = np.append(records.sizes, [[0, 0]], axis=0)[records.picture]
    low, high = records.boxes[:, :2], records.boxes[:, :2] + records.boxes[:, 2:]
    return (np.minimum(high, sizes) <= np.maximum(low, 0)).any(1)


#: What mmdet and pycocotools would misread, or fail on.
MISREAD = (
    Check('with a box that is not four finite numbers', lambda records: ~np.isfinite(records.boxes).all(1)),
    Check('with an inverted box', lambda records: (records.boxes[:, 2:] < 0).any(1)),
)
UNKNOWN_IMAGE = Check('of an image that the file does not list', lambda records: records.picture < 0)
UNKNOWN_CLASS = Check("of a category that is not among the config's classes", lambda records: records.label < 0)
IGNORED = Check('marked crowd or ignore', lambda records: records.crowd | records.ignored)
#: What mmdet leaves out of a training by itself and without a word.
UNUSED = (
    UNKNOWN_IMAGE,
    UNKNOWN_CLASS,
    Check('with a side below one pixel', lambda records: (records.boxes[:, 2:] < 1).any(1) | (records.area <= 0)),
    Check('outside of the image', _outside),
    IGNORED,
)
#: What does not become a part of a data set that is written anew.
UNWRITTEN = (
    UNKNOWN_IMAGE,
    Check('of an unknown class', lambda records: records.label < 0),
    Check('with an empty box', lambda records: (records.boxes[:, 2:] <= 0).any(1)),
    Check('outside of the image', _outside),
)


def hits(records: Records, checks: Sequence[Check]) -> Iterator[tuple[Check, np.ndarray]]:
    """The objects that the checks find, (N,) bool for each check that finds any; an object is found once."""
    free = np.ones(len(records.masks), bool)
    for check in checks:
        with np.errstate(invalid='ignore', over='ignore'):
            found = free & check.of(records)
        free &= ~found
        if found.any():
            yield check, found


def leave_out(records: Records, checks: Sequence[Check]) -> list[Finding]:
    """Takes out the objects that the checks find."""
    findings, kept = [], np.ones(len(records.masks), bool)
    for check, found in hits(records, checks):
        findings.append(Finding('left out', check.what, [records.name(i) for i in np.flatnonzero(found)]))
        kept &= ~found
    records.keep_objects(kept)
    return findings


def cut_at_edges(records: Records) -> list[Finding]:
    """Cuts boxes where their pictures end."""
    low, high = records.boxes[:, :2], records.boxes[:, :2] + records.boxes[:, 2:]
    inside = np.maximum(low, 0), np.minimum(high, records.sizes[records.picture])
    over = np.flatnonzero(((low < inside[0]) | (high > inside[1] + 1e-3)).any(1))
    findings = [Finding('mended', 'reaching over the edge: cut there', [records.name(i) for i in over])]
    of_boxes = over[records.area[over] == records.boxes[over, 2] * records.boxes[over, 3]]
    records.boxes, records.area = records.boxes.copy(), records.area.copy()
    records.boxes[over] = np.concatenate([inside[0], inside[1] - inside[0]], 1)[over]
    records.area[of_boxes] = records.boxes[of_boxes, 2] * records.boxes[of_boxes, 3]
    return findings if len(over) else []


def mend_masks(records: Records, needed: bool) -> list[Finding]:
    """Mends segmentations.

    Args:
        records: changed in place.
        needed: whether objects without a mask that can be used are left out; else they keep their box.
    """
    found: dict[tuple[str, str], list[str]] = {}
    kept = np.ones(len(records.masks), bool)
    sizes = records.sizes.tolist()
    mended = list(records.masks)
    for i, (mask, picture) in enumerate(zip(records.masks, records.picture.tolist(), strict=True)):
        if picture < 0 or not (mask or needed):
            continue
        mended[i], why = masks.mended(mask, *sizes[picture])
        if why:
            kept[i] = mended[i] is not None or not needed
            found.setdefault(('mended' if kept[i] else 'left out', why), []).append(records.name(i))
    records.masks = mended
    records.keep_objects(kept)
    return [Finding(outcome, why, names) for (outcome, why), names in found.items()]


def compare_sizes(
    records: Records, sizes: Sequence[Size | str], rescale: bool = False, skip: bool = False, how: str = ''
) -> list[Finding]:
    """Compares the sizes of pictures with those that they were annotated in, which become the decoded ones.

    A picture that EXIF data turn and that was annotated as it is stored keeps its annotated size.

    Args:
        records: changed in place.
        sizes: of the pictures as the files have them; a text for one that cannot be read.
        rescale: whether boxes and polygons of a picture that was resized are scaled.
        skip: whether other pictures of another size are left out.
        how: the command of both, for the user.

    Raises:
        SeMmError: if there are such pictures, and neither is asked for.
    """
    turned, scaled, others, kept = [], [], [], np.ones(len(records.files), bool)
    records.sizes, factors = records.sizes.copy(), np.ones(len(records.files))
    for i, (file, size) in enumerate(zip(records.files, sizes, strict=True)):
        annotated = tuple(records.sizes[i].tolist())
        if isinstance(size, str) or annotated == size.decoded:
            continue
        if annotated == size.stored:
            turned.append(file)
            continue
        records.sizes[i] = size.decoded
        if not all(annotated):
            continue
        factor = ratio(annotated, size.decoded)
        said = f'{file} is {_sides(size.decoded)}, annotated as {_sides(annotated)}'
        said += f': ratio {factor:.4g}' if factor else ': no one ratio'
        if factor and rescale:
            factors[i] = factor
            scaled.append(said)
        else:
            others.append((said, factor))
            kept[i] = False
    if others and not skip:
        one = all(factor for _, factor in others)
        raise SeMmError(
            f'{len(others)} of {len(records.files)} pictures have another size than they were annotated in: '
            f'{listed([said for said, _ in others], SHOWN)}; '
            + (f'{how}--rescale scales their boxes, ' if one else '')
            + f'{how}--skip-missing leaves them out'
        )
    if scaled:
        _scale(records, factors)
    records.keep_pictures(kept)
    findings = [
        Finding('kept', 'turned by EXIF data and annotated as stored: read as stored', turned, 'picture'),
        Finding('mended', 'resized since: boxes and masks scaled', scaled, 'picture'),
        Finding('left out', 'of another size than annotated', [said for said, _ in others], 'picture'),
    ]
    return [finding for finding in findings if finding.where]


def ratio(annotated: tuple[int, int], size: tuple[int, int]) -> float | None:
    """The number by which both sides were multiplied and rounded; ``None`` where they were not.

    Example:
        >>> ratio((640, 480), (320, 240)), ratio((640, 480), (480, 640))
        (0.5, None)
    """
    factors = [size[0] / annotated[0], size[1] / annotated[1]]
    fits = (abs(annotated[k] * factor - size[k]) <= 1 for factor in factors for k in (0, 1))
    return factors[annotated[1] > annotated[0]] if all(fits) else None


def _sides(size: Sequence[int]) -> str:
    return f'{size[0]}x{size[1]}'


def _scale(records: Records, factors: np.ndarray) -> None:
    """Multiplies boxes, areas and masks by the factor of their picture, whose size is the new one already."""
    of_objects = np.append(factors, 1.0)[records.picture]
    records.boxes = np.where(of_objects[:, None] != 1, (records.boxes * of_objects[:, None]).round(3), records.boxes)
    records.area = records.area * of_objects**2
    for i in np.flatnonzero(of_objects != 1):
        records.masks[i] = masks.scaled(records.masks[i], of_objects[i], *records.sizes[records.picture[i]].tolist())
