"""The interval, the power and the bootstrap against simulation, closed forms and pycocotools."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from mmdet.evaluation import CocoMetric
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import stats

from se_mm import SeMmError
from se_mm.analysis.images import accuracy, average_precision, bootstrap
from se_mm.analysis.paired import Paired, seeds_needed, t_interval

DRAWS = 2000


def simulated(seeds: int, difference: float, generator: np.random.Generator) -> list[Paired]:
    """Trainings whose figures share a part with the other of their seed, and have a part of their own."""
    shared, own, other = generator.normal(0, 0.3, (3, DRAWS, seeds))
    first, second = 38 + shared + own, 38 + difference + shared + other
    return [Paired(tuple(range(seeds)), tuple(a), tuple(b)) for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize('seeds', [3, 5, 10])
@pytest.mark.parametrize('difference', [0.0, 0.5])
def test_the_interval_holds_the_true_difference_in_95_of_100_comparisons(seeds, difference):
    pairs = simulated(seeds, difference, np.random.default_rng(seeds + int(10 * difference)))
    low, high = np.array([each.interval for each in pairs]).T
    assert np.mean((low <= difference) & (difference <= high)) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize('seeds', [3, 5, 10])
def test_no_difference_is_called_one_in_at_most_5_of_100(seeds):
    found = [each.sign != 0 for each in simulated(seeds, 0.0, np.random.default_rng(100 + seeds))]
    # Of 2,000 draws the count itself spreads: 120 is where a true rate of 5% comes in 2 of 100 simulations.
    assert sum(found) <= stats.binom.ppf(0.98, DRAWS, 0.05)


@pytest.mark.parametrize('seeds', [3, 5])
def test_the_bootstrap_over_seeds_would_not_hold_it(seeds):
    generator = np.random.default_rng(1)
    values = generator.normal(0, 1, (300, seeds))
    drawn = values[:, generator.integers(0, seeds, (400, seeds))].mean(-1)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < 0.9


def test_the_interval_is_scipys():
    values = [0.3, 0.9, -0.2, 0.4]
    ours, theirs = t_interval(values), stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize(('deviation', 'difference'), [(0.4, 0.5), (0.2, 0.5), (1.0, 0.5)])
def test_so_many_seeds_find_the_difference_in_80_of_100_comparisons_and_one_less_does_not(deviation, difference):
    needed = seeds_needed(deviation, difference)
    generator = np.random.default_rng(0)

    def power(seeds: int) -> float:
        values = generator.normal(difference, deviation, (20_000, seeds))
        return np.mean(stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05)

    assert power(needed) >= 0.79
    assert power(needed - 1) < 0.81


def test_the_noise_floor_is_the_spread_of_a_difference_between_two_trainings_of_one_config():
    generator = np.random.default_rng(0)
    runs = generator.normal(40, 0.3, (2, 400))
    pairs = Paired(tuple(range(400)), *map(tuple, runs))
    assert pairs.noise == pytest.approx(np.std(runs[0, ::2] - runs[0, 1::2]), rel=0.1)


def test_one_pair_has_neither_interval_nor_verdict():
    pairs = Paired((0,), (38.0,), (40.0,))
    assert pairs.interval is pairs.noise is pairs.seeds_needed(0.5) is None
    assert pairs.sign == 0


def test_no_interval_is_narrower_than_the_rounding_of_the_figures():
    first, second = (37.0, 37.4, 37.1), (37.3, 37.7, 37.4)
    low, high = Paired((0, 1, 2), first, second, rounding=0.1).interval
    assert (low, high) == pytest.approx((0.2, 0.4))
    assert Paired((0, 1), first[:2], second[:2], rounding=0.1).interval is None
    wide = (37.0, 39.0, 37.1)
    assert Paired((0, 1, 2), first, wide, rounding=0.1).interval == Paired((0, 1, 2), first, wide).interval


def draw_boxes(folder, images: int = 12) -> tuple[dict, list[dict]]:
    """Ground truth of three classes, one of them a crowd, and detections near it and elsewhere."""
    generator = np.random.default_rng(0)
    truth = {
        'images': [{'id': 10 + i, 'width': 400, 'height': 300} for i in range(images)],
        'categories': [{'id': i, 'name': f'class {i}'} for i in (1, 2, 5)],
        'annotations': [],
    }
    found = []
    for image in truth['images']:
        for _ in range(generator.integers(0, 6)):
            x, y, w, h = (float(v) for v in generator.uniform((0, 0, 8, 8), (200, 100, 190, 190)))
            category = int(generator.choice([1, 2, 5]))
            number = len(truth['annotations']) + 1
            truth['annotations'].append(
                dict(id=number, image_id=image['id'], category_id=category, bbox=[x, y, w, h], area=w * h)
                | dict(iscrowd=int(generator.random() < 0.1))
            )
            shift = generator.normal(0, 0.12, 4) * [w, h, w, h]
            box = [x + shift[0], y + shift[1], w * np.exp(shift[2] / w), h * np.exp(shift[3] / h)]
            found.append(dict(image_id=image['id'], category_id=category, bbox=box, score=generator.random()))
        for _ in range(3):
            box = list(generator.uniform((0, 0, 8, 8), (200, 100, 190, 190)))
            category = int(generator.choice([1, 2, 5]))
            found.append(dict(image_id=image['id'], category_id=category, bbox=box, score=generator.random()))
    found = json.loads(json.dumps(found, default=float))
    (folder / 'truth.json').write_text(json.dumps(truth))
    return truth, found


def repeated(truth: dict, found: list[dict], counts: np.ndarray) -> tuple[dict, list[dict]]:
    """The set that has each image so many times."""
    copies = {'images': [], 'categories': truth['categories'], 'annotations': []}
    more = []
    for image, count in zip(truth['images'], counts, strict=True):
        for i in range(int(count)):
            number = 1000 * image['id'] + i
            copies['images'].append(image | {'id': number})
            own = [entry for entry in truth['annotations'] if entry['image_id'] == image['id']]
            for entry in own:
                copies['annotations'].append(entry | {'id': len(copies['annotations']) + 1, 'image_id': number})
            more += [entry | {'image_id': number} for entry in found if entry['image_id'] == image['id']]
    return copies, more


def by_pycocotools(truth: dict, found: list[dict], part: str) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(found), 'bbox')
        evaluator.params.maxDets = [1, 10, 1000]
        evaluator.evaluate()
        evaluator.accumulate()
    precision = evaluator.eval['precision']
    precision = precision[{'50': slice(0, 1), '75': slice(5, 6)}.get(part, slice(None))]
    precision = precision[..., {'s': 1, 'm': 2, 'l': 3}.get(part, 0), 2]
    return 100 * precision[precision > -1].mean()


@pytest.mark.parametrize('part', ['', '50', '75', 'm', 'l'])
def test_the_ap_of_drawn_images_is_pycocotools_of_a_set_that_has_them_so_often(tmp_path, part):
    truth, found = draw_boxes(tmp_path)
    metric, images = average_precision(found, tmp_path / 'truth.json', f'bbox_mAP_{part}'.rstrip('_'))
    assert images == [image['id'] for image in truth['images']]
    generator = np.random.default_rng(1)
    for counts in (np.ones(12), *generator.multinomial(12, np.full(12, 1 / 12), size=4)):
        assert metric(counts.astype(float)) == pytest.approx(
            by_pycocotools(*repeated(truth, found, counts), part), abs=1e-9
        )


@pytest.mark.parametrize('proposal_nums', [(100, 300, 1000), (1, 10, 100)])
def test_of_crowded_images_as_many_detections_count_as_in_mmdet(tmp_path, proposal_nums):
    generator = np.random.default_rng(0)
    corners = [(60.0 * x, 60.0 * y) for x in range(15) for y in range(10)]
    boxes = [dict(image_id=1, category_id=1, bbox=[x, y, 40.0, 40.0], iscrowd=0, area=1600.0) for x, y in corners]
    truth = dict(
        images=[dict(id=1, width=900, height=600, file_name='1.jpg')],
        categories=[dict(id=1, name='a')],
        annotations=[box | {'id': i} for i, box in enumerate(boxes, 1)],
    )
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    evaluator = CocoMetric(str(tmp_path / 'truth.json'), proposal_nums=proposal_nums)
    evaluator.dataset_meta = dict(classes=('a',))
    near = np.array(corners) + generator.normal(0, 2, (150, 2))
    scores = generator.random(150)
    of_mmdet = dict(img_id=1, bboxes=np.c_[near, near + 40], scores=scores, labels=np.zeros(150, int))
    found = [
        box | {'bbox': [*xy, 40.0, 40.0], 'score': float(s)} for box, xy, s in zip(boxes, near, scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        expected = evaluator.compute_metrics([(dict(img_id=1, width=900, height=600), of_mmdet)])
    for name in ('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_m'):
        metric, _ = average_precision(found, tmp_path / 'truth.json', name, proposal_nums=proposal_nums)
        assert metric(np.ones(1)) == pytest.approx(100 * expected[name], abs=0.05001)  # three digits


def test_classes_that_a_model_does_not_know_do_not_count(tmp_path):
    truth, found = draw_boxes(tmp_path)
    metric, images = average_precision(found, tmp_path / 'truth.json', 'bbox_mAP', ['class 2'])
    two = truth | {'categories': [{'id': 2, 'name': 'class 2'}]}
    two['annotations'] = [entry for entry in truth['annotations'] if entry['category_id'] == 2]
    expected = by_pycocotools(two, [entry for entry in found if entry['category_id'] == 2], '')
    assert metric(np.ones(len(images))) == pytest.approx(expected, abs=1e-9)


def test_the_spread_of_an_accuracy_over_images_is_the_binomial_one():
    generator = np.random.default_rng(0)
    right = generator.random((2, 900)) < [[0.7], [0.8]]
    networks = [
        accuracy([dict(file=f'{i:04}', truth='a', scores={'a' if hit else 'b': 1.0}) for i, hit in enumerate(hits)],
                 'accuracy/top1')[0]
        for hits in right
    ]  # fmt: skip
    drawn = bootstrap([tuple(networks)], images=900, draws=4000)
    difference = 100 * (right[1].astype(float) - right[0])
    assert drawn.mean() == pytest.approx(difference.mean(), abs=0.2)
    assert drawn.std() == pytest.approx(difference.std() / 30, rel=0.05)


def test_an_error_is_one_hundred_less_the_accuracy():
    entries = [dict(file=str(i), truth='a', scores={'b': 0.5, 'a': 0.3}) for i in range(3)]
    assert accuracy(entries, 'error/top1')[0](np.ones(3)) == 100
    assert accuracy(entries, 'error/top2')[0](np.ones(3)) == 0


def test_what_cannot_be_computed_image_by_image_is_refused(tmp_path):
    with pytest.raises(SeMmError, match='pascal_voc/mAP is not computed image by image'):
        average_precision([], tmp_path / 'none.json', 'pascal_voc/mAP')
    with pytest.raises(SeMmError, match='from these predictions'):
        accuracy([dict(file='a', scores={'a': 1.0})], 'accuracy/top1')
