"""Feature maps by index, frozen stages and norms that keep their statistics, for backbones of no library."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import nn

from ...compat.torch_internals import BatchNorm
from ...errors import SeMmError

#: He's initialisation (arXiv 1502.01852, by fan-out), as mmdet's ResNet has it.
INITIALISATION = (
    dict(type='Kaiming', layer='Conv2d'),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
)


class FreezableBackbone(BaseModule):
    """A backbone with ``out_indices``, ``frozen_stages`` and ``norm_eval``, as mmdet's ResNet has them.

    Args:
        out_indices: the feature maps that are returned.
        frozen_stages: the modules up to this stage have no gradients, and their norms fixed statistics; -1: none.
        norm_eval: whether all norms keep their statistics in training.
        num_maps: how many feature maps there are.
        last_stage: the highest ``frozen_stages``; ``None``: that of the last map.
        init_cfg: mmengine's.
        name: of the network, for messages.

    Raises:
        SeMmError: if there is no such feature map or stage.
    """

    def __init__(
        self,
        out_indices: Sequence[int],
        frozen_stages: int,
        norm_eval: bool,
        num_maps: int,
        last_stage: int | None = None,
        init_cfg: Any = None,
        name: str = '',
    ) -> None:
        super().__init__(init_cfg)
        name, last_stage = name or type(self).__name__, num_maps - 1 if last_stage is None else last_stage
        if isinstance(out_indices, str) or not isinstance(out_indices, Sequence):
            raise SeMmError(f'out_indices of {name} must be a list of indices, as (1, 2), got {out_indices!r}')
        if not out_indices or not set(out_indices) <= set(range(num_maps)):
            raise SeMmError(f'out_indices of {name}: 0 to {num_maps - 1}, got {tuple(out_indices)}')
        if frozen_stages not in range(-1, last_stage + 1):
            raise SeMmError(f'frozen_stages of {name}: -1 to {last_stage}, got {frozen_stages!r}')
        self.out_indices = tuple(sorted(out_indices))
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

    @abstractmethod
    def staged_modules(self) -> Iterator[tuple[nn.Module, int]]:
        """The modules that can be frozen, each with its stage."""

    def _freeze_stages(self) -> None:
        for module, stage in self.staged_modules():
            if stage <= self.frozen_stages:
                module.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> FreezableBackbone:
        """As torch's, but what is frozen stays in evaluation, and all BatchNorms with ``norm_eval``."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, BatchNorm):
                    module.eval()
        return self
