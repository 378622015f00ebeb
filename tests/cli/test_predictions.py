"""tools/test.py and tools/infer.py: the files that they write, and what they say of mistakes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support import detection_sets as sets
from support.commands import output, tool
from support.helpers import REPOSITORY
from support.small import draw_scenes, draw_shapes

from se_mm import cli
from se_mm.config.load import load_config
from se_mm.config.loaders import datasets_of
from se_mm.datasets.prepare import shapes
from se_mm.evaluation.predictions import coco_results

DETECTOR = str(REPOSITORY / 'configs/demo/faster_rcnn_se_r18_shapes.py')
CLASSIFIER = str(REPOSITORY / 'configs/demo/se_resnet18_scenes.py')
SMALL = {'model.backbone.base_channels': 16, 'model.backbone.stem_channels': 16}
SMALL_DETECTOR = SMALL | {'model.neck.in_channels': [16, 32, 64, 128], 'model.test_cfg.rcnn.score_thr': 0.0}


def small_config(base: str, options: dict) -> Config:
    """A config that reads its data in this process."""
    cfg = Config.fromfile(base)
    loader = dict(num_workers=0, persistent_workers=False, batch_size=2)
    cfg.merge_from_dict(options | {f'{split}_dataloader': loader for split in ('train', 'val', 'test')})
    return cfg


def write_weights(config: Path, file: Path, classes: tuple[str, ...], **model) -> Path:
    """A checkpoint of random weights, as a training writes it."""
    cfg = load_config(str(config))
    cfg.merge_from_dict({f'model.{key}': value for key, value in model.items()})
    torch.manual_seed(0)
    with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
        state = registry.build(cfg.model).state_dict()
    torch.save({'state_dict': state, 'meta': {'dataset_meta': {'classes': classes}, 'epoch': 1, 'iter': 1}}, file)
    return file


@pytest.fixture(scope='module')
def detector(tmp_path_factory) -> tuple[Path, Path, Path]:
    """Config, checkpoint, data."""
    root = tmp_path_factory.mktemp('detector')
    draw_shapes(root / 'data', train=2, val=4)
    small_config(DETECTOR, SMALL_DETECTOR).dump(root / 'config.py')
    return root / 'config.py', write_weights(root / 'config.py', root / 'epoch_1.pth', shapes.CLASSES), root / 'data'


@pytest.fixture(scope='module')
def classifier(tmp_path_factory) -> tuple[Path, Path, Path]:
    root = tmp_path_factory.mktemp('classifier')
    draw_scenes(root / 'data', train=2, val=3)
    head = {'model.head.in_channels': 128, 'model.head.num_classes': 2, 'model.head.topk': [1]}
    cfg = small_config(CLASSIFIER, SMALL | head | {'model.data_preprocessor.num_classes': 2})
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.metainfo = dict(classes=('left', 'right'))
    cfg.val_evaluator = cfg.test_evaluator = dict(type='Accuracy', topk=(1,))
    cfg.dump(root / 'config.py')
    return root / 'config.py', write_weights(root / 'config.py', root / 'epoch_1.pth', ('left', 'right')), root / 'data'


def evaluate(parts: tuple[Path, Path, Path], tmp_path: Path, *options: object) -> str:
    config, checkpoint, data = parts
    return output(tool('test', config, checkpoint, '--data-root', data, '--work-dir', tmp_path / 'work', *options))


def test_a_detectors_json_has_the_name_that_was_asked_for_and_its_metric(detector, tmp_path):
    """pycocotools on the file gives the mAP that the test printed."""
    said = evaluate(detector, tmp_path, '--out', tmp_path / 'results.json', '--sheet', tmp_path / 'sheet.png')
    assert [file.name for file in tmp_path.glob('results*')] == ['results.json']
    truth = COCO(detector[2] / 'annotations/val.json')
    evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / 'results.json')), 'bbox')
    evaluation.params.maxDets = [100, 300, 1000]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval['precision'][:, :, :, 0, -1]
    assert f'coco/bbox_mAP: {precision[precision > -1].mean():.4f}'[:-1] in said
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape[1] == 1600


def test_a_voc_data_set_gets_the_same_json(tmp_path):
    dataset = sets.voc(tmp_path / 'data', [])
    del dataset['pipeline']
    cfg = small_config(DETECTOR, SMALL_DETECTOR | {'model.roi_head.bbox_head.num_classes': 2})
    cfg.test_dataloader.dataset = dict(pipeline=cfg.test_pipeline, **dataset)
    cfg.test_evaluator = dict(type='VOCMetric', metric='mAP', eval_mode='11points')
    cfg.dump(config := tmp_path / 'config.py')
    checkpoint = write_weights(config, tmp_path / 'epoch_1.pth', sets.CLASSES)
    evaluate((config, checkpoint, tmp_path / 'data'), tmp_path, '--out', tmp_path / 'results.json')
    found = json.loads((tmp_path / 'results.json').read_text())
    assert {entry['image_id'] for entry in found} == {'0', '1', '2'}
    assert {entry['category_id'] for entry in found} <= {1, 2}
    assert all(len(entry['bbox']) == 4 and 0 <= entry['score'] <= 1 for entry in found)


def test_a_classifiers_json_lists_files_labels_and_scores(classifier, tmp_path):
    out = tmp_path / 'new' / 'results.json'
    evaluate(classifier, tmp_path, '--out', out, '--sheet', tmp_path / 'sheet.png')
    found = json.loads(out.read_text())
    assert sorted(Path(entry['file']).parent.name for entry in found) == ['left'] * 3 + ['right'] * 3
    for entry in found:
        assert entry['scores'][entry['label']] == max(entry['scores'].values())
        assert sum(entry['scores'].values()) == pytest.approx(1)
    assert cv2.imread(str(tmp_path / 'sheet.png')).std() > 5


def test_masks_are_part_of_the_json():
    masks = torch.zeros(1, 6, 8, dtype=torch.bool)
    masks[0, 1:3, 2:6] = True
    found = dict(bboxes=torch.tensor([[2.0, 1, 6, 3]]), labels=torch.tensor([1]), scores=torch.tensor([0.5]))
    sample = DetDataSample(pred_instances=InstanceData(**found, masks=masks))
    (entry,) = json.loads(json.dumps(coco_results(sample, [4, 9])))
    assert entry['category_id'] == 9
    np.testing.assert_array_equal(mask.decode(entry['segmentation']), masks[0])


def test_infer_draws_every_picture_and_skips_what_it_cannot_read(detector, tmp_path):
    config, checkpoint, data = detector
    images = shutil.copytree(data / 'val', tmp_path / 'images')
    first = min(images.iterdir())
    first.rename(first.with_suffix('.jfif'))  # which OpenCV does not write
    good = sorted(file.name for file in images.iterdir())
    cv2.imwrite(str(images / 'thin.png'), np.zeros((2, 3000, 3), np.uint8))
    (images / '0.jpg').touch()
    (images / '1.png').write_bytes(b'no picture')
    whole = (images / good[0]).read_bytes()
    (images / '2.jpg').write_bytes(whole[: len(whole) // 2])
    done = tool('infer', config, checkpoint, images, images / good[0], '--out', tmp_path / 'seen')
    assert done.returncode == 1
    assert f'skipped: image {images}/0.jpg cannot be read: empty (0 bytes)' in done.stderr
    assert f'image {images}/1.png cannot be read' in done.stderr
    assert f'image {images}/2.jpg cannot be read' in done.stderr
    assert f'image {images}/thin.png of 2x3000 cannot be prepared' in done.stderr
    assert '4 of 8 images were skipped' in done.stderr
    content = json.loads((tmp_path / 'seen/predictions.json').read_text())
    assert [Path(image['file_name']).name for image in content['images']] == good
    assert [c['name'] for c in content['categories']] == list(shapes.CLASSES)
    assert len(list((tmp_path / 'seen/vis').iterdir())) == 4


@pytest.mark.parametrize('kind', ['classifier', 'detector'])
def test_infer_reads_pictures_of_one_channel_where_the_pipeline_does(kind, request, tmp_path, capsys):
    config, _, data = request.getfixturevalue(kind)
    cfg = Config.fromfile(config)
    cfg.merge_from_dict({'model.backbone.in_channels': 1, 'model.backbone.init_cfg': None})
    preprocessor = cfg.model.get('data_preprocessor') or cfg.data_preprocessor
    preprocessor.update(mean=[120.0], std=[60.0])
    for channels in ('bgr_to_rgb', 'to_rgb'):
        if channels in preprocessor:
            preprocessor[channels] = False
    for dataset in datasets_of(cfg.test_dataloader):
        dataset.pipeline[0]['color_type'] = 'grayscale'
    cfg.dump(tmp_path / 'config.py')
    classes = shapes.CLASSES if kind == 'detector' else ('left', 'right')
    weights = write_weights(tmp_path / 'config.py', tmp_path / 'epoch_1.pth', classes)
    folder = data / ('val' if kind == 'detector' else 'val/left')
    cli.run('infer', [str(tmp_path / 'config.py'), str(weights), str(folder), '--out', str(tmp_path / 'seen')])
    drawn = list((tmp_path / 'seen/vis').iterdir())
    assert len(drawn) == len(list(folder.iterdir()))
    assert cv2.imread(str(drawn[0])).ndim == 3


def test_infer_writes_the_json_that_was_asked_for(classifier, tmp_path):
    config, checkpoint, data = classifier
    out = tmp_path / 'results.json'
    output(tool('infer', config, checkpoint, data / 'val/left', data / 'val/right', '--out', out))
    assert len(json.loads(out.read_text())) == 6
    assert [file.name for file in tmp_path.iterdir()] == ['results.json']
    output(tool('infer', config, checkpoint, data / 'val/left', data / 'val/right', '--out', tmp_path / 'seen'))
    assert len(list((tmp_path / 'seen/vis').iterdir())) == 6  # both folders have a 0.png


@pytest.mark.parametrize(
    ('command', 'changed', 'message'),
    [
        ('test', dict(config='plain'), 'has attention layers .* and the config none: add --se'),
        (
            'test',
            dict(checkpoint='plain'),
            'has no attention layers .* leave --se out, or name the checkpoint without a config',
        ),
        ('test', dict(checkpoint='torn'), '1 tensors are missing: layer1.0.se.fc1.weight'),
        ('test', dict(checkpoint='five classes'), 'classes a, b, c.* categories'),
        ('test', dict(checkpoint='wide'), r'have another shape: conv1.weight .32, 3, 7, 7. for'),
        ('test', dict(checkpoint='empty file'), 'empty_file.pth is empty .0 bytes.; fetch it again'),
        ('infer', dict(checkpoint='text'), 'text.pth cannot be read'),
        ('test', dict(checkpoint='other weights'), 'there is no network of this kind under'),
        ('test', dict(checkpoint='a folder'), 'holds no checkpoint'),
        ('infer', dict(options=['--score', '30']), '--score is 30.0; expected a number from 0 to 1'),
        ('infer', dict(options=['--out', 'CHECKPOINT/seen']), 'is no folder that can be written to'),
        ('infer', dict(images='only folders'), 'holds no picture .*; name its folders instead: '),
        ('infer', dict(images='empty picture'), 'cannot be read: empty .0 bytes.; expected picture files'),
        ('test', dict(options=['--out', 'results.csv']), '--out results.csv must end with .pkl .* or .json'),
        ('test', dict(options=['--sheet', 'sheet.jpg']), '--sheet sheet.jpg must end with .png'),
        ('test', dict(options=['--confusion', 'c.png']), '--confusion is for classifiers'),
        ('test', dict(options=['--tta', 'ten-crop']), '--tta ten-crop is for classifiers; for a detector: --tta alone'),
        ('test', dict(options=['--out', 'FOLDER/d.json']), 'd.json is a folder; expected the name of a file'),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(command, changed, message, detector, tmp_path):
    config, checkpoint, data = detector
    plain = tmp_path / 'plain.py'
    plain.write_text(f"_base_ = {str(config)!r}\nmodel = dict(backbone=dict(type='ResNet'))\n")
    if changed.get('config') == 'plain':
        config = plain
    if kind := changed.get('checkpoint'):
        checkpoint = tmp_path / f'{kind.replace(" ", "_")}.pth'
        if kind == 'plain':
            write_weights(plain, checkpoint, shapes.CLASSES)
        elif kind == 'five classes':
            write_weights(config, checkpoint, tuple('abcde'), **{'roi_head.bbox_head.num_classes': 5})
        elif kind == 'wide':
            wide = {'backbone.base_channels': 32, 'backbone.stem_channels': 32, 'neck.in_channels': [32, 64, 128, 256]}
            write_weights(config, checkpoint, shapes.CLASSES, **wide)
        elif kind == 'a folder':
            checkpoint.mkdir()
        elif kind == 'text':
            checkpoint.write_text('no weights')
        elif kind == 'empty file':
            checkpoint.touch()
        elif kind == 'torn':
            state = torch.load(detector[1], weights_only=False)
            del state['state_dict']['backbone.layer1.0.se.fc1.weight']
            torch.save(state, checkpoint)
        else:
            torch.save({'x': torch.zeros(1)}, checkpoint)
    (tmp_path / 'd.json').mkdir()
    images = {'only folders': data, 'empty picture': tmp_path / 'empty.jpg'}
    (tmp_path / 'empty.jpg').touch()
    image = images.get(changed.get('images'), data / 'val')
    options = ' '.join(changed.get('options', [])).replace('CHECKPOINT', str(checkpoint))
    options = options.replace('FOLDER', str(tmp_path)).split()
    given = dict(test=['--data-root', data, '--work-dir', tmp_path / 'work'], infer=[image, '--out', tmp_path / 'seen'])
    done = tool(command, config, checkpoint, *given[command], *options)
    assert done.returncode == 2, done.stderr[-2000:]
    error = done.stderr.splitlines()[-1]
    assert re.search(f'^error: .*({message})', error), error
    assert 'Traceback' not in done.stderr
