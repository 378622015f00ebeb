"""The networks of the SE paper (arXiv 1709.01507) with the figures that it gives for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from mmengine.registry import MODELS

from ..config.load import load_config
from ..swap.building import shapes_only
from ..utils.tables import markdown_table
from .complexity import CONVENTION, complexity_of, count_macs, parameters_of


@dataclass(frozen=True)
class PaperNetwork:
    """A network with SE; without stages that carry it, it is the plain one."""

    name: str  # in the paper's words
    backbone: Mapping[str, Any] = field(repr=False)  # its config, with SE
    channels: int  # of the map that is pooled for the classifier; 0: the backbone holds its own
    classes: int = 1000
    size: int = 224  # height and width of the picture
    published: tuple[float | None, float | None] = (None, None)  # GMAC in the paper, plain and with SE
    millions: tuple[float | None, float | None] = (None, None)  # parameters there
    why: str = ''  # what explains a difference


def _resnet(depth: int, published: tuple[float | None, float | None], **given: Any) -> PaperNetwork:
    backbone = dict(type='se_mm.SEResNet', depth=depth, style='caffe', out_indices=(3,))
    return PaperNetwork(f'ResNet-{depth}', backbone, 2048, published=published, **given)


def _resnext(depth: int, published: tuple[float, float]) -> PaperNetwork:
    backbone = dict(type='se_mm.SEResNeXt', depth=depth, groups=32, base_width=4, out_indices=(3,))
    return PaperNetwork(f'ResNeXt-{depth} 32x4d', backbone, 2048, published=published)


def _twin(host: str, **arguments: Any) -> dict[str, Any]:
    return dict(type='se_mm.SETwin', host=host, **arguments)


_VGG = _twin('mmpretrain.VGG', depth=16, norm_cfg=dict(type='BN'), num_classes=1000)
_SENET = dict(type='se_mm.SENet', depth=154, out_indices=(3,))
_AT_320 = (
    "the 145.8 M parameters that are found elsewhere count the classifier of the authors' deploy file at this size"
)
#: Tables 2 and 3 of the paper, and its appendix.
IMAGENET = (
    _resnet(50, (3.86, 3.87), millions=(25.6, 28.1)),
    _resnet(101, (7.58, 7.60)),
    _resnet(152, (11.30, 11.32)),
    PaperNetwork(
        'ResNet-50, stride in the 3x3 convolution',
        dict(type='se_mm.SEResNet', depth=50, out_indices=(3,)),
        2048,
        why="the form of torchvision, timm and mmdet (style='pytorch'); the paper's is the one above",
    ),
    _resnext(50, (4.24, 4.25)),
    _resnext(101, (7.99, 8.00)),
    PaperNetwork('VGG-16 with norms', _VGG, 0, published=(15.47, 15.48)),
    PaperNetwork('BN-Inception', _twin('se_mm.BNInception'), 1024, published=(2.03, 2.04)),
    PaperNetwork('Inception-v3', _twin('timm.inception_v3'), 2048, size=299, why='the paper has none with SE'),
    PaperNetwork(
        'Inception-ResNet-v2',
        _twin('timm.inception_resnet_v2'),
        1536,
        size=299,
        published=(11.75, 11.76),
        why="timm's and TF-slim's network; the paper's figures are of a smaller variant, and SE adds as much",
    ),
    PaperNetwork('MobileNet', _twin('timm.mobilenetv1_100'), 1024, published=(0.569, 0.572), millions=(4.2, 4.7)),
    PaperNetwork(
        'ShuffleNet 1x, 3 groups',
        _twin('mmpretrain.ShuffleNetV1', groups=3),
        960,
        published=(0.140, 0.142),
        millions=(1.8, 2.4),
        why="the paper's figures have two digits, cut off; pooling and scaling (0.002 GMAC) are not counted",
    ),
    PaperNetwork(
        'SENet-154', _SENET, 2048, why='the paper gives no figure; ShuffleNet V2 (arXiv 1807.11164) says 20.7'
    ),
    PaperNetwork('SENet-154', _SENET, 2048, size=320, why=_AT_320),
)
#: Tables 4 and 5 of the paper, which gives no figures of cost.
CIFAR = (
    PaperNetwork('ResNet-110', _twin('se_mm.PreActResNetCIFAR', depth=110), 64, 10, 32),
    PaperNetwork('ResNet-164', _twin('se_mm.PreActResNetCIFAR', depth=164, bottleneck=True), 256, 10, 32),
    PaperNetwork('WRN-16-8', _twin('se_mm.WideResNetCIFAR', depth=16, widen_factor=8), 512, 10, 32),
    PaperNetwork('Shake-Shake 26 2x96d', _twin('se_mm.ShakeResNetCIFAR'), 384, 10, 32),
    PaperNetwork('Shake-Even 29 2x4x64d, 100 classes', _twin('se_mm.ShakeResNeXtCIFAR'), 1024, 100, 32),
)


#: Detectors in the form that others counted at 800 x 1280 (stride in the 3x3 convolution), and their GMAC.
DETECTORS = {
    'se_mm::faster_rcnn_r50_coco.py': 207.07,
    'se_mm::faster_rcnn_se_r50_coco.py': 207.18,
}


def count(network: PaperNetwork) -> tuple[tuple[int, int], tuple[int, int]]:
    """Parameters and multiply-adds of the classifier: of the plain network, and of the one with SE."""
    counts = []
    for stages in ({'attention_stages': ()}, {}):
        with MODELS.switch_scope_and_registry('mmpretrain') as registry, shapes_only():
            model = registry.build({**network.backbone, **stages})
            image = torch.empty(1, 3, network.size, network.size)
        macs, _ = count_macs(model, partial(model, image))
        weights = network.channels * network.classes
        biases = network.classes if network.channels else 0
        counts.append((parameters_of(model) + weights + biases, macs + weights))
    return counts[0], counts[1]


def table(networks: tuple[PaperNetwork, ...]) -> list[str]:
    """Lines of Markdown: each network, plain and with SE, beside the paper's figures."""
    rows = []
    for network in networks:
        (plain, plain_macs), (se, se_macs) = count(network)
        macs = (plain_macs / 1e9, se_macs / 1e9)
        ratios = tuple(
            100 * (ours / theirs - 1) if theirs else None for ours, theirs in zip(macs, network.published, strict=True)
        )
        rows.append(
            [
                network.name,
                network.size,
                f'{plain:,} → {se:,}',
                _pair(network.millions, '{:.1f} M'),
                f'{macs[0]:.4f} → {macs[1]:.4f}',
                _pair(network.published, '{:.2f}' if macs[0] > 1 else '{:.3f}'),
                _pair(ratios, '{:+.2f}%', ', '),
                network.why,
            ]
        )
    header = ['network', 'input', 'parameters', 'the paper', 'GMAC', 'the paper', 'difference', '']
    return markdown_table(header, rows)


def _pair(values: tuple[float | None, float | None], form: str, between: str = ' → ') -> str:
    known = any(value is not None for value in values)
    return between.join('-' if value is None else form.format(value) for value in values) if known else ''


def paper_page() -> str:
    """Markdown: the networks of the paper, plain and with SE, and two detectors."""
    detectors = []
    for name, published in DETECTORS.items():
        cfg = load_config(name, {'model.backbone.style': 'pytorch'}, data_root='')
        whole = complexity_of(cfg).whole
        giga = whole.macs / 1e9
        difference = f'{100 * (giga / published - 1):+.2f}%'
        detectors.append([name, f'{whole.parameters:,}', f'{giga:.2f}', published, difference])
    return '\n'.join(
        [
            '# Complexity',
            '',
            'Written by `python tools/complexity.py -o docs/complexity.md`. '
            '`python tools/complexity.py CONFIG ...` counts any classifier or detector, part by part.',
            '',
            CONVENTION,
            '',
            "Each row: the plain network → the same with SE, with the classifier. The paper's figures are those of "
            'arXiv 1709.01507v4 ("GFLOPs" there are multiply-adds). They are rounded to two or three decimals and '
            'contain what is not counted here; in ResNet-50 the scaling and the pooling of SE are 0.011 GMAC.',
            '',
            '## ImageNet',
            '',
            *table(IMAGENET),
            '',
            '## CIFAR',
            '',
            'The paper gives no figures for these.',
            '',
            *table(CIFAR),
            '',
            '## Detectors',
            '',
            'At 800x1280 with 1,000 proposals, with the stride in the 3x3 convolution, next to the figures of ECA-Net '
            '(arXiv 1910.03151, table 5).',
            '',
            *markdown_table(['config', 'parameters', 'GMAC', 'GMAC there', 'difference'], detectors),
        ]
    )
