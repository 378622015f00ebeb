"""Frozen stages and norms that keep their statistics, for backbones that no library's class does it for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch.nn.modules.batchnorm import _BatchNorm

from ...errors import SeMmError


def check_indices(out_indices: Any, network: str) -> None:
    """Refuses ``out_indices`` that are no list.

    Example:
        >>> check_indices((1, 4), 'BNInception')
    """
    if isinstance(out_indices, str) or not isinstance(out_indices, Sequence):
        raise SeMmError(f'out_indices of {network} must be a list of indices, as (1, 2), got {out_indices!r}')


class FreezableBackbone(BaseModule):
    """A backbone with ``frozen_stages`` and ``norm_eval``, as mmdet's ResNet has them."""

    norm_eval: bool

    def _freeze_stages(self) -> None:
        raise NotImplementedError

    def train(self, mode: bool = True) -> FreezableBackbone:
        """As torch's, but what is frozen stays in evaluation, and all BatchNorms with ``norm_eval``."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self
