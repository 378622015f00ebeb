"""``--batch-size``, ``--workers`` and ``--size``: how pictures become batches."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from ..errors import SeMmError
from ..utils.type_names import type_name
from .loaders import LOADERS
from .tree import nodes

#: What counts pixels where it is 8 or more: width and height, one number for both, or a list of either.
_PIXELS = ('border', 'crop_size', 'img_scale', 'random_size_range', 'scale', 'scales', 'size')
#: Height before width; a name with a package where another package has it the other way round.
_HEIGHT_FIRST = ('BatchFixedSizePad', 'RandomResizedCrop', 'mmpretrain.RandomCrop')
#: Sizes that networks with strides up to 32 need as multiples of it.
_DIVISIBLE = ('BatchFixedSizePad', 'BatchSyncRandomResize')


def set_loading(cfg: Config, batch_size: int | None = None, workers: int | None = None) -> list[str]:
    """Sets how the loaders of training and evaluation alike make batches, in place; ``None``: as in the config.

    Returns:
        What changed, for the user.

    Raises:
        SeMmError: for a batch below 1, or workers below 0.
    """
    if batch_size is not None and batch_size < 1:
        raise SeMmError(f'--batch-size is {batch_size}; expected a whole number above 0')
    if workers is not None and workers < 0:
        raise SeMmError(f'--workers is {workers}; expected a whole number, 0 or more')
    old = (cfg.get('train_dataloader') or {}).get('batch_size')
    for loader in filter(None, map(cfg.get, LOADERS)):
        if batch_size is not None:
            loader['batch_size'] = batch_size
            if 'batch_size' in (loader.get('sampler') or {}):
                loader['sampler']['batch_size'] = batch_size
        if workers is not None:
            loader['num_workers'] = workers
        if workers == 0:
            loader['persistent_workers'] = False
            for key in ('prefetch_factor', 'timeout', 'multiprocessing_context'):
                loader.pop(key, None)
    return [] if None in (batch_size, old) or batch_size == old else [f'batches of {batch_size} in place of {old}']


def set_size(cfg: Config, height: int, width: int) -> list[str]:
    """Resizes pictures to another size, with crops, mosaics, paddings and scale jitter in proportion, in place.

    The size is what the test pipeline resizes to, in pixels, with the ratio of the pictures kept where it is now.

    Returns:
        What changed, for the user.

    Raises:
        SeMmError: if it is below 32, or the config does not resize.

    Example:
        >>> pipeline = [dict(type='RandomChoiceResize', scales=[(1333, 640), (1333, 800)])]
        >>> cfg = Config(dict(train_dataloader=dict(dataset=dict(pipeline=pipeline)), val_dataloader=dict(
        ...     dataset=dict(pipeline=[dict(type='Resize', scale=(1333, 800), keep_ratio=True)]))))
        >>> set_size(cfg, 400, 666)
        ['pictures of 666x400 in place of 1333x800']
        >>> cfg.train_dataloader.dataset.pipeline[0].scales
        [(666, 320), (666, 400)]
    """
    if min(height, width) < 32:
        raise SeMmError(f'--size is {height} {width}; expected a height and a width of 32 pixels or more')
    old = nominal_size(cfg)
    if old is None:
        raise SeMmError('--size: the test pipeline of this config has no Resize or CenterCrop whose size could be set')
    augments = (cfg.get('model') or {}).get('data_preprocessor') or {}
    trees = [*(cfg.get(loader) for loader in LOADERS), cfg.get('tta_pipeline'), cfg.get('custom_hooks')]
    found = {id(node): node for _, node in nodes([*trees, augments.get('batch_augments')])}  # loaders share pipelines
    for node in found.values():
        name = type_name(node)
        for key in _PIXELS:
            if not _counts_pixels(node.get(key)) or node.get('crop_type') in ('relative', 'relative_range'):
                continue
            if width != height and isinstance(node[key], int) and 'Crop' in name:
                raise SeMmError(
                    f'--size {height} {width}: {name} of this config crops squares; '
                    f'expected two equal numbers, or another {key} by --cfg-options'
                )
            multiple = 32 if name in _DIVISIBLE else 1
            if name == 'BatchSyncRandomResize':  # the ends of a range of heights; it keeps the ratio
                node[key] = tuple(_rounded(side * height / old[1], multiple) for side in node[key])
            elif node.get('crop_type') == 'absolute_range':  # the ends of a range of both sides
                node[key] = tuple(_rounded(side * min(height, width) / min(old), multiple) for side in node[key])
            else:
                path = node['type'] if isinstance(node['type'], str) else node['type'].__module__ + '.'
                package = path.partition('.')[0] if '.' in path else node.get('_scope_', cfg.get('default_scope'))
                height_first = bool({name, f'{package}.{name}'} & set(_HEIGHT_FIRST))
                node[key] = _scaled(node[key], old, (width, height), height_first, multiple)
    return [f'pictures of {width}x{height} in place of {old[0]}x{old[1]}']


def nominal_size(cfg: Config) -> tuple[int, int] | None:
    """Width and height that the test pipeline makes; else that of validation, or of training."""
    for loader in map(cfg.get, reversed(LOADERS)):
        found: dict[str, Any] = {}
        for _, node in nodes(loader):
            for key in ('crop_size', 'scale'):
                if type_name(node) in ('CenterCrop', 'Resize', 'ResizeEdge') and node.get(key):
                    found.setdefault(type_name(node), node[key])
        size = found.get('CenterCrop') or found.get('Resize') or found.get('ResizeEdge')
        if isinstance(size, int):
            return size, size
        if size:
            return tuple(size)
    return None


def _counts_pixels(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_counts_pixels, value))
    return isinstance(value, int) and abs(value) >= 8


def _scaled(value: Any, old: tuple[int, int], new: tuple[int, int], height_first: bool, multiple: int) -> Any:
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (list, tuple)):
        return [_scaled(entry, old, new, height_first, multiple) for entry in value]
    if isinstance(value, (int, float)):
        return _rounded(value * max(new) / max(old), multiple)
    pair = tuple(value)
    if len(pair) != 2:
        return value
    if height_first:
        return _scaled(pair[::-1], old, new, False, multiple)[::-1]
    if pair == tuple(old):
        return tuple(_rounded(side, multiple) for side in new)
    if pair == tuple(old[::-1]):
        return tuple(_rounded(side, multiple) for side in new[::-1])
    long, short = max(new) / max(old), min(new) / min(old)
    factors = (long, short) if pair[0] >= pair[1] else (short, long)
    return tuple(_rounded(side * factor, multiple) for side, factor in zip(pair, factors, strict=True))


def _rounded(side: float, multiple: int) -> int:
    nearest = round(side / multiple) * multiple
    return nearest if side < 0 else max(nearest, multiple)  # a border is negative
