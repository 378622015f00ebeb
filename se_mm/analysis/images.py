"""How far a metric depends on the images that it was measured on: the bootstrap over them."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SeMmError

#: A metric in per cent of the images, each counted as often as its weight says.
Metric = Callable[[np.ndarray], float]

_AP = re.compile(r'(?:coco/)?(?P<kind>bbox|segm)_mAP(?:_(?P<part>50|75|s|m|l))?')
_TOP = re.compile(r'(?P<group>accuracy|error)/top(?P<k>[1-5])')
_AREAS = {'s': 1, 'm': 2, 'l': 3}


def bootstrap(pairs: Sequence[tuple[Metric, Metric]], images: int, draws: int = 500, seed: int = 0) -> np.ndarray:
    """Differences of the second of each pair from the first, mean over the pairs, on drawn sets of images.

    Args:
        pairs: two networks for each seed, on the same images in the same order.
        images: how many there are; each draw takes as many with replacement, the same for all.
        draws: how many.
        seed: of the draws.

    Returns:
        (draws,): their standard deviation is the spread over images.

    Example:
        >>> right = np.array([1.0, 0.0, 1.0, 1.0])
        >>> first, second = (lambda w: 50.0), (lambda w: 100 * float(w @ right) / w.sum())
        >>> f'{bootstrap([(first, second)], images=4, draws=2000).mean():.0f}'
        '25'
    """
    generator = np.random.default_rng(seed)
    found = np.empty(draws)
    for i in range(draws):
        weights = generator.multinomial(images, np.full(images, 1 / images)).astype(float)
        found[i] = np.mean([second(weights) - first(weights) for first, second in pairs])
    return found


def accuracy(predictions: Sequence[Mapping[str, Any]], metric: str) -> tuple[Metric, list[str]]:
    """A classifier's top-k accuracy or error, of what ``tools/test.py --out predictions.json`` wrote.

    Args:
        predictions: ``file``, ``truth`` and the best ``scores`` of each image.
        metric: ``accuracy/top1`` to ``top5``, or ``error/``.

    Returns:
        The metric and the images in its order.

    Raises:
        SeMmError: for another metric, or predictions without ``truth``.

    Example:
        >>> entry = dict(file='a.jpg', truth='cat', scores=dict(dog=0.6, cat=0.4))
        >>> accuracy([entry], 'accuracy/top1')[0](np.ones(1)), accuracy([entry], 'accuracy/top2')[0](np.ones(1))
        (0.0, 100.0)
    """
    named = _TOP.fullmatch(metric)
    if not named or any('truth' not in entry for entry in predictions):
        raise SeMmError(f'{metric} cannot be computed image by image from these predictions')
    # Pictures of an archive have no files; the order of a data set is the same in each test.
    entries = sorted(predictions, key=lambda entry: entry['file'] or '')
    right = np.array([entry['truth'] in list(entry['scores'])[: int(named['k'])] for entry in entries], dtype=float)
    values = right if named['group'] == 'accuracy' else 1 - right
    images = [entry['file'] or i for i, entry in enumerate(entries)]
    return lambda weights: 100 * float(weights @ values / weights.sum()), images


def average_precision(
    predictions: Sequence[Mapping[str, Any]],
    ann_file: Path,
    metric: str,
    classes: Sequence[str] = (),
    proposal_nums: Sequence[int] = (100, 300, 1000),
) -> tuple[Metric, list[int]]:
    """COCO's AP, of what ``tools/test.py --out predictions.json`` wrote.

    Images are matched once, by pycocotools; an image that is drawn n times counts its detections and its boxes n times,
    which gives the AP of a set that has it n times.

    Args:
        predictions: COCO results.
        ann_file: the ground truth.
        metric: ``bbox_mAP`` or ``segm_mAP``; with ``_50`` or ``_75`` of that threshold, with ``_s``, ``_m`` or ``_l``
            of that area.
        classes: names of the categories that count; empty: all.
        proposal_nums: of mmdet's CocoMetric; the last is how many detections of an image and class count for a
            threshold or an area.

    Returns:
        The metric, of an image as often as its weight says, and the images in its order.

    Raises:
        SeMmError: for another metric.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    named = _AP.fullmatch(metric)
    if not named:
        raise SeMmError(f'{metric} is not computed image by image; those are bbox_mAP and segm_mAP')
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its timings
        truth = COCO(str(ann_file))
        found = truth.loadRes(list(predictions)) if predictions else COCO()
        evaluator = COCOeval(truth, found, named['kind'])
        if classes:
            evaluator.params.catIds = truth.getCatIds(catNms=list(classes))
        evaluator.params.maxDets = [proposal_nums[2] if named['part'] else 100]  # pycocotools' for stats[0]
        evaluator.evaluate()
    thresholds = {'50': slice(0, 1), '75': slice(5, 6)}.get(named['part'], slice(None))
    classwise = list(_matched(evaluator, _AREAS.get(named['part'], 0), thresholds))
    points = evaluator.params.recThrs

    def metric_of(weights: np.ndarray) -> float:
        values = [_class_precision(*matched, weights, points) for matched in classwise]
        known = [value for value in values if value is not None]
        return 100 * float(np.mean(known)) if known else 0.0

    return metric_of, list(evaluator.params.imgIds)


def _matched(evaluator: Any, area: int, thresholds: slice) -> list[tuple[np.ndarray, ...]]:
    """Of each class: images of its detections, the best first, which are right or ignored, and boxes of each image."""
    count = len(evaluator.params.imgIds)
    areas = len(evaluator.params.areaRng)
    classes = []
    for k in range(len(evaluator.params.catIds)):
        start = (k * areas + area) * count
        entries = [(i, entry) for i, entry in enumerate(evaluator.evalImgs[start : start + count]) if entry]
        boxes = np.zeros(count)
        for i, entry in entries:
            boxes[i] = np.count_nonzero(np.asarray(entry['gtIgnore']) == 0)
        if not entries:
            continue
        scores = np.concatenate([entry['dtScores'] for _, entry in entries])
        order = np.argsort(-scores, kind='mergesort')
        images = np.repeat([i for i, _ in entries], [len(entry['dtScores']) for _, entry in entries])[order]
        right, ignored = (
            np.concatenate([np.asarray(entry[key], bool) for _, entry in entries], axis=1)[thresholds, order]
            for key in ('dtMatches', 'dtIgnore')
        )
        classes.append((images.astype(int), right & ~ignored, ~right & ~ignored, boxes))
    return classes


def _class_precision(
    images: np.ndarray, right: np.ndarray, wrong: np.ndarray, boxes: np.ndarray, weights: np.ndarray, points: np.ndarray
) -> float | None:
    """The precision, mean over thresholds and over the recalls of COCO; ``None`` without ground truth."""
    total = float(boxes @ weights)
    if total == 0:
        return None
    counts = weights[images]
    hits, misses = (np.cumsum(kind * counts, axis=1) for kind in (right, wrong))
    precision = hits / (hits + misses + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    sums = 0.0
    for recall, values in zip(hits / total, precision, strict=True):
        at = np.searchsorted(recall, points, side='left')
        sums += float(values[at[at < len(values)]].sum())
    return sums / (len(right) * len(points))
