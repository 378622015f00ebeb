"""The SE twin of any host that is built from residual blocks: of mmdet's, mmpretrain's, or your own."""

from __future__ import annotations

from typing import Any

from mmengine.registry import MODELS
from torch import nn

from ...errors import SeMmError
from ..hosts.attention_host import AttentionHost
from ..hosts.made_classes import made_class


def SETwin(host: str | type[nn.Module], **kwargs: Any) -> AttentionHost:  # a class, for who writes a config
    """The host with squeeze-and-excitation in its residual blocks.

    In a config: ``backbone=dict(type='se_mm.SETwin', host='mmdet.Res2Net', depth=101, ...)``.

    Args:
        host: a backbone by its name in a registry, or its class. It calls its stages
            ``layer1``, ``layer2`` ..., lists these names in ``res_layers``, and its blocks are
            those of :class:`se_mm.models.hosts.residual.ResidualAdapter`.
        **kwargs: every argument of the host, and those of
            :class:`se_mm.models.hosts.attention_host.AttentionHost`.

    Raises:
        SeMmError: if there is no such host, or it has no residual blocks.

    Example:
        >>> backbone = SETwin('mmdet.RegNet', arch='regnetx_400mf')
        >>> type(backbone).__name__, backbone.layer1[0].se.fc1.weight.shape
        ('SERegNet', torch.Size([8, 32, 1, 1]))
    """
    return made_class((AttentionHost,), _host_class(host))(**kwargs)


def _host_class(host: str | type[nn.Module]) -> type[nn.Module]:
    if isinstance(host, str):
        with MODELS.switch_scope_and_registry(None) as registry:
            found = registry.get(host)
        if found is None:
            raise SeMmError(f'SETwin: no backbone is registered as {host!r}')
        host = found
    if not (isinstance(host, type) and issubclass(host, nn.Module)):
        raise SeMmError(f'SETwin: {host!r} is no backbone')
    return host
