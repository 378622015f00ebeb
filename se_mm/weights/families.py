"""How each family of published networks names its tensors: tables, read in both directions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where the parts of an architecture stand in our names."""

    #: Pattern of the keys without the classifier's; its group ``stage`` is what a network may end before.
    network: str
    #: Pattern of a key in a block, with the groups ``unit``, ``stage`` and ``rest``.
    unit: str
    #: How keys of classifiers inside the network begin; where a checkpoint has others they keep their initial values.
    head: str = ''
    #: A key that only networks of bottlenecks have.
    bottleneck: str = ''
    #: The convolution that tells a network with grouped convolutions.
    grouped: str = ''

    def blocks(self, keys: Iterable[str]) -> tuple[int, ...]:
        """The number of blocks in each stage."""
        units = {match['unit']: int(match['stage']) for key in keys if (match := re.fullmatch(self.unit, key))}
        return tuple(count for _, count in sorted(Counter(units.values()).items()))


RESNET = Layout(
    network=r'(?:conv1|bn1|gn1|stem|maxpool|layer(?P<stage>\d+))\.',
    unit=r'(?P<unit>layer(?P<stage>\d+)\.\d+\.)(?P<rest>.*)',
    bottleneck='layer1.0.conv3.weight',
    grouped='layer1.0.conv2.weight',
)


@dataclass(frozen=True)
class Family:
    """One naming of the tensors of an architecture, with or without attention."""

    name: str
    #: Pattern of how a key begins that no other family has; empty: matches all.
    mark: str = ''
    #: Their names outside of the blocks and inside a block, and ours.
    stem: Mapping[str, str] = field(default_factory=dict)
    unit: Mapping[str, str] = field(default_factory=dict)
    #: Their name of the classifier's linear layer; ours is ``fc``.
    head: str = 'fc'
    #: What stands before the keys of the backbone in a classifier's file.
    prefix: str = ''
    #: What the tensors do not tell and the family does: ``style``, ``'pytorch'`` (bottlenecks stride in the 3x3
    #: convolution) or ``'caffe'`` (in the first 1x1), ``stem_pool`` and attention.
    variant: Mapping[str, str] = field(default_factory=dict)
    #: Where that differs for networks with grouped convolutions.
    grouped: Mapping[str, str] = field(default_factory=dict)
    #: Where that differs for networks of basic blocks.
    basic: Mapping[str, str] = field(default_factory=dict)
    #: A key that each of its networks has, by which they are found in a checkpoint.
    landmark: str = 'layer1.0.conv1.weight'
    layout: Layout = RESNET

    def to_ours(self, key: str) -> str:
        """Our name of their backbone tensor.

        Example:
            >>> CAFFE.to_ours('layer1.0.se_module.fc1.weight')
            'layer1.0.se.fc1.weight'
        """
        return self._renamed(key, self.stem, self.unit)

    def to_theirs(self, key: str) -> str:
        """Their name of our backbone tensor.

        Example:
            >>> MMPRETRAIN.to_theirs('layer1.0.se.fc2.bias')
            'layer1.0.se_layer.conv2.conv.bias'
        """
        stem, unit = ({ours: theirs for theirs, ours in names.items()} for names in (self.stem, self.unit))
        return self._renamed(key, stem, unit)

    def _renamed(self, key: str, stem: Mapping[str, str], unit: Mapping[str, str]) -> str:
        inside = re.fullmatch(self.layout.unit, key)
        start, rest, names = (inside['unit'], inside['rest'], unit) if inside else ('', key, stem)
        for old, new in names.items():
            if rest.startswith(f'{old}.'):
                return f'{start}{new}{rest[len(old) :]}'
        return key

    def known_variant(self, weights: Mapping[str, Tensor], *files: str) -> dict[str, str]:
        """What is known of weights whose file does not state it; one of the names of the file may tell the style."""
        known = dict(self.variant)
        if not any('.se.fc1.' in self.to_ours(key) for key in weights):
            known.pop('attention', None)
        grouped = weights.get(self.layout.grouped)
        if isinstance(grouped, Tensor) and grouped.ndim == 4 and grouped.size(0) != grouped.size(1):
            known |= self.grouped
        if self.layout.bottleneck not in weights:
            known.pop('style', None)  # a basic block has one place for its stride
            known |= self.basic
        elif 'style' not in known and (style := next(filter(None, map(style_of_file, files)), None)):
            known['style'] = style
        return known


#: What the shapes of attention layers do not tell, as all published networks have it.
STANDARD_ATTENTION = {'attention_position': 'standard', 'attention': "SELayer(squeeze='avg', gate='sigmoid')"}
_MODERN = {'style': 'pytorch', 'stem_pool': 'torch', **STANDARD_ATTENTION}


def _deep_stem(*theirs: str) -> dict[str, str]:
    """Their names of the three convolutions and norms of a deep stem, and ours."""
    return dict(zip(theirs, ('stem.0', 'stem.1', 'stem.3', 'stem.4', 'stem.6', 'stem.7'), strict=True))


CAFFE = Family(
    name='Caffe (timm legacy_se*, Cadene)',
    mark=r'layer0\.|layer\d+\.\d+\.se_module\.',
    stem={'layer0.conv1': 'conv1', 'layer0.bn1': 'bn1'},
    unit={'se_module.fc1': 'se.fc1', 'se_module.fc2': 'se.fc2'},
    head='last_linear',
    variant={'style': 'caffe', 'stem_pool': 'caffe', **STANDARD_ATTENTION},
    grouped={'style': 'pytorch'},
    basic={'attention_position': 'rectified'},  # a ReLU between the last norm and the gate
)
CAFFE_DEEP = Family(
    name='Caffe with a deep stem (timm legacy_senet154, Cadene)',
    mark=r'layer0\.conv2\.',
    stem=_deep_stem('layer0.conv1', 'layer0.bn1', 'layer0.conv2', 'layer0.bn2', 'layer0.conv3', 'layer0.bn3'),
    unit=CAFFE.unit,
    head=CAFFE.head,
    variant={'style': 'pytorch', 'stem_pool': 'caffe', **STANDARD_ATTENTION},
)
MMPRETRAIN = Family(
    name='mmpretrain',
    mark=r'stem\.0\.conv\.|layer\d+\.\d+\.se_layer\.',
    stem=_deep_stem('stem.0.conv', 'stem.0.bn', 'stem.1.conv', 'stem.1.bn', 'stem.2.conv', 'stem.2.bn'),
    unit={'se_layer.conv1.conv': 'se.fc1', 'se_layer.conv2.conv': 'se.fc2'},
    head='head.fc',
    prefix='backbone.',
    variant={'stem_pool': 'torch', **STANDARD_ATTENTION},
)
SENET_PYTORCH = Family(
    name='senet.pytorch (linear layers)',
    mark=r'layer\d+\.\d+\.se\.fc\.',
    unit={'se.fc.0': 'se.fc1', 'se.fc.2': 'se.fc2'},
    variant=_MODERN,
)
TIMM_DEEP = Family(
    name='timm with a deep stem',
    mark=r'conv1\.0\.',
    stem=_deep_stem('conv1.0', 'conv1.1', 'conv1.3', 'conv1.4', 'conv1.6', 'bn1'),
    variant=_MODERN,
)
#: Also ours, and all of timm's attention layers, which stand under the same name ``se``.
TIMM = Family(name='timm SE', mark=r'layer\d+\.\d+\.se\.', variant=_MODERN)
#: torchvision's names; mmdet's and mmpretrain's plain hosts have the same, in either style.
PLAIN = Family(name='plain ResNet, without SE')

#: Of ResNets and ResNeXts, asked in this order.
RESNETS = (CAFFE_DEEP, CAFFE, MMPRETRAIN, SENET_PYTORCH, TIMM_DEEP, TIMM, PLAIN)

#: Of the residual networks of CIFAR; no library publishes weights under other names that fit.
CIFAR = Layout(network=r'(?:conv1|bn1|bn|layer(?P<stage>\d+))\.', unit=RESNET.unit)
CIFAR_RESNET = Family(name='pre-activation ResNet of CIFAR', layout=CIFAR)
SHAKE = Family(name='Shake-Shake', landmark='layer1.0.branch1.conv1.weight', layout=CIFAR)

#: Published files whose name tells the style of their bottlenecks.
STYLE_OF_FILE = (
    (r'^timm://(?!.*legacy)', 'pytorch'),
    (r'download\.pytorch\.org/models/', 'pytorch'),
    (r'(^|/)resnex?t\d+(_\d+x\d+d)?-[0-9a-f]{8}\.pth$', 'pytorch'),
    (r'(^|/)(se-)?resnex?t\d+[-_].*(_in1k|_imagenet|b32x8|8xb\d+).*\.pth$', 'pytorch'),
    (r'(^|/)resnex?t\d+(_\w+)?_(caffe|msra)(_\w+)?-[0-9a-f]{8}\.pth$', 'caffe'),
)
#: timm's networks with our tensors' names and another graph: what their file names say.
OTHER_GRAPHS = re.compile(r'res(net|next)(blur|aa|rs)')


def joined(layers: Mapping[str, str]) -> str:
    """The attention of a network in one text, for the metadata of its weights: the layer, or each site with its own.

    Example:
        >>> joined({'layer1.0': 'SimAM', 'layer2.0': 'SimAM'}), joined({'layer1.0': 'A', 'layer2.0': 'B'})
        ('SimAM', 'layer1.0: A; layer2.0: B')
    """
    if len(set(layers.values())) == 1:
        return next(iter(layers.values()))
    return '; '.join(f'{site}: {layer}' for site, layer in layers.items())


def layers_in(text: str) -> dict[str, str]:
    """The inverse of :func:`joined`; one layer for all sites stands under ``''``.

    Example:
        >>> layers_in('SimAM'), layers_in('layer1.0: A; layer2.0: B')
        ({'': 'SimAM'}, {'layer1.0': 'A', 'layer2.0': 'B'})
    """
    entries = (entry.rpartition(': ') for entry in text.split('; '))
    return {site: layer for site, _, layer in entries}


def family_of(keys: Iterable[str], families: Sequence[Family] = RESNETS) -> Family:
    """The first family that names its tensors so.

    Example:
        >>> family_of(['conv1.weight', 'layer1.0.se.fc1.weight']).name
        'timm SE'
    """
    keys = list(keys)
    return next(family for family in families if any(re.match(family.mark, key) for key in keys) or not family.mark)


def style_of_file(name: str) -> str | None:
    """``'pytorch'`` or ``'caffe'`` where the name of a published file tells, else ``None``.

    Example:
        >>> style_of_file('https://download.openmmlab.com/pretrain/third_party/resnet50_caffe-788b5fa3.pth')
        'caffe'
    """
    return next((style for pattern, style in STYLE_OF_FILE if re.search(pattern, name)), None)
