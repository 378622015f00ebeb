"""BN-Inception (Ioffe and Szegedy, arXiv 1502.03167), as the authors of the SE paper define it for Caffe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn
from torch.nn import functional

from .freezable import INITIALISATION, FreezableBackbone

#: Module: feature map; 1x1; reduce and width of 3x3; of double 3x3; kind and width of the pooling's projection.
#: Without a projection the module has stride 2, and its input passes on, pooled.
MODULES: dict[str, tuple[int, int, tuple[int, int], tuple[int, int], str, int]] = {
    '3a': (2, 64, (64, 64), (64, 96), 'avg', 32),
    '3b': (2, 64, (64, 96), (64, 96), 'avg', 64),
    '3c': (3, 0, (128, 160), (64, 96), 'max', 0),
    '4a': (3, 224, (64, 96), (96, 128), 'avg', 128),
    '4b': (3, 192, (96, 128), (96, 128), 'avg', 128),
    '4c': (3, 160, (128, 160), (128, 160), 'avg', 128),
    '4d': (3, 96, (128, 192), (160, 192), 'avg', 128),
    '4e': (4, 0, (128, 192), (192, 256), 'max', 0),
    '5a': (4, 352, (192, 320), (160, 224), 'avg', 128),
    '5b': (4, 352, (192, 320), (192, 224), 'max', 128),
}


@dataclass(frozen=True)
class InceptionModule:
    """Where a module stands in the network: the names of its parts, which are Cadene's.

    Attributes:
        name: ``'3a'``.
        stage: the feature map that it leads to.
        branches: the names of the convolutions of each branch, in the order of the concatenation.
        passed: channels of its input that pass on, pooled, as the last part of its map.
        output: the name of the module that the concatenated map goes through.
    """

    name: str
    stage: int
    branches: tuple[tuple[str, ...], ...]
    passed: int
    output: str


class BNInception(FreezableBackbone):
    """BN-Inception: 64, 192, 320, 608 and 1024 channels at the strides 2, 4, 8, 16 and 32.

    The pooling of the modules 3c and 4e has no padding and rounds up, as in Caffe. A map with an odd edge is padded
    at its end there, so any size of picture will do.

    The names of the parameters are those of Cadene's ``pretrainedmodels``, whose weights fit with
    ``conv_bias=True``; they were trained with BGR pixels of mean (104, 117, 128) and deviation 1.

    Args:
        out_indices: the feature maps that are returned, 0 to 4; what comes after the last of them is left out.
        frozen_stages: the modules up to this feature map have no gradients, and their norms fixed statistics; -1: none.
        norm_eval: whether all norms keep their statistics in training.
        conv_bias: whether the convolutions have biases, as Cadene's; the authors' network has none.
        in_channels: of the pictures.
        norm_cfg: the norms, as in mmcv.
        init_cfg: mmengine's.

    Raises:
        SeMmError: if there is no such feature map.

    Example:
        >>> import torch
        >>> backbone = BNInception(out_indices=(1, 4)).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 96))]
        [(1, 192, 16, 24), (1, 1024, 2, 3)]
    """

    #: Of the feature maps, by index.
    feature_channels = (64, 192, 320, 608, 1024)

    def __init__(
        self,
        out_indices: Sequence[int] = (4,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        conv_bias: bool = False,
        in_channels: int = 3,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: Any = INITIALISATION,
    ) -> None:
        init_cfg = list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg
        super().__init__(
            out_indices, frozen_stages, norm_eval, len(self.feature_channels), init_cfg=init_cfg, name='BNInception'
        )
        self.conv_bias = conv_bias
        self.norm_cfg = norm_cfg or dict(type='BN')
        self.relu = nn.ReLU(inplace=True)
        last = self.out_indices[-1]
        self._add_conv('conv1_7x7_s2', in_channels, 64, 7, stride=2)
        if last > 0:
            self._add_conv('conv2_3x3_reduce', 64, 64, 1)
            self._add_conv('conv2_3x3', 64, 192, 3)
        #: From input to output.
        self.inception_modules: list[InceptionModule] = []
        channels = 192
        for name, (stage, *_) in MODULES.items():
            if stage <= last:
                channels = self._add_module(name, channels)
        self._freeze_stages()

    def _add_conv(self, name: str, in_channels: int, channels: int, size: int, stride: int = 1) -> str:
        conv = nn.Conv2d(in_channels, channels, size, stride, padding=size // 2, bias=self.conv_bias)
        self.add_module(name, conv)
        self.add_module(f'{name}_bn', build_norm_layer(self.norm_cfg, channels)[1])
        return name

    def _add_module(self, name: str, channels: int) -> int:
        """Adds the parts of a module; returns the channels of its map."""
        stage, one, three, double, _, projection = MODULES[name]
        stride = 1 if projection else 2

        def conv(part: str, *geometry: int) -> str:
            return self._add_conv(f'inception_{name}_{part}', *geometry)

        branches = [(conv('1x1', channels, one, 1),)] if one else []
        branches.append((conv('3x3_reduce', channels, three[0], 1), conv('3x3', *three, 3, stride)))
        first = conv('double_3x3_reduce', channels, double[0], 1), conv('double_3x3_1', *double, 3)
        branches.append((*first, conv('double_3x3_2', double[1], double[1], 3, stride)))
        if projection:
            branches.append((conv('pool_proj', channels, projection, 1),))
        module = InceptionModule(
            name, stage, tuple(branches), 0 if projection else channels, f'inception_{name}_output'
        )
        self.inception_modules.append(module)
        self.add_module(module.output, nn.Identity())
        return one + three[1] + double[1] + (projection or channels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The feature maps of ``out_indices``; see the class for their channels and strides."""
        features = {0: self._run(('conv1_7x7_s2',), x)}
        if self.out_indices[-1] > 0:
            x = functional.max_pool2d(features[0], 3, stride=2, ceil_mode=True)
            features[1] = self._run(('conv2_3x3_reduce', 'conv2_3x3'), x)
        if self.out_indices[-1] > 1:
            x = functional.max_pool2d(features[1], 3, stride=2, ceil_mode=True)
        for module in self.inception_modules:
            x = self._inception(module, x)
            features[module.stage] = x  # of the last module of its stage in the end
        return tuple(features[index] for index in self.out_indices)

    def _run(self, convs: Sequence[str], x: Tensor) -> Tensor:
        for name in convs:
            x = self.relu(getattr(self, f'{name}_bn')(getattr(self, name)(x)))
        return x

    def _inception(self, module: InceptionModule, x: Tensor) -> Tensor:
        kind, projection = MODULES[module.name][4:]
        maps = [self._run(branch, x) for branch in (module.branches[:-1] if projection else module.branches)]
        if projection:
            pool = functional.max_pool2d if kind == 'max' else functional.avg_pool2d
            maps.append(self._run(module.branches[-1], pool(x, 3, stride=1, padding=1)))
        else:
            height, width = x.shape[2:]
            if height % 2 or width % 2:
                x = functional.pad(x, (0, width % 2, 0, height % 2), value=float('-inf'))
            maps.append(functional.max_pool2d(x, 3, stride=2, ceil_mode=True))
        return getattr(self, module.output)(torch.cat(maps, 1))

    def staged_modules(self) -> Iterator[tuple[nn.Module, int]]:
        stages = {'conv1': 0, 'conv2': 1} | {
            f'inception_{module.name}_': module.stage for module in self.inception_modules
        }
        for name, module in self.named_children():
            yield from ((module, stage) for prefix, stage in stages.items() if name.startswith(prefix))
