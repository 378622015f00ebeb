"""Residual units on oneDNN's fused operators: convolution, sum and activation in one pass, for inference on a CPU."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..models.fused import is_eager, is_fake, is_plain_conv, is_recorded, is_watched, pays_in_weight_space
from ..models.hosts.made_classes import Made, put_before
from ..models.hosts.residual_units import StandardUnit, gate_of, is_plain_block, is_pointwise

_LAYOUT = torch.channels_last


def fuse_for_cpu(backbone: nn.Module) -> int:
    """Puts the residual units of a backbone on oneDNN's fused operators, in place; names and parameters stay.

    What cannot run on them keeps its form: blocks with a forward of their own, plugins, norms
    that are not folded. Where the operators do not work, a warning says so, and nothing is changed.

    Args:
        backbone: on a CPU, in evaluation, its norms folded into its convolutions.

    Returns:
        The number of units on these operators.
    """
    weight = next(backbone.parameters())
    if weight.device.type != 'cpu' or weight.dtype != torch.float32:
        return 0
    stages = [getattr(backbone, name) for name in getattr(backbone, 'res_layers', ())]
    units = [unit for stage in stages for unit in stage if _fits(unit)]
    if not units or not operators_work():
        return 0
    for unit in units:
        put_before(unit, FusedUnit)
        unit.packed = {}
    for stage in stages:
        if isinstance(stage, nn.Sequential):
            put_before(stage, FusedStage)
    plain_stem = not getattr(backbone, 'deep_stem', False) and type(getattr(backbone, 'relu', None)) is nn.ReLU
    if plain_stem and _is_folded(backbone.conv1, backbone.norm1) and not is_watched(backbone.conv1, backbone.relu):
        put_before(backbone.conv1, FusedStem)
        backbone.relu = nn.Identity()
    return len(units)


class FusedStage(Made):
    """A residual stage whose units may write over what the unit before gave them, where nobody watches that unit."""

    def forward(self, x: Tensor) -> Tensor:
        before = None
        for unit in self:
            own = isinstance(before, FusedUnit) and not is_watched(*before.modules())
            unseen = own and isinstance(unit, FusedUnit) and not is_watched(unit)
            x = unit(x, overwrite=True) if unseen else unit(x)
            before = unit
        return x


class FusedStem(Made):
    """The first convolution, with the activation behind it."""

    def forward(self, x: Tensor) -> Tensor:
        if can_be_fused(x):
            return convolved(x, self.weight, self, 'relu')
        return functional.relu(super().forward(x))


class FusedUnit(Made):
    """A residual unit by fused operators: the gate is part of the last convolution's weights, or its epilogue.

    With K channels before the last 1x1 convolution, the weights are scaled for each image
    where they are smaller than the map, ``K <= H W``; else the map is. Other devices and
    dtypes, export, autocast and hooks take the forward of the unit.
    """

    #: Weights and their versions, and the same in the layout that oneDNN chose for them at the first image.
    packed: dict[str, tuple[Tensor, int | None, Tensor]]

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """The output of the unit.

        Args:
            x: (N, C, H, W).
            overwrite: whether the output may take the memory of the input.
        """
        if not can_be_fused(x) or is_watched(*(module for module in self.modules() if module is not self)):
            return super().forward(x)
        names = _conv_names(self)
        z = x
        for name in names[:-1]:
            z = self._convolved(name, getattr(self, name), z)
        out = x
        if self.downsample is not None:
            for layer in self.downsample[:-2]:
                out = layer(out)
            out = self._convolved('downsample', self.downsample[-2], out, 'none')
        elif not overwrite or not x.is_contiguous(memory_format=_LAYOUT):
            out = x.clone(memory_format=_LAYOUT)
        return self._add_branch(out, names[-1], z)

    def _add_branch(self, out: Tensor, name: str, z: Tensor) -> Tensor:
        """``out = relu(out + s * conv(z))``, in place."""
        conv = getattr(self, name)
        gate = gate_of(self)
        if gate is None:
            return accumulated(out, z, conv.weight, conv.bias, conv)
        function, weights = gate
        if not (is_pointwise(conv) and pays_in_weight_space(z)):
            v = self._convolved(name, conv, z, 'none')
            s = function(v.mean((2, 3), keepdim=True), *weights)
            return torch.addcmul(out, v, s, out=out).relu_()
        squeezed = functional.linear(z.mean((2, 3)), conv.weight.flatten(1), conv.bias)
        s = function(squeezed[..., None, None], *weights).flatten(1)
        for i in range(len(z)):
            one = slice(i, i + 1)
            accumulated(out[one], z[one], conv.weight * s[i].view(-1, 1, 1, 1), conv.bias * s[i], conv)
        return out

    def _convolved(self, name: str, conv: nn.Conv2d, x: Tensor, activation: str = 'relu') -> Tensor:
        weight = conv.weight
        version = None if weight.is_inference() else weight._version
        if name not in self.packed or self.packed[name][0] is not weight or self.packed[name][1] != version:
            self.packed[name] = weight, version, packed(conv, x)
        return convolved(x, self.packed[name][2], conv, activation)

    def _apply(self, *args: Any, **kwargs: Any) -> nn.Module:
        self.packed = {}  # of another dtype, or on another device
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, 'packed': {}}  # a tensor in oneDNN's layout cannot be written to a file


def packed(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The weights of a convolution in oneDNN's layout for an input; they serve other sizes too."""
    geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
    return torch.ops.mkldnn._reorder_convolution_weight(conv.weight, *geometry, list(x.shape))


def convolved(x: Tensor, weight: Tensor, conv: nn.Conv2d, activation: str) -> Tensor:
    """A convolution with the geometry and bias of ``conv``, and ``'relu'`` or ``'none'`` in the same pass."""
    geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
    return torch.ops.mkldnn._convolution_pointwise(x, weight, conv.bias, *geometry, activation, [], '')


def accumulated(out: Tensor, x: Tensor, weight: Tensor, bias: Tensor, conv: nn.Conv2d) -> Tensor:
    """``relu(out + convolution)``, in place and in one pass; ``out`` is dense and channels-last."""
    geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
    accumulate = torch.ops.mkldnn._convolution_pointwise_
    return accumulate(out, x, weight, bias, *geometry, 'add', 1.0, 'relu', [], '')


@cache
def operators_work() -> bool:
    """Whether the fused operators exist here and give what torch's give; warns once if not."""
    try:
        _check_operators()
    except Exception as error:  # another build of torch, or another CPU
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        warnings.warn(f"deployed without oneDNN's fused operators, on torch's own: {reason}", stacklevel=3)
        return False
    return True


@torch.no_grad()
def _check_operators() -> None:
    conv = nn.Conv2d(16, 32, 1)
    x = torch.linspace(-1, 1, 2 * 16 * 30).view(2, 16, 5, 6).contiguous(memory_format=_LAYOUT)
    expected = conv(x)
    fused = convolved(x, packed(conv, x), conv, 'relu')
    torch.testing.assert_close(fused, expected.relu(), rtol=1e-4, atol=1e-5)
    out = expected.neg().contiguous(memory_format=_LAYOUT)
    for i in range(2):
        accumulated(out[i : i + 1], x[i : i + 1], 2 * conv.weight, 2 * conv.bias, conv)
    torch.testing.assert_close(out, expected.relu(), rtol=1e-4, atol=1e-5)


def can_be_fused(x: Tensor) -> bool:
    """Whether the fused operators take a map: float32 on a CPU, nothing recorded, traced or under autocast."""
    plain = is_eager(x) and not is_fake(x) and x.device.type == 'cpu' and x.dtype == torch.float32 and x.dim() == 4
    return plain and x.numel() > 0 and not is_recorded(x) and not torch.is_autocast_enabled('cpu')


def _fits(unit: nn.Module) -> bool:
    """Whether a unit is one of the libraries' own, with folded norms and a gate that depends on means alone."""
    if not (isinstance(unit, StandardUnit) or is_plain_block(unit)) or type(unit.relu) is not nn.ReLU:
        return False
    if any(getattr(unit, f'after_conv{i}_plugin_names', ()) for i in (1, 2, 3)):
        return False
    if hasattr(unit, 'se') and gate_of(unit) is None:
        return False
    if not all(_is_folded(getattr(unit, name), getattr(unit, f'norm{name[-1]}')) for name in _conv_names(unit)):
        return False
    projection = unit.downsample
    return projection is None or (type(projection) is nn.Sequential and _is_folded(*projection[-2:]))


def _conv_names(unit: nn.Module) -> list[str]:
    return ['conv1', 'conv2', 'conv3'] if hasattr(unit, 'conv3') else ['conv1', 'conv2']


def _is_folded(conv: nn.Module, norm: nn.Module) -> bool:
    return is_plain_conv(conv) and type(norm) is nn.Identity and conv.bias is not None
