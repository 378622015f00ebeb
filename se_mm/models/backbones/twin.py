"""The SE twin of any host: of mmdet's, mmpretrain's, timm's, or your own residual network."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import MODELS
from torch import nn

from ...errors import SeMmError
from ..composed import composed_class, plain_class, put_before
from ..hosts.adapters import find_adapter, unsuited
from ..hosts.attention_arguments import attention_config
from ..hosts.attention_host import AttentionHost
from ..hosts.sites import WITH_SE, inherits
from .timm_hosts import timm_host


def SETwin(host: str | type[nn.Module], **kwargs: Any) -> AttentionHost:  # named as a class: configs use it as a type
    """The host with squeeze-and-excitation at its insertion sites.

    In a config: ``backbone=dict(type='se_mm.SETwin', host='mmdet.Res2Net', depth=101, ...)``.

    Args:
        host: a backbone by its name in a registry (``'mmpretrain.VGG'``), by that of an architecture of timm
            (``'timm.inception_v3'``), or its class; one of :mod:`se_mm.models.hosts.adapters`, or a residual
            network of your own (see :class:`se_mm.models.hosts.residual.ResidualAdapter`).
        **kwargs: every argument of the host, and those of :class:`se_mm.models.hosts.attention_host.AttentionHost`.

    Raises:
        SeMmError: if there is no such host, or nothing is known of its insertion sites.

    Example:
        >>> backbone = SETwin('mmdet.RegNet', arch='regnetx_400mf')
        >>> type(backbone).__name__, backbone.layer1[0].se.fc1.weight.shape
        ('SERegNet', torch.Size([8, 32, 1, 1]))
    """
    if isinstance(host, str) and host.startswith('timm.'):
        architecture = host.removeprefix('timm.')
        return composed_class((AttentionHost,), timm_host(architecture))(architecture=architecture, **kwargs)
    if isinstance(host, str):
        with MODELS.switch_scope_and_registry(None) as registry:
            found = registry.get(host)
        if found is None:
            raise SeMmError(f'SETwin: no backbone is registered as {host!r}')
        host = found
    if not (isinstance(host, type) and issubclass(host, nn.Module)):
        raise SeMmError(f'SETwin: {host!r} is no backbone')
    if inherits(host, WITH_SE):
        raise SeMmError(f'SETwin: {host.__name__} has attention already; use it as it is')
    foreign = find_adapter(host) is None and host.__module__.startswith(('mmdet.', 'mmpretrain.'))
    if foreign and kwargs.get('attention_sites') is None:
        reason = unsuited(host) or 'se_mm knows no insertion sites in it'
        raise SeMmError(
            f'SETwin: {host.__name__} cannot be a host: {reason}; attention_sites=[...] names modules that give maps'
        )
    return composed_class((AttentionHost,), host)(**kwargs)


def wrap(
    module: nn.Module,
    sites: Sequence[str] | None = None,
    attention: Mapping[str, Any] | str | None = None,
    *,
    example: Any = None,
    **options: Any,
) -> nn.Module:
    """Puts attention into a network that is built, of any library, in place; its weights and its outputs stay.

    It becomes a host as those of configs are: its attention is found by the tools, counted, saved and loaded, also
    from the weights of the plain network.

    Args:
        module: a network with its weights.
        sites: patterns of the names of modules whose output is a map (N, C, H, W), ``['features.*']``; each
            is a stage. ``None``: where se_mm knows the sites of the network.
        attention: the layer and its arguments, ``'ECALayer'`` or ``dict(type='SELayer', reduction=8)``.
        example: an input of the network, or a tuple of them; ``None``: a picture of 224 x 224.
        **options: ``attention_stages``, ``attention_blocks``, ``se_init`` and the like, as
            :class:`se_mm.models.hosts.attention_host.AttentionHost` has them.

    Returns:
        The module itself.

    Raises:
        SeMmError: if a pattern names nothing, or no map; if the network is unknown and no pattern is given.

    Example:
        >>> import torch
        >>> network, x = nn.Sequential(nn.Conv2d(3, 32, 3), nn.SiLU(), nn.Conv2d(32, 8, 1)), torch.rand(1, 3, 8, 8)
        >>> plain = network(x)
        >>> torch.equal(wrap(network, ['1'])(x), plain), network[1].se.layer.fc1.weight.shape
        (True, torch.Size([2, 32, 1, 1]))
    """
    if isinstance(module, AttentionHost):
        raise SeMmError(f'wrap: {type(module).__name__} has attention already')
    mode = module.training
    put_before(module, AttentionHost)
    try:
        module.attend(attention_config(attention), attention_sites=sites, example=example, **options)
        AttentionHost.become(module)
    except BaseException:
        module.__class__ = plain_class(module)
        raise
    first = next(module.parameters(), None)
    for site in module.attention_sites() if first is not None else ():
        site.parent.se.to(first.device, first.dtype).train(mode)
    return module


_own = inspect.signature(AttentionHost.__init__).parameters.values()
SETwin.__signature__ = inspect.Signature([*inspect.signature(SETwin).parameters.values()][:1] + [*_own][1:])
