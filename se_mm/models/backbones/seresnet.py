"""SE-ResNet (Hu et al., arXiv 1709.01507, table 1)."""

from __future__ import annotations

from typing import Any

from mmdet.models.backbones import ResNet

from ...errors import SeMmError
from ..hosts.attention_host import AttentionHost


class SEResNet(AttentionHost, ResNet):
    """ResNet with squeeze-and-excitation in its residual units; the names of its plain part are ResNet's.

    Args:
        depth: 18, 34, 50, 101 or 152.
        **kwargs: every argument of ``mmdet.models.ResNet``, and those of
            :class:`se_mm.models.hosts.attention_host.AttentionHost` (``reduction``, ``se_stages``, ``se_init``, ...).

    Raises:
        SeMmError: for a depth that does not exist, or an SE argument out of range.

    Example:
        >>> import torch
        >>> backbone = SEResNet(depth=18, out_indices=(0, 3)).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 96))]
        [(1, 64, 16, 24), (1, 512, 2, 3)]
    """

    def __init__(self, depth: int, **kwargs: Any) -> None:
        _check_depth(depth, self.arch_settings, type(self).__name__)
        super().__init__(depth=depth, **kwargs)


def _check_depth(depth: int, arch_settings: dict[int, Any], name: str) -> None:
    if not isinstance(depth, int) or depth not in arch_settings:
        raise SeMmError(f'{name} has no depth {depth!r}; it has {sorted(arch_settings)}')
