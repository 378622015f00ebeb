"""The published SE weights that fit a plain host, and the pixels that they expect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ..config.tree import Keys, nodes
from .changes import Change
from .hosts import Host

#: Names of weights that mean: a plain classifier, trained on ImageNet the usual way.
IMAGENET = re.compile(r'(torchvision|modelzoo|open-?mmlab|timm)://|https://download\.pytorch\.org/models/')

#: ImageNet's channel means and deviations, of RGB values from 0 to 255, which all of these weights expect.
MEAN = [123.675, 116.28, 103.53]
STD = [58.395, 57.12, 57.375]


def _tagged(model: str, *tags: str) -> tuple[str, ...]:
    return tuple(f'timm://{model}.{tag}_in1k' for tag in tags)


#: By depth, groups, width of a group, style, and whether it is a ResNet-D (deep stem, average downsampling).
PUBLISHED = {
    (50, 1, None, 'pytorch', False): _tagged('seresnet50', 'ra2', 'a1', 'a2', 'a3'),
    (50, 1, None, 'caffe', False): ('timm://legacy_seresnet50.in1k',),
    (101, 1, None, 'caffe', False): ('timm://legacy_seresnet101.in1k',),
    (152, 1, None, 'caffe', False): ('timm://legacy_seresnet152.in1k',),
    (152, 1, None, 'pytorch', True): _tagged('seresnet152d', 'ra2'),
    (50, 32, 4, 'pytorch', False): _tagged('seresnext50_32x4d', 'racm', 'gluon'),
    (101, 32, 4, 'pytorch', False): _tagged('seresnext101_32x4d', 'gluon'),
    (101, 64, 4, 'pytorch', False): _tagged('seresnext101_64x4d', 'gluon'),
    (101, 32, 8, 'pytorch', False): _tagged('seresnext101_32x8d', 'ah'),
}
#: The same for ECA.
PUBLISHED_ECA = {
    (50, 1, None, 'pytorch', True): _tagged('ecaresnet50d', 'miil'),
    (101, 1, None, 'pytorch', True): _tagged('ecaresnet101d', 'miil'),
}
#: The names of all of them.
KNOWN = {name for names in (*PUBLISHED.values(), *PUBLISHED_ECA.values()) for name in names}

#: What is in the names of torchvision's newer weights: the tag, or the beginning of the hash.
_TORCHVISION_V2 = '(?i)imagenet1k_v2|11ad3fa6|cd907fc2|f82ba261|1a0047aa|110c445d'


def recipe_of(checkpoint: str) -> str:
    """How published weights were trained, by their name: timm's tag where they have one.

    Example:
        >>> recipe_of('timm://resnet50.a1_in1k'), recipe_of('torchvision://resnet50')
        ('a1', 'torchvision V1')
        >>> recipe_of('torchvision://resnet50.imagenet1k_v2')
        'torchvision V2'
        >>> recipe_of('open-mmlab://detectron2/resnet50_caffe')
        'caffe'
    """
    if tag := re.fullmatch(r'timm://legacy_\w+\.in1k|timm://\w+\.(\w+?)_in1k', checkpoint):
        return {'tv': 'torchvision V1', 'tv2': 'torchvision V2', None: 'caffe'}.get(tag[1], tag[1])
    if re.search(r'caffe|msra', checkpoint):
        return 'caffe'
    if re.match(r'(torchvision|modelzoo)://|https://download\.pytorch\.org/', checkpoint):
        return 'torchvision V2' if re.search(_TORCHVISION_V2, checkpoint) else 'torchvision V1'
    return 'an unknown recipe'


#: The hosts whose convolutions are those of the published networks, and the default width of their groups.
_HOSTS = dict.fromkeys(('ResNet', 'ResLayer', 'ResNetV1d', 'TridentResNet', 'DetectoRS_ResNet'))
_HOSTS |= {'ResNeXt': 4, 'DetectoRS_ResNeXt': 4}
#: The arguments of the published networks that do not differ among them.
_USUAL = {'in_channels': 3, 'base_channels': 64, 'stem_channels': 64, 'conv_cfg': None, 'expansion': 4}
_USUAL |= {'reduction': 16, 'se_stages': None, 'se_bias': True}


def se_weights_for(cls: type, config: Mapping[str, Any], plain: str = '') -> str | None:
    """The name of the weights for the twin of a plain host; ``None`` where none are published.

    Args:
        cls: the host's class.
        config: the twin's arguments.
        plain: the weights of the host, whose recipe is taken where there is a choice.

    Example:
        >>> from mmdet.models import ResNet
        >>> se_weights_for(ResNet, dict(depth=50, style='caffe'))
        'timm://legacy_seresnet50.in1k'
        >>> se_weights_for(ResNet, dict(depth=101, style='pytorch'))
    """
    if not cls.__module__.startswith(('mmdet.', 'mmpretrain.')) or cls.__name__ not in _HOSTS:
        return None
    if any(config.get(key) not in (None, value) for key, value in _USUAL.items()):
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
    attention = config.get('attention')
    of_layer = PUBLISHED_ECA if attention == {'type': 'se_mm.ECALayer'} else {} if attention else PUBLISHED
    found = of_layer.get((config.get('depth'), groups, width, config.get('style', 'pytorch'), stem), ())
    same = (weights for weights in found if recipe_of(weights) == recipe_of(plain))
    return next(same, found[0] if found else None)


def preprocessors_of(cfg: Config, host: Host) -> list[tuple[Keys, Mapping[str, Any]]]:
    """The preprocessors that normalise what a host sees: of the modules that it stands in."""
    found = []
    for keys, node in nodes(dict(cfg.items())):
        if 'data_preprocessor' in keys and node.get('mean') is not None and node.get('std') is not None:
            owner = keys[: keys.index('data_preprocessor')]
            if owner == host.keys[: len(owner)]:
                found.append((keys, node))
    return found


def pixel_changes(cfg: Config, host: Host) -> list[Change]:
    """What makes its preprocessors give RGB with ImageNet's means and deviations."""
    changes = []
    for keys, node in preprocessors_of(cfg, host):
        order = 'to_rgb' if 'to_rgb' in node or keys == ('data_preprocessor',) else 'bgr_to_rgb'
        wanted = {'mean': MEAN, 'std': STD, order: True} | ({'rgb_to_bgr': False} if node.get('rgb_to_bgr') else {})
        why = 'the pixels that these weights were trained with: RGB, ImageNet means and deviations'
        for name, value in wanted.items():
            old = node.get(name)
            if (list(old) if isinstance(old, tuple) else old) != value:
                changes.append(Change((*keys, name), value, why))
                why = ''
    return changes
