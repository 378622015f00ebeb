"""What a training of COCO or Places365 was: data, length, network and the rest, from its config and log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..config.loaders import datasets_of
from ..config.tree import nodes
from ..errors import SeMmError, listed
from ..utils.type_names import type_name
from .runs import Run

#: Images of COCO's train2017 with boxes, on which mmdet trains, and of the splits of Places365.
IMAGES = {'train2017': 117_266, 'train-standard': 1_803_460, 'train-challenge': 8_026_628}
#: Classes of the data sets.
_CLASSES = {'CocoDataset': 80, 'Places365': 365}
#: Backbones of se_mm, whose ``attention`` argument names the layer.
_OURS = ('SEResNet', 'SEResNeXt', 'SENet', 'SETwin')
#: Arguments that make another network of a ResNet.
_VARIANTS = ('dcn', 'plugins', 'conv_cfg', 'deep_stem', 'avg_down')


def data_of(run: Run) -> str:
    """The kind of the data set; COCO is COCO by its files and classes, since others come in its format."""
    loaders = [run.cfg.train_dataloader, run.cfg.get('val_dataloader')]
    train, val = map(_split, loaders)
    datasets = [dataset for loader in loaders for dataset in datasets_of(loader)]
    kind = type_name(datasets[0])
    if kind == 'CocoDataset' and (train, val) != ('train2017', 'val2017'):
        return f'other data ({train}, {val})'
    if any(dataset.get('indices') for dataset in datasets):
        return f'a part of {kind} (indices)'
    counts = {node['num_classes'] for _, node in nodes(run.cfg.model) if isinstance(node.get('num_classes'), int)}
    named = [(dataset.get('metainfo') or {}).get('classes') for dataset in datasets]
    counts |= {len(classes) for classes in named if classes and not isinstance(classes, str)}
    if kind in _CLASSES and (others := counts - {_CLASSES[kind]}):
        return f'other data ({train}, {val}, of {listed(sorted(map(str, others)))} classes)'
    return kind


def epochs_of(run: Run) -> float:
    """The length of a training in epochs.

    Raises:
        SeMmError: if it is in iterations, and how many images a step has or the data set has is not known.
    """
    if not run.by_epoch:
        images, split = run.batch_size or _base_batch_size(run), _split(run.cfg.train_dataloader)
        if not images or split not in IMAGES:
            unknown = f'images {split} has' if images else 'GPUs it ran on, and so how many images a step has'
            raise SeMmError(
                f'{run.work_dir} has {run.length} iterations; it is not known how many {unknown}: '
                'expected "GPU number" in a log of mmengine (*/*.log) there, and the files of COCO or Places365'
            )
        return run.length * images / IMAGES[split]
    dataset, times = run.cfg.train_dataloader.get('dataset'), 1
    while isinstance(dataset, Mapping):  # wrappers, to the first data set in them
        times *= dataset['times'] if type_name(dataset) == 'RepeatDataset' else 1
        inner = dataset.get('dataset', dataset.get('datasets'))
        dataset = inner[0] if isinstance(inner, (list, tuple)) and inner else inner
    return float(run.length * times)


def attention_of(run: Run) -> str | None:
    """The attention layer of a training's backbone, ``None`` of a plain one.

    Example:
        >>> from pathlib import Path
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(model=dict(backbone=dict(type='se_mm.SEResNet', depth=50))))
        >>> attention_of(Run(Path(), cfg, []))
        'SELayer'
    """
    backbone = run.cfg.model.get('backbone') or {}
    if list(backbone.get('attention_stages', backbone.get('se_stages', [0]))) == []:
        return None
    if type_name(backbone) in _OURS:
        return type_name(backbone.get('attention') or {'type': 'SELayer'})
    return 'SELayer' if type_name(backbone).startswith('SE') else None  # mmpretrain's


def backbone_of(run: Run) -> str:
    """The network without its attention, as ``'ResNet-50'`` or ``'ResNeXt-101 32x4d with dcn'``.

    Example:
        >>> from pathlib import Path
        >>> from mmengine.config import Config
        >>> cfg = Config(dict(model=dict(backbone=dict(type='se_mm.SEResNeXt', depth=101, groups=32, base_width=4))))
        >>> backbone_of(Run(Path(), cfg, []))
        'ResNeXt-101 32x4d'
    """
    backbone = run.cfg.model.get('backbone') or {}
    kind = type_name(backbone)
    name = type_name({'type': backbone.get('host')}) if kind == 'SETwin' else re.sub('^SE(?=ResNe)', '', kind)
    name += f'-{backbone.get("depth", backbone.get("arch", "?"))}'
    if backbone.get('groups', 1) > 1:
        name += f' {backbone.groups}x{backbone.get("base_width", backbone.get("width_per_group", 4))}d'
    variants = [key for key in _VARIANTS if backbone.get(key)]
    return name + f' with {", ".join(variants)}' * bool(variants)


def setup_of(run: Run) -> dict[str, str]:
    """What results depend on beside the attention, in words, from the config that the training left."""
    cfg = run.cfg
    scales = [
        node['scale'] for _, node in nodes(cfg.train_dataloader) if 'Resize' in type_name(node) and 'scale' in node
    ]
    weights = [
        name for key, name in run.weights.items() if 'backbone' in key or key in ('load_from', 'model.pretrained')
    ]
    return {
        'backbone': backbone_of(run),
        'neck': type_name(neck) if (neck := cfg.model.get('neck')) else 'none',
        'epochs': f'{epochs_of(run):.1f}'.removesuffix('.0'),
        'images a step': images_a_step(run),
        'learning rate': f'{_learning_rate(run):g}',
        'style': str((cfg.model.get('backbone') or {}).get('style', 'pytorch')),
        'weights': ', '.join(weights) or 'none',
        'image scale': ', '.join('x'.join(map(str, s)) if isinstance(s, (list, tuple)) else str(s) for s in scales),
        'trained on': _split(cfg.train_dataloader),
        'evaluated on': _split(cfg.get('val_dataloader')),
    }


def images_a_step(run: Run) -> str:
    """Images of a step, of all processes, in words."""
    if run.batch_size:
        return str(run.batch_size)
    each = f'{run.cfg.train_dataloader.get("batch_size", "?")} a GPU, number of GPUs not known'
    return each if run.by_epoch or not _base_batch_size(run) else f'{each}; {_base_batch_size(run)} is assumed'


def _learning_rate(run: Run) -> float:
    """As it was scaled: mmengine leaves the accumulation of gradients out, ``tools/train.py`` does not."""
    optimizer = (run.cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    scaling, rate = run.cfg.get('auto_scale_lr') or {}, float(optimizer.get('lr', 'nan'))
    if scaling.get('enable') and run.processes and _base_batch_size(run):
        by_our_tool = any(type_name(hook) == 'CurvesHook' for hook in run.cfg.get('custom_hooks') or [])
        images = run.batch_size if by_our_tool else run.processes * run.cfg.train_dataloader.batch_size
        rate *= images / _base_batch_size(run)
    return rate


def _base_batch_size(run: Run) -> int | None:
    """Images of a step that the learning rate is for."""
    return (run.cfg.get('auto_scale_lr') or {}).get('base_batch_size')


def _split(loader: Mapping[str, Any] | None) -> str:
    names = []
    for dataset in datasets_of(loader):
        file = re.search(r'(?:^|/)instances_(\w+)\.json$', str(dataset.get('ann_file') or ''))
        names.append(file[1] if file else str(dataset.get('split') or dataset.get('ann_file') or 'unknown'))
    return ', '.join(names)
