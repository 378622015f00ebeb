"""Multi-scale deformable attention (arXiv 2010.04159) through mmcv's own PyTorch form.

mmcv calls the compiled operator on CUDA only; on the CPU it uses that form by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ms_deform_attn_forward(
    value: Tensor, shapes: Tensor, level_starts: Tensor, locations: Tensor, weights: Tensor, *, im2col_step: int
) -> Tensor:
    """The attended values, (N, queries, heads * channels)."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)


def ms_deform_attn_backward(*tensors: Tensor, im2col_step: int) -> None:
    """Fills the gradients by the values, the locations and the weights; the forward is computed again."""
    value, shapes, level_starts, locations, weights, grad_output, *targets = tensors
    inputs = [t.detach().requires_grad_() for t in (value, locations, weights)]
    with torch.enable_grad():
        output = ms_deform_attn_forward(inputs[0], shapes, level_starts, *inputs[1:], im2col_step=im2col_step)
        gradients = torch.autograd.grad(output, inputs, grad_output)
    for target, gradient in zip(targets, gradients, strict=True):
        target.copy_(gradient)
