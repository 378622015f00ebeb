"""Annotations that a training cannot use are refused before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.formats import Sample, pictures_into
from support.small import DEMO, draw_shapes

from se_mm import SeMmError
from se_mm.datasets.own_data import config_with_data
from se_mm.datasets.prepare.scenes import prepare_scenes
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
        (absent_images, 'names 8 images, of which 8 are not in .*: gone_0.jpg, gone_1.jpg, gone_2.jpg and 5 more'),
    ],
)
def test_preflight_refuses_annotations(data, tmp_path, change, message):
    cfg = config_with_data(DEMO, data_root=str(broken(data, tmp_path, change)))
    with pytest.raises(SeMmError, match=message):
        preflight.check(cfg, ('train', 'val'))


def written(data: Path, folder: Path, encoding: str, ids) -> Path:
    """A copy of the data in another encoding, the annotations with other ids."""

    def change(content):
        return {**content, 'annotations': [{**a, 'id': ids(i)} for i, a in enumerate(content['annotations'])]}

    root = broken(data, folder, lambda content: content)
    for file in (root / 'annotations').iterdir():
        file.write_bytes(json.dumps(change(json.loads(file.read_text()))).encode(encoding))
    return root


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_coco_in_other_encodings_is_read_from_a_copy(data, tmp_path, encoding):
    from pycocotools.coco import COCO

    cfg = config_with_data(DEMO, data_root=str(written(data, tmp_path, encoding, lambda i: i + 1)))
    cfg.work_dir = str(tmp_path / 'work')
    preflight.check(cfg, ('train', 'val'))
    for split in ('train', 'val'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert COCO(str(Path(dataset.data_root) / dataset.ann_file)).imgs
    assert cfg.val_evaluator.ann_file == cfg.val_dataloader.dataset.ann_file


@pytest.mark.parametrize('ids', [lambda i: i, str, 'a{}'.format])
def test_perfect_predictions_have_map_1_whatever_the_ids(data, tmp_path, ids):
    import numpy as np
    import torch
    from mmdet.evaluation import CocoMetric

    cfg = config_with_data(DEMO, data_root=str(written(data, tmp_path, 'utf-8', ids)))
    cfg.work_dir = str(tmp_path / 'work')
    preflight.check(cfg, ('val',))
    content = json.loads(Path(cfg.val_evaluator.ann_file).read_text())
    metric = CocoMetric(ann_file=cfg.val_evaluator.ann_file, metric='bbox')
    metric.dataset_meta = {'classes': tuple(category['name'] for category in content['categories'])}
    labels = {category['id']: i for i, category in enumerate(content['categories'])}
    for image in content['images']:
        own = [a for a in content['annotations'] if a['image_id'] == image['id']]
        x, y, w, h = np.array([a['bbox'] for a in own], dtype=float).T
        found = dict(
            bboxes=torch.tensor(np.stack([x, y, x + w, y + h], 1)),
            scores=torch.linspace(0.5, 0.9, len(own)),
            labels=torch.tensor([labels[a['category_id']] for a in own]),
        )
        size = (image['height'], image['width'])
        metric.process({}, [dict(img_id=image['id'], ori_shape=size, pred_instances=found)])
    assert metric.evaluate(len(content['images']))['coco/bbox_mAP'] == pytest.approx(1)


def test_pictures_that_are_too_small_to_train_on_are_named(data, tmp_path, capsys):
    cfg = config_with_data(DEMO, data_root=str(data))
    cfg.work_dir = str(tmp_path)
    cfg.train_dataloader.dataset.filter_cfg = dict(min_size=1000)
    with pytest.raises(SeMmError, match='nothing is left after filtering'):
        preflight.check(cfg, ('train',))
    cfg.train_dataloader.dataset.filter_cfg = dict(min_size=100)
    sizes = {
        i['file_name']: min(i['width'], i['height'])
        for i in json.loads((data / 'annotations/train.json').read_text())['images']
    }
    preflight.check(cfg, ('train',))
    said = capsys.readouterr().out
    assert ('with a side below 100 pixels' in said) == any(side < 100 for side in sizes.values())


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (['forest', 'beach'], 'are not those of the config .* in the same order'),
        (['beach'], 'are not those of the config'),
        (['beach', 'forest'], None),
    ],
)
def test_lists_of_scenes_are_numbered_as_the_config_names_them(tmp_path, classes, message):
    for name in ('beach', 'forest'):
        pictures_into(tmp_path / name, [Sample(f'{i}.png', 32, 24, []) for i in range(4)])
    prepare_scenes(tmp_path)
    cfg = config_with_data('se_mm::demo/se_resnet18_scenes.py', data_root=str(tmp_path), classes=classes)
    cfg.work_dir = str(tmp_path / 'work')
    if message is None:
        preflight.check(cfg, ('train', 'val'))
    else:
        with pytest.raises(SeMmError, match=message):
            preflight.check(cfg, ('train', 'val'))
        (tmp_path / 'meta/classes.txt').unlink()
    if len(classes) == 1:
        with pytest.raises(SeMmError, match='has the label 1, and the config names 1 classes'):
            preflight.check(cfg, ('train', 'val'))
