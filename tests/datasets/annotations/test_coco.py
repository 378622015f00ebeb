"""COCO files of every odd kind: read right, or taken out entry by entry, or refused."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from se_mm import SeMmError
from se_mm.datasets.annotations import checks, coco


class Inspected(NamedTuple):
    content: dict
    mended: bool
    taken_out: list
    left_out: list
    usable: int


IMAGES = [{'id': i, 'file_name': f'{i}.jpg', 'width': 80, 'height': 60} for i in (1, 2)]
GOOD = {'id': 7, 'image_id': 1, 'category_id': 3, 'bbox': [1, 2, 30, 20], 'area': 600, 'iscrowd': 0}


WANTED = ['cell']


def inspected(*annotations, images=IMAGES) -> Inspected:
    content = {'images': images, 'annotations': list(annotations), 'categories': [{'id': 3, 'name': 'cell'}]}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'a.json')
        file.write_text(json.dumps(content))
        return inspect(file)


def inspect(file: Path) -> Inspected:
    """The steps of the check before a training that look at objects."""
    reading = coco.read(file)
    coco.drop_groupings(reading, WANTED)
    places = {name: i for i, name in enumerate(WANTED)}
    labels = np.array([*(places.get(name, -1) for name in reading.records.classes), -1])
    records = reading.records
    kept = [records.classes.index(name) for name in WANTED if name in records.classes]
    records.label, records.classes = labels[records.label], WANTED[: len(kept)]
    records.class_ids = [records.class_ids[i] for i in kept]
    records.keep_pictures(records.sizes.all(1))
    found = [*reading.findings, *checks.leave_out(records, checks.MISREAD)]
    unused = dict(checks.hits(records, checks.UNUSED))
    used = len(records.masks) - sum(int(hit.sum()) for hit in unused.values())
    left_out = [check.what for check, hit in unused.items() for _ in range(hit.sum())]
    taken_out = [(name, f.what) for f in found if f.outcome == 'left out' for name in f.where]
    records.keep_objects((records.picture >= 0) & (records.label >= 0))
    return Inspected(coco.content_of(records, ''), any(f.outcome != 'kept' for f in found), taken_out, left_out, used)


TAKEN_OUT = [
    ({'bbox': [1, 2, math.nan, 4]}, 'with a box that is not four finite numbers'),
    ({'bbox': [1, math.inf, 3, 4]}, 'with a box that is not four finite numbers'),
    ({'bbox': [1, 2, 3]}, 'with a box that is not four finite numbers'),
    ({'bbox': [1, 2, 3, 'x']}, 'with a box that is not four finite numbers'),
    ({'bbox': None}, 'with a box that is not four finite numbers'),
    ({'bbox': [30, 20, -10, -10]}, 'with an inverted box'),
    ({'image_id': None}, 'without image_id'),
    ({'category_id': [3]}, 'without category_id'),
]
LEFT_OUT = [
    ({'bbox': [1, 2, 0, 20], 'area': 0}, 'with a side below one pixel'),
    ({'bbox': [1, 2, 30, 0.5]}, 'with a side below one pixel'),
    ({'bbox': [100, 2, 30, 20]}, 'outside of the image'),
    ({'bbox': [-40, 2, 30, 20]}, 'outside of the image'),
    ({'category_id': 99}, checks.UNKNOWN_CLASS.what),
    ({'image_id': 99}, checks.UNKNOWN_IMAGE.what),
    ({'iscrowd': 1}, checks.IGNORED.what),
]


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        pytest.param(*c, marks=pytest.mark.fault(f'an annotation {c[1]}'.rstrip(' .*'), 'taken out by name'))
        for c in TAKEN_OUT
    ],
)
def test_what_would_be_read_wrong_is_taken_out(change, reason):
    import re

    found = inspected(GOOD, {**GOOD, 'id': 8, **change})
    assert found.mended
    assert [entry['id'] for entry in found.content['annotations']] == [7]
    [(name, why)] = found.taken_out
    assert name.startswith('annotation 8 of ')
    assert re.fullmatch(reason, why)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [pytest.param(*c, marks=pytest.mark.fault(f'an annotation {c[1]}', 'not trained on, counted')) for c in LEFT_OUT],
)
def test_what_mmdet_leaves_out_is_counted(change, reason, tmp_path):
    odd = {**GOOD, 'id': 8, **change}
    found = inspected(GOOD, odd)
    assert not found.mended
    assert found.left_out == [reason]
    assert found.usable == 1 == trained_by_mmdet([GOOD, odd], tmp_path)


def trained_by_mmdet(annotations, folder, images=IMAGES) -> int:
    """How many boxes mmdet's own data set trains on."""
    from mmdet.datasets import CocoDataset

    file = folder / 'a.json'
    file.write_text(
        json.dumps({'images': images, 'annotations': annotations, 'categories': [{'id': 3, 'name': 'cell'}]})
    )
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = CocoDataset(
            ann_file=str(file),
            data_prefix=dict(img=''),
            metainfo=dict(classes=('cell',)),
            serialize_data=False,
            pipeline=[],
            test_mode=True,
        )
    return sum(not box['ignore_flag'] for info in dataset.data_list for box in info['instances'])


@pytest.mark.fault('two annotations with one id', 'both are kept, one with a new id')
def test_an_id_that_two_annotations_share(tmp_path):
    other = {**GOOD, 'image_id': 2, 'bbox': [5, 5, 9, 9], 'area': 81}
    found = inspected(GOOD, other)
    assert [a['bbox'] for a in found.content['annotations']] == [GOOD['bbox'], other['bbox']]
    assert len({a['id'] for a in found.content['annotations']}) == 2
    file = tmp_path / 'a.json'
    file.write_text(json.dumps(found.content))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    assert [coco.loadAnns(coco.getAnnIds(i))[0]['bbox'] for i in (1, 2)] == [GOOD['bbox'], other['bbox']]


@pytest.mark.fault('an annotation without area', 'the area of the box')
def test_a_missing_area():
    without = {key: value for key, value in GOOD.items() if key != 'area'}
    assert inspected(without).content['annotations'] == [GOOD]


def test_pycocotools_finds_what_it_reads_of_each_annotation():
    without = {key: value for key, value in GOOD.items() if key != 'iscrowd'}
    assert inspected(without).content['annotations'] == [GOOD]


@pytest.mark.fault('two different images with one id', 'both are taken out with their boxes, by name')
def test_an_id_that_two_images_share():
    images = [IMAGES[0], {**IMAGES[1], 'id': 1}, {**IMAGES[1], 'id': 5, 'file_name': '5.jpg'}]
    found = inspected(GOOD, {**GOOD, 'id': 8, 'image_id': 5}, images=images)
    assert [image['id'] for image in found.content['images']] == [5]
    assert [a['id'] for a in found.content['annotations']] == [8]
    assert {name for name, _ in found.taken_out} == {'image 1.jpg', 'image 2.jpg', 'annotation 7 of image 1'}


@pytest.mark.fault('one image listed twice', 'once')
def test_an_image_that_is_listed_twice():
    found = inspected(GOOD, images=[IMAGES[0], IMAGES[0], IMAGES[1]])
    assert [image['id'] for image in found.content['images']] == [1, 2]
    assert found.mended
    assert not found.taken_out


@pytest.mark.parametrize('size', [0, -5, math.nan, None, 'x'])
@pytest.mark.fault('an image without a size', 'that of the file; taken out with its boxes where it cannot be read')
def test_an_image_of_no_size(size):
    found = inspected(GOOD, {**GOOD, 'id': 8, 'image_id': 2}, images=[{**IMAGES[0], 'width': size}, IMAGES[1]])
    assert [image['id'] for image in found.content['images']] == [2]
    assert [a['id'] for a in found.content['annotations']] == [8]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'categories': [{'id': 1, 'name': 'a'}, {'id': 1, 'name': 'b'}]}, '1 categories share the id 1'),
        ({'categories': [{'id': 1, 'name': 'a'}, {'id': 2, 'name': 'a'}]}, "1 categories share the name 'a'"),
        ({'categories': [{'id': 1, 'name': None}]}, 'the name of category 1 is None'),
        ({'images': [{**IMAGES[0], 'id': [1]}]}, r'the id of images\[0\] is \[1\]'),
        ({'images': [{'id': 1}]}, r'images\[0\] lacks file_name'),
        ({'images': 3}, "it has no list 'images'"),
    ],
)
@pytest.mark.fault('a COCO file whose lists or categories are not right', 'refused with the entry, status 2')
def test_refused(tmp_path, change, message):
    content = {'images': IMAGES, 'annotations': [GOOD], 'categories': [{'id': 3, 'name': 'cell'}], **change}
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(SeMmError, match=message):
        coco.drop_groupings(coco.read(tmp_path / 'a.json'))


# Fuzz: whatever stands in the file, it is refused, or what is left is what pycocotools and mmdet read.

numbers = st.one_of(st.integers(-5, 90), st.floats(-1e3, 1e3), st.just(math.nan), st.just(math.inf), st.just(10**400))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
ids = st.one_of(st.integers(0, 3), st.integers(0, 3), anything)
boxes = st.one_of(st.lists(numbers, min_size=4, max_size=4), st.just([1, 2, 30, 20]), anything)


def entries(required: dict, optional: dict):
    return st.one_of(st.fixed_dictionaries(required, optional=optional), st.fixed_dictionaries({}, optional=required))


image_entries = entries(
    dict(id=ids, file_name=st.one_of(st.sampled_from(['a.jpg', 'b.jpg']), anything), width=numbers, height=numbers), {}
)
annotation_entries = st.one_of(
    entries(
        dict(image_id=ids, category_id=ids, bbox=boxes),
        dict(id=ids, area=st.one_of(numbers, anything), iscrowd=st.integers(0, 1), ignore=st.booleans()),
    ),
    anything,
)
category_entries = entries(dict(id=ids, name=st.one_of(st.sampled_from(['cell', 'b']), anything)), {})
files = st.one_of(
    st.fixed_dictionaries(
        dict(
            images=st.lists(image_entries, max_size=4),
            annotations=st.lists(annotation_entries, max_size=6),
            categories=st.one_of(
                st.just([{'id': 3, 'name': 'cell'}]), st.lists(category_entries, max_size=3), anything
            ),
        )
    ),
    anything,
)


NUMBERS = itertools.count()


@settings(max_examples=300, deadline=None)
@given(content=files)
@pytest.mark.fault(
    'any JSON in the place of the annotations (hypothesis)', 'refused, or read as pycocotools reads the rest'
)
def test_any_json(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    file = folder / f'{next(NUMBERS)}.json'
    file.write_text(json.dumps(content))
    try:
        found = inspect(file)
    except SeMmError:
        return
    file.write_text(json.dumps(found.content))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
    per_image = sum(len(coco.getAnnIds(imgIds=[i])) for i in coco.getImgIds())
    kept = found.content['annotations']
    assert per_image == sum(a['image_id'] in coco.imgs for a in kept)
    assert np.isfinite([a['bbox'] for a in kept]).all()
    names = [category['name'] for category in found.content['categories']]
    if names == ['cell'] and found.content['categories'][0]['id'] == 3:
        assert found.usable == trained_by_mmdet(kept, folder, found.content['images'])
