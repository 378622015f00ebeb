r"""The forms of a residual unit with a gate on its branch, ``out = relu(P(x) + s * u)``: which fits, and how it runs.

Throughout, x is the input and P the shortcut of a unit; w comes into the last convolution W, v = W w out of it, and
u = norm(v); s is the gate, a function of the means of u over height and width. A unit asks the forms in order, and
runs its plain operators where none fits; :class:`se_mm.models.hosts.residual_units.PlainUnit` has what they use.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..attention.operators import mean
from .batch_norm_tail import batch_norm_tail, takes_batch_statistics
from .eager import is_recorded
from .folding import can_fold, folded_affine, folds_downsample, is_pointwise
from .frozen_norm import frozen_affine, is_frozen, normalized
from .fused_tail import fused_tail
from .onednn import OneDNNForm
from .tail import residual_tail
from .weight_space import pays_in_weight_space, weight_space_tail


class Form(Protocol):
    """One way to compute a unit."""

    def fits(self, unit: nn.Module, x: Tensor) -> bool:
        """Whether it gives the unit's output for x; does not ask again what :meth:`PlainUnit.can_be_fused` asks."""

    def run(self, unit: nn.Module, x: Tensor) -> Tensor:
        """The output of the unit, (N, C, H, W)."""


class WeightSpaceForm:
    r"""A training step of a bottleneck with frozen norms: ``out = relu(P(x) + (s a W) w + s b)``, norm(v) = a v + b.

    Keeps w and the output, which the neighbouring layers keep too: neither v nor u is made.
    """

    def fits(self, unit: nn.Module, x: Tensor) -> bool:
        conv = unit.last_conv
        if not (unit.folds(x) and is_pointwise(conv)):
            return False
        height, width = (-(-size // unit.stride) for size in x.shape[2:])
        return pays_in_weight_space(conv.in_channels, height, width) and can_fold(conv, unit.last_norm)

    def run(self, unit: nn.Module, x: Tensor) -> Tensor:
        w = unit.before_last_conv(x)
        affine = folded_affine(unit.last_conv, unit.last_norm)
        own_map = unit.downsample is not None and folds_downsample(unit.downsample)
        return weight_space_tail(w, unit.shortcut(x), unit.last_conv.weight, affine, *unit.gate, overwrite=own_map)


class BatchNormForm:
    r"""A BatchNorm in training mode: ``out = relu(P(x) + (s gamma r) (v - mu) + s beta)``, mu and r of the batch.

    Keeps v and the output, as a plain network does, and not u.
    """

    def fits(self, unit: nn.Module, x: Tensor) -> bool:
        return takes_batch_statistics(unit.last_norm) and x.numel() > 0 and _takes_functions(unit, x)

    def run(self, unit: nn.Module, x: Tensor) -> Tensor:
        v = unit.last_conv(unit.before_last_conv(x))
        return batch_norm_tail(v, unit.shortcut(x), unit.last_norm, *unit.gate)


class FusedForm:
    r"""Any other norm where autograd records, and all of inference on a GPU: ``out = relu(P(x) + (s a) v + s b)``.

    Keeps v and the output; behind a norm that is no affine map u in the place of v (a = 1, b = 0).
    """

    def fits(self, unit: nn.Module, x: Tensor) -> bool:
        return _takes_functions(unit, x)

    def run(self, unit: nn.Module, x: Tensor) -> Tensor:
        v = unit.last_conv(unit.before_last_conv(x))
        shortcut, norm = unit.shortcut(x), unit.last_norm
        affine = frozen_affine(norm)
        if affine is None:
            v, norm = norm(v), None
        return fused_tail(v, shortcut, affine, norm, *unit.gate)


class InPlaceForm:
    r"""What is left, inference on a CPU: ``out = relu(P(x) + s u)``, written over u, which is written over v.

    The squeeze is ``norm(W mean(w))`` where the convolution and the norm are linear: w has a quarter of the channels
    of v to read. Keeps nothing.
    """

    def fits(self, unit: nn.Module, x: Tensor) -> bool:
        return True

    def run(self, unit: nn.Module, x: Tensor) -> Tensor:
        w, norm = unit.before_last_conv(x), unit.last_norm
        v = unit.last_conv(w)
        z = None if torch.is_grad_enabled() else self._squeeze_before(unit, w, v)
        del w  # where nobody keeps it its memory is free for the shortcut
        shortcut = unit.shortcut(x)
        u = norm(v) if v is x else normalized(norm, v)
        function, weights = unit.gate
        s = function(mean(u) if z is None else z, *weights).to(u.dtype)
        return residual_tail(u, shortcut, s, unit.relu)

    def _squeeze_before(self, unit: nn.Module, w: Tensor, v: Tensor) -> Tensor | None:
        """The squeeze from w, where the last convolution and the norm let a mean through."""
        conv, norm = unit.last_conv, unit.last_norm
        affine = isinstance(norm, nn.Identity) or is_frozen(norm)
        exact = w.dtype == v.dtype == conv.weight.dtype and w.dtype in (torch.float32, torch.float64)
        if not (is_pointwise(conv) and affine and exact):
            return None
        return norm(functional.linear(w.mean((2, 3)), conv.weight.flatten(1), conv.bias)[..., None, None])


def _takes_functions(unit: nn.Module, x: Tensor) -> bool:
    """Whether a unit's tail is a function of autograd's, or on a GPU, whose kernels are for inference too."""
    return x.is_cuda or is_recorded(x, *unit.parameters())


#: For units without attention, and for those with it, in the order in which they are asked.
PLAIN_FORMS: tuple[Form, ...] = (OneDNNForm(),)
GATED_FORMS: tuple[Form, ...] = (*PLAIN_FORMS, WeightSpaceForm(), BatchNormForm(), FusedForm(), InPlaceForm())
