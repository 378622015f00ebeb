"""A residual unit on oneDNN's fused operators: convolution, sum and activation in one pass, in inference on a CPU."""

from __future__ import annotations

import warnings
from functools import cache
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...compat.torch_internals import is_watched, onednn_add_conv_relu_, onednn_conv, onednn_weight, version_of
from .eager import is_eager, is_fake, is_recorded
from .folding import is_plain_conv, is_pointwise
from .weight_space import gated_matrices, pays_in_weight_space, slope_and_offset

#: By convolution: its weights, their version, and the same in the layout that oneDNN chose at the first image.
_LAID_OUT: WeakKeyDictionary[nn.Conv2d, tuple[Tensor, int | None, Tensor]] = WeakKeyDictionary()


class OneDNNForm:
    r"""The unit in one pass for each convolution, of a deployed network (norms folded) in float32 on a CPU.

    .. math:: out = \mathrm{relu}(shortcut + s (W z + b)), \quad s = \mathrm{excitation}(W \mathrm{mean}(z) + b)

    Where s W is smaller than the map, the gate is in the weights of the last convolution, which adds the branch to
    the shortcut in place, image by image; else the map is scaled. Keeps nothing: there is no backward.
    """

    def fits(self, unit: nn.Module, x: Tensor) -> bool:
        return unit.on_onednn and takes_onednn(x) and not is_watched(*list(unit.modules())[1:])

    def run(self, unit: nn.Module, x: Tensor, overwrite: bool = False) -> Tensor:
        """The output of the unit; with ``overwrite`` it may take the memory of the input."""
        *convs, last = unit.convs
        z = x
        for conv in convs:
            z = _convolved(conv, z)
        out = x
        if unit.downsample is not None:
            *before, conv, _ = unit.downsample
            for layer in before:
                out = layer(out)
            out = _convolved(conv, out, 'none')
        elif not overwrite or not x.is_contiguous(memory_format=torch.channels_last):
            out = x.clone(memory_format=torch.channels_last)
        gate = unit.gate
        if gate is None:
            return onednn_add_conv_relu_(out, z, last.weight, last.bias, last)
        function, weights = gate
        if not (is_pointwise(last) and pays_in_weight_space(*z.shape[1:])):
            v = _convolved(last, z, 'none')
            s = function(v.mean((2, 3), keepdim=True), *weights)
            return torch.addcmul(out, v, s, out=out).relu_()
        one = last.weight.new_ones(())
        slope, offset = slope_and_offset(function, z.mean((2, 3)), last.weight, one, last.bias, *weights)
        kernels = gated_matrices(slope, last.weight, z.dtype)[..., None, None]
        for i in range(len(z)):
            onednn_add_conv_relu_(out[i : i + 1], z[i : i + 1], kernels[i], offset[i], last)
        return out


class ConvReLU(nn.Conv2d):
    """A convolution with the activation behind it, in one pass where that is possible."""

    def forward(self, x: Tensor) -> Tensor:
        return onednn_conv(x, self.weight, self, 'relu') if takes_onednn(x) else functional.relu(super().forward(x))


def takes_onednn(x: Tensor) -> bool:
    """Whether the operators take a map: float32 on a CPU, with values, nothing recorded, traced or under autocast."""
    plain = is_eager(x) and not is_fake(x) and x.device.type == 'cpu' and x.dtype == torch.float32 and x.dim() == 4
    return plain and x.numel() > 0 and not is_recorded(x) and not torch.is_autocast_enabled('cpu')


def is_folded(conv: nn.Module, norm: nn.Module) -> bool:
    """Whether a convolution has the norm behind it in its weights."""
    return is_plain_conv(conv) and type(norm) is nn.Identity and conv.bias is not None


def _convolved(conv: nn.Conv2d, x: Tensor, activation: str = 'relu') -> Tensor:
    weight, version = conv.weight.detach(), version_of(conv.weight)
    known = _LAID_OUT.get(conv)
    # The storage is held, so that its address is not given to other weights.
    if known is None or known[0].data_ptr() != weight.data_ptr() or known[1] != version:
        known = _LAID_OUT[conv] = weight, version, onednn_weight(conv, x)
    return onednn_conv(x, known[2], conv, activation)


@cache
@torch.no_grad()
def onednn_works() -> bool:
    """Whether the operators exist here and give what torch's give; warns once if not."""
    try:
        conv = nn.Conv2d(16, 32, 1)
        x = torch.linspace(-1, 1, 2 * 16 * 30).view(2, 16, 5, 6).contiguous(memory_format=torch.channels_last)
        expected = conv(x)
        fused = onednn_conv(x, onednn_weight(conv, x), conv, 'relu')
        torch.testing.assert_close(fused, expected.relu(), rtol=1e-4, atol=1e-5)
        out = expected.neg().contiguous(memory_format=torch.channels_last)
        for i in range(2):
            onednn_add_conv_relu_(out[i : i + 1], x[i : i + 1], 2 * conv.weight, 2 * conv.bias, conv)
        torch.testing.assert_close(out, expected.relu(), rtol=1e-4, atol=1e-5)
    except Exception as error:  # another build of torch, or another CPU
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        warnings.warn(f"deployed without oneDNN's fused operators, on torch's own: {reason}", stacklevel=3)
        return False
    return True
