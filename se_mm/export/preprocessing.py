"""What a model does to the pixels, as the first layer of an exported graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import SeMmError


class Preprocessing(nn.Module):
    """Pictures as OpenCV reads them -> the input of the network: channel order, normalisation, padding.

    Args:
        preprocessor: mmdet's ``DetDataPreprocessor`` or mmpretrain's ``ClsDataPreprocessor``, in evaluation.

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
        if (name := type(preprocessor).__name__) not in ('DetDataPreprocessor', 'ClsDataPreprocessor'):
            raise SeMmError(
                f'model.data_preprocessor is a {name}, which cannot be exported; '
                'expected DetDataPreprocessor or ClsDataPreprocessor'
            )
        for buffer, default in (('mean', 0.0), ('std', 1.0)):
            value = getattr(preprocessor, buffer, torch.tensor(default)).float().cpu()
            self.register_buffer(buffer, value.expand(3, 1, 1).clone())
        self.divisor = int(preprocessor.pad_size_divisor)
        self.pad_value = float(preprocessor.pad_value)
        # The two name the option differently: what they make of a blue pixel tells.
        blue = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
        pixel = preprocessor({'inputs': blue, 'data_samples': None})['inputs'][0, :, :1, :1].cpu()
        self.swaps_channels = bool((pixel * self.std + self.mean)[2] > 0.5)

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
