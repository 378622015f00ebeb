"""The networks that are compared: ours, mmdet's, mmpretrain's and timm's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmengine.registry import MODELS
from torch import nn

from ..config.load import load_config
from ..errors import SeMmError
from ..models.attention import LAYERS
from ..models.hosts.attention_names import attention_named

PLAIN = 'without attention'


@dataclass(frozen=True)
class Candidate:
    """A network to measure."""

    name: str  # in the table
    build: Callable[[], nn.Module]
    plain: str = ''  # the name of its plain twin; empty for one that is plain


def backbones(depth: int, frozen: bool, resnext: bool = False) -> list[Candidate]:
    """Our networks and those of mmdet, mmpretrain and timm, the SE ones beside their plain twins.

    Args:
        depth: of the ResNets.
        frozen: as mmdet trains: no gradients in stem and first stage, BatchNorm in eval mode.
        resnext: ResNeXt 32x4d in their place.

    Raises:
        SeMmError: for a ResNeXt of depth 18 or 34.
    """
    if resnext and depth < 50:
        raise SeMmError(f'--resnext --depth {depth}: ResNeXt has bottlenecks, --depth 50, 101 or 152')
    freeze = dict(frozen_stages=1, norm_eval=True) if frozen else {}
    kind = 'ResNeXt' if resnext else 'ResNet'

    def build(library: str, se: str = '', **config: Any) -> Callable[[], nn.Module]:
        if resnext:
            config.update(groups=32, **{'width_per_group' if library == 'mmpretrain' else 'base_width': 4})
        config.update(type=f'{library}.{se}{kind}', depth=depth, out_indices=(0, 1, 2, 3), **freeze)
        return lambda: MODELS.build(config)

    found = [
        Candidate(f'se_mm.SE{kind}', build('se_mm', 'SE'), 'se_mm without SE'),
        Candidate('se_mm without SE', build('se_mm', 'SE', se_stages=())),
        Candidate(f'mmdet.{kind}', build('mmdet')),
    ]
    if depth >= 50:  # mmpretrain's SE-ResNet has bottlenecks only
        found.append(Candidate(f'mmpretrain.SE{kind}', build('mmpretrain', 'SE'), f'mmpretrain.{kind}'))
    found.append(Candidate(f'mmpretrain.{kind}', build('mmpretrain')))
    try:
        import timm
    except ImportError:
        return found

    def timms(name: str) -> nn.Module:
        network = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4))
        return _freeze(network) if frozen else network

    name = kind.lower()
    known = timm.list_models()
    for se, plain in (('se', f'timm {name}'), ('', '')):
        model = f'{se}{name}{depth}{"_32x4d" if resnext else ""}'
        if model in known:
            found.append(Candidate(f'timm {se}{name}', partial(timms, model), plain))
    return found


def attentions(depth: int, named: Sequence[str], frozen: bool) -> list[Candidate]:
    """Our ResNet with each layer, and without.

    Args:
        depth: of the ResNets.
        named: layers as :func:`se_mm.models.hosts.attention_names.attention_named` takes them; ``['all']``: each.
        frozen: as for :func:`backbones`.

    Raises:
        SeMmError: for an unknown layer.

    Example:
        >>> [candidate.name for candidate in attentions(50, ['eca', 'se,gate=tanh'], frozen=False)]
        ['without attention', 'eca', 'se,gate=tanh']
    """

    def build(name: str, **attention: Any) -> Candidate:
        freeze = dict(frozen_stages=1, norm_eval=True) if frozen else {}
        config = dict(type='se_mm.SEResNet', depth=depth, **freeze, **attention)
        return Candidate(name, lambda: MODELS.build(config), PLAIN if 'attention' in config else '')

    layers = LAYERS if list(named) == ['all'] else named
    return [build(PLAIN, attention_stages=()), *(build(name, attention=attention_named(name)) for name in layers)]


def _freeze(network: nn.Module) -> nn.Module:
    """What ``frozen_stages=1, norm_eval=True`` does to mmdet's ResNet; timm leaves it to the user."""
    for name in ('conv1', 'bn1', 'layer1'):
        getattr(network, name).requires_grad_(False)
    network.train = lambda mode=True: network  # BatchNorm stays in eval mode
    for module in network.modules():
        module.training = not isinstance(module, nn.modules.batchnorm._BatchNorm)
    return network


def detectors(depth: int) -> list[Candidate]:
    """Faster R-CNN with our backbone, our plain twin and mmdet's."""

    def build(**backbone: Any) -> nn.Module:
        cfg = load_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
        cfg.model.backbone.update(depth=depth, init_cfg=None, **backbone)
        if depth < 50:
            cfg.model.neck.in_channels = [64, 128, 256, 512]
        with MODELS.switch_scope_and_registry('mmdet') as registry:
            return registry.build(cfg.model)

    ours, mmdets = partial(build, type='se_mm.SEResNet'), 'Faster R-CNN mmdet.ResNet'
    return [
        Candidate('Faster R-CNN se_mm.SEResNet', ours, mmdets),
        Candidate('Faster R-CNN se_mm without SE', partial(ours, se_stages=())),
        Candidate(mmdets, partial(build, type='mmdet.ResNet')),
    ]
