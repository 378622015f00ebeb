"""Finding the backbone's tensors in whatever a checkpoint wraps them in."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ..compat.compiled import original_name
from ..compat.metadata import metadata_of, set_metadata
from ..errors import SeMmError
from .families import RESNETS
from .files import tensors_in

#: Where projects keep the weights; the first that is there is taken. Averaged weights come before the last step's.
_WRAPPERS = ('state_dict_ema', 'model_ema', 'ema', 'state_dict', 'model', 'ema_state_dict', 'net', 'module')
LANDMARKS = {family.landmark for family in RESNETS}


def unwrap(checkpoint: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The state dict in a checkpoint, and the name that it stands under (``'model'``).

    mmengine keeps averaged weights in ``state_dict`` and the last step's in ``ema_state_dict``; other projects add a
    second dictionary, which comes first.
    """
    where: list[str] = []
    while found := next((name for name in _WRAPPERS if _holds_weights(checkpoint.get(name))), None):
        checkpoint = checkpoint[found]
        where.append(found)
    return checkpoint, '.'.join(where)


def _holds_weights(content: Any) -> bool:
    """Whether it is a dictionary with tensors that are no mere counts, as the rate of an average is."""
    return isinstance(content, Mapping) and any(tensor.ndim for tensor in tensors_in(content))


def find_roots(keys: Iterable[str], landmarks: Iterable[str] = LANDMARKS) -> list[str]:
    """What stands before the keys of each network in a state dict, which are known by their landmarks.

    Example:
        >>> find_roots(['student.layer1.0.conv1.weight', 'teacher.layer1.0.conv1.weight'])
        ['student.', 'teacher.']
    """
    landmark = re.compile(rf'((?:.*?\.)?)(?:{"|".join(map(re.escape, landmarks))})')
    return sorted({match[1] for key in keys if (match := landmark.fullmatch(key))})


def find_root(keys: Iterable[str], below: str = '', landmarks: Iterable[str] = LANDMARKS) -> str | None:
    """What stands before the keys of the network, as ``'backbone.'``; ``None``: no key that starts with ``below`` fits.

    Raises:
        SeMmError: if several networks could be meant.

    Example:
        >>> find_root(['module.backbone.layer1.0.conv1.weight', 'module.head.fc.weight'])
        'module.backbone.'
    """
    roots = [root for root in find_roots(keys, landmarks) if root.startswith(below)]
    if len(roots) > 1:
        whole = [root for root in roots if root in ('', below)]
        backbones = whole or [root for root in roots if root.endswith('backbone.')]
        if len(backbones) != 1:
            raise SeMmError(
                f'the checkpoint holds {len(roots)} networks: {", ".join(roots)}; '
                "choose one of these with init_cfg=dict(type='Pretrained', prefix=..., checkpoint=...)"
            )
        roots = backbones
    return roots[0] if roots else None


def under(
    prefix: str, weights: Mapping[str, Any], checkpoint: str, landmarks: Iterable[str] = LANDMARKS
) -> dict[str, Any]:
    """The part of a state dict under a prefix, with its metadata; an ``SeMmError`` if no key starts so."""
    prefix = f'{original_name(prefix).rstrip(".")}.'

    def inside(content: Mapping[str, Any]) -> dict[str, Any]:
        content = {original_name(key): value for key, value in content.items()}
        return {key.removeprefix(prefix): value for key, value in content.items() if key.startswith(prefix)}

    found = OrderedDict(inside(weights))
    if not found:
        networks = ', '.join(map(repr, find_roots(map(original_name, weights), landmarks))) or 'none'
        raise SeMmError(f'checkpoint {checkpoint} has no key under {prefix!r}; networks stand under: {networks}')
    metadata = metadata_of(weights)
    set_metadata(found, {'': metadata.get(prefix.removesuffix('.'), {}), **inside(metadata)})
    return found


def count_idle_pooling(weights: Mapping[str, Tensor], counted: bool) -> dict[str, Tensor]:
    """Numbers the projection of a ResNet-D's first shortcut, behind a pooling of stride 1 that mmpretrain leaves out.

    Args:
        weights: under our names; of other networks nothing changes.
        counted: whether the pooling, which does nothing, shall have a number.
    """
    is_counted = 'layer1.0.downsample.2.weight' in weights
    if counted == is_counted or (counted and 'layer2.0.downsample.2.weight' not in weights):
        return dict(weights)
    shift = 1 if counted else -1
    number = re.compile(r'(?<=^layer1\.0\.downsample\.)\d+')
    return {number.sub(lambda found: str(int(found[0]) + shift), key): value for key, value in weights.items()}
