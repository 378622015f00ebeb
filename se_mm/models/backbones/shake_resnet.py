"""Shake-Shake networks for CIFAR (Gastaldi, arXiv 1705.07485)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import SeMmError
from .cifar_backbone import CIFARBackbone, conv, units_in

BACKWARDS = ('shake', 'even')


class ShakeShake(torch.autograd.Function):
    """``alpha * a + (1 - alpha) * b``, whose gradients are ``beta * g`` and ``(1 - beta) * g`` (equation 2).

    Example:
        >>> a, b = torch.ones(1, 1, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
        >>> y = ShakeShake.apply(a, b, torch.tensor([[0.25]]), torch.tensor([[0.75]]))
        >>> y.sum().backward()
        >>> y.item(), a.grad.item(), b.grad.item()
        (0.25, 0.75, 0.25)
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        ctx.save_for_backward(beta)
        return alpha * a + (1 - alpha) * b

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (beta,) = ctx.saved_tensors
        return beta * grad, (1 - beta) * grad, None, None


def shake(a: Tensor, b: Tensor, training: bool, backward: str = 'shake') -> Tensor:
    """Two branches (N, C, H, W), mixed at random for each image in training, evenly in inference.

    With ``backward='shake'`` beta is drawn on its own, uniform on [0, 1] as alpha; with ``'even'`` it is 1/2.
    """
    if not training:
        return 0.5 * (a + b)
    alpha = torch.rand(len(a), 1, 1, 1, dtype=a.dtype, device=a.device)
    beta = torch.rand_like(alpha) if backward == 'shake' else torch.full_like(alpha, 0.5)
    return ShakeShake.apply(a, b, alpha, beta)


class ShakeUnit(nn.Module):
    """``P(x) + shake(F1(x), F2(x))``, in places with a ReLU; attention is ``se`` in each branch or on their mixture."""

    def __init__(
        self, branches: list[nn.Module], downsample: nn.Module | None, backward: str, relu: bool, channels: int
    ) -> None:
        super().__init__()
        self.branch1, self.branch2 = branches
        self.se = nn.Identity()
        self.downsample = downsample
        self.backward = backward
        self.ends_with_relu = relu
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        u = self.se(shake(self.branch1(x), self.branch2(x), self.training, self.backward))
        out = u + (x if self.downsample is None else self.downsample(x))
        return functional.relu_(out) if self.ends_with_relu else out


class ShakeBranch(nn.Module):
    """Convolutions with norms, a ReLU between each two, and before the first where the unit does not end with one."""

    def __init__(self, convs: list[nn.Conv2d], norm: Callable[[int], nn.Module], relu_first: bool) -> None:
        super().__init__()
        self.relu_first = relu_first
        self.num_convs = len(convs)
        #: Of the norm that ends the branch.
        self.last_norm_name = f'bn{len(convs)}'
        for i, layer in enumerate(convs, 1):
            self.add_module(f'conv{i}', layer)
            self.add_module(f'bn{i}', norm(layer.out_channels))
        self.se = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        u = functional.relu(x) if self.relu_first else x
        for i in range(1, self.num_convs + 1):
            u = getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(u))
            u = functional.relu_(u) if i < self.num_convs else u
        return self.se(u)


class ShiftedShortcut(nn.Module):
    """Two 1x1 convolutions to half of the channels each, of the map and of the map shifted by a pixel, and a norm."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.stride = stride
        self.bn = norm(out_channels)  # before the convolutions, of which it is not the norm of one
        self.conv1 = conv(in_channels, out_channels // 2, 1)
        self.conv2 = conv(in_channels, out_channels // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(x)
        shifted = functional.pad(x, (1, -1, 1, -1))
        step = self.stride
        return self.bn(torch.cat([self.conv1(x[:, :, ::step, ::step]), self.conv2(shifted[:, :, ::step, ::step])], 1))


class _ShakeBackbone(CIFARBackbone):
    """What both kinds share: two branches in each unit, with a ReLU before them or behind the addition."""

    stem_channels: int
    relu_first: bool

    def __init__(self, widths: list[int], units: int, backward: str, **kwargs: Any) -> None:
        if backward not in BACKWARDS:
            raise SeMmError(f'backward must be one of {", ".join(BACKWARDS)}, got {backward!r}')
        self.backward = backward
        super().__init__(widths, units, **kwargs)

    def make_stem(self) -> int:
        self.conv1, self.bn1 = conv(3, self.stem_channels, 3), self.norm(self.stem_channels)
        return self.stem_channels

    def stem(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x))
        return x if self.relu_first else functional.relu_(x)

    def make_unit(self, in_channels: int, out_channels: int, stride: int) -> ShakeUnit:
        convs = [self.make_convs(in_channels, out_channels, stride) for _ in range(2)]
        branches = [ShakeBranch(layers, self.norm, self.relu_first) for layers in convs]
        downsample = self.make_downsample(in_channels, out_channels, stride)
        return ShakeUnit(branches, downsample, self.backward, not self.relu_first, out_channels)

    def end(self, x: Tensor) -> Tensor:
        return functional.relu(x) if self.relu_first else x


class ShakeResNetCIFAR(_ShakeBackbone):
    """Shake-Shake of two basic branches: 26 2x96d is ``ShakeResNetCIFAR(26, 96)``.

    Args:
        depth: 6n + 2.
        base_width: channels of the first stage; the others have two and four times as many.
        backward: the coefficients of the backward pass: ``'shake'`` (drawn anew) or ``'even'`` (1/2).
        **kwargs: see :class:`se_mm.models.backbones.cifar_backbone.CIFARBackbone`.

    Raises:
        SeMmError: for a depth that does not exist, or another ``backward``.

    Example:
        >>> backbone = ShakeResNetCIFAR(8, 4).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(2, 3, 32, 32))]
        [(2, 16, 8, 8)]
    """

    stem_channels = 16
    relu_first = True

    def __init__(self, depth: int = 26, base_width: int = 96, backward: str = 'shake', **kwargs: Any) -> None:
        units = units_in(depth, 6, 2, type(self).__name__)
        self.depth = depth
        super().__init__([base_width, 2 * base_width, 4 * base_width], units, backward, **kwargs)

    def make_convs(self, in_channels: int, out_channels: int, stride: int) -> list[nn.Conv2d]:
        return [conv(in_channels, out_channels, 3, stride), conv(out_channels, out_channels, 3)]

    def make_downsample(self, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
        return None if in_channels == out_channels else ShiftedShortcut(in_channels, out_channels, stride, self.norm)


class ShakeResNeXtCIFAR(_ShakeBackbone):
    """Shake-Shake of two ResNeXt bottlenecks: Shake-Even-29 2x4x64d is ``ShakeResNeXtCIFAR(29, 4, 64)``.

    Args:
        depth: 9n + 2.
        groups: of the 3x3 convolutions.
        base_width: channels of one group in the first stage.
        backward: see :class:`ShakeResNetCIFAR`.
        **kwargs: see :class:`se_mm.models.backbones.cifar_backbone.CIFARBackbone`.

    Raises:
        SeMmError: for a depth that does not exist, or another ``backward``.

    Example:
        >>> backbone = ShakeResNeXtCIFAR(11, 2, 4).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(2, 3, 32, 32))]
        [(2, 1024, 8, 8)]
    """

    stem_channels = 64
    relu_first = False

    def __init__(
        self, depth: int = 29, groups: int = 4, base_width: int = 64, backward: str = 'even', **kwargs: Any
    ) -> None:
        units = units_in(depth, 9, 2, type(self).__name__)
        self.depth, self.groups, self.base_width = depth, groups, base_width
        super().__init__([256, 512, 1024], units, backward, **kwargs)

    def make_convs(self, in_channels: int, out_channels: int, stride: int) -> list[nn.Conv2d]:
        width = self.groups * self.base_width * out_channels // 256
        middle = conv(in_channels, width, 1), conv(width, width, 3, stride, self.groups)
        return [*middle, conv(width, out_channels, 1)]

    def make_downsample(self, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
        if stride == 1 and in_channels == out_channels:
            return None
        return nn.Sequential(conv(in_channels, out_channels, 1, stride), self.norm(out_channels))
