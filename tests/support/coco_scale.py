"""The check before a training at COCO's size, against mmdet's ``CocoDataset.full_init`` alone.

``python tests/support/coco_scale.py FOLDER [ROUNDS]`` draws a set of 118,287 pictures and 860,001 objects with
polygons into the folder (once), measures in fresh processes in turn, and prints the least seconds of
the processor and the least peak of memory of each beside those of mmdet.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

IMAGES, OBJECTS, SIZE = 118_287, 860_001, (640, 480)
CONFIG = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
CASES = {
    'mmdet': 'CocoDataset.full_init alone',
    'check': 'first check',
    'first': 'first start: config, check, full_init',
    'again': 'repeated start: config, check, full_init',
}


def draw(root: Path) -> None:
    """COCO's number of pictures (hard links to a few), categories, objects and points of their polygons."""
    import numpy as np
    from mmdet.datasets import CocoDataset
    from PIL import Image

    generator = np.random.default_rng(0)
    (root / 'annotations').mkdir(parents=True)
    names = CocoDataset.METAINFO['classes']
    categories = [{'id': i + 1 + i // 8, 'name': name, 'supercategory': 'thing'} for i, name in enumerate(names)]
    for split, images, objects in (('train2017', IMAGES, OBJECTS), ('val2017', 500, 3600)):
        folder = root / split
        folder.mkdir()
        for i in range(images):
            if i % 20_000 == 0:
                source = folder / f'{i:012d}.jpg'
                Image.new('RGB', SIZE).save(source)
            else:
                os.link(source, folder / f'{i:012d}.jpg')
        owners = np.sort(generator.integers(0, images, objects)).tolist()
        labels = generator.integers(0, len(names), objects).tolist()
        points = generator.integers(8, 36, objects).tolist()
        corners = generator.uniform(0, 300, (objects, 4)).round(2)
        with (root / f'annotations/instances_{split}.json').open('w') as stream:
            entries = [
                {
                    'license': 3,
                    'file_name': f'{i:012d}.jpg',
                    'coco_url': f'http://images.cocodataset.org/{split}/{i:012d}.jpg',
                    'height': SIZE[1],
                    'width': SIZE[0],
                    'date_captured': '2013-11-14 17:02:52',
                    'id': i,
                }
                for i in range(images)
            ]
            stream.write(f'{{"images": {json.dumps(entries)}, "categories": {json.dumps(categories)}, "annotations": [')
            for i in range(objects):
                x, y, width, height = corners[i].tolist()
                outline = generator.uniform(0, 1, (points[i], 2)) * (width + 2, height + 2) + (x, y)
                annotation = {
                    'segmentation': [outline.round(2).ravel().tolist()],
                    'area': width * height,
                    'iscrowd': 0,
                    'image_id': owners[i],
                    'bbox': [x, y, width + 2, height + 2],
                    'category_id': categories[labels[i]]['id'],
                    'id': i + 1,
                }
                stream.write(f'{", " * (i > 0)}{json.dumps(annotation)}')
            stream.write(']}')


def measured(case: str, root: Path) -> None:
    """Runs a case in this process and prints its seconds and MiB."""
    from mmdet.datasets import CocoDataset
    from mmengine.registry import DATASETS, init_default_scope

    from se_mm.datasets.own_data import config_with_data
    from se_mm.datasets.validation import preflight

    init_default_scope('mmdet')
    DATASETS.get('CocoDataset')
    begin = time.process_time()  # the machine may be shared
    if case == 'mmdet':
        CocoDataset(
            data_root=str(root),
            ann_file='annotations/instances_train2017.json',
            data_prefix=dict(img='train2017/'),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=[],
        )
    else:
        cfg = config_with_data(CONFIG, data_root=str(root), classes=None if case == 'check' else [])
        cfg.work_dir = str(root / 'work')
        preflight.check(cfg, ('train',))
        if case != 'check':
            DATASETS.build({**cfg.train_dataloader.dataset, 'pipeline': []})
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'MEASURED {time.process_time() - begin} {memory}')


def main(root: Path, rounds: int) -> None:
    if not root.exists():
        draw(root)
    figures: dict[str, list[list[float]]] = {case: [] for case in CASES}
    for i in range(rounds):
        for case, results in figures.items():
            cache = root / ('kept' if case == 'again' else f'cache_{case}_{i}_{os.getpid()}')
            if case == 'again' and i == 0:
                subprocess.run([sys.executable, __file__, '--case', case, root], env=environment(cache), check=True)
            command = [sys.executable, __file__, '--case', case, str(root)]
            done = subprocess.run(command, env=environment(cache), capture_output=True, text=True, check=True)
            results.append([float(word) for word in done.stdout.split('MEASURED')[1].split()])
            print(f'{case}: {results[-1][0]:.1f} s, {results[-1][1]:.0f} MiB', file=sys.stderr)
    least, most = (min(f[0] for f in figures['mmdet']), min(f[1] for f in figures['mmdet']))
    print('| | seconds | of mmdet | peak MiB | of mmdet |\n| --- | --- | --- | --- | --- |')
    for case, results in figures.items():
        seconds, memory = min(r[0] for r in results), min(r[1] for r in results)
        print(f'| {CASES[case]} | {seconds:.1f} | {seconds / least:.2f} | {memory:.0f} | {memory / most:.2f} |')


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, 'XDG_CACHE_HOME': str(cache)}


if __name__ == '__main__':
    if sys.argv[1] == '--case':
        measured(sys.argv[2], Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
