"""Trainings of seconds: of a config's text through the tool, or of a config in this process."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

import cv2
import numpy as np
from mmengine.config import Config

from se_mm.datasets.prepare import shapes
from se_mm.engine import runner as runtime
from se_mm.engine import switches
from support.commands import forget_mmengines_state, output, tool
from support.helpers import REPOSITORY

DEMO = 'configs/demo/faster_rcnn_se_r18_shapes.py'
#: Options of the command line that make a training of the demo, and of a Places365 config, a matter of seconds.
NO_WORKERS = [
    f'{split}_dataloader.{option}'
    for split in ('train', 'val', 'test')
    for option in ('num_workers=0', 'persistent_workers=False')
]
QUICK = [
    *NO_WORKERS,
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'default_hooks.checkpoint.interval=1',
    'model.backbone.base_channels=16',
    'model.backbone.stem_channels=16',
    'model.neck.in_channels=[16,32,64,128]',
]
SMALL_SCENES = [
    *NO_WORKERS,
    'model.backbone.depth=18',
    'model.backbone.base_channels=16',
    'model.backbone.stem_channels=16',
    'model.head.in_channels=128',
    'train_dataloader.dataset.pipeline.1.scale=32',
    'val_dataloader.dataset.pipeline.1.scale=(36,36)',
    'val_dataloader.dataset.pipeline.2.crop_size=32',
    'test_dataloader.dataset.pipeline.1.scale=(36,36)',
    'test_dataloader.dataset.pipeline.2.crop_size=32',
]


def draw_scenes(root: Path, train: int = 9, val: int = 2) -> Path:
    """Noise in two classes, ``left`` and ``right``."""
    random_pixels = np.random.default_rng(0)
    for split, count in (('train', train), ('val', val)):
        for name in ('left', 'right'):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                image = random_pixels.integers(0, 256, (100, 120, 3), np.uint8)
                cv2.imwrite(str(root / split / name / f'{i}.png'), image)
    return root


def draw_shapes(root: Path, train: int, val: int) -> Path:
    """The demo's detection set with fewer images."""
    with mock.patch.dict(shapes.SPLITS, train=train, val=val):
        shapes.draw(root, seed=1)
    return root


def scene_config(root: Path, work_dir: Path, iterations: int = 8, hooks: list[dict] | None = None, **options) -> Config:
    """A narrow SE-ResNet-18 on such pictures, by iterations, in the process itself."""
    import support.faults  # noqa: F401 (its hooks)

    cfg = Config.fromfile(REPOSITORY / 'configs/demo/se_resnet18_scenes.py')
    classes = ('left', 'right')
    loader = dict(
        num_workers=0, persistent_workers=False, dataset=dict(data_root=str(root), metainfo=dict(classes=classes))
    )
    cfg.merge_from_dict(
        dict(
            model=dict(
                data_preprocessor=dict(num_classes=2),
                backbone=dict(base_channels=16, stem_channels=16),
                head=dict(num_classes=2, in_channels=128, topk=(1,)),
            ),
            train_dataloader=loader | dict(batch_size=4),
            val_dataloader=loader,
            test_dataloader=loader,
            work_dir=str(work_dir),
            default_hooks=dict(checkpoint=dict(by_epoch=False, interval=100, save_best=None), logger=dict(interval=1)),
            randomness=dict(seed=0),
        )
    )
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=100)
    cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    cfg.val_evaluator = cfg.test_evaluator = dict(type='Accuracy')
    cfg.param_scheduler = []
    cfg.custom_hooks = hooks or []
    cfg.merge_from_dict(options)
    return cfg


def run(cfg: Config):
    """Trains as ``tools/train.py`` does; returns the runner."""
    forget_mmengines_state()  # trainings of one second would share a visualizer
    runner = runtime.build_runner(cfg, switches.make_survivable)
    runtime.train(runner)
    return runner


def train_with(
    config: str, data: Path, work_dir: Path, *switches: str, more: str = '', fresh: bool = False, **values
) -> CompletedProcess:
    """``tools/train.py`` with a config's text, in which ``values`` are filled in; ``more`` inherits from that."""
    values = dict(fault='', checkpoint='interval=1, max_keep_ckpts=1', workers=1, sampler='InfiniteSampler') | values
    file = values.pop('file', work_dir.with_name(f'{work_dir.name}.py'))
    file.write_text(config.format(repository=REPOSITORY, **values))
    if more:
        base, file = file, file.with_name(f'more_{file.name}')
        file.write_text(f'_base_ = {str(base)!r}\n{more}')
    return tool('train', file, '--data-root', data, '--work-dir', work_dir, '--deterministic', *switches, fresh=fresh)


def trained_with(*args, **values) -> str:
    """What such a training prints when it ends well."""
    return output(train_with(*args, **values))
