"""Everything that docs/performance.md calls unmeasured, for whoever has a GPU: ``make gpu`` writes docs/gpu.md.

It compares the kernels with float64, and measures the passes over maps beside a copy, training steps beside plain
networks, inference, and a training on two GPUs where there are two. It takes at most five minutes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from se_mm.benchmarks import networks
from se_mm.benchmarks.measuring import interleaved, peak_bytes
from se_mm.models.fused import triton_kernels
from se_mm.utils.tables import markdown_table

from .helpers import REPOSITORY

GIB = 2**30
#: Stages of ResNet-50 at 800x1344: channels, height and width.
MAPS = ((256, 200, 336), (512, 100, 168), (1024, 50, 84), (2048, 25, 42))


def kernel_tests() -> list[str]:
    """The comparison with float64, on this GPU."""
    left_out = 'tests/models/fused/test_kernel_compilation.py'
    command = [sys.executable, '-m', 'pytest', '-q', 'tests/models/fused', '--deselect', left_out]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    return [f'`tests/models/fused`: {run.stdout.splitlines()[-1] if run.stdout else run.stderr[-500:]}']


def passes_over_maps(device: str, maps: tuple[tuple[int, ...], ...], rounds: int) -> list[str]:
    """GB/s of the passes, and their share of a copy's."""
    rows = []
    for dtype in (torch.float32, torch.float16):
        for layout in (torch.contiguous_format, torch.channels_last):
            for c, h, w in maps:
                x, y, z, out = (
                    torch.rand(2, c, h, w, device=device).to(dtype).contiguous(memory_format=layout) for _ in range(4)
                )
                one = torch.ones(2, c, 1, 1, device=device)
                runs = passes(x, y, z, out, one)
                seconds = interleaved({name: run for name, (run, _) in runs.items()}, rounds, warmup=2)
                speed = {
                    name: count * x.numel() * x.element_size() / statistics.median(seconds[name]) / 1e9
                    for name, (_, count) in runs.items()
                }
                shape = f'2x{c}x{h}x{w}, {str(dtype)[6:]}, {str(layout)[6:]}'
                rows.append([shape, *(f'{s:.0f} ({s / speed["copy"]:.2f})' for s in speed.values())])
    return markdown_table(['map', *(f'{name}, GB/s' for name in runs)], rows)


def passes(x: Tensor, y: Tensor, z: Tensor, out: Tensor, one: Tensor) -> dict[str, tuple[Callable[[], object], int]]:
    """The calls, and how many maps each reads and writes."""
    return {
        'copy': (lambda: out.copy_(x), 2),
        'forward': (lambda: triton_kernels.affine_sum(x, one, one, y, relu=True, out=out), 3),
        'gradient and sums': (lambda: triton_kernels.relu_gradient_and_sums(x, y, z), 4),
        'gradient of v': (lambda: triton_kernels.affine_sum(x, one, one, out=out), 2),
    }


def steps(device: str, size: tuple[int, int, int], rounds: int, kinds: Sequence[tuple[int, bool, bool]]) -> list[str]:
    """Training steps of our networks and mmdet's: (depth, ResNeXt, compiled) each, with and without AMP."""
    rows = []
    for depth, resnext, compiled in kinds:
        for amp in (False, True):
            setting = networks.Setting('training', depth, size, device, amp, resnext=resnext)
            chosen = [c for c in setting.candidates() if c.name.startswith(('se_mm.SE', 'mmdet.'))]
            runs = {candidate.name: networks.Run(candidate, 'default', setting) for candidate in chosen}
            for run in runs.values():
                run.model = torch.compile(run.model) if compiled else run.model
            seconds = interleaved(runs, rounds, warmup=2)
            peaks = {name: peak_bytes(run) / GIB if device == 'cuda' else 0 for name, run in runs.items()}
            ours, plain = (next(n for n in runs if n.startswith(p)) for p in ('se_mm.SE', 'mmdet.'))
            kind = f'{"SE-ResNeXt" if resnext else "SE-ResNet"}-{depth}{", AMP" * amp}{", compiled" * compiled}'
            times = [1e3 * statistics.median(seconds[name]) for name in (ours, plain)]
            row = [*times, times[0] / times[1], peaks[ours], peaks[plain]]
            rows.append([kind, *(f'{number:.2f}' for number in row)])
    return markdown_table(['network', 'ms', "mmdet's, ms", 'ratio', 'peak, GiB', "mmdet's, GiB"], rows)


def inference(device: str, depth: int, size: tuple[int, int, int], rounds: int) -> list[str]:
    """``tools/benchmark.py --mode inference``."""
    return networks.table(
        networks.measure(networks.Setting('inference', depth, size, device, amp=True), rounds, 'ResNet')
    )


def two_processes() -> list[str]:
    """The demo for 20 iterations on two GPUs."""
    if torch.cuda.device_count() < 2:
        return ['Not measured: one GPU.']
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, 'tools/draw_shapes.py', f'{folder}/shapes'], cwd=REPOSITORY, check=True)
        command = ['-m', 'torch.distributed.run', '--nproc-per-node', '2', 'tools/train.py']
        command += ['configs/demo/faster_rcnn_se_r18_shapes.py', '--launcher', 'pytorch', '--iters', '20']
        command += ['--data-root', f'{folder}/shapes', '--work-dir', f'{folder}/run']
        run = subprocess.run([sys.executable, *command], cwd=REPOSITORY, capture_output=True, text=True)
    return ['```', *run.stdout.splitlines()[-5:], '```'] if run.returncode == 0 else [run.stderr[-1000:]]


def page(device: str, small: bool) -> Iterator[str]:
    """The lines of docs/gpu.md; a part that fails says why in its place."""
    maps, rounds = (((16, 7, 9),), 1) if small else (MAPS, 15)
    kinds = ((50, False, False), (101, False, False), (101, True, False), (50, False, True))
    kinds = ((18, False, False),) if small else kinds
    train, infer = ((1, 64, 64), (1, 64, 64)) if small else ((2, 800, 1344), (1, 800, 1344))
    parts: dict[str, Callable[[], list[str]]] = {
        'Kernels against float64': (lambda: ['Left out.']) if small else kernel_tests,
        'Passes over maps': lambda: passes_over_maps(device, maps, rounds),
        f'Training steps, {train[0]}x3x{train[1]}x{train[2]}, frozen norms': lambda: steps(
            device, train, rounds, kinds
        ),
        f'Inference, AMP, {infer}': lambda: inference(device, kinds[0][0], infer, rounds),
        'Two GPUs': two_processes,
    }
    yield from ['# Measured on a GPU', '', f'`make gpu` on {networks.machine(device)}.']
    for title, measured in parts.items():
        print(title, file=sys.stderr)
        yield from ['', f'## {title}', '']
        try:
            yield from measured()
        except Exception:
            yield from ['```', *traceback.format_exc().splitlines()[-12:], '```']


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path)
    parser.add_argument('--small', action='store_true', help='a trial on the CPU')
    args = parser.parse_args()
    if not args.small and not torch.cuda.is_available():
        sys.exit('make gpu: torch finds no GPU here')
    with args.out.open('w') as file:
        for line in page('cpu' if args.small else 'cuda', args.small):
            print(line, file=file, flush=True)
    print(args.out)


if __name__ == '__main__':
    main()
