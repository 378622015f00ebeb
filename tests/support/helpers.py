"""What several tests need."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED_DATA = REPOSITORY.parent / 'shared' / 'data'


def shared(name: str) -> Path:
    """A real image set beside the repository; skips where there is none."""
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f'needs the real images in {folder}')
    return folder


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights, affine parameters and statistics: a network in which every parameter matters."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        fan_in = max(parameter[0].numel(), 1) if parameter.dim() > 1 else 1
        # Of deviation 1 / sqrt(fan_in); uniform and in float32, which is drawn ten times as fast as normal in float64.
        values = torch.rand(parameter.shape, generator=generator).sub_(0.5).mul_((12 / fan_in) ** 0.5)
        parameter.data = values.to(parameter.dtype)
    for name, buffer in model.named_buffers():
        if name.endswith('running_mean'):
            buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
        elif name.endswith('running_var'):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            module.weight.data = 0.5 + torch.rand(module.weight.shape, generator=generator, dtype=module.weight.dtype)
            module.bias.data *= 0.1
    return model


def odd_inputs(channels: int = 3, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, channels, h, w, generator=generator, dtype=dtype) for h, w in ((65, 97), (91, 51))]


def as_tuple(features: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (features,) if isinstance(features, Tensor) else tuple(features)
