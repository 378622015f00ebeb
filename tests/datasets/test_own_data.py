"""A config of anybody's and a folder of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image
from support.formats import Sample, pictures_into, voc_devkit, voc_folder, yolo_folder

from se_mm import SeMmError
from se_mm.config.classes import use_classes
from se_mm.config.load import set_data_root
from se_mm.config.loaders import datasets_in
from se_mm.config.tree import nodes, value_at
from se_mm.datasets.own_data import config_with_data
from se_mm.datasets.prepare.detection import prepare_detection
from se_mm.datasets.prepare.scenes import prepare_scenes
from se_mm.utils.type_names import type_name

BOXES = [
    'atss/atss_r50_fpn_1x_coco.py',
    'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
    'cityscapes/faster-rcnn_r50_fpn_1x_cityscapes.py',
    'dino/dino-4scale_r50_8xb2-12e_coco.py',
    'objects365/retinanet_r50_fpn_1x_objects365v1.py',
    'openimages/retinanet_r50_fpn_32xb2-1x_openimages.py',
    'pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py',
    'pascal_voc/ssd300_voc0712.py',
    'retinanet/retinanet_r50_fpn_1x_coco.py',
    'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py',
    'ssd/ssd300_coco.py',
    'v3det/faster_rcnn_r50_fpn_8x4_sample1e-3_mstrain_v3det_2x.py',
    'wider_face/ssd300_8xb32-24e_widerface.py',
    'yolox/yolox_s_8xb8-300e_coco.py',
]
MASKS = [
    'lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'yolact/yolact_r50_1xb8-55e_coco.py',
]


def built_dataset(config):
    """Of mmpretrain, whatever scope another test has left."""
    from mmpretrain.registry import DATASETS

    with DATASETS.switch_scope_and_registry('mmpretrain') as registry:
        return registry.build(config)


def samples(count=10, names=('one', 'two', 'three')):
    boxes = [(name, (3 + 9 * i, 4, 11 + 9 * i, 30)) for i, name in enumerate(names)]
    return [Sample(f'{i:02d}.png', 64, 48, boxes) for i in range(count)]


@pytest.fixture(scope='module')
def voc(tmp_path_factory) -> Path:
    root = voc_folder(tmp_path_factory.mktemp('voc'), samples())
    prepare_detection(root)
    return root


@pytest.fixture(scope='module')
def polygons(tmp_path_factory) -> Path:
    root = yolo_folder(tmp_path_factory.mktemp('polygons'), samples(6, ('RBC',)))
    for file in (root / 'labels').iterdir():
        file.write_text('1 0.25 0.25 0.5 0.25 0.5 0.75\n')
    prepare_detection(root)
    return root


def heads(cfg) -> set[int]:
    """What the heads have as their number of classes; not the one that proposes regions."""
    return {
        node[key]
        for keys, node in nodes(cfg.model)
        for key in ('num_classes', 'num_things_classes')
        if key in node and 'rpn_head' not in keys
    }


@pytest.mark.parametrize('name', BOXES)
@pytest.mark.parametrize('classes', [[], ['one', 'three', 'two']])
def test_detectors_of_mmdet_take_a_folder_of_boxes(name, classes, voc):
    cfg = config_with_data(f'mmdet::{name}', data_root=str(voc), classes=classes)
    assert heads(cfg) == {3}
    for split, dataset in datasets_in(cfg):
        file = json.loads(Path(dataset.data_root, dataset.ann_file).read_text())
        expected = 'train' if split == 'train' else 'val'
        assert dataset.ann_file == f'annotations/instances_{expected}.json'
        assert all(Path(dataset.data_root, dataset.data_prefix.img, i['file_name']).is_file() for i in file['images'])
        assert dataset.metainfo['classes'] == ('one', 'three', 'two')
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator = evaluator[0] if isinstance(evaluator, list) else evaluator
        assert type_name(evaluator) == 'CocoMetric'
        assert Path(evaluator.ann_file).samefile(voc / 'annotations/instances_val.json')


@pytest.mark.parametrize('name', MASKS)
def test_masks_need_masks(name, voc, polygons):
    cfg = config_with_data(f'mmdet::{name}', data_root=str(polygons), classes=['Platelets', 'RBC', 'WBC'])
    assert heads(cfg) == {3}
    with pytest.raises(SeMmError, match='trains on masks, and .* has boxes alone'):
        config_with_data(f'mmdet::{name}', data_root=str(voc), classes=[])


def test_weights_of_classes_are_as_many_as_there_are_classes(polygons):
    cfg = config_with_data(
        'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py', data_root=str(polygons), classes=[]
    )
    assert cfg.model.panoptic_head.loss_cls.class_weight == [1.0, 1.0, 1.0, 0.1]


def test_vocs_own_configs_read_vocdevkit_as_it_is(tmp_path):
    pictures = [sample._replace(name=f'{i:02d}.jpg') for i, sample in enumerate(samples(names=('cat', 'dog')))]
    root = voc_devkit(tmp_path, pictures, val=3)
    cfg = config_with_data('mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py', data_root=str(root), classes=[])
    assert {type_name(dataset) for _, dataset in datasets_in(cfg)} == {'VOCDataset'}
    assert {dataset.ann_file for split, dataset in datasets_in(cfg) if split == 'train'} == {
        'VOC2007/ImageSets/Main/trainval.txt'
    }
    assert cfg.val_evaluator.type == 'VOCMetric'
    assert heads(cfg) == {2}
    from se_mm.datasets.validation import preflight

    cfg.work_dir = str(tmp_path / 'out')
    preflight.check(cfg, ('train', 'val'))
    (root / 'VOC2007/Annotations/03.xml').write_bytes(b'')
    with pytest.raises(SeMmError, match=r'1 of 7 XML files in .* cannot be read: 03.xml is empty \(0 bytes\)'):
        preflight.check(cfg, ('train', 'val'))


def test_what_is_there_stays(voc):
    cfg = config_with_data(
        'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        {'train_dataloader.dataset.ann_file': 'annotations/instances_val.json'},
        data_root=str(voc),
    )
    assert cfg.train_dataloader.dataset.ann_file == 'annotations/instances_val.json'


@pytest.mark.parametrize('layout', ['roboflow', 'bccd'])
def test_coco_files_in_other_places(tmp_path, layout):
    for split in ('train', 'valid'):
        images = tmp_path / (split if layout == 'roboflow' else 'images')
        pictures_into(images, samples(3))
        file = images / '_annotations.coco.json' if layout == 'roboflow' else tmp_path / f'annotations/{split}.json'
        file.parent.mkdir(exist_ok=True)
        content = {
            'images': [{'id': i, 'file_name': f'{i:02d}.png', 'width': 64, 'height': 48} for i in range(3)],
            'annotations': [{'id': 1, 'image_id': 0, 'category_id': 5, 'bbox': [3, 4, 9, 9], 'area': 81, 'iscrowd': 0}],
            'categories': [{'id': 5, 'name': 'cell'}],
        }
        file.write_text(json.dumps(content))
    cfg = config_with_data('se_mm::demo/faster_rcnn_se_r18_bccd.py', data_root=str(tmp_path), classes=[])
    for split, dataset in datasets_in(cfg):
        folder = Path(dataset.data_root, dataset.data_prefix.img)
        expected = {'train': 'train', 'val': 'valid', 'test': 'valid'}[split] if layout == 'roboflow' else 'images'
        assert folder.samefile(tmp_path / expected)
    assert heads(cfg) == {1}


def test_raw_annotations_name_the_tool_that_converts_them(tmp_path):
    voc_folder(tmp_path, samples())
    with pytest.raises(SeMmError, match='prepare_data.py detection'):
        config_with_data('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', data_root=str(tmp_path), classes=[])


def scenes(root: Path, folder: str) -> Path:
    for name in ('beach', 'forest'):
        (root / folder / name).mkdir(parents=True)
        for i in range(10):
            Image.new('RGB', (32, 24)).save(root / folder / name / f'{i} a.jpg')
    return root


@pytest.mark.parametrize('folder', ['', 'train'])
@pytest.mark.parametrize('name', ['se_mm::demo/se_resnet18_scenes.py', 'mmpretrain::resnet/resnet18_8xb32_in1k.py'])
def test_folders_of_scenes_get_a_split(tmp_path, folder, name):
    root = scenes(tmp_path, folder)
    with pytest.raises(SeMmError, match='prepare_data.py scenes'):
        config_with_data('se_mm::demo/se_resnet18_scenes.py', data_root=str(root), classes=[])
    prepare_scenes(root)
    cfg = config_with_data(name, data_root=str(root), classes=[])
    assert cfg.model.head.num_classes == 2
    seen = {}
    for split, dataset in datasets_in(cfg):
        built = built_dataset({**dataset, 'pipeline': [], 'lazy_init': False})
        seen[split] = {built.get_data_info(i)['img_path'] for i in range(len(built))}
        for i in range(len(built)):
            info = built.get_data_info(i)
            assert Path(info['img_path']).is_file()
            assert Path(info['img_path']).parent.name == ('beach', 'forest')[info['gt_label']]
    assert not seen['train'] & seen['val']
    assert (len(seen['train']), len(seen['val'])) == (16, 4)


def test_pictures_of_every_format_in_folders_are_read(tmp_path):
    for split in ('train', 'val'):
        for name in ('beach', 'forest'):
            (tmp_path / split / name).mkdir(parents=True)
            for suffix in ('jpg', 'webp', 'tiff'):
                Image.new('RGB', (32, 24)).save(tmp_path / split / name / f'a.{suffix}')
    cfg = config_with_data('se_mm::demo/se_resnet18_scenes.py', data_root=str(tmp_path), classes=[])
    for _, dataset in datasets_in(cfg):
        assert len(built_dataset({**dataset, 'pipeline': [], 'lazy_init': False})) == 6


def test_mixup_takes_the_number_of_classes_too():
    cfg = config_with_data('se_mm::se_resnet50_imagenet_rsb_a2.py', classes=['a', 'b', 'c'])
    assert cfg.data_preprocessor.num_classes == cfg.model.head.num_classes == 3


def test_the_root_is_that_of_the_data_sets(tmp_path, voc):
    mine = tmp_path / 'mine.py'
    mine.write_text(
        "_base_ = 'mmdet::_base_/datasets/coco_detection.py'\n"  # whose own root, `data/coco/`, is left as it is
        "model = dict(type='RetinaNet')\n"
        "train_dataloader = dict(dataset=dict(data_root='data/mine/'))\n"
        "val_dataloader = dict(dataset=dict(data_root='data/mine/'))\n"
        'test_dataloader = val_dataloader\n'
        "val_evaluator = dict(ann_file='data/mine/annotations/val.json')\n"
        'test_evaluator = val_evaluator\n'
    )
    cfg = config_with_data(str(mine), data_root=str(voc))
    assert {dataset.data_root.rstrip('/') for _, dataset in datasets_in(cfg)} == {str(voc)}
    assert cfg.val_evaluator.ann_file.startswith(str(voc))


def test_folders_below_the_root_stay(tmp_path):
    mine = tmp_path / 'mine.py'
    part = "dict(type='CocoDataset', data_root='data/own/cam{}/', ann_file='a.json')"
    mine.write_text(
        "default_scope = 'mmdet'\ndata_root = 'data/own/'\nmodel = dict(type='RetinaNet')\n"
        f"train_dataloader = dict(dataset=dict(type='ConcatDataset', datasets=[{part.format(1)}, {part.format(2)}]))\n"
    )
    cfg = Config.fromfile(mine)
    set_data_root(cfg, '/mnt/own')
    assert [dataset.data_root for _, dataset in datasets_in(cfg)] == ['/mnt/own/cam1/', '/mnt/own/cam2/']


#: Detectors with a ``topk`` of candidates, which is no count of classes.
WITH_CANDIDATES = [
    'centernet/centernet_r18_8xb16-crop512-140e_coco.py',
    'ddod/ddod_r50_fpn_1x_coco.py',
    'lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py',
    'tood/tood_r50_fpn_1x_coco.py',
]
#: What ``--classes`` may change in a model: counts of classes, and a loss's weight for each.
OF_CLASSES = {'num_classes', 'num_things_classes', 'class_weight'}


@pytest.mark.parametrize('name', [*BOXES, *MASKS, *WITH_CANDIDATES])
def test_classes_change_nothing_of_a_model_but_counts_of_classes(name):
    before, after = (config_with_data(f'mmdet::{name}', classes=classes).model for classes in (None, ['a', 'b', 'c']))
    for keys, node in nodes(before):
        other = value_at(after, keys)
        parts = (dict, list, tuple)  # which are nodes of their own, or hold some
        changed = {key for key, value in node.items() if not isinstance(value, parts) and value != other[key]}
        changed |= {key for key in ('topk', 'class_weight') if key in node and node[key] != other[key]}
        assert changed <= OF_CLASSES, keys


@pytest.mark.parametrize(('topk', 'expected'), [((1, 5), (1,)), (5, 3)])
def test_a_classifiers_metrics_look_no_further_than_its_classes(topk, expected, tmp_path):
    base = "_base_ = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'\nmodel = dict(head=dict(topk=(1, 5)))\n"
    (tmp_path / 'a.py').write_text(f'{base}val_evaluator = dict(topk={topk})\n')
    cfg = config_with_data(str(tmp_path / 'a.py'), classes=['a', 'b', 'c'])
    assert cfg.model.head.topk == (1,)
    assert cfg.val_evaluator.topk == expected


@pytest.mark.parametrize(
    ('trained', 'taken'),
    [(['x', 'y', 'z'], True), (['triangle', 'disc', 'box'], True), (['x', 'y'], True), ([], False)],
)
def test_a_model_keeps_the_classes_that_it_was_trained_with(trained, taken):
    cfg = config_with_data('se_mm::demo/faster_rcnn_se_r18_shapes.py')
    said = use_classes(cfg, trained, 'epoch_1.pth')
    assert bool(said) == taken
    names = cfg.val_dataloader.dataset.metainfo['classes']
    assert tuple(names) == (tuple(trained) if taken else ('disc', 'box', 'triangle'))
    assert cfg.model.roi_head.bbox_head.num_classes == len(names)


def test_a_palette_for_more_classes_than_mmdet_has_colours():
    cfg = config_with_data('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', classes=[f'c{i}' for i in range(90)])
    palette = cfg.train_dataloader.dataset.metainfo['palette']
    assert len(set(map(tuple, palette))) == 90


def test_models_that_read_names_keep_the_length_of_their_prompt():
    name = 'mmdet::grounding_dino/grounding_dino_swin-t_finetune_16xb2_1x_coco.py'
    assert heads(config_with_data(name, classes=['a', 'b'])) == heads(config_with_data(name))
