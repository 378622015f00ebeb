"""How much of a machine's memory bandwidth the SE tail reaches, on the maps that a detector gives it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..models.attention import SELayer
from ..models.fused import frozen_affine, fused_tail
from .networks import check_device, seconds_of

#: Maps that have to move: v for the squeeze; v, shortcut and output for the rest.
FORWARD_MAPS = 4
#: Gradient, output, v and the masked gradient; that again and the gradient of v.
BACKWARD_MAPS = 6


@dataclass(frozen=True)
class TailTime:
    """Medians for one shape and form.

    Attributes:
        shape: (N, C, H, W).
        form: ``'fused'``, ``'torch.compile'`` or ``'operators'``.
        forward: seconds.
        backward: seconds.
        bytes_a_map: of one map.
    """

    shape: tuple[int, ...]
    form: str
    forward: float
    backward: float
    bytes_a_map: int


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
    times = [seconds_of(lambda: target.copy_(source), device) for _ in range(rounds + 1)][1:]
    return 2 * size / statistics.median(times)


def measure_tail(
    size: tuple[int, int, int], rounds: int, device: str, dtype: torch.dtype, compiled: bool
) -> list[TailTime]:
    """Times the tail of each stage, forward and backward, in each form in turn.

    Args:
        size: batch, height and width of the pictures.
        rounds: the medians are of so many.
        device: ``'cpu'`` or ``'cuda'``.
        dtype: of the maps.
        compiled: whether the operators are also given to ``torch.compile``.

    Raises:
        SeMmError: if the device is not there.
    """
    check_device(device)
    found = []
    for shape in tqdm(stage_shapes(*size), 'tails', disable=None):
        v, shortcut, grad = (torch.randn(shape, device=device).to(dtype) for _ in range(3))
        v.requires_grad_(), shortcut.requires_grad_()
        norm, se = nn.BatchNorm2d(shape[1], device=device).eval(), SELayer(shape[1]).to(device)
        forms: dict[str, Callable[[], Tensor]] = {
            'fused': lambda v=v, sc=shortcut, norm=norm, se=se: fused_tail(
                v, sc, frozen_affine(norm), norm, *se.gate_of_mean()
            ),
            'operators': lambda v=v, sc=shortcut, norm=norm, se=se: _operators(v, sc, norm, se),
        }
        if compiled:
            function = torch.compile(_operators)
            forms['torch.compile'] = lambda f=function, v=v, sc=shortcut, norm=norm, se=se: f(v, sc, norm, se)
        inputs = [v, shortcut, *norm.parameters(), *se.parameters()]
        times = {form: _both(run, grad, inputs, rounds, device) for form, run in forms.items()}
        found += [TailTime(shape, form, *both, v.nbytes) for form, both in times.items()]
    return found


def _operators(v: Tensor, shortcut: Tensor, norm: nn.Module, se: SELayer) -> Tensor:
    u = norm(v)
    return torch.relu(shortcut + se.gate(u) * u)


def _both(
    run: Callable[[], Tensor], grad: Tensor, inputs: list[Tensor], rounds: int, device: str
) -> tuple[float, float]:
    forward, backward = [], []
    for _ in range(rounds + 2):
        outs: list[Tensor] = []
        forward.append(seconds_of(lambda outs=outs: outs.append(run()), device))
        backward.append(seconds_of(lambda outs=outs: torch.autograd.grad(outs, inputs, grad), device))
    return statistics.median(forward[2:]), statistics.median(backward[2:])


def table(found: list[TailTime], copied: float) -> list[str]:
    """The lines of a Markdown table; shares are of the bandwidth of a copy."""
    lines = [
        f'A copy moves {copied / 1e9:.1f} GB/s.',
        '',
        '| maps | form | forward ms | share of a copy | backward ms | share of a copy |',
        '| --- | --- | --- | --- | --- | --- |',
    ]
    for entry in found:
        forward = FORWARD_MAPS * entry.bytes_a_map / entry.forward / copied
        backward = BACKWARD_MAPS * entry.bytes_a_map / entry.backward / copied
        lines.append(
            f'| {"x".join(map(str, entry.shape))} | {entry.form} | {1e3 * entry.forward:.2f} | {forward:.0%} '
            f'| {1e3 * entry.backward:.2f} | {backward:.0%} |'
        )
    return lines
