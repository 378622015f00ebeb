"""Sites that a user names: patterns of modules whose output is a map."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import SeMmError, listed
from ...weights.families import Family
from ...weights.host_families import own_naming
from ..composed import plain_class
from ..deploy import input_channels
from .behind_modules import BehindModulesAdapter
from .sites import Site


@dataclass(frozen=True)
class NamedModulesAdapter(BehindModulesAdapter):
    """Behind modules of any network; a stage for each pattern.

    Attributes:
        found: name, stage, block and channels of each.
    """

    found: tuple[tuple[str, int, int, int], ...]
    exact = True

    def naming(self, host: nn.Module) -> tuple[Family, ...]:
        return own_naming(type(host).__name__, next((name for name, _ in host.named_parameters()), ''))

    def num_stages(self, host: nn.Module) -> int:
        return 1 + max(stage for _, stage, *_ in self.found)

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        for name, stage, block, channels in self.found:
            obstacle = 'nothing is known of what stands beside a module that a pattern names'
            yield Site(name, host.get_submodule(name), stage, block, channels, (), obstacle)


def adapter_for(host: nn.Module, patterns: Sequence[str], example: Any = None) -> NamedModulesAdapter:
    """The adapter of the modules that patterns name.

    Args:
        host: runs once, on the meta device.
        patterns: names of modules; ``*`` stands for (a part of) one level, ``'stages.*.blocks.*'``.
        example: its input, or a tuple of them; ``None``: a picture of 224 x 224.

    Raises:
        SeMmError: if a pattern names nothing, or a module whose output is no map (N, C, H, W); if the host cannot run.
    """
    if isinstance(patterns, str) or not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        raise SeMmError(f"attention_sites must be a list of names of modules, as ['layer*.*'], got {patterns!r}")
    outputs = _outputs_of(host, example)
    maps = {name: out.shape[1] for name, out in outputs.items() if isinstance(out, Tensor) and out.ndim == 4}
    found: dict[str, tuple[str, int, int, int]] = {}
    for stage, pattern in enumerate(patterns):
        named = [name for name, _ in host.named_modules() if name and _fits(name, pattern)]
        if not named:
            raise SeMmError(f'attention_sites: no module is named {pattern!r}; maps come from {listed(list(maps))}')
        for name in named:
            if name not in maps:
                out = outputs.get(name)
                gives = f'gives {tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__}'
                what = gives if name in outputs else 'is not called'
                there_are = f'no map (N, C, H, W); maps come from {listed(list(maps))}'
                raise SeMmError(f'attention_sites: {name}, which {pattern!r} names, {what}, {there_are}')
        new = [name for name in named if name not in found]
        found |= {name: (name, stage, block, maps[name]) for block, name in enumerate(new)}
    return NamedModulesAdapter(tuple(found.values()))


def _fits(name: str, pattern: str) -> bool:
    levels, wanted = name.split('.'), pattern.split('.')
    return len(levels) == len(wanted) and all(map(fnmatchcase, levels, wanted))


def _outputs_of(host: nn.Module, example: Any) -> dict[str, Any]:
    """What each module of a network returns, by its name; nothing is computed."""
    twin = copy.deepcopy(host).to('meta')
    twin.eval()  # mmdet's returns nothing
    if example is None:
        dtype = next((p.dtype for p in twin.parameters()), torch.float32)
        example = torch.empty(1, input_channels(twin), 224, 224, dtype=dtype)
    inputs = example if isinstance(example, (tuple, list)) else (example,)
    outputs: dict[str, Any] = {}
    for name, module in twin.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: outputs.update({name: out}))
    try:
        with torch.no_grad(), torch.device('meta'):
            twin(*(value.to('meta') if isinstance(value, Tensor) else value for value in inputs))
    except Exception as error:  # whatever a network may raise
        raise SeMmError(
            f'{plain_class(host).__name__} cannot be run on pictures of 224 x 224, to see which modules give maps '
            f'({error}); se_mm.wrap(..., example=...) takes an input that it can'
        ) from error
    return outputs
