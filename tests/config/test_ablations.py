"""The configs of the paper's ablations: parameters to the last unit, and the table of docs/ablations.md."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

ROOT = Path(__file__).parents[2]
ABLATIONS = ROOT / 'configs' / 'ablations'
BLOCKS = {256: 3, 512: 4, 1024: 6, 2048: 3}  # output channels of the stages of ResNet-50, and their units
PLAIN = 25_557_032


def weights(blocks: dict[int, int], r: int = 16) -> int:
    """Two layers without biases, (2 / r) sum N C^2: equation 5 of the paper."""
    return sum(n * 2 * c * (c // r) for c, n in blocks.items())


PARAMETERS = {
    'resnet50': PLAIN,
    'se_resnet50': PLAIN + weights(BLOCKS),
    'se_resnet50_bias': 28_088_024,  # as in the authors' release
    'se_resnet50_pre': PLAIN + weights({64: 1, 256: 3, 512: 4, 1024: 6, 2048: 2}),  # the inputs of the units
    'se_resnet50_conv2': PLAIN + weights({c // 4: n for c, n in BLOCKS.items()}),
    'se_resnet50_stages234': PLAIN + weights({c: n for c, n in BLOCKS.items() if c < 2048}),
}
PARAMETERS |= {f'se_resnet50_r{r}': PLAIN + weights(BLOCKS, r) for r in (2, 4, 8, 32)}
PARAMETERS |= {f'se_resnet50_stage{i}': PLAIN + weights({c: BLOCKS[c]}) for i, c in ((2, 256), (3, 512), (4, 1024))}
SAME = ('squeeze_max', 'no_squeeze', 'gate_relu', 'gate_tanh', 'post', 'identity')  # as many as the layer of the paper
PARAMETERS |= {f'se_resnet50_{name}': PARAMETERS['se_resnet50'] for name in SAME}


@pytest.mark.parametrize('name', PARAMETERS)
def test_parameters(name):
    cfg = Config.fromfile(ABLATIONS / f'{name}_imagenet_270e.py')
    init_default_scope('mmpretrain')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize('name', ['se_resnet50_pre', 'se_resnet50_conv2', *(f'se_resnet50_{name}' for name in SAME)])
def test_every_branch_learns(name):
    cfg = Config.fromfile(ABLATIONS / f'{name}_imagenet_270e.py')
    cfg.model.backbone.update(base_channels=32, stem_channels=32)
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    backbone = MODELS.build(cfg.model.backbone)
    backbone.init_weights()
    backbone.train()
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.01)
    for _ in range(2):  # where the norms start at zero, the first step is theirs alone
        optimizer.zero_grad()
        backbone(torch.randn(2, 3, 64, 64))[-1].square().mean().backward()
        optimizer.step()
    still = [key for key, parameter in backbone.named_parameters() if '.conv' in key and not parameter.grad.any()]
    assert not still


def test_every_config_is_counted_and_has_its_row():
    table = (ROOT / 'docs' / 'ablations.md').read_text()
    assert {path.stem.removesuffix('_imagenet_270e') for path in ABLATIONS.glob('*.py')} == set(PARAMETERS)
    for name, count in PARAMETERS.items():
        (row,) = [line for line in table.splitlines() if line.startswith(f'| [{name}](')]
        assert f'| {count:,} |' in row
