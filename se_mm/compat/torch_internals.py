"""What the fused forms need of torch under private names, each with the reason (imports torch alone)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_module
from torch.nn.modules.batchnorm import _BatchNorm

#: The base of torch's BatchNorms and of those that mmengine's ``revert_sync_batchnorm`` makes; it has no public name.
BatchNorm = _BatchNorm


def is_transformed() -> bool:
    """Whether a transform of ``torch.func`` or forward-mode AD is active.

    A function of autograd without rules for them fails there, and torch has no public question for either.
    """
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def is_batched(tensor: Tensor) -> bool:
    """Whether a ``vmap``, of ``torch.func`` or autograd's own, runs over a tensor; no public question tells it."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)


def is_watched(*modules: nn.Module) -> bool:
    """Whether somebody relies on a module being called: hooks, pruning, parametrizations, a ``forward`` of its own.

    Hooks can be registered in public and not be counted.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> handle = layer.register_forward_hook(lambda *_: None)
        >>> is_watched(nn.Linear(2, 2)), is_watched(layer)
        (False, True)
    """
    if torch_module._has_any_global_hook():
        return True
    return any(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or 'parametrizations' in module._modules
        or 'forward' in vars(module)  # replaced on the instance, as libraries do to wrap a module
        for module in modules
    )


def version_of(tensor: Tensor) -> int | None:
    """How often a tensor was written to; ``None`` for one made in inference mode, which does not count.

    A copy of a weight in another layout is valid as long as this stays the same.
    """
    return None if tensor.is_inference() else tensor._version


def onednn_weight(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The weights of a convolution in oneDNN's layout for an input; they serve other sizes too.

    torch's compiler is the only public way to oneDNN's fused operators, here and in the two below.
    """
    return torch.ops.mkldnn._reorder_convolution_weight(conv.weight, *_geometry(conv), list(x.shape))


def onednn_conv(x: Tensor, weight: Tensor, conv: nn.Conv2d, activation: str) -> Tensor:
    """A convolution with the geometry and bias of ``conv``, and ``'relu'`` or ``'none'`` in the same pass."""
    return torch.ops.mkldnn._convolution_pointwise(x, weight, conv.bias, *_geometry(conv), activation, [], '')


def onednn_add_conv_relu_(out: Tensor, x: Tensor, weight: Tensor, bias: Tensor, conv: nn.Conv2d) -> Tensor:
    """``relu(out + convolution)``, in place and in one pass; ``out`` is dense and channels-last."""
    accumulate = torch.ops.mkldnn._convolution_pointwise_
    return accumulate(out, x, weight, bias, *_geometry(conv), 'add', 1.0, 'relu', [], '')


def _geometry(conv: nn.Conv2d) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
    return conv.padding, conv.stride, conv.dilation, conv.groups
