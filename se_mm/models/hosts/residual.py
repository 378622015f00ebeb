"""Sites in residual networks with the names of mmdet's and mmpretrain's ResNet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from ...errors import SeMmError
from ...weights.families import RESNET, Family
from ..composed import plain_class, put_before
from .blocks import blocks_in, naming_of
from .residual_units import UNITS, BasicShape, NormThenAttention2, NormThenAttention3, shape_of
from .sites import HostAdapter, Site, maker, reader, units_of

#: Why nothing compensates a constant gate there.
_OBSTACLES = {
    'post': 'what comes after the addition feeds the next shortcuts too',
    'identity': 'the identity has no weights that could be doubled',
}


class ResidualAdapter(HostAdapter):
    """ResNet and what inherits from it: ResNeXt, Res2Net, ResNeSt, RegNet, TridentResNet, DetectoRS, a user's own.

    A host has ``res_layers`` (the names of its stages, ``layer1`` ...), ``num_stages``, ``style`` and
    ``_freeze_stages()``; a block has ``norm2`` or ``norm3`` at the end of its residual branch. The libraries' own
    blocks get a forward for each position; a block with a forward of its own (Res2Net, ResNeSt, TridentNet,
    DetectoRS, yours) keeps it, with the attention behind its last norm.
    """

    classes = ('mmdet.models.backbones.resnet.ResNet', 'mmpretrain.models.backbones.resnet.ResNet')
    positions = ('standard', 'rectified', 'pre', 'post', 'identity', 'conv2')
    stem_pools = ('torch', 'caffe')

    def units(self, host: nn.Module) -> Iterator[tuple[int, int, str, nn.Module]]:
        """The residual units of a host: stage, block, name and module of each."""
        return units_of(host)

    def check(self, host: nn.Module) -> None:
        needed = ('res_layers', 'num_stages', 'style', '_freeze_stages')
        missing = [name for name in needed if not hasattr(host, name)]
        if missing:
            raise SeMmError(
                f'{type(host).__name__} cannot be a host: it has no {", ".join(missing)}; a residual host has '
                'res_layers (the names of its stages), num_stages, style and _freeze_stages()'
            )

    def num_stages(self, host: nn.Module) -> int:
        return host.num_stages

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        for stage, block, name, unit in self.units(host):
            channels, parts, obstacle = _place(name, unit, position)
            yield Site(name, unit, stage, block, channels, parts, obstacle)

    def variant(self, host: nn.Module) -> dict[str, str]:
        return {'style': getattr(host, 'style', 'pytorch')}

    def prepare(self, site: Site, position: str) -> None:
        plain = type(site.parent)
        shape = shape_of(plain)
        if shape is not None:
            put_before(site.parent, UNITS[position], shape)
        elif position == 'standard':
            put_before(site.parent, NormThenAttention3 if hasattr(plain, 'norm3') else NormThenAttention2)
        else:
            raise SeMmError(
                f'attention_position {position!r} needs the blocks of ResNet or ResNeXt; {plain.__name__} has a '
                "forward of its own, and takes 'standard'"
            )


_RESIDUAL = tuple(
    f'{library}.models.backbones.resnet.{block}'
    for library in ('mmdet', 'mmpretrain')
    for block in ('BasicBlock', 'Bottleneck')
)


class NestedResidualAdapter(ResidualAdapter):
    """HRNet and Hourglass: the units of ResNet inside their modules; the stages are HRNet's, or the stacks."""

    classes = (
        'mmdet.models.backbones.hrnet.HRNet',
        'mmpretrain.models.backbones.hrnet.HRNet',
        'mmdet.models.backbones.hourglass.HourglassNet',
    )
    stem_pools = ('torch',)

    def check(self, host: nn.Module) -> None:
        pass

    def naming(self, host: nn.Module) -> tuple[Family, ...]:
        return naming_of(host, _RESIDUAL)

    def num_stages(self, host: nn.Module) -> int:
        return 1 + max(stage for stage, *_ in self.units(host))

    def units(self, host: nn.Module) -> Iterator[tuple[int, int, str, nn.Module]]:
        return blocks_in(host, _RESIDUAL)


class SharedHeadAdapter(NestedResidualAdapter):
    """The last stage of a ResNet, in the head of a C4 detector; it takes its weights from those of a whole ResNet."""

    classes = ('mmdet.models.roi_heads.shared_heads.res_layer.ResLayer',)

    def naming(self, host: nn.Module) -> tuple[Family, ...]:
        layer = f'layer{host.stage + 1}'
        moved = {key: getattr(RESNET, key).replace('layer1', layer) for key in ('bottleneck', 'grouped')}
        layout = replace(RESNET, network=r'(?P<stage>conv1|bn1|stem|layer\d+)\.', **moved)
        return tuple(replace(family, landmark=f'{layer}.0.conv1.weight', layout=layout) for family in self.families)

    def variant(self, host: nn.Module) -> dict[str, str]:
        return {'style': next(unit for *_, unit in self.units(host)).style}


def _place(name: str, unit: nn.Module, position: str) -> tuple[int, tuple, str]:
    """The channels of the map at a position of a unit, and what compensates a gate there, or why nothing does."""
    plain = plain_class(unit)
    if not hasattr(plain, 'norm2'):
        raise SeMmError(
            f'{plain.__name__} is no residual block that attention can be put into: it has neither norm2 nor norm3, '
            "which end the residual branch of mmdet's and mmpretrain's blocks"
        )
    if position == 'conv2':
        if shape_of(plain) is BasicShape:
            raise SeMmError("attention_position 'conv2' needs bottlenecks (50 layers and more)")
        channels = unit.conv2.out_channels
        if getattr(unit, 'after_conv2_plugin_names', ()):
            return channels, (), 'plugins at after_conv2 stand between the norm and the attention'
        return channels, *maker(f'{name}.{unit.norm2_name}', getattr(unit, unit.norm2_name), unit.relu)
    if position == 'pre':
        kind = type(unit.conv1)
        obstacle = '' if kind is nn.Conv2d else f'twice the weight of a {kind.__name__} may not be twice its output'
        return unit.conv1.in_channels, () if obstacle else reader(f'{name}.conv1'), obstacle
    conv, norm = (unit.conv3, unit.norm3_name) if hasattr(unit, 'norm3_name') else (unit.conv2, unit.norm2_name)
    if position in ('standard', 'rectified'):
        activation = unit.relu if position == 'rectified' else None
        return conv.out_channels, *maker(f'{name}.{norm}', getattr(unit, norm), activation)
    return conv.out_channels, (), _OBSTACLES[position]
