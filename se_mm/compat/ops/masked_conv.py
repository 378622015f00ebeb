"""Gather and scatter of masked convolution (guided anchoring, arXiv 1901.03278): one image, M chosen pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def masked_im2col_forward(
    im: Tensor, rows: Tensor, columns: Tensor, col: Tensor, *, kernel_h: int, kernel_w: int, pad_h: int, pad_w: int
) -> None:
    """Fills ``col``, (C kH kW, M), with the patches of ``im`` (1, C, H, W) around the chosen pixels."""
    padded = F.pad(im[0], (pad_w, pad_w, pad_h, pad_h))
    patches = padded.unfold(1, kernel_h, 1).unfold(2, kernel_w, 1)[:, rows, columns]  # (C, M, kH, kW)
    col.copy_(patches.permute(0, 2, 3, 1).reshape(col.shape))


def masked_col2im_forward(
    col: Tensor, rows: Tensor, columns: Tensor, im: Tensor, *, height: int, width: int, channels: int
) -> None:
    """Writes ``col``, (C, M), to the chosen pixels of ``im`` (1, C, H, W)."""
    im[0, :, rows, columns] = col
