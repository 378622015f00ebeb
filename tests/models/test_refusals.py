"""What cannot be built is refused with its name and what there is instead."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from se_mm import SELayer, SeMmError, SENet, SEResNet, SETwin
from se_mm.models.attention import CBAM, ContextBlock, ECALayer, FcaLayer, GatherExcite, GlobalContext


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.res_layers = []


def plugin(kind: str, position: str, **arguments) -> list[dict]:
    return [dict(cfg=dict(type=kind, **arguments), position=position)]


IDENTITY = dict(se_init='identity')
WEIGHT_STANDARDISED = dict(conv_cfg=dict(type='ConvWS'))
LAYERS = [
    *[(SELayer, (64, reduction), {}, 'reduction') for reduction in (0, -1, 2.5, True, '16', None)],
    (SELayer, (64,), dict(squeeze='mean'), 'must be one of avg, max'),
    (SELayer, (64,), dict(gate='softmax'), 'must be one of sigmoid, tanh'),
    (ECALayer, (64,), dict(k_size=4), 'odd'),
    (ECALayer, (64,), dict(k_size=2.5), 'odd'),
    (CBAM, (64,), dict(order='avg_max'), 'max_mean'),
    (CBAM, (64,), dict(kernel_size=4), 'odd'),
    (GlobalContext, (64,), dict(pooling='max'), 'pooling'),
    (ContextBlock, (8,), {}, 'ratio'),
    (ContextBlock, (64,), dict(pooling_type='max'), 'pooling_type'),
    (ContextBlock, (64,), dict(fusion_types='channel_add'), 'fusion_types'),
    (FcaLayer, (64,), dict(components='top5'), 'components'),
    (FcaLayer, (64,), dict(dct_size=10), 'multiple of 7'),
    (FcaLayer, (24,), {}, 'split'),
    (GatherExcite, (64,), dict(extent=3), 'extent'),
]
ATTENTION = [
    (SEResNet, (18,), dict(attention=dict(type=kind, **given)), word)
    for kind, given, word in [
        ('Nothing', {}, 'Nothing'),
        ('ECALayer', dict(ksize=3), 'k_size'),
        ('ECALayer', dict(start='zero'), 'blend'),
        ('ECALayer', dict(k_size=(3, 5)), '4 stages'),
        ('CoordAtt', dict(reduction=-32), 'reduction must be a positive integer'),
        ('GlobalContext', dict(reduction=0), 'reduction must be a positive integer'),
        ('ContextBlock', dict(ratio='x'), 'ratio must be a number'),
        ('CBAM', dict(kernel_size=-1), 'kernel_size must be a positive integer'),
        ('GatherExcite', dict(extent='2'), 'positive and even'),
        ('FcaLayer', dict(dct_size='7'), 'multiple of 7'),
    ]
] + [
    (SEResNet, (18,), dict(attention=dict(type=kind, **given), **IDENTITY), "layer1.0.*start='blend'")
    for kind, given in [
        ('GatherExcite', {}),
        ('SimAM', {}),
        ('SELayer', dict(gate='tanh')),
        ('SELayer', dict(gate='relu')),
    ]
]
RESNETS = [
    (SEResNet, (51,), {}, 'no depth 51.*18, 34, 50, 101, 152'),
    (SEResNet, (50,), dict(reduction=0), 'reduction must be a positive integer'),
    (SEResNet, (50,), dict(reduction=(16, 16)), 'one for each of the 4 stages'),
    (SEResNet, (50,), dict(reduction=[16, 16, 16, [16, 16, 16, 2]]), 'stage 3 has 3 blocks and 4 values'),
    (SEResNet, (50,), dict(se_stages=(4,)), 'indices of stages'),
    (SEResNet, (50,), dict(se_stages=(True, False)), 'one bool for each of the 4 stages'),
    (SEResNet, (50,), dict(attention_stages=0), 'must be a list of stages'),
    *[(SEResNet, (18,), dict(attention_blocks=blocks), r'attention_blocks.* must ')
      for blocks in ((None,), 'all', ((0, 2), None, None, None), (None, (True,), None, None), (None, 1))],
    (SEResNet, (50,), dict(plugins=plugin('se_mm.SELayer', 'after_conv3')), "has a module 'se' already"),
    (SEResNet, (50,), dict(attention_position='conv2', **IDENTITY,
                           plugins=plugin('ContextBlock', 'after_conv2', ratio=0.25)), 'plugins at after_conv2'),
    (SEResNet, (18,), dict(attention_position='conv2'), 'bottlenecks'),
    (SEResNet, (18,), dict(attention_position='behind'), 'must be one of'),
    (SEResNet, (50,), dict(attention_position='post', **IDENTITY), 'next shortcuts'),
    (SEResNet, (50,), dict(attention_position='identity', **IDENTITY), 'no weights'),
    (SEResNet, (18,), dict(attention_position='pre', **IDENTITY, **WEIGHT_STANDARDISED), 'ConvWS2d'),
    (SEResNet, (50,), dict(se_init='zero'), 'se_init must be one of .*identity'),
    (SEResNet, (50,), dict(norm_cfg=dict(type='BN', affine=False), **IDENTITY), 'scale and shift'),
    (SENet, (152,), {}, 'no depth 152'),
    (SENet, (16,), dict(reduce_first=3), 'reduce_first'),
    (SENet, (16,), dict(down_kernel='3'), 'down_kernel'),
    (SENet, (16,), dict(avg_down=True), 'needs down_kernel=1'),
]  # fmt: skip
TWINS = [
    (SETwin, (host,), given, word)
    for host, given, word in [
        ('mmdet.Nope', {}, 'no backbone is registered'),
        ('mmdet.FasterRCNN', {}, 'cannot be a host'),
        (nn.Identity, {}, 'knows no insertion sites'),
        (Bare, {}, 'no num_stages, style, _freeze_stages'),
        (3, {}, 'is no backbone'),
        ('se_mm.SEResNet', {}, 'has attention already'),
        ('mmpretrain.SEResNet', {}, 'has attention already'),
        ('mmdet.Res2Net', dict(depth=50, scales=4, base_width=26, attention_position='pre'), 'forward of its own'),
        ('mmpretrain.VGG', dict(depth=11, attention_position='pre'), 'no attention_position'),
        ('mmpretrain.VGG', dict(depth=11, stem_pool='caffe'), 'no stem_pool'),
        ('mmpretrain.VGG', dict(depth=11, act_cfg=dict(type='Sigmoid'), **IDENTITY), 'features.0 .*Sigmoid'),
        ('timm.resnet50', {}, 'inception_v3'),
        ('timm.inception_v3', dict(out_indices=(5,)), 'out_indices of inception_v3: 0 to 4'),
        ('timm.inception_v3', dict(aux_logits=True), 'leave aux_logits out'),
        ('timm.mobilenetv1_100', dict(frozen_stages=7), 'frozen_stages'),
        ('se_mm.BNInception', dict(out_indices=()), 'out_indices'),
        ('se_mm.PreActResNetCIFAR', dict(depth=20, out_indices=2), 'must be a list'),
        ('se_mm.PreActResNetCIFAR', dict(depth=110, bottleneck=True, out_indices=(3,)), 'out_indices'),
        ('se_mm.PreActResNetCIFAR', dict(depth=20, frozen_stages=4), 'frozen_stages'),
        ('se_mm.PreActResNetCIFAR', dict(depth=20, attention_position='sum'), 'no attention_position'),
        ('se_mm.PreActResNetCIFAR', dict(depth=21), r'6n \+ 2'),
        ('se_mm.WideResNetCIFAR', dict(depth=20), r'6n \+ 4'),
        ('se_mm.ShakeResNetCIFAR', dict(backward='keep'), 'backward must be one of shake, even'),
    ]
]
HEAD = dict(num_classes=5, in_channels=40)
HEADS = [
    (MODELS.build, (dict(type='se_mm.DropoutHead', **HEAD, dropout=1.0),), {}, 'dropout must be at least 0'),
    (MODELS.build, (dict(type='se_mm.DropoutHead', **HEAD, head='mmpretrain.Nope'),), {}, 'no head of mmpretrain'),
]


@pytest.mark.parametrize(('build', 'given', 'named', 'word'), [*LAYERS, *ATTENTION, *RESNETS, *TWINS, *HEADS])
def test_what_cannot_be_is_refused(build, given, named, word):
    with torch.device('meta'), pytest.raises(SeMmError, match=word):
        build(*given, **named)
