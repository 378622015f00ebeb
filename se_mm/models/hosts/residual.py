"""Sites in residual networks with the names of mmdet's and mmpretrain's ResNet."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ...errors import SeMmError
from .made_classes import plain_class, put_before
from .residual_units import (
    PLAIN_BLOCKS,
    POSITIONS,
    BasicShape,
    NormThenAttention2,
    NormThenAttention3,
    last_conv_of,
    last_norm_name_of,
)
from .sites import HostAdapter, Part, Site, full_name
from .then_attention import why_not_scaled


class ResidualAdapter(HostAdapter):
    """ResNet and what inherits from it: ResNeXt, Res2Net, ResNeSt, RegNet, TridentResNet, DetectoRS, a user's own.

    A host has ``res_layers`` (the names of its stages), ``num_stages``, ``style`` and
    ``_freeze_stages()``; a block has ``norm2`` or ``norm3`` at the end of its residual branch.
    The libraries' own blocks get a forward for each position, with the fused tail for
    ``'standard'``. A block with a forward of its own (Res2Net, ResNeSt, TridentNet, DetectoRS,
    yours) keeps it, with the attention behind its last norm.
    """

    classes = ('mmdet.models.backbones.resnet.ResNet', 'mmpretrain.models.backbones.resnet.ResNet')
    positions = ('standard', 'pre', 'post', 'identity', 'conv2')
    stem_pools = ('torch', 'caffe')

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
        for stage, layer in enumerate(host.res_layers):
            for block, unit in enumerate(getattr(host, layer)):
                yield _site(f'{layer}.{block}', unit, stage, block, position)

    def variant(self, host: nn.Module) -> dict[str, str]:
        return {'style': getattr(host, 'style', 'pytorch')}

    def insert(self, site: Site, attention: nn.Module, position: str = 'standard') -> None:
        if 'se' in site.parent._modules:
            raise SeMmError(
                f"{site.name} has a module 'se' already, which is the name of its attention; give the plugin another "
                "name: cfg=dict(type='se_mm.SELayer', postfix='_plugin')"
            )
        plain = type(site.parent)
        shape = PLAIN_BLOCKS.get(full_name(plain))
        if shape is None:
            if position != 'standard':
                raise SeMmError(
                    f'attention_position {position!r} needs the blocks of ResNet or ResNeXt; {plain.__name__} has a '
                    "forward of its own, and takes 'standard'"
                )
            put_before(site.parent, NormThenAttention3 if hasattr(plain, 'norm3') else NormThenAttention2)
        else:
            put_before(site.parent, POSITIONS[position], shape)
        site.parent.se = attention


def _site(name: str, unit: nn.Module, stage: int, block: int, position: str) -> Site:
    plain = plain_class(unit)
    if not hasattr(plain, 'norm2'):
        raise SeMmError(
            f'{plain.__name__} is no residual block that attention can be put into: it has neither norm2 nor norm3, '
            "which end the residual branch of mmdet's and mmpretrain's blocks"
        )
    if position == 'conv2':
        if PLAIN_BLOCKS.get(full_name(plain)) is BasicShape:
            raise SeMmError("attention_position 'conv2' needs bottlenecks (50 layers and more)")
        if getattr(unit, 'after_conv2_plugin_names', ()):
            obstacle = 'plugins at after_conv2 stand between the norm and the attention'
            return Site(name, unit, stage, block, unit.conv2.out_channels, obstacle=obstacle)
        return _behind_norm(name, unit, stage, block, unit.conv2.out_channels, unit.norm2_name, unit.relu)
    if position == 'pre':
        if type(unit.conv1) is not nn.Conv2d:
            obstacle = f'twice the weight of a {type(unit.conv1).__name__} may not be twice its output'
            return Site(name, unit, stage, block, unit.conv1.in_channels, obstacle=obstacle)
        weight = (Part(f'{name}.conv1.weight', reads=True),)
        return Site(name, unit, stage, block, unit.conv1.in_channels, weight)
    channels = last_conv_of(unit).out_channels
    if position == 'standard':
        return _behind_norm(name, unit, stage, block, channels, last_norm_name_of(unit))
    why = {
        'post': 'what comes after the addition feeds the next shortcuts too',
        'identity': 'the identity has no weights that could be doubled',
    }
    return Site(name, unit, stage, block, channels, obstacle=why[position])


def _behind_norm(
    name: str,
    unit: nn.Module,
    stage: int,
    block: int,
    channels: int,
    norm: str,
    activation: nn.Module | None = None,
) -> Site:
    obstacle = why_not_scaled(f'{name}.{norm}', getattr(unit, norm), activation)
    affine = () if obstacle else (Part(f'{name}.{norm}.weight'), Part(f'{name}.{norm}.bias'))
    return Site(name, unit, stage, block, channels, affine, obstacle)
