"""Finding the backbone's tensors in whatever a checkpoint wraps them in."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ..errors import SeMmError
from .families import RESNETS
from .files import tensors_in

#: Where projects keep the weights; the first that is there is taken. Averaged weights come before the last step's.
_WRAPPERS = ('state_dict_ema', 'model_ema', 'ema', 'state_dict', 'model', 'ema_state_dict', 'net', 'module')
LANDMARKS = {family.landmark for family in RESNETS}


def unwrap(checkpoint: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The state dict in a checkpoint, and the name that it stands under.

    A checkpoint of mmengine's keeps averaged weights in ``state_dict`` already (and the last
    step's in ``ema_state_dict``); other projects add a second dictionary, which comes first.

    Example:
        >>> import torch
        >>> weights, where = unwrap({'model': {'fc.weight': torch.ones(1)}, 'epoch': 3})
        >>> list(weights), where
        (['fc.weight'], 'model')
    """
    where: list[str] = []
    while found := next((name for name in _WRAPPERS if _holds_weights(checkpoint.get(name))), None):
        checkpoint = checkpoint[found]
        where.append(found)
    return checkpoint, '.'.join(where)


def _holds_weights(content: Any) -> bool:
    """Whether it is a dictionary with tensors; averages have one of their own with a rate and a count, too."""
    return isinstance(content, Mapping) and any(tensor.ndim for tensor in tensors_in(content))


def find_root(keys: Iterable[str], below: str = '', landmarks: Iterable[str] = LANDMARKS) -> str | None:
    """What stands before the keys of the network, as ``'backbone.'``; ``None``: there is no network.

    Args:
        keys: of a state dict.
        below: look only at keys that start so.
        landmarks: the keys by which a network is known, see :class:`se_mm.weights.families.Family`.

    Raises:
        SeMmError: if several networks could be meant.

    Example:
        >>> find_root(['module.backbone.layer1.0.conv1.weight', 'module.head.fc.weight'])
        'module.backbone.'
    """
    roots = [root for root in find_roots(keys, landmarks) if root.startswith(below)]
    if len(roots) > 1:
        backbones = [root for root in roots if root in ('', below)] or [
            root for root in roots if root.endswith('backbone.')
        ]
        if len(backbones) != 1:
            raise SeMmError(
                f'the checkpoint holds {len(roots)} networks: {", ".join(roots)}; '
                "choose one of these with init_cfg=dict(type='Pretrained', prefix=..., checkpoint=...)"
            )
        roots = backbones
    return roots[0] if roots else None


def with_idle_pooling(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Counts the pooling before the first shortcut's projection, which does nothing at stride 1.

    In a ResNet-D mmdet and timm put one there, and number the projection after it; mmpretrain does not.
    """
    first, second = 'layer1.0.downsample', 'layer2.0.downsample'
    if f'{second}.2.weight' not in weights or f'{first}.2.weight' in weights:
        return dict(weights)
    numbers = {f'{first}.0.': f'{first}.1.', f'{first}.1.': f'{first}.2.'}
    return _renumbered(weights, numbers)


def without_idle_pooling(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`with_idle_pooling`."""
    first = 'layer1.0.downsample'
    if f'{first}.2.weight' not in weights:
        return dict(weights)
    return _renumbered(weights, {f'{first}.1.': f'{first}.0.', f'{first}.2.': f'{first}.1.'})


def _renumbered(weights: Mapping[str, Tensor], numbers: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in weights.items():
        old = next((old for old in numbers if key.startswith(old)), '')
        renamed[numbers.get(old, '') + key[len(old) :]] = value
    return renamed


def find_roots(keys: Iterable[str], landmarks: Iterable[str] = LANDMARKS) -> list[str]:
    """What stands before the keys of each network in a state dict.

    Example:
        >>> find_roots(['student.layer1.0.conv1.weight', 'teacher.layer1.0.conv1.weight'])
        ['student.', 'teacher.']
    """
    landmark = re.compile(rf'((?:.*?\.)?)(?:{"|".join(map(re.escape, landmarks))})')
    return sorted({match[1] for key in keys if (match := landmark.fullmatch(key))})


def under(
    prefix: str, weights: Mapping[str, Any], checkpoint: str, landmarks: Iterable[str] = LANDMARKS
) -> dict[str, Any]:
    """The part of a state dict under a prefix, with its metadata.

    Raises:
        SeMmError: if no key starts so.
    """
    prefix = f'{prefix.removeprefix("module.").rstrip(".")}.'

    def inside(content: Mapping[str, Any]) -> dict[str, Any]:
        content = {key.removeprefix('module.'): value for key, value in content.items()}
        return {key.removeprefix(prefix): value for key, value in content.items() if key.startswith(prefix)}

    found = OrderedDict(inside(weights))
    if not found:
        roots = find_roots((key.removeprefix('module.') for key in weights), landmarks)
        networks = ', '.join(map(repr, roots)) or 'none'
        raise SeMmError(f'checkpoint {checkpoint} has no key under {prefix!r}; networks stand under: {networks}')
    metadata = getattr(weights, '_metadata', {})
    found._metadata = {'': metadata.get(prefix.removesuffix('.'), {}), **inside(metadata)}
    return found
