"""Classification heads that mmpretrain does not have: with dropout, and those of timm."""

from __future__ import annotations

from typing import Any

from mmengine.registry import MODELS
from torch import Tensor, nn

from ..errors import SeMmError
from .composed import Addition, composed_class


def DropoutHead(dropout: float = 0.2, head: str = 'mmpretrain.LinearClsHead', **kwargs: Any) -> nn.Module:
    """A head of mmpretrain with dropout before its classifier, as SENet-154 was trained (the paper's appendix, d).

    In a config: ``head=dict(type='se_mm.DropoutHead', dropout=0.2, num_classes=1000, in_channels=2048)``.

    Args:
        dropout: the share of features that is zeroed in training.
        head: the head by its name in a registry; it has ``pre_logits``.
        **kwargs: every argument of the head.

    Raises:
        SeMmError: for a share outside of [0, 1), or a name that is no head with ``pre_logits``.

    Example:
        >>> import torch
        >>> head = DropoutHead(dropout=0.5, num_classes=10, in_channels=4)
        >>> (head.pre_logits((torch.ones(1, 4000),)) == 0).any().item()
        True
    """
    if not 0 <= dropout < 1:
        raise SeMmError(f'dropout must be at least 0 and less than 1, got {dropout!r}')
    with MODELS.switch_scope_and_registry(None) as registry:
        cls = registry.get(head)
    if not hasattr(cls, 'pre_logits'):
        raise SeMmError(f'DropoutHead: {head!r} is no head of mmpretrain with pre_logits, as mmpretrain.LinearClsHead')
    built = composed_class((_Dropout,), cls)(**kwargs)
    built.dropout.p = dropout
    return built


class _Dropout(Addition):
    """A head with dropout on what goes into its classifier."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dropout = nn.Dropout()

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        return self.dropout(super().pre_logits(feats))


def TimmHead(architecture: str, num_classes: int = 1000, **kwargs: Any) -> nn.Module:
    """What an architecture of timm has behind its last feature map, as a head of mmpretrain.

    Args:
        architecture: timm's name, as ``'vgg16_bn'``.
        num_classes: of its classifier.
        **kwargs: every argument of mmpretrain's ``ClsHead``.

    Example:
        >>> import torch
        >>> TimmHead('mobilenetv3_small_050', num_classes=5).eval()((torch.rand(1, 288, 7, 7),)).shape
        torch.Size([1, 5])
    """
    from timm import create_model

    with MODELS.switch_scope_and_registry(None) as registry:
        cls = registry.get('mmpretrain.ClsHead')
    built = composed_class((_RestOfTimm,), cls)(**kwargs)
    built.network = create_model(architecture, num_classes=num_classes)
    last = built.network.feature_info[-1]['module'].partition('.')[0]
    names = [name for name, _ in built.network.named_children()]
    for name in names[: names.index(last) + 1]:
        setattr(built.network, name, nn.Identity())
    return built


class _RestOfTimm(Addition):
    """A head that runs a network of timm whose parts up to the last feature map are taken out."""

    prefix = 'Timm'

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        return feats[-1]

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        return self.network(self.pre_logits(feats))
