"""Every network as the backbone of a Faster R-CNN: ``make zoo``; alone, ``python -m support.zoo.networks``.

The lightest ``configs/faster_rcnn_*_coco.py`` of each class of backbones with attention builds, trains two iterations
on drawn shapes, validates, and the checkpoint reads back, through the tools that a user calls.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from se_mm.swap.building import shapes_only

from ..commands import output, tool
from ..helpers import REPOSITORY
from ..small import draw_shapes

TITLE = '## Every network as the backbone of a Faster R-CNN'
ITERATIONS = 2
#: With norms that are frozen the maps of random weights overflow here.
NORMS_LEARN = ('faster_rcnn_se_inception_v3_coco',)


class Row(NamedTuple):
    """What became of a config."""

    name: str
    backbone: str
    parameters: int
    losses: tuple[float, ...]
    tensors: int
    seconds: float


def configs() -> list[str]:
    """The lightest config of each class of backbones with attention."""
    lightest: dict[str, tuple] = {}
    for path in (REPOSITORY / 'configs').glob('faster_rcnn_*_coco.py'):
        backbone = Config.fromfile(path).model.backbone
        if not backbone.type.startswith('se_mm.'):
            continue
        kind = backbone.get('host') or backbone.type
        weight = (backbone.get('depth', 0), len(path.stem), path.stem)
        lightest[kind] = min(weight, lightest.get(kind, weight))
    return sorted(weight[-1] for weight in lightest.values())


def check(name: str, data: Path, folder: Path) -> Row:
    """Raises an AssertionError, or whatever goes wrong, if one of the promises is not kept."""
    start = time.perf_counter()
    config = f'configs/{name}.py'
    common = ('--data-root', data, '--classes', '--size', 128, 128, '--workers', 0)
    length = ('--iters', ITERATIONS, '--batch-size', 2, '--no-pretrained')
    options = (
        'model.test_cfg.rcnn.score_thr=0.0',  # mmdet gives no metrics where nothing is found
        'train_cfg.val_interval=12',  # of 12 epochs: once, at the end
        'default_hooks.checkpoint.interval=12',
        'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.save_optimizer=False',
    )
    if name in NORMS_LEARN:
        options += ('model.backbone.norm_eval=False', 'model.backbone.frozen_stages=-1')
    output(tool('train', config, *common, *length, '--work-dir', folder / 'out', '--cfg-options', *options))
    (validation,) = json.loads((folder / 'out' / 'validations.json').read_text())
    assert validation['iter'] == ITERATIONS
    assert 0 <= validation['coco/bbox_mAP'] <= 1
    losses = losses_of(folder / 'out')
    assert len(losses) == ITERATIONS, f'{len(losses)} losses are finite'
    checkpoint = folder / 'out' / f'iter_{ITERATIONS}.pth'
    output(tool('test', config, checkpoint, *common, '--work-dir', folder / 'test', '--cfg-options', options[0]))
    backbone, parameters, tensors = read_back(next((folder / 'out').glob('*.py')), checkpoint)
    return Row(name, backbone, parameters, losses, tensors, time.perf_counter() - start)


def losses_of(work_dir: Path) -> tuple[float, ...]:
    entries = [json.loads(line) for path in work_dir.rglob('scalars.json') for line in path.read_text().splitlines()]
    losses = [entry['loss'] for entry in entries if 'loss' in entry]
    return tuple(loss for loss in losses if loss == loss and abs(loss) < float('inf'))


def read_back(config: Path, checkpoint: Path) -> tuple[str, int, int]:
    """Builds the model from the config that the training wrote; its tensors are those of the checkpoint."""
    cfg = Config.fromfile(config)
    with MODELS.switch_scope_and_registry(cfg.default_scope) as registry, shapes_only():
        model = registry.build(cfg.model)
    saved = torch.load(checkpoint, map_location='meta', weights_only=False)['state_dict']
    own = model.state_dict()
    assert {key: value.shape for key, value in saved.items()} == {key: value.shape for key, value in own.items()}
    backbone = cfg.model.backbone
    parameters = sum(parameter.numel() for parameter in model.backbone.parameters())
    return backbone.get('host') or backbone.type, parameters, len(saved)


def section() -> tuple[list[str], dict[str, str]]:
    """The lines of the page, and what failed."""
    rows, failed = [], {}
    with TemporaryDirectory() as scratch:
        data = draw_shapes(Path(scratch, 'data'), train=4, val=2)
        for name in configs():
            folder = Path(scratch, name)
            try:
                rows.append(check(name, data, folder))
            except Exception as error:
                failed[name] = f'{type(error).__name__}: {" ".join(str(error).split())[-300:]}'
            shutil.rmtree(folder, ignore_errors=True)
            print(rows[-1] if name not in failed else f'{name} FAILED {failed[name]}', flush=True)
    return lines(rows, failed), failed


def lines(rows: list[Row], failed: dict[str, str]) -> list[str]:
    page = [
        TITLE,
        '',
        'The lightest config of each class of backbones with attention, with random weights and pictures of 128 x 128',
        f'on a CPU: it builds, trains {ITERATIONS} iterations with finite losses, validates with pycocotools, and the',
        'config and checkpoint that it wrote read back as the same model and are evaluated by `tools/test.py`. Norms',
        'are frozen as the configs say, except in Inception-v3, whose maps would overflow with random weights.',
        f'{len(rows)} of {len(rows) + len(failed)} do. `python -m support.zoo.networks` in `tests/` writes this.',
        '',
        '| config | backbone | its parameters | tensors read back |',
        '| --- | --- | --- | --- |',
    ]
    page += [f'| {row.name} | {row.backbone} | {row.parameters:,} | {row.tensors} |' for row in rows]
    return page + [f'- {name}: {error}' for name, error in failed.items()]


def main() -> None:
    page = REPOSITORY / 'docs/zoo.md'
    before = page.read_text().partition(TITLE)[0].rstrip('\n')
    text, failed = section()
    page.write_text('\n'.join([before, '', *text]) + '\n')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
