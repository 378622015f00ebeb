"""The passes of the tail over whole maps as Triton kernels, for GPUs.

One kernel serves both layouts: a program has a tile of channels by positions of one picture,
with the strides of the map; the tile is long in the direction that is contiguous. All is
computed in float32 (float64 for maps of it) and stored in the dtype of the map. Imported only
where a map is on a GPU, since Triton compiles for what it finds.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .weight_space import layout_of

#: Elements of a tile.
_TILE = 2048
#: Positions that one program sums over, in tiles.
_TILES_A_SUM = 8


@triton.jit
def _tile(channels, positions, stride_n, stride_c, stride_p, part, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr):
    """Where a tile of channels by positions lies in a map, what of it is inside, and its channels."""
    n = tl.program_id(2).to(tl.int64)
    c = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)).to(tl.int64)
    p = (part * BLOCK_P + tl.arange(0, BLOCK_P)).to(tl.int64)
    at = n * stride_n + c[:, None] * stride_c + p[None, :] * stride_p
    return at, (c < channels)[:, None] & (p < positions)[None, :], n * channels + c, c < channels


@triton.jit
def _forward_kernel(
    v, shortcut, slope, offset, out, channels, positions, stride_n, stride_c, stride_p,
    HAS_OFFSET: tl.constexpr, COMPUTED: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    part = tl.program_id(0)
    at, inside, of_channel, real = _tile(channels, positions, stride_n, stride_c, stride_p, part, BLOCK_C, BLOCK_P)
    u = tl.load(v + at, mask=inside, other=0.0).to(COMPUTED)
    u *= tl.load(slope + of_channel, mask=real, other=0.0).to(COMPUTED)[:, None]
    if HAS_OFFSET:
        u += tl.load(offset + of_channel, mask=real, other=0.0).to(COMPUTED)[:, None]
    u += tl.load(shortcut + at, mask=inside, other=0.0).to(COMPUTED)
    u = tl.where(u < 0, 0.0, u)  # NaN stays NaN
    tl.store(out + at, u.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _relu_and_sums_kernel(
    grad, out, v, masked, sums_v, sums_1, channels, positions, parts, stride_n, stride_c, stride_p,
    TILES: tl.constexpr, COMPUTED: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    part = tl.program_id(0)
    with_v = tl.zeros((BLOCK_C,), dtype=COMPUTED)
    alone = tl.zeros((BLOCK_C,), dtype=COMPUTED)
    for i in range(TILES):
        at, inside, of_channel, real = _tile(
            channels, positions, stride_n, stride_c, stride_p, part * TILES + i, BLOCK_C, BLOCK_P
        )
        g = tl.load(grad + at, mask=inside, other=0.0)
        g = tl.where(tl.load(out + at, mask=inside, other=0.0) <= 0, 0.0, g)
        tl.store(masked + at, g, mask=inside)
        alone += tl.sum(g.to(COMPUTED), axis=1)
        with_v += tl.sum(g.to(COMPUTED) * tl.load(v + at, mask=inside, other=0.0).to(COMPUTED), axis=1)
    tl.store(sums_v + of_channel * parts + part, with_v, mask=real)
    tl.store(sums_1 + of_channel * parts + part, alone, mask=real)


@triton.jit
def _affine_kernel(
    grad, slope, extra, result, channels, positions, stride_n, stride_c, stride_p,
    COMPUTED: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    part = tl.program_id(0)
    at, inside, of_channel, real = _tile(channels, positions, stride_n, stride_c, stride_p, part, BLOCK_C, BLOCK_P)
    g = tl.load(grad + at, mask=inside, other=0.0).to(COMPUTED)
    g *= tl.load(slope + of_channel, mask=real, other=0.0).to(COMPUTED)[:, None]
    g += tl.load(extra + of_channel, mask=real, other=0.0).to(COMPUTED)[:, None]
    tl.store(result + at, g.to(result.dtype.element_ty), mask=inside)


def scale_add_relu(v: Tensor, shortcut: Tensor, slope: Tensor, offset: Tensor | None) -> Tensor:
    """``relu(shortcut + slope * v + offset)``: two maps read, one written.

    Args:
        v: (N, C, H, W).
        shortcut: the same shape and dtype.
        slope: (N, C, 1, 1).
        offset: the same or ``None``.

    Returns:
        The map, in the layout of v.
    """
    (v, shortcut), grid, sizes, settings = _launch(v, shortcut)
    out = torch.empty_like(v)
    slope = slope.contiguous()
    if v.numel():
        with _device_of(v):
            has_offset = offset is not None
            offset = offset.contiguous() if has_offset else slope
            _forward_kernel[grid](v, shortcut, slope, offset, out, *sizes, HAS_OFFSET=has_offset, **settings)
    return out


def relu_gradient_and_sums(grad: Tensor, out: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """g' = grad where out > 0, with its sums per channel: three maps read, one written.

    Args:
        grad: of the tail's output, (N, C, H, W).
        out: the output.
        v: what came into the tail.

    Returns:
        g', and the sums over height and width of g' v and of g', (N, C, 1, 1) each, in float32
        at least.
    """
    (v, grad, out), (tiles, *grid), (channels, positions, *strides), settings = _launch(v, grad, out)
    masked = torch.empty_like(v)
    parts = triton.cdiv(tiles, _TILES_A_SUM)
    dtype = torch.promote_types(v.dtype, torch.float32)
    sums = torch.zeros((2, *v.shape[:2], max(parts, 1)), dtype=dtype, device=v.device)
    if v.numel():
        with _device_of(v):
            _relu_and_sums_kernel[(parts, *grid)](
                grad, out, v, masked, *sums, channels, positions, parts, *strides, TILES=_TILES_A_SUM, **settings
            )
    with_v, alone = sums.sum(-1)[..., None, None]
    return masked, with_v, alone


def affine(grad: Tensor, slope: Tensor, extra: Tensor) -> Tensor:
    """``slope * grad + extra``: one map read, one written.

    Args:
        grad: (N, C, H, W).
        slope: (N, C, 1, 1).
        extra: the same.
    """
    (grad,), grid, sizes, settings = _launch(grad)
    result = torch.empty_like(grad)
    if grad.numel():
        with _device_of(grad):
            _affine_kernel[grid](grad, slope.contiguous(), extra.contiguous(), result, *sizes, **settings)
    return result


def check(device: torch.device, dtype: torch.dtype) -> None:
    """Compares the kernels with torch's operators on small maps.

    Args:
        device: where.
        dtype: of the maps.

    Raises:
        AssertionError: if one of them gives something else.
    """
    numbers = torch.linspace(-2, 2, 2 * 24 * 35, device=device).to(dtype)
    tolerance = (
        {'rtol': 0.02, 'atol': 0.05} if dtype in (torch.float16, torch.bfloat16) else {'rtol': 1e-4, 'atol': 1e-4}
    )
    for layout in (torch.contiguous_format, torch.channels_last):
        v = numbers.view(2, 24, 5, 7).contiguous(memory_format=layout)
        shortcut = v.flip(0).contiguous(memory_format=layout)
        slope = torch.linspace(0, 1, 48, device=device).view(2, 24, 1, 1)
        out = scale_add_relu(v, shortcut, slope, slope)
        torch.testing.assert_close(out.float(), (shortcut + slope * v + slope).relu().float(), **tolerance)
        masked, with_v, alone = relu_gradient_and_sums(shortcut, out, v)
        expected = (shortcut * (out > 0)).float()
        torch.testing.assert_close(masked.float(), expected)
        torch.testing.assert_close(with_v.float(), (expected * v.float()).sum((2, 3), keepdim=True), **tolerance)
        torch.testing.assert_close(alone.float(), expected.sum((2, 3), keepdim=True), **tolerance)
        result = affine(v, slope, slope)
        torch.testing.assert_close(result.float(), (slope * v + slope).float(), **tolerance)


def _launch(*maps: Tensor) -> tuple[list[Tensor], tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """The maps in the layout of the first, the grid, the sizes and strides of all of them, and the tile."""
    first = maps[0]
    layout = layout_of(first)
    channels_last = layout is torch.channels_last
    n, channels, height, width = first.shape
    positions = height * width
    # From the sizes: a dimension of one element may have any stride.
    stride_c, stride_p = (1, channels) if channels_last else (positions, 1)
    if channels_last:
        block_c = min(triton.next_power_of_2(channels), 128)
    else:
        block_c = max(1, min(triton.next_power_of_2(channels), _TILE // triton.next_power_of_2(max(positions, 1))))
    block_p = min(triton.next_power_of_2(max(positions, 1)), max(_TILE // block_c, 1))
    grid = (triton.cdiv(positions, block_p), triton.cdiv(channels, block_c), n)
    computed = tl.float64 if first.dtype == torch.float64 else tl.float32
    settings = {'COMPUTED': computed, 'BLOCK_C': block_c, 'BLOCK_P': block_p}
    maps_alike = [m.contiguous(memory_format=layout) for m in maps]
    return maps_alike, grid, (channels, positions, channels * positions, stride_c, stride_p), settings


def _device_of(v: Tensor) -> AbstractContextManager:
    """Triton launches on the current GPU, which need not be the map's."""
    return torch.cuda.device(v.device) if v.is_cuda else nullcontext()
