"""What turns a ResNet of mmdet into its SE twin: the arguments, the stages, plain weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

from ..errors import SeMmError
from .residual_units import SE_UNITS, SEUnit

SE_INITS = ('default', 'identity')


class SEHost(nn.Module):
    """Gives the residual units of a host SE; stands before the host in the bases.

    Args:
        reduction: the reduction ratio r, one for all stages or one per stage.
        se_stages: the stages whose units carry SE, as indices (like ``out_indices``) or as one
            bool per stage (like ``stage_with_dcn``). ``None``: all of them.
        se_bias: whether the two layers of the excitation have biases.
        se_init: ``'default'``: the gates start where the host's initialisation puts them.
            ``'identity'``: after ``init_weights`` the network equals its plain twin in every
            bit, and trains. Each gate starts at exactly 1/2 and the scale and shift of its
            branch's last norm are doubled.
        **kwargs: every argument of the host.

    Raises:
        SeMmError: for a value that is none of the above.
    """

    def __init__(
        self,
        *,
        reduction: int | Sequence[int] = 16,
        se_stages: Sequence[int] | Sequence[bool] | None = None,
        se_bias: bool = True,
        se_init: str = 'default',
        **kwargs: Any,
    ) -> None:
        if se_init not in SE_INITS:
            raise SeMmError(f'se_init must be one of {SE_INITS}, got {se_init!r}')
        num_stages = kwargs.get('num_stages', 4)
        # Plain attributes before nn.Module.__init__, as in the hosts: the host calls make_res_layer in its own.
        self.reduction = _one_per_stage(reduction, num_stages)
        self.se_stages = _stage_indices(se_stages, num_stages)
        self.se_bias = se_bias
        self.se_init = se_init
        super().__init__(**kwargs)

    def make_res_layer(self, *, block: type[nn.Module], **kwargs: Any) -> nn.Module:
        stage = len(self.res_layers)
        if stage not in self.se_stages:
            return super().make_res_layer(block=block, **kwargs)
        return super().make_res_layer(
            block=SE_UNITS[block],
            reduction=self.reduction[stage],
            se_bias=self.se_bias,
            se_init=self.se_init,
            **kwargs,
        )

    def train(self, mode: bool = True) -> SEHost:
        super().train(mode)
        return self  # which the hosts forget, so that their eval() returns None

    def se_units(self) -> Iterator[tuple[str, SEUnit]]:
        """The residual units that carry SE, with their names (``layer1.0``)."""
        return ((name, module) for name, module in self.named_modules() if isinstance(module, SEUnit))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        units = [(f'{prefix}{name}.', unit) for name, unit in self.se_units()]
        if units and not any(key.startswith(f'{unit}se.') for key in state_dict for unit, _ in units):
            self._take_plain_weights(state_dict, units)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @torch.no_grad()
    def _take_plain_weights(self, state_dict: dict[str, Any], units: list[tuple[str, SEUnit]]) -> None:
        """Rewrites a plain ResNet's weights, in the loader's own copy, into those of the equal SE network."""
        norms = [f'{prefix}{_norm_name(unit)}' for prefix, unit in units]
        if not all(f'{norm}.{name}' in state_dict for norm in norms for name in ('weight', 'bias')):
            return  # not a plain twin either: the loader will say which keys are missing
        for norm, (prefix, unit) in zip(norms, units, strict=True):
            unit.se.start_half_open()
            for name in ('weight', 'bias'):
                state_dict[f'{norm}.{name}'] = 2 * state_dict[f'{norm}.{name}']
            for name, value in unit.se.state_dict().items():
                state_dict[f'{prefix}se.{name}'] = value.clone()
        print_log(
            f'{type(self).__name__}: the weights are of a plain network without SE; the {len(units)} gates start '
            f"as se_init='identity' does, so that the loaded network equals the plain one",
            logger='current',
            level=logging.INFO,
        )


def _norm_name(unit: SEUnit) -> str:
    return getattr(unit, f'{unit.last_norm}_name')


def _one_per_stage(reduction: int | Sequence[int], num_stages: int) -> tuple[int, ...]:
    if isinstance(reduction, int):
        return (reduction,) * num_stages
    if len(reduction) != num_stages:
        raise SeMmError(f'reduction must be one integer, or one for each of the {num_stages} stages, got {reduction}')
    return tuple(reduction)


def _stage_indices(se_stages: Sequence[int] | Sequence[bool] | None, num_stages: int) -> tuple[int, ...]:
    if se_stages is None:
        return tuple(range(num_stages))
    if all(isinstance(stage, bool) for stage in se_stages) and len(se_stages) == num_stages:
        return tuple(stage for stage, carries_se in enumerate(se_stages) if carries_se)
    if any(isinstance(stage, bool) or stage not in range(num_stages) for stage in se_stages):
        raise SeMmError(
            f'se_stages must be indices of stages, 0 to {num_stages - 1}, or one bool for each of the '
            f'{num_stages} stages, got {tuple(se_stages)}'
        )
    return tuple(sorted(set(se_stages)))
