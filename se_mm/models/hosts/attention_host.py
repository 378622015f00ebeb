"""What turns a residual network into its SE twin: the arguments, the stages, the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from ...errors import SeMmError
from ...export.deployment import deploy
from ...weights.loading import adapt
from .made_classes import Made
from .residual_units import SEUnit, give_se

SE_INITS = ('default', 'identity')
STEM_POOLS = ('torch', 'caffe')


class SEHost(Made):
    """Gives the residual blocks of a host SE; stands before the host in the bases.

    The host builds itself, so the plain part starts from the same random weights as the host
    alone does.

    Args:
        reduction: the reduction ratio r, one for all stages or one per stage.
        se_stages: the stages whose units carry SE, as indices (like ``out_indices``) or as one
            bool per stage (like ``stage_with_dcn``). ``None``: all of them.
        se_bias: whether the two layers of the excitation have biases.
        se_init: ``'default'``: the gates start where the host's initialisation puts them.
            ``'identity'``: after ``init_weights`` the network equals its plain twin in every
            bit, and trains. Each gate starts at exactly 1/2 and the scale and shift of its
            branch's last norm are doubled.
        stem_pool: ``'torch'``: the stem pools 3x3 with stride 2 and padding 1. ``'caffe'``:
            without padding, in ceil mode, as the networks that come from Caffe were trained.
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
        stem_pool: str = 'torch',
        **kwargs: Any,
    ) -> None:
        for name, value, known in (('se_init', se_init, SE_INITS), ('stem_pool', stem_pool, STEM_POOLS)):
            if value not in known:
                raise SeMmError(f'{name} must be one of {known}, got {value!r}')
        self.is_deployed = False
        super().__init__(**kwargs)
        if not hasattr(self, 'res_layers'):
            raise SeMmError(f'{type(self).__name__}: the host has no res_layers, the names of its residual stages')
        self.reduction = _one_per_stage(reduction, self.num_stages)
        self.se_stages = _stage_indices(se_stages, self.num_stages)
        self.se_init = se_init
        self.stem_pool = stem_pool
        for stage in self.se_stages:
            for block in getattr(self, self.res_layers[stage]):
                give_se(block, self.reduction[stage], se_bias)
        if se_init == 'identity':
            for _, unit in self.se_units():
                unit.check_can_start_as_plain()
        if stem_pool == 'caffe':
            self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self._freeze_stages()
        self._register_state_dict_hook(_state_style)

    def init_weights(self) -> None:
        first_time, self._given_weights = not self.is_init, False
        super().init_weights()
        if first_time and self.se_init == 'identity' and not self._given_weights:
            for _, unit in self.se_units():
                unit.start_as_plain()

    def train(self, mode: bool = True) -> SEHost:
        if mode and self.is_deployed:
            raise SeMmError(
                f'this {type(self).__name__} is deployed: its norms are part of its convolutions, and it cannot be '
                'trained; build it anew, load the weights and train that'
            )
        super().train(mode)
        return self  # which the hosts forget, so that their eval() returns None

    def deploy(self, compiled: bool = False) -> SEHost:
        """Folds the norms into the convolutions, for inference, in place; see :mod:`se_mm.export.deployment`.

        Args:
            compiled: whether ``torch.compile`` fuses what is left; needs a C++ compiler.

        Returns:
            The backbone, which refuses to be trained or given other weights.

        Raises:
            SeMmError: if its outputs change by more than rounding.
        """
        if not self.is_deployed:
            deploy(self, compiled)
            self.is_deployed = True
        return self

    def se_units(self) -> Iterator[tuple[str, SEUnit]]:
        """The residual units that carry SE, with their names (``layer1.0``)."""
        return ((name, module) for name, module in self.named_modules() if isinstance(module, SEUnit))

    def plugin_names(self) -> Iterator[str]:
        """The plugins in the residual units, as prefixes of their parameters (``layer2.0.gcb.``)."""
        for name, module in self.named_modules():
            for position in ('after_conv1', 'after_conv2', 'after_conv3'):
                yield from (f'{name}.{plugin}.' for plugin in getattr(module, f'{position}_plugin_names', ()))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        if self.is_deployed:
            raise SeMmError(f'this {type(self).__name__} is deployed: load its weights before that')
        adapt(self, state_dict, prefix, local_metadata)
        self._given_weights = True
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def _state_style(module: SEHost, _: dict[str, Any], __: str, local_metadata: dict[str, Any]) -> None:
    """Keeps with the weights what their shapes do not tell (see ``se_mm.weights``)."""
    local_metadata['se_mm'] = {'style': module.style, 'stem_pool': module.stem_pool}


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
