"""Published classifiers by name: their networks, pixels, weights and figures."""

from __future__ import annotations

import csv
import math
from collections import OrderedDict
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from ..compat.config_scope import read_config
from ..errors import SeMmError, listed
from ..weights import published
from ..weights.files import read_checkpoint
from ..weights.imagenet import imagenet_classes
from ..weights.state_dicts import unwrap
from .loaders import datasets_of
from .locate import locate

#: What a published classifier is tested on where no config is named.
IMAGENET = 'se_mm::_base_/imagenet_published.py'
#: The auxiliary classifier of Inception-v3, which timm's network leaves out, too.
_DROPPED = 'AuxLogits.'


@dataclass(frozen=True)
class Card:
    """What is published of a classifier.

    Attributes:
        name: with its scheme, as ``'timm://seresnet50.ra2_in1k'``.
        size: of the square that it is tested on, in pixels.
        top1, top5: its accuracy on ImageNet's validation set, in per cent, by its publisher; ``None``: unknown.
        measured_at: the size that they were measured at.
        release: top-1 and top-5 error of the same weights by the authors of the paper, in per cent.
    """

    name: str
    size: int
    top1: float | None = None
    top5: float | None = None
    measured_at: int | None = None
    release: tuple[float, ...] = ()

    def __str__(self) -> str:
        """The figures, for the user."""
        if self.top1 is None:
            return f'{self.name}: no accuracy is known'
        elsewhere = '' if self.measured_at == self.size else f' (here: {self.size})'
        line = f'{self.name}, as published: top-1 {self.top1:.2f}, top-5 {self.top5:.2f} at {self.measured_at} pixels'
        return line + elsewhere + (f'; its authors: error {" / ".join(map(str, self.release))}' if self.release else '')


def published_config(name: str, test_size: bool = False) -> tuple[Config, Card]:
    """A config that tests a published classifier on ImageNet, and what is known of it.

    Args:
        name: of timm (``timm://``) or of mmpretrain (``mmcls://``).
        test_size: whether the size is that which timm tests with, where it differs from that of the training.

    Raises:
        SeMmError: if there is no such classifier, or no network here can be it.
    """
    base = read_config(locate(IMAGENET))
    cfg = Config(base.to_dict(), cfg_text=base.text, filename=f'{name.partition("://")[2]}.py')
    return cfg, use_published(cfg, name, test_size)


def use_published(cfg: Config, name: str, test_size: bool = False) -> Card:
    """Puts a published classifier and its pixels into a config of a classifier, in place; its data stay.

    Raises:
        SeMmError: as :func:`published_config`, and for a config of another kind of model.
    """
    if cfg.get('default_scope') != 'mmpretrain':
        raise SeMmError(f'{name} is a classifier, and the config of scope {cfg.get("default_scope")} is none')
    model, pipeline, card = (_of_timm if name.startswith(published.TIMM) else _of_mmpretrain)(name, test_size)
    cfg.model, cfg.published = model, str(card)
    cfg.pop('data_preprocessor', None)
    for dataset in datasets_of(cfg.get('test_dataloader')):
        dataset.pipeline = pipeline
    return card


def read_trained(checkpoint: str) -> dict[str, Any]:
    """The content of a checkpoint; that of a published classifier under the names of its model here, with its classes.

    Raises:
        SeMmError: if it cannot be had or read.
    """
    if not published.is_published(checkpoint):
        return read_checkpoint(checkpoint)
    state = unwrap(published.read(checkpoint)[0])[0]
    if checkpoint.startswith(published.TIMM):
        from ..models.timm_classifiers import timm_classifier  # imports mmdet, which is slow

        names = timm_classifier(_architecture(checkpoint)).names
        odd = [key for key in state if key not in names and not key.startswith(_DROPPED)]
        odd += [key for key in names if key not in state and not key.endswith('num_batches_tracked')]
        if odd:
            raise SeMmError(f'{checkpoint} is not whole: missing or without a place in the network: {listed(odd)}')
        state = OrderedDict((names[key], value) for key, value in state.items() if key in names)
    return {'state_dict': state, 'meta': {'dataset_meta': {'classes': list(imagenet_classes().values())}}}


def _architecture(name: str) -> str:
    return name.removeprefix(published.TIMM).partition('.')[0]


def _of_timm(name: str, test_size: bool) -> tuple[dict[str, Any], list[dict[str, Any]], Card]:
    published.resolve(name)  # refuses what there is not, in words
    from timm.data import resolve_data_config
    from timm.models import get_pretrained_cfg

    from ..models.timm_classifiers import timm_classifier

    about = get_pretrained_cfg(name.removeprefix(published.TIMM))
    if about.num_classes != len(imagenet_classes()):
        raise SeMmError(f'{name} has no classifier of ImageNet: {about.num_classes} classes; as a backbone it loads')
    pixels = resolve_data_config(pretrained_cfg=about.to_dict(), use_test_size=test_size)
    if pixels['crop_mode'] != 'center':
        raise SeMmError(f'{name} is tested on a crop of mode {pixels["crop_mode"]}, which se_mm does not make')
    size = pixels['input_size'][-1]
    resizing = dict(scale=math.floor(size / pixels['crop_pct']), interpolation=pixels['interpolation'])
    pipeline = [
        dict(type='se_mm.LoadImageFromFile', imdecode_backend='timm'),
        dict(type='ResizeEdge', edge='short', backend='pillow', **resizing),
        dict(type='CenterCrop', crop_size=size),
        dict(type='PackInputs'),
    ]
    normalised = {key: [255 * value for value in pixels[key]] for key in ('mean', 'std')}
    preprocessor = dict(num_classes=about.num_classes, to_rgb=True, **normalised)
    model = {**timm_classifier(_architecture(name)).model, 'data_preprocessor': preprocessor}
    return model, pipeline, Card(name, size, **_figures_of_timm(name.removeprefix(published.TIMM)))


def _figures_of_timm(model: str) -> dict[str, Any]:
    """What timm's results-imagenet.csv says of a model, and the README of the paper's release of the same weights."""
    lines = files('se_mm.weights').joinpath('published_accuracy.csv').read_text().splitlines()
    row = next((row for row in csv.DictReader(lines) if row['name'] == model), None)
    if row is None:
        return {}
    release = tuple(float(row[key]) for key in ('release_error1', 'release_error5') if row[key])
    return dict(top1=float(row['top1']), top5=float(row['top5']), measured_at=int(row['size']), release=release)


def _of_mmpretrain(name: str, _: bool) -> tuple[dict[str, Any], list[dict[str, Any]], Card]:
    configs = Path(locate('mmpretrain::resnet/resnet50_8xb32_in1k.py')).parents[1]
    file = Path(published.resolve(name).url).name
    listing = next((text for path in configs.glob('*/metafile.yml') if file in (text := path.read_text())), '{}')
    models = yaml.safe_load(listing).get('Models', ())
    entry = next((model for model in models if str(model.get('Weights', '')).endswith(file)), None)
    if entry is None:
        raise SeMmError(f'{name}: mmpretrain lists no config of {file}')
    theirs = read_config(locate(f'mmpretrain::{entry["Config"].removeprefix("configs/")}'))
    model, pipeline = theirs.model, theirs.test_dataloader.dataset.pipeline
    model.data_preprocessor = theirs.data_preprocessor
    if model.backbone.type in ('SEResNet', 'SEResNeXt'):
        model.backbone.type = f'se_mm.{model.backbone.type}'
    size = next(step['crop_size'] for step in pipeline if step['type'] == 'CenterCrop')
    metrics = entry['Results'][0]['Metrics']
    return model, pipeline, Card(name, size, *(metrics.get(f'Top {k} Accuracy') for k in (1, 5)), measured_at=size)
