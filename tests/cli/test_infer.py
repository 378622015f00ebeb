"""tools/infer.py: pictures and predictions."""

from __future__ import annotations

import json
import shutil

from support.commands import tool

from se_mm.datasets.prepare import shapes


def test_infer_writes_pictures_and_coco_json(trained, data, tmp_path):
    config = trained / 'faster_rcnn_se_r18_shapes.py'  # the runner's own copy, with the options in it
    (tmp_path / 'given').mkdir()
    for i, file in enumerate(sorted((data / 'val').iterdir())):  # one has a name that OpenCV does not write
        shutil.copy(file, tmp_path / 'given' / f'{i}{".jfif" if i == 0 else file.suffix}')
    given = (tmp_path / 'given', tmp_path / 'given' / '0.jfif')
    done = tool('infer', config, trained / 'epoch_1.pth', *given, '--out', tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    content = json.loads((tmp_path / 'predictions.json').read_text())
    assert [c['name'] for c in content['categories']] == list(shapes.CLASSES)
    assert len(content['images']) == 4
    assert len(list((tmp_path / 'vis').iterdir())) == 4
