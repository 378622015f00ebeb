"""Hosts that are no residual networks of mmdet or mmpretrain, each with the plain graph of another package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mmpretrain.models as mmpretrain
import pretrainedmodels
import timm
import torch
import torchvision
from pytorchcv.models.bninception import bninception
from pytorchcv.models.mobilenet import mobilenet_w1
from timm.layers import SEModule
from torch import Tensor, nn

from support.helpers import randomize


@dataclass(frozen=True)
class OtherHost:
    """A host and its reference.

    Attributes:
        arguments: of the twin.
        plain: makes the reference, a classifier or what comes before it.
        sites: names of the reference's modules behind whose outputs the paper has a gate.
        features: names of its modules that give the feature maps of ``out_indices``.
        parameters: of the classifier with SE for 1,000 classes.
        size: of a picture.
        counted: the arguments of that classifier's backbone, where they differ.
        channels: that the classifier's linear layer reads; 0: it stands inside the backbone.
        run: runs the reference as far as its last feature map.
    """

    arguments: dict[str, Any]
    plain: Callable[[], nn.Module]
    sites: Callable[[nn.Module], list[str]]
    features: list[str]
    parameters: int
    size: tuple[int, int] = (96, 128)
    counted: dict[str, Any] = field(default_factory=dict)
    channels: int = 0
    run: Callable[[nn.Module, Tensor], Any] = lambda network, x: network(x)

    def reference(self) -> nn.Module:
        """The plain network with random weights."""
        with torch.device('meta'):
            network = self.plain()
        randomize(network.double().to_empty(device='cpu'))
        network.eval()
        return network

    def image(self) -> Tensor:
        generator = torch.Generator().manual_seed(2)
        return torch.randn(2, 3, *self.size, generator=generator, dtype=torch.float64)

    def maps(self, reference: nn.Module, x: Tensor) -> list[Tensor]:
        """The feature maps of the reference."""
        found: list[Tensor] = []
        hooks = [
            reference.get_submodule(name).register_forward_hook(lambda _, __, output: found.append(output.clone()))
            for name in self.features
        ]
        self.run(reference, x)
        for hook in hooks:
            hook.remove()
        return found

    def gated(self, reference: nn.Module, channels: list[int]) -> nn.ModuleList:
        """Puts timm's SE behind each site of the reference; returns the layers."""
        gates = nn.ModuleList(SEModule(c, rd_channels=max(1, c // 16)) for c in channels).double()
        for name, gate in zip(self.sites(reference), randomize(gates, seed=3), strict=True):
            reference.get_submodule(name).register_forward_hook(lambda _, __, output, gate=gate: gate(output))
        return gates


def _ending(*endings: str) -> Callable[[nn.Module], list[str]]:
    return lambda network: [name for name, _ in network.named_modules() if name.endswith(endings)]


def _vgg_features() -> nn.Module:
    """Without the classifier, whose 124 million parameters are no part of a backbone."""
    return nn.Sequential(torchvision.models.vgg16_bn().features)


def _up_to_the_pool(network: nn.Module, x: Tensor) -> None:
    """pytorchcv's end with a pooling that fits one size."""
    for name, module in network.features.named_children():
        x = x if name == 'final_pool' else module(x)


def _relus(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, nn.ReLU)]


def _inception_v3() -> nn.Module:
    return torchvision.models.inception_v3(aux_logits=False, init_weights=False, transform_input=False)


def _mixed(network: nn.Module) -> list[str]:
    return [name for name, _ in network.named_children() if name.startswith('Mixed')]


def _units(network: nn.Module) -> list[str]:
    return [f'features.{stage}.{unit}' for stage, module in network.features.named_children() if stage != 'init_block'
            for unit, _ in module.named_children()]  # fmt: skip


OTHER_HOSTS = {
    'VGG-16-BN': OtherHost(
        dict(host='mmpretrain.VGG', depth=16, norm_cfg=dict(type='BN'), out_indices=(0, 1, 2, 3, 4)),
        _vgg_features,
        _relus,
        [f'0.{pool}' for pool in (6, 13, 23, 33, 43)],
        138_596_784,
        size=(64, 96),
        counted=dict(num_classes=1000),
    ),
    'BN-Inception': OtherHost(
        dict(host='se_mm.BNInception', out_indices=(0, 1, 2, 3, 4), conv_bias=True),
        bninception,
        _units,
        [
            'features.init_block.conv1',
            'features.init_block.conv2',
            'features.stage1.unit2',
            'features.stage2.unit5',
            'features.stage3.unit3',
        ],
        11_931_622,
        counted=dict(conv_bias=False),
        channels=1024,
        run=_up_to_the_pool,
    ),
    'Inception-v3': OtherHost(
        dict(host='timm.inception_v3', out_indices=(0, 1, 2, 3, 4)),
        _inception_v3,
        _mixed,
        ['Conv2d_2b_3x3', 'Conv2d_4a_3x3', 'Mixed_5d', 'Mixed_6e', 'Mixed_7c'],
        25_496_188,
        channels=2048,
    ),
    'Inception-ResNet-v2': OtherHost(
        dict(host='timm.inception_resnet_v2', out_indices=(0, 1, 2, 3, 4)),
        lambda: pretrainedmodels.inceptionresnetv2(num_classes=2, pretrained=None),
        _ending('.conv2d'),
        ['conv2d_2b', 'conv2d_4a', 'repeat', 'repeat_1', 'conv2d_7b'],
        64_387_444,
        channels=1536,
        run=lambda network, x: network.features(x),
    ),
    'MobileNet': OtherHost(
        dict(host='timm.mobilenetv1_100', out_indices=(0, 1, 2, 3, 4), act_layer='relu'),
        mobilenet_w1,
        _ending('.pw_conv'),
        [f'features.stage{1 + i}.unit{n}.pw_conv' for i, n in enumerate((1, 2, 2, 6, 2))],
        4_718_044,
        channels=1024,
        run=_up_to_the_pool,
    ),
    'MobileNet with ReLU6': OtherHost(
        dict(host='timm.mobilenetv1_100', out_indices=(0, 1, 2, 3, 4)),
        lambda: timm.create_model('mobilenetv1_100'),
        lambda network: [f'blocks.{i}.{j}' for i, stage in enumerate(network.blocks) for j in range(len(stage))],
        [f'blocks.{i}' for i in range(5)],
        4_718_044,
        channels=1024,
    ),
    'ShuffleNet': OtherHost(
        dict(host='mmpretrain.ShuffleNetV1', groups=3, out_indices=(0, 1, 2)),
        lambda: mmpretrain.ShuffleNetV1(groups=3),
        _ending('.g_conv_1x1_expand'),
        ['layers.0', 'layers.1', 'layers.2'],
        2_484_533,
        channels=960,
    ),
}
