"""A trained backbone in the form in which it is fastest: norms folded into convolutions, maps in the CPU's layout."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn

from ..errors import SeMmError
from .composed import Addition, plain_class, put_before
from .fused import fold_norms, is_watched
from .fused.folding import convs_with_norms
from .fused.onednn import ConvReLU, OneDNNForm, is_folded, onednn_works
from .hosts.residual_units import PlainUnit, StandardUnit, shape_of

#: Largest error that folding may make, relative to the largest value of a map.
TOLERANCE = 1e-4


@torch.no_grad()
def deploy(backbone: nn.Module, compiled: bool = False) -> None:
    """Makes a backbone ready for inference alone, in place; a refusal changes nothing: folding is tried on a copy.

    Args:
        backbone: with its weights loaded. On a CPU its maps are channels-last afterwards.
        compiled: whether ``torch.compile`` fuses what is left; needs a C++ compiler.

    Raises:
        SeMmError: if folding changes its outputs: its modules do not stand in the order in which they run.
    """
    _check_folding(backbone)
    backbone.eval()
    fold_norms(backbone)
    backbone.requires_grad_(False)
    if next(backbone.parameters()).device.type == 'cpu':
        for module in backbone.modules():
            if type(module) is nn.Conv2d:  # one that standardises its weights sees them as a matrix
                module.to(memory_format=torch.channels_last)
    if compiled:
        backbone.compile()
    else:
        use_onednn(backbone)


@torch.no_grad()
def fold_checked(part: nn.Module, name: str) -> int:
    """Folds the norms of a part of a model in evaluation, in place, unless that changes its outputs (a warning).

    Returns:
        How many norms were folded.
    """
    if not any(True for _ in convs_with_norms(part)):
        return 0
    try:
        _check_folding(part)
    except SeMmError as error:
        warnings.warn(f'the norms of the {name} are not folded: {error}', stacklevel=2)
        return 0
    return fold_norms(part)


def use_onednn(backbone: nn.Module) -> int:
    """Puts the residual units of a backbone on oneDNN's fused operators, in place; names and parameters stay.

    What cannot run on them keeps its form: blocks with a forward of their own, plugins, norms that are not folded.

    Args:
        backbone: on a CPU, in evaluation, its norms folded into its convolutions.

    Returns:
        The number of units on these operators.
    """
    weight = next(backbone.parameters())
    if weight.device.type != 'cpu' or weight.dtype != torch.float32:
        return 0
    stages = [getattr(backbone, name) for name in getattr(backbone, 'res_layers', ())]
    units = [unit for stage in stages for unit in stage if _takes_onednn(unit)]
    if not units or not onednn_works():
        return 0
    for unit in units:
        if not isinstance(unit, PlainUnit):
            put_before(unit, PlainUnit, shape_of(type(unit)))
        unit.on_onednn = True
    for stage in stages:
        if isinstance(stage, nn.Sequential):
            put_before(stage, OneDNNStage)
    plain_stem = not getattr(backbone, 'deep_stem', False) and type(getattr(backbone, 'relu', None)) is nn.ReLU
    if plain_stem and is_folded(backbone.conv1, backbone.norm1) and not is_watched(backbone.conv1, backbone.relu):
        backbone.conv1.__class__ = ConvReLU
        backbone.relu = nn.Identity()
    return len(units)


class OneDNNStage(Addition):
    """A residual stage whose units may write over what the unit before gave them, where nobody watches either."""

    def forward(self, x: Tensor) -> Tensor:
        form, is_own = OneDNNForm(), False
        for unit in self:
            fits = getattr(unit, 'on_onednn', False) and form.fits(unit, x)
            unseen = fits and not is_watched(unit)
            x = form.run(unit, x, overwrite=is_own) if unseen else unit(x)
            is_own = unseen
        return x


def _takes_onednn(unit: nn.Module) -> bool:
    """Whether a unit is one of the libraries' own, with folded norms and a gate that depends on means alone."""
    shape = shape_of(plain_class(unit))
    if shape is None or type(unit.relu) is not nn.ReLU:
        return False
    # Attention in another position has no gate at the end of the branch.
    if type(unit) is not plain_class(unit) and (not isinstance(unit, StandardUnit) or unit.gate is None):
        return False
    if any(getattr(unit, f'after_conv{i}_plugin_names', ()) for i in (1, 2, 3)):
        return False
    names = range(1, shape.last + 1)
    if not all(is_folded(getattr(unit, f'conv{i}'), getattr(unit, f'norm{i}')) for i in names):
        return False
    projection = unit.downsample
    return projection is None or (type(projection) is nn.Sequential and is_folded(*projection[-2:]))


def _check_folding(backbone: nn.Module) -> None:
    # In float64 rounding cannot look like a wrong order, or hide one; not every device has it.
    trial = copy.deepcopy(backbone).cpu().double()
    trial.eval()  # mmdet's returns nothing
    weight = next(trial.parameters())
    generator = torch.Generator().manual_seed(0)
    # 96 pixels: Inception takes no less than 75.
    image = torch.randn(1, input_channels(trial), 96, 96, generator=generator).to(weight)
    expected = _features(trial, image)
    fold_norms(trial)
    for i, (before, after) in enumerate(zip(expected, _features(trial, image), strict=True)):
        error = relative_error(before, after)
        if not error <= TOLERANCE:
            raise SeMmError(
                f'{type(backbone).__name__} cannot be deployed: folding its norms changes output {i} by {error:.1e}, '
                'relative to its largest value; its modules do not stand in the order in which they run'
            )


def relative_error(expected: Tensor, found: Tensor) -> float:
    """The largest difference of two maps, relative to the largest value of the first."""
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


def input_channels(network: nn.Module) -> int:
    """The channels of a network's input, as its first convolution says; 3 for a network without one."""
    grids = 1  # the convolution of YOLOX's Focus stem reads each channel from four grids of pixels
    for module in network.modules():
        if type(module).__name__ == 'Focus':
            grids = 4
        if isinstance(module, nn.Conv2d):
            return module.in_channels // grids
    return 3


def _features(backbone: nn.Module, image: Tensor) -> tuple[Tensor, ...]:
    features = backbone(image)
    features = (features,) if isinstance(features, Tensor) else features
    return tuple(feature for feature in features if feature is not None)  # mmpretrain's Inception gives (None, x)
