"""Sites in timm's MobileNet v1."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ...errors import SeMmError
from ...weights.host_families import MOBILENETS_V1
from .made_classes import Made, plain_class
from .sites import Part, Site
from .then_attention import ThenAttentionAdapter, why_not_scaled


class PointwiseThenAttention(Made):
    """timm's depthwise-separable block with attention at its end; its own slot is behind the depthwise convolution."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv_dw(x))
        return self.se(self.bn2(self.conv_pw(x)))


class MobileNetV1Adapter(ThenAttentionAdapter):
    """timm's MobileNet v1: at the end of each block, behind the activation of the pointwise convolution.

    This is the place that gives the paper's 4.7 million parameters (table 3). A constant gate is
    compensated by scale and shift of the norm before it where the activation is ReLU. Where it is
    ReLU6, as in timm's weights, the next depthwise convolution compensates it; behind a block whose
    map the backbone returns there is none.
    """

    classes = ('se_mm.models.backbones.timm_hosts.TimmMobileNetV1',)
    families = MOBILENETS_V1
    addition = PointwiseThenAttention

    def check(self, host: nn.Module) -> None:
        for stage in host.blocks:
            for block in stage:
                kind = plain_class(block).__name__
                if kind != 'DepthwiseSeparableConv' or block.has_skip or not block.has_pw_act:
                    raise SeMmError(
                        f'{host.architecture} has blocks that are not those of MobileNet v1 ({kind}); '
                        'leave out the arguments that change them'
                    )

    def num_stages(self, host: nn.Module) -> int:
        return len(host.feature_names)

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        blocks = [
            (f'blocks.{i}.{number}', block, i, number)
            for i, stage in enumerate(host.blocks)
            for number, block in enumerate(stage)
        ]
        for i, (name, block, stage, number) in enumerate(blocks):
            obstacle = why_not_scaled(f'{name}.bn2', block.bn2, getattr(block.bn2, 'act', None))
            is_last = i + 1 == len(blocks) or blocks[i + 1][2] != stage
            if not obstacle:
                affine = (Part(f'{name}.bn2.weight'), Part(f'{name}.bn2.bias'))
                yield Site(name, block, stage, number, block.conv_pw.out_channels, affine)
            elif is_last and stage in host.out_indices:
                obstacle += ', and the map leaves the backbone, so that no convolution behind it could be doubled'
                yield Site(name, block, stage, number, block.conv_pw.out_channels, obstacle=obstacle)
            else:
                behind = (Part(f'{blocks[i + 1][0]}.conv_dw.weight'),)  # which reads one channel and makes it
                yield Site(name, block, stage, number, block.conv_pw.out_channels, behind)
