"""The drawn set: the same from the same seed, valid COCO, small."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from se_mm.datasets.prepare import shapes


def digest(root: Path) -> str:
    files = sorted(p for p in root.rglob('*') if p.is_file())
    return hashlib.sha256(b''.join(p.read_bytes() for p in files)).hexdigest()


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp('drawn')
    shapes.draw(root, 0)
    return root


def test_a_seed_draws_one_set(tmp_path, monkeypatch):
    monkeypatch.setattr(shapes, 'SPLITS', {'train': 20, 'val': 5})
    folders = [tmp_path / name for name in ('first', 'again', 'other')]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        shapes.draw(folder, seed)
    first, again, other = map(digest, folders)
    assert first == again != other


def test_it_takes_less_than_5_mb(drawn):
    assert sum(p.stat().st_size for p in drawn.rglob('*') if p.is_file()) < 5e6


def test_pycocotools_reads_it_and_every_class_comes_in_several_sizes_and_overlaps(drawn):
    coco = COCO(str(drawn / 'annotations' / 'train.json'))
    assert len(coco.getImgIds()) == shapes.SPLITS['train']
    overlapping = 0
    for category in coco.getCatIds():
        annotations = coco.loadAnns(coco.getAnnIds(catIds=[category]))
        areas = np.array([a['bbox'][2] * a['bbox'][3] for a in annotations])
        assert (areas < 28**2).sum() > 50
        assert (areas > 40**2).sum() > 50
    for image in coco.loadImgs(coco.getImgIds()):
        boxes = np.array([a['bbox'] for a in coco.loadAnns(coco.getAnnIds(imgIds=[image['id']]))])
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= shapes.SIDE).all()
        low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        both = (np.minimum(high[:, None], high) > np.maximum(low[:, None], low)).all(-1)
        overlapping += both.sum() > len(boxes)
    assert overlapping > 100


def test_the_config_has_the_classes_of_the_set():
    from support.helpers import REPOSITORY

    from se_mm.config.load import load_config

    for split in ('train', 'val'):
        cfg = load_config(str(REPOSITORY / 'configs/demo/faster_rcnn_se_r18_shapes.py'))
        assert cfg[f'{split}_dataloader'].dataset.metainfo.classes == shapes.CLASSES


def test_the_annotations_are_the_shapes_that_are_seen(drawn):
    content = json.loads((drawn / 'annotations' / 'val.json').read_text())
    counts = np.bincount([a['image_id'] for a in content['annotations']])[1:]
    assert counts.min() >= 1
    assert counts.max() <= 6
