"""A folder in any format becomes the same COCO JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.formats import (
    CLASSES,
    Sample,
    csv_table,
    pictures_into,
    voc_devkit,
    voc_folder,
    write_voc_xml,
    yolo_folder,
)
from support.helpers import shared

from se_mm import SeMmError
from se_mm.datasets.prepare.detection import prepare_detection

COUNT = 12


@pytest.fixture(scope='session')
def cells() -> tuple[list[Sample], Path]:
    """A dozen photos of blood cells, with all of their boxes inside the picture."""
    source = shared('bccd')
    content = json.loads((source / 'annotations/val.json').read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    samples = []
    for image in content['images'][:COUNT]:
        boxes = []
        for annotation in content['annotations']:
            if annotation['image_id'] == image['id']:
                x, y, w, h = map(int, annotation['bbox'])
                boxes.append((names[annotation['category_id']], (x, y, min(x + w, 640), min(y + h, 480))))
        samples.append(Sample(image['file_name'], image['width'], image['height'], boxes))
    assert {name for sample in samples for name, _ in sample.boxes} == set(CLASSES)
    return samples, source / 'images'


def written(root: Path, splits=('train', 'val')) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """The boxes of each picture in what was written, as class and corners, and their ids checked."""
    boxes: dict[str, list] = {}
    for split in splits:
        content = json.loads((root / f'annotations/instances_{split}.json').read_text())
        names = {category['id']: category['name'] for category in content['categories']}
        files = {image['id']: image['file_name'] for image in content['images']}
        assert len({annotation['id'] for annotation in content['annotations']}) == len(content['annotations'])
        assert all((root / file).is_file() for file in files.values())
        assert not boxes.keys() & {Path(file).name for file in files.values()}, 'in both splits'
        boxes |= {Path(file).name: [] for file in files.values()}
        for annotation in content['annotations']:
            x, y, w, h = annotation['bbox']
            name = Path(files[annotation['image_id']]).name
            boxes[name].append((names[annotation['category_id']], (x, y, x + w, y + h)))
    return boxes


def assert_same(found, samples, tolerance=0.0):
    assert found.keys() == {sample.name for sample in samples}
    for sample in samples:
        assert [name for name, _ in found[sample.name]] == [name for name, _ in sample.boxes]
        for (_, got), (_, expected) in zip(found[sample.name], sample.boxes, strict=True):
            assert got == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize('layout', ['voc folder', 'voc devkit', 'voc devkit with lists', 'csv'])
def test_whole_pixels_come_through_exactly(cells, tmp_path, layout):
    samples, source = cells
    if layout == 'csv':
        pictures_into(tmp_path / 'photos', samples, source)
        csv_table(tmp_path / 'boxes.csv', samples)
    elif layout == 'voc folder':
        voc_folder(tmp_path, samples, source)
    else:
        voc_devkit(tmp_path, samples, source, val=3 if 'lists' in layout else 0)
    before = {file: file.read_bytes() for file in tmp_path.rglob('*') if file.is_file()}
    prepare_detection(tmp_path)
    assert_same(written(tmp_path), samples)
    assert all(file.read_bytes() == content for file, content in before.items())
    if 'lists' in layout:
        val = json.loads((tmp_path / 'annotations/instances_val.json').read_text())
        assert [Path(image['file_name']).name for image in val['images']] == [sample.name for sample in samples[-3:]]


@pytest.mark.parametrize('names', ['data.yaml', 'classes.txt'])
@pytest.mark.parametrize('val', [0, 4])
def test_yolo_comes_through_to_its_own_precision(cells, tmp_path, names, val):
    samples, source = cells
    yolo_folder(tmp_path, samples, source, names, val)
    said = '\n'.join(prepare_detection(tmp_path))
    assert_same(written(tmp_path), samples, tolerance=640 * 1e-6 + 1e-3)
    content = json.loads((tmp_path / 'annotations/instances_val.json').read_text())
    assert [category['name'] for category in content['categories']] == list(CLASSES)
    assert len(content['images']) == (val or round(0.2 * COUNT))
    assert ('no validation set' in said) == (not val)


def test_yolo_without_names_numbers_the_classes(cells, tmp_path):
    samples, source = cells
    said = prepare_detection(yolo_folder(tmp_path, samples, source, None) and tmp_path)
    assert 'nothing names the classes' in said[0]
    numbered = [
        sample._replace(boxes=[(f'class_{CLASSES.index(name)}', box) for name, box in sample.boxes])
        for sample in samples
    ]
    assert_same(written(tmp_path), numbered, tolerance=640 * 1e-6 + 1e-3)


def grey(count: int = 10, name: str = 'cell') -> list[Sample]:
    return [Sample(f'{i:02d}.png', 64, 48, [(name, (3, 4, 20 + i, 30))]) for i in range(count)]


def test_the_split_is_the_same_again_and_further_pictures_move_few_of_the_others(tmp_path):
    def val_of(name, count, seed=0):
        root = voc_folder(tmp_path / name, grey(count))
        prepare_detection(root, seed=seed)
        content = json.loads((root / 'annotations/instances_val.json').read_text())
        return {image['file_name'] for image in content['images']}

    assert val_of('a', 40) == val_of('b', 40)
    assert val_of('a', 40) != val_of('c', 40, seed=1)
    assert len(val_of('b', 40)) == 8
    more = val_of('d', 44)
    assert len(more) == 9
    assert len(more & val_of('a', 40)) >= 5


def test_one_broken_xml_of_many_is_named_and_left_out(tmp_path):
    root = voc_folder(tmp_path, grey(20))
    (root / '07.xml').write_bytes(b'')
    said = '\n'.join(prepare_detection(root))
    assert 'left out: 1 file that cannot be used' in said
    assert '07.xml is empty (0 bytes)' in said
    assert len(written(root)) == 19


def test_many_broken_files_are_an_error_that_names_them(tmp_path):
    root = voc_folder(tmp_path, grey(20))
    for i in range(5):
        (root / f'{i:02d}.xml').write_text('<annotation><object>')
    with pytest.raises(SeMmError, match=r'5 of 20 Pascal VOC XML files cannot be used:\n  00.xml cannot be read'):
        prepare_detection(root)
    assert not (root / 'annotations').exists()


@pytest.mark.parametrize(('missing', 'fits'), [(2, True), (5, False)])
def test_in_one_file_of_many_pictures_the_share_is_that_of_its_entries(missing, fits, tmp_path):
    csv_table(tmp_path / 'boxes.csv', grey(30))
    pictures_into(tmp_path / 'images', grey(30)[missing:])
    if fits:
        assert f'left out: {missing} files that cannot be used' in '\n'.join(prepare_detection(tmp_path))
        assert len(written(tmp_path)) == 30 - missing
        return
    with pytest.raises(SeMmError, match=rf'{missing} of 30 CSV entries cannot be used:\n  .*00.png'):
        prepare_detection(tmp_path)


@pytest.mark.parametrize('odd', ['\ufeff0 0.5 0.5 0.5 0.5\n', '1.5 0.5 0.5 0.5 0.5\n', '0 0.5\n'])
def test_odd_yolo_files_are_read_or_named(odd, tmp_path):
    yolo_folder(tmp_path, grey(20, 'RBC'))
    [label, *_] = sorted(tmp_path.rglob('labels/**/*.txt'))
    label.write_text(odd, encoding='utf-8')
    said = '\n'.join(prepare_detection(tmp_path))
    assert 'without a text file' not in said
    assert (f'{label.relative_to(tmp_path)} cannot be read' in said) is (odd[0] != '\ufeff')


def test_list_files_of_yolo_may_have_absolute_paths(tmp_path):
    yolo_folder(tmp_path, grey(20, 'RBC'))
    pictures = sorted(str(file) for file in tmp_path.rglob('*.png'))
    (tmp_path / 'train.txt').write_text('\n'.join(pictures[5:]))
    (tmp_path / 'val.txt').write_text('\n'.join(pictures[:5]))
    names = json.dumps(list(CLASSES))
    (tmp_path / 'data.yaml').write_text(f'train: train.txt\nval: val.txt\nnames: {names}\n')
    prepare_detection(tmp_path)
    content = json.loads((tmp_path / 'annotations/instances_val.json').read_text())
    assert sorted(Path(image['file_name']).name for image in content['images']) == [Path(p).name for p in pictures[:5]]


def test_an_empty_text_beside_captions_makes_them_no_labels(tmp_path):
    csv_table(tmp_path / 'boxes.csv', grey(10))
    (tmp_path / 'notes.csv').write_bytes('Größe\n'.encode('latin-1'))
    pictures_into(tmp_path, grey(10))
    for i in range(10):
        (tmp_path / f'{i:02d}.txt').write_text('a blood cell' if i else '')
    assert 'CSV' in '\n'.join(prepare_detection(tmp_path))
    assert len(written(tmp_path)) == 10


def test_pictures_without_labels_do_not_dilute_the_broken_ones(tmp_path):
    yolo_folder(tmp_path, grey(40, 'RBC'))
    for i, label in enumerate(sorted(tmp_path.rglob('labels/*.txt'))):
        if i < 4:
            label.write_text('0 0.5')
        elif i >= 10:
            label.unlink()
    with pytest.raises(SeMmError, match='4 of 10 YOLO text files cannot be used'):
        prepare_detection(tmp_path)


def test_names_of_yolo_that_map_to_numbers_are_refused(tmp_path):
    yolo_folder(tmp_path, grey(4, 'RBC'))
    (tmp_path / 'data.yaml').write_text('names: {0: dog, cat: 1}\n')
    with pytest.raises(SeMmError, match="names maps 'cat'; expected numbers to names"):
        prepare_detection(tmp_path)


def test_what_was_interrupted_is_made_anew(tmp_path):
    voc_folder(tmp_path, grey(20))
    prepare_detection(tmp_path)
    (tmp_path / 'annotations/instances_val.json').unlink()
    assert 'images' in '\n'.join(prepare_detection(tmp_path))
    assert len(written(tmp_path)) == 20


def test_list_files_of_voc_name_pictures_with_spaces(tmp_path):
    samples = [sample._replace(name=f'my {sample.name}') for sample in grey(20)]
    root = voc_devkit(tmp_path, samples, val=4)
    prepare_detection(root)
    assert len(json.loads((root / 'annotations/instances_val.json').read_text())['images']) == 4


def test_boxes_that_cannot_be_are_named_and_left_out(tmp_path):
    root = voc_folder(tmp_path, grey(20))
    write_voc_xml(root / '00.xml', grey()[0], xmin='40', xmax='10')
    write_voc_xml(root / '01.xml', grey()[1], xmax='nan')
    write_voc_xml(root / '02.xml', grey()[2], xmin='100', xmax='120')
    write_voc_xml(root / '03.xml', grey()[3], xmax='90')
    write_voc_xml(root / '04.xml', grey()[4], difficult='1')
    said = '\n'.join(prepare_detection(root))
    assert 'left out: 1 object with an inverted box (00.png' in said
    assert 'left out: 1 object with a box that is not four finite numbers (01.png' in said
    assert 'left out: 1 object outside of the image (02.png' in said
    assert 'mended: 1 object reaching over the edge: cut there (03.png' in said
    found = written(root)
    assert found['00.png'] == found['01.png'] == found['02.png'] == []
    assert found['03.png'][0][1] == (3, 4, 64, 30)
    crowd = [
        annotation['iscrowd']
        for split in ('train', 'val')
        for annotation in json.loads((root / f'annotations/instances_{split}.json').read_text())['annotations']
    ]
    assert sum(crowd) == 1


def test_a_class_that_yolo_does_not_name_and_a_broken_picture(tmp_path):
    root = yolo_folder(tmp_path, [Sample(f'{i:02d}.png', 64, 48, [('RBC', (3, 4, 20, 30))]) for i in range(20)])
    (root / 'labels/03.txt').write_text('7 0.5 0.5 0.1 0.1\n')
    (root / 'images/04.png').write_bytes(b'')
    said = '\n'.join(prepare_detection(root))
    assert 'labels/03.txt cannot be read: class 7 is unknown, there are 3 names' in said
    assert 'images/04.png is empty (0 bytes)' in said
    assert len(written(root)) == 18


def test_yolo_polygons_become_boxes_and_masks(tmp_path):
    root = yolo_folder(tmp_path, [Sample(f'{i}.png', 64, 48, [('RBC', (3, 4, 20, 30))]) for i in range(2)])
    for i in range(2):
        (root / f'labels/{i}.txt').write_text('1 0.25 0.25 0.5 0.25 0.5 0.75\n')
    prepare_detection(root)
    (annotation,) = json.loads((root / 'annotations/instances_train.json').read_text())['annotations']
    assert annotation['bbox'] == [16, 12, 16, 24]
    assert annotation['segmentation'] == [[16, 12, 32, 12, 32, 36]]


def test_tables_of_two_splits(tmp_path):
    samples = grey(6)
    pictures_into(tmp_path, samples)
    csv_table(tmp_path / 'train_labels.csv', samples[:4])
    csv_table(tmp_path / 'test_labels.csv', samples[4:])
    said = prepare_detection(tmp_path)
    assert any('the test set is used' in line for line in said)
    assert written(tmp_path, ['val']).keys() == {'04.png', '05.png'}


def test_one_coco_file_is_split_and_keeps_its_masks(tmp_path):
    samples = grey(5)
    pictures_into(tmp_path / 'images', samples)
    polygon = [[3, 4, 20, 4, 20, 30]]
    content = {
        'images': [{'id': 7 + i, 'file_name': s.name, 'width': 64, 'height': 48} for i, s in enumerate(samples)],
        'annotations': [
            {'id': i, 'image_id': 7 + i, 'category_id': 4, 'bbox': [3, 4, 17 + i, 26], 'segmentation': polygon}
            for i in range(5)
        ],
        'categories': [{'id': 4, 'name': 'cell'}],
    }
    (tmp_path / 'labels.json').write_text(json.dumps(content))
    prepare_detection(tmp_path)
    assert_same(written(tmp_path), samples)
    train = json.loads((tmp_path / 'annotations/instances_train.json').read_text())
    assert train['annotations'][0]['segmentation'] == polygon


def test_again_it_writes_nothing_and_files_of_others_stay(tmp_path):
    root = voc_folder(tmp_path / 'a', grey())
    prepare_detection(root)
    before = (root / 'annotations/instances_train.json').stat().st_mtime_ns
    assert '--force makes them anew' in prepare_detection(root, seed=3)[0]
    assert (root / 'annotations/instances_train.json').stat().st_mtime_ns == before
    other = voc_folder(tmp_path / 'b', grey())
    (other / 'annotations').mkdir()
    (other / 'annotations/instances_val.json').write_text('{}')
    with pytest.raises(SeMmError, match='was not made by this tool'):
        prepare_detection(other)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda root: None, 'holds no picture'),
        (lambda root: pictures_into(root, grey(2)), 'no annotations that can be used; expected one of COCO JSON'),
        (lambda root: voc_folder(root, [Sample('a.png', 64, 48, [])] * 2), 'without a box that can be used'),
        (lambda root: voc_folder(root, grey(1)), 'expected two at the least'),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(SeMmError, match=message):
        prepare_detection(tmp_path)
