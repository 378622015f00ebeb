"""How each family of published ResNets names its tensors: tables, read in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_UNIT = re.compile(r'(layer\d+\.\d+\.)(.*)')


@dataclass(frozen=True)
class Family:
    """One naming of the tensors of a ResNet, with or without SE.

    Attributes:
        name: what a message calls it.
        mark: matches a key that no other family has.
        stem: their names before the first stage, and ours.
        unit: their names inside a residual unit, and ours.
        head: their name of the classifier's linear layer; ours is ``fc``.
        prefix: what stands before the keys of the backbone in a classifier's file.
        style: of its bottlenecks, where the family has one style only: ``'pytorch'`` strides
            in the 3x3 convolution, ``'caffe'`` in the first 1x1.
        grouped_style: the same for its ResNeXts.
        stem_pool: of the family, where it has one: ``'torch'`` or ``'caffe'``.
        bottlenecks_only: what its basic blocks do that ours do not, where they are to be refused.
    """

    name: str
    mark: str
    stem: Mapping[str, str] = field(default_factory=dict)
    unit: Mapping[str, str] = field(default_factory=dict)
    head: str = 'fc'
    prefix: str = ''
    style: str | None = None
    grouped_style: str | None = None
    stem_pool: str | None = None
    bottlenecks_only: str | None = None

    def to_ours(self, key: str) -> str:
        """Our name of their backbone tensor.

        Example:
            >>> CAFFE.to_ours('layer1.0.se_module.fc1.weight')
            'layer1.0.se.fc1.weight'
        """
        return _renamed(key, self.stem, self.unit)

    def to_theirs(self, key: str) -> str:
        """Their name of our backbone tensor.

        Example:
            >>> MMPRETRAIN.to_theirs('layer1.0.se.fc2.bias')
            'layer1.0.se_layer.conv2.conv.bias'
        """
        return _renamed(key, *({ours: theirs for theirs, ours in names.items()} for names in (self.stem, self.unit)))


def _renamed(key: str, stem: Mapping[str, str], unit: Mapping[str, str]) -> str:
    inside = _UNIT.fullmatch(key)
    start, rest, names = (inside[1], inside[2], unit) if inside else ('', key, stem)
    for old, new in names.items():
        if rest.startswith(f'{old}.'):
            return f'{start}{new}{rest[len(old) :]}'
    return key


CAFFE = Family(
    name='Caffe (timm legacy_se*, Cadene)',
    mark=r'layer0\.|layer\d+\.\d+\.se_module\.',
    stem={'layer0.conv1': 'conv1', 'layer0.bn1': 'bn1'},
    unit={'se_module.fc1': 'se.fc1', 'se_module.fc2': 'se.fc2'},
    head='last_linear',
    style='caffe',
    grouped_style='pytorch',
    stem_pool='caffe',
    bottlenecks_only='a ReLU between the last norm and the gate, which no other SE-ResNet has; take another checkpoint',
)
MMPRETRAIN = Family(
    name='mmpretrain',
    mark=r'stem\.0\.conv\.|layer\d+\.\d+\.se_layer\.',
    stem={
        'stem.0.conv': 'stem.0',
        'stem.0.bn': 'stem.1',
        'stem.1.conv': 'stem.3',
        'stem.1.bn': 'stem.4',
        'stem.2.conv': 'stem.6',
        'stem.2.bn': 'stem.7',
    },
    unit={'se_layer.conv1.conv': 'se.fc1', 'se_layer.conv2.conv': 'se.fc2'},
    head='head.fc',
    prefix='backbone.',
    stem_pool='torch',
)
SENET_PYTORCH = Family(
    name='senet.pytorch (linear layers)',
    mark=r'layer\d+\.\d+\.se\.fc\.',
    unit={'se.fc.0': 'se.fc1', 'se.fc.2': 'se.fc2'},
    style='pytorch',
    grouped_style='pytorch',
    stem_pool='torch',
)
TIMM_DEEP = Family(
    name='timm with a deep stem',
    mark=r'conv1\.0\.',
    stem={
        'conv1.0': 'stem.0',
        'conv1.1': 'stem.1',
        'conv1.3': 'stem.3',
        'conv1.4': 'stem.4',
        'conv1.6': 'stem.6',
        'bn1': 'stem.7',
    },
    style='pytorch',
    grouped_style='pytorch',
    stem_pool='torch',
)
TIMM = Family(name='timm SE', mark=r'layer\d+\.\d+\.se\.', style='pytorch', grouped_style='pytorch', stem_pool='torch')
#: torchvision's names; mmdet's and mmpretrain's plain hosts have the same, in either style.
PLAIN = Family(name='plain ResNet, without SE', mark=r'')
#: Its style and stem pooling stand in the checkpoint.
SE_MM = Family(name='se_mm', mark=r'layer\d+\.\d+\.se\.')

#: Asked in this order.
FAMILIES = (CAFFE, MMPRETRAIN, SENET_PYTORCH, TIMM_DEEP, TIMM, PLAIN)

#: Published files whose name tells the style of their bottlenecks.
STYLE_OF_FILE = (
    (r'^timm://(?!.*legacy)', 'pytorch'),
    (r'download\.pytorch\.org/models/', 'pytorch'),
    (r'(^|/)resnex?t\d+(_\d+x\d+d)?-[0-9a-f]{8}\.pth$', 'pytorch'),
    (r'(^|/)(se-)?resnex?t\d+[-_].*(_in1k|_imagenet|b32x8|8xb\d+).*\.pth$', 'pytorch'),
    (r'(^|/)resnex?t\d+(_\w+)?_(caffe|msra)(_\w+)?-[0-9a-f]{8}\.pth$', 'caffe'),
)


#: timm's networks with our tensors' names and another graph: what their file names say.
OTHER_GRAPHS = re.compile(r'res(net|next)(blur|aa|rs)|(ecares|skres)net')


def family_of(keys: Iterable[str]) -> Family:
    """The family that names its tensors so.

    Example:
        >>> family_of(['conv1.weight', 'layer1.0.se.fc1.weight']).name
        'timm SE'
    """
    keys = list(keys)
    return next(family for family in FAMILIES if any(re.match(family.mark, key) for key in keys) or not family.mark)


def style_of_file(name: str) -> str | None:
    """``'pytorch'`` or ``'caffe'`` where the name of a published file tells, else ``None``.

    Example:
        >>> style_of_file('https://download.openmmlab.com/pretrain/third_party/resnet50_caffe-788b5fa3.pth')
        'caffe'
    """
    return next((style for pattern, style in STYLE_OF_FILE if re.search(pattern, name)), None)
