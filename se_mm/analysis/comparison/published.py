"""Published pairs of a plain network and its twin with attention, as a backbone of detectors and on scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...config.loaders import datasets_of
from ...config.tree import nodes
from ...evaluation.metrics import less_is_better
from ...utils.type_names import type_name

PAPER = 'the SE paper (arXiv 1709.01507v4)'
ECA_NET = 'ECA-Net (CVPR 2020), table 5, 12 epochs'
COCO, PLACES = 'COCO', 'Places365-Challenge'
#: Arguments that make another network of a ResNet.
_VARIANTS = ('dcn', 'plugins', 'conv_cfg', 'deep_stem', 'avg_down', 'attention_position')


@dataclass(frozen=True)
class PublishedPair:
    """What one source measured of a plain network and of its twin."""

    source: str  # who published it, and where, with the schedule of both
    data: str
    model: str  # type of the detector or classifier
    backbone: str  # of both, without its attention
    attention: str  # the layer of the twin
    metric: str
    plain: float  # AP, or error in per cent
    attended: float

    @property
    def gain(self) -> float:
        """Points of AP more, or of error less."""
        return round(self.plain - self.attended if less_is_better(self.metric) else self.attended - self.plain, 2)


def _eca_net(model: str, depth: int, plain: float, se: float, eca: float) -> list[PublishedPair]:
    return [
        PublishedPair(ECA_NET, COCO, model, f'ResNet-{depth}', layer, 'coco/bbox_mAP', plain, value)
        for layer, value in (('SELayer', se), ('ECALayer', eca))
    ]


PUBLISHED = (
    PublishedPair(f'{PAPER}, table 7, 2x', COCO, 'FasterRCNN', 'ResNet-50', 'SELayer', 'coco/bbox_mAP', 38.0, 40.4),
    PublishedPair(f'{PAPER}, table 7, 2x', COCO, 'FasterRCNN', 'ResNet-101', 'SELayer', 'coco/bbox_mAP', 39.9, 41.9),
    *_eca_net('FasterRCNN', 50, 36.4, 37.7, 38.0),
    *_eca_net('FasterRCNN', 101, 38.7, 39.6, 40.3),
    *_eca_net('MaskRCNN', 50, 37.2, 38.7, 39.0),
    *_eca_net('MaskRCNN', 101, 39.4, 40.7, 41.3),
    *_eca_net('RetinaNet', 50, 35.6, 37.1, 37.3),
    *_eca_net('RetinaNet', 101, 37.7, 38.7, 39.1),
    PublishedPair(f'{PAPER}, table 6', PLACES, 'ImageClassifier', 'ResNet-152', 'SELayer', 'error/top1', 41.15, 40.37),
)


def published_pairs(plain: Config, twin: Config, metric: str) -> list[PublishedPair]:
    """What is published of two networks: same model, backbone, layer, data and metric, in whatever schedule.

    The first config is that of the network without attention. Both accuracy and error fit a published error.
    """
    (backbone, none), (other, layer) = map(_network_of, (plain, twin))
    if none or backbone != other or type_name(plain.model) != type_name(twin.model):
        return []
    data = _data_of(plain)
    if data != _data_of(twin):
        return []
    wanted = (type_name(plain.model), backbone, layer, data, metric.rpartition('/')[2])
    return [
        pair
        for pair in PUBLISHED
        if (pair.model, pair.backbone, pair.attention, pair.data, pair.metric.rpartition('/')[2]) == wanted
    ]


def _network_of(cfg: Config) -> tuple[str, str | None]:
    """A backbone as ``'ResNet-50'``, and the class of its attention layer; ``None`` for a plain one."""
    backbone: Mapping[str, Any] = cfg.model.get('backbone') or {}
    kind = type_name(backbone)
    ours = kind in ('SEResNet', 'SETwin')
    host = type_name({'type': backbone.get('host')}) if kind == 'SETwin' else kind.removeprefix('SE')
    variants = [key for key in _VARIANTS if backbone.get(key) not in (None, False, 'standard')]
    name = ' '.join([f'{host}-{backbone.get("depth", "?")}', *variants])
    stages = backbone.get('attention_stages', backbone.get('se_stages'))
    if not kind.startswith('SE') or (stages is not None and not any(True for _ in stages)):
        return name, None
    return name, type_name(backbone.get('attention') or {'type': 'SELayer'}) if ours else 'SELayer'


def _data_of(cfg: Config) -> str | None:
    """The name of the data set; COCO is COCO by its files and classes, since others come in its format."""
    dataset, *others = list(datasets_of(cfg.get('train_dataloader'))) or [{}]
    if others or dataset.get('indices'):
        return None
    classes = {node['num_classes'] for _, node in nodes(cfg.model) if isinstance(node.get('num_classes'), int)}
    if Path(str(dataset.get('ann_file'))).name == 'instances_train2017.json':
        return COCO if classes <= {80} else None
    is_places = type_name(dataset) == 'Places365' and dataset.get('split') == 'train-challenge'
    return PLACES if is_places and classes <= {365} else None
