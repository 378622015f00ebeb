"""``roi_align`` (average) and ``roi_pool``. Regions are (K, 5): batch index, x1, y1, x2, y2 in image pixels."""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

from ...errors import SeMmError
from .dtypes import widen

_tv = torch.ops.torchvision
_AVERAGE = 1


def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **geometry: float
) -> None:
    """Fills ``output``, (K, C, aligned_height, aligned_width)."""
    scale, height, width, ratio, aligned = _align_geometry(**geometry)
    (input,) = widen(input)
    output.copy_(_tv.roi_align(input, rois.to(input.dtype), scale, height, width, ratio, aligned))


def roi_align_backward(
    grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor, **geometry: float
) -> None:
    """Fills ``grad_input``, (N, C, H, W)."""
    scale, height, width, ratio, aligned = _align_geometry(**geometry)
    (grad,) = widen(grad_output)
    shape = grad_input.shape
    grad_input.copy_(_tv._roi_align_backward(grad, rois.to(grad.dtype), scale, height, width, *shape, ratio, aligned))


def _align_geometry(
    *, aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool
) -> tuple[float, int, int, int, bool]:
    if pool_mode != _AVERAGE:
        raise SeMmError(
            "mmcv operator 'roi_align' stands in with pool_mode='avg' only, not 'max'; "
            "set pool_mode='avg' in roi_layer, or get a compiled mmcv"
        )
    return spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned


def roi_pool_forward(*tensors: Tensor, pooled_height: int, pooled_width: int, spatial_scale: float) -> None:
    """Fills ``output`` and ``argmax``, (K, C, pooled_height, pooled_width)."""
    input, rois, output, argmax = tensors
    (input,) = widen(input)
    pooled, chosen = _tv.roi_pool(input, rois.to(input.dtype), spatial_scale, pooled_height, pooled_width)
    output.copy_(pooled)
    argmax.copy_(chosen)


def roi_pool_backward(*tensors: Tensor, pooled_height: int, pooled_width: int, spatial_scale: float) -> None:
    """Fills ``grad_input``, (N, C, H, W)."""
    grad_output, rois, argmax, grad_input = tensors
    (grad,) = widen(grad_output)
    args = (spatial_scale, pooled_height, pooled_width, *grad_input.shape)
    grad_input.copy_(_tv._roi_pool_backward(grad, rois.to(grad.dtype), argmax, *args))
