"""The published SE weights that fit a plain host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Names of weights that mean: a plain classifier, trained on ImageNet the usual way.
IMAGENET = re.compile(r'(torchvision|modelzoo|open-?mmlab|timm)://|https://download\.pytorch\.org/models/')

#: ImageNet's channel means and deviations, of RGB values from 0 to 255, which all of these weights expect.
MEAN = [123.675, 116.28, 103.53]
STD = [58.395, 57.12, 57.375]


@dataclass(frozen=True)
class SEWeights:
    """Published weights of an SE network.

    Attributes:
        checkpoint: their name.
        stem_pool: the pooling of the stem that they were trained with.
    """

    checkpoint: str
    stem_pool: str = 'torch'


#: By depth, groups, width of a group, style, and whether it is a ResNet-D (deep stem, average downsampling).
PUBLISHED = {
    (50, 1, None, 'pytorch', False): SEWeights('timm://seresnet50.ra2_in1k'),
    (50, 1, None, 'caffe', False): SEWeights('timm://legacy_seresnet50.in1k', 'caffe'),
    (101, 1, None, 'caffe', False): SEWeights('timm://legacy_seresnet101.in1k', 'caffe'),
    (152, 1, None, 'caffe', False): SEWeights('timm://legacy_seresnet152.in1k', 'caffe'),
    (152, 1, None, 'pytorch', True): SEWeights('timm://seresnet152d.ra2_in1k'),
    (50, 32, 4, 'pytorch', False): SEWeights('timm://seresnext50_32x4d.racm_in1k'),
    (101, 32, 4, 'pytorch', False): SEWeights('timm://seresnext101_32x4d.gluon_in1k'),
    (101, 64, 4, 'pytorch', False): SEWeights('timm://seresnext101_64x4d.gluon_in1k'),
    (101, 32, 8, 'pytorch', False): SEWeights('timm://seresnext101_32x8d.ah_in1k'),
}

#: The hosts whose convolutions are those of the published networks, and the default width of their groups.
_HOSTS = {
    'ResNet': None,
    'ResNetV1d': None,
    'ResNeXt': 4,
    'TridentResNet': None,
    'DetectoRS_ResNet': None,
    'DetectoRS_ResNeXt': 4,
}


def se_weights_for(cls: type, config: Mapping[str, Any]) -> SEWeights | None:
    """The weights for the twin of a plain host; ``None`` where none are published.

    Args:
        cls: the host's class.
        config: the twin's arguments.

    Returns:
        Weights of the same depth, cardinality, style and stem.

    Example:
        >>> from mmdet.models import ResNet
        >>> se_weights_for(ResNet, dict(depth=50, style='caffe')).checkpoint
        'timm://legacy_seresnet50.in1k'
        >>> se_weights_for(ResNet, dict(depth=101, style='pytorch'))
    """
    if not cls.__module__.startswith(('mmdet.', 'mmpretrain.')) or cls.__name__ not in _HOSTS:
        return None
    usual = {
        'in_channels': 3,
        'base_channels': 64,
        'stem_channels': 64,
        'conv_cfg': None,
        'expansion': 4,
        'reduction': 16,
        'se_stages': None,
        'se_bias': True,
    }
    if any(config.get(key) not in (None, value) for key, value in usual.items()):
        return None
    if (config.get('norm_cfg') or {}).get('type', 'BN') not in ('BN', 'SyncBN'):
        return None
    variant_d = cls.__name__ == 'ResNetV1d'
    stem, shortcut = (bool(config.get(key, variant_d)) for key in ('deep_stem', 'avg_down'))
    if stem != shortcut:
        return None
    width = _HOSTS[cls.__name__]
    groups = config.get('groups', 32 if cls.__module__.startswith('mmpretrain.') else 1) if width else 1
    width = config.get('base_width', config.get('width_per_group', width)) if width else None
    return PUBLISHED.get((config.get('depth'), groups, width, config.get('style', 'pytorch'), stem))
