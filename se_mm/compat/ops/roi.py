"""``roi_align`` (average) and ``roi_pool``. Regions are (K, 5): batch index, x1, y1, x2, y2 in image pixels."""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

from ...errors import SeMmError

_tv = torch.ops.torchvision
_AVERAGE = 1


def _wide(t: Tensor) -> Tensor:
    """torchvision's CPU kernels stop at float32; neither device has bfloat16."""
    narrow = t.dtype is torch.bfloat16 or (t.dtype is torch.float16 and t.device.type == 'cpu')
    return t.float() if narrow else t


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills ``output``, (K, C, aligned_height, aligned_width)."""
    _refuse_max(pool_mode)
    wide = _wide(input)
    args = (spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned)
    output.copy_(_tv.roi_align(wide, rois.to(wide.dtype), *args))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fills ``grad_input``, (N, C, H, W)."""
    _refuse_max(pool_mode)
    wide = _wide(grad_output)
    args = (spatial_scale, aligned_height, aligned_width, *grad_input.shape, sampling_ratio, aligned)
    grad_input.copy_(_tv._roi_align_backward(wide, rois.to(wide.dtype), *args))


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    *,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fills ``output`` and ``argmax``, (K, C, pooled_height, pooled_width)."""
    wide = _wide(input)
    pooled, chosen = _tv.roi_pool(wide, rois.to(wide.dtype), spatial_scale, pooled_height, pooled_width)
    output.copy_(pooled)
    argmax.copy_(chosen)


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    *,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fills ``grad_input``, (N, C, H, W)."""
    wide = _wide(grad_output)
    args = (spatial_scale, pooled_height, pooled_width, *grad_input.shape)
    grad_input.copy_(_tv._roi_pool_backward(wide, rois.to(wide.dtype), argmax, *args))


def _refuse_max(pool_mode: int) -> None:
    if pool_mode != _AVERAGE:
        raise SeMmError(
            "mmcv operator 'roi_align' stands in with pool_mode='avg' only, not 'max'; "
            "set pool_mode='avg' in roi_layer, or get a compiled mmcv"
        )
