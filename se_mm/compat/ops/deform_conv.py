"""Deformable convolution (arXiv 1703.06211) and its modulated form (arXiv 1811.11168).

Maps are (N, C, H, W), weights (C_out, C / group, kH, kW); offsets (N, 2 G kH kW, H', W') hold
y before x for each kernel point of each of the G deformable groups, masks (N, G kH kW, H', W').
"""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

_tv = torch.ops.torchvision


def _widen(*tensors: Tensor) -> list[Tensor]:
    """torchvision has no bfloat16 kernels, and no float16 ones on the CPU."""
    narrow = {torch.bfloat16, torch.float16 if tensors[0].device.type == 'cpu' else torch.bfloat16}
    return [t.float() if t.dtype in narrow else t for t in tensors]


def _plain(input: Tensor, weight: Tensor, offset: Tensor) -> list[Tensor]:
    """Operands of torchvision's kernels for the form without mask and bias."""
    no_mask, no_bias = input.new_zeros(input.size(0), 1), input.new_zeros(weight.size(0))
    return _widen(input, weight, offset, no_mask, no_bias)


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    *,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Fills ``output``, (N, C_out, H', W')."""
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group, False)
    output.copy_(_tv.deform_conv2d(*_plain(input, weight, offset), *geometry))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    *,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Fills ``grad_input`` and ``grad_offset``."""
    geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group, False)
    by_input, by_weight, by_offset, *_ = _tv._deform_conv2d_backward(
        *_widen(grad_output), *_plain(input, weight, offset), *geometry
    )
    grad_input.copy_(by_input)
    grad_offset.copy_(by_offset)
    # torchvision has one backward for all: its third result waits in mmcv's scratch tensor for the call below.
    columns.resize_(by_weight.shape).copy_(by_weight)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    *,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Adds ``scale`` times the gradient to ``grad_weight``."""
    by_weight = columns
    if by_weight.shape != grad_weight.shape:  # neither input nor offset needed a gradient
        geometry = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group, False)
        # The gradient by the weight does not depend on the weight, which mmcv does not pass.
        operands = _plain(input, torch.zeros_like(grad_weight), offset)
        by_weight = _tv._deform_conv2d_backward(*_widen(grad_output), *operands, *geometry)[1]
    grad_weight.add_(by_weight, alpha=scale)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    *,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Fills ``output``, (N, C_out, H', W'); ``bias`` is empty where ``with_bias`` is false."""
    geometry = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group, True)
    bias = bias if with_bias else weight.new_zeros(weight.size(0))
    output.copy_(_tv.deform_conv2d(*_widen(input, weight, offset, mask, bias), *geometry))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    *,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Fills the five gradients; ``grad_bias`` only where ``with_bias`` is true."""
    geometry = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group, True)
    some_bias = bias if with_bias else weight.new_zeros(weight.size(0))
    operands = _widen(grad_output, input, weight, offset, mask, some_bias)
    gradients = _tv._deform_conv2d_backward(*operands, *geometry)
    targets = [grad_input, grad_weight, grad_offset, grad_mask, *([grad_bias] if with_bias else [])]
    for target, gradient in zip(targets, gradients, strict=False):
        target.copy_(gradient)
