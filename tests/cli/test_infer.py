"""tools/infer.py and its function: names in checkpoints and paths."""

from __future__ import annotations

import json

import mmcv
import numpy as np
import pytest
import torch
from support.commands import output, tool

import se_mm
from se_mm.apis.infer import infer
from se_mm.config.load import load_config
from se_mm.weights.files import read_checkpoint


@pytest.mark.parametrize('form', ['wrapped', 'mmdet 2.x', '3.0rc', 'bare'])
def test_checkpoints_of_other_forms_are_taken(form, trained, data, tmp_path):
    content = read_checkpoint(trained / 'epoch_1.pth')
    state, meta = content['state_dict'], content['meta']
    classes = list(meta['dataset_meta']['classes'])
    forms = {
        'wrapped': dict(state_dict={f'module.{name}': value for name, value in state.items()}, meta=meta),
        'mmdet 2.x': dict(state_dict=state, meta=dict(CLASSES=classes, mmdet_version='2.28.0')),
        '3.0rc': dict(state_dict=state, meta=dict(dataset_meta=dict(CLASSES=classes))),
        'bare': dict(state),
    }
    torch.save(forms[form], tmp_path / 'wrapped.pth')
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


def test_a_checkpoint_predicts_in_python_as_on_the_command_line(trained, data, tmp_path):
    picture = min((data / 'val').iterdir())
    output(tool('infer', trained / 'epoch_1.pth', picture, '--out', tmp_path / 'seen.json'))
    written = json.loads((tmp_path / 'seen.json').read_text())['annotations']
    model = se_mm.load(trained)  # the folder stands for its best checkpoint; there is one
    from_file, from_array = model.predict([picture, mmcv.imread(str(picture), channel_order='rgb')])
    assert len(written) == len(from_file['boxes']) > 0
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h in (entry['bbox'] for entry in written)])
    np.testing.assert_allclose(from_file['boxes'], corners, atol=1e-3)
    assert set(from_file['labels']) <= set(model.classes)
    np.testing.assert_array_equal(from_file['scores'], from_array['scores'])
