"""What people's files do otherwise: read as the unspoilt set is, or refused with a way on that works.

Each kind of fault has three inputs or more. What a training sees is read by mmdet's own data set after the check.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import unicodedata
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pycocotools.mask
import pytest
from mmengine.registry import DATASETS
from PIL import Image
from support.formats import Sample, csv_table, pictures_into, voc_devkit, voc_folder, write_voc_xml, yolo_folder
from support.helpers import REPOSITORY

from se_mm import SeMmError, cli
from se_mm.config.loaders import datasets_of
from se_mm.config.tree import nodes
from se_mm.datasets.annotations.coco import PREDICTIONS
from se_mm.datasets.own_data import config_with_data
from se_mm.datasets.prepare.detection import prepare_detection
from se_mm.datasets.prepare.scenes import prepare_scenes
from se_mm.datasets.validation import preflight

BOXES = str(REPOSITORY / 'tests/support/boxes_config.py')
MASKS = {'train_dataloader.dataset.pipeline.1.with_mask': True, 'val_evaluator.metric': ['bbox', 'segm']}
CLASSES = ('cat', 'dog', 'bird')
COUNTS = {'train': 8, 'val': 4}


def boxed(count: int, prefix: str = '', name: str = 'cat') -> list[Sample]:
    """Pictures with a box each."""
    return [Sample(f'{prefix}{i:02d}.png', 64, 48, [(name, (3, 4, 20, 30))]) for i in range(count)]


def draw(root: Path) -> dict[str, dict]:
    """Pictures in ``train`` and ``val``, and their COCO files' content."""
    contents = {}
    for split, count in COUNTS.items():
        (root / split).mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            name = unicodedata.normalize('NFC', f'grün {split} {i}.jpg')
            Image.new('RGB', (64, 48), (40 * (i % 5), 90, 90)).save(root / split / name)
            images.append({'id': i + 1, 'file_name': name, 'width': 64, 'height': 48})
            for k in range(2):
                x, y, w, h = 2 + 3 * i, 4 + 2 * k, 20 + k, 30
                annotations.append(
                    {
                        'id': len(annotations) + 1,
                        'image_id': i + 1,
                        'category_id': 1 + (i + k) % 3,
                        'bbox': [x, y, w, h],
                        'area': w * h,
                        'iscrowd': 0,
                        'segmentation': [[x, y, x + w, y, x + w, y + h, x, y + h]],
                    }
                )
        categories = [{'id': i, 'name': name} for i, name in enumerate(CLASSES, 1)]
        contents[split] = {'images': images, 'annotations': annotations, 'categories': categories}
    return contents


def write(root: Path, contents: dict[str, dict]) -> Path:
    (root / 'annotations').mkdir(exist_ok=True)
    for split, content in contents.items():
        (root / f'annotations/{split}.json').write_text(json.dumps(content))
    return root


def seen(root: Path, classes=CLASSES, config=BOXES, options=None) -> dict[str, dict[str, list]]:
    """The classes and boxes of each picture as mmdet's own data sets read them after the check."""
    cfg = config_with_data(config, options, str(root), list(classes))
    cfg.work_dir = str(root / 'work')
    preflight.check(cfg, ('train', 'val'))
    found = {}
    for split in COUNTS:
        with DATASETS.switch_scope_and_registry('mmdet') as registry:
            dataset = registry.build({**next(datasets_of(cfg[f'{split}_dataloader'])), 'pipeline': []})
        names = dataset.metainfo['classes']
        found[split] = {
            unicodedata.normalize('NFC', Path(info['img_path']).name): sorted(
                (names[one['bbox_label']], *one['bbox']) for one in info['instances'] if not one['ignore_flag']
            )
            for info in map(dataset.get_data_info, range(len(dataset)))
        }
        assert cfg.val_evaluator.ann_file.endswith(next(datasets_of(cfg.val_dataloader)).ann_file)
    return found


@pytest.fixture(scope='module')
def unspoilt(tmp_path_factory):
    root = tmp_path_factory.mktemp('unspoilt')
    return seen(write(root, draw(root)))


def each(key):
    """A change of each entry of a list of a content."""

    def decorate(change):
        def changed(root, contents):
            for content in contents.values():
                for entry in content[key]:
                    change(entry)

        changed.__name__ = change.__name__
        return changed

    return decorate


def reversed_val(root, contents):
    contents['val']['categories'].reverse()


def renumbered_train(root, contents, numbers=(30, 7, 12)):
    ids = dict(zip((1, 2, 3), numbers, strict=True))
    for entry in contents['train']['annotations']:
        entry['category_id'] = ids[entry['category_id']]
    for entry in contents['train']['categories']:
        entry['id'] = ids[entry['id']]


def renumbered_and_reversed(root, contents):
    renumbered_train(root, contents, (2, 3, 1))
    for content in contents.values():
        content['categories'].sort(key=lambda entry: entry['name'])


def grouped(name, depth=1):
    def changed(root, contents):
        for content in contents.values():
            parents = [
                {
                    'id': 100 + i,
                    'name': f'{name}{i or ""}',
                    'supercategory': f'{name}{i + 1}' if i + 1 < depth else 'none',
                }
                for i in range(depth)
            ]
            parents[-1]['supercategory'] = 'none'
            own = [{**entry, 'supercategory': name} for entry in content['categories']]
            content['categories'] = [*parents[::-1], *own]

    changed.__name__ = f'grouped_by_{name}_{depth}'
    return changed


def one_picture_under_two_ids(root, contents, times=2):
    for content in contents.values():
        count = len(content['images'])
        content['images'] += [
            {**i, 'id': i['id'] + 100 * k} for k in range(1, times) for i in content['images'][:count]
        ]
        for i, entry in enumerate(content['annotations']):
            entry['image_id'] += 100 * (i % times)


def one_picture_under_three_ids(root, contents):
    one_picture_under_two_ids(root, contents, 3)


def everything_listed_twice(root, contents):
    for content in contents.values():
        content['images'] += content['images']


def through_another_spelling(root, contents):
    for content in contents.values():
        content['images'] += [{**i, 'id': i['id'] + 100, 'file_name': f'./{i["file_name"]}'} for i in content['images']]
        for entry in content['annotations'][1::2]:
            entry['image_id'] += 100


def linked_to_its_parent(root, contents):
    (root / 'train/train').symlink_to(root / 'train')
    (root / 'again').symlink_to(root)


def renamed(rename):
    def changed(root, contents):
        for split, content in contents.items():
            for image in content['images']:
                image['file_name'] = rename(image['file_name'], split)

    return changed


@each('images')
def no_sizes(entry):
    del entry['width'], entry['height']


@each('images')
def sizes_of_zero(entry):
    entry.update(width=0, height=None)


@each('images')
def sizes_as_text(entry):
    entry.update(width='64', height='48.0')


@each('annotations')
def boxes_as_text(entry):
    entry['bbox'] = [str(value) for value in entry['bbox']]


@each('annotations')
def categories_as_text(entry):
    entry['category_id'] = str(entry['category_id'])


@each('annotations')
def images_as_text_and_fractions(entry):
    entry['image_id'] = f'{entry["image_id"]}'


@each('annotations')
def no_boxes_but_masks(entry):
    del entry['bbox']


@each('annotations')
def no_area_no_crowd_no_id(entry):
    del entry['area'], entry['iscrowd'], entry['id']


@each('annotations')
def turned_around_once(entry):
    entry['attributes'] = {'rotation': 360.0}


def inferred_into_the_folder(root, contents):
    (root / 'seen/vis').mkdir(parents=True)
    for image in contents['train']['images']:
        shutil.copy(root / 'train' / image['file_name'], root / 'seen/vis')
        image['file_name'] = f'/elsewhere/{image["file_name"]}'
    (root / 'seen/predictions.json').write_text(json.dumps({'info': {'description': PREDICTIONS}, 'annotations': []}))


def grouped_by_its_own_group(root, contents):
    grouped('animal')(root, contents)
    for content in contents.values():
        content['categories'][0]['supercategory'] = 'animal'


SAME = [
    reversed_val,
    renumbered_train,
    renumbered_and_reversed,
    grouped('animal'),
    grouped('cat'),
    grouped('thing', 2),
    one_picture_under_two_ids,
    one_picture_under_three_ids,
    everything_listed_twice,
    through_another_spelling,
    linked_to_its_parent,
    pytest.param(renamed(lambda name, split: f'/home/me/{split}/{name}'), id='absolute'),
    pytest.param(renamed(lambda name, split: f'C:\\photos\\{split}\\{name}'), id='backslashes'),
    pytest.param(renamed(lambda name, split: name.replace('.jpg', '.JPG')), id='another case of the suffix'),
    pytest.param(renamed(lambda name, split: name.upper().replace('JPG', 'jpeg')), id='another case and suffix'),
    pytest.param(renamed(lambda name, split: unicodedata.normalize('NFD', name)), id='another Unicode form'),
    no_sizes,
    sizes_of_zero,
    sizes_as_text,
    boxes_as_text,
    categories_as_text,
    images_as_text_and_fractions,
    no_boxes_but_masks,
    no_area_no_crowd_no_id,
    turned_around_once,
    inferred_into_the_folder,
    grouped_by_its_own_group,
    pytest.param(renamed(lambda name, split: quote(name)), id='escaped'),
]


@pytest.mark.parametrize('route', ['trained', 'prepared'])
@pytest.mark.parametrize('change', SAME)
def test_a_training_sees_what_it_sees_of_the_unspoilt_set(change, route, tmp_path, unspoilt):
    contents = draw(tmp_path)
    change(tmp_path, contents)
    write(tmp_path, contents)
    if route == 'prepared':
        prepare_detection(tmp_path)
    assert seen(tmp_path) == unspoilt
    assert sorted(entry.name for entry in (tmp_path / 'val').iterdir() if not entry.is_symlink()) == sorted(
        unspoilt['val']
    )


@pytest.mark.parametrize('classes', [('bird', 'cat', 'dog'), ('dog', 'bird', 'cat'), ('dog', 'cat', 'bird')])
def test_labels_follow_names_in_any_order_that_is_asked_for(classes, tmp_path, unspoilt):
    assert seen(write(tmp_path, draw(tmp_path)), classes) == unspoilt


def test_results_for_a_server_have_the_ids_of_its_file(tmp_path):
    contents = draw(tmp_path)
    write(tmp_path, contents)
    renumbered_train(tmp_path, {'train': contents['val']})
    contents['val']['categories'].reverse()
    del contents['val']['annotations']
    (tmp_path / 'annotations/server.json').write_text(json.dumps(contents['val']))
    cfg = config_with_data(BOXES, data_root=str(tmp_path), classes=list(CLASSES))
    cfg.work_dir = str(tmp_path / 'work')
    for node in (cfg.test_dataloader.dataset, cfg.test_evaluator):
        node.ann_file = str(tmp_path / 'annotations/server.json')
    cfg.test_dataloader.dataset.data_prefix.img = 'val'
    cfg.test_evaluator.update(format_only=True, outfile_prefix=str(tmp_path / 'out'))
    preflight.check(cfg, ('test',))
    with DATASETS.switch_scope_and_registry('mmdet') as registry:
        dataset = registry.build({**cfg.test_dataloader.dataset, 'pipeline': []})
    assert dataset.cat_ids == [30, 7, 12]


@pytest.mark.parametrize('route', ['trained', 'prepared'])
@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda content: content.pop('annotations'), "no list 'annotations'"),
        (lambda content: content['images'][2].pop('file_name'), r'images\[2\] lacks file_name'),
        (lambda content: content.update(categories=[]), "its list 'categories' is empty"),
        (
            lambda content: [entry.pop('bbox') and entry.pop('segmentation') for entry in content['annotations']],
            'boxes',
        ),
    ],
)
def test_a_file_that_is_found_and_rejected_is_named_with_the_reason(change, reason, route, tmp_path):
    contents = draw(tmp_path)
    for content in contents.values():
        change(content)
    write(tmp_path, contents)
    with pytest.raises(SeMmError, match=rf'train\.json .*{reason}'):
        prepare_detection(tmp_path) if route == 'prepared' else seen(tmp_path)


# Masks: a training on masks sees what is left, and every object that it sees has one.


def compressed():
    mask = np.zeros((48, 64), np.uint8, order='F')
    mask[5:20, 3:40] = mask[30, 2] = 1
    encoded = pycocotools.mask.encode(mask)
    return {**encoded, 'counts': encoded['counts'].decode()}


def run_lengths(size=(48, 64), counts=None):
    return {'size': list(size), 'counts': counts or [100, 10, size[0] * size[1] - 110]}


@pytest.mark.parametrize(
    ('mask', 'kept'),
    [
        (None, False),
        ([], False),
        ([[1, 2, 3, 4]], False),
        ([[1, 2, 3, 4, 5, math.nan]], False),
        ([[1, 2, 3, 4], [5, 5, 9, 5, 9, 9]], True),
        ([5, 5, 9, 5, 9, 9], True),
        (run_lengths(), True),
        (compressed(), True),
        (run_lengths((64, 48)), False),
        (run_lengths(counts=[10, 20]), False),
        (run_lengths(counts='0'), False),
        ({'counts': [1]}, False),
    ],
)
def test_masks_are_looked_at_where_a_config_reads_them(mask, kept, tmp_path):
    contents = draw(tmp_path)
    contents['train']['annotations'][0]['segmentation'] = mask
    contents['val']['annotations'][0]['segmentation'] = mask
    write(tmp_path, contents)
    assert sum(map(len, seen(tmp_path)['train'].values())) == 16
    masked = seen(tmp_path, options=MASKS)
    assert [sum(map(len, masked[split].values())) for split in COUNTS] == [15 + kept, 7 + kept]


# Pictures of another size.


def resized(root: Path, size, names='*', exif=None) -> None:
    for file in root.glob(f'train/{names}.jpg'):
        Image.open(file).resize(size).save(file, **({'exif': exif} if exif else {}))


@pytest.mark.parametrize('size', [(128, 96), (96, 72), (43, 32)])
def test_pictures_that_were_resized_are_refused_or_their_boxes_scaled(size, tmp_path, unspoilt):
    write(tmp_path, draw(tmp_path))
    resized(tmp_path, size)
    with pytest.raises(SeMmError, match=f'8 of 8 pictures .* ratio {size[0] / 64:.4g}'):
        seen(tmp_path)
    with pytest.raises(SeMmError, match='--rescale'):
        prepare_detection(tmp_path)
    prepare_detection(tmp_path, rescale=True)
    for name, boxes in seen(tmp_path)['train'].items():
        for found, expected in zip(boxes, unspoilt['train'][name], strict=True):
            assert found[1:] == pytest.approx([value * size[0] / 64 for value in expected[1:]], abs=2e-3)


@pytest.mark.parametrize(('size', 'names'), [((48, 64), '*'), ((64, 64), '*'), ((30, 48), '* [02468]')])
def test_pictures_of_another_shape_are_refused_or_left_out(size, names, tmp_path):
    write(tmp_path, draw(tmp_path))
    resized(tmp_path, size, names)
    for what in (seen, prepare_detection, lambda root: prepare_detection(root, rescale=True)):
        with pytest.raises(SeMmError, match='no one ratio'):
            what(tmp_path)
    if names == '*':
        return
    prepare_detection(tmp_path, skip_missing=True)
    assert len(seen(tmp_path)['train']) == 4


@pytest.mark.parametrize('count', [1, 3])
def test_square_pictures_without_exif_are_not_said_to_be_turned(count, tmp_path):
    samples = [Sample(f'{i}.png', 64, 64, [('cat', (3, 4, 20, 30))]) for i in range(count + 2)]
    voc_folder(tmp_path, samples)
    assert 'EXIF' not in '\n'.join(prepare_detection(tmp_path))


# Predictions.


@pytest.mark.parametrize('kind', ['coco', 'list', 'csv', 'yolo'])
@pytest.mark.parametrize('alone', [False, True])
def test_predictions_are_no_annotations(kind, alone, tmp_path):
    samples = boxed(4, name='RBC')
    if kind == 'yolo':
        if not alone:
            yolo_folder(tmp_path, samples)
        pictures_into(tmp_path / 'predict', samples)
        (tmp_path / 'predict/labels').mkdir()
        for sample in samples:
            (tmp_path / f'predict/labels/{sample.name[:2]}.txt').write_text('2 0.5 0.5 0.1 0.1 0.87\n')
    else:
        pictures_into(tmp_path, samples) if alone else voc_folder(tmp_path, samples)
    if kind == 'csv':
        csv_table(tmp_path / 'out.csv', samples)
        lines = (tmp_path / 'out.csv').read_text().splitlines()
        (tmp_path / 'out.csv').write_text('\n'.join([f'{lines[0]},score', *(f'{line},0.5' for line in lines[1:])]))
    if kind in ('coco', 'list'):
        found = [{'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 1, 9, 9], 'score': 0.9}]
        images = [{'id': 1, 'file_name': '00.png', 'width': 64, 'height': 48}]
        content = {'images': images, 'annotations': found, 'categories': [{'id': 1, 'name': 'RBC'}]}
        (tmp_path / 'predictions.json').write_text(json.dumps(content if kind == 'coco' else found))
    if alone:
        with pytest.raises(SeMmError, match='score'):
            prepare_detection(tmp_path)
        return
    assert 'score' in '\n'.join(prepare_detection(tmp_path)) or kind == 'csv'
    content = json.loads((tmp_path / 'annotations/instances_train.json').read_text())
    assert [entry['bbox'] for entry in content['annotations']] == [pytest.approx([3, 4, 17, 26], abs=1e-3)] * 3


# YOLO and VOC lists.


@pytest.mark.parametrize('number', ['1', '1.0', '1.000'])
def test_numbers_of_classes_may_be_written_as_fractions(number, tmp_path):
    samples = boxed(4, name='RBC')
    for label in yolo_folder(tmp_path, samples).glob('labels/*.txt'):
        label.write_text(label.read_text().replace('1 ', f'{number} ', 1))
    assert 'RBC 3' in '\n'.join(prepare_detection(tmp_path))


@pytest.mark.parametrize('line', ['{}.png', 'JPEGImages/{}.png', '{}.jpg', '{}.xml'])
def test_lists_of_voc_may_name_files(line, tmp_path):
    samples = boxed(6)
    voc_devkit(tmp_path, samples, val=2)
    for file in tmp_path.rglob('ImageSets/Main/*.txt'):
        file.write_text('\n'.join(line.format(stem) for stem in file.read_text().split()))
    assert 'instances_val.json: 2 images' in '\n'.join(prepare_detection(tmp_path))


@pytest.mark.parametrize(
    'line',
    [
        '0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.5 0.5 2',
        '0 0.1 0.1 0.2 0.2 0.3 1.7',
        '0 .1 .1 .2 .2 .3 .3 .4',
        '0 10 10 30 10 30 30',
    ],
)
def test_what_is_no_polygon_is_named(line, tmp_path):
    samples = boxed(20, name='RBC')
    (yolo_folder(tmp_path, samples) / 'labels/03.txt').write_text(f'{line}\n')
    assert 'labels/03.txt cannot be read' in '\n'.join(prepare_detection(tmp_path))


# Splits.


@pytest.mark.parametrize(
    ('folders', 'expected'),
    [
        ({'val': 3, 'more': 5}, {'more': 'train', 'val': 'val'}),
        ({'valid': 3, 'a': 2, 'b': 2, 'test': 2}, {'a': 'train', 'b': 'train', 'valid': 'val', 'test': 'test'}),
        ({'train': 3, 'test': 3}, {'train': 'train', 'test': 'val'}),
        ({'train': 3, 'val': 2, 'c': 2}, {'train': 'train', 'c': 'train', 'val': 'val'}),
    ],
)
def test_declared_splits_stay_and_the_rest_is_trained_on(folders, expected, tmp_path):
    for folder, count in folders.items():
        voc_folder(tmp_path / folder, boxed(count, folder))
    prepare_detection(tmp_path)
    found = {}
    for file in (tmp_path / 'annotations').glob('*.json'):
        for image in json.loads(file.read_text())['images']:
            found[image['file_name'].partition('/')[0]] = file.stem.rpartition('_')[2]
    assert found == expected


def test_of_a_training_set_and_more_the_validation_set_is_drawn_from_the_rest(tmp_path):
    for folder in ('train', 'more'):
        voc_folder(tmp_path / folder, boxed(5, folder))
    prepare_detection(tmp_path)
    [image] = json.loads((tmp_path / 'annotations/instances_val.json').read_text())['images']
    assert image['file_name'].startswith('more/')


# Links, and the same picture in two splits.


@pytest.mark.parametrize('link', ['images/images', 'images/a/up', 'loop'])
def test_a_link_to_a_parent_folder_adds_no_picture(link, tmp_path):
    voc_folder(tmp_path / 'images/a', boxed(5))
    (tmp_path / link).symlink_to(tmp_path / 'images')
    said = '\n'.join(prepare_detection(tmp_path))
    contents = [json.loads(file.read_text()) for file in (tmp_path / 'annotations').iterdir()]
    assert sum(len(content['images']) for content in contents) == 5, said
    assert len({Path(image['file_name']).name for content in contents for image in content['images']}) == 5


@pytest.mark.parametrize('kind', ['file', 'folder'])
def test_a_picture_of_both_splits_is_refused_by_name(kind, tmp_path):
    samples = boxed(4)
    voc_folder(tmp_path / 'train', samples)
    if kind == 'folder':
        (tmp_path / 'val').symlink_to(tmp_path / 'train')
    else:
        (tmp_path / 'val').mkdir()
        (tmp_path / 'val/02.png').symlink_to(tmp_path / 'train/02.png')
        write_voc_xml(tmp_path / 'val/02.xml', samples[2])
    with pytest.raises(SeMmError, match=r'one picture, and its records have different splits'):
        prepare_detection(tmp_path)


# What was passed over in silence.


@pytest.mark.parametrize('suffix', ['.jfif', '.JPE', '.ppm', '.jpg'])
def test_what_opencv_reads_is_taken(suffix, tmp_path):
    for i in range(4):
        file = tmp_path / f'{i}{suffix}'
        Image.new('RGB', (64, 48)).save(file, 'PPM' if suffix == '.ppm' else 'JPEG')
        write_voc_xml(tmp_path / f'{i}.xml', Sample(file.name, 64, 48, [('cat', (3, 4, 20, 30))]))
    (tmp_path / 'more.gif').write_bytes(b'GIF89a')
    said = '\n'.join(prepare_detection(tmp_path))
    assert '3 images' in said
    assert 'passed over: 1 pictures' in said


@pytest.mark.parametrize('hidden', ['.thumbs/a.jpg', '.b.jpg', 'deep/.cache/c.png'])
@pytest.mark.parametrize('layout', ['train', 'train and val'])
def test_hidden_pictures_of_a_class_are_not_trained_on(hidden, layout, tmp_path):
    from mmpretrain.registry import DATASETS as REGISTRY

    for split in layout.split(' and '):
        for name in ('beach', 'forest'):
            pictures_into(tmp_path / split / name, [Sample(f'{i}.png', 32, 24, []) for i in range(5)])
            pictures_into((tmp_path / split / name / hidden).parent, [Sample(Path(hidden).name, 32, 24, [])])
    assert 'hidden' in '\n'.join(prepare_scenes(tmp_path))
    cfg = config_with_data('se_mm::demo/se_resnet18_scenes.py', data_root=str(tmp_path), classes=[])
    with REGISTRY.switch_scope_and_registry('mmpretrain') as registry:
        counts = [
            len(registry.build({**cfg[f'{split}_dataloader'].dataset, 'pipeline': [], 'lazy_init': False}))
            for split in ('train', 'val')
        ]
    assert sum(counts) == (20 if 'val' in layout else 10)


@pytest.mark.parametrize(
    ('degrees', 'box'), [(90, [-1, 11, 30, 10]), (45, [-0.142, 1.858, 28.284, 28.284]), (180, [9, 1, 10, 30])]
)
def test_a_rotation_makes_the_upright_box_around_it(degrees, box, tmp_path):
    contents = draw(tmp_path)
    for entry in contents['train']['annotations']:
        entry.update(bbox=[9, 1, 10, 30], attributes={'rotation': degrees})
    found = seen(write(tmp_path, contents))['train']
    expected = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
    assert [one[1:] for boxes in found.values() for one in boxes] == [pytest.approx(expected, abs=1e-3)] * 16


@pytest.mark.parametrize('name', ['soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py'])
@pytest.mark.parametrize('there', [False, True])
def test_a_set_without_labels_is_not_replaced_by_one_with_labels(name, there, tmp_path):
    contents = draw(tmp_path)
    if there:
        pictures_into(tmp_path / 'unlabeled', [Sample('x.jpg', 64, 48, [])])
        image = {'id': 1, 'file_name': 'x.jpg', 'width': 64, 'height': 48}
        contents['unlabeled'] = {**contents['val'], 'images': [image], 'annotations': []}
    write(tmp_path, contents)
    if not there:
        with pytest.raises(SeMmError, match='without labels'):
            config_with_data(f'mmdet::{name}', data_root=str(tmp_path), classes=list(CLASSES))
        return
    cfg = config_with_data(f'mmdet::{name}', data_root=str(tmp_path), classes=list(CLASSES))
    files = [node['ann_file'] for _, node in nodes(cfg.train_dataloader) if 'ann_file' in node]
    assert files == ['annotations/train.json', 'annotations/unlabeled.json']


@pytest.mark.parametrize(
    ('count', 'labels', 'said'), [(101, 1, 'mAP counts 100'), (150, 3, 'max_per_img'), (100, 1, None)]
)
def test_more_objects_than_are_counted_are_said(count, labels, said, tmp_path, capsys):
    contents = draw(tmp_path)
    one = contents['val']['annotations'][0]
    entries = [{**one, 'id': i + 1, 'category_id': 1 + i % labels} for i in range(count)]
    contents['val']['annotations'] = entries
    seen(write(tmp_path, contents))
    out = capsys.readouterr().out
    assert (said or 'of a class') in out if said else 'at the most' not in out


# A way on, which works.


@pytest.mark.parametrize('kind', ['csv', 'coco', 'voc'])
def test_what_is_there_of_many_missing_pictures_can_be_used(kind, tmp_path):
    samples = boxed(60)
    if kind == 'csv':
        csv_table(tmp_path / 'boxes.csv', samples)
    elif kind == 'voc':
        voc_folder(tmp_path, samples)
    else:
        images = [{'id': i, 'file_name': s.name, 'width': 64, 'height': 48} for i, s in enumerate(samples, 1)]
        boxes = [{'id': i, 'image_id': i, 'category_id': 1, 'bbox': [3, 4, 17, 26]} for i in range(1, 61)]
        content = {'images': images, 'annotations': boxes, 'categories': [{'id': 1, 'name': 'cat'}]}
        (tmp_path / 'a.json').write_text(json.dumps(content))
    pictures_into(tmp_path, samples)
    for sample in samples[20:]:
        (tmp_path / sample.name).unlink()
    with pytest.raises(SeMmError, match=r'40 of 60 .*(\n.*)*and 20 more\n--skip-missing'):
        prepare_detection(tmp_path)
    assert '16 images' in '\n'.join(prepare_detection(tmp_path, skip_missing=True))


@pytest.mark.parametrize('name', ['set.yaml', 'config/my data.yml', 'dataset.yaml'])
def test_any_yaml_with_names_names_the_classes(name, tmp_path):
    samples = boxed(4, name='RBC')
    yolo_folder(tmp_path, samples, names=None)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('names: [a, b, c]\n')
    assert 'b 3' in '\n'.join(prepare_detection(tmp_path))


def test_classes_that_nothing_names_are_said_and_can_be_named(tmp_path):
    samples = boxed(4, name='RBC')
    yolo_folder(tmp_path, samples, names=None)
    assert 'warning: nothing names the classes' in '\n'.join(prepare_detection(tmp_path))
    assert 'b 3' in '\n'.join(prepare_detection(tmp_path, names=['a', 'b'], force=True))


def test_a_source_that_is_newer_is_said_and_made_anew_when_asked(tmp_path):
    samples = boxed(4)
    prepare_detection(voc_folder(tmp_path, samples))
    os.utime(tmp_path / '02.xml', (2e9, 2e9))
    assert 'newer than they are: 02.xml' in '\n'.join(prepare_detection(tmp_path))
    write_voc_xml(tmp_path / '02.xml', samples[2]._replace(boxes=[('dog', (3, 4, 20, 30))]))
    assert 'dog' in '\n'.join(prepare_detection(tmp_path, force=True))


def absent(root, contents):
    for image in contents['train']['images'][:5]:
        image['file_name'] = f'gone {image["file_name"]}'


def half_size(root, contents):
    resized(root, (96, 72))


def some_of_another_shape(root, contents):
    resized(root, (30, 30), '* [0246]')


def other_classes(root, contents):
    for content in contents.values():
        content['categories'][1]['name'] = 'my cow'


@pytest.mark.parametrize('change', [absent, half_size, some_of_another_shape, other_classes])
def test_the_command_that_a_message_proposes_works(change, tmp_path):
    contents = draw(tmp_path)
    change(tmp_path, contents)
    write(tmp_path, contents)
    with pytest.raises(SeMmError) as error:
        seen(tmp_path)
    message = str(error.value)
    classes = re.search(r'--classes ([^()]*?)(?= \(|$)', message)
    if classes:
        seen(tmp_path, shlex.split(classes.group(1)))
        return
    command = re.search(r'se-mm prepare-data (detection \S+)', message).group(1)
    for flag in re.findall(r'--(?:rescale|skip-missing)', message)[:1]:
        cli.run('prepare_data', [*shlex.split(command), flag])
    assert seen(tmp_path)


@pytest.mark.parametrize('kind', ['voc', 'yolo'])
def test_prepare_data_is_proposed_for_raw_annotations_and_its_result_can_be_trained_on(kind, tmp_path):
    samples = boxed(6, name='RBC')
    (voc_folder if kind == 'voc' else yolo_folder)(tmp_path, samples)
    with pytest.raises(SeMmError) as error:
        config_with_data(BOXES, data_root=str(tmp_path), classes=[])
    command = re.search(r'prepare_data.py (detection \S+)', str(error.value)).group(1)
    cli.run('prepare_data', shlex.split(command))
    assert seen(tmp_path, ())


@pytest.mark.parametrize('fault', ['resized', 'broken'])
def test_what_the_check_of_voc_proposes_works(fault, tmp_path):
    samples = [sample._replace(name=sample.name.replace('.png', '.jpg')) for sample in boxed(20)]
    voc_devkit(tmp_path, samples, val=4)
    if fault == 'broken':
        (tmp_path / 'VOC2007/Annotations/01.xml').write_bytes(b'')
    else:
        for file in (tmp_path / 'VOC2007/JPEGImages').iterdir():
            Image.open(file).resize((128, 96)).save(file)
    config = 'mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py'
    with pytest.raises(SeMmError, match='pictures have another size' if fault == 'resized' else 'is empty') as error:
        seen(tmp_path, ['cat'], config)
    command = re.search(r'se-mm prepare-data (detection \S+(?: --rescale)?)', str(error.value)).group(1)
    cli.run('prepare_data', shlex.split(command))
    found = seen(tmp_path, (), config)
    assert sum(map(len, found.values())) == (20 if fault == 'resized' else 19)


def test_other_ways_that_messages_name_work_too(tmp_path):
    contents = draw(tmp_path)
    for content in contents.values():
        for entry in content['annotations']:
            del entry['segmentation']
    write(tmp_path, contents)
    with pytest.raises(SeMmError, match='does not exist') as error:
        seen(tmp_path / 'elsewhere')
    assert '--data-root' in str(error.value)
    with pytest.raises(SeMmError, match='has boxes alone') as error:
        seen(tmp_path, options=MASKS)
    assert seen(tmp_path, config=re.search(r'as (se_mm::\S+\.py)', str(error.value)).group(1))
    cfg = config_with_data(BOXES, None, str(tmp_path), list(CLASSES))
    cfg.model.bbox_head.num_classes = 7
    cfg.work_dir = str(tmp_path / 'work')
    with pytest.raises(SeMmError, match='num_classes is 7') as error:
        preflight.check(cfg, ('train',))
    key, value = re.search(r'set (\S+)=(\d+)', str(error.value)).groups()
    cfg.merge_from_dict({key: int(value)})
    preflight.check(cfg, ('train',))


def test_scenes_are_prepared_by_the_command_that_the_message_names(tmp_path):
    for name in ('beach', 'forest'):
        pictures_into(tmp_path / name, [Sample(f'{i}.png', 32, 24, []) for i in range(5)])
    with pytest.raises(SeMmError) as error:
        config_with_data('se_mm::demo/se_resnet18_scenes.py', data_root=str(tmp_path), classes=[])
    cli.run('prepare_data', shlex.split(re.search(r'prepare_data.py (scenes \S+)', str(error.value)).group(1)))
    assert config_with_data('se_mm::demo/se_resnet18_scenes.py', data_root=str(tmp_path), classes=[])


@pytest.mark.parametrize('written', ['list', 'text', 'flat polygon'])
def test_masks_are_scaled_with_their_pictures(written, tmp_path):
    pixels = np.zeros((48, 64), np.uint8)
    pixels[8:24, 16:40] = 1
    encoded = pycocotools.mask.encode(np.asfortranarray(pixels))
    column = pixels.ravel(order='F')
    lengths = np.diff(np.flatnonzero(np.diff(column, prepend=0, append=2)), prepend=0).tolist()
    mask = {
        'list': {'size': [48, 64], 'counts': lengths},
        'text': {'size': [48, 64], 'counts': encoded['counts'].decode()},
        'flat polygon': [16, 8, 40, 8, 40, 24, 16, 24],
    }[written]
    box = dict(category_id=1, bbox=[16, 8, 24, 16], area=384, iscrowd=0, segmentation=mask)
    content = dict(images=[], annotations=[], categories=[dict(id=1, name='disc')])
    for i in range(1, 5):
        Image.new('RGB', (32, 24)).save(tmp_path / f'{i}.png')
        content['images'].append(dict(id=i, file_name=f'{i}.png', width=64, height=48))
        content['annotations'].append(dict(box, id=i, image_id=i))
    (tmp_path / 'all.json').write_text(json.dumps(content))
    prepare_detection(tmp_path, rescale=True)
    (found, *_) = json.loads((tmp_path / 'annotations/instances_train.json').read_text())['annotations']
    scaled = found['segmentation']
    assert found['bbox'] == [8, 4, 12, 8]
    decoded = pycocotools.mask.decode(
        scaled if isinstance(scaled, dict) else pycocotools.mask.merge(pycocotools.mask.frPyObjects(scaled, 24, 32))
    )
    assert np.array_equal(decoded, pixels[::2, ::2])
