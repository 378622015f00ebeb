"""The passes over whole maps as Triton kernels, for GPUs.

A map is one contiguous array, channels-first or channels-last. The elementwise kernel walks it flat, in
groups of 16 bytes, and finds the channel of a group by division; the sums take the aligned middle of a
row in groups, and its ends one by one. So every access to a map is of 16 bytes where C H W (for the
sums: H W, or C in channels-last) is a multiple of a group. All is computed in float32 (float64 for maps of
it) and stored in the dtype of the map. No sum depends on the order in which programs run.

Imported only where a map is on a GPU, since Triton compiles for what it finds.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from .passes import layout_of

#: Bytes of the widest access of a thread.
_ACCESS = 16
#: Groups of that size in a program of the elementwise kernel.
_GROUPS = 256
#: Elements that a program of the sums has at a time, and how often.
_TILE, _TILES_A_SUM = 2048, 16


@triton.jit
def _of_channels(
    values, first, at, inside, rows, channels, positions,
    CHANNELS_LAST: tl.constexpr, WHOLE: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """What an (N, C) tensor has for the elements of groups; a group lies in one row of a map (WHOLE), or in two."""
    if CHANNELS_LAST:
        place = first // channels
        channel = first - place * channels
        row = place // positions * channels + channel
        i = tl.arange(0, WIDTH)[None, :]
        if WHOLE:
            index = tl.multiple_of(row, WIDTH)[:, None] + i
        else:
            beyond = channel[:, None] + i - channels
            following = (place + 1) // positions * channels
            index = tl.where(beyond < 0, row[:, None] + i, following[:, None] + beyond)
        found = tl.load(values + index, mask=inside, other=0.0)
    else:
        row = first // positions
        found = tl.load(values + row, mask=row < rows, other=0.0)[:, None]
        if not WHOLE:
            following = tl.load(values + row + 1, mask=row + 1 < rows, other=0.0)[:, None]
            found = tl.where(at < ((row + 1) * positions)[:, None], found, following)
    return found


@triton.jit(do_not_specialize=['total', 'rows', 'channels', 'positions'])
def _affine_sum_kernel(
    x, y, slope, offset, slope_y, result, total, rows, channels, positions,
    HAS_Y: tl.constexpr, HAS_SLOPE: tl.constexpr, HAS_OFFSET: tl.constexpr, HAS_SLOPE_Y: tl.constexpr,
    RELU: tl.constexpr, CHANNELS_LAST: tl.constexpr, WHOLE: tl.constexpr, RAGGED: tl.constexpr,
    WIDTH: tl.constexpr, GROUPS: tl.constexpr, INDEX: tl.constexpr, COMPUTED: tl.constexpr,
):  # fmt: skip
    first = (tl.program_id(0).to(INDEX) * GROUPS + tl.arange(0, GROUPS)) * WIDTH
    at = first[:, None] + tl.arange(0, WIDTH)[None, :]
    inside = at < total if RAGGED else (first < total)[:, None] & (at >= 0)
    found = tl.load(x + at, mask=inside, other=0.0).to(COMPUTED)
    if HAS_SLOPE:
        found *= _of_channels(slope, first, at, inside, rows, channels, positions, CHANNELS_LAST, WHOLE, WIDTH)
    if HAS_OFFSET:
        found += _of_channels(offset, first, at, inside, rows, channels, positions, CHANNELS_LAST, WHOLE, WIDTH)
    if HAS_Y:
        other = tl.load(y + at, mask=inside, other=0.0).to(COMPUTED)
        if HAS_SLOPE_Y:
            other *= _of_channels(slope_y, first, at, inside, rows, channels, positions, CHANNELS_LAST, WHOLE, WIDTH)
        found += other
    if RELU:
        found = tl.where(found < 0, 0.0, found)  # NaN stays NaN
    tl.store(result + at, found.to(result.dtype.element_ty), mask=inside)


@triton.jit
def _masked_gradient(grad, out, v, masked, at, inside, centre, HAS_V: tl.constexpr, COMPUTED: tl.constexpr):
    """g' = grad where out > 0, which it stores, and its product with v - centre."""
    g = tl.load(grad + at, mask=inside, other=0.0)
    g = tl.where(tl.load(out + at, mask=inside, other=0.0) <= 0, 0.0, g)
    tl.store(masked + at, g, mask=inside)
    g = g.to(COMPUTED)
    product = g
    if HAS_V:
        product = g * (tl.load(v + at, mask=inside, other=0.0).to(COMPUTED) - centre)
    return g, product


@triton.jit(do_not_specialize=['rows', 'positions', 'parts', 'tiles'])
def _row_sums_kernel(
    grad, out, v, centre, masked, sums, rows, positions, parts, tiles,
    HAS_V: tl.constexpr, HAS_CENTRE: tl.constexpr, WHOLE: tl.constexpr, WIDTH: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, INDEX: tl.constexpr, COMPUTED: tl.constexpr,
):  # fmt: skip
    """Channels-first: a row is a channel of a picture."""
    part = tl.program_id(1)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    real = row < rows
    start = row.to(INDEX) * positions
    end = tl.where(real, start + positions, start)
    middle, tail = (start + WIDTH - 1) // WIDTH * WIDTH, end // WIDTH * WIDTH
    shift = tl.zeros((ROWS, 1), dtype=COMPUTED)
    if HAS_CENTRE:
        shift = tl.load(centre + row, mask=real, other=0.0)[:, None]
    alone = tl.zeros((ROWS, COLUMNS), dtype=COMPUTED)
    with_v = tl.zeros((ROWS, COLUMNS), dtype=COMPUTED)
    for i in range(tiles):
        column = (part * tiles + i) * COLUMNS + tl.arange(0, COLUMNS)
        at = middle[:, None] + column[None, :]
        g, product = _masked_gradient(grad, out, v, masked, at, at < tail[:, None], shift, HAS_V, COMPUTED)
        alone += g
        with_v += product
    of_row = tl.sum(alone, axis=1)
    of_row_with_v = tl.sum(with_v, axis=1)
    if not WHOLE:
        i = tl.arange(0, 2 * WIDTH)[None, :]
        before = i < WIDTH
        at = tl.where(before, start[:, None] + i, tl.maximum(middle, tail)[:, None] + i - WIDTH)
        stop = tl.where(before, tl.minimum(middle, end)[:, None], end[:, None])
        g, product = _masked_gradient(grad, out, v, masked, at, (at < stop) & (part == 0), shift, HAS_V, COMPUTED)
        of_row += tl.sum(g, axis=1)
        of_row_with_v += tl.sum(product, axis=1)
    tl.store(sums + row * parts + part, of_row, mask=real)
    if HAS_V:
        tl.store(sums + (rows + row) * parts + part, of_row_with_v, mask=real)


@triton.jit(do_not_specialize=['rows', 'channel_steps', 'positions', 'parts', 'tiles'])
def _column_sums_kernel(
    grad, out, v, centre, masked, sums, rows, channel_steps, positions, parts, tiles,
    HAS_V: tl.constexpr, HAS_CENTRE: tl.constexpr, STEP: tl.constexpr,
    PLACES: tl.constexpr, COLUMNS: tl.constexpr, INDEX: tl.constexpr, COMPUTED: tl.constexpr,
):  # fmt: skip
    """Channels-last: a column is a channel of a picture."""
    part, n = tl.program_id(1), tl.program_id(2)
    channels = channel_steps * STEP
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    real = c < channels
    row = n * channels + c
    shift = tl.zeros((1, COLUMNS), dtype=COMPUTED)
    if HAS_CENTRE:
        shift = tl.load(centre + row, mask=real, other=0.0)[None, :]
    alone = tl.zeros((PLACES, COLUMNS), dtype=COMPUTED)
    with_v = tl.zeros((PLACES, COLUMNS), dtype=COMPUTED)
    for i in range(tiles):
        place = (part * tiles + i) * PLACES + tl.arange(0, PLACES)
        at = (n.to(INDEX) * positions + place)[:, None] * channels + c[None, :]
        inside = (place < positions)[:, None] & real[None, :]
        g, product = _masked_gradient(grad, out, v, masked, at, inside, shift, HAS_V, COMPUTED)
        alone += g
        with_v += product
    tl.store(sums + row * parts + part, tl.sum(alone, axis=0), mask=real)
    if HAS_V:
        tl.store(sums + (rows + row) * parts + part, tl.sum(with_v, axis=0), mask=real)


def affine_sum(
    x: Tensor,
    slope: Tensor | None = None,
    offset: Tensor | None = None,
    y: Tensor | None = None,
    slope_y: Tensor | None = None,
    relu: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """``slope x + offset + slope_y y``, or relu of it: one or two maps read, one written.

    Args:
        x: (N, C, H, W).
        slope: (N, C, 1, 1), or (C,) for all pictures; ``None``: 1.
        offset: the same; ``None``: 0.
        y: a map of the shape and dtype of x; ``None``: 0.
        slope_y: as ``slope``.
        relu: whether the activation is applied.
        out: where the result goes, x or a map in its layout; ``None``: a new map.

    Returns:
        The map, in the layout of x.
    """
    layout = layout_of(x)
    x = x.contiguous(memory_format=layout)
    y = None if y is None else y.contiguous(memory_format=layout)
    out = torch.empty_like(x) if out is None else out
    small = [_for_each_picture(values, x) for values in (slope, offset, slope_y)]
    torch.ops.se_mm.affine_sum(x, y, *small, relu, layout is torch.channels_last, out)
    return out


def relu_gradient_and_sums(
    grad: Tensor, out: Tensor, v: Tensor | None = None, centre: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """g' = grad where out > 0, with its sums per channel: two or three maps read, one written.

    Args:
        grad: of the output of an activation, (N, C, H, W).
        out: the output.
        v: what is summed with g'.
        centre: what is taken off v before, (C,) or (N, C, 1, 1).

    Returns:
        g', and the sums over height and width of g' and of ``g' (v - centre)``, (N, C, 1, 1) each, in
        float32 at least; ``None`` without v.
    """
    layout = layout_of(out)
    grad, out = grad.to(out.dtype).contiguous(memory_format=layout), out.contiguous(memory_format=layout)
    v = None if v is None else v.contiguous(memory_format=layout)
    masked = torch.empty_like(out)
    channels_last = layout is torch.channels_last
    parts = triton.cdiv(_tiles(out, channels_last), _TILES_A_SUM)
    sums = out.new_empty((1 if v is None else 2, *out.shape[:2], parts), dtype=_computed(out))
    if not out.numel():
        sums.zero_()
    torch.ops.se_mm.relu_gradient_and_sums(grad, out, v, _for_each_picture(centre, out), channels_last, masked, sums)
    alone, *with_v = sums.sum(-1)[..., None, None]
    return masked, alone, with_v[0] if with_v else None


def _launch_affine_sum(
    x: Tensor,
    y: Tensor | None,
    slope: Tensor | None,
    offset: Tensor | None,
    slope_y: Tensor | None,
    relu: bool,
    channels_last: bool,
    result: Tensor,
) -> None:
    if not x.numel():
        return
    n, channels, height, width = x.shape
    length = channels if channels_last else height * width
    group = _group(x, length)
    present = {'HAS_Y': y is not None, 'HAS_SLOPE': slope is not None}
    present |= {'HAS_OFFSET': offset is not None, 'HAS_SLOPE_Y': slope_y is not None}
    settings = {'GROUPS': _GROUPS, 'INDEX': _index(x), 'COMPUTED': _triton_dtype(x), 'WIDTH': group}
    settings |= {'WHOLE': length % group == 0, 'RAGGED': x.numel() % group != 0}
    parts = (x if part is None else part for part in (y, slope, offset, slope_y))  # x stands for what is not read
    with _device_of(x):
        _affine_sum_kernel[(triton.cdiv(x.numel(), group * _GROUPS),)](
            x, *parts, result, x.numel(), n * channels, channels, height * width,
            **present, RELU=relu, CHANNELS_LAST=channels_last, **settings,
        )  # fmt: skip


def _launch_relu_gradient_and_sums(
    grad: Tensor,
    out: Tensor,
    v: Tensor | None,
    centre: Tensor | None,
    channels_last: bool,
    masked: Tensor,
    sums: Tensor,
) -> None:
    if not out.numel():
        return
    n, channels, height, width = out.shape
    positions, parts = height * width, sums.size(-1)
    tiles = triton.cdiv(_tiles(out, channels_last), parts)
    long, short = _tile_sizes(out, channels_last)
    maps = (grad, out, out if v is None else v, out if centre is None else centre, masked, sums)
    settings = {'HAS_V': v is not None, 'HAS_CENTRE': centre is not None, 'INDEX': _index(out)}
    settings |= {'COLUMNS': long, 'COMPUTED': _triton_dtype(out)}
    with _device_of(out):
        if channels_last:  # 8 warps: with 4 some variants spill on sm_100
            step = _group(out, channels) if channels % _group(out, channels) == 0 else 1
            _column_sums_kernel[(triton.cdiv(channels, long), parts, n)](
                *maps, n * channels, channels // step, positions, parts, tiles,
                STEP=step, PLACES=short, num_warps=8, **settings,
            )  # fmt: skip
        else:
            group = _ACCESS // out.element_size()
            _row_sums_kernel[(triton.cdiv(n * channels, short), parts)](
                *maps, n * channels, positions, parts, tiles,
                WHOLE=positions % group == 0, WIDTH=group, ROWS=short, **settings,
            )  # fmt: skip


def _tile_sizes(x: Tensor, channels_last: bool) -> tuple[int, int]:
    """The sides of a tile of the sums: elements that lie side by side, and rows of them."""
    tile = _TILE if x.element_size() < 8 else _TILE // 2
    side = x.size(1) if channels_last else x.size(2) * x.size(3)
    long = min(triton.next_power_of_2(side), 128 if channels_last else 512)
    return long, tile // long


def _tiles(x: Tensor, channels_last: bool) -> int:
    """How many tiles of the sums one channel has, at least 1."""
    return max(1, triton.cdiv(x.size(2) * x.size(3), _tile_sizes(x, channels_last)[channels_last]))


def _group(x: Tensor, length: int) -> int:
    """Elements of one access; a group has to lie in at most two rows of a length."""
    return min(_ACCESS // x.element_size(), triton.next_power_of_2(length + 2) // 2)


def _for_each_picture(values: Tensor | None, x: Tensor) -> Tensor | None:
    """(C,) or (N, C, 1, 1) as (N, C) in the dtype of the computation."""
    if values is None:
        return None
    values = values.to(_computed(x))
    return (values.flatten(1) if values.dim() == 4 else values.expand(len(x), -1)).contiguous()


def _computed(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _triton_dtype(x: Tensor) -> tl.dtype:
    return tl.float64 if x.dtype == torch.float64 else tl.float32


def _index(x: Tensor) -> tl.dtype:
    """The integers that count the elements of a map, and the ends of the last program's."""
    return tl.int32 if x.numel() < 2**31 - 2**16 else tl.int64


def _device_of(x: Tensor) -> AbstractContextManager:
    """Triton launches on the current GPU, which need not be the map's."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def _nothing(*_: object) -> None:
    """What a launch does to tensors without data (FakeTensor, meta)."""


# As operators of torch, so that fake tensors, memory estimates and counters see what is read and written.
torch.library.define(
    'se_mm::affine_sum',
    '(Tensor x, Tensor? y, Tensor? slope, Tensor? offset, Tensor? slope_y, bool relu, bool channels_last, '
    'Tensor(a!) result) -> ()',
)
torch.library.define(
    'se_mm::relu_gradient_and_sums',
    '(Tensor grad, Tensor out, Tensor? v, Tensor? centre, bool channels_last, '
    'Tensor(a!) masked, Tensor(b!) sums) -> ()',
)
for _name, _launch in (
    ('affine_sum', _launch_affine_sum),
    ('relu_gradient_and_sums', _launch_relu_gradient_and_sums),
):
    torch.library.impl(f'se_mm::{_name}', 'CompositeExplicitAutograd', _launch)
    torch.library.impl(f'se_mm::{_name}', 'Meta', _nothing)


def check(device: torch.device, dtype: torch.dtype) -> None:
    """Compares the kernels with torch's operators on small maps.

    Args:
        device: where.
        dtype: of the maps.

    Raises:
        AssertionError: if one of them gives something else.
    """
    numbers = torch.linspace(-2, 2, 2 * 24 * 35, device=device).to(dtype)
    half = dtype in (torch.float16, torch.bfloat16)
    tolerance = {'rtol': 0.02, 'atol': 0.05} if half else {'rtol': 1e-4, 'atol': 1e-4}
    slope = torch.linspace(0, 1, 48, device=device).view(2, 24, 1, 1)
    for layout in (torch.contiguous_format, torch.channels_last):
        v = numbers.view(2, 24, 5, 7).contiguous(memory_format=layout)
        shortcut = v.flip(0).contiguous(memory_format=layout)
        out = affine_sum(v, slope, slope, shortcut, relu=True)
        torch.testing.assert_close(out.float(), (shortcut + slope * v + slope).relu().float(), **tolerance)
        masked, alone, with_v = relu_gradient_and_sums(shortcut, out, v)
        expected = (shortcut * (out > 0)).float()
        torch.testing.assert_close(masked.float(), expected)
        torch.testing.assert_close(with_v.float(), (expected * v.float()).sum((2, 3), keepdim=True), **tolerance)
        torch.testing.assert_close(alone.float(), expected.sum((2, 3), keepdim=True), **tolerance)
        result = affine_sum(v, slope, slope, shortcut, slope)
        torch.testing.assert_close(result.float(), (slope * (v + shortcut + 1)).float(), **tolerance)
