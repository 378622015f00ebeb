"""The names and units of the metrics of mmdet and mmpretrain."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: What a comparison looks at if nobody says which, in this order.
USUAL_METRICS = ('bbox_mAP', 'segm_mAP', 'bbox_AP', 'segm_AP', 'mAP', 'accuracy/top1', 'top1')
#: Metrics of mmpretrain, and our error, are per cent; those of mmdet are fractions.
_FRACTIONS = ('coco/', 'lvis/', 'pascal_voc/', 'openimages/', 'crowd_human/')
_IN_PER_CENT = ('accuracy/', 'error/', 'single-label/', 'multi-label/')
#: Words of metrics that count mistakes (mMR: CrowdHuman's miss rate), and of those that do not, without digits.
_LESS = ('error', 'loss', 'miss', 'mmr')
_MORE = ('map', 'ap', 'aps', 'apm', 'apl', 'apr', 'apc', 'apf', 'ar', 'ji', 'accuracy', 'precision', 'recall', 'f')


def find_metric(names: Iterable[str], wanted: str | None = None) -> str | None:
    """The whole name of a metric; ``None`` if there is none such.

    Args:
        names: the metrics of an evaluation.
        wanted: with or without what stands before its slash; ``None``: the first of :data:`USUAL_METRICS`.

    Example:
        >>> find_metric(['coco/bbox_mAP_50', 'coco/bbox_mAP']), find_metric(['accuracy/top1', 'accuracy/top5'], 'top5')
        ('coco/bbox_mAP', 'accuracy/top5')
    """
    names = list(names)
    ends = USUAL_METRICS if wanted is None else (wanted,)
    return next((name for end in ends for name in names if name == end or name.endswith(f'/{end}')), None)


def in_points(metric: str, value: float) -> float:
    """A metric in points of AP, or in per cent.

    Example:
        >>> in_points('coco/bbox_mAP', 0.25), in_points('accuracy/top1', 80.0), in_points('multi-label/mAP', 60.0)
        (25.0, 80.0, 60.0)
    """
    is_fraction = metric.startswith(_FRACTIONS) or ('mAP' in metric and not metric.startswith(_IN_PER_CENT))
    return 100 * value if is_fraction else value


def less_is_better(metric: str) -> bool:
    """Whether a metric counts mistakes.

    Example:
        >>> less_is_better('error/top1'), less_is_better('crowd_human/mMR'), less_is_better('accuracy/top1')
        (True, True, False)
    """
    return any(word in metric.lower() for word in _LESS)


def direction_is_known(metric: str) -> bool:
    """Whether :func:`less_is_better` knows a metric by its name.

    Example:
        >>> [direction_is_known(name) for name in ('coco/bbox_mAP_50', 'single-label/f1-score', 'error/top1', 'mine/x')]
        [True, True, True, False]
    """
    return less_is_better(metric) or not set(_MORE).isdisjoint(re.findall('[a-z]+', metric.lower()))


def rounding(metric: str) -> float:
    """How far a difference of two logged values is off at most, in points: mmdet logs three digits of a fraction.

    Example:
        >>> rounding('coco/bbox_mAP'), rounding('accuracy/top1')
        (0.1, 0.0)
    """
    return 0.1 if in_points(metric, 1.0) == 100 else 0.0


def share_lost(metric: str, before: float, after: float) -> float:
    """How much worse ``after`` is, as a share: 0.01 for one point of mAP, or one per cent of accuracy or error.

    Example:
        >>> round(share_lost('accuracy/top1', 71.0, 70.5), 6), round(share_lost('coco/bbox_mAP', 0.5, 0.51), 6)
        (0.005, -0.01)
    """
    lost = after - before if less_is_better(metric) else before - after
    return lost / 100 if metric.startswith(_IN_PER_CENT) else lost
