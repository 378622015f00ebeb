"""Compiles the GPU kernels for GPUs that are not here, through the functions that launch them.

``python -m support.gpu_compilation [--all] TARGET ...`` prints, as JSON, what became of each variant. It is a process
of its own, without ``TRITON_INTERPRET``: Triton reads it when a kernel is defined. Without ``--all``: the largest
variants, for one map of each kind.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

TARGETS = {
    **{f'sm_{capability}': GPUTarget('cuda', capability, 32) for capability in (75, 80, 86, 89, 90, 100)},
    **{name: GPUTarget('hip', name, 64) for name in ('gfx90a', 'gfx942')},
}
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
#: The stages of ResNet-50 at 800x1344, and at 224x224: channels, height and width of their maps.
MAPS = (
    (256, 200, 336), (512, 100, 168), (1024, 50, 84), (2048, 25, 42),
    (256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7),
)  # fmt: skip
#: Groups of 16 bytes cross the rows of the second one.
SAMPLE = (MAPS[0], MAPS[3])
NVIDIA = Path(triton.__file__).parent / 'backends/nvidia/bin'


class Device(DriverBase):
    """A GPU that can be compiled for and nothing else."""

    def __init__(self, target: GPUTarget) -> None:
        self.target = target

    @classmethod
    def is_active(cls) -> bool:
        return True

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> str:
        return str(self.target)  # a key of the cache of kernels

    def get_current_stream(self, device: str) -> int:
        return 0

    def map_python_to_cpp_type(self, ty: str) -> str:
        raise NotImplementedError

    def get_active_torch_device(self) -> torch.device:
        return torch.device('cpu')

    def get_benchmarker(self) -> None:
        raise NotImplementedError


#: The launches with all operands.
LARGEST = ('scale and offset', 'gradient with v', 'centred sums')


def launches(kernels, dtype: torch.dtype, layout: torch.memory_format, shape: tuple[int, ...]) -> dict:
    """The calls of the kernels that the tails make, on memory that is never touched."""
    c, h, w = shape
    x, y, z = (torch.empty(2, c, h, w, dtype=dtype).contiguous(memory_format=layout) for _ in range(3))
    one, each = torch.zeros(2, c, 1, 1), torch.zeros(c)
    return {
        'scale': lambda: kernels.affine_sum(x, one, None, y, relu=True),
        'scale and offset': lambda: kernels.affine_sum(x, one, one, y, relu=True),
        'offset': lambda: kernels.affine_sum(x, offset=each, relu=True, out=x),
        'offset and shortcut': lambda: kernels.affine_sum(x, None, one, y, relu=True, out=x),
        'gradient': lambda: kernels.affine_sum(x, one, one),
        'gradient with v': lambda: kernels.affine_sum(x, one, one, y, each),
        'sum': lambda: kernels.relu_gradient_and_sums(x, y),
        'sums': lambda: kernels.relu_gradient_and_sums(x, y, z),
        'centred sums': lambda: kernels.relu_gradient_and_sums(x, y, z, each),
    }


def compiled(targets: list[str], everything: bool) -> list[dict]:
    """One row for each variant that is compiled: target, dtype, map, kernel, accesses by width, bytes spilled."""
    from se_mm.models.fused import triton_kernels

    rows, found = [], []
    run, compile_one = JITFunction.run, JITFunction._do_compile

    def keep(self, *args):
        found.append(compile_one(self, *args))
        return found[-1]

    JITFunction.run = lambda self, *args, grid, warmup, **kwargs: run(self, *args, grid=grid, warmup=True, **kwargs)
    JITFunction._do_compile = keep
    layouts = (torch.contiguous_format, torch.channels_last)
    dtypes, maps = (DTYPES, MAPS) if everything else (DTYPES[:3], SAMPLE)
    for target, dtype, layout, shape in itertools.product(targets, dtypes, layouts, maps):
        driver.set_active(Device(TARGETS[target]))
        for name, launch in launches(triton_kernels, dtype, layout, shape).items():
            if not everything and name not in LARGEST:
                continue
            found.clear()
            launch()
            rows += [
                {'target': target, 'dtype': str(dtype), 'layout': str(layout), 'shape': shape, 'launch': name}
                | {'kernel': kernel.metadata.name, **inspected(kernel, target)}
                for kernel in found
            ]
    return rows


def inspected(kernel, target: str) -> dict:
    """Global accesses by width in bits, and the resources of the binary."""
    if target.startswith('gfx'):
        text = kernel.asm['amdgcn']
        return {
            'narrow loads': len(re.findall(r'(?:global|buffer|flat)_load_(?:ushort|short|sshort|d16|u16)', text)),
            'narrow stores': len(re.findall(r'(?:global|buffer|flat)_store_(?:short|b16)', text)),
            'wide': len(re.findall(r'(?:global|buffer|flat)_(?:load|store)_dwordx4', text)),
            'spilled': int(re.search(r'\.private_segment_fixed_size: (\d+)', text)[1]),
        }
    text = kernel.asm['ptx']
    return {
        'narrow loads': len(re.findall(r'ld\.global(?:\.\w+)*\.[bus]16 ', text)),
        'narrow stores': len(re.findall(r'st\.global(?:\.\w+)*\.[bus]16 ', text)),
        'wide': len(re.findall(r'(?:ld|st)\.global(?:\.\w+)*\.v[24]', text)),
        'spilled': spilled(kernel.asm['cubin']),
    }


def spilled(cubin: bytes) -> int:
    """Bytes of local memory of a thread."""
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(cubin)
        file.flush()
        usage = subprocess.run(
            [NVIDIA / 'cuobjdump', '-res-usage', file.name], capture_output=True, text=True, check=True
        )
    return sum(int(n) for n in re.findall(r'(?:STACK|LOCAL):(\d+)', usage.stdout + usage.stderr))


if __name__ == '__main__':
    print(json.dumps(compiled([name for name in sys.argv[1:] if name != '--all'], '--all' in sys.argv)))
