"""Annotations that a training cannot use are refused before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.small import DEMO, draw_shapes

from se_mm import SeMmError
from se_mm.config.load import load_config
from se_mm.datasets.validation import preflight


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp('shapes'), train=8, val=4)


def broken(data: Path, folder: Path, change) -> Path:
    """A copy of the data whose training annotations went through ``change``."""
    root = folder / 'data'
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val'):
        (root / split).symlink_to(data / split)
        content = json.loads((data / 'annotations' / f'{split}.json').read_text())
        if split == 'train':
            content = change(content)
        text = content if isinstance(content, str) else json.dumps(content)
        (root / 'annotations' / f'{split}.json').write_text(text)
    return root


def without_boxes(content):
    return {**content, 'annotations': []}


def degenerate_boxes(content):
    return {**content, 'annotations': [{**a, 'bbox': [1, 1, 0, 5]} for a in content['annotations']]}


def other_classes(content):
    return {**content, 'categories': [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}, {'id': 3, 'name': 'cow'}]}


def other_order(content):
    return {**content, 'categories': content['categories'][::-1]}


def absent_images(content):
    images = [{**image, 'file_name': f'gone_{i}.jpg'} for i, image in enumerate(content['images'])]
    return {**content, 'images': images}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: 'not json {', 'is not JSON'),
        (lambda c: [1, 2], 'is not COCO JSON'),
        (lambda c: {'images': []}, "is not COCO JSON: it has no list 'annotations'"),
        (without_boxes, 'has no usable box: no annotations at all'),
        (degenerate_boxes, 'has no usable box: .* with a side below one pixel'),
        (other_classes, "config's classes disc, box, triangle are not among its 3 categories .cat, dog, cow"),
        (other_order, 'stand in another order .* name them in its order: --classes triangle box disc'),
        (absent_images, 'names 8 images, of which 8 are not in .*: gone_0.jpg, gone_1.jpg, gone_2.jpg and 5 more'),
    ],
)
def test_preflight_refuses_annotations(data, tmp_path, change, message):
    cfg = load_config(DEMO, data_root=str(broken(data, tmp_path, change)))
    with pytest.raises(SeMmError, match=message):
        preflight.check(cfg, ('train', 'val'))
