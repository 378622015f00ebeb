"""Deformable convolution (arXiv 1703.06211) and its modulated form (arXiv 1811.11168).

Maps are (N, C, H, W), weights (C_out, C / group, kH, kW); offsets (N, 2 G kH kW, H', W') hold
y before x for each kernel point of each of the G deformable groups, masks (N, G kH kW, H', W').

Two things differ between mmcv's kernels and torchvision's and are evened out here:

- A sample at a coordinate of exactly -1 is outside for mmcv: no gradient by its offset; torchvision has one.
- The modulated form of mmcv takes offsets and masks of more than H' x W' positions (mmdet's ``DyHead`` has them): it
  reads the first numbers of each image as if they were of H' x W' positions, and does not crop the map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

from .dtypes import widen

_tv = torch.ops.torchvision


#: mmcv's names of the geometry for the two forms, in the order of torchvision's arguments.
_PLAIN = ('dH', 'dW', 'padH', 'padW', 'dilationH', 'dilationW', 'group', 'deformable_group')
_MODULATED = ('stride_h', 'stride_w', 'pad_h', 'pad_w', 'dilation_h', 'dilation_w', 'group', 'deformable_group')


def _geometry(options: dict[str, int], names: tuple[str, ...]) -> list[int]:
    return [options[name] for name in names]


def _operands(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None = None, bias: Tensor | None = None
) -> list[Tensor]:
    """torchvision wants a mask and a bias always."""
    mask = input.new_zeros(input.size(0), 1) if mask is None else mask
    bias = weight.new_zeros(weight.size(0)) if bias is None else bias
    return widen(input, weight, offset, mask, bias)


def _backward(grad_output: Tensor, operands: list[Tensor], geometry: list[int], modulated: bool) -> list[Tensor]:
    """Gradients by input, weight, offset, mask and bias, with mmcv's rule for samples at -1."""
    gradients = list(_tv._deform_conv2d_backward(*widen(grad_output), *operands, *geometry, modulated))
    _, weight, offset, *_ = operands
    gradients[2] = gradients[2].masked_fill(_coordinates(weight, offset, geometry) == -1, 0)
    return gradients


def _coordinates(weight: Tensor, offset: Tensor, geometry: list[int]) -> Tensor:
    """Where each kernel point samples, in pixels of the input; of the shape of ``offset``."""
    stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, _, groups = geometry
    (kernel_h, kernel_w), (height, width) = weight.shape[-2:], offset.shape[-2:]

    def grid(points: int, dilation: int, positions: int, stride: int, pad: int) -> Tensor:
        index = torch.arange(points, device=offset.device)[:, None] * dilation - pad
        return index + torch.arange(positions, device=offset.device) * stride

    y = grid(kernel_h, dilation_h, height, stride_h, pad_h)[:, None, :, None]
    x = grid(kernel_w, dilation_w, width, stride_w, pad_w)[None, :, None, :]
    undeformed = torch.stack(torch.broadcast_tensors(y, x), dim=2).reshape(-1, height, width)
    return offset + undeformed.repeat(groups, 1, 1)


def deform_conv_forward(
    input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor, **options: int
) -> None:
    """Fills ``output``, (N, C_out, H', W')."""
    output.copy_(_tv.deform_conv2d(*_operands(input, weight, offset), *_geometry(options, _PLAIN), False))


def deform_conv_backward_input(*tensors: Tensor, **options: int) -> None:
    """Fills ``grad_input`` and ``grad_offset``."""
    input, offset, grad_output, grad_input, grad_offset, weight, columns = tensors
    operands = _operands(input, weight, offset)
    by_input, by_weight, by_offset, *_ = _backward(grad_output, operands, _geometry(options, _PLAIN), False)
    grad_input.copy_(by_input)
    grad_offset.copy_(by_offset)
    # torchvision has one backward for all: its second result waits in mmcv's scratch tensor for the call below.
    columns.resize_(by_weight.shape).copy_(by_weight)


def deform_conv_backward_parameters(*tensors: Tensor, scale: float, **options: int) -> None:
    """Adds ``scale`` times the gradient to ``grad_weight``."""
    input, offset, grad_output, grad_weight, by_weight, _ = tensors
    if by_weight.shape != grad_weight.shape:  # neither input nor offset needed a gradient
        # The gradient by the weight does not depend on the weight, which mmcv does not pass.
        operands = _operands(input, torch.zeros_like(grad_weight), offset)
        by_weight = _backward(grad_output, operands, _geometry(options, _PLAIN), False)[1]
    grad_weight.add_(by_weight, alpha=scale)


def modulated_deform_conv_forward(*tensors: Tensor, with_bias: bool, **options: int) -> None:
    """Fills ``output``, (N, C_out, H', W'); ``bias`` is empty where ``with_bias`` is false."""
    input, weight, bias, _, offset, mask, output, _ = tensors
    offset, mask = (_as_positions(t, output) for t in (offset, mask))
    operands = _operands(input, weight, offset, mask, bias if with_bias else None)
    output.copy_(_tv.deform_conv2d(*operands, *_geometry(options, _MODULATED), True))


def modulated_deform_conv_backward(*tensors: Tensor, with_bias: bool, **options: int) -> None:
    """Fills the five gradients; ``grad_bias`` only where ``with_bias`` is true."""
    input, weight, bias, _, offset, mask, _, *targets, grad_output = tensors
    grad_input, grad_weight, grad_bias, grad_offset, grad_mask = targets
    offset, mask = (_as_positions(t, grad_output) for t in (offset, mask))
    operands = _operands(input, weight, offset, mask, bias if with_bias else None)
    gradients = _backward(grad_output, operands, _geometry(options, _MODULATED), True)
    targets = [grad_input, grad_weight, grad_offset, grad_mask, *([grad_bias] if with_bias else [])]
    for target, gradient in zip(targets, gradients, strict=False):
        unread = target.numel() - gradient.numel()  # positions past H' x W' have no gradient
        if unread:
            gradient = F.pad(gradient.flatten(1), (0, unread // len(target)))
        target.copy_(gradient.view_as(target))


def _as_positions(values: Tensor, output: Tensor) -> Tensor:
    """The first numbers of each image, as many as the positions of ``output`` need."""
    channels, (height, width) = values.size(1), output.shape[-2:]
    if values.shape[-2:] == (height, width):
        return values
    return values.flatten(1)[:, : channels * height * width].reshape(-1, channels, height, width)
