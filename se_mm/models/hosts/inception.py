"""Sites in Inception-v3, Inception-ResNet-v2 and BN-Inception."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from ...weights.host_families import BN_INCEPTIONS, INCEPTION_RESNET_V2S, INCEPTION_V3S
from ..composed import plain_class
from .behind_modules import BehindModulesAdapter
from .sites import Site, maker, reader


@dataclass(frozen=True)
class Concatenation:
    """An Inception module, as the sites need it; attention stands behind the output of ``module``.

    Attributes:
        ends: of its branches, in the order of the concatenation: name of the norm, channels, norm, activation.
        starts: the names of the convolutions that read its input.
        passed: channels of its input that go on, pooled, at the end of its map.
    """

    name: str
    module: nn.Module
    stage: int
    ends: list[tuple[str, int, nn.Module, nn.Module | None]]
    starts: list[str]
    passed: int = 0


class _ConcatenationAdapter(BehindModulesAdapter):
    """A host whose attention stands behind Inception modules that follow each other; the stages are its feature maps.

    A constant gate is compensated by the norms at the ends of the branches, and for the part of the map that is the
    pooled input by what the convolutions of the next module read of it.
    """

    def num_stages(self, host: nn.Module) -> int:
        return 5

    @abstractmethod
    def concatenations(self, host: nn.Module) -> Iterator[Concatenation]:
        """The modules, from input to output."""

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        units = list(self.concatenations(host))
        for i, unit in enumerate(units):
            block = sum(other.stage == unit.stage for other in units[:i])
            parts, obstacle, channels = [], '', 0
            for name, width, norm, activation in unit.ends:
                made, why = maker(name, norm, activation, channels, channels + width)
                parts, obstacle, channels = [*parts, *made], obstacle or why, channels + width
            if unit.passed and i + 1 < len(units):
                parts += reader(*units[i + 1].starts, start=channels, stop=channels + unit.passed)
            elif unit.passed:
                obstacle = obstacle or 'a part of the map is the pooled input, and nothing behind it could be doubled'
            parts = () if obstacle else tuple(parts)
            yield Site(unit.name, unit.module, unit.stage, block, channels + unit.passed, parts, obstacle)


#: Of the modules of Inception-v3, by the names of timm, torchvision and mmpretrain: the last convolutions of the
#: branches, in the order of the concatenation, and those that read the input.
INCEPTION_V3 = {
    'InceptionA': (
        ('branch1x1', 'branch5x5_2', 'branch3x3dbl_3', 'branch_pool'),
        ('branch1x1', 'branch5x5_1', 'branch3x3dbl_1', 'branch_pool'),
    ),
    'InceptionB': (('branch3x3', 'branch3x3dbl_3'), ('branch3x3', 'branch3x3dbl_1')),
    'InceptionC': (
        ('branch1x1', 'branch7x7_3', 'branch7x7dbl_5', 'branch_pool'),
        ('branch1x1', 'branch7x7_1', 'branch7x7dbl_1', 'branch_pool'),
    ),
    'InceptionD': (('branch3x3_2', 'branch7x7x3_4'), ('branch3x3_1', 'branch7x7x3_1')),
    'InceptionE': (
        ('branch1x1', 'branch3x3_2a', 'branch3x3_2b', 'branch3x3dbl_3a', 'branch3x3dbl_3b', 'branch_pool'),
        ('branch1x1', 'branch3x3_1', 'branch3x3dbl_1', 'branch_pool'),
    ),
}


class InceptionV3Adapter(_ConcatenationAdapter):
    """Inception-v3 of timm and of mmpretrain: behind the concatenation of each of the 11 modules.

    The stages are the feature maps of timm: the modules 5b to 5d are stage 2, 6a to 6e stage 3, 7a to 7c stage 4.
    """

    classes = (
        'se_mm.models.backbones.timm_hosts.TimmInceptionV3',
        'mmpretrain.models.backbones.inception_v3.InceptionV3',
    )
    families = INCEPTION_V3S

    def concatenations(self, host: nn.Module) -> Iterator[Concatenation]:
        for name, module in host.named_children():
            if not name.startswith('Mixed_'):
                continue
            last, first = INCEPTION_V3[plain_class(module).__name__]
            ends = []
            for end in last:
                branch = getattr(module, end)
                activation = branch.relu if hasattr(branch, 'relu') else getattr(branch.bn, 'act', None)
                ends.append((f'{name}.{end}.bn', branch.conv.out_channels, branch.bn, activation))
            starts = [f'{name}.{start}.conv' for start in first]
            passed = 0 if 'branch_pool' in last else getattr(module, first[0]).conv.in_channels
            yield Concatenation(name, module, int(name[6]) - 3, ends, starts, passed)


class BNInceptionAdapter(_ConcatenationAdapter):
    """BN-Inception: behind the concatenation of each of the 10 modules, as in the authors' network.

    The stages are the feature maps: the modules 3a and 3b are stage 2, 3c to 4d stage 3, 4e to 5b stage 4.
    """

    classes = ('se_mm.models.backbones.bninception.BNInception',)
    families = BN_INCEPTIONS

    def concatenations(self, host: nn.Module) -> Iterator[Concatenation]:
        for module in host.inception_modules:
            ends = []
            for *_, last in module.branches:
                norm = f'{last}_bn'
                ends.append((norm, getattr(host, last).out_channels, getattr(host, norm), host.relu))
            starts, output = [branch[0] for branch in module.branches], getattr(host, module.output)
            yield Concatenation(module.output, output, module.stage, ends, starts, module.passed)


class InceptionResNetV2Adapter(BehindModulesAdapter):
    """timm's Inception-ResNet-v2: on the residual branch of each of the 40 blocks, before it is scaled and added.

    The stages are timm's feature maps: ``repeat`` is stage 2, ``repeat_1`` 3, ``repeat_2`` and ``block8`` are 4.
    """

    classes = ('se_mm.models.backbones.timm_hosts.TimmInceptionResNetV2',)
    families = INCEPTION_RESNET_V2S

    def num_stages(self, host: nn.Module) -> int:
        return 5

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        blocks: list[tuple[str, nn.Module, int]] = []
        for name, layer, stage in host.layers():
            if name.startswith('repeat'):
                blocks += [(f'{name}.{i}', block, stage) for i, block in layer.named_children()]
            elif name == 'block8':
                blocks.append((name, layer, stage))
        for i, (name, block, stage) in enumerate(blocks):
            number, last = sum(other == stage for *_, other in blocks[:i]), f'{name}.conv2d'
            yield Site(last, block.conv2d, stage, number, block.conv2d.out_channels, *maker(last, block.conv2d))
