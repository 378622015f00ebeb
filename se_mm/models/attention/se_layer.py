"""The squeeze-and-excitation block (Hu et al., arXiv 1709.01507, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from ...errors import SeMmError
from .base import Attention, zero
from .operators import AT_ZERO, GATES, SQUEEZES, excitation, named, no_autocast, squeeze_channels


class SELayer(Attention):
    r"""Rescales each channel of a map by a gate computed from the channel means.

    .. math::
        z_c = \frac{1}{HW} \sum_{i,j} u_c(i, j), \quad
        s = \sigma(W_2\, \mathrm{ReLU}(W_1 z + b_1) + b_2), \quad
        \tilde{u}_c = s_c u_c

    (equations 2, 3 and 4). The two layers are 1x1 convolutions called ``fc1`` and ``fc2``, as in timm's
    checkpoints. Under autocast the gate is computed in float32: a half-precision sum over the channels overflows.

    Usable as an mmcv plugin in any mmdet ResNet:
    ``plugins=[dict(cfg=dict(type='se_mm.SELayer'), position='after_conv3')]``.

    Args:
        in_channels: C, the channels of the map.
        reduction: r, the reduction ratio; see :func:`squeeze_channels`.
        bias: whether the two layers have biases.
        divisor: what the width of the first layer is rounded to a multiple of; 1: ``C // r``.
        squeeze: ``'avg'``, ``'max'``, ``'avg_max'`` (half of each, as timm's ``add_maxpool``), or
            ``'none'``: a gate for each position, the paper's NoSqueeze (tables 11 and 16).
        gate: ``'sigmoid'``, ``'tanh'``, ``'relu'`` (table 12) or ``'hard_sigmoid'``.

    Raises:
        SeMmError: if ``reduction`` or ``divisor`` is no positive integer, or ``squeeze`` or ``gate`` none of these.

    Example:
        >>> import torch
        >>> layer = SELayer(256)
        >>> layer.fc1.weight.shape, layer(torch.ones(2, 256, 7, 5)).shape
        (torch.Size([16, 256, 1, 1]), torch.Size([2, 256, 7, 5]))
    """

    _abbr_ = 'se'  # the name that mmcv's build_plugin_layer gives it in a host

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        bias: bool = True,
        divisor: int = 8,
        squeeze: str = 'avg',
        gate: str = 'sigmoid',
    ) -> None:
        super().__init__(in_channels)
        self._squeeze = named(SQUEEZES, squeeze, 'squeeze')
        self._gate = named(GATES, gate, 'gate')
        self.squeeze_type = squeeze
        self.gate_type = gate
        hidden = squeeze_channels(in_channels, reduction, divisor)
        self.reduction = reduction
        self.divisor = divisor
        self.fc1 = nn.Conv2d(in_channels, hidden, 1, bias=bias)
        self.fc2 = nn.Conv2d(hidden, in_channels, 1, bias=bias)

    def squeeze(self, u: Tensor) -> Tensor:
        """z: (N, C, H, W) -> (N, C, 1, 1), float32 for half-precision maps; ``'none'``: the map itself."""
        return self._squeeze(u)

    def excitation(self, z: Tensor) -> Tensor:
        """s, the gate, of the shape of ``z``; in the dtype of the parameters unless ``squeeze='none'``."""
        if self.squeeze_type == 'none':  # a whole map: autocast may have it
            return self._gate(self.fc2(functional.relu(self.fc1(z))))
        with no_autocast(z):
            return self._gate(self.fc2(functional.relu(self.fc1(z.to(self.fc1.weight.dtype)))))

    def gate(self, u: Tensor) -> Tensor:
        """s for the map ``u``, in its dtype: (N, C, 1, 1), or (N, C, H, W) for ``squeeze='none'``."""
        return self.excitation(self.squeeze(u)).to(u.dtype)

    def gate_of_mean(self) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
        if self.squeeze_type != 'avg' or not type(self.fc1) is type(self.fc2) is nn.Conv2d:
            return None
        function = excitation if self.gate_type == 'sigmoid' else partial(excitation, gate=self._gate)
        return function, (self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)

    def zero_init_gate(self) -> float:
        """Zero-initialises fc2: a sigmoid is then exactly 1/2; an SeMmError for the gates that are zero there."""
        if self.gate_type not in AT_ZERO:
            raise SeMmError(f"SELayer with gate='{self.gate_type}' is 0 at zero weights, and nothing would pass")
        zero(self.fc2)
        return AT_ZERO[self.gate_type]

    def variant(self) -> str:
        return f'SELayer(squeeze={self.squeeze_type!r}, gate={self.gate_type!r})'  # a subclass takes the weights of SE

    def extra_repr(self) -> str:
        settings = {'squeeze': (self.squeeze_type, 'avg'), 'gate': (self.gate_type, 'sigmoid')}
        changed = (f', {name}={value}' for name, (value, default) in settings.items() if value != default)
        return f'in_channels={self.in_channels}, reduction={self.reduction}' + ''.join(changed)
