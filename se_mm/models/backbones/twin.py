"""The SE twin of any host: of mmdet's, mmpretrain's, timm's, or your own residual network."""

from __future__ import annotations

from typing import Any

from mmengine.registry import MODELS
from torch import nn

from ...errors import SeMmError
from ..composed import composed_class
from ..hosts.adapters import find_adapter
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
    if find_adapter(host) is None and host.__module__.startswith(('mmdet.', 'mmpretrain.')):
        raise SeMmError(f'SETwin: {host.__name__} cannot be a host: se_mm knows no insertion sites in it')
    return composed_class((AttentionHost,), host)(**kwargs)
