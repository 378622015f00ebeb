"""SE-ResNeXt (Hu et al., arXiv 1709.01507, table 1)."""

from __future__ import annotations

from typing import Any

from mmdet.models.backbones import ResNeXt

from ..hosts.attention_host import AttentionHost
from .seresnet import _check_depth


class SEResNeXt(AttentionHost, ResNeXt):
    """ResNeXt with squeeze-and-excitation in its residual units; the paper's is ``groups=32, base_width=4``.

    Args:
        depth: 50, 101 or 152.
        groups: groups of the 3x3 convolutions.
        base_width: channels of one group in the first stage.
        **kwargs: every argument of ``mmdet.models.ResNeXt``, and those of
            :class:`se_mm.models.hosts.attention_host.AttentionHost`.

    Raises:
        SeMmError: for a depth that does not exist, or an SE argument out of range.

    Example:
        >>> import torch
        >>> backbone = SEResNeXt(depth=50, groups=32, base_width=4, out_indices=(3,)).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 64))]
        [(1, 2048, 2, 2)]
    """

    def __init__(self, depth: int, groups: int = 1, base_width: int = 4, **kwargs: Any) -> None:
        _check_depth(depth, self.arch_settings, type(self).__name__)
        super().__init__(depth=depth, groups=groups, base_width=base_width, **kwargs)
