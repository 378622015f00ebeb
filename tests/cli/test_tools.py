"""The tools as a user calls them: what they write when all is well, what they say when it is not."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from support import places_tree
from support.helpers import REPOSITORY, shared, tool

from se_mm.config.load import load_config
from se_mm.datasets.prepare import shapes

CONFIG = 'configs/demo/faster_rcnn_se_r18_shapes.py'
NO_WORKERS = [
    f'{split}_dataloader.{option}'
    for split in ('train', 'val', 'test')
    for option in ('num_workers=0', 'persistent_workers=False')
]
QUICK = [
    *NO_WORKERS,
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'default_hooks.checkpoint.interval=1',
    'model.backbone.base_channels=16',
    'model.backbone.stem_channels=16',
    'model.neck.in_channels=[16,32,64,128]',
]


@pytest.fixture(scope='session')
def data(tmp_path_factory) -> Path:
    """A few of the demo's images."""
    root = tmp_path_factory.mktemp('shapes')
    counts = dict(shapes.SPLITS)
    shapes.SPLITS.update(train=8, val=4)
    shapes.draw(root, seed=1)
    shapes.SPLITS.update(counts)
    return root


@pytest.fixture(scope='session')
def trained(data, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('trained')
    done = tool('train', CONFIG, '--data-root', data, '--work-dir', work_dir, '--seed', 0, '--cfg-options', *QUICK)
    assert done.returncode == 0, done.stderr[-3000:]
    (work_dir / 'stdout.txt').write_text(done.stdout)
    return work_dir


def test_training_says_what_it_reads_and_leaves_curves_and_a_table(trained):
    said = (trained / 'stdout.txt').read_text()
    assert 'train.json: 8 images' in said
    assert '3 classes (disc' in said
    assert 'bbox_mAP' in said
    picture = cv2.imread(str(trained / 'curves.png'))
    assert picture.std() > 5
    assert (trained / 'epoch_1.pth').is_file()
    assert json.loads((trained / 'validations.json').read_text())[0]['epoch'] == 1


def test_resume_goes_on_from_the_latest_checkpoint(trained, data, tmp_path):
    work_dir = shutil.copytree(trained, tmp_path / 'resumed')
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))
    options = [o if 'max_epochs' not in o else 'train_cfg.max_epochs=2' for o in QUICK]
    done = tool('train', CONFIG, '--data-root', data, '--work-dir', work_dir, '--resume', '--cfg-options', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'resumed epoch: 1' in done.stdout + done.stderr
    assert (work_dir / 'epoch_2.pth').is_file()
    assert [entry['epoch'] for entry in json.loads((work_dir / 'validations.json').read_text())] == [1, 2]


def test_test_writes_predictions_and_a_sheet(trained, data, tmp_path):
    args = (CONFIG, trained / 'epoch_1.pth', '--data-root', data, '--work-dir', tmp_path)
    options = ('--cfg-options', *QUICK, 'model.test_cfg.rcnn.score_thr=0.0')
    done = tool('test', *args, '--out', tmp_path / 'all.pkl', '--sheet', tmp_path / 'sheet.png', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / 'all.pkl').open('rb') as file:
        assert len(pickle.load(file)) == 4
    assert cv2.imread(str(tmp_path / 'sheet.png')).std() > 5
    done = tool('test', *args, '--out', tmp_path / 'coco.json', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((tmp_path / 'coco.bbox.json').read_text())
    assert {'image_id', 'bbox', 'score', 'category_id'} <= results[0].keys()


def test_infer_writes_pictures_and_coco_json(trained, data, tmp_path):
    config = trained / 'faster_rcnn_se_r18_shapes.py'  # the runner's own copy, with the options in it
    done = tool('infer', config, trained / 'epoch_1.pth', data / 'val', '--out', tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    content = json.loads((tmp_path / 'predictions.json').read_text())
    assert [c['name'] for c in content['categories']] == list(shapes.CLASSES)
    assert len(content['images']) == 4
    assert len(list((tmp_path / 'vis').iterdir())) == 4


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


def other_order(content):
    return {**content, 'categories': content['categories'][::-1]}


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
        (other_order, "stand in another order .* write metainfo=dict.classes=.'triangle', 'box', 'disc'"),
        (absent_images, 'names 8 images, of which 8 are not in .*: gone_0.jpg, gone_1.jpg, gone_2.jpg, ... 5 more'),
    ],
)
def test_preflight_refuses_annotations(data, tmp_path, change, message):
    from se_mm import SeMmError
    from se_mm.config.load import load_config
    from se_mm.datasets.validation import preflight

    cfg = load_config(CONFIG, data_root=str(broken(data, tmp_path, change)))
    with pytest.raises(SeMmError, match=message):
        preflight.check(cfg, ('train', 'val'))


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['train', 'configs/no_such.py'], 'config configs/no_such.py does not exist'),
        (['train', 'README.md'], 'README.md cannot be read as a config'),
        (
            ['train', 'configs/faster_rcnn_se_r50_coco.py', '--data-root', '/no/coco'],
            'train data: folder /no/coco does not exist',
        ),
        (['train', CONFIG, '--resume', '/no/epoch_1.pth'], 'checkpoint to resume from /no/epoch_1.pth does not exist'),
        (
            ['test', 'configs/demo/se_resnet18_scenes.py', 'README.md', '--sheet', 'x.png', '--data-root', '/no'],
            'test data',
        ),
        (['test', CONFIG, '/no/epoch_1.pth'], 'checkpoint /no/epoch_1.pth does not exist'),
        (['infer', CONFIG, 'README.md', 'LICENSE', '--out', '/tmp/x'], 'image LICENSE cannot be decoded'),
        (['infer', CONFIG, 'README.md', '/no/image.jpg', '--out', '/tmp/x'], 'image /no/image.jpg does not exist'),
    ],
)
def test_a_mistake_is_one_message_and_status_2(args, message):
    done = tool(*args)
    assert done.returncode == 2
    assert f'error: {message}' in done.stderr
    assert 'Traceback' not in done.stderr


def test_coco_that_is_missing_says_how_to_get_it():
    done = tool('train', 'configs/faster_rcnn_se_r50_coco.py', SE_MM_DATA='/no/coco')
    assert done.returncode == 2
    assert 'annotations_trainval2017.zip' in done.stderr
    assert 'SE_MM_DATA' in done.stderr


def test_num_classes_that_do_not_fit_name_the_head(data):
    done = tool('train', CONFIG, '--data-root', data, '--cfg-options', 'model.roi_head.bbox_head.num_classes=80')
    assert done.returncode == 2
    assert 'model.roi_head.bbox_head.num_classes is 80, but the train data have 3 classes' in done.stderr


def test_a_checkpoint_of_another_model_is_refused_whole(trained, data, tmp_path):
    state = torch.load(trained / 'epoch_1.pth', weights_only=True)
    state['state_dict'].pop('backbone.layer1.0.se.fc1.weight')
    torch.save(state, tmp_path / 'torn.pth')
    done = tool(
        'test', CONFIG, tmp_path / 'torn.pth', '--data-root', data, '--work-dir', tmp_path, '--cfg-options', *QUICK
    )
    assert done.returncode == 2
    assert '1 tensors are missing: layer1.0.se.fc1.weight' in done.stderr


def test_a_plain_config_trains_as_its_twin_by_a_flag_and_deploys_without_a_change_of_map(data, tmp_path):
    plain = 'configs/demo/faster_rcnn_r18_shapes.py'
    args = ('--se', '--data-root', data, '--work-dir', tmp_path)
    options = ('--cfg-options', *QUICK, 'model.test_cfg.rcnn.score_thr=0.0')
    done = tool('train', plain, *args, '--seed', 0, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'SE twin: model.backbone: mmdet.ResNet -> se_mm.SEResNet' in done.stdout + done.stderr
    predictions = []
    for deploy in ((), ('--deploy',)):
        out = tmp_path / f'{len(deploy)}.pkl'
        done = tool('test', plain, tmp_path / 'epoch_1.pth', *args, *deploy, '--out', out, *options)
        assert done.returncode == 0, done.stderr[-3000:]
        assert ('deployed, with the norms in the convolutions: backbone' in done.stdout + done.stderr) == bool(deploy)
        with out.open('rb') as file:
            predictions.append([sample['pred_instances'] for sample in pickle.load(file)])
    for before, after in zip(*predictions, strict=True):
        assert len(before['scores']) == len(after['scores']) > 0
        torch.testing.assert_close(after['scores'], before['scores'], rtol=1e-3, atol=1e-4)


def test_a_classifier_goes_through_the_same_tools(tmp_path):
    """mmpretrain's scope: train, test and infer on a folder per class."""
    generator = np.random.default_rng(0)
    for split in ('train', 'val'):
        for name, level in (('dark', 40), ('light', 210)):
            folder = tmp_path / 'data' / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                cv2.imwrite(str(folder / f'{i}.png'), (level + generator.normal(0, 9, (48, 48, 3))).clip(0, 255))
    config = tmp_path / 'classifier.py'
    config.write_text(CLASSIFIER)
    args = ('--data-root', tmp_path / 'data', '--work-dir', tmp_path / 'out')
    done = tool('train', config, *args)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '8 images, 8 labels, 2 classes (dark 4, light 4)' in done.stdout
    assert 'top1' in done.stdout
    checkpoint = tmp_path / 'out' / 'epoch_2.pth'
    assert tool('test', config, checkpoint, *args).returncode == 0
    done = tool('infer', config, checkpoint, tmp_path / 'data' / 'val' / 'dark', '--out', tmp_path / 'seen')
    assert done.returncode == 0, done.stderr[-3000:]
    best = json.loads((tmp_path / 'seen' / 'predictions.json').read_text())[0]['best']
    assert {entry['class'] for entry in best} == {'dark', 'light'}


CLASSIFIER = """
default_scope = 'mmpretrain'
data_root = 'data/'
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127.0] * 3, std=[60.0] * 3, to_rgb=True, num_classes=2),
    backbone=dict(type='se_mm.SEResNet', depth=18, base_channels=16, stem_channels=16, out_indices=(3,),
                  norm_eval=False),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=128, topk=(1,), loss=dict(type='CrossEntropyLoss')),
)
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=32), dict(type='PackInputs')]
def loader(split):
    return dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=split == 'train'),
                dataset=dict(type='CustomDataset', data_root=data_root, data_prefix=split, pipeline=pipeline))
train_dataloader, val_dataloader = loader('train'), loader('val')
test_dataloader = val_dataloader
del loader
val_evaluator = test_evaluator = dict(type='Accuracy', topk=(1,))
train_cfg, val_cfg, test_cfg = dict(by_epoch=True, max_epochs=2), dict(), dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
"""


def test_check_env_names_the_stack_and_the_kernels():
    done = tool('check_env')
    assert done.returncode == 0, done.stdout
    assert 'se_mm.models.registered: ok' in done.stdout
    assert 'mmcv.ops ' in done.stdout


def test_check_env_says_whether_the_weights_of_a_config_can_be_had(tmp_path):
    """Without a network or with one, the line names the file, its URL or its place in the cache."""
    done = tool('check_env', '--weights', 'configs/faster_rcnn_se_r50_coco.py', TORCH_HOME=str(tmp_path))
    assert 'model.backbone.init_cfg = timm://legacy_seresnet50.in1k: not cached' in done.stdout
    assert 'v0.1-cadene/se_resnet50-ce0d4300.pth' in done.stdout
    assert done.returncode in (0, 1)


def test_weights_that_are_missing_stop_the_training_before_anything_is_built(data, tmp_path):
    load_from = 'load_from=/no/weights.pth'
    done = tool('train', CONFIG, '--data-root', data, '--work-dir', tmp_path, '--cfg-options', load_from)
    assert done.returncode == 2
    assert 'error: load_from: checkpoint /no/weights.pth does not exist' in done.stderr


def test_convert_checkpoint_takes_a_detectors_backbone_to_timm(trained, tmp_path):
    done = tool('convert_checkpoint', trained / 'epoch_1.pth', tmp_path / 'timm.pth', '--to', 'timm')
    assert done.returncode == 0, done.stderr
    assert 'left: neck, rpn_head, roi_head' in done.stdout
    done = tool('convert_checkpoint', 'README.md', tmp_path / 'no.pth', '--to', 'timm')
    assert done.returncode == 2
    assert 'error: checkpoint README.md cannot be read' in done.stderr


def test_the_coco_config_runs_on_real_coco_images(tmp_path):
    coco = shared('tiny_coco')
    small = 'scale=(320,192)'
    options = [
        *NO_WORKERS,
        'train_cfg.max_epochs=1',
        'train_dataloader.dataset.indices=4',
        'val_dataloader.dataset.indices=2',
        f'train_dataloader.dataset.pipeline.2.{small}',
        f'val_dataloader.dataset.pipeline.1.{small}',
    ]
    done = tool(
        'train',
        'configs/faster_rcnn_se_r50_coco.py',
        '--data-root',
        coco,
        '--work-dir',
        tmp_path,
        '--no-pretrained',
        '--cfg-options',
        *options,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert '--no-pretrained: random weights in place of model.backbone.init_cfg' in done.stdout
    assert 'instances_train2017.json: 4 images' in done.stdout
    assert '80 classes (person' in done.stdout
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_mmdets_own_tool_runs_our_config(data, tmp_path):
    import mmdet

    code = (Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py').read_text()
    (tmp_path / 'train.py').write_text(code)
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = '{REPOSITORY / CONFIG}'\n")
    roots = [f'{split}_dataloader.dataset.data_root={data}' for split in ('train', 'val', 'test')]
    roots += [f'{split}_evaluator.ann_file={data}/annotations/val.json' for split in ('val', 'test')]
    command = [sys.executable, 'train.py', 'config.py', '--work-dir', 'out', '--cfg-options', *QUICK, *roots]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / 'out' / 'epoch_1.pth').is_file()


SMALL_SCENES = [
    *NO_WORKERS,
    'model.backbone.depth=18',
    'model.backbone.base_channels=16',
    'model.backbone.stem_channels=16',
    'model.head.in_channels=128',
    'train_dataloader.dataset.pipeline.1.scale=32',
    'val_dataloader.dataset.pipeline.1.scale=(36,36)',
    'val_dataloader.dataset.pipeline.2.crop_size=32',
    'test_dataloader.dataset.pipeline.1.scale=(36,36)',
    'test_dataloader.dataset.pipeline.2.crop_size=32',
]


@pytest.mark.parametrize('layout', places_tree.LAYOUTS)
def test_places365_trains_resumes_and_evaluates_in_every_layout(layout, tmp_path):
    root = places_tree.make(tmp_path / 'places', layout)
    config = 'configs/se_resnet152_places365.py'
    args = ('--data-root', root, '--work-dir', tmp_path / 'out', '--seed', 0, '--cfg-options', *SMALL_SCENES)
    done = tool('train', config, *args, 'train_cfg.max_epochs=1')
    assert done.returncode == 0, done.stderr[-3000:]
    assert '730 images, 730 labels, 365 classes (airfield 2' in done.stdout
    assert 'accuracy/top1' in done.stdout
    assert 'error/top5' in done.stdout
    if layout == 'easy':
        done = tool('train', config, '--resume', *args, 'train_cfg.max_epochs=2')
        assert done.returncode == 0, done.stderr[-3000:]
        assert 'resumed epoch: 1' in done.stdout
        validations = json.loads((tmp_path / 'out' / 'validations.json').read_text())
        assert [entry['epoch'] for entry in validations] == [1, 2]
        options = ('--data-root', root, '--work-dir', tmp_path / 'test', '--confusion', tmp_path / 'confusion.png')
        done = tool('test', config, tmp_path / 'out/epoch_2.pth', *options, '--cfg-options', *SMALL_SCENES)
        assert done.returncode == 0, done.stderr[-3000:]
        assert (tmp_path / 'confusion.png').stat().st_size > 10_000
        assert 'confusion_matrix/result' not in done.stdout


def test_ten_crops_average_the_scores(tmp_path):
    root = places_tree.make(tmp_path / 'places', '256', train=1)
    config = 'configs/se_resnet18_places365.py'
    small = [option for option in SMALL_SCENES if 'pipeline' not in option]
    small += ['tta_pipeline.1.scale=(40,40)', 'test_dataloader.batch_size=50']
    small += [f'tta_pipeline.2.transforms.0.{i}.crop_size=32' for i in range(5)]
    weights = tmp_path / 'random.pth'
    cfg = load_config(str(REPOSITORY / config))
    cfg.model.backbone.update(base_channels=16, stem_channels=16)
    cfg.model.head.in_channels = 128
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        torch.save({'state_dict': registry.build(cfg.model).state_dict(), 'meta': {}}, weights)
    args = ('--data-root', root, '--work-dir', tmp_path / 'out', '--tta', '--cfg-options', *small)
    done = tool('test', config, weights, *args)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'accuracy/top5' in done.stdout


def test_too_many_broken_images_stop_the_training_with_their_names(tmp_path):
    root = places_tree.make(tmp_path / 'places', '256')
    (root / 'data_256/b/bar/00000002.jpg').write_bytes(b'no picture')
    args = (
        '--data-root',
        root,
        '--work-dir',
        tmp_path / 'out',
        '--cfg-options',
        *SMALL_SCENES,
        'train_cfg.max_epochs=1',
    )
    done = tool('train', 'configs/se_resnet18_places365.py', *args)
    assert done.returncode == 2
    assert 'b/bar/00000002.jpg is left out: no decoder reads it' in done.stdout
    assert 'error: 1 of 730 train images cannot be read, more than 0.1%' in done.stderr
    done = tool('train', 'configs/se_resnet18_places365.py', *args, 'custom_hooks.0.most=0.01')
    assert done.returncode == 0, done.stderr[-3000:]


def test_any_folder_per_class_runs_by_its_root_and_classes_alone(tmp_path):
    for split, count in (('train', 4), ('val', 2)):
        for label, name in enumerate(('attic', 'bar', 'cliff')):
            folder = tmp_path / 'mine' / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f'{i}.jpg').write_bytes(places_tree.picture(label, i, 64))
    config = 'configs/demo/se_resnet18_scenes.py'
    args = ('--data-root', tmp_path / 'mine', '--work-dir', tmp_path / 'out')
    quick = ('--cfg-options', *NO_WORKERS, 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=4')
    done = tool('train', config, *args, '--classes', *quick)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '12 images, 12 labels, 3 classes (attic 4, bar 4, cliff 4)' in done.stdout
    done = tool('train', config, *args, '--classes', 'bar', 'attic', 'cliff', *quick)
    assert done.returncode == 2
    assert 'not the classes of the config (bar, attic, cliff) in the same order' in done.stderr
    done = tool('train', config, *args, *quick)
    assert done.returncode == 2
    assert 'subfolders (3)' in done.stderr
    assert '--classes' in done.stderr
    done = tool('infer', config, tmp_path / 'out/epoch_1.pth', tmp_path / 'mine/val/bar', '--out', tmp_path / 'seen')
    assert done.returncode == 2  # the checkpoint has three classes, the config eight
    options = ('--classes', 'attic', 'bar', 'cliff')
    images = tmp_path / 'mine/val/bar'
    done = tool('infer', config, tmp_path / 'out/epoch_1.pth', images, '--out', tmp_path / 'seen', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'bar/0.jpg: ' in done.stdout
    assert (tmp_path / 'seen/vis/0.png').is_file()


def test_resuming_from_weights_alone_is_refused(data, tmp_path):
    torch.save({'state_dict': {'x': torch.zeros(1)}}, tmp_path / 'weights.pth')
    done = tool('train', CONFIG, '--data-root', data, '--resume', tmp_path / 'weights.pth')
    assert done.returncode == 2
    assert 'holds weights and no state of a training to resume' in done.stderr


def test_prepare_data_says_what_should_be_where(tmp_path):
    done = tool('prepare_data', 'places365', tmp_path)
    assert done.returncode == 1
    assert f'MISSING  {tmp_path / "data_256"}' in done.stdout
    assert 'md5 53ca1c756c3d1e7809517cc47c5561c5' in done.stdout
    root = places_tree.make(tmp_path / 'places', '256', train=1)
    assert tool('prepare_data', 'places365', root).returncode == 0
    done = tool('prepare_data', 'places365', root, '--check')
    assert done.returncode == 0
    assert '730 pictures looked at, 0 missing or broken' in done.stdout
