"""CIFAR from its archives and from folders of classes: the same pictures, the same tensors."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.commands import CAN_FORK, output, tool
from support.helpers import REPOSITORY

from se_mm import SeMmError
from se_mm.config.loaders import datasets_in
from se_mm.datasets.cifar import CIFAR10, CIFAR100
from se_mm.datasets.own_data import config_with_data
from se_mm.datasets.validation import preflight

KINDS = {
    'cifar10': (CIFAR10, 'cifar-10-batches-py', 'labels', 10),
    'cifar100': (CIFAR100, 'cifar-100-python', 'fine_labels', 100),
}


def pictures(split: str, count: int) -> np.ndarray:
    """(count, 32, 32, 3), RGB."""
    generator = np.random.default_rng(len(split))
    return generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(params=KINDS)
def archive(request, tmp_path, monkeypatch) -> tuple[str, Path]:
    """As the official ones unpack, with two pictures of each class; only their check sums are others."""
    cls, folder, labels, classes = KINDS[request.param]
    (tmp_path / 'archive' / folder).mkdir(parents=True)
    for split in ('train', 'test'):
        names = [name for name, _ in getattr(cls, f'{split}_list')]
        monkeypatch.setattr(cls, f'{split}_list', [[name, None] for name in names])
        data = pictures(split, 2 * classes)
        for part, name in zip(np.array_split(np.arange(len(data)), len(names)), names, strict=True):
            content = {
                'data': data[part].transpose(0, 3, 1, 2).reshape(len(part), -1),
                labels: [int(i) % classes for i in part],
            }
            (tmp_path / 'archive' / folder / name).write_bytes(pickle.dumps(content))
    return request.param, tmp_path / 'archive'


def folders(root: Path, classes: int, names: tuple[str, ...] = ()) -> Path:
    for split, source in (('train', 'train'), ('val', 'test')):
        for i, picture in enumerate(pictures(source, 2 * classes)):
            folder = root / split / (names[i % classes] if names else f'{i % classes:03d}')
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / f'{i}.png')
    return root


def samples(cfg, split: str) -> list[dict]:
    from mmpretrain.registry import DATASETS

    dataset = DATASETS.build(next(dataset for name, dataset in datasets_in(cfg) if name == split))
    return [dataset[i] for i in range(len(dataset))]


def test_archive_and_folders_give_the_same(archive, tmp_path):
    kind, root = archive
    classes = KINDS[kind][3]
    name = str(REPOSITORY / f'configs/cifar/preresnet110_{kind}.py')
    from_archive = config_with_data(name, data_root=str(root))
    assert from_archive.train_dataloader.dataset.type == f'se_mm.{kind.upper()}'
    from_folders = config_with_data(name, data_root=str(folders(tmp_path / 'folders', classes)), classes=[])
    assert from_folders.model.head.num_classes == classes
    seen = {}
    for key, cfg in (('archive', from_archive), ('folders', from_folders)):
        found = samples(cfg, 'val')
        assert len(found) == 2 * classes
        seen[key] = {sample['inputs'].numpy().tobytes(): int(sample['data_samples'].gt_label) for sample in found}
    assert seen['archive'] == seen['folders']
    first = torch.from_numpy(pictures('test', 2 * classes)[0]).permute(2, 0, 1)
    assert torch.equal(samples(from_archive, 'val')[0]['inputs'].flip(0), first)  # BGR, as files are


def test_pictures_are_padded_with_the_mean_and_lose_a_square_of_it(archive):
    kind, root = archive
    name = {'cifar10': 'shake26_2x96d_cifar10', 'cifar100': 'shake29_2x4x64d_cifar100'}[kind]
    cfg = config_with_data(str(REPOSITORY / f'configs/cifar/{name}.py'), data_root=str(root))
    from mmpretrain.registry import MODELS

    found = samples(cfg, 'train')
    preprocessor = MODELS.build(dict(type='ClsDataPreprocessor', **cfg.data_preprocessor))
    inputs = preprocessor({'inputs': torch.stack([sample['inputs'] for sample in found])})['inputs']
    grey = (inputs.abs() < 0.01).all(1)  # the mean of each channel, to half a level of 255
    size = {'cifar10': 16, 'cifar100': 8}[kind]
    assert (grey.flatten(1).sum(1) >= (size // 2) ** 2).all()  # a corner of the square at least, in each picture
    assert (grey.flatten(1).sum(1) <= size**2 + 32**2 - 28**2 + 16).all()
    assert grey[:, 0].all(1).any()  # a padded row


@pytest.mark.skipif(not CAN_FORK, reason='the made-up archive has other check sums in this process alone')
@pytest.mark.parametrize('archive', ['cifar10'], indirect=True)
def test_a_training_reads_the_archive(archive, tmp_path):
    config = 'configs/cifar/se_preresnet20_cifar10.py'
    args = ('--data-root', archive[1], '--work-dir', tmp_path / 'out', '--epochs', 1, '--workers', 0)
    said = output(tool('train', config, *args, '--batch-size', 10))
    assert '20 images, 20 labels, 10 classes (airplane 2' in said
    assert 'error/top1' in said
    said = output(tool('test', config, tmp_path / 'out/epoch_1.pth', *args[:4], '--sheet', tmp_path / 'sheet.png'))
    assert 'no sheet is drawn' in said
    assert 'error/top1' in said
    said = output(tool('export', config, tmp_path / 'out/epoch_1.pth', *args[:2], '--to', 'torch', '-o', tmp_path))
    assert '12 pictures in 3 sizes (24x24, 32x32, 40x40)' in said


def test_the_check_of_one_process_waits_for_no_other(archive, monkeypatch):
    kind, root = archive
    cfg = config_with_data(str(REPOSITORY / f'configs/cifar/preresnet110_{kind}.py'), data_root=str(root))
    monkeypatch.setattr('mmengine.dist.barrier', lambda *args: pytest.fail('the other processes are not here'))
    preflight.check(cfg, ('train', 'val'))


def test_a_training_reads_folders_and_its_model_reads_pictures(tmp_path):
    root = folders(tmp_path / 'folders', 3, ('cat', 'dog', 'owl'))
    config = 'configs/cifar/se_shake26_2x96d_cifar10.py'
    small = ('model.backbone.depth=8', 'model.backbone.base_width=8', 'model.head.in_channels=32')
    args = ('--data-root', root, '--classes', '--work-dir', tmp_path / 'out')
    done = tool('train', config, *args, '--epochs', 1, '--workers', 0, '--cfg-options', *small)
    assert '3 classes (cat 2, dog 2, owl 2)' in output(done)
    checkpoint = tmp_path / 'out/epoch_1.pth'
    seen = tool('infer', config, checkpoint, root / 'val/owl', '--out', tmp_path / 'p.json', '--cfg-options', *small)
    output(seen)
    assert (tmp_path / 'p.json').is_file()


def test_an_archive_that_cannot_be_had_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, 'url', 'http://127.0.0.1:9/cifar-10-python.tar.gz')
    with pytest.raises(SeMmError, match='has no cifar-10-batches-py/, and .* cannot be downloaded .*; unpack'):
        CIFAR10(data_root=str(tmp_path), pipeline=[])
