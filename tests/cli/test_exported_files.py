"""tools/export.py, and the other tools with what it writes."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from support.commands import CAN_FORK, output, tool
from support.helpers import REPOSITORY

from se_mm.export import writing
from se_mm.export.parity import box_ious

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

#: One epoch finds little: what it finds at all is compared.
OPTIONS = ('--cfg-options', 'model.test_cfg.rcnn.score_thr=0.02')


@pytest.fixture(scope='module')
def given(trained, data):
    return trained / 'faster_rcnn_se_r18_shapes.py', trained / 'epoch_1.pth', '--data-root', data


@pytest.fixture(scope='module')
def exported(given, tmp_path_factory):
    folder = tmp_path_factory.mktemp('exported')
    said = output(tool('export', *given, '-o', folder, '--validate', *OPTIONS))
    assert 'in 3 sizes (96x96, 128x128, 160x160)' in said
    assert 'least IoU' in said
    assert 'coco/bbox_mAP' in said
    assert [path.name for path in folder.iterdir()] == ['faster_rcnn_se_r18_shapes.onnx']
    return folder / 'faster_rcnn_se_r18_shapes.onnx'


def results(path):
    content = json.loads(path.read_text())
    return content['annotations'] if isinstance(content, dict) else content


def assert_same(ours, theirs):
    assert len(ours) == len(theirs) > 20
    for a, b in zip(ours, theirs, strict=True):
        assert (a['image_id'], a['category_id']) == (b['image_id'], b['category_id'])
        assert abs(a['score'] - b['score']) <= 1e-3
        boxes = [np.array([[x, y, x + w, y + h]]) for x, y, w, h in (a['bbox'], b['bbox'])]
        assert box_ious(*boxes)[0, 0] >= 0.99


def test_the_file_describes_itself(exported):
    model = onnx.load(str(exported))
    entries = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert entries['classes'] == ['disc', 'box', 'triangle']
    assert entries['thresholds'] == {'score': 0.02, 'iou': 0.5, 'max_per_image': 100}
    assert entries['resizing'][0]['resize'] == [128, 128]
    assert 0 <= entries['metric']['coco/bbox_mAP'] <= 1
    assert len(entries['config_sha256']) == len(entries['checkpoint_sha256']) == 64
    assert entries['compared']
    assert model.opset_import[0].version >= 18
    kinds = {node.op_type for node in model.graph.node}
    assert {'NonMaxSuppression', 'RoiAlign'} <= kinds
    assert {node.domain for node in model.graph.node} == {''}
    assert str(REPOSITORY).encode() not in exported.read_bytes()


def test_testing_the_file_is_testing_the_checkpoint(exported, given, data, tmp_path):
    config, checkpoint, *root = given
    for name, order in (('ours', (exported, config)), ('theirs', (config, checkpoint))):
        args = (*order, *root, '--work-dir', tmp_path, '--out', tmp_path / f'{name}.json')
        output(tool('test', *args, '--sheet', tmp_path / f'{name}.png', *OPTIONS))
        assert cv2.imread(str(tmp_path / f'{name}.png')).std() > 5
    assert_same(results(tmp_path / 'ours.json'), results(tmp_path / 'theirs.json'))


def test_inference_needs_no_config(exported, given, data, tmp_path):
    output(tool('infer', exported, data / 'val', '--out', tmp_path / 'ours'))
    output(tool('infer', *given[:2], data / 'val', '--out', tmp_path / 'theirs', *OPTIONS))
    ours, theirs = (results(tmp_path / name / 'predictions.json') for name in ('ours', 'theirs'))
    assert_same(ours, theirs)
    assert len(list((tmp_path / 'ours' / 'vis').iterdir())) == 4
    cv2.imwrite(str(tmp_path / 'thin.png'), np.zeros((20, 300, 3), np.uint8))
    done = tool('infer', exported, tmp_path / 'thin.png', data / 'val', '--out', tmp_path / 'more.json')
    assert done.returncode == 1
    assert 'thin.png of 20x300 cannot be prepared: it becomes 9x128, and the file takes 65 and more' in done.stderr
    assert_same(results(tmp_path / 'more.json'), ours)


def test_the_example_needs_neither_torch_nor_se_mm(exported, data, tmp_path):
    picture = min((data / 'val').iterdir())
    script = REPOSITORY / 'examples' / 'onnx_inference.py'
    blocked = f'import sys; sys.modules.update(torch=None, se_mm=None, mmdet=None); sys.argv[0] = {str(script)!r}; '
    run = f'{blocked}exec(compile(open(sys.argv[0]).read(), sys.argv[0], "exec"))'
    args = [sys.executable, '-c', run, str(exported), str(picture), str(tmp_path / 'seen.png')]
    done = subprocess.run(args, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    output(tool('infer', exported, picture, '--out', tmp_path / 'ours.json'))
    confident = [entry for entry in results(tmp_path / 'ours.json') if entry['score'] > 0.3]
    assert len(done.stdout.splitlines()) == len(confident)
    assert cv2.imread(str(tmp_path / 'seen.png')).shape == cv2.imread(str(picture)).shape


@pytest.mark.skipif(not CAN_FORK, reason='the command runs in a fork, which has the patched operator')
def test_a_file_that_disagrees_is_refused_and_leaves_nothing(exported, given, tmp_path, monkeypatch):
    def write_another_operator(program, form, path):
        model = onnx.load(str(exported))
        for node in model.graph.node:
            if node.op_type == 'RoiAlign':  # pixels at whole coordinates rather than at half ones
                next(a for a in node.attribute if a.name == 'coordinate_transformation_mode').s = b'output_half_pixel'
        onnx.save(model, str(path))
        return {}

    monkeypatch.setattr(writing, 'recorded', lambda *args: None)
    monkeypatch.setattr(writing, 'write_onnx', write_another_operator)
    done = tool('export', *given, '-o', tmp_path / 'out', *OPTIONS)
    assert done.returncode == 2
    assert 'does not give what PyTorch gives and is not kept' in done.stderr
    assert 'PyTorch has a box (' in done.stderr
    assert not list((tmp_path / 'out').iterdir())


def test_mistakes_are_named(exported, given, tmp_path):
    (tmp_path / 'empty.jpg').touch()
    for args, said in (
        (('export', *given, '-o', tmp_path, '--images', tmp_path / 'empty.jpg'), 'empty.jpg cannot be read: empty'),
        (('export', *given[:2], '--data-root', tmp_path, '-o', tmp_path), 'val.json does not exist'),
        (('export', *given, '-o', tmp_path, '--int8'), '--int8 needs --calibrate'),
        (('export', *given, '-o', tmp_path, '--dynamic', 'width'), '--dynamic width; expected batch, size'),
        (('test', exported, given[0], *given[2:], '--deploy'), '--tta, --deploy and --launcher are for checkpoints'),
        (('infer', *given[:2], '--out', tmp_path), 'no images are named'),
    ):
        done = tool(*args)
        assert done.returncode == 2
        assert said in done.stderr
