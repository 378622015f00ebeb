"""What is installed, and whether it works."""

from __future__ import annotations

import importlib
import platform
import traceback
from importlib.metadata import PackageNotFoundError, version

import torch

from ..compat import mmcv_ext
from ..version import __version__

DISTRIBUTIONS = {
    'onedl': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmpretrain'),
    'openmmlab': ('mmengine', 'mmcv', 'mmcv-lite', 'mmdet', 'mmpretrain'),
}
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
    """The lines that ``tools/check_env.py`` prints, and whether everything imports.

    Example:
        >>> lines, works = report()
        >>> lines[0].split()[0], works
        ('se_mm', True)
    """
    lines = [
        f'se_mm        {__version__}',
        f'Python       {platform.python_version()} on {platform.platform()}',
        f'torch        {torch.__version__}, {torch.get_num_threads()} threads',
        f'torchvision  {_version("torchvision")}',
    ]
    stacks = {name: _installed(distributions) for name, distributions in DISTRIBUTIONS.items()}
    present = {name: found for name, found in stacks.items() if found}
    lines += [f'stack        {name}: {", ".join(found)}' for name, found in present.items()]
    works = len(present) == 1
    if len(present) > 1:
        lines.append('             two stacks share their import names: uninstall one of them')
    elif not present:
        lines.append("             none: pip install 'se_mm[onedl]'")
    for module in MODULES:
        try:
            importlib.import_module(module)
            lines.append(f'import       {module}: ok')
        except Exception:  # the point is to show whatever it is
            works = False
            lines += [f'import       {module}: FAILED', traceback.format_exc()]
    if works:
        kernels = f'torchvision stands in ({", ".join(_stand_ins())})' if mmcv_ext.is_stand_in() else 'compiled'
        lines.append(f'mmcv.ops     {kernels}')
    lines.append(f'GPU          {_gpu()}')
    return lines, works


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return 'not installed'


def _installed(distributions: tuple[str, ...]) -> list[str]:
    return [f'{name} {_version(name)}' for name in distributions if _version(name) != 'not installed']


def _stand_ins() -> list[str]:
    from ..compat.ops import OPERATORS

    names = (name.split('_forward')[0] for name in OPERATORS if 'backward' not in name and not name.startswith('get_'))
    return sorted(set(names))


def _gpu() -> str:
    if not torch.cuda.is_available():
        return 'none'
    return ', '.join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
