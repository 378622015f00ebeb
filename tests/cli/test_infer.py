"""tools/infer.py: pictures and predictions."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import torch
from support.commands import output, tool

from se_mm.apis.infer import infer
from se_mm.config.load import load_config
from se_mm.datasets.prepare import shapes
from se_mm.weights.files import read_checkpoint


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


def test_a_picture_that_no_resizing_fits_is_named_and_the_others_are_predicted(trained, data, tmp_path):
    cv2.imwrite(str(tmp_path / 'thin.png'), np.zeros((2, 3000, 3), np.uint8))
    given = (tmp_path / 'thin.png', min((data / 'val').iterdir()))
    config = trained / 'faster_rcnn_se_r18_shapes.py'
    done = tool('infer', config, trained / 'epoch_1.pth', *given, '--out', tmp_path / 'out')
    assert done.returncode == 1
    assert f'skipped: image {given[0]} of 2x3000 cannot be prepared' in done.stderr
    (entry,) = json.loads((tmp_path / 'out' / 'predictions.json').read_text())['images']
    assert entry['file_name'] == str(given[1])


def test_names_of_wrappers_are_no_matter(trained, data, tmp_path):
    content = read_checkpoint(trained / 'epoch_1.pth')
    content['state_dict'] = {f'module.{name}': value for name, value in content['state_dict'].items()}
    torch.save({key: content[key] for key in ('state_dict', 'meta')}, tmp_path / 'wrapped.pth')
    config, picture = trained / 'faster_rcnn_se_r18_shapes.py', min((data / 'val').iterdir())
    for checkpoint, out in ((tmp_path / 'wrapped.pth', 'ours.json'), (trained / 'epoch_1.pth', 'theirs.json')):
        output(tool('infer', config, checkpoint, picture, '--out', tmp_path / out))
    assert (tmp_path / 'ours.json').read_text() == (tmp_path / 'theirs.json').read_text()


def test_paths_are_taken_as_they_are_given(trained, data, tmp_path, monkeypatch):
    monkeypatch.chdir(data / 'val')
    first, second = sorted((data / 'val').iterdir())[:2]
    cfg = load_config(str(trained / 'faster_rcnn_se_r18_shapes.py'))
    done = infer(cfg, str(trained / 'epoch_1.pth'), [f'./{first.name}', second], str(tmp_path))
    assert {path.name for path in done.pictures.iterdir()} == {first.name, second.name}
    assert [entry['file_name'] for entry in json.loads(done.file.read_text())['images']] == [
        f'./{first.name}',
        str(second),
    ]
