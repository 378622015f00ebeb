"""The sigmoid focal loss (Lin et al., arXiv 1708.02002) of logits (N, C); a target of C is the background.

``weight``, of C elements or empty, scales each row by its target's class; the background has weight 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Fills ``output`` (N, C): -alpha_t (1 - p_t)^gamma log p_t."""
    signed, _, scale = _terms(input, target, weight, alpha)
    output.copy_(-scale * (-signed).sigmoid() ** gamma * F.logsigmoid(signed))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, *, gamma: float, alpha: float
) -> None:
    """Fills ``grad_input`` (N, C): alpha_t (1 - p_t)^gamma (gamma p_t log p_t - (1 - p_t)), signed."""
    signed, sign, scale = _terms(input, target, weight, alpha)
    miss = (-signed).sigmoid()
    slope = gamma * signed.sigmoid() * F.logsigmoid(signed) - miss
    grad_input.copy_(sign * scale * miss**gamma * slope)


def _terms(input: Tensor, target: Tensor, weight: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """The logits with the sign of their targets, that sign, and alpha_t times the weight of the row."""
    x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
    positive = (target[:, None] == torch.arange(x.size(1), device=x.device)).to(x.dtype)
    sign, scale = 2 * positive - 1, alpha * positive + (1 - alpha) * (1 - positive)
    if weight.numel():
        scale = scale * torch.cat([weight, weight.new_ones(1)])[target][:, None]
    return sign * x, sign, scale
