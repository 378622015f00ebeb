"""Each kind of ImageNet recipe trains one epoch and validates, on 1,000 classes of tiny pictures and tiny networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import places_tree
from support.commands import output, tool

NARROW = ('base_channels=16', 'stem_channels=16')
RESNET_18 = ('depth=18', *NARROW)
#: A config of each kind, and what makes its network small: its channels are then those of the last value.
RECIPES = {
    'se_resnet50_imagenet_release': (*RESNET_18, 128),
    'resnet50_imagenet_rsb_a3': (*RESNET_18, 128),
    'senet154_imagenet': ('depth=16', 'groups=8', *NARROW, 512),
    'senet154_imagenet_320': ('depth=16', 'groups=8', *NARROW, 512),
    'se_mobilenet_v1_imagenet': (1024,),
    'se_inception_v3_imagenet': ('same_padding=True', 'out_indices=[2]', 288),
}


@pytest.fixture(scope='module')
def imagenet(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('imagenet')
    for label in range(1000):
        for split in ('train', 'val'):
            folder = root / split / f'n{label:08d}'
            folder.mkdir(parents=True)
            (folder / f'{split}_{label}.JPEG').write_bytes(places_tree.picture(label, 0))
    return root


@pytest.mark.parametrize('name', RECIPES)
def test_one_epoch(name, imagenet, tmp_path):
    *small, channels = RECIPES[name]
    options = [f'model.backbone.{option}' for option in small] + [f'model.head.in_channels={channels}']
    options += [f'{split}_dataloader.dataset.indices=32' for split in ('train', 'val', 'test')]
    size = ('--size', 32, 32, '--batch-size', 16, '--workers', 0)
    args = ('--data-root', imagenet, '--work-dir', tmp_path, '--epochs', 1, *size, '--cfg-options', *options)
    said = output(tool('train', f'configs/{name}.py', *args))
    assert '1000 classes' in said
    assert 'accuracy/top1' in said
    assert (tmp_path / 'epoch_1.pth').is_file()
