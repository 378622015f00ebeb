"""Configs that are refused before anything is built from them: of an old form, or sure to fail later."""

from __future__ import annotations

from mmengine.config import Config

from ..errors import SeMmError, listed
from ..utils.type_names import type_name
from .loaders import datasets_in
from .tree import nodes

#: The keys of configs of mmdet 2.x and mmcls, and where that stands today.
TODAY = {
    'data': 'train_dataloader, val_dataloader and test_dataloader, each with batch_size, num_workers and dataset',
    'optimizer': 'optim_wrapper.optimizer',
    'optimizer_config': 'optim_wrapper (grad_clip is its clip_grad)',
    'lr_config': 'param_scheduler',
    'momentum_config': 'param_scheduler',
    'runner': 'train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=...)',
    'total_epochs': 'train_cfg.max_epochs',
    'evaluation': 'val_evaluator, and train_cfg.val_interval',
    'checkpoint_config': 'default_hooks.checkpoint',
    'log_config': 'default_hooks.logger and visualizer',
    'img_norm_cfg': 'model.data_preprocessor',
}


def check_form(cfg: Config) -> None:
    """Refuses a config of mmdet 2.x or mmcls, and a data set that names several files.

    Raises:
        SeMmError: with what the config has to say in place of it.
    """
    old = [key for key in TODAY if key in cfg]
    if set(old) - {'img_norm_cfg'} and not any(key.endswith('_dataloader') for key in cfg):
        today = '; '.join(f'{key} is {TODAY[key]}' for key in old)
        raise SeMmError(
            f'{cfg.filename} is a config of mmdet 2.x or mmcls, which mmdet 3 and mmpretrain do not read: {today}. '
            'Start from the config of the same name that they ship (mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py)'
        )
    for split, dataset in datasets_in(cfg):
        for key in ('ann_file', 'data_root'):
            if isinstance(files := dataset.get(key), (list, tuple)):
                kind = type_name(dataset)
                each = ', '.join(f'dict(type={kind!r}, {key}={file!r}, ...)' for file in files)
                raise SeMmError(
                    f'{key} of the {split} data is a list, {listed([*map(str, files)], 3)}; a {kind} reads one: write '
                    f"{split}_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[{each}]))"
                )


def check_metrics(cfg: Config, split: str) -> None:
    """Refuses metrics of proposals that fail whatever they are given, after an epoch of training.

    Raises:
        SeMmError: with the options that evaluate the same.
    """
    key = f'{split}_evaluator'
    for _, metric in nodes(cfg.get(key)):
        names = metric.get('metric') or ()
        option = f'--cfg-options {key}' if isinstance(cfg[key], dict) else key
        if type_name(metric) == 'CocoMetric' and 'proposal_fast' in names:
            raise SeMmError(
                f"{key}: mmdet's metric 'proposal_fast' fails with NumPy from 1.24 on, at its end; "
                f'{option}.metric=proposal gives the same recall'
            )
        numbers = metric.get('proposal_nums', (100, 300, 1000))
        if type_name(metric) == 'CocoMetric' and 'proposal' in names and len(numbers) != 3:
            three = ','.join(map(str, [*numbers, *[numbers[-1]] * 3][:3])) if numbers else '100,300,1000'
            raise SeMmError(
                f'{key}.proposal_nums is {list(numbers)}, and pycocotools reads three: {option}.proposal_nums={three}'
            )
