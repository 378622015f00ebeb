"""tools/infer.py: pictures and predictions."""

from __future__ import annotations

import json

from support.commands import tool

from se_mm.datasets.prepare import shapes


def test_infer_writes_pictures_and_coco_json(trained, data, tmp_path):
    config = trained / 'faster_rcnn_se_r18_shapes.py'  # the runner's own copy, with the options in it
    done = tool('infer', config, trained / 'epoch_1.pth', data / 'val', '--out', tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    content = json.loads((tmp_path / 'predictions.json').read_text())
    assert [c['name'] for c in content['categories']] == list(shapes.CLASSES)
    assert len(content['images']) == 4
    assert len(list((tmp_path / 'vis').iterdir())) == 4
