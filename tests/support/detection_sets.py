"""The same few annotated images as a COCO and as a Pascal VOC data set."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from .formats import Sample, write_voc_xml

#: x1, y1, x2, y2 of two boxes in each image (width, height).
SIZES = [(120, 80), (64, 100), (200, 50)]
BOXES = [[(10, 20, 70, 60), (80, 5, 110, 30)], [(5, 7, 40, 90), (41, 50, 60, 60)], [(100, 10, 190, 40), (3, 3, 30, 45)]]
CLASSES = ('cat', 'dog')


def write_images(folder: Path, suffix: str) -> None:
    folder.mkdir(parents=True)
    for i, (width, height) in enumerate(SIZES):
        cv2.imwrite(str(folder / f'{i}.{suffix}'), np.full((height, width, 3), 30, np.uint8))


def coco(root: Path, pipeline: list[dict], with_masks: bool = False) -> dict:
    write_images(root / 'images', 'png')
    images = [{'id': 7 * i, 'file_name': f'{i}.png', 'width': w, 'height': h} for i, (w, h) in enumerate(SIZES)]
    annotations = []
    for i, boxes in enumerate(BOXES):
        for label, (x1, y1, x2, y2) in enumerate(boxes):
            entry = {'image_id': 7 * i, 'category_id': label + 3, 'iscrowd': 0, 'area': (x2 - x1) * (y2 - y1)}
            entry |= {'id': len(annotations) + 1, 'bbox': [x1, y1, x2 - x1, y2 - y1]}
            if with_masks:
                entry['segmentation'] = [[x1, y1, x2, y1, x2, y2, x1, y2]]
            annotations.append(entry)
    categories = [{'id': i + 3, 'name': name} for i, name in enumerate(CLASSES)]
    (root / 'all.json').write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    names = dict(ann_file='all.json', data_prefix=dict(img='images/'), metainfo=dict(classes=CLASSES))
    return dict(type='CocoDataset', data_root=str(root), test_mode=True, pipeline=pipeline, **names)


def voc(root: Path, pipeline: list[dict]) -> dict:
    write_images(root / 'JPEGImages', 'jpg')
    for i, ((width, height), boxes) in enumerate(zip(SIZES, BOXES, strict=True)):
        sample = Sample(f'{i}.jpg', width, height, list(zip(CLASSES, boxes, strict=True)))
        write_voc_xml(root / f'Annotations/{i}.xml', sample)
    (root / 'list.txt').write_text('\n'.join(str(i) for i in range(len(SIZES))))
    names = dict(ann_file='list.txt', data_prefix=dict(sub_data_root=''), metainfo=dict(classes=CLASSES))
    return dict(type='XMLDataset', data_root=str(root), test_mode=True, pipeline=pipeline, **names)
