"""Finding a config: a file, or ``package::path`` of one that an installed package ships."""

from __future__ import annotations

import difflib
from importlib.util import find_spec
from pathlib import Path

from ..errors import SeMmError, listed

#: Packages that ship configs in ``.mim/configs``; others are found by their name, too.
PACKAGES = ('se_mm', 'mmdet', 'mmpretrain')
_ALIASES = {'mmdetection': 'mmdet', 'mmcls': 'mmpretrain'}


def locate(name: str) -> str:
    """The file of a config.

    Args:
        name: a path, or ``package::path`` relative to the package's configs; ``.py`` may be left out there.

    Raises:
        SeMmError: if there is none, with the names that are closest.

    Example:
        >>> locate('mmdet::retinanet/retinanet_r50_fpn_1x_coc.py')
        Traceback (most recent call last):
        ...
        se_mm.errors.SeMmError: mmdet has no config retinanet/retinanet_r50_fpn_1x_coc.py; did you mean ...
    """
    if '::' not in name:
        if not Path(name).is_file():
            raise SeMmError(f'config {name} does not exist (looked in {Path(name).absolute()}){_beside(Path(name))}')
        return name
    package, path = name.split('::', 1)
    folder = _configs_of(_ALIASES.get(package, package))
    if folder is None:
        close = difflib.get_close_matches(package, PACKAGES, 1, cutoff=0.4)
        raise SeMmError(
            f'config {name}: no installed package {package} ships configs; '
            + (f'did you mean {close[0]}::{path}?' if close else f'expected {" or ".join(PACKAGES)}')
        )
    file = folder / path
    if not file.is_file():
        file = folder / f'{path}.py'
    if not file.is_file():
        configs = (config.relative_to(folder).as_posix() for config in folder.glob('**/*.py'))
        known = {config for config in configs if '_base_' not in config}
        close = _closest(path if path.endswith('.py') else f'{path}.py', known)
        hint = f'; did you mean {listed([f"{package}::{config}" for config in close])}?' if close else ''
        raise SeMmError(f'{package} has no config {path}{hint} (they are in {folder})')
    return str(file)


def _closest(path: str, known: set[str]) -> list[str]:
    """Up to three known paths that are most like one, those of the same name in another folder first."""
    by_name = {Path(config).name: config for config in sorted(known)}
    same = sorted(config for config in known if Path(config).name == Path(path).name)
    names = [by_name[found] for found in difflib.get_close_matches(Path(path).name, by_name, cutoff=0.7)]
    return list(dict.fromkeys([*same, *names, *difflib.get_close_matches(path, known, cutoff=0.7)]))[:3]


def _configs_of(package: str) -> Path | None:
    try:
        spec = find_spec(package)  # does not run the package
    except (ImportError, ValueError):
        return None
    folders = [Path(folder, '.mim', 'configs') for folder in (spec.submodule_search_locations or ())] if spec else []
    return next((folder for folder in folders if folder.is_dir()), None)


def _beside(path: Path) -> str:
    """Files of a like name in the folder, or the package that ships it."""
    if close := difflib.get_close_matches(path.name, [p.name for p in path.parent.glob('*.py')], 2):
        return f'; did you mean {listed([str(path.parent / name) for name in close])}?'
    for package in PACKAGES:
        configs = _configs_of(package)
        inside = path.as_posix().removeprefix('configs/')
        if configs and (configs / inside).is_file():
            return f'; {package} ships it: {package}::{inside}'
    return ''
