"""Published results of SE as a backbone of detectors and on scenes, and the protocols that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PAPER = 'the paper (arXiv 1709.01507v4), table 7'
PAPER_SCENES = 'the paper (arXiv 1709.01507v4), table 6'
ECA_NET = 'ECA-Net (CVPR 2020), table 5'


@dataclass(frozen=True)
class Protocol:
    """How a result came about: what two results must share to be compared.

    Attributes:
        name: what a message calls it.
        data: type of the training set's class.
        detector: type of the model.
        epochs: the least and the most that count as this schedule; ``None``: any.
        metric: that is published.
    """

    name: str
    data: str
    detector: str
    epochs: tuple[float, float] | None
    metric: str


_ONE = (11.5, 12.6)  # 12 epochs of mmdet, 90,000 iterations of 16 images of Detectron
_TWO = (23.0, 25.2)  # 24, 180,000

FASTER_1X = Protocol('COCO, Faster R-CNN, 1x', 'CocoDataset', 'FasterRCNN', _ONE, 'bbox_mAP')
FASTER_2X = Protocol('COCO, Faster R-CNN, 2x', 'CocoDataset', 'FasterRCNN', _TWO, 'bbox_mAP')
MASK_1X = Protocol('COCO, Mask R-CNN, 1x, boxes', 'CocoDataset', 'MaskRCNN', _ONE, 'bbox_mAP')
RETINA_1X = Protocol('COCO, RetinaNet, 1x', 'CocoDataset', 'RetinaNet', _ONE, 'bbox_mAP')
PLACES = Protocol('Places365, one crop', 'Places365', 'ImageClassifier', None, 'top1')
PROTOCOLS = (FASTER_1X, FASTER_2X, MASK_1X, RETINA_1X, PLACES)

_ECA_SETUP = {
    'images a step': '8',
    'learning rate': '0.01',
    'epochs': '12',
    'weights': 'of ImageNet, their own',
    'neck': 'FPN',
    'image scale': '1333x800',
    'trained on': 'train2017',
    'evaluated on': 'val2017',
}
_PAPER_SETUP = {
    'images a step': '16',
    'learning rate': '0.02',
    'epochs': '24.6',
    'style': 'caffe',
    'weights': 'of ImageNet, their own',
    'neck': 'FPN',
    'trained on': 'train2017',  # 80k + 35k images: the same ones
    'evaluated on': 'val2017',  # the 5k of minival are the same images
}
_SCENES_SETUP = {'backbone': 'ResNet-152', 'weights': 'none', 'trained on': 'train-challenge', 'evaluated on': 'val'}


@dataclass(frozen=True)
class Reference:
    """A plain network and its SE twin, published.

    Attributes:
        source: who published it, and where.
        protocol: of both.
        depth: of both.
        plain: AP, or top-1 error.
        se: the same of the twin.
        setup: what is known of the set-up, under the names of :func:`se_mm.analysis.setup.setup_of`.
        attention: the layer of the twin.
    """

    source: str
    protocol: Protocol
    depth: int
    plain: float
    se: float
    setup: Mapping[str, str] = field(default_factory=dict)
    attention: str = 'SELayer'

    @property
    def network(self) -> str:
        """The plain one, as :func:`se_mm.analysis.setup.backbone_of` names it."""
        return f'ResNet-{self.depth}'

    @property
    def gain(self) -> float:
        """Points of AP more, or of error less."""
        return round(self.plain - self.se if self.protocol is PLACES else self.se - self.plain, 2)


REFERENCES = (
    Reference(PAPER, FASTER_2X, 50, 38.0, 40.4, _PAPER_SETUP),
    Reference(PAPER, FASTER_2X, 101, 39.9, 41.9, _PAPER_SETUP),
    Reference(ECA_NET, FASTER_1X, 50, 36.4, 37.7, _ECA_SETUP),
    Reference(ECA_NET, FASTER_1X, 101, 38.7, 39.6, _ECA_SETUP),
    Reference(ECA_NET, FASTER_1X, 50, 36.4, 38.0, _ECA_SETUP, 'ECALayer'),
    Reference(ECA_NET, FASTER_1X, 101, 38.7, 40.3, _ECA_SETUP, 'ECALayer'),
    Reference(ECA_NET, MASK_1X, 50, 37.2, 38.7, _ECA_SETUP),
    Reference(ECA_NET, MASK_1X, 101, 39.4, 40.7, _ECA_SETUP),
    Reference(ECA_NET, MASK_1X, 50, 37.2, 39.0, _ECA_SETUP, 'ECALayer'),
    Reference(ECA_NET, MASK_1X, 101, 39.4, 41.3, _ECA_SETUP, 'ECALayer'),
    Reference(ECA_NET, RETINA_1X, 50, 35.6, 37.1, _ECA_SETUP),
    Reference(ECA_NET, RETINA_1X, 101, 37.7, 38.7, _ECA_SETUP),
    Reference(ECA_NET, RETINA_1X, 50, 35.6, 37.3, _ECA_SETUP, 'ECALayer'),
    Reference(ECA_NET, RETINA_1X, 101, 37.7, 39.1, _ECA_SETUP, 'ECALayer'),
    Reference(PAPER_SCENES, PLACES, 152, 41.15, 40.37, _SCENES_SETUP),
)

#: mmdet's own plain networks (its model zoo), for the absolute figure.
MMDET = {(FASTER_1X, 50): 37.4, (FASTER_2X, 50): 38.4, (FASTER_1X, 101): 39.4, (FASTER_2X, 101): 39.8}
