"""A trained backbone in the form in which it is fastest: norms folded into convolutions, maps in the CPU's layout."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import SeMmError
from ..models.fused import is_watched
from .cpu_inference import fuse_for_cpu

#: Largest error that folding may make, relative to the largest value of a map.
TOLERANCE = 1e-4


@torch.no_grad()
def fold_norms(network: nn.Module) -> int:
    """Folds each BatchNorm into the convolution that stands before it, in place.

    Plain convolutions only: what standardises its weights, deforms its input or has hooks keeps its norm.

    Args:
        network: in evaluation.

    Returns:
        How many were folded.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8)).eval()
        >>> fold_norms(network), network
        (1, Sequential(
          (0): Conv2d(3, 8, kernel_size=(1, 1), stride=(1, 1))
          (1): Identity()
        ))
    """
    pairs = list(_convolutions_with_norms(network))
    for parent, conv, norm in pairs:
        module = getattr(parent, norm)
        setattr(parent, conv, fuse_conv_bn_eval(getattr(parent, conv), module))
        setattr(parent, norm, module.act if 'act' in module._modules else nn.Identity())  # timm's norms hold it
    return len(pairs)


def _convolutions_with_norms(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    for parent in network.modules():
        for (conv_name, conv), (norm_name, norm) in pairwise(parent.named_children()):
            is_pair = type(conv) is nn.Conv2d and isinstance(norm, _BatchNorm) and norm.running_var is not None
            if is_pair and not is_watched(conv, norm):
                yield parent, conv_name, norm_name


@torch.no_grad()
def deploy(backbone: nn.Module, compiled: bool = False) -> None:
    """Makes a backbone ready for inference, in place; it cannot be trained afterwards.

    Folding is tried on a copy first, in float64, so that a refusal changes nothing.

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
        fuse_for_cpu(backbone)


@torch.no_grad()
def fold_checked(part: nn.Module, name: str) -> int:
    """Folds the norms of a part of a model, in place; where that changes its outputs it stays as it is, with a warning.

    Args:
        part: in evaluation.
        name: what the warning calls it.

    Returns:
        How many norms were folded.
    """
    if not any(True for _ in _convolutions_with_norms(part)):
        return 0
    try:
        _check_folding(part)
    except SeMmError as error:
        warnings.warn(f'the norms of the {name} are not folded: {error}', stacklevel=2)
        return 0
    return fold_norms(part)


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
    """The largest difference of two maps, relative to the largest value of the first.

    Example:
        >>> relative_error(torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.0]))
        0.25
    """
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


def input_channels(network: nn.Module) -> int:
    """The channels of a network's input, as its first convolution says; 3 for a network without one.

    The convolution of YOLOX's Focus stem reads each channel four times, from four grids of pixels.

    Example:
        >>> input_channels(nn.Sequential(nn.Conv2d(1, 8, 3))), input_channels(nn.Linear(2, 2))
        (1, 3)
    """
    grids = 1
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
