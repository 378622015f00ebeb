"""Sites in timm's MobileNet v1."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ...errors import SeMmError
from ...weights.host_families import MOBILENETS_V1
from ..composed import Addition, plain_class
from .behind_modules import BehindModulesAdapter
from .sites import Part, Site, maker


class PointwiseThenAttention(Addition):
    """timm's depthwise-separable block with attention at its end; its own slot is behind the depthwise convolution."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.aa(self.bn1(self.conv_dw(x)))
        return self.se(self.bn2(self.conv_pw(x)))


class MobileNetV1Adapter(BehindModulesAdapter):
    """timm's MobileNet v1: at the end of each block, behind the activation of the pointwise convolution.

    This is the place that gives the paper's 4.7 million parameters (table 3). A constant gate is compensated by the
    norm before a ReLU; with timm's ReLU6, by the next depthwise convolution, unless the backbone returns the map.
    """

    classes = ('se_mm.models.backbones.timm_hosts.TimmMobileNetV1',)
    families = MOBILENETS_V1
    addition = PointwiseThenAttention

    def check(self, host: nn.Module) -> None:
        for stage in host.blocks:
            for block in stage:
                kind = plain_class(block).__name__
                others = block.has_skip or not block.has_pw_act or getattr(block, 'conv_s2d', None)
                if kind != 'DepthwiseSeparableConv' or others:
                    raise SeMmError(
                        f'{host.architecture} has blocks that are not those of MobileNet v1 ({kind}); '
                        'leave out the arguments that change them'
                    )

    def num_stages(self, host: nn.Module) -> int:
        return len(host.feature_names)

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        for stage, layer in enumerate(host.blocks):
            for number, block in enumerate(layer):
                name = f'blocks.{stage}.{number}'
                parts, obstacle = maker(f'{name}.bn2', block.bn2, getattr(block.bn2, 'act', None))
                is_last = number + 1 == len(layer)
                following = f'blocks.{stage + is_last}.{0 if is_last else number + 1}'
                if obstacle and is_last and (stage in host.out_indices or stage + 1 == len(host.blocks)):
                    obstacle += ', and the map leaves the backbone, so that no convolution behind it could be doubled'
                elif obstacle:  # the next depthwise convolution reads one channel and makes it
                    parts, obstacle = (Part(f'{following}.conv_dw.weight'),), ''
                yield Site(name, block, stage, number, block.conv_pw.out_channels, parts, obstacle)
