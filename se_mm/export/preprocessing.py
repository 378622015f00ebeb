"""What a model does to the pixels, as the first layer of an exported graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import SeMmError


class Preprocessing(nn.Module):
    """Pictures as OpenCV reads them -> the input of the network: channel order, normalisation, padding.

    Args:
        preprocessor: mmdet's ``DetDataPreprocessor`` or mmpretrain's ``ClsDataPreprocessor``.

    Raises:
        SeMmError: for another one, which may do more.

    Example:
        >>> from mmdet.models import DetDataPreprocessor
        >>> layer = Preprocessing(DetDataPreprocessor([1, 2, 3], [2, 2, 2], pad_size_divisor=32, bgr_to_rgb=True))
        >>> layer(torch.full((1, 20, 40, 3), 7, dtype=torch.uint8))[0, :, 0, 0], layer(torch.ones(1, 20, 40, 3)).shape
        (tensor([3.0000, 2.5000, 2.0000]), torch.Size([1, 3, 32, 64]))
    """

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        name = type(preprocessor).__name__
        if name not in ('DetDataPreprocessor', 'ClsDataPreprocessor'):
            raise SeMmError(
                f'model.data_preprocessor is a {name}, which cannot be exported; '
                'expected DetDataPreprocessor or ClsDataPreprocessor'
            )
        self.swaps_channels = bool(getattr(preprocessor, '_channel_conversion', getattr(preprocessor, 'to_rgb', False)))
        self.divisor = int(preprocessor.pad_size_divisor)
        self.pad_value = float(preprocessor.pad_value)
        mean, std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
        if preprocessor._enable_normalize:
            mean, std = preprocessor.mean.float().cpu(), preprocessor.std.float().cpu()
        self.register_buffer('mean', mean.expand(3, 1, 1).clone())
        self.register_buffer('std', std.expand(3, 1, 1).clone())

    def forward(self, image: Tensor) -> Tensor:
        """(N, H, W, 3), uint8, BGR -> (N, 3, H', W'), float32, H' and W' multiples of the divisor."""
        x = image.permute(0, 3, 1, 2).float()
        if self.swaps_channels:
            x = torch.cat([x[:, 2:3], x[:, 1:2], x[:, 0:1]], dim=1)
        x = (x - self.mean) / self.std
        if self.divisor > 1:
            height, width = x.shape[-2:]
            padding = (0, -width % self.divisor, 0, -height % self.divisor)
            x = functional.pad(x, padding, value=self.pad_value)
        return x
