"""The recipes of the CIFAR configs are those of the networks' papers, and twins differ by their backbones alone."""

from __future__ import annotations

import pytest
from support.helpers import REPOSITORY

from se_mm.config.load import load_config

CIFAR = REPOSITORY / 'configs/cifar'
#: Epochs, learning rate, batch, weight decay, Nesterov.
RECIPES = {
    'preresnet110_cifar10': (164, 0.1, 128, 1e-4, None),
    'preresnet164_cifar100': (164, 0.1, 128, 1e-4, None),
    'wrn16_8_cifar10': (200, 0.1, 128, 5e-4, True),
    'wrn16_8_cifar100': (200, 0.1, 128, 5e-4, True),
    'shake26_2x96d_cifar10': (1800, 0.2, 128, 1e-4, True),
    'shake29_2x4x64d_cifar100': (1800, 0.025, 32, 5e-4, True),
}


@pytest.mark.parametrize('name', RECIPES)
def test_recipes(name):
    cfg = load_config(str(CIFAR / f'{name}.py'))
    optimizer = cfg.optim_wrapper.optimizer
    batch = cfg.train_dataloader.batch_size
    found = (cfg.train_cfg.max_epochs, optimizer.lr, batch, optimizer.weight_decay, optimizer.get('nesterov'))
    assert found == RECIPES[name]
    assert cfg.auto_scale_lr.base_batch_size == batch
    assert cfg.model.head.num_classes == (100 if name.endswith('100') else 10)


@pytest.mark.parametrize('twin', sorted(path.name for path in CIFAR.glob('se_*.py')))
def test_a_twin_differs_by_its_backbone_alone(twin):
    se, plain = (load_config(str(CIFAR / name)) for name in (twin, twin.removeprefix('se_')))
    host = plain.model.backbone.pop('type')
    assert (se.model.backbone.pop('type'), se.model.backbone.pop('host')) == ('se_mm.SETwin', host)
    assert se.pop('work_dir') == f'work_dirs/{twin.removesuffix(".py")}'
    plain.pop('work_dir')
    assert se.to_dict() == plain.to_dict()
