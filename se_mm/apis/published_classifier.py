"""Published classifiers in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from torch import Tensor, nn

from ..config.classifiers import Card, published_config, read_trained
from ..engine.evaluation import load_whole


class PublishedClassifier(NamedTuple):
    """A classifier with its weights.

    Attributes:
        classifier: a model of mmpretrain; ``classifier(x)`` gives the logits, (N, 1000), of pictures (N, 3, H, W).
        transform: makes such a picture, (3, H, W), of a file, a ``PIL.Image`` or an array (H, W, 3) of RGB bytes.
        card: its pixels, and the accuracy that was published.
    """

    classifier: nn.Module
    transform: Transform
    card: Card


class Transform:
    """A picture as a classifier is tested with it: resized, cropped and normalised, equal to timm's transform."""

    def __init__(self, cfg: Config, preprocessor: nn.Module) -> None:
        with MODELS.switch_scope_and_registry('mmpretrain'):
            init_default_scope('mmpretrain')
            loading, *steps = cfg.test_dataloader.dataset.pipeline
            self.loading, self.steps = Compose([loading]), Compose(steps)
        self.preprocessor = preprocessor

    def __call__(self, picture: str | Path | Image.Image | np.ndarray) -> Tensor:
        if isinstance(picture, (str, Path)):
            results: dict[str, Any] = self.loading({'img_path': str(picture)})
        else:
            rgb = picture.convert('RGB') if isinstance(picture, Image.Image) else picture
            results = {'img': np.ascontiguousarray(np.asarray(rgb)[..., ::-1])}
        packed = self.steps(results)
        return self.preprocessor({'inputs': [packed['inputs']]})['inputs'][0]


def published(name: str, test_size: bool = False) -> PublishedClassifier:
    """A published classifier with its head, in evaluation, loaded whole.

    Args:
        name: of timm, ``'timm://seresnet50.ra2_in1k'``, or of mmpretrain, ``'mmcls://se-resnet50'``.
        test_size: whether the pictures have the size that timm tests with, where it differs from that of the training.

    Raises:
        SeMmError: if there is no such classifier, or its weights cannot be had or do not fit.
    """
    cfg, card = published_config(name, test_size)
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        classifier = registry.build(cfg.model)
    content = read_trained(name)
    load_whole(classifier, content['state_dict'], name)
    classifier.dataset_meta = content['meta']['dataset_meta']
    return PublishedClassifier(classifier.eval(), Transform(cfg, classifier.data_preprocessor), card)
