"""The arguments that describe attention in a host, and the layers that they ask for."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ...compat.torch_internals import BatchNorm
from ...errors import SeMmError
from ...registry import MODELS
from ...utils.console import warn
from ..attention import LAYERS, Blend, Gain
from .attention_names import attention_named
from .sites import Site

#: The short forms, and what they are in ``attention``.
SHORT_FORMS = {'reduction': 'reduction', 'se_bias': 'bias'}
#: How a layer starts: as it initialises itself, with a gain that makes its constant gate 1, blended in from nothing.
STARTS = ('default', 'gain', 'blend')
#: Arguments of layers that are lists themselves, the same in all stages.
LISTS = ('fusion_types',)


def attention_config(attention: Mapping[str, Any] | str | None, **short_forms: Any) -> dict[str, Any]:
    """The config of the attention layers: ``attention``, with the short forms laid over it.

    Raises:
        SeMmError: if ``attention`` is no dictionary with a type, and no name of a layer.

    Example:
        >>> attention_config(None, reduction=8), attention_config('eca,k_size=5')
        ({'type': 'SELayer', 'reduction': 8}, {'type': 'se_mm.ECALayer', 'k_size': 5})
    """
    if isinstance(attention, str) and MODELS.get(attention) is None:
        attention = attention_named(attention)
    config = dict(attention) if isinstance(attention, Mapping) else {'type': attention or 'SELayer'}
    if not isinstance(config.get('type'), (str, type)):
        raise SeMmError(f"attention must be a dictionary such as dict(type='SELayer', reduction=16), got {attention!r}")
    config.update({SHORT_FORMS[name]: value for name, value in short_forms.items() if value is not None})
    return config


def attention_class(kind: str | type[nn.Module]) -> type[nn.Module]:
    """The class of an attention layer, by its name in a registry; raises an SeMmError if there is none."""
    cls = (MODELS.get(kind) or LAYERS.get(kind.lower())) if isinstance(kind, str) else kind
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise SeMmError(f'attention: no layer is registered as {kind!r}')
    return cls


def build_attention(config: Mapping[str, Any], site: Site, num_stages: int, exact: bool = False) -> nn.Module:
    """The layer for a site.

    Args:
        config: ``type`` and the arguments of the layer, as :class:`AttentionHost` takes them; ``start='gain'``
            puts the layer into a :class:`se_mm.models.attention.Gain`, ``'blend'`` into a ``Blend``, which both start
            as the identity.
        site: where it will stand.
        num_stages: of the host.
        exact: whether a site that nothing compensates gets a gain where the config names no start, and a blend where
            the layer has no constant gate.

    Raises:
        SeMmError: if the layer has no such argument, or refuses its value.
    """
    cls = attention_class(config['type'])
    start = config.get('start', 'default')
    if start not in STARTS:
        raise SeMmError(f'attention: start must be one of {", ".join(STARTS)}, got {start!r}')
    arguments = {
        name: value if name in LISTS else _value_at(name, value, site, num_stages)
        for name, value in config.items()
        if name not in ('type', 'start', '_scope_')
    }
    try:
        layer = cls(in_channels=site.channels, **arguments)
    except TypeError as error:
        known = [name for name in inspect.signature(cls).parameters if name != 'in_channels']
        raise SeMmError(f'attention {cls.__name__}: {error}; its arguments are {", ".join(known)}') from error
    except ZeroDivisionError as error:
        raise SeMmError(f'attention {cls.__name__}: {arguments} has a 0 that channels are divided by') from error
    if start == 'default' and exact and site.obstacle:
        start = 'gain' if has_constant_gate(layer) else 'blend'
    wrapper = {'gain': Gain, 'blend': Blend}.get(start)
    return layer if wrapper is None else wrapper(layer, site.channels)


def with_norms_of(host: nn.Module, layers: Sequence[nn.Module]) -> list[nn.Module]:
    """Attention layers whose BatchNorms, if they have any, are synchronised where the ``norm_cfg`` of the host says so.

    Another norm (GN, IN) is warned of: its groups do not divide their few channels.
    """
    kind = (getattr(host, 'norm_cfg', None) or {}).get('type', 'BN')
    normed = [type(layer).__name__ for layer in layers if any(isinstance(m, BatchNorm) for m in layer.modules())]
    if normed and kind in ('SyncBN', 'MMSyncBN'):
        return [nn.SyncBatchNorm.convert_sync_batchnorm(layer) for layer in layers]
    if normed and kind not in ('BN', 'BN2d'):
        warn(f'{normed[0]} keeps its BatchNorm, with statistics of the batch: norm_cfg={kind!r} is for the host alone')
    return list(layers)


def has_constant_gate(layer: nn.Module) -> bool:
    """Whether a layer has weights at which it multiplies every map by one constant."""
    try:
        return hasattr(layer, 'zero_init_gate') and bool(copy.deepcopy(layer).zero_init_gate())
    except SeMmError:
        return False


def _value_at(name: str, value: Any, site: Site, num_stages: int) -> Any:
    if not _is_list(value):
        return value
    if len(value) != num_stages:
        raise SeMmError(f'{name} must be one value, or one for each of the {num_stages} stages, got {value}')
    of_stage = value[site.stage]
    return of_stage[site.block] if _is_list(of_stage) else of_stage


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def check_lists(config: Mapping[str, Any], counts: Sequence[int]) -> None:
    """Refuses lists of one value for each block whose lengths are not the ``counts`` of blocks of the stages.

    Example:
        >>> check_lists({'type': 'SELayer', 'reduction': (8, 8, 8, (16, 16, 4))}, (3, 4, 6, 3))
    """
    for name, value in config.items():
        if name in LISTS or not _is_list(value) or len(value) != len(counts):
            continue
        for stage, (of_stage, count) in enumerate(zip(value, counts, strict=True)):
            if _is_list(of_stage) and len(of_stage) != count:
                raise SeMmError(f'{name}: stage {stage} has {count} blocks and {len(of_stage)} values: {of_stage}')


def stage_indices(
    stages: Sequence[int] | Sequence[bool] | None, num_stages: int, name: str = 'attention_stages'
) -> tuple[int, ...]:
    """Stages as sorted indices, from indices, one bool for each stage, or ``None`` for all.

    Raises:
        SeMmError: for anything else.

    Example:
        >>> stage_indices((False, True, True, False), 4), stage_indices(None, 2)
        ((1, 2), (0, 1))
    """
    if stages is None:
        return tuple(range(num_stages))
    if not _is_list(stages):
        raise SeMmError(f'{name} must be a list of stages, as (1, 2), got {stages!r}')
    if all(isinstance(stage, bool) for stage in stages) and len(stages) == num_stages:
        return tuple(stage for stage, carries in enumerate(stages) if carries)
    if any(isinstance(stage, bool) or stage not in range(num_stages) for stage in stages):
        raise SeMmError(
            f'{name} must be indices of stages, 0 to {num_stages - 1}, or one bool for each of the '
            f'{num_stages} stages, got {tuple(stages)}'
        )
    return tuple(sorted(set(stages)))


def block_indices(
    blocks: Sequence[Sequence[int] | None] | None, counts: Sequence[int], name: str = 'attention_blocks'
) -> tuple[tuple[int, ...], ...]:
    """The units of each stage that carry attention, as sorted indices.

    Args:
        blocks: the indices of the units of each stage; ``None``, also for one stage: all of them; ``()``: none.
        counts: the number of units of each stage.

    Raises:
        SeMmError: for anything else.

    Example:
        >>> block_indices((None, (1,), ()), (2, 2, 3)), block_indices(None, (2, 1))
        (((0, 1), (1,), ()), ((0, 1), (0,)))
    """
    blocks = [None] * len(counts) if blocks is None else blocks or [()] * len(counts)
    if not _is_list(blocks) or len(blocks) != len(counts):
        raise SeMmError(
            f'{name} must have one entry for each of the {len(counts)} stages: the indices of the units '
            f'with attention, or None for all of them; got {blocks!r}'
        )
    found = []
    for stage, (of_stage, count) in enumerate(zip(blocks, counts, strict=True)):
        of_stage = range(count) if of_stage is None else of_stage
        if not _is_list(of_stage) or any(isinstance(block, bool) or block not in range(count) for block in of_stage):
            raise SeMmError(f'{name}[{stage}] must be None or indices of units, 0 to {count - 1}, got {of_stage!r}')
        found.append(tuple(sorted(set(of_stage))))
    return tuple(found)
