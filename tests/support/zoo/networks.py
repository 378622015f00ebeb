"""Every network as the backbone of a Faster R-CNN.

The lightest ``configs/faster_rcnn_*_coco.py`` of each class of backbones with attention builds, trains two iterations
on drawn shapes, validates, and the checkpoint reads back, through the tools that a user calls.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from se_mm.swap.building import shapes_only
from se_mm.utils.tables import markdown_table

from ..commands import output, tool
from ..helpers import REPOSITORY
from ..small import draw_shapes
from .configs import error_of

ITERATIONS = 2
#: With norms that are frozen the maps of random weights overflow here.
NORMS_LEARN = ('faster_rcnn_se_inception_v3_coco',)


def configs() -> list[str]:
    """The lightest config of each class of backbones with attention."""
    lightest: dict[str, tuple] = {}
    for path in (REPOSITORY / 'configs').glob('faster_rcnn_*_coco.py'):
        backbone = Config.fromfile(path).model.backbone
        if backbone.type.startswith('se_mm.'):
            kind = backbone.get('host') or backbone.type
            weight = (backbone.get('depth', 0), len(path.stem), path.stem)
            lightest[kind] = min(weight, lightest.get(kind, weight))
    return sorted(weight[-1] for weight in lightest.values())


def check(name: str, data: Path, folder: Path) -> tuple[str, str, str, int]:
    """The row of a config; raises an AssertionError, or whatever goes wrong, if a promise is not kept."""
    config = f'configs/{name}.py'
    common = ('--data-root', data, '--classes', '--size', 128, 128, '--workers', 0)
    length = ('--iters', ITERATIONS, '--batch-size', 2, '--no-pretrained')
    options = [
        'model.test_cfg.rcnn.score_thr=0.0',  # mmdet gives no metrics where nothing is found
        'train_cfg.val_interval=12',  # of 12 epochs: once, at the end
        'default_hooks.checkpoint.interval=12',
        'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.save_optimizer=False',
    ]
    if name in NORMS_LEARN:
        options += ['model.backbone.norm_eval=False', 'model.backbone.frozen_stages=-1']
    output(tool('train', config, *common, *length, '--work-dir', folder / 'out', '--cfg-options', *options))
    (validation,) = json.loads((folder / 'out' / 'validations.json').read_text())
    assert validation['iter'] == ITERATIONS
    assert 0 <= validation['coco/bbox_mAP'] <= 1
    [scalars] = (folder / 'out').rglob('scalars.json')
    losses = [entry['loss'] for entry in map(json.loads, scalars.read_text().splitlines()) if 'loss' in entry]
    assert [math.isfinite(loss) for loss in losses] == [True] * ITERATIONS
    checkpoint = folder / 'out' / f'iter_{ITERATIONS}.pth'
    output(tool('test', config, checkpoint, *common, '--work-dir', folder / 'test', '--cfg-options', options[0]))

    cfg = Config.fromfile(next((folder / 'out').glob('*.py')))
    with MODELS.switch_scope_and_registry(cfg.default_scope) as registry, shapes_only():
        model = registry.build(cfg.model)
    saved = torch.load(checkpoint, map_location='meta', weights_only=False)['state_dict']
    assert {key: value.shape for key, value in saved.items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    backbone = cfg.model.backbone
    parameters = sum(parameter.numel() for parameter in model.backbone.parameters())
    return name, backbone.get('host') or backbone.type, f'{parameters:,}', len(saved)


def section() -> tuple[list[str], dict[str, str]]:
    """The lines of the page, and what failed."""
    rows, failed = [], {}
    with TemporaryDirectory() as scratch:
        data = draw_shapes(Path(scratch, 'data'), train=4, val=2)
        for name in configs():
            error = error_of(lambda name=name: rows.append(check(name, data, Path(scratch, name))))
            if error:
                failed[name] = error
            print(error or rows[-1], flush=True)
    page = [
        '## Every network as the backbone of a Faster R-CNN',
        '',
        'The lightest config of each class of backbones with attention, with random weights and pictures of 128 x 128',
        f'on a CPU: it builds, trains {ITERATIONS} iterations with finite losses, validates with pycocotools, and the',
        'config and checkpoint that it wrote read back as the same model and are evaluated by `tools/test.py`. Norms',
        'are frozen as the configs say, except in Inception-v3, whose maps would overflow with random weights.',
        f'{len(rows)} of {len(rows) + len(failed)} do.',
        '',
        *markdown_table(('config', 'backbone', 'its parameters', 'tensors read back'), rows),
        *(f'- {name}: {error}' for name, error in failed.items()),
    ]
    return page, failed
