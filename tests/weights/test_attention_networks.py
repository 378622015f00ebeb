"""timm's networks with other attention than SE: the same outputs from the same weights, or refused."""

from __future__ import annotations

import pytest
import timm
import torch
from mmdet.models.backbones import ResNetV1d

from se_mm import SEResNet, SeMmError, SETwin

DEEP = dict(host='mmdet.ResNetV1d', depth=50)


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) * 0.1 + (tensor.dim() == 1) * 0.5)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model.double().eval()


def same_outputs(theirs: torch.nn.Module, ours: torch.nn.Module) -> None:
    ours.double().load_state_dict(randomised(theirs).state_dict(), strict=False)
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    out = ours.eval()(x)[-1]
    expected = theirs.forward_features(x)
    scale = expected.abs().max()
    torch.testing.assert_close(out / scale, expected / scale, rtol=0, atol=1e-9)
    ungated = ResNetV1d(50) if hasattr(ours, 'stem') else None
    assert ungated is None or {n for n, _ in ungated.named_parameters()} < {n for n, _ in ours.named_parameters()}


def test_ecaresnet50d():
    same_outputs(timm.create_model('ecaresnet50d'), SETwin(**DEEP, attention=dict(type='ECALayer')))


@pytest.mark.parametrize(
    ('attn_layer', 'attention'),
    [
        ('eca', dict(type='ECALayer')),
        ('cbam', dict(type='CBAM', bias=False, order='mean_max')),
        ('gc', dict(type='GlobalContext')),
        ('ese', dict(type='ESELayer')),
    ],
)
def test_the_layers_in_timms_resnet(attn_layer, attention):
    theirs = timm.create_model('resnet50', block_args=dict(attn_layer=attn_layer))
    same_outputs(theirs, SEResNet(depth=50, attention=attention))
