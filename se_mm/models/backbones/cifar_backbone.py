"""What the residual networks of CIFAR have in common: a stem, three stages at strides 1, 2 and 4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from ...errors import SeMmError
from .freezable import INITIALISATION, FreezableBackbone


class CIFARBackbone(FreezableBackbone):
    """A backbone of mmpretrain's kind; a family of networks adds its stem, its units and what ends them.

    Args:
        widths: output channels of the three stages.
        num_units: residual units in each stage.
        out_indices: the stages whose maps are returned.
        frozen_stages: number of stages that are frozen together with the stem; -1: nothing is.
        norm_cfg: the norm, ``dict(type='BN')``.
        norm_eval: whether BatchNorm keeps its statistics in training.
        init_cfg: mmengine's; by default He's initialisation (arXiv 1502.01852, by fan-out).

    Raises:
        SeMmError: if ``out_indices`` or ``frozen_stages`` name a stage that does not exist.
    """

    num_stages = 3

    def __init__(
        self,
        widths: Sequence[int],
        num_units: int,
        out_indices: Sequence[int] = (2,),
        frozen_stages: int = -1,
        norm_cfg: dict[str, Any] | None = None,
        norm_eval: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            out_indices, frozen_stages, norm_eval, self.num_stages, self.num_stages, init_cfg or list(INITIALISATION)
        )
        self.norm_cfg = norm_cfg or dict(type='BN')
        self.res_layers: list[str] = []
        channels = self.make_stem()
        for stage, width in enumerate(widths):
            first = self.make_unit(channels, width, stride=2 if stage else 1)
            others = [self.make_unit(width, width, stride=1) for _ in range(num_units - 1)]
            channels = width
            self.res_layers.append(f'layer{stage + 1}')
            self.add_module(self.res_layers[-1], nn.Sequential(first, *others))
        self.make_end(channels)
        self._freeze_stages()

    def make_stem(self) -> int:
        """Makes ``conv1`` and what follows it; returns the channels of its output."""
        raise NotImplementedError

    def make_unit(self, in_channels: int, out_channels: int, stride: int) -> nn.Module:
        raise NotImplementedError

    def make_end(self, channels: int) -> None:
        """Makes what stands behind the last stage."""

    def stem(self, x: Tensor) -> Tensor:
        return self.conv1(x)

    def end(self, x: Tensor) -> Tensor:
        """What the last stage's map becomes before it is pooled."""
        return x

    def norm(self, channels: int) -> nn.Module:
        return build_norm_layer(self.norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> the maps of ``out_indices``, at strides 1, 2 and 4."""
        x = self.stem(x)
        outs = []
        for i, layer in enumerate(self.res_layers):
            x = getattr(self, layer)(x)
            if i in self.out_indices:
                outs.append(self.end(x) if i == self.num_stages - 1 else x)
        return tuple(outs)

    def staged_modules(self) -> Iterator[tuple[nn.Module, int]]:
        for name, module in self.named_children():
            if name in ('conv1', 'bn1', *self.res_layers):
                yield module, int(name[5:]) if name in self.res_layers else 0


def conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size of its input at stride 1, without bias."""
    padding = kernel_size // 2
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)


def units_in(depth: int, per_unit: int, others: int, name: str) -> int:
    """n, the residual units of a stage, of a network with ``depth = per_unit * n + others`` layers.

    Raises:
        SeMmError: if there is no such n.

    Example:
        >>> units_in(110, 6, 2, 'ResNet')
        18
    """
    units, rest = divmod(depth - others, per_unit)
    if rest or units < 1:
        examples = ', '.join(str(per_unit * n + others) for n in (1, 2, 3))
        raise SeMmError(f'{name} has no depth {depth!r}: it is {per_unit}n + {others} ({examples}, ...)')
    return units
