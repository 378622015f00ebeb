"""The networks that are compared: ours, mmdet's, mmpretrain's and timm's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmengine.registry import MODELS
from torch import nn

from ..config.attention import attention_named
from ..config.load import load_config
from ..models.attention import LAYERS

PLAIN = 'without attention'


@dataclass(frozen=True)
class Candidate:
    """A network to measure.

    Attributes:
        name: in the table.
        build: makes it.
        plain: the name of its plain twin; empty for one that is plain.
    """

    name: str
    build: Callable[[], nn.Module]
    plain: str = ''


def backbones(depth: int, frozen: bool) -> list[Candidate]:
    """Our networks and those of mmdet, mmpretrain and timm, the SE ones beside their plain twins.

    Args:
        depth: of the ResNets.
        frozen: whether stem and first stage have no gradients and BatchNorm is in eval mode, as mmdet trains.
    """
    freeze = dict(frozen_stages=1, norm_eval=True) if frozen else {}

    def build(kind: str, **config: Any) -> Callable[[], nn.Module]:
        return lambda: MODELS.build(dict(type=kind, depth=depth, out_indices=(0, 1, 2, 3), **freeze, **config))

    found = [
        Candidate('se_mm.SEResNet', build('se_mm.SEResNet'), 'se_mm without SE'),
        Candidate('se_mm without SE', build('se_mm.SEResNet', se_stages=())),
        Candidate('mmdet.ResNet', build('mmdet.ResNet')),
    ]
    if depth >= 50:  # mmpretrain's SE-ResNet has bottlenecks only
        found.append(Candidate('mmpretrain.SEResNet', build('mmpretrain.SEResNet'), 'mmpretrain.ResNet'))
    found.append(Candidate('mmpretrain.ResNet', build('mmpretrain.ResNet')))
    try:
        import timm
    except ImportError:
        return found

    def make(name: str) -> nn.Module:
        network = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4))
        return _freeze(network) if frozen else network

    known = timm.list_models()
    for name, plain in (('seresnet', 'timm resnet'), ('resnet', '')):
        if f'{name}{depth}' in known:
            found.append(Candidate(f'timm {name}', partial(make, f'{name}{depth}'), plain))
    return found


def attentions(depth: int, named: Sequence[str], frozen: bool) -> list[Candidate]:
    """Our ResNet with each layer, and without.

    Args:
        depth: of the ResNets.
        named: layers as :func:`se_mm.config.attention.attention_named` takes them; ``['all']``: each.
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
        module.training = not isinstance(module, nn.BatchNorm2d)
    return network


def detectors(depth: int) -> list[Candidate]:
    """Faster R-CNN with our backbone, our plain twin and mmdet's."""

    def build(**backbone: Any) -> Callable[[], nn.Module]:
        cfg = load_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
        cfg.model.backbone.update(depth=depth, init_cfg=None, **backbone)
        if depth < 50:
            cfg.model.neck.in_channels = [64, 128, 256, 512]

        def make() -> nn.Module:
            with MODELS.switch_scope_and_registry('mmdet') as registry:
                return registry.build(cfg.model)

        return make

    return [
        Candidate('Faster R-CNN se_mm.SEResNet', build(type='se_mm.SEResNet'), 'Faster R-CNN mmdet.ResNet'),
        Candidate('Faster R-CNN se_mm without SE', build(type='se_mm.SEResNet', se_stages=())),
        Candidate('Faster R-CNN mmdet.ResNet', build(type='mmdet.ResNet')),
    ]
