"""Places365: the same labels from every layout, and what is wrong named by file and line."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, init_default_scope
from support import places_tree
from torchvision.datasets import Places365 as TorchvisionPlaces365

from se_mm import SeMmError
from se_mm.datasets.places365 import CLASSES, FOLDERS, Places365
from se_mm.datasets.validation.skipped import Skipped, noted


@pytest.fixture(scope='module')
def trees(tmp_path_factory) -> dict[str, Path]:
    return {layout: places_tree.make(tmp_path_factory.mktemp(layout), layout) for layout in places_tree.LAYOUTS}


@pytest.fixture
def tree(trees, tmp_path) -> Path:
    return Path(shutil.copytree(trees['256'], tmp_path / 'places'))


def test_the_categories_are_the_official_file():
    content = files('se_mm.datasets').joinpath('categories_places365.txt').read_bytes()
    assert hashlib.md5(content).hexdigest() == TorchvisionPlaces365._CATEGORIES_META[1]
    assert len(CLASSES) == 365
    assert (CLASSES[0], CLASSES[8], CLASSES[364]) == ('airfield', 'apartment_building/outdoor', 'zen_garden')


def test_three_layouts_give_the_same_labels_and_pictures(trees):
    for split in ('train-standard', 'val'):
        datasets = {layout: Places365(str(root), split) for layout, root in trees.items()}
        contents = {}
        for layout, dataset in datasets.items():
            infos = [dataset.get_data_info(i) for i in range(len(dataset))]
            contents[layout] = sorted((Path(info['img_path']).read_bytes(), info['gt_label']) for info in infos)
        assert contents['256'] == contents['large'] == contents['easy']
        assert len(contents['256']) == 365 * (2 if split == 'train-standard' else 1)


def test_labels_are_torchvisions(trees, monkeypatch):
    root = trees['256']
    monkeypatch.setattr(TorchvisionPlaces365, '_check_integrity', lambda self, file, md5, download: True)
    shutil.copy(files('se_mm.datasets').joinpath('categories_places365.txt'), root)
    theirs = TorchvisionPlaces365(root, split='train-standard', small=True)
    ours = Places365(str(root))
    assert ours.get_gt_labels().tolist() == theirs.targets
    assert list(CLASSES) == [name[3:] for name in theirs.classes]


def test_it_says_which_layout_it_found(trees, monkeypatch):
    said = []
    monkeypatch.setattr('se_mm.datasets.places365.print_log', lambda line, **_: said.append(line))
    Places365(str(trees['256']))
    Places365(str(trees['easy']), 'val')
    list_file = trees['256'] / 'places365_train_standard.txt'
    assert said == [
        f'Places365 train-standard: {trees["256"] / "data_256"} with {list_file}: 730 images, 365 classes',
        f'Places365 val: {trees["easy"] / "val"}, a folder for each class: 365 images, 365 classes',
    ]


def test_the_name_in_a_config(trees):
    init_default_scope('mmpretrain')
    dataset = DATASETS.build(
        dict(type='se_mm.Places365', data_root=str(trees['256']), pipeline=[dict(type='LoadImageFromFile')], indices=3)
    )
    assert len(dataset) == 3
    assert dataset[2]['img'].shape == (40, 40, 3)
    assert dataset.metainfo['classes'] == CLASSES


def test_subsets_and_pickles_keep_the_labels(trees):
    dataset = Places365(str(trees['large']))
    again = pickle.loads(pickle.dumps(dataset))
    assert again.get_data_info(-1) == dataset.get_data_info(-1)
    subset = dataset.get_subset([5, 700])
    assert [subset.get_data_info(i)['gt_label'] for i in range(2)] == [2, 350]
    assert len(dataset) == 730


@pytest.mark.parametrize('start', ['fork', 'spawn'])
def test_workers_see_the_list_and_note_broken_images_in_one_file(tree, tmp_path, start):
    broken = tree / 'data_256/b/bar/00000001.jpg'
    broken.write_bytes(b'no picture')
    load = dict(type='se_mm.LoadImageFromFile', unreadable='another', split='train', report=str(tmp_path / 'report'))
    dataset = Places365(str(tree), pipeline=[load])
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=50, num_workers=2, collate_fn=len, multiprocessing_context=start
    )
    assert sum(loader) == 730
    assert noted(tmp_path / 'report')[0] == [Skipped('train', 'image', str(broken), 'it cannot be decoded')]


def test_a_broken_picture_in_a_test_is_grey_and_counted(tree, tmp_path):
    (tree / 'val_256/Places365_val_00000001.jpg').write_bytes(b'')
    load = dict(type='se_mm.LoadImageFromFile', unreadable='grey', split='val', report=str(tmp_path / 'report'))
    dataset = Places365(str(tree), 'val', pipeline=[load], test_mode=True)
    assert np.unique(dataset[0]['img']).tolist() == [127]
    assert dataset[0]['gt_label'] == 0
    assert [entry.reason for entry in noted(tmp_path / 'report')[0]] == ['empty (0 bytes)']


def test_the_test_split_has_no_labels(tree):
    (tree / 'test_256').mkdir()
    (tree / 'places365_test.txt').write_text('Places365_test_00000001.jpg\nPlaces365_test_00000002.jpg\n')
    dataset = Places365(str(tree), 'test')
    assert len(dataset) == 2
    assert 'gt_label' not in dataset.get_data_info(0)


def test_windows_line_ends_blank_lines_and_another_order(tree):
    file = tree / 'places365_train_standard.txt'
    lines = file.read_text().splitlines()
    expected = [int(line.split()[1]) for line in reversed(lines)]
    file.write_bytes('\r\n\r\n'.join(reversed(lines)).encode())
    assert Places365(str(tree)).get_gt_labels().tolist() == expected


def edited(change):
    def edit(tree):
        file = tree / 'places365_train_standard.txt'
        file.write_text(change(file.read_text()))

    return edit


def letters_as_classes(tree):
    (tree / 'places365_train_standard.txt').unlink()
    (tree / 'data_256').rename(tree / 'train')


def without_folder(tree):
    shutil.rmtree(tree / 'data_256/c/cliff')


FIRST = '/a/airfield/00000001.jpg 0\n'
BROKEN = {
    'a folder that is missing': (without_folder, r"line 189: '/c/cliff/00000001.jpg' is in a folder that is missing"),
    'a label too large': (
        edited(lambda text: text.replace('/a/alcove/00000001.jpg 3\n', '/a/alcove/00000001.jpg 365\n')),
        r"places365_train_standard.txt, line 7: '/a/alcove/00000001.jpg 365' is not a path, .* from 0 to 364",
    ),
    'a negative label': (edited(lambda text: text.replace(FIRST, FIRST.replace(' 0', ' -1'))), r'line 1: .* -1'),
    'no label': (edited(lambda text: text.replace(FIRST, FIRST.replace(' 0', ''))), 'line 1: .* is not a path'),
    'a label of many digits': (
        edited(lambda text: text.replace(FIRST, FIRST.replace(' 0', ' 1000'))),
        'line 1: .*1000',
    ),
    'another label': (
        edited(lambda text: text.replace(FIRST, FIRST.replace(' 0', ' 7'))),
        r"line 1: '/a/airfield/00000001.jpg' has the label 7, whose folder is /a/amusement_park/",
    ),
    'a class without images': (
        edited(lambda text: ''.join(line for line in text.splitlines(True) if not line.startswith('/b/bar/'))),
        'places365_train_standard.txt has no image of 1 of the 365 classes: bar',
    ),
    'an empty list': (edited(lambda text: ''), 'is empty: the split has no image'),
    'blank lines': (edited(lambda text: '\n\n'), 'holds blank lines only'),
    'letters as classes': (letters_as_classes, r'train holds letters \(a, b, c, d, e and \d+ more\), not classes'),
    'no list': (
        lambda tree: (tree / 'places365_train_standard.txt').unlink(),
        r'there is .*data_256, but not its other half. Looked for .*places365_train_standard.txt',
    ),
    'nothing': (lambda tree: shutil.rmtree(tree), r'folder .* does not exist; tools/prepare_data.py places365'),
}


@pytest.mark.parametrize('defect', BROKEN)
def test_defects_are_refused_by_file_and_line(defect, tree):
    spoil, message = BROKEN[defect]
    spoil(tree)
    with pytest.raises(SeMmError, match=message):
        Places365(str(tree))


def test_defects_of_the_easy_format(trees, tmp_path):
    tree = Path(shutil.copytree(trees['easy'], tmp_path / 'easy'))
    (tree / 'train/bar').rename(tree / 'train/pub')
    with pytest.raises(SeMmError, match='folders that are no class of Places365: pub'):
        Places365(str(tree))
    shutil.rmtree(tree / 'train/pub')
    with pytest.raises(SeMmError, match='lacks 1 of the 365 classes: bar'):
        Places365(str(tree))
    (tree / 'train/bar').mkdir()
    with pytest.raises(SeMmError, match=r'train/bar holds no picture'):
        Places365(str(tree))


def test_arguments():
    with pytest.raises(SeMmError, match="no split 'train'; it has train-standard"):
        Places365('.', split='train')
    with pytest.raises(SeMmError, match='size must be one of'):
        Places365('.', size='512')
    assert len(set(FOLDERS)) == 365
