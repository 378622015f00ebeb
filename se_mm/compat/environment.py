"""What is installed, and whether it works."""

from __future__ import annotations

import importlib
import itertools
import platform
import re
import traceback
from importlib.metadata import PackageNotFoundError, version

import torch

from ..version import __version__
from . import mmcv_ext

DISTRIBUTIONS = {
    'onedl': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmpretrain'),
    'openmmlab': ('mmengine', 'mmcv', 'mmcv-lite', 'mmdet', 'mmpretrain'),
}
#: By whether any stack is installed.
STACK_ADVICE = {
    False: "none; in the clone of se_mm: pip install '.[onedl]'",
    True: 'two that share their import names: uninstall one of them',
}
#: Of what mmengine collects.
COLLECTED = ('Python', 'CUDA available', 'CUDA_HOME', 'NVCC', 'GCC', 'OpenCV')
#: Imported one after the other: mmengine reports a broken one only as "not in the registry".
MODULES = (
    'mmengine',
    'mmcv',
    'mmcv.ops',
    'mmdet.models',
    'mmpretrain.models',
    'pycocotools.mask',
    'se_mm.models.registered',
)


def report() -> tuple[list[str], bool]:
    """The lines that ``tools/check_env.py`` prints, and whether everything imports."""
    names = ('torch', 'torchvision', 'timm', 'numpy', *itertools.chain(*DISTRIBUTIONS.values()))
    rows = [('se_mm', __version__), *((name, _version(name)) for name in names if _version(name)), *_machine()]
    present = [name for name, distributions in DISTRIBUTIONS.items() if any(map(_version, distributions))]
    works = len(present) == 1
    rows.append(('stack', ', '.join(present) if works else STACK_ADVICE[bool(present)]))
    for module in MODULES:
        try:
            importlib.import_module(module)
            rows.append(('import', f'{module}: ok'))
        except Exception:  # the point is to show whatever it is
            works = False
            rows.append(('import', f'{module}: FAILED\n{traceback.format_exc()}'))
    if works:
        rows.append(('mmcv.ops', f'torchvision stands in ({_stand_ins()})' if mmcv_ext.is_stand_in() else 'compiled'))
    width = max(len(name) for name, _ in rows)
    return [f'{name:{width}}  {value}' for name, value in rows], works


def _machine() -> list[tuple[str, str]]:
    """Python, GPUs and compilers, as mmengine finds them."""
    found = [('platform', platform.platform()), ('threads', str(torch.get_num_threads()))]
    try:
        from mmengine.utils.dl_utils import collect_env

        env = collect_env()
    except Exception as error:  # it looks for compilers in ways that a machine need not allow
        return [*found, ('Python', platform.python_version()), ('collect_env', f'FAILED: {error}')]
    return [*found, *((name, str(value)) for name, value in env.items() if name in COLLECTED or name.startswith('GPU'))]


def _version(distribution: str) -> str:
    """Empty for what is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ''


def _stand_ins() -> str:
    from .ops import OPERATORS

    operators = {re.sub('_(forward|backward).*', '', name) for name in OPERATORS if not name.startswith('get_')}
    return ', '.join(sorted(operators))
