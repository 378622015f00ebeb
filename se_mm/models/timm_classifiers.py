"""timm's classifiers on the hosts of this package: their arguments, read from the network that timm builds."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import SeMmError
from .backbones.timm_hosts import module_of, timm_host


class TimmClassifier(NamedTuple):
    """A classifier of timm, as a model of mmpretrain.

    Attributes:
        model: the config, without its preprocessor.
        names: of each tensor in timm, and here.
    """

    model: dict[str, Any]
    names: dict[str, str]


def timm_classifier(architecture: str) -> TimmClassifier:
    """The classifier that equals an architecture of timm, which is built without memory for its weights.

    Raises:
        SeMmError: if timm is not installed or has no such architecture, or no host here can be it.

    Example:
        >>> backbone = timm_classifier('legacy_seresnext50_32x4d').model['backbone']
        >>> [backbone[name] for name in ('type', 'groups', 'style', 'stem_pool')]
        ['se_mm.SEResNeXt', 32, 'pytorch', 'caffe']
    """
    module = module_of(architecture)
    if not module:
        raise SeMmError(f'timm has no architecture {architecture}, or is not installed: pip install timm')
    from timm import create_model

    with torch.device('meta'):
        network = create_model(architecture, pretrained=False)
    last = network.feature_info[-1]['module'].partition('.')[0]
    if hasattr(network, 'layer1'):
        backbone = _residual(network)
    elif module.endswith('.vgg'):
        kinds = [type(layer) for layer in network.features]
        norms = dict(type='BN') if nn.BatchNorm2d in kinds else None
        backbone = dict(type='se_mm.SETwin', host='mmpretrain.VGG', depth=kinds.count(nn.Conv2d) + 3, norm_cfg=norms)
        backbone |= dict(out_indices=(4,), attention_stages=())
    else:
        with torch.device('meta'):
            features = timm_host(architecture)(architecture).feature_names
        last, index = features[-1].partition('.')[0], (len(features) - 1,)
        backbone = dict(type='se_mm.SETwin', host=f'timm.{architecture}', attention_stages=(), out_indices=index)
    parts = dict(network.named_children())
    behind = list(parts)[list(parts).index(last) + 1 :]
    weighted = [name for name in behind if next(parts[name].parameters(), None) is not None]
    head = dict(num_classes=network.num_classes, topk=(1, 5), loss=dict(type='CrossEntropyLoss', loss_weight=1.0))
    model: dict[str, Any] = dict(type='ImageClassifier', backbone=backbone)
    if len(weighted) == 1:  # a linear layer behind the pooling
        head |= dict(type='LinearClsHead', in_channels=parts[weighted[0]].in_features)
        model |= dict(neck=dict(type='GlobalAveragePooling'))
    else:
        head |= dict(type='se_mm.TimmHead', architecture=architecture)
    here = {name: 'head.fc' if len(weighted) == 1 else f'head.network.{name}' for name in weighted}
    split = ((key, *key.partition('.')[::2]) for key in network.state_dict())
    names = {key: f'{here[part]}.{rest}' if part in here else f'backbone.{key}' for key, part, rest in split}
    return TimmClassifier(model | dict(head=head), names)


def _residual(network: nn.Module) -> dict[str, Any]:
    """The arguments of a ResNet, ResNeXt or SENet, from the shapes and strides of its first units."""
    legacy = hasattr(network, 'layer0')  # the networks that come from Caffe
    stages = [getattr(network, f'layer{i}') for i in range(1, 5)]
    unit, strided = stages[0][0], stages[1][0]
    convs = 3 if hasattr(unit, 'conv3') else 2
    width, groups, reduced = unit.conv2.out_channels, unit.conv2.groups, unit.conv1.out_channels
    stem = [m for m in (network.layer0 if legacy else network.conv1).modules() if isinstance(m, nn.Conv2d)]
    pool, depth = network.pool0 if legacy else network.maxpool, 2 + convs * sum(map(len, stages))
    shortcut = strided.downsample[0]
    arguments = dict(depth=depth, out_indices=(3,), norm_eval=False, stem_channels=stem[-1].out_channels)
    arguments |= dict(style='pytorch' if convs == 2 or strided.conv1.stride == (1, 1) else 'caffe')
    arguments |= dict(deep_stem=len(stem) > 1, avg_down=isinstance(shortcut, nn.AvgPool2d))
    arguments |= dict(stem_pool='caffe' if pool.ceil_mode else 'torch')
    attention = getattr(unit, 'se_module' if legacy else 'se', None)
    if attention is None:
        arguments['attention_stages'] = ()
    elif type(attention).__name__ == 'EcaModule':
        arguments['attention'] = dict(type='se_mm.ECALayer')
    if legacy and convs == 2:
        arguments |= dict(attention_position='rectified', attention=dict(type='se_mm.SELayer', divisor=1))
    if reduced != width and convs == 3:
        kernel = shortcut.kernel_size[0]
        named = dict(type='se_mm.SENet', depth=depth + 2, reduce_first=width // reduced, down_kernel=kernel)
        return arguments | named | dict(groups=groups, base_width=width // groups)
    if groups > 1:
        return arguments | dict(type='se_mm.SEResNeXt', groups=groups, base_width=width // groups)
    if width != 64:  # a wide ResNet
        wide = dict(base_channels=width, expansion=unit.conv3.out_channels // width)
        return arguments | dict(type='se_mm.SETwin', host='mmpretrain.ResNet') | wide
    return arguments | dict(type='se_mm.SEResNet')
