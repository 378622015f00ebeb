"""How much of a machine's memory bandwidth the SE tail reaches, on the maps that a detector gives it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..models.attention import SELayer
from ..models.fused import frozen_affine, fused_tail
from .measuring import check_device, interleaved, markdown_table

#: Maps that have to move. Forward: v for the squeeze; v, shortcut and output for the rest.
#: Backward: gradient, output, v and the masked gradient; that again and the gradient of v.
MAPS = {'forward': 4, 'backward': 6}


def stage_shapes(batch: int, height: int, width: int) -> list[tuple[int, ...]]:
    """The output of each stage of a ResNet-50 for pictures of this size.

    Example:
        >>> stage_shapes(2, 800, 1344)[0]
        (2, 256, 200, 336)
    """
    return [(batch, 256 * 2**stage, height // 2 ** (stage + 2), width // 2 ** (stage + 2)) for stage in range(4)]


def copy_bandwidth(device: str, rounds: int, size: int = 2**28) -> float:
    """Bytes a second that a large copy reads and writes."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / statistics.median(interleaved({'': lambda: target.copy_(source)}, rounds, warmup=1)[''])


def measure_tail(size: tuple[int, int, int], rounds: int, device: str, dtype: torch.dtype, compiled: bool) -> list[str]:
    """Times the tail of each stage, forward and backward, in each form in turn.

    Args:
        size: batch, height and width of the pictures.
        rounds: number of rounds, whose medians are given.
        device: ``'cpu'`` or ``'cuda'``.
        dtype: of the maps.
        compiled: whether the operators are also given to ``torch.compile``.

    Returns:
        The lines of a Markdown table; shares are of the bandwidth of a copy.

    Raises:
        SeMmError: if the device is not there.
    """
    check_device(device)
    copied = copy_bandwidth(device, rounds)
    forms: dict[str, Callable[..., Tensor]] = {'fused': _fused, 'operators': _operators}
    if compiled:
        forms['torch.compile'] = torch.compile(_operators)
    rows = []
    for shape in tqdm(stage_shapes(*size), 'tails', disable=None):
        v = torch.randn(shape, device=device).to(dtype).requires_grad_()
        runs = {(name, way): run for name, form in forms.items() for way, run in _both_ways(form, v).items()}
        seconds = {key: statistics.median(each) for key, each in interleaved(runs, rounds, warmup=2).items()}
        for name in forms:
            row = ['x'.join(map(str, shape)), name]
            for way, maps in MAPS.items():
                taken = seconds[name, way]
                row += [f'{1e3 * taken:.2f}', f'{maps * v.nbytes / taken / copied:.0%}']
            rows.append(row)
    header = ['maps', 'form', 'forward ms', 'share of a copy', 'backward ms', 'share of a copy']
    return [f'A copy moves {copied / 1e9:.1f} GB/s.', '', *markdown_table(header, rows)]


def _both_ways(form: Callable[..., Tensor], v: Tensor) -> dict[str, Callable[[], Any]]:
    """A forward of one form, and the backward of the forward before it."""
    shortcut, grad = torch.randn_like(v, requires_grad=True), torch.randn_like(v)
    norm, se = nn.BatchNorm2d(v.size(1), device=v.device).eval(), SELayer(v.size(1)).to(v.device)
    inputs = [v, shortcut, *norm.parameters(), *se.parameters()]
    outs: list[Tensor] = []
    return {
        'forward': lambda: outs.append(form(v, shortcut, norm, se)),
        'backward': lambda: torch.autograd.grad(outs.pop(), inputs, grad),
    }


def _fused(v: Tensor, shortcut: Tensor, norm: nn.Module, se: SELayer) -> Tensor:
    return fused_tail(v, shortcut, frozen_affine(norm), norm, *se.gate_of_mean())


def _operators(v: Tensor, shortcut: Tensor, norm: nn.Module, se: SELayer) -> Tensor:
    u = norm(v)
    return torch.relu(shortcut + se.gate(u) * u)
