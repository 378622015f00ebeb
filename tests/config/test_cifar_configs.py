"""Twins for CIFAR differ by their backbones alone."""

from __future__ import annotations

import pytest
from support.helpers import REPOSITORY

from se_mm.config.load import load_config

CIFAR = REPOSITORY / 'configs/cifar'


@pytest.mark.parametrize('twin', sorted(path.name for path in CIFAR.glob('se_*.py')))
def test_a_twin_differs_by_its_backbone_alone(twin):
    se, plain = (load_config(str(CIFAR / name)) for name in (twin, twin.removeprefix('se_')))
    host = plain.model.backbone.pop('type')
    assert (se.model.backbone.pop('type'), se.model.backbone.pop('host')) == ('se_mm.SETwin', host)
    assert se.pop('work_dir') == f'work_dirs/{twin.removesuffix(".py")}'
    plain.pop('work_dir')
    assert se.to_dict() == plain.to_dict()
