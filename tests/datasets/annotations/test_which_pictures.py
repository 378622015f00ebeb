"""An annotation belongs to the picture that it names: alike names, paths of other machines, turned pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image
from support.formats import CLASSES, Sample, pictures_into, write_voc_xml, yolo_folder

from se_mm import SeMmError
from se_mm.datasets.annotations.pictures import PictureIndex, picture_size
from se_mm.datasets.prepare.detection import prepare_detection
from se_mm.datasets.prepare.scenes import prepare_scenes

BOX = (3, 4, 20, 30)


def grey(count: int, start: int = 0) -> list[Sample]:
    return [Sample(f'{i:02d}.png', 64, 48, [('RBC', BOX)]) for i in range(start, start + count)]


def contents(root: Path) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted((root / 'annotations').glob('instances_*.json'))]


def labels(root: Path) -> dict[str, list[str]]:
    """The classes of the boxes of each picture, by its path."""
    found: dict[str, list[str]] = {}
    for content in contents(root):
        names = {category['id']: category['name'] for category in content['categories']}
        files = {image['id']: image['file_name'] for image in content['images']}
        found |= {file: [] for file in files.values()}
        for annotation in content['annotations']:
            found[files[annotation['image_id']]].append(names[annotation['category_id']])
    return found


def table(file: Path, rows: list[tuple[str, str]], delimiter: str = ',') -> None:
    with file.open('w', newline='') as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(('filename', 'class', 'xmin', 'ymin', 'xmax', 'ymax'))
        writer.writerows([(name, label, *BOX) for name, label in rows])


@pytest.mark.parametrize(
    ('name', 'near', 'expected'),
    [
        ('cam1/0.png', 'boxes.csv', 'cam1/0.png'),
        ('./cam1/0.png', 'boxes.csv', 'cam1/0.png'),
        ('0.png', 'cam2/boxes.csv', 'cam2/0.png'),
        ('/home/me/photos/cam2/0.png', 'boxes.csv', 'cam2/0.png'),
        (r'C:\photos\1.jpg', 'boxes.csv', '11cam/1.png'),
        ('other/1.png', 'boxes.csv', None),
        ('cam/1.png', 'boxes.csv', None),
        ('0.png', 'boxes.csv', None),
        ('a.1', 'a.1.xml', 'a.1.png'),
        ('a.2', 'a.2.xml', None),
        ('a.jpg', 'a.xml', 'a.png'),
    ],
)
def test_a_name_is_one_picture_or_none(name, near, expected, tmp_path):
    for file in ('cam1/0.png', 'cam2/0.png', '11cam/1.png', 'a.png', 'a.1.png'):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert PictureIndex(tmp_path).find(name, near) == expected


def test_pictures_of_one_name_in_two_folders_keep_their_own_boxes(tmp_path):
    for folder in ('2', '12'):
        pictures_into(tmp_path / folder, grey(6))
    table(tmp_path / 'boxes.csv', [(f'{folder}/{i:02d}.png', folder) for folder in ('2', '12') for i in range(6)])
    prepare_detection(tmp_path)
    assert labels(tmp_path) == {f'{folder}/{i:02d}.png': [folder] for folder in ('2', '12') for i in range(6)}


@pytest.mark.parametrize(('named', 'message'), [('cam3/{}', 'in another folder'), ('{}', 'may be cam1/00.png, cam2/')])
def test_what_cannot_be_told_is_refused(tmp_path, named, message):
    for folder in ('cam1', 'cam2'):
        pictures_into(tmp_path / folder, grey(1) if folder == 'cam2' and 'cam' in named else grey(4))
    if 'cam' in named:
        (tmp_path / 'cam2/00.png').unlink()
    table(tmp_path / 'boxes.csv', [(named.format(f'{i:02d}.png'), 'RBC') for i in range(4)])
    with pytest.raises(SeMmError, match=message):
        prepare_detection(tmp_path)


@pytest.mark.parametrize('delimiter', [',', ';', '\t'])
def test_spreadsheets_write_tables_with_semicolons(tmp_path, delimiter):
    pictures_into(tmp_path, grey(4))
    table(tmp_path / 'boxes.csv', [(f'{i:02d}.png', 'RBC') for i in range(4)], delimiter)
    prepare_detection(tmp_path)
    assert len(labels(tmp_path)) == 4


def turned(file: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (80, 60), (90, 90, 90)).save(file, kind, exif=exif)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP'])
def test_the_size_is_that_of_the_decoder(tmp_path, kind):
    import mmcv

    turned(tmp_path / f'a.{kind}', kind)
    height, width = mmcv.imread(str(tmp_path / f'a.{kind}')).shape[:2]
    assert picture_size(tmp_path / f'a.{kind}').decoded == (width, height)


@pytest.mark.parametrize(('size', 'box'), [((80, 60), (50, 5, 75, 25)), ((60, 80), (5, 50, 25, 75))])
def test_turned_pictures_are_read_as_they_were_annotated(tmp_path, size, box):
    for i in range(3):
        turned(tmp_path / f'{i}.jpg', 'JPEG')
        write_voc_xml(tmp_path / f'{i}.xml', Sample(f'{i}.jpg', *size, [('RBC', box)]))
    said = '\n'.join(prepare_detection(tmp_path))
    assert ('annotated as stored' in said) == (size == (80, 60))
    for content in contents(tmp_path):
        assert {(image['width'], image['height']) for image in content['images']} == {size}
        assert all(
            annotation['bbox'] == [*box[:2], 25 if size == (80, 60) else 20, 20 if size == (80, 60) else 25]
            for annotation in content['annotations']
        )


def coco(samples: list[Sample], **more: str) -> str:
    return json.dumps(
        {
            'images': [{'id': i, 'file_name': s.name, 'width': 64, 'height': 48} for i, s in enumerate(samples)],
            'annotations': [
                {'id': i + 1, 'image_id': i, 'category_id': 1, 'bbox': [3, 4, 17, 26], 'area': 442, 'iscrowd': 0}
                for i in range(len(samples))
            ],
            'categories': [{'id': 1, 'name': 'RBC'}],
            **more,
        }
    )


def test_several_coco_files_are_one_data_set(tmp_path):
    for name, samples in (('cam1', grey(5)), ('cam2', grey(5, start=5))):
        pictures_into(tmp_path / name, samples)
        (tmp_path / f'{name}.json').write_text(coco(samples))
    prepare_detection(tmp_path)
    assert labels(tmp_path).keys() == {f'cam{1 + i // 5}/{i:02d}.png' for i in range(10)}
    other = tmp_path / 'other'
    pictures_into(other, grey(5))
    for name in ('a', 'b'):
        (other / f'{name}.json').write_text(coco(grey(5)))
    assert '5 pictures listed more than once' in '\n'.join(prepare_detection(other))
    (other / 'b.json').write_text(coco(grey(5)).replace('[3, 4, 17, 26]', '[3, 4, 17, 25]'))
    with pytest.raises(SeMmError, match=r'a.json and b.json both annotate 00.png, and not alike; move one'):
        prepare_detection(other, force=True)


def test_coco_files_beside_those_of_the_splits_are_named(tmp_path):
    pictures_into(tmp_path, grey(8))
    for name, start in {'train': 0, 'val': 4, 'train_old': 90}.items():  # those of the last are gone
        (tmp_path / f'{name}.json').write_text(coco(grey(4, start)))
    said = '\n'.join(prepare_detection(tmp_path))
    assert 'nothing to convert' in said
    assert 'not read: train_old.json' in said


def test_a_format_that_is_asked_for_is_read_beside_coco_files(tmp_path):
    pictures_into(tmp_path, grey(4))
    for name in ('train', 'val'):
        (tmp_path / f'{name}.json').write_text(coco(grey(4)))
    table(tmp_path / 'boxes.csv', [(f'{i:02d}.png', 'cell') for i in range(4)])
    prepare_detection(tmp_path, kind='csv')
    assert {label for found in labels(tmp_path).values() for label in found} == {'cell'}


@pytest.mark.parametrize('path', ['', '/data/of/another/machine/', '../'])
def test_folders_that_data_yaml_names_are_the_splits(tmp_path, path):
    for part, samples in (('part_a', grey(6)), ('part_b', grey(6, start=6))):
        yolo_folder(tmp_path / part, samples, names=None)
    (tmp_path / 'data.yaml').write_text(
        f'train: {path}part_a/images\nval: [{path}part_b/images]\nnames: {list(CLASSES)}\n'
    )
    said = '\n'.join(prepare_detection(tmp_path))
    assert 'no split' not in said
    train, val = contents(tmp_path)
    assert {image['file_name'][:6] for image in train['images']} == {'part_a'}
    assert {image['file_name'][:6] for image in val['images']} == {'part_b'}


def test_labels_with_keypoints_are_boxes(tmp_path):
    yolo_folder(tmp_path, grey(4), names=None)
    for label in (tmp_path / 'labels').iterdir():
        label.write_text(label.read_text().strip() + ' 0.1 0.1 2 0.9 0.9 2\n')
    (tmp_path / 'data.yaml').write_text(f'kpt_shape: [2, 3]\nnames: {list(CLASSES)}\n')
    prepare_detection(tmp_path)
    boxes = [annotation['bbox'] for content in contents(tmp_path) for annotation in content['annotations']]
    assert boxes == [pytest.approx([3, 4, 17, 26], abs=1e-3)] * 4


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('names: cat', "names is 'cat'; expected a list"),
        ('names: [cat, cat]', "two classes are called 'cat'"),
        ('[a, b]', 'is a list; expected a mapping'),
        ('names: [', 'cannot be read'),
    ],
)
def test_a_data_yaml_that_cannot_be_used_is_refused(tmp_path, text, message):
    yolo_folder(tmp_path, grey(4), names=None)
    (tmp_path / 'data.yaml').write_text(text)
    with pytest.raises(SeMmError, match=message):
        prepare_detection(tmp_path)


@pytest.mark.parametrize(
    'broken',
    [
        b'<annotation><size><width>inf</width><height>3</height></size></annotation>',
        b'<?xml version="1.0" encoding="bogus"?><annotation/>',
    ],
)
def test_odd_xml_is_a_broken_file_and_no_bug(tmp_path, broken):
    pictures_into(tmp_path, grey(20))
    for sample in grey(20):
        write_voc_xml(tmp_path / f'{sample.name[:2]}.xml', sample)
    (tmp_path / '03.xml').write_bytes(broken)
    assert any('03.xml cannot be read' in line for line in prepare_detection(tmp_path))


@pytest.mark.parametrize('hidden', ['.ipynb_checkpoints', '__MACOSX'])
def test_folders_that_are_no_classes_are_named_where_mmpretrain_would_take_them(tmp_path, hidden):
    for split in ('train', 'val'):
        for name in ('_background', 'cat'):
            pictures_into(tmp_path / split / name, grey(3))
    assert any('2 folders of classes (_background, cat)' in line for line in prepare_scenes(tmp_path))
    (tmp_path / 'train' / hidden).mkdir()
    with pytest.raises(SeMmError, match=f'{hidden}, which mmpretrain takes for a class'):
        prepare_scenes(tmp_path)
