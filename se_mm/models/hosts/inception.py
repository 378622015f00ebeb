"""Sites in Inception-v3, Inception-ResNet-v2 and BN-Inception."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ...weights.host_families import BN_INCEPTIONS, INCEPTION_RESNET_V2S, INCEPTION_V3S
from .made_classes import plain_class
from .sites import Part, Site
from .then_attention import ThenAttentionAdapter, why_not_scaled


@dataclass(frozen=True)
class Branches:
    """The parts of an Inception module that a factor on its concatenated map concerns.

    Attributes:
        ends: the last convolutions of the branches, in the order of the concatenation.
        starts: the convolutions that read the module's input.
        passes: whether the input goes on, pooled, as the last part of the concatenation.
    """

    ends: tuple[str, ...]
    starts: tuple[str, ...]
    passes: bool = False


#: Of the modules of Inception-v3, by the names of timm, torchvision and mmpretrain.
INCEPTION_V3 = {
    'InceptionA': Branches(
        ends=('branch1x1', 'branch5x5_2', 'branch3x3dbl_3', 'branch_pool'),
        starts=('branch1x1', 'branch5x5_1', 'branch3x3dbl_1', 'branch_pool'),
    ),
    'InceptionB': Branches(ends=('branch3x3', 'branch3x3dbl_3'), starts=('branch3x3', 'branch3x3dbl_1'), passes=True),
    'InceptionC': Branches(
        ends=('branch1x1', 'branch7x7_3', 'branch7x7dbl_5', 'branch_pool'),
        starts=('branch1x1', 'branch7x7_1', 'branch7x7dbl_1', 'branch_pool'),
    ),
    'InceptionD': Branches(ends=('branch3x3_2', 'branch7x7x3_4'), starts=('branch3x3_1', 'branch7x7x3_1'), passes=True),
    'InceptionE': Branches(
        ends=('branch1x1', 'branch3x3_2a', 'branch3x3_2b', 'branch3x3dbl_3a', 'branch3x3dbl_3b', 'branch_pool'),
        starts=('branch1x1', 'branch3x3_1', 'branch3x3dbl_1', 'branch_pool'),
    ),
}


@dataclass(frozen=True)
class Unit:
    """An Inception module in a network, as the sites need it.

    Attributes:
        name: of the module behind whose output attention stands.
        module: that module.
        stage: see :class:`Site`.
        ends: convolutions that end its branches: the name of the norm, convolution, norm, activation.
        starts: the names of the convolutions that read its input.
        passed: channels of its input that go on, pooled, at the end of its map.
    """

    name: str
    module: nn.Module
    stage: int
    ends: tuple[tuple[str, nn.Conv2d, nn.Module, nn.Module | None], ...]
    starts: tuple[str, ...]
    passed: int = 0


def concatenation_sites(units: list[Unit]) -> Iterator[Site]:
    """Sites behind the concatenations of Inception modules that follow each other.

    A constant gate is compensated by the norms at the ends of the branches, since their rectified
    outputs are proportional to scale and shift; for the part of the map that is the pooled input,
    by what the convolutions of the next module read of it.

    Args:
        units: from input to output.
    """
    for i, unit in enumerate(units):
        channels = sum(conv.out_channels for _, conv, _, _ in unit.ends) + unit.passed
        following = units[i + 1] if i + 1 < len(units) else None
        obstacles = [why_not_scaled(name, norm, activation) for name, _, norm, activation in unit.ends]
        if unit.passed and following is None:
            obstacles.append('a part of the map is the pooled input, and nothing behind it could be doubled')
        block = sum(other.stage == unit.stage for other in units[:i])
        obstacle = next(filter(None, obstacles), '')
        if obstacle:
            yield Site(unit.name, unit.module, unit.stage, block, channels, obstacle=obstacle)
            continue
        parts, start = [], 0
        for name, conv, _, _ in unit.ends:
            stop = start + conv.out_channels
            parts += [Part(f'{name}.{parameter}', start, stop) for parameter in ('weight', 'bias')]
            start = stop
        if unit.passed:
            parts += [Part(f'{name}.weight', start, channels, reads=True) for name in following.starts]
        yield Site(unit.name, unit.module, unit.stage, block, channels, tuple(parts))


class _InceptionAdapter(ThenAttentionAdapter):
    """A host whose attention stands behind whole modules, with feature maps of five sizes."""

    def num_stages(self, host: nn.Module) -> int:
        return 5


class InceptionV3Adapter(_InceptionAdapter):
    """Inception-v3 of timm and of mmpretrain: behind the concatenation of each of the 11 modules.

    The stages are the feature maps of timm: the modules 5b to 5d are stage 2, 6a to 6e stage 3, 7a to 7c stage 4.
    """

    classes = (
        'se_mm.models.backbones.timm_hosts.TimmInceptionV3',
        'mmpretrain.models.backbones.inception_v3.InceptionV3',
    )
    families = INCEPTION_V3S

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        names = [name for name, _ in host.named_children() if name.startswith('Mixed_')]
        units = []
        for name in names:
            module = getattr(host, name)
            branches = INCEPTION_V3[plain_class(module).__name__]
            passed = getattr(module, branches.starts[0]).conv.in_channels if branches.passes else 0
            ends = tuple(_conv_and_norm(f'{name}.{end}', getattr(module, end)) for end in branches.ends)
            starts = tuple(f'{name}.{start}.conv' for start in branches.starts)
            units.append(Unit(name, module, int(name[6]) - 3, ends, starts, passed))
        yield from concatenation_sites(units)


class InceptionResNetV2Adapter(_InceptionAdapter):
    """timm's Inception-ResNet-v2: on the residual branch of each of the 40 blocks, before it is scaled and added.

    The stages are the feature maps of timm: ``repeat`` is stage 2, ``repeat_1`` stage 3,
    ``repeat_2`` and ``block8`` are stage 4.
    """

    classes = ('se_mm.models.backbones.timm_hosts.TimmInceptionResNetV2',)
    families = INCEPTION_RESNET_V2S

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        blocks: list[tuple[str, nn.Module, int]] = []
        for name, layer, stage in host.layers():
            if name.startswith('repeat'):
                blocks += [(f'{name}.{i}', block, stage) for i, block in layer.named_children()]
            elif name == 'block8':
                blocks.append((name, layer, stage))
        for i, (name, block, stage) in enumerate(blocks):
            number = sum(other == stage for *_, other in blocks[:i])
            affine = (Part(f'{name}.conv2d.weight'), Part(f'{name}.conv2d.bias'))
            yield Site(f'{name}.conv2d', block.conv2d, stage, number, block.conv2d.out_channels, affine)


class BNInceptionAdapter(_InceptionAdapter):
    """BN-Inception: behind the concatenation of each of the 10 modules, as in the authors' network.

    The stages are the feature maps: the modules 3a and 3b are stage 2, 3c to 4d stage 3, 4e to 5b stage 4.
    """

    classes = ('se_mm.models.backbones.bninception.BNInception',)
    families = BN_INCEPTIONS

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        units = []
        for module in host.inception_modules():
            convs = [(f'{end}_bn', getattr(host, end), getattr(host, f'{end}_bn')) for end in module.ends]
            ends = tuple((name, conv, norm, host.relu) for name, conv, norm in convs)
            output = getattr(host, module.output)
            units.append(Unit(module.output, output, module.stage, ends, module.starts, module.passed))
        yield from concatenation_sites(units)


def _conv_and_norm(name: str, module: nn.Module) -> tuple[str, nn.Conv2d, nn.Module, nn.Module | None]:
    activation = module.relu if hasattr(module, 'relu') else getattr(module.bn, 'act', None)
    return f'{name}.bn', module.conv, module.bn, activation
