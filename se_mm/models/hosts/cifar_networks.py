"""Sites in the residual networks of CIFAR: pre-activation ResNets, Wide ResNets and Shake-Shake networks."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ...weights.families import CIFAR_RESNET, SHAKE
from .sites import HostAdapter, Part, Site, maker, units_of

_BACKBONES = 'se_mm.models.backbones'


class PreActAdapter(HostAdapter):
    """The output of a branch's last convolution, before the addition; no norm follows it there."""

    classes = (f'{_BACKBONES}.preact_resnet.PreActResNetCIFAR',)
    se_divisor = 1
    families = (CIFAR_RESNET,)

    def num_stages(self, host: nn.Module) -> int:
        return host.num_stages

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        for stage, block, name, unit in units_of(host):
            last = unit.last_conv_name
            yield Site(name, unit, stage, block, unit.out_channels, *maker(f'{name}.{last}', getattr(unit, last)))


class ShakeAdapter(PreActAdapter):
    """The end of each branch (``'standard'``: two sites in a unit), or their mixture (``'sum'``)."""

    classes = (f'{_BACKBONES}.shake_resnet.ShakeResNetCIFAR', f'{_BACKBONES}.shake_resnet.ShakeResNeXtCIFAR')
    positions = ('standard', 'sum')
    families = (SHAKE,)

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        for stage, block, name, unit in units_of(host):
            affine = {}
            for branch in ('branch1', 'branch2'):
                norm = f'{name}.{branch}.{getattr(unit, branch).last_norm_name}'
                affine[branch] = (Part(f'{norm}.weight'), Part(f'{norm}.bias'))
            if position == 'sum':
                yield Site(name, unit, stage, block, unit.out_channels, affine['branch1'] + affine['branch2'])
                continue
            for branch, parts in affine.items():
                yield Site(f'{name}.{branch}', getattr(unit, branch), stage, block, unit.out_channels, parts)
